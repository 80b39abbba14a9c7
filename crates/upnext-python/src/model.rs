//! Fitted models: recommending, evaluating, vectors.

use crate::arrow::Table;
use crate::data::Sessions;
use crate::errors::{OrRaise, json, options, raise, raise_as};
use crate::items::ItemTable;
use crate::table::{Cell, Id, Ids, Rows};
use crate::work::{threads, whole};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use upnext_core::Error;
use upnext_core::data::{Event, ItemIndex, NextClicks, Part};
use upnext_core::evaluation::{Births, EvaluationConfig, OfTargets, evaluate_with_births};
use upnext_core::ranking::{Filter, recommend_parallel};

/// A fitted model.
#[pyclass(frozen, module = "upnext._upnext")]
pub(crate) struct Model {
    pub(crate) inner: upnext_core::Model,
}

/// The figures of a model on test sessions.
#[pyclass(frozen, module = "upnext._upnext")]
pub(crate) struct Evaluation {
    inner: upnext_core::evaluation::Evaluation,
    targets: [OfTargets; 3],
    next_clicks: Option<NextClicks>,
}

/// A list of items with scores, the ids of the session that the model does not know, and whether it got the most popular items.
type Listed = (Vec<(Id, f32)>, Vec<Id>, bool);

impl Model {
    pub(crate) fn new(inner: upnext_core::Model) -> Self {
        Self { inner }
    }

    /// A filter by ids; unknown ones exclude nothing, and allow nothing.
    fn filter(&self, exclude_seen: bool, exclude: &[String], only: Option<&[String]>) -> Filter {
        let known = |ids: &[String]| -> Vec<ItemIndex> {
            ids.iter().filter_map(|id| self.inner.items().index_of(id)).collect()
        };
        Filter { exclude_seen, exclude: known(exclude), only: only.map(known) }
    }

    fn vectors<'py>(
        &self,
        py: Python<'py>,
        rows: Vec<f32>,
        width: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let height = rows.len().checked_div(width).unwrap_or(0);
        PyArray1::from_vec(py, rows).reshape([height, width])
    }

    /// The known items of sessions.
    fn histories(&self, part: &Part<'_>, sessions: &[&[Event]]) -> Vec<Vec<ItemIndex>> {
        let items = self.inner.items();
        let known = |events: &&[Event]| {
            events.iter().filter_map(|event| items.index_of(part.item_id(event))).collect()
        };
        sessions.iter().map(known).collect()
    }

    fn has_no_vectors(&self, py: Python<'_>) -> PyErr {
        raise(py, &Error::NoVectors { model: self.inner.recommender().name().to_owned() })
    }
}

#[pymethods]
impl Model {
    /// Loads a model from its folder.
    #[staticmethod]
    fn load(py: Python<'_>, folder: PathBuf) -> PyResult<Self> {
        py.detach(|| upnext_core::Model::load(&folder)).or_raise(py).map(Self::new)
    }

    /// Loads a model with its training state, if it has one.
    #[staticmethod]
    fn load_to_train(py: Python<'_>, folder: PathBuf) -> PyResult<Self> {
        use upnext_core::artifact::Artifact;
        let load = || upnext_core::Model::from_artifact(Artifact::load(&folder)?);
        py.detach(load).or_raise(py).map(Self::new)
    }

    /// Saves the model in a folder, replacing a model that is there.
    fn save(&self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        py.detach(|| self.inner.save(&folder)).or_raise(py)
    }

    /// The name of its kind.
    #[getter]
    fn kind(&self) -> &'static str {
        self.inner.kind().name()
    }

    /// Its configuration, as JSON.
    #[getter]
    fn experiment(&self, py: Python<'_>) -> PyResult<String> {
        json(py, self.inner.experiment())
    }

    /// The record of its training, as JSON.
    #[getter]
    fn training(&self, py: Python<'_>) -> PyResult<String> {
        json(py, self.inner.training())
    }

    /// The ids of its items, in the order of its vectors. `are_numbers` says that ids are whole numbers for the user.
    fn items(&self, are_numbers: bool) -> Vec<Id> {
        let ids = Ids::given(are_numbers);
        self.inner.items().ids().map(|id| ids.id(id)).collect()
    }

    /// Whether models of its kind can be trained further.
    #[getter]
    fn can_train_further(&self) -> bool {
        self.inner.kind().can_train_further()
    }

    /// This model with the items of a table that it does not have yet; how many these are, and how many it has already.
    fn with_items(&self, py: Python<'_>, table: &ItemTable) -> PyResult<(Self, usize, usize)> {
        let new = py.detach(|| self.inner.with_items(&table.inner)).or_raise(py)?;
        Ok((Self::new(new.model), new.added, new.known))
    }

    /// Its table of items.
    #[getter]
    fn item_table(&self) -> Option<ItemTable> {
        self.inner.item_table().map(|table| ItemTable { inner: Arc::clone(table) })
    }

    /// The ids of the items without training events.
    fn new_items(&self, are_numbers: bool) -> Vec<Id> {
        let (ids, items) = (Ids::given(are_numbers), self.inner.items());
        (0..)
            .zip(items.ids())
            .filter(|(item, _)| self.inner.is_new(*item))
            .map(|(_, id)| ids.id(id))
            .collect()
    }

    /// Number of items.
    #[getter]
    fn num_items(&self) -> usize {
        self.inner.items().len()
    }

    /// Recommends for one session. `are_numbers` says that ids are whole numbers for the user.
    #[pyo3(signature = (session, k, are_numbers, exclude_seen=false, exclude=vec![], only=None))]
    #[allow(clippy::too_many_arguments)] // the options of a list, by name in Python
    fn recommend(
        &self,
        py: Python<'_>,
        session: Vec<String>,
        k: usize,
        are_numbers: bool,
        exclude_seen: bool,
        exclude: Vec<String>,
        only: Option<Vec<String>>,
    ) -> PyResult<Listed> {
        let filter = self.filter(exclude_seen, &exclude, only.as_deref());
        let k = k.min(self.inner.items().len());
        let mut lists = py.detach(|| self.inner.recommend_filtered(&[session], k, &filter)).or_raise(py)?;
        let list = lists.pop().unwrap_or_default();
        let ids = Ids::given(are_numbers);
        let items = list.items.iter().map(|item| (ids.id(&item.id), item.score)).collect();
        Ok((items, list.unknown.iter().map(|id| ids.id(id)).collect(), list.fell_back))
    }

    /// Recommends for many sessions: a table with `session`, `item`, `rank`, `score` and `fell_back`, the number of sessions
    /// that got the most popular items, and that of events on items that the model does not know.
    #[pyo3(signature = (sessions, k, exclude_seen=false, exclude=vec![], only=None, num_threads=None))]
    #[allow(clippy::too_many_arguments)] // the options of a list, by name in Python
    fn recommend_many(
        &self,
        py: Python<'_>,
        sessions: &Sessions,
        k: usize,
        exclude_seen: bool,
        exclude: Vec<String>,
        only: Option<Vec<String>>,
        num_threads: Option<usize>,
    ) -> PyResult<(Table, u64, u64)> {
        let filter = self.filter(exclude_seen, &exclude, only.as_deref());
        let (k, threads) = (k.min(self.inner.items().len()), threads(num_threads));
        let (items, id_types) = (self.inner.items(), sessions.id_types());
        let (rows, fell_back, unknown) = whole(py, |stop| {
            let (mut fell_back, mut unknown) = (0, 0);
            let rows = sessions.with_part(|part| {
                let all: Vec<&[Event]> = part.sessions().collect();
                let columns = [
                    (
                        "session",
                        id_types.sessions,
                        &mut all.iter().map(|events| part.session_id(&events[0]))
                            as &mut dyn Iterator<Item = &str>,
                    ),
                    ("item", id_types.items, &mut items.ids()),
                ];
                let others =
                    [("rank", Cell::Rank(0)), ("score", Cell::Score(0.0)), ("fell_back", Cell::Flag(false))];
                let mut rows = Rows::new(columns, &others);
                for block in all.chunks((BLOCK / k.max(1)).max(threads)) {
                    let histories = self.histories(part, block);
                    let of_block: Vec<&[ItemIndex]> = histories.iter().map(Vec::as_slice).collect();
                    let model = self.inner.recommender();
                    let lists =
                        recommend_parallel(threads, model, items, &of_block, k, &filter, &|| stop.check())?;
                    for ((events, history), list) in block.iter().zip(&histories).zip(&lists) {
                        fell_back += u64::from(list.fell_back);
                        unknown += (events.len() - history.len()) as u64;
                        let session = Cell::Id(part.session_id(&events[0]));
                        for (rank, entry) in (1..).zip(&list.entries) {
                            let item = Cell::Id(items.id(entry.item));
                            let (score, flag) = (Cell::Score(entry.score), Cell::Flag(list.fell_back));
                            if let Err(error) = rows.push(&[session, item, Cell::Rank(rank), score, flag]) {
                                return Ok(Err(error));
                            }
                        }
                    }
                }
                upnext_core::Result::Ok(Ok(rows))
            })?;
            Ok((rows, fell_back, unknown))
        })?;
        let table = rows.and_then(Rows::finish);
        let table = table.map_err(|error| raise_as(py, "DataError", &error.to_string()))?;
        Ok((table, fell_back, unknown))
    }

    /// Evaluates the model on sessions, by the options of the library as JSON. `unknown` says what becomes of next clicks on items
    /// without training events: `leave-out`, `miss`, or `rank` by the attributes of those that the model has.
    #[pyo3(signature = (sessions, evaluation_options, unknown="leave-out", num_threads=None))]
    fn evaluate(
        &self,
        py: Python<'_>,
        sessions: &Sessions,
        evaluation_options: &str,
        unknown: &str,
        num_threads: Option<usize>,
    ) -> PyResult<Evaluation> {
        let given: EvaluationConfig = options(py, evaluation_options)?;
        let (inner, targets, next_clicks) = whole(py, |stop| {
            let (items, threads) = (self.inner.items(), threads(num_threads));
            let (cases, next_clicks) = sessions.cases(items, unknown != "leave-out")?;
            let observe = &|_| stop.check();
            let found = if unknown == "rank" {
                let births = Births::new(items, &cases, |_| None);
                evaluate_with_births(self.inner.recommender(), items, &births, &given, threads, observe)?
            } else {
                self.inner.evaluate_observed(&cases.sessions, &given, threads, observe)?
            };
            let targets = found.by_support(&cases.sessions, items);
            let misses = match unknown {
                "miss" => cases.misses().iter().map(|&misses| u64::from(misses)).sum(),
                _ => 0,
            };
            Ok((found.counting_misses(misses), targets, next_clicks))
        })?;
        Ok(Evaluation { inner, targets, next_clicks })
    }

    /// The items that are most similar to an item, with their similarities, and what these are.
    #[pyo3(signature = (item, k, are_numbers, exclude=vec![], only=None))]
    fn similar_items(
        &self,
        py: Python<'_>,
        item: &str,
        k: usize,
        are_numbers: bool,
        exclude: Vec<String>,
        only: Option<Vec<String>>,
    ) -> PyResult<(Vec<(Id, f32)>, String)> {
        let filter = self.filter(false, &exclude, only.as_deref());
        let list = py.detach(|| self.inner.similar_items_filtered(item, k, &filter)).or_raise(py)?;
        let ids = Ids::given(are_numbers);
        let items = list.items.iter().map(|similar| (ids.id(&similar.id), similar.similarity)).collect();
        Ok((items, json(py, &list.measure)?))
    }

    /// The vectors of all items, n × d.
    fn item_vectors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        match py.detach(|| self.inner.item_vectors()) {
            Some((width, rows)) => self.vectors(py, rows, width),
            None => Err(self.has_no_vectors(py)),
        }
    }

    /// The biases of all items; `None` for a model without them.
    fn item_biases<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<f32>>> {
        self.inner.item_biases().map(|biases| PyArray1::from_vec(py, biases))
    }

    /// The vectors of sessions that have a known item, one row a session, with the sessions' ids, and the numbers of sessions
    /// without one and of events on unknown items.
    #[allow(clippy::type_complexity)] // a tuple of Python
    fn session_vectors<'py>(
        &self,
        py: Python<'py>,
        sessions: &Sessions,
    ) -> PyResult<(Vec<Id>, Bound<'py, PyArray2<f32>>, usize, usize)> {
        let found = py.detach(|| {
            sessions.with_part(|part| {
                let all: Vec<&[Event]> = part.sessions().collect();
                let histories = self.histories(part, &all);
                let (mut ids, mut known, mut unknown) = (Vec::new(), Vec::new(), 0);
                for (events, history) in all.iter().zip(&histories) {
                    unknown += events.len() - history.len();
                    if !history.is_empty() {
                        ids.push(sessions.id_types().sessions.id(part.session_id(&events[0])));
                        known.push(history.as_slice());
                    }
                }
                let without = all.len() - known.len();
                Some((ids, self.inner.session_vectors(&known)?, without, unknown))
            })
        });
        match (found, self.inner.vector_width()) {
            (Some((ids, rows, without, unknown)), Some(width)) => {
                Ok((ids, self.vectors(py, rows, width)?, without, unknown))
            }
            _ => Err(self.has_no_vectors(py)),
        }
    }

    /// Writes the graph of a step, and the ids of the items beside it.
    #[pyo3(signature = (path, k=None))]
    fn to_onnx(&self, py: Python<'_>, path: PathBuf, k: Option<usize>) -> PyResult<()> {
        py.detach(|| upnext_core::onnx::export(&self.inner, &path, k)).or_raise(py)
    }

    /// A page with the curves of the training; `None` for a kind without epochs.
    fn page(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| upnext_cli::embedded::training_page(&self.inner))
    }

    /// Whether it is the same model: configuration, items and parameters.
    fn __eq__(&self, py: Python<'_>, other: &Self) -> bool {
        let same = |a: &upnext_core::Model, b: &upnext_core::Model| {
            a.experiment() == b.experiment()
                && a.items().fingerprint() == b.items().fingerprint()
                && a.arrays() == b.arrays()
        };
        py.detach(|| same(&self.inner, &other.inner))
    }
}

/// Number of entries of lists that are made at once.
const BLOCK: usize = 1 << 20;

#[pymethods]
impl Evaluation {
    /// The figures, as JSON.
    fn json(&self, py: Python<'_>) -> PyResult<String> {
        json(py, &self.inner)
    }

    /// The figures by what the target is, as JSON.
    fn targets(&self, py: Python<'_>) -> PyResult<String> {
        json(py, &self.targets)
    }

    /// The number of next clicks, and of those on items that training has not seen; `None` if they were dropped before.
    #[getter]
    fn next_clicks(&self) -> Option<(u64, u64)> {
        self.next_clicks.map(|clicks| (clicks.total, clicks.unknown))
    }

    /// A page with the figures.
    fn page(&self) -> String {
        upnext_cli::embedded::evaluation_page(&self.inner)
    }

    /// The ranks of all cases, by session and position, by the rule for ties of the evaluation.
    fn ranks<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_vec(py, self.inner.ranks(self.inner.ties))
    }
}

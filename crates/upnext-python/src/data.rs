//! Click logs and their sessions.

use crate::arrow::{Table, batches};
use crate::errors::{OrRaise, json, options};
use crate::table::Ids;
use crate::work::whole;
use arrow_array::builder::TimestampMicrosecondBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::{Field, Schema};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use upnext_core::data::part::DroppedSessions;
use upnext_core::data::{
    Dataset, EventLog, Format, ItemVocabulary, Part, PrepareOptions, Prepared, ReadOptions, TestSessions,
    prepare, write_log, write_parts,
};
use upnext_core::experiment::fields_of;

/// The part of a preparation that sessions are of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Train,
    Test,
    TestAll,
    Fit,
    Valid,
}

/// Where the events of sessions are.
enum Source {
    Log(Mutex<EventLog>),
    Prepared(Arc<Prepared>, Of),
}

/// Sessions by the ids of the user: a log as it was read, or a part of a prepared one.
#[pyclass(frozen, module = "upnext._upnext")]
pub(crate) struct Sessions {
    source: Source,
    ids: IdTypes,
    /// The sessions as training data, and what was dropped of them, made on first use.
    dataset: OnceLock<(Arc<Dataset>, DroppedSessions)>,
}

/// Whether the ids were whole numbers where they were read from, and are to be such numbers in tables of results.
#[derive(Clone, Copy, Default)]
pub(crate) struct IdTypes {
    pub(crate) sessions: Ids,
    pub(crate) items: Ids,
}

/// The names of the options of reading, and of those of preparing.
#[pyfunction]
pub(crate) fn option_names() -> (Vec<&'static str>, Vec<&'static str>) {
    (fields_of::<ReadOptions>().to_vec(), fields_of::<PrepareOptions>().to_vec())
}

/// Reads files and folders.
#[pyfunction]
pub(crate) fn read(py: Python<'_>, paths: Vec<PathBuf>, read_options: &str) -> PyResult<Sessions> {
    let read_options: ReadOptions = options(py, read_options)?;
    let log = whole(py, |stop| EventLog::read_all(&paths, &read_options, &mut |_| stop.check()))?;
    Ok(Sessions::new(Source::Log(log.into()), IdTypes::default()))
}

/// Reads an object with the method `__arrow_c_stream__`.
#[pyfunction]
pub(crate) fn read_arrow(
    py: Python<'_>,
    object: &Bound<'_, PyAny>,
    read_options: &str,
) -> PyResult<Sessions> {
    let (read_options, batches): (ReadOptions, _) = (options(py, read_options)?, batches(object)?);
    let schema = batches.schema();
    // The stream may call Python for its batches, which needs the interpreter's lock on this thread or another.
    let log = whole(py, |stop| {
        let until_stopped = batches.take_while(|_| stop.check().is_continue());
        EventLog::from_batches(until_stopped, &read_options)
    })?;
    // A key of several columns is a text.
    let of = |column: &str| {
        let fields = schema.fields().iter().enumerate();
        let mut found = fields.filter(|(i, field)| format!("column {} ({})", i + 1, field.name()) == column);
        found.next().map_or(Ids::Texts, |(_, field)| Ids::of(field.data_type()))
    };
    let columns = log.report().files.first();
    let ids = columns
        .map_or(IdTypes::default(), |file| IdTypes { sessions: of(&file.session), items: of(&file.item) });
    Ok(Sessions::new(Source::Log(log.into()), ids))
}

/// Sessions that are lists of ids, in their order; their ids are their numbers from 0. `are_numbers` says that the items' ids
/// were whole numbers.
#[pyfunction]
pub(crate) fn read_lists(sessions: Vec<Vec<String>>, are_numbers: bool) -> Sessions {
    let mut log = EventLog::new();
    for (number, session) in sessions.iter().enumerate() {
        let id = number.to_string();
        for (place, item) in session.iter().enumerate() {
            log.push(&id, item, (number + place) as i64 * 1_000_000);
        }
    }
    let items = if are_numbers { Ids::Numbers } else { Ids::Texts };
    Sessions::new(Source::Log(log.into()), IdTypes { sessions: Ids::Numbers, items })
}

fn locked(log: &Mutex<EventLog>) -> MutexGuard<'_, EventLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    fn new(source: Source, ids: IdTypes) -> Self {
        Self { source, ids, dataset: OnceLock::new() }
    }

    pub(crate) fn id_types(&self) -> IdTypes {
        self.ids
    }

    /// Calls `with` with the sessions.
    pub(crate) fn with_part<R>(&self, with: impl FnOnce(&Part<'_>) -> R) -> R {
        match &self.source {
            Source::Log(log) => with(&locked(log).grouped()),
            Source::Prepared(prepared, of) => {
                let part = match of {
                    Of::Train => Some(prepared.train()),
                    Of::Test => Some(prepared.test()),
                    Of::TestAll => prepared.test_all(),
                    Of::Fit => prepared.fit(),
                    Of::Valid => prepared.valid(),
                };
                // Parts that a preparation lacks are never made.
                with(&part.unwrap_or_else(|| prepared.train()))
            }
        }
    }

    /// The sessions as training data.
    pub(crate) fn dataset(&self) -> upnext_core::Result<Arc<Dataset>> {
        if let Some((dataset, _)) = self.dataset.get() {
            return Ok(Arc::clone(dataset));
        }
        let (dataset, dropped) = self.with_part(Dataset::from_part)?;
        Ok(Arc::clone(&self.dataset.get_or_init(|| (Arc::new(dataset), dropped)).0))
    }

    /// The sessions as training data whose first items are those of a model.
    pub(crate) fn extending(&self, items: &ItemVocabulary) -> upnext_core::Result<Arc<Dataset>> {
        let (dataset, _) = self.with_part(|part| Dataset::extending(part, items.clone()))?;
        Ok(Arc::new(dataset))
    }

    /// The sessions as cases of a model with these items.
    pub(crate) fn cases(&self, items: &ItemVocabulary) -> upnext_core::Result<TestSessions> {
        self.with_part(|part| TestSessions::from_part(part, items))
    }

    /// A log of its own, which can be prepared.
    fn to_log(&self) -> EventLog {
        if let Source::Log(log) = &self.source {
            return locked(log).clone();
        }
        self.with_part(|part| {
            let mut log = EventLog::new();
            for event in part.sessions().flatten() {
                log.push(part.session_id(event), part.item_id(event), event.time);
            }
            log
        })
    }
}

#[pymethods]
impl Sessions {
    /// Numbers of sessions, events and items, as JSON.
    fn counts(&self, py: Python<'_>) -> PyResult<String> {
        json(py, &py.detach(|| self.with_part(|part| part.counts())))
    }

    /// How files were read, as JSON; of a part, and of sessions that were not read, empty.
    fn report(&self, py: Python<'_>) -> PyResult<String> {
        match &self.source {
            Source::Log(log) => json(py, locked(log).report()),
            Source::Prepared(..) => Ok("{}".to_owned()),
        }
    }

    /// What looks wrong in the log.
    fn warnings(&self) -> Vec<String> {
        match &self.source {
            Source::Log(log) => locked(log).report().warnings.iter().map(ToString::to_string).collect(),
            Source::Prepared(..) => Vec::new(),
        }
    }

    /// Filters and splits the log by the rules of `prepare`: the parts by name, and the statistics as JSON.
    fn prepare(&self, py: Python<'_>, rules: &str) -> PyResult<(Vec<(&'static str, Self)>, String)> {
        let rules: PrepareOptions = options(py, rules)?;
        let log = py.detach(|| self.to_log());
        let prepared = Arc::new(whole(py, |stop| prepare(log, &rules, &mut |_| stop.check()))?);
        let part = |of| Self::new(Source::Prepared(Arc::clone(&prepared), of), self.ids);
        let mut parts = vec![("train", part(Of::Train)), ("test", part(Of::Test))];
        if prepared.test_all().is_some() {
            parts.push(("test_all", part(Of::TestAll)));
        }
        if prepared.valid().is_some() {
            parts.extend([("fit", part(Of::Fit)), ("valid", part(Of::Valid))]);
        }
        Ok((parts, json(py, prepared.statistics())?))
    }

    /// The sessions as a table of events.
    fn table(&self, py: Python<'_>) -> PyResult<Table> {
        let batch = py.detach(|| {
            self.with_part(|part| {
                let (mut sessions, mut items) = (Vec::new(), Vec::new());
                let mut times = TimestampMicrosecondBuilder::new();
                for event in part.sessions().flatten() {
                    sessions.push(part.session_id(event));
                    items.push(part.item_id(event));
                    times.append_value(event.time);
                }
                let sessions = self.ids.sessions.column(&sessions);
                let items = self.ids.items.column(&items);
                let columns: Vec<ArrayRef> = vec![sessions, items, Arc::new(times.finish())];
                let fields: Vec<Field> = ["session", "item", "time"]
                    .iter()
                    .zip(&columns)
                    .map(|(&name, column)| Field::new(name, column.data_type().clone(), false))
                    .collect();
                RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            })
        });
        let batch = batch.map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
        Ok(Table::new(batch.schema(), vec![batch]))
    }

    /// Writes the sessions as a Parquet log, or all parts of the preparation that they are of as a folder.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let write = || match &self.source {
            Source::Log(log) => write_log(&locked(log).grouped(), &path, Format::Parquet),
            Source::Prepared(prepared, _) => write_parts(prepared, &path, Format::Parquet, &mut |_, _| ()),
        };
        py.detach(write).or_raise(py)
    }
}

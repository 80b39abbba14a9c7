//! Click logs and their sessions.

use crate::arrow::{Table, batches};
use crate::errors::{OrRaise, json, options, raise_as};
use crate::table::{Cell, Id, IdTypes, Ids, Rows};
use crate::work::whole;
use arrow_array::RecordBatchReader;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use upnext_core::data::part::DroppedSessions;
use upnext_core::data::{
    Dataset, Event, EventLog, Format, GroupedLog, ItemVocabulary, NextClicks, Part, PartName, PrepareOptions,
    Prepared, PreparedFolder, ReadOptions, TestSessions, prepare, write_log, write_parts,
};
use upnext_core::experiment::fields_of;

/// Where the events of sessions are.
enum Source {
    Log(RwLock<Arc<GroupedLog>>),
    Prepared(Arc<Prepared>, PartName),
}

/// Sessions by the ids of the user: a log as it was read, or a part of a prepared one.
#[pyclass(frozen, module = "upnext._upnext")]
pub(crate) struct Sessions {
    source: Source,
    /// A number that no other log has; the parts of a prepared one share theirs.
    origin: u64,
    ids: IdTypes,
    /// Whether events have times, which lists have not.
    has_times: bool,
    /// The sessions as training data, and what was dropped of them, made on first use.
    dataset: OnceLock<(Arc<Dataset>, DroppedSessions)>,
}

/// Sessions as cases, and their next clicks, if those on unknown items have not been dropped before.
pub(crate) type Cases = (TestSessions, Option<NextClicks>);

/// The names of the options of reading, and of those of preparing.
#[pyfunction]
pub(crate) fn option_names() -> (Vec<&'static str>, Vec<&'static str>) {
    (fields_of::<ReadOptions>().to_vec(), fields_of::<PrepareOptions>().to_vec())
}

/// Reads files and folders.
#[pyfunction]
pub(crate) fn read(py: Python<'_>, paths: Vec<PathBuf>, read_options: &str) -> PyResult<Sessions> {
    let read_options: ReadOptions = options(py, read_options)?;
    let log = whole(py, |stop| {
        let log = EventLog::read_all(&paths, &read_options, &mut |_| stop.check())?;
        Ok(log.into_grouped())
    })?;
    Ok(Sessions::of_log(log, IdTypes::default(), true))
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
        Ok(EventLog::from_batches(until_stopped, &read_options)?.into_grouped())
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
    Ok(Sessions::of_log(log, ids, true))
}

/// Sessions that are lists of ids, in their order; their ids are their numbers from 0. `are_numbers` says that the items' ids
/// were whole numbers.
#[pyfunction]
pub(crate) fn read_lists(py: Python<'_>, sessions: Vec<Vec<String>>, are_numbers: bool) -> Sessions {
    let log = py.detach(|| {
        let mut log = EventLog::new();
        for (number, session) in sessions.iter().enumerate() {
            let id = number.to_string();
            for (place, item) in session.iter().enumerate() {
                log.push(&id, item, (number + place) as i64 * 1_000_000);
            }
        }
        log.into_grouped()
    });
    Sessions::of_log(log, IdTypes { sessions: Ids::Numbers, items: Ids::given(are_numbers) }, false)
}

/// The parts of a folder that `prepare` has written, by name, each with its file, and the statistics as JSON.
#[pyfunction]
pub(crate) fn prepared_folder(
    py: Python<'_>,
    path: PathBuf,
) -> PyResult<(Vec<(&'static str, PathBuf)>, String)> {
    let folder = PreparedFolder::open(&path).or_raise(py)?;
    let found = PartName::ALL.into_iter().filter(|&part| folder.has_part(part));
    let files: upnext_core::Result<Vec<_>> =
        found.map(|part| Ok((part.as_str(), folder.part(part)?))).collect();
    Ok((files.or_raise(py)?, json(py, folder.statistics())?))
}

impl Sessions {
    fn of_log(log: GroupedLog, ids: IdTypes, has_times: bool) -> Self {
        static ORIGINS: AtomicU64 = AtomicU64::new(0);
        let origin = ORIGINS.fetch_add(1, Ordering::Relaxed);
        Self::new(Source::Log(RwLock::new(Arc::new(log))), origin, ids, has_times)
    }

    fn new(source: Source, origin: u64, ids: IdTypes, has_times: bool) -> Self {
        Self { source, origin, ids, has_times, dataset: OnceLock::new() }
    }

    pub(crate) fn id_types(&self) -> IdTypes {
        self.ids
    }

    /// Calls `with` with the sessions.
    pub(crate) fn with_part<R>(&self, with: impl FnOnce(&Part<'_>) -> R) -> R {
        match &self.source {
            Source::Log(log) => {
                let log = Arc::clone(&log.read().unwrap_or_else(PoisonError::into_inner));
                with(&log.part())
            }
            Source::Prepared(prepared, of) => {
                // Parts that a preparation lacks are never made.
                with(&prepared.part(*of).unwrap_or_else(|| prepared.train()))
            }
        }
    }

    /// The sessions as training data, and what was dropped.
    pub(crate) fn dataset(&self) -> upnext_core::Result<(Arc<Dataset>, DroppedSessions)> {
        if let Some(made) = self.dataset.get() {
            return Ok(made.clone());
        }
        let (dataset, dropped) = self.with_part(Dataset::from_part)?;
        Ok(self.dataset.get_or_init(|| (Arc::new(dataset), dropped)).clone())
    }

    /// The sessions as training data whose first items are those of a model, and what was dropped.
    pub(crate) fn extending(
        &self,
        items: &ItemVocabulary,
    ) -> upnext_core::Result<(Arc<Dataset>, DroppedSessions)> {
        let (dataset, dropped) = self.with_part(|part| Dataset::extending(part, items.clone()))?;
        Ok((Arc::new(dataset), dropped))
    }

    /// The sessions and others as one log.
    pub(crate) fn with_others(&self, others: &Self) -> Self {
        let mut log = EventLog::new();
        for sessions in [self, others] {
            sessions.with_part(|part| push(part, &mut log));
        }
        Self::of_log(log.into_grouped(), self.ids, self.has_times && others.has_times)
    }

    /// The sessions as cases of a model with these items; `with_unknown` keeps the next clicks on others, which `prepare` drops
    /// of a test part.
    pub(crate) fn cases(&self, items: &ItemVocabulary, with_unknown: bool) -> upnext_core::Result<Cases> {
        let of = |part: &Part<'_>| TestSessions::from_part(part, items);
        let Source::Prepared(prepared, PartName::Test) = &self.source else {
            let cases = self.with_part(of)?;
            let next_clicks = Some(cases.next_clicks);
            return Ok((cases, next_clicks));
        };
        let Some(whole) = prepared.test_all().map(|part| of(&part)).transpose()? else {
            let cases = self.with_part(of)?;
            let next_clicks = Some(cases.next_clicks);
            return Ok((cases, next_clicks));
        };
        let next_clicks = Some(whole.next_clicks);
        Ok((if with_unknown { whole } else { self.with_part(of)? }, next_clicks))
    }
}

/// Appends the events of a part to a log.
fn push(part: &Part<'_>, log: &mut EventLog) {
    for event in part.sessions().flatten() {
        log.push(part.session_id(event), part.item_id(event), event.time);
    }
}

#[pymethods]
impl Sessions {
    /// The number of the log that they are of, and the name of their part, empty for a whole log.
    #[getter]
    fn origin(&self) -> (u64, &'static str) {
        let part = match &self.source {
            Source::Log(_) => "",
            Source::Prepared(_, of) => of.as_str(),
        };
        (self.origin, part)
    }

    /// Whether the items' ids are whole numbers for the user, where they can be.
    #[getter]
    fn items_are_numbers(&self) -> bool {
        self.ids.items == Ids::Numbers
    }

    /// Whether the events have times.
    #[getter]
    fn has_times(&self) -> bool {
        self.has_times
    }

    /// Numbers of sessions, events and items, as JSON.
    fn counts(&self, py: Python<'_>) -> PyResult<String> {
        json(py, &py.detach(|| self.with_part(|part| part.counts())))
    }

    /// How files were read, as JSON; of a part, empty.
    fn report(&self, py: Python<'_>) -> PyResult<String> {
        match &self.source {
            Source::Log(log) => {
                let log = Arc::clone(&log.read().unwrap_or_else(PoisonError::into_inner));
                json(py, log.report())
            }
            Source::Prepared(..) => Ok("{}".to_owned()),
        }
    }

    /// Filters and splits the log by the rules of `prepare`: the parts by name, and the statistics as JSON. With `consume`, the
    /// log is empty afterwards, which saves a copy.
    #[pyo3(signature = (rules, consume=false))]
    fn prepare(
        &self,
        py: Python<'_>,
        rules: &str,
        consume: bool,
    ) -> PyResult<(Vec<(&'static str, Self)>, String)> {
        let rules: PrepareOptions = options(py, rules)?;
        let prepared = whole(py, |stop| {
            let log = match &self.source {
                Source::Log(log) if consume => {
                    let mut log = log.write().unwrap_or_else(PoisonError::into_inner);
                    std::mem::take(&mut *log)
                }
                Source::Log(log) => Arc::clone(&log.read().unwrap_or_else(PoisonError::into_inner)),
                Source::Prepared(..) => {
                    let mut log = EventLog::new();
                    self.with_part(|part| push(part, &mut log));
                    Arc::new(log.into_grouped())
                }
            };
            prepare(Arc::unwrap_or_clone(log).into_log(), &rules, &mut |_| stop.check())
        })?;
        let (prepared, origin) =
            (Arc::new(prepared), Self::of_log(GroupedLog::default(), self.ids, true).origin);
        let part =
            |of| Self::new(Source::Prepared(Arc::clone(&prepared), of), origin, self.ids, self.has_times);
        let parts = PartName::ALL.into_iter().filter(|&of| prepared.part(of).is_some());
        Ok((parts.map(|of| (of.as_str(), part(of))).collect(), json(py, prepared.statistics())?))
    }

    /// Number of sessions that are in both.
    fn in_both(&self, py: Python<'_>, other: &Self) -> u64 {
        py.detach(|| self.with_part(|part| other.with_part(|others| part.in_both(others))))
    }

    /// The items of `count` sessions from the one of number `first` on.
    fn items(&self, first: usize, count: usize) -> Vec<Vec<Id>> {
        self.with_part(|part| {
            let items = |events: &[Event]| -> Vec<Id> {
                events.iter().map(|event| self.ids.items.id(part.item_id(event))).collect()
            };
            part.sessions().skip(first).take(count).map(items).collect()
        })
    }

    /// The sessions as a table of events.
    fn table(&self, py: Python<'_>) -> PyResult<Table> {
        let table = py.detach(|| {
            self.with_part(|part| {
                let events = || part.sessions().flatten();
                let columns = [
                    (
                        "session",
                        self.ids.sessions,
                        &mut events().map(|event| part.session_id(event)) as &mut dyn Iterator<Item = &str>,
                    ),
                    ("item", self.ids.items, &mut events().map(|event| part.item_id(event))),
                ];
                let time: &[_] = if self.has_times { &[("time", Cell::Time(0))] } else { &[] };
                let mut rows = Rows::new(columns, time);
                for event in events() {
                    let ids = [Cell::Id(part.session_id(event)), Cell::Id(part.item_id(event))];
                    rows.push(&[ids[0], ids[1], Cell::Time(event.time)][..2 + time.len()])?;
                }
                rows.finish()
            })
        });
        table.map_err(|error| raise_as(py, "DataError", &error.to_string()))
    }

    /// Writes the sessions as a Parquet log.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.with_part(|part| write_log(part, &path, Format::Parquet))).or_raise(py)
    }

    /// Writes all parts of the preparation that they are of as a folder; false if they are of none.
    fn write_folder(&self, py: Python<'_>, path: PathBuf) -> PyResult<bool> {
        let Source::Prepared(prepared, _) = &self.source else { return Ok(false) };
        py.detach(|| write_parts(prepared, &path, Format::Parquet, &mut |_, _| ())).or_raise(py)?;
        Ok(true)
    }
}

//! Click logs and their sessions.

use crate::arrow::{Table, batches};
use crate::errors::{OrRaise, json, options};
use crate::model::Model;
use crate::work::whole;
use arrow_array::builder::{StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use upnext_core::data::part::DroppedSessions;
use upnext_core::data::{
    Dataset, EventLog, ItemVocabulary, Part, PrepareOptions, Prepared, ReadOptions, TestSessions, prepare,
};

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
    /// The sessions as training data, and what was dropped of them, made on first use.
    dataset: OnceLock<(Arc<Dataset>, DroppedSessions)>,
}

/// Reads files and folders.
#[pyfunction]
pub(crate) fn read(py: Python<'_>, paths: Vec<PathBuf>, read_options: &str) -> PyResult<Sessions> {
    let read_options: ReadOptions = options(py, read_options)?;
    let log = whole(py, |stop| EventLog::read_all(&paths, &read_options, &mut |_| stop.check()))?;
    Ok(Sessions::new(Source::Log(log.into())))
}

/// Reads an object with the method `__arrow_c_stream__`.
#[pyfunction]
pub(crate) fn read_arrow(
    py: Python<'_>,
    object: &Bound<'_, PyAny>,
    read_options: &str,
) -> PyResult<Sessions> {
    let (read_options, batches): (ReadOptions, _) = (options(py, read_options)?, batches(object)?);
    // The stream may call Python for its batches, which needs the interpreter's lock on this thread or another.
    let log = whole(py, |stop| {
        let until_stopped = batches.take_while(|_| stop.check().is_continue());
        EventLog::from_batches(until_stopped, &read_options)
    })?;
    Ok(Sessions::new(Source::Log(log.into())))
}

/// Sessions that are lists of ids, in their order; their ids are their numbers from 0 unless there are others.
#[pyfunction]
#[pyo3(signature = (sessions, ids=None))]
pub(crate) fn read_lists(sessions: Vec<Vec<String>>, ids: Option<Vec<String>>) -> Sessions {
    let mut log = EventLog::new();
    for (number, session) in sessions.iter().enumerate() {
        let own = number.to_string();
        let id = ids.as_ref().and_then(|ids| ids.get(number)).unwrap_or(&own);
        for (place, item) in session.iter().enumerate() {
            log.push(id, item, (number + place) as i64 * 1_000_000);
        }
    }
    Sessions::new(Source::Log(log.into()))
}

fn locked(log: &Mutex<EventLog>) -> MutexGuard<'_, EventLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    fn new(source: Source) -> Self {
        Self { source, dataset: OnceLock::new() }
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
        let part = |of| Self::new(Source::Prepared(Arc::clone(&prepared), of));
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
                let (mut sessions, mut items) = (StringBuilder::new(), StringBuilder::new());
                let mut times = TimestampMicrosecondBuilder::new();
                for event in part.sessions().flatten() {
                    sessions.append_value(part.session_id(event));
                    items.append_value(part.item_id(event));
                    times.append_value(event.time);
                }
                let columns: Vec<ArrayRef> =
                    vec![Arc::new(sessions.finish()), Arc::new(items.finish()), Arc::new(times.finish())];
                let time = DataType::Timestamp(TimeUnit::Microsecond, None);
                let fields = [("session", DataType::Utf8), ("item", DataType::Utf8), ("time", time)]
                    .map(|(name, of)| Field::new(name, of, false));
                RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns)
            })
        });
        let batch = batch.map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
        Ok(Table::new(batch.schema(), vec![batch]))
    }

    /// The sessions as cases of a model: their number, and what was dropped, as JSON.
    fn check_cases(&self, py: Python<'_>, model: &Model) -> PyResult<(usize, String)> {
        let cases = py.detach(|| self.cases(model.inner.items())).or_raise(py)?;
        let count = cases.sessions.num_events() - cases.sessions.len();
        Ok((count, json(py, &cases.dropped)?))
    }
}

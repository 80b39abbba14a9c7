//! The event log: events of stored sessions, appended to CSV files that `upnext prepare` reads for later training, and the lists that
//! were shown in them, as lines of JSON.
//!
//! Requests put rows into a bounded queue and never wait; rows that do not fit are dropped and counted. One thread
//! writes rows as soon as they arrive, so that a killed server loses only the last moments.

mod file;
mod writer;

use crate::metrics::Metrics;
use crate::sessions::Session;
use crate::{Error, ServerConfig, exclusive, locked, threads};
use serde::Serialize;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use writer::Writer;

/// Maximum size of the lists that wait to be written, in bytes.
const MAX_SHOWN: usize = 32 << 20;

/// Minimum time between two log lines about lost rows.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// A row of the event log.
#[derive(Debug)]
enum Row {
    Event(EventRow),
    Shown(Vec<u8>),
}

/// An event.
#[derive(Debug)]
struct EventRow {
    session: String,
    item: Arc<str>,
    ms: u64,
    /// Name of the model that answers the event, for the evaluation of experiments with two models.
    model: String,
    kind: String,
}

/// A list that was shown: a line of the log of impressions.
#[derive(Debug, Serialize)]
pub(crate) struct Impression<'a> {
    /// The session as the event log has it; for a session that is not stored, as the client has it.
    pub(crate) session: &'a str,
    /// Number of clicks in the session before the list.
    pub(crate) events: u64,
    /// The time, in UTC.
    pub(crate) time: String,
    pub(crate) request_id: &'a str,
    pub(crate) model: &'a str,
    pub(crate) version: &'a str,
    /// `first` or `second`.
    pub(crate) role: &'static str,
    /// Part of the sessions that are assigned to a model of this role; absent if the request has named the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<f64>,
    pub(crate) fell_back: bool,
    /// The ids of the items, best first.
    pub(crate) items: Vec<&'a str>,
}

/// The event log, which all requests share.
#[derive(Debug)]
pub(crate) struct EventLog {
    /// The queue of the writing thread; `None` after [`close`](Self::close).
    rows: RwLock<Option<Sender<Row>>>,
    waiting: Arc<Waiting>,
    /// Maximum number of events in it.
    max_events: usize,
    writer: Mutex<Option<JoinHandle<()>>>,
    has_impressions: bool,
    metrics: Arc<Metrics>,
    loss_warnings: LossWarnings,
    /// Locked while the log is open, so that no second server appends to the same files.
    _lock: File,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    /// Number of events.
    events: AtomicUsize,
    /// Size of lists that were shown in bytes: they must not keep events from being logged.
    shown: AtomicUsize,
}

impl Waiting {
    /// The number and the maximum that a row counts towards, and how much it counts.
    fn of(&self, row: &Row, max_events: usize) -> (&AtomicUsize, usize, usize) {
        match row {
            Row::Event(_) => (&self.events, max_events, 1),
            Row::Shown(line) => (&self.shown, MAX_SHOWN, line.len()),
        }
    }

    /// Takes room for a row; `false` if there is none.
    fn enter(&self, row: &Row, max_events: usize) -> bool {
        let (waiting, most, size) = self.of(row, max_events);
        let more = |now: usize| Some(now + size).filter(|&sum| sum <= most);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives it back.
    fn leave(&self, row: &Row) {
        let (waiting, _, size) = self.of(row, 0);
        waiting.fetch_sub(size, Ordering::Relaxed);
    }
}

/// The id of a session in the event log. An id can be used again after its session has ended, so that the time at which the session
/// began is part of it.
pub(crate) fn session_name(id: &str, session: &Session) -> String {
    format!("{id}@{}", session.began_ms)
}

impl EventLog {
    /// Creates the folder if necessary, completes files that a killed server left, and starts the writing thread.
    ///
    /// # Errors
    /// For a folder that cannot be created or read, and [`Error::Taken`] while another server uses it.
    pub(crate) fn open(dir: &Path, config: &ServerConfig, metrics: Arc<Metrics>) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(upnext_core::Error::io(dir, "make the folder"))?;
        let lock = exclusive::lock(&dir.join("lock"))?;
        file::recover(dir)?;
        let ((rows, queue), waiting) = (channel(), Arc::<Waiting>::default());
        let writer = Writer::new(dir, config, &metrics, &waiting);
        let action = "start the thread that writes the event log";
        let thread = threads::start("event-log", action, move || writer.run(&queue))?;
        let (rows, writer) = (RwLock::new(Some(rows)), Mutex::new(Some(thread)));
        let has_impressions = config.impression_log;
        let (max_events, loss_warnings) = (config.event_log_queue, LossWarnings::default());
        Ok(Self { rows, waiting, max_events, writer, has_impressions, metrics, loss_warnings, _lock: lock })
    }

    /// Logs the latest event of a session, of this type and on `item`, which `model` answers.
    pub(crate) fn record(
        &self,
        id: &str,
        session: &Session,
        (item, kind): (Arc<str>, String),
        model: String,
    ) {
        let row =
            EventRow { session: session_name(id, session), item, ms: session.last_event_ms, model, kind };
        if !self.send(Row::Event(row)) {
            self.metrics.logged(1, false);
        }
    }

    /// Whether lists that are shown are logged.
    pub(crate) fn has_impressions(&self) -> bool {
        self.has_impressions
    }

    /// Logs a list that is shown.
    pub(crate) fn shown(&self, impression: &Impression) {
        let Ok(mut line) = serde_json::to_vec(impression) else { return };
        line.push(b'\n');
        if !self.send(Row::Shown(line)) {
            self.metrics.shown(1, false);
        }
    }

    /// Gives a row to the writing thread; `false` if it does not take it.
    fn send(&self, row: Row) -> bool {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let reason = match rows.as_ref() {
            Some(_) if !self.waiting.enter(&row, self.max_events) => "it is written too slowly",
            Some(rows) => match rows.send(row) {
                Ok(()) => return true,
                Err(_) => "the thread that writes it has ended",
            },
            None => "it has ended",
        };
        if self.loss_warnings.are_due() {
            tracing::error!(reason, "the event log lacks rows");
        }
        false
    }

    /// Writes queued rows and completes the files.
    pub(crate) fn close(&self) {
        self.rows.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = locked(&self.writer).take() {
            threads::join(writer, "the thread that writes the event log");
        }
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// Limits log lines about lost rows to one per [`WARNING_INTERVAL`], since thousands of rows may be lost in a
/// second.
#[derive(Debug, Default)]
struct LossWarnings(Mutex<Option<Instant>>);

impl LossWarnings {
    fn are_due(&self) -> bool {
        let mut last = locked(&self.0);
        let due = last.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::State;
    use std::path::PathBuf;
    use upnext_core::data::{EventLog as Clicks, ReadOptions};

    fn session(began_ms: u64, last_event_ms: u64) -> Session {
        Session { began_ms, last_event_ms, ..Session::default() }
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| !path.ends_with("lock")).collect();
        files.sort();
        files
    }

    #[test]
    fn what_is_logged_is_what_preparation_reads_whatever_the_ids_are() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("events");
        let log = EventLog::open(&dir, &ServerConfig::default(), Arc::new(Metrics::new())).unwrap();
        let hostile = "a,\"b\"\n=xé";
        for (id, began, at, item) in [
            ("v1", 5, 5, "tea"),
            ("v1", 5, 1_764_000_000_123, hostile),
            ("v1", 90, 90, "tea"),
            (hostile, 7, 7, "cup"),
        ] {
            log.record(id, &session(began, at), (item.into(), "view".to_owned()), "morning".to_owned());
        }
        drop(log);
        let [file] = &files(&dir)[..] else { panic!("one file: {:?}", files(&dir)) };
        assert_eq!(file.extension().unwrap(), "csv");
        assert!(
            std::fs::read_to_string(file).unwrap().starts_with(
                "session,item,time,model,type\nv1@5,tea,1970-01-01T00:00:00.005Z,morning,view\n"
            )
        );
        let clicks =
            Clicks::read(file, &ReadOptions::default(), &mut |_| std::ops::ControlFlow::Continue(()))
                .unwrap();
        let read: Vec<_> = clicks
            .events()
            .iter()
            .map(|e| (clicks.session_ids().get(e.session), clicks.item_ids().get(e.item), e.time))
            .collect();
        let odd = format!("{hostile}@7");
        assert_eq!(
            read,
            [
                ("v1@5", "tea", 5_000),
                ("v1@5", hostile, 1_764_000_000_123_000),
                ("v1@90", "tea", 90_000),
                (&odd, "cup", 7_000)
            ]
        );
    }

    #[test]
    fn files_are_rotated_by_size_and_no_row_is_lost_or_torn() {
        let place = tempfile::tempdir().unwrap();
        let config = ServerConfig { event_log_max_bytes: 2_000, ..ServerConfig::default() };
        let metrics = Arc::new(Metrics::new());
        let log = EventLog::open(place.path(), &config, Arc::clone(&metrics)).unwrap();
        for i in 0..20_000 {
            log.record(&i.to_string(), &session(i, i), ("tea".into(), "view".to_owned()), "m".to_owned());
        }
        drop(log);
        let files = files(place.path());
        assert!(files.len() > 2, "{files:?}");
        let rows: usize =
            files.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count() - 1).sum();
        assert_eq!(rows, 20_000);
        assert!(metrics.text(&State::default()).contains("upnext_event_log_rows_total 20000"));
    }

    #[test]
    fn two_servers_do_not_write_one_log() {
        let place = tempfile::tempdir().unwrap();
        let open = || EventLog::open(place.path(), &ServerConfig::default(), Arc::new(Metrics::new()));
        let first = open().unwrap();
        assert!(open().unwrap_err().to_string().contains("another server"));
        drop(first);
        open().unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_written_loses_events_and_counts_them() {
        let place = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new());
        let dir = place.path().join("events");
        let log = EventLog::open(&dir, &ServerConfig::default(), Arc::clone(&metrics)).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        log.record("v1", &session(1, 1), ("tea".into(), "view".to_owned()), "m".to_owned());
        drop(log);
        assert!(
            metrics.text(&State::default()).contains("upnext_event_log_lost_total 1"),
            "{}",
            metrics.text(&State::default())
        );
    }

    #[test]
    fn old_files_are_removed_by_their_age_and_by_their_size() {
        let place = tempfile::tempdir().unwrap();
        let rows = |config: &ServerConfig| {
            let metrics = Arc::new(Metrics::new());
            let log = EventLog::open(place.path(), config, Arc::clone(&metrics)).unwrap();
            for i in 0..10_000 {
                log.record(&i.to_string(), &session(i, i), ("tea".into(), "view".to_owned()), "m".to_owned());
            }
            drop(log);
            let text = metrics.text(&State::default());
            let removed =
                text.lines().find_map(|line| line.strip_prefix("upnext_event_log_files_removed_total "));
            removed.unwrap().parse::<usize>().unwrap()
        };
        let small = ServerConfig { event_log_max_bytes: 2_000, ..ServerConfig::default() };
        assert_eq!(rows(&small), 0);
        let (all, bytes) = (files(place.path()).len(), 100_000);
        assert!(rows(&ServerConfig { event_log_keep_bytes: bytes, ..small.clone() }) >= all - 2);
        let sizes: u64 = files(place.path()).iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
        assert!(sizes <= bytes, "{sizes}");
        let old = files(place.path())[0].clone();
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(3_600);
        File::options().append(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(rows(&ServerConfig { event_log_keep_s: 3_000, ..ServerConfig::default() }), 1);
        assert!(!old.exists() && !files(place.path()).is_empty());
    }

    #[test]
    fn lists_that_are_shown_are_lines_of_their_own_files() {
        let place = tempfile::tempdir().unwrap();
        let config = ServerConfig { impression_log: true, ..ServerConfig::default() };
        let log = EventLog::open(place.path(), &config, Arc::new(Metrics::new())).unwrap();
        assert!(log.has_impressions());
        let impression = Impression {
            session: "v\n1@5",
            events: 3,
            time: "now".to_owned(),
            request_id: "r",
            model: "m",
            version: "1",
            role: "second",
            share: Some(0.25),
            fell_back: false,
            items: vec!["a", "\"b"],
        };
        log.shown(&impression);
        log.shown(&impression);
        drop(log);
        let [file] = &files(place.path())[..] else { panic!("{:?}", files(place.path())) };
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (lines.len(), &lines[1]["items"][1], &lines[1]["share"]),
            (2, &"\"b".into(), &0.25.into())
        );
        assert!(file.to_str().unwrap().ends_with(".jsonl"), "{file:?}");
    }
}

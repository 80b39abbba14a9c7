//! The event log: events of stored sessions, appended to CSV files that `upnext prepare` reads for later training.
//!
//! Requests put rows into a bounded queue and never wait; rows that do not fit are dropped and counted. One thread
//! writes rows as soon as they arrive, so that a killed server loses only the last moments.

mod file;

use crate::metrics::Metrics;
use crate::sessions::{Session, now_ms};
use crate::{Error, ServerConfig, exclusive, locked, threads};
use file::PartFile;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use upnext_core::data::format_time;

/// Maximum number of rows per write: about a hundred kilobytes.
const ROWS: u64 = 2_048;
/// Minimum time between two log lines about lost events.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// A row of the event log.
#[derive(Debug)]
struct Row {
    session: String,
    item: Arc<str>,
    ms: u64,
    /// Name of the model that answers the event, for the evaluation of experiments with two models.
    model: String,
}

/// The event log, which all requests share.
#[derive(Debug)]
pub(crate) struct EventLog {
    /// The queue of the writing thread; `None` after [`close`](Self::close).
    rows: RwLock<Option<SyncSender<Row>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    metrics: Arc<Metrics>,
    loss_warnings: LossWarnings,
    /// Locked while the log is open, so that no second server appends to the same files.
    _lock: File,
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
        let (rows, queue) = sync_channel(config.event_log_queue);
        let writer = Writer {
            dir: dir.to_owned(),
            rotate_s: config.event_log_rotate_s,
            max_bytes: config.event_log_max_bytes,
            file: None,
            loss_warnings: LossWarnings::default(),
            metrics: Arc::clone(&metrics),
        };
        let action = "start the thread that writes the event log";
        let thread = threads::start("event-log", action, move || writer.run(&queue))?;
        let (rows, writer) = (RwLock::new(Some(rows)), Mutex::new(Some(thread)));
        Ok(Self { rows, writer, metrics, loss_warnings: LossWarnings::default(), _lock: lock })
    }

    /// Logs the latest event of a session, a click on `item`, which `model` answers.
    ///
    /// An id can be used again after its session has ended, so the row has the id with the time at which the session
    /// began.
    pub(crate) fn record(&self, id: &str, session: &Session, item: Arc<str>, model: String) {
        let session_id = format!("{id}@{}", session.began_ms);
        let row = Row { session: session_id, item, ms: session.last_event_ms, model };
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let reason = match rows.as_ref().map(|rows| rows.try_send(row)) {
            Some(Ok(())) => return,
            Some(Err(TrySendError::Full(_))) => "it is written too slowly",
            Some(Err(TrySendError::Disconnected(_))) => "the thread that writes it has ended",
            None => "it has ended",
        };
        self.metrics.unlogged(1);
        if self.loss_warnings.are_due() {
            tracing::error!(reason, "the event log lacks events");
        }
    }

    /// Writes queued rows and completes the file.
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

/// Limits log lines about lost events to one per [`WARNING_INTERVAL`], since thousands of events may be lost in a
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

/// The state of the writing thread.
#[derive(Debug)]
struct Writer {
    dir: PathBuf,
    rotate_s: u64,
    max_bytes: u64,
    /// The current file and the number of the period of `rotate_s` seconds in which it began; `None` until the first
    /// row.
    file: Option<(PartFile, u64)>,
    loss_warnings: LossWarnings,
    metrics: Arc<Metrics>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Row>) {
        loop {
            // The time-out lets a file be completed on time when no rows arrive.
            match queue.recv_timeout(Duration::from_secs(1)) {
                Ok(row) => {
                    let mut rows = csv::WriterBuilder::new().from_writer(Vec::new());
                    let mut count = 0;
                    let mut next = Some(row);
                    while let Some(row) = next {
                        count += 1;
                        let time = format_time(i64::try_from(row.ms).unwrap_or(i64::MAX / 1_000) * 1_000);
                        // Writing into memory cannot fail.
                        _ = rows.write_record([&row.session, &*row.item, &time, &row.model]);
                        next = if count < ROWS { queue.try_recv().ok() } else { None };
                    }
                    self.write(&rows.into_inner().unwrap_or_default(), count);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            let due = |(file, period): &(PartFile, u64)| {
                *period != self.period() || file.length() >= self.max_bytes
            };
            if self.file.as_ref().is_some_and(due) {
                self.finish();
            }
        }
    }

    /// Appends `count` rows, or counts them as lost.
    fn write(&mut self, rows: &[u8], count: u64) {
        let period = self.period();
        let written = match &mut self.file {
            Some((file, _)) => file.append(rows),
            None => PartFile::create(&self.dir, &self.now()).and_then(|mut file| {
                let written = file.append(rows);
                self.file = Some((file, period));
                written
            }),
        };
        match written {
            Ok(()) => self.metrics.logged(count),
            Err(error) => {
                self.metrics.unlogged(count);
                // Further rows would continue an incomplete row, which the next start removes.
                self.file.take_if(|(file, _)| file.is_torn());
                if self.loss_warnings.are_due() {
                    tracing::error!(dir = %self.dir.display(), %error, "the event log cannot be written: events are lost");
                }
            }
        }
    }

    fn finish(&mut self) {
        let Some((file, _)) = self.file.take() else { return };
        if let Err(error) = file.finish() {
            tracing::error!(dir = %self.dir.display(), %error, "a file of the event log cannot be finished");
        }
    }

    fn period(&self) -> u64 {
        now_ms() / 1_000 / self.rotate_s
    }

    /// The current time in seconds, as part of a file name.
    fn now(&self) -> String {
        format_time(i64::try_from(now_ms() / 1_000).unwrap_or_default() * 1_000_000).replace([':', '-'], "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::StoreState;
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
            log.record(id, &session(began, at), item.into(), "morning".to_owned());
        }
        drop(log);
        let [file] = &files(&dir)[..] else { panic!("one file: {:?}", files(&dir)) };
        assert_eq!(file.extension().unwrap(), "csv");
        assert!(
            std::fs::read_to_string(file)
                .unwrap()
                .starts_with("session,item,time,model\nv1@5,tea,1970-01-01T00:00:00.005Z,morning\n")
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
            log.record(&i.to_string(), &session(i, i), "tea".into(), "m".to_owned());
        }
        drop(log);
        let files = files(place.path());
        assert!(files.len() > 2, "{files:?}");
        let rows: usize =
            files.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count() - 1).sum();
        assert_eq!(rows, 20_000);
        assert!(metrics.text(0, None, &StoreState::default()).contains("upnext_event_log_rows_total 20000"));
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
        log.record("v1", &session(1, 1), "tea".into(), "m".to_owned());
        drop(log);
        assert!(
            metrics.text(0, None, &StoreState::default()).contains("upnext_event_log_lost_total 1"),
            "{}",
            metrics.text(0, None, &StoreState::default())
        );
    }
}

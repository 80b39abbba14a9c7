//! The thread that writes the event log.

use super::file::{self, Kind, PartFile};
use super::{LossWarnings, Row, Waiting};
use crate::ServerConfig;
use crate::metrics::Metrics;
use crate::sessions::now_ms;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};
use upnext_core::data::format_time;

/// Maximum number of rows per write, about a hundred kilobytes of events, and size in bytes from which lists are written.
const ROWS: u64 = 2_048;
const BYTES: usize = 1 << 20;

/// Time between two searches for old files, besides those when a file is complete.
const CLEAN_EVERY: Duration = Duration::from_secs(600);

/// The state of the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    rotate_s: u64,
    max_bytes: u64,
    /// Maximum age and size of all complete files; 0: any.
    keep_s: u64,
    keep_bytes: u64,
    events: Part,
    impressions: Part,
    cleaned: Option<Instant>,
    waiting: Arc<Waiting>,
    loss_warnings: LossWarnings,
    metrics: Arc<Metrics>,
}

/// The current file of a kind, and the number of the period of `rotate_s` seconds in which it began; `None` until the first row.
type Part = Option<(PartFile, u64)>;

impl Writer {
    pub(super) fn new(
        dir: &Path,
        config: &ServerConfig,
        metrics: &Arc<Metrics>,
        waiting: &Arc<Waiting>,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            rotate_s: config.event_log_rotate_s,
            max_bytes: config.event_log_max_bytes,
            keep_s: config.event_log_keep_s,
            keep_bytes: config.event_log_keep_bytes,
            events: None,
            impressions: None,
            cleaned: None,
            waiting: Arc::clone(waiting),
            loss_warnings: LossWarnings::default(),
            metrics: Arc::clone(metrics),
        }
    }

    pub(super) fn run(mut self, queue: &Receiver<Row>) {
        loop {
            // The time-out lets a file be completed on time when no rows arrive.
            match queue.recv_timeout(Duration::from_secs(1)) {
                Ok(row) => self.rows(row, queue),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    Kind::ALL.into_iter().for_each(|kind| self.finish(kind));
                    return self.clean();
                }
            }
            for kind in Kind::ALL {
                let period = self.period();
                let max_bytes = self.max_bytes;
                let is_due = |(file, began): &(PartFile, u64)| *began != period || file.length() >= max_bytes;
                if self.part(kind).as_ref().is_some_and(is_due) {
                    self.finish(kind);
                    self.clean();
                }
            }
            if self.cleaned.is_none_or(|cleaned| cleaned.elapsed() >= CLEAN_EVERY) {
                self.clean();
            }
        }
    }

    /// Writes a row, and those that are in the queue.
    fn rows(&mut self, first: Row, queue: &Receiver<Row>) {
        let mut events = csv::WriterBuilder::new().from_writer(Vec::new());
        let (mut lines, mut counts) = (Vec::new(), [0; 2]);
        let mut next = Some(first);
        while let Some(row) = next {
            self.waiting.leave(&row);
            match row {
                Row::Event(row) => {
                    counts[0] += 1;
                    let time = format_time(i64::try_from(row.ms).unwrap_or(i64::MAX / 1_000) * 1_000);
                    // Writing into memory cannot fail.
                    _ = events.write_record([&row.session, &*row.item, &time, &row.model, &row.kind]);
                }
                Row::Shown(line) => {
                    counts[1] += 1;
                    lines.extend_from_slice(&line);
                }
            }
            let is_full = counts[0] + counts[1] >= ROWS || lines.len() >= BYTES;
            next = if is_full { None } else { queue.try_recv().ok() };
        }
        self.write(Kind::Events, &events.into_inner().unwrap_or_default(), counts[0]);
        self.write(Kind::Impressions, &lines, counts[1]);
    }

    fn part(&mut self, kind: Kind) -> &mut Part {
        match kind {
            Kind::Events => &mut self.events,
            Kind::Impressions => &mut self.impressions,
        }
    }

    fn count(&self, kind: Kind, rows: u64, are_written: bool) {
        match kind {
            Kind::Events => self.metrics.logged(rows, are_written),
            Kind::Impressions => self.metrics.shown(rows, are_written),
        }
    }

    /// Appends `count` rows, or counts them as lost.
    fn write(&mut self, kind: Kind, rows: &[u8], count: u64) {
        if count == 0 {
            return;
        }
        let (period, now, dir) = (self.period(), now(), self.dir.clone());
        let part = self.part(kind);
        let written = match part {
            Some((file, _)) => file.append(rows),
            None => PartFile::create(&dir, kind, &now).and_then(|mut file| {
                let written = file.append(rows);
                *part = Some((file, period));
                written
            }),
        };
        if written.is_err() {
            // Further rows would continue an incomplete row, which the next start removes.
            part.take_if(|(file, _)| file.is_torn());
        }
        self.count(kind, count, written.is_ok());
        if let Err(error) = written
            && self.loss_warnings.are_due()
        {
            tracing::error!(dir = %dir.display(), %error, "the event log cannot be written: rows are lost");
        }
    }

    fn finish(&mut self, kind: Kind) {
        let Some((file, _)) = self.part(kind).take() else { return };
        if let Err(error) = file.finish() {
            tracing::error!(dir = %self.dir.display(), %error, "a file of the event log cannot be finished");
        }
    }

    /// Removes complete files that are too old, and the oldest as long as all are too large.
    fn clean(&mut self) {
        self.cleaned = Some(Instant::now());
        if self.keep_s == 0 && self.keep_bytes == 0 {
            return;
        }
        let files = match file::complete(&self.dir) {
            Ok(files) => files,
            Err(error) => {
                return tracing::warn!(dir = %self.dir.display(), %error, "old files cannot be looked for");
            }
        };
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        let now = SystemTime::now();
        for (path, size, time) in files {
            let age = now.duration_since(time).unwrap_or_default();
            let is_old = self.keep_s > 0 && age.as_secs() >= self.keep_s;
            if !is_old && (self.keep_bytes == 0 || bytes <= self.keep_bytes) {
                continue;
            }
            match std::fs::remove_file(&path) {
                Ok(()) => {
                    bytes -= size;
                    self.metrics.log_file_removed();
                    tracing::info!(path = %path.display(), "an old file of the event log is removed");
                }
                Err(error) => tracing::warn!(path = %path.display(), %error, "an old file cannot be removed"),
            }
        }
    }

    fn period(&self) -> u64 {
        now_ms() / 1_000 / self.rotate_s
    }
}

/// The current time in seconds, as part of a file name.
fn now() -> String {
    format_time(i64::try_from(now_ms() / 1_000).unwrap_or_default() * 1_000_000).replace([':', '-'], "")
}

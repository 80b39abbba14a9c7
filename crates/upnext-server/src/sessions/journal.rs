//! The log that a server appends the changes of sessions to.

use super::clock::Now;
use super::files::Files;
use super::record::Record;
use crate::config::SessionSync;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// A snapshot is due when the logs after the last one exceed `GROWTH` times its size by more than `SPARE` bytes, or are more
/// than `LOGS`: every start and every failure begins one.
const GROWTH: u64 = 4;
const SPARE: u64 = 64 << 20;
const LOGS: u64 = 16;

/// Interval at which [`SessionSync::EverySecond`] forces the log to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The newest log, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    files: Files,
    run: u64,
    sync: SessionSync,
    /// The number of the newest log.
    number: u64,
    /// `None`: the next write begins a log, since there is none yet, or the last one may end in half a line.
    file: Option<File>,
    /// Size of the newest log without what was not written completely.
    length: u64,
    /// Size of all logs since the last snapshot, and their number.
    logged: u64,
    logs: u64,
    /// What these were when the newest log began.
    before: (u64, u64),
    /// Time of the oldest write that was not forced to the disk.
    unsynced: Option<Instant>,
    #[cfg(test)]
    full: bool,
}

impl Journal {
    /// For a process whose number is `run`, after the log `last`. Nothing is written yet.
    pub(super) fn new(files: Files, last: u64, sync: SessionSync, run: u64) -> Self {
        Self {
            files,
            run,
            sync,
            number: last,
            file: None,
            length: 0,
            logged: 0,
            logs: 0,
            before: (0, 0),
            unsynced: None,
            #[cfg(test)]
            full: false,
        }
    }

    /// Counts logs of processes before, of this size together.
    pub(super) fn count(&mut self, logs: u64, bytes: u64) {
        self.logs += logs;
        self.logged += bytes;
    }

    /// Whether a snapshot is due, after one of `snapshot` bytes.
    pub(super) fn has_outgrown(&self, snapshot: u64) -> bool {
        self.logs > LOGS || self.logged > snapshot * GROWTH + SPARE
    }

    /// Begins the next log. Returns the number of the one before.
    ///
    /// # Errors
    /// Of the system; then the old log stays.
    pub(super) fn begin(&mut self) -> io::Result<u64> {
        let path = self.files.log(self.number + 1);
        let mut heading = Vec::new();
        Record::heading(0, self.run, Now::read()).write(&mut heading)?;
        let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        if let Err(error) = self.write_all(&mut file, &heading) {
            // A full disk must not be littered with empty files.
            _ = std::fs::remove_file(&path);
            return Err(error);
        }
        if let Some(old) = self.file.replace(file) {
            _ = old.sync_data();
        }
        let before = self.number;
        self.before = (self.logged, self.logs);
        (self.number, self.length, self.logs) = (before + 1, heading.len() as u64, self.logs + 1);
        Ok(before)
    }

    /// Says that a snapshot has what all logs before the newest one had.
    pub(super) fn snapshot_taken(&mut self) {
        let (logged, logs) = std::mem::take(&mut self.before);
        (self.logged, self.logs) = (self.logged - logged, self.logs - logs);
    }

    /// Appends lines, all or none of them, and forces them to the disk if the policy is [`SessionSync::EveryEvent`].
    ///
    /// # Errors
    /// Of the system; the lines can be appended again.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.begin()?;
        }
        let Some(mut file) = self.file.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let written = self.write_all(&mut file, lines).and_then(|()| match self.sync {
            SessionSync::EveryEvent => file.sync_data(),
            SessionSync::EverySecond | SessionSync::System => Ok(()),
        });
        if let Err(error) = written {
            // Half a line must not be continued. If it cannot be removed, the next write begins another log.
            if file.set_len(self.length).is_ok() {
                self.file = Some(file);
            }
            return Err(error);
        }
        self.file = Some(file);
        self.length += lines.len() as u64;
        self.logged += lines.len() as u64;
        if self.sync == SessionSync::EverySecond {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests fill the disk"))]
    fn write_all(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if self.full {
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all(bytes)
    }

    /// Fills the disk, or makes room.
    #[cfg(test)]
    pub(super) fn fill(&mut self, full: bool) {
        self.full = full;
    }

    /// The time until the next [`sync`](Self::sync) is due; `None` if there is nothing to sync.
    pub(super) fn sync_in(&self) -> Option<Duration> {
        self.unsynced.map(|since| SYNC_EVERY.saturating_sub(since.elapsed()))
    }

    /// Forces the log to the disk.
    ///
    /// # Errors
    /// Of the system: the system may have dropped what was written, and a snapshot is needed.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.unsynced = None;
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data().inspect_err(|_| self.file = None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_completely_is_written_again_and_nothing_twice() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("sessions"));
        let mut journal = Journal::new(files.clone(), 4, SessionSync::EverySecond, 1);
        journal.fill(true);
        assert!(journal.append(b"first\n").is_err());
        assert!(files.logs().unwrap().is_empty());
        journal.fill(false);
        journal.append(b"first\n").unwrap();
        journal.fill(true);
        assert!(journal.append(b"second\n").is_err());
        journal.fill(false);
        journal.append(b"second\n").unwrap();
        journal.sync().unwrap();
        assert_eq!(journal.begin().unwrap(), 5);
        let text = std::fs::read_to_string(files.log(5)).unwrap();
        assert!(text.ends_with("\nfirst\nsecond\n") && text.lines().count() == 3, "{text}");
        assert_eq!(files.logs().unwrap(), [5, 6]);
    }

    #[test]
    fn a_snapshot_is_due_when_the_logs_have_outgrown_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("sessions"));
        let mut journal = Journal::new(files, 0, SessionSync::System, 1);
        assert!(!journal.has_outgrown(0));
        journal.count(1, SPARE + 5);
        assert!(journal.has_outgrown(1) && !journal.has_outgrown(2));
        journal.count(LOGS, 0);
        assert!(journal.has_outgrown(1_000));
        journal.begin().unwrap();
        journal.append(b"line\n").unwrap();
        journal.snapshot_taken();
        assert!(!journal.has_outgrown(0));
        assert_eq!((journal.logged, journal.logs), (5, 1));
    }
}

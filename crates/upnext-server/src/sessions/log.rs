//! The session file: an append-only log of events, one line with a checksum each. A crash can only truncate it.
//!
//! A line is the CRC-32 of its JSON as 8 hex digits, a space, the JSON, and a line feed. The first line names the
//! format. When the log has grown far beyond the size of its sessions, it is replaced by a log with one line per
//! session.

use super::Session;
use super::table::Table;
use crate::config::SessionSync;
use crate::{Error, ServerConfig, checksum};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use upnext_core::replace::replace_file;

/// The log is compacted when it exceeds `GROWTH` times its size after the last compaction by more than `SPARE` bytes.
/// Compaction takes some tenths of a second for 100,000 sessions; with these limits, minutes pass between two at
/// thousands of events per second.
const GROWTH: u64 = 4;
const SPARE: u64 = 64 << 20;

/// Interval at which [`SessionSync::EverySecond`] forces the log to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The contents of a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Record<'a> {
    /// The format's version.
    Upnext { sessions: u32 },
    /// A session at the time of compaction.
    Session {
        #[serde(borrow)]
        id: Cow<'a, str>,
        items: Vec<Cow<'a, str>>,
        events: u64,
        began_ms: u64,
        last_event_ms: u64,
    },
    /// An event.
    Event {
        #[serde(borrow)]
        id: Cow<'a, str>,
        item: Cow<'a, str>,
        ms: u64,
    },
    /// The removal of a session.
    Removed {
        #[serde(borrow)]
        id: Cow<'a, str>,
        ms: u64,
    },
}

/// The first line.
const FORMAT: Record<'static> = Record::Upnext { sessions: 1 };

impl Record<'_> {
    /// Appends the record's line to `log`.
    pub(super) fn write(&self, log: &mut Vec<u8>) -> io::Result<()> {
        let json = serde_json::to_vec(self)?;
        writeln!(log, "{:08x} {}", checksum(&json), String::from_utf8_lossy(&json))
    }

    /// Parses a line; `None` for one that is truncated or damaged.
    fn read(line: &[u8]) -> Option<Record<'_>> {
        let (sum, json) = (line.get(..8)?, line.strip_suffix(b"\n")?.get(9..)?);
        let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
        (sum == checksum(json)).then(|| serde_json::from_slice(json).ok())?
    }
}

/// Reads the sessions of a file; none if the file does not exist.
///
/// # Errors
/// [`Error::SessionFile`] for a file that is not a session file, or is damaged other than at its end.
pub(super) fn read(path: &Path, config: &ServerConfig) -> Result<Table, Error> {
    let mut table = Table::new(config);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(table),
        Err(error) => return Err(upnext_core::Error::io(path, "read")(error).into()),
    };
    let refused = |reason: String| Error::SessionFile { path: path.to_owned(), reason };
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').zip(1..);
    match lines.next().map(|(line, _)| Record::read(line)) {
        None => return Ok(table),
        Some(Some(format)) if format == FORMAT => {}
        Some(Some(Record::Upnext { sessions })) => {
            return Err(refused(format!(
                "its format is {sessions}, and this upnext reads 1: use a newer upnext"
            )));
        }
        // The file is created together with its first line, so that line cannot be incomplete.
        Some(_) => return Err(refused("it is no session file: name another, or remove it".to_owned())),
    }
    while let Some((line, number)) = lines.next() {
        let Some(record) = Record::read(line) else {
            if lines.any(|(line, _)| Record::read(line).is_some()) {
                let reason = format!(
                    "line {number} is damaged: restore the file, or move it away to start without sessions"
                );
                return Err(refused(reason));
            }
            tracing::warn!(path = %path.display(), line = number, "the session file ends in half a line: dropped");
            break;
        };
        match record {
            Record::Session { id, items, events, began_ms, last_event_ms } => {
                let items = items.iter().map(|item| Arc::from(&**item)).collect();
                table.restore(&id, Session { items, events, began_ms, last_event_ms });
            }
            Record::Event { id, item, ms } => _ = table.append(&id, Arc::from(&*item), ms),
            Record::Removed { id, ms } => _ = table.remove(&id, ms),
            Record::Upnext { .. } => {
                return Err(refused(format!("line {number} begins another file: restore the file")));
            }
        }
    }
    Ok(table)
}

/// The session file, open for appending.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    sync: SessionSync,
    /// Size of the file in bytes after the last compaction, and now.
    compact: u64,
    length: u64,
    /// Time of the oldest write that was not forced to the disk.
    unsynced: Option<Instant>,
    /// Whether a write failed: the file may end in an incomplete line, and must be replaced before anything is
    /// appended.
    broken: bool,
}

impl Log {
    /// Replaces the file by a new one with `sessions`, and opens it.
    pub(super) fn create(
        path: &Path,
        sessions: &[(Arc<str>, Session)],
        sync: SessionSync,
    ) -> upnext_core::Result<Self> {
        let failed = || upnext_core::Error::io(path, "write");
        let mut bytes = Vec::new();
        FORMAT.write(&mut bytes).map_err(failed())?;
        for (id, session) in sessions {
            let record = Record::Session {
                id: Cow::Borrowed(id),
                items: session.items.iter().map(|item| Cow::Borrowed(&**item)).collect(),
                events: session.events,
                began_ms: session.began_ms,
                last_event_ms: session.last_event_ms,
            };
            record.write(&mut bytes).map_err(failed())?;
        }
        replace_file(path, |mut file| file.write_all(&bytes).map_err(failed()))?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed())?;
        let length = bytes.len() as u64;
        Ok(Self { path: path.to_owned(), file, sync, compact: length, length, unsynced: None, broken: false })
    }

    /// Whether a write failed since the file was last replaced.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the next write should be a [`replace`](Self::replace).
    pub(super) fn wants_compaction(&self) -> bool {
        self.broken || self.length > self.compact * GROWTH + SPARE
    }

    /// Replaces the file by one with `sessions`.
    pub(super) fn replace(&mut self, sessions: &[(Arc<str>, Session)]) -> upnext_core::Result<()> {
        *self = Self::create(&self.path, sessions, self.sync)?;
        Ok(())
    }

    /// Appends lines, and forces them to the disk if the policy is [`SessionSync::EveryEvent`].
    pub(super) fn append(&mut self, lines: &[u8]) -> upnext_core::Result<()> {
        let written = self.file.write_all(lines).and_then(|()| match self.sync {
            SessionSync::EveryEvent => self.file.sync_data(),
            SessionSync::EverySecond | SessionSync::System => Ok(()),
        });
        self.broken |= written.is_err();
        self.length += lines.len() as u64;
        if self.sync == SessionSync::EverySecond {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        written.map_err(upnext_core::Error::io(&self.path, "write"))
    }

    /// Makes the next write fail.
    #[cfg(test)]
    pub(super) fn break_file(&mut self) {
        self.file = File::open(&self.path).expect("the file was just made");
    }

    /// The time until the next [`sync`](Self::sync) is due; `None` if there is nothing to sync.
    pub(super) fn sync_in(&self) -> Option<Duration> {
        self.unsynced.map(|since| SYNC_EVERY.saturating_sub(since.elapsed()))
    }

    /// Forces the file to the disk.
    pub(super) fn sync(&mut self) {
        self.unsynced = None;
        if let Err(error) = self.file.sync_data() {
            self.broken = true;
            tracing::error!(path = %self.path.display(), %error, "the session file cannot be forced to the disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ServerConfig {
        ServerConfig { max_session_events: 3, ..ServerConfig::default() }
    }

    fn event(id: &'static str, item: &'static str, ms: u64) -> Vec<u8> {
        let mut line = Vec::new();
        Record::Event { id: id.into(), item: item.into(), ms }.write(&mut line).unwrap();
        line
    }

    fn shown(table: &Table) -> Vec<String> {
        table.by_idleness().map(|(id, session)| format!("{id}: {}", session.items.join(" "))).collect()
    }

    /// A file of three events, and the sessions that it holds.
    fn written(path: &Path) -> Vec<String> {
        let mut log = Log::create(path, &[], SessionSync::EveryEvent).unwrap();
        for line in [event("x", "a\nb", 1), event("y", "ä \"", 2), event("x", "c", 3)] {
            log.append(&line).unwrap();
        }
        vec!["y: ä \"".to_owned(), "x: a\nb c".to_owned()]
    }

    #[test]
    fn what_was_appended_is_read_again_and_so_is_what_was_compacted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions");
        assert!(shown(&read(&path, &config()).unwrap()).is_empty());
        let expected = written(&path);
        let table = read(&path, &config()).unwrap();
        assert_eq!(shown(&table), expected);

        let sessions: Vec<_> = table.by_idleness().map(|(id, session)| (Arc::from(id), session)).collect();
        let mut log = Log::create(&path, &sessions, SessionSync::System).unwrap();
        assert_eq!(shown(&read(&path, &config()).unwrap()), expected);
        let mut line = Vec::new();
        Record::Removed { id: "y".into(), ms: 4 }.write(&mut line).unwrap();
        log.append(&line).unwrap();
        log.append(&[event("x", "d", 5), event("x", "e", 6)].concat()).unwrap();
        let mut table = read(&path, &config()).unwrap();
        assert_eq!(shown(&table), ["x: c d e"]);
        let session = table.get("x", 7).unwrap();
        assert_eq!((session.events, session.began_ms, session.last_event_ms), (4, 1, 6));
    }

    #[test]
    fn a_file_cut_off_anywhere_keeps_every_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions");
        written(&path);
        let bytes = std::fs::read(&path).unwrap();
        let first = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for end in first..=bytes.len() {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let whole = bytes[..end].iter().filter(|&&byte| byte == b'\n').count() - 1;
            let events: u64 =
                read(&path, &config()).unwrap().by_idleness().map(|(_, session)| session.events).sum();
            assert_eq!(events, whole as u64, "cut off at {end}");
        }
    }

    #[test]
    fn damage_before_the_end_is_an_error_that_names_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions");
        written(&path);
        let bytes = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path, &config()).unwrap_err().to_string()
        };
        let second = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let mut changed = bytes.clone();
        changed[second + 20] ^= 1;
        assert!(refused(&changed).contains("line 2 is damaged"));
        assert!(refused(b"a,b\n1,2\n").contains("no session file"));
        let mut newer = Vec::new();
        Record::Upnext { sessions: 2 }.write(&mut newer).unwrap();
        assert!(refused(&newer).contains("its format is 2"));
    }

    #[test]
    fn a_log_is_compacted_when_it_has_outgrown_its_sessions_or_a_write_failed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions");
        let mut log = Log::create(&path, &[], SessionSync::System).unwrap();
        assert!(!log.wants_compaction());
        log.length = log.compact * GROWTH + SPARE + 1;
        assert!(log.wants_compaction());
        log.replace(&[]).unwrap();
        assert!(!log.wants_compaction());
        log.break_file();
        assert!(log.append(&event("x", "a", 1)).is_err());
        assert!(log.wants_compaction());
    }
}

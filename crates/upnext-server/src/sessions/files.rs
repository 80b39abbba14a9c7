//! The files of stored sessions, and their reading.
//!
//! `PATH` is a snapshot: all sessions at one time, and the number of the newest log that it covers. `PATH.1`, `PATH.2`, … are
//! logs of what changed afterwards; a server appends to one that it has begun. So nothing is rewritten at a start, and a
//! snapshot is made beside the log that goes on. A file of version 1 is a snapshot and a log in one, and is read too.
//!
//! A crash leaves a log without the end of its last line. A line that is damaged otherwise is set aside in `PATH.damaged`,
//! and what it says is lost; all others are kept.

use super::clock::Now;
use super::record::{Record, VERSION};
use super::table::Table;
use crate::{Error, ServerConfig};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of lines at the beginning of a file of which one must be a record.
const LINES: usize = 100;

/// The paths of a store's files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    path: PathBuf,
}

impl Files {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The snapshot.
    pub(super) fn snapshot(&self) -> &Path {
        &self.path
    }

    /// The log of this number.
    pub(super) fn log(&self, number: u64) -> PathBuf {
        self.path.with_added_extension(number.to_string())
    }

    /// The file of damaged lines.
    pub(super) fn damaged(&self) -> PathBuf {
        self.path.with_added_extension("damaged")
    }

    /// The numbers of the logs that there are, ascending.
    pub(super) fn logs(&self) -> upnext_core::Result<Vec<u64>> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let failed = || upnext_core::Error::io(folder, "read");
        let prefix = format!("{}.", self.path.file_name().unwrap_or_default().to_string_lossy());
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Removes the logs up to a number. What cannot be removed is removed after the next snapshot.
    pub(super) fn remove_logs(&self, up_to: u64) {
        for number in self.logs().unwrap_or_default().into_iter().filter(|&number| number <= up_to) {
            if let Err(error) = std::fs::remove_file(self.log(number)) {
                tracing::warn!(path = %self.log(number).display(), %error, "an old session log cannot be removed");
            }
        }
    }

    /// Checks that what is at the path is no other file.
    ///
    /// # Errors
    /// [`Error::SessionFile`] if no line is one of a session file, or a newer program has written it.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refused = |reason: String| Err(Error::SessionFile { path: self.path.clone(), reason });
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(upnext_core::Error::io(&self.path, "read")(error).into()),
        };
        let mut lines = BufReader::new(file);
        let (mut line, mut count) = (Vec::new(), 0);
        while count < LINES && lines.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
            match Record::read(&line) {
                Some(Record::Upnext { sessions, .. }) if sessions > VERSION => {
                    return refused(format!(
                        "its format is {sessions}, and this upnext reads {VERSION}: use a newer upnext"
                    ));
                }
                Some(_) => return Ok(()),
                None => count += 1,
            }
            line.clear();
        }
        match count {
            0 => Ok(()),
            _ => refused("it is no session file: name another, or remove it".to_owned()),
        }
    }
}

/// Reads the sessions of the snapshot and of the logs after it, up to the one before `end`, for a process whose number is `run`.
///
/// # Errors
/// If a file cannot be opened, and [`Stopped`](upnext_core::Error::Stopped) once `closing` is set. What a file lacks or has
/// damaged is no error, and is logged.
pub(super) fn read(
    files: &Files,
    end: u64,
    run: u64,
    config: &ServerConfig,
    closing: &AtomicBool,
) -> upnext_core::Result<Table> {
    let mut reading = Reading {
        files,
        closing,
        table: Table::new(config),
        covers: 0,
        run: None,
        newest: Now::default(),
        longest_ms: config.session_idle_s * 1_000 / 2,
        damaged: 0,
    };
    reading.file(files.snapshot())?;
    let covers = reading.covers;
    for number in files.logs()?.into_iter().filter(|&number| number > covers && number < end) {
        reading.file(&files.log(number))?;
    }
    let now = Now::read();
    reading.enter(run, now);
    if reading.damaged > 0 {
        tracing::error!(
            path = %files.snapshot().display(),
            lines = reading.damaged,
            set_aside = %files.damaged().display(),
            "the session file is damaged: what these lines say is lost, of at most as many sessions; all others are kept"
        );
    }
    Ok(reading.table)
}

struct Reading<'f> {
    files: &'f Files,
    closing: &'f AtomicBool,
    table: Table,
    covers: u64,
    /// The process that wrote the file which is read; `None` before the first.
    run: Option<u64>,
    /// The latest time that was read, by the clocks of that process.
    newest: Now,
    /// The longest time between two processes that sessions grow older by: the system's clock may be wrong.
    longest_ms: u64,
    damaged: u64,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path) -> upnext_core::Result<()> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(upnext_core::Error::io(path, "read")(error)),
        };
        let mut lines = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            if self.closing.load(Ordering::Relaxed) {
                return Err(upnext_core::Error::Stopped);
            }
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(path = %path.display(), line = number, %error, "the rest of the file cannot be read");
                    self.damaged += 1;
                    break;
                }
            }
            match Record::read(&line) {
                Some(record) => self.line(record),
                None if line.last() == Some(&b'\n') => self.set_aside(path, number, &line),
                None => {
                    tracing::warn!(path = %path.display(), line = number, "the session file ends in half a line: dropped");
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, record: Record) {
        let times = match &record {
            Record::Upnext { covers, run, ms, steady_ms, .. } => {
                self.covers = self.covers.max(*covers);
                return self.enter(*run, Now { wall_ms: *ms, steady_ms: *steady_ms });
            }
            Record::Session { last_event_ms: ms, steady_ms, .. } | Record::Event { ms, steady_ms, .. } => {
                Some((*ms, steady_ms.unwrap_or(*ms)))
            }
            Record::Removed { .. } => None,
        };
        if let Some((wall_ms, steady_ms)) = times.filter(|&(_, steady_ms)| steady_ms >= self.newest.steady_ms)
        {
            self.newest = Now { wall_ms, steady_ms };
        }
        record.replay(&mut self.table);
    }

    /// Goes on with what the process `run` did from `now` on, by its clocks: sessions keep their ages by the clocks of the
    /// processes before, and the time in between is that of the system's clock, within a bound.
    fn enter(&mut self, run: u64, now: Now) {
        if self.run.replace(run).is_some_and(|before| before != run) {
            let between = now.wall_ms.saturating_sub(self.newest.wall_ms).min(self.longest_ms);
            let same = self.newest.steady_ms.saturating_add(between);
            self.table.shift(now.steady_ms.wrapping_sub(same) as i64);
            self.newest = now;
        } else {
            let is_later = now.steady_ms >= self.newest.steady_ms;
            self.newest = if is_later { now } else { self.newest };
        }
    }

    fn set_aside(&mut self, path: &Path, number: u64, line: &[u8]) {
        self.damaged += 1;
        tracing::warn!(path = %path.display(), line = number, "a damaged line");
        let aside = self.files.damaged();
        let append = OpenOptions::new().append(true).create(true).open(&aside);
        if let Err(error) = append.and_then(|mut file| file.write_all(line)) {
            tracing::error!(path = %aside.display(), %error, "a damaged line cannot be set aside");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SessionSync;
    use crate::sessions::journal::Journal;

    pub(super) fn config() -> ServerConfig {
        ServerConfig { max_session_events: 3, session_idle_s: 1_000, ..ServerConfig::default() }
    }

    fn event(id: &'static str, item: &'static str, seq: u64, number: u64) -> Vec<u8> {
        let mut line = Vec::new();
        let Now { wall_ms, steady_ms } = Now::read();
        let (id, item) = (id.into(), item.into());
        let (steady_ms, other, key) = (Some(steady_ms), false, None);
        let record = Record::Event { id, item, ms: wall_ms, steady_ms, seq, number, other, key };
        record.write(&mut line).unwrap();
        line
    }

    fn shown(table: &Table) -> Vec<String> {
        let sessions = table.since(0, 99).0.into_iter();
        sessions.map(|kept| format!("{}: {}", kept.id, kept.session.items.join(" "))).collect()
    }

    fn read_all(files: &Files) -> Table {
        read(files, u64::MAX, 1, &config(), &AtomicBool::new(false)).unwrap()
    }

    /// A log of three events; and the sessions that it holds.
    fn written(files: &Files) -> Vec<String> {
        let mut journal = Journal::new(files.clone(), 0, SessionSync::EveryEvent, 1);
        for line in [event("x", "a\nb", 1, 1), event("y", "ä \"", 2, 1), event("x", "c", 3, 2)] {
            journal.append(&line).unwrap();
        }
        vec!["y: ä \"".to_owned(), "x: a\nb c".to_owned()]
    }

    #[test]
    fn a_log_cut_off_anywhere_keeps_every_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("sessions"));
        assert!(shown(&read_all(&files)).is_empty());
        let expected = written(&files);
        assert_eq!(shown(&read_all(&files)), expected);
        let bytes = std::fs::read(files.log(1)).unwrap();
        let first = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for end in first..=bytes.len() {
            std::fs::write(files.log(1), &bytes[..end]).unwrap();
            let whole = bytes[..end].iter().filter(|&&byte| byte == b'\n').count() - 1;
            let events: u64 = read_all(&files).since(0, 9).0.iter().map(|kept| kept.session.events).sum();
            assert_eq!(events, whole as u64, "cut off at {end}");
        }
        assert!(!files.damaged().exists());
    }

    #[test]
    fn a_damaged_line_is_set_aside_and_all_others_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("sessions"));
        written(&files);
        let bytes = std::fs::read(files.log(1)).unwrap();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let expected: [&[&str]; 4] =
            [&["y: ä \"", "x: a\nb c"], &["y: ä \"", "x: c"], &["x: a\nb c"], &["x: a\nb", "y: ä \""]];
        for (damaged, expected) in expected.iter().enumerate() {
            let mut changed = bytes.clone();
            changed[lines[..damaged].concat().len() + 20] ^= 1;
            std::fs::write(files.log(1), &changed).unwrap();
            assert_eq!(shown(&read_all(&files)), **expected, "line {damaged}");
            let aside = std::fs::read(files.damaged()).unwrap();
            assert_eq!(aside.len(), lines[damaged].len());
            std::fs::remove_file(files.damaged()).unwrap();
        }
    }

    #[test]
    fn another_file_and_one_of_a_newer_program_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("sessions"));
        let refused = |bytes: &[u8]| {
            std::fs::write(files.snapshot(), bytes).unwrap();
            files.check().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(refused(b"a,b\n1,2\n").contains("no session file"));
        let mut lines = Vec::new();
        Record::Upnext { sessions: VERSION + 1, covers: 0, run: 0, ms: 0, steady_ms: 0 }
            .write(&mut lines)
            .unwrap();
        assert!(refused(&lines).contains("its format is 4"));
        lines.clear();
        Record::heading(0, 1, Now::read()).write(&mut lines).unwrap();
        assert_eq!(refused(&[b"damaged\n", &lines[..]].concat()), "");
        assert_eq!(refused(b""), "");
    }

    #[test]
    fn a_file_of_the_first_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("sessions"));
        let now = Now::read().wall_ms;
        let json = [
            r#"{"upnext":{"sessions":1}}"#.to_owned(),
            format!(
                r#"{{"session":{{"id":"x","items":["a"],"events":1,"began_ms":{now},"last_event_ms":{now}}}}}"#
            ),
            format!(r#"{{"event":{{"id":"x","item":"b","ms":{now}}}}}"#),
            format!(r#"{{"event":{{"id":"y","item":"c","ms":{now}}}}}"#),
            format!(r#"{{"event":{{"id":"old","item":"c","ms":{}}}}}"#, now - 2_000_000),
            format!(r#"{{"removed":{{"id":"y","ms":{now}}}}}"#),
        ];
        let lines: String =
            json.iter().map(|json| format!("{:08x} {json}\n", crate::checksum(json.as_bytes()))).collect();
        std::fs::write(files.snapshot(), lines).unwrap();
        files.check().unwrap();
        let mut table = read_all(&files);
        assert_eq!(table.get("x", Now::read()).unwrap().items.concat(), "ab");
        assert!(table.get("y", Now::read()).is_none() && table.get("old", Now::read()).is_none());
    }

    #[test]
    fn time_between_two_processes_counts_within_a_bound_however_the_clock_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("sessions"));
        let now = Now::read();
        let hour = 3_600_000;
        for (then, age_ms) in
            [(now.wall_ms - 60_000, 60_000), (now.wall_ms - hour, 500_000), (now.wall_ms + hour, 0)]
        {
            let mut lines = Vec::new();
            Record::heading(0, 7, Now { wall_ms: then, steady_ms: 5_000 }).write(&mut lines).unwrap();
            let event = |id: &'static str, item: &'static str, at: u64| Record::Event {
                id: id.into(),
                item: item.into(),
                ms: then,
                steady_ms: Some(at),
                seq: at,
                number: 1,
                other: false,
                key: None,
            };
            event("older", "a", 5_000).write(&mut lines).unwrap();
            event("newer", "a", 105_000).write(&mut lines).unwrap();
            std::fs::write(files.log(1), &lines).unwrap();
            let table = read_all(&files);
            let ages: Vec<u64> =
                table.since(0, 9).0.iter().map(|kept| Now::read().steady_ms - kept.steady_ms).collect();
            let near = |age: u64, expected: u64| (expected..expected + 30_000).contains(&age);
            assert!(near(ages[0], age_ms + 100_000) && near(ages[1], age_ms), "{age_ms}: {ages:?}");
        }
    }
}

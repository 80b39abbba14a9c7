//! The append-only file of a search that one process runs: one line of JSON a trial, on disk before the search continues.

use super::Header;
use crate::tuning::Trial;
use crate::{Error, Result};
use serde::Serialize;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The file's name in a search's folder.
const FILE: &str = "trials.jsonl";

/// Number of bytes by which an incomplete first line is distinguished from another program's file.
const BEGINNING: usize = br#"{"made_by":"upnext tune""#.len();

/// The path of the file of the search in a folder.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The file of a search, locked for this process.
#[derive(Debug)]
pub(super) struct Locked {
    path: PathBuf,
    /// `None` once it has been taken.
    file: Option<File>,
}

impl Locked {
    /// Locks the file of a folder, which must exist. The search need not have begun.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let path = path_in(folder);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io(&path, "open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = format!(
                    "another search is running in {}: wait for it, or choose another folder",
                    folder.display()
                );
                return Err(Error::config("folder", reason));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(&path, "lock")(error)),
        }
        Ok(Self { path, file: Some(file) })
    }

    fn take(self) -> (PathBuf, File) {
        let mut lock = self;
        let file = lock.file.take().unwrap_or_else(|| unreachable!("a lock is taken once"));
        (std::mem::take(&mut lock.path), file)
    }
}

impl Drop for Locked {
    /// Removes the file if no search was begun.
    fn drop(&mut self) {
        if let Some(file) = &self.file
            && file.metadata().is_ok_and(|file| file.len() == 0)
        {
            _ = fs::remove_file(&self.path);
        }
    }
}

/// The file of a search.
#[derive(Debug)]
pub(super) struct TrialFile {
    path: PathBuf,
    file: File,
    /// The offset of the next line; bytes from there on belong to an incomplete line.
    end: u64,
}

impl TrialFile {
    /// Opens the file, or begins one. An incomplete last line is dropped: the process was killed while it wrote the line.
    pub(super) fn open(lock: Locked, header: &Header) -> Result<(Self, Vec<Trial>)> {
        let (path, file) = lock.take();
        let mut store = Self { path, file, end: 0 };
        let text = fs::read(&store.path).map_err(Error::io(&store.path, "read"))?;
        // Complete lines only: the rest was being written when the process was killed.
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let trials = store.read(&text[..whole], &text[whole..], header)?;
        store.end = whole as u64;
        if whole == 0 {
            store.append(header)?;
            // So that the file's name survives a power failure. Some systems refuse to sync folders.
            if let Some(folder) = store.path.parent() {
                _ = File::open(folder).and_then(|folder| folder.sync_all());
            }
        }
        Ok((store, trials))
    }

    /// Reads complete lines; `torn` is the incomplete line after them.
    fn read(&self, text: &[u8], torn: &[u8], header: &Header) -> Result<Vec<Trial>> {
        let bad = |line: usize, reason: String| Error::TrialFile { path: self.path.clone(), line, reason };
        let foreign = || bad(1, Header::FOREIGN.to_owned());
        let mut lines = (1..).zip(text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()));
        let Some((_, first)) = lines.next() else {
            let begins = serde_json::to_vec(header)
                .is_ok_and(|own| own.starts_with(&torn[..torn.len().min(BEGINNING)]));
            return if begins { Ok(Vec::new()) } else { Err(foreign()) };
        };
        header.check(first, &|reason| bad(1, reason))?;
        let mut trials = Vec::new();
        for (line, text) in lines {
            let trial = serde_json::from_slice::<Trial>(text);
            trials.push(trial.map_err(|e| bad(line, format!("is no trial ({e})")))?);
        }
        Ok(trials)
    }

    /// Adds a line.
    pub(super) fn append<T: Serialize>(&mut self, line: &T) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(|e| Error::config("trial", e.to_string()))?;
        text.push(b'\n');
        // A line that could not be written to its end, as on a full disk, is overwritten by the next one.
        let mut write = || {
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            self.file.write_all(&text)?;
            self.file.sync_data()
        };
        write().map_err(Error::io(&self.path, "write"))?;
        self.end += text.len() as u64;
        Ok(())
    }
}

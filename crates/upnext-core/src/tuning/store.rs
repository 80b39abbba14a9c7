//! Stores the trials of a search in an append-only file: one line of JSON each, on disk before the search continues.

use super::{Phase, SearchSpace, Trial, TuningOptions, Values};
use crate::data::{Dataset, Sessions};
use crate::experiment::{Experiment, first_difference};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The file's name in a search's folder.
const FILE: &str = "trials.jsonl";

/// Number of bytes by which an incomplete first line is distinguished from another program's file.
const BEGINNING: usize = br#"{"made_by":"upnext tune""#.len();

/// The first line: the settings shared by all trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    made_by: String,
    format_version: u32,
    pub(super) options: TuningOptions,
    pub(super) space: SearchSpace,
    pub(super) experiment: Experiment,
    data: Data,
}

/// Fingerprints that identify the data of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Data {
    /// The fingerprint of the vocabulary.
    vocabulary_fingerprint: String,
    /// The fingerprint of the sessions that models are fitted to.
    fit_fingerprint: String,
    /// The fingerprint of the sessions that models are evaluated on.
    valid_fingerprint: String,
}

impl Header {
    const MADE_BY: &str = "upnext tune";
    /// Version 1 had other fingerprints for the same data.
    const FORMAT_VERSION: u32 = 2;

    pub(super) fn new(
        options: &TuningOptions,
        space: &SearchSpace,
        experiment: &Experiment,
        fit: &Dataset,
        valid: &Sessions,
    ) -> Self {
        Self {
            made_by: Self::MADE_BY.to_owned(),
            format_version: Self::FORMAT_VERSION,
            options: options.clone(),
            space: space.clone(),
            experiment: experiment.resolved(),
            data: Data {
                vocabulary_fingerprint: fit.items.fingerprint(),
                fit_fingerprint: fit.sessions.fingerprint(),
                valid_fingerprint: valid.fingerprint(),
            },
        }
    }
}

/// An exclusive lock on the search in a folder. Take it before reading the logs, which may take long.
#[derive(Debug)]
pub struct TrialLock {
    path: PathBuf,
    /// The locked file; `None` once a store has taken it.
    file: Option<File>,
}

impl TrialLock {
    fn take(self) -> (PathBuf, File) {
        let mut lock = self;
        let file = lock.file.take().unwrap_or_else(|| unreachable!("a lock is taken once"));
        (std::mem::take(&mut lock.path), file)
    }
}

impl Drop for TrialLock {
    /// Removes the file if no search was begun.
    fn drop(&mut self) {
        if let Some(file) = &self.file
            && file.metadata().is_ok_and(|file| file.len() == 0)
        {
            _ = fs::remove_file(&self.path);
        }
    }
}

/// The trials that have ended, and their file, which is locked for one search at a time.
#[derive(Debug)]
pub struct TrialStore {
    path: PathBuf,
    file: File,
    /// The offset of the next line; bytes from there on belong to an incomplete line.
    end: u64,
    trials: Vec<Trial>,
    /// The index of a trial in `trials` by its [`key`].
    known: HashMap<String, usize>,
}

impl TrialStore {
    /// The path of the file of the search in a folder.
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Whether the folder holds a search.
    pub fn exists_in(folder: &Path) -> bool {
        Self::path_in(folder).exists()
    }

    /// Locks the search in a folder, which must exist, for this process. The search need not have begun.
    ///
    /// # Errors
    /// [`Error::Config`] if another process holds the lock; [`Error::Io`].
    pub fn lock(folder: &Path) -> Result<TrialLock> {
        let path = Self::path_in(folder);
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
        Ok(TrialLock { path, file: Some(file) })
    }

    /// Opens the store of a folder, or begins one. An incomplete last line is dropped: the process was killed while it
    /// wrote the line.
    ///
    /// # Errors
    /// [`Error::Config`] with the field that differs, if the store is of another search; [`Error::TrialFile`] for a
    /// line that cannot be parsed; [`Error::Io`].
    pub(super) fn open(lock: TrialLock, header: &Header) -> Result<Self> {
        let (path, file) = lock.take();
        let mut store = Self { path, file, end: 0, trials: Vec::new(), known: HashMap::new() };
        let text = fs::read(&store.path).map_err(Error::io(&store.path, "read"))?;
        // Complete lines only: the rest was being written when the process was killed.
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        store.read(&text[..whole], &text[whole..], header)?;
        store.end = whole as u64;
        if whole == 0 {
            store.append(header)?;
            // So that the file's name survives a power failure. Some systems refuse to sync folders.
            if let Some(folder) = store.path.parent() {
                _ = File::open(folder).and_then(|folder| folder.sync_all());
            }
        }
        Ok(store)
    }

    /// Reads complete lines; `torn` is the incomplete line after them.
    fn read(&mut self, text: &[u8], torn: &[u8], header: &Header) -> Result<()> {
        let bad = |line: usize, reason: String| Error::TrialFile { path: self.path.clone(), line, reason };
        let foreign =
            || bad(1, "is not the beginning of a search by `upnext tune`: choose another folder".to_owned());
        let mut lines = (1..).zip(text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()));
        let Some((_, first)) = lines.next() else {
            let begins = serde_json::to_vec(header)
                .is_ok_and(|own| own.starts_with(&torn[..torn.len().min(BEGINNING)]));
            return if begins { Ok(()) } else { Err(foreign()) };
        };
        let is = serde_json::from_slice::<serde_json::Value>(first).unwrap_or_default();
        if is["made_by"] != Header::MADE_BY {
            return Err(foreign());
        }
        if is["format_version"].as_u64().is_none_or(|version| version > u64::from(Header::FORMAT_VERSION)) {
            return Err(bad(1, "was written by a newer upnext: use that one".to_owned()));
        }
        if is["format_version"] != Header::FORMAT_VERSION {
            let reason = "this search was begun by an older upnext, which told data apart in another way: end it with that version, or begin it anew in another folder";
            return Err(bad(1, reason.to_owned()));
        }
        let was: Header = serde_json::from_slice(first).map_err(|e| bad(1, format!("is damaged ({e})")))?;
        if let Some((key, was, is)) = first_difference(&was, header, &["options.trials"]) {
            let reason = format!(
                "{key} was {was} when this search was begun, and is {is} now: go on with the same, or begin another search in another folder"
            );
            return Err(Error::config("resume", reason));
        }
        let mut trials = Vec::new();
        for (line, text) in lines {
            let trial = serde_json::from_slice::<Trial>(text);
            trials.push(trial.map_err(|e| bad(line, format!("is no trial ({e})")))?);
        }
        trials.into_iter().for_each(|trial| self.note(trial));
        Ok(())
    }

    fn append<T: Serialize>(&mut self, line: &T) -> Result<()> {
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

    fn note(&mut self, trial: Trial) {
        self.known.insert(key(&trial.values, trial.epochs), self.trials.len());
        self.trials.push(trial);
    }

    /// Stores a trial.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn add(&mut self, trial: Trial) -> Result<()> {
        self.append(&trial)?;
        self.note(trial);
        Ok(())
    }

    /// The stored trial with the key `wanted`, numbered as the trial of the procedure that requests it.
    pub(super) fn get(&self, wanted: &str, trial: usize, phase: Phase) -> Option<Trial> {
        let found = self.known.get(wanted)?;
        Some(Trial { trial, phase, ..self.trials[*found].clone() })
    }

    /// Number of trials that are stored.
    pub fn len(&self) -> usize {
        self.trials.len()
    }

    /// Whether no trial is stored.
    pub fn is_empty(&self) -> bool {
        self.trials.is_empty()
    }
}

/// The key of a trial in the store: its values and its number of epochs.
pub(super) fn key(values: &Values, epochs: Option<usize>) -> String {
    let values: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let epochs = epochs.map_or(String::new(), |epochs| format!(" after {epochs} epochs"));
    values.join(",") + &epochs
}

#[cfg(test)]
mod tests {
    use super::super::TrialResult;
    use super::*;

    fn header_of(valid: &Sessions) -> Header {
        let experiment = Experiment::default();
        let space = SearchSpace::of_kind(&experiment).unwrap();
        Header::new(&TuningOptions::default(), &space, &experiment, &Dataset::default(), valid)
    }

    fn header(trials: usize, rate: f32) -> Header {
        let mut experiment = Experiment::default();
        experiment.training.learning_rate = rate;
        let space = SearchSpace::of_kind(&experiment).unwrap();
        let options = TuningOptions { trials, ..TuningOptions::default() };
        Header::new(&options, &space, &experiment, &Dataset::default(), &Sessions::new())
    }

    fn trial(number: usize, rate: f64) -> Trial {
        let values = [("training.learning_rate".to_owned(), toml::Value::Float(rate))].into();
        let verdict = TrialResult::Judged { recall: 0.5, mrr: 0.25, stable: true };
        Trial { trial: number, phase: Phase::Sample, values, epochs: Some(3), verdict, seconds: 1.0 }
    }

    fn open(folder: &tempfile::TempDir, header: &Header) -> Result<TrialStore> {
        TrialStore::open(TrialStore::lock(folder.path())?, header)
    }

    #[test]
    fn a_search_is_taken_before_it_begins_and_one_that_does_not_begin_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lock = TrialStore::lock(folder.path()).unwrap();
        let busy = TrialStore::lock(folder.path()).unwrap_err().to_string();
        assert!(busy.contains("another search is running"), "{busy}");
        drop(lock);
        assert!(!TrialStore::exists_in(folder.path()));
        drop(open(&folder, &header(5, 0.1)).unwrap());
        let begun = fs::read(TrialStore::path_in(folder.path())).unwrap();
        drop(TrialStore::lock(folder.path()).unwrap());
        assert_eq!(fs::read(TrialStore::path_in(folder.path())).unwrap(), begun);
    }

    #[test]
    fn trials_are_there_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder, &header(5, 0.1)).unwrap();
        for (number, rate) in [(1, 0.1), (2, 1.0)] {
            store.add(trial(number, rate)).unwrap();
        }
        let path = store.path.clone();
        drop(store);
        let whole = fs::read(&path).unwrap();
        // Killed anywhere within the last line, one trial is lost; with the whole line there, none.
        let last = whole[..whole.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
        for cut in [last + 1, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut store = open(&folder, &header(9, 0.1)).unwrap();
            assert_eq!(store.len(), 1);
            let found = store.get(&key(&trial(1, 0.1).values, Some(3)), 7, Phase::Refine).unwrap();
            assert_eq!(found, Trial { trial: 7, phase: Phase::Refine, ..trial(1, 0.1) });
            store.add(trial(2, 1.0)).unwrap();
            drop(store);
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        assert_eq!(open(&folder, &header(5, 0.1)).unwrap().len(), 2);
    }

    #[test]
    fn a_line_that_could_not_be_written_leaves_its_place_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder, &header(5, 0.1)).unwrap();
        store.add(trial(1, 0.1)).unwrap();
        // As far as a full disk let it.
        store.file.write_all(b"{\"trial\":2,\"pha").unwrap();
        store.add(trial(3, 0.3)).unwrap();
        drop(store);
        let store = open(&folder, &header(5, 0.1)).unwrap();
        assert_eq!(store.trials, [trial(1, 0.1), trial(3, 0.3)]);
    }

    #[test]
    fn another_search_a_second_one_and_damage_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder, &header(5, 0.1)).unwrap();
        store.add(trial(1, 0.1)).unwrap();
        let busy = open(&folder, &header(5, 0.1)).unwrap_err().to_string();
        assert!(busy.contains("another search is running"), "{busy}");
        let path = store.path.clone();
        drop(store);
        let other = open(&folder, &header(5, 0.2)).unwrap_err().to_string();
        assert!(other.contains("experiment.training.learning_rate was 0.1"), "{other}");
        let mut clicks = Sessions::new();
        clicks.push(&[0, 1], 0);
        let data = Header { data: header_of(&clicks).data, ..header(5, 0.1) };
        let other = open(&folder, &data).unwrap_err().to_string();
        assert!(other.contains("data.valid_fingerprint"), "the same space and other sessions: {other}");
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replace("judged", "jugded")).unwrap();
        let damaged = open(&folder, &header(5, 0.1)).unwrap_err().to_string();
        assert!(damaged.contains("trials.jsonl:2") && damaged.contains("no trial"), "{damaged}");
        for text in ["a,b\n1,2\n3", "no line break"] {
            fs::write(&path, text).unwrap();
            let foreign = open(&folder, &header(5, 0.1)).unwrap_err().to_string();
            assert!(foreign.contains("trials.jsonl:1") && foreign.contains("not the beginning"), "{foreign}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "a foreign file is left alone");
        }
        fs::write(&path, &whole[..100]).unwrap();
        assert!(open(&folder, &header(5, 0.1)).unwrap().is_empty(), "killed in the first line");
    }
}

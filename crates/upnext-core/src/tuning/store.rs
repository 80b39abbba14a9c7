//! Stores the trials of a search: in the file of one process, or in a folder that several machines share.

mod file;
mod shared;

use super::{Phase, SearchSpace, Trial, TuningOptions, Values};
use crate::data::{Dataset, Sessions};
use crate::experiment::{Experiment, first_difference};
use crate::{Error, Result};
use file::{Locked, TrialFile};
use serde::{Deserialize, Serialize};
use shared::SharedTrials;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// The settings shared by all trials, which are stored before the first.
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
    /// The fingerprint of the item table, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item_table_fingerprint: Option<String>,
}

impl Header {
    const MADE_BY: &str = "upnext tune";
    /// What is said of a file of another program.
    const FOREIGN: &str = "is not the beginning of a search by `upnext tune`: choose another folder";
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
                item_table_fingerprint: fit.item_table.as_ref().map(|table| table.fingerprint()),
            },
        }
    }

    /// Checks that a stored header, which is JSON, is of the same search. `bad` makes the error of a text that is none.
    fn check(&self, stored: &[u8], bad: &dyn Fn(String) -> Error) -> Result<()> {
        let is = serde_json::from_slice::<serde_json::Value>(stored).unwrap_or_default();
        if is["made_by"] != Self::MADE_BY {
            return Err(bad(Self::FOREIGN.to_owned()));
        }
        if is["format_version"].as_u64().is_none_or(|version| version > u64::from(Self::FORMAT_VERSION)) {
            return Err(bad("was written by a newer upnext: use that one".to_owned()));
        }
        if is["format_version"] != Self::FORMAT_VERSION {
            let reason = "this search was begun by an older upnext, which told data apart in another way: end it with that version, or begin it anew in another folder";
            return Err(bad(reason.to_owned()));
        }
        let was: Self = serde_json::from_slice(stored).map_err(|e| bad(format!("is damaged ({e})")))?;
        if let Some((key, was, is)) = first_difference(&was, self, &["options.trials"]) {
            let reason = format!(
                "{key} was {was} when this search was begun, and is {is} now: go on with the same, or begin another search in another folder"
            );
            return Err(Error::config("resume", reason));
        }
        Ok(())
    }
}

/// The place of a search, taken for this process. Take it before reading the logs, which may take long.
#[derive(Debug)]
pub struct TrialLock(Taken);

#[derive(Debug)]
enum Taken {
    /// By this process alone.
    Alone(Locked),
    /// Together with others.
    Shared(SharedTrials),
}

/// The trials that have ended, and where they are stored.
#[derive(Debug)]
pub struct TrialStore {
    place: Place,
    trials: Vec<Trial>,
    /// The index of a trial in `trials` by its [`key`].
    known: HashMap<String, usize>,
}

#[derive(Debug)]
enum Place {
    File(TrialFile),
    Shared(SharedTrials),
}

impl TrialStore {
    /// Whether the folder holds a search.
    pub fn exists_in(folder: &Path) -> bool {
        file::path_in(folder).exists() || shared::exists_in(folder)
    }

    /// Locks the search in a folder, which must exist, for this process. The search need not have begun.
    ///
    /// # Errors
    /// [`Error::Config`] if another process holds the lock, or the search is one of several machines; [`Error::Io`].
    pub fn lock(folder: &Path) -> Result<TrialLock> {
        if shared::exists_in(folder) {
            let reason = format!(
                "the search in {} is one of several machines: go on with it in the same way (--shared)",
                folder.display()
            );
            return Err(Error::config("folder", reason));
        }
        Ok(TrialLock(Taken::Alone(Locked::new(folder)?)))
    }

    /// Takes part in the search in a folder, which must exist, as any number of processes can, on machines that share the
    /// folder. Each trial is run by one of them; the trials of one that has given no sign of life for as long as the lease
    /// are taken over.
    ///
    /// The processes have the same data and the same settings, and end with the same result.
    ///
    /// # Errors
    /// [`Error::Config`] if the search is one of a single process; [`Error::Io`].
    pub fn share(folder: &Path, lease: Duration) -> Result<TrialLock> {
        if file::path_in(folder).exists() {
            let reason = format!(
                "the search in {} is one of a single process: go on with it alone, or choose another folder",
                folder.display()
            );
            return Err(Error::config("folder", reason));
        }
        Ok(TrialLock(Taken::Shared(SharedTrials::new(folder, lease)?)))
    }

    /// Opens the store of a folder, or begins one.
    ///
    /// # Errors
    /// [`Error::Config`] with the field that differs, if the store is of another search; [`Error::TrialFile`] for a
    /// line that cannot be parsed; [`Error::Io`].
    pub(super) fn open(lock: TrialLock, header: &Header) -> Result<Self> {
        let (place, trials) = match lock.0 {
            Taken::Alone(lock) => {
                let (file, trials) = TrialFile::open(lock, header)?;
                (Place::File(file), trials)
            }
            Taken::Shared(shared) => {
                let trials = shared.begin(header)?;
                (Place::Shared(shared), trials)
            }
        };
        let mut store = Self { place, trials: Vec::new(), known: HashMap::new() };
        trials.into_iter().for_each(|trial| store.note(trial));
        Ok(store)
    }

    fn note(&mut self, trial: Trial) {
        self.known.insert(key(&trial.values, trial.epochs), self.trials.len());
        self.trials.push(trial);
    }

    /// Stores a trial. Returns the one that counts: another process may have stored it before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn add(&mut self, trial: Trial) -> Result<Trial> {
        let kept = match &mut self.place {
            Place::File(file) => {
                file.append(&trial)?;
                trial
            }
            Place::Shared(shared) => {
                let key = key(&trial.values, trial.epochs);
                let kept = shared.publish(&key, &trial)?;
                shared.claims().give_back(&shared::name(&key));
                Trial { trial: trial.trial, phase: trial.phase, ..kept }
            }
        };
        self.note(kept.clone());
        Ok(kept)
    }

    /// The stored trial with the key `wanted`, numbered as the trial of the procedure that requests it.
    ///
    /// # Errors
    /// [`Error::TrialFile`] for a file of another process that cannot be parsed; [`Error::Io`].
    pub(super) fn get(&mut self, wanted: &str, trial: usize, phase: Phase) -> Result<Option<Trial>> {
        if let (None, Place::Shared(shared)) = (self.known.get(wanted), &self.place)
            && let Some(found) = shared.find(wanted)?
        {
            self.note(found);
        }
        Ok(self.known.get(wanted).map(|&found| Trial { trial, phase, ..self.trials[found].clone() }))
    }

    /// Claims a trial that is not stored; false if another process runs it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn take(&self, wanted: &str) -> Result<bool> {
        match &self.place {
            Place::File(_) => Ok(true),
            Place::Shared(shared) => shared.claims().take(&shared::name(wanted)),
        }
    }

    /// Whether a trial that this process has claimed has been taken over by another.
    pub(super) fn is_lost(&self, wanted: &str) -> bool {
        match &self.place {
            Place::File(_) => false,
            Place::Shared(shared) => shared.claims().is_lost(&shared::name(wanted)),
        }
    }

    /// Gives back a trial that has not ended.
    pub(super) fn give_back(&self, wanted: &str) {
        if let Place::Shared(shared) = &self.place {
            shared.claims().give_back(&shared::name(wanted));
        }
    }

    /// Claims what comes after a search, which one process does; false if another one is at it. A process alone has it always.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn take_rest(&self) -> Result<bool> {
        self.take(REST)
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

/// The key of what comes after a search, which no trial has.
const REST: &str = "the rest";

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
    use std::fs::{self, OpenOptions};
    use std::io::Write;

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
        let begun = fs::read(file::path_in(folder.path())).unwrap();
        drop(TrialStore::lock(folder.path()).unwrap());
        assert_eq!(fs::read(file::path_in(folder.path())).unwrap(), begun);
    }

    #[test]
    fn trials_are_there_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder, &header(5, 0.1)).unwrap();
        for (number, rate) in [(1, 0.1), (2, 1.0)] {
            store.add(trial(number, rate)).unwrap();
        }
        let path = file::path_in(folder.path());
        drop(store);
        let whole = fs::read(&path).unwrap();
        // Killed anywhere within the last line, one trial is lost; with the whole line there, none.
        let last = whole[..whole.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
        for cut in [last + 1, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut store = open(&folder, &header(9, 0.1)).unwrap();
            assert_eq!(store.len(), 1);
            let found = store.get(&key(&trial(1, 0.1).values, Some(3)), 7, Phase::Refine).unwrap().unwrap();
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
        let torn = b"{\"trial\":2,\"pha";
        OpenOptions::new().append(true).open(file::path_in(folder.path())).unwrap().write_all(torn).unwrap();
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
        let path = file::path_in(folder.path());
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

    #[test]
    fn processes_that_share_a_folder_see_each_others_trials_and_the_first_counts() {
        let folder = tempfile::tempdir().unwrap();
        let lease = Duration::from_secs(600);
        let share = |header: &Header| TrialStore::open(TrialStore::share(folder.path(), lease)?, header);
        let (mut one, mut two) = (share(&header(5, 0.1)).unwrap(), share(&header(7, 0.1)).unwrap());
        let wanted = key(&trial(1, 0.1).values, Some(3));
        assert!(one.take(&wanted).unwrap() && !two.take(&wanted).unwrap());
        assert_eq!(two.get(&wanted, 1, Phase::Sample).unwrap(), None);
        assert_eq!(one.add(trial(1, 0.1)).unwrap(), trial(1, 0.1));
        let found = two.get(&wanted, 9, Phase::Refine).unwrap().unwrap();
        assert_eq!(found, Trial { trial: 9, phase: Phase::Refine, ..trial(1, 0.1) });
        let failed = TrialResult::Failed { reason: "it was slower".to_owned() };
        let late = Trial { verdict: failed, ..trial(1, 0.1) };
        assert_eq!(two.add(late).unwrap(), trial(1, 0.1));
        two.give_back(&wanted);
        assert_eq!(share(&header(5, 0.1)).unwrap().len(), 1);
        assert!(one.take_rest().unwrap() && !two.take_rest().unwrap());
        let other = share(&header(5, 0.2)).unwrap_err().to_string();
        assert!(other.contains("experiment.training.learning_rate was 0.1"), "{other}");
        let alone = TrialStore::lock(folder.path()).unwrap_err().to_string();
        assert!(alone.contains("--shared"), "{alone}");
        let of_one = tempfile::tempdir().unwrap();
        drop(open(&of_one, &header(5, 0.1)).unwrap());
        let error = TrialStore::share(of_one.path(), lease).unwrap_err().to_string();
        assert!(error.contains("single process"), "{error}");
        for entry in fs::read_dir(folder.path().join("ended")).unwrap() {
            fs::write(entry.unwrap().path(), "{").unwrap();
        }
        let damaged = share(&header(5, 0.1)).unwrap_err().to_string();
        assert!(damaged.contains("no trial"), "{damaged}");
    }
}

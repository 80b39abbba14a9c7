//! What a run has decided, for one that resumes it.

use super::{AutoPlan, Objective};
use crate::replace::{names_in, replace_file};
use crate::training::clear_trainings;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The name of the file.
const FILE: &str = "run.json";

/// The name of the file that a process locks while it runs.
const LOCK: &str = "run.lock";

/// The decisions of a run and its time so far, as they are saved.
pub(super) struct State {
    folder: PathBuf,
    saved: Saved,
    /// Seconds of earlier processes.
    before: f64,
    /// When this process began.
    begun: Instant,
    /// Held as long as the run goes on.
    lock: Option<File>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Saved {
    /// The fingerprints of the data's sessions and items.
    data: (String, String),
    objective: Objective,
    seed: u64,
    seconds: f64,
    /// The numbers of windows and epochs of each network that was begun.
    extents: BTreeMap<String, (usize, usize)>,
    /// The seconds that each training took.
    trainings: BTreeMap<String, f64>,
    /// The model at the plan's place.
    best: Option<Best>,
}

/// A model that is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    /// The names of its members.
    pub(super) members: Vec<String>,
    /// The windows on which it was judged, and its weights learnt.
    pub(super) windows: (usize, usize),
    /// Whether its weights are refined by the objective.
    pub(super) refined: bool,
}

impl State {
    /// Begins a run, or goes on with the one that the folder holds.
    ///
    /// # Errors
    /// [`Error::Config`] if a run waits that is not to be resumed, or is of another plan, or runs in another process;
    /// [`Error::WillNotReplace`] if the folder holds something else.
    pub(super) fn begin(folder: &Path, plan: &AutoPlan) -> Result<Self> {
        let path = folder.join(FILE);
        let data = (plan.data.sessions.fingerprint(), plan.data.items.fingerprint());
        let new = Saved {
            data,
            objective: plan.objective,
            seed: plan.seed,
            seconds: 0.0,
            extents: BTreeMap::new(),
            trainings: BTreeMap::new(),
            best: None,
        };
        let remove = format!("remove the folder {} to begin anew", folder.display());
        let saved = match std::fs::read(&path) {
            Ok(_) if !plan.resume => {
                let reason = format!(
                    "an interrupted run of {} waits: go on with it by --resume, or {remove}",
                    plan.out.display()
                );
                return Err(Error::config("resume", reason));
            }
            Ok(bytes) => serde_json::from_slice::<Saved>(&bytes).map_err(|error| {
                Error::config("resume", format!("{} cannot be read ({error}): {remove}", path.display()))
            })?,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                check_free(folder)?;
                new.clone()
            }
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        let differs = [
            ("data", saved.data != new.data),
            ("objective", saved.objective != new.objective),
            ("seed", saved.seed != new.seed),
        ];
        if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            let reason =
                format!("differs from that of the interrupted run: give the same as before, or {remove}");
            return Err(Error::config(field, reason));
        }
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "make"))?;
        let before = saved.seconds;
        let (folder, begun, lock) = (folder.to_owned(), Instant::now(), lock(folder)?);
        let state = Self { folder, saved, before, begun, lock };
        state.save()?;
        Ok(state)
    }

    /// Removes the folder of a finished run, as far as it holds what the run has put there.
    pub(super) fn end(self) -> Result<()> {
        let Self { folder, lock, .. } = self;
        // Some systems do not remove open files.
        drop(lock);
        for file in [FILE, LOCK].map(|name| folder.join(name)) {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::io(&file, "remove")(error));
                }
                _ => {}
            }
        }
        clear_trainings(&folder)
    }

    /// Seconds of the run so far, those of earlier processes included.
    pub(super) fn seconds(&self) -> f64 {
        self.before + self.begun.elapsed().as_secs_f64()
    }

    /// The numbers of windows and epochs with which a network was begun, if it was.
    pub(super) fn extent(&self, name: &str) -> Option<(usize, usize)> {
        self.saved.extents.get(name).copied()
    }

    /// Saves that a network is begun.
    pub(super) fn set_extent(&mut self, name: &str, extent: (usize, usize)) -> Result<()> {
        self.saved.extents.insert(name.to_owned(), extent);
        self.keep()
    }

    /// The seconds of a training: those that it took now, or when it was not yet finished and only had to be loaded now.
    pub(super) fn took(&mut self, training: &str, seconds: f64) -> f64 {
        let known = self.saved.trainings.entry(training.to_owned()).or_default();
        *known = known.max(seconds);
        *known
    }

    /// The seconds that a training took, if it was done.
    pub(super) fn seconds_of(&self, training: &str) -> Option<f64> {
        self.saved.trainings.get(training).copied()
    }

    /// The model that is saved.
    pub(super) fn best(&self) -> Option<&Best> {
        self.saved.best.as_ref()
    }

    /// Saves which model is saved.
    pub(super) fn set_best(&mut self, best: Best) -> Result<()> {
        self.saved.best = Some(best);
        self.keep()
    }

    /// Saves the time so far.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.saved.seconds = self.seconds();
        self.save()
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.saved)
            .map_err(|error| Error::config("resume", error.to_string()))?;
        let path = self.folder.join(FILE);
        replace_file::<_, Error>(&path, |mut file| file.write_all(&text).map_err(Error::io(&path, "write")))
    }
}

/// Checks that a folder is free for a run: it does not exist, or is empty but for the lock of a run that was killed.
fn check_free(folder: &Path) -> Result<()> {
    if names_in(folder)?.is_none_or(|names| names.iter().all(|name| name == LOCK)) {
        return Ok(());
    }
    let reason =
        "it is under the name that this run needs for its trainings: move it, or save the model elsewhere";
    Err(Error::WillNotReplace { path: folder.to_owned(), reason: reason.to_owned() })
}

/// Locks the folder of a run; `None` on a file system without locks.
fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(Error::io(&path, "write"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let reason = format!("another process is at work in {}: wait for its end", folder.display());
            Err(Error::config("out", reason))
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

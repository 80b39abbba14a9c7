//! What a run has decided, for one that resumes it.

use super::{AutoPlan, Objective};
use crate::replace::replace_file;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The name of the file.
const FILE: &str = "run.json";

/// The decisions of a run and its time so far, as they are saved.
pub(super) struct State {
    path: PathBuf,
    saved: Saved,
    /// Seconds of earlier processes.
    before: f64,
    /// When this process began.
    begun: Instant,
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
}

impl State {
    /// Begins a run, or goes on with the one that the folder holds.
    ///
    /// # Errors
    /// [`Error::Config`] if a run waits that is not to be resumed, or is of another plan.
    pub(super) fn begin(folder: &Path, plan: &AutoPlan) -> Result<Self> {
        let path = folder.join(FILE);
        let data = (plan.data.sessions.fingerprint(), plan.data.items.fingerprint());
        let new = Saved {
            data,
            objective: plan.objective,
            seed: plan.seed,
            seconds: 0.0,
            extents: BTreeMap::new(),
        };
        let remove = format!("remove the folder {} to begin anew", folder.display());
        let saved = match std::fs::read(&path) {
            Ok(_) if !plan.resume => {
                let reason = format!("an interrupted run waits: go on with it by --resume, or {remove}");
                return Err(Error::config("resume", reason));
            }
            Ok(bytes) => serde_json::from_slice::<Saved>(&bytes).map_err(|error| {
                Error::config("resume", format!("{} cannot be read ({error}): {remove}", path.display()))
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => new.clone(),
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        let differs = [
            ("data", saved.data != new.data),
            ("objective", saved.objective != new.objective),
            ("seed", saved.seed != new.seed),
        ];
        if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            let reason =
                format!("is another than that of the run that waits: give the same again, or {remove}");
            return Err(Error::config(field, reason));
        }
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "make"))?;
        let before = saved.seconds;
        let state = Self { path, saved, before, begun: Instant::now() };
        state.save()?;
        Ok(state)
    }

    /// Removes the folder of a finished run.
    pub(super) fn end(folder: &Path) -> Result<()> {
        std::fs::remove_dir_all(folder).map_err(Error::io(folder, "remove"))
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

    /// Saves the time so far.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.saved.seconds = self.seconds();
        self.save()
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.saved)
            .map_err(|error| Error::config("resume", error.to_string()))?;
        replace_file::<_, Error>(&self.path, |mut file| {
            file.write_all(&text).map_err(Error::io(&self.path, "write"))
        })
    }
}

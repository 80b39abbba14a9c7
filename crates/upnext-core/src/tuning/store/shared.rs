//! The folder of a search that several machines run: `search.json`, a file a trial in `ended`, and the claims in `claims`.

use super::Header;
use crate::checksum::Fingerprint;
use crate::replace::create_file;
use crate::tuning::Trial;
use crate::tuning::claims::Claims;
use crate::{Error, Result};
use serde::Serialize;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file with the settings.
const SETTINGS: &str = "search.json";

/// Whether a folder holds such a search.
pub(super) fn exists_in(folder: &Path) -> bool {
    folder.join(SETTINGS).exists() || folder.join("claims").is_dir()
}

/// The name of the files of a trial, by its key.
pub(super) fn name(key: &str) -> String {
    let mut hash = Fingerprint::new();
    hash.add(key.as_bytes());
    hash.digits()
}

/// The folder, as one of the processes sees it.
#[derive(Debug)]
pub(super) struct SharedTrials {
    folder: PathBuf,
    claims: Claims,
}

impl SharedTrials {
    pub(super) fn new(folder: &Path, lease: Duration) -> Result<Self> {
        let ended = folder.join("ended");
        fs::create_dir_all(&ended).map_err(Error::io(&ended, "make"))?;
        Ok(Self { folder: folder.to_owned(), claims: Claims::new(&folder.join("claims"), lease)? })
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Begins the search, or joins it, and returns the trials that have ended.
    pub(super) fn begin(&self, header: &Header) -> Result<Vec<Trial>> {
        let path = self.folder.join(SETTINGS);
        if !create(&path, header)? {
            let text = fs::read(&path).map_err(Error::io(&path, "read"))?;
            header.check(&text, &|reason| Error::TrialFile { path: path.clone(), line: 1, reason })?;
        }
        let ended = self.folder.join("ended");
        let read = |error| Error::io(&ended, "read")(error);
        let mut trials = Vec::new();
        for entry in fs::read_dir(&ended).map_err(read)? {
            let path = entry.map_err(read)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                trials.extend(trial(&path)?);
            }
        }
        trials.sort_by_key(|trial| trial.trial);
        Ok(trials)
    }

    fn path_of(&self, key: &str) -> PathBuf {
        self.folder.join("ended").join(name(key) + ".json")
    }

    /// The trial of a key, if it has ended.
    pub(super) fn find(&self, key: &str) -> Result<Option<Trial>> {
        trial(&self.path_of(key))
    }

    /// Stores a trial, unless another process has; returns the stored one.
    pub(super) fn publish(&self, key: &str, trial: &Trial) -> Result<Trial> {
        if create(&self.path_of(key), trial)? {
            return Ok(trial.clone());
        }
        Ok(self.find(key)?.unwrap_or_else(|| trial.clone()))
    }
}

/// Writes a file of JSON; false if there is one already, which is kept.
fn create<T: Serialize>(path: &Path, content: &T) -> Result<bool> {
    let mut text = serde_json::to_vec(content).map_err(|e| Error::config("trial", e.to_string()))?;
    text.push(b'\n');
    create_file(path, |mut out| out.write_all(&text).map_err(Error::io(path, "write")))
}

/// The trial in a file; `None` if there is none.
fn trial(path: &Path) -> Result<Option<Trial>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, "read")(error)),
    };
    let bad = |e| Error::TrialFile { path: path.to_owned(), line: 1, reason: format!("is no trial ({e})") };
    serde_json::from_slice(&text).map(Some).map_err(bad)
}

//! The folder of a reproduction: its identity and its finished rows. It never mixes two reproductions.
//!
//! `reproduce.json` has the identity, `data` is the prepared folder, `settings` has the experiment files, `models` the
//! models and checkpoints, and `results` a file for each finished row. All files are written atomically, so that the
//! same command can resume after a kill at any time.

use super::paper::Protocol;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use upnext_core::Error;
use upnext_core::artifact::{Checksum, EpochSummary, FileEntry};
use upnext_core::data::{PrepareOptions, ReadOptions};
use upnext_core::evaluation::MetricsAt;
use upnext_core::experiment::Experiment;
use upnext_core::replace::{check_file, replace_file};

/// The value of `made_by` by which folders of this command are recognised.
const MADE_BY: &str = "upnext reproduce";

/// Version of the files' format. Version 1 had other checksums and fingerprints of the same data.
const FORMAT_VERSION: u32 = 2;

const IDENTITY_FILE: &str = "reproduce.json";

/// The identity of a reproduction: all inputs that its figures depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    made_by: String,
    format_version: u32,
    /// The version of upnext that began it.
    version: String,
    protocol: Protocol,
    clicks: FileEntry,
    read: ReadOptions,
    prepare: PrepareOptions,
    epochs: Option<usize>,
    seed: Option<u64>,
}

impl Identity {
    pub(super) fn new(
        protocol: Protocol,
        clicks: FileEntry,
        read: ReadOptions,
        prepare: PrepareOptions,
        (epochs, seed): (Option<usize>, Option<u64>),
    ) -> Self {
        let (made_by, version) = (MADE_BY.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let format_version = FORMAT_VERSION;
        Self { made_by, format_version, version, protocol, clicks, read, prepare, epochs, seed }
    }

    /// The first difference to the identity `now`: the option, its old and its new value.
    fn difference(&self, now: &Self) -> Option<(&'static str, String, String)> {
        let clicks = |of: &Self| {
            let checksum = match &of.clicks.checksum {
                Checksum::Blake3(digits) => digits.chars().take(16).collect(),
                Checksum::Crc32(sum) => format!("{sum:08x}"),
            };
            format!("{} bytes with checksum {checksum}", of.clicks.bytes)
        };
        let number = |n: Option<u64>| n.map_or("not given".to_owned(), |n| n.to_string());
        let of = |this: &Self| {
            let PrepareOptions { scale, max_session_length, .. } = this.prepare;
            [
                ("the protocol", this.protocol.name().to_owned()),
                ("--clicks", clicks(this)),
                ("--scale", scale.to_string()),
                ("--max-session-length", number(max_session_length.map(|n| n as u64))),
                ("the preparation", serde_json::to_string(&this.prepare).unwrap_or_default()),
                ("how the log is read", serde_json::to_string(&this.read).unwrap_or_default()),
                ("--epochs", number(this.epochs.map(|n| n as u64))),
                ("--seed", number(this.seed)),
            ]
        };
        let mut pairs = of(self).into_iter().zip(of(now));
        pairs.find_map(|((what, was), (_, is))| (was != is).then_some((what, was, is)))
    }
}

/// The identity of the data on which a row's figures are based.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DataIdentity {
    pub(super) vocabulary_fingerprint: String,
    pub(super) train_events: u64,
    pub(super) train_sessions: u64,
    pub(super) test_events: u64,
    pub(super) test_sessions: u64,
}

/// The result of a finished row, which is a file in the folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RowResult {
    pub(super) made_by: String,
    pub(super) format_version: u32,
    pub(super) name: String,
    pub(super) data: DataIdentity,
    /// The complete experiment.
    pub(super) experiment: Experiment,
    /// The instruction set with which a network was trained: another one gives slightly different figures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) instruction_set: String,
    pub(super) training_seconds: f64,
    pub(super) prediction_seconds: f64,
    pub(super) epochs: Vec<EpochSummary>,
    pub(super) cases: usize,
    pub(super) candidates: usize,
    pub(super) metrics: Vec<MetricsAt>,
}

impl RowResult {
    pub(super) const MADE_BY: &'static str = MADE_BY;
    pub(super) const FORMAT_VERSION: u32 = FORMAT_VERSION;
}

/// The folder of a reproduction, locked by this process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    identity: Identity,
    /// Whether the folder has no reproduction yet.
    is_new: bool,
    /// Whether this process created the folder.
    is_made: bool,
    /// The lock, which ends with the process: two at a time would train the same rows.
    _lock: File,
}

impl Folder {
    /// Opens a new or empty folder, or with `resume` that of the same reproduction.
    ///
    /// # Errors
    /// For any other folder, which is left unchanged.
    pub(super) fn open(path: &Path, identity: Identity, resume: bool) -> anyhow::Result<Self> {
        let is_made = !path.exists();
        fs::create_dir_all(path).map_err(Error::io(path, "make"))?;
        let lock = File::open(path).map_err(Error::io(path, "open"))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            anyhow::bail!(
                "{}: another upnext is at work in this folder: wait for it, or name another folder",
                path.display()
            );
        }
        check_file(&path.join(IDENTITY_FILE))?;
        let earlier: Option<Identity> = read_own(&path.join(IDENTITY_FILE))?;
        let is_new = earlier.is_none();
        match earlier {
            Some(_) if !resume => {
                let reason = format!(
                    "{} holds a reproduction: go on with it by --resume (rows that are done are shown again), or name another folder by --out",
                    path.display()
                );
                return Err(Error::config("--resume", reason).into());
            }
            Some(earlier) => {
                if let Some((option, was, is)) = earlier.difference(&identity) {
                    let reason = format!(
                        "the reproduction in {} was begun with {was}, and this is {is}: go on with the same, or name another folder by --out",
                        path.display()
                    );
                    return Err(Error::config(option, reason).into());
                }
            }
            None => check_empty(path)?,
        }
        Ok(Self { path: path.to_owned(), identity, is_new, is_made, _lock: lock })
    }

    /// Writes the identity into a new folder.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        if self.is_new {
            write_json(&self.path.join(IDENTITY_FILE), &self.identity)?;
            self.is_new = false;
        }
        for name in ["settings", "models", "results"] {
            let folder = self.path.join(name);
            fs::create_dir_all(&folder).map_err(Error::io(&folder, "make"))?;
        }
        self.remove_unfinished();
        Ok(())
    }

    /// The path of the prepared data.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The path of a row's model.
    pub(super) fn model(&self, name: &str) -> PathBuf {
        self.path.join("models").join(name)
    }

    /// The path of a row's experiment file.
    pub(super) fn settings(&self, name: &str) -> PathBuf {
        self.path.join("settings").join(format!("{name}.toml"))
    }

    /// Writes a row's experiment file, unless it exists.
    pub(super) fn keep_settings(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.settings(name);
        if fs::read(&file).is_ok_and(|bytes| bytes == text.as_bytes()) {
            return Ok(());
        }
        replace_file(&file, |mut out| out.write_all(text.as_bytes()).map_err(Error::io(&file, "write")))?;
        Ok(())
    }

    fn result_file(&self, name: &str) -> PathBuf {
        self.path.join("results").join(format!("{name}.json"))
    }

    /// Reads the result of a row; `None` if it is not finished.
    ///
    /// # Errors
    /// For a result with other data or another configuration.
    pub(super) fn result(
        &self,
        name: &str,
        experiment: &Experiment,
        data: &DataIdentity,
    ) -> anyhow::Result<Option<RowResult>> {
        let file = self.result_file(name);
        let Some(result): Option<RowResult> = read_own(&file)? else { return Ok(None) };
        let what = match () {
            () if result.name != name => "another row",
            () if result.data != *data => "other data",
            () if result.experiment.resolved() != experiment.resolved() => "another configuration",
            () => return Ok(Some(result)),
        };
        anyhow::bail!(
            "{}: is the result of {what}, and will not be mixed with the others: remove it to train the row anew",
            file.display()
        )
    }

    /// Writes the result of a finished row.
    pub(super) fn keep(&self, result: &RowResult) -> anyhow::Result<()> {
        write_json(&self.result_file(&result.name), result)
    }

    /// Removes temporary files of processes that were killed while writing.
    fn remove_unfinished(&self) {
        for folder in [self.path.clone(), self.path.join("results"), self.path.join("settings")] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if is_unfinished(&entry.file_name().to_string_lossy()) {
                    // A file that cannot be removed does no harm.
                    _ = fs::remove_file(entry.path());
                }
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_new && self.is_made {
            // If the log could not be used, the folder is removed again; `remove_dir` fails for one with files.
            _ = fs::remove_dir(&self.path);
        }
    }
}

/// Whether a name is that of a temporary file of an atomic write.
fn is_unfinished(name: &str) -> bool {
    name.starts_with(".upnext-unfinished-")
}

fn check_empty(path: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(path).map_err(Error::io(path, "read"))? {
        let name = entry.map_err(Error::io(path, "read"))?.file_name();
        if !is_unfinished(&name.to_string_lossy()) {
            let reason = "the folder is not empty, and `upnext reproduce` did not make it".to_owned();
            return Err(Error::WillNotReplace { path: path.to_owned(), reason }.into());
        }
    }
    Ok(())
}

/// Reads a file that this command wrote; `None` if it does not exist.
fn read_own<T: for<'de> Deserialize<'de>>(file: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(file, "read")(error).into()),
    };
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    if value["made_by"] != MADE_BY {
        anyhow::bail!(
            "{}: `upnext reproduce` did not write this file, or it is damaged: name another folder",
            file.display()
        );
    }
    if value["format_version"].as_u64().is_none_or(|version| version > u64::from(FORMAT_VERSION)) {
        anyhow::bail!("{}: written by a newer upnext: use that one, or another folder", file.display());
    }
    if value["format_version"] != FORMAT_VERSION {
        anyhow::bail!(
            "{}: written by an older upnext, which told data apart in another way: go on with that version, or begin anew in another folder",
            file.display()
        );
    }
    match T::deserialize(value) {
        Ok(own) => Ok(Some(own)),
        Err(error) => {
            anyhow::bail!("{}: is damaged ({error}): remove it, or name another folder", file.display())
        }
    }
}

fn write_json<T: Serialize>(file: &Path, value: &T) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    replace_file(file, |mut out| out.write_all(text.as_bytes()).map_err(Error::io(file, "write")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use upnext_core::experiment::{ModelConfig, ModelKind};

    fn identity(scale: u64, bytes: u64) -> Identity {
        let name = "clicks.dat".to_owned();
        let clicks =
            FileEntry { file: name.clone(), name, bytes, checksum: Checksum::Blake3("0".repeat(64)) };
        let mut prepare = PrepareOptions::default();
        prepare.scale = scale;
        Identity::new(Protocol::Rsc15, clicks, ReadOptions::default(), prepare, (None, None))
    }

    #[test]
    fn the_option_that_differs_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let open = |identity, resume| Folder::open(&path, identity, resume);
        open(identity(4, 9), false).unwrap().begin().unwrap();
        open(identity(4, 9), true).unwrap();
        let refused = |identity, resume| open(identity, resume).unwrap_err().to_string();
        assert!(refused(identity(4, 9), false).starts_with("--resume: "));
        let message = refused(identity(8, 9), true);
        assert!(message.starts_with("--scale: ") && message.contains("with 4, and this is 8"), "{message}");
        assert!(refused(identity(4, 10), true).starts_with("--clicks: "));
    }

    #[test]
    fn two_processes_do_not_work_in_one_folder() {
        let place = tempfile::tempdir().unwrap();
        let held = Folder::open(place.path(), identity(1, 1), false).unwrap();
        let second = || Folder::open(place.path(), identity(1, 1), true);
        assert!(second().unwrap_err().to_string().contains("another upnext is at work"));
        drop(held);
        second().unwrap();
    }

    #[test]
    fn a_result_of_other_data_or_another_configuration_is_not_taken() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(place.path(), identity(1, 1), false).unwrap();
        folder.begin().unwrap();
        let experiment =
            Experiment { model: ModelConfig::of_kind(ModelKind::ItemKnn), ..Experiment::default() };
        let data = DataIdentity {
            vocabulary_fingerprint: "0".into(),
            train_events: 4,
            train_sessions: 2,
            test_events: 3,
            test_sessions: 1,
        };
        let result = RowResult {
            made_by: MADE_BY.into(),
            format_version: FORMAT_VERSION,
            name: "item-knn".into(),
            data: data.clone(),
            experiment: experiment.resolved(),
            instruction_set: String::new(),
            training_seconds: 1.0,
            prediction_seconds: 1.0,
            epochs: Vec::new(),
            cases: 2,
            candidates: 3,
            metrics: Vec::new(),
        };
        assert!(folder.result("item-knn", &experiment, &data).unwrap().is_none());
        folder.keep(&result).unwrap();
        assert_eq!(folder.result("item-knn", &experiment, &data).unwrap(), Some(result));
        let mut other = experiment.clone();
        other.set("model.regularization=5").unwrap();
        let refused =
            |experiment, data: &_| folder.result("item-knn", experiment, data).unwrap_err().to_string();
        assert!(refused(&other, &data).contains("of another configuration"));
        assert!(refused(&experiment, &DataIdentity { test_events: 4, ..data }).contains("of other data"));
    }

    #[test]
    fn folders_of_somebody_else_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("thesis.tex"), "").unwrap();
        let message = Folder::open(place.path(), identity(1, 1), true).unwrap_err().to_string();
        assert!(message.contains("not empty") && message.contains("did not make it"), "{message}");
        fs::write(place.path().join(IDENTITY_FILE), "{}").unwrap();
        let message = Folder::open(place.path(), identity(1, 1), true).unwrap_err().to_string();
        assert!(message.contains("did not write this file"), "{message}");
    }
}

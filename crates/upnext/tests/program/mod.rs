//! Runs the program in a temporary folder, with the logs of small simulated shops.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use upnext_core::simulate::{LogFormat, SimulateOptions, simulate, write_log};

/// Whether a process ended because it was killed.
pub(crate) fn was_killed(output: &Output) -> bool {
    // Windows has no signals: the killer chooses the exit code, and the standard library chooses 1.
    if cfg!(unix) { output.status.code().is_none() } else { output.status.code() == Some(1) }
}

/// A temporary folder.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The names of the files in the folder, hidden ones included.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Simulates the log of a shop with this number of sessions and items on three days; seeds give different shops.
    pub(crate) fn shop(&self, name: &str, sessions: u64, items: u32, seed: u64) -> PathBuf {
        self.shop_as(LogFormat::Columns, name, sessions, items, seed)
    }

    /// The log of [`shop`](Self::shop) in the format of the RecSys Challenge 2015.
    pub(crate) fn challenge(&self, name: &str, sessions: u64, items: u32, seed: u64) -> PathBuf {
        self.shop_as(LogFormat::Challenge, name, sessions, items, seed)
    }

    fn shop_as(&self, format: LogFormat, name: &str, sessions: u64, items: u32, seed: u64) -> PathBuf {
        let path = self.path(name);
        let options = SimulateOptions { sessions, items, days: 3, seed, ..SimulateOptions::default() };
        let file = BufWriter::new(File::create(&path).unwrap());
        write_log(simulate(&options).unwrap(), format, file).unwrap();
        path
    }

    /// The prepared folder of [`shop`](Self::shop), with the parts `fit`, `valid`, `train` and `test`.
    pub(crate) fn prepared_shop(&self, sessions: u64) -> PathBuf {
        let (log, out) = (self.shop("clicks.csv", sessions, 60, 1), self.path("parts"));
        done(upnext().arg("prepare").arg(log).arg("--out").arg(&out));
        out
    }
}

pub(crate) fn upnext() -> Command {
    Command::new(env!("CARGO_BIN_EXE_upnext"))
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command that must succeed.
pub(crate) fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    output
}

/// Runs a command with `--json` that must succeed, and returns the document on stdout.
pub(crate) fn json(command: &mut Command) -> Value {
    serde_json::from_slice(&done(command.arg("--json")).stdout).expect("one JSON document")
}

/// Runs a command that must fail with this exit code and these words in its message, and returns the message.
pub(crate) fn refused(command: &mut Command, code: i32, parts: &[&str]) -> String {
    let output = command.output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(output.stdout.is_empty(), "{command:?} printed a result");
    message
}

/// Arguments of `upnext train LOG --out OUT` for a network that is small enough for tests.
pub(crate) fn train(log: &Path, out: &Path) -> Command {
    let mut command = upnext();
    command.arg("train").arg(log).arg("--out").arg(out).arg("--quiet");
    set(&mut command, &["model.layers=12", "training.batch_size=8", "training.samples=24"]);
    command
}

/// Adds `--set` of each field.
pub(crate) fn set<'c>(command: &'c mut Command, fields: &[&str]) -> &'c mut Command {
    fields.iter().for_each(|field| _ = command.args(["--set", field]));
    command
}

pub(crate) fn evaluate<S: AsRef<OsStr>>(model: &Path, test: &Path, more: &[S]) -> Command {
    let mut command = upnext();
    command.arg("evaluate").arg(model).arg(test).arg("--quiet").args(more);
    command
}

pub(crate) fn manifest(model: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(model.join("manifest.json")).unwrap()).unwrap()
}

/// The path of a model's file with this role.
pub(crate) fn file_of(model: &Path, role: &str) -> Option<PathBuf> {
    let manifest = manifest(model);
    let file = manifest["files"].as_array().unwrap().iter().find(|file| file["name"] == role)?;
    Some(model.join(file["file"].as_str().unwrap()))
}

/// The contents of a model's files except the manifest, which contains durations.
pub(crate) fn bits(model: &Path) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let read = |role| (role, file_of(model, role).map(|file| std::fs::read(file).unwrap()));
    ["items", "weights", "training"].map(read).into()
}

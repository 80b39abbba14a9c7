//! Command lines of this program, displayed as a user would type them and run as processes, so that the demo does
//! exactly what it shows.

use crate::invocation;
use crate::output::shell_word;
use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A command line: the words after `upnext`.
#[derive(Clone, Debug)]
pub(super) struct CommandLine {
    words: Vec<String>,
}

/// The JSON output of a command, and its duration in seconds.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) result: Value,
    pub(super) seconds: f64,
}

impl Output {
    /// Deserialises the fields of the result that `T` has.
    pub(super) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        T::deserialize(&self.result).context("a command's JSON lacks a field that the demo shows")
    }
}

impl CommandLine {
    /// A command line with these words.
    pub(super) fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self { words: words.into_iter().map(str::to_owned).collect() }
    }

    /// Appends words.
    pub(super) fn with<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.words.extend(words.into_iter().map(str::to_owned));
        self
    }

    /// Appends an option with its value, if there is one.
    pub(super) fn with_option(self, option: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with([option, &value.to_string()]),
            None => self,
        }
    }

    /// Runs the command; its progress and messages go to stderr.
    pub(super) fn run(&self, quiet: bool) -> anyhow::Result<Output> {
        let begun = Instant::now();
        let program = invocation::program().context("cannot find the file of this program")?;
        let [program, before @ ..] = program.as_slice() else { bail!("this program has no name") };
        let mut command = Command::new(program);
        command.args(before).args(&self.words).arg("--json");
        if quiet {
            command.arg("--quiet");
        }
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run `{self}`"))?;
        if !output.status.success() {
            bail!("`{self}` failed ({}): its message stands above", output.status);
        }
        let result = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`{self} --json` printed no JSON"))?;
        Ok(Output { result, seconds: begun.elapsed().as_secs_f64() })
    }
}

impl fmt::Display for CommandLine {
    /// Writes the command line in shell syntax.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("upnext")?;
        for word in &self.words {
            write!(f, " {}", shell_word(word))?;
        }
        Ok(())
    }
}

/// The path of this executable, if `upnext` alone would not start it.
pub(super) fn program_outside_path() -> Option<PathBuf> {
    let program = invocation::executable()?.canonicalize().ok()?;
    let name = program.file_name().unwrap_or(OsStr::new("upnext"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_this = |folder: PathBuf| same_file(&folder.join(name), &program);
    (!std::env::split_paths(&path).any(is_this)).then_some(program)
}

fn same_file(file: &Path, canonical: &Path) -> bool {
    file.canonicalize().is_ok_and(|file| file == canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_that_are_run() {
        let line = CommandLine::new(["train", "my demo/data", "--set"]).with(["a.b=1,2", "it's", ""]);
        assert_eq!(line.to_string(), r"upnext train 'my demo/data' --set a.b=1,2 'it'\''s' ''");
    }
}

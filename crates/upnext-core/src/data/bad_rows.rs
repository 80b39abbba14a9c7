//! Rows of a file that are no events: counted where they are skipped, else an error with the first.

use super::report::{FileReport, RowProblem};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The bad rows of one file.
pub(super) struct BadRows {
    path: PathBuf,
    /// What positions count: "line" or "row".
    place: &'static str,
    skip: bool,
    first: Option<(u64, RowProblem)>,
    counts: BTreeMap<&'static str, u64>,
}

impl BadRows {
    pub(super) fn new(path: &Path, place: &'static str, skip: bool) -> Self {
        Self { path: path.to_owned(), place, skip, first: None, counts: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, position: u64, problem: RowProblem) {
        *self.counts.entry(problem.name()).or_default() += 1;
        if self.first.as_ref().is_none_or(|(first, _)| position < *first) {
            self.first = Some((position, problem));
        }
    }

    /// Adds the bad rows to the report if they are skipped; else fails with the first and the number of the others.
    pub(super) fn finish(self, report: &mut FileReport) -> Result<()> {
        let Some((position, problem)) = self.first else { return Ok(()) };
        if !self.skip {
            let more = self.counts.values().sum::<u64>() - 1;
            return Err(Error::BadRow { path: self.path, place: self.place, position, problem, more });
        }
        report.first_skipped = Some(format!("{} {position}: {problem}", self.place));
        report.skipped = self.counts.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
        Ok(())
    }
}

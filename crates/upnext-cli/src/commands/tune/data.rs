//! What a search reads, apart from what is read when it is over: the search has no test sessions to look at.

use super::TuneArgs;
use crate::output::warn;
use anyhow::Context;
use std::path::{Path, PathBuf};
use upnext::data::folder::{PartName, PreparedFolder};
use upnext::data::{Dataset, EventLog, ItemVocabulary, PrepareOptions, TestSessions, prepare};

/// The sessions of a search.
pub(super) struct SearchData {
    pub(super) fit: Dataset,
    pub(super) valid: TestSessions,
}

const NO_VALIDATION: &str = "the validation part cannot be used";

impl SearchData {
    pub(super) fn read(args: &TuneArgs, path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() {
            let part = if args.valid.is_some() { PartName::Train } else { PartName::Fit };
            let fit = read(args, &PreparedFolder::resolve(path, part)?)?;
            let valid = args.valid.as_deref().unwrap_or(path);
            return Self::of(fit, read(args, &PreparedFolder::resolve(valid, PartName::Valid)?)?);
        }
        let log = read(args, path)?;
        match &args.valid {
            Some(valid) => Self::of(log, read(args, &PreparedFolder::resolve(valid, PartName::Valid)?)?),
            None => {
                // No filter: the log is training data, and only its end is split off.
                let rules = PrepareOptions {
                    holdout: args.validation,
                    validation: None,
                    min_item_support: 1,
                    ..PrepareOptions::default()
                };
                let parts = prepare(log, &rules).with_context(|| {
                    format!(
                        "{NO_VALIDATION}: use a shorter --validation, or give a validation log by --valid"
                    )
                })?;
                let (fit, _) = Dataset::from_part(&parts.train())?;
                let valid = TestSessions::from_part(&parts.test(), &fit.items)
                    .with_context(|| format!("{NO_VALIDATION}: use a longer --validation"))?;
                Ok(Self { fit, valid })
            }
        }
    }

    fn of(fit: EventLog, valid: EventLog) -> anyhow::Result<Self> {
        let (fit, _) = Dataset::from_log(fit)?;
        let valid = TestSessions::from_log(valid, &fit.items).context(NO_VALIDATION)?;
        Ok(Self { fit, valid })
    }
}

/// All of the training part, with the validation part in it where it was split off.
pub(super) fn read_all(args: &TuneArgs, path: &Path) -> anyhow::Result<Dataset> {
    let mut logs = vec![PreparedFolder::resolve(path, PartName::Train)?];
    if let Some(valid) = &args.valid {
        logs.push(PreparedFolder::resolve(valid, PartName::Valid)?);
    }
    Ok(Dataset::from_log(args.read.read(&logs, args.output.quiet)?)?.0)
}

/// The test log, if there is one; it is not read.
pub(super) fn test(args: &TuneArgs, path: &Path) -> anyhow::Result<Option<PathBuf>> {
    match &args.test {
        Some(test) => {
            let file = PreparedFolder::resolve(test, PartName::Test)?;
            std::fs::metadata(&file).map_err(upnext::Error::io(&file, "open"))?;
            Ok(Some(file))
        }
        None if path.is_dir() => Ok(PreparedFolder::open(path)?.part(PartName::Test).ok()),
        None => Ok(None),
    }
}

/// The test sessions of a model.
pub(super) fn read_test(args: &TuneArgs, log: &Path, items: &ItemVocabulary) -> anyhow::Result<TestSessions> {
    let log = read(args, log)?;
    TestSessions::from_log(log, items).context("the test part cannot be used")
}

fn read(args: &TuneArgs, path: &Path) -> anyhow::Result<EventLog> {
    let log = args.read.read(&[path], args.output.quiet)?;
    warn(&log.report().warnings);
    Ok(log)
}

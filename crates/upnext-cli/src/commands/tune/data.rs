//! The data of `tune`. The search gets the fit and validation sessions only; the test part is read after it.

use super::TuneArgs;
use crate::interrupt;
use crate::item_table::described;
use crate::output::warn;
use crate::reading::refuse_known;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use upnext_core::data::{Dataset, EventLog, ItemTable, PrepareOptions, TestSessions, prepare};
use upnext_core::data::{PartName, PreparedFolder};

/// The sessions of a search.
pub(super) struct SearchData {
    pub(super) fit: Arc<Dataset>,
    pub(super) valid: TestSessions,
}

const NO_VALIDATION: &str = "the validation part cannot be used";

impl SearchData {
    pub(super) fn read(args: &TuneArgs, path: &Path, table: Option<&Arc<ItemTable>>) -> anyhow::Result<Self> {
        if PreparedFolder::is_at(path) {
            let part = |part| read(args, &PreparedFolder::resolve(path, part)?);
            return Self::of(part(PartName::Fit)?, part(PartName::Valid)?, table);
        }
        let log = read(args, path)?;
        match &args.valid {
            Some(valid) => {
                Self::of(log, read(args, &PreparedFolder::resolve(valid, PartName::Valid)?)?, table)
            }
            None => {
                // No filters: the log is prepared training data, of which only the end is split off.
                let mut rules = PrepareOptions::default();
                rules.holdout = args.validation;
                rules.validation = None;
                rules.min_item_support = 1;
                let parts = prepare(log, &rules, &mut |_| interrupt::check()).with_context(|| {
                    format!(
                        "{NO_VALIDATION}: use a shorter --validation, or give a validation log by --valid"
                    )
                })?;
                let (fit, _) = Dataset::from_part(&parts.train())?;
                let valid = TestSessions::from_part(&parts.test(), &fit.items)
                    .with_context(|| format!("{NO_VALIDATION}: use a longer --validation"))?;
                Ok(Self { fit: described(fit, table).into(), valid })
            }
        }
    }

    fn of(mut fit: EventLog, mut valid: EventLog, table: Option<&Arc<ItemTable>>) -> anyhow::Result<Self> {
        refuse_known(&fit.grouped(), &valid.grouped(), "settings")?;
        let (fit, _) = Dataset::from_log(fit)?;
        let valid = TestSessions::from_log(valid, &fit.items).context(NO_VALIDATION)?;
        Ok(Self { fit: described(fit, table).into(), valid })
    }
}

/// The data on which the best point is trained and tested.
pub(super) struct FinalData {
    /// The whole training part, including the validation sessions that were split off from it.
    pub(super) train: Arc<Dataset>,
    /// The test sessions, and the number of them that are also in the training part; `None` without a test part.
    pub(super) test: Option<(TestSessions, u64)>,
}

/// Reads the final data after the search. It is read before the best point is trained, so that errors in the test part
/// are found first.
pub(super) fn read_final(
    args: &TuneArgs,
    path: &Path,
    test: Option<&Path>,
    table: Option<&Arc<ItemTable>>,
) -> anyhow::Result<FinalData> {
    let mut test = test.map(|test| read(args, test)).transpose()?;
    let mut logs = vec![PreparedFolder::resolve(path, PartName::Train)?];
    if let Some(valid) = &args.valid {
        logs.push(PreparedFolder::resolve(valid, PartName::Valid)?);
    }
    let mut train = args.read.read(&logs, args.output.quiet)?;
    let common = test.as_mut().map_or(0, |test| train.grouped().in_both(&test.grouped()));
    let (train, _) = Dataset::from_log(train)?;
    let test = test.map(|test| TestSessions::from_log(test, &train.items)).transpose();
    let test = test.context("the test part cannot be used")?.map(|test| (test, common));
    Ok(FinalData { train: Arc::new(described(train, table)), test })
}

/// The path of the test log, if there is one. Its sessions are not read yet.
pub(super) fn test(args: &TuneArgs, path: &Path) -> anyhow::Result<Option<PathBuf>> {
    match &args.test {
        Some(test) => {
            let file = PreparedFolder::resolve(test, PartName::Test)?;
            std::fs::metadata(&file).map_err(upnext_core::Error::io(&file, "open"))?;
            Ok(Some(file))
        }
        None if PreparedFolder::is_at(path) => {
            let folder = PreparedFolder::open(path)?;
            let part = folder.has_part(PartName::Test).then(|| folder.part(PartName::Test));
            Ok(part.transpose()?)
        }
        None => Ok(None),
    }
}

fn read(args: &TuneArgs, path: &Path) -> anyhow::Result<EventLog> {
    let log = args.read.read(&[path], args.output.quiet)?;
    warn(&log.report().warnings);
    Ok(log)
}

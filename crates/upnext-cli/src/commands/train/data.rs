//! The logs that `train` learns from and validates on.

use super::TrainArgs;
use crate::item_table::{described, uncovered};
use crate::output::{thousands, warn};
use crate::reading::{bar, refuse_known};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use upnext_core::data::{Dataset, DroppedSessions, EventLog, IndexedFolder, ItemTable, ItemVocabulary};
use upnext_core::data::{PartName, PreparedFolder, TestSessions};

/// The data for training and validation.
pub(super) struct Data {
    pub(super) train: Arc<Dataset>,
    /// Those of the training after the validation.
    pub(super) whole: Option<Arc<Dataset>>,
    pub(super) known_items: Option<usize>,
    pub(super) valid: Option<TestSessions>,
}

impl Data {
    /// The data that the model has learnt from at the end.
    pub(super) fn all(&self) -> &Dataset {
        self.whole.as_deref().unwrap_or(&self.train)
    }
}

/// Reads the logs for training and validation.
pub(super) fn read(
    args: &TrainArgs,
    path: &Path,
    known: Option<ItemVocabulary>,
    table: Option<Arc<ItemTable>>,
    seed: u64,
) -> anyhow::Result<Data> {
    let quiet = args.output.quiet;
    let part = if args.validate { PartName::Fit } else { PartName::Train };
    if args.validate && !PreparedFolder::is_at(path) {
        let reason = "takes a folder that `prepare` made; with a single log use --valid LOG";
        return Err(upnext_core::Error::config("--validate", reason).into());
    }
    let known_items = known.as_ref().map(ItemVocabulary::len);
    let known = known.unwrap_or_default();
    let folder = PreparedFolder::is_at(path).then(|| PreparedFolder::open(path)).transpose()?;
    // Item numbers are taken as they are, unless other logs of ids come to them.
    let indexed = folder.as_ref().and_then(PreparedFolder::indexed);
    let indexed = indexed.filter(|_| args.older.is_none() && args.valid.is_none());
    if args.from_disk && indexed.is_none() {
        let reason = "needs a folder of item numbers, which the queries of `upnext sql prepare` write: leave it out, or prepare the log by them";
        return Err(upnext_core::Error::config("--from-disk", reason).into());
    }
    let dataset = |folder: &IndexedFolder, part, known| {
        if args.from_disk {
            folder.dataset_on_disk(part, known, &mut bar(quiet))
        } else {
            folder.dataset(part, known, &mut bar(quiet))
        }
    };
    let part_file = PreparedFolder::resolve(path, part)?;
    let mut replayed = 0;
    let valid_file = match (&args.valid, args.validate) {
        (Some(file), _) => Some(PreparedFolder::resolve(file, PartName::Valid)?),
        (None, true) => Some(PreparedFolder::resolve(path, PartName::Valid)?),
        (None, false) => None,
    };
    let mut valid = valid_file.as_ref().map(|file| args.read.read(&[file], quiet)).transpose()?;
    let (train, dropped) = if let Some(folder) = indexed {
        warn(&folder.statistics().warnings);
        (dataset(folder, part, known.clone())?, DroppedSessions::default())
    } else {
        let mut log = args.read.read(&[&part_file], quiet)?;
        warn(&log.report().warnings);
        if let (Some(valid), Some(_)) = (&mut valid, &args.valid) {
            refuse_known(&log.grouped(), &valid.grouped(), "epochs")?;
        }
        (log, replayed) = with_older(args, log, seed)?;
        Dataset::extending(&log.grouped(), known.clone())?
    };
    if replayed > 0 && !quiet {
        eprintln!("{} sessions of the older log are learnt again", thousands(replayed));
    }
    if dropped.short_sessions > 0 && !quiet {
        let count = thousands(dropped.short_sessions);
        eprintln!("{count} sessions of a single event are left out: they have no next item to learn");
    }
    let (valid, whole) = match valid.zip(valid_file) {
        Some((log, file)) => {
            warn(&log.report().warnings);
            let valid =
                TestSessions::from_log(log, &train.items).context("the validation part cannot be used")?;
            let files = if args.validate {
                vec![PreparedFolder::resolve(path, PartName::Train)?]
            } else {
                vec![part_file, file]
            };
            let whole = if args.no_refit {
                None
            } else if let Some(folder) = indexed {
                Some(dataset(folder, PartName::Train, known)?)
            } else {
                // What is wrong with these files has been said.
                let (mut log, _) = with_older(args, args.read.read(&files, quiet)?, seed)?;
                Some(Dataset::extending(&log.grouped(), known)?.0)
            };
            (Some(valid), whole)
        }
        None => (None, None),
    };
    if let Some(table) = &table {
        warn(uncovered(table, &whole.as_ref().unwrap_or(&train).items).as_slice());
    }
    let whole = whole.map(|whole| described(whole, table.as_ref()));
    let train = described(train, table.as_ref());
    Ok(Data { train: train.into(), whole: whole.map(Arc::new), known_items, valid })
}

/// The log with the sessions that are replayed, and their number.
fn with_older(args: &TrainArgs, log: EventLog, seed: u64) -> anyhow::Result<(EventLog, u64)> {
    let (Some(older), Some(share)) = (&args.older, args.replay) else { return Ok((log, 0)) };
    let older = args.read.read(&[PreparedFolder::resolve(older, PartName::Train)?], args.output.quiet)?;
    Ok(log.replaying(older, share, seed)?)
}

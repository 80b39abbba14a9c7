//! The data of a comparison: both logs, reports about them, and the titles of their items.

use super::CompareArgs;
use super::contenders::{Contender, Source};
use super::outcome::{Example, LogReport};
use crate::item_table::{described, uncovered};
use crate::next_clicks::{Test, Unknown};
use crate::output::warn;
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use upnext_core::artifact::Manifest;
use upnext_core::data::items::{ItemTable, ItemTableOptions};
use upnext_core::data::{Dataset, ItemVocabulary, LogShape, PartName, PreparedFolder, TestSessions};

/// The training and test data, and reports about their logs.
pub(super) struct Data {
    pub(super) train: Arc<Dataset>,
    /// If unknown items are ranked, the items of `train`, and then those of the item table.
    pub(super) with_new_items: Option<ItemVocabulary>,
    pub(super) test: Test,
    /// The training part without the validation part, and that one, for models whose epochs are chosen by validation.
    pub(super) selection: Option<(Arc<Dataset>, TestSessions)>,
    pub(super) reports: (LogReport, LogReport),
}

impl Data {
    /// Reads the logs; `with_selection` reads the validation part, too.
    pub(super) fn read(args: &CompareArgs, with_selection: bool) -> anyhow::Result<Self> {
        let quiet = args.output.quiet;
        let table = args.item_table.read(&args.read)?;
        let read = |part| args.read.read(&[&PreparedFolder::resolve(&args.train, part)?], quiet);
        let mut log = read(PartName::Train)?;
        warn(&log.report().warnings);
        let shape = LogShape::of(&mut log);
        let (train, dropped) = Dataset::from_log(log)?;
        let train_report = LogReport {
            path: args.train.clone(),
            shape,
            dropped,
            events: train.sessions.num_events(),
            sessions: train.sessions.len(),
        };
        if let Some(table) = &table {
            warn(uncovered(table, &train.items).as_slice());
        }
        let with_new_items = table.as_ref().filter(|_| args.cases.unknown == Unknown::Rank).map(|table| {
            let mut items = train.items.clone();
            table.ids().for_each(|id| _ = items.add(id, 0));
            items
        });
        let items = with_new_items.as_ref().unwrap_or(&train.items);
        let mut test = Test::read(args.test(), items, &args.read, args.cases.unknown, quiet, true)?;
        let sessions = &test.sessions;
        let test_report = LogReport {
            path: args.test().to_owned(),
            shape: test.shape.take().context("the shape of the test part")?,
            dropped: sessions.dropped,
            events: sessions.sessions.num_events(),
            sessions: sessions.sessions.len(),
        };
        let selection = if with_selection {
            let (fit, _) = Dataset::from_log(read(PartName::Fit)?)?;
            let valid = TestSessions::from_log(read(PartName::Valid)?, &fit.items)
                .context("the validation part cannot be used")?;
            Some((Arc::new(described(fit, table.as_ref())), valid))
        } else {
            None
        };
        let train = described(train, table.as_ref()).into();
        Ok(Self { train, with_new_items, test, selection, reports: (train_report, test_report) })
    }

    /// The vocabulary of the test sessions.
    pub(super) fn items(&self) -> &ItemVocabulary {
        self.with_new_items.as_ref().unwrap_or(&self.train.items)
    }
}

/// Whether the training part has been prepared with a validation part.
pub(super) fn has_validation(train: &Path) -> bool {
    let has = |folder: PreparedFolder| folder.has_part(PartName::Fit) && folder.has_part(PartName::Valid);
    PreparedFolder::is_at(train) && PreparedFolder::open(train).is_ok_and(has)
}

/// Warns of saved models that have learnt from other data than the training data.
pub(super) fn warn_of_other_data(contenders: &[Contender], train: &Dataset) -> upnext_core::Result<()> {
    for contender in contenders {
        let Source::Saved(folder) = &contender.source else { continue };
        let manifest = Manifest::load(folder)?;
        let (events, theirs) = (train.sessions.num_events() as u64, manifest.training.events);
        // Other items are said with the figures.
        if manifest.has_items(&train.items) && theirs != events {
            warn(&[format!(
                "{} was trained on {theirs} events and TRAIN has {events}: it does not know the same data",
                folder.display()
            )]);
        }
    }
    Ok(())
}

/// Reads a catalogue of titles.
pub(super) fn catalogue(args: &CompareArgs) -> upnext_core::Result<Option<ItemTable>> {
    let Some(path) = &args.catalogue else { return Ok(None) };
    let table = ItemTable::read(path, &ItemTableOptions::catalogue())?;
    if table.title_column().is_none() {
        let reason = format!(
            "{} has no column of titles: call one `title` or `name`, beside the ids in `{}`",
            path.display(),
            table.id_name()
        );
        return Err(upnext_core::Error::config("--catalogue", reason));
    }
    Ok(Some(table))
}

/// The titles of all items in the examples, by id; items without a title are left out.
pub(super) fn titles(table: &ItemTable, examples: &[Example]) -> BTreeMap<String, String> {
    let Some(column) = table.title_column().map(|at| &table.columns()[at]) else { return BTreeMap::new() };
    let ids = examples
        .iter()
        .flat_map(|example| example.seen.iter().chain([&example.next]).chain(example.lists.iter().flatten()));
    ids.filter_map(|id| Some((id.clone(), column.shown(table.row(id)?)?.into_owned()))).collect()
}

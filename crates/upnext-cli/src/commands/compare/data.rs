//! The data of a comparison: both logs, reports about them, and the titles of their items.

use super::CompareArgs;
use super::contenders::{Contender, Source};
use super::outcome::{Example, LogReport};
use crate::output::warn;
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use upnext_core::artifact::Manifest;
use upnext_core::data::folder::{PartName, PreparedFolder};
use upnext_core::data::items::{ItemTable, ItemTableOptions};
use upnext_core::data::{Dataset, LogShape, TestSessions};

/// The training and test data, and reports about their logs.
pub(super) struct Data {
    pub(super) train: Arc<Dataset>,
    pub(super) test: TestSessions,
    pub(super) reports: (LogReport, LogReport),
}

impl Data {
    pub(super) fn read(args: &CompareArgs) -> anyhow::Result<Self> {
        let read = |path: &Path, part| -> anyhow::Result<_> {
            let file = PreparedFolder::resolve(path, part)?;
            let mut log = args.read.read(&[&file], args.output.quiet)?;
            warn(&log.report().warnings);
            let shape = LogShape::of(&mut log);
            Ok((log, shape))
        };
        let (log, shape) = read(&args.train, PartName::Train)?;
        let (train, dropped) = Dataset::from_log(log)?;
        let train_report = LogReport {
            path: args.train.clone(),
            shape,
            dropped,
            events: train.sessions.num_events(),
            sessions: train.sessions.len(),
        };
        let (log, shape) = read(args.test(), PartName::Test)?;
        let test = TestSessions::from_log(log, &train.items).context("the test part cannot be used")?;
        let test_report = LogReport {
            path: args.test().to_owned(),
            shape,
            dropped: test.dropped,
            events: test.sessions.num_events(),
            sessions: test.sessions.len(),
        };
        Ok(Self { train: train.into(), test, reports: (train_report, test_report) })
    }
}

/// Checks that saved models have the vocabulary of the training data, since item indices would mean other items.
pub(super) fn check_vocabularies(contenders: &[Contender], train: &Dataset) -> upnext_core::Result<()> {
    let fingerprint = train.items.fingerprint();
    for contender in contenders {
        let Source::Saved(folder) = &contender.source else { continue };
        let manifest = Manifest::load(folder)?;
        if !manifest.has_items(&train.items) {
            let reason = format!(
                "{} was trained on other items ({} of them, fingerprint {}) than TRAIN has ({}, fingerprint {fingerprint}), so that the two cannot be compared: train it on the same log, or leave it out",
                folder.display(),
                manifest.items,
                manifest.vocabulary_fingerprint,
                train.items.len()
            );
            return Err(upnext_core::Error::config("--models", reason));
        }
        let (events, theirs) = (train.sessions.num_events() as u64, manifest.training.events);
        if theirs != events {
            let text = format!(
                "{} was trained on {theirs} events and TRAIN has {events}: it does not know the same data",
                folder.display()
            );
            warn(&[text]);
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

//! The first two stages: preparation of the log by the paper's rules, and its sizes beside the published ones.

use super::folder::{DataIdentity, Folder};
use super::paper::{Protocol, Size, SizeOf, sizes};
use crate::interrupt;
use crate::out_file::lies_in;
use crate::output::{thousands, warn};
use crate::progress::{Progress, Unit};
use crate::reading::bar;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use upnext_core::Error;
use upnext_core::data::{
    Dataset, DroppedSessions, EventLog, Format, Header, PrepareOptions, ReadOptions, Statistics,
    TestSessions, TimeUnit, prepare, write_parts,
};
use upnext_core::data::{PartName, PreparedFolder};

/// Options for reading the challenge's click file: session, ISO 8601 time, item, category, separated by commas, no
/// header.
pub(super) fn challenge_columns() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.session_column = vec!["1".to_owned()];
    options.time_column = Some("2".to_owned());
    options.item_column = Some("3".to_owned());
    options.delimiter = Some(",".to_owned());
    options.header = Header::No;
    options.time_unit = TimeUnit::Iso;
    options
}

/// The prepared training and test parts.
pub(super) struct Data {
    pub(super) statistics: Statistics,
    pub(super) train: Arc<Dataset>,
    pub(super) test: TestSessions,
}

impl Data {
    /// Prepares the log unless the folder has its parts already, and reads them. New parts are read back from the
    /// folder, too, so that they are used in the same way as those of an earlier process.
    pub(super) fn of(
        folder: &mut Folder,
        clicks: &Path,
        protocol: Protocol,
        read: &ReadOptions,
        options: &PrepareOptions,
        quiet: bool,
    ) -> anyhow::Result<Self> {
        let place = folder.data();
        if lies_in(clicks, &place) {
            let (clicks, place) = (clicks.display(), place.display());
            anyhow::bail!(
                "{clicks}: lies in the folder that is to be written, {place}: choose another folder"
            );
        }
        if PreparedFolder::is_at(&place) {
            folder.begin()?;
        } else {
            let log = EventLog::read(clicks, read, &mut bar(quiet));
            let log = log.map_err(|error| about_format(error, protocol))?;
            let prepared = prepare(log, options, &mut |_| interrupt::check())?;
            folder.begin()?;
            let progress = Progress::new(quiet, "writing", Unit::Events);
            write_parts(&prepared, &place, Format::Parquet, &mut |done, total| progress.at(done, total))?;
        }
        let prepared = PreparedFolder::open(&place)?;
        let statistics = prepared.statistics().clone();
        if statistics.options != *options {
            anyhow::bail!(
                "{}: was not prepared by this command: remove it, and go on by --resume",
                place.display()
            );
        }
        warn(&statistics.warnings);
        let read_part = |part| -> anyhow::Result<EventLog> {
            let path = prepared.part(part)?;
            Ok(EventLog::read(&path, &ReadOptions::default(), &mut bar(quiet))?)
        };
        let train = Arc::new(Dataset::from_log(read_part(PartName::Train)?)?.0);
        let test = TestSessions::from_log(read_part(PartName::Test)?, &train.items)
            .context("the test part cannot be used")?;
        Ok(Self { statistics, train, test })
    }

    /// The identity of the data on which figures are based.
    pub(super) fn identity(&self) -> DataIdentity {
        DataIdentity {
            vocabulary_fingerprint: self.train.items.fingerprint(),
            train_events: self.train.sessions.num_events() as u64,
            train_sessions: self.train.sessions.len() as u64,
            test_events: self.test.sessions.num_events() as u64,
            test_sessions: self.test.sessions.len() as u64,
        }
    }
}

/// Adds a description of the challenge's file to a reader's error.
fn about_format(error: Error, protocol: Protocol) -> anyhow::Error {
    let is_about_rows =
        matches!(error, Error::BadRow { .. } | Error::MissingColumn { .. } | Error::AmbiguousLog { .. });
    if protocol == Protocol::Rsc15 && is_about_rows {
        let message = format!(
            "{error}\nThis is no click file of the RecSys Challenge 2015, which has session, ISO 8601 time, item and category, separated by commas, without a header; `reproduce video-like` and `compare` take any log"
        );
        return anyhow::Error::new(error).context(message);
    }
    error.into()
}

/// A size of the data beside the published one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    pub(super) what: SizeOf,
    pub(super) measured: u64,
    pub(super) published: u64,
    /// Whether the published size is rounded, so that equality is not expected.
    pub(super) about: bool,
    pub(super) same: bool,
}

/// The sizes of the prepared data, each beside the published one.
pub(super) fn counts(protocol: Protocol, statistics: &Statistics) -> Vec<Count> {
    let whole = statistics.uncut_train.unwrap_or(statistics.train);
    let measured = |of| match of {
        SizeOf::TrainEvents => whole.events,
        SizeOf::TrainSessions => whole.sessions,
        SizeOf::TrainItems => whole.items,
        SizeOf::TestEvents => statistics.test.events,
        SizeOf::TestSessions => statistics.test.sessions,
        SizeOf::CutPairs => statistics.train.pairs(),
        SizeOf::CutAndTestEvents => statistics.train.events + statistics.test.events,
    };
    let count = |Size { of, published, about }: Size| {
        let measured = measured(of);
        Count { what: of, measured, published, about, same: measured == published }
    };
    sizes(protocol, statistics.options.scale).into_iter().map(count).collect()
}

/// Notes about the data that readers of the figures need, in sentences.
pub(super) fn notes(protocol: Protocol, counts: &[Count], data: &Data) -> Vec<String> {
    let scale = data.statistics.options.scale;
    let mut notes = Vec::new();
    let different: Vec<String> = counts
        .iter()
        .filter(|count| !count.same)
        .map(|c| {
            format!("{} {} ({} published)", c.what.label(), thousands(c.measured), thousands(c.published))
        })
        .collect();
    match (protocol, different.is_empty()) {
        (Protocol::Rsc15, true) => {
            notes.push("All sizes are the published ones: this is the paper's log.".to_owned());
        }
        (Protocol::Rsc15, false) => notes.push(format!(
            "This is not the paper's log: {}. The figures below are of another log, and are not expected to equal the published ones.",
            different.join(", ")
        )),
        (Protocol::VideoLike, _) => notes.push(
            "The paper's VIDEO log was never published: the figures below are of another log, and are not expected to equal the published ones."
                .to_owned(),
        ),
    }
    if scale > 1 {
        notes.push(format!(
            "Trained on the last 1/{scale} of the pairs ({}): the published figures are of all of them, and more data usually gives larger figures.",
            thousands(data.statistics.train.pairs())
        ));
    }
    if let Some(longest) = data.statistics.options.max_session_length {
        notes.push(format!(
            "Sessions of more than {} events are left out as those of programs; the paper does so without naming its limit.",
            thousands(longest as u64)
        ));
    }
    if data.test.dropped != DroppedSessions::default() {
        notes.push(format!(
            "Of the test part, {} events on items unknown to training are left out, then {} sessions of fewer than two events.",
            thousands(data.test.dropped.unknown_events),
            thousands(data.test.dropped.short_sessions)
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;
    use upnext_core::data::PartCounts;

    fn part(events: u64, sessions: u64, items: u64) -> PartCounts {
        let mut counts = PartCounts::default();
        (counts.events, counts.sessions, counts.items) = (events, sessions, items);
        counts
    }

    /// Statistics of a preparation with these parts.
    fn statistics(train: PartCounts, uncut_train: Option<PartCounts>, scale: u64) -> Statistics {
        let mut log = EventLog::new();
        for (session, item, time) in
            [("s", "a", 1 << 50), ("s", "b", 1 << 50), ("t", "a", 3 << 49), ("t", "b", 3 << 49)]
        {
            log.push(session, item, time);
        }
        let mut options = PrepareOptions::default();
        (options.min_item_support, options.validation) = (1, None);
        let prepared = prepare(log, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        let mut statistics = prepared.statistics().clone();
        statistics.options.scale = scale;
        (statistics.train, statistics.uncut_train) = (train, uncut_train);
        statistics.test = part(71_222, 15_324, 6_751);
        statistics
    }

    #[test]
    fn the_paper_s_own_sizes_are_all_the_same_at_any_scale() {
        let whole = part(31_637_239, 7_966_257, 37_483);
        let of = |s: Statistics| counts(Protocol::Rsc15, &s);
        assert!(of(statistics(whole, None, 1)).iter().all(|count| count.same));
        let cut = of(statistics(part(486_026, 116_167, 17_376), Some(whole), 64));
        assert!(cut.len() == 7 && cut.iter().all(|count| count.same), "{cut:?}");
        let other = of(statistics(part(486_026, 116_166, 17_376), Some(whole), 64));
        let different: Vec<_> = other.iter().filter(|count| !count.same).map(|count| count.what).collect();
        assert_eq!(different, [SizeOf::CutPairs]);
    }
}

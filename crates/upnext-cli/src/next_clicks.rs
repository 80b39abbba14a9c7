//! The test sessions of the commands that evaluate models, and what becomes of next clicks on unknown items.

use crate::output::{thousands, warn};
use crate::reading::ReadArgs;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;
use upnext_core::data::{ItemVocabulary, LogShape, NextClicks, TestSessions};
use upnext_core::data::{PartName, PreparedFolder};

/// What happens to next clicks on items that the model does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unknown {
    /// They are no cases, as in the paper
    #[default]
    LeaveOut,
    /// They are cases that every model misses
    Miss,
    /// They are cases where a table of items has the item: the model makes its vector of its attributes, and it is a candidate from
    /// its first event on
    Rank,
}

/// The test part.
pub(crate) struct Test {
    /// The sessions that are ranked.
    pub(crate) sessions: TestSessions,
    /// All next clicks of the test part; `None` if those on unknown items have been dropped by a version that did not count
    /// them, or by hand.
    pub(crate) next_clicks: Option<NextClicks>,
    /// The shape of the log that was read, if it was asked for.
    pub(crate) shape: Option<LogShape>,
}

impl Test {
    /// Reads the test part of a prepared folder, or a log; `with_shape` computes the log's shape, too.
    pub(crate) fn read(
        path: &Path,
        items: &ItemVocabulary,
        read: &ReadArgs,
        unknown: Unknown,
        quiet: bool,
        with_shape: bool,
    ) -> anyhow::Result<Self> {
        let open = |path: &Path| -> anyhow::Result<_> {
            let mut log = read.read(&[path], quiet)?;
            warn(&log.report().warnings);
            let shape = with_shape.then(|| LogShape::of(&mut log));
            Ok((log, shape))
        };
        let sessions_of = |log| TestSessions::from_log(log, items).context("the test part cannot be used");
        let is_cut =
            |reason: &str| upnext_core::Error::config("--unknown", format!("{}: {reason}", path.display()));
        if !PreparedFolder::is_at(path) {
            let is_whole = path.file_stem().is_some_and(|stem| stem == PartName::TestAll.as_str());
            if PreparedFolder::is_part(path) && !is_whole {
                if unknown != Unknown::LeaveOut {
                    return Err(is_cut(
                        "`prepare` has dropped events on unknown items from such a part: name its folder",
                    )
                    .into());
                }
                let (log, shape) = open(path)?;
                return Ok(Self { sessions: sessions_of(log)?, next_clicks: None, shape });
            }
            let (log, shape) = open(path)?;
            let sessions = sessions_of(log)?;
            return Ok(Self { next_clicks: Some(sessions.next_clicks), sessions, shape });
        }
        let folder = PreparedFolder::open(path)?;
        let has_all = folder.has_part(PartName::TestAll);
        let is_counted = folder.statistics().test_next_clicks.is_some();
        if unknown != Unknown::LeaveOut && !is_counted {
            return Err(is_cut(
                "an older version dropped the next clicks on unknown items: prepare the log again",
            )
            .into());
        }
        let whole = if has_all && is_counted { Some(open(&folder.part(PartName::TestAll)?)?) } else { None };
        if unknown != Unknown::LeaveOut
            && let Some((log, shape)) = whole
        {
            let sessions = sessions_of(log)?;
            return Ok(Self { next_clicks: Some(sessions.next_clicks), sessions, shape });
        }
        let whole = whole.map(|(log, _)| sessions_of(log)).transpose()?;
        let (log, shape) = open(&folder.part(PartName::Test)?)?;
        let sessions = sessions_of(log)?;
        let own = is_counted.then_some(sessions.next_clicks);
        Ok(Self { next_clicks: whole.map(|whole| whole.next_clicks).or(own), sessions, shape })
    }

    /// The number of misses of each session; empty if next clicks on unknown items are left out.
    pub(crate) fn misses(&self, unknown: Unknown) -> Vec<u32> {
        if unknown == Unknown::Miss { self.sessions.misses() } else { Vec::new() }
    }
}

/// The sentence about next clicks that are no case, where there are `cases` of them; `misses` of the others count as misses.
pub(crate) fn sentence(clicks: Option<NextClicks>, cases: u64, misses: u64) -> String {
    let Some(NextClicks { total, unknown, .. }) = clicks else {
        return "next clicks on items that training has not seen are not counted: they were dropped before\n"
            .to_owned();
    };
    let others = match total.saturating_sub(unknown).saturating_sub(cases) {
        0 => String::new(),
        others => format!(", and {} more come after nothing known", thousands(others)),
    };
    let counted = if misses > 0 {
        format!("{others}: {} misses", thousands(misses))
    } else if unknown > 0 {
        format!("{others}: they are left out (`--unknown miss` counts them as misses)")
    } else {
        String::new()
    };
    let share = if total > 0 { unknown as f64 / total as f64 * 100.0 } else { 0.0 };
    format!(
        "of {} next clicks {} ({share:.1}%) are on items that training has not seen{counted}\n",
        thousands(total),
        thousands(unknown),
    )
}

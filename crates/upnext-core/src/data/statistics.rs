//! The statistics of a preparation: `statistics.json` in the folder that `prepare` writes.

use super::durations::SessionTimes;
use super::part::PartCounts;
use super::prepare::PrepareOptions;
use super::report::FileReport;
use super::test_sessions::NextClicks;
use serde::{Deserialize, Serialize};

/// Why events were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DropRule {
    /// The event is a copy of another with the same session, item and time.
    Duplicate,
    /// The session begins before `since`.
    Since,
    /// The session does not end before `until`.
    Until,
    /// The session has more than `max_session_length` events.
    LongSession,
    /// The event repeats the item of the event before.
    Repeat,
    /// The session has fewer than `min_session_length` events.
    ShortSession,
    /// The item has fewer than `min_item_support` events.
    RareItem,
    /// The session has fewer than `min_session_length` events after rare items were dropped.
    ShortSessionAfterItems,
    /// The item of a test (or validation) event does not occur in training.
    UnknownItem,
    /// The test (or validation) session has fewer than `min_session_length` events after unknown items were dropped.
    ShortTestSession,
    /// The training event is older than the last pairs, which `scale` keeps.
    BeforeLastPairs,
}

impl DropRule {
    /// The rule's name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Since => "since",
            Self::Until => "until",
            Self::LongSession => "long-session",
            Self::Repeat => "repeat",
            Self::ShortSession => "short-session",
            Self::RareItem => "rare-item",
            Self::ShortSessionAfterItems => "short-session-after-items",
            Self::UnknownItem => "unknown-item",
            Self::ShortTestSession => "short-test-session",
            Self::BeforeLastPairs => "before-last-pairs",
        }
    }

    /// A short description of the rule.
    pub fn label(self) -> &'static str {
        match self {
            Self::Duplicate => "copy of another event",
            Self::Since => "begun before `since`",
            Self::Until => "not ended before `until`",
            Self::LongSession => "session too long",
            Self::Repeat => "repeat of the item before",
            Self::ShortSession => "session too short",
            Self::RareItem => "rare item",
            Self::ShortSessionAfterItems => "session too short after rare items",
            Self::UnknownItem => "item not in training",
            Self::ShortTestSession => "session too short after unknown items",
            Self::BeforeLastPairs => "before the last pairs of training",
        }
    }
}

/// The counts of what one rule dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dropped {
    /// The rule.
    pub rule: DropRule,
    /// Number of events dropped.
    pub events: u64,
    /// Number of sessions without any event left.
    pub sessions: u64,
}

/// The statistics of a preparation: the counts of the log, of what each rule dropped, and of the parts.
///
/// Every event is counted once: the events of `log` are those of `train`, `test` and `dropped`; those of `train` are
/// those of `fit`, `valid` and `dropped_from_valid`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Statistics {
    /// The program that wrote the folder, which marks it as one that `prepare` may replace.
    pub made_by: String,
    /// The version of the file format.
    pub format_version: u32,
    /// The reports of the files that were read.
    pub sources: Vec<FileReport>,
    /// The rules.
    pub options: PrepareOptions,
    /// The log as read.
    pub log: PartCounts,
    /// How long the sessions of the log last; absent if the times are a counter or every session has one event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_times: Option<SessionTimes>,
    /// What was dropped, in the order of the rules.
    pub dropped: Vec<Dropped>,
    /// The training part.
    pub train: PartCounts,
    /// The training part before the cut by `scale`; absent without a cut.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uncut_train: Option<PartCounts>,
    /// The test part.
    pub test: PartCounts,
    /// The next clicks of the test sessions, those on unknown items included; absent in a folder of an older version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub test_next_clicks: Option<NextClicks>,
    /// The training part without the validation part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fit: Option<PartCounts>,
    /// The validation part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub valid: Option<PartCounts>,
    /// The next clicks of the validation sessions, those on items included that `fit` has not seen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub valid_next_clicks: Option<NextClicks>,
    /// What was dropped from the validation part.
    pub dropped_from_valid: Vec<Dropped>,
    /// Warnings about suspicious data.
    pub warnings: Vec<String>,
}

impl Statistics {
    /// The value of [`made_by`](Self::made_by).
    pub const MADE_BY: &'static str = "upnext prepare";
    /// The newest [`format_version`](Self::format_version).
    pub const FORMAT_VERSION: u32 = 1;
}

//! Filters a log and splits it by time into training and test parts (Hidasi et al., ICLR 2016, section 4).
//!
//! The filters drop, in this order: sessions that begin before [`since`](PrepareOptions::since) or do not end before [`until`](PrepareOptions::until), sessions longer
//! than [`max_session_length`](PrepareOptions::max_session_length), immediate repeats, short sessions, rare items, and
//! sessions that have become short. Of the rest, the sessions whose last event is within
//! [`holdout`](PrepareOptions::holdout) of the very last event are the test part. From the test part, events on items
//! that the training part lacks are dropped, then short sessions. With a [`scale`](PrepareOptions::scale), only the
//! last pairs of the training part are kept. The training part is split once more by the same rule into `fit` and
//! `valid`, without filtering again.

mod cut;
mod filter;

use super::durations::SessionTimes;
use super::events::{Event, EventLog};
use super::holdout::{self, End, Holdout, end_of};
use super::ids::IdTable;
use super::part::{Part, PartCounts, PartName};
use super::report::FileReport;
use super::sessions::TimeMicros;
use super::statistics::{DropRule, Dropped, Statistics};
use super::test_sessions::NextClicks;
use super::time::{TimeSpan, format_time, optional_time};
use super::warnings::{self, SessionStatistics};
use crate::error::{Error, Result};
use filter::{drop_unknown, filter, known_items, retain_sessions};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The rules of [`prepare`]. The defaults are those of the paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PrepareOptions {
    /// Only sessions whose first event is at or after this time are kept. Absent: all. Written as ISO 8601.
    #[serde(with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub since: Option<TimeMicros>,
    /// Only sessions whose last event is before this time are kept. Absent: all. Written as ISO 8601.
    #[serde(with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub until: Option<TimeMicros>,
    /// What is held out at the end of the log is the test part: the sessions that end within a span of the last event, a
    /// share of the sessions, or a number of them. 1 day, as in the paper for RSC15.
    pub holdout: Holdout,
    /// The validation part, which is split off the training part by the same rule; `none`: no split. 1 day (the paper
    /// does not specify a validation part).
    #[serde(with = "holdout::or_none")]
    pub validation: Option<Holdout>,
    /// Items with fewer events are dropped. 5, which gives the paper's 37,483 items.
    pub min_item_support: u64,
    /// Sessions with fewer events are dropped, ≥ 2. 2, as in the paper.
    pub min_session_length: usize,
    /// Sessions with more events are dropped (bots; the paper does so for VIDEO, without giving the number). Absent:
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_session_length: Option<usize>,
    /// Whether one of several events with the same session, item and time is kept: exact copies, which a file that was
    /// given twice or a join makes. They are dropped before all other rules.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop_duplicates: bool,
    /// Whether only the first of several consecutive events on the same item is kept.
    pub drop_repeats: bool,
    /// Whether rare items and short sessions are dropped repeatedly until nothing changes. In the paper: once.
    pub iterate_filters: bool,
    /// The last 1/`scale` of the training pairs (events minus sessions) are kept, rounded down, with sessions ordered
    /// by start time, then by id. Sessions are kept whole, except the one at the cut, which keeps its latest events.
    /// The test part is that of the whole log. 1: all pairs; later publications use 4 and 64 for RSC15.
    #[serde(skip_serializing_if = "is_one")]
    pub scale: u64,
}

fn is_one(scale: &u64) -> bool {
    *scale == 1
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            since: None,
            until: None,
            holdout: Holdout::Span(TimeSpan::DAY),
            validation: Some(Holdout::Span(TimeSpan::DAY)),
            min_item_support: 5,
            min_session_length: 2,
            max_session_length: None,
            drop_duplicates: false,
            drop_repeats: false,
            iterate_filters: false,
            scale: 1,
        }
    }
}

impl PrepareOptions {
    /// Checks the rules.
    ///
    /// # Errors
    /// [`Error::Config`] for rules that no log can meet.
    pub fn check(&self) -> Result<()> {
        if self.min_session_length < 2 {
            return Err(Error::config(
                "min_session_length",
                "must be at least 2: a session of one event has no next item",
            ));
        }
        if self.max_session_length.is_some_and(|max| max < self.min_session_length) {
            return Err(Error::config("max_session_length", "must be at least `min_session_length`"));
        }
        if self.scale == 0 {
            return Err(Error::config("scale", "must be at least 1, which keeps all of the training part"));
        }
        Ok(())
    }
}

/// A log after filtering and splitting.
#[derive(Clone, Debug)]
pub struct Prepared {
    train: Vec<Event>,
    test: Vec<Event>,
    /// The test sessions with their events on unknown items, if there are some.
    test_all: Option<Vec<Event>>,
    /// The validation events, and the end before which the sessions of `fit` end.
    valid: Option<(Vec<Event>, End)>,
    session_ids: IdTable,
    item_ids: IdTable,
    statistics: Statistics,
}

impl Prepared {
    fn of<'a>(&'a self, events: &'a [Event]) -> Part<'a> {
        Part::new(events, &self.session_ids, &self.item_ids)
    }

    /// A part by its name; `None` if there is none.
    pub fn part(&self, name: PartName) -> Option<Part<'_>> {
        match name {
            PartName::Train => Some(self.train()),
            PartName::Test => Some(self.test()),
            PartName::TestAll => self.test_all(),
            PartName::Fit => self.fit(),
            PartName::Valid => self.valid(),
        }
    }

    /// The training part.
    pub fn train(&self) -> Part<'_> {
        self.of(&self.train)
    }

    /// The test part.
    pub fn test(&self) -> Part<'_> {
        self.of(&self.test)
    }

    /// The test sessions before events on items that training has not seen were dropped; `None` if there are none.
    pub fn test_all(&self) -> Option<Part<'_>> {
        self.test_all.as_ref().map(|events| self.of(events))
    }

    /// The training part without the validation part, if it was split.
    pub fn fit(&self) -> Option<Part<'_>> {
        self.valid.as_ref().map(|(_, limit)| self.train().ended_before(*limit))
    }

    /// The validation part, if it was split off.
    pub fn valid(&self) -> Option<Part<'_>> {
        self.valid.as_ref().map(|(events, _)| self.of(events))
    }

    /// The statistics of the preparation.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }
}

/// A phase of a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreparePhase {
    /// Grouping the events by session, and counting them.
    Group,
    /// Filtering sessions and items.
    Filter,
    /// Splitting off the test part.
    Split,
    /// Splitting off the validation part.
    Validation,
    /// Counting the parts.
    Count,
}

/// The progress of a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrepareProgress {
    /// The phase that begins.
    pub phase: PreparePhase,
    /// Number of events that are left.
    pub events: u64,
}

/// Filters a log and splits it by time, as described in [the module](self). The peak memory is about 20 bytes per
/// event, and 40 of a log with an order besides its times.
///
/// `progress` is called at the beginning of every phase, and can stop the preparation.
///
/// # Errors
/// [`Error::Config`] for invalid rules, [`Error::EmptyAfterFiltering`] if no training session is left,
/// [`Error::Stopped`].
pub fn prepare(
    mut log: EventLog,
    options: &PrepareOptions,
    progress: &mut dyn FnMut(PrepareProgress) -> ControlFlow<()>,
) -> Result<Prepared> {
    let mut begin = |phase, events: usize| match progress(PrepareProgress { phase, events: events as u64 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Stopped),
    };
    options.check()?;
    begin(PreparePhase::Group, log.len())?;
    let whole = log.grouped();
    let counts = whole.counts();
    let mut warnings = log.report.warnings.clone();
    let is_counter = warnings::is_counter(log.events());
    check_span(is_counter, "holdout", Some(options.holdout))?;
    check_span(is_counter, "validation", options.validation)?;
    let copies = log.copies();
    let count = copies.len() as u64;
    let mut dropped = Vec::new();
    if options.drop_duplicates && count > 0 {
        let (mut copies, mut at) = (copies.into_iter().peekable(), 0..);
        log.events.retain(|_| copies.next_if_eq(&at.next().unwrap_or(0)).is_none());
        dropped.push(Dropped { rule: DropRule::Duplicate, events: count, sessions: 0 });
    }
    let sessions = || log.events.chunk_by(|a, b| a.session == b.session);
    let session_times = if is_counter { None } else { SessionTimes::of(sessions()) };
    warnings.extend(SessionStatistics::of(sessions(), count).warnings(is_counter, &log, options));
    let EventLog { mut events, session_ids, item_ids, report, .. } = log;
    begin(PreparePhase::Filter, events.len())?;
    filter(&mut events, options, item_ids.len(), &mut dropped);
    let Some(last) = events.iter().map(|e| e.time).max() else {
        return Err(Error::EmptyAfterFiltering {
            left_without: "no session is left",
            why: explain(&counts, report.files.first(), &dropped),
        });
    };
    let ends = || events.chunk_by(|a, b| a.session == b.session).map(end_of);
    if let (false, Holdout::Span(span)) = (is_counter, options.holdout) {
        warnings.extend(warnings::about_tail(ends().map(|(time, _)| time), span));
    }

    begin(PreparePhase::Split, events.len())?;
    let limit = options.holdout.limit(ends()).unwrap_or((last, 0));
    if let (false, Holdout::Span(span)) = (is_counter, options.holdout) {
        warnings.extend(warnings::about_days(&events, ends().map(|(time, _)| time), span, limit.0));
    }
    let mut test = Vec::new();
    retain_sessions(&mut events, |session| {
        let is_train = end_of(session) < limit;
        if !is_train {
            test.extend_from_slice(session);
        }
        is_train
    });
    if events.is_empty() {
        let why = match options.holdout {
            Holdout::Span(span) => format!(
                "every session ends within {span} of the log's last event ({}): use a shorter `holdout`, or a share of the sessions, such as 10%",
                format_time(last)
            ),
            holdout => format!("there are not more sessions than {holdout}: use a smaller `holdout`"),
        };
        return Err(Error::EmptyAfterFiltering { left_without: "no training session is left", why });
    }
    let test_all = test.clone();
    drop_unknown(&mut test, &known_items(events.iter(), item_ids.len()), options, &mut dropped);
    if test.is_empty() {
        warnings.push(
            "the test part is empty: no session of the held-out time has two events on items of the training part; a longer `holdout` may help"
                .to_owned(),
        );
    }
    let uncut_train = if options.scale > 1 {
        let uncut = Part::new(&events, &session_ids, &item_ids).counts();
        cut_to_last(&mut events, &session_ids, options.scale, &mut dropped)?;
        Some(uncut)
    } else {
        None
    };
    let test_next_clicks = next_clicks(&test_all, &known_items(events.iter(), item_ids.len()));
    let test_all = Some(test_all).filter(|all| all.len() > test.len());
    let (mut dropped_from_valid, mut valid_next_clicks) = (Vec::new(), None);
    begin(PreparePhase::Validation, events.len() + test.len())?;
    let valid = options.validation.and_then(|span| {
        let valid = split_validation(&events, span, item_ids.len(), options, &mut dropped_from_valid);
        valid_next_clicks = valid.as_ref().map(|(.., clicks)| *clicks);
        if valid.is_none() {
            dropped_from_valid.clear();
            warnings.push(format!(
                "no validation part: without {span} at the end of the training part, one side is empty"
            ));
        }
        valid
    });
    begin(PreparePhase::Count, events.len() + test.len())?;
    let mut prepared = Prepared {
        train: events,
        test,
        test_all,
        valid: valid.map(|(events, limit, _)| (events, limit)),
        session_ids,
        item_ids,
        statistics: Statistics {
            made_by: Statistics::MADE_BY.to_owned(),
            format_version: Statistics::FORMAT_VERSION,
            sources: report.files,
            options: options.clone(),
            log: counts,
            session_times,
            dropped,
            train: PartCounts::default(),
            uncut_train,
            test: PartCounts::default(),
            test_next_clicks: Some(test_next_clicks),
            fit: None,
            valid: None,
            valid_next_clicks,
            dropped_from_valid,
            warnings,
        },
    };
    let [train, test] = [prepared.train(), prepared.test()].map(|part| part.counts());
    let [fit, valid] = [prepared.fit(), prepared.valid()].map(|part| part.map(|p| p.counts()));
    prepared.statistics = Statistics { train, test, fit, valid, ..prepared.statistics };
    Ok(prepared)
}

/// Checks that a log without times is not split by a span of time.
fn check_span(is_counter: bool, option: &'static str, holdout: Option<Holdout>) -> Result<()> {
    if is_counter && holdout.is_some_and(Holdout::is_span) {
        let reason = "the times are a counter, which has no days: give a share of the sessions, such as 10%, or a number of them, such as 500 sessions";
        return Err(Error::config(option, reason));
    }
    Ok(())
}

/// Keeps the last 1/`scale` of the training pairs.
fn cut_to_last(
    events: &mut Vec<Event>,
    session_ids: &IdTable,
    scale: u64,
    dropped: &mut Vec<Dropped>,
) -> Result<()> {
    let pairs = cut::pairs(events);
    let wanted = pairs / scale;
    if wanted == 0 {
        let why = format!(
            "the training part has {pairs} pairs, and 1/{scale} of them is none: use a smaller `scale`"
        );
        return Err(Error::EmptyAfterFiltering { left_without: "no training pair is left", why });
    }
    let (events, sessions) = cut::keep_last_pairs(events, session_ids, wanted);
    if events > 0 {
        dropped.push(Dropped { rule: DropRule::BeforeLastPairs, events, sessions });
    }
    Ok(())
}

/// The validation events, the time before which the other sessions end, and the next clicks before events were dropped;
/// `None` if one side would be empty.
fn split_validation(
    train: &[Event],
    holdout: Holdout,
    num_items: usize,
    options: &PrepareOptions,
    dropped: &mut Vec<Dropped>,
) -> Option<(Vec<Event>, End, NextClicks)> {
    let sessions = || train.chunk_by(|a, b| a.session == b.session);
    let limit = holdout.limit(sessions().map(end_of))?;
    let in_fit = |session: &[Event]| end_of(session) < limit;
    let known = known_items(sessions().filter(|s| in_fit(s)).flatten(), num_items);
    let mut valid: Vec<Event> = sessions().filter(|s| !in_fit(s)).flatten().copied().collect();
    let clicks = next_clicks(&valid, &known);
    drop_unknown(&mut valid, &known, options, dropped);
    // Without a single session in `fit` no item is known, and `valid` is empty too.
    (!valid.is_empty()).then_some((valid, limit, clicks))
}

/// The next clicks of grouped events.
fn next_clicks(events: &[Event], known: &[bool]) -> NextClicks {
    NextClicks::of(events.chunk_by(|a, b| a.session == b.session), |item| known[item as usize])
}

/// The message for a log of which nothing is left, with the counts of the rules.
fn explain(log: &PartCounts, file: Option<&FileReport>, dropped: &[Dropped]) -> String {
    let steps: Vec<String> = dropped
        .iter()
        .map(|d| format!("{} events, {} sessions: {}", d.events, d.sessions, d.rule.label()))
        .collect();
    let advice = file.map_or_else(|| "Soften".to_owned(), |file| {
        format!(
            "Are these the right columns: session {}, item {}, time {} (`session_column`, `item_column`, `time_column`)? Else soften",
            file.session, file.item, file.time
        )
    });
    format!(
        "of {} events in {} sessions all were dropped ({}). {advice} the rules (`min_item_support`, `min_session_length`, `since`, `until`)",
        log.events,
        log.sessions,
        steps.join("; ")
    )
}

#[cfg(test)]
mod tests;

//! Windows of a training part: models are fitted on the sessions before each window and judged on the window's, without
//! a look at the test part (evaluation on a rolling origin; Tashman, *Out-of-sample tests of forecasting accuracy*,
//! International Journal of Forecasting 2000).

use crate::data::time::MICROS_PER_DAY;
use crate::data::{Dataset, DroppedSessions, ItemIndex, Sessions, TimeMicros};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How the sessions of a training part are cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WindowCut {
    /// A window is a day: the newest one has the sessions that start within a day of the last session's start.
    Days,
    /// A window is an equal share of the sessions, in the order of their starts.
    Shares,
}

/// The sessions of a window, and those before it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Window {
    /// The sessions that start before the window, with a vocabulary of their own.
    pub fit: Dataset,
    /// The sessions of the window, in the indices of [`fit`](Self::fit); each has at least two events.
    pub judge: Sessions,
    /// Number of events of the window's sessions, before any was dropped.
    pub events: usize,
    /// What was dropped from the window: events on items that `fit` lacks, then sessions of fewer than two events.
    pub dropped: DroppedSessions,
    /// How the windows were cut, the same for all.
    pub cut: WindowCut,
    /// The start of the window's first session, before any was dropped.
    pub first_start_us: TimeMicros,
    /// The start of the window's last session, before any was dropped.
    pub last_start_us: TimeMicros,
}

/// Splits training data into `count` windows, the oldest first: its last days, each with the sessions before it.
///
/// A session belongs to the window in which it starts, and is never cut. The windows are days if the times are real, the
/// sessions span `count` + 1 days, and every day can be judged; otherwise the sessions are cut into `count` + 1 equal parts,
/// of which the first is only fitted ([`Window::cut`]). As in a test part, events of a window on items that the sessions
/// before it lack are dropped, then sessions of fewer than two events.
///
/// Each window has a copy of the sessions before it: all of them take up to `count` times the memory of `data`.
///
/// # Errors
/// [`Error::Config`] if `count` is 0; [`Error::EmptyAfterFiltering`] if a window has no session that can be judged.
pub fn windows(data: &Dataset, count: usize) -> Result<Vec<Window>> {
    if count == 0 {
        return Err(Error::config("windows", "must be 1 or more"));
    }
    match windows_of_days(data, count) {
        Some(windows) => Ok(windows),
        None => windows_of_shares(data, count, count.saturating_add(1)),
    }
}

/// The last `count` days as windows, as [`windows`] has them; `None` if the times are no real ones, or the days too few, or a
/// day has no session that can be judged.
pub(crate) fn windows_of_days(data: &Dataset, count: usize) -> Option<Vec<Window>> {
    let order = Order::of(data);
    let bounds = order.days(count)?;
    let judged = order.judged_in(&bounds);
    let can_be_judged = judged.iter().all(|(sessions, _)| !sessions.is_empty());
    can_be_judged.then(|| order.windows(&bounds, judged, WindowCut::Days))
}

/// The last `count` of `parts` equal parts of the sessions, in the order of their starts, as windows.
///
/// # Errors
/// [`Error::EmptyAfterFiltering`] if one has no session that can be judged.
pub(crate) fn windows_of_shares(data: &Dataset, count: usize, parts: usize) -> Result<Vec<Window>> {
    let order = Order::of(data);
    let bounds = order.shares(count, parts);
    let judged = order.judged_in(&bounds);
    match judged.iter().position(|(sessions, _)| sessions.is_empty()) {
        None => Ok(order.windows(&bounds, judged, WindowCut::Shares)),
        Some(window) => Err(Error::EmptyAfterFiltering {
            left_without: "no session to judge models on",
            why: format!(
                "window {} of {count} has no session with two events on items of the sessions before it, of {} sessions in all: use fewer windows",
                window + 1,
                data.sessions.len()
            ),
        }),
    }
}

/// The items of sessions to judge, in the indices of the data, and what was dropped from them.
type Judged = (Vec<(Vec<ItemIndex>, TimeMicros)>, DroppedSessions);

/// The sessions of the data in the order of their starts.
pub(super) struct Order<'d> {
    data: &'d Dataset,
    /// Indices of sessions; sessions that start at the same time are in the order of the data.
    pub(super) sessions: Vec<u32>,
    /// The place in `sessions` of the first session with each item; `usize::MAX` for items without a session.
    pub(super) first_seen: Vec<usize>,
}

impl<'d> Order<'d> {
    pub(super) fn of(data: &'d Dataset) -> Self {
        let mut sessions: Vec<u32> = (0..data.sessions.len() as u32).collect();
        let starts: Vec<TimeMicros> = data.sessions.starts().collect();
        sessions.sort_by_key(|&s| starts[s as usize]);
        let mut first_seen = vec![usize::MAX; data.items.len()];
        for (place, &s) in sessions.iter().enumerate() {
            for &item in data.sessions.session(s as usize) {
                let first = &mut first_seen[item as usize];
                *first = place.min(*first);
            }
        }
        Self { data, sessions, first_seen }
    }

    pub(super) fn start(&self, place: usize) -> TimeMicros {
        self.data.sessions.start(self.sessions[place] as usize)
    }

    /// The places at which windows of a day begin, and the end of the last; `None` if the sessions do not span a day more.
    fn days(&self, count: usize) -> Option<Vec<usize>> {
        let last = self.sessions.len().checked_sub(1)?;
        let (first, last) = (self.start(0), self.start(last));
        let days = i64::try_from(count).ok()?.checked_add(1)?;
        if self.data.sessions.times_are_counter()
            || last.saturating_sub(first) < days.saturating_mul(MICROS_PER_DAY)
        {
            return None;
        }
        let begin = |days: usize| last.saturating_sub((days as i64).saturating_mul(MICROS_PER_DAY));
        let place = |days: usize| {
            self.sessions.partition_point(|&s| self.data.sessions.start(s as usize) < begin(days))
        };
        Some((1..=count).rev().map(place).chain([self.sessions.len()]).collect())
    }

    /// The places at which windows of equal shares begin, and the end of the last.
    fn shares(&self, count: usize, parts: usize) -> Vec<usize> {
        let (count, parts) = (count as u128, parts as u128);
        let place = |part: u128| (self.sessions.len() as u128 * part / parts.max(1)) as usize;
        (parts.saturating_sub(count)..=parts).map(place).collect()
    }

    fn judged_in(&self, bounds: &[usize]) -> Vec<Judged> {
        bounds.windows(2).map(|pair| self.judged(pair[0]..pair[1])).collect()
    }

    /// The sessions at these places, without items that the sessions before them lack.
    fn judged(&self, places: Range<usize>) -> Judged {
        let (begin, mut sessions, mut dropped) = (places.start, Vec::new(), DroppedSessions::default());
        for &s in &self.sessions[places] {
            let session = self.data.sessions.session(s as usize);
            let is_known = |item: &ItemIndex| self.first_seen[*item as usize] < begin;
            let known: Vec<ItemIndex> = session.iter().copied().filter(is_known).collect();
            dropped.unknown_events += (session.len() - known.len()) as u64;
            if known.len() < 2 {
                dropped.short_sessions += 1;
            } else {
                sessions.push((known, self.data.sessions.start(s as usize)));
            }
        }
        (sessions, dropped)
    }

    fn windows(&self, bounds: &[usize], judged: Vec<Judged>, cut: WindowCut) -> Vec<Window> {
        let window = |(pair, (sessions, dropped)): (&[usize], Judged)| {
            let (fit, index) = self.data.part(self.sessions[..pair[0]].iter().map(|&s| s as usize));
            let mut judge = Sessions::new();
            let mut row = Vec::new();
            for (session, start) in sessions {
                row.clear();
                row.extend(session.iter().filter_map(|&item| index[item as usize]));
                judge.push(&row, start);
            }
            let (first_start_us, last_start_us) = (self.start(pair[0]), self.start(pair[1] - 1));
            let length = |&s: &u32| self.data.sessions.session(s as usize).len();
            let events = self.sessions[pair[0]..pair[1]].iter().map(length).sum();
            Window { fit, judge, events, dropped, cut, first_start_us, last_start_us }
        };
        bounds.windows(2).zip(judged).map(window).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ItemVocabulary;

    /// 2023-11-14, far from any counter.
    const BEGIN: TimeMicros = 1_700_000_000_000_000;
    const HOUR: TimeMicros = MICROS_PER_DAY / 24;

    /// Data of sessions with item ids of one letter, by start.
    fn data(sessions: &[(&str, TimeMicros)]) -> Dataset {
        let (mut items, mut rows) = (ItemVocabulary::new(), Sessions::new());
        for (session, start) in sessions {
            let row: Vec<ItemIndex> = session.chars().map(|id| items.add(&id.to_string(), 1)).collect();
            rows.push(&row, *start);
        }
        Dataset::new(items, rows)
    }

    fn named(items: &ItemVocabulary, sessions: &Sessions) -> Vec<String> {
        sessions.iter().map(|s| s.iter().map(|&item| items.id(item)).collect()).collect()
    }

    /// What each window fits and judges.
    fn shown(windows: &[Window]) -> Vec<(Vec<String>, Vec<String>)> {
        let both = |w: &Window| (named(&w.fit.items, &w.fit.sessions), named(&w.fit.items, &w.judge));
        windows.iter().map(both).collect()
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn windows_are_the_last_days_and_what_was_before_each_is_fitted() {
        let at = |hours: i64| BEGIN + hours * HOUR;
        // The last session starts at hour 100: the newest day begins at hour 76, the one before at 52.
        let sessions = [
            ("bab", at(0)),
            ("ac", at(51)),
            ("cab", at(52)),
            ("axd", at(75)),
            ("cyc", at(76)),
            ("xbz", at(100)),
        ];
        let windows = windows(&data(&sessions), 2).unwrap();
        assert!(windows.iter().all(|window| window.cut == WindowCut::Days));
        assert_eq!(
            shown(&windows),
            [
                (texts(&["bab", "ac"]), texts(&["cab"])),
                (texts(&["bab", "ac", "cab", "axd"]), texts(&["cc", "xb"])),
            ]
        );
        // `axd` of the first day keeps only `a`: `x` and `d` are new then.
        assert_eq!(windows[0].dropped, DroppedSessions { unknown_events: 2, short_sessions: 1 });
        assert_eq!(windows[1].dropped, DroppedSessions { unknown_events: 2, short_sessions: 0 });
        assert_eq!((windows[1].first_start_us, windows[1].last_start_us), (at(76), at(100)));
        assert_eq!(windows[0].judge.start(0), at(52));
    }

    #[test]
    fn a_window_is_fitted_as_the_log_of_its_older_sessions_is() {
        let sessions = [("bab", 1), ("cb", 2), ("ab", 3), ("ba", 4)];
        let windows = windows(&data(&sessions), 1).unwrap();
        let older = sessions[..2].iter().flat_map(|&(session, start)| {
            (start..).zip(session.chars()).map(move |(time, id)| (start.to_string(), id.to_string(), time))
        });
        let (expected, _) = Dataset::from_events(older).unwrap();
        let fit = &windows[0].fit;
        assert_eq!(fit.items.fingerprint(), expected.items.fingerprint());
        assert_eq!(fit.items.supports(), expected.items.supports());
        assert_eq!(fit.sessions.iter().collect::<Vec<_>>(), expected.sessions.iter().collect::<Vec<_>>());
    }

    #[test]
    fn an_order_is_cut_into_equal_shares_of_which_the_first_is_only_fitted() {
        // Not in the order of their starts, which are a counter: long ones are no days.
        let day = MICROS_PER_DAY;
        let sessions =
            [("ac", 3 * day), ("abc", 0), ("ba", 9 * day), ("ca", 5 * day), ("bb", day), ("aa", 6 * day)];
        let windows = windows(&data(&sessions), 2).unwrap();
        assert!(windows.iter().all(|window| window.cut == WindowCut::Shares));
        assert_eq!(
            shown(&windows),
            [
                (texts(&["abc", "bb"]), texts(&["ac", "ca"])),
                (texts(&["abc", "bb", "ac", "ca"]), texts(&["aa", "ba"])),
            ]
        );
    }

    #[test]
    fn windows_are_the_last_of_more_parts() {
        let sessions: Vec<(&str, TimeMicros)> = (0..20).map(|start| ("ab", start)).collect();
        let windows = windows_of_shares(&data(&sessions), 2, 10).unwrap();
        let sizes: Vec<_> = windows.iter().map(|w| (w.fit.sessions.len(), w.judge.len())).collect();
        assert_eq!(sizes, [(16, 2), (18, 2)]);
    }

    #[test]
    fn real_times_that_are_too_few_or_have_a_gap_are_cut_into_shares() {
        let cut = |starts: &[TimeMicros]| {
            let sessions: Vec<_> = starts.iter().map(|hours| ("ab", BEGIN + hours * HOUR)).collect();
            windows(&data(&sessions), 2).unwrap()[0].cut
        };
        assert_eq!(cut(&[0, 30, 72]), WindowCut::Days);
        assert_eq!(cut(&[0, 30, 71]), WindowCut::Shares);
        // Nothing starts in the day before the last.
        assert_eq!(cut(&[0, 10, 90]), WindowCut::Shares);
    }

    #[test]
    fn windows_without_a_session_to_judge_are_an_error() {
        let refused = |sessions: &[(&str, TimeMicros)], count| windows(&data(sessions), count).unwrap_err();
        assert!(matches!(refused(&[("ab", 1), ("ab", 2)], 0), Error::Config { .. }));
        for (sessions, count) in [(&[("ab", 1), ("cd", 2)][..], 1), (&[("ab", 1), ("ab", 2)], 2), (&[], 1)] {
            let error = refused(sessions, count).to_string();
            assert!(error.contains("use fewer windows"), "{error}");
        }
    }
}

//! Descriptive statistics of a log: counts, session lengths, item popularity, days, and warnings.

use super::durations::SessionTimes;
use super::events::{Event, EventLog};
use super::part::PartCounts;
use super::prepare::PrepareOptions;
use super::report::ReadReport;
use super::time::{MICROS_PER_DAY, TimeSpan, format_time};
use super::warnings::{self, SessionStatistics};
use serde::Serialize;
use std::collections::BTreeMap;

/// The counts of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Day {
    /// The date in UTC, `2017-10-01`.
    pub date: String,
    /// Number of events.
    pub events: u64,
    /// Number of sessions that end on this day.
    pub sessions_ended: u64,
}

/// Session lengths, in events.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Lengths {
    /// The mean length.
    pub mean: f64,
    /// The shortest length.
    pub min: u64,
    /// The 0.25 quantile.
    pub p25: u64,
    /// The median.
    pub median: u64,
    /// The 0.75 quantile.
    pub p75: u64,
    /// The 0.9 quantile.
    pub p90: u64,
    /// The 0.99 quantile.
    pub p99: u64,
    /// The longest length.
    pub max: u64,
    /// Number of sessions in each range of lengths: first and last length of the range, count; without empty ranges.
    pub histogram: Vec<(u64, u64, u64)>,
}

/// The distribution of the events over the items.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Popularity {
    /// Share of all events that are on the most popular 1% of the items.
    pub top_1_percent_share: f64,
    /// Share of all events that are on the most popular 10% of the items.
    pub top_10_percent_share: f64,
    /// Gini coefficient of the support: 0 if all items have the same, near 1 if one item has nearly all events.
    pub gini: f64,
    /// The median support.
    pub median_support: u64,
    /// Number of items with fewer than 5 events, which `prepare` drops by default.
    pub items_below_5_events: u64,
    /// The most popular items: id, number of events.
    pub most_popular: Vec<(String, u64)>,
}

/// Descriptive statistics of a log.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LogShape {
    /// The report of reading the log.
    pub read: ReadReport,
    /// Number of events, sessions, items; first and last time.
    pub counts: PartCounts,
    /// The first event's time, ISO 8601.
    pub first_time: String,
    /// The last event's time, ISO 8601.
    pub last_time: String,
    /// Session lengths.
    pub session_lengths: Lengths,
    /// How long sessions last; absent if the times are a counter or every session has one event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_times: Option<SessionTimes>,
    /// Item popularity.
    pub popularity: Popularity,
    /// Share of the events on the same item as the event before in their session.
    pub immediate_repeats_share: f64,
    /// Share of the events on an item that occurred earlier in their session.
    pub repeats_share: f64,
    /// Whether the times are a counter, so that days have no meaning.
    pub times_are_counter: bool,
    /// Days with events; empty if the times are a counter.
    pub days: Vec<Day>,
    /// Warnings about suspicious data.
    pub warnings: Vec<String>,
}

impl LogShape {
    /// Computes the statistics of a log, and groups the log.
    pub fn of(log: &mut EventLog) -> Self {
        let part = log.grouped();
        let counts = part.counts();
        let mut support = vec![0_u64; log.item_ids.len()];
        let mut lengths: Vec<u64> = Vec::new();
        let (mut immediate, mut repeats) = (0_u64, 0_u64);
        let mut days: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        let mut items_of_session: Vec<u32> = Vec::new();
        let mut warnings = log.report.warnings.clone();
        let sessions = || log.events.chunk_by(|a, b| a.session == b.session);
        for session in sessions() {
            lengths.push(session.len() as u64);
            items_of_session.clear();
            items_of_session.extend(session.iter().map(|e| e.item));
            immediate += items_of_session.windows(2).filter(|w| w[0] == w[1]).count() as u64;
            items_of_session.sort_unstable();
            items_of_session.dedup();
            repeats += (session.len() - items_of_session.len()) as u64;
            for event in session {
                support[event.item as usize] += 1;
                days.entry(day(event)).or_default().0 += 1;
            }
            days.entry(day(&session[session.len() - 1])).or_default().1 += 1;
        }
        let times_are_counter = warnings::is_counter(&log.events);
        if !times_are_counter {
            warnings.extend(warnings::about_tail(sessions().map(|s| s[s.len() - 1].time), TimeSpan::DAY));
        }
        let copies = log.copies().len() as u64;
        let statistics = SessionStatistics::of(sessions(), copies);
        warnings.extend(statistics.warnings(times_are_counter, log, &PrepareOptions::default()));
        let share = |n: u64| n as f64 / counts.events.max(1) as f64;
        let shown = |time: Option<i64>| time.map(format_time).unwrap_or_default();
        Self {
            read: log.report.clone(),
            counts,
            first_time: shown(counts.first_time_us),
            last_time: shown(counts.last_time_us),
            session_lengths: lengths_of(lengths),
            session_times: if times_are_counter { None } else { SessionTimes::of(sessions()) },
            popularity: popularity(&support, |i| log.item_ids.get(i).to_owned()),
            immediate_repeats_share: share(immediate),
            repeats_share: share(repeats),
            times_are_counter,
            days: if times_are_counter { Vec::new() } else { days.into_iter().map(named_day).collect() },
            warnings,
        }
    }
}

fn day(event: &Event) -> i64 {
    event.time.div_euclid(MICROS_PER_DAY)
}

fn named_day((day, (events, sessions_ended)): (i64, (u64, u64))) -> Day {
    let date = format_time(day.saturating_mul(MICROS_PER_DAY));
    Day { date: date.split('T').next().unwrap_or_default().to_owned(), events, sessions_ended }
}

fn lengths_of(mut lengths: Vec<u64>) -> Lengths {
    lengths.sort_unstable();
    let Some(&max) = lengths.last() else { return Lengths::default() };
    let quantile = |q: f64| lengths[((lengths.len() - 1) as f64 * q).round() as usize];
    let ranges = [1, 2, 3, 4, 5, 6, 11, 21, 51, 101, 1_001, 10_001, u64::MAX];
    let below = |limit: u64| lengths.partition_point(|&l| l < limit) as u64;
    Lengths {
        mean: lengths.iter().sum::<u64>() as f64 / lengths.len() as f64,
        min: lengths[0],
        p25: quantile(0.25),
        median: quantile(0.5),
        p75: quantile(0.75),
        p90: quantile(0.9),
        p99: quantile(0.99),
        max,
        histogram: ranges
            .windows(2)
            .map(|w| (w[0], (w[1] - 1).min(max), below(w[1]) - below(w[0])))
            .filter(|&(_, _, count)| count > 0)
            .collect(),
    }
}

fn popularity(support: &[u64], id: impl Fn(u32) -> String) -> Popularity {
    // Ids without events are not items.
    let mut items: Vec<(u64, u32)> =
        support.iter().zip(0_u32..).filter(|&(&s, _)| s > 0).map(|(&s, i)| (s, i)).collect();
    items.sort_unstable_by_key(|&(s, i)| (std::cmp::Reverse(s), i));
    if items.is_empty() {
        return Popularity::default();
    }
    let total = items.iter().map(|&(s, _)| s).sum::<u64>() as f64;
    let n = items.len();
    let top = |percent: usize| {
        let count = (n * percent).div_ceil(100);
        items[..count].iter().map(|&(s, _)| s).sum::<u64>() as f64 / total
    };
    // With supports in ascending order, G = Σ (2 rank − n − 1) support / (n Σ support).
    let weighted: f64 = items
        .iter()
        .enumerate()
        .map(|(falling, &(s, _))| (2.0 * (n - falling) as f64 - n as f64 - 1.0) * s as f64)
        .sum();
    Popularity {
        top_1_percent_share: top(1),
        top_10_percent_share: top(10),
        gini: weighted / (n as f64 * total),
        median_support: items[n / 2].0,
        items_below_5_events: items.iter().filter(|&&(s, _)| s < 5).count() as u64,
        most_popular: items.iter().take(5).map(|&(s, i)| (id(i), s)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_of_a_small_log_is_what_one_counts_by_hand() {
        let mut log = EventLog::new();
        let day = MICROS_PER_DAY;
        let start = 17_000 * day;
        for (session, item, time) in [
            ("a", "x", 0),
            ("a", "x", 1),
            ("a", "y", 2),
            ("a", "x", day),
            ("b", "z", 5),
            ("c", "x", 6),
            ("c", "y", 7),
        ] {
            log.push(session, item, start + time);
        }
        let shape = LogShape::of(&mut log);
        assert_eq!((shape.counts.events, shape.counts.sessions, shape.counts.items), (7, 3, 3));
        let lengths = &shape.session_lengths;
        assert_eq!((lengths.min, lengths.median, lengths.max), (1, 2, 4));
        assert_eq!(lengths.histogram, [(1, 1, 1), (2, 2, 1), (4, 4, 1)]);
        assert_eq!(shape.immediate_repeats_share, 1.0 / 7.0);
        assert_eq!(shape.repeats_share, 2.0 / 7.0);
        assert_eq!(shape.popularity.most_popular[0], ("x".to_owned(), 4));
        assert_eq!(shape.popularity.top_1_percent_share, 4.0 / 7.0);
        // Supports 1, 2, 4: (−2·1 + 0·2 + 2·4) / (3·7).
        assert!((shape.popularity.gini - 6.0 / 21.0).abs() < 1e-12);
        let days: Vec<_> = shape.days.iter().map(|d| (d.date.as_str(), d.events, d.sessions_ended)).collect();
        assert_eq!(days, [("2016-07-18", 6, 2), ("2016-07-19", 1, 1)]);
        assert_eq!(shape.first_time, "2016-07-18T00:00:00Z");
    }

    #[test]
    fn a_counter_has_no_days() {
        let mut log = EventLog::new();
        (0..200).for_each(|i| log.push(&(i / 4).to_string(), "x", i * 1_000_000));
        let shape = LogShape::of(&mut log);
        assert!(shape.times_are_counter && shape.days.is_empty());
        assert_eq!(shape.popularity.gini, 0.0);
    }
}

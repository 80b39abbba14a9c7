//! How long sessions last, and how long their pauses are: what tells sessions from users.

use super::events::Event;
use super::time::MICROS_PER_SECOND;
use serde::{Deserialize, Serialize};

/// How long the sessions of a log last, and the longest pause in each of them. Sessions of one event are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionTimes {
    /// From the first event of a session to its last.
    pub durations: Seconds,
    /// The longest time between two successive events of a session.
    pub longest_pauses: Seconds,
}

/// Spans of time in whole seconds, rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Seconds {
    /// The median.
    pub median: u64,
    /// The 0.9 quantile.
    pub p90: u64,
    /// The 0.99 quantile.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl SessionTimes {
    /// The times of sessions; `None` if all have one event.
    pub(super) fn of<'a>(sessions: impl Iterator<Item = &'a [Event]>) -> Option<Self> {
        let (mut durations, mut pauses) = (Vec::new(), Vec::new());
        for session in sessions.filter(|session| session.len() > 1) {
            let between = session.windows(2).map(|pair| pair[1].time.saturating_sub(pair[0].time));
            durations.push(session[session.len() - 1].time.saturating_sub(session[0].time));
            pauses.extend(between.max());
        }
        if durations.is_empty() {
            return None;
        }
        Some(Self { durations: Seconds::of(durations), longest_pauses: Seconds::of(pauses) })
    }
}

impl Seconds {
    /// The quantiles of at least one span in microseconds.
    fn of(mut spans: Vec<i64>) -> Self {
        spans.sort_unstable();
        let quantile = |q: f64| {
            let span = spans[((spans.len() - 1) as f64 * q).round() as usize];
            (span / MICROS_PER_SECOND).unsigned_abs()
        };
        Self { median: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: quantile(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_longest_pauses_are_those_counted_by_hand() {
        let session = |times: &[i64]| -> Vec<Event> {
            times.iter().map(|&time| Event { session: 0, item: 0, time: time * MICROS_PER_SECOND }).collect()
        };
        let sessions =
            [session(&[5]), session(&[0, 10, 70]), session(&[3, 4]), session(&[0, 0, 1_000, 1_500])];
        let times = SessionTimes::of(sessions.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(times.durations, Seconds { median: 70, p90: 1_500, p99: 1_500, max: 1_500 });
        assert_eq!(times.longest_pauses, Seconds { median: 60, p90: 1_000, p99: 1_000, max: 1_000 });
        assert_eq!(SessionTimes::of([&sessions[0][..]].into_iter()), None);
    }
}

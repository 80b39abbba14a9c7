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
        let (mut durations, mut pauses) = (Spans::default(), Spans::default());
        for session in sessions.filter(|session| session.len() > 1) {
            let between = session.windows(2).map(|pair| pair[1].time.saturating_sub(pair[0].time));
            durations.add(session[session.len() - 1].time.saturating_sub(session[0].time));
            between.max().into_iter().for_each(|pause| pauses.add(pause));
        }
        Some(Self { durations: durations.into_seconds()?, longest_pauses: pauses.into_seconds()? })
    }
}

/// Spans from here on are kept one by one; shorter ones are counted by their seconds. Nearly all are shorter.
const LONG: u64 = 2 * 86_400;

/// Spans whose quantiles are asked for.
#[derive(Debug, Default)]
struct Spans {
    /// How many spans have this number of seconds.
    counts: Vec<u64>,
    long: Vec<u64>,
}

impl Spans {
    /// Adds a span in microseconds.
    fn add(&mut self, micros: i64) {
        let seconds = (micros / MICROS_PER_SECOND).unsigned_abs();
        if seconds >= LONG {
            self.long.push(seconds);
            return;
        }
        let at = seconds as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
    }

    /// The quantiles; `None` if there is no span.
    fn into_seconds(mut self) -> Option<Seconds> {
        self.long.sort_unstable();
        let short: u64 = self.counts.iter().sum();
        let last = (short + self.long.len() as u64).checked_sub(1)?;
        let quantile = |q: f64| {
            let mut place = (last as f64 * q).round() as u64;
            if let Some(long) = place.checked_sub(short) {
                return self.long[long as usize];
            }
            let is_here = |&(_, &count): &(usize, &u64)| match place.checked_sub(count) {
                Some(rest) => {
                    place = rest;
                    false
                }
                None => true,
            };
            self.counts.iter().enumerate().find(is_here).map_or(0, |(seconds, _)| seconds as u64)
        };
        Some(Seconds { median: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: quantile(1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn quantiles_are_those_of_sorted_spans(
            mut seconds in prop::collection::vec(prop_oneof![0..5_u64, 0..9_000_u64, 0..400_000_u64], 1..80),
        ) {
            let mut spans = Spans::default();
            seconds.iter().for_each(|&span| spans.add(span as i64 * MICROS_PER_SECOND + 999_999));
            seconds.sort_unstable();
            let of = |q: f64| seconds[((seconds.len() - 1) as f64 * q).round() as usize];
            let expected = Seconds { median: of(0.5), p90: of(0.9), p99: of(0.99), max: of(1.0) };
            prop_assert_eq!(spans.into_seconds(), Some(expected));
        }
    }
}

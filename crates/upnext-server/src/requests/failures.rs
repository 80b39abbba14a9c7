//! Log lines of failed requests: an outage must not bury its reason under thousands of them.

use crate::locked;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Maximum number of lines in a period.
const LINES: u64 = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// Minimum time between two lines that say how many others were left out.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Whether a failed request has a log line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Write,
    LeaveOut,
}

/// Counts failed requests, of which only some have a log line of their own.
#[derive(Debug)]
pub(crate) struct Failures(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    /// The beginning of the period, and the lines in it.
    began: Instant,
    lines: u64,
    /// Number of requests without a line, and when this was told last.
    left_out: u64,
    told: Option<Instant>,
}

impl Default for Failures {
    fn default() -> Self {
        Self(Mutex::new(Counts { began: Instant::now(), lines: 0, left_out: 0, told: None }))
    }
}

impl Failures {
    /// Counts a failed request.
    pub(super) fn line(&self) -> Line {
        self.line_at(Instant::now())
    }

    fn line_at(&self, now: Instant) -> Line {
        let mut counts = locked(&self.0);
        if now.saturating_duration_since(counts.began) >= PERIOD {
            (counts.began, counts.lines) = (now, 0);
        }
        counts.lines += 1;
        if counts.lines <= LINES {
            return Line::Write;
        }
        counts.left_out += 1;
        Line::LeaveOut
    }

    /// Logs how many failed requests have no line of their own, now and then. Called every second.
    pub(crate) fn tell(&self) {
        if let Some(requests) = self.told_at(Instant::now()) {
            tracing::warn!(requests, "more requests failed, without a line for each: the metrics count them");
        }
    }

    fn told_at(&self, now: Instant) -> Option<u64> {
        let mut counts = locked(&self.0);
        let is_early = counts.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY);
        if counts.left_out == 0 || is_early {
            return None;
        }
        counts.told = Some(now);
        Some(std::mem::take(&mut counts.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_has_some_lines_a_second_and_a_count_of_the_others() {
        let failures = Failures::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let lines = |ms| (0..500).filter(|_| failures.line_at(at(ms)) == Line::Write).count();
        assert_eq!((lines(100), lines(500), lines(1_200)), (10, 0, 10));
        assert_eq!(failures.told_at(at(1_300)), Some(1_480));
        assert_eq!(lines(2_300), 10);
        assert_eq!(failures.told_at(at(3_000)), None);
        assert_eq!(failures.told_at(at(11_400)), Some(490));
        assert_eq!(failures.told_at(at(99_999)), None);
    }
}

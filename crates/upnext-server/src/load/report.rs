//! What a load has shown: rates, latencies, errors.

use super::connection::{Answer, Outcome};
use super::times::{Percentiles, Times};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How a server answered a load; the ramp is left out of all figures but the timeline.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Clicks a second that were asked for.
    pub rate_per_second: f64,
    /// Clicks a second that were answered well.
    pub answered_per_second: f64,
    /// Seconds that count.
    pub seconds: f64,
    /// Clicks that were due.
    pub requests: u64,
    /// Those with an answer of a status from 200 to 299.
    pub ok: u64,
    /// The others, by what came instead: a status such as `503`; `timed out`; `broken`, the connection; `not sent`, for
    /// the connection was not free in time.
    pub errors: BTreeMap<String, u64>,
    /// From when a click was due until its answer was whole, in milliseconds; good answers only.
    pub latency_ms: Percentiles,
    /// From when it was sent until its answer was whole; good answers only.
    pub service_ms: Percentiles,
    /// From when a click was due until it was sent: what it waited for its connection or the generator; all clicks.
    pub late_ms: Percentiles,
    /// Second by second, the ramp included.
    pub timeline: Vec<Second>,
}

/// One second of a load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Second {
    /// Which, from 0.
    pub second: u64,
    /// Clicks that were over in it, answered or not.
    pub requests: u64,
    /// Those of them that were not answered well.
    pub errors: u64,
    /// Median latency of the others in milliseconds.
    pub p50_ms: f64,
    /// 99 % of their latencies, in milliseconds.
    pub p99_ms: f64,
}

/// The counts of a load under way.
pub(super) struct Tally {
    begun: Instant,
    ramp: Duration,
    latency: Times,
    service: Times,
    late: Times,
    ok: u64,
    errors: BTreeMap<Outcome, u64>,
    current: Gathering,
    timeline: Vec<Second>,
}

/// A second that is not over.
struct Gathering {
    second: u64,
    latency: Times,
    errors: u64,
}

impl Gathering {
    fn of(second: u64) -> Self {
        Self { second, latency: Times::new(), errors: 0 }
    }

    fn ended(&self) -> Second {
        let Percentiles { p50, p99, .. } = self.latency.percentiles();
        let requests = self.latency.len() + self.errors;
        Second { second: self.second, requests, errors: self.errors, p50_ms: p50, p99_ms: p99 }
    }
}

impl Tally {
    pub(super) fn new(begun: Instant, ramp: Duration) -> Self {
        Self {
            begun,
            ramp,
            latency: Times::new(),
            service: Times::new(),
            late: Times::new(),
            ok: 0,
            errors: BTreeMap::new(),
            current: Gathering::of(0),
            timeline: Vec::new(),
        }
    }

    /// Ends the current second if it is over by now.
    pub(super) fn second_over(&mut self, now: Instant) -> Option<Second> {
        let current = now.saturating_duration_since(self.begun).as_secs();
        (self.current.second < current).then(|| self.end_second())
    }

    fn end_second(&mut self) -> Second {
        let ended = self.current.ended();
        self.current = Gathering::of(ended.second + 1);
        self.timeline.push(ended);
        ended
    }

    /// Counts an answer.
    pub(super) fn add(&mut self, answer: &Answer) {
        let &Answer { due, sent, done, outcome } = answer;
        let good = matches!(outcome, Outcome::Status(200..=299));
        if good {
            self.current.latency.add(due, done);
        } else {
            self.current.errors += 1;
        }
        if due.saturating_duration_since(self.begun) < self.ramp {
            return;
        }
        self.late.add(due, sent);
        if good {
            self.ok += 1;
            self.latency.add(due, done);
            self.service.add(sent, done);
        } else {
            *self.errors.entry(outcome).or_default() += 1;
        }
    }

    /// What a load of this rate has shown, whose clicks came for so long after the ramp.
    pub(super) fn report(mut self, rate_per_second: f64, lasted: Duration) -> LoadReport {
        if self.current.ended().requests > 0 {
            self.end_second();
        }
        let seconds = lasted.as_secs_f64();
        let name = |outcome: &Outcome| match outcome {
            Outcome::Status(status) => status.to_string(),
            Outcome::TimedOut => "timed out".to_owned(),
            Outcome::Broken => "broken".to_owned(),
            Outcome::NotSent => "not sent".to_owned(),
        };
        LoadReport {
            rate_per_second,
            answered_per_second: if seconds > 0.0 { self.ok as f64 / seconds } else { 0.0 },
            seconds,
            requests: self.ok + self.errors.values().sum::<u64>(),
            ok: self.ok,
            errors: self.errors.iter().map(|(outcome, &count)| (name(outcome), count)).collect(),
            latency_ms: self.latency.percentiles(),
            service_ms: self.service.percentiles(),
            late_ms: self.late.percentiles(),
            timeline: self.timeline,
        }
    }
}

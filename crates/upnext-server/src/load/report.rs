//! The figures of a load test: rates, latencies, errors.

use super::connection::{Answer, Outcome};
use super::times::{Percentiles, Times};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The result of a load test. All figures except the timeline exclude the ramp.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Requested clicks per second.
    pub rate_per_second: f64,
    /// Successfully answered clicks per second.
    pub answered_per_second: f64,
    /// Measured seconds.
    pub seconds: f64,
    /// Number of clicks that were due.
    pub requests: u64,
    /// Number of clicks answered with a status from 200 to 299.
    pub ok: u64,
    /// Number of failed clicks by cause: a status such as `503`; `timed out`; `broken`, for the connection; `not sent`,
    /// if the connection was not free in time.
    pub errors: BTreeMap<String, u64>,
    /// Milliseconds from when a click was due until its response was complete; successful clicks only.
    pub latency_ms: Percentiles,
    /// Milliseconds from when a click was sent until its response was complete; successful clicks only.
    pub service_ms: Percentiles,
    /// Milliseconds from when a click was due until it was sent, waiting for its connection or the generator; all
    /// clicks.
    pub late_ms: Percentiles,
    /// The seconds of the test, the ramp included.
    pub timeline: Vec<Second>,
}

/// The figures of one second of a load test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Second {
    /// The number of the second, from 0.
    pub second: u64,
    /// Number of clicks that were answered or failed in it.
    pub requests: u64,
    /// Number of clicks among them that failed.
    pub errors: u64,
    /// Median latency of the successful ones in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of their latency in milliseconds.
    pub p99_ms: f64,
}

/// The counts of a running load test.
pub(super) struct Tally {
    begun: Instant,
    ramp: Duration,
    latency: Times,
    service: Times,
    late: Times,
    ok: u64,
    errors: BTreeMap<Outcome, u64>,
    current: CurrentSecond,
    timeline: Vec<Second>,
}

/// The counts of the current second.
struct CurrentSecond {
    second: u64,
    latency: Times,
    errors: u64,
}

impl CurrentSecond {
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
            current: CurrentSecond::of(0),
            timeline: Vec::new(),
        }
    }

    /// Ends the current second if it is over at `now`.
    pub(super) fn second_over(&mut self, now: Instant) -> Option<Second> {
        let current = now.saturating_duration_since(self.begun).as_secs();
        (self.current.second < current).then(|| self.end_second())
    }

    fn end_second(&mut self) -> Second {
        let ended = self.current.ended();
        self.current = CurrentSecond::of(ended.second + 1);
        self.timeline.push(ended);
        ended
    }

    /// Counts an answered or failed click.
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

    /// The report of a load test with this rate, whose clicks were due for `lasted` after the ramp.
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

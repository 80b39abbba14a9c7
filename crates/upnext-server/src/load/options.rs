//! The options of a load test.

use super::target::Target;
use super::tls::Tls;
use crate::{Error, Keys};
use std::path::PathBuf;
use std::time::Duration;

/// Maximum number of open sessions. At this number they take some hundred bytes each, and a second to set up.
const MAX_OPEN: f64 = 1e6;

/// The options of a load test.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The server to test.
    pub target: Target,
    /// For https: a PEM file of trusted certificates, the server's own or those of its issuers.
    pub ca: Option<PathBuf>,
    /// Mean number of clicks per second after the ramp; their times are random (a Poisson process).
    pub rate_per_second: f64,
    /// Time during which the rate rises from 0, which is not measured.
    pub ramp: Duration,
    /// Measured time after the ramp.
    pub duration: Duration,
    /// Number of connections. All clicks of a session are sent over the same one, one after the other.
    pub connections: usize,
    /// Mean time between two clicks of a session: `rate · think` sessions are open at once.
    pub think: Duration,
    /// Whether the server stores the sessions (`POST /v1/sessions/{id}/events`); otherwise every click sends all items
    /// of its session (`POST /v1/recommend`).
    pub stateful: bool,
    /// Whether each event has an `idempotency-key`, so that a proxy may send it again.
    pub event_keys: bool,
    /// Prefix of the ids of stored sessions, followed by `-` and a number. Load tests with the same prefix share
    /// sessions.
    pub session_prefix: String,
    /// Length of the requested lists.
    pub k: usize,
    /// Maximum time from when a click is due until it is sent, and from then until it is answered.
    pub timeout: Duration,
    /// The keys of the server, of which the first is sent.
    pub keys: Keys,
    /// Seed of the times and of the sessions.
    pub seed: u64,
}

impl LoadOptions {
    /// Checks all options.
    ///
    /// # Errors
    /// [`upnext_core::Error::Config`] with the first invalid option.
    pub fn validate(&self) -> upnext_core::Result<()> {
        let check = |usable: bool, option: &str, reason: &str| {
            if usable { Ok(()) } else { Err(upnext_core::Error::config(option, reason)) }
        };
        let rate = self.rate_per_second;
        check(rate > 0.0 && rate <= 1e6, "rate", "use a rate above 0 and up to 1,000,000 clicks a second")?;
        let day = Duration::from_secs(86_400);
        check(!self.duration.is_zero(), "duration", "is 0: nothing would be measured")?;
        check(self.duration <= day && self.ramp <= day, "duration", "load and ramp last a day at most")?;
        check((1..=10_000).contains(&self.connections), "connections", "use 1 to 10,000 connections")?;
        let open = rate * self.think.as_secs_f64();
        check(open <= MAX_OPEN, "think", "a million sessions would be open at once: use less time or rate")?;
        check(self.k > 0, "k", "is 0: ask for at least one item")?;
        check(!self.timeout.is_zero(), "timeout", "is 0: nothing can be answered in no time")?;
        check(
            !self.target.is_https() || self.ca.is_some(),
            "ca",
            "is missing: for https give the server's certificate, or the one that signed it (--ca FILE); those of the system are not read",
        )?;
        check(
            self.target.is_https() || self.ca.is_none(),
            "ca",
            "is set, and the URL is not one of https: leave it out, or ask for https",
        )?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let prefix = &self.session_prefix;
        check(
            !prefix.is_empty() && prefix.len() <= 100 && prefix.chars().all(plain),
            "session_prefix",
            "use 1 to 100 letters, digits and `-`, `.`, `_`: it stands in a path",
        )
    }

    /// The TLS client for https; `None` for http.
    pub(super) fn tls(&self) -> Result<Option<Tls>, Error> {
        self.ca.as_deref().map(|ca| Tls::trusting(ca, self.target.name())).transpose()
    }

    /// Number of sessions that are open at a time.
    pub(super) fn open_sessions(&self) -> usize {
        ((self.rate_per_second * self.think.as_secs_f64()) as usize).max(1)
    }
}

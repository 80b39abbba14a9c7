//! Who asks: the key or the address of a request, and how many lists one of them may ask for.

use crate::keys::KeyName;
use crate::problem::Problem;
use crate::requests::Peer;
use crate::{ServerConfig, locked};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Number of callers from which those are forgotten that have not asked for a while.
const CALLERS: usize = 10_000;

/// The key with which a request was made, and the address that it came from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// The key's name.
    pub(crate) key: Option<Arc<str>>,
    pub(crate) address: Option<IpAddr>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let key = parts.extensions.get::<KeyName>().map(|name| Arc::clone(&name.0));
        let address = parts.extensions.get::<Peer>().map(|peer| peer.0);
        Ok(Self { key, address })
    }
}

impl fmt::Display for Caller {
    /// Writes the key's name and the address, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.address) {
            (Some(key), Some(address)) => write!(f, "{key} at {address}"),
            (Some(key), None) => f.write_str(key),
            (None, Some(address)) => write!(f, "{address}"),
            (None, None) => f.write_str("somebody"),
        }
    }
}

/// A caller whose lists are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Key(Arc<str>),
    /// Of IPv6, the network of a client, which has as many addresses as it likes.
    Address(IpAddr),
    Nobody,
}

impl From<&Caller> for Who {
    fn from(caller: &Caller) -> Self {
        match (&caller.key, caller.address) {
            (Some(key), _) => Self::Key(Arc::clone(key)),
            (None, Some(IpAddr::V6(address))) => {
                let network = address.to_bits() >> 64 << 64;
                Self::Address(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            (None, Some(address)) => Self::Address(address),
            (None, None) => Self::Nobody,
        }
    }
}

/// How many lists each caller may ask for: a bucket of `lists_burst` lists, into which `lists_per_second` flow.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    /// The time that it takes to fill an empty bucket.
    fills_in: Duration,
    /// The times at which buckets are full again.
    full_at: Mutex<HashMap<Who, Instant>>,
}

impl Rates {
    /// `None`: there is no limit.
    pub(crate) fn of(config: &ServerConfig) -> Option<Self> {
        let per_second = f64::from(config.lists_per_second);
        (per_second > 0.0).then(|| Self {
            per_second,
            fills_in: Duration::from_secs_f64(f64::from(config.lists_burst) / per_second),
            full_at: Mutex::default(),
        })
    }

    /// Takes `lists` lists from the bucket of a caller.
    ///
    /// # Errors
    /// With status 429 if it does not have so many, and the seconds after which it will.
    pub(crate) fn take(&self, caller: &Caller, lists: usize) -> Result<(), Problem> {
        self.take_at(Who::from(caller), lists, Instant::now()).map_err(|wait| {
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            let detail = format!(
                "more than {} lists a second: the next {lists} can be had in {seconds} s",
                self.per_second
            );
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(seconds)
        })
    }

    fn take_at(&self, who: Who, lists: usize, now: Instant) -> Result<(), Duration> {
        let mut full_at = locked(&self.full_at);
        if full_at.len() >= CALLERS && !full_at.contains_key(&who) {
            full_at.retain(|_, full_at| *full_at > now);
        }
        let own = full_at.get(&who).copied().unwrap_or(now).max(now);
        let then = own + Duration::from_secs_f64(lists as f64 / self.per_second);
        match then.saturating_duration_since(now).checked_sub(self.fills_in) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                full_at.insert(who, then);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(lists_per_second: u32, lists_burst: u32) -> Rates {
        Rates::of(&ServerConfig { lists_per_second, lists_burst, ..ServerConfig::default() }).unwrap()
    }

    #[test]
    fn a_burst_is_followed_by_the_rate_and_each_caller_has_its_own() {
        let rates = rates(10, 20);
        let (shop, app) = (Who::Key("shop".into()), Who::Key("app".into()));
        let now = Instant::now();
        let take = |who: &Who, lists, ms| rates.take_at(who.clone(), lists, now + Duration::from_millis(ms));
        take(&shop, 15, 0).unwrap();
        take(&shop, 5, 0).unwrap();
        assert_eq!(take(&shop, 1, 0), Err(Duration::from_millis(100)));
        // What was refused was not taken.
        assert_eq!(take(&shop, 4, 100), Err(Duration::from_millis(300)));
        take(&shop, 1, 100).unwrap();
        take(&app, 20, 100).unwrap();
        take(&shop, 20, 2_100).unwrap();
        assert!(Rates::of(&ServerConfig::default()).is_none());
    }

    #[test]
    fn callers_that_have_been_quiet_are_forgotten() {
        let rates = rates(1_000, 256);
        let now = Instant::now();
        for i in 0..2 * CALLERS as u32 {
            let who = Who::Address(IpAddr::V4(i.into()));
            rates.take_at(who, 1, now + Duration::from_millis(i.into())).unwrap();
        }
        assert!(locked(&rates.full_at).len() <= CALLERS + 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let who = |address: &str| Who::from(&Caller { key: None, address: Some(address.parse().unwrap()) });
        assert_eq!(who("2001:db8:1:2::1"), who("2001:db8:1:2:ffff::9"));
        assert_ne!(who("2001:db8:1:2::1"), who("2001:db8:1:3::1"));
        assert_ne!(who("10.0.0.1"), who("10.0.0.2"));
    }
}

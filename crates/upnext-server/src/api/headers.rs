//! What request handlers read from the headers of a request.

use crate::problem::Problem;
use crate::service::Service;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TIME_LIMIT: HeaderName = HeaderName::from_static("x-request-timeout-ms");
const EVENT_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Maximum length of an event's key in bytes.
const MAX_KEY: usize = 128;

/// The value of a header that may be there once.
fn value<'r>(parts: &'r Parts, name: &HeaderName) -> Result<Option<&'r HeaderValue>, Problem> {
    let mut values = parts.headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        let detail = format!("the header `{name}` is there twice");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(value)
}

/// The time that a response may take: that of the configuration, or less by `x-request-timeout-ms`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit(Duration);

impl TimeLimit {
    /// The time by which a request that has just been received must be answered.
    pub(super) fn deadline(self) -> Instant {
        Instant::now() + self.0
    }
}

impl FromRequestParts<Arc<Service>> for TimeLimit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let most = service.config.request_timeout_ms;
        let Some(value) = value(parts, &TIME_LIMIT)? else { return Ok(Self(Duration::from_millis(most))) };
        let wanted = value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).filter(|&ms| ms > 0);
        let wanted = wanted.ok_or_else(|| {
            let detail = format!("the header `{TIME_LIMIT}` is no number of milliseconds, 1 or more");
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?;
        Ok(Self(Duration::from_millis(wanted.min(most))))
    }
}

/// The client's name of an event (`idempotency-key`), under which it counts once.
#[derive(Clone, Debug)]
pub(super) struct EventKey(pub(super) Option<Arc<str>>);

impl FromRequestParts<Arc<Service>> for EventKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Service>) -> Result<Self, Problem> {
        let Some(value) = value(parts, &EVENT_KEY)? else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| {
            (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        });
        let key = key.ok_or_else(|| {
            let detail = format!(
                "the header `{EVENT_KEY}` must have 1 to {MAX_KEY} visible ASCII characters, as a UUID has"
            );
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?;
        Ok(Self(Some(key.into())))
    }
}

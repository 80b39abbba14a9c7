//! Middleware for all requests: assigns an id, counts, times and logs.

use crate::keys::{KeyName, KeyRefusal};
use crate::service::Service;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The header with a request's id, in requests and responses.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header with the milliseconds from a request's head to its response, which browsers display.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Maximum length in bytes of an id that a client gives.
const MAX_ID: usize = 128;

/// The id of a request, with which other log lines refer to it.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// The address that a request came from, which may be that of a proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Handles a request, and counts, times and logs it, with the name of its key. Keys and the ids of sessions and items are never logged.
pub(crate) async fn observe(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id: Arc<str> = sent(request.headers()).unwrap_or_else(new_id).into();
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let method = name(request.method());
    // The route's pattern, such as `/v1/sessions/{id}`; requests without a route share one name.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let address = request.extensions().get::<Peer>().map(|peer| peer.0);

    let mut response = next.run(request).await;

    let (duration, status) = (started.elapsed(), response.status().as_u16());
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    service.metrics.request(method, route, status, duration);
    let ms = duration.as_secs_f64() * 1e3;
    if let Ok(value) = HeaderValue::from_str(&format!("total;dur={ms:.3}")) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let address = address.map(tracing::field::display);
    let key = response.extensions().get::<KeyName>().map(|name| &*name.0);
    // To a microsecond, which numbers of people and machines need.
    let ms = (ms * 1e3).round() / 1e3;
    if let Some(&refusal) = response.extensions().get::<KeyRefusal>() {
        service.metrics.key_refused(refusal);
        tracing::warn!(
            request_id = &*id,
            address,
            key,
            method,
            route,
            status,
            reason = refusal.name(),
            "key refused"
        );
    } else if status >= 500 {
        tracing::warn!(request_id = &*id, address, key, method, route, status, ms, "request");
    } else {
        tracing::info!(request_id = &*id, address, key, method, route, status, ms, "request");
    }
    response
}

/// The request id given by a client or proxy, if it has 1 to [`MAX_ID`] visible ASCII characters.
fn sent(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| id.to_owned())
}

/// A new request id, unique across servers with overwhelming probability.
fn new_id() -> String {
    static START: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let start = START.get_or_init(|| RandomState::new().hash_one(0));
    format!("{start:016x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The name of a method; unknown methods share one, so that clients cannot create new metrics.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_would_break_a_log_are_not_taken_over() {
        let taken = |id: &str| {
            let value = HeaderValue::from_str(id).ok()?;
            sent(&HeaderMap::from_iter([(REQUEST_ID, value)]))
        };
        assert_eq!(taken("a-1").as_deref(), Some("a-1"));
        for wrong in ["", "a b", "\t", &"x".repeat(129)] {
            assert_eq!(taken(wrong), None, "{wrong}");
        }
        assert_ne!(new_id(), new_id());
    }
}

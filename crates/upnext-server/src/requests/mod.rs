//! Middleware for all requests: assigns an id, counts, times and logs, and adds the headers that all responses have.

#[cfg(feature = "otel")]
mod export;
mod failures;
mod trace;

use crate::api::check_head;
use crate::keys::{KeyName, KeyRefusal};
use crate::service::Service;
use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use failures::Line;
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};
use trace::Trace;

#[cfg(feature = "otel")]
pub(crate) use export::Exporter;
pub(crate) use failures::Failures;

/// The header with a request's id, in requests and responses.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header with the milliseconds from a request's head to its response, which browsers display.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The policy of responses that are no pages: a browser that shows one loads nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Most headers that are added to a response.
const ADDED: usize = 6;

/// Maximum length in bytes of an id that a client gives.
const MAX_ID: usize = 128;

/// Maximum number of characters of a client's name (`user-agent`) in log lines.
const MAX_AGENT: usize = 200;

/// Routes that are asked for by machines again and again.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The id of a request, with which other log lines refer to it.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// The address that a request came from, which may be that of a proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Milliseconds to a microsecond, which numbers of people and machines need.
pub(crate) fn rounded_ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

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
    let agent = request.headers().get(header::USER_AGENT).map(shortened);
    let trace = Trace::of(request.headers(), random);

    // Not a middleware of its own, which costs more than the check.
    let mut response = match check_head(&service, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };

    let (duration, status) = (started.elapsed(), response.status().as_u16());
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    service.metrics.request(method, route, status, duration);
    let ms = rounded_ms(duration);
    #[cfg(feature = "otel")]
    if let Some(exporter) = service.exporter.as_ref().filter(|_| !PROBES.contains(&route)) {
        let answered = export::Answered { method, route, status, duration, request_id: &id };
        exporter.record(trace.as_ref(), &answered);
    }
    response.headers_mut().reserve(ADDED);
    add_headers(response.headers_mut(), &service);
    for (header, value) in [
        (SERVER_TIMING, Some(HeaderValue::try_from(format!("total;dur={ms:.3}")))),
        (REQUEST_ID, Some(HeaderValue::from_str(&id))),
        (trace::RESPONSE, trace.as_ref().map(|trace| HeaderValue::try_from(trace.response()))),
    ] {
        if let Some(Ok(value)) = value {
            response.headers_mut().insert(header, value);
        }
    }
    let bytes = response.body().size_hint().exact();
    let address = address.map(tracing::field::display);
    let key = response.extensions().get::<KeyName>().map(|name| &*name.0);
    let trace_id = trace.as_ref().map(Trace::id);
    // The fields of all lines about a request.
    macro_rules! line {
        ($level:ident, $message:literal $(, $field:ident = $value:expr)*) => {
            tracing::$level!(
                request_id = &*id,
                trace_id,
                address,
                key,
                agent = agent.as_deref(),
                method,
                route,
                status,
                bytes,
                ms,
                $($field = $value,)*
                $message
            )
        };
    }
    if let Some(&refusal) = response.extensions().get::<KeyRefusal>() {
        service.metrics.key_refused(refusal);
        line!(warn, "key refused", reason = refusal.name());
    } else if status >= 500 && !PROBES.contains(&route) {
        match service.failures.line() {
            Line::Write => line!(warn, "request"),
            Line::LeaveOut => line!(debug, "request"),
        }
    } else if PROBES.contains(&route) && !service.config.log_probes {
        line!(debug, "request");
    } else {
        line!(info, "request");
    }
    response
}

/// Adds what browsers shall know of every response, unless the page has said it.
fn add_headers(headers: &mut HeaderMap, service: &Service) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    let age = service.config.hsts_max_age_s;
    if service.config.tls_cert_file.is_some()
        && age > 0
        && let Ok(value) = HeaderValue::from_str(&format!("max-age={age}"))
    {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

/// A client's name for a log line.
fn shortened(agent: &HeaderValue) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(agent.as_bytes());
    text.chars().take(MAX_AGENT).collect()
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

/// A number that differs from request to request and from server to server.
fn random() -> u64 {
    static HASH: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    HASH.hash_one(COUNT.fetch_add(1, Ordering::Relaxed))
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

//! Error responses: problem details as in RFC 9457.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;

/// `Retry-After` of responses with status 503, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// An error response with media type `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// The status phrase.
    #[schema(value_type = String)]
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong and how to fix it, in a sentence.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// The invalid field, as a path into the body or the name of a parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// True if the event of the request was stored although the request failed: do not send it again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    event_stored: bool,
    /// Seconds for the header `Retry-After`.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem that concerns the whole request.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            event_stored: false,
            retry_after: None,
        }
    }

    /// A problem with one field, with status 422.
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        Self { field: Some(field.into()), ..problem }
    }

    /// Prefixes the field's path with `outer`; a problem without a field gets `outer` as its field.
    pub(crate) fn within(self, outer: &str) -> Self {
        let field = self.field.map_or_else(|| outer.to_owned(), |field| format!("{outer}.{field}"));
        Self { field: Some(field), ..self }
    }

    /// Says after how many seconds the same request can be answered.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Marks the problem as one of a request whose event was stored.
    pub(crate) fn after_storing(self) -> Self {
        Self { event_stored: true, ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match status {
            // A proxy or client that retries by itself would send a stored event twice.
            StatusCode::SERVICE_UNAVAILABLE if !self.event_stored => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

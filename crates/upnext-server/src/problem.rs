//! What is answered when something is wrong: problem details as in RFC 9457.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;

/// Seconds after which a client that was told to wait may try again.
const RETRY_AFTER_S: u64 = 1;

/// An answer that says what is wrong, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// The words of the status.
    #[schema(value_type = String)]
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong and what to do, in a sentence.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// The field that is wrong, as a path into the body, or a parameter's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// True where the event of the request was stored although there is no answer: do not send it again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    event_stored: bool,
}

impl Problem {
    /// A problem with the whole request.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { title, status: status.as_u16(), detail: detail.into(), field: None, event_stored: false }
    }

    /// A problem with one field.
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        Self { field: Some(field.into()), ..problem }
    }

    /// The same problem, of a field that stands in `outer`.
    pub(crate) fn within(self, outer: &str) -> Self {
        let field = self.field.map_or_else(|| outer.to_owned(), |field| format!("{outer}.{field}"));
        Self { field: Some(field), ..self }
    }

    /// The same problem, in a request whose event was stored.
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
        match status {
            // Proxies and clients that come back by themselves would send a stored event again.
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

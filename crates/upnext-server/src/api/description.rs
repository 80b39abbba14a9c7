//! `/openapi.json` and `/docs`: the description of the HTTP interface.

use super::{admin, catalogue, items, moving, new_items, operation, recommend, sessions, similar};
use super::{bounds, ok};
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

/// A page that displays `/openapi.json` and sends requests. It loads nothing from other servers.
const PAGE: &str = include_str!("docs.html");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "upnext",
        description = "What comes next in a session. Item and session ids are any text. Errors are problem details (RFC 9457) with the field that was wrong."
    ),
    paths(
        recommend::recommend,
        recommend::recommend_batch,
        sessions::add_event,
        sessions::show,
        sessions::remove,
        items::find,
        items::look_up,
        catalogue::catalogue,
        catalogue::examples,
        similar::similar,
        operation::model,
        operation::models,
        operation::healthz,
        operation::readyz,
        operation::metrics,
        admin::reload,
        admin::lists,
        admin::share,
        new_items::add,
        moving::export,
        moving::import,
    ),
    components(schemas(Problem)),
    tags(
        (name = "recommend", description = "Sessions that come with the request; nothing is kept."),
        (name = "sessions", description = "Sessions that the server keeps, event by event."),
        (name = "items", description = "What the items are called, which there are, and which are similar."),
        (name = "operation", description = "Is it alive, what does it serve, how is it doing."),
        (name = "admin", description = "Needs a key of its own."),
    ),
    modifiers(&Keys),
    security((), ("key" = [])),
)]
struct Description;

/// Adds the security scheme `Authorization: Bearer KEY`.
struct Keys;

impl utoipa::Modify for Keys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("key", bearer);
    }
}

/// The OpenAPI document, with the bounds that this server has.
pub(super) async fn openapi(State(service): State<Arc<Service>>) -> Response {
    // Serialisation cannot fail for these types; if it did, the empty document would fail the tests.
    let mut document = serde_json::to_value(Description::openapi()).unwrap_or_default();
    bounds::complete(&mut document, &service);
    ok(&document)
}

/// The page of the interface.
pub(super) async fn docs() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ];
    (headers, PAGE).into_response()
}

//! `/`: a web page to try the model, which uses the public HTTP interface.
//!
//! Its files are in this folder and compiled in. The content security policy allows it to load only them and to connect
//! only to this server, and makes the browser enforce that ids and titles are inserted as text (`trusted-types`). Pictures
//! of other servers are allowed only if the catalogue has some.

use crate::problem::Problem;
use crate::service::Service;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// What is added to the sources of pictures if the catalogue has URLs of pictures.
const PICTURES: &str = "img-src 'self' https: http:;";

/// The HTML document.
pub(crate) async fn document(State(service): State<Arc<Service>>) -> Response {
    let served = service.models.first().served();
    let catalogue = served.catalogue(service.catalogue.as_ref());
    let mut response = answer("text/html; charset=utf-8", include_str!("index.html"));
    if catalogue.is_some_and(|catalogue| catalogue.has_pictures()) {
        let policy = POLICY.replacen("img-src 'self';", PICTURES, 1);
        if let Ok(policy) = HeaderValue::try_from(policy) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
    response
}

/// A style sheet, script or image of the page.
pub(crate) async fn asset(name: Result<Path<String>, axum::extract::rejection::PathRejection>) -> Response {
    match name.as_deref().map(String::as_str) {
        Ok("page.css") => answer("text/css; charset=utf-8", include_str!("page.css")),
        Ok("page.js") => answer("text/javascript; charset=utf-8", include_str!("page.js")),
        Ok("lists.js") => answer("text/javascript; charset=utf-8", include_str!("lists.js")),
        Ok("filters.js") => answer("text/javascript; charset=utf-8", include_str!("filters.js")),
        Ok("replay.js") => answer("text/javascript; charset=utf-8", include_str!("replay.js")),
        Ok("icon.svg") => answer("image/svg+xml", include_str!("icon.svg")),
        _ => Problem::new(StatusCode::NOT_FOUND, "the page has no such part").into_response(),
    }
}

fn answer(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A new version of the server may have a new page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

//! The routes of the HTTP interface, under `/v1` except those for operation.

mod admin;
mod body;
mod bounds;
mod catalogue;
mod description;
mod headers;
mod items;
mod moving;
mod operation;
mod recommend;
mod sessions;
mod similar;
mod strict;

use crate::ServerConfig;
use crate::keys::{require_admin_key, require_any_key, require_key};
use crate::page;
use crate::problem::Problem;
use crate::requests::observe;
use crate::service::Service;
use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use strict::check_head;
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Headers that pages of other sites may send and read.
const SENT: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-request-timeout-ms"),
];
const READ: [HeaderName; 3] =
    [header::RETRY_AFTER, HeaderName::from_static("server-timing"), HeaderName::from_static("x-request-id")];

/// Time for which browsers remember that a page may call the server.
const CORS_AGE: Duration = Duration::from_secs(86_400);

/// The routes of the two addresses.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    /// Those for clients; all of them if there is one address.
    pub(crate) main: Router,
    /// Those for operators.
    pub(crate) admin: Router,
}

/// All routes.
pub(crate) fn routes(service: &Arc<Service>) -> Routes {
    let clients = probes().merge(data(service)).merge(models(service)).merge(pages());
    let main = match service.config.admin_listen {
        Some(_) => clients,
        None => clients.merge(admin(service)).merge(metrics(service)),
    };
    let main = dressed(main, service, cors(&service.config));
    let operators = probes().merge(admin(service)).merge(metrics(service)).merge(models(service));
    Routes { main, admin: dressed(operators, service, None) }
}

/// Recommendations, sessions and items.
fn data(service: &Arc<Service>) -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/recommend", post(recommend::recommend))
        .route("/v1/recommend/batch", post(recommend::recommend_batch))
        .route("/v1/sessions/{id}/events", post(sessions::add_event))
        .route("/v1/sessions/{id}", get(sessions::show).delete(sessions::remove))
        .route("/v1/items", get(items::find))
        .route("/v1/items/lookup", post(items::look_up))
        .route("/v1/catalogue", get(catalogue::catalogue))
        .route("/v1/examples", get(catalogue::examples))
        .route("/v1/items/{id}/similar", get(similar::similar))
        .route_layer(from_fn_with_state(Arc::clone(service), require_key))
}

fn models(service: &Arc<Service>) -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/model", get(operation::model))
        .route("/v1/models", get(operation::models))
        .route_layer(from_fn_with_state(Arc::clone(service), require_any_key))
}

fn admin(service: &Arc<Service>) -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/admin/reload", post(admin::reload))
        .route("/v1/admin/lists", post(admin::lists))
        .route("/v1/admin/share", post(admin::share))
        .route("/v1/admin/sessions", get(moving::export).post(moving::import))
        .route_layer(from_fn_with_state(Arc::clone(service), require_admin_key))
}

fn metrics(service: &Arc<Service>) -> Router<Arc<Service>> {
    Router::new()
        .route("/metrics", get(operation::metrics))
        .route_layer(from_fn_with_state(Arc::clone(service), require_any_key))
}

fn probes() -> Router<Arc<Service>> {
    Router::new().route("/healthz", get(operation::healthz)).route("/readyz", get(operation::readyz))
}

fn pages() -> Router<Arc<Service>> {
    Router::new()
        .route("/", get(page::document))
        .route("/assets/{name}", get(page::asset))
        .route("/openapi.json", get(description::openapi))
        .route("/docs", get(description::docs))
}

/// Routes with what all have in common.
fn dressed(routes: Router<Arc<Service>>, service: &Arc<Service>, cors: Option<CorsLayer>) -> Router {
    let state = || Arc::clone(service);
    let mut routes = routes
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "there is no such path: /docs of the address for clients lists those that there are",
            )
        })
        .method_not_allowed_fallback(async || {
            let detail = "the path does not take this method: the header `allow` lists those that it takes";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(from_fn_with_state(state(), check_head));
    if let Some(cors) = cors {
        routes = routes.layer(cors);
    }
    routes = routes.layer(from_fn_with_state(state(), observe));
    // Outside of what logs sizes.
    if service.config.compress_from_bytes > 0 {
        let large = SizeAbove::new(service.config.compress_from_bytes);
        routes = routes.layer(CompressionLayer::new().gzip(true).compress_when(large));
    }
    routes.with_state(state())
}

/// What browsers let pages of other sites do; `None`: nothing.
fn cors(config: &ServerConfig) -> Option<CorsLayer> {
    let origins = &config.cors_origins;
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        // All of them are values of headers, as the configuration was checked.
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let cors = || {
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers(SENT)
            .expose_headers(READ)
            .max_age(CORS_AGE)
    };
    (!origins.is_empty()).then(cors)
}

/// A response with a JSON body.
fn ok(document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON")
                .into_response()
        }
    }
}

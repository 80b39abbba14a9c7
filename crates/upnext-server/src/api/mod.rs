//! The routes of the HTTP interface, under `/v1` except those for operation.

mod admin;
mod body;
mod bounds;
mod catalogue;
mod description;
mod headers;
mod items;
mod moving;
mod new_items;
mod operation;
mod recommend;
mod sessions;
mod similar;
mod strict;

pub(crate) use strict::check_head;

use crate::ServerConfig;
use crate::keys::{require_admin_key, require_any_key, require_key};
use crate::page;
use crate::problem::Problem;
use crate::requests::observe;
use crate::service::Service;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tower_http::compression::{Compression, predicate::SizeAbove};
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

/// The size of many answers, which grow beyond it where they are larger.
const ANSWER_BYTES: usize = 2_048;

/// The routes of the two addresses.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    /// Those for clients; all of them if there is one address.
    pub(crate) main: Router,
    /// Those for operators.
    pub(crate) admin: Router,
    /// Which responses are compressed for clients that accept it; `None`: none.
    large: Option<SizeAbove>,
}

impl Routes {
    /// Answers a request by `router`, one of these.
    pub(crate) async fn answer(&self, router: Router, request: Request<Incoming>) -> Response {
        // Not a layer of the router, which costs all requests something.
        match &self.large {
            Some(large) if request.headers().contains_key(header::ACCEPT_ENCODING) => {
                let router = Compression::new(router).gzip(true).compress_when(*large);
                let Ok(response) = TowerToHyperService::new(router).call(request).await;
                response.map(Body::new)
            }
            _ => {
                let Ok(response) = TowerToHyperService::new(router).call(request).await;
                response
            }
        }
    }
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
    let compressed_from = service.config.compress_from_bytes;
    Routes {
        main,
        admin: dressed(operators, service, None),
        large: (compressed_from > 0).then(|| SizeAbove::new(compressed_from)),
    }
}

/// Recommendations, sessions and items.
fn data(service: &Arc<Service>) -> Router<Arc<Service>> {
    let routes = Router::new()
        .route("/v1/recommend", post(recommend::recommend))
        .route("/v1/recommend/batch", post(recommend::recommend_batch))
        .route("/v1/sessions/{id}/events", post(sessions::add_event))
        .route("/v1/sessions/{id}", get(sessions::show).delete(sessions::remove))
        .route("/v1/items", get(items::find))
        .route("/v1/items/lookup", post(items::look_up))
        .route("/v1/catalogue", get(catalogue::catalogue))
        .route("/v1/examples", get(catalogue::examples))
        .route("/v1/items/{id}/similar", get(similar::similar));
    // A server that is started without keys never has any.
    if service.keys.load().data.is_empty() {
        return routes;
    }
    routes.route_layer(from_fn_with_state(Arc::clone(service), require_key))
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
        .route("/v1/admin/items", post(new_items::add))
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
        });
    if let Some(cors) = cors {
        routes = routes.layer(cors);
    }
    routes.layer(from_fn_with_state(state(), observe)).with_state(state())
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
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    match serde_json::to_writer(&mut body, document) {
        Ok(()) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON")
                .into_response()
        }
    }
}

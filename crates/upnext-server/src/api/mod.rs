//! The routes of the HTTP interface, under `/v1` except those for operation.

mod body;
mod catalogue;
mod description;
mod items;
mod operation;
mod recommend;
mod sessions;
mod similar;
mod strict;

use crate::keys::{require_admin_key, require_any_key, require_key};
use crate::page;
use crate::problem::Problem;
use crate::requests::observe;
use crate::service::Service;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use std::sync::Arc;
use strict::check_head;

/// All routes.
pub(crate) fn router(service: &Arc<Service>) -> Router {
    let state = || Arc::clone(service);
    let data = Router::new()
        .route("/v1/recommend", post(recommend::recommend))
        .route("/v1/recommend/batch", post(recommend::recommend_batch))
        .route("/v1/sessions/{id}/events", post(sessions::add_event))
        .route("/v1/sessions/{id}", get(sessions::show).delete(sessions::remove))
        .route("/v1/items", get(items::find))
        .route("/v1/items/lookup", post(items::look_up))
        .route("/v1/catalogue", get(catalogue::catalogue))
        .route("/v1/examples", get(catalogue::examples))
        .route("/v1/items/{id}/similar", get(similar::similar))
        .route("/v1/model", get(operation::model))
        .route("/v1/models", get(operation::models))
        .route_layer(from_fn_with_state(state(), require_key));
    let admin = Router::new()
        .route("/v1/admin/reload", post(operation::reload))
        .route("/v1/admin/lists", post(operation::lists))
        .route_layer(from_fn_with_state(state(), require_admin_key));
    let metrics = Router::new()
        .route("/metrics", get(operation::metrics))
        .route_layer(from_fn_with_state(state(), require_any_key));
    let open = Router::new()
        .route("/", get(page::document))
        .route("/assets/{name}", get(page::asset))
        .route("/healthz", get(operation::healthz))
        .route("/readyz", get(operation::readyz))
        .route("/openapi.json", get(description::openapi))
        .route("/docs", get(description::docs));
    data.merge(admin)
        .merge(metrics)
        .merge(open)
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "there is no such path: /docs lists those that there are")
        })
        .method_not_allowed_fallback(async || {
            let detail = "the path does not take this method: the header `allow` lists those that it takes";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(from_fn_with_state(state(), check_head))
        .layer(from_fn_with_state(state(), observe))
        .with_state(state())
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

//! Routes for operation: health, readiness, served models and metrics.

use super::ok;
use super::recommend::ModelName;
use crate::engine::{Engine, Served};
use crate::metrics::State as MetricsState;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use upnext_core::data::format_time;
use utoipa::ToSchema;

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    #[schema(value_type = String)]
    status: &'static str,
    /// What is not as it should be, although requests are answered; absent: nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
}

/// Check that the process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, description = "It is", body = Status)),
    security(())
)]
pub(crate) async fn healthz() -> Response {
    ok(&Status { status: "alive", degraded: Vec::new() })
}

/// Check that this process gives good answers.
///
/// A store of sessions that is away does not keep it from that, and would keep all replicas from it at once: it is named in
/// `degraded`.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "It does", body = Status),
        (status = 503, description = "The server is starting or stopping, or its compute threads do not answer", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(crate) async fn readyz(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    if let Some(reason) = service.unready() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason));
    }
    Ok(ok(&Status { status: "ready", degraded: service.degraded() }))
}

/// A served model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelAnswer<'a> {
    #[serde(flatten)]
    model: ModelName<'a>,
    /// Number of items in its vocabulary.
    items: usize,
    /// Number of them that training has not seen, whose vectors are made of their attributes.
    new_items: usize,
    /// Number of items that the block and allow lists leave.
    allowed_items: usize,
    /// Whether the option `why` of a list has an effect: the model has item vectors.
    explains: bool,
    /// The time at which it was saved, in UTC, if known.
    created: Option<String>,
    /// The time at which it was loaded, in UTC.
    loaded: String,
}

impl<'a> ModelAnswer<'a> {
    pub(super) fn of(served: &'a Served) -> Self {
        Self {
            model: ModelName::of(served),
            items: served.loaded.items().len(),
            new_items: served.new_items,
            allowed_items: served.allowed(),
            explains: served.width() > 0,
            created: served.created_s.map(|seconds| format_time(seconds * 1_000_000)),
            loaded: format_time(served.loaded_s * 1_000_000),
        }
    }
}

/// Describe the first model.
#[utoipa::path(
    get,
    path = "/v1/model",
    tag = "operation",
    responses(
        (status = 200, description = "The model", body = ModelAnswer),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn model(State(service): State<Arc<Service>>) -> Response {
    ok(&ModelAnswer::of(&service.models.first().served()))
}

/// All models of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelsAnswer<'a> {
    /// The first model, which answers by default, then the second, which answers its share and requests that name it.
    models: Vec<ModelAnswer<'a>>,
}

/// Describe all models.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "operation",
    responses(
        (status = 200, description = "The models", body = ModelsAnswer),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn models(State(service): State<Arc<Service>>) -> Response {
    let models: Vec<Arc<Served>> = service.models.all().map(|engine| engine.served()).collect();
    ok(&ModelsAnswer { models: models.iter().map(|served| ModelAnswer::of(served)).collect() })
}

/// Counts and durations, in the OpenMetrics text format for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let text = service.metrics.text(&MetricsState {
        queue: service.models.all().map(Engine::waiting).sum(),
        sessions: service.sessions.count(),
        store: service.sessions.state(),
        is_ready: service.unready().is_none(),
        degraded: service.degraded().len(),
    });
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

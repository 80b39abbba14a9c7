//! Routes for operation: health, readiness, served models, metrics, and loading of models.

use super::body::Json;
use super::ok;
use super::recommend::ModelName;
use crate::engine::{Engine, Served};
use crate::problem::Problem;
use crate::reload::ReloadError;
use crate::service::Service;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
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
        (status = 503, description = "The server is starting or stopping", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(crate) async fn readyz(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    if service.is_stopping() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping: ask another one"));
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
    /// Number of items that the block and allow lists leave.
    allowed_items: usize,
    /// Whether the option `why` of a list has an effect: the model has item vectors.
    explains: bool,
    /// The time at which it was saved, in UTC, if known.
    #[schema(value_type = Option<String>)]
    created: Option<&'a str>,
}

impl<'a> ModelAnswer<'a> {
    fn of(served: &'a Served) -> Self {
        Self {
            model: ModelName::of(served),
            items: served.loaded.items().len(),
            allowed_items: served.allowed(),
            explains: served.width() > 0,
            created: served.loaded.training().created.as_deref(),
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
        (status = 401, description = "A key is missing or wrong", body = Problem, content_type = "application/problem+json"),
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
        (status = 401, description = "A key is missing or wrong", body = Problem, content_type = "application/problem+json"),
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
        (status = 401, description = "A key is missing or wrong", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let waiting = service.models.all().map(Engine::waiting).sum();
    let text = service.metrics.text(waiting, service.sessions.count(), &service.sessions.state());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// A request to load a model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReloadRequest {
    /// A folder in the server's folder of models (`models_dir`); absent: the folder of the model that is replaced.
    #[serde(default)]
    path: Option<String>,
    /// The name of the model to replace, if the server has two; absent: the first.
    #[serde(default)]
    replace: Option<String>,
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Path(detail) => Self::field("path", detail),
            ReloadError::Lists(detail) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{detail}. The lists of before stay"))
            }
            ReloadError::Model(detail) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("{detail}. The model that was served before goes on being served"),
            ),
        }
    }
}

/// Load a model and serve it in place of the old one. If it is broken, it is refused and the old one stays.
#[utoipa::path(
    post,
    path = "/v1/admin/reload",
    tag = "admin",
    request_body = ReloadRequest,
    responses(
        (status = 200, description = "It is served", body = ModelAnswer),
        (status = "4XX", description = "It is not, and the old one stays", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = []))
)]
pub(crate) async fn reload(
    State(service): State<Arc<Service>>,
    Json(request): Json<ReloadRequest>,
) -> Result<Response, Problem> {
    let engine = match &request.replace {
        Some(name) => service.models.named(name).map_err(|problem| problem.within("replace"))?,
        None => service.models.first(),
    };
    let served = service.reload(engine.role(), request.path).await?;
    Ok(ok(&ModelAnswer::of(&served)))
}

/// A request to read the block and allow files.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListsRequest {
    /// Whether they replace the lists of before even if they have less than half of their ids, or leave no item.
    #[serde(default)]
    replace: bool,
}

/// Read the block and allow files and apply them. If they cannot be, the lists of before stay.
#[utoipa::path(
    post,
    path = "/v1/admin/lists",
    tag = "admin",
    request_body = ListsRequest,
    responses(
        (status = 200, description = "They are applied", body = ModelsAnswer),
        (status = "4XX", description = "They are not, and the lists of before stay", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = []))
)]
pub(crate) async fn lists(
    State(service): State<Arc<Service>>,
    Json(request): Json<ListsRequest>,
) -> Result<Response, Problem> {
    service.reload_lists(request.replace).await?;
    Ok(models(State(service)).await)
}

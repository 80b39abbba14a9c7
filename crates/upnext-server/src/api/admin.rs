//! Admin calls: loading of models and lists, and the shares of two models.

use super::body::Json;
use super::ok;
use super::operation::{ModelAnswer, ModelsAnswer, models};
use crate::callers::Caller;
use crate::problem::Problem;
use crate::reload::{ReloadError, Wanted};
use crate::service::Service;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

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
    /// Whether to load it without a trial, and although it has few items or is old.
    #[serde(default)]
    force: bool,
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Path(detail) => Self::field("path", detail),
            ReloadError::NoLists | ReloadError::NoAttributes => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            ReloadError::Items(field, detail) => Self::field(field, detail),
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
    caller: Caller,
    Json(request): Json<ReloadRequest>,
) -> Result<Response, Problem> {
    let engine = match &request.replace {
        Some(name) => service.models.named(name).map_err(|problem| problem.within("replace"))?,
        None => service.models.first(),
    };
    let wanted = Wanted { path: request.path, force: request.force };
    let served = service.reload(engine.role(), wanted, caller.to_string()).await?;
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
        (status = 409, description = "The server has no lists", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "They are not, and the lists of before stay", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = []))
)]
pub(crate) async fn lists(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<ListsRequest>,
) -> Result<Response, Problem> {
    service.reload_lists(request.replace, &caller.to_string()).await?;
    Ok(models(State(service)).await)
}

/// The parts of the sessions that the second model gets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareRequest {
    /// Part of the sessions, 0 to 1, that the second model answers; absent: as before.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    share: Option<f64>,
    /// Part of the other sessions, 0 to 1, for which it computes lists that nobody sees; absent: as before.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    shadow: Option<f64>,
}

/// The parts of the sessions that the second model gets from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShareAnswer {
    share: f64,
    shadow: f64,
}

/// Change the parts of the sessions that the second model gets, until the server ends.
#[utoipa::path(
    post,
    path = "/v1/admin/share",
    tag = "admin",
    request_body = ShareRequest,
    responses(
        (status = 200, description = "They are changed", body = ShareAnswer),
        (status = 409, description = "The server has one model", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "They are not", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = []))
)]
pub(crate) async fn share(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<ShareRequest>,
) -> Result<Response, Problem> {
    if !service.models.has_second() {
        let detail = "the server has one model: start it with --compare MODEL2";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let before = service.models.shares();
    let (share, shadow) = (request.share.unwrap_or(before.0), request.shadow.unwrap_or(before.1));
    for (field, part) in [("share", share), ("shadow", shadow)] {
        if !(0.0..=1.0).contains(&part) {
            return Err(Problem::field(field, format!("{part} is no part: give 0 to 1")));
        }
    }
    service.models.share(share, shadow);
    tracing::info!(share, shadow, by = %caller, "shares changed");
    Ok(ok(&ShareAnswer { share, shadow }))
}

//! What is answered before the models are loaded: that the process lives, and that it is not ready.

use crate::problem::Problem;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::sync::OnceLock;

/// The routes, once there are models to answer with.
#[derive(Debug, Default)]
pub(super) struct Gate(OnceLock<Router>);

impl Gate {
    /// Answers requests by these routes from now on.
    pub(super) fn open(&self, router: Router) {
        _ = self.0.set(router);
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        match self.0.get() {
            Some(router) => TowerToHyperService::new(router.clone()).call(request).await,
            None => Ok(while_loading(request.uri().path())),
        }
    }
}

fn while_loading(path: &str) -> Response<Body> {
    if path == "/healthz" {
        let body = r#"{"status":"alive"}"#;
        return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    }
    let detail = "the server loads its model: ask another one, or try again soon";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
}

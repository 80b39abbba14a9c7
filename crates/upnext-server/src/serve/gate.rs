//! What is answered before the models are loaded: that the process lives, and that it is not ready.

use crate::api::Routes;
use crate::problem::Problem;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use std::sync::OnceLock;

/// The port that a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// That of clients.
    Main,
    /// That of operators (`admin_listen`).
    Admin,
}

/// The routes, once there are models to answer with.
#[derive(Debug, Default)]
pub(super) struct Gate(OnceLock<Routes>);

impl Gate {
    /// Answers requests by these routes from now on.
    pub(super) fn open(&self, routes: Routes) {
        _ = self.0.set(routes);
    }

    pub(super) async fn answer(&self, port: Port, request: Request<Incoming>) -> Response<Body> {
        let Some(routes) = self.0.get() else { return while_loading(request.uri().path()) };
        let router = match port {
            Port::Main => routes.main.clone(),
            Port::Admin => routes.admin.clone(),
        };
        routes.answer(router, request).await
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

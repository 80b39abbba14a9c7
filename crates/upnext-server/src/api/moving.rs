//! `/v1/admin/sessions`: all stored sessions, as one JSON object a line, to bring them to another store or server.

use super::body::{Lines, NDJSON, check_id};
use super::ok;
use crate::callers::Caller;
use crate::problem::Problem;
use crate::service::Service;
use crate::sessions::{Moved, Session, StoreError};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Number of sessions that are imported at a time.
const IMPORTED: usize = 512;

/// The last millisecond of the calendar, and the largest number that all stores count to.
const LAST_MS: u64 = 253_402_300_799_999;
const MOST_EVENTS: u64 = 1 << 53;

/// A session, as a line.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionLine {
    session_id: String,
    /// The latest items, oldest first.
    items: Vec<String>,
    /// Number of events, including those that are no longer stored.
    events: u64,
    /// Time of the first event, in milliseconds since 1970.
    began_ms: u64,
    /// Time of the latest event, in milliseconds since 1970.
    last_event_ms: u64,
    /// Milliseconds since the latest event.
    idle_ms: u64,
}

impl From<Moved> for SessionLine {
    fn from(Moved { id, session, idle_ms }: Moved) -> Self {
        Self {
            session_id: id.to_string(),
            items: session.items.iter().map(|item| item.to_string()).collect(),
            events: session.events,
            began_ms: session.began_ms,
            last_event_ms: session.last_event_ms,
            idle_ms,
        }
    }
}

impl SessionLine {
    fn checked(self, service: &Service) -> Result<Moved, Problem> {
        check_id("session_id", "session", &self.session_id, service.config.max_session_id_bytes)?;
        for (i, item) in self.items.iter().enumerate() {
            check_id(&format!("items[{i}]"), "item", item, service.config.max_item_id_bytes)?;
        }
        let Self { items, events, began_ms, last_event_ms, .. } = self;
        for (field, ms) in [("began_ms", began_ms), ("last_event_ms", last_event_ms)] {
            if ms > LAST_MS {
                return Err(Problem::field(field, "is no time in milliseconds since 1970"));
            }
        }
        if events < items.len() as u64 || events > MOST_EVENTS {
            return Err(Problem::field("events", "is less than the number of items, or no number of events"));
        }
        let items = items.into_iter().map(Arc::from).collect();
        let session = Session { items, events, began_ms, last_event_ms };
        Ok(Moved { id: self.session_id.into(), session, idle_ms: self.idle_ms })
    }
}

/// Export all stored sessions.
#[utoipa::path(
    get,
    path = "/v1/admin/sessions",
    tag = "admin",
    responses(
        (status = 200, description = "The sessions, one JSON object a line, without the keys of their events; if a session changes meanwhile, its last line counts", body = SessionLine, content_type = "application/x-ndjson"),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store of sessions is away", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = []))
)]
pub(crate) async fn export(State(service): State<Arc<Service>>, caller: Caller) -> Result<Response, Problem> {
    // The first sessions before the response begins, so that a store that is away is a 503.
    let first = service.sessions.export(None).await?;
    tracing::info!(by = %caller, "sessions exported");
    let (mut sender, body) = Channel::<Bytes, StoreError>::new(2);
    tokio::spawn(async move {
        let (mut sessions, mut cursor) = first;
        loop {
            let mut lines = Vec::new();
            for moved in sessions {
                // Writing into memory cannot fail.
                _ = serde_json::to_writer(&mut lines, &SessionLine::from(moved));
                lines.push(b'\n');
            }
            // Fails if the client has gone away, which is no error.
            if sender.send_data(lines.into()).await.is_err() {
                return;
            }
            let Some(next) = cursor else { return };
            match service.sessions.export(Some(next)).await {
                Ok(exported) => (sessions, cursor) = exported,
                Err(error) => {
                    tracing::error!(%error, "the export of sessions ends early");
                    return sender.abort(error);
                }
            }
        }
    });
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON))], Body::new(body.fuse())).into_response())
}

/// How many sessions were imported.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportAnswer {
    /// Number of sessions that were added.
    imported: usize,
    /// Number of sessions that have ended, or of which the store has a later state.
    skipped: usize,
}

/// Import sessions that were exported.
#[utoipa::path(
    post,
    path = "/v1/admin/sessions",
    tag = "admin",
    request_body(content = SessionLine, content_type = "application/x-ndjson", description = "Sessions, one JSON object a line"),
    responses(
        (status = 200, description = "They are stored", body = ImportAnswer),
        (status = "4XX", description = "What is wrong with a line; those before it are stored", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store of sessions is away", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = []))
)]
pub(crate) async fn import(
    State(service): State<Arc<Service>>,
    caller: Caller,
    mut lines: Lines,
) -> Result<Response, Problem> {
    let (mut imported, mut read, mut waiting) = (0, 0, Vec::with_capacity(IMPORTED));
    loop {
        let line = lines.next::<SessionLine>().await;
        let line = line.and_then(|line| line.map(|line| line.checked(&service)).transpose());
        let line = line.map_err(|problem| problem.within(&format!("line {}", read + 1)));
        let is_last = !matches!(line, Ok(Some(_)));
        let problem = match line {
            Ok(Some(moved)) => {
                read += 1;
                waiting.push(moved);
                None
            }
            Ok(None) => None,
            Err(problem) => Some(problem),
        };
        if is_last || waiting.len() >= IMPORTED {
            imported += service.sessions.import(std::mem::take(&mut waiting)).await?;
        }
        if let Some(problem) = problem {
            return Err(problem);
        }
        if is_last {
            tracing::info!(by = %caller, imported, skipped = read - imported, "sessions imported");
            return Ok(ok(&ImportAnswer { imported, skipped: read - imported }));
        }
    }
}

//! `/v1/sessions/{id}`: sessions that the server stores event by event.

use super::body::{Json, SessionId, check_id};
use super::headers::{EventKey, TimeLimit};
use super::ok;
use super::recommend::{List, ModelName, Shown, at_most, item_id, list_request};
use crate::ServerConfig;
use crate::callers::Caller;
use crate::engine::{Class, Question};
use crate::event_log::session_name;
use crate::problem::Problem;
use crate::requests::RequestId;
use crate::service::Service;
use crate::sessions::{Appended, Event, Outcome, Removal, StoreError, Unstored};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;
use upnext_core::data::format_time;
use utoipa::ToSchema;

list_request! {
    /// An event, and the options of the list after it.
    EventRequest {
        /// The id of the item that was clicked.
        item: String,
        /// What happened to the item, such as `cart` or `purchase`; absent: the first of the server's `event_types`, usually
        /// `view`.
        #[serde(default, rename = "type")]
        event_type: Option<String>,
    }
}

/// The recommendations after an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventAnswer<'a> {
    #[schema(value_type = String)]
    session_id: &'a str,
    /// Number of clicks in the session, this one included.
    events: u64,
    model: ModelName<'a>,
    /// True if the event was sent before, under the same `idempotency-key`, and counts once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    /// False if the event is not kept as it should be; `detail` says how. Absent: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_stored: Option<bool>,
    /// What became of an event that is not kept as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    detail: Option<&'static str>,
    #[serde(flatten)]
    list: List<'a>,
}

/// A session that is forgotten, and that a restart would bring back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemovalAnswer {
    /// What became of it.
    #[schema(value_type = String)]
    detail: &'static str,
}

/// A stored session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionAnswer<'a> {
    #[schema(value_type = String)]
    session_id: &'a str,
    /// The latest items, oldest first.
    #[schema(value_type = Vec<String>)]
    items: Vec<&'a str>,
    /// Number of events, including those that are no longer stored.
    events: u64,
    /// Time of the latest event, in UTC.
    last_event: String,
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::debug!(%error, "the session store failed");
        let detail = match error {
            StoreError::Failed(_) => "the store of sessions is away: try again soon",
            StoreError::Unconfirmed(_) => {
                "the store of sessions did not answer, and may have done what it was asked or not: try again soon"
            }
            StoreError::Loading => "the sessions of before are still being read: try again soon",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl Unstored {
    /// A sentence for the client.
    fn detail(&self) -> &'static str {
        match self {
            Self::Pending(_) => {
                "the event is in memory, and is written as soon as the disk takes it: do not send it again"
            }
            Self::Local(_) => {
                "the store of sessions is away: the list is made of what this server knows of the session"
            }
            Self::Unconfirmed(_) => {
                "the store of sessions did not answer, and may have the event or not: the list is made of what this server knows of the session"
            }
        }
    }
}

/// Stores an event, and appends it to the event log, unless it was sent before.
///
/// It runs as a separate task, which is finished even if the client disconnects, so that every event is logged.
async fn store_event(
    service: &Arc<Service>,
    id: &str,
    (event, kind): (Event, String),
    model: String,
) -> Result<Appended, Problem> {
    let (service, id) = (Arc::clone(service), id.to_owned());
    let storing = tokio::spawn(async move {
        let (began, item) = (Instant::now(), Arc::clone(&event.item));
        let appended = service.sessions.append(&id, event).await;
        service.metrics.store("append", began.elapsed(), appended.unstored.is_none());
        match (appended.outcome, &appended.unstored) {
            (Outcome::Conflict, _) => return appended,
            (Outcome::Repeated, _) => {
                service.metrics.event_repeated();
                return appended;
            }
            (Outcome::Added, None) => service.metrics.event(),
            (Outcome::Added, Some(unstored)) => service.metrics.unstored(unstored),
        }
        if let Some(log) = &service.event_log {
            log.record(&id, &appended.session, (item, kind), model);
        }
        appended
    });
    storing.await.map_err(|panicked| StoreError::Unconfirmed(panicked.to_string()).into())
}

/// The type of an event, and whether it is one of those that lists are made of.
fn event_type(wanted: Option<String>, service: &Service) -> Result<(String, bool), Problem> {
    let types = &service.config.event_types;
    let kind = match wanted {
        None => types.first().cloned().unwrap_or_default(),
        Some(kind) if types.contains(&kind) => kind,
        Some(_) => {
            let detail = format!("is none of the server's `event_types`: give one of {}", types.join(", "));
            return Err(Problem::field("type", detail));
        }
    };
    let is_click = service.config.session_event_types.contains(&kind);
    if !is_click && service.event_log.is_none() {
        let detail = format!(
            "an event of type `{kind}` is only written to the event log, and the server has none: start it with --event-log DIR"
        );
        return Err(Problem::field("type", detail));
    }
    Ok((kind, is_click))
}

fn no_such_session(config: &ServerConfig) -> Problem {
    let detail = format!(
        "there is no such session: it never had an event, or none for {} seconds, or was removed",
        config.session_idle_s
    );
    Problem::new(StatusCode::NOT_FOUND, detail)
}

/// Add an event to a session and recommend what comes next.
#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/events",
    tag = "sessions",
    params(
        ("id" = String, Path, description = "The session's id, any text; a session begins with its first event"),
        ("idempotency-key" = Option<String>, Header, description = "The client's name of the event, such as a UUID: an event that is sent again under the same one counts once"),
    ),
    request_body = EventRequest,
    responses(
        (status = 200, description = "The list; the event is stored unless `event_stored` is false", body = EventAnswer),
        (status = 409, description = "The session has another event under this key", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "What is wrong with the request; nothing was stored", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many requests at a time; `event_stored` says whether the event was stored", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn add_event(
    State(service): State<Arc<Service>>,
    SessionId(id): SessionId,
    Extension(id_of_request): Extension<RequestId>,
    (caller, limit, EventKey(key)): (Caller, TimeLimit, EventKey),
    Json(mut request): Json<EventRequest>,
) -> Result<Response, Problem> {
    let deadline = limit.deadline();
    check_id("item", "item", &request.item, service.config.max_item_id_bytes)?;
    let item: Arc<str> = std::mem::take(&mut request.item).into();
    let (kind, is_click) = event_type(request.event_type.take(), &service)?;
    let question = request.question(Vec::new(), &service.config)?;
    // Reserved first, so that an overloaded server refuses the event before it is stored.
    let chosen = service.models.choose(None, Some(&id))?;
    // The length of the session is known only after storing, so the limit applies to one of maximum length.
    let work = std::iter::once((&question, service.config.max_session_events));
    chosen
        .engine
        .check_work(work, service.config.max_request_work)
        .map_err(|problem| problem.within("why"))?;
    service.count_lists(&caller, 1)?;
    let reservation = chosen.engine.reserve(1, Class::Visitor, service.owner(&caller))?;
    let key = key.map(|key| (key, format!("{kind} {item}").into()));
    let event = (Event { item, is_click, key }, kind);
    let Appended { session, outcome, unstored } =
        store_event(&service, &id, event, chosen.engine.served().name.clone()).await?;
    if outcome == Outcome::Conflict {
        let detail = "the session has another event under this key: give each event a key of its own";
        return Err(Problem::new(StatusCode::CONFLICT, detail).within("idempotency-key"));
    }
    // Whatever happens now, the event must not be sent again, unless only this process has it.
    let is_kept = !matches!(unstored, Some(Unstored::Local(_)));
    let after = |problem: Problem| if is_kept { problem.after_storing() } else { problem };
    let shown_in = service.event_log.as_ref().map(|_| session_name(&id, &session));
    let question = Question { session: session.items, ..question };
    let answer = chosen.answer(reservation, question, deadline, id_of_request.clone()).await;
    let answer = answer.map_err(|refusal| after(refusal.into()))?;
    if let Some(name) = &shown_in {
        let shown =
            Shown { session: name, events: session.events, is_assigned: true, request: &id_of_request };
        shown.log(&service, &answer);
    }
    let list = List::all(&service, &answer).pop();
    let list = list.ok_or_else(|| after(crate::engine::Refusal::Failed.into()))?;
    Ok(ok(&EventAnswer {
        session_id: &id,
        events: session.events,
        model: ModelName::of(&answer.served),
        repeated: outcome == Outcome::Repeated,
        event_stored: unstored.as_ref().map(|_| false),
        detail: unstored.as_ref().map(Unstored::detail),
        list,
    }))
}

/// Show a session.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, description = "The session", body = SessionAnswer),
        (status = "4XX", description = "404: there is none; 401: a key is missing or wrong; 422: such an id has no session", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store of sessions is away", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    SessionId(id): SessionId,
) -> Result<Response, Problem> {
    let began = Instant::now();
    let found = service.sessions.get(&id).await;
    service.metrics.store("get", began.elapsed(), found.is_ok());
    let session = found?.ok_or_else(|| no_such_session(&service.config))?;
    Ok(ok(&SessionAnswer {
        session_id: &id,
        items: session.items.iter().map(|item| &**item).collect(),
        events: session.events,
        last_event: format_time(session.last_event_ms as i64 * 1_000),
    }))
}

/// Forget a session.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 202, description = "It is forgotten, but a restart would bring it back until the disk takes the change", body = RemovalAnswer),
        (status = 204, description = "It is forgotten"),
        (status = "4XX", description = "404: there is none; 401: a key is missing or wrong; 422: such an id has no session", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store of sessions is away", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn remove(
    State(service): State<Arc<Service>>,
    SessionId(id): SessionId,
    limit: TimeLimit,
) -> Result<Response, Problem> {
    let began = Instant::now();
    let removed = tokio::time::timeout_at(limit.deadline().into(), service.sessions.remove(&id)).await;
    let removed = removed.unwrap_or_else(|_| Err(StoreError::Unconfirmed("no answer in time".to_owned())));
    let is_done = matches!(removed, Ok(Removal::Done | Removal::Absent));
    service.metrics.store("remove", began.elapsed(), is_done);
    match removed? {
        Removal::Done => Ok(StatusCode::NO_CONTENT.into_response()),
        Removal::Absent => Err(no_such_session(&service.config)),
        Removal::Pending(_) => {
            let detail = "the session is forgotten, and removed from the disk as soon as that takes it: a restart before would bring it back";
            Ok((StatusCode::ACCEPTED, ok(&RemovalAnswer { detail })).into_response())
        }
    }
}

//! `/v1/recommend` and `/v1/recommend/batch`: stateless recommendations for sessions in the request.

use super::body::{Json, session_id};
use super::headers::TimeLimit;
use super::ok;
use crate::ServerConfig;
use crate::callers::Caller;
use crate::engine::{Answer, Class, Listed, Question, Served};
use crate::event_log::Impression;
use crate::models::Role;
use crate::problem::Problem;
use crate::requests::RequestId;
use crate::service::Service;
use crate::sessions::now_ms;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use upnext_core::data::format_time;
use upnext_core::ranking::Recommendation;
use utoipa::ToSchema;

/// Defines a request body with the options of a list and its own fields. `serde(flatten)` would accept unknown fields.
macro_rules! list_request {
    ($(#[$doc:meta])* $name:ident { $($(#[$own_doc:meta])* $own:ident: $kind:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$own_doc])*
            pub(crate) $own: $kind,)+
            /// Length of the list; absent: the server's default, usually 20.
            #[serde(default, deserialize_with = "crate::api::body::whole")]
            k: Option<usize>,
            /// Leave out the items of the session itself.
            #[serde(default)]
            exclude_seen: bool,
            /// Leave out these items; unknown ones are ignored.
            #[serde(default)]
            exclude: Vec<String>,
            /// Recommend only these items; unknown ones are ignored.
            #[serde(default)]
            only: Option<Vec<String>>,
            /// Leave out items with a lower score. Ignored in a list that fell back to popular items, whose scores are
            /// counts.
            #[serde(default)]
            min_score: Option<f64>,
            /// Add the most similar item of the session to each recommended item (`because`).
            #[serde(default)]
            why: bool,
        }

        impl $name {
            /// Checks the options, and combines them with `session`.
            pub(crate) fn question(self, session: Vec<Arc<str>>, config: &ServerConfig) -> Result<Question, Problem> {
                let k = self.k.unwrap_or(config.default_k);
                if !(1..=config.max_k).contains(&k) {
                    return Err(Problem::field("k", format!("{k} is not from 1 to {}", config.max_k)));
                }
                if self.min_score.is_some_and(|score| score.abs() > f32::MAX.into()) {
                    return Err(Problem::field("min_score", "is beyond the numbers that scores are: give a smaller one"));
                }
                let only = self.only.as_deref().unwrap_or_default();
                for (field, ids) in [("exclude", self.exclude.as_slice()), ("only", only)] {
                    at_most(field, "items", ids.len(), config.max_list_items)?;
                    for (i, id) in ids.iter().enumerate() {
                        item_id(id, config).map_err(|problem| problem.within(&format!("{field}[{i}]")))?;
                    }
                }
                let min_score = self.min_score.map(|score| score as f32);
                let Self { exclude_seen, exclude, only, why, .. } = self;
                Ok(Question { session, k, exclude_seen, exclude, only, min_score, why })
            }
        }
    };
}
pub(super) use list_request;

/// Checks that a count does not exceed a limit. `what` names the counted things in the message.
pub(super) fn at_most(field: &str, what: &str, count: usize, limit: usize) -> Result<(), Problem> {
    if count > limit {
        return Err(Problem::field(field, format!("{count} {what}: give at most {limit}")));
    }
    Ok(())
}

/// Checks the length of an item id. The problem has no field yet.
pub(super) fn item_id(id: &str, config: &ServerConfig) -> Result<(), Problem> {
    let limit = config.max_item_id_bytes;
    if id.len() > limit {
        let detail = format!("the item's id has {} bytes: an id has at most {limit}", id.len());
        return Err(Problem::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(())
}

/// The latest items of a session, as many as one may have, checked, and the number of those before.
fn session_items(session: Vec<String>, config: &ServerConfig) -> Result<(Vec<Arc<str>>, usize), Problem> {
    let cut = session.len().saturating_sub(config.max_session_events);
    for (i, id) in session.iter().enumerate() {
        item_id(id, config).map_err(|problem| problem.within(&format!("session[{i}]")))?;
    }
    Ok((session.into_iter().skip(cut).map(Arc::from).collect(), cut))
}

list_request! {
    /// A session and the options of its list.
    RecommendRequest {
        /// The item ids of the session so far, oldest first; may be empty.
        session: Vec<String>,
        /// The name of the model that shall answer, if the server has two; absent: the session's model, or the first.
        #[serde(default)]
        model: Option<String>,
        /// An id of the session, by which the server assigns it to one of two models; nothing is stored.
        #[serde(default)]
        session_id: Option<String>,
    }
}

list_request! {
    /// One of several sessions, and the options of its list.
    SessionRequest {
        /// The item ids of the session so far, oldest first; may be empty.
        session: Vec<String>
    }
}

/// Several sessions, which one model answers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchRequest {
    /// The sessions, each with its own options.
    requests: Vec<SessionRequest>,
    /// The name of the model that shall answer, if the server has two; absent: the first.
    #[serde(default)]
    model: Option<String>,
}

/// The model that answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelName<'a> {
    #[schema(value_type = String)]
    name: &'a str,
    /// Identical for identical configuration, items and weights.
    #[schema(value_type = String)]
    version: &'a str,
    /// The model kind, such as `gru4rec`.
    #[schema(value_type = String)]
    kind: &'static str,
}

impl<'a> ModelName<'a> {
    pub(super) fn of(served: &'a Served) -> Self {
        Self { name: &served.name, version: served.version(), kind: served.kind().name() }
    }
}

/// The recommendations for one session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<'a> {
    /// Items of the session that are unknown to the model and were skipped, each once.
    #[schema(value_type = Vec<String>)]
    unknown_items: Vec<&'a str>,
    /// Whether these are the most popular items, because no item of the session is known to the model.
    fell_back: bool,
    /// Number of the oldest events of the session that were left out, since there are more than the server reads; absent: 0.
    #[serde(skip_serializing_if = "is_zero")]
    events_left_out: usize,
    /// The recommended items, best first.
    recommendations: Vec<Entry<'a>>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A recommended item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry<'a> {
    /// Position in the list, from 1.
    rank: usize,
    #[schema(value_type = String)]
    item_id: &'a str,
    /// Comparable within a list only; in a list that fell back, the item's number of training events.
    score: f32,
    /// Whether training has not seen the item; absent: it has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    new: bool,
    /// With `why`: the item of the session that is most similar to this one. Absent in a list that fell back, and for
    /// models without item vectors; `gru4rec`, `bpr-mf` and `session-average` have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<Because<'a>>,
}

/// The item of the session that is most similar to a recommended one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Because<'a> {
    #[schema(value_type = String)]
    item_id: &'a str,
    /// Cosine similarity of the two items' vectors in the model, from -1 to 1.
    similarity: f32,
}

impl<'a> List<'a> {
    fn new(served: &'a Served, listed: &'a Listed) -> Self {
        let items = served.loaded.items();
        let because = |i: usize| {
            let (item, similarity) = (*listed.because.as_ref()?.get(i)?)?;
            Some(Because { item_id: items.id(item), similarity })
        };
        let entry = |(i, entry): (usize, &Recommendation)| {
            let item_id = items.id(entry.item);
            let new = served.loaded.is_new(entry.item);
            Entry { rank: i + 1, item_id, score: entry.score, new, because: because(i) }
        };
        Self {
            unknown_items: listed.unknown.iter().map(|id| &**id).collect(),
            fell_back: listed.list.fell_back,
            events_left_out: 0,
            recommendations: listed.list.entries.iter().enumerate().map(entry).collect(),
        }
    }

    /// The lists of an answer; counts them in the metrics.
    pub(super) fn all(service: &Service, answer: &'a Answer) -> Vec<Self> {
        let lists: Vec<Self> = answer.lists.iter().map(|listed| Self::new(&answer.served, listed)).collect();
        for list in &lists {
            let (length, unknown) = (list.recommendations.len(), list.unknown_items.len());
            service.metrics.list(answer.role, length, list.fell_back, unknown);
        }
        lists
    }
}

/// A list and the model that computed it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecommendAnswer<'a> {
    model: ModelName<'a>,
    #[serde(flatten)]
    list: List<'a>,
}

/// Lists in the order of the sessions, and the model that computed them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAnswer<'a> {
    model: ModelName<'a>,
    lists: Vec<List<'a>>,
}

/// Recommend the next items of one session.
#[utoipa::path(
    post,
    path = "/v1/recommend",
    tag = "recommend",
    request_body = RecommendRequest,
    responses(
        (status = 200, description = "The list", body = RecommendAnswer),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many requests at a time; `Retry-After` says when to come back", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn recommend(
    State(service): State<Arc<Service>>,
    Extension(id_of_request): Extension<RequestId>,
    (caller, limit): (Caller, TimeLimit),
    Json(mut request): Json<RecommendRequest>,
) -> Result<Response, Problem> {
    let deadline = limit.deadline();
    let (model, id) = (request.model.take(), request.session_id.take());
    if let Some(id) = &id {
        session_id("session_id", id, &service.config)?;
    }
    let chosen = service.models.choose(model.as_deref(), id.as_deref())?;
    let (session, events_left_out) = session_items(std::mem::take(&mut request.session), &service.config)?;
    let question = request.question(session, &service.config)?;
    let work = std::iter::once((&question, question.session.len()));
    chosen
        .engine
        .check_work(work, service.config.max_request_work)
        .map_err(|problem| problem.within("why"))?;
    service.count_lists(&caller, 1)?;
    let reservation = chosen.engine.reserve(1, Class::Visitor, service.owner(&caller))?;
    let events = (question.session.len() + events_left_out) as u64;
    let answer = chosen.answer(reservation, question, deadline, id_of_request.clone()).await?;
    if let Some(id) = &id {
        let shown = Shown { session: id, events, is_assigned: model.is_none(), request: &id_of_request };
        shown.log(&service, &answer);
    }
    let list = List::all(&service, &answer).pop();
    list.map(|list| List { events_left_out, ..list })
        .map(|list| ok(&RecommendAnswer { model: ModelName::of(&answer.served), list }))
        .ok_or_else(|| crate::engine::Refusal::Failed.into())
}

/// The session in which a list is shown.
pub(super) struct Shown<'a> {
    pub(super) session: &'a str,
    /// Number of its clicks.
    pub(super) events: u64,
    /// Whether the model is the one that the session is assigned to; otherwise the request has named it.
    pub(super) is_assigned: bool,
    pub(super) request: &'a RequestId,
}

impl Shown<'_> {
    /// Writes the list of an answer to the log of impressions, if there is one.
    pub(super) fn log(&self, service: &Service, answer: &Answer) {
        let log = service.event_log.as_ref().filter(|log| log.has_impressions());
        let (Some(log), Some(listed)) = (log, answer.lists.first()) else { return };
        let (served, items) = (&answer.served, answer.served.loaded.items());
        let (second, _) = service.models.shares();
        let share = if answer.role == Role::First { 1.0 - second } else { second };
        log.shown(&Impression {
            session: self.session,
            events: self.events,
            time: format_time(i64::try_from(now_ms()).unwrap_or_default() * 1_000),
            request_id: &self.request.0,
            model: &served.name,
            version: served.version(),
            role: answer.role.name(),
            share: self.is_assigned.then_some(share),
            fell_back: listed.list.fell_back,
            items: listed.list.entries.iter().map(|entry| items.id(entry.item)).collect(),
        });
    }
}

/// Recommend the next items of several sessions.
#[utoipa::path(
    post,
    path = "/v1/recommend/batch",
    tag = "recommend",
    request_body = BatchRequest,
    responses(
        (status = 200, description = "The lists, in the order of the sessions", body = BatchAnswer),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many requests at a time; `Retry-After` says when to come back", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn recommend_batch(
    State(service): State<Arc<Service>>,
    (caller, limit): (Caller, TimeLimit),
    Json(request): Json<BatchRequest>,
) -> Result<Response, Problem> {
    let deadline = limit.deadline();
    at_most("requests", "sessions", request.requests.len(), service.config.max_batch_sessions)?;
    let engine = service.models.choose(request.model.as_deref(), None)?.engine;
    let question = |(i, mut request): (usize, SessionRequest)| {
        session_items(std::mem::take(&mut request.session), &service.config)
            .and_then(|(session, cut)| Ok((request.question(session, &service.config)?, cut)))
            .map_err(|problem| problem.within(&format!("requests[{i}]")))
    };
    let questions = request.requests.into_iter().enumerate().map(question).collect::<Result<Vec<_>, _>>()?;
    let (questions, cuts): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
    let entries = questions.iter().map(|question: &Question| question.k).sum();
    at_most("requests", "entries of all lists together (`k`)", entries, service.config.max_answer_entries)?;
    let work = questions.iter().map(|question| (question, question.session.len()));
    engine.check_work(work, service.config.max_request_work).map_err(|problem| problem.within("requests"))?;
    service.count_lists(&caller, questions.len())?;
    let class = if questions.len() > 1 { Class::Batch } else { Class::Visitor };
    let reservation = engine.reserve(questions.len(), class, service.owner(&caller))?;
    let answer = engine.answer(reservation, questions, deadline).await?;
    let lists = List::all(&service, &answer).into_iter().zip(cuts);
    let lists = lists.map(|(list, events_left_out)| List { events_left_out, ..list }).collect();
    Ok(ok(&BatchAnswer { model: ModelName::of(&answer.served), lists }))
}

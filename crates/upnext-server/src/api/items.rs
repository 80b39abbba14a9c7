//! `/v1/items`: search and lookup of items.

use super::body::Json;
use super::headers::TimeLimit;
use super::ok;
use super::recommend::{at_most, item_id};
use super::strict::parameters;
use crate::engine::Served;
use crate::items::{Condition, Description};
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use utoipa::ToSchema;

/// An item with its title and other attributes for display.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Item<'a> {
    #[schema(value_type = String)]
    item_id: &'a str,
    /// Its title in the catalogue, if it has one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Cow<'a, str>>,
    /// The URL of its picture in the catalogue, if it has one: a column `image`, `image_url` or `picture`.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Cow<'a, str>>,
    /// The other columns of the catalogue, empty fields left out.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "details")]
    details: Option<Description<'a>>,
    /// Number of its training events; null if the item is unknown to the model.
    events: Option<u64>,
}

/// Serialises columns as an object, in the order of the file.
fn details<S: Serializer>(description: &Option<Description<'_>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(description.iter().flat_map(|description| description.details()))
}

impl<'a> Item<'a> {
    fn of(service: &'a Service, served: &'a Served, item_id: &'a str) -> Self {
        let items = served.loaded.items();
        let catalogue = served.catalogue(service.catalogue.as_ref());
        let description = catalogue.and_then(|catalogue| catalogue.get(item_id));
        Self {
            item_id,
            title: description.and_then(Description::title),
            image: description.and_then(Description::picture),
            details: description.filter(|description| description.details().next().is_some()),
            events: items.index_of(item_id).map(|item| items.support(item)),
        }
    }
}

/// A list of items.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemsAnswer<'a> {
    items: Vec<Item<'a>>,
}

/// The parameters of an item search.
#[derive(Debug, Default, PartialEq)]
struct ItemQuery {
    query: String,
    limit: Option<usize>,
    conditions: Vec<String>,
}

impl ItemQuery {
    /// Parses the query string of a URL.
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in parameters(text)? {
            match &*name {
                "query" => query.query = value.into_owned(),
                "limit" => query.limit = Some(number(&value)?),
                "where" => query.conditions.push(value.into_owned()),
                _ => {
                    let detail = "the path takes the parameters `query`, `limit` and `where` and no other";
                    return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
                }
            }
        }
        Ok(query)
    }
}

fn number(text: &str) -> Result<usize, Problem> {
    text.parse().map_err(|_| Problem::field("limit", "not a number: give the number of items wanted"))
}

/// Find items of the served model by the beginnings of their ids or of the words of their titles, popular ones first.
#[utoipa::path(
    get,
    path = "/v1/items",
    tag = "items",
    params(
        ("query" = Option<String>, Query, description = "Beginnings of words, all of which an item must have in its id or title; absent: any item"),
        ("where" = Option<String>, Query, description = "`NAME=VALUE`: only items whose column of the catalogue has the value, such as `where=colour%3Dblue`; may be repeated, and all must hold"),
        ("limit" = Option<usize>, Query, description = "How many; absent: the server's default length of a list"),
    ),
    responses(
        (status = 200, description = "The items", body = ItemsAnswer),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many searches at a time", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn find(
    State(service): State<Arc<Service>>,
    time: TimeLimit,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let ItemQuery { query, limit, conditions } = ItemQuery::parse(&query.unwrap_or_default())?;
    let limit = limit.unwrap_or(service.config.default_k);
    if !(1..=service.config.max_k).contains(&limit) {
        return Err(Problem::field("limit", format!("{limit} is not from 1 to {}", service.config.max_k)));
    }
    at_most("query", "bytes", query.len(), service.config.max_query_bytes)?;
    let served = service.models.first().served();
    let conditions = conditions_of(&service, &served, &conditions)?;
    let late = || {
        let detail = "too many searches are waiting, or this one takes too long: try again soon";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    let turn = Arc::clone(&service.searching).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout_at(time.deadline().into(), turn).await else {
        return Err(late());
    };
    // In a blocking thread, since the first search sorts all words.
    let (sender, receiver) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let search = served.search(service.catalogue.as_ref());
        let catalogue = served.catalogue(service.catalogue.as_ref());
        let accept = |item| {
            let description = || catalogue?.get(served.loaded.items().id(item));
            conditions.iter().all(|condition| description().is_some_and(|it| it.meets(condition)))
        };
        // The time limit starts after the index is built, which is done for all later searches, too.
        let deadline = time.deadline();
        let mut observe = || {
            let is_wanted = !sender.is_closed() && Instant::now() < deadline;
            if is_wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let found = search.find(&query, limit, &accept, &mut observe);
        let item = |item| Item::of(&service, &served, served.loaded.items().id(item));
        // Fails if the client has gone away, which is no error.
        _ = sender.send(found.map(|found| ok(&ItemsAnswer { items: found.into_iter().map(item).collect() })));
    });
    let Ok(found) = receiver.await else {
        tracing::error!("a search panicked");
        let detail = "the search failed: the server's log says why";
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail));
    };
    found.ok_or_else(late)
}

/// The conditions `NAME=VALUE` of a search.
fn conditions_of(service: &Service, served: &Served, texts: &[String]) -> Result<Vec<Condition>, Problem> {
    at_most("where", "conditions", texts.len(), service.config.max_catalogue_columns)?;
    let catalogue = served.catalogue(service.catalogue.as_ref());
    let condition = |text: &String| {
        let found = catalogue.and_then(|catalogue| catalogue.condition(text));
        found.ok_or_else(|| {
            let detail = "no column of the catalogue has this name: give NAME=VALUE with a column that `/v1/catalogue` lists";
            Problem::field("where", detail)
        })
    };
    texts.iter().map(condition).collect()
}

/// A lookup of items.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookUpRequest {
    /// The ids of the items.
    ids: Vec<String>,
}

/// Look items up by their ids.
#[utoipa::path(
    post,
    path = "/v1/items/lookup",
    tag = "items",
    request_body = LookUpRequest,
    responses(
        (status = 200, description = "The items, in the order of the ids; those that nobody knows are there too", body = ItemsAnswer),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn look_up(
    State(service): State<Arc<Service>>,
    Json(request): Json<LookUpRequest>,
) -> Result<Response, Problem> {
    // As many as the page looks up at a time: a session and its list.
    let most = service.config.max_k + service.config.max_session_events;
    at_most("ids", "items", request.ids.len(), most)?;
    for (i, id) in request.ids.iter().enumerate() {
        item_id(id, &service.config).map_err(|problem| problem.within(&format!("ids[{i}]")))?;
    }
    let served = service.models.first().served();
    let items = request.ids.iter().map(|id| Item::of(&service, &served, id)).collect();
    Ok(ok(&ItemsAnswer { items }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_no_other_is_taken() {
        let query = |query: &str, limit| ItemQuery { query: query.to_owned(), limit, conditions: Vec::new() };
        assert_eq!(ItemQuery::parse("").unwrap(), query("", None));
        assert_eq!(ItemQuery::parse("query=a+b%26c&limit=7").unwrap(), query("a b&c", Some(7)));
        let conditions = ItemQuery::parse("where=a%3Db%26&where=c").unwrap().conditions;
        assert_eq!(conditions, ["a=b&", "c"]);
        for wrong in ["limit=-1", "limit=x", "limit=", "limit=99999999999999999999", "q=a"] {
            ItemQuery::parse(wrong).unwrap_err();
        }
    }
}

//! `/v1/items/{id}/similar`: the items that are most similar to an item.

use super::body::ItemId;
use super::headers::TimeLimit;
use super::ok;
use super::recommend::{ModelName, at_most, item_id};
use crate::ServerConfig;
use crate::callers::Caller;
use crate::engine::{Class, SimilarAnswer, SimilarQuestion};
use crate::items::{Catalogue, Description};
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use upnext_core::Error;
use upnext_core::ranking::SimilarEntry;
use utoipa::ToSchema;

/// The items that are similar to one item, and the model that compared them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimilarItemsAnswer<'a> {
    model: ModelName<'a>,
    #[schema(value_type = String)]
    item_id: &'a str,
    /// Its title in the catalogue, if it has one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Cow<'a, str>>,
    /// What the similarities are: `vector-cosine`, `session-cosine` or `weight`.
    #[schema(value_type = String)]
    measure: &'static str,
    /// The similar items, most similar first, without the item itself.
    similar: Vec<SimilarItem<'a>>,
}

/// An item that is similar to another one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimilarItem<'a> {
    /// Position in the list, from 1.
    rank: usize,
    #[schema(value_type = String)]
    item_id: &'a str,
    /// Its title in the catalogue, if it has one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Cow<'a, str>>,
    /// By the measure of the list; comparable only within answers of one model.
    similarity: f32,
}

/// The parameters of a request.
#[derive(Debug, Default, PartialEq)]
struct Parameters {
    k: Option<usize>,
    exclude: Vec<String>,
    only: Option<Vec<String>>,
    min_similarity: Option<f32>,
    model: Option<String>,
}

impl Parameters {
    /// Parses the query string of a URL.
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut parameters = Self::default();
        for (name, value) in super::strict::parameters(text)? {
            match &*name {
                "k" => {
                    let number = value
                        .parse()
                        .map_err(|_| Problem::field("k", "not a number: give the number of items wanted"))?;
                    parameters.k = Some(number);
                }
                "exclude" => parameters.exclude.push(value.into_owned()),
                "only" => parameters.only.get_or_insert_default().push(value.into_owned()),
                "min_similarity" => {
                    let number = value.parse().ok().filter(|number: &f32| number.is_finite());
                    let detail = "not a finite number: give the smallest similarity wanted";
                    parameters.min_similarity =
                        Some(number.ok_or_else(|| Problem::field("min_similarity", detail))?);
                }
                "model" => parameters.model = Some(value.into_owned()),
                _ => {
                    let detail = "the path takes the parameters `k`, `exclude`, `only`, `min_similarity` and `model` and no other";
                    return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
                }
            }
        }
        Ok(parameters)
    }

    /// Checks the parameters, and combines them with the item.
    fn question(self, item: String, config: &ServerConfig) -> Result<SimilarQuestion, Problem> {
        let k = self.k.unwrap_or(config.default_k);
        if !(1..=config.max_k).contains(&k) {
            return Err(Problem::field("k", format!("{k} is not from 1 to {}", config.max_k)));
        }
        let only = self.only.as_deref().unwrap_or_default();
        for (field, ids) in [("exclude", self.exclude.as_slice()), ("only", only)] {
            at_most(field, "items", ids.len(), config.max_list_items)?;
            ids.iter().try_for_each(|id| item_id(id, config).map_err(|problem| problem.within(field)))?;
        }
        let Self { exclude, only, min_similarity, .. } = self;
        Ok(SimilarQuestion { item, k, exclude, only, min_similarity })
    }
}

/// The problem of a model that has no answer.
fn no_answer(error: &Error) -> Problem {
    let status = match error {
        Error::UnknownItem { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    Problem::new(status, error.to_string())
}

/// List the items that are most similar to an item, as the model sees it: by their vectors, the sessions that they share, or the weights of rules.
#[utoipa::path(
    get,
    path = "/v1/items/{id}/similar",
    tag = "items",
    params(
        ("id" = String, Path, description = "The item's id, percent-encoded"),
        ("k" = Option<usize>, Query, description = "Length of the list; absent: the server's default, usually 20"),
        ("exclude" = Option<Vec<String>>, Query, description = "Leave out this item; may be repeated, unknown ones are ignored"),
        ("only" = Option<Vec<String>>, Query, description = "List only this item; may be repeated, unknown ones are ignored"),
        ("min_similarity" = Option<f32>, Query, description = "Leave out items with a lower similarity"),
        ("model" = Option<String>, Query, description = "The name of the model that shall answer, if the server has two; absent: the first"),
    ),
    responses(
        (status = 200, description = "The list; shorter than `k` where the model knows of fewer similar items", body = SimilarItemsAnswer),
        (status = 404, description = "The model does not know the item", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The model is of a kind that does not compare items: `pop`, `s-pop` or `repeat`", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many requests at a time; `Retry-After` says when to come back", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn similar(
    State(service): State<Arc<Service>>,
    ItemId(id): ItemId,
    (caller, limit): (Caller, TimeLimit),
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let deadline = limit.deadline();
    let mut parameters = Parameters::parse(&query.unwrap_or_default())?;
    let engine = service.models.choose(parameters.model.take().as_deref(), None)?.engine;
    let question = parameters.question(id.clone(), &service.config)?;
    service.count_lists(&caller, 1)?;
    let reservation = engine.reserve(1, Class::Visitor, service.owner(&caller))?;
    let SimilarAnswer { served, found } = engine.similar(reservation, question, deadline).await?;
    let list = found.map_err(|error| no_answer(&error))?;
    let catalogue = served.catalogue(service.catalogue.as_ref());
    let entry = |(rank, entry): (usize, &SimilarEntry)| {
        let item_id = served.loaded.items().id(entry.item);
        SimilarItem { rank, item_id, title: title(catalogue, item_id), similarity: entry.similarity }
    };
    Ok(ok(&SimilarItemsAnswer {
        model: ModelName::of(&served),
        item_id: &id,
        title: title(catalogue, &id),
        measure: list.measure.name(),
        similar: (1..).zip(&list.entries).map(entry).collect(),
    }))
}

/// The title of an item.
fn title<'a>(catalogue: Option<&'a Catalogue>, id: &str) -> Option<Cow<'a, str>> {
    catalogue?.get(id).and_then(Description::title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_may_repeat_and_no_other_is_taken() {
        assert_eq!(Parameters::parse("").unwrap(), Parameters::default());
        let text = "k=7&exclude=a%26b&exclude=&only=c+d&only=%2F&min_similarity=-0.5&model=m";
        let owned = |ids: [&str; 2]| ids.map(str::to_owned).to_vec();
        let expected = Parameters {
            k: Some(7),
            exclude: owned(["a&b", ""]),
            only: Some(owned(["c d", "/"])),
            min_similarity: Some(-0.5),
            model: Some("m".to_owned()),
        };
        assert_eq!(Parameters::parse(text).unwrap(), expected);
        for wrong in
            ["k=-1", "k=x", "k=", "k=99999999999999999999", "min_similarity=NaN", "min_similarity=", "n=5"]
        {
            Parameters::parse(wrong).unwrap_err();
        }
    }
}

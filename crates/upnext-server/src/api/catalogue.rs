//! `/v1/catalogue` and `/v1/examples`: what the page needs to know beside the items.

use super::ok;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A column of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ColumnAnswer<'a> {
    #[schema(value_type = String)]
    name: &'a str,
    /// All its values, sorted, if there are 2 to 50: `/v1/items` filters by them with `where=NAME=VALUE`.
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<&'a [String]>,
}

/// What the catalogue has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CatalogueAnswer<'a> {
    /// The columns beside ids, titles and pictures.
    columns: Vec<ColumnAnswer<'a>>,
    /// Whether items can have a picture (`image`).
    pictures: bool,
    /// The largest number of items that `/v1/items` returns and that the option `only` of a list takes.
    most_items: usize,
}

/// Describe the catalogue.
#[utoipa::path(
    get,
    path = "/v1/catalogue",
    tag = "items",
    responses((status = 200, description = "Its columns; none without a catalogue", body = CatalogueAnswer), (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn catalogue(State(service): State<Arc<Service>>) -> Response {
    let served = service.models.first().served();
    let catalogue = served.catalogue(service.catalogue.as_ref());
    let columns = catalogue.iter().flat_map(|catalogue| catalogue.columns());
    ok(&CatalogueAnswer {
        columns: columns.map(|(name, values)| ColumnAnswer { name, values }).collect(),
        pictures: catalogue.is_some_and(|catalogue| catalogue.has_pictures()),
        most_items: service.config.max_k.min(service.config.max_list_items),
    })
}

/// A session to replay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExampleAnswer<'a> {
    /// Its item ids, oldest first: at least two.
    #[schema(value_type = Vec<String>)]
    items: &'a [String],
}

/// Sessions to replay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExamplesAnswer<'a> {
    examples: Vec<ExampleAnswer<'a>>,
}

/// Sessions of a test log, drawn at random at the start (`serve --examples LOG`); none without such a log.
#[utoipa::path(
    get,
    path = "/v1/examples",
    tag = "items",
    responses((status = 200, description = "The sessions, always the same", body = ExamplesAnswer), (status = "4XX", description = "What is wrong with the request", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn examples(State(service): State<Arc<Service>>) -> Response {
    let sessions = service.examples.sessions().iter();
    ok(&ExamplesAnswer { examples: sessions.map(|items| ExampleAnswer { items }).collect() })
}

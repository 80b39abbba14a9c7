//! `/v1/admin/items`: items that come after the training.

use super::body::{Json, Lines, NDJSON, is_kind};
use super::ok;
use super::operation::ModelAnswer;
use crate::callers::Caller;
use crate::engine::Served;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use upnext_core::data::items::JsonItem;
use utoipa::ToSchema;

/// An item and its attributes, by the names of the columns of the model's item table.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code)] // for the description: it is read as a `GivenItem`
pub(crate) struct NewItem {
    /// The item's id, as in events.
    item_id: String,
    #[serde(flatten)]
    attributes: BTreeMap<String, Value>,
}

/// The items of a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewItemsRequest {
    /// The items: texts, numbers, categories (a text or a list of texts) and vectors; what is absent or null is not known.
    #[schema(value_type = Vec<NewItem>)]
    items: Vec<GivenItem>,
}

/// A JSON object with the field `item_id`, in which no field is there twice.
#[derive(Debug)]
struct GivenItem(JsonItem);

impl<'de> Deserialize<'de> for GivenItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = GivenItem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `item_id` and attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<GivenItem, A::Error> {
                let (mut id, mut values) = (None, Map::new());
                while let Some(name) = map.next_key::<String>()? {
                    let is_repeated = if name == "item_id" {
                        id.replace(map.next_value::<String>()?).is_some()
                    } else {
                        values.insert(name.clone(), map.next_value::<Value>()?).is_some()
                    };
                    if is_repeated {
                        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                }
                let id = id.ok_or_else(|| A::Error::missing_field("item_id"))?;
                Ok(GivenItem((id, values)))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The items of a body, which has them in one object, or one a line.
pub(crate) struct Items(Vec<JsonItem>);

impl FromRequest<Arc<Service>> for Items {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        if !is_kind(&request, NDJSON) {
            let Json(request) = Json::<NewItemsRequest>::from_request(request, service).await?;
            return Ok(Self(request.items.into_iter().map(|item| item.0).collect()));
        }
        let mut lines = Lines::from_request(request, service).await?;
        let (mut items, most) = (Vec::new(), service.config.max_new_items);
        loop {
            let line = lines.next::<GivenItem>().await;
            match line.map_err(|problem| problem.within(&format!("line {}", items.len() + 1)))? {
                Some(GivenItem(item)) => items.push(item),
                None => return Ok(Self(items)),
            }
            if items.len() > most {
                let detail = format!("more than {most} items (`max_new_items`): use a file (`items_file`)");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
        }
    }
}

/// What became of the items, and the models that are served now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewItemsAnswer<'a> {
    /// Number of items that a model did not have.
    added: usize,
    /// Number of items that the models had already, and which stay as they are.
    known: usize,
    models: Vec<ModelAnswer<'a>>,
}

/// Add items that training has not seen: they can be read and recommended at once, with vectors made of their attributes.
///
/// They are kept until the server ends, and added to every model that is loaded until then. Models that read no attributes stay as
/// they are.
#[utoipa::path(
    post,
    path = "/v1/admin/items",
    tag = "admin",
    request_body(content = NewItemsRequest, description = "The items; they may also come as `application/x-ndjson`, one a line, as many as `max_new_items`"),
    responses(
        (status = 200, description = "They are served", body = NewItemsAnswer),
        (status = 409, description = "No model reads attributes", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "What is wrong with an item; none of them is added", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = []))
)]
pub(crate) async fn add(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Items(items): Items,
) -> Result<Response, Problem> {
    let added = service.add_items(items, caller.to_string()).await?;
    let models: Vec<Arc<Served>> = service.models.all().map(|engine| engine.served()).collect();
    let models = models.iter().map(|served| ModelAnswer::of(served)).collect();
    Ok(ok(&NewItemsAnswer { added: added.added, known: added.known, models }))
}

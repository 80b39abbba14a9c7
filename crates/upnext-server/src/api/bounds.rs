//! What the OpenAPI document owes to the running server: the bounds of its configuration, each status of a response, and examples with
//! items that its model knows.

use crate::service::Service;
use serde_json::{Map, Value, json};

/// The statuses that stand for `4XX`, by what a request has.
struct Statuses {
    /// For all requests.
    all: &'static [(u16, &'static str)],
    /// For those with a body.
    body: &'static [(u16, &'static str)],
    /// For those with parameters or a body.
    fields: &'static [(u16, &'static str)],
    /// For those that are answered with lists.
    lists: &'static [(u16, &'static str)],
    /// For sessions.
    sessions: &'static [(u16, &'static str)],
}

const STATUSES: Statuses = Statuses {
    all: &[
        (400, "A malformed head, body or parameter, or an unknown parameter"),
        (401, "A key is missing or unknown"),
        (403, "The key is one for other requests, or admin calls are off"),
        (421, "The server has no keys, and is asked by a name that is not one of its own machine"),
    ],
    body: &[
        (408, "The body did not arrive in time"),
        (413, "The body is too large"),
        (415, "The body is not of the media type, or compressed otherwise than by gzip"),
    ],
    fields: &[(422, "A field or parameter is invalid: `field` names it")],
    lists: &[(429, "The key has asked for too many lists: `Retry-After` says when to come back")],
    sessions: &[(404, "There is no such session")],
};

/// Completes the document of a server.
pub(super) fn complete(document: &mut Value, service: &Service) {
    document["servers"] = json!([{"url": "/", "description": "This server"}]);
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    if service.config.admin_listen.is_some()
        && let Some(paths) = document["paths"].as_object_mut()
    {
        // They are at the other address.
        paths.retain(|path, _| !path.starts_with("/v1/admin") && path != "/metrics");
    }
    let examples = Examples::of(service);
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, methods) in paths {
            for operation in methods.as_object_mut().into_iter().flatten().map(|(_, operation)| operation) {
                name_statuses(path, operation);
                examples.add(path, operation);
                bound_parameters(operation, service);
            }
        }
    }
    bound_fields(&mut document["components"]["schemas"], service);
    name_what_there_is(document, service);
}

/// Names the models and the columns of the catalogue, and leaves out what this server does not have.
fn name_what_there_is(document: &mut Value, service: &Service) {
    let names = service.models.all().map(|engine| Value::from(engine.served().name.clone()));
    let names = json!({"enum": names.chain([Value::Null]).collect::<Vec<_>>()});
    let schemas = &mut document["components"]["schemas"];
    for (request, field) in
        [("RecommendRequest", "model"), ("BatchRequest", "model"), ("ReloadRequest", "replace")]
    {
        merge(&mut schemas[request]["properties"][field], names.clone());
    }
    if service.models_dir.is_none()
        && let Some(fields) = schemas["ReloadRequest"]["properties"].as_object_mut()
    {
        fields.remove("path");
    }
    let served = service.models.first().served();
    let catalogue = served.catalogue(service.catalogue.as_ref());
    let columns = catalogue.map(|catalogue| catalogue.columns().map(|(name, _)| name).collect::<Vec<_>>());
    let is_plain = |name: &&str| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ' ');
    let columns: Vec<&str> = columns.unwrap_or_default().into_iter().filter(is_plain).collect();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for operation in paths.flat_map(|(_, methods)| methods.as_object_mut().into_iter().flatten()) {
        let Some(parameters) = operation.1.get_mut("parameters").and_then(Value::as_array_mut) else {
            continue;
        };
        parameters.retain(|parameter| parameter["name"] != "where" || !columns.is_empty());
        for parameter in parameters {
            match parameter["name"].as_str() {
                Some("model") => merge(&mut parameter["schema"], json!({"enum": names["enum"]})),
                Some("where") => {
                    merge(&mut parameter["schema"], json!({"pattern": format!("^({})=", columns.join("|"))}));
                }
                _ => {}
            }
        }
    }
}

/// Replaces `4XX` by the statuses that it stands for.
fn name_statuses(path: &str, operation: &mut Value) {
    let (has_body, has_parameters) =
        (operation.get("requestBody").is_some(), operation.get("parameters").is_some());
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let Some(response) = responses.remove("4XX") else { return };
    let makes_lists = ["recommend", "events", "similar"].iter().any(|part| path.contains(part));
    let is_session = path == "/v1/sessions/{id}";
    let parts = [
        (true, STATUSES.all),
        (has_body, STATUSES.body),
        (has_body || has_parameters, STATUSES.fields),
        (makes_lists, STATUSES.lists),
        (is_session, STATUSES.sessions),
    ];
    for &(status, text) in parts.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, part)| part) {
        let mut named = response.clone();
        named["description"] = text.into();
        responses.entry(status.to_string()).or_insert(named);
    }
}

/// Ids of items that the model knows, where everybody may see them.
struct Examples {
    items: Vec<String>,
}

impl Examples {
    fn of(service: &Service) -> Self {
        if !service.keys.load().data.is_empty() {
            return Self { items: vec!["ITEM".to_owned()] };
        }
        let served = service.models.first().served();
        let items = served.loaded.items();
        let mut popular: Vec<u32> = Vec::with_capacity(3);
        for item in 0..items.len() as u32 {
            let at = popular.partition_point(|&other| items.support(other) >= items.support(item));
            if at < 2 {
                popular.insert(at, item);
                popular.truncate(2);
            }
        }
        let known = popular.into_iter().map(|item| items.id(item).to_owned()).collect();
        Self { items: known }
    }

    /// Adds examples to an operation.
    fn add(&self, path: &str, operation: &mut Value) {
        let (items, first) = (&self.items, self.items.first());
        let body = match path {
            "/v1/recommend" => json!({"session": items, "k": 5}),
            "/v1/recommend/batch" => json!({"requests": [{"session": items, "k": 5}]}),
            "/v1/sessions/{id}/events" => json!({"item": first, "k": 5}),
            "/v1/items/lookup" => json!({"ids": items}),
            "/v1/admin/reload" | "/v1/admin/lists" => json!({}),
            "/v1/admin/share" => json!({"share": 0.1}),
            "/v1/admin/items" => json!({"items": []}),
            "/v1/admin/sessions" => {
                json!({"session_id": "visitor-1", "items": items, "events": items.len(), "began_ms": 0, "last_event_ms": 0, "idle_ms": 0})
            }
            _ => Value::Null,
        };
        let content = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
        for (_, content) in content.into_iter().flatten().filter(|_| !body.is_null()) {
            content["example"] = body.clone();
        }
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten().filter(|parameter| parameter["name"] == "id") {
            let id = if path.contains("items") { first.cloned() } else { Some("visitor-1".to_owned()) };
            parameter["example"] = id.into();
        }
    }
}

/// Adds bounds to parameters.
fn bound_parameters(operation: &mut Value, service: &Service) {
    let config = &service.config;
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let bounds = match parameter["name"].as_str() {
            Some("k" | "limit") => json!({"minimum": 1, "maximum": config.max_k}),
            Some("exclude" | "only") => {
                json!({"maxItems": config.max_list_items, "items": {"maxLength": config.max_item_id_bytes}})
            }
            Some("min_similarity") => json!({"minimum": f32::MIN, "maximum": f32::MAX}),
            Some("query") => json!({"maxLength": config.max_query_bytes}),
            Some("idempotency-key") => json!({"minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"}),
            Some("id") => {
                json!({"minLength": 1, "maxLength": config.max_session_id_bytes.min(config.max_item_id_bytes)})
            }
            _ => continue,
        };
        merge(&mut parameter["schema"], bounds);
    }
}

/// Adds bounds to the fields of request bodies.
fn bound_fields(schemas: &mut Value, service: &Service) {
    let config = &service.config;
    let ids = |most: usize| json!({"maxItems": most, "items": {"maxLength": config.max_item_id_bytes}});
    for request in ["RecommendRequest", "SessionRequest", "EventRequest"] {
        let Some(fields) = schemas[request]["properties"].as_object_mut() else { continue };
        let bounds = [
            ("k", json!({"minimum": 1, "maximum": config.max_k, "default": config.default_k})),
            ("min_score", json!({"minimum": f32::MIN, "maximum": f32::MAX})),
            ("exclude", ids(config.max_list_items)),
            ("only", ids(config.max_list_items)),
            ("session", json!({"items": {"maxLength": config.max_item_id_bytes}})),
            ("session_id", json!({"minLength": 1, "maxLength": config.max_session_id_bytes})),
            ("item", json!({"minLength": 1, "maxLength": config.max_item_id_bytes})),
            ("type", json!({"enum": event_types(config)})),
        ];
        for (field, bounds) in bounds {
            if let Some(field) = fields.get_mut(field) {
                merge(field, bounds);
            }
        }
    }
    for (request, field, bounds) in [
        ("BatchRequest", "requests", json!({"maxItems": config.max_batch_sessions})),
        ("LookUpRequest", "ids", ids(config.max_k + config.max_session_events)),
        ("SessionLine", "session_id", json!({"minLength": 1, "maxLength": config.max_session_id_bytes})),
        ("SessionLine", "items", json!({"items": {"minLength": 1, "maxLength": config.max_item_id_bytes}})),
    ] {
        if let Some(field) =
            schemas[request]["properties"].as_object_mut().and_then(|fields| fields.get_mut(field))
        {
            merge(field, bounds);
        }
    }
}

/// The types of events that this server takes; none is the first.
fn event_types(config: &crate::ServerConfig) -> Vec<Value> {
    let has_log = config.event_log_dir.is_some();
    let types = config.event_types.iter().filter(|kind| has_log || config.session_event_types.contains(kind));
    types.cloned().map(Value::from).chain([Value::Null]).collect()
}

/// Adds the fields of one object to another.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (into, more) => *into = more,
    }
}

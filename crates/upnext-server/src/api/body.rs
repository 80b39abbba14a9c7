//! Strict parsing of request bodies and path parameters. A problem names the invalid field and says how to fix it.

use super::recommend::item_id;
use crate::ServerConfig;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::sync::Arc;
use std::time::Duration;

/// An extractor for JSON bodies.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = "the body must be JSON: send it with `content-type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let limit = service.config.max_body_bytes;
        let body = Limited::new(request.into_body(), limit).collect();
        let body =
            match tokio::time::timeout(Duration::from_millis(service.config.body_timeout_ms), body).await {
                Ok(Ok(body)) => body.to_bytes(),
                Ok(Err(error)) if error.is::<LengthLimitError>() => {
                    let detail = format!("the body has more than {limit} bytes: send less at a time");
                    return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
                }
                Ok(Err(_)) => {
                    return Err(Problem::new(
                        StatusCode::BAD_REQUEST,
                        "the body ended before its announced length",
                    ));
                }
                Err(_) => {
                    let detail = "the body did not arrive in time: send the request again";
                    return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
                }
            };
        parse(&body).map(Self)
    }
}

/// Parses a JSON body.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Serde would accept a list of the fields' values in place of the object.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::field("body", "the body is a list: send an object with named fields"));
    }
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        // Only an invalid body is parsed again, to find the path of the field.
        Err(error) => Err(parse_problem::<T>(body, &error)),
    }
}

fn parse_problem<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = error.to_string();
    let message = message.strip_suffix(&place).unwrap_or(&message);
    match error.classify() {
        Category::Data => {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            let path = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err();
            let path = path.map(|error| error.path().to_string()).unwrap_or_default();
            let named = message
                .split('`')
                .nth(1)
                .filter(|_| message.starts_with("missing field") || message.starts_with("unknown field"));
            let field = match (path.as_str(), named) {
                // For a missing or unknown field, the path is that of the enclosing object.
                ("" | "." | "?", Some(named)) => named.to_owned(),
                (path, Some(named)) if !path.ends_with(named) => format!("{path}.{named}"),
                ("" | "." | "?", None) => "body".to_owned(),
                (path, _) => path.to_owned(),
            };
            Problem::field(shortened(&field), format!("{}{place}", shortened(message)))
        }
        Category::Io | Category::Syntax | Category::Eof => {
            let detail = format!("the body is not JSON: {}{place}", shortened(message));
            Problem::new(StatusCode::BAD_REQUEST, detail)
        }
    }
}

/// Truncates a message, which may quote the body, to 300 characters.
fn shortened(message: &str) -> String {
    const CHARS: usize = 300;
    match message.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// An extractor for the session id in a path, decoded and checked.
pub(crate) struct SessionId(pub(crate) String);

impl FromRequestParts<Arc<Service>> for SessionId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let Ok(Path(id)) = Path::<String>::from_request_parts(parts, service).await else {
            let detail = "the session's id is not percent-encoded UTF-8 text";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail).within("id"));
        };
        session_id("id", &id, &service.config)?;
        Ok(Self(id))
    }
}

/// An extractor for the item id in a path, decoded and checked.
pub(crate) struct ItemId(pub(crate) String);

impl FromRequestParts<Arc<Service>> for ItemId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let Ok(Path(id)) = Path::<String>::from_request_parts(parts, service).await else {
            let detail = "the item's id is not percent-encoded UTF-8 text";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail).within("id"));
        };
        item_id(&id, &service.config).map_err(|problem| problem.within("id"))?;
        Ok(Self(id))
    }
}

/// Checks a session id in a field.
pub(super) fn session_id(field: &str, id: &str, config: &ServerConfig) -> Result<(), Problem> {
    check_id(field, "session", id, config.max_session_id_bytes)
}

/// Checks that an id can stand in a click log: stored events may be used for training. `of` names its kind in messages.
pub(super) fn check_id(field: &str, of: &str, id: &str, limit: usize) -> Result<(), Problem> {
    if id.is_empty() || id.len() > limit {
        let detail = format!("the {of}'s id has {} bytes: give it 1 to {limit}", id.len());
        return Err(Problem::field(field, detail));
    }
    if id.contains('\0') {
        return Err(Problem::field(field, format!("the {of}'s id has a NUL character: leave it out")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether it can be read matters")]
    struct Outer {
        k: Option<usize>,
        inner: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether it can be read matters")]
    struct Inner {
        session: Vec<String>,
    }

    #[test]
    fn what_is_wrong_is_named_as_a_path_into_the_body() {
        let refused =
            |body: &str| serde_json::to_value(parse::<Outer>(body.as_bytes()).unwrap_err()).unwrap();
        for (body, field) in [
            (r#"{"k": "5", "inner": []}"#, "k"),
            (r#"{"k": -1, "inner": []}"#, "k"),
            (r#"{"inner": [{"session": ["a"]}, {"session": ["a", 7]}]}"#, "inner[1].session[1]"),
            (r#"{"inner": [{}]}"#, "inner[0].session"),
            (r#"{"inner": [], "colour": 1}"#, "colour"),
            (r#"{"inner": [{"session": [], "colour": 1}]}"#, "inner[0].colour"),
            ("{}", "inner"),
            ("[null, []]", "body"),
            (&"[".repeat(100_000), "body"),
            ("7", "body"),
        ] {
            let problem = refused(body);
            assert_eq!(
                (&problem["field"], &problem["status"]),
                (&json!(field), &json!(422)),
                "{body}: {problem}"
            );
        }
        for body in ["", "{", "{\"inner\": [}", "{\"inner\": []} x"] {
            let problem = refused(body);
            assert_eq!((&problem["field"], &problem["status"]), (&Value::Null, &json!(400)), "{problem}");
        }
        assert_eq!(serde_json::to_value(parse::<Outer>(b"\"\xff").unwrap_err()).unwrap()["status"], 400);
        let long = refused(&format!("{{\"{}\": 1}}", "x".repeat(100_000))).to_string();
        assert!(long.len() < 2_000, "{} bytes", long.len());
    }
}

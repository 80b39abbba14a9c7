//! Strict parsing of request bodies and path parameters. A problem names the invalid field and says how to fix it.

use super::recommend::item_id;
use crate::ServerConfig;
use crate::problem::Problem;
use crate::service::Service;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::error::Category;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Media type of JSON objects, one a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// An extractor for JSON bodies.
pub(crate) struct Json<T>(pub(crate) T);

/// Whether the media type of a body is `wanted`.
pub(super) fn is_kind(request: &Request, wanted: &str) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted)
}

/// Checks the media type of a body.
fn check_kind(request: &Request, wanted: &str) -> Result<(), Problem> {
    if is_kind(request, wanted) {
        return Ok(());
    }
    let detail = format!("the body must be JSON: send it with `content-type: {wanted}`");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// The problem of a body that has not arrived in time.
fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time: send the request again")
}

/// The problem of a body that breaks off.
fn cut_off() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "the body ended before its announced length")
}

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        check_kind(&request, "application/json")?;
        let limit = service.config.max_body_bytes;
        let too_large = || {
            let detail = format!("the body has more than {limit} bytes: send less at a time");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        };
        // Before the client is told to go on, which it may wait for.
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if length.and_then(|length| length.parse().ok()).is_some_and(|length: u64| length > limit as u64) {
            return Err(too_large());
        }
        let is_compressed = is_compressed(&request)?;
        let body = Limited::new(request.into_body(), limit).collect();
        let body =
            match tokio::time::timeout(Duration::from_millis(service.config.body_timeout_ms), body).await {
                Ok(Ok(body)) => body.to_bytes(),
                Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
                Ok(Err(_)) => return Err(cut_off()),
                Err(_) => return Err(too_slow()),
            };
        if !is_compressed {
            return parse(&body).map(Self);
        }
        let mut unpacked = Vec::new();
        let read = MultiGzDecoder::new(&*body).take(limit as u64 + 1).read_to_end(&mut unpacked);
        if read.is_err() {
            let detail = "the body is not what `content-encoding: gzip` says";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        if unpacked.len() > limit {
            return Err(too_large());
        }
        parse(&unpacked).map(Self)
    }
}

/// An extractor for bodies of any size with a JSON object a line, which are read one after the other.
pub(crate) struct Lines {
    body: Body,
    buffer: Vec<u8>,
    /// Maximum length of a line, and time for a part of the body.
    limit: usize,
    patience: Duration,
}

impl FromRequest<Arc<Service>> for Lines {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        check_kind(&request, NDJSON)?;
        if is_compressed(&request)? {
            let detail = "the lines must not be compressed";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let patience = Duration::from_millis(service.config.body_timeout_ms);
        let (body, limit) = (request.into_body(), service.config.max_body_bytes);
        Ok(Self { body, buffer: Vec::new(), limit, patience })
    }
}

impl Lines {
    /// The object of the next line; `None` after the last. Empty lines are skipped.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Problem> {
        let (mut line, mut is_end) = (None, false);
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                line = Some(self.buffer.drain(..=end).collect::<Vec<u8>>());
            } else if is_end && !self.buffer.is_empty() {
                line = Some(std::mem::take(&mut self.buffer));
            }
            match line.take() {
                Some(line) if line.trim_ascii().is_empty() => continue,
                Some(line) => return parse(&line).map(Some),
                None if is_end => return Ok(None),
                None => {}
            }
            if self.buffer.len() > self.limit {
                let detail = format!("a line has more than {} bytes", self.limit);
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            match tokio::time::timeout(self.patience, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data))
                }
                Ok(Some(Err(_))) => return Err(cut_off()),
                Ok(None) => is_end = true,
                Err(_) => return Err(too_slow()),
            }
        }
    }
}

/// Whether a request's body is compressed by gzip.
///
/// # Errors
/// For another compression.
fn is_compressed(request: &Request) -> Result<bool, Problem> {
    let encodings = request.headers().get_all(header::CONTENT_ENCODING);
    let mut is_compressed = false;
    for encoding in encodings.iter().map(|encoding| encoding.to_str().unwrap_or("?").trim()) {
        if encoding.eq_ignore_ascii_case("gzip") && !is_compressed {
            is_compressed = true;
        } else if !encoding.eq_ignore_ascii_case("identity") {
            let detail = "the body has a compression that the server does not read: send it with `content-encoding: gzip`, or as it is";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
    }
    Ok(is_compressed)
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
    // A number that is JSON, and too large for its field, is no error of the syntax.
    let is_number = message.starts_with("number out of range");
    match error.classify() {
        category if category == Category::Data || is_number => {
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
        _ => {
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

/// Reads a whole number, which JSON may have with a point: `20.0` is `20`.
pub(in crate::api) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u64),
        Other(f64),
    }
    let refused = || D::Error::custom("it must be a whole number of 0 or more");
    match Option::<Number>::deserialize(deserializer).map_err(|_| refused())? {
        None => Ok(None),
        Some(Number::Whole(number)) => usize::try_from(number).map(Some).map_err(|_| refused()),
        Some(Number::Other(number))
            if number >= 0.0 && number <= u32::MAX.into() && number.fract() == 0.0 =>
        {
            Ok(Some(number as usize))
        }
        Some(Number::Other(_)) => Err(refused()),
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

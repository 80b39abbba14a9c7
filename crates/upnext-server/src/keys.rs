//! Authorization by bearer keys: one set for recommendations and sessions, a separate one for admin calls.

use crate::Error;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::path::Path;
use std::sync::Arc;
use subtle::{Choice, ConstantTimeEq};

/// Minimum length of a key in bytes: shorter ones can be guessed.
const MIN_BYTES: usize = 16;

/// A set of accepted keys. With several, one can be replaced while it is still in use.
#[derive(Clone, Default)]
pub struct Keys(Vec<Box<[u8]>>);

impl std::fmt::Debug for Keys {
    /// Writes the number of keys and not the keys, since the text may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// Parses keys from a text, one per line; empty lines and lines that begin with `#` are skipped. `origin` names the
    /// text in errors.
    ///
    /// # Errors
    /// [`Error::Keys`] for a key that is shorter than 16 bytes or not visible ASCII, with its line and without the key;
    /// and for a text without a key.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for (line, key) in (1..).zip(text.lines().map(str::trim)) {
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            let refused = |reason: String| Err(Error::Keys { origin: origin.to_owned(), line, reason });
            if key.len() < MIN_BYTES {
                return refused(format!(
                    "the key has less than {MIN_BYTES} characters: take a long random one"
                ));
            }
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return refused(
                    "the key has a character that a header cannot carry: use letters and digits".to_owned(),
                );
            }
            keys.push(key.as_bytes().into());
        }
        if keys.is_empty() {
            let reason = "there is no key: give one a line".to_owned();
            return Err(Error::Keys { origin: origin.to_owned(), line: 1, reason });
        }
        Ok(Self(keys))
    }

    /// Reads keys from a file in the format of [`parse`](Self::parse).
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse), and [`Error::Library`] for a file that cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(upnext_core::Error::io(path, "read"))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the `Authorization` header with the first key, for a client; `None` for an empty set.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        let value = [b"Bearer ", self.0.first()?.as_ref()].concat();
        // Never an error: `parse` accepts visible ASCII only.
        HeaderValue::from_bytes(&value).ok()
    }

    /// Whether `key` is in the set. The time of the comparison depends on lengths only, never on contents.
    fn opens(&self, key: &[u8]) -> bool {
        self.0.iter().fold(Choice::from(0), |open, own| open | own.ct_eq(key)).into()
    }
}

/// The keys of a server. Without data keys, recommendations and sessions are open to everybody; without admin keys,
/// admin calls are refused.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    /// Keys for recommendations and sessions.
    pub data: Keys,
    /// Keys for admin calls.
    pub admin: Keys,
}

/// The bearer key of a request.
fn sent(request: &Request) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

fn unauthorized(kind: &str) -> Problem {
    let detail = format!("this needs {kind} of the server, as `authorization: Bearer KEY`");
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

/// Middleware that requires a data key if the server has any.
pub(crate) async fn require_key(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let keys = &service.keys.data;
    if keys.is_empty() || sent(&request).is_some_and(|key| keys.opens(key)) {
        return Ok(next.run(request).await);
    }
    Err(unauthorized("a key"))
}

/// Middleware that requires an admin key, and refuses every request if the server has none.
pub(crate) async fn require_admin_key(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let keys = &service.keys.admin;
    if keys.is_empty() {
        let detail = "admin calls are off: start the server with --admin-keys FILE";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if sent(&request).is_some_and(|key| keys.opens(key)) {
        return Ok(next.run(request).await);
    }
    Err(unauthorized("an admin key"))
}

/// Middleware that requires a data or admin key if the server has data keys.
pub(crate) async fn require_any_key(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let ApiKeys { data, admin } = &service.keys;
    if data.is_empty() || sent(&request).is_some_and(|key| data.opens(key) | admin.opens(key)) {
        return Ok(next.run(request).await);
    }
    Err(unauthorized("a key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens_and_it_is_never_shown() {
        let keys = Keys::parse("# the shop\n0123456789abcdef\n\n  fedcba9876543210  \n", "keys").unwrap();
        assert!(keys.opens(b"0123456789abcdef") && keys.opens(b"fedcba9876543210"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "# the shop"] {
            assert!(!keys.opens(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{keys:?}"), "Keys(2)");
        assert!(!Keys::default().opens(b""));
    }

    #[test]
    fn keys_that_can_be_guessed_or_sent_by_no_client_are_refused_without_showing_them() {
        for (text, line) in
            [("\nsecret-1\n", 2), ("0123456789abcdeé", 1), ("# none\n", 1), ("0123456789 abcdef", 1)]
        {
            let message = Keys::parse(text, "keys").unwrap_err().to_string();
            assert!(message.starts_with(&format!("keys:{line}: ")), "{message}");
            assert!(!message.contains("secret") && !message.contains("0123"), "{message}");
        }
    }
}

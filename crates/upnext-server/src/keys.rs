//! Authorization by bearer keys: one set for recommendations and sessions, a separate one for admin calls. Their files can be
//! read again while the server runs.

use crate::problem::Problem;
use crate::service::Service;
use crate::stamp::Stamp;
use crate::{Error, ServerConfig};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// Minimum length of a key in bytes: shorter ones can be guessed.
const MIN_BYTES: usize = 16;

/// A set of accepted keys. With several, one can be replaced while it is still in use.
#[derive(Clone, Default)]
pub struct Keys {
    keys: Vec<Key>,
    /// The file that they are read from again, as it was when they were.
    file: Option<(PathBuf, Option<Stamp>)>,
}

#[derive(Clone)]
struct Key {
    name: Arc<str>,
    bytes: Box<[u8]>,
}

impl std::fmt::Debug for Keys {
    /// Writes the number of keys and not the keys, since the text may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.keys.len())
    }
}

impl Keys {
    /// Parses keys from a text, one per line, each with a name before it if wanted (`shop KEY`), by which log lines call it; otherwise
    /// it is called by its line. Empty lines and lines that begin with `#` are skipped. `origin` names the text in errors.
    ///
    /// # Errors
    /// [`Error::Keys`] for a key that is shorter than 16 bytes or not visible ASCII, and a name that another key has, with
    /// the line and without the key; and for a text without a key.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let mut keys: Vec<Key> = Vec::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let refused = |reason: String| Err(Error::Keys { origin: origin.to_owned(), line, reason });
            let (name, key) = match text.split_once(char::is_whitespace) {
                Some((name, key)) => (name.into(), key.trim_start()),
                None => (format!("line {line}").into(), text),
            };
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
            if keys.iter().any(|other| other.name == name) {
                return refused(format!("another key is named `{name}`, too: give it another name"));
            }
            keys.push(Key { name, bytes: key.as_bytes().into() });
        }
        if keys.is_empty() {
            let reason = "there is no key: give one a line".to_owned();
            return Err(Error::Keys { origin: origin.to_owned(), line: 1, reason });
        }
        Ok(Self { keys, file: None })
    }

    /// Reads keys from a file in the format of [`parse`](Self::parse). A server reads it again at SIGHUP, and with
    /// `watch_models` when it changes.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse), and [`Error::Library`] for a file that cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        // Before the keys, so that a change in the meantime is seen.
        let stamp = Stamp::of(path);
        let text = std::fs::read_to_string(path).map_err(upnext_core::Error::io(path, "read"))?;
        let keys = Self::parse(&text, &path.display().to_string())?;
        Ok(Self { file: Some((path.to_owned(), stamp)), ..keys })
    }

    /// The keys that the file has now; the same keys if there is none.
    fn read_again(&self) -> Result<Self, Error> {
        self.file.as_ref().map_or_else(|| Ok(self.clone()), |(path, _)| Self::read(path))
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The value of the `Authorization` header with the first key, for a client; `None` for an empty set.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        let value = [b"Bearer ", self.keys.first()?.bytes.as_ref()].concat();
        // Never an error: `parse` accepts visible ASCII only.
        HeaderValue::from_bytes(&value).ok()
    }

    /// The name of the key, if it is in the set. The time of the comparison depends on lengths only, never on contents.
    fn name_of(&self, key: &[u8]) -> Option<Arc<str>> {
        let mut found = 0;
        for (number, own) in (1..).zip(&self.keys) {
            found.conditional_assign(&number, own.bytes.ct_eq(key));
        }
        Some(Arc::clone(&self.keys.get((found as usize).checked_sub(1)?)?.name))
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

impl ApiKeys {
    /// These keys, and where there are none of a kind, those of the configuration's file.
    ///
    /// # Errors
    /// Those of [`Keys::read`].
    pub(crate) fn or_of_files(self, config: &ServerConfig) -> Result<Self, Error> {
        let read = |keys: Keys, file: &Option<PathBuf>| match file {
            Some(file) if keys.is_empty() => Keys::read(file),
            _ => Ok(keys),
        };
        Ok(Self {
            data: read(self.data, &config.keys_file)?,
            admin: read(self.admin, &config.admin_keys_file)?,
        })
    }

    /// The files that the keys were read from, as they were then.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Option<Stamp>)> {
        [&self.data, &self.admin].into_iter().filter_map(|keys| keys.file.clone()).collect()
    }

    /// The keys that the files have now.
    ///
    /// # Errors
    /// Those of [`Keys::read`].
    pub(crate) fn read_again(&self) -> Result<Self, Error> {
        Ok(Self { data: self.data.read_again()?, admin: self.admin.read_again()? })
    }
}

/// The name of the key that a request came with, in its extensions and those of its response.
#[derive(Clone, Debug)]
pub(crate) struct KeyName(pub(crate) Arc<str>);

/// Why a key was refused, in the extensions of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRefusal {
    /// None was sent.
    Missing,
    /// It is no key of the server.
    Unknown,
    /// It is one for other requests.
    Other,
}

impl KeyRefusal {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Missing, Self::Unknown, Self::Other];

    /// The label of metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Other => "other",
        }
    }
}

/// The bearer key of a request.
fn sent(request: &Request) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

/// Runs a request with a data or an admin key, if such a one is wanted, and refuses others: 401, or 403 for a key of the other
/// kind.
async fn require(
    service: &Service,
    mut request: Request,
    next: Next,
    (wanted, kind): ([bool; 2], &'static str),
) -> Response {
    let keys = service.keys.load();
    let sent_key = sent(&request);
    let names = [&keys.data, &keys.admin].map(|keys| sent_key.and_then(|key| keys.name_of(key)));
    let opening = names.iter().zip(wanted).find_map(|(name, wanted)| name.clone().filter(|_| wanted));
    if let Some(name) = opening {
        request.extensions_mut().insert(KeyName(Arc::clone(&name)));
        let mut response = next.run(request).await;
        response.extensions_mut().insert(KeyName(name));
        return response;
    }
    let other = names.into_iter().flatten().next();
    let (refusal, problem) = match &other {
        Some(_) => {
            let detail = format!("the key is one for other requests: this needs {kind}");
            (KeyRefusal::Other, Problem::new(StatusCode::FORBIDDEN, detail))
        }
        None => {
            let detail = format!("this needs {kind} of the server, as `authorization: Bearer KEY`");
            let refusal = if sent_key.is_some() { KeyRefusal::Unknown } else { KeyRefusal::Missing };
            (refusal, Problem::new(StatusCode::UNAUTHORIZED, detail))
        }
    };
    let mut response = problem.into_response();
    response.extensions_mut().insert(refusal);
    if let Some(name) = other {
        response.extensions_mut().insert(KeyName(name));
    }
    response
}

/// Middleware that requires a data key.
pub(crate) async fn require_key(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    require(&service, request, next, ([true, false], "a key")).await
}

/// Middleware that requires an admin key, and refuses every request if the server has none.
pub(crate) async fn require_admin_key(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    if service.keys.load().admin.is_empty() {
        let detail = "admin calls are off: start the server with --admin-keys FILE";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    require(&service, request, next, ([false, true], "an admin key")).await
}

/// Middleware that requires a data or admin key if the server has data keys.
pub(crate) async fn require_any_key(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    if service.keys.load().data.is_empty() {
        return next.run(request).await;
    }
    require(&service, request, next, ([true, true], "a key")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens_and_it_is_never_shown() {
        let text = "# the shop\n0123456789abcdef\n\n  shop \t fedcba9876543210  \n";
        let keys = Keys::parse(text, "keys").unwrap();
        let name = |key: &[u8]| keys.name_of(key).map(|name| name.to_string());
        assert_eq!(name(b"0123456789abcdef").as_deref(), Some("line 2"));
        assert_eq!(name(b"fedcba9876543210").as_deref(), Some("shop"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "# the shop", "shop"] {
            assert_eq!(name(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(format!("{keys:?}"), "Keys(2)");
        assert!(Keys::default().name_of(b"").is_none());
    }

    #[test]
    fn keys_that_can_be_guessed_or_sent_by_no_client_are_refused_without_showing_them() {
        for (text, line) in [
            ("\nsecret-1\n", 2),
            ("0123456789abcdeé", 1),
            ("# none\n", 1),
            ("0123456789 abcdef", 1),
            ("a 0123456789abcdef\na 1123456789abcdef", 2),
            ("a 0123456789abcdef 0123456789", 1),
        ] {
            let message = Keys::parse(text, "keys").unwrap_err().to_string();
            assert!(message.starts_with(&format!("keys:{line}: ")), "{message}");
            assert!(!message.contains("secret") && !message.contains("0123"), "{message}");
        }
    }
}

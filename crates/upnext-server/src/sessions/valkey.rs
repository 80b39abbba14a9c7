//! Sessions in a Valkey or Redis server, which several servers of a model share.
//!
//! A session is a list under the key `upnext:1:session:` and its id. The first element is its head, `EVENTS BEGAN_MS
//! LAST_EVENT_MS`, the others are its latest item ids, oldest first. The store's clock is that of all servers, and its
//! expiry of keys is the end of a session. An event is one round trip.

use super::{Later, Session, SessionStore, StoreError, StoreUrl};
use crate::{Error, ServerConfig, locked};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, Script, ServerErrorKind};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The number is the format's version: servers of two formats never read each other's sessions.
const KEY_PREFIX: &str = "upnext:1:session:";

/// Adds an event: KEYS are the session's, ARGV the item, the number of items that are kept, and the idle time in milliseconds.
///
/// Whatever may be refused (a value of another type, a full memory) is refused before anything has changed, since a script
/// that fails is not undone. Lua's numbers are exact up to 2^53, and `%.0f` writes them without an exponent.
const APPEND: &str = r"
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local head = redis.call('LINDEX', KEYS[1], 0)
local events, began = 0, now
if head then
    events, began = string.match(head, '^(%d+) (%d+) %d+$')
    if not events then
        return redis.error_reply('ERR the key holds no session of upnext')
    end
end
redis.call('RPUSH', KEYS[1], ARGV[1])
if head then
    redis.call('LPOP', KEYS[1])
end
redis.call('LTRIM', KEYS[1], -ARGV[2], -1)
redis.call('LPUSH', KEYS[1], string.format('%.0f %s %s', events + 1, began, now))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('LRANGE', KEYS[1], 0, -1)
";

/// A connection, or the attempt at one, that all requests share; `None` while it is being made.
type Link = watch::Receiver<Option<Result<MultiplexedConnection, String>>>;

/// Sessions in a store of their own.
pub(super) struct ValkeyStore {
    url: StoreUrl,
    client: Client,
    append: Script,
    /// Made by the first request that needs it, and dropped by whoever finds it broken.
    link: Mutex<Option<Link>>,
    /// How long a request waits for the store, a connection included.
    timeout: Duration,
    max_events: usize,
    idle_ms: u64,
}

impl ValkeyStore {
    /// A store that is not connected yet.
    pub(super) fn new(url: &StoreUrl, config: &ServerConfig) -> Result<Self, Error> {
        let refused = |error: RedisError| upnext_core::Error::config("session_store", reason(&error));
        Ok(Self {
            url: url.clone(),
            client: url.connection_info().and_then(Client::open).map_err(refused)?,
            append: Script::new(APPEND),
            link: Mutex::new(None),
            timeout: Duration::from_millis(config.session_store_timeout_ms),
            max_events: config.max_session_events,
            idle_ms: config.session_idle_s * 1_000,
        })
    }

    /// Asks the store, and waits no longer than the time-out for it.
    async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        question: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let link = self.link();
        let mut linked = link.clone();
        let connected = match timeout_at(deadline, linked.wait_for(Option::is_some)).await {
            // The attempt goes on, for whoever comes next.
            Err(_) => return Err(self.failed("no connection in time")),
            Ok(connected) => connected.ok().and_then(|connected| connected.clone()),
        };
        let connection = match connected {
            Some(connected) => connected.map_err(|reason| self.failed(&reason))?,
            None => return Err(self.failed("the attempt to connect was given up")),
        };
        match timeout_at(deadline, question(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                // A store that has become another one's replica refuses writes for as long as it is asked.
                let replica = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
                if replica || error.is_io_error() || error.is_unrecoverable_error() {
                    self.forget(&link);
                }
                // Only an error of its own says that the store has done nothing: an answer that nobody understands may
                // come after it has.
                let refused = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
                let reason = reason(&error);
                Err(if refused { self.failed(&reason) } else { self.silent(&reason) })
            }
            Err(_) => {
                self.forget(&link);
                Err(self.silent("no answer in time"))
            }
        }
    }

    fn failed(&self, reason: &str) -> StoreError {
        StoreError::Failed(format!("{}: {reason}", self.url))
    }

    fn silent(&self, reason: &str) -> StoreError {
        StoreError::Silent(format!("{}: {reason}", self.url))
    }

    /// The connection that there is, or an attempt at one.
    ///
    /// The attempt is a task of its own: made by a request, it would end with that request's time-out, and under load each
    /// would have waited for those before it and have no time left for its own.
    fn link(&self) -> Link {
        let mut link = locked(&self.link);
        link.take_if(|link| has_failed(link));
        let open = || {
            let (sender, receiver) = watch::channel(None);
            let (client, limit) = (self.client.clone(), self.timeout);
            tokio::spawn(async move {
                // What a command may take is up to the request that waits for it.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(limit))
                    .set_response_timeout(None);
                let connected = client.get_multiplexed_async_connection_with_config(&config).await;
                sender.send_replace(Some(connected.map_err(|error| reason(&error))));
            });
            receiver
        };
        link.get_or_insert_with(open).clone()
    }

    /// Drops a broken connection, unless somebody has replaced it already.
    fn forget(&self, broken: &Link) {
        let mut link = locked(&self.link);
        link.take_if(|link| link.same_channel(broken));
    }

    /// The session in a list, whose head comes first.
    fn session(&self, list: Vec<String>) -> Result<Option<Session>, StoreError> {
        let mut elements = list.into_iter();
        let Some(head) = elements.next() else { return Ok(None) };
        let mut numbers = head.split(' ').map(|number| number.parse().ok());
        let (Some(Some(events)), Some(Some(began_ms)), Some(Some(last_event_ms)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(self.failed("a key holds no session of upnext"));
        };
        // A server with a larger bound may have written it.
        let skipped = elements.len().saturating_sub(self.max_events);
        let items = elements.skip(skipped).map(Arc::from).collect();
        Ok(Some(Session { items, events, began_ms, last_event_ms }))
    }
}

impl SessionStore for ValkeyStore {
    fn append<'s>(&'s self, id: &'s str, item: Arc<str>) -> Later<'s, Session> {
        Box::pin(async move {
            let append = async |mut connection| {
                let mut call = self.append.key(key(id));
                call.arg(&*item).arg(self.max_events).arg(self.idle_ms);
                call.invoke_async(&mut connection).await
            };
            let session = self.session(self.ask(append).await?)?;
            session.ok_or_else(|| self.failed("an event left no session"))
        })
    }

    fn get<'s>(&'s self, id: &'s str) -> Later<'s, Option<Session>> {
        Box::pin(async move {
            let get = async |mut connection| {
                redis::cmd("LRANGE").arg(key(id)).arg(0).arg(-1).query_async(&mut connection).await
            };
            self.session(self.ask(get).await?)
        })
    }

    fn remove<'s>(&'s self, id: &'s str) -> Later<'s, bool> {
        Box::pin(async move {
            let remove =
                async |mut connection| redis::cmd("DEL").arg(key(id)).query_async(&mut connection).await;
            self.ask(remove).await
        })
    }

    /// To count the sessions would be to walk over all keys of the store.
    fn count(&self) -> Option<usize> {
        None
    }

    fn ready(&self) -> Later<'_, ()> {
        Box::pin(self.ask(async |mut connection| redis::cmd("PING").exec_async(&mut connection).await))
    }
}

impl fmt::Debug for ValkeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeyStore").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Whether an attempt to connect has ended without a connection.
fn has_failed(link: &Link) -> bool {
    match &*link.borrow() {
        Some(connected) => connected.is_err(),
        None => link.has_changed().is_err(),
    }
}

fn key(id: &str) -> String {
    format!("{KEY_PREFIX}{id}")
}

/// Why the store did not do it, for the log.
///
/// A store repeats the arguments of commands that it does not know, among which are passwords and ids.
fn reason(error: &RedisError) -> String {
    let text = error.to_string();
    text.split_once(", with args").map_or(text.as_str(), |(before, _)| before).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn store(config: &ServerConfig) -> ValkeyStore {
        ValkeyStore::new(&"redis://:pass-7@127.0.0.1:1".parse().unwrap(), config).unwrap()
    }

    fn list(elements: &[&str]) -> Vec<String> {
        elements.iter().map(|&element| element.to_owned()).collect()
    }

    #[test]
    fn a_list_is_a_session_and_its_latest_items_are_kept() {
        let store = store(&ServerConfig { max_session_events: 2, ..ServerConfig::default() });
        assert_eq!(store.session(vec![]).unwrap(), None);
        let session = store.session(list(&["7 1000 2000", "a", "b c", "7 1 2"])).unwrap().unwrap();
        assert_eq!((session.events, session.began_ms, session.last_event_ms), (7, 1_000, 2_000));
        assert_eq!(session.items, [Arc::from("b c"), Arc::from("7 1 2")]);
    }

    #[test]
    fn a_head_that_is_none_is_an_error() {
        let store = store(&ServerConfig::default());
        let numbers_beyond = format!("1 2 {}", u128::MAX);
        for head in ["", "tea", "1 2", "1 2 3 4", "-1 2 3", "1 2 x", "1  2 3", &numbers_beyond] {
            store.session(list(&[head, "a"])).unwrap_err();
        }
    }

    #[test]
    fn what_a_store_repeats_of_a_password_is_not_repeated() {
        let said = "unknown command 'AUTH', with args beginning with: 'pass-7' ".to_owned();
        let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
        let shown = reason(&RedisError::from((kind, "An error was signalled by the server", said)));
        assert!(shown.contains("AUTH") && !shown.contains("pass-7"), "{shown}");
        assert!(!format!("{:?}", store(&ServerConfig::default())).contains("pass-7"));
    }

    #[tokio::test]
    async fn a_certificate_that_the_system_does_not_trust_is_refused() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.is_ok()
        });
        let config = ServerConfig { session_store_timeout_ms: 20_000, ..ServerConfig::default() };
        let url = format!("rediss://localhost:{port}").parse().unwrap();
        let error = ValkeyStore::new(&url, &config).unwrap().ready().await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
        assert!(!server.await.unwrap(), "the client should not have gone on");
    }

    #[tokio::test]
    async fn an_attempt_that_failed_is_not_the_answer_to_later_requests() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap()).parse().unwrap();
        // The first connection is never answered; on the second one every command is.
        std::thread::spawn(move || {
            let _silent = listener.accept().unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 1_024];
            while let Ok(read @ 1..) = stream.read(&mut bytes) {
                let commands = bytes[..read].iter().filter(|&&byte| byte == b'*').count();
                stream.write_all("+PONG\r\n".repeat(commands).as_bytes()).unwrap();
            }
        });
        let config = ServerConfig { session_store_timeout_ms: 1_000, ..ServerConfig::default() };
        let store = ValkeyStore::new(&url, &config).unwrap();
        store.ready().await.unwrap_err();
        let attempt = locked(&store.link).clone().unwrap();
        while !has_failed(&attempt) {
            tokio::task::yield_now().await;
        }
        store.ready().await.unwrap();
    }

    #[tokio::test]
    async fn requests_wait_for_a_store_that_is_silent_no_longer_than_the_time_out() {
        // It takes connections and never says anything.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://:pass-7@{}", silent.local_addr().unwrap()).parse().unwrap();
        let config = ServerConfig { session_store_timeout_ms: 200, ..ServerConfig::default() };
        let store = Arc::new(ValkeyStore::new(&url, &config).unwrap());
        let began = Instant::now();
        let asking: Vec<_> = (0..100)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.append("v1", "tea".into()).await })
            })
            .collect();
        for asked in asking {
            let error = asked.await.unwrap().unwrap_err().to_string();
            assert!(error.starts_with("redis://:***@127.0.0.1") && !error.contains("pass-7"), "{error}");
        }
        // One after the other they would take 20 seconds.
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

//! A store in a Valkey or Redis server, which several servers can share.
//!
//! A session is a list under the key `upnext:1:session:` and its id. The first element is the head, `EVENTS BEGAN_MS
//! LAST_EVENT_MS`, and the others are the latest item ids, oldest first. Times are those of the store's clock, and
//! sessions end by the expiry of their keys. An event takes one round trip. The names that clients have given to its latest events are a list
//! under `upnext:1:keys:` and the session's id, each with a space and what the event is.

use super::clock::Now;
use super::table::{Kept, Table};
use super::{
    Appended, Event, Exported, Moved, Outcome, Removal, Session, SessionStore, StoreError, StoreFuture,
    StoreState, StoreUrl, Unstored,
};
use crate::{Error, ServerConfig, locked};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, Script, ServerErrorKind};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Prefix of the keys. Its number is the version of the format, so that servers of different versions never read each
/// other's sessions.
const KEY_PREFIX: &str = "upnext:1:session:";

/// Prefix of the keys of the names of events.
const NAMES_PREFIX: &str = "upnext:1:keys:";

/// Lua script that adds an event. KEYS: those of the session and of the names of its events; ARGV: the item, the maximum number of
/// items, the idle time in milliseconds, 1 for a click or 0, the event's name or nothing, and what it is. Returns `+` for an event
/// that is added, `=` for one that was before, or `!` for one whose name is that of another event, and the list.
///
/// All checks that may fail (a value of another type, full memory) come before the first change, since a failed script
/// is not rolled back. Lua's numbers are exact up to 2^53, and `%.0f` writes them without an exponent.
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
local outcome, name = '+', ARGV[5] .. ' '
if ARGV[5] ~= '' and head then
    for _, known in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
        if string.sub(known, 1, #name) == name then
            outcome = known == name .. ARGV[6] and '=' or '!'
        end
    end
end
if outcome == '+' then
    if tonumber(ARGV[4]) == 1 then
        redis.call('RPUSH', KEYS[1], ARGV[1])
        if head then
            redis.call('LPOP', KEYS[1])
        end
        redis.call('LTRIM', KEYS[1], -ARGV[2], -1)
        events = events + 1
    elseif head then
        redis.call('LPOP', KEYS[1])
    end
    redis.call('LPUSH', KEYS[1], string.format('%.0f %s %s', events, began, now))
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    if not head then
        redis.call('DEL', KEYS[2])
    end
    if ARGV[5] ~= '' then
        redis.call('RPUSH', KEYS[2], name .. ARGV[6])
        redis.call('LTRIM', KEYS[2], -32, -1)
    end
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
local list = redis.call('LRANGE', KEYS[1], 0, -1)
table.insert(list, 1, outcome)
return list
";

/// Lua script that adds a session as it was. KEYS: the session's key; ARGV: the milliseconds until it ends, the time of its latest
/// event, its head and its items. Returns 1, or 0 if the store has a later state of it.
const IMPORT: &str = r"
local head = redis.call('LINDEX', KEYS[1], 0)
local last = head and string.match(head, '^%d+ %d+ (%d+)$')
if last and tonumber(last) >= tonumber(ARGV[2]) then
    return 0
end
redis.call('DEL', KEYS[1])
for i = 3, #ARGV do
    redis.call('RPUSH', KEYS[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
";

/// The connection that all requests share, or the reason why connecting failed; `None` while connecting.
type Link = watch::Receiver<Option<Result<MultiplexedConnection, String>>>;

/// A store in a Valkey or Redis server.
pub(super) struct ValkeyStore {
    url: StoreUrl,
    client: Client,
    append: Script,
    import: Script,
    /// Opened by the first request that needs it, and dropped by a request that finds it broken.
    link: Mutex<Option<Link>>,
    /// Maximum time that a request waits for the store, connecting included.
    timeout: Duration,
    max_events: usize,
    idle_ms: u64,
    /// The sessions as this process saw them last, for lists while the store is away.
    local: Mutex<Table>,
    /// Why the store does not keep what it is given; `None` if it does.
    fault: Mutex<Option<Fault>>,
}

/// Why a store does not keep what it is given.
#[derive(Clone, Debug)]
struct Fault {
    reason: String,
    /// Whether it does not answer either. Only probes wait for such a store.
    is_silent: bool,
}

/// Key of the text that probes write, and the milliseconds that it lasts.
const PROBE: &str = "upnext:1:probe";
const PROBE_MS: u64 = 60_000;

impl ValkeyStore {
    /// Creates a store without connecting to the server.
    pub(super) fn new(url: &StoreUrl, config: &ServerConfig) -> Result<Self, Error> {
        let refused = |error: RedisError| upnext_core::Error::config("session_store", reason(&error));
        Ok(Self {
            url: url.clone(),
            client: url.connection_info().and_then(Client::open).map_err(refused)?,
            append: Script::new(APPEND),
            import: Script::new(IMPORT),
            link: Mutex::new(None),
            timeout: Duration::from_millis(config.session_store_timeout_ms),
            max_events: config.max_session_events,
            idle_ms: config.session_idle_s * 1_000,
            local: Mutex::new(Table::new(config)),
            fault: Mutex::new(None),
        })
    }

    /// Executes a command, with the time-out for connecting and execution together.
    async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        question: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let link = self.link();
        let mut linked = link.clone();
        let connected = match timeout_at(deadline, linked.wait_for(Option::is_some)).await {
            // Connecting goes on for later requests.
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
                // A server that has become a replica refuses all writes, so the next request reconnects.
                let replica = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
                if replica || error.is_io_error() || error.is_unrecoverable_error() {
                    self.forget(&link);
                }
                // Only an error reply of the server means that nothing was executed: a reply that cannot be parsed may
                // come after the execution.
                let refused = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
                let reason = reason(&error);
                Err(if refused { self.failed(&reason) } else { self.unconfirmed(&reason) })
            }
            Err(_) => {
                self.forget(&link);
                Err(self.unconfirmed("no answer in time"))
            }
        }
    }

    fn failed(&self, reason: &str) -> StoreError {
        StoreError::Failed(format!("{}: {reason}", self.url))
    }

    fn unconfirmed(&self, reason: &str) -> StoreError {
        StoreError::Unconfirmed(format!("{}: {reason}", self.url))
    }

    /// The current connection, or else a new one that is being opened.
    ///
    /// A separate task connects. Within a request, connecting would be cancelled with the request's time-out, and under
    /// load each request would wait for earlier attempts and have no time left for its own.
    fn link(&self) -> Link {
        let mut link = locked(&self.link);
        link.take_if(|link| has_failed(link));
        let open = || {
            let (sender, receiver) = watch::channel(None);
            let (client, limit) = (self.client.clone(), self.timeout);
            tokio::spawn(async move {
                // The requests have time-outs of their own.
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

    /// Drops a broken connection, unless it has been replaced already.
    fn forget(&self, broken: &Link) {
        let mut link = locked(&self.link);
        link.take_if(|link| link.same_channel(broken));
    }

    /// Takes the outcome of a write as what is known of the store. Changes are logged, not each failure.
    fn learn<T>(&self, outcome: &Result<T, StoreError>) {
        let mut fault = locked(&self.fault);
        match outcome {
            Ok(_) => {
                if fault.take().is_some() {
                    tracing::info!(store = %self.url, "the session store keeps events again");
                }
            }
            Err(error) => {
                let (reason, is_silent) =
                    (error.to_string(), locked(&self.link).as_ref().is_none_or(has_failed));
                let is_silent = is_silent || matches!(error, StoreError::Unconfirmed(_));
                if fault.replace(Fault { reason, is_silent }).is_none() {
                    tracing::error!(%error, "the session store does not keep events: lists are made of what this process knows");
                }
            }
        }
    }

    /// Parses the answer to an event: what became of it, and the session.
    fn appended(&self, list: Vec<String>) -> Result<(Session, Outcome), StoreError> {
        let mut elements = list.into_iter();
        let outcome = match elements.next().as_deref() {
            Some("+") => Outcome::Added,
            Some("=") => Outcome::Repeated,
            Some("!") => Outcome::Conflict,
            _ => return Err(self.failed("the answer to an event is none")),
        };
        let session = self.session(elements.collect())?;
        session.map(|session| (session, outcome)).ok_or_else(|| self.failed("an event left no session"))
    }

    /// Parses a session from its list; `None` for an empty list.
    fn session(&self, list: Vec<String>) -> Result<Option<Session>, StoreError> {
        let mut elements = list.into_iter();
        let Some(head) = elements.next() else { return Ok(None) };
        let mut numbers = head.split(' ').map(|number| number.parse().ok());
        let (Some(Some(events)), Some(Some(began_ms)), Some(Some(last_event_ms)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(self.failed("a key holds no session of upnext"));
        };
        // A server with a larger limit may have written it.
        let skipped = elements.len().saturating_sub(self.max_events);
        let items = elements.skip(skipped).map(Arc::from).collect();
        Ok(Some(Session { items, events, began_ms, last_event_ms }))
    }
}

impl SessionStore for ValkeyStore {
    fn append<'s>(&'s self, id: &'s str, event: Event) -> StoreFuture<'s, Appended> {
        Box::pin(async move {
            let append = async |mut connection| {
                let mut call = self.append.key(key(id));
                call.key(names_key(id));
                let (most, click) = (self.max_events, u8::from(event.is_click));
                let (name, what) = event.key.as_ref().map_or(("", ""), |(name, what)| (&**name, &**what));
                call.arg(&*event.item).arg(most).arg(self.idle_ms).arg(click).arg(name).arg(what);
                call.invoke_async(&mut connection).await
            };
            let silent = locked(&self.fault).clone().filter(|fault| fault.is_silent);
            let appended = match silent {
                Some(fault) => Err(StoreError::Failed(fault.reason)),
                None => {
                    let appended = self.ask(append).await.and_then(|list| self.appended(list));
                    self.learn(&appended);
                    appended
                }
            };
            let now = Now::read();
            let mut local = locked(&self.local);
            match appended {
                Ok((session, mut outcome)) => {
                    // For the time in which the store may be away.
                    let mut keys = local.keys(id, now);
                    if let Some(key) = event.key.filter(|_| outcome == Outcome::Added) {
                        if keys.contains(&key) {
                            // It came first while the store was away, and is in the event log.
                            outcome = Outcome::Repeated;
                        } else {
                            keys.push(key);
                        }
                    }
                    let steady_ms = now.steady_ms;
                    local.restore(Kept { id: id.into(), session: session.clone(), steady_ms, seq: 0, keys });
                    Appended { session, outcome, unstored: None }
                }
                Err(error) => {
                    let (session, outcome) = local.append(id, &event, now, 0);
                    let unstored = match error {
                        StoreError::Unconfirmed(reason) => Unstored::Unconfirmed(reason),
                        other => Unstored::Local(other.to_string()),
                    };
                    Appended { session, outcome, unstored: Some(unstored) }
                }
            }
        })
    }

    fn get<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Result<Option<Session>, StoreError>> {
        Box::pin(async move {
            let get = async |mut connection| {
                redis::cmd("LRANGE").arg(key(id)).arg(0).arg(-1).query_async(&mut connection).await
            };
            self.session(self.ask(get).await?)
        })
    }

    fn remove<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Result<Removal, StoreError>> {
        Box::pin(async move {
            let remove = async |mut connection| {
                redis::pipe().del(key(id)).del(names_key(id)).query_async(&mut connection).await
            };
            let (removed, _): (bool, bool) = self.ask(remove).await?;
            locked(&self.local).remove(id, Now::read());
            Ok(if removed { Removal::Done } else { Removal::Absent })
        })
    }

    fn export(&self, cursor: Option<u64>) -> StoreFuture<'_, Result<Exported, StoreError>> {
        Box::pin(async move {
            let scan = async |mut connection| {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor.unwrap_or(0))
                    .arg("MATCH")
                    .arg(format!("{KEY_PREFIX}*"))
                    .arg("COUNT")
                    .arg(512);
                scan.query_async(&mut connection).await
            };
            let (next, keys): (u64, Vec<String>) = self.ask(scan).await?;
            let mut moved = Vec::with_capacity(keys.len());
            for key in &keys {
                let read = async |mut connection| {
                    redis::pipe().lrange(key, 0, -1).pttl(key).query_async(&mut connection).await
                };
                let (list, left): (Vec<String>, i64) = match self.ask(read).await {
                    Ok(read) => read,
                    // Another program's key.
                    Err(StoreError::Failed(reason)) if reason.contains("WRONGTYPE") => continue,
                    Err(error) => return Err(error),
                };
                // It may have ended in between.
                let Ok(Some(session)) = self.session(list) else { continue };
                let id = key.strip_prefix(KEY_PREFIX).unwrap_or(key).into();
                let idle_ms = self.idle_ms.saturating_sub(u64::try_from(left).unwrap_or(0));
                moved.push(Moved { id, session, idle_ms });
            }
            Ok((moved, (next != 0).then_some(next)))
        })
    }

    fn import(&self, sessions: Vec<Moved>) -> StoreFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move {
            let mut taken = 0;
            for moved in sessions.iter().filter(|moved| moved.idle_ms < self.idle_ms) {
                let import = async |mut connection| {
                    let Session { items, events, began_ms, last_event_ms } = &moved.session;
                    let mut call = self.import.key(key(&moved.id));
                    call.arg(self.idle_ms - moved.idle_ms).arg(last_event_ms);
                    call.arg(format!("{events} {began_ms} {last_event_ms}"));
                    items.iter().for_each(|item| _ = call.arg(&**item));
                    call.invoke_async(&mut connection).await
                };
                taken += usize::from(self.ask::<bool, _>(import).await?);
            }
            Ok(taken)
        })
    }

    /// `None`: counting would have to scan all keys of the server.
    fn count(&self) -> Option<usize> {
        None
    }

    fn state(&self) -> StoreState {
        let fault = locked(&self.fault).as_ref().map(|fault| fault.reason.clone());
        StoreState { fault, ..StoreState::default() }
    }

    /// Writes: a store that is read-only or full answers everything else.
    fn probe(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            let write = async |mut connection| {
                let mut command = redis::cmd("SET");
                command.arg(PROBE).arg("").arg("PX").arg(PROBE_MS).exec_async(&mut connection).await
            };
            let written = self.ask(write).await;
            self.learn(&written);
        })
    }
}

impl fmt::Debug for ValkeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeyStore").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Whether connecting has ended without a connection.
fn has_failed(link: &Link) -> bool {
    match &*link.borrow() {
        Some(connected) => connected.is_err(),
        None => link.has_changed().is_err(),
    }
}

fn key(id: &str) -> String {
    format!("{KEY_PREFIX}{id}")
}

/// The key of the names of a session's events.
fn names_key(id: &str) -> String {
    format!("{NAMES_PREFIX}{id}")
}

/// The text of an error for the log, without the arguments of commands.
///
/// The server repeats the arguments of unknown commands, which include passwords and ids.
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

    /// What a probe finds wrong.
    async fn probed(store: &ValkeyStore) -> Option<String> {
        store.probe().await;
        store.state().fault
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
        let error = probed(&ValkeyStore::new(&url, &config).unwrap()).await.unwrap();
        assert!(error.contains("certificate"), "{error}");
        assert!(!server.await.unwrap(), "the client should not have gone on");
    }

    #[tokio::test]
    async fn an_attempt_that_failed_is_not_the_answer_to_later_requests() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap()).parse().unwrap();
        // The first connection gets no reply, the second a reply to every command.
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
        assert!(probed(&store).await.is_some());
        let attempt = locked(&store.link).clone().unwrap();
        while !has_failed(&attempt) {
            tokio::task::yield_now().await;
        }
        assert_eq!(probed(&store).await, None);
    }

    #[tokio::test]
    async fn requests_wait_for_a_store_that_is_silent_no_longer_than_the_time_out() {
        // It accepts connections and sends nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://:pass-7@{}", silent.local_addr().unwrap()).parse().unwrap();
        let config = ServerConfig { session_store_timeout_ms: 200, ..ServerConfig::default() };
        let store = Arc::new(ValkeyStore::new(&url, &config).unwrap());
        let (began, mut most) = (Instant::now(), 0);
        let asking: Vec<_> = (0..100)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.append("v1", Event::click("tea")).await })
            })
            .collect();
        for asked in asking {
            let Appended { session, unstored, .. } = asked.await.unwrap();
            let error = unstored.unwrap().to_string();
            assert!(error.starts_with("redis://:***@127.0.0.1") && !error.contains("pass-7"), "{error}");
            most = most.max(session.events);
        }
        // In sequence, they would take 20 seconds.
        assert!(began.elapsed() < Duration::from_secs(5));
        // None is lost to this process.
        assert_eq!(most, 100);
    }
}

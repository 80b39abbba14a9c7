//! Every limit of the server, with its default and the reason for it, in one place.

use crate::sessions::StoreUrl;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use upnext_core::data::MAX_ID_BYTES;

/// How a server computes, what it keeps, and what it refuses.
///
/// A TOML file with some of these fields is what `upnext serve --config` reads; unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Threads that speak HTTP; 0: half of the cores, at least one.
    pub http_threads: usize,
    /// Threads that compute, apart from those that speak HTTP; 0: half of the cores, at least one. On two cores a second
    /// one answers a few in a hundred more, with a longer tail: batches are smaller, and HTTP waits for its turn.
    pub compute_threads: usize,
    /// Sessions that a compute thread takes from the queue at a time. Scores are computed for 16 sessions at once, the floats
    /// of a cache line: a batch of 17 costs as much as one of 32.
    pub batch_sessions: usize,
    /// Sessions that may wait for a compute thread; beyond them requests are answered 503. At 5,000 sessions per second
    /// the default is a fifth of a second: who waits longer has left the page.
    pub queue_sessions: usize,
    /// Milliseconds from the end of a request to its answer, after which it is answered 503.
    pub request_timeout_ms: u64,
    /// Milliseconds for which a server that is to stop still takes new connections, while `/readyz` says that requests should
    /// go elsewhere: as long as a load balancer takes to notice. 0 where nothing stands in front of the server.
    pub drain_ms: u64,
    /// Milliseconds that a stopping server then gives to requests in flight.
    pub shutdown_timeout_ms: u64,

    /// Connections at a time; more wait to be accepted. Below the 1,024 open files of a process's usual limit.
    pub max_connections: usize,
    /// Milliseconds for a TLS handshake, for a request's head to arrive, and for the next request of a connection to begin.
    pub header_timeout_ms: u64,
    /// Milliseconds for a request's body to arrive.
    pub body_timeout_ms: u64,
    /// Milliseconds in which a client must have read an answer, from when it does not keep up.
    pub write_timeout_ms: u64,
    /// The certificate that clients see, in PEM, followed by those that signed it; with `tls_key_file` the server speaks TLS
    /// and no plain HTTP. Read again at SIGHUP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's key, in PEM, without a passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// Bytes of a request's head: four times what a browser with many cookies sends.
    pub max_header_bytes: usize,
    /// Bytes of a request's body: a batch of sessions of the full length, with ids of ten characters.
    pub max_body_bytes: usize,

    /// Length of a list that names none.
    pub default_k: usize,
    /// The longest list that may be asked for: a page of results, not the catalogue.
    pub max_k: usize,
    /// Entries of all lists of one batch request together: an entry takes 50 bytes and more.
    pub max_answer_entries: usize,
    /// Multiplications that one request may cost by `why`, the one wish whose cost is a product: entries of its lists × items
    /// of their sessions × floats of an item's vector. The default is the longest list of the longest session for a
    /// model of 1,000 units, about a fifth of a second. All else grows with the bytes of a body or the number of lists,
    /// and ends with `request_timeout_ms`.
    pub max_request_work: u64,
    /// Sessions of one batch request.
    pub max_batch_sessions: usize,
    /// Items of a request's `exclude` or `only`.
    pub max_list_items: usize,
    /// Bytes of an item's id; the default is what training accepts.
    pub max_item_id_bytes: usize,
    /// Bytes of a session's id, decoded.
    pub max_session_id_bytes: usize,

    /// Events of a session. Of a stored session the oldest go; a request with more is refused. Far beyond the sessions
    /// that models learn from, whose mean length is 4 to 6.
    pub max_session_events: usize,
    /// Sessions that are kept; the one that has been idle for longest makes room. A session of 5 events takes about half
    /// a kilobyte. A shared store is bounded by its own memory instead (`maxmemory`).
    pub max_sessions: usize,
    /// Bytes of all kept sessions together, beyond which the idlest make room, too: who sends long sessions of long ids fills
    /// this and no more.
    pub max_sessions_bytes: usize,
    /// Seconds without an event after which a session is over: the half hour of web analytics.
    pub session_idle_s: u64,
    /// The file that keeps sessions over a restart; absent: they are in memory only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_file: Option<PathBuf>,
    /// When the session file is forced to the disk.
    pub session_sync: SessionSync,
    /// The Valkey or Redis server that keeps the sessions of several servers; absent: each keeps its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_store: Option<StoreUrl>,
    /// Milliseconds that a request waits for that store: hundreds of round trips in a data centre, and little enough that
    /// a page goes on without a list.
    pub session_store_timeout_ms: u64,

    /// The folder to which events of kept sessions are appended as CSV files that `upnext prepare` reads; absent: none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_log_dir: Option<PathBuf>,
    /// Seconds after which the next file of the event log begins: a day's log is what a nightly training reads.
    pub event_log_rotate_s: u64,
    /// Bytes after which it begins earlier.
    pub event_log_max_bytes: u64,
    /// Events that may wait to be written; beyond them events are not logged, and counted. Requests never wait.
    pub event_log_queue: usize,

    /// The folder from which admin calls may load models; absent: they may only load the served path anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models_dir: Option<PathBuf>,
    /// A file of item ids, one a line, that nobody is recommended; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_file: Option<PathBuf>,
    /// A file of item ids, one a line, beside which nothing is recommended; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_file: Option<PathBuf>,
    /// Milliseconds between two looks at files that are watched.
    pub poll_ms: u64,

    /// Whether a model is loaded anew when its folder changes. A link that leads to another folder is a change.
    pub watch_models: bool,
    /// The folder of a second model, which answers requests that name it, and what the next two fields say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_model: Option<PathBuf>,
    /// Part of the sessions, from 0 to 1, that the second model answers in place of the first.
    pub compare_share: f64,
    /// Part of the first model's sessions, from 0 to 1, that the second model is asked about, too: how its lists differ is
    /// logged and counted, and nobody sees them.
    pub compare_shadow: f64,
    /// A CSV or Parquet file of item ids and titles, shown beside ids and searched; read once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue_file: Option<PathBuf>,
    /// Items of the catalogue: beyond the largest shops; titles of 50 bytes take a gigabyte then.
    pub max_catalogue_items: usize,
    /// Columns of the catalogue beside id and title: what can be read beside a title.
    pub max_catalogue_columns: usize,
    /// Bytes of a field of the catalogue: a title, not a description.
    pub max_catalogue_field_bytes: usize,
    /// Bytes of what items are searched by, decoded.
    pub max_query_bytes: usize,
}

/// When the session file is forced to the disk. An event is acknowledged after it was written, so with every policy a
/// killed server loses none; the policies differ in what a power failure takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionSync {
    /// Before an event is acknowledged: a power failure takes nothing. Events that arrive together share one write.
    EveryEvent,
    /// Once a second: a power failure takes the last second.
    #[default]
    EverySecond,
    /// When the system does it, usually within half a minute.
    System,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            http_threads: 0,
            compute_threads: 0,
            batch_sessions: 16,
            queue_sessions: 1_024,
            request_timeout_ms: 1_000,
            drain_ms: 0,
            shutdown_timeout_ms: 10_000,
            max_connections: 800,
            header_timeout_ms: 30_000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            tls_cert_file: None,
            tls_key_file: None,
            max_header_bytes: 16 << 10,
            max_body_bytes: 1 << 20,
            default_k: 20,
            max_k: 1_000,
            max_answer_entries: 20_000,
            max_request_work: 200_000_000,
            max_batch_sessions: 256,
            max_list_items: 10_000,
            max_item_id_bytes: MAX_ID_BYTES,
            max_session_id_bytes: 256,
            max_session_events: 200,
            max_sessions: 100_000,
            max_sessions_bytes: 512 << 20,
            session_idle_s: 1_800,
            session_file: None,
            session_sync: SessionSync::default(),
            session_store: None,
            session_store_timeout_ms: 250,
            event_log_dir: None,
            event_log_rotate_s: 86_400,
            event_log_max_bytes: 1 << 30,
            event_log_queue: 65_536,
            models_dir: None,
            block_file: None,
            allow_file: None,
            poll_ms: 1_000,
            watch_models: false,
            compare_model: None,
            compare_share: 0.0,
            compare_shadow: 0.0,
            catalogue_file: None,
            max_catalogue_items: 10_000_000,
            max_catalogue_columns: 8,
            max_catalogue_field_bytes: 512,
            max_query_bytes: 256,
        }
    }
}

impl ServerConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`upnext_core::Error::Config`] with the field.
    pub fn validate(&self) -> upnext_core::Result<()> {
        for (field, value) in [
            ("queue_sessions", self.queue_sessions),
            ("max_batch_sessions", self.max_batch_sessions),
            ("max_k", self.max_k),
            ("max_answer_entries", self.max_answer_entries),
            ("max_list_items", self.max_list_items),
            ("max_connections", self.max_connections),
            ("event_log_queue", self.event_log_queue),
        ] {
            if value > 1 << 24 {
                return Err(upnext_core::Error::config(
                    field,
                    format!("{value} is no limit: give at most 16777216"),
                ));
            }
        }
        let at_least_one = [
            ("batch_sessions", self.batch_sessions),
            ("queue_sessions", self.queue_sessions),
            ("max_connections", self.max_connections),
            ("max_body_bytes", self.max_body_bytes),
            ("default_k", self.default_k),
            ("max_batch_sessions", self.max_batch_sessions),
            ("max_item_id_bytes", self.max_item_id_bytes),
            ("max_session_id_bytes", self.max_session_id_bytes),
            ("max_session_events", self.max_session_events),
            ("max_sessions", self.max_sessions),
            ("event_log_queue", self.event_log_queue),
            ("max_sessions_bytes", self.max_sessions_bytes),
            ("max_catalogue_items", self.max_catalogue_items),
            ("max_catalogue_field_bytes", self.max_catalogue_field_bytes),
            ("max_query_bytes", self.max_query_bytes),
        ];
        let others = [
            ("request_timeout_ms", self.request_timeout_ms),
            ("max_request_work", self.max_request_work),
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("session_idle_s", self.session_idle_s),
            ("session_store_timeout_ms", self.session_store_timeout_ms),
            ("event_log_rotate_s", self.event_log_rotate_s),
            ("event_log_max_bytes", self.event_log_max_bytes),
            ("poll_ms", self.poll_ms),
        ];
        for (field, value) in [("drain_ms", self.drain_ms), ("shutdown_timeout_ms", self.shutdown_timeout_ms)]
        {
            if value > 3_600_000 {
                return Err(upnext_core::Error::config(field, format!("{value} is more than an hour")));
            }
        }
        let sizes = at_least_one.map(|(field, value)| (field, value as u64));
        for (field, value) in sizes.into_iter().chain(others) {
            if value == 0 {
                return Err(upnext_core::Error::config(field, "is 0: give 1 or more"));
            }
            if value > 1 << 40 {
                return Err(upnext_core::Error::config(
                    field,
                    format!("{value} is no limit: give less than 2^40"),
                ));
            }
        }
        // Longer ones could be logged and not be read again.
        for (field, bytes, most) in [
            ("max_item_id_bytes", self.max_item_id_bytes, MAX_ID_BYTES),
            ("max_session_id_bytes", self.max_session_id_bytes, MAX_ID_BYTES / 2),
        ] {
            if bytes > most {
                return Err(upnext_core::Error::config(field, format!("is above {most}, which no id has")));
            }
        }
        if self.session_store.is_some() && self.session_file.is_some() {
            let reason = "and session_file are both given, and sessions are kept in one place: leave one out";
            return Err(upnext_core::Error::config("session_store", reason));
        }
        if self.max_k < self.default_k {
            let reason = format!("is below default_k ({}): raise the one or lower the other", self.default_k);
            return Err(upnext_core::Error::config("max_k", reason));
        }
        if self.session_store.is_some() && self.session_store_timeout_ms >= self.request_timeout_ms {
            let reason =
                format!("is not below request_timeout_ms ({}), which waits for it", self.request_timeout_ms);
            return Err(upnext_core::Error::config("session_store_timeout_ms", reason));
        }
        if self.max_answer_entries < self.max_k {
            let reason = format!("is below max_k ({}), so that one list exceeds it", self.max_k);
            return Err(upnext_core::Error::config("max_answer_entries", reason));
        }
        if self.queue_sessions < self.max_batch_sessions {
            let reason = format!(
                "is below max_batch_sessions ({}), so that such a request could never be answered",
                self.max_batch_sessions
            );
            return Err(upnext_core::Error::config("queue_sessions", reason));
        }
        for (field, part) in [("compare_share", self.compare_share), ("compare_shadow", self.compare_shadow)]
        {
            if !(0.0..=1.0).contains(&part) {
                return Err(upnext_core::Error::config(field, format!("{part} is no part: give 0 to 1")));
            }
            if part > 0.0 && self.compare_model.is_none() {
                let reason = "is of a second model, and there is none: give compare_model";
                return Err(upnext_core::Error::config(field, reason));
            }
        }
        let missing = match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => Some("tls_key_file"),
            (None, Some(_)) => Some("tls_cert_file"),
            _ => None,
        };
        if let Some(field) = missing {
            let reason = "is missing: TLS needs a certificate and its key (--tls-cert FILE, --tls-key FILE)";
            return Err(upnext_core::Error::config(field, reason));
        }
        if self.max_header_bytes < 8_192 {
            return Err(upnext_core::Error::config(
                "max_header_bytes",
                "is below 8192, the least that can be set",
            ));
        }
        for (field, threads) in
            [("http_threads", self.http_threads), ("compute_threads", self.compute_threads)]
        {
            if threads > 1_024 {
                return Err(upnext_core::Error::config(
                    field,
                    format!("{threads} threads: give at most 1024"),
                ));
            }
        }
        Ok(())
    }

    /// Threads that speak HTTP.
    pub(crate) fn http_threads(&self) -> usize {
        or_half_of_the_cores(self.http_threads)
    }

    /// Threads that compute.
    pub(crate) fn compute_threads(&self) -> usize {
        or_half_of_the_cores(self.compute_threads)
    }

    /// When a request that has just been read must be answered.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.request_timeout_ms)
    }
}

fn or_half_of_the_cores(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
        given => given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_make_no_sense_are_refused_with_their_field() {
        ServerConfig::default().validate().unwrap();
        let refused = |config: ServerConfig| config.validate().unwrap_err().to_string();
        let message = refused(ServerConfig { max_sessions: 0, ..ServerConfig::default() });
        assert!(message.starts_with("max_sessions: is 0"), "{message}");
        let message = refused(ServerConfig { max_k: 5, ..ServerConfig::default() });
        assert!(message.starts_with("max_k: is below default_k"), "{message}");
        let message = refused(ServerConfig { queue_sessions: 10, ..ServerConfig::default() });
        assert!(message.contains("max_batch_sessions"), "{message}");
        let message = refused(ServerConfig { request_timeout_ms: u64::MAX, ..ServerConfig::default() });
        assert!(message.starts_with("request_timeout_ms"), "{message}");
        let two_places = ServerConfig {
            session_store: Some("redis://store".parse().unwrap()),
            session_file: Some("sessions".into()),
            ..ServerConfig::default()
        };
        let message = refused(two_places);
        assert!(message.starts_with("session_store: and session_file"), "{message}");
        let message = refused(ServerConfig { compare_share: 0.5, ..ServerConfig::default() });
        assert!(message.starts_with("compare_share: is of a second model"), "{message}");
        let second = ServerConfig { compare_model: Some("second".into()), ..ServerConfig::default() };
        for part in [-0.1, 1.1, f64::NAN] {
            let message = refused(ServerConfig { compare_shadow: part, ..second.clone() });
            assert!(message.starts_with("compare_shadow: ") && message.contains("0 to 1"), "{message}");
        }
        let message = refused(ServerConfig { tls_cert_file: Some("c".into()), ..ServerConfig::default() });
        assert!(message.starts_with("tls_key_file: is missing"), "{message}");
        let message = refused(ServerConfig { tls_key_file: Some("k".into()), ..ServerConfig::default() });
        assert!(message.starts_with("tls_cert_file: is missing"), "{message}");
    }
}

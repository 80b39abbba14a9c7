//! The configuration of the server: every limit with its default and the reason for it.

use crate::sessions::StoreUrl;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use upnext_core::data::{MAX_ID_BYTES, Quote};

/// The configuration of a server: threads, time-outs, limits, and the files and stores that it uses.
///
/// `upnext serve --config` reads it from a TOML file, in which every field is optional and unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Number of threads for HTTP; 0: half of the cores, at least one.
    pub http_threads: usize,
    /// Number of threads that compute scores, in addition to those for HTTP; 0: half of the cores, at least one. On two
    /// cores, a second compute thread raises throughput by a few per cent, and the tail latency too: batches are
    /// smaller, and the HTTP threads wait for a core.
    pub compute_threads: usize,
    /// Maximum number of sessions in a batch of a compute thread. Scores are computed for 16 sessions at once, the
    /// number of floats in a cache line: a batch of 17 costs as much as one of 32.
    pub batch_sessions: usize,
    /// Maximum number of sessions that wait for a compute thread; further requests are answered 503. At 5,000 sessions
    /// per second, the default is a wait of a fifth of a second: after a longer one, visitors have left the page.
    pub queue_sessions: usize,
    /// Maximum milliseconds from a completely received request to its response; after them it is answered 503.
    pub request_timeout_ms: u64,
    /// Milliseconds for which a stopping server still accepts connections while `/readyz` answers 503: the time that a
    /// load balancer takes to notice. 0 without a load balancer.
    pub drain_ms: u64,
    /// Maximum milliseconds for which a stopping server then waits for requests in flight.
    pub shutdown_timeout_ms: u64,

    /// Maximum number of open connections; further ones wait to be accepted. The default is below the usual limit of
    /// 1,024 open files per process.
    pub max_connections: usize,
    /// Maximum milliseconds for a TLS handshake, for a request's head to arrive, and for an idle connection to send its
    /// next request.
    pub header_timeout_ms: u64,
    /// Maximum milliseconds for a request's body to arrive.
    pub body_timeout_ms: u64,
    /// Maximum milliseconds for a client to read the rest of a response, counted from the first write that has to wait.
    pub write_timeout_ms: u64,
    /// PEM file with the server's certificate, followed by those of its issuers. With `tls_key_file`, the server speaks
    /// TLS and no plain HTTP. Read again at SIGHUP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the certificate's private key, without a passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// Maximum size of a request's head in bytes: four times what a browser with many cookies sends.
    pub max_header_bytes: usize,
    /// Maximum size of a request's body in bytes: a full batch of sessions of maximum length with ids of ten
    /// characters.
    pub max_body_bytes: usize,

    /// Length of a list whose request has no `k`.
    pub default_k: usize,
    /// Maximum length of a list: a page of results, not the catalogue.
    pub max_k: usize,
    /// Maximum number of entries in all lists of a batch request together: an entry takes at least 50 bytes.
    pub max_answer_entries: usize,
    /// Maximum number of multiplications that the option `why` may cost in a request: entries of its lists × items of
    /// their sessions × floats of an item's vector. The default is the longest list for the longest session with a
    /// model of 1,000 units, about a fifth of a second. The cost of everything else is linear in the bytes of a body or
    /// the number of lists, and is limited by `request_timeout_ms`.
    pub max_request_work: u64,
    /// Maximum number of sessions in a batch request.
    pub max_batch_sessions: usize,
    /// Maximum number of items in a request's `exclude` or `only`.
    pub max_list_items: usize,
    /// Maximum length of an item id in bytes; the default is the limit of training.
    pub max_item_id_bytes: usize,
    /// Maximum length of a session id in bytes, after percent-decoding.
    pub max_session_id_bytes: usize,

    /// Maximum number of events in a session. A stored session drops its oldest; a request with more is refused. The
    /// default is far above the mean length of training sessions, which is 4 to 6.
    pub max_session_events: usize,
    /// Maximum number of stored sessions; beyond it, the one that has been idle for longest is dropped. A session of 5
    /// events takes about half a kilobyte. A shared store is limited by its own memory instead (`maxmemory`).
    pub max_sessions: usize,
    /// Maximum size of all stored sessions in bytes, beyond which the longest idle ones are dropped too. It limits what
    /// clients can fill with long sessions and long ids.
    pub max_sessions_bytes: usize,
    /// Seconds without an event after which a session ends: the half hour that is usual in web analytics.
    pub session_idle_s: u64,
    /// The file from which sessions are restored after a restart; absent: sessions are in memory only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_file: Option<PathBuf>,
    /// When the session file is forced to the disk.
    pub session_sync: SessionSync,
    /// The Valkey or Redis server that stores the sessions of several servers; absent: each server stores its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_store: Option<StoreUrl>,
    /// Maximum milliseconds that a request waits for that store, or for the disk of the session file: hundreds of round trips
    /// within a data centre, and short enough that a page still waits for the list, which is made of what the server knows.
    pub session_store_timeout_ms: u64,

    /// The folder of the event log: CSV files, which `upnext prepare` reads, of the events of stored sessions; absent:
    /// no event log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_log_dir: Option<PathBuf>,
    /// Seconds after which the next file of the event log begins: a day, for nightly training.
    pub event_log_rotate_s: u64,
    /// Size in bytes at which the next file begins earlier.
    pub event_log_max_bytes: u64,
    /// Maximum number of events that wait to be written to the event log; further ones are dropped and counted.
    /// Requests never wait for the log.
    pub event_log_queue: usize,

    /// The folder from which admin calls may load models; absent: they can only reload the served path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models_dir: Option<PathBuf>,
    /// A file of item ids, one per line, that are never recommended; read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_file: Option<PathBuf>,
    /// A file of item ids, one per line; no other items are recommended. Read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_file: Option<PathBuf>,
    /// Milliseconds between two checks of watched files.
    pub poll_ms: u64,

    /// Whether a model is reloaded when its folder changes, or a symbolic link to it leads to another folder.
    pub watch_models: bool,
    /// The folder of a second model, which answers requests that name it and those of the next two fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_model: Option<PathBuf>,
    /// Fraction of the sessions, from 0 to 1, that the second model answers instead of the first.
    pub compare_share: f64,
    /// Fraction of the first model's sessions, from 0 to 1, for which the second model computes shadow lists: their
    /// differences are logged and counted, and visitors never see them.
    pub compare_shadow: f64,
    /// A CSV or Parquet file of item ids and titles, for display and for the item search; read once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue_file: Option<PathBuf>,
    /// A log, or a prepared folder (its test part), of which the page replays sessions: whoever may use the page sees their
    /// items. Absent: none. Read once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples_log: Option<PathBuf>,
    /// How the fields of the catalogue are quoted.
    pub catalogue_quote: Quote,
    /// Maximum number of items in the catalogue: more than the largest shops have, a gigabyte with titles of 50 bytes.
    pub max_catalogue_items: usize,
    /// Maximum number of columns in the catalogue besides id, title and picture: as many as can be shown beside a title.
    pub max_catalogue_columns: usize,
    /// Maximum length of a field of the catalogue in bytes: a title, not a description.
    pub max_catalogue_field_bytes: usize,
    /// Maximum length of an item search query in bytes, after percent-decoding.
    pub max_query_bytes: usize,
}

/// When the session file is forced to the disk.
///
/// An event is acknowledged after it was written to the file, so a killed server loses none with any policy; the
/// policies differ in what a power failure loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionSync {
    /// Before an event is acknowledged: a power failure loses nothing. Events that arrive together share one write.
    EveryEvent,
    /// Once a second: a power failure loses the last second.
    #[default]
    EverySecond,
    /// When the operating system does it, usually within half a minute.
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
            examples_log: None,
            catalogue_quote: Quote::Auto,
            max_catalogue_items: 10_000_000,
            max_catalogue_columns: 8,
            max_catalogue_field_bytes: 512,
            max_query_bytes: 256,
        }
    }
}

impl ServerConfig {
    /// Checks all fields and their combinations.
    ///
    /// # Errors
    /// [`upnext_core::Error::Config`] with the first invalid field.
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
        // Longer ids would be written to the event log, and `prepare` could not read them.
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
        let waits = self.session_store.is_some() || self.session_file.is_some();
        if waits && self.session_store_timeout_ms >= self.request_timeout_ms {
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

    /// Number of threads for HTTP.
    pub(crate) fn http_threads(&self) -> usize {
        or_half_of_the_cores(self.http_threads)
    }

    /// Number of compute threads per model.
    pub(crate) fn compute_threads(&self) -> usize {
        or_half_of_the_cores(self.compute_threads)
    }

    /// The time by which a request that has just been received must be answered.
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

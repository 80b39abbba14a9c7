//! The configuration of the server: every option with its default and the reason for it.

mod validate;

use crate::logs::{LogFormat, LogLevel};
use crate::sessions::StoreUrl;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use upnext_core::data::{MAX_ID_BYTES, Quote};
use upnext_core::documented::documented;

documented! {
    /// The configuration of a server: what it serves and where, threads, time-outs, limits, and the files and stores that it
    /// uses.
    ///
    /// `upnext serve` reads it from a TOML file (`--config`), from environment variables (`UPNEXT_` and the field in capitals) and from
    /// arguments, each of which overrides what comes before. Every field is optional, and unknown ones are refused.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct ServerConfig {
        /// The folder of the first model, or a symbolic link to it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub model: Option<PathBuf>,
        /// The first model's name in responses; absent: the name of its folder.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// The address and port to listen on; port 0 takes any free one. Without keys, only an address of the machine itself is
        /// accepted, unless `allow_open` is true.
        pub listen: SocketAddr,
        /// A second address, with connections of its own, for health checks, metrics and admin calls. `listen` then has no metrics and no
        /// admin calls. Absent: everything is at `listen`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub admin_listen: Option<SocketAddr>,
        /// Whether addresses that other machines can reach are accepted although there are no keys.
        pub allow_open: bool,
        /// File of keys, one per line, of which clients must send one; read again at SIGHUP. Keys may also stand in the
        /// environment variable UPNEXT_KEYS.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub keys_file: Option<PathBuf>,
        /// File of keys, one per line, of which admin calls must send one; without it, and without UPNEXT_ADMIN_KEYS, admin calls
        /// are off. Read again at SIGHUP.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub admin_keys_file: Option<PathBuf>,
        /// Origins of web pages, such as `https://shop.example`, that browsers let call the server (CORS); `*` stands for all.
        pub cors_origins: Vec<String>,
        /// Seconds for which browsers remember that the server is to be asked by TLS only (`strict-transport-security`), if it
        /// speaks TLS; 0: they are not told. It holds for all ports of the host. The default is a day: raise it to a year when all of them have TLS.
        pub hsts_max_age_s: u64,

        /// The format of log lines on stderr: `text` for people, `json` with an object a line.
        pub log: LogFormat,
        /// How much is logged: `error` failures, `warn` also responses with status 5xx, `info` also every request, `debug` also
        /// broken connections and health checks.
        pub log_level: LogLevel,
        /// URL of an OpenTelemetry collector to which traces of requests are sent (OTLP over HTTP), such as `http://localhost:4318`. The
        /// program must be built with the feature `otel`. Absent: none are sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub otlp_endpoint: Option<String>,
        /// Whether requests for `/healthz`, `/readyz` and `/metrics` are logged at the level `info`, too.
        pub log_probes: bool,

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
        /// Part of that queue, from 0 to 1, that batch requests may fill together, so that there is always room for visitors. At least one
        /// full batch has room.
        pub batch_queue_share: f64,
        /// Part of that queue, from 0 to 1, that the requests of one key may fill, if the server has several keys: one client cannot
        /// keep the others from being answered.
        pub key_queue_share: f64,
        /// Lists per second that one key may ask for, or one client address if the server has no keys; further requests are
        /// answered 429. 0: no limit.
        pub lists_per_second: u32,
        /// Lists that may be asked for at once after a pause, if `lists_per_second` limits them: at least a full batch.
        pub lists_burst: u32,
        /// Maximum milliseconds from a completely received request to its response; after them it is answered 503. A request can
        /// shorten them by the header `x-request-timeout-ms`.
        pub request_timeout_ms: u64,
        /// Milliseconds after SIGTERM for which a server still accepts connections while `/readyz` answers 503: the time that a
        /// load balancer takes to notice. Ctrl-C and a second SIGTERM end it. The default suits a rolling update: health checks every
        /// two seconds that are believed at the second failure.
        pub drain_ms: u64,
        /// Maximum milliseconds for which a stopping server then waits for requests in flight.
        pub shutdown_timeout_ms: u64,

        /// Maximum number of open connections. If more come, the one that has been idle for longest is closed; if none is idle,
        /// they wait to be accepted. The default is below the usual limit of 1,024 open files per process.
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
        /// Whether the server starts with a certificate that is over, as in tests.
        pub allow_expired_certificate: bool,
        /// Maximum size of a request's head in bytes: four times what a browser with many cookies sends.
        pub max_header_bytes: usize,
        /// Maximum size of a request's body in bytes: a full batch of sessions of maximum length with ids of ten
        /// characters.
        pub max_body_bytes: usize,
        /// Size in bytes from which responses are compressed for clients that accept gzip; 0: never. Smaller ones fit into a
        /// packet.
        pub compress_from_bytes: u64,

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

        /// Types of events that clients may send (`type`). The first is that of an event without a type.
        pub event_types: Vec<String>,
        /// Types of events that belong to the session from which lists are made; events of other types are only written to the event
        /// log. As a model learns from clicks, the default are those.
        pub session_event_types: Vec<String>,
        /// Maximum number of events in a session. A session drops its oldest. The default is far above the mean length of training
        /// sessions, which is 4 to 6.
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
        /// Whether the event log also has the lists that were shown in sessions, with model and ranks (`impressions-*.jsonl`).
        pub impression_log: bool,
        /// Seconds after which complete files of the event log are removed; 0: never.
        pub event_log_keep_s: u64,
        /// Maximum size in bytes of all complete files of the event log, beyond which the oldest are removed; 0: no limit.
        pub event_log_keep_bytes: u64,
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
        /// A CSV or Parquet file of items that training has not seen, with the attributes that the model reads: they are served at once,
        /// with vectors made of these. Read again when it changes.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub items_file: Option<PathBuf>,
        /// Maximum number of items that admin calls may add until the server ends. The default is a month of a large shop: items are part
        /// of the next training.
        pub max_new_items: usize,
        /// Milliseconds between two checks of watched files.
        pub poll_ms: u64,

        /// Whether a model is reloaded when its folder changes, or a symbolic link to it leads to another folder.
        pub watch_models: bool,
        /// Part of the items of a served model, from 0 to 1, that a model must have that replaces it; others are refused, as one that was
        /// trained on half a log.
        pub reload_min_items: f64,
        /// Maximum age in seconds of a model that replaces a served one, counted from its saving; 0: any.
        pub reload_max_age_s: u64,
        /// Number of requests for which a model that replaces a served one first computes lists that nobody sees; 0: none. It takes over
        /// if all succeed and share at least `reload_min_overlap` of their items with those of the served model, in the mean.
        pub reload_shadow_requests: usize,
        /// Minimum mean part of common items in these lists, from 0 to 1.
        pub reload_min_overlap: f64,
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
            model: None,
            name: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: None,
            allow_open: false,
            keys_file: None,
            admin_keys_file: None,
            cors_origins: Vec::new(),
            hsts_max_age_s: 86_400,
            log: LogFormat::default(),
            log_level: LogLevel::default(),
            otlp_endpoint: None,
            log_probes: false,
            http_threads: 0,
            compute_threads: 0,
            batch_sessions: 16,
            queue_sessions: 1_024,
            batch_queue_share: 0.5,
            key_queue_share: 0.5,
            lists_per_second: 0,
            lists_burst: 256,
            request_timeout_ms: 1_000,
            drain_ms: 5_000,
            shutdown_timeout_ms: 10_000,
            max_connections: 800,
            header_timeout_ms: 30_000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            tls_cert_file: None,
            tls_key_file: None,
            allow_expired_certificate: false,
            max_header_bytes: 16 << 10,
            max_body_bytes: 1 << 20,
            compress_from_bytes: 1_024,
            default_k: 20,
            max_k: 1_000,
            max_answer_entries: 20_000,
            max_request_work: 200_000_000,
            max_batch_sessions: 256,
            max_list_items: 10_000,
            max_item_id_bytes: MAX_ID_BYTES,
            max_session_id_bytes: 256,
            event_types: ["view", "cart", "purchase"].map(str::to_owned).to_vec(),
            session_event_types: vec!["view".to_owned()],
            max_session_events: 200,
            max_sessions: 100_000,
            max_sessions_bytes: 512 << 20,
            session_idle_s: 1_800,
            session_file: None,
            session_sync: SessionSync::default(),
            session_store: None,
            session_store_timeout_ms: 250,
            event_log_dir: None,
            impression_log: false,
            event_log_keep_s: 0,
            event_log_keep_bytes: 0,
            event_log_rotate_s: 86_400,
            event_log_max_bytes: 1 << 30,
            event_log_queue: 65_536,
            models_dir: None,
            block_file: None,
            allow_file: None,
            items_file: None,
            max_new_items: 100_000,
            poll_ms: 1_000,
            watch_models: false,
            reload_min_items: 0.5,
            reload_max_age_s: 0,
            reload_shadow_requests: 0,
            reload_min_overlap: 0.0,
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
    /// Number of threads for HTTP.
    pub(crate) fn http_threads(&self) -> usize {
        or_half_of_the_cores(self.http_threads)
    }

    /// Number of compute threads per model.
    pub(crate) fn compute_threads(&self) -> usize {
        or_half_of_the_cores(self.compute_threads)
    }
}

fn or_half_of_the_cores(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
        given => given,
    }
}

//! Metrics of the server in the OpenMetrics text format, for Prometheus.

mod labels;
mod process;

use crate::engine::Engine;
use crate::keys::KeyRefusal;
use crate::logs::lost_lines;
use crate::models::Role;
use crate::sessions::{StoreState, Unstored};
use labels::{
    BuildLabels, ListLabels, ModelLabels, OperationLabels, OutcomeLabels, ReasonLabels, RequestLabels,
    RoleLabels, RouteLabels,
};
use process::ProcessCollector;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bucket bounds of durations in seconds, dense around the usual few milliseconds of a response.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Bucket bounds of batch sizes in sessions.
const BATCHES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Bucket bounds of overlaps.
const OVERLAPS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// The labels of a metric that is absent until it has a value.
type Unlabelled = [(&'static str, &'static str); 0];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// Defines the metrics: each field is one, under its name, and its doc comment is the help text.
macro_rules! metrics {
    ($(#[doc = $help:literal] $name:ident: $of:ty = $new:expr;)+) => {
        /// All metrics of a server.
        #[derive(Debug)]
        pub(crate) struct Metrics {
            registry: Registry,
            /// The lost lines that are counted, so that concurrent scrapes do not count a line twice.
            lost_lines_counted: AtomicU64,
            $(#[doc = $help] $name: $of,)+
        }

        impl Metrics {
            /// Metrics that count nothing yet.
            fn zero() -> Self {
                let mut registry = Registry::default();
                registry.register_collector(Box::new(ProcessCollector::new()));
                let own = registry.sub_registry_with_prefix("upnext");
                $(let $name: $of = $new;
                own.register(stringify!($name), $help.trim(), $name.clone());)+
                Self { registry, lost_lines_counted: AtomicU64::new(0), $($name,)+ }
            }
        }
    };
}

metrics! {
    /// Requests answered
    requests: Family<RequestLabels, Counter> = Family::default();
    /// Seconds from a request's head to its answer
    request_seconds: Family<RouteLabels, Histogram> = Family::new_with_constructor(seconds);
    /// Seconds that requests waited for a compute thread
    queue_seconds: Histogram = seconds();
    /// Seconds that compute threads took for a batch
    compute_seconds: Histogram = seconds();
    /// Sessions computed together
    batch_sessions: Histogram = Histogram::new(BATCHES);
    /// Lists answered, by the model's role
    lists: Family<RoleLabels, Counter> = Family::default();
    /// Lists of popular items, by the model's role
    fallbacks: Family<RoleLabels, Counter> = Family::default();
    /// Lists without an item, by the model's role
    empty_lists: Family<RoleLabels, Counter> = Family::default();
    /// Part of a list that the second model's has, too, for sessions asked in the shadow
    shadow_overlap: Histogram = Histogram::new(OVERLAPS);
    /// Lists that the second model should have made in the shadow, and did not
    shadows_dropped: Counter = Counter::default();
    /// Part of the sessions that the second model answers
    compare_share: Gauge<f64, AtomicU64> = Gauge::default();
    /// Part of the first model's sessions for which the second makes lists in the shadow
    compare_shadow: Gauge<f64, AtomicU64> = Gauge::default();
    /// Events written to the event log
    event_log_rows: Counter = Counter::default();
    /// Events that the event log lacks, as the disk was slow or full
    event_log_lost: Counter = Counter::default();
    /// Lists written to the log of impressions
    impressions: Counter = Counter::default();
    /// Lists that the log of impressions lacks, as the disk was slow or full
    impressions_lost: Counter = Counter::default();
    /// Complete files of the event log that were removed, as they were too old or too many
    event_log_files_removed: Counter = Counter::default();
    /// Items of sessions that the model did not know
    unknown_items: Counter = Counter::default();
    /// Events stored
    session_events: Counter = Counter::default();
    /// Events that were sent again with the same key, and counted once
    session_events_repeated: Counter = Counter::default();
    /// Models loaded while serving
    reloads: Family<OutcomeLabels, Counter> = Family::default();
    /// Log lines that were not read in time
    log_lines_lost: Counter = Counter::default();
    /// Sessions waiting for a compute thread
    queue_sessions: Gauge = Gauge::default();
    /// Sessions kept
    sessions: Family<Unlabelled, Gauge> = Family::default();
    /// Whether the store of sessions keeps what it promises
    session_store_up: Gauge = Gauge::default();
    /// Changes of sessions that wait for the disk
    session_store_pending: Gauge = Gauge::default();
    /// Whether the sessions of before are still being read
    session_store_loading: Gauge = Gauge::default();
    /// Seconds that the store of sessions took
    session_store_seconds: Family<OperationLabels, Histogram> = Family::new_with_constructor(seconds);
    /// Operations that the store of sessions did not do as it promises
    session_store_errors: Family<OperationLabels, Counter> = Family::default();
    /// Events that were answered, and that the store does not keep as it promises
    session_events_unstored: Family<ReasonLabels, Counter> = Family::default();
    /// Sessions that were dropped
    sessions_ended: Family<ReasonLabels, Counter> = Family::default();
    /// Ids in the block and allow lists
    list_items: Family<ListLabels, Gauge> = Family::default();
    /// Items that the lists leave, by the model's role
    allowed_items: Family<RoleLabels, Gauge> = Family::default();
    /// Changed lists while serving
    list_changes: Family<OutcomeLabels, Counter> = Family::default();
    /// Items of the served models that training has not seen, by the model's role
    new_items: Family<RoleLabels, Gauge> = Family::default();
    /// New items that were added to a model while serving, or refused
    item_changes: Family<OutcomeLabels, Counter> = Family::default();
    /// Requests without a key, or with one that does not open what they ask for
    keys_refused: Family<ReasonLabels, Counter> = Family::default();
    /// Files of keys read while serving
    key_changes: Family<OutcomeLabels, Counter> = Family::default();
    /// Lists that were refused, as a key had asked for too many
    rate_limited: Counter = Counter::default();
    /// Open connections
    connections: Gauge = Gauge::default();
    /// Idle connections that were closed to make room for others
    connections_displaced: Counter = Counter::default();
    /// Time at which the certificate ends, in seconds since 1970
    certificate_expires_seconds: Family<Unlabelled, Gauge> = Family::default();
    /// The served models, as labels of a 1
    model_info: Family<ModelLabels, Gauge> = Family::default();
    /// Time at which a model was saved, in seconds since 1970
    model_created_seconds: Family<RoleLabels, Gauge> = Family::default();
    /// Time at which a model was loaded, in seconds since 1970
    model_loaded_seconds: Family<RoleLabels, Gauge> = Family::default();
    /// The program, as labels of a 1
    build_info: Family<BuildLabels, Gauge> = Family::default();
    /// Whether the server is ready, as /readyz says
    ready: Gauge = Gauge::default();
    /// Number of things that are not as they should be, as /readyz says
    degraded: Gauge = Gauge::default();
}

/// Counts something that was read again, or refused.
fn count_outcome(family: &Family<OutcomeLabels, Counter>, is_loaded: bool) {
    let outcome = if is_loaded { "loaded" } else { "refused" };
    family.get_or_create(&OutcomeLabels { outcome }).inc();
}

/// How the server is, for the gauges that are read when metrics are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Number of waiting sessions.
    pub(crate) queue: usize,
    /// Number of stored sessions, if known.
    pub(crate) sessions: Option<usize>,
    pub(crate) store: StoreState,
    pub(crate) is_ready: bool,
    /// Number of things that are not as they should be.
    pub(crate) degraded: usize,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self::zero();
        // They are there from the start, so that an alert on an increase sees the first one.
        for reason in Unstored::NAMES {
            drop(metrics.session_events_unstored.get_or_create(&ReasonLabels { reason }));
        }
        for reason in ["expired", "evicted"] {
            drop(metrics.sessions_ended.get_or_create(&ReasonLabels { reason }));
        }
        for reason in KeyRefusal::ALL.map(KeyRefusal::name) {
            drop(metrics.keys_refused.get_or_create(&ReasonLabels { reason }));
        }
        for outcome in ["loaded", "refused"] {
            for family in
                [&metrics.reloads, &metrics.list_changes, &metrics.item_changes, &metrics.key_changes]
            {
                drop(family.get_or_create(&OutcomeLabels { outcome }));
            }
        }
        for operation in ["append", "get", "remove"] {
            drop(metrics.session_store_errors.get_or_create(&OperationLabels { operation }));
            drop(metrics.session_store_seconds.get_or_create(&OperationLabels { operation }));
        }
        let (version, target) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
        metrics.build_info.get_or_create(&BuildLabels { version, target }).set(1);
        metrics
    }

    /// Counts a response. Unknown routes share one label, so that clients cannot create new metrics.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, duration: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        self.request_seconds
            .get_or_create(&RouteLabels { method: method.clone(), route: route.clone() })
            .observe(duration.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// Counts the time that a request waited in the queue.
    pub(crate) fn queued(&self, duration: Duration) {
        self.queue_seconds.observe(duration.as_secs_f64());
    }

    /// Counts a batch of `sessions` sessions.
    pub(crate) fn batch(&self, sessions: usize) {
        self.batch_sessions.observe(sessions as f64);
    }

    /// Counts the time that a batch took.
    pub(crate) fn computed(&self, duration: Duration) {
        self.compute_seconds.observe(duration.as_secs_f64());
    }

    /// Counts a list of `length` items, whether it fell back to popular items, and the unknown items of its session.
    pub(crate) fn list(&self, role: Role, length: usize, fell_back: bool, unknown_items: usize) {
        let labels = RoleLabels { role: role.name() };
        self.lists.get_or_create(&labels).inc();
        self.fallbacks.get_or_create(&labels).inc_by(fell_back.into());
        self.empty_lists.get_or_create(&labels).inc_by((length == 0).into());
        self.unknown_items.inc_by(unknown_items as u64);
    }

    /// Counts a shadow list by its overlap with the first model's list, from 0 to 1.
    pub(crate) fn shadow(&self, overlap: f64) {
        self.shadow_overlap.observe(overlap);
    }

    /// Counts a shadow list that was not computed.
    pub(crate) fn shadow_dropped(&self) {
        self.shadows_dropped.inc();
    }

    /// Sets the parts of the sessions that the second model answers, and sees in the shadow.
    pub(crate) fn shares(&self, share: f64, shadow: f64) {
        self.compare_share.set(share);
        self.compare_shadow.set(shadow);
    }

    /// Counts rows that were written to the event log, or were not.
    pub(crate) fn logged(&self, rows: u64, are_written: bool) {
        if are_written { &self.event_log_rows } else { &self.event_log_lost }.inc_by(rows);
    }

    /// Counts lists that were written to the log of impressions, or were not.
    pub(crate) fn shown(&self, lists: u64, are_written: bool) {
        if are_written { &self.impressions } else { &self.impressions_lost }.inc_by(lists);
    }

    /// Counts a file of the event log that was removed.
    pub(crate) fn log_file_removed(&self) {
        self.event_log_files_removed.inc();
    }

    /// Counts a stored event.
    pub(crate) fn event(&self) {
        self.session_events.inc();
    }

    /// Counts an event that was sent again.
    pub(crate) fn event_repeated(&self) {
        self.session_events_repeated.inc();
    }

    /// Counts an event that the store has not kept as it promises.
    pub(crate) fn unstored(&self, unstored: &Unstored) {
        self.session_events_unstored.get_or_create(&ReasonLabels { reason: unstored.name() }).inc();
    }

    /// Counts an operation of the store of sessions, the time it took, and whether it did what it promises.
    pub(crate) fn store(&self, operation: &'static str, duration: Duration, is_done: bool) {
        let labels = OperationLabels { operation };
        self.session_store_seconds.get_or_create(&labels).observe(duration.as_secs_f64());
        self.session_store_errors.get_or_create(&labels).inc_by((!is_done).into());
    }

    /// Counts changed lists that were applied or refused.
    pub(crate) fn list_change(&self, applied: bool) {
        count_outcome(&self.list_changes, applied);
    }

    /// Counts an attempt to add items to a model while serving.
    pub(crate) fn item_change(&self, added: bool) {
        count_outcome(&self.item_changes, added);
    }

    /// Counts a request whose key was refused.
    pub(crate) fn key_refused(&self, refusal: KeyRefusal) {
        self.keys_refused.get_or_create(&ReasonLabels { reason: refusal.name() }).inc();
    }

    /// Counts an attempt to read the keys again.
    pub(crate) fn key_change(&self, read: bool) {
        count_outcome(&self.key_changes, read);
    }

    /// Counts lists that were refused since a key had asked for too many.
    pub(crate) fn limited(&self, lists: u64) {
        self.rate_limited.inc_by(lists);
    }

    /// Sets the numbers of ids in the lists, of those that there are.
    pub(crate) fn lists_read(&self, counts: [(&'static str, Option<usize>); 2]) {
        for (list, count) in counts {
            if let Some(count) = count {
                self.list_items.get_or_create(&ListLabels { list }).set(count as i64);
            }
        }
    }

    /// Counts an attempt to load a model while serving.
    pub(crate) fn reload(&self, loaded: bool) {
        count_outcome(&self.reloads, loaded);
    }

    /// The gauge of open connections, which the caller increments and decrements.
    pub(crate) fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// Counts an idle connection that was closed to make room for another.
    pub(crate) fn displaced(&self) {
        self.connections_displaced.inc();
    }

    /// Sets the time at which the certificate ends.
    pub(crate) fn certificate(&self, ends: i64) {
        self.certificate_expires_seconds.get_or_create(&[]).set(ends);
    }

    /// Replaces the served models.
    pub(crate) fn models<'e>(&self, engines: impl Iterator<Item = &'e Engine>) {
        self.model_info.clear();
        self.allowed_items.clear();
        self.new_items.clear();
        self.model_created_seconds.clear();
        self.model_loaded_seconds.clear();
        for engine in engines {
            let (served, role) = (engine.served(), engine.role().name());
            let (name, version) = (served.name.clone(), served.version().to_owned());
            let labels = ModelLabels { role, name, version, kind: served.kind().name() };
            self.model_info.get_or_create(&labels).set(1);
            let role = RoleLabels { role };
            self.allowed_items.get_or_create(&role).set(served.allowed() as i64);
            self.new_items.get_or_create(&role).set(served.new_items as i64);
            self.model_loaded_seconds.get_or_create(&role).set(served.loaded_s);
            if let Some(created) = served.created_s {
                self.model_created_seconds.get_or_create(&role).set(created);
            }
            // Those of its lists are there from the start.
            for family in [&self.lists, &self.fallbacks, &self.empty_lists] {
                drop(family.get_or_create(&role));
            }
        }
    }

    /// All metrics as text.
    pub(crate) fn text(&self, state: &State) -> String {
        let store = &state.store;
        self.session_store_up.set(i64::from(store.fault.is_none()));
        self.session_store_pending.set(store.pending as i64);
        self.session_store_loading.set(i64::from(store.loading));
        for (reason, count) in [("expired", store.ended.expired), ("evicted", store.ended.evicted)] {
            let ended = self.sessions_ended.get_or_create(&ReasonLabels { reason });
            ended.inner().fetch_max(count, Ordering::Relaxed);
        }
        let lost = lost_lines();
        let counted = self.lost_lines_counted.fetch_max(lost, Ordering::Relaxed);
        self.log_lines_lost.inc_by(lost.saturating_sub(counted));
        self.queue_sessions.set(state.queue as i64);
        if let Some(sessions) = state.sessions {
            self.sessions.get_or_create(&[]).set(sessions as i64);
        }
        self.ready.set(i64::from(state.is_ready));
        self.degraded.set(state.degraded as i64);
        let mut text = String::new();
        // Writing into a string cannot fail.
        _ = encode(&mut text, &self.registry);
        text
    }
}

//! Metrics of the server in the OpenMetrics text format, for Prometheus.

use crate::engine::Engine;
use crate::keys::KeyRefusal;
use crate::logs::lost_lines;
use crate::models::Role;
use crate::sessions::{StoreState, Unstored};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bucket bounds of durations in seconds, dense around the usual few milliseconds of a response.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Bucket bounds of batch sizes in sessions.
const BATCHES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Bucket bounds of overlaps.
const OVERLAPS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// All metrics of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    batches: Histogram,
    lists: Family<RoleLabels, Counter>,
    fallbacks: Family<RoleLabels, Counter>,
    shadow_overlap: Histogram,
    shadows_dropped: Counter,
    logged: Counter,
    unlogged: Counter,
    unknown_items: Counter,
    events: Counter,
    reloads: Family<OutcomeLabels, Counter>,
    lost_lines: Counter,
    /// The lost lines that `lost_lines` has counted, so that concurrent scrapes do not count a line twice.
    lost_lines_counted: AtomicU64,
    queue: Gauge,
    /// A family without labels, which is empty and therefore not exported if the store cannot count its sessions.
    sessions: Family<[(&'static str, &'static str); 0], Gauge>,
    store_up: Gauge,
    store_pending: Gauge,
    store_loading: Gauge,
    unstored: Family<ReasonLabels, Counter>,
    ended: Family<ReasonLabels, Counter>,
    list_items: Family<ListLabels, Gauge>,
    allowed_items: Family<RoleLabels, Gauge>,
    list_changes: Family<OutcomeLabels, Counter>,
    keys_refused: Family<ReasonLabels, Counter>,
    key_changes: Family<OutcomeLabels, Counter>,
    connections: Gauge,
    model: Family<ModelLabels, Gauge>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ListLabels {
    list: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RoleLabels {
    role: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelLabels {
    role: &'static str,
    name: String,
    version: String,
    kind: &'static str,
}

/// Registers a metric, and returns it.
fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Counts something that was read again, or refused.
fn count_outcome(family: &Family<OutcomeLabels, Counter>, is_loaded: bool) {
    let outcome = if is_loaded { "loaded" } else { "refused" };
    family.get_or_create(&OutcomeLabels { outcome }).inc();
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("upnext");
        let all = &mut registry;
        let metrics = Self {
            requests: registered(all, "requests", "Requests answered", Family::default()),
            seconds: registered(
                all,
                "request_seconds",
                "Seconds from a request's head to its answer",
                Family::new_with_constructor(|| Histogram::new(SECONDS)),
            ),
            batches: registered(all, "batch_sessions", "Sessions computed together", Histogram::new(BATCHES)),
            lists: registered(all, "lists", "Lists answered, by the model's role", Family::default()),
            fallbacks: registered(
                all,
                "fallbacks",
                "Lists of popular items, by the model's role",
                Family::default(),
            ),
            shadow_overlap: registered(
                all,
                "shadow_overlap",
                "Part of a list that the second model's has, too, for sessions asked in the shadow",
                Histogram::new(OVERLAPS),
            ),
            shadows_dropped: registered(
                all,
                "shadows_dropped",
                "Lists that the second model should have made in the shadow, and did not",
                Counter::default(),
            ),
            logged: registered(all, "event_log_rows", "Events written to the event log", Counter::default()),
            unlogged: registered(
                all,
                "event_log_lost",
                "Events that the event log lacks, as the disk was slow or full",
                Counter::default(),
            ),
            unknown_items: registered(
                all,
                "unknown_items",
                "Items of sessions that the model did not know",
                Counter::default(),
            ),
            events: registered(all, "session_events", "Events stored", Counter::default()),
            reloads: registered(all, "reloads", "Models loaded while serving", Family::default()),
            lost_lines: registered(
                all,
                "log_lines_lost",
                "Log lines that were not read in time",
                Counter::default(),
            ),
            queue: registered(
                all,
                "queue_sessions",
                "Sessions waiting for a compute thread",
                Gauge::default(),
            ),
            sessions: registered(all, "sessions", "Sessions kept", Family::default()),
            store_up: registered(
                all,
                "session_store_up",
                "Whether the store of sessions keeps what it promises",
                Gauge::default(),
            ),
            store_pending: registered(
                all,
                "session_store_pending",
                "Changes of sessions that wait for the disk",
                Gauge::default(),
            ),
            store_loading: registered(
                all,
                "session_store_loading",
                "Whether the sessions of before are still being read",
                Gauge::default(),
            ),
            unstored: registered(
                all,
                "session_events_unstored",
                "Events that were answered, and that the store does not keep as it promises",
                Family::default(),
            ),
            ended: registered(all, "sessions_ended", "Sessions that were dropped", Family::default()),
            list_items: registered(all, "list_items", "Ids in the block and allow lists", Family::default()),
            allowed_items: registered(
                all,
                "allowed_items",
                "Items that the lists leave, by the model's role",
                Family::default(),
            ),
            list_changes: registered(all, "list_changes", "Changed lists while serving", Family::default()),
            keys_refused: registered(
                all,
                "keys_refused",
                "Requests without a key, or with one that does not open what they ask for",
                Family::default(),
            ),
            key_changes: registered(
                all,
                "key_changes",
                "Files of keys read while serving",
                Family::default(),
            ),
            connections: registered(all, "connections", "Open connections", Gauge::default()),
            model: registered(all, "model_info", "The served models, as labels of a 1", Family::default()),
            lost_lines_counted: AtomicU64::new(0),
            registry,
        };
        // They are there from the start, so that an alert on an increase sees the first one.
        for reason in Unstored::NAMES {
            drop(metrics.unstored.get_or_create(&ReasonLabels { reason }));
        }
        for reason in ["expired", "evicted"] {
            drop(metrics.ended.get_or_create(&ReasonLabels { reason }));
        }
        for reason in KeyRefusal::ALL.map(KeyRefusal::name) {
            drop(metrics.keys_refused.get_or_create(&ReasonLabels { reason }));
        }
        for outcome in ["loaded", "refused"] {
            drop(metrics.reloads.get_or_create(&OutcomeLabels { outcome }));
            drop(metrics.list_changes.get_or_create(&OutcomeLabels { outcome }));
            drop(metrics.key_changes.get_or_create(&OutcomeLabels { outcome }));
        }
        metrics
    }

    /// Counts a response. Unknown routes share one label, so that clients cannot create new metrics.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, duration: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        self.seconds
            .get_or_create(&RouteLabels { method: method.clone(), route: route.clone() })
            .observe(duration.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// Counts a batch of `sessions` sessions.
    pub(crate) fn batch(&self, sessions: usize) {
        self.batches.observe(sessions as f64);
    }

    /// Counts a list, whether it fell back to popular items, and the unknown items of its session.
    pub(crate) fn list(&self, role: Role, fell_back: bool, unknown_items: usize) {
        let labels = RoleLabels { role: role.name() };
        self.lists.get_or_create(&labels).inc();
        self.fallbacks.get_or_create(&labels).inc_by(fell_back.into());
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

    /// Counts events written to the event log.
    pub(crate) fn logged(&self, events: u64) {
        self.logged.inc_by(events);
    }

    /// Counts events that were not written to the event log.
    pub(crate) fn unlogged(&self, events: u64) {
        self.unlogged.inc_by(events);
    }

    /// Counts a stored event.
    pub(crate) fn event(&self) {
        self.events.inc();
    }

    /// Counts an event that the store has not kept as it promises.
    pub(crate) fn unstored(&self, unstored: &Unstored) {
        self.unstored.get_or_create(&ReasonLabels { reason: unstored.name() }).inc();
    }

    /// Counts changed lists that were applied or refused.
    pub(crate) fn list_change(&self, applied: bool) {
        count_outcome(&self.list_changes, applied);
    }

    /// Counts a request whose key was refused.
    pub(crate) fn key_refused(&self, refusal: KeyRefusal) {
        self.keys_refused.get_or_create(&ReasonLabels { reason: refusal.name() }).inc();
    }

    /// Counts an attempt to read the keys again.
    pub(crate) fn key_change(&self, read: bool) {
        count_outcome(&self.key_changes, read);
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

    /// Replaces the served models in `model_info`.
    pub(crate) fn models<'e>(&self, engines: impl Iterator<Item = &'e Engine>) {
        self.model.clear();
        self.allowed_items.clear();
        for engine in engines {
            let served = engine.served();
            let (name, version) = (served.name.clone(), served.version().to_owned());
            let labels =
                ModelLabels { role: engine.role().name(), name, version, kind: served.kind().name() };
            self.model.get_or_create(&labels).set(1);
            let role = RoleLabels { role: engine.role().name() };
            self.allowed_items.get_or_create(&role).set(served.allowed() as i64);
        }
    }

    /// All metrics as text. `queue` is the number of waiting sessions, `sessions` the number of stored ones, if known, and
    /// `store` how their store is.
    pub(crate) fn text(&self, queue: usize, sessions: Option<usize>, store: &StoreState) -> String {
        self.store_up.set(i64::from(store.fault.is_none()));
        self.store_pending.set(store.pending as i64);
        self.store_loading.set(i64::from(store.loading));
        for (reason, count) in [("expired", store.ended.expired), ("evicted", store.ended.evicted)] {
            self.ended.get_or_create(&ReasonLabels { reason }).inner().fetch_max(count, Ordering::Relaxed);
        }
        let lost = lost_lines();
        self.lost_lines
            .inc_by(lost.saturating_sub(self.lost_lines_counted.fetch_max(lost, Ordering::Relaxed)));
        self.queue.set(queue as i64);
        if let Some(sessions) = sessions {
            self.sessions.get_or_create(&[]).set(sessions as i64);
        }
        let mut text = String::new();
        // Writing into a string cannot fail.
        _ = encode(&mut text, &self.registry);
        text
    }
}

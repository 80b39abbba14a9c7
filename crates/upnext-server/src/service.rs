//! The state that all requests share.

use crate::callers::{Caller, Rates};
use crate::engine::Engine;
use crate::event_log::EventLog;
use crate::examples::Examples;
use crate::items::Catalogue;
use crate::keys::ApiKeys;
use crate::lists::{ListFiles, Lists};
use crate::metrics::Metrics;
use crate::models::Models;
use crate::new_items::NewItems;
use crate::problem::Problem;
use crate::requests::Failures;
use crate::sessions::{self, SessionStore};
use crate::{Error, ServerConfig};
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// Time between two probes of a session store that keeps events, and of one that does not.
const PROBE: Duration = Duration::from_secs(1);
const PROBE_OF_FAULT: Duration = Duration::from_millis(100);

/// Time after the end of a request for which its computation may go on before the thread is taken for stuck.
const STUCK: Duration = Duration::from_secs(10);

/// The models, the session store and everything else that request handlers use.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: ServerConfig,
    pub(crate) keys: ArcSwap<ApiKeys>,
    /// Whether only programs of this machine may ask: there is no key, and no other machine can reach the address.
    pub(crate) is_local: bool,
    pub(crate) models: Models,
    /// The titles of items, if there is a catalogue file.
    pub(crate) catalogue: Option<Catalogue>,
    /// Sessions that the page replays, if there is a log of them.
    pub(crate) examples: Examples,
    pub(crate) sessions: Box<dyn SessionStore>,
    /// The log of events for later training, if enabled.
    pub(crate) event_log: Option<EventLog>,
    pub(crate) metrics: Arc<Metrics>,
    /// `models_dir` with symbolic links resolved, if set.
    pub(crate) models_dir: Option<PathBuf>,
    /// The items that come after the training.
    pub(crate) new_items: NewItems,
    /// The current block and allow lists.
    pub(crate) lists: ArcSwap<Lists>,
    /// Held while a model is loaded.
    pub(crate) loading: Mutex<()>,
    /// Limits item searches to one at a time: a search occupies a core, which recommendations need more.
    pub(crate) searching: Arc<Semaphore>,
    /// Held while a model or the lists are replaced, so that neither change overwrites the other.
    pub(crate) changing: Mutex<ListFiles>,
    /// How many lists each caller may ask for, if there is a limit.
    rates: Option<Rates>,
    /// Which failed requests have a log line of their own.
    pub(crate) failures: Failures,
    /// Sends traces, if there is a collector.
    #[cfg(feature = "otel")]
    pub(crate) exporter: Option<crate::requests::Exporter>,
    stopping: AtomicBool,
}

impl Service {
    /// Loads the models and opens all files and stores that the configuration names.
    ///
    /// # Errors
    /// For what cannot be loaded or opened, lists that leave no item, and a configuration without a model.
    pub(crate) fn load(config: ServerConfig, keys: ApiKeys, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let Some(model) = config.model.clone() else {
            let reason = "is missing: give the folder of a model, as in `upnext serve MODEL`";
            return Err(upnext_core::Error::config("model", reason).into());
        };
        let mut files = ListFiles::new(config.block_file.clone(), config.allow_file.clone());
        files.wait_until_quiet();
        let lists = files.read()?;
        metrics.lists_read(lists.counts());
        let models_dir = |dir: &PathBuf| dir.canonicalize().map_err(upnext_core::Error::io(dir, "open"));
        let catalogue = |path: &PathBuf| Catalogue::read(path, &config);
        let examples = |path: &PathBuf| Examples::read(path, &config);
        let event_log = |dir: &PathBuf| EventLog::open(dir, &config, Arc::clone(&metrics));
        let new_items = NewItems::new(&config);
        let models = Models::load(&model, config.name.as_deref(), &config, (&lists, &new_items), &metrics)?;
        if models.first().served().allowed() == 0 {
            let field = if config.allow_file.is_some() { "allow_file" } else { "block_file" };
            let reason = "leaves no item of the model to recommend: give a list with ids of its items";
            return Err(upnext_core::Error::config(field, reason).into());
        }
        Ok(Self {
            models,
            models_dir: config.models_dir.as_ref().map(models_dir).transpose()?,
            catalogue: config.catalogue_file.as_ref().map(catalogue).transpose()?,
            examples: config.examples_log.as_ref().map(examples).transpose()?.unwrap_or_default(),
            sessions: sessions::open(&config)?,
            event_log: config.event_log_dir.as_ref().map(event_log).transpose()?,
            is_local: keys.data.is_empty() && !config.allow_open,
            keys: ArcSwap::from_pointee(keys),
            metrics,
            new_items,
            lists: ArcSwap::from_pointee(lists),
            loading: Mutex::default(),
            searching: Arc::new(Semaphore::new(1)),
            changing: Mutex::new(files),
            rates: Rates::of(&config),
            failures: Failures::default(),
            #[cfg(feature = "otel")]
            exporter: config.otlp_endpoint.as_deref().map(crate::requests::Exporter::start).transpose()?,
            stopping: AtomicBool::new(false),
            config,
        })
    }

    /// Closes the session store and the event log after writing what is pending. Returns the number of changes of sessions
    /// that could not be written.
    pub(crate) fn close(&self) -> u64 {
        #[cfg(feature = "otel")]
        if let Some(exporter) = &self.exporter {
            exporter.close();
        }
        let lost = self.sessions.close();
        if let Some(log) = &self.event_log {
            log.close();
        }
        lost
    }

    /// Counts the lists that a caller asks for.
    ///
    /// # Errors
    /// With status 429 if they are more than the configuration allows.
    pub(crate) fn count_lists(&self, caller: &Caller, lists: usize) -> Result<(), Problem> {
        let Some(rates) = &self.rates else { return Ok(()) };
        rates.take(caller, lists).inspect_err(|_| self.metrics.limited(lists as u64))
    }

    /// The key that may fill only a part of the queue: that of a caller, if there are several.
    pub(crate) fn owner(&self, caller: &Caller) -> Option<Arc<str>> {
        let has_several = self.keys.load().data.len() > 1;
        caller.key.clone().filter(|_| has_several)
    }

    /// Why this process cannot give good answers; `None`: it can.
    pub(crate) fn unready(&self) -> Option<&'static str> {
        if self.is_stopping() {
            return Some("the server is stopping: ask another one");
        }
        let limit = Duration::from_millis(self.config.request_timeout_ms) + STUCK;
        let is_stuck = self.models.first().is_stuck(limit);
        is_stuck.then_some("the compute threads do not answer: ask another one, and restart this one")
    }

    /// What is not as it should be, although requests are answered.
    pub(crate) fn degraded(&self) -> Vec<String> {
        let state = self.sessions.state();
        let mut found = Vec::new();
        if state.loading {
            found.push(
                "the sessions of before are still being read: lists are made of newer events".to_owned(),
            );
        }
        if state.fault.is_some() {
            // The reason may name paths and addresses, which are for the log.
            let waits = match state.pending {
                0 => String::new(),
                count => format!(", {count} changes wait"),
            };
            found.push(format!("the store of sessions does not keep events{waits}: the log says why"));
        }
        found.extend(self.new_items.fault());
        for served in self.models.all().map(Engine::served).filter(|served| served.allowed() == 0) {
            found.push(format!("the block and allow lists leave no item of `{}`", served.name));
        }
        found
    }

    /// Writes to the session store from time to time, to know whether it keeps events, and more often while it does not.
    /// Never returns.
    pub(crate) async fn watch_store(self: Arc<Self>) {
        loop {
            self.sessions.probe().await;
            let is_well = self.sessions.state().fault.is_none();
            self.failures.tell();
            tokio::time::sleep(if is_well { PROBE } else { PROBE_OF_FAULT }).await;
        }
    }

    /// Whether the server is shutting down, so that requests should go to another one.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

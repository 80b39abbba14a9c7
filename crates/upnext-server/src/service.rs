//! The state that all requests share.

use crate::event_log::EventLog;
use crate::examples::Examples;
use crate::items::Catalogue;
use crate::keys::ApiKeys;
use crate::lists::{ListFiles, Lists};
use crate::metrics::Metrics;
use crate::models::Models;
use crate::sessions::{self, SessionStore};
use crate::{Error, ServerConfig};
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Semaphore};

/// The models, the session store and everything else that request handlers use.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: ServerConfig,
    pub(crate) keys: ApiKeys,
    pub(crate) models: Models,
    /// The titles of items, if there is a catalogue file.
    pub(crate) catalogue: Option<Catalogue>,
    /// Sessions that the page replays, if there is a log of them.
    pub(crate) examples: Examples,
    pub(crate) sessions: Box<dyn SessionStore>,
    /// The log of events for later training, if enabled.
    pub(crate) event_log: Option<EventLog>,
    pub(crate) metrics: Arc<Metrics>,
    /// The fixed name of the first model; `None`: the name of its folder.
    pub(crate) name: Option<String>,
    /// `models_dir` with symbolic links resolved, if set.
    pub(crate) models_dir: Option<PathBuf>,
    /// The current block and allow lists.
    pub(crate) lists: ArcSwap<Lists>,
    /// Held while a model is loaded.
    pub(crate) loading: Mutex<()>,
    /// Limits item searches to one at a time: a search occupies a core, which recommendations need more.
    pub(crate) searching: Arc<Semaphore>,
    /// Held while a model or the lists are replaced, so that neither change overwrites the other.
    pub(crate) changing: Mutex<ListFiles>,
    stopping: AtomicBool,
}

impl Service {
    /// Loads the models and opens all files and stores that the configuration names.
    pub(crate) fn load(
        model: &Path,
        name: Option<String>,
        config: ServerConfig,
        keys: ApiKeys,
    ) -> Result<Self, Error> {
        let mut files = ListFiles::new(config.block_file.clone(), config.allow_file.clone());
        files.changed();
        let lists = files.read()?;
        let metrics = Arc::new(Metrics::new());
        let models_dir = |dir: &PathBuf| dir.canonicalize().map_err(upnext_core::Error::io(dir, "open"));
        let catalogue = |path: &PathBuf| Catalogue::read(path, &config);
        let examples = |path: &PathBuf| Examples::read(path, &config);
        let event_log = |dir: &PathBuf| EventLog::open(dir, &config, Arc::clone(&metrics));
        Ok(Self {
            models: Models::load(model, name.as_deref(), &config, &lists, &metrics)?,
            models_dir: config.models_dir.as_ref().map(models_dir).transpose()?,
            catalogue: config.catalogue_file.as_ref().map(catalogue).transpose()?,
            examples: config.examples_log.as_ref().map(examples).transpose()?.unwrap_or_default(),
            sessions: sessions::open(&config)?,
            event_log: config.event_log_dir.as_ref().map(event_log).transpose()?,
            keys,
            metrics,
            name,
            lists: ArcSwap::from_pointee(lists),
            loading: Mutex::default(),
            searching: Arc::new(Semaphore::new(1)),
            changing: Mutex::new(files),
            stopping: AtomicBool::new(false),
            config,
        })
    }

    /// Closes the session store and the event log after writing what is pending.
    pub(crate) fn close(&self) {
        self.sessions.close();
        if let Some(log) = &self.event_log {
            log.close();
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

//! What all requests share.

use crate::event_log::EventLog;
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

/// The models, the sessions and what guards them.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: ServerConfig,
    pub(crate) keys: ApiKeys,
    pub(crate) models: Models,
    /// Titles of items, where there is a file of them.
    pub(crate) catalogue: Option<Catalogue>,
    pub(crate) sessions: Box<dyn SessionStore>,
    /// Where events are kept for tomorrow's training, if anywhere.
    pub(crate) event_log: Option<EventLog>,
    pub(crate) metrics: Arc<Metrics>,
    /// The name that the first model is always served under; `None`: that of its folder.
    pub(crate) name: Option<String>,
    /// `models_dir` without links, where there is one.
    pub(crate) models_dir: Option<PathBuf>,
    /// What the block and allow files say.
    pub(crate) lists: ArcSwap<Lists>,
    /// Held while a model is loaded.
    pub(crate) loading: Mutex<()>,
    /// One search at a time: each takes a core for a while, which recommendations need more.
    pub(crate) searching: Arc<Semaphore>,
    /// Held while a model or the lists are replaced, so that neither change undoes the other.
    pub(crate) changing: Mutex<ListFiles>,
    stopping: AtomicBool,
}

impl Service {
    /// Loads the model and whatever the configuration names.
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
        let event_log = |dir: &PathBuf| EventLog::open(dir, &config, Arc::clone(&metrics));
        Ok(Self {
            models: Models::load(model, name.as_deref(), &config, &lists, &metrics)?,
            models_dir: config.models_dir.as_ref().map(models_dir).transpose()?,
            catalogue: config.catalogue_file.as_ref().map(catalogue).transpose()?,
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

    /// Writes what is kept and logged to its end.
    pub(crate) fn close(&self) {
        self.sessions.close();
        if let Some(log) = &self.event_log {
            log.close();
        }
    }

    /// Whether requests should go to another server.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

//! What all requests share.

use crate::engine::Engine;
use crate::items::Catalogue;
use crate::keys::ApiKeys;
use crate::lists::{ListFiles, Lists};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::sessions::SessionStore;
use crate::{Error, ServerConfig};
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// The engine, the sessions and what guards them.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: ServerConfig,
    pub(crate) keys: ApiKeys,
    pub(crate) engine: Engine,
    /// The second model, which answers only who names it.
    pub(crate) compared: Option<Engine>,
    /// Titles of items, where there is a file of them.
    pub(crate) catalogue: Option<Catalogue>,
    pub(crate) sessions: Box<dyn SessionStore>,
    pub(crate) metrics: Arc<Metrics>,
    /// The name that every model is served under; `None`: that of its folder.
    pub(crate) name: Option<String>,
    /// `models_dir` without links, where there is one.
    pub(crate) models_dir: Option<PathBuf>,
    /// What the block and allow files say.
    pub(crate) lists: ArcSwap<Lists>,
    /// Held while the model or the lists change, so that neither change undoes the other.
    pub(crate) changing: Mutex<ListFiles>,
    stopping: AtomicBool,
}

/// What a service is made of.
pub(crate) struct Parts {
    pub(crate) config: ServerConfig,
    pub(crate) keys: ApiKeys,
    pub(crate) engine: Engine,
    pub(crate) compared: Option<Engine>,
    pub(crate) catalogue: Option<Catalogue>,
    pub(crate) sessions: Box<dyn SessionStore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) name: Option<String>,
    pub(crate) lists: Lists,
    pub(crate) files: ListFiles,
}

impl Service {
    pub(crate) fn new(parts: Parts) -> Result<Self, Error> {
        let models_dir = match &parts.config.models_dir {
            Some(dir) => Some(dir.canonicalize().map_err(upnext::Error::io(dir, "open"))?),
            None => None,
        };
        Ok(Self {
            config: parts.config,
            keys: parts.keys,
            engine: parts.engine,
            compared: parts.compared,
            catalogue: parts.catalogue,
            sessions: parts.sessions,
            metrics: parts.metrics,
            name: parts.name,
            models_dir,
            lists: ArcSwap::from_pointee(parts.lists),
            changing: Mutex::new(parts.files),
            stopping: AtomicBool::new(false),
        })
    }

    /// The engines of all models; the first answers who names none.
    pub(crate) fn engines(&self) -> impl Iterator<Item = &Engine> {
        std::iter::once(&self.engine).chain(&self.compared)
    }

    /// The engine of the model with this name, or of the served one for a request that names none.
    pub(crate) fn engine_of(&self, name: Option<&str>) -> Result<&Engine, Problem> {
        let Some(name) = name else { return Ok(&self.engine) };
        self.engines().find(|engine| engine.served().name == name).ok_or_else(|| {
            let names: Vec<String> = self.engines().map(|engine| engine.served().name.clone()).collect();
            Problem::field(
                "model",
                format!("no model has this name: the server has `{}`", names.join("`, `")),
            )
        })
    }

    /// Whether requests should go to another server.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

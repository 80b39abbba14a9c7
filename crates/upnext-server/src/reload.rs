//! How is a model, or a list, replaced while requests are answered?
//!
//! The new model is loaded and checked beside the old one, and answers from the next batch on. If it is broken, the old
//! one never knew of it.

use crate::engine::Served;
use crate::lists::Lists;
use crate::service::Service;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why no model was loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// A path that may not be loaded.
    #[error("{0}")]
    Path(String),
    /// A model that cannot be served.
    #[error("{0}")]
    Model(String),
}

/// The name under which a model is served: the given one, or that of its folder.
pub(crate) fn name_of(given: Option<&str>, path: &Path) -> String {
    let folder = || path.canonicalize().ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
    given.map(str::to_owned).or_else(folder).unwrap_or_else(|| "model".to_owned())
}

impl Service {
    /// Loads a model and serves it: that in `models_dir/path`, or the served one anew.
    pub(crate) async fn reload(self: &Arc<Self>, path: Option<String>) -> Result<Arc<Served>, ReloadError> {
        let changing = self.changing.lock().await;
        let service = Arc::clone(self);
        let loaded = tokio::task::spawn_blocking(move || {
            let path = match path {
                Some(path) => service.allowed(&path)?,
                None => service.engine.served().path.clone(),
            };
            let name = name_of(service.name.as_deref(), &path);
            Served::load(&path, &name, &service.lists.load()).map_err(|e| ReloadError::Model(e.to_string()))
        });
        let loaded = loaded.await.unwrap_or_else(|_| Err(ReloadError::Model("loading panicked".to_owned())));
        self.metrics.reload(loaded.is_ok());
        match loaded {
            Ok(served) => {
                self.metrics.model(&served.name, served.version(), served.kind().name());
                tracing::info!(name = served.name, version = served.version(), path = %served.path.display(), "model loaded");
                self.engine.swap(served);
                let served = self.engine.served();
                drop(changing);
                Ok(served)
            }
            Err(error) => {
                tracing::error!(%error, "model refused: the old one is served on");
                Err(error)
            }
        }
    }

    /// The folder of a model that an admin call may load.
    fn allowed(&self, path: &str) -> Result<PathBuf, ReloadError> {
        let refused = |reason: &str| ReloadError::Path(reason.to_owned());
        let Some(dir) = &self.models_dir else {
            return Err(refused("the server has no folder of models (`models_dir`): leave the path out"));
        };
        let relative = Path::new(path);
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || path.contains('\0') || !plain {
            return Err(refused(
                "the path is not one inside the folder of models: give it without `..` and `/` in front",
            ));
        }
        let missing = |_| refused("there is no such folder in the folder of models");
        let found = dir.join(relative).canonicalize().map_err(missing)?;
        // A link may lead out.
        if !found.starts_with(dir) || found == *dir {
            return Err(refused("the path leads out of the folder of models"));
        }
        Ok(found)
    }

    /// Looks at the block and allow files now and then, and applies what has changed. Never returns.
    pub(crate) async fn watch_lists(self: Arc<Self>) {
        let mut timer = tokio::time::interval(Duration::from_millis(self.config.list_poll_ms));
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            let service = Arc::clone(&self);
            let mut files = self.changing.lock().await;
            // Files are small, and reading them must not depend on another task giving the lock back.
            if !files.changed() {
                continue;
            }
            match files.read() {
                Ok(lists) => service.apply(lists),
                Err(error) => tracing::error!(%error, "list refused: the old one is applied on"),
            }
        }
    }

    fn apply(&self, lists: Lists) {
        for engine in self.engines() {
            let served = engine.served();
            served.restrict(&lists);
            tracing::info!(name = served.name, allowed_items = served.allowed(), "lists applied");
        }
        self.lists.store(Arc::new(lists));
    }
}

//! Replacement of a model, of block and allow lists, or of keys, while the server answers requests.
//!
//! The new model is loaded and checked while the old one answers, and takes over at the next batch. If it is broken,
//! the old one stays.

use crate::engine::{Engine, Served};
use crate::lists::Lists;
use crate::models::Role;
use crate::service::Service;
use crate::stamp::{Settling, Stamp};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};

/// The reason why a model or the lists were not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The path may not be loaded.
    #[error("{0}")]
    Path(String),
    /// The model cannot be served.
    #[error("{0}")]
    Model(String),
    /// The lists cannot be applied.
    #[error("{0}")]
    Lists(String),
    /// The server has no lists.
    #[error("the server has no block file and no allow file: start it with --block FILE or --allow FILE")]
    NoLists,
    /// Items cannot be added: a field, and what is wrong with it.
    #[error("{0}: {1}")]
    Items(String, String),
    /// No served model reads attributes.
    #[error(
        "no served model reads attributes of items: train a network with an item table and `model.attributes`"
    )]
    NoAttributes,
}

/// What a caller wants to be loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// A folder in the folder of models; `None`: that of the model which is replaced.
    pub(crate) path: Option<String>,
    /// Whether it is loaded although it has few items or is old, and without a trial.
    pub(crate) force: bool,
}

/// The name under which a model is served: the given one, or the name of its folder.
pub(crate) fn name_of(given: Option<&str>, path: &Path) -> String {
    let folder = || path.canonicalize().ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
    given.map(str::to_owned).or_else(folder).unwrap_or_else(|| "model".to_owned())
}

/// Checks that a path leads into the folder of models, and returns it with its symbolic links unresolved, so that a
/// link that changes later is followed then.
fn inside(dir: &Path, path: PathBuf) -> Result<PathBuf, ReloadError> {
    let refused = |reason: &str| ReloadError::Path(reason.to_owned());
    let found =
        path.canonicalize().map_err(|_| refused("there is no such folder in the folder of models"))?;
    if !found.starts_with(dir) || found == *dir {
        return Err(refused("the path leads out of the folder of models"));
    }
    Ok(path)
}

impl Service {
    /// Loads the model in `models_dir/path`, or without a path reloads the current one, and serves it in `role`, as `by` wants for the
    /// log.
    ///
    /// It runs as a separate task, which is finished even if the client disconnects.
    pub(crate) async fn reload(
        self: &Arc<Self>,
        role: Role,
        wanted: Wanted,
        by: String,
    ) -> Result<Arc<Served>, ReloadError> {
        if wanted.force {
            // An operator who forces a model does not wait for the trial of another.
            self.models.give_up_trial();
        }
        let service = Arc::clone(self);
        let reloading = tokio::spawn(async move { service.reload_in_turn(role, wanted, &by).await });
        reloading.await.unwrap_or_else(|_| Err(ReloadError::Model("loading panicked".to_owned())))
    }

    async fn reload_in_turn(
        self: &Arc<Self>,
        role: Role,
        Wanted { path, force }: Wanted,
        by: &str,
    ) -> Result<Arc<Served>, ReloadError> {
        // Only one model is loaded at a time, so that memory must hold one more model, not many.
        let _loading = self.loading.lock().await;
        let service = Arc::clone(self);
        let loaded = tokio::task::spawn_blocking(move || service.load_beside(role, path));
        let loaded = loaded.await.unwrap_or_else(|_| Err(ReloadError::Model("loading panicked".to_owned())));
        let loaded = match loaded {
            Ok((served, lists)) => self.admit(role, served, force).await.map(|served| (served, lists)),
            Err(error) => Err(error),
        };
        self.metrics.reload(loaded.is_ok());
        match loaded {
            Ok((served, lists)) => {
                tracing::info!(
                    name = served.name,
                    version = served.version(),
                    role = role.name(),
                    path = %served.path.display(),
                    by,
                    "model loaded"
                );
                Ok(self.swap(role, served, &lists).await)
            }
            Err(error) => {
                tracing::error!(%error, role = role.name(), by, "model refused: the old one is served on");
                Err(error)
            }
        }
    }

    /// Checks that a model may replace the one of a role: that it has enough items, and is not too old, unless it is forced; and
    /// tries it, if the configuration wants that.
    async fn admit(&self, role: Role, served: Served, force: bool) -> Result<Arc<Served>, ReloadError> {
        let served = Arc::new(served);
        if force {
            return Ok(served);
        }
        let refused = |reason: String| {
            ReloadError::Model(format!("{reason}; an admin call with `force` loads it all the same"))
        };
        let old = self.models.of(role).served();
        let (items, before) = (served.loaded.items().len(), old.loaded.items().len());
        if (items as f64) < before as f64 * self.config.reload_min_items {
            return Err(refused(format!(
                "it has {items} items instead of {before}, less than reload_min_items ({}) of them",
                self.config.reload_min_items
            )));
        }
        let age = served.created_s.map(|created| served.loaded_s.saturating_sub(created));
        let most = self.config.reload_max_age_s;
        if most > 0 && age.is_none_or(|age| age > most as i64) {
            let age = age.map_or_else(|| "unknown age".to_owned(), |age| format!("{age} s"));
            return Err(refused(format!("it is older than reload_max_age_s ({most}): {age}")));
        }
        self.models.try_out(role, &served).await.map_err(refused)?;
        Ok(served)
    }

    /// Replaces the model of a role by one that was loaded with the lists `loaded_under`.
    pub(crate) async fn swap(
        &self,
        role: Role,
        served: Arc<Served>,
        loaded_under: &Arc<Lists>,
    ) -> Arc<Served> {
        let changing = self.changing.lock().await;
        let lists = self.lists.load_full();
        if !Arc::ptr_eq(&lists, loaded_under) {
            tokio::task::block_in_place(|| served.restrict(&lists));
        }
        let engine = self.models.of(role);
        let old = engine.swap(served);
        self.metrics.models(self.models.all());
        drop(changing);
        // Freeing a large model takes a while.
        tokio::task::spawn_blocking(move || drop(old));
        engine.served()
    }

    /// Reads the files of keys again; if one cannot be used, the old keys stay.
    pub(crate) fn reload_keys(&self) {
        let keys = self.keys.load();
        if keys.files().is_empty() {
            return;
        }
        let read = keys.read_again();
        self.metrics.key_change(read.is_ok());
        match read {
            Ok(read) => {
                tracing::info!(data = ?read.data, admin = ?read.admin, "keys loaded");
                self.keys.store(Arc::new(read));
            }
            Err(error) => tracing::error!(%error, "keys refused: the old ones open on"),
        }
    }

    /// Checks the files of keys every `poll_ms`, and reads them when they have changed and settled. Never returns.
    pub(crate) async fn watch_keys(self: Arc<Self>) {
        let mut timer = self.poll_timer();
        let mut settling = Settling::default();
        loop {
            timer.tick().await;
            let read = self.keys.load().files();
            let stamp = |(path, _): &(PathBuf, Option<Stamp>)| (path.clone(), Stamp::of(path));
            let now: Vec<_> = tokio::task::block_in_place(|| read.iter().map(stamp).collect());
            if settling.is_due(Some(now), Some(&read)) {
                tokio::task::block_in_place(|| self.reload_keys());
            }
        }
    }

    /// Reloads the keys, the lists, as they are, and all models. Errors are logged, and what was there stays.
    pub(crate) async fn reload_all(self: &Arc<Self>) {
        tokio::task::block_in_place(|| self.reload_keys());
        if self.changing.lock().await.any() {
            _ = self.reload_lists(true, "SIGHUP").await;
        }
        // Every model that is loaded gets the items of the file.
        for role in self.models.all().map(Engine::role) {
            drop(self.reload(role, Wanted::default(), "SIGHUP".to_owned()).await);
        }
    }

    /// Loads a model, and returns it with the lists that were applied to it.
    fn load_beside(&self, role: Role, path: Option<String>) -> Result<(Served, Arc<Lists>), ReloadError> {
        let path = match path {
            Some(path) => self.allowed(&path)?,
            None => {
                let path = self.models.of(role).served().path.clone();
                match &self.models_dir {
                    // A symbolic link in the path may lead elsewhere by now.
                    Some(dir) if path.starts_with(dir) => inside(dir, path)?,
                    _ => path,
                }
            }
        };
        let given = self.config.name.as_deref().filter(|_| role == Role::First);
        let name = name_of(given, &path);
        if self.models.all().any(|other| other.role() != role && other.served().name == name) {
            let reason =
                format!("the other model is named `{name}`, too: give the folder of one another name");
            return Err(ReloadError::Model(reason));
        }
        let lists = self.lists.load_full();
        let served = Served::load(&path, &name, &lists, self.config.max_catalogue_columns);
        let served = served.map_err(|error| ReloadError::Model(error.to_string()))?;
        Ok((self.with_new_items(served), lists))
    }

    /// Checks that an admin call may load `path`, and returns the model's folder.
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
        inside(dir, dir.join(relative))
    }

    /// The timer of checks for changed files.
    pub(crate) fn poll_timer(&self) -> Interval {
        let mut timer = tokio::time::interval(Duration::from_millis(self.config.poll_ms));
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        timer
    }

    /// Checks the models' folders every `poll_ms` and reloads models that have changed. Never returns.
    ///
    /// A changed folder is loaded when it was the same in two consecutive checks, so that a copy in progress is not
    /// read. A model that was refused is tried again after its next change.
    pub(crate) async fn watch_models(self: Arc<Self>) {
        let mut timer = self.poll_timer();
        let roles: Vec<Role> = self.models.all().map(Engine::role).collect();
        let mut settling: Vec<Settling<Stamp>> = roles.iter().map(|_| Settling::default()).collect();
        loop {
            timer.tick().await;
            for (&role, settling) in roles.iter().zip(&mut settling) {
                let served = self.models.of(role).served();
                let path = served.path.clone();
                // In a blocking thread, since the folder may be on a slow disk or network.
                let now = tokio::task::spawn_blocking(move || Stamp::of(&path)).await.ok().flatten();
                if settling.is_due(now, served.stamp.as_ref()) {
                    drop(self.reload(role, Wanted::default(), "--watch".to_owned()).await);
                }
            }
        }
    }

    /// Checks the block and allow files every `poll_ms` and applies changes. Never returns.
    pub(crate) async fn watch_lists(self: Arc<Self>) {
        let mut timer = self.poll_timer();
        loop {
            timer.tick().await;
            if self.changing.lock().await.have_settled() {
                _ = self.reload_lists(false, "a changed file").await;
            }
        }
    }

    /// Reads the block and allow files and applies them; if they seem incomplete, only if they shall `replace` the old ones.
    ///
    /// # Errors
    /// For files that cannot be read, and lists that lack more than half of their ids or leave no item; the old ones stay.
    pub(crate) async fn reload_lists(&self, replace: bool, by: &str) -> Result<(), ReloadError> {
        let mut files = self.changing.lock().await;
        if !files.any() {
            return Err(ReloadError::NoLists);
        }
        // Other threads handle requests meanwhile.
        let applied = tokio::task::block_in_place(|| {
            let lists = files.read().map_err(|error| error.to_string())?;
            if !replace {
                lists.check(&self.lists.load())?;
                let served = self.models.first().served();
                if served.allowed() > 0 && lists.candidates(served.loaded.items()).is_empty() {
                    return Err("they leave no item to recommend".to_owned());
                }
            }
            self.apply(lists, by);
            Ok(())
        });
        self.metrics.list_change(applied.is_ok());
        applied.map_err(|reason| {
            tracing::error!(reason, by, "lists refused: the old ones are applied on");
            ReloadError::Lists(reason)
        })
    }

    fn apply(&self, lists: Lists, by: &str) {
        for served in self.models.all().map(Engine::served) {
            served.restrict(&lists);
            tracing::info!(name = served.name, allowed_items = served.allowed(), by, "lists applied");
        }
        self.metrics.lists_read(lists.counts());
        self.metrics.models(self.models.all());
        self.lists.store(Arc::new(lists));
    }
}

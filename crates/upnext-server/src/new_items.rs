//! Items that come after the training of the served models: from admin calls, and from a file that is watched.
//!
//! A model that reads attributes gets them at once, with vectors made of their attributes, and so does every model that is loaded later.
//! Those of calls are kept until the server ends.

use crate::engine::{Engine, Served};
use crate::lists::Lists;
use crate::models::Role;
use crate::reload::ReloadError;
use crate::service::Service;
use crate::stamp::{Settling, Stamp};
use crate::{Error, ServerConfig, locked};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use upnext_core::data::items::{ItemTable, ItemTableOptions, JsonItem};
use upnext_core::model::Model;

/// The new items, for models that are loaded later.
#[derive(Debug)]
pub(crate) struct NewItems {
    file: Option<PathBuf>,
    /// Maximum number of items of calls.
    most: usize,
    max_item_id_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The items of calls, in the order in which they came.
    called: Vec<JsonItem>,
    ids: HashSet<String>,
    /// The file that was read.
    seen: Option<Stamp>,
    settling: Settling<Stamp>,
    /// Why the items could not be added to a model.
    fault: Option<String>,
}

/// What became of the items of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Added {
    /// Number of items that a model did not have.
    pub(crate) added: usize,
    /// Number of items that all models had already.
    pub(crate) known: usize,
}

impl NewItems {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self {
            file: config.items_file.clone(),
            most: config.max_new_items,
            max_item_id_bytes: config.max_item_id_bytes,
            state: Mutex::default(),
        }
    }

    /// Whether there is a file to watch.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Why the items could not be added to a model, if they could not.
    pub(crate) fn fault(&self) -> Option<String> {
        locked(&self.state).fault.clone()
    }

    /// Whether the file has changed since it was read, and has stayed the same since the last call.
    fn has_settled(&self) -> bool {
        let Some(file) = &self.file else { return false };
        let now = Stamp::of(file);
        let State { seen, settling, .. } = &mut *locked(&self.state);
        settling.is_due(now, seen.as_ref())
    }

    /// A model with the items of the file and of all calls; `None` if it reads no attributes.
    ///
    /// # Errors
    /// With a sentence, for a file that cannot be read, and items that do not fit the model's table.
    fn with_all(&self, model: &Model) -> Result<Option<Model>, String> {
        let model = match &self.file {
            Some(file) => match self.with_file(model, file)? {
                Some(model) => model,
                None => return Ok(None),
            },
            None => model.clone(),
        };
        let called = locked(&self.state).called.clone();
        with_items(&model, &called).map_err(|error| error.to_string())
    }

    /// A model with the items of the file; `None` if it reads no attributes.
    fn with_file(&self, model: &Model, file: &Path) -> Result<Option<Model>, String> {
        let Some(table) = table_of(model) else { return Ok(None) };
        let mut options = ItemTableOptions::like(table);
        options.limits.id_bytes = self.max_item_id_bytes;
        let read = ItemTable::read(file, &options).and_then(|items| model.with_items(&items));
        let named = |error: upnext_core::Error| match error {
            upnext_core::Error::Config { reason, .. } => format!("{}: {reason}", file.display()),
            other => other.to_string(),
        };
        read.map(|new| Some(new.model)).map_err(named)
    }

    /// A model that was just loaded with all new items; `None` if it reads no attributes or lacks none of them.
    ///
    /// # Errors
    /// As [`with_all`](Self::with_all).
    fn extended(&self, served: &Served, lists: &Lists, columns: usize) -> Result<Option<Served>, String> {
        Ok(grown(served, self.with_all(&served.loaded)?, lists, columns))
    }

    /// A model with the items of the file, when the server starts.
    ///
    /// # Errors
    /// For a file that cannot be read, and items that do not fit the model's table.
    pub(crate) fn added_at_start(
        &self,
        served: Served,
        lists: &Lists,
        columns: usize,
    ) -> Result<Served, Error> {
        locked(&self.state).seen = self.file.as_deref().and_then(Stamp::of);
        let refused = |reason| Error::from(upnext_core::Error::config("items_file", reason));
        Ok(self.extended(&served, lists, columns).map_err(refused)?.unwrap_or(served))
    }

    /// Checks that a model reads the attributes of the file, if there is one.
    ///
    /// # Errors
    /// If none does.
    pub(crate) fn check_use<'s>(&self, mut served: impl Iterator<Item = &'s Served>) -> Result<(), Error> {
        if self.file.is_none() || served.any(|served| table_of(&served.loaded).is_some()) {
            return Ok(());
        }
        let reason = "is of no use: no model reads attributes (train a network with an item table and `model.attributes`)";
        Err(upnext_core::Error::config("items_file", reason).into())
    }
}

/// A served model with another one that has more items; `None` if it has not.
fn grown(served: &Served, model: Option<Model>, lists: &Lists, columns: usize) -> Option<Served> {
    let more = model.filter(|model| model.items().len() > served.loaded.items().len())?;
    Some(served.with_model(more, lists, columns))
}

/// The item table of a model that reads attributes.
fn table_of(model: &Model) -> Option<&Arc<ItemTable>> {
    model.item_table().filter(|_| !model.attributes().is_empty())
}

/// A model with items of calls, as far as its table has their attributes; `None` if it reads no attributes.
fn with_items(model: &Model, items: &[JsonItem]) -> upnext_core::Result<Option<Model>> {
    let Some(table) = table_of(model) else { return Ok(None) };
    if items.is_empty() {
        return Ok(Some(model.clone()));
    }
    let own = |(id, values): &JsonItem| {
        let values = values.iter().filter(|(name, _)| table.column(name).is_some());
        (id.clone(), values.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    let items: Vec<JsonItem> = items.iter().map(own).collect();
    Ok(Some(model.with_items(&table.of_json(&items)?)?.model))
}

impl Service {
    /// Adds items to all served models that read attributes, or to none; `by` is who wants it, for the log.
    ///
    /// It runs as a separate task, which is finished even if the client disconnects.
    pub(crate) async fn add_items(
        self: &Arc<Self>,
        items: Vec<JsonItem>,
        by: String,
    ) -> Result<Added, ReloadError> {
        let service = Arc::clone(self);
        let adding = tokio::spawn(async move { service.add_in_turn(items, &by).await });
        adding.await.unwrap_or_else(|_| Err(ReloadError::Model("adding items panicked".to_owned())))
    }

    async fn add_in_turn(self: &Arc<Self>, items: Vec<JsonItem>, by: &str) -> Result<Added, ReloadError> {
        let _loading = self.loading.lock().await;
        let added = self.add_all(items, by).await;
        self.metrics.item_change(added.is_ok());
        match &added {
            Ok(Added { added, known }) => tracing::info!(added, known, by, "items added"),
            Err(error) => tracing::warn!(%error, by, "items refused"),
        }
        added
    }

    async fn add_all(self: &Arc<Self>, items: Vec<JsonItem>, by: &str) -> Result<Added, ReloadError> {
        let reading = self.reading_attributes();
        if reading.is_empty() {
            return Err(ReloadError::NoAttributes);
        }
        self.check_items(&items, &reading)?;
        let has = |served: &Served, id: &str| served.loaded.items().index_of(id).is_some();
        let known = items.iter().filter(|(id, _)| reading.iter().all(|(_, served)| has(served, id))).count();
        let counted = Added { added: items.len() - known, known };
        let (items, lists) = (Arc::new(items), self.lists.load_full());
        let mut extended = Vec::new();
        for (role, served) in reading {
            if items.iter().all(|(id, _)| has(&served, id)) {
                continue;
            }
            let (items, lists, columns) =
                (Arc::clone(&items), Arc::clone(&lists), self.config.max_catalogue_columns);
            let extend = tokio::task::spawn_blocking(move || {
                let model = with_items(&served.loaded, &items)?;
                Ok::<_, upnext_core::Error>(grown(&served, model, &lists, columns))
            });
            let panicked = |_| ReloadError::Model("adding items panicked".to_owned());
            match extend.await.map_err(panicked)? {
                Ok(new) => extended.extend(new.map(|new| (role, new))),
                Err(upnext_core::Error::Config { field, reason }) => {
                    return Err(ReloadError::Items(field, reason));
                }
                Err(error) => return Err(ReloadError::Model(error.to_string())),
            }
        }
        for (role, new) in extended {
            tracing::info!(
                name = new.name,
                version = new.version(),
                role = role.name(),
                by,
                "model with new items"
            );
            self.swap(role, Arc::new(new), &lists).await;
        }
        let state = &mut *locked(&self.new_items.state);
        for item in Arc::unwrap_or_clone(items) {
            if state.ids.insert(item.0.clone()) {
                state.called.push(item);
            }
        }
        Ok(counted)
    }

    /// The served models that read attributes.
    fn reading_attributes(&self) -> Vec<(Role, Arc<Served>)> {
        let all = self.models.all().map(|engine: &Engine| (engine.role(), engine.served()));
        all.filter(|(_, served)| table_of(&served.loaded).is_some()).collect()
    }

    /// Checks that each attribute is one of a model, that no item is there twice, and that they are not too many.
    fn check_items(&self, items: &[JsonItem], reading: &[(Role, Arc<Served>)]) -> Result<(), ReloadError> {
        let refused = |field: String, reason: String| Err(ReloadError::Items(field, reason));
        let state = locked(&self.new_items.state);
        let more = items.iter().filter(|(id, _)| !state.ids.contains(id)).count();
        if state.called.len() + more > self.new_items.most {
            let (have, most) = (state.called.len(), self.new_items.most);
            return refused(
                "items".to_owned(),
                format!(
                    "are {more}, and calls have added {have}: the server takes {most} (`max_new_items`) until it ends; train a model with them, or use a file (`items_file`)"
                ),
            );
        }
        let tables: Vec<&Arc<ItemTable>> =
            reading.iter().filter_map(|(_, served)| table_of(&served.loaded)).collect();
        let has = |name: &String| tables.iter().any(|table| table.column(name).is_some());
        for (i, (id, values)) in items.iter().enumerate() {
            if id.len() > self.config.max_item_id_bytes {
                let most = self.config.max_item_id_bytes;
                return refused(
                    format!("items[{i}].item_id"),
                    format!("has {} bytes: give at most {most}", id.len()),
                );
            }
            if let Some(name) = values.keys().find(|name| !has(name)) {
                let all = tables
                    .iter()
                    .flat_map(|table| table.columns())
                    .map(|column| format!("`{}`", column.name()));
                let all: BTreeSet<String> = all.collect();
                let all = all.into_iter().collect::<Vec<_>>().join(", ");
                return refused(
                    format!("items[{i}].{name}"),
                    format!(
                        "is no attribute of the model's table, which has {all}: correct it, or leave it out"
                    ),
                );
            }
        }
        Ok(())
    }

    /// A model that was just loaded, with all new items; as it is, with a log line, if they do not fit it.
    pub(crate) fn with_new_items(&self, served: Served) -> Served {
        let extended =
            self.new_items.extended(&served, &self.lists.load(), self.config.max_catalogue_columns);
        let fault = extended.as_ref().err().map(|reason| {
            self.metrics.item_change(false);
            tracing::error!(name = served.name, reason, "served without the new items");
            format!("`{}` is served without the new items: {reason}", served.name)
        });
        locked(&self.new_items.state).fault = fault;
        extended.ok().flatten().unwrap_or(served)
    }

    /// Checks the file of new items every `poll_ms`, and adds those that the models do not have. Never returns.
    pub(crate) async fn watch_items(self: Arc<Self>) {
        let mut timer = self.poll_timer();
        loop {
            timer.tick().await;
            if tokio::task::block_in_place(|| self.new_items.has_settled()) {
                self.read_items("a changed file").await;
            }
        }
    }

    /// Reads the file of new items, if there is one, and adds those that the models do not have. Errors are logged.
    pub(crate) async fn read_items(self: &Arc<Self>, by: &str) {
        let Some(file) = self.new_items.file.clone() else { return };
        let _loading = self.loading.lock().await;
        // Before the file, so that a change in the meantime is seen.
        let seen = Stamp::of(&file);
        let mut fault = None;
        for (role, served) in self.reading_attributes() {
            let (service, file, lists) = (Arc::clone(self), file.clone(), self.lists.load_full());
            let under = Arc::clone(&lists);
            let extend = tokio::task::spawn_blocking(move || {
                let model = service.new_items.with_file(&served.loaded, &file)?;
                Ok(grown(&served, model, &under, service.config.max_catalogue_columns))
            });
            match extend.await.unwrap_or_else(|_| Err("adding items panicked".to_owned())) {
                Ok(Some(new)) => {
                    let (name, items, new_items) = (&new.name, new.loaded.items().len(), new.new_items);
                    tracing::info!(name, items, new_items, by, "items added");
                    self.metrics.item_change(true);
                    self.swap(role, Arc::new(new), &lists).await;
                }
                Ok(None) => {}
                Err(reason) => {
                    tracing::error!(reason, by, "items refused: those of before are served on");
                    self.metrics.item_change(false);
                    fault = Some(format!("the file of new items cannot be added: {reason}"));
                }
            }
        }
        let state = &mut *locked(&self.new_items.state);
        (state.seen, state.fault) = (seen, fault);
    }
}

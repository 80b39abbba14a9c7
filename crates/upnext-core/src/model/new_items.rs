//! Items that come after the training, with vectors from their attributes.

use super::Model;
use crate::content::Encoder;
use crate::data::items::{ColumnType, ItemTable};
use crate::{Error, Result};
use std::sync::Arc;

/// A model with more items than it was trained on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewItems {
    /// The model with the new items, which are the last of its vocabulary and have no support. All others are as they were.
    pub model: Model,
    /// Number of items of the table that the model did not have.
    pub added: usize,
    /// Number of items of the table that the model had already, which stay as they are.
    pub known: usize,
}

impl Model {
    /// This model with the items of a table that it does not have yet. Their vectors are made of their attributes, so that they can be read
    /// in sessions and recommended at once; no training takes place.
    ///
    /// The version ([`version`](Self::version)) of the new model is that of the trained one with a fingerprint of
    /// all new items.
    ///
    /// The table has the columns of the model's table, or some of them, but all that the model reads ([`attributes`](Self::attributes)), with
    /// the same types.
    ///
    /// # Errors
    /// [`Error::Config`] if the model does not read attributes, or the table does not fit.
    pub fn with_items(&self, table: &ItemTable) -> Result<NewItems> {
        let own = self.item_table().ok_or_else(|| {
            Error::config(
                "items",
                "the model has no table of items: train it with one (--item-table) and model.attributes",
            )
        })?;
        if let Some((lacking, _)) = self.attributes().iter().find(|(name, _)| table.column(name).is_none()) {
            let reason = format!(
                "the table of new items lacks the column `{lacking}`, which the model reads, and has {}: add it, empty where it is not known",
                table.listed_columns()
            );
            return Err(Error::config("items", reason));
        }
        let (all, described) = own.with_rows_of(table)?;
        if described == 0 && table.ids().all(|id| self.items().index_of(id).is_some()) {
            // No copy of a large network for nothing.
            return Ok(NewItems { model: self.clone(), added: 0, known: table.len() });
        }
        let mut items = self.items().clone();
        let known = items.len();
        table.ids().for_each(|id| _ = items.add(id, 0));
        let added = items.len() - known;
        let inner = &*self.inner;
        let model = inner.model.with_items(&items, &all)?;
        let version = inner.version.as_ref().map(|version| {
            let new = (0..).zip(items.supports()).filter(|&(_, &support)| support == 0);
            let rows: Vec<usize> = new.filter_map(|(item, _)| all.row(items.id(item))).collect();
            let trained = version.split('+').next().unwrap_or_default();
            format!("{trained}+{}", &all.fingerprint_of(rows.iter().copied())[..8])
        });
        let model = Self::new(
            model,
            (items, Some(Arc::new(all))),
            inner.experiment.clone(),
            inner.training.clone(),
            None,
            version,
        );
        Ok(NewItems { model, added, known: table.len() - added })
    }

    /// The columns of the item table of which the model makes vectors of items, with their types; none if it reads no attributes.
    pub fn attributes(&self) -> Vec<(String, ColumnType)> {
        let types = self.inner.model.encoder().into_iter().flat_map(Encoder::types);
        types.map(|(name, of)| (name.to_owned(), of)).collect()
    }

    /// Whether an item has come after the training: it has no training events.
    ///
    /// # Panics
    /// If the item is not in the vocabulary.
    pub fn is_new(&self, item: crate::data::ItemIndex) -> bool {
        self.items().support(item) == 0
    }
}

//! Similar items, by the cosine of their vectors.

use super::Model;
use crate::data::ItemIndex;
use crate::ranking::{cosine, length};
use crate::{Error, Result};

/// An item that is similar to another one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Similar {
    /// The user's id of the item.
    pub id: String,
    /// The cosine of the angle between the two items' vectors, from −1 to 1.
    pub cosine: f32,
}

impl Model {
    /// The `k` items whose vectors have the largest cosine with that of the item `id`, best first, without the item
    /// itself. They are items that come next after the same sessions.
    ///
    /// # Errors
    /// [`Error::UnknownItem`] for an id outside the vocabulary, [`Error::NoVectors`] for a kind without vectors.
    pub fn similar_items(&self, id: &str, k: usize) -> Result<Vec<Similar>> {
        let model = self.recommender();
        let item = self.items().index_of(id).ok_or_else(|| Error::UnknownItem { id: id.to_owned() })?;
        let vector = model.vector(item).ok_or_else(|| Error::NoVectors { model: model.name().to_owned() })?;
        let own = (vector, length(vector));
        let mut all: Vec<(f32, ItemIndex)> = (0..self.items().len() as ItemIndex)
            .filter(|&other| other != item)
            .filter_map(|other| {
                let vector = model.vector(other)?;
                Some((cosine(own, (vector, length(vector))), other))
            })
            .collect();
        let order = |a: &(f32, ItemIndex), b: &(f32, ItemIndex)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if k < all.len() && k > 0 {
            all.select_nth_unstable_by(k - 1, order);
        }
        all.truncate(k);
        all.sort_unstable_by(order);
        let named = |(cosine, other)| Similar { id: self.items().id(other).to_owned(), cosine };
        Ok(all.into_iter().map(named).collect())
    }
}

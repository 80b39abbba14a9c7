//! Items like an item: those whose vectors have the smallest angle to its vector.

use super::Model;
use crate::data::ItemIndex;
use crate::{Error, Result};

/// An item that is like another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Similar {
    /// The user's id of the item.
    pub id: String,
    /// The cosine of the angle between the two items' vectors, from −1 to 1.
    pub cosine: f32,
}

impl Model {
    /// The `k` items whose vectors have the smallest angle to that of the item `id`, without the item itself: items that
    /// come next after the same sessions.
    ///
    /// # Errors
    /// [`Error::UnknownItem`] for an id that the model does not know, [`Error::NoVectors`] for a kind without vectors.
    pub fn similar_items(&self, id: &str, k: usize) -> Result<Vec<Similar>> {
        let model = self.recommender();
        let item = self.items().index_of(id).ok_or_else(|| Error::UnknownItem { id: id.to_owned() })?;
        let vector = model.vector(item).ok_or_else(|| Error::NoVectors { model: model.name().to_owned() })?;
        let length = norm(vector);
        let mut all: Vec<(f32, ItemIndex)> = (0..self.items().len() as ItemIndex)
            .filter(|&other| other != item)
            .filter_map(|other| {
                let other_vector = model.vector(other)?;
                let lengths = length * norm(other_vector);
                // A vector of zeros has no direction.
                let cosine = if lengths > 0.0 { dot(vector, other_vector) / lengths } else { 0.0 };
                Some((cosine as f32, other))
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

/// In f64, where no square of an f32 overflows.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

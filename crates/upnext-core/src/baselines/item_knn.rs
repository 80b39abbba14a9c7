//! Item-KNN: items by the cosine similarity of their sessions with those of the last item.

use super::item_item::{ItemItem, check_kept, item_item_model};
use crate::data::{Dataset, Sessions};
use crate::documented::documented;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

documented! {
    /// The configuration of [`ItemKnn`].
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct ItemKnnConfig {
        /// λ, 0 or above, which lowers the similarities of rare items. The default is our choice: \[1, section 4.1\]
        /// regularises without giving a value.
        pub regularization: f32,
        /// Number of most similar neighbours to keep per item, 1 or more; the number of items keeps all. The default is
        /// our choice: enough for lists of 20.
        pub neighbours: usize,
    }
}

impl Default for ItemKnnConfig {
    fn default() -> Self {
        Self { regularization: 20.0, neighbours: 100 }
    }
}

impl ItemKnnConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        let lambda = self.regularization;
        if !(lambda.is_finite() && lambda >= 0.0) {
            let reason = format!("is {lambda}: use a finite number, 0 or above");
            return Err(Error::config("model.regularization", reason));
        }
        check_kept("model.neighbours", self.neighbours)
    }
}

/// Item-KNN \[1, section 4.1\]: items by their cosine similarity with the last item of the session, an item being the
/// vector of the training sessions that contain it.
///
/// `score(j) = co(i, j) / sqrt((n_i + λ)(n_j + λ))` with `i` the last item, `co` the number of training sessions with
/// both items and `n` the number with one. An item is not a neighbour of itself. Equal scores, and items that are not
/// neighbours, are ordered by popularity.
#[derive(Clone, Debug)]
pub struct ItemKnn {
    rows: ItemItem,
}

impl ItemKnn {
    /// Fits the model to the sessions of `data`; time grows with the squares of the sessions' lengths.
    ///
    /// # Errors
    /// Those of [`ItemKnnConfig::validate`].
    pub fn fit(config: &ItemKnnConfig, data: &Dataset) -> Result<Self> {
        config.validate()?;
        let lambda = f64::from(config.regularization);
        let sets = as_sets(&data.sessions);
        let mut damped = vec![lambda; data.items.len()];
        sets.iter().flatten().for_each(|&item| damped[item as usize] += 1.0);
        let rows = ItemItem::count(
            &data.items,
            &sets,
            config.neighbours,
            |(_, set), at, sums| {
                set[..at].iter().chain(&set[at + 1..]).for_each(|&neighbour| sums.add(neighbour, 1.0));
            },
            |pair| pair.sum / (damped[pair.item as usize] * damped[pair.neighbour as usize]).sqrt(),
        );
        Ok(Self { rows })
    }
}

/// The sessions as sets: the distinct items of each, ascending.
fn as_sets(sessions: &Sessions) -> Sessions {
    let mut sets = Sessions::new();
    let mut set = Vec::new();
    for (s, session) in sessions.iter().enumerate() {
        set.clear();
        set.extend_from_slice(session);
        set.sort_unstable();
        set.dedup();
        sets.push(&set, sessions.start(s));
    }
    sets
}

item_item_model!(ItemKnn(ItemKnnConfig) = "item-knn", space: Some(include_str!("../../experiments/spaces/item-knn.toml")));

#[cfg(test)]
mod tests {
    use super::super::item_item::dataset;
    use super::*;
    use crate::recommender::{Recommender, Similarities, SimilarityMeasure};

    #[test]
    fn similarity_is_the_damped_cosine_of_sessions_not_of_events() {
        // Items 0 to 3 occur in 2, 3, 2, 1 sessions; item 0 twice in the first.
        let data = dataset(4, &[&[0, 1, 0], &[2, 1, 0], &[2], &[1, 3]]);
        for (lambda, n) in [(0.0, [2.0, 3.0, 2.0, 1.0]), (20.0, [22.0, 23.0, 22.0, 21.0f64])] {
            let config = ItemKnnConfig { regularization: lambda, ..Default::default() };
            let model = ItemKnn::fit(&config, &data).unwrap();
            let row = |item| model.rows.row(item).collect::<Vec<_>>();
            let cosine = |co: f64, i: usize, j: usize| (co / (n[i] * n[j]).sqrt()) as f32;
            assert_eq!(row(0), [(1, cosine(2.0, 0, 1)), (2, cosine(1.0, 0, 2))]);
            assert_eq!(row(1), [(0, cosine(2.0, 1, 0)), (2, cosine(1.0, 1, 2)), (3, cosine(1.0, 1, 3))]);
            assert_eq!(row(2), [(0, cosine(1.0, 2, 0)), (1, cosine(1.0, 2, 1))]);
            assert_eq!(row(3), [(1, cosine(1.0, 3, 1))]);
            let similar = Similarities::Listed(SimilarityMeasure::Weight, row(1));
            assert_eq!(model.similarities(1), Some(similar));
        }
    }

    #[test]
    fn the_most_similar_neighbours_are_kept() {
        let data = dataset(4, &[&[0, 1], &[0, 1], &[0, 2], &[3, 0], &[3, 0], &[3, 0]]);
        let config = ItemKnnConfig { neighbours: 2, ..Default::default() };
        let model = ItemKnn::fit(&config, &data).unwrap();
        assert_eq!(model.rows.row(0).map(|(item, _)| item).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn settings_without_sense_are_refused() {
        for (config, field) in [
            (ItemKnnConfig { regularization: -1.0, ..Default::default() }, "model.regularization: is -1"),
            (
                ItemKnnConfig { regularization: f32::NAN, ..Default::default() },
                "model.regularization: is NaN",
            ),
            (ItemKnnConfig { neighbours: 0, ..Default::default() }, "model.neighbours: is 0"),
        ] {
            let refused = ItemKnn::fit(&config, &Dataset::default()).unwrap_err().to_string();
            assert!(refused.starts_with(field), "{refused}");
        }
        ItemKnnConfig { regularization: 0.0, neighbours: usize::MAX }.validate().unwrap();
    }

    #[test]
    fn the_largest_damping_still_orders_neighbours() {
        let data = dataset(3, &[&[0, 1], &[0, 1], &[0, 2]]);
        let config = ItemKnnConfig { regularization: f32::MAX, ..Default::default() };
        let model = ItemKnn::fit(&config, &data).unwrap();
        ItemKnn::from_arrays(&config, &data.items, model.arrays()).unwrap();
    }
}

//! First-order Markov chain: items by how often they directly followed the last item.

use super::NoFields;
use super::item_item::{ItemItem, item_item_model};
use crate::Result;
use crate::data::Dataset;

/// First-order Markov chain: the recommender based on Markov decision processes of \[1, section 2.1\], which reduces to
/// it if the next click is the only action.
///
/// An item's score is its share of the training events that directly followed the last item, repetitions of that item
/// included. Equal scores, and items that never followed, are ordered by popularity.
#[derive(Clone, Debug)]
pub struct Markov {
    rows: ItemItem,
}

impl Markov {
    /// Counts the transitions of `data`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) as [`NoFields::validate`].
    pub fn fit(config: &NoFields, data: &Dataset) -> Result<Self> {
        config.validate()?;
        let rows = ItemItem::count(
            &data.items,
            &data.sessions,
            usize::MAX,
            |(_, session), at, sums| {
                if let Some(&next) = session.get(at + 1) {
                    sums.add(next, 1.0);
                }
            },
            |pair| pair.share(),
        );
        Ok(Self { rows })
    }
}

item_item_model!(Markov(NoFields) = "markov", space: None);

#[cfg(test)]
mod tests {
    use super::super::item_item::dataset;
    use super::*;
    use crate::recommender::{Recommender, Similarities, SimilarityMeasure};

    #[test]
    fn scores_are_shares_of_what_came_directly_after() {
        let data = dataset(4, &[&[0, 1, 0, 2], &[0, 0, 1], &[3], &[2, 3]]);
        let model = Markov::fit(&NoFields::default(), &data).unwrap();
        let row = |item| model.rows.row(item).collect::<Vec<_>>();
        assert_eq!(row(0), [(0, 0.25), (1, 0.5), (2, 0.25)]);
        assert_eq!(row(1), [(0, 1.0)]);
        assert_eq!(row(2), [(3, 1.0)]);
        assert_eq!(row(3), []);
        let similar = Similarities::Listed(SimilarityMeasure::Weight, row(0));
        assert_eq!(model.similarities(0), Some(similar));
    }
}

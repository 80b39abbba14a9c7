//! A first-order Markov chain: what came directly after the last item.

use super::item_item::ItemItem;
use crate::Result;
use crate::arrays::Arrays;
use crate::data::{Dataset, ItemVocabulary};
use crate::recommender::{Follower, Recommender};
use serde::{Deserialize, Serialize};

/// The configuration of [`Markov`], which has nothing to configure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarkovConfig {}

impl MarkovConfig {
    /// Refuses nothing.
    ///
    /// # Errors
    /// None.
    pub fn validate(&self) -> Result<()> {
        Ok(())
    }
}

/// First-order Markov chain: what the recommender of Markov decision processes reduces to when its action is the next
/// click \[1, section 2.1\].
///
/// An item's score is its share of all training events that came directly after the last item, repetitions of an
/// item included. Equal scores, and items that never followed, are ordered by popularity.
#[derive(Clone, Debug)]
pub struct Markov {
    rows: ItemItem,
}

impl Markov {
    /// Counts the transitions of `data`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) as [`MarkovConfig::validate`].
    pub fn fit(config: &MarkovConfig, data: &Dataset) -> Result<Self> {
        config.validate()?;
        let rows = ItemItem::count(
            &data.items,
            &data.sessions,
            usize::MAX,
            |session, at, sums| {
                if let Some(&next) = session.get(at + 1) {
                    sums.add(next, 1.0);
                }
            },
            |pair| pair.share(),
        );
        Ok(Self { rows })
    }

    /// What the model consists of.
    pub fn arrays(&self) -> Arrays {
        self.rows.arrays()
    }

    /// The model that [`arrays`](Self::arrays) came from.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) if the arrays cannot be those of such a model of `items`.
    pub fn from_arrays(config: &MarkovConfig, items: &ItemVocabulary, arrays: Arrays) -> Result<Self> {
        config.validate()?;
        Ok(Self { rows: ItemItem::from_arrays(items, arrays)? })
    }
}

impl Recommender for Markov {
    fn name(&self) -> &str {
        "markov"
    }

    fn num_items(&self) -> usize {
        self.rows.num_items()
    }

    fn follow(&self, rows: usize) -> Box<dyn Follower + '_> {
        self.rows.follow(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::item_item::dataset;
    use super::*;

    #[test]
    fn scores_are_shares_of_what_came_directly_after() {
        let data = dataset(4, &[&[0, 1, 0, 2], &[0, 0, 1], &[3], &[2, 3]]);
        let model = Markov::fit(&MarkovConfig::default(), &data).unwrap();
        let row = |item| model.rows.row(item).collect::<Vec<_>>();
        assert_eq!(row(0), [(0, 0.25), (1, 0.5), (2, 0.25)]);
        assert_eq!(row(1), [(0, 1.0)]);
        assert_eq!(row(2), [(3, 1.0)]);
        assert_eq!(row(3), []);
    }
}

//! The interface of all models: a [`Recommender`] starts a [`SessionScorer`], which reads sessions and scores items.

mod similarity;
mod table;

use crate::batch::Batch;
use crate::data::ItemIndex;
pub use similarity::{Similarities, SimilarityMeasure};
pub(crate) use table::TableProducts;
use upnext_kernels::{Activation, Isa, Matrix, padded};

/// A fitted model that scores items as the next one of a session.
pub trait Recommender: Send + Sync + std::fmt::Debug {
    /// The model's name in messages.
    fn name(&self) -> &str {
        "the model"
    }

    /// Number of items n. Items have indices 0..n.
    fn num_items(&self) -> usize;

    /// The vector by which the model scores an item, without its bias; `None` for a model without item vectors.
    ///
    /// Items with similar vectors (a large cosine) are recommended after the same sessions.
    ///
    /// # Panics
    /// May panic if `item` is not below [`num_items`](Self::num_items).
    fn vector(&self, _item: ItemIndex) -> Option<&[f32]> {
        None
    }

    /// The bias of an item, which is added to the product of its vector and the session's; `None` for a model without
    /// biases.
    ///
    /// # Panics
    /// May panic if `item` is not below [`num_items`](Self::num_items).
    fn bias(&self, _item: ItemIndex) -> Option<f32> {
        None
    }

    /// The items that are similar to `item`; `None` for a model that cannot tell.
    ///
    /// By default, a model with item vectors compares these, and another one cannot tell.
    ///
    /// # Panics
    /// May panic if `item` is not below [`num_items`](Self::num_items).
    fn similarities(&self, item: ItemIndex) -> Option<Similarities> {
        self.vector(item).map(|_| Similarities::Vectors)
    }

    /// Creates a session scorer for up to `rows` sessions at once.
    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_>;
}

/// The state of a model for several sessions, one per row: it reads their events and scores items as the next one.
pub trait SessionScorer {
    /// Reads the current event of each row.
    ///
    /// `batch.carry` is the source of each row's state: a fresh row begins a session, the others continue a row of the
    /// batch before. A batch must not have more rows than the scorer was created for.
    fn read(&mut self, batch: &Batch);

    /// Scores items as the next one of each row. The score of `items[i]` for row `b` is written to `scores[i * lanes +
    /// b]`, with `lanes` = [`lanes`]`(rows of the last batch)`; values in lanes beyond the rows are unspecified.
    ///
    /// `scores`: at least `items.len() * lanes` numbers. The score of an item does not depend on the other items.
    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]);

    /// Whether the model knows nothing of what follows row `b`, and has scored all items by popularity. The row has been
    /// [scored](Self::score) since the last read.
    fn fell_back(&self, _b: usize) -> bool {
        false
    }

    /// The items that the model has weights for after row `b`, in any order, with their scores; `None` for a model that has
    /// one for every item. The scores of all other items are smaller, and mean nothing but their order.
    fn weights(&mut self, _b: usize) -> Option<&[(ItemIndex, f32)]> {
        None
    }

    /// The factors of the scores, for a model whose scores are products: the best items can then be found without
    /// scoring all of them.
    fn factors(&self) -> Option<Factors<'_>> {
        None
    }
}

/// The factors of scores that are products: the score of item `i` for row `b` is
/// `activation(Σ_j items[i][j] · states[j][b])`, with the rounding of [`product`](upnext_kernels::product).
#[derive(Clone, Copy, Debug)]
pub struct Factors<'a> {
    /// n × width, one row per item; the same matrix for every scorer of a model.
    pub items: &'a Matrix,
    /// width × lanes, one column per row of the last batch.
    pub states: &'a Matrix,
    /// The activation applied to the products.
    pub activation: Activation,
    /// The instruction set of the scorer.
    pub isa: Isa,
}

/// Number of floats from the scores of one item to those of the next: `rows` rounded up to whole cache lines.
pub fn lanes(rows: usize) -> usize {
    padded(rows.max(1))
}

//! What every model is to the rest of the program: something that follows sessions and scores items.

mod table;

use crate::batch::Batch;
use crate::data::{ItemIndex, Sessions};
pub(crate) use table::TableProducts;
use upnext_kernels::{Activation, Isa, Matrix, padded};

/// A model that scores items as the next one of a session.
pub trait Recommender: Send + Sync + std::fmt::Debug {
    /// What messages call the model.
    fn name(&self) -> &str {
        "the model"
    }

    /// Number of items that the model knows: indices 0..n.
    fn num_items(&self) -> usize;

    /// The vector of an item by which the model scores it, without a bias; `None`: the model has no such vectors.
    ///
    /// Items whose vectors have a small angle come next after the same sessions.
    ///
    /// # Panics
    /// May panic if there is no such item.
    fn vector(&self, _item: ItemIndex) -> Option<&[f32]> {
        None
    }

    /// Follows up to `rows` sessions side by side.
    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_>;
}

/// A model following sessions, event by event.
pub trait SessionScorer {
    /// Reads one more event of each row's session.
    ///
    /// Rows stand where `batch.carry` says: a fresh row begins a session, the others go on from a row of the step
    /// before. `sessions` are those that the batch was dealt from.
    fn observe(&mut self, batch: &Batch, sessions: &Sessions);

    /// Scores of some items as the next one of each row, item by item: that of `items[i]` for row `b` into
    /// `scores[i * lanes + b]`, with [`lanes`] for the rows observed last; what stands in lanes behind the rows is left
    /// open.
    ///
    /// The score of an item is the same number in whatever list it is asked for.
    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]);

    /// What the scores are products of, where they are: the best items can then be found without scoring all of them.
    fn factors(&self) -> Option<Factors<'_>> {
        None
    }
}

/// Scores as products: that of item `i` for row `b` is `activation(Σ_j items[i][j] · states[j][b])`, with the bits of
/// [`product`](upnext_kernels::product).
#[derive(Clone, Copy, Debug)]
pub struct Factors<'a> {
    /// n × width, one row an item; the same for every scorer of a model.
    pub items: &'a Matrix,
    /// width × at least the rows observed last, one column a row.
    pub states: &'a Matrix,
    /// What makes scores of products.
    pub activation: Activation,
    /// The instruction set that the scorer scores with.
    pub isa: Isa,
}

/// Floats from one item's scores to the next's: `rows` rounded up to whole cache lines.
pub fn lanes(rows: usize) -> usize {
    padded(rows.max(1))
}

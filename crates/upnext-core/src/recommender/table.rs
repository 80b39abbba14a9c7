//! Products of item vectors and session vectors. Vectors of items that are not adjacent are gathered first.

use crate::data::ItemIndex;
use upnext_kernels::{Isa, Matrix, View, product};

/// Number of items that are gathered at a time.
const GATHERED: usize = 64;

/// Computes products of the rows of a table with one vector per session.
#[derive(Debug)]
pub(crate) struct TableProducts {
    isa: Isa,
    /// `GATHERED` × width.
    gathered: Matrix,
}

impl TableProducts {
    /// Buffers for a table of this width.
    pub(crate) fn new(isa: Isa, width: usize) -> Self {
        Self { isa, gathered: Matrix::zeros(GATHERED, width) }
    }

    /// Multiplies the rows of `items` in `table` (n × width) by the columns of `queries` (width × `lanes`). The product
    /// of `items[i]` and column `b` is written to `scores[i * lanes + b]`; it does not depend on the other items.
    pub(crate) fn compute(
        &mut self,
        table: &Matrix,
        queries: &Matrix,
        items: &[ItemIndex],
        lanes: usize,
        scores: &mut [f32],
    ) {
        let Some(&first) = items.first() else { return };
        let products = |count: usize, rows: View, scores: &mut [f32]| {
            let width = queries.rows();
            product(self.isa, (count, lanes, width), rows, queries.view(width), scores, lanes, false);
        };
        let adjacent = items.iter().zip(first..).all(|(&item, expected)| item == expected);
        if adjacent {
            return products(items.len(), table.view(table.rows()).from_row(first as usize), scores);
        }
        for (items, scores) in items.chunks(GATHERED).zip(scores.chunks_mut(GATHERED * lanes)) {
            self.gathered.gather(table, items);
            products(items.len(), self.gathered.view(items.len()), scores);
        }
    }
}

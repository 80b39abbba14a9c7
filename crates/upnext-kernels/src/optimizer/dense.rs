//! Updates of dense parameters in blocks of rows.

use super::{OptimizerState, Rows, UpdateRule, update_row};
use crate::matrix::Matrix;
use crate::simd::{Isa, Kernel, Simd};

/// Updates a block of rows of a dense parameter.
///
/// `gradient`: the block's `count` × `stride` floats, without L2. The gradient plus L2 is multiplied by `scale`, which clips it.
///
/// # Panics
/// If the gradient has another size, or the state is that of another optimiser.
pub fn update_dense(isa: Isa, rule: &UpdateRule, scale: f32, block: DenseBlock, gradient: &[f32]) {
    assert_eq!(
        gradient.len(),
        block.count * block.rows.stride,
        "gradient of a block of {} rows",
        block.count
    );
    block.rows.check(rule);
    isa.run(UpdateDense { rule, scale, block, gradient });
}

struct UpdateDense<'a> {
    rule: &'a UpdateRule,
    scale: f32,
    block: DenseBlock<'a>,
    gradient: &'a [f32],
}

impl Kernel for UpdateDense<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let DenseBlock { rows, first, count, .. } = self.block;
        for (r, gradient) in self.gradient.chunks_exact(rows.stride).take(count).enumerate() {
            // SAFETY: `DenseBlocks` hands out every row once, and all its rows lie in the parameter; `update_dense` has
            // checked the state.
            unsafe {
                update_row(s, self.rule, self.scale, rows, first + r, rows.stride, |j| {
                    s.load(&gradient[j..])
                });
            }
        }
    }
}

/// A block of adjacent rows of a dense parameter with their state, to be updated by one thread.
#[derive(Debug)]
pub struct DenseBlock<'a> {
    rows: Rows,
    // Private, since updates are only safe while these rows lie in the parameter.
    first: usize,
    count: usize,
    lifetime: std::marker::PhantomData<&'a mut f32>,
}

impl DenseBlock<'_> {
    /// Index of the block's first row in the parameter.
    pub fn first(&self) -> usize {
        self.first
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Distance from one row to the next, in floats.
    pub fn stride(&self) -> usize {
        self.rows.stride
    }
}

/// An iterator over disjoint blocks of the rows of a dense parameter.
#[derive(Debug)]
pub struct DenseBlocks<'a> {
    rows: Rows,
    next: usize,
    total: usize,
    block: usize,
    lifetime: std::marker::PhantomData<&'a mut f32>,
}

impl<'a> DenseBlocks<'a> {
    /// Divides a parameter and its state into blocks of `block` rows; the last may be smaller.
    ///
    /// # Panics
    /// If the state has another shape, the parameter is compact, or `block` is 0.
    pub fn new(value: &'a mut Matrix, state: &'a mut OptimizerState, block: usize) -> Self {
        assert!(block > 0, "blocks of no row");
        let total = value.rows();
        Self { rows: Rows::new(value, state), next: 0, total, block, lifetime: std::marker::PhantomData }
    }
}

impl<'a> Iterator for DenseBlocks<'a> {
    type Item = DenseBlock<'a>;

    fn next(&mut self) -> Option<DenseBlock<'a>> {
        let first = self.next;
        if first >= self.total {
            return None;
        }
        let count = self.block.min(self.total - first);
        self.next += count;
        Some(DenseBlock { rows: self.rows, first, count, lifetime: self.lifetime })
    }
}

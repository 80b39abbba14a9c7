//! Norms of gradients, for clipping by the global norm.

use super::GradientRows;
use crate::matrix::Matrix;
use crate::rows::RowGroups;
use crate::simd::{Isa, Kernel, Simd};

/// The squared norm of a table's gradient, including L2 of the used rows.
///
/// The gradients of each row are summed before they are squared. Rows are added in f64 in the order of the groups, so that the
/// result does not depend on the number of threads.
pub fn table_norm_squared(
    isa: Isa,
    l2: f32,
    value: &Matrix,
    groups: &RowGroups,
    gradients: GradientRows,
) -> f64 {
    let width = value.width().next_multiple_of(crate::LINE);
    groups.rows().iter().enumerate().fold(0.0, |sum, (g, &row)| {
        let value = &value.row(row as usize)[..width];
        sum + isa.run(NormSquared {
            l2,
            value,
            gradient: |_| unreachable!(),
            uses: groups.uses(g),
            rows: Some(gradients),
        })
    })
}

/// The squared norm of a dense parameter's gradient, including L2.
///
/// # Panics
/// If `value` and `gradient` differ in shape.
pub fn dense_norm_squared(isa: Isa, l2: f32, value: &Matrix, gradient: &Matrix) -> f64 {
    assert!(
        value.rows() == gradient.rows() && value.stride() == gradient.stride(),
        "{gradient:?} of {value:?}"
    );
    (0..value.rows()).fold(0.0, |sum, r| {
        let gradient = gradient.row(r);
        sum + isa.run(NormSquared {
            l2,
            value: value.row(r),
            gradient: |j| &gradient[j..],
            uses: &[],
            rows: None,
        })
    })
}

struct NormSquared<'a, G> {
    l2: f32,
    value: &'a [f32],
    gradient: G,
    uses: &'a [u32],
    rows: Option<GradientRows<'a>>,
}

impl<'a, G: Fn(usize) -> &'a [f32]> Kernel for NormSquared<'a, G> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let mut sum = s.zero();
        for (i, value) in self.value.chunks_exact(S::LANES).enumerate() {
            let j = i * S::LANES;
            let g = match &self.rows {
                Some(rows) => rows.sum(s, self.uses, j),
                None => s.load((self.gradient)(j)),
            };
            let g = s.fma(s.splat(self.l2), s.load(value), g);
            sum = s.fma(g, g, sum);
        }
        f64::from(s.sum(sum))
    }
}

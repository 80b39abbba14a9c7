//! Optimisers: Adagrad, RMSProp, SGD and Adam with momentum and L2, for dense parameters and for the used rows of tables
//! (`docs/algorithms.md`, section 4).

mod dense;
mod norm;
mod table;

use crate::LINE;
use crate::matrix::Matrix;
use crate::simd::{Simd, prefetch};

pub use dense::{DenseBlock, DenseBlocks, update_dense};
pub use norm::{dense_norm_squared, table_norm_squared};
pub use table::{TablePart, TableParts, update_table};

/// The algorithm that computes the change Δ of a parameter from its gradient `g`, with learning rate η.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Optimizer {
    /// `a ← a + g²`, `Δ = −η g / sqrt(a + ε)`, with `a = 0` at the start (Duchi et al. 2011); \[1\] found it the best.
    Adagrad,
    /// `a ← ρ a + (1 − ρ) g²`, `Δ = −η g / sqrt(a + ε)`.
    Rmsprop,
    /// `Δ = −η g`.
    Sgd,
    /// Adam (Kingma and Ba 2015). Its bias correction counts the updates of each row.
    Adam,
}

/// An optimiser with its hyper-parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdateRule {
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The learning rate η.
    pub learning_rate: f32,
    /// The momentum μ: `v ← μ v + Δ`, `θ ← θ + v`. With 0 there is no velocity: `θ ← θ + Δ`.
    pub momentum: f32,
    /// The L2 penalty λ: `g ← g + λ θ`, before scaling and the optimiser.
    pub l2: f32,
    /// ε: under the square root in Adagrad and RMSProp, added to the square root in Adam.
    pub epsilon: f32,
    /// ρ of RMSProp.
    pub rmsprop_decay: f32,
    /// β₁ of Adam.
    pub adam_beta1: f32,
    /// β₂ of Adam.
    pub adam_beta2: f32,
}

impl UpdateRule {
    /// An optimiser with this learning rate, without momentum and L2, and with the usual constants: ε 1e-6 (Adam: 1e-8), ρ 0.9,
    /// β₁ 0.9, β₂ 0.999.
    pub fn new(optimizer: Optimizer, learning_rate: f32) -> Self {
        Self {
            optimizer,
            learning_rate,
            momentum: 0.0,
            l2: 0.0,
            epsilon: if optimizer == Optimizer::Adam { 1e-8 } else { 1e-6 },
            rmsprop_decay: 0.9,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
        }
    }
}

/// The state of an optimiser for one parameter. Its matrices have the parameter's shape and are 0 at the start.
#[derive(Clone, Debug)]
pub struct OptimizerState {
    /// The accumulator `a` of Adagrad and RMSProp, or the second moment of Adam.
    pub square: Option<Matrix>,
    /// The first moment of Adam.
    pub mean: Option<Matrix>,
    /// The velocity `v`, with momentum.
    pub velocity: Option<Matrix>,
    /// With Adam, the number of updates of each row; otherwise empty.
    pub steps: Vec<u32>,
}

impl OptimizerState {
    /// The state of a parameter of this shape before the first update.
    pub fn new(rule: &UpdateRule, rows: usize, width: usize) -> Self {
        let [square, mean, velocity] =
            Self::wanted(rule).map(|wanted| wanted.then(|| Matrix::zeros(rows, width)));
        // Only Adam has a mean.
        let steps = if mean.is_some() { vec![0; rows] } else { Vec::new() };
        Self { square, mean, velocity, steps }
    }

    /// The number of matrices in the state, each as large as the parameter.
    pub fn matrices(rule: &UpdateRule) -> usize {
        Self::wanted(rule).into_iter().filter(|&wanted| wanted).count()
    }

    /// Whether the state has a square, a mean and a velocity.
    fn wanted(rule: &UpdateRule) -> [bool; 3] {
        [rule.optimizer != Optimizer::Sgd, rule.optimizer == Optimizer::Adam, rule.momentum != 0.0]
    }

    /// Appends the initial state of `count` rows.
    pub fn add_rows(&mut self, count: usize) {
        for matrix in [&mut self.square, &mut self.mean, &mut self.velocity].into_iter().flatten() {
            matrix.add_rows(count);
        }
        if !self.steps.is_empty() {
            self.steps.resize(self.steps.len() + count, 0);
        }
    }
}

/// Pointers to a parameter and its state, so that threads can update different rows at the same time.
#[derive(Clone, Copy)]
struct Rows {
    value: *mut f32,
    square: *mut f32,
    mean: *mut f32,
    velocity: *mut f32,
    steps: *mut u32,
    stride: usize,
}

// SAFETY: only `update_row` dereferences the pointers, and its callers give every row to one thread.
unsafe impl Send for Rows {}
// SAFETY: as above.
unsafe impl Sync for Rows {}

impl Rows {
    fn new(value: &mut Matrix, state: &mut OptimizerState) -> Self {
        let (rows, stride) = (value.rows(), value.stride());
        // Updates write whole cache lines of a row.
        assert!(stride.is_multiple_of(LINE), "{value:?} has no padding: `padded` makes it one to train");
        let pointer = |m: &mut Option<Matrix>| {
            m.as_mut().map_or(std::ptr::null_mut(), |m| {
                assert!(m.rows() == rows && m.stride() == stride, "{m:?} beside {rows} rows, {stride} apart");
                m.data_mut().as_mut_ptr()
            })
        };
        let (square, mean, velocity) =
            (pointer(&mut state.square), pointer(&mut state.mean), pointer(&mut state.velocity));
        let steps = if state.steps.is_empty() {
            std::ptr::null_mut()
        } else {
            assert_eq!(state.steps.len(), rows, "step counts beside {rows} rows");
            state.steps.as_mut_ptr()
        };
        Self { value: value.data_mut().as_mut_ptr(), square, mean, velocity, steps, stride }
    }

    /// Prefetches `width` floats of row `r` of the parameter and its state.
    #[inline(always)]
    fn prefetch(&self, r: usize, width: usize) {
        for p in [self.value, self.square, self.mean, self.velocity] {
            if !p.is_null() {
                let row = p.wrapping_add(r * self.stride);
                (0..width).step_by(crate::LINE).for_each(|j| prefetch(row.wrapping_add(j)));
            }
        }
    }

    /// Panics if a part of the state that the optimiser needs is missing.
    fn check(&self, rule: &UpdateRule) {
        let adam = rule.optimizer == Optimizer::Adam;
        assert!(
            (rule.optimizer == Optimizer::Sgd || !self.square.is_null())
                && (!adam || !(self.mean.is_null() || self.steps.is_null()))
                && (rule.momentum == 0.0 || !self.velocity.is_null()),
            "the state of another optimiser than {rule:?}"
        );
    }
}

/// The gradients of the used rows of a table.
///
/// The gradient of use `u` is row `source[u]` of `gradients` times `factor[u]`, or row `u` if there is no source. The gradient of
/// a table row is the sum over its uses ([`RowGroups`](crate::RowGroups)).
#[derive(Clone, Copy, Debug)]
pub struct GradientRows<'a> {
    /// Rows of gradients, padded.
    pub gradients: &'a Matrix,
    /// For each use its row of `gradients` and its factor.
    pub source: Option<(&'a [u32], &'a [f32])>,
}

impl GradientRows<'_> {
    /// The vector at column `j`, summed over `uses`.
    #[inline(always)]
    fn sum<S: Simd>(&self, s: S, uses: &[u32], j: usize) -> S::F {
        let (data, stride) = (self.gradients.data(), self.gradients.stride());
        let mut sum = s.zero();
        for &u in uses {
            match self.source {
                None => sum = s.add(sum, s.load(&data[u as usize * stride + j..])),
                Some((source, factor)) => {
                    let x = s.load(&data[source[u as usize] as usize * stride + j..]);
                    sum = s.fma(s.splat(factor[u as usize]), x, sum);
                }
            }
        }
        sum
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({} apart)", self.stride)
    }
}

/// Smallest length of a row that is scaled, so that a row of zeros stays one.
const TINY: f32 = 1e-12;

/// Scales the first `columns` floats of row `r` of a parameter to the length 1.
///
/// # Safety
/// `r` must be a row of the parameter that `rows` points to, and `columns` at most its stride; no other thread may use the row
/// during the call.
#[inline(always)]
unsafe fn scale_row<S: Simd>(s: S, rows: Rows, r: usize, columns: usize) {
    let row = rows.value.wrapping_add(r * rows.stride);
    let whole = columns - columns % S::LANES;
    // SAFETY: columns 0..`columns` of row r lie in the parameter.
    unsafe {
        let mut squares = s.zero();
        for j in (0..whole).step_by(S::LANES) {
            let x = s.load_ptr(row.add(j));
            squares = s.fma(x, x, squares);
        }
        let rest = std::slice::from_raw_parts_mut(row.add(whole), columns - whole);
        let length = (s.sum(squares) + rest.iter().map(|x| x * x).sum::<f32>()).sqrt();
        let factor = 1.0 / length.max(TINY);
        for j in (0..whole).step_by(S::LANES) {
            s.store_ptr(row.add(j), s.mul(s.splat(factor), s.load_ptr(row.add(j))));
        }
        rest.iter_mut().for_each(|x| *x *= factor);
    }
}

/// Updates the first `width` floats of row `r`: adds L2 to the gradient, multiplies by `scale`, and applies the optimiser.
///
/// # Safety
/// `r` must be a row of the parameter that `rows` points to; `width` must be at most its stride and a multiple of [`LINE`];
/// `rows` must have passed [`Rows::check`]; no other thread may use the row during the call.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // a row of a parameter, and how to change it
unsafe fn update_row<S: Simd>(
    s: S,
    rule: &UpdateRule,
    scale: f32,
    rows: Rows,
    r: usize,
    width: usize,
    gradient: impl Fn(usize) -> S::F,
) {
    let UpdateRule { learning_rate, momentum, l2, epsilon, .. } = *rule;
    let UpdateRule { rmsprop_decay: decay, adam_beta1: beta1, adam_beta2: beta2, .. } = *rule;
    let at = |p: *mut f32, j: usize| p.wrapping_add(r * rows.stride + j);
    let rate = s.splat(-learning_rate);
    let (mut correct_mean, mut correct_square) = (1.0, 1.0);
    if rule.optimizer == Optimizer::Adam {
        // SAFETY: with Adam every row has a step count, as `Rows::check` has verified.
        let steps = unsafe { &mut *rows.steps.add(r) };
        *steps = steps.saturating_add(1);
        let t = f64::from(*steps);
        correct_mean = (1.0 / (1.0 - f64::from(beta1).powf(t))) as f32;
        correct_square = (1.0 / (1.0 - f64::from(beta2).powf(t))) as f32;
    }
    let mut j = 0;
    while j < width {
        // SAFETY: columns j..j + LANES of row r lie in the parameter and in each state that the rule has.
        unsafe {
            let value = s.load_ptr(at(rows.value, j));
            let mut g = gradient(j);
            if l2 != 0.0 {
                g = s.fma(s.splat(l2), value, g);
            }
            let g = s.mul(s.splat(scale), g);
            let delta = match rule.optimizer {
                Optimizer::Sgd => s.mul(rate, g),
                Optimizer::Adagrad => {
                    let a = s.fma(g, g, s.load_ptr(at(rows.square, j)));
                    s.store_ptr(at(rows.square, j), a);
                    s.div(s.mul(rate, g), s.sqrt(s.add(a, s.splat(epsilon))))
                }
                Optimizer::Rmsprop => {
                    let fresh = s.mul(s.splat(1.0 - decay), s.mul(g, g));
                    let a = s.fma(s.splat(decay), s.load_ptr(at(rows.square, j)), fresh);
                    s.store_ptr(at(rows.square, j), a);
                    s.div(s.mul(rate, g), s.sqrt(s.add(a, s.splat(epsilon))))
                }
                Optimizer::Adam => {
                    let m =
                        s.fma(s.splat(beta1), s.load_ptr(at(rows.mean, j)), s.mul(s.splat(1.0 - beta1), g));
                    s.store_ptr(at(rows.mean, j), m);
                    let fresh = s.mul(s.splat(1.0 - beta2), s.mul(g, g));
                    let v = s.fma(s.splat(beta2), s.load_ptr(at(rows.square, j)), fresh);
                    s.store_ptr(at(rows.square, j), v);
                    let root = s.sqrt(s.mul(v, s.splat(correct_square)));
                    s.div(s.mul(rate, s.mul(m, s.splat(correct_mean))), s.add(root, s.splat(epsilon)))
                }
            };
            let delta = if momentum != 0.0 {
                let v = s.fma(s.splat(momentum), s.load_ptr(at(rows.velocity, j)), delta);
                s.store_ptr(at(rows.velocity, j), v);
                v
            } else {
                delta
            };
            s.store_ptr(at(rows.value, j), s.add(value, delta));
        }
        j += S::LANES;
    }
}

#[cfg(test)]
mod tests;

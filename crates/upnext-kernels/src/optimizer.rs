//! How a gradient changes a parameter: Adagrad, RMSProp, SGD, Adam; momentum, L2; dense or row by row (`docs/algorithms.md`, section 4).

mod dense;
mod norm;
mod table;

use crate::LINE;
use crate::matrix::Matrix;
use crate::simd::{Simd, prefetch};

pub use dense::{DenseBlock, DenseBlocks, update_dense};
pub use norm::{dense_norm_squared, table_norm_squared};
pub use table::{TablePart, TableParts, update_table};

/// The algorithm that turns the gradient `g` of a parameter into its change Δ, with learning rate η.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Optimizer {
    /// `a += g²`, `Δ = −η g / sqrt(a + ε)`, `a` from 0 (Duchi et al. 2011): the paper's best.
    Adagrad,
    /// `a ← ρ a + (1 − ρ) g²`, `Δ = −η g / sqrt(a + ε)`.
    Rmsprop,
    /// `Δ = −η g`.
    Sgd,
    /// Kingma and Ba 2015, with bias correction by the number of updates of the parameter's row.
    Adam,
}

/// An optimiser with its hyper-parameters: how a step changes a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdateRule {
    /// The algorithm.
    pub optimizer: Optimizer,
    /// η.
    pub learning_rate: f32,
    /// μ: `v ← μ v + Δ`, `θ ← θ + v`; 0: `θ ← θ + Δ`.
    pub momentum: f32,
    /// λ: `g ← g + λ θ` before all else.
    pub l2: f32,
    /// ε: inside the root of Adagrad and RMSProp, added to the root of Adam.
    pub epsilon: f32,
    /// ρ of RMSProp.
    pub rmsprop_decay: f32,
    /// β₁ of Adam.
    pub adam_beta1: f32,
    /// β₂ of Adam.
    pub adam_beta2: f32,
}

impl UpdateRule {
    /// An algorithm at a learning rate, without momentum and L2, and with the usual constants: ε 1e-6 (Adam: 1e-8), ρ 0.9,
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

/// What an optimiser remembers of a parameter, row by row; all zeros at first.
#[derive(Clone, Debug)]
pub struct OptimizerState {
    /// Adagrad's and RMSProp's `a`, Adam's second moment.
    pub square: Option<Matrix>,
    /// Adam's first moment.
    pub mean: Option<Matrix>,
    /// The momentum's `v`.
    pub velocity: Option<Matrix>,
    /// Adam's number of updates of each row.
    pub steps: Vec<u32>,
}

impl OptimizerState {
    /// The state before the first update of a parameter of this shape.
    pub fn new(rule: &UpdateRule, rows: usize, width: usize) -> Self {
        let [square, mean, velocity] =
            Self::wanted(rule).map(|wanted| wanted.then(|| Matrix::zeros(rows, width)));
        // Adam alone has a mean.
        let steps = if mean.is_some() { vec![0; rows] } else { Vec::new() };
        Self { square, mean, velocity, steps }
    }

    /// Number of matrices of a parameter's shape that an optimiser remembers: what to ask of memory.
    pub fn matrices(rule: &UpdateRule) -> usize {
        Self::wanted(rule).into_iter().filter(|&wanted| wanted).count()
    }

    /// Whether there is a square, a mean, a velocity.
    fn wanted(rule: &UpdateRule) -> [bool; 3] {
        [rule.optimizer != Optimizer::Sgd, rule.optimizer == Optimizer::Adam, rule.momentum != 0.0]
    }

    /// Appends `count` rows that have never been updated.
    pub fn add_rows(&mut self, count: usize) {
        for matrix in [&mut self.square, &mut self.mean, &mut self.velocity].into_iter().flatten() {
            matrix.add_rows(count);
        }
        if !self.steps.is_empty() {
            self.steps.resize(self.steps.len() + count, 0);
        }
    }
}

/// Raw access to a parameter and its state, so that threads can each update rows of their own.
#[derive(Clone, Copy)]
struct Rows {
    value: *mut f32,
    square: *mut f32,
    mean: *mut f32,
    velocity: *mut f32,
    steps: *mut u32,
    stride: usize,
}

// SAFETY: the pointers are used by `update_row` alone, whose callers give every row to one thread only.
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

    /// Asks for `width` floats of row `r` of all that an update touches.
    #[inline(always)]
    fn prefetch(&self, r: usize, width: usize) {
        for p in [self.value, self.square, self.mean, self.velocity] {
            if !p.is_null() {
                let row = p.wrapping_add(r * self.stride);
                (0..width).step_by(crate::LINE).for_each(|j| prefetch(row.wrapping_add(j)));
            }
        }
    }

    /// Panics unless all that the optimiser remembers is there.
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

/// The gradients of one row: sums of rows of a matrix, each times a factor.
///
/// Gradient `u` is row `source[u]` of `gradients` times `factor[u]`; without a source it is row `u` itself.
#[derive(Clone, Copy, Debug)]
pub struct GradientRows<'a> {
    /// The gradients, padded rows.
    pub gradients: &'a Matrix,
    /// Which row of `gradients` each use stands for, and its factor.
    pub source: Option<(&'a [u32], &'a [f32])>,
}

impl GradientRows<'_> {
    /// The sum over `uses` of 1 vector at column `j`.
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

/// Applies the optimiser to row `r`, `width` floats of it, a vector at a time: L2 first, then `scale`, then the rule.
///
/// # Safety
/// Row `r` must lie in the parameter that `rows` was made of, `width` be at most its stride and a multiple of a cache
/// line, `rows` have passed [`Rows::check`], and nobody else use the row meanwhile.
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
        // SAFETY: with Adam there is a step count a row, which `Rows::check` has seen.
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

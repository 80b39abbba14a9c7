//! Forward and backward steps of recurrent cells for one row of a mini-batch (`docs/algorithms.md`, section 1), and
//! element-wise operations on rows.
//!
//! Shapes: `H` is the number of units, rounded up to whole cache lines. A row of gates holds `H` floats for each gate: GRU
//! `z, r, ĥ`; LSTM `i, f, o, g`; a plain unit has one block. The forward step replaces the pre-activations
//! (`x W + h' U + b`) by the activated gates. Gradients are truncated after one step: `h'` and `c'` count as constants.

use crate::activation::{Activation, sigmoid, tanh};
use crate::simd::{Isa, Kernel, Simd};

/// The type of recurrent unit in a layer \[1, section 3\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Unit {
    /// Gated recurrent unit; the reset gate is applied to the state before the recurrent product (Cho et al. 2014).
    Gru,
    /// Long short-term memory.
    Lstm,
    /// Simple (Elman) recurrent unit: `h = act(W x + U h')`.
    Rnn,
}

impl Unit {
    /// Number of gates including the candidate, which is the number of column blocks of a layer's weights.
    pub fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
            Self::Rnn => 1,
        }
    }
}

/// First half of a GRU step: activates `z` and `r` and writes `r ⊙ h'`, the operand of the candidate's recurrent product.
///
/// `gates`: 3 H; `previous` (`h'`), `reset_state` (`r ⊙ h'`): H.
///
/// # Panics
/// If the lengths do not match, or H is not a multiple of [`LINE`](crate::LINE).
pub fn gru_reset(isa: Isa, gates: &mut [f32], previous: &[f32], reset_state: &mut [f32]) {
    struct Reset<'a>(&'a mut [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Reset<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(gates, previous, reset_state) = self;
            let h = previous.len();
            for j in (0..h).step_by(S::LANES) {
                let z = sigmoid(s, s.load(&gates[j..]));
                s.store(&mut gates[j..], z);
                let r = sigmoid(s, s.load(&gates[h + j..]));
                s.store(&mut gates[h + j..], r);
                s.store(&mut reset_state[j..], s.mul(r, s.load(&previous[j..])));
            }
        }
    }
    check(3, gates, &[previous, reset_state]);
    isa.run(Reset(gates, previous, reset_state));
}

/// Second half of a GRU step: activates `ĥ` and writes `h = (1 − z) ⊙ h' + z ⊙ ĥ`.
///
/// `gates`: 3 H, with the activated `z` and the candidate's pre-activation; `previous`, `state`: H.
///
/// # Panics
/// If the lengths do not match, or H is not a multiple of [`LINE`](crate::LINE).
pub fn gru_update(isa: Isa, activation: Activation, gates: &mut [f32], previous: &[f32], state: &mut [f32]) {
    struct Update<'a>(Activation, &'a mut [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Update<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(activation, gates, previous, state) = self;
            let h = previous.len();
            for j in (0..h).step_by(S::LANES) {
                let z = s.load(&gates[j..]);
                let candidate = activation.apply(s, s.load(&gates[2 * h + j..]));
                s.store(&mut gates[2 * h + j..], candidate);
                let previous = s.load(&previous[j..]);
                s.store(&mut state[j..], s.fma(z, s.sub(candidate, previous), previous));
            }
        }
    }
    check(3, gates, &[previous, state]);
    isa.run(Update(activation, gates, previous, state));
}

/// First half of the backward pass of a GRU step: from the gradient of `h` to those of the pre-activations of `z` and `ĥ`.
///
/// `gates`, `d_gates`: 3 H (the block of `r` is not written); `previous`, `d_state`: H.
///
/// # Panics
/// If the lengths do not match, or H is not a multiple of [`LINE`](crate::LINE).
pub fn gru_update_backward(
    isa: Isa,
    activation: Activation,
    gates: &[f32],
    previous: &[f32],
    d_state: &[f32],
    d_gates: &mut [f32],
) {
    struct Backward<'a>(Activation, &'a [f32], &'a [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Backward<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(activation, gates, previous, d_state, d_gates) = self;
            let h = previous.len();
            let one = s.splat(1.0);
            for j in (0..h).step_by(S::LANES) {
                let (z, candidate) = (s.load(&gates[j..]), s.load(&gates[2 * h + j..]));
                let d = s.load(&d_state[j..]);
                let dz = s.mul(d, s.sub(candidate, s.load(&previous[j..])));
                s.store(&mut d_gates[j..], s.mul(dz, s.mul(z, s.sub(one, z))));
                let dc = s.mul(s.mul(d, z), activation.derivative(s, candidate));
                s.store(&mut d_gates[2 * h + j..], dc);
            }
        }
    }
    check(3, gates, &[previous, d_state]);
    assert_eq!(gates.len(), d_gates.len(), "gradients of other gates");
    isa.run(Backward(activation, gates, previous, d_state, d_gates));
}

/// Second half of the backward pass of a GRU step: from the gradient of `r ⊙ h'` to that of the pre-activation of `r`.
///
/// `gates`, `d_gates`: 3 H (only the block of `r` is written); `previous`, `d_reset_state`: H.
///
/// # Panics
/// If the lengths do not match, or H is not a multiple of [`LINE`](crate::LINE).
pub fn gru_reset_backward(
    isa: Isa,
    gates: &[f32],
    previous: &[f32],
    d_reset_state: &[f32],
    d_gates: &mut [f32],
) {
    struct Backward<'a>(&'a [f32], &'a [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Backward<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(gates, previous, d_reset_state, d_gates) = self;
            let h = previous.len();
            let one = s.splat(1.0);
            for j in (0..h).step_by(S::LANES) {
                let r = s.load(&gates[h + j..]);
                let dr = s.mul(s.load(&d_reset_state[j..]), s.load(&previous[j..]));
                s.store(&mut d_gates[h + j..], s.mul(dr, s.mul(r, s.sub(one, r))));
            }
        }
    }
    check(3, gates, &[previous, d_reset_state]);
    assert_eq!(gates.len(), d_gates.len(), "gradients of other gates");
    isa.run(Backward(gates, previous, d_reset_state, d_gates));
}

/// An LSTM step: `c = f ⊙ c' + i ⊙ g`, `h = o ⊙ tanh(c)` (Hochreiter and Schmidhuber 1997, with a forget gate).
///
/// `gates`: 4 H, activated in place; `previous_cell` (`c'`), `cell`, `state`: H.
///
/// # Panics
/// If the lengths do not match, or H is not a multiple of [`LINE`](crate::LINE).
pub fn lstm(isa: Isa, gates: &mut [f32], previous_cell: &[f32], cell: &mut [f32], state: &mut [f32]) {
    struct Lstm<'a>(&'a mut [f32], &'a [f32], &'a mut [f32], &'a mut [f32]);
    impl Kernel for Lstm<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(gates, previous_cell, cell, state) = self;
            let h = previous_cell.len();
            for j in (0..h).step_by(S::LANES) {
                let i = sigmoid(s, s.load(&gates[j..]));
                let f = sigmoid(s, s.load(&gates[h + j..]));
                let o = sigmoid(s, s.load(&gates[2 * h + j..]));
                let g = tanh(s, s.load(&gates[3 * h + j..]));
                for (gate, x) in [i, f, o, g].into_iter().enumerate() {
                    s.store(&mut gates[gate * h + j..], x);
                }
                let c = s.fma(f, s.load(&previous_cell[j..]), s.mul(i, g));
                s.store(&mut cell[j..], c);
                s.store(&mut state[j..], s.mul(o, tanh(s, c)));
            }
        }
    }
    check(4, gates, &[previous_cell, cell, state]);
    isa.run(Lstm(gates, previous_cell, cell, state));
}

/// Backward pass of an LSTM step: from the gradient of `h` to those of all pre-activations.
///
/// `gates`, `d_gates`: 4 H; `previous_cell`, `cell`, `d_state`: H.
///
/// # Panics
/// If the lengths do not match, or H is not a multiple of [`LINE`](crate::LINE).
pub fn lstm_backward(
    isa: Isa,
    gates: &[f32],
    previous_cell: &[f32],
    cell: &[f32],
    d_state: &[f32],
    d_gates: &mut [f32],
) {
    struct Backward<'a>(&'a [f32], &'a [f32], &'a [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Backward<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(gates, previous_cell, cell, d_state, d_gates) = self;
            let h = previous_cell.len();
            let one = s.splat(1.0);
            for j in (0..h).step_by(S::LANES) {
                let [i, f, o, g]: [S::F; 4] = std::array::from_fn(|gate| s.load(&gates[gate * h + j..]));
                let t = tanh(s, s.load(&cell[j..]));
                let d = s.load(&d_state[j..]);
                let dc = s.mul(s.mul(d, o), s.sub(one, s.mul(t, t)));
                let logistic = |d: S::F, y: S::F| s.mul(d, s.mul(y, s.sub(one, y)));
                let gradients = [
                    logistic(s.mul(dc, g), i),
                    logistic(s.mul(dc, s.load(&previous_cell[j..])), f),
                    logistic(s.mul(d, t), o),
                    s.mul(s.mul(dc, i), s.sub(one, s.mul(g, g))),
                ];
                for (gate, x) in gradients.into_iter().enumerate() {
                    s.store(&mut d_gates[gate * h + j..], x);
                }
            }
        }
    }
    check(4, gates, &[previous_cell, cell, d_state]);
    assert_eq!(gates.len(), d_gates.len(), "gradients of other gates");
    isa.run(Backward(gates, previous_cell, cell, d_state, d_gates));
}

fn check(gates: usize, blocks: &[f32], rows: &[&[f32]]) {
    let h = rows[0].len();
    assert!(
        h.is_multiple_of(crate::LINE) && blocks.len() == gates * h && rows.iter().all(|row| row.len() == h),
        "a cell of {gates} gates with {} floats of gates and rows of {:?}",
        blocks.len(),
        rows.iter().map(|row| row.len()).collect::<Vec<_>>()
    );
}

/// Adds a multiple of one vector to another: `y ← y + a x`.
///
/// # Panics
/// If the lengths differ or are not a multiple of [`LINE`](crate::LINE).
pub fn add_scaled(isa: Isa, a: f32, x: &[f32], y: &mut [f32]) {
    struct AddScaled<'a>(f32, &'a [f32], &'a mut [f32]);
    impl Kernel for AddScaled<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let a = s.splat(self.0);
            for (x, y) in self.1.chunks_exact(S::LANES).zip(self.2.chunks_exact_mut(S::LANES)) {
                s.store(y, s.fma(a, s.load(x), s.load(y)));
            }
        }
    }
    assert!(x.len() == y.len() && x.len().is_multiple_of(crate::LINE), "{} floats to {}", x.len(), y.len());
    isa.run(AddScaled(a, x, y));
}

/// Multiplies a vector by another, element by element: `y ← y ⊙ x`.
///
/// # Panics
/// If the lengths differ or are not a multiple of [`LINE`](crate::LINE).
pub fn multiply(isa: Isa, x: &[f32], y: &mut [f32]) {
    struct Multiply<'a>(&'a [f32], &'a mut [f32]);
    impl Kernel for Multiply<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for (x, y) in self.0.chunks_exact(S::LANES).zip(self.1.chunks_exact_mut(S::LANES)) {
                s.store(y, s.mul(s.load(x), s.load(y)));
            }
        }
    }
    assert!(x.len() == y.len() && x.len().is_multiple_of(crate::LINE), "{} floats by {}", x.len(), y.len());
    isa.run(Multiply(x, y));
}

/// The dot product of two vectors: `Σ_j x_j y_j`.
///
/// # Panics
/// If the lengths differ or are not a multiple of [`LINE`](crate::LINE).
pub fn dot(isa: Isa, x: &[f32], y: &[f32]) -> f32 {
    struct Dot<'a>(&'a [f32], &'a [f32]);
    impl Kernel for Dot<'_> {
        type Output = f32;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f32 {
            let mut sum = s.zero();
            for (x, y) in self.0.chunks_exact(S::LANES).zip(self.1.chunks_exact(S::LANES)) {
                sum = s.fma(s.load(x), s.load(y), sum);
            }
            s.sum(sum)
        }
    }
    assert!(x.len() == y.len() && x.len().is_multiple_of(crate::LINE), "{} floats by {}", x.len(), y.len());
    isa.run(Dot(x, y))
}

/// Counts, for each lane, the scores in a block that are larger than the lane's target and those that are equal to it.
///
/// `scores`: items × L, `scores[r * L + b]`; `target`, `larger`, `equal`: L, a multiple of [`LINE`](crate::LINE). The counts
/// are added to `larger` and `equal`, and are exact below 2²⁴. Returns whether all scores of the first `rows` lanes are
/// finite; if not, the counts are meaningless.
///
/// # Panics
/// If the lengths do not match.
pub fn count_above(
    isa: Isa,
    scores: &[f32],
    rows: usize,
    target: &[f32],
    larger: &mut [f32],
    equal: &mut [f32],
) -> bool {
    struct Count<'a>(&'a [f32], usize, &'a [f32], &'a mut [f32], &'a mut [f32]);
    impl Kernel for Count<'_> {
        type Output = bool;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> bool {
            let Self(scores, rows, target, larger, equal) = self;
            let lanes = target.len();
            let (one, zero) = (s.splat(1.0), s.zero());
            let mut finite = true;
            for v in (0..lanes).step_by(S::LANES) {
                let t = s.load(&target[v..]);
                let (mut above, mut not_below, mut nothing) = (zero, zero, zero);
                for x in scores.chunks_exact(lanes) {
                    let x = s.load(&x[v..]);
                    above = s.add(above, s.select(s.lt(t, x), one, zero));
                    // 0 times an infinity or a NaN is NaN.
                    nothing = s.fma(x, zero, nothing);
                    not_below = s.add(not_below, s.select(s.lt(x, t), zero, one));
                }
                let total = s.add(s.load(&larger[v..]), above);
                s.store(&mut larger[v..], total);
                let total = s.add(s.load(&equal[v..]), s.sub(not_below, above));
                s.store(&mut equal[v..], total);
                let mut lanes = [0.0; crate::LINE];
                s.store(&mut lanes, nothing);
                finite &= lanes.iter().take(rows.saturating_sub(v)).all(|x| *x == 0.0);
            }
            finite
        }
    }
    let lanes = target.len();
    assert!(
        lanes.is_multiple_of(crate::LINE) && lanes > 0 && scores.len().is_multiple_of(lanes),
        "{} scores of {lanes} lanes",
        scores.len()
    );
    assert!(larger.len() == lanes && equal.len() == lanes, "counts of another number of lanes");
    isa.run(Count(scores, rows, target, larger, equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize, phase: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
    }

    #[test]
    fn a_gru_step_follows_its_equations() {
        let sigma = |x: f32| 1.0 / (1.0 + (-x).exp());
        for isa in Isa::available() {
            let h = 32;
            let (gates, previous) = (wave(3 * h, 0.1), wave(h, 0.9));
            let (mut g, mut reset, mut state) = (gates.clone(), vec![0.0; h], vec![0.0; h]);
            gru_reset(isa, &mut g, &previous, &mut reset);
            gru_update(isa, Activation::Tanh, &mut g, &previous, &mut state);
            for j in 0..h {
                let (z, r, c) = (sigma(gates[j]), sigma(gates[h + j]), gates[2 * h + j].tanh());
                assert!((reset[j] - r * previous[j]).abs() < 1e-6);
                assert!((state[j] - ((1.0 - z) * previous[j] + z * c)).abs() < 1e-6, "{isa} unit {j}");
            }
        }
    }

    #[test]
    fn counts_tell_larger_from_equal() {
        for isa in Isa::available() {
            let scores: Vec<f32> = (0..5 * 16).map(|i| (i / 16) as f32).collect();
            let target: Vec<f32> = (0..16).map(|b| (b % 5) as f32).collect();
            let (mut larger, mut equal) = (vec![1.0; 16], vec![0.0; 16]);
            assert!(count_above(isa, &scores, 16, &target, &mut larger, &mut equal));
            for b in 0..16 {
                assert_eq!((larger[b], equal[b]), (1.0 + (4 - b % 5) as f32, 1.0), "{isa} lane {b}");
            }
            for wrong in [f32::NAN, f32::INFINITY] {
                let mut scores = scores.clone();
                scores[3 * 16 + 9] = wrong;
                assert!(!count_above(isa, &scores, 10, &target, &mut larger, &mut equal));
                assert!(count_above(isa, &scores, 9, &target, &mut larger, &mut equal));
            }
        }
    }
}

//! Losses of a block of scores and their gradients (`docs/algorithms.md`, section 3; derivations in `docs/gradients.md`).
//!
//! Shapes: `B` rows of the mini-batch, `L` lanes (B rounded up to whole cache lines), `R` scored items (the B targets,
//! then the samples). Scores are stored item by item, `scores[r * L + b]`: a vector holds the scores of one item for
//! adjacent rows of the mini-batch, and sums over items need no horizontal additions.
//!
//! The R items are processed in tiles that fit the L1 cache: [`LossFunction::collect`] adds a tile's scores to the sums,
//! [`LossFunction::combine`] computes the loss from the sums of all tiles, and [`LossFunction::gradient`] replaces each tile's
//! scores by their gradients. An excluded score (the row's own target, or a masked one) is −∞ in the block and has gradient
//! 0; the target's score is passed separately.

use crate::activation::{Activation, exp, log, sigmoid, softplus_sigmoid};
use crate::simd::{Isa, Kernel, Simd};

/// The loss of a mini-batch \[1, section 3.1.3; 2, section 3\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Loss {
    /// `1/N Σ_j [σ(r̂_j − r̂_i) + σ(r̂_j²)]` \[1\].
    Top1,
    /// `−1/N Σ_j log σ(r̂_i − r̂_j)` \[1\].
    Bpr,
    /// `−log softmax(r̂)_i` over the positive and the negatives \[1\].
    CrossEntropy,
    /// TOP1 weighted by the softmax `s` over the negatives: `Σ_j s_j [σ(r̂_j − r̂_i) + σ(r̂_j²)]` \[2\].
    Top1Max,
    /// BPR weighted by the softmax `s` over the negatives, with a score penalty of weight λ:
    /// `−log Σ_j s_j σ(r̂_i − r̂_j) + λ Σ_j s_j r̂_j²` \[2\].
    BprMax,
    /// `1 − 1/R` with the smooth rank `R = 1 + Σ_j σ(r̂_j − r̂_i)`: the pointwise objective for MRR that \[1, section 4.2\]
    /// tried, in a form of our own (`docs/gradients.md`).
    Mrr,
}

/// A loss with its parameter and the output activation that was applied to the scores.
///
/// [`Loss::CrossEntropy`] contains the softmax, and requires [`Activation::Linear`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossFunction {
    /// The loss.
    pub loss: Loss,
    /// λ of BPR-max; the other losses ignore it.
    pub bpr_max_penalty: f32,
    /// The output activation.
    pub activation: Activation,
}

/// Inputs of a loss for each row of the mini-batch: slices of L floats.
#[derive(Clone, Copy, Debug)]
pub struct LossRows<'a> {
    /// The score of the row's target.
    pub positive: &'a [f32],
    /// 1 / the number of negatives; ignored for rows without negatives.
    pub inverse_negatives: &'a [f32],
    /// The weight of the row's loss: 1 / the configured batch size; 0 for padding lanes and for rows without negatives.
    pub weight: &'a [f32],
}

/// The number of floats that the sums hold for each lane.
pub const SUMS: usize = 6;

/// The initial maximum: below any score, and finite so that differences to it are not NaN.
const LOWEST: f32 = -1e30;

// The rows of the sums while they are collected …
const MAX: usize = 0; // the largest score
const TOTAL: usize = 1; // Σ exp(s − MAX), or the plain sum of the loss
const MAX_GAIN: usize = 2; // BPR-max: the largest s + log σ(p − s)
const GAIN: usize = 3; // BPR-max: Σ exp(s + log σ(p − s) − MAX_GAIN)
const SLOPE: usize = 4; // Σ of what becomes −∂/∂positive
const VALUE: usize = 5; // TOP1-max: Σ exp(s − MAX) · value; BPR-max: Σ exp(s − MAX) · s²
// … and after `combine`, with the same maxima.
const SHARE: usize = 1; // weight / Σ
const GAIN_SHARE: usize = 3;
const MEAN: usize = 5;

impl LossFunction {
    /// Initialises sums, SUMS × L floats, before the first tile.
    pub fn reset(sums: &mut [f32]) {
        let lanes = sums.len() / SUMS;
        sums.fill(0.0);
        sums[MAX * lanes..][..lanes].fill(LOWEST);
        sums[MAX_GAIN * lanes..][..lanes].fill(LOWEST);
    }

    /// Adds a tile of scores to `sums`.
    ///
    /// `scores`: items of the tile × L; `sums`: SUMS × L; `tile_max`: L. [`gradient`](Self::gradient) needs `scores` and
    /// `tile_max` as this call leaves them.
    ///
    /// # Panics
    /// If the shapes do not match, or cross-entropy has an activation other than linear.
    pub fn collect(
        &self,
        isa: Isa,
        scores: &mut [f32],
        rows: &LossRows,
        sums: &mut [f32],
        tile_max: &mut [f32],
    ) {
        self.check(scores, rows, sums, tile_max);
        isa.run(Collect { loss: *self, scores, positive: rows.positive, sums, tile_max });
    }

    /// Adds the sums of other tiles, `other`, to `sums` (both SUMS × L).
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn merge(&self, isa: Isa, sums: &mut [f32], other: &[f32]) {
        assert_eq!(sums.len(), other.len(), "sums of another number of lanes");
        isa.run(Merge { sums, other });
    }

    /// Computes the loss from the sums over all tiles.
    ///
    /// Writes the weighted loss of each lane to `loss` and the gradient of its target's score before the activation to
    /// `d_positive` (L each), and prepares `sums` for [`gradient`](Self::gradient).
    ///
    /// # Panics
    /// If the shapes do not match, or cross-entropy has an activation other than linear.
    pub fn combine(
        &self,
        isa: Isa,
        rows: &LossRows,
        sums: &mut [f32],
        loss: &mut [f32],
        d_positive: &mut [f32],
    ) {
        self.check(&[], rows, sums, loss);
        assert_eq!(d_positive.len(), loss.len(), "gradients of another number of lanes");
        isa.run(Combine { loss: *self, rows: *rows, sums, value: loss, d_positive });
    }

    /// Replaces the scores of a tile, as [`collect`](Self::collect) left them, by the gradients of the scores before the
    /// activation.
    ///
    /// # Panics
    /// If the shapes do not match, or cross-entropy has an activation other than linear.
    pub fn gradient(&self, isa: Isa, scores: &mut [f32], rows: &LossRows, sums: &[f32], tile_max: &[f32]) {
        self.check(scores, rows, sums, tile_max);
        isa.run(Gradient { loss: *self, scores, rows: *rows, sums, tile_max });
    }

    fn check(&self, scores: &[f32], rows: &LossRows, sums: &[f32], per_lane: &[f32]) {
        let lanes = per_lane.len();
        assert!(
            lanes > 0
                && lanes.is_multiple_of(crate::LINE)
                && scores.len().is_multiple_of(lanes)
                && sums.len() == SUMS * lanes
                && [rows.positive, rows.inverse_negatives, rows.weight].iter().all(|x| x.len() == lanes),
            "a loss over {lanes} lanes with {} scores and {} sums",
            scores.len(),
            sums.len()
        );
        assert!(
            self.loss != Loss::CrossEntropy || self.activation == Activation::Linear,
            "cross-entropy takes linear scores"
        );
    }
}

/// TOP1 of one negative score s with target score p: `(value, −∂value/∂p, ∂value/∂s)`; all 0 if the score is excluded.
#[inline(always)]
fn top1<S: Simd>(s: S, x: S::F, positive: S::F) -> (S::F, S::F, S::F) {
    let one = s.splat(1.0);
    let live = s.lt(s.splat(LOWEST), x);
    let x = s.select(live, x, s.zero());
    let a = sigmoid(s, s.sub(x, positive));
    let b = sigmoid(s, s.mul(x, x));
    let slope = s.mul(a, s.sub(one, a));
    let square = s.mul(s.mul(b, s.sub(one, b)), s.add(x, x));
    let zero = s.zero();
    (
        s.select(live, s.add(a, b), zero),
        s.select(live, slope, zero),
        s.select(live, s.add(slope, square), zero),
    )
}

/// The term of a negative in the smooth rank, σ(s − p), and its derivative; both 0 if the score is excluded.
#[inline(always)]
fn rank_above<S: Simd>(s: S, x: S::F, positive: S::F) -> (S::F, S::F) {
    let live = s.lt(s.splat(LOWEST), x);
    let a = s.select(live, sigmoid(s, s.sub(x, positive)), s.zero());
    (a, s.mul(a, s.sub(s.splat(1.0), a)))
}

struct Collect<'a> {
    loss: LossFunction,
    scores: &'a mut [f32],
    positive: &'a [f32],
    sums: &'a mut [f32],
    tile_max: &'a mut [f32],
}

impl Kernel for Collect<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { loss: LossFunction { loss: kind, activation, .. }, scores, positive, sums, tile_max } =
            self;
        let lanes = tile_max.len();
        for v in (0..lanes).step_by(S::LANES) {
            let p = s.load(&positive[v..]);
            let sum_at = |row: usize| row * lanes + v;
            let load = |sums: &[f32], row: usize| s.load(&sums[sum_at(row)..]);
            match kind {
                Loss::Bpr | Loss::Top1 | Loss::Mrr => {
                    let (mut total, mut slope) = (load(sums, TOTAL), load(sums, SLOPE));
                    for x in scores.chunks_exact_mut(lanes) {
                        let y = s.load(&x[v..]);
                        let (value, da, dx) = match kind {
                            Loss::Bpr => {
                                let (value, sigma) = softplus_sigmoid(s, s.sub(y, p));
                                (value, sigma, sigma)
                            }
                            Loss::Mrr => {
                                let (value, slope) = rank_above(s, y, p);
                                (value, slope, slope)
                            }
                            _ => top1(s, y, p),
                        };
                        total = s.add(total, value);
                        slope = s.add(slope, da);
                        let d = s.mul(dx, activation.derivative(s, y));
                        // An excluded score is −∞, and its derivative may be NaN.
                        s.store(&mut x[v..], s.select(s.lt(s.splat(LOWEST), y), d, s.zero()));
                    }
                    s.store(&mut sums[sum_at(TOTAL)..], total);
                    s.store(&mut sums[sum_at(SLOPE)..], slope);
                }
                Loss::CrossEntropy | Loss::Top1Max | Loss::BprMax => {
                    let mut max = s.splat(LOWEST);
                    for x in scores.chunks_exact(lanes) {
                        max = s.max(s.load(&x[v..]), max);
                    }
                    s.store(&mut tile_max[v..], max);
                    let (mut total, mut max_gain, mut gain, mut slope, mut value) =
                        (s.zero(), s.splat(LOWEST), s.zero(), s.zero(), s.zero());
                    match kind {
                        Loss::CrossEntropy => {
                            for x in scores.chunks_exact_mut(lanes) {
                                let e = exp(s, s.sub(s.load(&x[v..]), max));
                                total = s.add(total, e);
                                // The gradient is this times a factor of the lane.
                                s.store(&mut x[v..], e);
                            }
                        }
                        Loss::Top1Max => {
                            for x in scores.chunks_exact(lanes) {
                                let y = s.load(&x[v..]);
                                let e = exp(s, s.sub(y, max));
                                let (t, da, _) = top1(s, y, p);
                                total = s.add(total, e);
                                value = s.fma(e, t, value);
                                slope = s.fma(e, da, slope);
                            }
                        }
                        _ => {
                            // s + log σ(p − s) increases with s: the largest score gives its maximum.
                            max_gain = s.sub(max, softplus_sigmoid(s, s.sub(max, p)).0);
                            for x in scores.chunks_exact(lanes) {
                                let y = s.load(&x[v..]);
                                let e = exp(s, s.sub(y, max));
                                let (softplus, sigma) = softplus_sigmoid(s, s.sub(y, p));
                                let g = exp(s, s.sub(s.sub(y, softplus), max_gain));
                                let y = s.max(y, s.splat(LOWEST));
                                total = s.add(total, e);
                                gain = s.add(gain, g);
                                slope = s.fma(g, sigma, slope);
                                value = s
                                    .add(value, s.select(s.lt(s.zero(), e), s.mul(e, s.mul(y, y)), s.zero()));
                            }
                        }
                    }
                    merge(s, sums, lanes, v, [max, total, max_gain, gain, slope, value]);
                }
            }
        }
    }
}

/// The sums of the lanes from `v` on. The closure of an `array::from_fn` would not always be inlined.
#[inline(always)]
fn load_sums<S: Simd>(s: S, sums: &[f32], lanes: usize, v: usize) -> [S::F; SUMS] {
    let mut loaded = [s.zero(); SUMS];
    for (row, sum) in loaded.iter_mut().enumerate() {
        *sum = s.load(&sums[row * lanes + v..]);
    }
    loaded
}

/// Adds sums that are relative to other maxima to the sums at lane `v`.
#[inline(always)]
fn merge<S: Simd>(s: S, sums: &mut [f32], lanes: usize, v: usize, new: [S::F; SUMS]) {
    let old = load_sums(s, sums, lanes, v);
    let max = s.max(old[MAX], new[MAX]);
    let max_gain = s.max(old[MAX_GAIN], new[MAX_GAIN]);
    let (a, b) = (exp(s, s.sub(old[MAX], max)), exp(s, s.sub(new[MAX], max)));
    let (c, d) = (exp(s, s.sub(old[MAX_GAIN], max_gain)), exp(s, s.sub(new[MAX_GAIN], max_gain)));
    // SLOPE is relative to MAX in TOP1-max, to MAX_GAIN in BPR-max, and to no maximum in the other losses. Both factors of
    // an unused maximum are 1, and no loss uses both maxima for the slope.
    let both = [
        max,
        s.fma(old[TOTAL], a, s.mul(new[TOTAL], b)),
        max_gain,
        s.fma(old[GAIN], c, s.mul(new[GAIN], d)),
        s.zero(),
        s.fma(old[VALUE], a, s.mul(new[VALUE], b)),
    ];
    let gain_in_use = s.lt(s.splat(LOWEST), max_gain);
    let (e, f) = (s.select(gain_in_use, c, a), s.select(gain_in_use, d, b));
    for (row, x) in both.into_iter().enumerate() {
        let x = if row == SLOPE { s.fma(old[SLOPE], e, s.mul(new[SLOPE], f)) } else { x };
        s.store(&mut sums[row * lanes + v..], x);
    }
}

struct Merge<'a> {
    sums: &'a mut [f32],
    other: &'a [f32],
}

impl Kernel for Merge<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let lanes = self.sums.len() / SUMS;
        for v in (0..lanes).step_by(S::LANES) {
            let other = load_sums(s, self.other, lanes, v);
            merge(s, self.sums, lanes, v, other);
        }
    }
}

struct Combine<'a> {
    loss: LossFunction,
    rows: LossRows<'a>,
    sums: &'a mut [f32],
    value: &'a mut [f32],
    d_positive: &'a mut [f32],
}

impl Kernel for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            loss: LossFunction { loss: kind, bpr_max_penalty: penalty, activation },
            rows,
            sums,
            value,
            d_positive,
        } = self;
        let lanes = value.len();
        for v in (0..lanes).step_by(S::LANES) {
            let at = |row: usize| row * lanes + v;
            let (p, inverse, weight) = (
                s.load(&rows.positive[v..]),
                s.load(&rows.inverse_negatives[v..]),
                s.load(&rows.weight[v..]),
            );
            let old = load_sums(s, sums, lanes, v);
            // The sum of a lane with a score is at least 1. A lane without scores has weight 0; the floor avoids 0 / 0.
            let floor = s.splat(1e-30);
            let (max, total, gain) = (old[MAX], s.max(old[TOTAL], floor), s.max(old[GAIN], floor));
            let share = s.div(weight, total);
            let (loss, dp) = match kind {
                Loss::Bpr | Loss::Top1 => {
                    let share = s.mul(weight, inverse);
                    s.store(&mut sums[at(SHARE)..], share);
                    (s.mul(old[TOTAL], share), s.mul(old[SLOPE], share))
                }
                Loss::Mrr => {
                    let above = old[TOTAL];
                    let inverse_rank = s.div(s.splat(1.0), s.add(s.splat(1.0), above));
                    let share = s.mul(weight, inverse_rank);
                    let slope = s.mul(share, inverse_rank);
                    s.store(&mut sums[at(SHARE)..], slope);
                    // 1 − 1/R = (R − 1) / R, which avoids cancellation for R close to 1.
                    (s.mul(above, share), s.mul(old[SLOPE], slope))
                }
                Loss::CrossEntropy => {
                    let m = s.max(max, p);
                    let e = exp(s, s.sub(p, m));
                    let total = s.fma(old[TOTAL], exp(s, s.sub(max, m)), e);
                    s.store(&mut sums[at(MAX)..], m);
                    s.store(&mut sums[at(SHARE)..], s.div(weight, total));
                    let loss = s.add(log(s, total), s.sub(m, p));
                    (s.mul(loss, weight), s.mul(s.sub(s.splat(1.0), s.div(e, total)), weight))
                }
                Loss::Top1Max => {
                    let mean = s.div(old[VALUE], total);
                    s.store(&mut sums[at(SHARE)..], share);
                    s.store(&mut sums[at(MEAN)..], mean);
                    (s.mul(mean, weight), s.mul(old[SLOPE], share))
                }
                Loss::BprMax => {
                    let mean = s.div(old[VALUE], total);
                    let gain_share = s.div(weight, gain);
                    s.store(&mut sums[at(SHARE)..], share);
                    s.store(&mut sums[at(GAIN_SHARE)..], gain_share);
                    s.store(&mut sums[at(MEAN)..], mean);
                    let loss = s.add(
                        s.sub(max, old[MAX_GAIN]),
                        s.fma(s.splat(penalty), mean, s.sub(log(s, total), log(s, gain))),
                    );
                    (s.mul(loss, weight), s.mul(old[SLOPE], gain_share))
                }
            };
            // Lanes of weight 0 may hold infinities.
            let counts = s.lt(s.zero(), weight);
            s.store(&mut value[v..], s.select(counts, loss, s.zero()));
            let d = s.mul(s.sub(s.zero(), dp), activation.derivative(s, p));
            s.store(&mut d_positive[v..], s.select(counts, d, s.zero()));
        }
    }
}

struct Gradient<'a> {
    loss: LossFunction,
    scores: &'a mut [f32],
    rows: LossRows<'a>,
    sums: &'a [f32],
    tile_max: &'a [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            loss: LossFunction { loss: kind, bpr_max_penalty: penalty, activation },
            scores,
            rows,
            sums,
            tile_max,
        } = self;
        let lanes = tile_max.len();
        for v in (0..lanes).step_by(S::LANES) {
            let sum = load_sums(s, sums, lanes, v);
            let (max, share, max_gain, gain_share, mean) =
                (sum[MAX], sum[SHARE], sum[MAX_GAIN], sum[GAIN_SHARE], sum[MEAN]);
            let p = s.load(&rows.positive[v..]);
            let counts = s.lt(s.zero(), s.load(&rows.weight[v..]));
            match kind {
                Loss::Bpr | Loss::Top1 | Loss::Mrr | Loss::CrossEntropy => {
                    let factor = if kind == Loss::CrossEntropy {
                        s.mul(share, exp(s, s.sub(s.load(&tile_max[v..]), max)))
                    } else {
                        share
                    };
                    let factor = s.select(counts, factor, s.zero());
                    for x in scores.chunks_exact_mut(lanes) {
                        let d = s.mul(s.load(&x[v..]), factor);
                        s.store(&mut x[v..], d);
                    }
                }
                Loss::Top1Max | Loss::BprMax => {
                    for x in scores.chunks_exact_mut(lanes) {
                        let y = s.load(&x[v..]);
                        let e = s.mul(exp(s, s.sub(y, max)), share);
                        let finite = s.max(y, s.splat(LOWEST));
                        let d = if kind == Loss::BprMax {
                            let (softplus, sigma) = softplus_sigmoid(s, s.sub(y, p));
                            let g = s.mul(exp(s, s.sub(s.sub(y, softplus), max_gain)), gain_share);
                            let pull = s.sub(e, s.mul(g, s.sub(s.splat(1.0), sigma)));
                            let square = s.sub(s.fma(finite, finite, s.add(finite, finite)), mean);
                            s.fma(s.mul(e, s.splat(penalty)), square, pull)
                        } else {
                            let (t, _, dx) = top1(s, y, p);
                            s.mul(e, s.add(s.sub(t, mean), dx))
                        };
                        let d = s.mul(d, activation.derivative(s, finite));
                        let live = s.lt(s.splat(LOWEST), y);
                        s.store(&mut x[v..], s.select(counts, s.select(live, d, s.zero()), s.zero()));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

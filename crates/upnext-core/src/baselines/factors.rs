//! The common part of the factor models BPR-MF and session-average.
//!
//! Shapes: `n` items, `k` factors. A table holds one vector per item, n × (k + 1). Its last column is the bias of a
//! scored item; a session's vector has a constant there, which multiplies the bias in the product.
//!
//! Both models minimise the BPR loss (Rendle et al., UAI 2009): for a session vector `s`, an item `i` of the session
//! and an item `j` outside it, `ℓ = −log σ(x_i − x_j)` with `x_i = s · q_i + b_i`. Stochastic gradient descent takes
//! one pair at a time, on one thread.

use crate::arrays::{Arrays, Tensor};
use crate::batch::{Batch, Carry};
use crate::data::{ItemIndex, Sessions};
use crate::history::{FitEvent, Observer};
use crate::recommender::{Factors, SessionScorer, TableProducts, lanes};
use crate::{Error, Result, memory};
use upnext_kernels::{Activation, CounterRng, Isa, Matrix, padded};

/// Largest number of factors: the largest width of a network's layer.
const MAX_FACTORS: usize = 1 << 16;

/// Streams of random numbers.
const INITIAL: u64 = 0;
const EPOCHS: u64 = 1;

/// Number of draws after which the observer is asked.
const DRAWS_A_GLANCE: usize = 1 << 14;

/// Number of draws without a negative after which a pair is skipped.
const MAX_DRAWS: usize = 64;

/// The parameters of training, common to the configurations of both models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) factors: usize,
    pub(super) learning_rate: f32,
    pub(super) regularization: f32,
    pub(super) epochs: usize,
    pub(super) item_biases: bool,
}

impl Settings {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |field: &str, reason: String| Err(Error::config(format!("model.{field}"), reason));
        if !(1..=MAX_FACTORS).contains(&self.factors) {
            return refuse("factors", format!("is {}: use 1 to {MAX_FACTORS}", self.factors));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse(
                "learning_rate",
                format!("is {}: use a finite number above 0", self.learning_rate),
            );
        }
        let decay = self.learning_rate * self.regularization;
        if !(self.regularization >= 0.0 && decay < 1.0) {
            return refuse(
                "regularization",
                format!("is {}: use a number from 0 to below 1 / model.learning_rate", self.regularization),
            );
        }
        if self.epochs == 0 {
            return refuse("epochs", "is 0: use at least 1".into());
        }
        Ok(())
    }

    /// The constant of session vectors in the column of the biases. With 0, biases have no gradient and stay 0.
    pub(super) fn constant(&self) -> f32 {
        if self.item_biases { 1.0 } else { 0.0 }
    }

    /// A table of `rows` initial vectors: factors uniform in ±1 / (2 √k), biases 0.
    pub(super) fn initial(&self, rows: usize, seed: u64, table: u64) -> Matrix {
        let rng = CounterRng::new(seed, INITIAL).substream(table);
        let (k, mut vectors) = (self.factors, Matrix::zeros(rows, self.factors + 1));
        let scale = 1.0 / (k as f32).sqrt();
        for r in 0..rows {
            for (j, x) in vectors.row_mut(r)[..k].iter_mut().enumerate() {
                *x = scale * (rng.unit_f32((r * k + j) as u64) - 0.5);
            }
        }
        vectors
    }

    /// Checks that training fits into memory, with tables of `rows` rows in all and the list of pairs.
    ///
    /// # Errors
    /// [`Error::Memory`] if it does not.
    pub(super) fn require_memory(&self, rows: usize, sessions: &Sessions) -> Result<()> {
        let pairs = sessions.num_events().saturating_mul(size_of::<Pair>());
        let tables = Matrix::bytes(rows, self.factors + 1);
        memory::require("learning factors", tables.saturating_add(pairs) as u64)
    }

    /// Runs `epochs` epochs of as many draws as there are events at positions ≥ `first` of the sessions. Each draw
    /// calls `step` with such an event and its session, drawn with replacement as by Rendle et al., and an item outside the session.
    ///
    /// Draws are a pure function of seed, epoch and counter. Draws from sessions that contain nearly all items are
    /// skipped.
    ///
    /// # Errors
    /// [`Error::Config`] if `finite` is false at the end of an epoch; [`Error::Stopped`] if the observer, which is asked now
    /// and then, breaks.
    pub(super) fn learn<T>(
        &self,
        sessions: &Sessions,
        (items, first): (usize, u32),
        (seed, observe): (u64, &mut Observer<'_>),
        tables: &mut T,
        mut step: impl FnMut(&mut T, (Pair, &[ItemIndex]), ItemIndex),
        finite: impl Fn(&T) -> bool,
    ) -> Result<()> {
        let pairs: Vec<Pair> = sessions
            .iter()
            .enumerate()
            .flat_map(|(s, items)| {
                (first..items.len() as u32).map(move |position| Pair { session: s as u32, position })
            })
            .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let rows = sessions.rows();
        for epoch in 0..self.epochs {
            let rng = CounterRng::new(seed, EPOCHS).substream(epoch as u64);
            let mut counter = 0;
            let mut below = |n: usize| {
                counter += 1;
                rng.below(counter, n as u64) as usize
            };
            for draw in 0..pairs.len() {
                if draw % DRAWS_A_GLANCE == 0 {
                    let (done, of) = (epoch * pairs.len() + draw, self.epochs.saturating_mul(pairs.len()));
                    if observe(FitEvent::Draws { done: done as u64, of: of as u64 }).is_break() {
                        return Err(Error::Stopped);
                    }
                }
                let pair = pairs[below(pairs.len())];
                let session = rows.session(pair.session as usize);
                let outside = (0..MAX_DRAWS)
                    .map(|_| below(items) as ItemIndex)
                    .find(|negative| !session.contains(negative));
                if let Some(negative) = outside {
                    step(tables, (pair, session), negative);
                }
            }
            if !finite(tables) {
                let reason = format!(
                    "is {}: factors are no longer finite numbers after epoch {}: use a smaller one",
                    self.learning_rate,
                    epoch + 1
                );
                return Err(Error::config("model.learning_rate", reason));
            }
        }
        Ok(())
    }

    /// `θ ← θ + share · η (slope · direction − λ θ)`: a step of gradient descent on `share · (ℓ + λ/2 |θ|²)`.
    #[inline]
    pub(super) fn update(&self, parameters: &mut [f32], share: f32, slope: f32, direction: &[f32]) {
        let keep = 1.0 - share * self.learning_rate * self.regularization;
        let add = share * self.learning_rate * slope;
        for (x, d) in parameters.iter_mut().zip(direction) {
            *x = keep * *x + add * d;
        }
    }

    /// Updates the vectors of a pair of items and returns `σ(x_j − x_i)`, the negative derivative of the loss by
    /// `x_i − x_j`. `difference` is set to `q_i − q_j` before the update, for the gradient of the session vector.
    pub(super) fn update_items(
        &self,
        items: &mut Matrix,
        (positive, negative): (ItemIndex, ItemIndex),
        session: &[f32],
        difference: &mut [f32],
    ) -> f32 {
        let (i, j) = (positive as usize, negative as usize);
        for ((d, a), b) in difference.iter_mut().zip(items.row(i)).zip(items.row(j)) {
            *d = a - b;
        }
        let slope = 1.0 / (1.0 + dot(session, difference).exp());
        self.update(items.row_mut(i), 1.0, slope, session);
        self.update(items.row_mut(j), 1.0, -slope, session);
        slope
    }
}

/// A positive of training: an event, by its session and its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) session: u32,
    pub(super) position: u32,
}

impl Pair {
    /// The items of its session before the event, and the item of the event.
    pub(super) fn of(self, session: &[ItemIndex]) -> (&[ItemIndex], ItemIndex) {
        let at = self.position as usize;
        (&session[..at], session[at])
    }
}

/// The dot product, summed in the same order on every machine. Lengths are multiples of 16.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    for (x, y) in x.as_chunks::<16>().0.iter().zip(y.as_chunks::<16>().0) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum()
}

/// Whether all numbers of a table are finite.
pub(super) fn is_finite(table: &Matrix) -> bool {
    table.data().iter().all(|x| x.is_finite())
}

/// Adds a table to the arrays of a model: the factors (n × k) as `name`, and the biases (n) as `bias` if it has any.
pub(super) fn save(table: &Matrix, name: &str, bias: Option<&str>, arrays: &mut Arrays) {
    let (n, k) = (table.rows(), table.width() - 1);
    let values = (0..n).flat_map(|r| &table.values(r)[..k]).copied().collect();
    arrays.tensors.insert(name.into(), Tensor { shape: vec![n, k], values });
    if let Some(bias) = bias {
        let values = (0..n).map(|r| table.values(r)[k]).collect();
        arrays.tensors.insert(bias.into(), Tensor { shape: vec![n], values });
    }
}

/// Removes a table of `n` vectors of `k` factors from the arrays of a model, as [`save`] adds it.
///
/// # Errors
/// [`Error::Weights`] for an array that is missing, has the wrong shape, or is not finite.
pub(super) fn load(
    (n, k): (usize, usize),
    name: &str,
    bias: Option<&str>,
    arrays: &mut Arrays,
) -> Result<Matrix> {
    let mut take = |name: &str, shape: &[usize]| {
        let values = arrays.take_tensor(name, shape)?;
        match values.iter().all(|x| x.is_finite()) {
            true => Ok(values),
            false => Err(Error::weights(name, "has a number that is not finite")),
        }
    };
    let factors = take(name, &[n, k])?;
    let biases = bias.map(|bias| take(bias, &[n])).transpose()?;
    let mut table = Matrix::zeros(n, k + 1);
    for (r, vector) in factors.chunks_exact(k).enumerate() {
        table.row_mut(r)[..k].copy_from_slice(vector);
    }
    for (r, &bias) in biases.iter().flatten().enumerate() {
        table.row_mut(r)[k] = bias;
    }
    Ok(table)
}

/// The `k` factors of an item, without the bias. `items`: n × (k + 1).
pub(super) fn vector(items: &Matrix, item: ItemIndex) -> Option<&[f32]> {
    items.values(item as usize).split_last().map(|(_bias, factors)| factors)
}

/// The bias of an item. `items`: n × (k + 1).
pub(super) fn bias(items: &Matrix, item: ItemIndex) -> Option<f32> {
    items.values(item as usize).last().copied()
}

/// A session scorer that multiplies the vectors of items by the mean vector of the session's items.
pub(super) struct MeanScorer<'m> {
    /// Vectors of the scored items, with biases: n × (k + 1).
    scored: &'m Matrix,
    /// Vectors of the session's items: n × (k + 1).
    session_items: &'m Matrix,
    /// Rows × (k + 1): the sum of the vectors of each row's events, in their order; `before` is that of the step
    /// before.
    sums: Matrix,
    before: Matrix,
    /// The number of events of each row; `counts_before` is that of the step before.
    counts: Vec<u32>,
    counts_before: Vec<u32>,
    /// Rows × (k + 1): the mean of each row, then a constant 1.
    means: Matrix,
    /// (k + 1) × rows, rounded up to whole cache lines: `means` transposed.
    lanes: Matrix,
    isa: Isa,
    products: TableProducts,
}

impl<'m> MeanScorer<'m> {
    /// A session scorer for up to `rows` sessions.
    pub(super) fn new(scored: &'m Matrix, session_items: &'m Matrix, rows: usize) -> Self {
        let (width, isa) = (scored.width(), Isa::detect());
        Self {
            scored,
            session_items,
            sums: Matrix::zeros(rows, width),
            before: Matrix::zeros(rows, width),
            counts: Vec::with_capacity(rows),
            counts_before: Vec::with_capacity(rows),
            means: Matrix::zeros(rows, width),
            lanes: Matrix::zeros(width, padded(rows)),
            isa,
            products: TableProducts::new(isa, width),
        }
    }
}

impl SessionScorer for MeanScorer<'_> {
    fn read(&mut self, batch: &Batch) {
        std::mem::swap(&mut self.sums, &mut self.before);
        std::mem::swap(&mut self.counts, &mut self.counts_before);
        self.counts.clear();
        let k = self.scored.width() - 1;
        for (b, (&item, &carry)) in batch.inputs.iter().zip(&batch.carry).enumerate() {
            let (sum, vector) = (self.sums.row_mut(b), self.session_items.row(item as usize));
            let count = match carry {
                Carry::Fresh => {
                    sum.copy_from_slice(vector);
                    1
                }
                Carry::Row(from) => {
                    for ((sum, before), x) in sum.iter_mut().zip(self.before.row(from)).zip(vector) {
                        *sum = before + x;
                    }
                    self.counts_before[from] + 1
                }
            };
            self.counts.push(count);
            let mean = &mut self.means.row_mut(b)[..=k];
            for (mean, sum) in mean.iter_mut().zip(sum.iter()) {
                *mean = sum / count as f32;
            }
            mean[k] = 1.0;
        }
        self.means.transpose_rows(batch.len(), &mut self.lanes);
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        let lanes = lanes(self.counts.len());
        self.products.compute(self.scored, &self.lanes, items, lanes, &mut scores[..items.len() * lanes]);
    }

    fn factors(&self) -> Option<Factors<'_>> {
        let activation = Activation::Linear;
        Some(Factors { items: self.scored, states: &self.lanes, activation, isa: self.isa })
    }
}

#[cfg(test)]
pub(super) mod tests {
    //! Helpers of the tests of both models, and tests of the draws.

    use super::*;
    use std::ops::ControlFlow;

    pub(crate) const SETTINGS: Settings =
        Settings { factors: 5, learning_rate: 1.0, regularization: 0.3, epochs: 3, item_biases: true };

    pub(crate) fn sessions(lists: &[&[ItemIndex]]) -> Sessions {
        let mut sessions = Sessions::new();
        lists.iter().for_each(|items| sessions.push(items, 0));
        sessions
    }

    /// `−log σ(x)`.
    pub(crate) fn softplus_of_minus(x: f64) -> f64 {
        (-x).max(0.0) + (-x.abs()).exp().ln_1p()
    }

    /// A table in f64, row by row.
    pub(crate) type Rows = Vec<Vec<f64>>;

    /// Asserts that the step from `before` to `after`, with a learning rate of 1, is the negative gradient of `loss` by
    /// central differences in f64.
    pub(crate) fn is_a_step_down(before: &[Matrix], after: &[Matrix], loss: &dyn Fn(&[Rows]) -> f64) {
        let values = |table: &Matrix| -> Rows {
            (0..table.rows()).map(|r| table.values(r).iter().map(|&x| f64::from(x)).collect()).collect()
        };
        let at: Vec<Rows> = before.iter().map(values).collect();
        let mut moved = 0;
        for (t, table) in after.iter().enumerate() {
            for r in 0..table.rows() {
                for c in 0..table.width() {
                    let shifted = |by: f64| {
                        let mut at = at.clone();
                        at[t][r][c] += by;
                        loss(&at)
                    };
                    let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                    let step = f64::from(table.values(r)[c]) - at[t][r][c];
                    assert!(
                        (step + slope).abs() < 1e-6,
                        "table {t}, row {r}, column {c}: {step}, not {}",
                        -slope
                    );
                    moved += usize::from(slope.abs() > 1e-3);
                }
            }
        }
        assert!(moved > 10, "a gradient of zeros proves nothing");
    }

    /// All pairs that an epoch draws, with their negatives.
    fn drawn(sessions: &Sessions, items: usize, first: u32, seed: u64) -> Vec<(Pair, ItemIndex)> {
        let mut drawn = Vec::new();
        let step =
            |drawn: &mut Vec<_>, (pair, _): (Pair, &[ItemIndex]), negative| drawn.push((pair, negative));
        let observe = &mut |_: FitEvent<'_>| ControlFlow::Continue(());
        SETTINGS.learn(sessions, (items, first), (seed, observe), &mut drawn, step, |_| true).unwrap();
        drawn
    }

    #[test]
    fn negatives_lie_outside_the_session_and_every_pair_and_negative_is_drawn() {
        let lists: Vec<Vec<ItemIndex>> = (0..40).map(|s| (s % 7..s % 7 + 5).collect()).collect();
        let sessions = sessions(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let pairs = drawn(&sessions, 12, 1, 5);
        assert_eq!(pairs.len(), 3 * 40 * 4);
        for &(pair, negative) in &pairs {
            assert!(pair.position >= 1 && !sessions.session(pair.session as usize).contains(&negative));
        }
        for item in 0..12 {
            let share = pairs.iter().filter(|&&(_, negative)| negative == item).count();
            assert!((5..120).contains(&share), "item {item} {share} times");
        }
        let again = drawn(&sessions, 12, 1, 5);
        assert_eq!(pairs, again);
        assert_ne!(pairs, drawn(&sessions, 12, 1, 6));
        let (one, two) = (&pairs[..160], &pairs[160..320]);
        assert_ne!(one, two, "every epoch draws the same");
    }

    #[test]
    fn a_session_of_all_items_is_passed_over() {
        let pairs = drawn(&sessions(&[&[0, 1, 2, 3], &[3, 1]]), 4, 0, 9);
        assert!(pairs.len() < 18 && !pairs.is_empty());
        assert!(pairs.iter().all(|(pair, negative)| pair.session == 1 && [0, 2].contains(negative)));
        assert!(drawn(&sessions(&[&[2], &[]]), 4, 1, 9).is_empty());
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_their_field() {
        SETTINGS.validate().unwrap();
        let refused = |settings: Settings, field: &str| {
            let message = settings.validate().unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("model.{field}: is ")) && message.contains("use "),
                "{message}"
            );
        };
        refused(Settings { factors: 0, ..SETTINGS }, "factors");
        refused(Settings { factors: 1 << 17, ..SETTINGS }, "factors");
        refused(Settings { epochs: 0, ..SETTINGS }, "epochs");
        for number in [0.0, -0.1, f32::NAN, f32::INFINITY] {
            refused(Settings { learning_rate: number, ..SETTINGS }, "learning_rate");
        }
        for number in [-0.1, f32::NAN, f32::INFINITY, 1.0] {
            refused(Settings { regularization: number, ..SETTINGS }, "regularization");
        }
    }

    #[test]
    fn initial_factors_fill_their_range_and_differ_by_table_and_seed() {
        let range = 0.5 / 5f32.sqrt();
        let of = |seed, table| SETTINGS.initial(400, seed, table);
        let first = of(1, 0);
        let all: Vec<f32> = (0..400).flat_map(|r| first.values(r)[..5].to_vec()).collect();
        let (low, high) = all.iter().fold((0f32, 0f32), |(low, high), &x| (low.min(x), high.max(x)));
        assert!(low >= -range && low < -0.98 * range && high <= range && high > 0.98 * range, "{low} {high}");
        assert!((0..400).all(|r| first.values(r)[5] == 0.0));
        assert!(of(1, 0).data() == first.data() && of(2, 0).data() != first.data());
        assert!(of(1, 1).data() != first.data());
    }
}

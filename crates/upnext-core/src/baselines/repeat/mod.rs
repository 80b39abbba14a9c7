//! Repeat: the items of the session so far, by how likely the visitor is to click each of them again.

mod fit;
mod walk;

use crate::arrays::{Arrays, Tensor};
use crate::batch::{Batch, Carry};
use crate::data::{ItemIndex, ItemVocabulary};
use crate::documented::documented;
use crate::recommender::{Recommender, SessionScorer, lanes};
use crate::{Error, Result};
use fit::CELLS;
use serde::{Deserialize, Serialize};
use walk::{SHAPE, Walk};

documented! {
    /// The configuration of [`Repeat`].
    ///
    /// The defaults are ours: they had the best likelihood of the settings that were tried on the last tenth of the
    /// training sessions of three public logs.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct RepeatConfig {
        /// Strength of the shrinkage of a chance towards that of a coarser class, in pairs, above 0 and up to 1,000,000. The
        /// default is our choice.
        pub shrinkage: f32,
        /// Strength of the shrinkage of an item's tendency towards 1, in expected repeats, above 0 and up to 1,000,000. The
        /// default is our choice.
        pub item_shrinkage: f32,
    }
}

impl Default for RepeatConfig {
    fn default() -> Self {
        Self { shrinkage: 30.0, item_shrinkage: 20.0 }
    }
}

impl RepeatConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        for (field, value) in
            [("model.shrinkage", self.shrinkage), ("model.item_shrinkage", self.item_shrinkage)]
        {
            if !(value > 0.0 && value <= 1e6) {
                return Err(Error::config(
                    field,
                    format!("must be above 0 and at most 1000000, not {value}"),
                ));
            }
        }
        Ok(())
    }
}

/// A model of repeats: whether the next click is on an item of the session, and on which one.
///
/// After each click, every item `i` of the session has the chance `h(i)` of being the next one, by its age (clicks since
/// its latest one), its count, the latest move of the visitor (onward, back, or the same item again) and the number of
/// distinct items so far: the share of the training pairs with these features in which it was the next one, shrunk towards
/// the share with fewer features. `h(i)` is multiplied by the item's tendency `r_i = (R_i + κ) / (E_i + κ)`, with `R_i` its
/// repeats in training, `E_i` the repeats that the chances alone let expect, and `κ` a shrinkage (the posterior mean of a
/// Poisson rate with a gamma prior of mean 1). The sum `S = Σ h(i) r_i` is mapped to the probability `ρ` of a repeat by a
/// calibration that was fitted to the same pairs, each without its own part in `r`. Then
///
/// * `P(i) = ρ h(i) r_i / S` for the items of the session, which are the latest 128 distinct ones;
/// * `P(j) = (1 − ρ) q_j / Σ q` for the others, the sum over items outside the session, with `q_j` a half plus the number
///   of training pairs whose next item was `j` and new to the session.
///
/// The score of an item of the session is `1 + P(i)`, that of another one `P(j)`, so that the session's items come first,
/// as those of S-POP do. Of equal chances, the item that was new to sessions more often comes first; this order is part of
/// the score. The model is ours.
#[derive(Clone)]
pub struct Repeat {
    /// `h`, a table of [`SHAPE`].
    chances: Vec<f32>,
    /// `r`.
    tendencies: Vec<f32>,
    /// `q`, without the half.
    novel: Vec<f32>,
    /// `Σ q`, over all items.
    total: f64,
    calibration: Calibration,
}

/// A function that never falls, linear between its points and constant outside them; without points, the identity.
#[derive(Clone, Debug, Default, PartialEq)]
struct Calibration {
    at: Vec<f32>,
    share: Vec<f32>,
}

impl Calibration {
    fn share_at(&self, sum: f32) -> f32 {
        let above = self.at.partition_point(|&at| at <= sum);
        match (above.checked_sub(1), self.at.get(above)) {
            (None, None) => sum.clamp(0.0, 1.0),
            (None, Some(_)) => self.share[0],
            (Some(last), None) => self.share[last],
            (Some(below), Some(_)) => {
                let part = (sum - self.at[below]) / (self.at[above] - self.at[below]);
                self.share[below] + part * (self.share[above] - self.share[below])
            }
        }
    }
}

impl std::fmt::Debug for Repeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repeat({} items)", self.novel.len())
    }
}

/// Names of the arrays in files.
const CHANCES: &str = "chances";
const TENDENCIES: &str = "items.tendency";
const NOVEL: &str = "items.novel";
const AT: &str = "calibration.at";
const SHARE: &str = "calibration.share";

/// What is added to the count of an item, so that none has probability 0.
const HALF: f32 = 0.5;

impl Repeat {
    fn new(
        items: usize,
        chances: Vec<f32>,
        tendencies: Vec<f32>,
        novel: Vec<f32>,
        calibration: Calibration,
    ) -> Self {
        debug_assert_eq!((chances.len(), tendencies.len(), novel.len()), (CELLS, items, items));
        let total = novel.iter().map(|&count| f64::from(count + HALF)).sum();
        Self { chances, tendencies, novel, total, calibration }
    }

    /// The model as arrays: `chances`, `items.tendency` and `items.novel` (n), `calibration.at` and `calibration.share`.
    pub fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        let mut add = |name: &str, shape: &[usize], values: &[f32]| {
            arrays.tensors.insert(name.to_owned(), Tensor { shape: shape.to_vec(), values: values.to_vec() });
        };
        add(CHANCES, &SHAPE, &self.chances);
        add(TENDENCIES, &[self.tendencies.len()], &self.tendencies);
        add(NOVEL, &[self.novel.len()], &self.novel);
        add(AT, &[self.calibration.at.len()], &self.calibration.at);
        add(SHARE, &[self.calibration.share.len()], &self.calibration.share);
        arrays
    }

    /// Creates the model from the result of [`arrays`](Self::arrays).
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; [`Error::Weights`] for arrays that do not fit.
    pub fn from_arrays(config: &RepeatConfig, items: &ItemVocabulary, mut arrays: Arrays) -> Result<Self> {
        config.validate()?;
        let n = items.len();
        let points = arrays.tensors.get(AT).map_or(0, |tensor| tensor.values.len());
        let mut take = |name: &str, shape: &[usize], fits: fn(f32) -> bool| {
            let values = arrays.take_tensor(name, shape)?;
            match values.iter().find(|&&value| !fits(value)) {
                Some(value) => Err(Error::weights(name, format!("has the value {value}"))),
                None => Ok(values),
            }
        };
        let share = |value: f32| value > 0.0 && value < 1.0;
        let chances = take(CHANCES, &SHAPE, share)?;
        let tendencies = take(TENDENCIES, &[n], |value| value > 0.0 && value.is_finite())?;
        let novel = take(NOVEL, &[n], |value| value >= 0.0 && value.is_finite())?;
        let at = take(AT, &[points], |value| value > 0.0 && value.is_finite())?;
        let calibration = Calibration { at, share: take(SHARE, &[points], share)? };
        for (name, values) in [(AT, &calibration.at), (SHARE, &calibration.share)] {
            if values.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(Error::weights(name, "does not rise"));
            }
        }
        arrays.finish()?;
        Ok(Self::new(n, chances, tendencies, novel, calibration))
    }
}

fitted_kind!(
    Repeat(RepeatConfig),
    space: Some(include_str!("../../../experiments/spaces/repeat.toml")),
    reads: Nothing,
    scale: AboveOne,
    |config, fit| Self::fit(config, &fit.data)
);

impl Recommender for Repeat {
    fn name(&self) -> &str {
        "repeat"
    }

    fn num_items(&self) -> usize {
        self.novel.len()
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(RepeatScorer {
            model: self,
            rows: Vec::with_capacity(rows),
            outside: Vec::with_capacity(lanes(rows)),
            sessions_with: vec![0; self.novel.len()],
        })
    }
}

struct RepeatScorer<'m> {
    model: &'m Repeat,
    rows: Vec<Row>,
    /// `(1 − ρ) / Σ q` of each row, padded to lanes.
    outside: Vec<f32>,
    /// Number of rows in whose session each item is. It is 0 for nearly all items, whose rows need no lookup.
    sessions_with: Vec<u32>,
}

/// A session of a batch.
#[derive(Clone, Default)]
struct Row {
    walk: Walk,
    /// The session's items and their scores.
    scores: Vec<(ItemIndex, f32)>,
}

impl Row {
    /// Computes the scores of the session's items; returns the factor of those outside.
    fn score(&mut self, model: &Repeat) -> f32 {
        self.scores.clear();
        let (mut sum, mut inside) = (0.0, 0.0);
        for (item, cell) in self.walk.items() {
            let weight = model.chances[cell] * model.tendencies[item as usize];
            sum += weight;
            inside += f64::from(model.novel[item as usize] + HALF);
            self.scores.push((item, weight));
        }
        let repeat = model.calibration.share_at(sum);
        let order = |a: &(ItemIndex, f32), b: &(ItemIndex, f32)| {
            let novel = |entry: &(ItemIndex, f32)| model.novel[entry.0 as usize];
            a.1.total_cmp(&b.1).then(novel(a).total_cmp(&novel(b))).then(b.0.cmp(&a.0))
        };
        self.scores.sort_unstable_by(order);
        let mut above = 1.0;
        for (_, score) in &mut self.scores {
            *score = (1.0 + repeat * (*score / sum)).max(above);
            above = score.next_up();
        }
        // Without items outside the session, the factor is not used.
        ((1.0 - f64::from(repeat)) / (model.total - inside).max(f64::from(HALF))) as f32
    }
}

impl SessionScorer for RepeatScorer<'_> {
    fn read(&mut self, batch: &Batch) {
        let mut before = std::mem::take(&mut self.rows);
        for row in &before {
            row.scores.iter().for_each(|&(item, _)| self.sessions_with[item as usize] -= 1);
        }
        self.outside.clear();
        for (&item, &carry) in batch.inputs.iter().zip(&batch.carry) {
            let mut row = match carry {
                Carry::Fresh => Row::default(),
                Carry::Row(from) => std::mem::take(&mut before[from]),
            };
            row.walk.read(item);
            self.outside.push(row.score(self.model));
            row.scores.iter().for_each(|&(item, _)| self.sessions_with[item as usize] += 1);
            self.rows.push(row);
        }
        self.outside.resize(lanes(self.rows.len()), 0.0);
    }

    fn weights(&mut self, b: usize) -> Option<&[(ItemIndex, f32)]> {
        Some(&self.rows[b].scores)
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        for (&item, scores) in items.iter().zip(scores.chunks_exact_mut(self.outside.len())) {
            let novel = self.model.novel[item as usize] + HALF;
            for (score, outside) in scores.iter_mut().zip(&self.outside) {
                *score = novel * outside;
            }
            if self.sessions_with[item as usize] > 0 {
                for (score, row) in scores.iter_mut().zip(&self.rows) {
                    if let Some(&(_, own)) = row.scores.iter().find(|seen| seen.0 == item) {
                        *score = own;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! The items that a step scores: targets and additional negative samples \[2\], with logQ offsets and masks.

use super::config::TrainingConfig;
use super::network::Stream;
use crate::data::{ItemIndex, ItemVocabulary};
use crate::{Error, Result};
use upnext_kernels::{AliasTable, CounterRng, RowGroups};

/// Draws items with probability ∝ support^α, in constant time each.
///
/// The samples are a pure function of the seed and the step. A resumed training therefore draws the same samples as an
/// uninterrupted one, and the samples of the next step can be drawn during the update of this one.
#[derive(Clone, Debug)]
pub(crate) struct NegativeSampler {
    table: AliasTable,
    rng: CounterRng,
    samples: usize,
}

impl NegativeSampler {
    /// A sampler of `samples` items per step; `None` if no item has support.
    pub(crate) fn new(items: &ItemVocabulary, alpha: f64, samples: usize, seed: u64) -> Option<Self> {
        // Items without events are never drawn, with α = 0 either.
        let weight = |&support: &u64| if support == 0 { 0.0 } else { (support as f64).powf(alpha) };
        let weights: Vec<f64> = items.supports().iter().map(weight).collect();
        Some(Self { table: AliasTable::new(&weights)?, rng: Stream::Samples.of(seed), samples })
    }

    /// Appends the samples of a step.
    pub(crate) fn draw(&self, step: u64, items: &mut Vec<u32>) {
        let first = step * self.samples as u64;
        items.extend((0..self.samples as u64).map(|i| self.table.pick(self.rng.bits(first + i))));
    }
}

/// The items that a step scores, the targets of its mini-batch and then the additional samples, with their logQ offsets
/// and masks (`docs/algorithms.md`, section 3).
///
/// They are a pure function of the configuration, the seed, the step's number and its targets, so that every
/// [`Backend`](super::Backend) trains on the same items.
#[derive(Debug)]
pub struct ScoredItems {
    sampler: Option<NegativeSampler>,
    /// `q · log(support)` of each item, if logQ is on.
    log_support: Option<Vec<f32>>,
    sample_alpha: f32,
    same_items: Option<RowGroups>,
    drawn: StepSamples,
    items: Vec<ItemIndex>,
    offsets: Vec<f32>,
    masked: Vec<(u32, u32)>,
}

/// The additional samples of a step, and the step that they were drawn for.
#[derive(Debug, Default)]
struct StepSamples {
    step: Option<u64>,
    items: Vec<ItemIndex>,
    offsets: Vec<f32>,
}

impl StepSamples {
    fn draw(&mut self, step: u64, sampler: &NegativeSampler, log_support: Option<(&[f32], f32)>) {
        if self.step == Some(step) {
            return;
        }
        self.step = Some(step);
        self.items.clear();
        sampler.draw(step, &mut self.items);
        self.offsets.clear();
        if let Some((log_support, alpha)) = log_support {
            self.offsets.extend(self.items.iter().map(|&item| log_support[item as usize] * alpha));
        }
    }
}

impl ScoredItems {
    /// Creates the scored items of a training over a vocabulary; [`prepare`](Self::prepare) fills them for a step.
    ///
    /// # Errors
    /// [`Error::Config`] if samples are configured and no item has support, or `sample_alpha` is too large for a finite
    /// distribution.
    pub fn new(items: &ItemVocabulary, training: &TrainingConfig) -> Result<Self> {
        let sampler = if training.samples > 0 {
            let sampler = NegativeSampler::new(items, training.sample_alpha, training.samples, training.seed);
            Some(sampler.ok_or_else(|| {
                let reason = "the items' supports give no distribution: use 0 to 1";
                Error::config("training.sample_alpha", reason)
            })?)
        } else {
            None
        };
        let q = training.logq_for_loss();
        let log_support = (q > 0.0).then(|| {
            let log = |&support: &u64| q * (support.max(1) as f64).ln() as f32;
            items.supports().iter().map(log).collect()
        });
        let most = training.batch_size + training.samples;
        Ok(Self {
            sampler,
            log_support,
            sample_alpha: training.sample_alpha as f32,
            same_items: training.mask_own_target.then(|| RowGroups::new(items.len())),
            drawn: StepSamples::default(),
            items: Vec::with_capacity(most),
            offsets: Vec::with_capacity(most),
            masked: Vec::new(),
        })
    }

    /// Sets the items of a step. `step` is its number, from 0 over all epochs; `targets` are those of its mini-batch.
    pub fn prepare(&mut self, step: u64, targets: &[ItemIndex]) {
        let log_support = self.log_support.as_deref();
        if let Some(sampler) = &self.sampler {
            self.drawn.draw(step, sampler, log_support.zip(Some(self.sample_alpha)));
        }
        self.items.clear();
        self.items.extend_from_slice(targets);
        self.items.extend_from_slice(&self.drawn.items);
        if let Some(log_support) = log_support {
            self.offsets.clear();
            self.offsets.extend(targets.iter().map(|&item| log_support[item as usize]));
            self.offsets.extend_from_slice(&self.drawn.offsets);
        }
        if let Some(groups) = &mut self.same_items {
            groups.group((0..).zip(self.items.iter().copied()));
            self.masked.clear();
            for b in 0..targets.len() {
                let same = groups.uses(groups.group_of(b)).iter().filter(|&&r| r as usize != b);
                self.masked.extend(same.map(|&r| (r, b as u32)));
            }
            self.masked.sort_unstable();
        }
    }

    /// The targets of the mini-batch, then the samples.
    pub fn items(&self) -> &[ItemIndex] {
        &self.items
    }

    /// The logQ correction, to be subtracted from the score of each item; `None` if it is off.
    pub fn offsets(&self) -> Option<&[f32]> {
        self.log_support.as_ref().map(|_| &self.offsets[..])
    }

    /// (Index of a scored item, row of the mini-batch), ascending: with `mask_own_target`, the items that are not
    /// negatives of the row because they equal its target. The target itself is not listed.
    pub fn masked(&self) -> &[(u32, u32)] {
        &self.masked
    }

    /// The items of the current step, and a closure that draws the samples of step `next`, which may run during the
    /// step.
    pub(super) fn for_step(&mut self, next: u64) -> (StepScores<'_>, Option<impl FnMut() + Send>) {
        let Self { sampler, log_support, sample_alpha, drawn, items, offsets, masked, .. } = self;
        let log_support = log_support.as_deref().zip(Some(*sample_alpha));
        let scores = StepScores { items, offsets: log_support.map(|_| &offsets[..]), masked };
        (scores, sampler.as_ref().map(|sampler| move || drawn.draw(next, sampler, log_support)))
    }
}

/// The scored items of a step, borrowed from [`ScoredItems`].
pub(super) struct StepScores<'a> {
    pub(super) items: &'a [ItemIndex],
    pub(super) offsets: Option<&'a [f32]>,
    pub(super) masked: &'a [(u32, u32)],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_support_to_the_power_of_alpha() {
        let mut items = ItemVocabulary::new();
        for (id, support) in [("a", 1), ("b", 16), ("c", 81), ("none", 0)] {
            items.add(id, support);
        }
        for (alpha, expected) in [(0.0, [1.0, 1.0, 1.0]), (0.5, [1.0, 4.0, 9.0]), (1.0, [1.0, 16.0, 81.0])] {
            let sampler = NegativeSampler::new(&items, alpha, 10, 1).unwrap();
            let mut drawn = Vec::new();
            (0..5000).for_each(|step| sampler.draw(step, &mut drawn));
            let total: f64 = expected.iter().sum();
            for item in 0..3 {
                let share = drawn.iter().filter(|&&i| i == item).count() as f64 / drawn.len() as f64;
                assert!((share - expected[item as usize] / total).abs() < 0.01, "{alpha}: {share}");
            }
            assert!(!drawn.contains(&3));
            let mut again = Vec::new();
            sampler.draw(7, &mut again);
            assert_eq!(again, drawn[70..80]);
        }
    }
}

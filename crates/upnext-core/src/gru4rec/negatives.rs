//! Additional negative samples \[2\]: drawn by support, shared by the rows of a mini-batch.

use super::network::Stream;
use crate::data::{ItemIndex, ItemVocabulary};
use upnext_kernels::{AliasTable, CounterRng};

/// Draws items with probability ∝ support^α.
///
/// The samples of a step are a function of seed and step, so that a resumed training draws what the other would have,
/// and a step's samples can be drawn while the step before is updating; blocks of many steps would gain nothing.
#[derive(Clone, Debug)]
pub(crate) struct NegativeSampler {
    table: AliasTable,
    rng: CounterRng,
    samples: usize,
}

impl NegativeSampler {
    /// A sampler of `samples` items a step; `None` if no item has support.
    pub(crate) fn new(items: &ItemVocabulary, alpha: f64, samples: usize, seed: u64) -> Option<Self> {
        // An item without events is no candidate, for α = 0 too.
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

/// Additional samples of a step, drawn while the step before was updating or, where there was none, at once.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    step: Option<u64>,
    pub(crate) items: Vec<ItemIndex>,
    /// What logQ subtracts of each, where it is on.
    pub(crate) offsets: Vec<f32>,
}

impl Drawn {
    /// Draws the samples of a step; `log_support`: with the factor α for samples.
    pub(crate) fn draw(&mut self, step: u64, sampler: &NegativeSampler, log_support: Option<(&[f32], f32)>) {
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

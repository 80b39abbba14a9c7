//! The models that are tried, in their order, by rules whose evidence is in `docs/results.md`.

use crate::baselines::DecayPopConfig;
use crate::experiment::{Experiment, ModelConfig, ModelKind};
use crate::gru4rec::config::{NetworkConfig, TrainingConfig};

/// A model to try.
pub(super) struct Trial {
    /// A name that no other trial has.
    pub(super) name: String,
    pub(super) experiment: Experiment,
}

/// Half-lives of popularity: that of the last minutes to hours, and that of the last day or so.
const HALF_LIVES: [(&str, f32); 2] = [("decay-pop-fast", 0.002), ("decay-pop-slow", 0.05)];

/// The models that are fitted in seconds to minutes.
///
/// `repeat` is one of them even where visitors never return to an item: the others list the session's items, and a blend learns
/// from it that these do not come next.
pub(super) fn cheap() -> Vec<Trial> {
    let trial = |name: &str, model: ModelConfig| Trial {
        name: name.to_owned(),
        experiment: Experiment { model, ..Experiment::default() },
    };
    let kinds = [ModelKind::Sr, ModelKind::Vstan, ModelKind::Repeat];
    let by_default = kinds.into_iter().map(|kind| trial(kind.name(), ModelConfig::of_kind(kind)));
    let of_late = HALF_LIVES
        .into_iter()
        .map(|(name, half_life)| trial(name, ModelConfig::DecayPop(DecayPopConfig { half_life })));
    by_default.chain(of_late).collect()
}

/// The networks, in the order of what they are expected to gain for their time, for a log of this many items.
pub(super) fn networks(items: usize, seed: u64) -> Vec<Trial> {
    let trial = |name: &str, model: NetworkConfig, training: TrainingConfig| Trial {
        name: name.to_owned(),
        experiment: Experiment { model: ModelConfig::Gru4rec(model), training, ..Experiment::default() },
    };
    let cosine = NetworkConfig {
        input_to_output: true,
        cosine_scale: Some(scale_for(items)),
        ..NetworkConfig::default()
    };
    let small = TrainingConfig { seed, patience: 2, ..TrainingConfig::default() };
    let large = TrainingConfig {
        batch_size: 48,
        sample_alpha: 0.2,
        dropout_embedding: Some(0.0),
        dropout_hidden: 0.2,
        learning_rate: 0.07,
        ..small.clone()
    };
    let plain = TrainingConfig { dropout_hidden: 0.2, ..small.clone() };
    let second = TrainingConfig { seed: seed.wrapping_add(1), ..small.clone() };
    vec![
        trial("gru4rec-cosine-100", cosine.clone(), small),
        trial("gru4rec-plain-100", NetworkConfig::default(), plain),
        trial("gru4rec-cosine-100-seed-2", cosine.clone(), second),
        trial("gru4rec-cosine-480", NetworkConfig { layers: vec![480], ..cosine }, large),
    ]
}

/// The scale of cosines: the best one grew with the logarithm of the number of items, from 9 for 2,900 items to 12 for 43,000.
fn scale_for(items: usize) -> f32 {
    (1.15 * (items.max(3) as f64).ln()).round() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_those_that_were_the_best() {
        assert_eq!([2_873, 12_456, 42_933].map(scale_for), [9.0, 11.0, 12.0]);
        assert!(scale_for(0) > 0.0);
        for trial in networks(1_000, 3).into_iter().chain(cheap()) {
            trial.experiment.validate().unwrap();
        }
    }
}

//! The models that are tried, in their order, by rules whose evidence is in `docs/auto.md`.

use super::Character;
use crate::experiment::{Experiment, ModelConfig, ModelKind};
use crate::gru4rec::config::{NetworkConfig, TrainingConfig};

/// A model to try.
pub(super) struct Trial {
    /// A name that no other trial has.
    pub(super) name: String,
    pub(super) experiment: Experiment,
}

/// The smallest share of repeats with which `repeat` is tried.
const REPEATS: f64 = 0.005;

/// The models that are fitted in seconds to minutes.
pub(super) fn cheap(character: &Character) -> Vec<Trial> {
    let mut kinds = vec![ModelKind::Sr, ModelKind::Vstan];
    if character.repeats >= REPEATS {
        kinds.push(ModelKind::Repeat);
    }
    let trial = |kind: ModelKind| Trial {
        name: kind.to_string(),
        experiment: Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() },
    };
    kinds.into_iter().map(trial).collect()
}

/// The networks, in the order of what they are expected to gain for their time.
pub(super) fn networks(_character: &Character, seed: u64) -> Vec<Trial> {
    let trial = |name: &str, model: NetworkConfig, training: TrainingConfig| Trial {
        name: name.to_owned(),
        experiment: Experiment { model: ModelConfig::Gru4rec(model), training, ..Experiment::default() },
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
    let second = TrainingConfig { seed: seed.wrapping_add(1), ..small.clone() };
    vec![
        trial("gru4rec-100", NetworkConfig::default(), small),
        trial("gru4rec-480", NetworkConfig { layers: vec![480], ..NetworkConfig::default() }, large),
        trial("gru4rec-100-seed-2", NetworkConfig::default(), second),
    ]
}

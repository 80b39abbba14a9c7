//! The models that are tried, in their order, by rules whose evidence is in `docs/auto.md`.

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

/// The networks, in the order of what they are expected to gain for their time.
pub(super) fn networks(seed: u64) -> Vec<Trial> {
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

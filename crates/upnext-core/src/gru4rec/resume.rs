//! Stopping a training and going on with it: what is saved besides the network, and how it is taken up again.

use super::config::TrainingConfig;
use super::network::{Network, export, import};
use super::parameters::Layout;
use super::trainer::{EpochPosition, Position, Trainer};
use crate::arrays::Tensor;
use crate::data::Dataset;
use crate::{Error, Result};
use std::collections::BTreeMap;
use upnext_kernels::{Isa, Matrix, OptimizerState};

/// All that a training needs to go on besides the network, the configuration and the data.
#[derive(Clone, Debug, Default)]
pub struct TrainerState {
    /// The optimiser's memory, and in the midst of an epoch the carried states, by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// Adam's counts of updates, by name.
    pub counts: BTreeMap<String, Vec<u64>>,
    /// How far training has come.
    pub position: serde_json::Value,
}

/// A part of an optimiser's memory: the prefix of its name, and where it is.
struct StatePart {
    prefix: &'static str,
    of: fn(&OptimizerState) -> &Option<Matrix>,
    of_mut: fn(&mut OptimizerState) -> &mut Option<Matrix>,
}

const STATE_PARTS: [StatePart; 3] = [
    StatePart { prefix: "optimizer.square.", of: |s| &s.square, of_mut: |s| &mut s.square },
    StatePart { prefix: "optimizer.mean.", of: |s| &s.mean, of_mut: |s| &mut s.mean },
    StatePart { prefix: "optimizer.velocity.", of: |s| &s.velocity, of_mut: |s| &mut s.velocity },
];

fn name_of_counts(layout: &Layout) -> String {
    format!("optimizer.steps.{}", layout.name)
}

fn name_of_carried(layer: usize, part: &str) -> String {
    format!("carried.layer{layer}.{part}")
}

impl<'d> Trainer<'d> {
    /// All that [`resume`](Self::resume) needs besides the network, the configuration and the data.
    pub fn state(&self) -> TrainerState {
        let (mut tensors, mut counts) = (BTreeMap::new(), BTreeMap::new());
        for (layout, state) in self.network.layouts.iter().zip(self.state.iter()) {
            for part in &STATE_PARTS {
                if let Some(matrix) = (part.of)(state) {
                    export(layout, matrix, part.prefix, &mut tensors);
                }
            }
            if !state.steps.is_empty() {
                counts.insert(name_of_counts(layout), state.steps.iter().map(|&n| n.into()).collect());
            }
        }
        if self.position.epoch.is_some() {
            for (l, layer) in self.step.activations.layers.iter().enumerate() {
                for (part, matrix) in [("state", &layer.state), ("cell", &layer.cell)] {
                    let values = (0..matrix.rows()).flat_map(|b| matrix.values(b).iter().copied()).collect();
                    let tensor = Tensor { shape: vec![matrix.rows(), matrix.width()], values };
                    tensors.insert(name_of_carried(l, part), tensor);
                }
            }
        }
        let position =
            serde_json::to_value(&self.position).expect("a struct of numbers and strings has a JSON form");
        TrainerState { tensors, counts, position }
    }

    /// Takes up a training that was saved, with the configuration and data that it had.
    ///
    /// # Errors
    /// Those of [`new`](Self::new); [`Error::Weights`] for a state that does not fit; [`Error::Config`] if it was saved on
    /// an instruction set that this machine lacks.
    pub fn resume(
        network: Network,
        training: &TrainingConfig,
        data: &'d Dataset,
        threads: usize,
        mut saved: TrainerState,
    ) -> Result<Self> {
        let position = read_position(&mut saved)?;
        let isa = Isa::by_name(&position.instruction_set).ok_or_else(|| {
            let reason = format!(
                "this training was begun with {} instructions, which this machine lacks: go on where it was begun, or start a new training from the model with --init",
                position.instruction_set
            );
            Error::config("resume", reason)
        })?;
        let rows = position.epoch.as_ref().map_or(0, EpochPosition::num_rows);
        if rows > training.batch_size {
            let reason = format!("it has {rows} rows, and the mini-batch {}", training.batch_size);
            return Err(Error::weights("training position", reason));
        }
        let mut trainer = Self::with_isa(network, training, data, threads, isa)?;
        trainer.restore_optimizer(&mut saved, false)?;
        if position.epoch.is_some() {
            for (l, layer) in trainer.step.activations.layers.iter_mut().enumerate() {
                for (part, matrix) in [("state", &mut layer.state), ("cell", &mut layer.cell)] {
                    restore_carried(&name_of_carried(l, part), matrix, &mut saved.tensors)?;
                }
            }
        }
        trainer.position = position;
        Ok(trainer)
    }

    /// Takes over the optimiser's memory from an earlier training of this network, on whose results a new one builds.
    /// Rows of items that are new start without memory.
    ///
    /// Returns whether there was a memory to take over: none is, if the optimiser is another now.
    ///
    /// # Errors
    /// [`Error::Weights`] for memory of another shape.
    pub fn take_over_optimizer(&mut self, mut saved: TrainerState) -> Result<bool> {
        if read_position(&mut saved)?.optimizer != self.position.optimizer {
            return Ok(false);
        }
        // A momentum that is new has no velocity yet.
        let none_saved = |part: &StatePart| !saved.tensors.keys().any(|name| name.starts_with(part.prefix));
        let missing: Vec<_> = STATE_PARTS.iter().filter(|part| none_saved(part)).collect();
        let mut fresh = Vec::new();
        for state in self.state.iter_mut() {
            fresh.push(missing.iter().map(|part| (part.of_mut)(state).take()).collect::<Vec<_>>());
        }
        self.restore_optimizer(&mut saved, true)?;
        for (state, fresh) in self.state.iter_mut().zip(fresh) {
            for (part, matrix) in missing.iter().zip(fresh) {
                *(part.of_mut)(state) = matrix;
            }
        }
        Ok(true)
    }

    fn restore_optimizer(&mut self, saved: &mut TrainerState, may_grow: bool) -> Result<()> {
        for (layout, state) in self.network.layouts.iter().zip(self.state.iter_mut()) {
            for part in &STATE_PARTS {
                if let Some(matrix) = (part.of_mut)(state) {
                    import(layout, matrix, part.prefix, may_grow, &mut saved.tensors)?;
                }
            }
            if !state.steps.is_empty() {
                let name = name_of_counts(layout);
                let counts =
                    saved.counts.remove(&name).ok_or_else(|| Error::weights(&name, "it is missing"))?;
                if counts.len() > state.steps.len() || (counts.len() < state.steps.len() && !may_grow) {
                    let reason = format!("it has {} counts for {} rows", counts.len(), state.steps.len());
                    return Err(Error::weights(name, reason));
                }
                for (step, count) in state.steps.iter_mut().zip(counts) {
                    *step = u32::try_from(count).unwrap_or(u32::MAX);
                }
            }
        }
        Ok(())
    }
}

fn read_position(saved: &mut TrainerState) -> Result<Position> {
    serde_json::from_value(saved.position.take())
        .map_err(|e| Error::weights("training position", format!("it cannot be read: {e}")))
}

fn restore_carried(name: &str, matrix: &mut Matrix, tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
    let tensor = tensors.remove(name).ok_or_else(|| Error::weights(name, "it is missing"))?;
    let (rows, width) = (matrix.rows(), matrix.width());
    if tensor.shape != [rows, width] || tensor.values.len() != rows * width {
        return Err(Error::weights(name, format!("its shape is {:?}, not [{rows}, {width}]", tensor.shape)));
    }
    for (b, values) in tensor.values.chunks(width.max(1)).enumerate() {
        matrix.row_mut(b)[..width].copy_from_slice(values);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::config::*;
    use super::super::trainer::EpochEnd;
    use super::*;
    use std::ops::ControlFlow;
    use upnext_kernels::CounterRng;

    /// Sessions in which the next item follows from the current one.
    pub(crate) fn dataset(items: u32, sessions: usize) -> Dataset {
        let mut data = Dataset::default();
        for i in 0..items {
            data.items.add(&format!("item {i}"), 0);
        }
        let rng = CounterRng::new(3, 0);
        for s in 0..sessions {
            let start = rng.below(2 * s as u64, u64::from(items)) as u32;
            let length = 2 + rng.below(2 * s as u64 + 1, 5) as u32;
            let session: Vec<u32> = (0..length).map(|t| (start + 3 * t) % items).collect();
            for &item in &session {
                let id = data.items.id(item).to_owned();
                data.items.add(&id, 1);
            }
            data.sessions.push(&session, s as i64);
        }
        data
    }

    fn configurations() -> Vec<(NetworkConfig, TrainingConfig)> {
        let base =
            TrainingConfig { batch_size: 8, samples: 12, dropout_hidden: 0.2, ..TrainingConfig::default() };
        let network = NetworkConfig { layers: vec![10], ..NetworkConfig::default() };
        vec![
            (network.clone(), base.clone()),
            (
                NetworkConfig {
                    unit: Unit::Lstm,
                    input: Input::OneHot,
                    layers: vec![6, 5],
                    ..network.clone()
                },
                TrainingConfig {
                    optimizer: Optimizer::Adam,
                    momentum: 0.3,
                    learning_rate: 0.01,
                    session_order: SessionOrder::Shuffled,
                    mask_own_target: true,
                    dropout_embedding: None,
                    ..base.clone()
                },
            ),
            (
                NetworkConfig { input: Input::Discounted, feed_forward: vec![7], ..network },
                TrainingConfig { loss: Loss::Top1, samples: 0, dropout_embedding: None, ..base },
            ),
        ]
    }

    fn start<'d>(
        network: &NetworkConfig,
        training: &TrainingConfig,
        data: &'d Dataset,
        threads: usize,
    ) -> Trainer<'d> {
        let activation = network.output_activation_for(training.loss);
        let network = Network::new(network.clone(), activation, data.items.len(), training.seed);
        Trainer::new(network, training, data, threads).unwrap()
    }

    #[test]
    fn a_resumed_training_ends_with_the_same_bits() {
        let data = dataset(40, 60);
        for (network, training) in configurations() {
            let mut whole = start(&network, &training, &data, 1);
            let ends = [(); 2].map(|()| whole.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap());

            for stop_after in [1, 7, 12] {
                let mut trainer = start(&network, &training, &data, 2);
                let mut finished = Vec::new();
                while finished.len() < 2 {
                    let mut left = stop_after;
                    let end = trainer.run_epoch(&mut |_| {
                        left -= 1;
                        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    });
                    if let EpochEnd::Finished(progress) = end.unwrap() {
                        finished.push(progress);
                    }
                    // Through everything that a file would hold.
                    let (state, mut tensors) = (trainer.state(), trainer.network().tensors());
                    let text = serde_json::to_string(&state.position).unwrap();
                    let state = TrainerState { position: serde_json::from_str(&text).unwrap(), ..state };
                    let activation = network.output_activation_for(training.loss);
                    let restored =
                        Network::from_tensors(network.clone(), activation, 40, &mut tensors).unwrap();
                    trainer = Trainer::resume(restored, &training, &data, 1 + stop_after % 3, state).unwrap();
                }
                assert_eq!(trainer.network().tensors(), whole.network().tensors(), "{training:?}");
                for (a, b) in ends.iter().zip(&finished) {
                    let EpochEnd::Finished(a) = a else { panic!("the whole run was not stopped") };
                    assert_eq!((a.loss, a.pairs, a.pairs_left_out), (b.loss, b.pairs, b.pairs_left_out));
                    assert_eq!(a.pairs + a.pairs_left_out, a.pairs_in_epoch);
                }
            }
        }
    }

    #[test]
    fn a_state_that_does_not_fit_is_refused() {
        let data = dataset(40, 60);
        let (network, training) = configurations().swap_remove(0);
        let trainer = start(&network, &training, &data, 1);
        let state = trainer.state();
        let resume = |state, data| Trainer::resume(trainer.network().clone(), &training, data, 1, state);
        assert!(resume(state.clone(), &data).is_ok());
        let mut missing = state.clone();
        missing.tensors.remove("optimizer.square.layer0.recurrent");
        assert!(
            resume(missing, &data).unwrap_err().to_string().contains("optimizer.square.layer0.recurrent")
        );
        let mut foreign = state.clone();
        foreign.position["instruction_set"] = "abacus".into();
        assert!(resume(foreign, &data).unwrap_err().to_string().contains("abacus"));
        let broken = TrainerState { position: serde_json::Value::Null, ..state };
        assert!(resume(broken, &data).is_err());
    }

    #[test]
    fn a_position_with_more_rows_than_the_mini_batch_is_refused() {
        let data = dataset(40, 60);
        let (network, training) = configurations().swap_remove(0);
        let mut trainer = start(&network, &training, &data, 1);
        trainer.run_epoch(&mut |_| ControlFlow::Break(())).unwrap();
        let smaller = TrainingConfig { batch_size: 7, ..training };
        let error =
            Trainer::resume(trainer.network().clone(), &smaller, &data, 1, trainer.state()).unwrap_err();
        assert!(error.to_string().contains("8 rows"), "{error}");
    }

    #[test]
    fn memory_is_taken_over_for_the_items_that_have_one() {
        let (network, training) = configurations().swap_remove(0);
        let old_data = dataset(40, 60);
        let mut old = start(&network, &training, &old_data, 1);
        old.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap();
        let mut new_data = dataset(40, 60);
        new_data.items.add("new", 3);
        let mut grown = old.network().clone();
        grown.add_items(1, 9);
        let momentum = TrainingConfig { momentum: 0.5, ..training.clone() };
        let mut new = Trainer::new(grown.clone(), &momentum, &new_data, 1).unwrap();
        assert!(new.take_over_optimizer(old.state()).unwrap());
        let (old_tensors, new_tensors) = (old.state().tensors, new.state().tensors);
        let name = "optimizer.square.output.weight";
        assert_eq!(new_tensors[name].values[..400], old_tensors[name].values[..]);
        assert!(new_tensors[name].values[400..].iter().all(|&x| x == 0.0));
        assert!(new_tensors["optimizer.velocity.output.bias"].values.iter().all(|&x| x == 0.0));
        new.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap();

        let sgd = TrainingConfig { optimizer: Optimizer::Sgd, ..training };
        let mut other = Trainer::new(grown, &sgd, &new_data, 1).unwrap();
        assert!(!other.take_over_optimizer(old.state()).unwrap());
    }
}

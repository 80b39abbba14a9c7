//! Saving and restoring the state of a training on the CPU: the optimiser state and the carried hidden states.

use super::cpu::CpuBackend;
use super::network::{export, import};
use super::parameters::Layout;
use crate::arrays::{Tensor, TrainingState};
use crate::{Error, Result};
use std::collections::BTreeMap;
use upnext_kernels::{Matrix, OptimizerState};

/// A matrix of the optimiser state: the prefix of its name in files, and its field.
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

impl CpuBackend {
    pub(super) fn save_optimizer(&self, saved: &mut TrainingState) {
        for (layout, state) in self.network.layouts.iter().zip(self.state.iter()) {
            for part in &STATE_PARTS {
                if let Some(matrix) = (part.of)(state) {
                    export(layout, matrix, part.prefix, &mut saved.tensors);
                }
            }
            if !state.steps.is_empty() {
                let counts = state.steps.iter().map(|&n| n.into()).collect();
                saved.counts.insert(name_of_counts(layout), counts);
            }
        }
    }

    pub(super) fn save_carried(&self, saved: &mut TrainingState) {
        for (l, layer) in self.step.activations.layers.iter().enumerate() {
            for (part, matrix) in [("state", &layer.state), ("cell", &layer.cell)] {
                let values = (0..matrix.rows()).flat_map(|b| matrix.values(b).iter().copied()).collect();
                let tensor = Tensor { shape: vec![matrix.rows(), matrix.width()], values };
                saved.tensors.insert(name_of_carried(l, part), tensor);
            }
        }
    }

    pub(super) fn restore_carried(&mut self, saved: &mut TrainingState) -> Result<()> {
        for (l, layer) in self.step.activations.layers.iter_mut().enumerate() {
            for (part, matrix) in [("state", &mut layer.state), ("cell", &mut layer.cell)] {
                restore_carried(&name_of_carried(l, part), matrix, &mut saved.tensors)?;
            }
        }
        Ok(())
    }

    /// Restores the optimiser state of an earlier training, possibly over fewer items or without momentum. What was not
    /// saved keeps its initial state.
    pub(super) fn warm_start(&mut self, saved: &mut TrainingState) -> Result<()> {
        let none_saved = |part: &StatePart| !saved.tensors.keys().any(|name| name.starts_with(part.prefix));
        let missing: Vec<_> = STATE_PARTS.iter().filter(|part| none_saved(part)).collect();
        let mut fresh = Vec::new();
        for state in self.state.iter_mut() {
            fresh.push(missing.iter().map(|part| (part.of_mut)(state).take()).collect::<Vec<_>>());
        }
        self.restore_optimizer(saved, true)?;
        for (state, fresh) in self.state.iter_mut().zip(fresh) {
            for (part, matrix) in missing.iter().zip(fresh) {
                *(part.of_mut)(state) = matrix;
            }
        }
        Ok(())
    }

    pub(super) fn restore_optimizer(&mut self, saved: &mut TrainingState, may_grow: bool) -> Result<()> {
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
    use super::super::network::Network;
    use super::super::trainer::{EpochEnd, Trainer};
    use super::*;
    use crate::data::Dataset;
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

    fn start(network: &NetworkConfig, training: &TrainingConfig, data: &Dataset, threads: usize) -> Trainer {
        let activation = network.output_activation_for(training.loss);
        let network = Network::new(network.clone(), activation, data.items.len(), training.seed);
        Trainer::new(network, training, data.clone(), threads).unwrap()
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
                    // Through all that a file would hold.
                    let state = trainer.state();
                    let mut tensors = trainer.network().tensors();
                    let text = serde_json::to_string(&state.position).unwrap();
                    let state = TrainingState { position: serde_json::from_str(&text).unwrap(), ..state };
                    let activation = network.output_activation_for(training.loss);
                    let restored =
                        Network::from_tensors(network.clone(), activation, 40, &mut tensors).unwrap();
                    trainer = Trainer::resume(restored, &training, data.clone(), 1 + stop_after % 3, state)
                        .unwrap();
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
        let mut trainer = start(&network, &training, &data, 1);
        let state = trainer.state();
        let trained = trainer.network().clone();
        let resume =
            |state, data: &Dataset| Trainer::resume(trained.clone(), &training, data.clone(), 1, state);
        assert!(resume(state.clone(), &data).is_ok());
        let mut missing = state.clone();
        missing.tensors.remove("optimizer.square.layer0.recurrent");
        assert!(
            resume(missing, &data).unwrap_err().to_string().contains("optimizer.square.layer0.recurrent")
        );
        let mut foreign = state.clone();
        foreign.position["instruction_set"] = "abacus".into();
        assert!(resume(foreign, &data).unwrap_err().to_string().contains("abacus"));
        let broken = TrainingState { position: serde_json::Value::Null, ..state };
        assert!(resume(broken, &data).is_err());
    }

    #[test]
    fn a_position_with_more_rows_than_the_mini_batch_is_refused() {
        let data = dataset(40, 60);
        let (network, training) = configurations().swap_remove(0);
        let mut trainer = start(&network, &training, &data, 1);
        trainer.run_epoch(&mut |_| ControlFlow::Break(())).unwrap();
        let smaller = TrainingConfig { batch_size: 7, ..training };
        let (network, state) = (trainer.network().clone(), trainer.state());
        let error = Trainer::resume(network, &smaller, data, 1, state).unwrap_err();
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
        let mut new = Trainer::new(grown.clone(), &momentum, new_data.clone(), 1).unwrap();
        assert!(new.take_over_optimizer(old.state()).unwrap());
        let (old_tensors, new_tensors) = (old.state().tensors, new.state().tensors);
        let name = "optimizer.square.output.weight";
        assert_eq!(new_tensors[name].values[..400], old_tensors[name].values[..]);
        assert!(new_tensors[name].values[400..].iter().all(|&x| x == 0.0));
        assert!(new_tensors["optimizer.velocity.output.bias"].values.iter().all(|&x| x == 0.0));
        new.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap();

        let sgd = TrainingConfig { optimizer: Optimizer::Sgd, ..training };
        let mut other = Trainer::new(grown, &sgd, new_data, 1).unwrap();
        assert!(!other.take_over_optimizer(old.state()).unwrap());
    }
}

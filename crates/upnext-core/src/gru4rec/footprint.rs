//! The memory that a training needs, estimated before it starts.

use super::config::{Input, NetworkConfig, TrainingConfig};
use super::output::PARTS;
use super::parameters::Parameters;
use upnext_kernels::{Matrix, OptimizerState, padded};

/// Memory in bytes of a training of this network over `items` items, without the data: the parameters and the optimiser
/// state, a copy of both while they are saved, and the buffers of a step.
pub(super) fn bytes(network: &NetworkConfig, training: &TrainingConfig, items: usize) -> u64 {
    let saved = bytes_of_parameters(network, training, items);
    saved.saturating_mul(2).saturating_add(bytes_of_step(network, training, items))
}

/// Memory in bytes of the parameters and the optimiser state.
fn bytes_of_parameters(network: &NetworkConfig, training: &TrainingConfig, items: usize) -> u64 {
    let copies = 1 + OptimizerState::matrices(&training.update_rule());
    let layouts = Parameters::layouts(network, items);
    let bytes = layouts.iter().map(|layout| Matrix::bytes(layout.rows, layout.width()) as u64);
    bytes.fold(0, u64::saturating_add).saturating_mul(copies as u64)
}

/// Memory in bytes of the buffers of a step with a full mini-batch, and of the tables per item: row groups, samples,
/// logQ.
fn bytes_of_step(network: &NetworkConfig, training: &TrainingConfig, items: usize) -> u64 {
    let (rows, scored) = (training.batch_size, training.batch_size + training.samples);
    let out = network.output_width() + 1;
    let matrix = |rows: usize, width: usize| Matrix::bytes(rows, width) as u64;
    let shared = network.input == Input::Shared;
    // The output layer: scores, the scored rows of the table, and their gradients.
    let mut total = (scored as u64).saturating_mul(padded(rows) as u64).saturating_mul(4);
    total += matrix(scored, out) + matrix(scored + if shared { rows } else { 0 }, out);
    total += (PARTS as u64 + 3) * matrix(rows, out);
    // The layers: states, gates, masks and gradients.
    for &units in &network.layers {
        total += 9 * matrix(rows, units) + 2 * matrix(rows, network.unit.gates() * padded(units));
    }
    for &width in &network.feed_forward {
        total += 4 * matrix(rows, width);
    }
    if network.has_embedding() {
        total += 3 * matrix(rows, network.input_width(items));
    }
    if training.clip_norm > 0.0 {
        let dense = Parameters::layouts(network, items);
        total += dense.iter().filter(|l| !l.table).map(|l| matrix(l.rows, l.width())).sum::<u64>();
    }
    // Per item: the groups of rows in use (8 bytes each), the alias table and the logarithm of the support.
    let groups = 1 + u64::from(!shared) + u64::from(training.mask_own_target);
    let samples = if training.samples > 0 { 8 } else { 0 };
    let log_support = if training.logq_for_loss() > 0.0 { 4 } else { 0 };
    total.saturating_add((8 * groups + samples + log_support) * items as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scores_of_a_step_count() {
        let network = NetworkConfig::default();
        let training = TrainingConfig { batch_size: 30_000, samples: 5_000, ..TrainingConfig::default() };
        let scores = 30_000 * 35_000 * 4;
        let bytes = bytes(&network, &training, 100);
        assert!(bytes > scores && bytes < scores + scores / 5, "{bytes}");
    }

    #[test]
    fn parameters_are_counted_with_their_optimiser_state_and_a_copy() {
        let network = NetworkConfig { layers: vec![64], ..NetworkConfig::default() };
        let training = TrainingConfig { momentum: 0.5, ..TrainingConfig::default() };
        // A table of a million items of 64 units and a bias, with the states of Adagrad and of momentum: three
        // matrices, twice.
        let table = Matrix::bytes(1_000_000, 65) as u64;
        let bytes = bytes(&network, &training, 1_000_000);
        assert!(bytes > 6 * table && bytes < 6 * table + table / 4, "{bytes} and {table}");
    }
}

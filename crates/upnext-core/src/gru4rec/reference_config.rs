//! Conversion of configurations to those of the plain reference (`upnext-reference`), for tests.

use super::config::{Activation, Input, Loss, NetworkConfig, Optimizer, TrainingConfig};
use upnext_reference::{config as reference, loss::published_activation, optimizer::published_epsilon};

/// Converts the configurations of a network and its training, with absent fields filled in.
pub(crate) fn plain(
    network: &NetworkConfig,
    training: &TrainingConfig,
) -> (reference::Network, reference::Training) {
    let plain_network = reference::Network {
        unit: network.unit,
        layers: network.layers.clone(),
        input: match network.input {
            Input::OneHot => reference::Input::OneHot,
            Input::Discounted => reference::Input::Discounted,
            Input::Embedding => reference::Input::Embedding,
            Input::Shared => reference::Input::Shared,
        },
        discount: f64::from(network.discount),
        embedding_size: network.embedding_size,
        input_to_deeper_layers: network.input_to_deeper_layers,
        feed_forward: network.feed_forward.clone(),
        input_to_output: network.input_to_output,
        cosine_scale: network.cosine_scale.map(f64::from),
        hidden_activation: network.hidden_activation,
        output_activation: network.output_activation_for(training.loss),
    };
    let plain_training = reference::Training {
        batch_size: training.batch_size,
        sample_alpha: training.sample_alpha,
        mask_own_target: training.mask_own_target,
        loss: training.loss,
        logq: f64::from(training.logq_for_loss()),
        bpr_max_penalty: f64::from(training.bpr_max_penalty),
        dropout_embedding: f64::from(training.dropout_embedding_for(network)),
        dropout_hidden: f64::from(training.dropout_hidden),
        optimizer: training.optimizer,
        learning_rate: f64::from(training.learning_rate),
        momentum: f64::from(training.momentum),
        epsilon: f64::from(training.epsilon_for_optimizer()),
        rmsprop_decay: f64::from(training.rmsprop_decay),
        adam_beta1: f64::from(training.adam_beta1),
        adam_beta2: f64::from(training.adam_beta2),
        l2: f64::from(training.l2),
        clip_norm: f64::from(training.clip_norm),
    };
    (plain_network, plain_training)
}

#[test]
fn absent_fields_are_the_published_ones_of_the_loss_and_the_optimiser() {
    let network = NetworkConfig::default();
    for loss in [Loss::Top1, Loss::Bpr, Loss::CrossEntropy, Loss::Top1Max, Loss::BprMax, Loss::Mrr] {
        let training = TrainingConfig { loss, ..TrainingConfig::default() };
        let configured =
            NetworkConfig { output_activation: Some(Activation::Relu), ..NetworkConfig::default() };
        assert_eq!(plain(&network, &training).0.output_activation, published_activation(loss));
        assert_eq!(plain(&configured, &training).0.output_activation, Activation::Relu);
    }
    for optimizer in [Optimizer::Adagrad, Optimizer::Rmsprop, Optimizer::Sgd, Optimizer::Adam] {
        let training = TrainingConfig { optimizer, ..TrainingConfig::default() };
        let published = published_epsilon(optimizer) as f32;
        assert_eq!(plain(&network, &training).1.epsilon as f32, published, "{optimizer:?}");
        let configured = TrainingConfig { epsilon: Some(0.25), ..training };
        assert_eq!(plain(&network, &configured).1.epsilon, 0.25);
    }
}

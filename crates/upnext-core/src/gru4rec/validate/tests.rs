//! Invalid configurations are refused with the field's name, and absent fields have the published values.

use super::*;

/// The field that is refused after `change`, or an empty string if none is.
fn refused(change: impl FnOnce(&mut NetworkConfig, &mut TrainingConfig)) -> String {
    let (mut network, mut training) = (NetworkConfig::default(), TrainingConfig::default());
    change(&mut network, &mut training);
    match network.validate(&training) {
        Ok(()) => String::new(),
        Err(Error::Config { field, reason }) => {
            assert!(
                reason.contains("use ") || reason.contains("as in"),
                "{field}: {reason}: says not what to do"
            );
            field
        }
        Err(other) => panic!("not a configuration error: {other}"),
    }
}

#[test]
fn the_default_and_every_loss_input_unit_and_optimizer_are_accepted() {
    for loss in [Loss::Top1, Loss::Bpr, Loss::CrossEntropy, Loss::Top1Max, Loss::BprMax, Loss::Mrr] {
        for input in [Input::OneHot, Input::Discounted, Input::Embedding, Input::Shared] {
            for unit in [Unit::Gru, Unit::Lstm, Unit::Rnn] {
                for optimizer in [Optimizer::Adagrad, Optimizer::Rmsprop, Optimizer::Sgd, Optimizer::Adam] {
                    let field = refused(|n, t| {
                        (n.input, n.unit, t.loss, t.optimizer) = (input, unit, loss, optimizer);
                    });
                    assert_eq!(field, "", "{loss:?} {input:?} {unit:?} {optimizer:?}");
                }
            }
        }
    }
}

#[test]
fn networks_that_make_no_sense_are_refused_by_field() {
    assert_eq!(refused(|n, _| n.layers = vec![]), "model.layers");
    assert_eq!(refused(|n, _| n.layers = vec![100, 0]), "model.layers");
    assert_eq!(refused(|n, _| n.layers = vec![usize::MAX]), "model.layers");
    assert_eq!(refused(|n, _| n.feed_forward = vec![0]), "model.feed_forward");
    assert_eq!(refused(|n, _| (n.input, n.embedding_size) = (Input::Embedding, 0)), "model.embedding_size");
    for discount in [0.0, -0.1, 1.1, f32::NAN] {
        assert_eq!(refused(|n, _| n.discount = discount), "model.discount");
    }
    assert_eq!(refused(|n, _| n.input_to_deeper_layers = true), "model.input_to_deeper_layers");
    assert_eq!(refused(|n, _| (n.input_to_deeper_layers, n.layers) = (true, vec![9, 9])), "");
    let relu = Activation::Relu;
    assert_eq!(refused(|n, _| (n.unit, n.hidden_activation) = (Unit::Lstm, relu)), "model.hidden_activation");
    assert_eq!(refused(|n, _| n.output_activation = Some(Activation::Tanh)), "model.output_activation");
    let elu = Some(Activation::Elu { alpha: f32::NAN });
    assert_eq!(
        refused(|n, t| (n.output_activation, t.loss) = (elu, Loss::BprMax)),
        "model.output_activation"
    );
}

#[test]
fn trainings_that_make_no_sense_are_refused_by_field() {
    assert_eq!(refused(|_, t| t.epochs = 0), "training.epochs");
    assert_eq!(refused(|_, t| t.batch_size = 0), "training.batch_size");
    assert_eq!(refused(|_, t| (t.batch_size, t.samples) = (1, 0)), "training.batch_size");
    assert_eq!(refused(|_, t| (t.batch_size, t.samples) = (1, 1)), "");
    assert_eq!(refused(|_, t| (t.batch_size, t.samples) = (2, 0)), "");
    assert_eq!(refused(|_, t| t.samples = usize::MAX), "training.samples");
    assert_eq!(refused(|_, t| t.batch_size = 1 << 40), "training.batch_size");
    for p in [-0.1, 1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(refused(|_, t| t.dropout_embedding = Some(p)), "training.dropout_embedding");
        assert_eq!(refused(|_, t| t.dropout_hidden = p), "training.dropout_hidden");
        assert_eq!(refused(|_, t| t.momentum = p), "training.momentum");
        assert_eq!(refused(|_, t| t.rmsprop_decay = p), "training.rmsprop_decay");
        assert_eq!(refused(|_, t| t.adam_beta1 = p), "training.adam_beta1");
        assert_eq!(refused(|_, t| t.adam_beta2 = p), "training.adam_beta2");
    }
    for rate in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(refused(|_, t| t.learning_rate = rate), "training.learning_rate");
        assert_eq!(refused(|_, t| t.epsilon = Some(rate)), "training.epsilon");
    }
    for number in [-1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(refused(|_, t| t.sample_alpha = number.into()), "training.sample_alpha");
        assert_eq!(refused(|_, t| t.bpr_max_penalty = number), "training.bpr_max_penalty");
        assert_eq!(refused(|_, t| t.l2 = number), "training.l2");
        assert_eq!(refused(|_, t| t.clip_norm = number), "training.clip_norm");
        assert_eq!(refused(|_, t| t.logq = Some(number)), "training.logq");
    }
    assert_eq!(refused(|_, t| t.seed = u64::MAX), "training.seed");
}

#[test]
fn an_explicit_field_that_has_no_effect_is_refused_and_its_zero_accepted() {
    assert_eq!(refused(|_, t| (t.loss, t.logq) = (Loss::Bpr, Some(0.5))), "training.logq");
    assert_eq!(refused(|_, t| (t.loss, t.logq) = (Loss::Bpr, Some(0.0))), "");
    for input in [Input::OneHot, Input::Discounted] {
        let with = |p| refused(|n, t| (n.input, t.dropout_embedding) = (input, Some(p)));
        assert_eq!(with(0.1), "training.dropout_embedding");
        assert_eq!(with(0.0), "");
    }
}

#[test]
fn an_absent_field_takes_the_published_value_only_where_it_applies() {
    let shared = NetworkConfig::default();
    let one_hot = NetworkConfig { input: Input::OneHot, ..shared.clone() };
    let with = |loss| TrainingConfig { loss, ..Default::default() };
    assert_eq!(with(Loss::CrossEntropy).logq_for_loss(), 1.0);
    assert_eq!(with(Loss::BprMax).logq_for_loss(), 0.0);
    assert_eq!(with(Loss::BprMax).dropout_embedding_for(&shared), 0.1);
    assert_eq!(with(Loss::BprMax).dropout_embedding_for(&one_hot), 0.0);
    assert_eq!(shared.output_activation_for(Loss::Top1), Activation::Tanh);
    assert_eq!(shared.output_activation_for(Loss::CrossEntropy), Activation::Linear);
    assert_eq!(shared.output_activation_for(Loss::BprMax), Activation::Elu { alpha: 0.5 });
    let adam = TrainingConfig { optimizer: Optimizer::Adam, ..Default::default() };
    assert_eq!((adam.epsilon_for_optimizer(), with(Loss::Bpr).epsilon_for_optimizer()), (1e-8, 1e-6));
}

#[test]
fn resolving_writes_out_what_applies_and_stays_valid() {
    for loss in [Loss::Bpr, Loss::CrossEntropy, Loss::BprMax] {
        for input in [Input::OneHot, Input::Shared] {
            let network = NetworkConfig { input, ..Default::default() };
            let training = TrainingConfig { loss, ..Default::default() };
            let (n, t) = (network.resolved(&training), training.resolved(&network));
            n.validate(&t).unwrap();
            assert_eq!(t.logq.is_some(), loss == Loss::CrossEntropy);
            assert_eq!(t.dropout_embedding.is_some(), input == Input::Shared);
            assert_eq!(t.logq_for_loss(), training.logq_for_loss());
            assert_eq!((n.resolved(&t), t.resolved(&n)), (n, t));
        }
    }
}

#[test]
fn the_output_reads_the_last_feed_forward_layer_and_shared_input_is_as_wide() {
    let network = NetworkConfig { layers: vec![7, 8], feed_forward: vec![5], ..Default::default() };
    assert_eq!((network.output_width(), network.input_width(1000)), (5, 5));
    let one_hot = NetworkConfig { input: Input::OneHot, feed_forward: vec![], ..network };
    assert_eq!((one_hot.output_width(), one_hot.input_width(1000)), (8, 1000));
}

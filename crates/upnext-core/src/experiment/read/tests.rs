//! Experiments are read, refused with line and reason, changed field by field, and written.

use super::*;
use crate::experiment::TieRule;
use crate::gru4rec::config::{Activation, Loss};

fn message(text: &str) -> String {
    Experiment::from_toml(text, "mine.toml").expect_err("should be refused").to_string()
}

#[test]
fn an_empty_text_is_the_default_experiment() {
    assert_eq!(Experiment::from_toml("", "mine.toml").unwrap(), Experiment::default());
    assert_eq!(Experiment::from_toml("[model]\n[training]\n", "mine.toml").unwrap(), Experiment::default());
}

#[test]
fn every_table_is_read() {
    let text = "[data]\nname = \"d\"\npublished = { recall_at_20 = 0.7, mrr_at_20 = 0.3 }\n\
        [model]\nkind = \"gru4rec\"\nlayers = [10, 20]\noutput_activation = \"elu-0.5\"\n\
        [training]\nloss = \"bpr-max\"\nlearning_rate = 1\n[evaluation]\nties = \"median\"\ncutoffs = [20]\n";
    let experiment = Experiment::from_toml(text, "mine.toml").unwrap();
    assert_eq!(experiment.data.published.unwrap().mrr_at_20, 0.3);
    let network = experiment.model.network().unwrap();
    assert_eq!(network.layers, [10, 20]);
    assert_eq!(network.output_activation, Some(Activation::Elu { alpha: 0.5 }));
    assert_eq!((experiment.training.loss, experiment.training.learning_rate), (Loss::BprMax, 1.0));
    assert_eq!((experiment.evaluation.ties, experiment.evaluation.cutoffs), (TieRule::Median, vec![20]));
}

#[test]
fn an_unknown_key_names_its_line_and_the_nearest_key() {
    let got = message("[training]\nepochs = 3\nlearning_rat = 0.1\n");
    assert_eq!(
        got,
        "mine.toml:3: unknown key `training.learning_rat`: did you mean `training.learning_rate`?"
    );
    let got = message("[modell]\nunit = \"gru\"\n");
    assert!(got.starts_with("mine.toml:1: unknown key `modell`"), "{got}");
    let got = message("[evaluation]\ncolour = 1\n");
    assert!(got.ends_with("[evaluation] has cutoffs, ties, candidates, lists"), "{got}");
    let got = message("[data.published]\nrecall = 1\n");
    assert!(got.starts_with("mine.toml:2: unknown key `data.published.recall`"), "{got}");
}

#[test]
fn a_wrong_value_names_its_line_its_field_and_what_was_expected() {
    let got = message("[training]\nlearning_rate = \"fast\"\n");
    assert_eq!(
        got,
        "mine.toml:2:17: training.learning_rate: invalid type: string \"fast\", expected a number"
    );
    let got = message("[model]\nlayers = 100\n");
    assert!(got.starts_with("mine.toml:2:10: model.layers: ") && got.contains("as in [100, 50]"), "{got}");
    let got = message("[training]\nloss = \"bprmax\"\n");
    assert!(got.contains("training.loss: ") && got.ends_with("did you mean `bpr-max`?"), "{got}");
    let got = message("[model]\nkind = \"popp\"\n");
    assert!(got.starts_with("mine.toml:2:8: model.kind: ") && got.ends_with("did you mean `pop`?"), "{got}");
    let got = message("[model]\noutput_activation = \"elu-x\"\n");
    assert!(got.starts_with("mine.toml:2:21: model.output_activation: `elu-x`"), "{got}");
    let got = message("model = 3\n");
    assert!(got.contains("mine.toml:1:9") && got.contains("write [model]"), "{got}");
    let got = message("[training\n");
    assert!(got.starts_with("mine.toml:1:"), "{got}");
}

#[test]
fn a_field_of_the_network_is_refused_for_a_model_without_one() {
    let got = message("[model]\nkind = \"pop\"\nlayers = [10]\n");
    assert!(got.starts_with("mine.toml:3:1: model.layers: a model of kind \"pop\""), "{got}");
    let mut experiment = Experiment::from_toml("[model]\nkind = \"s-pop\"\n", "mine.toml").unwrap();
    assert_eq!(experiment.model, ModelConfig::of_kind(ModelKind::SPop));
    assert!(experiment.set("model.layers=10").unwrap_err().to_string().contains("s-pop"));
    // A field that another kind has in [model], and this one in another table.
    let got = Experiment::default().set("model.learning_rate=0.1").unwrap_err().to_string();
    assert!(got.contains("did you mean `training.learning_rate`?"), "{got}");
}

#[test]
fn set_reads_the_value_by_the_type_of_the_field() {
    let mut experiment = Experiment::default();
    for assignment in [
        "training.learning_rate=.05",
        "training.momentum = 0",
        "training.l2=1e-6",
        "training.loss=bpr-max",
        "training.mask_own_target=true",
        "training.dropout_embedding=0.5",
        "model.layers=100,50",
        "model.output_activation=elu-0.5",
        "evaluation.cutoffs=[5, 10]",
        "evaluation.candidates=30000",
        "data.name=2014",
    ] {
        experiment.set(assignment).unwrap();
    }
    let training = &experiment.training;
    assert_eq!((training.learning_rate, training.momentum, training.l2), (0.05, 0.0, 1e-6));
    assert_eq!((training.loss, training.mask_own_target), (Loss::BprMax, true));
    assert_eq!(training.dropout_embedding, Some(0.5));
    assert_eq!(experiment.model.network().unwrap().layers, [100, 50]);
    assert_eq!(experiment.evaluation.cutoffs, [5, 10]);
    assert_eq!(experiment.evaluation.candidates, Some(30_000));
    assert_eq!(experiment.data.name.as_deref(), Some("2014"));
    experiment.set("model.layers=64").unwrap();
    assert_eq!(experiment.model.network().unwrap().layers, [64]);
    experiment.validate().unwrap();
}

#[test]
fn another_loss_alone_is_a_valid_experiment() {
    for loss in ["top1", "bpr", "cross-entropy", "top1-max", "bpr-max", "mrr"] {
        for input in ["one-hot", "discounted", "embedding", "shared"] {
            let mut experiment = Experiment::default();
            experiment.set(&format!("training.loss={loss}")).unwrap();
            experiment.set(&format!("model.input={input}")).unwrap();
            experiment.validate().unwrap();
        }
    }
}

#[test]
fn set_refuses_what_it_cannot_read_and_changes_nothing() {
    let mut experiment = Experiment::default();
    let mut refused = |assignment| experiment.set(assignment).expect_err("should be refused").to_string();
    let got = refused("training.learning_rat=0.1");
    assert!(got.contains("did you mean `training.learning_rate`?"), "{got}");
    let got = refused("training.learning_rate=fast");
    assert_eq!(got, "training.learning_rate: invalid type: string \"fast\", expected a number");
    let got = refused("training.epochs=1.5");
    assert!(got.contains("expected a whole number"), "{got}");
    let got = refused("training.epochs=-1");
    assert!(got.starts_with("training.epochs: "), "{got}");
    let got = refused("training.optimizer=adamm");
    assert!(got.ends_with("did you mean `adam`?"), "{got}");
    assert!(refused("training.epochs").contains("use key=value"));
    assert!(refused("training.epochs=").starts_with("training.epochs: "));
    assert!(refused("training={}").contains("unknown key"));
    assert!(refused("model.kind=lda").contains("gru4rec, pop, decay-pop, s-pop"));
    assert_eq!(experiment, Experiment::default());
}

#[test]
fn what_to_toml_writes_reads_back_as_the_resolved_experiment() {
    let mut experiment = Experiment::default();
    for assignments in [
        &["model.kind=gru4rec"] as &[&str],
        &["training.loss=bpr", "model.input=one-hot", "training.learning_rate=0.07"],
        &["model.output_activation=selu-1.0507-1.6733", "training.optimizer=adam"],
        &["data.source=a \"quoted\" text", "evaluation.candidates=30000"],
        &["model.kind=s-pop"],
    ] {
        for assignment in assignments {
            experiment.set(assignment).unwrap();
        }
        let text = experiment.to_toml().unwrap();
        let back = Experiment::from_toml(&text, "shown.toml").unwrap();
        assert_eq!(back, experiment.resolved(), "{text}");
        assert_eq!(back.to_toml().unwrap(), text);
    }
    assert!(
        Experiment::default().to_toml().unwrap().contains("learning_rate = 0.1\n"),
        "short decimal numbers"
    );
}

#[test]
fn no_message_about_a_value_names_a_type_of_rust() {
    let mut refused = 0;
    for kind in ModelKind::ALL {
        for key in known_keys().iter().filter(|key| *key != "model.kind") {
            for value in
                ["x", "-1", "1e3", "1.5", "99999999999999999999", "true", "[1.5]", "[-1]", "1979-05-27", ""]
            {
                let mut experiment =
                    Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
                let Err(error) = experiment.set(&format!("{key}={value}")) else { continue };
                let message = error.to_string();
                for leak in
                    ["usize", "u64", "i64", "f32", "f64", "NonZero", "non-zero", "struct", "enum", "floating"]
                {
                    assert!(!message.contains(leak), "{key}={value}: {message}");
                }
                refused += 1;
            }
        }
    }
    assert!(refused > 500, "{refused} messages");
}

proptest::proptest! {
    #[test]
    fn a_number_survives_being_shown(rate in 1e-12_f32..1e6, alpha in 0.0_f64..4.0) {
        let mut experiment = Experiment::default();
        (experiment.training.learning_rate, experiment.training.sample_alpha) = (rate, alpha);
        let back = Experiment::from_toml(&experiment.to_toml().unwrap(), "shown.toml").unwrap();
        proptest::prop_assert_eq!(back.training.learning_rate, rate);
        proptest::prop_assert_eq!(back.training.sample_alpha, alpha);
        back.clone().set(&format!("training.learning_rate={rate}")).unwrap();
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(at in 0_usize..400, with in "[\\[\\]=\"'{}.,\\n#0é€a-z ]{0,6}", value in ".{0,12}") {
        let mut text = Experiment::default().to_toml().unwrap();
        if text.is_char_boundary(at) {
            text.insert_str(at, &with);
        }
        if let Err(e) = Experiment::from_toml(&text, "mine.toml") {
            proptest::prop_assert!(e.to_string().starts_with("mine.toml:"), "{e}");
        }
        for key in ["training.epochs", "training.loss", "model.layers", "data.published.mrr_at_20", &with] {
            // Either result is right; it must not panic.
            let _ = Experiment::default().set(&format!("{key}={value}"));
        }
    }
}

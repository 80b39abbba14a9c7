//! The published settings in `experiments/`: they must load, make sense, and say where they come from.

use std::path::PathBuf;
use upnext_core::experiment::{Experiment, ModelConfig};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("experiments")
}

fn load(name: &str) -> Experiment {
    Experiment::load(folder().join(format!("{name}.toml"))).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the project has a folder experiments")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_published_setting_loads_validates_and_names_its_source() {
    assert_eq!(names().len(), 21, "{:?}", names());
    for name in names() {
        let experiment = load(&name);
        experiment.validate().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(experiment.data.name.is_some() && experiment.data.source.is_some(), "{name}");
        // The paper found this one unstable and gives no figures.
        assert_eq!(experiment.data.published.is_none(), name == "video-xe-1000", "{name}");
        if let Some(figures) = experiment.data.published {
            assert!(
                0.0 < figures.mrr_at_20
                    && figures.mrr_at_20 < figures.recall_at_20
                    && figures.recall_at_20 < 1.0
            );
        }
    }
}

#[test]
fn every_published_setting_survives_being_shown() {
    for name in names() {
        let experiment = load(&name);
        let shown = experiment.to_toml().unwrap();
        assert_eq!(Experiment::from_toml(&shown, &name).unwrap(), experiment.resolved(), "{name}");
    }
}

#[test]
fn the_defaults_are_the_published_setting_for_rsc15() {
    let (default, published) = (Experiment::default().resolved(), load("rsc15-xe-100").resolved());
    assert_eq!(default.model, published.model);
    assert_eq!(default.training, published.training);
}

#[test]
fn a_files_name_says_its_loss_and_units() {
    for name in names() {
        let experiment = load(&name);
        let ModelConfig::Gru4rec(network) = &experiment.model else { panic!("{name} is no network") };
        assert!(
            name.split('-').any(|part| part.parse() == Ok(network.layers[0])),
            "{name}: {:?}",
            network.layers
        );
        let loss = serde_json::to_value(experiment.training.loss).unwrap();
        let short = match loss.as_str().unwrap() {
            "cross-entropy" => "xe",
            "bpr-max" => "bprmax",
            other => other,
        }
        .to_owned();
        assert!(name.split('-').any(|part| part == short), "{name}: {short}");
    }
}

#[test]
fn the_paper_s_networks_read_one_hot_and_sample_from_the_mini_batch_alone() {
    for (name, batch, dropout, rate, momentum) in [
        ("rsc15-top1-100", 50, 0.5, 0.01, 0.0),
        ("rsc15-bpr-100", 50, 0.2, 0.05, 0.2),
        ("rsc15-xe-100-paper", 500, 0.0, 0.01, 0.0),
        ("video-top1-100", 50, 0.4, 0.05, 0.0),
        ("video-bpr-100", 50, 0.3, 0.1, 0.0),
        ("video-xe-100", 200, 0.1, 0.05, 0.3),
    ] {
        let experiment = load(name);
        let training = &experiment.training;
        assert_eq!((training.batch_size, training.samples), (batch, 0), "{name}");
        assert_eq!(
            (training.dropout_hidden, training.learning_rate, training.momentum),
            (dropout, rate, momentum)
        );
        assert_eq!(training.logq_for_loss(), 0.0, "{name}");
        let network = experiment.model.network().unwrap();
        assert_eq!(network.input_width(7), 7, "{name}");
        assert_eq!(experiment.evaluation.candidates, name.starts_with("video").then_some(30_000), "{name}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let message = Experiment::load("nowhere/x.toml").unwrap_err().to_string();
    assert!(message.starts_with("nowhere/x.toml: cannot read: "), "{message}");
}

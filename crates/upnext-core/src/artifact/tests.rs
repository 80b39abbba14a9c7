//! A saved model can be loaded again unchanged.

mod damage;
mod format_1;
mod members;

use super::*;
use crate::experiment::{ModelConfig, ModelKind};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// A model whose items and numbers all tell `mark`, with `rows` rows of weights.
pub(super) fn marked(mark: u32, rows: usize) -> Artifact {
    let mut items = ItemVocabulary::new();
    for id in ["", "a", "quote \" and ' and \\", "line\nbreak\r\n\t\0", "🛒 ünï", "NULL", "007"] {
        items.add(id, u64::from(mark));
    }
    items.add(&"long".repeat(2500), 1 << 40);
    let training = TrainingSummary {
        epochs: vec![EpochSummary {
            epoch: 1,
            loss: 0.1 + 0.2,
            seconds: 1e-9,
            mini_batches: 7,
            pairs: 90,
            validation: Some(ValidationSummary { cutoff: 20, recall: 1.0 / 3.0, mrr: 0.1 }),
        }],
        sessions: 3,
        events: 11,
        ..TrainingSummary::default()
    };
    let mut experiment = Experiment::default();
    experiment.training.seed = u64::MAX;
    let mut artifact = Artifact::new(experiment, items, training);
    let tensor = |rows: usize| Tensor { shape: vec![rows, 2], values: vec![mark as f32; rows * 2] };
    artifact.weights.insert("output.weight".into(), tensor(rows));
    artifact.weights.insert(
        "output.bias".into(),
        Tensor { shape: vec![3], values: vec![-0.0, f32::MIN_POSITIVE, 1e-40] },
    );
    artifact.training = Some(TrainingState {
        tensors: [
            ("state".into(), tensor(3)),
            ("empty".into(), Tensor { shape: vec![0, 9], values: vec![] }),
        ]
        .into(),
        counts: [("steps".into(), vec![u64::from(mark), u64::MAX, 0]), ("none".into(), vec![])].into(),
        position: json!({"epoch": 3, "random": u64::MAX, "loss": 0.1 + 0.7, "nested": [null, {"x": -1}]}),
    });
    artifact
}

/// Adds members of the same mark under these names.
pub(super) fn add_members(artifact: &mut Artifact, names: &[&str]) {
    let mark = artifact.items.support(0) as u32;
    for (i, name) in names.iter().enumerate() {
        artifact.members.push(Member { name: (*name).to_owned(), artifact: marked(mark, 3 + i) });
    }
}

/// The path of a model's file of this role.
fn file_of(dir: &Path, role: &str) -> PathBuf {
    dir.join(&Manifest::load(dir).unwrap().file(role).unwrap().file)
}

fn assert_same(a: &Artifact, b: &Artifact) {
    let names = |of: &Artifact| of.members.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(a), names(b));
    a.members.iter().zip(&b.members).for_each(|(a, b)| assert_same(&a.artifact, &b.artifact));
    assert!(a.items.ids().eq(b.items.ids()));
    assert_eq!(a.items.supports(), b.items.supports());
    assert_eq!(a.weights, b.weights);
    assert_eq!(a.training, b.training);
    assert_eq!(a.manifest.experiment, b.manifest.experiment);
    assert_eq!(a.manifest.training, b.manifest.training);
}

fn saved() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    marked(1, 4).save(&dir).unwrap();
    (place, dir)
}

#[test]
fn everything_comes_back_bit_for_bit() {
    let (_place, dir) = saved();
    let original = marked(1, 4);
    let back = Artifact::load(&dir).unwrap();
    assert_same(&original, &back);
    assert_eq!(back.weights["output.bias"].values[0].to_bits(), (-0.0_f32).to_bits());
    let manifest = Manifest::load(&dir).unwrap();
    assert_eq!(manifest.training_position, original.training.map(|t| t.position));
    assert_eq!(manifest.experiment.training.logq, Some(1.0), "absent fields are resolved");
    let lean = Artifact::load_without_training(&dir).unwrap();
    assert_eq!((lean.training.is_none(), &lean.weights), (true, &back.weights));
}

#[test]
fn same_model_gives_the_same_bytes() {
    let (_place, dir) = saved();
    let bytes = || {
        let files = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        let mut bytes: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        bytes.sort();
        bytes
    };
    let first = bytes();
    Artifact::load(&dir).unwrap().save(&dir).unwrap();
    assert!(first == bytes() && first.len() == 4);
    let version = Manifest::load(&dir).unwrap().version();
    assert_eq!(version, Artifact::load(&dir).unwrap().manifest.version());
    marked(2, 4).save(&dir).unwrap();
    assert_ne!(Manifest::load(&dir).unwrap().version(), version);
    Artifact { training: None, ..marked(1, 4) }.save(&dir).unwrap();
    assert_eq!(Manifest::load(&dir).unwrap().version(), version, "training state makes no other model");
}

#[test]
fn models_without_weights_or_items_have_the_same_form() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("pop");
    let experiment = Experiment { model: ModelConfig::of_kind(ModelKind::Pop), ..Experiment::default() };
    let artifact = Artifact::new(experiment, ItemVocabulary::new(), TrainingSummary::default());
    artifact.save(&dir).unwrap();
    assert_same(&artifact, &Artifact::load(&dir).unwrap());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn empty_training_state_is_still_one() {
    let (_place, dir) = saved();
    let training = Some(TrainingState::default());
    Artifact { training: training.clone(), ..marked(1, 4) }.save(&dir).unwrap();
    assert_eq!(Artifact::load(&dir).unwrap().training, training);
}

#[test]
fn saving_without_training_state_leaves_none_behind() {
    let (_place, dir) = saved();
    Artifact::load_without_training(&dir).unwrap().save(&dir).unwrap();
    assert_eq!(Artifact::load(&dir).unwrap().training, None);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 3);
    assert_eq!(Manifest::load(&dir).unwrap().training_position, None);
}

#[test]
fn manifest_says_what_is_saved_and_not_what_its_fields_said() {
    let (_place, dir) = saved();
    let mut artifact = Artifact::load(&dir).unwrap();
    artifact.items.add("new", 1);
    artifact.manifest.upnext_version = "0.0.1".into();
    artifact.save(&dir).unwrap();
    let manifest = Artifact::load(&dir).unwrap().manifest;
    assert_eq!(manifest.items, 9);
    assert_eq!(manifest.upnext_version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_could_not_be_read_again_is_not_saved() {
    let (_place, dir) = saved();
    let mut artifact = marked(2, 4);
    artifact.manifest.training.epochs[0].loss = f64::NAN;
    let message = artifact.save(&dir).unwrap_err().to_string();
    assert!(message.contains("finite"), "{message}");
    let mut artifact = marked(2, 4);
    artifact.weights.get_mut("output.weight").unwrap().values.pop();
    assert!(artifact.save(&dir).unwrap_err().to_string().contains("`output.weight`"));
    let mut artifact = marked(2, 4);
    artifact.training.as_mut().unwrap().counts.insert("state".into(), vec![]);
    assert!(artifact.save(&dir).unwrap_err().to_string().contains("`state`"));
    assert_same(&Artifact::load(&dir).unwrap(), &marked(1, 4));
}

//! Models of format 1 can be read.

use super::super::*;
use super::{assert_same, marked};
use std::fs;

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Writes a model with two items, weights of one tensor and a training state as format 1 has them, by hand.
fn write(dir: &Path) {
    fs::create_dir(dir).unwrap();
    let safetensors = |header: &str, data: &[u8]| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    };
    let weights = safetensors(
        r#"{"output.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}     "#,
        &[0.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat(),
    );
    let training =
        safetensors(r#"{"steps":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}}   "#, &7_u64.to_le_bytes());
    let mut vocabulary = ItemVocabulary::new();
    for (id, support) in [("red shoes", 3), ("tea", 1)] {
        vocabulary.add(id, support);
    }
    let mut items = Vec::new();
    items::write(&vocabulary, &mut items).unwrap();
    let files =
        [("items.parquet", items), ("weights.safetensors", weights), ("training.safetensors", training)];
    let entries = files.map(|(name, bytes)| {
        fs::write(dir.join(name), &bytes).unwrap();
        format!(r#"{{"name": "{name}", "bytes": {}, "crc32": {}}}"#, bytes.len(), crc32(&bytes))
    });
    let manifest = format!(
        r#"{{
  "format": "upnext-model",
  "format_version": 1,
  "upnext_version": "0.1.0",
  "experiment": {{"model": {{"kind": "gru4rec"}}}},
  "items": 2,
  "vocabulary_fingerprint": "830af2f6a581c42a",
  "training": {{"epochs": [{{"epoch": 1, "loss": 0.5}}], "finished": false, "sessions": 2, "events": 4}},
  "training_position": {{"epoch": 1}},
  "files": [{}]
}}"#,
        entries.join(", ")
    );
    fs::write(dir.join(MANIFEST_FILE), manifest).unwrap();
}

#[test]
fn a_model_of_format_1_is_read_and_becomes_one_of_format_2() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    write(&dir);
    assert!(Artifact::exists(&dir));
    let old = Artifact::load(&dir).unwrap();
    assert_eq!(old.items.ids().collect::<Vec<_>>(), ["red shoes", "tea"]);
    assert_eq!(old.weights["output.bias"].values, [0.5, -2.0]);
    let training = old.training.clone().unwrap();
    assert_eq!(
        (&training.counts["steps"][..], &training.position["epoch"]),
        (&[7][..], &serde_json::json!(1))
    );
    assert_eq!(old.manifest.format_version, 1);
    // What is asked before a training is resumed.
    assert!(old.manifest.has_items(&old.items) && Manifest::load(&dir).unwrap().has_items(&old.items));
    assert!(!old.manifest.has_items(&marked(1, 1).items));

    old.save(&dir).unwrap();
    let new = Artifact::load(&dir).unwrap();
    assert_same(&old, &new);
    assert_eq!(new.manifest.format_version, 2);
    assert!(new.manifest.has_items(&old.items));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 4, "the files of format 1 are gone");
}

#[test]
fn damage_in_a_model_of_format_1_is_noticed() {
    for name in format_1::FILES {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("model");
        write(&dir);
        let mut bytes = fs::read(dir.join(name)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(dir.join(name), &bytes).unwrap();
        let message = Artifact::load(&dir).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        bytes.pop();
        fs::write(dir.join(name), &bytes).unwrap();
        let message = Artifact::load(&dir).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("truncated"), "{message}");
    }
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    write(&dir);
    let path = dir.join(MANIFEST_FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("830af2f6a581c42a", "830af2f6a581c42b")).unwrap();
    assert!(Artifact::load(&dir).unwrap_err().to_string().contains("fingerprint"));
    fs::write(&path, text.replace("\"items.parquet\"", "\"../items.parquet\"")).unwrap();
    assert!(Artifact::load(&dir).unwrap_err().to_string().contains("no name of a file"));
}

//! Tests of `train --validate`: the epochs that validation chooses, and the training on all of the data after it.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, bits, done, evaluate, json, manifest, refused, set, stderr, train};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A training that soon overfits, so that validation chooses few epochs.
fn overfitting(parts: &Path, out: &Path) -> Command {
    let mut command = train(parts, out);
    set(&mut command, &["training.learning_rate=0.3", "training.dropout_embedding=0"]);
    command
}

#[test]
fn after_the_validation_a_model_is_trained_on_everything_for_the_best_number_of_epochs() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    let (out, plain) = (folder.path("model"), folder.path("plain"));
    let report = json(overfitting(&parts, &out).args(["--validate", "--epochs", "12"]));
    let selection = &report["selection"];
    let validated = selection["epochs"].as_array().unwrap();
    let best = selection["best_epoch"].as_u64().unwrap();
    assert_eq!(validated.len(), 12);
    assert!(best < 12, "it does not overfit");
    let mrr = |epoch: &Value| epoch["validation"]["mrr"].as_f64().unwrap();
    assert!(validated.iter().all(|epoch| mrr(epoch) <= mrr(&validated[best as usize - 1])));

    // The model is that of a training on the whole part, without looking at anything.
    let best_epochs = best.to_string();
    let whole = json(overfitting(&parts, &plain).args(["--epochs", &best_epochs]));
    assert_eq!(bits(&out), bits(&plain));
    assert_eq!((&report["events"], &report["items"]), (&whole["events"], &whole["items"]));
    assert!(selection["events"].as_u64() < report["events"].as_u64());
    assert_eq!(report["epochs"].as_array().unwrap().len() as u64, best);
    assert_eq!(report["best_epoch"], Value::Null);
    assert_eq!(manifest(&out)["training"]["selection"]["best_epoch"], best);
    assert_eq!(manifest(&out)["experiment"]["training"]["epochs"], 12);
    let shown = String::from_utf8(done(program::upnext().arg("inspect").arg(&out)).stdout).unwrap();
    assert!(shown.contains(&format!("{best} of 12")) && shown.contains(&format!("\n{best}*")), "{shown}");
    assert_eq!(folder.names(), ["clicks.csv", "model", "parts", "plain"]);
}

#[test]
fn without_the_second_training_the_best_epoch_is_kept() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    let (out, kept) = (folder.path("model"), folder.path("kept"));
    let fields = ["--validate", "--epochs", "8"];
    let selection = json(overfitting(&parts, &out).args(fields))["selection"].clone();
    let report = json(overfitting(&parts, &kept).args(fields).arg("--no-refit"));
    assert_eq!(report["selection"], Value::Null);
    assert_eq!(report["best_epoch"], selection["best_epoch"]);
    let validations = |epochs: &Value| -> Vec<Value> {
        epochs.as_array().unwrap().iter().map(|epoch| epoch["validation"].clone()).collect()
    };
    assert_eq!(validations(&report["epochs"]), validations(&selection["epochs"]));
    let judged = json(&mut evaluate(&kept, &parts.join("valid.parquet"), &["-k", "20"]));
    let best = selection["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(judged["metrics"][0]["mrr"], report["epochs"][best - 1]["validation"]["mrr"]);
    refused(overfitting(&parts, &kept).arg("--no-refit"), 2, &["--no-refit", "--validate"]);
}

#[test]
fn a_validation_log_of_its_own_is_learnt_in_the_second_training() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    let (fit, valid) = (parts.join("fit.parquet"), parts.join("valid.parquet"));
    let out = folder.path("model");
    let report = json(train(&fit, &out).args(["--epochs", "3", "--valid"]).arg(&valid));
    let statistics: Value =
        serde_json::from_slice(&std::fs::read(parts.join("statistics.json")).unwrap()).unwrap();
    let sum =
        |key: &str| statistics["fit"][key].as_u64().unwrap() + statistics["valid"][key].as_u64().unwrap();
    assert_eq!(
        (report["events"].as_u64(), report["sessions"].as_u64()),
        (Some(sum("events")), Some(sum("sessions")))
    );
    assert_eq!(report["selection"]["events"], statistics["fit"]["events"]);
}

#[test]
fn early_stopping_ends_the_validated_epochs_only() {
    let folder = Folder::new();
    let (parts, out) = (folder.prepared_shop(500), folder.path("model"));
    let command = |epochs: &str| {
        let mut command = overfitting(&parts, &out);
        set(&mut command, &["training.patience=2"]).args(["--validate", "--epochs", epochs]);
        command
    };
    let report = json(&mut command("40"));
    let best = report["selection"]["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(report["ended"], "early");
    assert_eq!(report["selection"]["epochs"].as_array().unwrap().len(), best + 2);
    assert_eq!(report["epochs"].as_array().unwrap().len(), best);
    assert_eq!(json(command("40").arg("--resume"))["ended"], "already");
    assert_eq!(json(command("50").arg("--resume"))["ended"], "already", "patience is over");
}

#[test]
fn a_kind_without_epochs_has_nothing_to_validate() {
    let folder = Folder::new();
    let (parts, out) = (folder.prepared_shop(300), folder.path("model"));
    let mut command = program::upnext();
    command.arg("train").arg(&parts).arg("--out").arg(&out).args(["--model", "vstan", "--quiet"]);
    refused(command.arg("--validate"), 2, &["--validate", "\"vstan\"", "no epochs"]);
    assert!(!out.exists());
}

#[test]
fn what_a_resumed_training_was_begun_for_is_what_it_ends_with() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let command = |out: &Path, epochs: &str| {
        let mut command = train(&parts, out);
        command.args(["--validate", "--resume", "--epochs", epochs]);
        command
    };
    let (again, kept) = (folder.path("again"), folder.path("kept"));
    done(&mut command(&again, "3"));
    done(command(&kept, "3").arg("--no-refit"));
    refused(command(&again, "3").arg("--no-refit"), 2, &["--validate", "all of the data"]);
    refused(&mut command(&kept, "3"), 2, &["--no-refit", "without training again"]);
    let message = refused(&mut command(&again, "4"), 2, &["training.epochs", "validation of 3 epochs"]);
    assert!(message.contains("another folder"), "{message}");
    // With the best epoch kept, more epochs go on.
    let report = json(command(&kept, "4").arg("--no-refit"));
    assert_eq!(report["epochs"].as_array().unwrap().len(), 4);
}

#[test]
fn the_second_training_is_announced() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let mut command = program::upnext();
    command.arg("train").arg(&parts).arg("--out").arg(folder.path("model")).args(["--epochs", "2"]);
    let output = done(set(&mut command, &["model.layers=8"]).arg("--validate"));
    let (log, text) = (stderr(&output), String::from_utf8(output.stdout.clone()).unwrap());
    assert!(log.contains("of 2 was the best by validation: training again, on all of the data"), "{log}");
    assert!(
        text.contains("epochs judged by validation") && text.contains("was the best: trained again"),
        "{text}"
    );
}

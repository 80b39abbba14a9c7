//! Tests of `train`: its output and files, validation, retraining, and invalid input.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, bits, done, evaluate, json, manifest, refused, set, stderr, train, upnext};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn experiments() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments")
}

#[test]
fn json_is_one_document_with_every_epoch_and_the_peak_memory() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(600);
    let out = folder.path("model");
    let report = json(train(&parts, &out).args(["--validate", "--no-refit", "--epochs", "2"]));
    let epochs = report["epochs"].as_array().unwrap();
    assert_eq!(epochs.len(), 2);
    for (epoch, number) in epochs.iter().zip(1..) {
        assert_eq!(epoch["epoch"], number);
        let positive = |value: &Value| value.as_f64().is_some_and(|x| x > 0.0);
        for key in ["loss", "seconds", "mini_batches_per_second", "events_per_second"] {
            assert!(positive(&epoch[key]), "{key}: {epoch}");
        }
        assert!(positive(&epoch["validation"]["mrr"]) && epoch["validation"]["cutoff"] == 20, "{epoch}");
        let events = report["events"].as_u64().unwrap() - report["sessions"].as_u64().unwrap();
        assert_eq!(epoch["pairs"], events);
    }
    if cfg!(target_os = "linux") {
        assert!(report["peak_memory_bytes"].as_u64().unwrap() > 1_000_000, "{report}");
    }
    assert_eq!(report["ended"], "complete");
    assert_eq!(report["new_items"], Value::Null);
    assert_eq!(report["experiment"]["model"]["layers"][0], 12);
    assert_eq!(manifest(&out)["training"]["finished"], true);
    assert_eq!(folder.names(), ["clicks.csv", "model", "parts"]);
}

#[test]
fn progress_goes_to_stderr_and_quiet_is_silent() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 200, 40, 1);
    let mut command = upnext();
    command.arg("train").arg(&log).arg("--out").arg(folder.path("loud")).args(["--epochs", "1", "--json"]);
    let loud = done(set(&mut command, &["model.layers=8"]));
    assert!(stderr(&loud).contains("epoch  1 of 1: loss"), "{}", stderr(&loud));
    serde_json::from_slice::<Value>(&loud.stdout).unwrap();
    let quiet = done(train(&log, &folder.path("quiet")).args(["--epochs", "1"]));
    assert_eq!(stderr(&quiet), "");
    assert!(String::from_utf8(quiet.stdout).unwrap().contains("saved in"));
}

#[test]
fn early_stopping_keeps_the_best_epoch() {
    let folder = Folder::new();
    let (parts, out) = (folder.prepared_shop(500), folder.path("model"));
    // At this learning rate, the network soon overfits.
    let fields = ["training.learning_rate=0.3", "training.patience=2", "training.dropout_embedding=0"];
    let command = |out: &Path| {
        let mut command = train(&parts, out);
        set(&mut command, &fields).args(["--validate", "--no-refit"]);
        command
    };
    let report = json(command(&out).args(["--epochs", "40"]));
    let (epochs, best) =
        (report["epochs"].as_array().unwrap(), report["best_epoch"].as_u64().unwrap() as usize);
    assert_eq!((report["ended"].as_str(), epochs.len()), (Some("early"), best + 2));
    let mrr = |epoch: &Value| epoch["validation"]["mrr"].as_f64().unwrap();
    let others = epochs.iter().filter(|epoch| epoch["epoch"] != best);
    assert!(others.map(mrr).all(|other| other <= mrr(&epochs[best - 1])));

    let judged = json(&mut evaluate(&out, &parts.join("valid.parquet"), &["-k", "20"]));
    let best_validation = &epochs[best - 1]["validation"];
    assert_eq!(judged["metrics"][0]["mrr"], best_validation["mrr"]);
    assert_eq!(judged["metrics"][0]["recall"], best_validation["recall"]);
    assert_ne!(judged["metrics"][0]["mrr"], epochs[best + 1]["validation"]["mrr"]);

    // The training is complete until patience is changed; then it goes on as if it had not stopped.
    let before = bits(&out);
    assert_eq!(json(command(&out).args(["--epochs", "40", "--resume"]))["ended"], "already");
    let more = (best + 3).to_string();
    let patient = ["--epochs", &more, "--set", "training.patience=0"];
    let report = json(command(&out).args(patient).arg("--resume"));
    let whole = json(command(&folder.path("whole")).args(patient));
    let losses = |report: &Value| -> Vec<Value> {
        report["epochs"].as_array().unwrap().iter().map(|epoch| epoch["loss"].clone()).collect()
    };
    assert_eq!(losses(&report), losses(&whole));
    assert_eq!(report["best_epoch"], whole["best_epoch"]);
    assert_eq!(bits(&out), bits(&folder.path("whole")));
    assert_eq!(bits(&out) == before, report["best_epoch"] == best);
    assert_eq!(folder.names(), ["clicks.csv", "model", "parts", "whole"]);
}

#[test]
fn patience_without_validation_is_refused() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 100, 40, 1);
    let mut command = train(&log, &folder.path("model"));
    refused(set(&mut command, &["training.patience=2"]), 2, &["training.patience", "--validate"]);
    refused(train(&log, &folder.path("model")).arg("--validate"), 2, &["--validate", "--valid LOG"]);
    assert_eq!(folder.names(), ["clicks.csv"]);
}

#[test]
fn a_finished_model_that_is_called_like_the_best_one_stays() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let (out, other) = (folder.path("model"), folder.path("model.best"));
    done(train(&parts, &other).args(["--epochs", "1"]));
    let before = bits(&other);
    done(train(&parts, &out).args(["--epochs", "1"]));
    let kept = ["--epochs", "1", "--validate", "--no-refit"];
    refused(train(&parts, &out).args(kept), 1, &["model.best", "finished model"]);
    assert_eq!(bits(&other), before);
}

#[test]
fn a_training_that_diverges_at_once_leaves_the_old_model() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 300, 40, 1);
    let out = folder.path("model");
    let wild = ["training.optimizer=sgd", "training.learning_rate=1e30"];
    let mut command = train(&log, &out);
    let message = refused(set(&mut command, &wild), 1, &["epoch 1, mini-batch", "training.learning_rate"]);
    assert!(!message.contains("checkpoint"), "{message}");
    assert_eq!(folder.names(), ["clicks.csv"]);
    done(train(&log, &out).args(["--epochs", "1"]));
    let before = bits(&out);
    refused(set(&mut train(&log, &out), &wild), 1, &["no longer a finite number"]);
    assert_eq!((bits(&out), folder.names()), (before, vec!["clicks.csv".to_owned(), "model".to_owned()]));
}

#[test]
fn a_training_that_diverges_late_keeps_its_last_good_checkpoint() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 400, 40, 1);
    let out = folder.path("model");
    // Every step enlarges the weights by a tenth and changes their sign, so they are finite for some epochs.
    let growing = ["training.optimizer=sgd", "training.learning_rate=1", "training.l2=2.1"];
    let command = || {
        let mut command = train(&log, &out);
        set(&mut command, &growing).args(["--epochs", "50"]);
        command
    };
    let message = refused(&mut command(), 1, &["a parameter exceeds 1,000,000", "model.checkpoint"]);
    assert!(!message.contains("epoch 1,"), "{message}");
    assert_eq!(folder.names(), ["clicks.csv", "model.checkpoint"]);
    let checkpoint = folder.path("model.checkpoint");
    assert_eq!(manifest(&checkpoint)["training"]["finished"], false);
    json(&mut evaluate(&checkpoint, &log, &["-k", "20"]));
    // Resuming ends in the same way, and a new start does not delete the checkpoint.
    let again = refused(command().arg("--resume"), 1, &["a parameter exceeds 1,000,000"]);
    assert_eq!(again, message);
    refused(&mut train(&log, &out), 2, &["interrupted training waits", "--resume"]);
}

#[test]
fn retraining_knows_the_old_items_and_counts_the_new_ones() {
    let folder = Folder::new();
    let old_log = folder.file("old.csv", sessions(&["a", "b", "c", "d"]));
    let new_log = folder.file("new.csv", sessions(&["x", "c", "y", "a"]));
    let (old, new) = (folder.path("old"), folder.path("new"));
    let fields =
        ["model.unit=lstm", "model.input=one-hot", "training.optimizer=adam", "training.loss=bpr-max"];
    done(set(&mut train(&old_log, &old), &fields).args(["--epochs", "2", "--seed", "7"]));

    let mut retrain = upnext();
    retrain.arg("train").arg(&new_log).arg("--init").arg(&old).arg("--out").arg(&new).arg("--quiet");
    let report = json(&mut retrain);
    assert_eq!((report["new_items"].as_u64(), report["items"].as_u64()), (Some(2), Some(6)));
    // Without a file or fields, the experiment is that of the first training, for one epoch.
    let mut expected = manifest(&old)["experiment"].clone();
    expected["training"]["epochs"] = 1.into();
    assert_eq!(report["experiment"], expected);
    assert_eq!(report["experiment"]["training"]["seed"], 7);
    let ids = |model: &Path| -> Vec<String> {
        upnext_core::artifact::Artifact::load(model).unwrap().items.ids().map(str::to_owned).collect()
    };
    assert_eq!(ids(&new)[..4], ids(&old)[..]);

    let mut retrain = train(&new_log, &folder.path("other"));
    set(&mut retrain, &["model.unit=gru"]).arg("--init").arg(&old);
    refused(&mut retrain, 2, &["model.unit", "\"lstm\"", "\"gru\""]);
    let config = experiments().join("rsc15-xe-100.toml");
    refused(
        train(&new_log, &folder.path("other")).arg("--init").arg(&old).arg("--config").arg(config),
        2,
        &["model.", "in the model to start from"],
    );
    refused(
        train(&new_log, &folder.path("other")).arg("--init").arg(&old).args(["--model", "pop"]),
        2,
        &["model.kind"],
    );
}

#[test]
fn retraining_starts_from_what_the_model_knows() {
    let folder = Folder::new();
    let (first, second) = (folder.shop("1.csv", 900, 40, 1), folder.shop("2.csv", 300, 40, 1));
    let [full, slim, out, fresh] = ["full", "slim", "out", "fresh"].map(|name| folder.path(name));
    // logQ depends on the support, which grows, so losses with and without it are not comparable.
    let train = |log: &Path, out: &Path| {
        let mut command = train(log, out);
        set(&mut command, &["training.logq=0"]);
        command
    };
    done(train(&first, &full).args(["--epochs", "3"]));
    done(train(&first, &slim).args(["--epochs", "3", "--slim"]));
    let files = |model: &Path| bits(model).into_iter().filter(|(_, bytes)| bytes.is_some()).count();
    assert_eq!((files(&full), files(&slim)), (3, 2));
    let first_loss = |command: &mut std::process::Command| {
        json(command.args(["--epochs", "1"]))["epochs"][0]["loss"].as_f64().unwrap()
    };
    let begun = first_loss(&mut train(&second, &fresh));
    let kept = first_loss(train(&second, &out).arg("--init").arg(&full));
    assert!(kept < begun, "{kept} is not below {begun}");
    let text =
        done(train(&second, &folder.path("from slim")).arg("--init").arg(&slim).args(["--epochs", "1"]));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("0 of them new; the optimiser starts without memory"), "{text}");
    let resumed = ["--epochs", "4", "--resume"];
    refused(train(&first, &slim).args(resumed), 2, &["without its training state", "--init"]);
    assert_eq!(json(train(&first, &full).args(resumed))["epochs"].as_array().unwrap().len(), 4);
}

#[test]
fn a_popularity_model_is_retrained_by_counting_on() {
    let folder = Folder::new();
    let log = folder.file("log.csv", sessions(&["a", "b"]));
    let (old, new) = (folder.path("old"), folder.path("new"));
    done(upnext().arg("train").arg(&log).arg("--out").arg(&old).args(["--model", "pop"]));
    done(upnext().arg("train").arg(&log).arg("--out").arg(&new).arg("--init").arg(&old));
    let support = |model: &Path| upnext_core::artifact::Artifact::load(model).unwrap().items.support(0);
    assert_eq!(support(&new), 2 * support(&old));
}

#[test]
fn every_experiment_file_is_shown_complete_and_can_be_read_again() {
    let folder = Folder::new();
    let mut files = 0;
    for entry in std::fs::read_dir(experiments()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let show = |file: &Path| done(upnext().args(["train", "--show-config", "--config"]).arg(file)).stdout;
        let shown = show(&file);
        assert_eq!(show(&folder.file("shown.toml", &shown)), shown, "{}", file.display());
        files += 1;
    }
    assert!(files >= 20, "{files} files");
}

#[test]
fn wrong_fields_are_refused_with_what_to_use() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 100, 40, 1);
    let config = folder.file("mine.toml", "[training]\nlearning_rat = 0.1\n");
    let one = |fields: &[&str], parts: &[&str]| {
        refused(set(&mut train(&log, &folder.path("model")), fields), 2, parts);
    };
    one(&["training.learning_rte=1"], &["training.learning_rte", "`training.learning_rate`"]);
    one(&["training.loss=bprmax"], &["training.loss", "bpr-max"]);
    one(&["training.learning_rate"], &["key=value"]);
    one(&["training.epochs=0"], &["training.epochs"]);
    let mut command = train(&log, &folder.path("model"));
    refused(command.arg("--config").arg(config), 2, &["mine.toml:2", "`training.learning_rate`"]);
    refused(train(&log, &folder.path("model")).args(["--threads", "0"]), 2, &["--threads", "1 or more"]);
    refused(train(&log, &folder.path("model")).args(["--threads", "100000"]), 2, &["--threads", "or less"]);
    refused(train(&log, &folder.path("model")).args(["--checkpoint-every", "0"]), 2, &["span of time"]);
    refused(upnext().args(["train", "--out", "x"]), 2, &["TRAIN"]);
    assert_eq!(folder.names(), ["clicks.csv", "mine.toml"]);
}

#[test]
fn a_batch_of_more_rows_than_sessions_shrinks_with_a_word() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 100, 40, 1);
    let mut command = train(&log, &folder.path("model"));
    set(&mut command, &["training.batch_size=5000"]).args(["--epochs", "1"]);
    let output = command.output().unwrap();
    let message = program::stderr(&output);
    assert!(output.status.success(), "{message}");
    assert!(message.contains("the mini-batch has 83 rows instead of 5000"), "{message}");
}

#[test]
fn a_network_larger_than_memory_is_refused_with_its_size() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let mut command = train(&parts, &folder.path("model"));
    command.args(["--set", "model.layers=[65536,65536,65536,65536,65536,65536]"]);
    refused(&mut command, 1, &["the network's training needs", "TB of memory", "use fewer units"]);
    assert_eq!(folder.names(), ["clicks.csv", "parts"]);
}

#[test]
fn missing_files_and_foreign_folders_are_named() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 100, 40, 1);
    let out = folder.path("model");
    refused(&mut train(&folder.path("gone.csv"), &out), 1, &["gone.csv"]);
    refused(train(&log, &out).arg("--valid").arg(folder.path("gone.csv")), 1, &["gone.csv"]);
    refused(train(&log, &out).arg("--init").arg(folder.path("gone")), 1, &["gone", "no such folder"]);
    refused(train(&log, &out).arg("--init").arg(&log), 1, &["clicks.csv", "a model is a folder"]);
    refused(&mut train(&log, &folder.path("no/such/place")), 1, &["no/such"]);
    refused(&mut train(&log, &log), 1, &["clicks.csv", "a file of this name exists"]);
    assert_eq!(folder.names(), ["clicks.csv"]);
    let photos = folder.path("photos");
    std::fs::create_dir(&photos).unwrap();
    std::fs::write(photos.join("cat.jpg"), "cat").unwrap();
    refused(&mut train(&log, &photos), 1, &["photos", "neither empty nor a model"]);
    std::fs::rename(&photos, folder.path("model.checkpoint")).unwrap();
    refused(&mut train(&log, &out), 1, &["model.checkpoint", "neither empty nor a model"]);
    assert!(folder.path("model.checkpoint/cat.jpg").exists());
    refused(
        &mut train(&folder.file("one.csv", "SessionId,ItemId,Time\n1,a,1\n2,b,2\n"), &out),
        1,
        &["single event"],
    );
}

#[test]
fn a_validation_on_known_sessions_is_refused() {
    let folder = Folder::new();
    let (parts, out) = (folder.prepared_shop(300), folder.path("model"));
    // `valid` is a part of `train`.
    let valid = parts.join("valid.parquet");
    let words = ["--valid", "are in", "known by heart", "--validate"];
    refused(train(&parts, &out).arg("--valid").arg(&valid), 2, &words);
    assert!(!out.exists());
}

#[test]
fn a_validation_log_of_another_shop_is_refused_before_training() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 100, 40, 1);
    let foreign = folder.file("foreign.csv", sessions(&["a", "b"]));
    let mut command = train(&log, &folder.path("model"));
    refused(command.arg("--valid").arg(foreign), 1, &["validation", "item that the model knows"]);
    assert_eq!(folder.names(), ["clicks.csv", "foreign.csv"]);
}

#[test]
fn a_full_disk_leaves_the_old_model() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 300, 60, 1);
    let (disk, saved) = (folder.path("disk"), folder.path("saved"));
    std::fs::create_dir(&disk).unwrap();
    // In a separate namespace, so that nothing stays mounted.
    let script = r#"
        set -e
        mount -t tmpfs -o size=400k none "$3" || exit 77
        small="$1 train $2 --quiet --epochs 1 --set training.samples=24 --set model.layers=8"
        $small --out "$3/model"
        cp -r "$3/model" "$4"
        head -c 300000 /dev/zero > "$3/filling" || true
        code=0
        $1 train $2 --quiet --epochs 1 --set model.layers=300 --out "$3/model" || code=$?
        diff -r "$3/model" "$4"
        $1 evaluate "$3/model" $2 --quiet >&2
        ls -A "$3"
        exit $code"#;
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_upnext")])
        .args([&log, &disk, &saved])
        .output();
    let output = match output {
        Ok(output) if saved.exists() => output,
        Ok(output) => return eprintln!("skipped: no small disk can be mounted here: {}", stderr(&output)),
        Err(error) => return eprintln!("skipped: unshare cannot be run: {error}"),
    };
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("cannot write: No space left on device"), "{message}");
    assert!(message.contains("model"), "{message}");
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(listed.ends_with("filling\nmodel\n"), "{listed}");
}

/// A log of sessions over these items, in turn.
fn sessions(items: &[&str]) -> String {
    let mut text = "SessionId,ItemId,Time\n".to_owned();
    for s in 0..30 {
        for t in 0..4 {
            let item = items[(s + t) % items.len()];
            text.push_str(&format!("{s},{item},{}\n", 1_500_000_000 + 100 * s + t));
        }
    }
    text
}

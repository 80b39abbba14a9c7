//! Tests of `train --resume` after trainings that were killed, stopped or changed.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, bits, done, evaluate, json, manifest, refused, set, stderr, train, was_killed};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Numbers of threads to use in turn, up to the number of cores.
fn threads(attempt: usize) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (1 + attempt % cores.min(2)).to_string()
}

/// How often checkpoints are saved; the training is killed soon after one.
#[derive(Clone, Copy, PartialEq)]
enum Checkpoints {
    AfterEveryMiniBatch,
    AfterEveryEpoch,
}

/// Kills a training several times, each time soon after a new checkpoint, and then lets it finish.
fn kill_and_finish(command: &dyn Fn() -> Command, out: &Path, checkpoints: Checkpoints) {
    let checkpoint = out.with_file_name("model.checkpoint");
    // It contains the progress or the duration of an epoch, so it differs between checkpoints.
    let version = || std::fs::read(checkpoint.join("manifest.json")).ok();
    let command = |attempt: usize| {
        let mut command = command();
        command.args(["--resume", "--threads", &threads(attempt)]);
        command
    };
    let mut kills = 0;
    for attempt in 0..8 {
        let mut training = command(attempt);
        if checkpoints == Checkpoints::AfterEveryMiniBatch {
            training.args(["--checkpoint-every", "0.000001s"]);
        }
        let before = version();
        let mut child = training.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // The first kill comes before the first checkpoint.
        let begun = Instant::now();
        let is_over = || match attempt {
            0 => begun.elapsed() > Duration::from_millis(3),
            _ => version().is_some_and(|now| Some(now) != before),
        };
        while !is_over() && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint");
            std::thread::sleep(Duration::from_micros(100));
        }
        if checkpoints == Checkpoints::AfterEveryMiniBatch {
            // At any time within a mini-batch or during the next save.
            std::thread::sleep(Duration::from_micros(700 * attempt as u64));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if !was_killed(&output) {
            assert!(output.status.success(), "{}", stderr(&output));
            break;
        }
        kills += usize::from(version().is_some());
        assert!(!out.exists() || manifest(out)["training"]["finished"] == true);
    }
    assert!(kills > 0, "the training was never killed after a checkpoint");
    done(&mut command(0));
}

#[test]
fn a_training_killed_within_epochs_ends_with_the_bits_of_a_whole_one() {
    killed_within_epochs(&["--validate", "--no-refit"]);
}

#[test]
fn a_training_killed_before_and_after_its_validation_ends_with_the_bits_of_a_whole_one() {
    killed_within_epochs(&["--validate"]);
}

/// Kills a validated training within its epochs.
fn killed_within_epochs(validation: &[&str]) {
    let folder = Folder::new();
    let parts = folder.prepared_shop(700);
    let command = |out: &Path| {
        let mut command = train(&parts, out);
        set(
            &mut command,
            &[
                "training.optimizer=adam",
                "training.learning_rate=0.01",
                "training.momentum=0.2",
                "training.dropout_hidden=0.2",
                "training.session_order=shuffled",
            ],
        );
        command.args(["--epochs", "5"]).args(validation);
        command
    };
    let (whole, out) = (folder.path("whole"), folder.path("model"));
    done(command(&whole).args(["--threads", "1"]));
    kill_and_finish(&|| command(&out), &out, Checkpoints::AfterEveryMiniBatch);
    assert_eq!(bits(&out), bits(&whole));
    let losses = |model: &Path| {
        let training = &manifest(model)["training"];
        let epochs = [&training["selection"]["epochs"], &training["epochs"]];
        let epochs = epochs.into_iter().filter_map(|epochs| epochs.as_array());
        epochs.flatten().map(|e| (e["loss"].clone(), e["validation"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(losses(&out), losses(&whole));
    assert_eq!(folder.names(), ["clicks.csv", "model", "parts", "whole"]);
}

#[test]
fn a_training_killed_between_epochs_ends_with_the_bits_of_a_whole_one() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 200, 60, 1);
    let command = |out: &Path| {
        let mut command = train(&log, out);
        set(
            &mut command,
            &["model.unit=lstm", "model.layers=8,6", "model.input=discounted", "training.batch_size=32"],
        );
        command.args(["--epochs", "60"]);
        command
    };
    let (whole, out) = (folder.path("whole"), folder.path("model"));
    done(command(&whole).args(["--threads", &threads(1)]));
    kill_and_finish(&|| command(&out), &out, Checkpoints::AfterEveryEpoch);
    assert_eq!(bits(&out), bits(&whole));
    assert_eq!(folder.names(), ["clicks.csv", "model", "whole"]);
}

#[test]
fn a_retraining_that_is_killed_ends_with_the_bits_of_a_whole_one() {
    let folder = Folder::new();
    let (old_log, new_log) = (folder.shop("1.csv", 300, 40, 1), folder.shop("2.csv", 400, 70, 2));
    let old = folder.path("old");
    done(train(&old_log, &old).args(["--epochs", "1"]));
    let command = |out: &Path| {
        let mut command = train(&new_log, out);
        command.args(["--epochs", "5", "--init"]).arg(&old);
        command
    };
    let (whole, out) = (folder.path("whole"), folder.path("model"));
    done(command(&whole).args(["--threads", "1"]));
    kill_and_finish(&|| command(&out), &out, Checkpoints::AfterEveryMiniBatch);
    assert_eq!(bits(&out), bits(&whole));

    // Without the model to start from, the vocabulary is another one.
    refused(train(&new_log, &out).args(["--epochs", "9", "--resume"]), 2, &["resume", "--init"]);
}

#[cfg(unix)] // It sends a signal.
#[test]
fn ctrl_c_says_how_to_go_on_and_that_works() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 600, 60, 1);
    let (whole, out) = (folder.path("whole"), folder.path("Ann's model"));
    let command = |out: &Path| {
        let mut command = train(&log, out);
        command.args(["--epochs", "80", "--threads", "1"]);
        command
    };
    let child = command(&out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let checkpoint = folder.path("Ann's model.checkpoint");
    let patience = Instant::now() + Duration::from_secs(60);
    while !checkpoint.join("manifest.json").exists() {
        assert!(Instant::now() < patience, "no checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    done(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(output.stdout.is_empty() && message.contains("Ann's model.checkpoint"), "{message}");
    assert!(!out.exists() && checkpoint.exists());
    assert_ne!(manifest(&checkpoint)["training"]["epochs"].as_array().unwrap().len(), 80);

    // A new start does not delete the checkpoint.
    let before = bits(&checkpoint);
    refused(&mut command(&out), 2, &["interrupted training waits", "--resume"]);
    assert_eq!(bits(&checkpoint), before);

    let (_, advice) = message.split_once("Go on with it by\n").expect("the command to go on");
    done(Command::new("sh").arg("-c").arg(advice.trim()));
    done(&mut command(&whole));
    assert_eq!(bits(&out), bits(&whole));
    assert!(!checkpoint.exists());
}

#[test]
fn only_the_same_training_is_resumed() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let (log, out) = (parts.join("train.parquet"), folder.path("model"));
    done(train(&log, &out).args(["--epochs", "1"]));
    let before = bits(&out);
    let resume = |log: &Path, more: &[&str]| {
        let mut command = train(log, &out);
        command.args(["--epochs", "2", "--resume"]).args(more);
        command
    };
    refused(
        &mut resume(&log, &["--set", "training.learning_rate=0.2"]),
        2,
        &["training.learning_rate", "0.2"],
    );
    refused(&mut resume(&log, &["--seed", "1"]), 2, &["training.seed", "was 42", "is 1"]);
    refused(&mut resume(&log, &["--set", "model.layers=13"]), 2, &["model.layers"]);
    refused(&mut resume(&parts.join("fit.parquet"), &[]), 2, &["resume with the same data"]);
    let text = ["--valid", parts.join("test.parquet").to_str().unwrap()].map(str::to_owned);
    refused(&mut resume(&log, &text.each_ref().map(String::as_str)), 2, &["without validation"]);
    assert_eq!(bits(&out), before);
}

#[test]
fn data_that_differ_only_in_what_was_clicked_are_not_resumed() {
    let folder = Folder::new();
    // 30 sessions over four items; the last event of the other log is on another item.
    let mut text = "SessionId,ItemId,Time\n".to_owned();
    for (session, event) in (0..30).flat_map(|s| (0..4).map(move |t| (s, t))) {
        text.push_str(&format!("{session},item{},{}\n", (session + event) % 4, 100 * session + event));
    }
    let (log, out) = (folder.file("clicks.csv", &text), folder.path("model"));
    done(train(&log, &out).args(["--epochs", "1"]));
    let changed = text.replace("29,item0,2903", "29,item1,2903");
    assert_ne!(changed, text);
    let changed = folder.file("changed.csv", changed);
    refused(train(&changed, &out).args(["--epochs", "2", "--resume"]), 2, &["resume with the same data"]);
}

#[test]
fn a_finished_model_is_complete_or_gets_more_epochs() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 300, 40, 1);
    let (out, whole) = (folder.path("model"), folder.path("whole"));
    done(train(&log, &out).args(["--epochs", "2", "--resume"]));
    let before = bits(&out);
    let text = done(train(&log, &out).args(["--epochs", "2", "--resume"])).stdout;
    assert!(String::from_utf8(text).unwrap().contains("the model is complete"));
    assert_eq!(bits(&out), before);
    assert_eq!(json(train(&log, &out).args(["--epochs", "1", "--resume"]))["ended"], "already");
    let report = json(train(&log, &out).args(["--epochs", "4", "--resume"]));
    assert_eq!((report["ended"].as_str(), report["epochs"].as_array().unwrap().len()), (Some("complete"), 4));
    done(train(&log, &whole).args(["--epochs", "4"]));
    assert_eq!(bits(&out), bits(&whole));
}

#[test]
fn what_a_kill_at_the_very_end_leaves_is_removed() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let out = folder.path("model");
    let command = || {
        let mut command = train(&parts, &out);
        command.args(["--epochs", "2", "--validate", "--no-refit", "--resume"]);
        command
    };
    done(&mut command());
    let (before, best) = (bits(&out), folder.path("model.best"));
    // The model is saved, the checkpoint is removed or almost, and the best model still exists.
    std::fs::create_dir(&best).unwrap();
    for file in std::fs::read_dir(&out).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), best.join(file.file_name())).unwrap();
    }
    let text = std::fs::read_to_string(best.join("manifest.json")).unwrap();
    std::fs::write(best.join("manifest.json"), text.replace("\"finished\": true", "\"finished\": false"))
        .unwrap();
    // A training killed while it removed the checkpoint.
    std::fs::create_dir(folder.path("model.checkpoint")).unwrap();
    for left_over in ["model.checkpoint", "model.best"] {
        folder.file(&format!("{left_over}/.upnext-unfinished-0123"), "half of it");
        folder.file(&format!("{left_over}/weights-0123456789abcdef.safetensors"), "all of it");
    }
    assert_eq!(json(&mut command())["ended"], "already");
    assert_eq!(
        (bits(&out), folder.names()),
        (before, ["clicks.csv", "model", "parts"].map(str::to_owned).into())
    );
}

#[cfg(unix)] // It sends a signal.
#[test]
fn fewer_epochs_than_have_begun_are_refused() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 600, 60, 1);
    let out = folder.path("model");
    let child =
        train(&log, &out).args(["--epochs", "200", "--threads", "1"]).stderr(Stdio::piped()).spawn().unwrap();
    let checkpoint = folder.path("model.checkpoint");
    let done_epochs = || manifest(&checkpoint)["training"]["epochs"].as_array().unwrap().len();
    let patience = Instant::now() + Duration::from_secs(60);
    while !checkpoint.join("manifest.json").exists() {
        assert!(Instant::now() < patience, "no checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    done(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
    // Stopped after a mini-batch of the next epoch.
    assert!(!manifest(&checkpoint)["training_position"]["epoch"].is_null());
    let asked = done_epochs().to_string();
    let begun = format!("epoch {} has begun already", done_epochs() + 1);
    refused(train(&log, &out).args(["--resume", "--epochs", &asked]), 2, &["training.epochs", &begun]);
    // The checkpoint can be used like any model.
    json(&mut evaluate(&checkpoint, &log, &["-k", "20"]));
}

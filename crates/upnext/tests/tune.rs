//! Tests of `upnext tune`: its results, resuming after a kill, independence of the test part, and invalid arguments.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, done, evaluate, json, refused, set, stderr, upnext, was_killed};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Arguments of a search over networks that are small enough for tests.
fn tune(train: &Path, out: &Path, trials: usize) -> Command {
    let mut command = search(train, out, trials);
    set(&mut command, &["model.layers=8", "training.samples=8", "training.epochs=2"]);
    command
}

/// Arguments of a search over any kind of model.
fn search(train: &Path, out: &Path, trials: usize) -> Command {
    let mut command = upnext();
    command.arg("tune").arg(train).arg("--out").arg(out).args(["--trials", &trials.to_string(), "--quiet"]);
    command
}

/// The stored trials in the order of the procedure, without fields that differ between runs.
fn trials(out: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("trials.jsonl")).unwrap();
    let mut trials: Vec<Value> = text
        .lines()
        .skip(1)
        .map(|line| {
            let mut trial: Value = serde_json::from_str(line).unwrap();
            trial["seconds"] = 0.into();
            trial
        })
        .collect();
    trials.sort_by_key(|trial| (trial["trial"].as_u64(), trial["epochs"].as_u64()));
    trials
}

/// A part of an outcome, without the field that differs between runs.
fn without_time(outcome: &Value, part: &str) -> Value {
    let mut part = outcome[part].clone();
    part["seconds"] = 0.into();
    part
}

#[test]
fn a_search_ends_with_a_model_a_report_and_figures_that_can_be_had_again() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    let out = folder.path("tuned");
    let outcome = json(&mut tune(&parts, &out, 6));
    assert_eq!(outcome["sampled"].as_array().unwrap().len(), 6);
    assert!(outcome["stable"].as_u64().unwrap() <= 6 && outcome["pop_recall"].as_f64().unwrap() > 0.0);
    assert_eq!(outcome["importance"].as_array().unwrap().len(), 4);
    // The saved model has the metrics of the report and the parameters of the best point.
    let judged = json(&mut evaluate::<&str>(&out.join("model"), &parts, &[]));
    assert_eq!(judged["metrics"], outcome["test"]["metrics"]);
    let trained = &program::manifest(&out.join("model"))["experiment"];
    for (key, value) in outcome["best"]["values"].as_object().unwrap() {
        let (table, field) = key.split_once('.').unwrap();
        let (is, best) = (trained[table][field].as_f64(), value.as_f64());
        assert!((is.unwrap() - best.unwrap()).abs() < 1e-6, "{key}");
    }
    // Beside it, on the same cases: the setting before the search, and a baseline.
    let test = &outcome["test"];
    assert_eq!(test["beside"][0]["name"], "the setting before the search");
    let models = test["comparison"]["models"].as_array().unwrap();
    assert_eq!((&test["beside"][1]["name"], models.len()), (&"item-knn".into(), 3));
    let baseline = json(&mut evaluate::<&str>(&out.join("beside/item-knn"), &parts, &[]));
    assert_eq!(baseline["metrics"], test["beside"][1]["metrics"]);
    let figure = &test["comparison"]["differences"][0]["figures"][3];
    let recall = |metrics: &Value| metrics[3]["recall"].as_f64().unwrap();
    let difference = recall(&test["metrics"]) - recall(&test["beside"][0]["metrics"]);
    assert!((figure["value"].as_f64().unwrap() - difference).abs() < 1e-9 && figure["low"].is_number());
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<div class=\"verdict") && page.contains(" the setting before the search ("));
    assert!(page.contains(">Recall@20 on the validation part, %<"));
    for section in ["test", "best", "course", "importance", "points", "again"] {
        assert!(page.contains(&format!("<section id=\"{section}\">")), "{section}");
    }
    let kept: Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    assert_eq!(kept["best"], outcome["best"]);
    // More points extend the search: stored trials are not repeated.
    let before = trials(&out);
    let longer = json(tune(&parts, &out, 8).arg("--resume"));
    assert_eq!(longer["sampled"].as_array().unwrap()[..6], outcome["sampled"].as_array().unwrap()[..]);
    assert!(trials(&out).len() >= before.len() + 2);
}

#[test]
fn the_number_of_all_trials_is_said_before_the_search_and_beside_each() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let mut command = upnext();
    command.arg("tune").arg(&parts).arg("--out").arg(folder.path("out")).args(["--trials", "2"]);
    let output = done(set(&mut command, &["model.layers=8", "training.samples=8", "training.epochs=1"]));
    let said = stderr(&output);
    let (_, after) =
        said.split_once("2 points will be sampled, and then the best one refined by up to ").unwrap();
    let more: usize = after.split(' ').next().unwrap().parse().unwrap();
    assert!(after.contains(&format!("up to {} trials in all", more + 2)), "{said}");
    let numbers: Vec<usize> = said
        .lines()
        .filter_map(|line| line.strip_prefix("trial ")?.split(' ').next()?.parse().ok())
        .collect();
    assert!(numbers.len() > 2 && numbers.iter().all(|&number| number <= more + 2), "{said}");
    assert!(said.contains(&format!("trial 1 of up to {}, ", more + 2)), "{said}");
}

#[test]
fn a_killed_search_goes_on_and_ends_as_one_that_was_not() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    let whole = folder.path("whole");
    let expected = json(&mut tune(&parts, &whole, 10));
    let out = folder.path("killed");
    let file = out.join("trials.jsonl");
    let size = || std::fs::metadata(&file).map_or(0, |file| file.len());
    for _ in 0..3 {
        let before = size();
        let mut command = tune(&parts, &out, 10);
        let mut child = command.arg("--resume").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while size() == before && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no trial");
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(was_killed(&output), "killed while it searched: {}", stderr(&output));
    }
    let outcome = json(tune(&parts, &out, 10).arg("--resume"));
    for part in ["best", "test"] {
        assert_eq!(without_time(&outcome, part), without_time(&expected, part), "{part}");
    }
    assert_eq!(trials(&out), trials(&whole));
    assert!(!out.join("trials").exists(), "nothing is left of the trials' trainings");
}

#[test]
fn a_search_killed_while_the_best_is_trained_again_goes_on_also_as_a_longer_one() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    let whole = json(&mut tune(&parts, &folder.path("whole"), 6));
    for trials in [6, 9] {
        let out = folder.path(&format!("killed{trials}"));
        let mut child = tune(&parts, &out, 6).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        // The result of the search is written before its best point is trained again.
        while !out.join("result.json").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let outcome = json(tune(&parts, &out, trials).arg("--resume"));
        assert!(!outcome["test"].is_null() && !out.join("model.checkpoint").exists());
        if trials == 6 {
            assert_eq!(outcome["test"]["metrics"], whole["test"]["metrics"]);
        }
    }
}

/// Converts a prepared folder to an older version, in which changed parts are not detected.
fn forget_hashes(parts: &Path) {
    let path = parts.join("statistics.json");
    let mut statistics: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(statistics.as_object_mut().unwrap().remove("files").is_some());
    std::fs::write(path, statistics.to_string()).unwrap();
}

#[test]
fn another_test_part_is_judged_anew_and_the_same_one_is_not() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    let out = folder.path("tuned");
    let first = json(&mut tune(&parts, &out, 3));
    let again = json(tune(&parts, &out, 3).arg("--resume"));
    assert_eq!(first["test"], again["test"]);
    assert_eq!(first["test"]["also_in_training"], 0);
    let part = |name: &str| {
        let mut files = std::fs::read_dir(&parts).unwrap().map(|e| e.unwrap().path());
        files.find(|p| p.file_stem().is_some_and(|s| s == name)).unwrap()
    };
    std::fs::copy(part("valid"), part("test")).unwrap();
    refused(tune(&parts, &out, 3).arg("--resume"), 1, &["test.parquet", "prepare the log again"]);
    forget_hashes(&parts);
    let other = json(tune(&parts, &out, 3).arg("--resume"));
    assert_eq!(other["test"]["judgements"], 2);
    assert_ne!(first["test"]["metrics"], other["test"]["metrics"]);
}

#[test]
fn validation_sessions_that_training_knows_are_refused() {
    let folder = Folder::new();
    let (log, parts) = (folder.shop("clicks.csv", 300, 60, 1), folder.path("parts"));
    done(upnext().arg("prepare").arg(&log).arg("--out").arg(&parts));
    let mut command = tune(&log, &folder.path("a"), 2);
    refused(
        command.arg("--valid").arg(&log),
        2,
        &["--valid", "are in the training log, too", "known by heart"],
    );
    let mut command = tune(&parts, &folder.path("b"), 2);
    refused(command.arg("--valid").arg(&log), 2, &["--valid", "single log"]);
    // Other sessions are accepted, and the final model is trained on them, too.
    let text = std::fs::read_to_string(folder.shop("later.csv", 200, 60, 1)).unwrap();
    let renamed = text
        .lines()
        .enumerate()
        .map(|(i, line)| if i == 0 { format!("{line}\n") } else { format!("later-{line}\n") });
    let later = folder.file("later.csv", renamed.collect::<String>());
    let outcome = json(tune(&log, &folder.path("c"), 2).arg("--valid").arg(&later));
    let alone = json(&mut tune(&log, &folder.path("d"), 2));
    let events = |outcome: &Value| outcome["train_events"].as_u64().unwrap();
    assert!(events(&outcome) > events(&alone));
}

#[test]
fn a_search_of_which_no_network_stays_finite_says_how_many() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let space = folder.file("space.toml", "[training]\nlearning_rate = { choice = [1e29, 1e30] }\n");
    let out = folder.path("tuned");
    let mut command = tune(&parts, &out, 2);
    command.args(["--set", "training.optimizer=sgd", "--json", "--space"]).arg(space);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&outcome["stable"], &outcome["best"]), (&0.into(), &Value::Null));
    assert!(stderr(&output).contains("none of the points"), "{}", stderr(&output));
    assert!(out.join("report.html").exists());
}

#[test]
fn the_search_is_the_same_whatever_the_test_part_holds() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    let out = folder.path("tuned");
    done(&mut tune(&parts, &out, 4));
    let test = std::fs::read_dir(&parts)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.file_stem().is_some_and(|s| s == "test"));
    let test = test.unwrap();
    std::fs::write(&test, "this is no log").unwrap();
    forget_hashes(&parts);
    let blind = folder.path("blind");
    refused(&mut tune(&parts, &blind, 4), 1, &["test."]);
    assert_eq!(trials(&blind), trials(&out));
    std::fs::remove_file(&test).unwrap();
    let none = folder.path("none");
    let output = done(&mut tune(&parts, &none, 4));
    assert!(stderr(&output).contains("there is no test part"));
    assert_eq!(trials(&none), trials(&out));
}

#[test]
fn a_log_alone_is_split_at_its_end_and_halving_and_the_other_sampler_run() {
    let folder = Folder::new();
    let log = folder.shop("clicks.csv", 500, 60, 1);
    let out = folder.path("tuned");
    let outcome = json(tune(&log, &out, 9).args(["--halving", "--no-refine", "--epochs", "9"]));
    assert!(outcome["test"].is_null() && outcome["refined"].as_array().unwrap().is_empty());
    assert_eq!(outcome["best"]["epochs"], 9);
    let mut again = tune(&log, &out, 9);
    let text = done(again.args(["--halving", "--no-refine", "--epochs", "9", "--resume"])).stdout;
    let text = String::from_utf8(text).unwrap();
    let first = text.lines().skip_while(|line| !line.starts_with("trial")).nth(1).unwrap();
    assert!(first.starts_with(&format!("{} ", outcome["best"]["trial"])), "the best is the first: {text}");
    assert!(text.contains("were stopped earlier"), "{text}");
    let other = folder.path("other");
    let mut command = search(&log, &other, 22);
    command.args(["--sampler", "tpe", "--model", "item-knn", "--objective", "mrr", "--test"]).arg(&log);
    let outcome = json(&mut command);
    assert!(outcome["test"]["metrics"][3]["recall"].as_f64().unwrap() > 0.0);
    // All of these sessions were trained on.
    assert_eq!(outcome["test"]["also_in_training"], outcome["test"]["sessions"]);
    let again = done(command.arg("--resume"));
    assert!(stderr(&again).contains("sessions of the test log are in the training log too"), "{again:?}");
    let page = std::fs::read_to_string(other.join("report.html")).unwrap();
    assert!(page.contains("sessions of the test log are in the training log too"), "{page}");
    let far = folder.path("far");
    refused(
        tune(&log, &far, 2).args(["--validation", "90d"]),
        1,
        &["validation part cannot be used", "shorter"],
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_any_log_is_read() {
    let folder = Folder::new();
    // The log is not there: whoever reads it first fails with another message.
    let log = folder.path("no-log.csv");
    let out = folder.path("tuned");
    let with_space = |text: &str| {
        let mut command = tune(&log, &out, 3);
        command.arg("--space").arg(folder.file("space.toml", text));
        command
    };
    refused(
        &mut with_space("[training]\nlearning_rat = { log = [0.1, 1] }\n"),
        2,
        &["space.toml:2", "learning_rate"],
    );
    refused(
        &mut with_space("[training]\nbatch_size = { uniform = [1, 10] }\n"),
        2,
        &["space.toml:2:14", "training.batch_size", "whole number"],
    );
    refused(&mut with_space("[training]\nmomentum = 0.5\n"), 2, &["space.toml:2:12", "one value"]);
    refused(search(&log, &out, 3).args(["--model", "pop"]), 2, &["\"pop\"", "no parameter"]);
    refused(&mut tune(&log, &out, 0), 2, &["trials"]);
    refused(&mut tune(&log, &folder.file("file", ""), 3), 1, &["file"]);
    std::fs::create_dir(folder.path("full")).unwrap();
    folder.file("full/thesis.tex", "");
    refused(&mut tune(&log, &folder.path("full"), 3), 2, &["full", "other things"]);
    std::fs::create_dir(folder.path("half")).unwrap();
    folder.file("half/trials.jsonl", "");
    refused(&mut tune(&log, &folder.path("half"), 3), 2, &["half", "--resume"]);
    folder.file("half/report.html", "my own page");
    refused(tune(&log, &folder.path("half"), 3).arg("--resume"), 1, &["report.html", "no report of upnext"]);
}

#[test]
fn a_search_that_is_running_is_left_alone_before_any_log_is_read() {
    let folder = Folder::new();
    let out = folder.path("tuned");
    std::fs::create_dir(&out).unwrap();
    let running = upnext_core::tuning::TrialStore::lock(&out).unwrap();
    // The log is not there: whoever reads it first fails with another message.
    let mut command = tune(&folder.path("no-log.csv"), &out, 3);
    refused(command.arg("--resume"), 2, &["another search is running", "choose another folder"]);
    drop(running);
    refused(&mut command, 1, &["no-log.csv"]);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "no search was begun");
}

#[test]
fn a_folder_without_a_validation_part_is_refused() {
    let folder = Folder::new();
    let (log, parts) = (folder.shop("clicks.csv", 300, 60, 1), folder.path("parts"));
    done(upnext().arg("prepare").arg(log).arg("--out").arg(&parts).args(["--validation", "none"]));
    refused(&mut tune(&parts, &folder.path("tuned"), 3), 1, &["fit part", "validation part"]);
}

#[test]
fn the_space_that_is_shown_is_one_that_can_be_used() {
    let folder = Folder::new();
    let shown = done(upnext().args(["tune", "--show-space", "--model", "vs-knn"])).stdout;
    let space = folder.file("space.toml", &shown);
    let (log, out) = (folder.shop("clicks.csv", 300, 60, 1), folder.path("tuned"));
    let mut command = search(&log, &out, 2);
    command.arg("--no-refine");
    let outcome = json(command.args(["--model", "vs-knn", "--space"]).arg(space));
    assert_eq!(outcome["space"]["parameters"].as_array().unwrap().len(), 5);
}

/// The trials that several processes have stored, as [`trials`].
fn shared_trials(out: &Path) -> Vec<Value> {
    let entries = std::fs::read_dir(out.join("ended")).unwrap().map(|entry| entry.unwrap().path());
    let read = |path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let mut trials: Vec<Value> = entries.map(read).collect();
    trials.iter_mut().for_each(|trial| trial["seconds"] = 0.into());
    trials.sort_by_key(|trial| (trial["trial"].as_u64(), trial["epochs"].as_u64()));
    trials
}

#[test]
fn four_processes_of_which_two_are_killed_end_as_one_alone() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(500);
    for halving in [false, true] {
        let (whole, out) =
            (folder.path(&format!("whole{halving}")), folder.path(&format!("shared{halving}")));
        let search = |out: &Path| {
            let mut command = tune(&parts, out, 10);
            set(&mut command, &["training.epochs=9"]);
            command.args(halving.then_some("--halving"));
            command
        };
        let expected = json(&mut search(&whole));
        let together = || {
            let mut command = search(&out);
            command.args(["--shared", "--lease", "2s", "--threads", "1", "--json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let claims = || std::fs::read_dir(out.join("claims")).map_or(0, |claims| claims.count());
        for _ in 0..2 {
            let mut child = together().spawn().unwrap();
            let begun = Instant::now();
            let before = claims();
            while claims() == before && child.try_wait().unwrap().is_none() {
                assert!(begun.elapsed() < Duration::from_secs(60), "no trial");
                std::thread::sleep(Duration::from_micros(200));
            }
            child.kill().unwrap();
            assert!(was_killed(&child.wait_with_output().unwrap()), "killed while it searched");
        }
        assert_eq!(claims(), 2, "those of the killed processes");
        let others: Vec<_> = (0..2).map(|_| together().spawn().unwrap()).collect();
        for child in others {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
            for part in ["best", "test"] {
                assert_eq!(without_time(&outcome, part), without_time(&expected, part), "{part}");
            }
        }
        assert_eq!(shared_trials(&out), trials(&whole));
        assert_eq!(claims(), 0);
        assert!(!out.join("trials").exists(), "nothing is left of the trials' trainings");
        refused(search(&out).arg("--resume"), 2, &["several machines", "--shared"]);
        refused(search(&whole).args(["--shared"]), 2, &["single process", "another folder"]);
    }
}

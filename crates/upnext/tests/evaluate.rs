//! Tests of `evaluate`: its output, and the messages and exit codes for invalid models, logs and options.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, bits, done, evaluate, file_of, json, manifest, refused, set, stderr, train, upnext};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The prepared data of a shop, and a model.
fn trained(folder: &Folder) -> (PathBuf, PathBuf) {
    let (parts, model) = (folder.prepared_shop(500), folder.path("model"));
    done(train(&parts, &model).args(["--epochs", "2"]));
    (parts, model)
}

fn without_time(mut report: Value) -> Value {
    assert!(report["seconds"].take().as_f64().unwrap() >= 0.0);
    report
}

#[test]
fn json_has_every_cut_off_and_the_counts() {
    let folder = Folder::new();
    let (parts, model) = trained(&folder);
    let report = json(&mut evaluate(&model, &parts, &["-k", "1,5,20", "--lists"]));
    let metrics = report["metrics"].as_array().unwrap();
    assert_eq!(metrics.iter().map(|at| at["k"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 5, 20]);
    for key in ["recall", "mrr", "ndcg", "coverage"] {
        let values: Vec<f64> = metrics.iter().map(|at| at[key].as_f64().unwrap()).collect();
        assert!(values.is_sorted() && values[0] >= 0.0 && values[2] <= 1.0 && values[2] > 0.0, "{key}");
    }
    let statistics: Value =
        serde_json::from_slice(&std::fs::read(parts.join("statistics.json")).unwrap()).unwrap();
    let test = |key: &str| statistics["test"][key].as_u64().unwrap();
    assert_eq!(report["sessions"], test("sessions"));
    assert_eq!(report["cases"], test("events") - test("sessions"));
    assert_eq!((&report["items"], &report["kind"]), (&manifest(&model)["items"], &"gru4rec".into()));
    assert_eq!(folder.names(), ["clicks.csv", "model", "parts"]);
    // The metrics of lists are there only with lists; those of hits always.
    let plain = json(&mut evaluate(&model, &parts, &["-k", "1,5,20"]));
    for (with, without) in metrics.iter().zip(plain["metrics"].as_array().unwrap()) {
        for key in ["gini", "novelty", "serendipity", "precision", "map", "popularity"] {
            assert!(with[key].is_f64() && without[key].is_null(), "{key}");
        }
        assert!(with["last_hit"].is_f64() && with["last_hit"] == without["last_hit"]);
    }
    assert!(metrics[0]["diversity"].is_null() && metrics[1]["diversity"].as_f64() > Some(0.0));
    let shown = |options: &[&str]| {
        let text = done(&mut evaluate(&model, &parts, options));
        assert_eq!(stderr(&text), "");
        String::from_utf8(text.stdout).unwrap()
    };
    let (text, with_lists) = (shown(&[]), shown(&["--lists"]));
    assert!(text.contains("recall") && text.contains("repeats") && !text.contains("gini"), "{text}");
    assert!(with_lists.contains("gini") && with_lists.contains("diversity"), "{with_lists}");
    let table = with_lists.split("\n\n").skip(1).flat_map(str::lines);
    assert!(table.into_iter().all(|line| line.chars().count() <= 100), "{with_lists}");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = Folder::new();
    let (parts, model) = trained(&folder);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let report = |threads: usize| {
        let threads = threads.to_string();
        without_time(json(&mut evaluate(&model, &parts, &["--lists", "--threads", &threads])))
    };
    assert_eq!(report(1), report(cores.min(2)));
}

#[test]
fn a_trained_network_beats_popularity_and_ties_count_against_a_constant_model() {
    let folder = Folder::new();
    let (parts, model) = trained(&folder);
    let pop = folder.path("pop");
    done(upnext().arg("train").arg(&parts).arg("--out").arg(&pop).args(["--model", "pop"]));
    let recall = |model: &Path, ties: &str| {
        let report = json(&mut evaluate(model, &parts, &["-k", "5", "--ties", ties]));
        report["metrics"][0]["recall"].as_f64().unwrap()
    };
    assert!(recall(&model, "conservative") > recall(&pop, "conservative"));
    assert!(recall(&pop, "conservative") <= recall(&pop, "median"));
    assert!(recall(&pop, "median") <= recall(&pop, "standard"));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    let (parts, model) = trained(&folder);
    let one = |options: &[&str], parts_of_message: &[&str]| {
        refused(&mut evaluate(&model, &parts, options), 2, parts_of_message);
    };
    one(&["-k", "0"], &["-k", "must be a whole number of 1 or more"]);
    one(&["-k", "20,5"], &["-k:", "[20, 5]"]);
    one(&["-k", "many"], &["many"]);
    one(&["--candidates", "19"], &["--candidates", "19"]);
    one(&["--candidates", "0"], &["--candidates", "must be a whole number of 1 or more"]);
    one(&["--ties", "lucky"], &["lucky", "conservative"]);
    one(&["--threads", "0"], &["--threads"]);
    one(&["--threads", "100000"], &["--threads", "or less"]);
    let report = json(&mut evaluate(&model, &parts, &["--candidates", "20"]));
    assert_eq!(report["candidates"], 20);
}

#[test]
fn a_test_log_that_shares_too_little_is_refused() {
    let folder = Folder::new();
    let (_, model) = trained(&folder);
    let log = |name: &str, rows: &str| folder.file(name, format!("SessionId,ItemId,Time\n{rows}"));
    let foreign = log("foreign.csv", "1,nothing,1\n1,known,2\n");
    refused(&mut evaluate::<&str>(&model, &foreign, &[]), 1, &["none of the 2 test events"]);
    let known = upnext_core::artifact::Artifact::load(&model).unwrap().items.id(0).to_owned();
    let short = log("short.csv", &format!("1,{known},1\n1,nothing,2\n"));
    refused(&mut evaluate::<&str>(&model, &short, &[]), 1, &["none of 1 sessions has two events"]);
    refused(&mut evaluate::<&str>(&model, &folder.path("gone.csv"), &[]), 1, &["gone.csv"]);
    let mixed = log("mixed.csv", &format!("1,{known},1\n1,nothing,2\n1,{known},3\n2,{known},4\n"));
    let report = json(&mut evaluate(&model, &mixed, &["-k", "1"]));
    assert_eq!(report["dropped"]["unknown_events"], 1);
    assert_eq!(report["dropped"]["short_sessions"], 1);
    assert_eq!(report["cases"], 1);
}

#[test]
fn a_damaged_model_is_named_by_its_file() {
    let folder = Folder::new();
    let (parts, model) = trained(&folder);
    let other = folder.path("other");
    done(set(&mut train(&parts, &other), &["training.seed=9"]).args(["--epochs", "1"]));
    // The role of a file, or its name.
    let damaged = |file: &str, damage: &dyn Fn(&Path), parts_of_message: &[&str]| {
        let copy = folder.path("copy");
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(&model).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        damage(&file_of(&copy, file).unwrap_or_else(|| copy.join(file)));
        let message = refused(&mut evaluate::<&str>(&copy, &parts, &[]), 1, parts_of_message);
        assert!(message.contains("copy"), "{message}");
        std::fs::remove_dir_all(copy).unwrap();
    };
    let remove = |file: &Path| std::fs::remove_file(file).unwrap();
    for name in ["weights", "items"] {
        damaged(name, &remove, &[name, "missing"]);
        let cut = |file: &Path| {
            let bytes = std::fs::read(file).unwrap();
            std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        };
        damaged(name, &cut, &[name, "truncated"]);
    }
    damaged("manifest.json", &remove, &["has no manifest.json"]);
    damaged("manifest.json", &|file| std::fs::write(file, "{\"for").unwrap(), &["manifest.json:1:"]);
    let foreign = |file: &Path| _ = std::fs::copy(file_of(&other, "weights").unwrap(), file).unwrap();
    damaged("weights", &foreign, &["weights-", "not the file that was saved"]);
    let newer = |file: &Path| {
        let text = std::fs::read_to_string(file).unwrap();
        std::fs::write(file, text.replace("\"format_version\": 2", "\"format_version\": 9")).unwrap();
    };
    damaged("manifest.json", &newer, &["manifest.json", "in format 9", "up to format 2"]);
    refused(&mut evaluate::<&str>(&parts, &parts, &[]), 1, &["parts", "is this a model folder"]);
    refused(&mut evaluate::<&str>(&folder.path("gone"), &parts, &[]), 1, &["no such folder"]);
}

#[test]
fn a_slim_model_is_judged_like_the_full_one() {
    let folder = Folder::new();
    let (parts, model) = trained(&folder);
    let slim = folder.path("slim");
    done(train(&parts, &slim).args(["--epochs", "2", "--slim"]));
    assert!(bits(&slim)[2].1.is_none());
    let metrics = |model: &Path| json(&mut evaluate::<&str>(model, &parts, &[]))["metrics"].clone();
    assert_eq!(metrics(&slim), metrics(&model));
}

//! Tests of `upnext compare --windows`: its figures are those of models trained and evaluated by hand, and the test part is
//! not read.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, done, evaluate, json, refused, upnext};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// 2023-11-14, in seconds.
const BEGIN: u64 = 1_700_000_000;
const DAY: u64 = 86_400;

/// The sessions of a log of four days and some hours: the start of each, and its items.
fn sessions() -> Vec<(u64, Vec<u64>)> {
    let session = |s: u64| {
        // Some sessions of the last days end with an item of their own.
        let new = (s > 150 && s.is_multiple_of(9)).then_some(100 + s / 50);
        (BEGIN + s * 1800, (0..3 + s % 3).map(|i| (s * 7 + i * i) % 20).chain(new).collect())
    };
    (0..200).map(session).collect()
}

fn log(sessions: &[(u64, Vec<u64>)]) -> String {
    let mut text = "SessionId,ItemId,Time\n".to_owned();
    for (start, items) in sessions {
        for (i, item) in items.iter().enumerate() {
            text.push_str(&format!("{start},{item},{}\n", start + 60 * i as u64));
        }
    }
    text
}

fn compare(data: &Path, models: &str, windows: u64) -> Command {
    let mut command = upnext();
    command.arg("compare").arg(data).args(["--models", models, "--quiet", "--resamples", "200"]);
    command.args(["--windows", &windows.to_string()]);
    command
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn every_window_has_the_figures_of_models_that_are_trained_on_what_was_before_it() {
    let folder = Folder::new();
    let all = sessions();
    let outcome = json(&mut compare(&folder.file("log.csv", log(&all)), "pop,markov", 3));
    assert_eq!(outcome["cut"], "days");
    let last = all[199].0;
    for (w, models) in ["pop", "markov"].iter().enumerate().flat_map(|m| (0..3).map(move |w| (w, m))) {
        let (begin, end) = (last - (3 - w) * DAY, last - (2 - w) * DAY);
        let is_older = |start: u64| start < begin;
        let older: Vec<_> = all.iter().filter(|(start, _)| is_older(*start)).cloned().collect();
        let judged: Vec<_> =
            all.iter().filter(|(start, _)| !is_older(*start) && (*start < end || w == 2)).cloned().collect();
        let (older_log, model) = (folder.file("older.csv", log(&older)), folder.path("model"));
        let mut train = upnext();
        done(train.arg("train").arg(older_log).args(["--model", models.1, "--quiet", "--out"]).arg(&model));
        let alone = json(&mut evaluate(&model, &folder.file("window.csv", log(&judged)), &["--lists"]));
        let report = &outcome["windows"][w as usize];
        assert_eq!((&report["sessions"], &report["cases"]), (&alone["sessions"], &alone["cases"]));
        assert_eq!(report["fit_sessions"], older.len());
        assert_eq!(report["dropped"], alone["dropped"]);
        assert_eq!(outcome["models"][models.0]["windows"][w as usize], alone["metrics"], "{} {w}", models.1);
        std::fs::remove_dir_all(model).unwrap();
    }
    assert!(number(&outcome["windows"][2]["dropped"]["unknown_events"]) > 0.0);
    for (m, model) in outcome["models"].as_array().unwrap().iter().enumerate() {
        for metric in ["recall", "mrr", "novelty"] {
            let of_windows: Vec<f64> = (0..3).map(|w| number(&model["windows"][w][3][metric])).collect();
            let mean = of_windows.iter().sum::<f64>() / 3.0;
            assert!((number(&model["mean"][3][metric]) - mean).abs() < 1e-12, "{metric}");
        }
        let figure = &outcome["comparison"]["models"][m][3];
        assert_eq!((&figure["metric"], &figure["k"]), (&"recall".into(), &20.into()));
        let value = number(&model["mean"][3]["recall"]);
        assert!((number(&figure["value"]) - value).abs() < 1e-12);
        assert!(number(&figure["low"]) <= value && value <= number(&figure["high"]));
    }
}

#[test]
fn the_test_part_is_not_read_and_short_logs_are_cut_into_shares() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    let before = json(&mut compare(&data, "pop", 2));
    for part in ["test.parquet", "test_all.parquet"] {
        _ = std::fs::remove_file(data.join(part));
    }
    let after = json(&mut compare(&data, "pop", 2));
    assert_eq!(after["comparison"], before["comparison"]);
    assert_eq!(after["cut"], "shares");
    let fitted = |w: usize| number(&after["windows"][w]["fit_sessions"]);
    assert!((fitted(1) - 2.0 * fitted(0)).abs() <= 1.0, "{after}");
}

#[test]
fn text_and_report_say_how_the_windows_were_cut_and_what_each_gave() {
    let folder = Folder::new();
    let file = folder.path("report.html");
    let mut command = compare(&folder.file("log.csv", log(&sessions())), "pop,markov,<b>.toml", 3);
    // A file's name is shown as text.
    std::fs::write(folder.path("<b>.toml"), "[model]\nkind = \"markov\"\n").unwrap();
    let output = done(command.current_dir(folder.path("")).arg("--report").arg(&file));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("the last 3 days of the training part, by the starts of sessions"), "{text}");
    for part in ["means over the windows", "mrr@20 by window", "2023-11-1", "no significant difference"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120 || line.contains("windows are")), "{text}");
    let page = std::fs::read_to_string(file).unwrap();
    assert!(
        page.contains("<h1>Comparison on 3 windows</h1>") && page.contains("The test part was not read.")
    );
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>.toml") && !page.contains("<b></th>"));
    assert_eq!(page.matches("<table class=\"forest\">").count(), 2);
}

#[test]
fn what_makes_no_sense_on_windows_is_refused() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    let model = folder.path("model");
    done(upnext().arg("train").arg(&data).args(["--model", "pop", "--quiet", "--out"]).arg(&model));
    let trained = format!("pop,{}", model.display());
    refused(&mut compare(&data, &trained, 2), 2, &["--windows: model is a trained model", "name kinds"]);
    refused(compare(&data, "pop", 2).arg(&data), 2, &["--windows", "TEST", "no test log is read"]);
    refused(compare(&data, "pop", 2).args(["--unknown", "miss"]), 2, &["--windows", "--unknown", "left out"]);
    refused(compare(&data, "pop", 2).arg("--keep").arg(folder.path("kept")), 2, &["--windows", "--keep"]);
    let cases = folder.path("cases.csv");
    refused(compare(&data, "pop", 2).arg("--cases").arg(&cases), 2, &["--windows", "--cases"]);
    let patient = compare(&data, "gru4rec", 2).args(["--set", "training.patience=2"]).output().unwrap();
    assert!(program::stderr(&patient).contains("a window does not have"), "{}", program::stderr(&patient));
    refused(&mut compare(&data, "pop", 0), 2, &["--windows", "1 or more"]);
    refused(&mut compare(&data, "pop", 5000), 1, &["use fewer windows"]);
}

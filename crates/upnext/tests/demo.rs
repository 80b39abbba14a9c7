//! Tests of `upnext demo`: its files, repetition of its commands, and folders that it must not change.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in the folder `place`, with only the program itself on the `PATH`.
fn upnext(place: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upnext")).args(words).current_dir(place).env_clear().output().unwrap()
}

fn demo(place: &Path, more: &[&str]) -> Output {
    upnext(place, &[&["demo", "--sessions", "3000", "--budget", "3s", "--quiet"], more].concat())
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A result without parts that differ between runs: times, memory, and the option `--quiet`.
fn figures(mut result: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                let others = ["peak_memory_bytes", "request_ms", "command"];
                let differs = |name: &str| name.contains("second") || others.contains(&name);
                fields.retain(|name, _| !differs(name));
                fields.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut result);
    result
}

#[test]
fn its_commands_can_be_repeated_and_give_the_same_figures() {
    let place = tempfile::tempdir().unwrap();
    let output = demo(place.path(), &["--json", "--seed", "7", "--out", "my demo"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(stderr(&output), "", "--quiet is quiet");
    let kept = std::fs::read(place.path().join("my demo/demo.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), report);
    assert_eq!(report["finished"], true);

    let steps = report["steps"].as_array().unwrap();
    assert_eq!(
        steps.len(),
        11,
        "simulate, prepare, three models trained and judged, compare, recommend, auto"
    );
    // What `auto` tries depends on the speed of the machine.
    for step in &steps[..10] {
        let command = step["command"].as_str().unwrap();
        // Split like a shell; the only quotes are those around the folder, whose name has a space.
        let line =
            command.strip_prefix("upnext ").unwrap().replace("my demo", "my\u{1}demo").replace('\'', "");
        let words: Vec<String> = line.split(' ').map(|word| word.replace('\u{1}', " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--json"]).collect();
        let repeated = stdout(&upnext(place.path(), &words));
        let repeated: Value = serde_json::from_str(&repeated).unwrap();
        assert_eq!(figures(repeated), figures(step["result"].clone()), "{command}");
    }

    // The comparison has the figures of the commands, and the network is better than popularity.
    let models = report["models"].as_array().unwrap();
    let recall = |model: &str| {
        let at = models.iter().position(|m| m["model"] == model).unwrap();
        let judged = &steps[3 + 2 * at]["result"];
        assert_eq!(judged["kind"], model);
        let at_20 = judged["metrics"].as_array().unwrap().iter().find(|m| m["k"] == 20).unwrap();
        assert_eq!(models[at]["recall@20"], at_20["recall"]);
        assert_eq!(models[at]["mrr@20"], at_20["mrr"]);
        at_20["recall"].as_f64().unwrap()
    };
    assert!(recall("gru4rec") > recall("pop") && recall("s-pop") > recall("pop"), "{models:?}");

    // The last table has the models of the report, the best first.
    let compared = report["compared"].as_array().unwrap();
    let names: Vec<&str> = compared.iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let figure = |m: &Value| m["mrr@20"]["value"].as_f64().unwrap();
    assert!(compared.is_sorted_by(|a, b| figure(a) >= figure(b)), "{compared:?}");

    // The list for the sample session, and the next click.
    let (sample, list) = (&report["sample"], &steps[9]["result"]["recommendations"]);
    assert_eq!(list.as_array().unwrap().len(), 10);
    let rank = list.as_array().unwrap().iter().position(|r| r["item_id"] == sample["next"]);
    assert_eq!(sample["rank_of_next"].as_u64(), rank.map(|rank| rank as u64 + 1));

    // The best model has at least the network's figure.
    let best = &report["best"];
    assert!(best["recall@20"].as_f64().unwrap() > recall("gru4rec") - 0.01, "{best} {models:?}");
}

#[test]
fn it_shows_each_command_and_leaves_the_files_that_it_names() {
    let place = tempfile::tempdir().unwrap();
    let shown = stdout(&demo(place.path(), &["--threads", "1"]));
    let commands: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("$ upnext ")).collect();
    assert_eq!(commands.len(), 11, "{shown}");
    assert_eq!(commands[1], "prepare demo/clicks.csv --out demo/data");
    for name in
        ["clicks.csv", "data/train.parquet", "data/statistics.json", "report.html", "best.html", "demo.json"]
    {
        assert!(place.path().join("demo").join(name).is_file(), "{name}");
    }
    for model in ["pop", "s-pop", "gru4rec"] {
        assert!(place.path().join("demo").join(model).join("manifest.json").is_file(), "{model}");
        assert!(shown.lines().any(|line| line.starts_with(model)), "{model} is in no table: {shown}");
    }
    assert!(
        place.path().join("demo/best/manifest.json").is_file()
            && shown.contains("The best model for this log, by `auto`: ")
    );
    assert!(shown.contains("The visitor really went on to"), "{shown}");
    let (_, last) = shown.split_once("the best first:").unwrap();
    let last = last.lines().take_while(|line| !line.starts_with("The best model"));
    let page = std::fs::read_to_string(place.path().join("demo/report.html")).unwrap();
    let models: Vec<&str> = last.filter_map(|line| line.split_whitespace().next()).skip(1).collect();
    assert_eq!(models.len(), 5, "{shown}");
    assert!(models.iter().all(|model| page.contains(&format!(">{model}<"))), "{models:?}");

    // The suggested next commands work, too.
    let next = shown.lines().skip_while(|line| !line.contains("What to try next"));
    let next: Vec<&str> = next.filter_map(|line| line.strip_prefix("  upnext ")).collect();
    assert_eq!(next.len(), 4, "{shown}");
    for command in next.iter().filter(|command| !command.contains("YOUR_CLICKS")) {
        let words: Vec<&str> = command.split(' ').collect();
        stdout(&upnext(place.path(), &words));
    }
}

#[test]
fn a_second_demo_replaces_the_first_and_nothing_of_the_users() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join("demo").join(name);
    stdout(&demo(place.path(), &[]));
    let first = std::fs::read(path("clicks.csv")).unwrap();
    // A note and a model of the user, and the checkpoint of an interrupted training.
    std::fs::write(path("notes"), "mine").unwrap();
    std::fs::create_dir(path("gru4rec.checkpoint")).unwrap();
    std::fs::copy(path("gru4rec/manifest.json"), path("gru4rec.checkpoint/manifest.json")).unwrap();
    std::fs::remove_dir_all(path("s-pop")).unwrap();
    stdout(&demo(place.path(), &["--seed", "9"]));
    assert_ne!(std::fs::read(path("clicks.csv")).unwrap(), first);
    assert_eq!(std::fs::read_to_string(path("notes")).unwrap(), "mine");
    assert!(!path("gru4rec.checkpoint").exists() && path("s-pop/manifest.json").is_file());
}

#[test]
fn folders_that_it_did_not_make_are_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let thesis = place.path().join("thesis");
    std::fs::create_dir(&thesis).unwrap();
    std::fs::write(thesis.join("demo.json"), r#"{"made_by": "me"}"#).unwrap();
    std::fs::write(place.path().join("file"), "years of work").unwrap();
    for (out, reason) in [("thesis", "did not make it"), ("file", "a file of this name exists")] {
        let output = demo(place.path(), &["--out", out]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(out) && stderr(&output).contains(reason), "{}", stderr(&output));
    }
    assert_eq!(std::fs::read_dir(&thesis).unwrap().count(), 1);
    let threads = demo(place.path(), &["--threads", "0"]);
    assert_eq!(threads.status.code(), Some(2), "{}", stderr(&threads));
    assert!(!place.path().join("demo").exists());
}

#[test]
fn a_step_that_fails_is_named_and_the_next_demo_begins_anew() {
    let place = tempfile::tempdir().unwrap();
    // Too few sessions for training and test parts.
    let output = upnext(place.path(), &["demo", "--sessions", "1", "--quiet"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("`upnext prepare demo/clicks.csv --out demo/data` failed"), "{message}");
    assert!(message.lines().count() >= 2 && message.contains("no session is left"), "{message}");
    stdout(&demo(place.path(), &[]));
}

//! Tests of `upnext reproduce`: its tables, resuming after a kill, and its refusal of other logs and invalid arguments.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, bits, done, evaluate, json, refused, stderr, upnext, was_killed};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FAST: &str = "pop,s-pop,item-knn,rsc15-top1-100";

fn rsc15(clicks: &Path, out: &Path, settings: &str) -> Command {
    let mut command = upnext();
    command.args(["reproduce", "rsc15", "--quiet", "--settings", settings]);
    command.arg("--clicks").arg(clicks).arg("--out").arg(out);
    command
}

fn rows(outcome: &Value) -> &Vec<Value> {
    outcome["rows"].as_array().unwrap()
}

/// The parts of a row that do not depend on time.
fn figures(row: &Value) -> (Value, Value, Vec<Value>) {
    let losses = row["epochs"].as_array().unwrap().iter().map(|epoch| epoch["loss"].clone());
    (row["name"].clone(), row["metrics"].clone(), losses.collect())
}

/// Waits until a running command has written a file or has ended.
fn wait_for(file: &Path, child: &mut Child) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !file.exists() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < patience, "{} does not appear", file.display());
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn every_row_stands_beside_its_published_figures_and_the_sizes_beside_the_paper_s() {
    let folder = Folder::new();
    let clicks = folder.challenge("clicks.dat", 900, 60, 1);
    let out = folder.path("out");
    let page = out.join("report.html");
    let mut command = rsc15(&clicks, &out, FAST);
    let outcome = json(command.args(["--epochs", "1", "--scale", "4"]).arg("--report").arg(&page));

    let names: Vec<&Value> = rows(&outcome).iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["pop", "s-pop", "item-knn", "rsc15-top1-100"]);
    for (row, recall) in rows(&outcome).iter().zip([0.0050, 0.2672, 0.5065, 0.5853]) {
        let of = |figures: &str| row[figures]["recall_at_20"].as_f64().unwrap();
        assert_eq!(of("published"), recall);
        assert!((of("difference_percent") - (of("measured") / recall - 1.0) * 100.0).abs() < 1e-9);
        let alone = json(&mut evaluate(
            &out.join("models").join(row["name"].as_str().unwrap()),
            &out.join("data"),
            &["-q"; 0],
        ));
        assert_eq!((&row["metrics"], &row["cases"]), (&alone["metrics"], &alone["cases"]));
        assert_eq!(row["metrics"][3]["recall"], row["measured"]["recall_at_20"]);
    }

    // The sizes are those of the prepared log, and all are reported as different from the paper's.
    let whole = json(upnext().arg("prepare").arg(&clicks).arg("--out").arg(folder.path("whole")));
    let counts = outcome["counts"].as_array().unwrap();
    let measured: Vec<&Value> = counts.iter().map(|count| &count["measured"]).collect();
    let [train, test] = [&whole["train"], &whole["test"]];
    let expected =
        [&train["events"], &train["sessions"], &train["items"], &test["events"], &test["sessions"]];
    assert_eq!(measured, expected);
    assert!(counts.iter().all(|count| count["same"] == false));
    let notes = outcome["notes"].to_string();
    for part in
        ["not the paper's log", "training events", "31,637,239", "(37,483 published)", "test sessions"]
    {
        assert!(notes.contains(part), "`{part}` is not in {notes}");
    }
    let pairs = |part: &Value| part["events"].as_u64().unwrap() - part["sessions"].as_u64().unwrap();
    assert_eq!(pairs(&outcome["statistics"]["train"]), pairs(train) / 4);

    let html = std::fs::read_to_string(&page).unwrap();
    for part in ["tables", "plot", "sizes", "parameters", "findings", "training", "rows"] {
        assert!(html.contains(&format!("<section id=\"{part}\">")), "no part `{part}`");
    }
    assert!(html.contains("58.53") && html.contains("37,483"));
}

#[test]
fn the_commands_that_are_shown_give_the_same_data_and_figures() {
    let folder = Folder::new();
    let (clicks, out) = (folder.challenge("the clicks.dat", 600, 60, 1), folder.path("out"));
    let settings = "item-knn,rsc15-bpr-100";
    let outcome = json(rsc15(&clicks, &out, settings).args(["--epochs", "2", "--scale", "2", "--seed", "7"]));
    let path = Path::new(env!("CARGO_BIN_EXE_upnext")).parent().unwrap();
    let run = |command: &Value| {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("{} --json", command.as_str().unwrap()));
        let output = done(shell.env("PATH", path).current_dir(folder.path("")));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let parts =
        || ["train", "test"].map(|part| std::fs::read(out.join(format!("data/{part}.parquet"))).unwrap());
    let before = parts();
    run(&outcome["prepare"]);
    assert_eq!(parts(), before);
    for row in rows(&outcome) {
        run(&row["commands"][0]);
        assert_eq!(run(&row["commands"][1])["metrics"], row["metrics"], "{}", row["name"]);
    }
}

#[test]
fn a_killed_reproduction_goes_on_and_ends_with_the_figures_of_a_whole_one() {
    let folder = Folder::new();
    let clicks = folder.challenge("clicks.dat", 900, 60, 1);
    let command = |out: &Path| {
        let mut command = rsc15(&clicks, out, "pop,item-knn,rsc15-top1-100,rsc15-bpr-100");
        command.args(["--epochs", "30"]);
        command
    };
    let (whole, out) = (folder.path("whole"), folder.path("out"));
    let expected = json(&mut command(&whole));
    let mut kills = 0;
    // Killed at the start, after the data are prepared, and during the training of each network.
    for sign in [
        "reproduce.json",
        "data/statistics.json",
        "models/rsc15-top1-100.checkpoint/manifest.json",
        "models/rsc15-bpr-100.checkpoint/manifest.json",
    ] {
        let mut child =
            command(&out).arg("--resume").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(&out.join(sign), &mut child);
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if was_killed(&output) {
            kills += 1;
        } else {
            // The command ended before the kill.
            assert!(output.status.success(), "{sign}: {}", stderr(&output));
        }
        refused(&mut command(&out), 2, &["holds a reproduction", "go on with it by --resume", "--out"]);
    }
    assert!(kills > 0, "it was never killed");
    let done_before = out.join("results/pop.json");
    let version = || std::fs::metadata(&done_before).unwrap().modified().unwrap();
    let before = version();
    let outcome = json(command(&out).arg("--resume"));
    assert_eq!(version(), before, "a row that was done was made again");
    let of = |outcome: &Value| rows(outcome).iter().map(figures).collect::<Vec<_>>();
    assert_eq!(of(&outcome), of(&expected));
    assert!(rows(&outcome)[..3].iter().all(|row| row["resumed"] == true));
    for network in ["rsc15-top1-100", "rsc15-bpr-100"] {
        let model = |of: &Path| of.join("models").join(network);
        assert_eq!(bits(&model(&out)), bits(&model(&whole)), "{network}");
    }
    let names = |of: &Path, inside: &str| {
        let entries = std::fs::read_dir(of.join(inside)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        // A process that is killed leaves its lock to the next one that writes there; data are written once.
        names.retain(|name| name != ".upnext-lock");
        names.sort();
        names
    };
    for inside in ["", "data", "models", "results", "settings"] {
        assert_eq!(names(&out, inside), names(&whole, inside), "something is left over");
    }
}

#[cfg(unix)] // It sends a signal.
#[test]
fn ctrl_c_says_how_to_go_on_and_rows_can_be_added() {
    let folder = Folder::new();
    let (clicks, out) = (folder.challenge("clicks.dat", 600, 60, 1), folder.path("out"));
    let command = |settings| {
        let mut command = rsc15(&clicks, &out, settings);
        command.args(["--epochs", "150"]);
        command
    };
    let mut child =
        command("pop,rsc15-top1-100").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&out.join("models/rsc15-top1-100.checkpoint/manifest.json"), &mut child);
    done(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(output.stdout.is_empty() && message.contains("interrupted at rsc15-top1-100"), "{message}");
    let (_, advice) = message.split_once("Go on by\n").expect("the command to go on");
    done(Command::new("sh").arg("-c").arg(advice.trim()));
    let outcome = json(command("pop,s-pop,rsc15-top1-100").arg("--resume"));
    let resumed: Vec<&Value> = rows(&outcome).iter().map(|row| &row["resumed"]).collect();
    assert_eq!(resumed, [true, false, true]);
}

#[test]
fn another_log_or_configuration_is_not_mixed_in() {
    let folder = Folder::new();
    let (clicks, out) = (folder.challenge("clicks.dat", 600, 60, 1), folder.path("out"));
    done(rsc15(&clicks, &out, "pop,s-pop").args(["--scale", "2"]));
    let other = |clicks: &Path, more: &[&str]| {
        let mut command = rsc15(clicks, &out, "pop");
        command.arg("--resume").args(more);
        command
    };
    refused(&mut other(&clicks, &["--scale", "3"]), 2, &["--scale", "begun with 2, and this is 3"]);
    refused(&mut other(&clicks, &["--scale", "2", "--seed", "3"]), 2, &["--seed", "not given", "this is 3"]);
    refused(&mut other(&clicks, &["--scale", "2", "--epochs", "3"]), 2, &["--epochs"]);
    // Of the same size as the first, with one click on another item.
    let text = std::fs::read_to_string(&clicks).unwrap();
    let (line, rest) = text.split_once('\n').unwrap();
    let fields: Vec<&str> = line.split(',').collect();
    let item = if fields[2].starts_with('1') { '2' } else { '1' }.to_string() + &fields[2][1..];
    let changed = format!("{},{},{item},{}\n{rest}", fields[0], fields[1], fields[3]);
    assert_eq!(changed.len(), text.len());
    let changed = folder.file("changed.dat", changed);
    refused(&mut other(&changed, &["--scale", "2"]), 2, &["--clicks", "checksum"]);

    // A changed or damaged result affects only its own row.
    let result = out.join("results/pop.json");
    let text = std::fs::read_to_string(&result).unwrap();
    for (changed, reason) in
        [(text.replace("\"conservative\"", "\"standard\""), "configuration"), ("{".into(), "damaged")]
    {
        assert_ne!(changed, text);
        std::fs::write(&result, changed).unwrap();
        let output = rsc15(&clicks, &out, "pop,s-pop").args(["--scale", "2", "--resume"]).output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(message.contains("1 of 2 rows failed: pop") && message.contains(reason), "{message}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("s-pop"), "the other row is not shown");
    }
}

#[test]
fn what_is_wrong_is_found_before_any_work() {
    let folder = Folder::new();
    // The log does not exist: reading it first would fail with another message.
    let (nowhere, out) = (folder.path("no.dat"), folder.path("out"));
    refused(&mut rsc15(&nowhere, &out, "pop"), 1, &["no.dat", "cannot open"]);
    refused(
        &mut rsc15(&nowhere, &out, "pop,rsc15-top-100"),
        2,
        &["--settings", "did you mean `rsc15-top1-100`?"],
    );
    refused(&mut rsc15(&nowhere, &out, "video-top1-100"), 2, &["is no row of rsc15"]);
    refused(rsc15(&nowhere, &out, "pop").args(["--threads", "100000"]), 2, &["--threads", "cores"]);
    refused(rsc15(&nowhere, &out, "pop").args(["--scale", "0"]), 2, &["--scale"]);
    refused(rsc15(&nowhere, &out, "rsc15-top1-100").args(["--epochs", "0"]), 2, &["epochs"]);
    refused(
        rsc15(&nowhere, &out, "pop").arg("--report").arg(folder.path("no/report.html")),
        1,
        &["report.html", "cannot write"],
    );
    refused(&mut rsc15(&folder.path(""), &out, "pop"), 1, &["is no file"]);
    assert_eq!(folder.names(), [""; 0]);

    let clicks = folder.challenge("clicks.dat", 600, 60, 1);
    let file = folder.file("mine", "years of work");
    refused(&mut rsc15(&clicks, &file, "pop"), 1, &["mine"]);
    std::fs::create_dir(folder.path("thesis")).unwrap();
    folder.file("thesis/thesis.tex", "");
    refused(&mut rsc15(&clicks, &folder.path("thesis"), "pop"), 1, &["not empty", "did not make it"]);
    let report = out.join("no/report.html");
    refused(rsc15(&clicks, &out, "pop").arg("--report").arg(report), 1, &["report.html", "cannot write"]);
    assert_eq!(folder.names(), ["clicks.dat", "mine", "thesis"]);
}

#[test]
fn a_log_in_another_format_is_refused_with_the_challenge_s_and_leaves_nothing() {
    let folder = Folder::new();
    let out = folder.path("out");
    let named = folder.shop("named.csv", 300, 60, 1);
    let words = [
        "column 2: \"ItemId\" is no time",
        "RecSys Challenge 2015",
        "session, ISO 8601 time, item and category",
        "video-like",
    ];
    let message = refused(&mut rsc15(&named, &out, "pop"), 1, &words);
    assert!(message.contains("named.csv"), "{message}");
    let narrow = folder.file("narrow.csv", "1,2014-04-07T10:51:09.277Z\n2,2014-04-07T10:51:09.277Z\n");
    refused(&mut rsc15(&narrow, &out, "pop"), 1, &["narrow.csv", "item", "RecSys Challenge 2015"]);
    let short = folder.file("short.csv", "1,2014-04-07T10:51:09.277Z,5,0\n1,2014-04-07T10:51:10.277Z,6,0\n");
    refused(&mut rsc15(&short, &out, "pop"), 1, &["no session is left"]);
    assert!(!out.exists());
}

#[test]
fn video_like_takes_any_log_cuts_programs_and_ranks_among_the_most_popular() {
    let folder = Folder::new();
    let mut text = std::fs::read_to_string(folder.shop("shop.csv", 600, 60, 1)).unwrap();
    let item = text.lines().nth(1).unwrap().split(',').nth(1).unwrap().to_owned();
    (0..300).for_each(|i| text.push_str(&format!("bot,{item},{}\n", 1_709_600_000 + i)));
    let clicks = folder.file("clicks.csv", text);
    let video = |out: &str, more: &[&str]| {
        let mut command = upnext();
        command.args([
            "reproduce",
            "video-like",
            "--quiet",
            "--settings",
            "item-knn,video-bpr-100",
            "--epochs",
            "1",
        ]);
        command.arg("--clicks").arg(&clicks).arg("--out").arg(folder.path(out)).args(more);
        command
    };
    let outcome = json(&mut video("out", &[]));
    let dropped = |outcome: &Value| outcome["statistics"]["dropped"][0].clone();
    assert_eq!(dropped(&outcome), serde_json::json!({"rule": "long-session", "events": 300, "sessions": 1}));
    let notes = outcome["notes"].to_string();
    for part in ["never published", "more than 200 events", "without naming its limit", "among all of them"] {
        assert!(notes.contains(part), "`{part}` is not in {notes}");
    }
    assert!(outcome["counts"].as_array().unwrap().iter().all(|count| count["about"] == true));
    for (row, recall) in rows(&outcome).iter().zip([0.5508, 0.5999]) {
        assert_eq!(row["published"]["recall_at_20"], recall);
        assert_eq!(row["experiment"]["evaluation"]["candidates"], 30_000);
        assert!(row["commands"][1].as_str().unwrap().ends_with("--candidates 30000"));
    }
    let with_all = json(&mut video("all", &["--max-session-length", "300"]));
    assert_ne!(dropped(&with_all)["rule"], "long-session");
    refused(&mut video("columns", &["--item-column", "Product"]), 1, &["Product", "no item column"]);
}

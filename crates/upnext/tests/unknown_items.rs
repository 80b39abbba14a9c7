//! Tests of next clicks on items that training has not seen, and of the file of an evaluation's cases.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, done, evaluate, json, refused, upnext};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A log of three days: `a`, `b`, `c` in turn, and in the last one `new` items, too.
fn log_with_new_items() -> String {
    let mut log = "SessionId,ItemId,Time\n".to_owned();
    let mut session = |id: &str, day: i64, items: &[&str]| {
        for (second, item) in (0..).zip(items) {
            log.push_str(&format!("{id},{item},{}\n", 1_500_000_000 + day * 86_400 + second));
        }
    };
    for n in 0..10 {
        session(&format!("one{n}"), -1, &["a", "b", "c", "a"]);
        session(&format!("two{n}"), 1, &["a", "b", "c"]);
    }
    for n in 0..5 {
        session(&format!("mixed{n}"), 2, &["new", "a", "b", "other"]);
        session(&format!("lost{n}"), 2, &["a", "new"]);
        session(&format!("known{n}"), 2, &["a", "b"]);
    }
    log
}

fn prepared(folder: &Folder) -> PathBuf {
    let (log, out) = (folder.file("clicks.csv", log_with_new_items()), folder.path("parts"));
    let output = done(upnext().arg("prepare").arg(log).arg("--out").arg(&out));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("test: of 25 next clicks 10 are on items that train has not seen"), "{text}");
    out
}

fn model(folder: &Folder, parts: &Path, kind: &str) -> PathBuf {
    let out = folder.path(kind);
    done(upnext().arg("train").arg(parts).arg("--out").arg(&out).args(["--model", kind, "--quiet"]));
    out
}

#[test]
fn next_clicks_on_unknown_items_are_counted_and_count_as_misses_on_request() {
    let folder = Folder::new();
    let parts = prepared(&folder);
    let statistics: Value =
        serde_json::from_slice(&std::fs::read(parts.join("statistics.json")).unwrap()).unwrap();
    assert_eq!(statistics["test_next_clicks"]["total"], 25);
    assert_eq!(statistics["valid_next_clicks"]["unknown"], 0);
    let markov = model(&folder, &parts, "markov");

    // Markov ranks b first after a: 10 cases of 10, and 10 of 25 next clicks.
    let report = json(&mut evaluate(&markov, &parts, &["-k", "1"]));
    assert_eq!((&report["cases"], &report["metrics"][0]["recall"]), (&10.into(), &1.0.into()));
    assert_eq!(
        (&report["next_clicks"]["total"], &report["next_clicks"]["unknown"]),
        (&25.into(), &10.into())
    );
    assert_eq!(report.get("misses"), None);
    let report = json(&mut evaluate(&markov, &parts, &["-k", "1", "--unknown", "miss"]));
    assert_eq!((&report["cases"], &report["misses"]), (&10.into(), &15.into()));
    assert!((report["metrics"][0]["recall"].as_f64().unwrap() - 0.4).abs() < 1e-12, "{report}");
    let shown = String::from_utf8(done(&mut evaluate(&markov, &parts, &["-k", "1"])).stdout).unwrap();
    assert!(
        shown.contains("of 25 next clicks 10 (40.0%) are on items that training has not seen, and 5 more"),
        "{shown}"
    );

    // A log gives the same figures as the folder that was prepared from it.
    let last_day: String = log_with_new_items()
        .lines()
        .filter(|line| ["SessionId", "mixed", "lost", "known"].iter().any(|word| line.starts_with(word)))
        .map(|line| format!("{line}\n"))
        .collect();
    let log = folder.file("last-day.csv", last_day);
    let of_log = json(&mut evaluate(&markov, &log, &["-k", "1", "--unknown", "miss"]));
    assert_eq!((&of_log["metrics"], &of_log["next_clicks"]), (&report["metrics"], &report["next_clicks"]));

    // What has been dropped from a part cannot be counted.
    let part = parts.join("test.parquet");
    refused(&mut evaluate(&markov, &part, &["--unknown", "miss"]), 2, &["--unknown", "name its folder"]);
    let shown = String::from_utf8(done(&mut evaluate(&markov, &part, &["-k", "1"])).stdout).unwrap();
    assert!(shown.contains("are not counted"), "{shown}");
}

#[test]
fn a_folder_of_an_older_version_says_that_nothing_was_counted() {
    let folder = Folder::new();
    let parts = prepared(&folder);
    let markov = model(&folder, &parts, "markov");
    let path = parts.join("statistics.json");
    let mut statistics: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let fields = statistics.as_object_mut().unwrap();
    fields.remove("test_next_clicks");
    fields["files"].as_array_mut().unwrap().retain(|file| file["name"] != "test_all.parquet");
    std::fs::write(&path, statistics.to_string()).unwrap();
    std::fs::remove_file(parts.join("test_all.parquet")).unwrap();
    let report = json(&mut evaluate(&markov, &parts, &["-k", "1"]));
    assert_eq!((&report["cases"], &report["next_clicks"]), (&10.into(), &Value::Null));
    refused(
        &mut evaluate(&markov, &parts, &["--unknown", "miss"]),
        2,
        &["--unknown", "prepare the log again"],
    );
}

/// The rows of a CSV file.
fn rows(file: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn the_metrics_follow_from_the_file_of_cases() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(400);
    for (kind, unknown) in [("vstan", "leave-out"), ("s-pop", "miss")] {
        let model = model(&folder, &parts, kind);
        let file = folder.path(&format!("{kind}.csv"));
        let file_name = file.to_str().unwrap();
        let more = ["-k", "3,10", "--unknown", unknown, "--cases", file_name, "--case-lists", "3"];
        let report = json(&mut evaluate(&model, &parts, &more));
        let rows = rows(&file);
        let all = report["cases"].as_u64().unwrap() + report["misses"].as_u64().unwrap_or(0);
        assert_eq!(rows.len() as u64, all);
        for at in report["metrics"].as_array().unwrap() {
            let k = at["k"].as_f64().unwrap();
            let ranks = rows.iter().map(|row| row[3].parse::<f64>().unwrap());
            let hits: Vec<f64> = ranks.filter(|&rank| rank <= k).collect();
            let close = |metric: &str, sum: f64| {
                let difference = at[metric].as_f64().unwrap() - sum / all as f64;
                assert!(difference.abs() < 1e-9, "{kind} {metric}@{k}: {difference}");
            };
            close("recall", hits.len() as f64);
            close("mrr", hits.iter().map(|rank| 1.0 / rank).sum());
            close("ndcg", hits.iter().map(|rank| 1.0 / (1.0 + rank).log2()).sum());
        }
        // Where no other item has the score of the target, it stands in the list at its rank.
        let mut checked = 0;
        for row in &rows {
            let list: Vec<String> = serde_json::from_str(&row[7]).unwrap();
            let rank = row[3].parse::<f64>().unwrap();
            assert_eq!(list.len(), if rank.is_finite() { 3 } else { 0 });
            if row[3] == row[4] && rank <= 3.0 {
                assert_eq!(list[rank as usize - 1], row[2]);
                checked += 1;
            }
        }
        assert!(checked > 10, "{kind}: {checked}");
    }
}

#[test]
fn cases_of_a_hand_made_log_are_those_counted_by_hand() {
    let folder = Folder::new();
    let parts = prepared(&folder);
    let markov = model(&folder, &parts, "markov");
    let file = folder.path("cases.csv");
    let more = ["--unknown", "miss", "--cases", file.to_str().unwrap()];
    done(&mut evaluate(&markov, &parts, &more));
    let header = std::fs::read_to_string(&file).unwrap();
    let names = "session_id,position,item_id,rank_conservative,rank_standard,rank_median,fell_back\n";
    assert!(header.starts_with(names), "{header}");
    let of = |session: &str| -> Vec<String> {
        rows(&file).into_iter().filter(|row| row[0] == session).map(|row| row[1..].join(" ")).collect()
    };
    assert_eq!(of("mixed0"), ["1 a inf inf inf false", "2 b 1 1 1 false", "3 other inf inf inf false"]);
    assert_eq!(of("lost0"), ["1 new inf inf inf false"]);
    assert_eq!(of("known0"), ["1 b 1 1 1 false"]);

    let parquet = folder.path("cases.parquet");
    let more = ["--unknown", "miss", "--cases", parquet.to_str().unwrap()];
    done(&mut evaluate(&markov, &parts, &more));
    assert!(parquet.metadata().unwrap().len() > 500);
    for (name, words) in [
        ("cases.xlsx", "must end in .csv or .parquet"),
        ("no/cases.csv", "cannot write"),
        ("parts/test.parquet", "choose another place"),
        ("markov/cases.csv", "choose another place"),
    ] {
        let path = folder.path(name);
        let output = evaluate(&markov, &parts, &["--cases", path.to_str().unwrap()]).output().unwrap();
        let message = program::stderr(&output);
        assert!(!output.status.success() && message.contains(words), "{message}");
    }
    assert_eq!(folder.names(), ["cases.csv", "cases.parquet", "clicks.csv", "markov", "parts"]);
}

const TABLE: &str = "item,shelf\na,left\nb,left\nc,right\nnew,left\nother,right\nlast,left\n";

#[test]
fn new_items_are_ranked_by_their_attributes_and_added_to_a_model() {
    let folder = Folder::new();
    let (parts, table) = (prepared(&folder), folder.file("items.csv", TABLE));
    let network = folder.path("network");
    let mut train = upnext();
    train.arg("train").arg(&parts).arg("--out").arg(&network).arg("--item-table").arg(&table);
    train.args(["--item-type", "shelf=categories", "--epochs", "1", "--quiet", "--set", "model.layers=[8]"]);
    train.args(["--set", "model.attributes=[\"shelf\"]", "--set", "training.batch_size=4"]);
    done(&mut train);

    let ranked = json(&mut evaluate(&network, &parts, &["-k", "6", "--unknown", "rank"]));
    assert_eq!((&ranked["cases"], &ranked["items"]), (&25.into(), &6.into()));
    assert_eq!(
        (&ranked["next_clicks"]["total"], &ranked["next_clicks"]["unknown"]),
        (&25.into(), &10.into())
    );
    let targets: Vec<(&str, i64)> = ranked["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (of["of"].as_str().unwrap(), of["cases"].as_i64().unwrap()))
        .collect();
    assert_eq!(targets, [("known", 15), ("rare", 0), ("new", 10)]);
    // Five items are born, and six places are enough for all.
    assert_eq!(ranked["targets"][2]["metrics"][0]["recall"], 1.0);
    let text =
        String::from_utf8(done(&mut evaluate(&network, &parts, &["--unknown", "rank"])).stdout).unwrap();
    assert!(text.contains("10 of them are ranked by their attributes"), "{text}");

    // Compared, models without attributes miss what the others rank.
    let mut command = upnext();
    command.arg("compare").arg(&parts).arg("--models").arg(format!("{},content-knn,pop", network.display()));
    command.args(["-k", "6", "--quiet", "--unknown", "rank"]);
    refused(&mut command, 2, &["--unknown", "--item-table"]);
    let compared = json(command.arg("--item-table").arg(&table).args(["--item-type", "shelf=categories"]));
    let of = |model: usize, target: usize| {
        let of = &compared["models"][model]["targets"][target];
        (of["cases"].as_i64().unwrap(), of["metrics"][0]["recall"].as_f64().unwrap())
    };
    assert_eq!((of(0, 0).0, of(0, 2)), (15, (10, 1.0)));
    assert_eq!((of(1, 2), of(2, 2)), ((10, 1.0), (10, 0.0)));
    assert_eq!(compared["models"][2]["unranked"]["unknown_targets"], 10);
    let by_support = &compared["comparison"]["breakdowns"][2];
    assert_eq!(
        (&by_support["groups"][0]["from"], &by_support["groups"][0]["cases"]),
        (&0.into(), &10.into())
    );

    // Without the item, with it, and once more.
    let two = folder.path("two");
    let add = |out: &Path, file: &Path| {
        let mut command = upnext();
        command.args(["items", "add"]).arg(&network).arg("--items").arg(file).arg("--out").arg(out);
        command
    };
    let added = json(&mut add(&two, &table));
    assert_eq!((&added["added"], &added["known"], &added["items"]), (&3.into(), &3.into(), &6.into()));
    let list = |model: &Path| {
        let mut command = upnext();
        command.arg("recommend").arg(model).args(["--session", "new,other", "-k", "6"]);
        json(&mut command)
    };
    assert_eq!(list(&network)["fell_back"], true);
    assert_eq!(
        (&list(&two)["fell_back"], list(&two)["recommendations"].as_array().unwrap().len()),
        (&false.into(), 6)
    );

    let other = folder.file("other.csv", "item,colour\nx,red\n");
    refused(&mut add(&two, &other), 2, &["other.csv", "`colour`", "`shelf`"]);
    refused(
        &mut add(&folder.path("x"), &folder.file("empty.csv", "item,shelf\n,left\n")),
        1,
        &["empty.csv:2"],
    );
    let pop = model(&folder, &parts, "pop");
    refused(&mut evaluate(&pop, &parts, &["--unknown", "rank"]), 1, &["--item-table"]);
    let mut with_table = evaluate(&pop, &parts, &["--unknown", "rank", "--item-table"]);
    refused(with_table.arg(&table), 2, &["table of items", "attributes"]);
}

//! Tests of `recommend`: one session, many sessions, filters, and invalid input.

mod shop;

use shop::{Shop, WITH_COMMA, assert_refused, damaged_models, json, stderr, stdout, upnext};
use std::path::Path;
use std::process::{Command, Stdio};
use upnext_core::data::ItemIndex;
use upnext_core::experiment::ModelKind;
use upnext_core::model::Model;
use upnext_core::ranking::{Filter, recommend};

/// Ids and scores of the library's recommendations.
fn expected(model: &Model, session: &[&str], k: usize, filter: &Filter) -> Vec<(String, f64)> {
    let known: Vec<ItemIndex> = session.iter().filter_map(|id| model.items().index_of(id)).collect();
    let lists = recommend(model.recommender(), model.items(), &[&known], k, filter).unwrap();
    let entries = lists[0].entries.iter();
    entries.map(|e| (model.items().id(e.item).to_owned(), e.score.to_string().parse().unwrap())).collect()
}

/// Ids and scores in a JSON document.
fn listed(document: &serde_json::Value) -> Vec<(String, f64)> {
    let entries = document["recommendations"].as_array().unwrap();
    assert!((1..).zip(entries).all(|(rank, entry)| entry["rank"] == rank));
    entries
        .iter()
        .map(|e| (e["item_id"].as_str().unwrap().to_owned(), e["score"].as_f64().unwrap()))
        .collect()
}

fn ids(list: Vec<(String, f64)>) -> Vec<String> {
    list.into_iter().map(|(id, _)| id).collect()
}

/// Ids of the model's items, most popular first.
fn known(model: &Model, count: usize) -> Vec<&str> {
    model.items().by_support().into_iter().take(count).map(|item| model.items().id(item)).collect()
}

#[test]
fn session_gets_the_lists_of_the_library() {
    let shop = Shop::new();
    for kind in ModelKind::ALL {
        let (path, model) = shop.train(kind);
        let session = known(&model, 3);
        for k in [1, 20, 1_000_000] {
            let args = ["--session", &session.join(", "), "-k", &k.to_string(), "--json"];
            let document = json(&upnext("recommend", &path, &args));
            assert_eq!(document["model"]["kind"], kind.name());
            assert_eq!(document["model"]["path"], path.to_str().unwrap());
            assert_eq!(document["session"], serde_json::json!(session));
            assert_eq!(document["fell_back"], false);
            assert_eq!(document["unknown_items"], serde_json::json!([]));
            assert_eq!(listed(&document), expected(&model, &session, k, &Filter::default()));
        }
        let text = stdout(&upnext("recommend", &path, &["--session", &session.join(",")]));
        assert_eq!(text.lines().count(), 21, "{text}");
        assert!(
            text.starts_with("rank")
                && text.contains(&expected(&model, &session, 1, &Filter::default())[0].0)
        );
    }
}

#[test]
fn unknown_items_are_skipped_and_named() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Gru4rec);
    let first = known(&model, 1)[0];
    let output = upnext("recommend", &path, &["--session", &format!("new,{first},gone,new"), "--json"]);
    assert!(stderr(&output).contains("does not know `new`, `gone` (3 times)"), "{}", stderr(&output));
    let document = json(&output);
    assert_eq!(document["unknown_items"], serde_json::json!(["new", "gone"]));
    assert_eq!(document["session"].as_array().unwrap().len(), 4);
    assert_eq!(listed(&document), expected(&model, &[first], 20, &Filter::default()));
}

#[test]
fn session_without_a_known_item_gets_the_popular_items_and_is_told() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Gru4rec);
    for (session, says) in
        [("", "is empty"), ("new,-7", "has no item that the model knows"), ("-7", "has no item")]
    {
        let document = json(&upnext("recommend", &path, &["--session", session, "-k", "5", "--json"]));
        assert_eq!(document["fell_back"], true);
        assert_eq!(ids(listed(&document)), known(&model, 5));
        let text = stdout(&upnext("recommend", &path, &["--session", session]));
        assert!(text.contains(says) && text.contains("most popular"), "{text}");
    }
}

#[test]
fn item_is_taken_as_it_is() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Gru4rec);
    let args = ["--item", WITH_COMMA, "--item", "line\nbreak", "--json"];
    let document = json(&upnext("recommend", &path, &args));
    assert_eq!(document["unknown_items"], serde_json::json!([]));
    assert_eq!(listed(&document), expected(&model, &[WITH_COMMA, "line\nbreak"], 20, &Filter::default()));
    let all = model.items().len().to_string();
    let text = stdout(&upnext("recommend", &path, &["--item", WITH_COMMA, "-k", &all]));
    assert_eq!(text.lines().count(), 1 + model.items().len(), "an id must not break the table: {text}");
}

#[test]
fn filters_apply_before_the_list_is_cut() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Gru4rec);
    let session = known(&model, 3);
    let text = session.join(",");
    let all = ids(expected(&model, &session, usize::MAX, &Filter::default()));
    let run = |more: &[&str]| {
        let output = upnext("recommend", &path, &[&["--session", &text, "-k", "4", "--json"], more].concat());
        (ids(listed(&json(&output))), stderr(&output))
    };
    let without = |out: &[&str]| {
        all.iter().filter(|id| !out.contains(&id.as_str())).take(4).cloned().collect::<Vec<_>>()
    };
    assert_eq!(run(&["--exclude-seen"]).0, without(&session));

    let exclude = format!("\u{feff}{}\r\n\r\n  \nno such item\r\n{} ", all[0], all[2]);
    let exclude = shop.file("exclude.txt", exclude);
    let exclude = ["--exclude", exclude.to_str().unwrap()];
    let (list, said) = run(&exclude);
    assert_eq!(list, without(&[&all[0], &all[2]]));
    assert!(said.contains("does not know 1 of the 3 ids: `no such item`"), "{said}");

    let only = shop.file("only.txt", format!("{}\n{}\n{}\n", all[9], all[0], all[5]));
    let only = ["--only", only.to_str().unwrap()];
    assert_eq!(run(&only).0, [&all[0], &all[5], &all[9]].map(Clone::clone));
    assert_eq!(run(&[only, exclude].concat()).0, [&all[5], &all[9]].map(Clone::clone));
}

#[test]
fn filters_that_leave_nothing_or_cannot_be_read_are_errors() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Pop);
    let every = model.items().ids().filter(|id| !id.contains('\n')).collect::<Vec<_>>();
    let one = shop.file("one.txt", every[0]);
    for (option, bytes, words) in [
        ("--only", "".into(), vec!["list.txt", "none of its ids"]),
        (
            "--only",
            "new\nother\n".into(),
            vec!["list.txt", "none of its ids", "2 of the 2 ids: `new`, `other`"],
        ),
        ("--exclude", every[0].into(), vec!["list.txt", "leaves no item"]),
        ("--exclude", b"a\nb\xff\n".to_vec(), vec!["list.txt:2", "UTF-8"]),
    ] {
        let list = shop.file("list.txt", bytes);
        let mut args = vec!["--session", "", option, list.to_str().unwrap()];
        if option == "--exclude" {
            args.extend(["--only", one.to_str().unwrap()]);
        }
        assert_refused(&upnext("recommend", &path, &args), 1, &words);
    }
    let missing = shop.path("missing.txt");
    let args = ["--session", "", "--only", missing.to_str().unwrap()];
    assert_refused(&upnext("recommend", &path, &args), 1, &["missing.txt", "cannot read"]);
}

/// A log of 2,500 sessions, more than a block of one thread, with known and unknown items.
fn log(model: &Model) -> (String, Vec<(String, Vec<String>)>) {
    let items = known(model, 30);
    let mut sessions = Vec::new();
    let mut text = "session_id\titem_id\ttime\n".to_owned();
    for s in 0..2_500_usize {
        let name = format!("s {s}");
        let length = if s == 7 { 40 } else { 1 + s % 5 };
        let item =
            |e: usize| if s % 50 == 3 { format!("new {e}") } else { items[(s * 7 + e * e) % 30].to_owned() };
        let events: Vec<String> = (0..length).map(item).collect();
        for (e, item) in events.iter().enumerate() {
            text.push_str(&format!("{name}\t{item}\t{}\n", 1_500_000_000 + s * 10 + e));
        }
        sessions.push((name, events));
    }
    (text, sessions)
}

fn recommend_to_log(model: &Path, log: &Path, more: &[&str]) -> std::process::Output {
    upnext("recommend", model, &[&["--sessions", log.to_str().unwrap(), "-k", "3"], more].concat())
}

#[test]
fn sessions_of_a_log_get_what_each_gets_alone() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Gru4rec);
    let (text, sessions) = log(&model);
    let log = shop.file("log.tsv", text);
    let mut rows = vec!["session_id,rank,item_id,score,fell_back".to_owned()];
    for (name, events) in &sessions {
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let fell_back = model.items().index_of(events[0]).is_none();
        for (rank, (id, score)) in (1..).zip(expected(&model, &events, 3, &Filter::default())) {
            rows.push(format!("{name},{rank},{id},{},{fell_back}", score as f32));
        }
    }
    for more in [&["--threads", "1"][..], &[]] {
        let output = recommend_to_log(&path, &log, more);
        assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), rows);
        let said = stderr(&output);
        assert!(said.contains("50 of 2,500 sessions have no item"), "{said}");
        assert!(said.contains("does not know 4 of the log's items: `new 0`"), "{said}");
    }

    let csv = shop.file("lists.csv", "an old file");
    let done = json(&recommend_to_log(&path, &log, &["--out", csv.to_str().unwrap(), "--json"]));
    assert_eq!((&done["sessions"], &done["recommendations"]), (&2500.into(), &7500.into()));
    assert_eq!((&done["fell_back"], &done["unknown_items"]), (&50.into(), &4.into()));
    assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().collect::<Vec<_>>(), rows);

    let written = |name: &str| {
        let out = shop.path(name);
        let said = stdout(&recommend_to_log(&path, &log, &["--out", out.to_str().unwrap()]));
        assert!(said.contains("7,500 recommendations to 2,500 sessions") && said.contains(name), "{said}");
        std::fs::read(out).unwrap()
    };
    assert_eq!(String::from_utf8(written("l.tsv")).unwrap().replace('\t', ","), rows.join("\n") + "\n");
    let lines = String::from_utf8(written("l.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((lines.lines().count(), &last["session_id"]), (7500, &"s 2499".into()));
    let parquet = written("l.parquet");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    assert_eq!(shop.names(), ["gru4rec", "l.jsonl", "l.parquet", "l.tsv", "lists.csv", "log.tsv"]);

    for more in [&["--json"][..], &["--json", "--out", "-"]] {
        let documents = json(&recommend_to_log(&path, &log, more));
        let documents = documents.as_array().unwrap();
        assert_eq!(documents.len(), 2500);
        let events: Vec<&str> = sessions[7].1.iter().map(String::as_str).collect();
        assert_eq!(documents[7]["session_id"], "s 7");
        assert_eq!(documents[7]["session"], serde_json::json!(events));
        assert_eq!(listed(&documents[7]), expected(&model, &events, 3, &Filter::default()));
        assert_eq!(documents[3]["unknown_items"], serde_json::json!(["new 0", "new 1", "new 2", "new 3"]));
    }
}

#[test]
fn prepared_folder_stands_for_its_test_part() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Pop);
    let (text, _) = log(&model);
    let log = shop.file("log.tsv", text);
    let parts = shop.path("parts");
    let args = ["--out", parts.to_str().unwrap(), "--holdout", "1h"];
    stdout(&upnext("prepare", &log, &args));
    let of_folder = stdout(&recommend_to_log(&path, &parts, &[]));
    assert_eq!(of_folder, stdout(&recommend_to_log(&path, &parts.join("test.parquet"), &[])));
    assert!(of_folder.lines().count() > 3);
}

#[test]
fn failure_leaves_the_old_file_and_nothing_else() {
    let shop = Shop::new();
    let (path, _) = shop.train(ModelKind::Pop);
    let log = shop.file("log.csv", "session_id,item_id,time\ns,1,5\ns,2,not a time\n");
    let out = shop.file("lists.csv", "old");
    let output = recommend_to_log(&path, &log, &["--out", out.to_str().unwrap()]);
    assert_refused(&output, 1, &["log.csv", "line 3", "time"]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "old");
    let without_time = shop.file("untimed.csv", "session_id,item_id\ns,1\ns,2\n");
    let output = recommend_to_log(&path, &without_time, &["--json"]);
    assert_refused(&output, 1, &["untimed.csv", "no time column"]);
    assert_eq!(shop.names(), ["lists.csv", "log.csv", "pop", "untimed.csv"]);
}

#[test]
fn reader_that_has_seen_enough_is_no_error() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Pop);
    let log = shop.file("log.tsv", log(&model).0);
    for json in [&["--json"][..], &[]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
        command.arg("recommend").arg(&path).arg("--sessions").arg(&log).args(json);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
    }
}

#[test]
fn wrong_usage_is_refused_before_the_model_is_read() {
    let shop = Shop::new();
    let model = shop.path("no model");
    let log = shop.file("log.csv", "session_id,item_id,time\ns,1,5\n");
    let log = log.to_str().unwrap();
    let csv = shop.path("no folder").join("lists.csv");
    let folder = shop.path("folder.csv");
    std::fs::create_dir(&folder).unwrap();
    for (args, words) in [
        (vec![], vec!["--session", "--item", "--sessions"]),
        (vec!["--session", "1", "--item", "2"], vec!["cannot be used with"]),
        (vec!["--session", "1", "--sessions", log], vec!["cannot be used with"]),
        (vec!["--item", "1", "--sessions", log], vec!["cannot be used with"]),
        (vec!["--session", "1", "-k", "0"], vec!["-k"]),
        (vec!["--session", "1", "-k", "-1"], vec!["-1"]),
        (vec!["--session", "1,,2"], vec!["--session", "empty id", "--item"]),
        (vec!["--session", "1", "--out", "x.csv"], vec!["--out", "cannot be used with"]),
        (vec!["--session", "1", "--threads", "2"], vec!["--threads", "cannot be used with"]),
        (vec!["--session", "1", "--time-column", "t"], vec!["--time-column"]),
        (vec!["--item", "1", "--skip-bad-rows"], vec!["--skip-bad-rows"]),
        (vec!["--sessions", log, "--threads", "0"], vec!["--threads"]),
        (vec!["--sessions", log, "--out", "lists.xlsx"], vec!["--out", "lists.xlsx", ".csv, .tsv, .parquet"]),
        (vec!["--sessions", log, "--out", log], vec!["--out", "the log that is read"]),
        (vec!["--sessions", log, "--out", csv.to_str().unwrap()], vec!["--out", "there is no folder"]),
        (vec!["--sessions", log, "--out", folder.to_str().unwrap()], vec!["--out", "is a folder"]),
    ] {
        assert_refused(&upnext("recommend", &model, &args), 2, &words);
    }
}

#[test]
fn damaged_models_fail_and_the_file_is_named() {
    let shop = Shop::new();
    let (path, _) = shop.train(ModelKind::Gru4rec);
    for (damaged, words) in damaged_models(&shop, &path) {
        assert_refused(&upnext("recommend", &damaged, &["--session", "1", "--json"]), 1, &words);
    }
    let missing = upnext("recommend", &shop.path("missing"), &["--session", "1"]);
    assert_refused(&missing, 1, &["missing", "no such folder"]);
    let file = shop.file("model.bin", "x");
    assert_refused(
        &upnext("recommend", &file, &["--session", "1"]),
        1,
        &["model.bin", "a model is a folder"],
    );
}

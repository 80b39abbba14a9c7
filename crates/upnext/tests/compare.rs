//! Tests of `upnext compare`: its figures, its checks before any computation, and kept models.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, done, evaluate, json, refused, set, stderr, train, upnext};
use std::path::Path;
use std::process::Command;

const NETWORK: [&str; 3] = ["model.layers=12", "training.batch_size=8", "training.samples=24"];

fn compare(data: &Path, models: &str) -> Command {
    let mut command = upnext();
    command.arg("compare").arg(data).args(["--models", models, "--quiet", "--resamples", "200"]);
    command
}

#[test]
fn figures_are_those_of_train_and_evaluate_within_their_intervals() {
    let folder = Folder::new();
    let data = folder.prepared_shop(800);
    let mut command = compare(&data, "pop,s-pop,gru4rec");
    let keep = folder.path("kept");
    let outcome = json(set(&mut command, &NETWORK).args(["--epochs", "2"]).arg("--keep").arg(&keep));
    let rows = outcome["models"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for (row, figures) in rows.iter().zip(outcome["comparison"]["models"].as_array().unwrap()) {
        let name = row["name"].as_str().unwrap();
        let alone = json(&mut evaluate(&keep.join(name), &data, &["--lists"]));
        assert_eq!(row["metrics"], alone["metrics"], "{name}");
        for figure in figures.as_array().unwrap() {
            let of = |key: &str| figure[key].as_f64().unwrap();
            assert!(of("low") <= of("value") && of("value") <= of("high"), "{name}: {figure}");
        }
        assert!(row["commands"][0].as_str().unwrap().contains(&format!("--model {name}")));
    }
    let trained = folder.path("trained");
    let model = json(set(&mut train(&data, &trained), &[]).args(["--epochs", "2"]));
    assert_eq!(model["epochs"][1]["loss"], rows[2]["epochs"][1]["loss"]);
    assert_eq!(outcome["comparison"]["differences"].as_array().unwrap().len(), 3);
    // The second pair is POP and GRU4Rec, its fourth figure Recall@20.
    let difference = &outcome["comparison"]["differences"][1]["figures"][3];
    assert_eq!((&difference["metric"], &difference["k"]), (&"recall".into(), &20.into()));
    let recall = |row: usize| rows[row]["metrics"][3]["recall"].as_f64().unwrap();
    let [value, low, high] = ["value", "low", "high"].map(|key| difference[key].as_f64().unwrap());
    assert!((value - (recall(0) - recall(2))).abs() < 1e-9 && low < value && value < high, "{difference}");
}

/// The text of a page's element from its start to the end of it.
fn part<'p>(page: &'p str, start: &str, end: &str) -> &'p str {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("no `{start}`"));
    rest.split_once(end).unwrap().0
}

#[test]
fn the_report_begins_with_the_model_to_use_and_ranks_the_differences_from_the_first() {
    let folder = Folder::new();
    let (data, file) = (folder.prepared_shop(800), folder.path("report.html"));
    let outcome = json(compare(&data, "pop,markov,pop").arg("--report").arg(&file));
    let page = std::fs::read_to_string(&file).unwrap();
    let verdict = part(&page, "<div class=\"verdict\">", "</div>");
    assert!(verdict.starts_with("<p class=\"use\">Use <b>markov</b>.</p>"), "{verdict}");
    assert!(verdict.contains("95 % interval of the difference on the same sessions: +"), "{verdict}");
    assert!(verdict.contains(" ms of one core") && verdict.contains(" MB"), "{verdict}");
    let markov = &outcome["models"][1];
    assert!(markov["request_ms"].as_f64() > Some(0.0) && markov["model_bytes"].as_u64() > Some(100));
    let mrr = markov["metrics"][3]["mrr"].as_f64().unwrap() * 100.0;
    assert!(verdict.contains(&format!("MRR@20: {mrr:.2} %")), "{verdict}");

    let beyond = part(&page, "<h2>Beyond accuracy</h2>", "</section>");
    for (key, digits, unit) in
        [("gini", 3, 1.0), ("novelty", 3, 1.0), ("serendipity", 2, 100.0), ("map", 2, 100.0)]
    {
        let figure = markov["metrics"][3][key].as_f64().unwrap() * unit;
        assert!(beyond.contains(&format!("{figure:.digits$}")), "{key} {figure}: {beyond}");
    }
    let by: Vec<_> =
        outcome["comparison"]["breakdowns"].as_array().unwrap().iter().map(|groups| &groups["by"]).collect();
    assert_eq!(by, ["events-seen", "session-length", "target-support", "target-age-days"]);
    assert!(page.contains("Recall@20 by days from the target’s first training session to the last"));
    let forest = part(&page, "<table class=\"forest\">", "</table>");
    let rows: Vec<&str> =
        forest.split("<th scope=\"row\">").skip(1).filter_map(|row| row.split('<').next()).collect();
    assert_eq!(rows, ["markov", "pop", "pop-2"]);
    assert!(forest.starts_with("<tbody><tr class=\"first\">"), "{forest}");
    // One unit: every tooltip of a metric is in percent, as the tables are.
    for title in page.split("<title>").skip(2).filter_map(|rest| rest.split("</title>").next()) {
        assert!(title.contains(" %") || title.contains("loss"), "{title}");
    }
    // In the simulated shop, two models cannot be told apart on these few sessions.
    json(compare(&data, "s-pop,markov").arg("--report").arg(&file));
    let page = std::fs::read_to_string(&file).unwrap();
    let verdict = part(&page, "<div class=\"verdict\">", "</div>");
    let level = "level with it: no difference in MRR@20 or Recall@20 between them is significant.";
    assert!(verdict.contains(level) && verdict.contains(" ms of one core"), "{verdict}");
    // Two models that are the same, and one alone.
    json(compare(&data, "markov,markov").arg("--report").arg(&file));
    let page = std::fs::read_to_string(&file).unwrap();
    let verdict = part(&page, "<div class=\"verdict\">", "</div>");
    assert!(verdict.contains("<b>markov-2</b> has the same rank in every case.</p>"), "{verdict}");
    assert!(!verdict.contains("percentage points"), "{verdict}");
    json(compare(&data, "markov").arg("--report").arg(&file));
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(
        !page.contains("Use <b>")
            && !page.contains("<nav class=\"legend\"")
            && page.contains("<h1>Evaluation of markov</h1>")
    );
}

#[test]
fn titles_of_a_catalogue_stand_in_the_examples_of_the_report() {
    let folder = Folder::new();
    let (data, file) = (folder.prepared_shop(300), folder.path("report.html"));
    let titles: String = (1..=60).map(|i| format!("{i},<b>Cup {i}\n")).collect();
    let ids = folder.file("ids.csv", "id,price\n1,2\n");
    let mut command = compare(&data, "pop");
    refused(command.arg("--report").arg(&file).arg("--catalogue").arg(ids), 2, &["--catalogue", "`title`"]);
    let outcome = json(compare(&data, "pop").arg("--report").arg(&file));
    assert!(outcome["titles"].is_null());
    // The shop's ids are not 1 to 60, so that the catalogue is made of an example.
    let example = &outcome["examples"][0];
    let next = example["next"].as_str().unwrap();
    let catalogue = folder.file("titles.csv", format!("item_id,name\n{next},<b>Cup\n{titles}"));
    let outcome = json(compare(&data, "pop").arg("--report").arg(&file).arg("--catalogue").arg(catalogue));
    assert_eq!(outcome["titles"][next], "<b>Cup");
    let page = std::fs::read_to_string(file).unwrap();
    assert!(
        page.contains(&format!(
            "<b class=\"hit\"><span title=\"{next}: &lt;b&gt;Cup\">&lt;b&gt;Cup</span></b>"
        ))
    );
}

#[test]
fn a_saved_model_and_an_experiment_file_stand_beside_a_kind() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    let saved = folder.path("mine");
    done(train(&data, &saved).args(["--epochs", "1"]));
    let file = folder
        .file("small.toml", "[model]\nlayers = [4]\n[training]\nepochs = 1\nbatch_size = 8\nsamples = 16\n");
    let models = format!("pop,{},{},pop", saved.display(), file.display());
    let outcome = json(&mut compare(&data, &models));
    let names: Vec<_> = outcome["models"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["pop", "mine", "small", "pop-2"]);
    assert_eq!(outcome["models"][2]["experiment"]["model"]["layers"][0], 4);
    assert_eq!(outcome["models"][1]["commands"].as_array().unwrap().len(), 1);
    let figures = &outcome["comparison"]["models"];
    assert_eq!(figures[0], figures[3]);
}

#[test]
fn models_of_other_items_are_compared_on_the_same_cases() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    // Yesterday's model has the items of its own day in their order there; another one knows a few of them.
    let (old, few) = (folder.path("old"), folder.path("few"));
    let pop = |log: &Path, out: &Path| {
        done(upnext().arg("train").arg(log).args(["--model", "markov", "--quiet", "--out"]).arg(out));
    };
    pop(&data.join("fit.parquet"), &old);
    done(
        upnext()
            .args(["prepare", "--format", "tsv", "--out"])
            .arg(folder.path("tsv"))
            .arg(folder.path("clicks.csv")),
    );
    let train = std::fs::read_to_string(folder.path("tsv/train.tsv")).unwrap();
    let some: String = train
        .lines()
        .enumerate()
        .filter(|(i, line)| *i == 0 || !line.split('\t').nth(1).unwrap().ends_with(['0', '1', '2', '3', '4']))
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    pop(&folder.file("some.tsv", some), &few);

    let cases = folder.path("cases.csv");
    let models = format!("markov,{},{}", old.display(), few.display());
    let outcome = json(compare(&data, &models).arg("--cases").arg(&cases));
    let rows = outcome["models"].as_array().unwrap();
    assert_eq!(rows[0]["unranked"], serde_json::Value::Null);
    let unranked = |row: usize, key: &str| rows[row]["unranked"][key].as_u64().unwrap();
    assert!(unranked(1, "cases") < unranked(2, "cases"), "{rows:?}");
    let few_unknown = unranked(2, "unknown_targets") + unranked(2, "unknown_histories");
    assert_eq!(few_unknown, unranked(2, "cases"));
    let recall = |row: usize| rows[row]["metrics"][3]["recall"].as_f64().unwrap();
    let known = 1.0 - unranked(2, "cases") as f64 / outcome["data"]["cases"].as_f64().unwrap();
    assert!(recall(2) > 0.0 && recall(2) <= known && recall(1) > recall(2), "{} {known}", recall(2));
    assert_eq!(outcome["comparison"]["differences"].as_array().unwrap().len(), 3);

    // The file has the cases of all models, and each model's Recall follows from it.
    let mut reader = csv::Reader::from_path(&cases).unwrap();
    let read: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    for (row, name) in [(0, "markov"), (1, "old"), (2, "few")] {
        let of_model: Vec<f64> =
            read.iter().filter(|r| &r[0] == name).map(|r| r[4].parse().unwrap()).collect();
        assert_eq!(of_model.len() as u64, outcome["data"]["cases"].as_u64().unwrap());
        let hits = of_model.iter().filter(|&&rank| rank <= 20.0).count();
        assert!((recall(row) - hits as f64 / of_model.len() as f64).abs() < 1e-12, "{name}");
    }
    let stdout = String::from_utf8(done(&mut compare(&data, &models)).stdout).unwrap();
    assert!(stdout.contains("few: ") && stdout.contains(" cases are misses"), "{stdout}");
    let foreign = folder.path("foreign");
    pop(&folder.file("foreign.csv", "SessionId,ItemId,Time\n1,x,1500000000\n1,y,1500000001\n"), &foreign);
    let output = compare(&data, &format!("pop,{}", foreign.display())).output().unwrap();
    assert!(
        program::stderr(&output).contains("1 of 2 models failed: foreign"),
        "{}",
        program::stderr(&output)
    );
}

#[test]
fn validation_chooses_the_epochs_of_a_kind_and_the_command_shown_trains_the_same_model() {
    let folder = Folder::new();
    let data = folder.prepared_shop(400);
    let keep = folder.path("kept");
    let mut command = compare(&data, "gru4rec,markov");
    set(&mut command, &NETWORK);
    let outcome = json(set(&mut command, &["training.learning_rate=0.3"]).arg("--keep").arg(&keep));
    let row = &outcome["models"][0];
    let best = row["selection"]["best_epoch"].as_u64().unwrap();
    assert_eq!(row["selection"]["epochs"].as_array().unwrap().len(), 10);
    assert_eq!(row["epochs"].as_array().unwrap().len() as u64, best);
    assert_eq!(outcome["models"][1].get("selection"), None);
    let shown = row["commands"][0].as_str().unwrap();
    assert!(shown.ends_with(" --validate"), "{shown}");
    let out = folder.path("again");
    let mut again = train(&data, &out);
    json(set(&mut again, &["training.learning_rate=0.3"]).arg("--validate"));
    assert_eq!(program::bits(&out)[1], program::bits(&keep.join("gru4rec"))[1], "the weights");
    // A number of epochs that was asked for is trained without looking.
    let outcome = json(set(&mut compare(&data, "gru4rec"), &NETWORK).args(["--epochs", "2"]));
    assert_eq!(outcome["models"][0].get("selection"), None);
}

#[test]
fn next_clicks_on_unknown_items_are_misses_of_every_model_on_request() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    let of = |more: &[&str]| json(compare(&data, "pop,markov").args(more));
    let (left_out, missed) = (of(&[]), of(&["--unknown", "miss"]));
    let clicks = &left_out["data"]["next_clicks"];
    assert_eq!(clicks, &missed["data"]["next_clicks"]);
    let [total, cases, misses] = [
        clicks["total"].as_u64().unwrap(),
        missed["data"]["cases"].as_u64().unwrap(),
        missed["data"]["misses"].as_u64().unwrap(),
    ];
    assert_eq!((cases + misses, left_out["data"]["misses"].as_u64()), (total, Some(0)));
    let alone = json(&mut evaluate(
        &{
            let out = folder.path("pop");
            done(upnext().arg("train").arg(&data).args(["--model", "pop", "--quiet", "--out"]).arg(&out));
            out
        },
        &data,
        &["--unknown", "miss", "--lists"],
    ));
    assert_eq!(missed["models"][0]["metrics"], alone["metrics"]);
    let figure =
        |outcome: &serde_json::Value| outcome["comparison"]["models"][0][3]["value"].as_f64().unwrap();
    assert!((figure(&missed) * total as f64 - figure(&left_out) * cases as f64).abs() < 1e-6);
    assert!(missed["models"][0]["commands"][1].as_str().unwrap().contains("--unknown miss"));
}

#[test]
fn what_cannot_be_written_is_found_before_any_log_is_read() {
    let folder = Folder::new();
    // The log does not exist: reading it first would fail with another message.
    let data = folder.path("no-log.csv");
    let with = |report: &Path| {
        let mut command = compare(&data, "pop");
        command.arg(&data).arg("--report").arg(report);
        command
    };
    refused(&mut with(&folder.path("no/report.html")), 1, &["report.html", "cannot write"]);
    let mine = folder.file("mine.html", "<html>my own page</html>");
    refused(&mut with(&mine), 1, &["mine.html", "no report of upnext"]);
    let keep = folder.file("file", "");
    refused(compare(&data, "pop").arg(&data).arg("--keep").arg(&keep), 1, &["file", "cannot create"]);
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "<html>my own page</html>");
}

#[test]
fn usage_that_makes_no_sense_is_refused() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    refused(&mut compare(&data, "popp"), 2, &["did you mean `pop`?"]);
    refused(
        compare(&data, "pop").args(["--set", "model.layers=3"]),
        2,
        &["model.layers", "none of the models"],
    );
    refused(compare(&data, "pop").args(["--set", "training.lerning_rate=3"]), 2, &["learning_rate"]);
    refused(compare(&data, "pop").args(["--set", "evaluation.cutoffs=3"]), 2, &["-k"]);
    refused(compare(&data, "pop").args(["-k", "5,1"]), 2, &["ascending"]);
    refused(compare(&folder.path("clicks.csv"), "pop").arg("--json"), 2, &["name a test log"]);
    let patient = folder.file("patient.toml", "[training]\npatience = 2\n");
    let without = data.join("train.parquet");
    let mut command = compare(&without, patient.to_str().unwrap());
    refused(command.arg(data.join("test.parquet")), 2, &["patience", "validation"]);
}

#[test]
fn one_model_that_fails_does_not_take_the_others_with_it() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    let mut command = compare(&data, "pop,gru4rec");
    set(&mut command, &NETWORK);
    set(&mut command, &["training.learning_rate=1e30", "training.loss=bpr-max"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (text, message) = (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output));
    assert!(text.contains("pop") && text.contains("gru4rec failed: "), "{text}");
    assert!(message.contains("1 of 2 models failed"), "{message}");
}

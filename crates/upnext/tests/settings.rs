//! Settings without effect are refused, and what is shown of settings can be read again.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, done, json, refused, set, stderr, train, upnext};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn train_kind(log: &Path, out: &Path, kind: &str) -> Command {
    let mut command = upnext();
    command.arg("train").arg(log).arg("--out").arg(out).args(["--model", kind, "--quiet"]);
    command
}

#[test]
fn a_setting_that_the_kind_does_not_read_is_refused_wherever_it_is_given() {
    let folder = Folder::new();
    // The log does not exist: reading it first would fail with another message.
    let (log, out) = (folder.path("no-log.csv"), folder.path("model"));
    let of = |kind| train_kind(&log, &out, kind);
    let rate = ["training.learning_rate=0.1"];
    refused(set(&mut of("vs-knn"), &rate), 2, &["training.learning_rate", "\"vs-knn\"", "it is for gru4rec"]);
    refused(
        of("pop").args(["--epochs", "3"]),
        2,
        &["--epochs: sets training.epochs", "\"pop\"", "leave it out"],
    );
    refused(of("pop").args(["--seed", "3"]), 2, &["--seed: sets training.seed", "gru4rec, bpr-mf"]);
    refused(of("bpr-mf").args(["--epochs", "3"]), 2, &["--epochs", "use model.epochs"]);
    let file = folder.file("knn.toml", "[model]\nkind = \"s-knn\"\n\n[training]\nepochs = 3\n");
    let mut command = upnext();
    command.args(["train", "--show-config", "--config"]).arg(&file);
    refused(&mut command, 2, &["knn.toml:5:1: training.epochs", "\"s-knn\""]);

    let network = |fields: &[&str], words: &[&str]| {
        refused(set(&mut of("gru4rec"), fields), 2, words);
    };
    network(&["training.adam_beta1=0.8"], &["training.adam_beta1", "training.optimizer is not adam"]);
    network(&["model.embedding_size=8"], &["model.embedding_size", "model.input is not embedding"]);
    // In the other order, too, it has an effect, and the missing log is the problem.
    refused(
        set(&mut of("gru4rec"), &["training.adam_beta1=0.8", "training.optimizer=adam"]),
        1,
        &["no-log.csv"],
    );
}

#[test]
fn a_search_draws_points_by_its_seed_for_every_kind_of_model() {
    done(upnext().args(["tune", "--show-space", "--model", "item-knn", "--seed", "3"]));
    refused(
        upnext().args(["tune", "--show-space", "--model", "item-knn", "--epochs", "3"]),
        2,
        &["--epochs"],
    );
}

#[test]
fn the_configuration_of_each_kind_is_shown_with_comments_and_can_be_read_again() {
    let folder = Folder::new();
    for kind in upnext_core::experiment::ModelKind::ALL.map(|kind| kind.name()) {
        let show = |args: &[&str]| {
            let output = done(upnext().args(["train", "--show-config"]).args(args));
            String::from_utf8(output.stdout).unwrap()
        };
        let shown = show(&["--model", kind]);
        assert_eq!(
            shown.contains("\n[training]\n"),
            ["gru4rec", "bpr-mf", "session-average", "blend"].contains(&kind)
        );
        let file = folder.file("shown.toml", &shown);
        assert_eq!(show(&["--config", file.to_str().unwrap()]), shown, "{kind}");
    }
}

#[test]
fn models_saved_with_settings_that_they_do_not_read_are_used_as_before() {
    let folder = Folder::new();
    let (log, out) = (folder.prepared_shop(300), folder.path("model"));
    done(&mut train_kind(&log, &out, "item-knn"));
    // Earlier versions stored such a value if it was given.
    let path = out.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let training = &mut manifest["experiment"]["training"];
    assert!(training["learning_rate"].is_number(), "manifests have all fields");
    training["learning_rate"] = 0.5.into();
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    done(upnext().arg("evaluate").arg(&out).arg(&log).arg("--quiet"));
    // The stored value is no difference from the training that is asked for now.
    assert_eq!(json(train_kind(&log, &out, "item-knn").arg("--resume"))["ended"], "complete");
}

#[test]
fn a_comparison_sets_fields_of_the_models_that_read_them() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    let compare = |models: &str| {
        let mut command = upnext();
        command.arg("compare").arg(&data).args(["--models", models, "--quiet", "--resamples", "100"]);
        command
    };
    let fields =
        ["model.layers=8", "training.batch_size=8", "training.samples=16", "training.learning_rate=0.05"];
    let outcome = json(set(&mut compare("pop,gru4rec"), &fields).args(["--epochs", "1", "--seed", "5"]));
    let commands = |row: usize| outcome["models"][row]["commands"][0].as_str().unwrap();
    assert!(!commands(0).contains("--set") && !commands(0).contains("--seed"), "{}", commands(0));
    assert!(
        commands(1).contains("training.learning_rate=0.05") && commands(1).contains("--epochs 1 --seed 5")
    );
    refused(
        set(&mut compare("pop"), &["training.learning_rate=0.1"]),
        2,
        &["training.learning_rate", "none of the models"],
    );
    refused(compare("pop,vs-knn").args(["--epochs", "3"]), 2, &["--epochs: sets training.epochs"]);
}

#[test]
fn saved_models_of_one_name_are_told_apart_by_their_folders() {
    let folder = Folder::new();
    let data = folder.prepared_shop(300);
    let mut models = Vec::new();
    for (place, kind) in [("today", "pop"), ("yesterday", "s-pop")] {
        let out = folder.path(place).join("model");
        std::fs::create_dir(folder.path(place)).unwrap();
        done(&mut train_kind(&data, &out, kind));
        models.push(out.display().to_string());
    }
    let page = folder.path("report.html");
    let mut command = upnext();
    command.arg("compare").arg(&data).args(["--models", &models.join(","), "--quiet", "--resamples", "100"]);
    let outcome = json(command.arg("--report").arg(&page));
    let names: Vec<_> = outcome["models"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["today/model", "yesterday/model"]);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("today/model") && page.contains("yesterday/model"));
}

#[test]
fn messages_name_the_options_that_exist() {
    let folder = Folder::new();
    let log = folder.file("log.csv", "SessionId,ItemId,Time\n1,a,1500000000\n1,,1500000060\n2,b,x\n");
    let mut command = upnext();
    command.arg("prepare").arg(&log).arg("--out").arg(folder.path("data"));
    let message = refused(&mut command, 1, &["--skip-bad-rows"]);
    assert!(!message.contains("skip_bad_rows"), "{message}");
    let number =
        |value: &str| refused(train(&log, &folder.path("model")).args(["--epochs", value]), 2, &["--epochs"]);
    assert!(number("0").contains("must be a whole number of 1 or more, not `0`"));
    assert!(number("-1").contains("not `-1`"), "{}", number("-1"));
    assert!(number("1e3").contains("not `1e3`: write 1000"));
}

#[test]
fn colours_are_for_terminals_and_as_the_environment_asks() {
    let run = |variables: &[(&str, &str)]| {
        let mut command = upnext();
        command.args(["evaluate", "no-model", "no-log"]);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        stderr(&command.envs(variables.iter().copied()).output().unwrap())
    };
    let plain = run(&[]);
    assert!(plain.starts_with("error: "), "{plain}");
    assert!(run(&[("CLICOLOR_FORCE", "1")]).starts_with("\u{1b}["));
    assert_eq!(run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), plain);
}

#[test]
fn shells_and_manuals_have_what_they_need() {
    let text = |args: &[&str]| String::from_utf8(done(upnext().args(args)).stdout).unwrap();
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef upnext"), ("fish", "complete -c upnext")]
    {
        let script = text(&["completions", shell]);
        assert!(script.contains(word) && script.contains("skip-bad-rows"), "{shell}");
    }
    refused(upnext().args(["completions", "cmd"]), 2, &["bash", "zsh", "fish"]);
    let page = text(&["man"]);
    assert!(page.contains(".TH") && page.contains("prepare"), "{page}");
    assert!(text(&["man", "train"]).contains("checkpoint"));
    refused(upnext().args(["man", "trian"]), 2, &["there is no command `trian`", "train"]);
    let folder = Folder::new();
    done(upnext().args(["man", "--out"]).arg(folder.path("man1")));
    let pages = std::fs::read_dir(folder.path("man1")).unwrap().count();
    assert!(pages > 14 && folder.path("man1").join("upnext-train.1").exists(), "{pages}");
}

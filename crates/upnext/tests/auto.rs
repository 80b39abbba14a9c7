//! Tests of `auto` and of training a `blend` as a user does.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, done, evaluate, file_of, json, manifest, refused, set, stderr, upnext};
use std::path::Path;
use std::process::Command;

fn auto(log: &Path, out: &Path) -> Command {
    let mut command = upnext();
    command.arg("auto").arg(log).arg("--out").arg(out);
    command
}

fn blend(log: &Path, out: &Path) -> Command {
    let mut command = upnext();
    command.arg("train").arg(log).arg("--out").arg(out).args(["--model", "blend", "--epochs", "2"]);
    set(&mut command, &["model.members=gru4rec,vstan,sr", "training.batch_size=8", "training.samples=24"]);
    command
}

#[test]
fn one_command_finds_a_model_and_shows_what_was_tried() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(600);
    let (out, page) = (folder.path("model"), folder.path("page.html"));
    let found = json(auto(&parts, &out).args(["--budget", "0.001s", "--report"]).arg(&page));
    let candidates = found["candidates"].as_array().unwrap();
    let winner = &candidates[found["winner"].as_u64().unwrap() as usize];
    let alone = candidates.iter().filter(|candidate| candidate["members"].as_array().unwrap().len() == 1);
    let mrr = |candidate: &serde_json::Value| candidate["figures"]["mrr"].as_f64().unwrap();
    assert!(alone.clone().count() >= 2 && alone.clone().all(|one| mrr(one) <= mrr(winner) * 1.001));
    assert_eq!(found["skipped"].as_array().unwrap().len(), 4);
    let of_model = json(&mut evaluate::<&str>(&out, &parts, &[]));
    assert_eq!(found["test"]["evaluation"]["metrics"], of_model["metrics"]);
    assert!(found["served"]["median_ms"].as_f64().unwrap() > 0.0);
    let html = std::fs::read_to_string(&page).unwrap();
    for words in ["What won, and by how much?", "gru4rec-cosine-480", "upnext recommend"] {
        assert!(html.contains(words), "{words}");
    }
    assert_eq!(folder.names(), ["clicks.csv", "model", "page.html", "parts"]);
    // The terminal shows the same, and the progress on stderr.
    let output = done(auto(&parts, &out).args(["--budget", "0.001s", "--objective", "recall@20"]));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.contains("on the test part"), "{text}");
    assert!(text.contains("saved: ") && text.contains("the saved one"), "{text}");
    assert!(stderr(&output).contains("vstan: learning what was before the windows"), "{}", stderr(&output));
    assert!(stderr(&output).contains("judging blends"), "{}", stderr(&output));
}

#[test]
fn what_auto_cannot_do_is_refused() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(300);
    let out = folder.path("model");
    refused(auto(&parts, &out).args(["--objective", "hits"]), 2, &["mrr@20"]);
    let log = folder.file("short.csv", "session_id,item_id,time\na,x,1\na,y,2\nb,x,3\nb,y,4\n");
    refused(&mut auto(&log, &out), 1, &["too few sessions to judge"]);
    assert_eq!(folder.names(), ["clicks.csv", "parts", "short.csv"]);
    let trainings = folder.path("model.auto");
    std::fs::create_dir(&trainings).unwrap();
    std::fs::write(trainings.join("mine.txt"), "precious").unwrap();
    refused(&mut auto(&parts, &out), 1, &["model.auto", "move it"]);
    assert!(trainings.join("mine.txt").exists());
}

#[test]
fn a_blend_is_trained_evaluated_and_recommends_like_every_kind() {
    let folder = Folder::new();
    let parts = folder.prepared_shop(600);
    let out = folder.path("model");
    let output = done(&mut blend(&parts, &out));
    assert!(stderr(&output).contains("training 1 of 6: gru4rec"), "{}", stderr(&output));
    let members = manifest(&out)["members"].clone();
    let names: Vec<&str> = members.as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gru4rec", "vstan", "sr"]);
    assert!(json(&mut evaluate::<&str>(&out, &parts, &[]))["metrics"].as_array().unwrap().len() > 1);
    assert_eq!(folder.names(), ["clicks.csv", "model", "parts"]);
    // Each member is a model of its own.
    let vstan = out.join("members").join("vstan");
    let alone = json(&mut evaluate::<&str>(&vstan, &parts, &[]));
    assert_eq!(alone["kind"], "vstan");
    let text = String::from_utf8(done(upnext().arg("inspect").arg(&out)).stdout).unwrap();
    assert!(text.contains("alone in") && text.contains(&vstan.display().to_string()), "{text}");
    let shape = json(upnext().arg("inspect").arg(&out));
    let parameters = |shape: &serde_json::Value| shape["parameters"].as_u64().unwrap();
    let of_member = json(upnext().arg("inspect").arg(out.join("members").join("gru4rec")));
    assert!(parameters(&shape) > parameters(&of_member), "{shape}");
    refused(
        &mut evaluate::<&str>(&out.join("members").join("stan"), &parts, &[]),
        1,
        &["no such member", "vstan"],
    );
    // It goes on from itself, and `--validate` is not for it.
    let next = folder.path("next");
    done(upnext().arg("train").arg(&parts).arg("--out").arg(&next).arg("--init").arg(&out));
    let weights = |model: &Path| std::fs::read(file_of(model, "weights").unwrap()).unwrap();
    assert_eq!(weights(&out), weights(&next));
    refused(blend(&parts, &next).arg("--validate"), 2, &["--validate", "by itself"]);
}

//! Tests of `upnext simulate`: the same seed gives the same bytes, and files are not overwritten without `--force`.

use std::path::Path;
use std::process::{Command, Output};

fn simulate(out: &Path, more: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_upnext"));
    program.arg("simulate").arg("--out").arg(out).args(["--sessions", "300", "--items", "80"]).args(more);
    program.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_same_seed_writes_the_same_bytes_to_a_file_and_to_stdout() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let written = |name: &str, seed: &str| {
        let output = simulate(&path(name), &["--seed", seed]);
        assert!(output.status.success(), "{}", stderr(&output));
        std::fs::read(path(name)).unwrap()
    };
    let first = written("a.csv", "7");
    assert_eq!(first, written("b.csv", "7"));
    assert_ne!(first, written("c.csv", "8"));
    assert_eq!(written("a.csv.gz", "7"), written("b.csv.gz", "7"));
    let shown = simulate(Path::new("-"), &["--seed", "7"]);
    assert_eq!(shown.stdout, first);
    assert!(stderr(&shown).contains("written to stdout"), "{}", stderr(&shown));
}

#[test]
fn the_report_counts_what_the_log_holds() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("clicks.csv.zst");
    let output = simulate(&path, &["--days", "3", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let log = Command::new(env!("CARGO_BIN_EXE_upnext")).arg("inspect").arg(&path).arg("--json").output();
    let log: serde_json::Value = serde_json::from_slice(&log.unwrap().stdout).unwrap();
    assert_eq!(report["sessions"], 300);
    assert_eq!(report["events"], log["counts"]["events"]);
    assert_eq!(report["sessions"], log["counts"]["sessions"]);
    assert_eq!([&report["first_time"], &report["last_time"]], [&log["first_time"], &log["last_time"]]);
}

#[test]
fn the_challenge_format_has_times_as_text_and_categories() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("clicks.dat");
    assert!(simulate(&path, &["--format", "challenge"]).status.success());
    let text = std::fs::read_to_string(&path).unwrap();
    let first: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    assert!(first.len() == 4 && first[1].starts_with("2024-03-04T"), "{first:?}");
}

#[test]
fn a_file_that_exists_is_overwritten_only_by_force() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("thesis.csv");
    std::fs::write(&path, "years of work").unwrap();
    let output = simulate(&path, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("thesis.csv: exists") && stderr(&output).contains("--force"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "years of work");
    assert!(simulate(&path, &["--force"]).status.success());
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("SessionId,ItemId,Time\n"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn shops_that_make_no_sense_are_wrong_usage_and_write_nothing() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("clicks.csv");
    for more in [&["--days", "0"][..], &["--days", "x"], &["--format", "parquet"]] {
        let output = simulate(&path, more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
    }
    let both = simulate(Path::new("-"), &["--json"]);
    assert_eq!((both.status.code(), both.stdout.len()), (Some(2), 0));
    let nowhere = simulate(&place.path().join("missing").join("clicks.csv"), &[]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("missing"), "{}", stderr(&nowhere));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

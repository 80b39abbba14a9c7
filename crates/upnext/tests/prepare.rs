//! Tests of `prepare` and `inspect`: valid logs, and the messages and exit codes for invalid ones.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The names of the files in the folder.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_upnext"))
}

fn prepare(log: &Path, out: &Path, more: &[&str]) -> Output {
    program().arg("prepare").arg(log).arg("--out").arg(out).args(more).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A log of 60 sessions on three days, with 10 items.
fn good_log() -> String {
    let mut text = "SessionId,ItemId,Time\n".to_owned();
    for session in 0..60 {
        for event in 0..4 {
            let time = 1_500_000_000 + session * 4_000 + event * 10;
            text.push_str(&format!("s{session},item {},{time}\n", (session + event) % 10));
        }
    }
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn prepared_folder_holds_the_parts_and_their_counts() {
    let folder = Folder::new();
    let log = folder.file("clicks.csv.gz", gzip(&good_log()));
    let out = folder.path("parts");
    let output = prepare(&log, &out, &["--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["log"]["events"], 240);
    let events = |part: &str| json[part]["events"].as_u64().unwrap();
    assert_eq!(events("train") + events("test"), 240);
    assert_eq!(events("fit") + events("valid"), events("train"));
    assert_eq!(json["test"]["sessions"], 22);
    let names = Folder::names(&folder);
    assert_eq!(names, ["clicks.csv.gz", "parts"]);
    for name in ["train.parquet", "test.parquet", "fit.parquet", "valid.parquet", "statistics.json"] {
        assert!(out.join(name).is_file(), "{name}");
    }

    // The folder and each of its parts can be inspected.
    let shown = program().arg("inspect").arg(&out).output().unwrap();
    assert!(shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains("train"));
    let part = program().arg("inspect").arg(out.join("test.parquet")).arg("--json").output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&part.stdout).unwrap();
    assert_eq!(json["counts"]["sessions"], 22);

    // A second run replaces the folder, in the other format.
    let again = prepare(&log, &out, &["--format", "tsv", "--validation", "none"]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(out.join("train.tsv").is_file() && !out.join("train.parquet").exists());
    assert!(!out.join("fit.tsv").exists());
    assert_eq!(Folder::names(&folder), ["clicks.csv.gz", "parts"]);
}

#[test]
fn bad_logs_fail_with_file_line_and_field_and_write_nothing() {
    let good = good_log();
    let line = |n: usize, by: &str| {
        let mut lines: Vec<&str> = good.lines().collect();
        lines[n - 1] = by;
        lines.join("\n").into_bytes()
    };
    let gzipped = gzip(&good);
    let not_utf8 = {
        let mut bytes = line(7, "s1,item,1500000000");
        let at = bytes.windows(5).position(|w| w == b"item,").unwrap();
        bytes[at] = 0xff;
        bytes
    };
    let singles = (0..20).fold("SessionId,ItemId,Time\n".to_owned(), |text, i| {
        text + &format!("s{i},x,{}\n", 1_500_000_000 + i * 9_000)
    });
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        (
            "missing column",
            good.replace("ItemId", "Thing").into_bytes(),
            &["no item column", "SessionId, Thing, Time", "--item-column"],
        ),
        ("unreadable time", line(7, "s1,item 2,soon"), &["line 7", "column 3 (Time)", "\"soon\""]),
        (
            "unreadable times",
            [line(7, "s1,item 2,soon"), b"\ns,i,later\ns,i,never\n".to_vec()].concat(),
            &["line 7", "2 more bad rows"],
        ),
        ("empty file", Vec::new(), &["the file is empty"]),
        ("header only", b"SessionId,ItemId,Time\n".to_vec(), &["only a header line"]),
        (
            "sessions of one event",
            singles.into_bytes(),
            &["no session is left", "20 events, 20 sessions: session too short"],
        ),
        ("truncated gzip", gzipped[..gzipped.len() / 2].to_vec(), &["gzip data ends too early"]),
        ("NUL byte", line(7, "s1,it\0em,1500000000"), &["line 7", "column 2 (ItemId)", "NUL byte"]),
        ("invalid UTF-8", not_utf8, &["column 2 (ItemId)", "not UTF-8"]),
        ("too few fields", line(7, "s1,item 2"), &["line 7", "2 fields where at least 3 are needed"]),
        ("damaged Parquet", b"PAR1 nothing more PAR1".to_vec(), &["damaged Parquet data"]),
    ];
    for (name, bytes, expected) in cases {
        let folder = Folder::new();
        let log = folder.file("clicks", bytes);
        let output = prepare(&log, &folder.path("out"), &[]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert!(output.stdout.is_empty(), "{name}");
        assert_eq!(message.lines().count(), 1, "{name}: {message}");
        assert!(message.starts_with("error: "), "{name}: {message}");
        if name != "sessions of one event" {
            assert!(message.contains(log.to_str().unwrap()), "{name}: {message}");
        }
        for part in expected {
            assert!(message.contains(part), "{name}: `{part}` is not in {message}");
        }
        assert_eq!(folder.names(), ["clicks"], "{name}");
    }
}

#[test]
fn bad_rows_are_left_out_and_counted_on_request() {
    let folder = Folder::new();
    let log = folder.file("clicks", good_log() + "s,i,never\ns,,1500000000\n");
    let output = prepare(&log, &folder.path("out"), &["--skip-bad-rows"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        shown.contains("1 rows left out: unreadable time") && shown.contains("1 rows left out: empty id"),
        "{shown}"
    );
    assert!(shown.contains("line 242"), "{shown}");
}

#[test]
fn absurd_times_are_warned_of_on_stderr() {
    let folder = Folder::new();
    let log = folder.file("clicks", good_log() + "s0,item 1,-7\n");
    let output = prepare(&log, &folder.path("out"), &["--json"]);
    assert!(output.status.success());
    assert!(stderr(&output).contains("warning: 1 of 241 events lie before 1970"), "{}", stderr(&output));
    assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok());
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = Folder::new();
    let log = folder.file("clicks", good_log());
    for more in [
        &["--holdout", "soon"][..],
        &["--until", "tomorrow"],
        &["--min-session-length", "1"],
        &["--validation", "some"],
        &["--delimiter", "ab"],
        &["--session-column", "1", "--item-column", "1"],
        &["--no-such-option"],
    ] {
        let output = prepare(&log, &folder.path("out"), more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
    }
    assert_eq!(program().output().unwrap().status.code(), Some(2));
    assert_eq!(folder.names(), ["clicks"]);
}

#[test]
fn what_prepare_did_not_make_is_never_replaced() {
    let folder = Folder::new();
    let log = folder.file("clicks", good_log());
    let out = folder.path("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("thesis.tex"), "years of work").unwrap();
    let output = prepare(&log, &out, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`thesis.tex`"), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(out.join("thesis.tex")).unwrap(), "years of work");

    // A prepared folder with another file in it is not replaced, nor is one that contains the input.
    let parts = folder.path("parts");
    assert!(prepare(&log, &parts, &["--format", "tsv"]).status.success());
    let output = prepare(&parts.join("train.tsv"), &parts, &[]);
    assert!(stderr(&output).contains("lies in the folder that is to be written"), "{}", stderr(&output));
    std::fs::write(parts.join("notes"), "mine").unwrap();
    assert_eq!(prepare(&log, &parts, &[]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(parts.join("notes")).unwrap(), "mine");
}

#[test]
fn a_write_that_fails_leaves_the_old_parts_and_nothing_else() {
    let folder = Folder::new();
    let log = folder.file("clicks", good_log());
    let out = folder.path("out");
    assert!(prepare(&log, &out, &["--format", "tsv"]).status.success());
    let before = std::fs::read(out.join("train.tsv")).unwrap();
    // A limit of one block on the size of files simulates a full disk without privileges.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_upnext"), "prepare"])
        .arg(&log)
        .arg("--out")
        .arg(&out)
        .args(["--format", "tsv"])
        .output();
    let output = match output {
        Ok(output) if output.status.code().is_some() && !stderr(&output).contains("ulimit") => output,
        _ => {
            eprintln!("skipped: this system's `sh` cannot limit the size of files");
            return;
        }
    };
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("train.tsv: cannot write"), "{}", stderr(&output));
    assert_eq!(std::fs::read(out.join("train.tsv")).unwrap(), before);
    assert_eq!(folder.names(), ["clicks", "out"]);
}

#[test]
fn stdout_that_is_closed_or_full_is_no_panic() {
    let folder = Folder::new();
    let log = folder.file("clicks", good_log());
    let mut child =
        program().arg("inspect").arg(&log).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));

    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        eprintln!("skipped: this system has no /dev/full");
        return;
    };
    let output = program().arg("inspect").arg(&log).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: cannot write to stdout"), "{}", stderr(&output));
}

#[test]
fn inspect_shows_the_shape_of_a_log() {
    let folder = Folder::new();
    let log = folder.file("clicks", good_log());
    let output = program().arg("inspect").arg(&log).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    for part in ["comma-separated text", "events", "240", "sessions", "60", "2017-07-14", "Gini"] {
        assert!(shown.contains(part), "`{part}` is not in {shown}");
    }
}

/// The valid log as part files, in folders by session and with the other files that Spark writes.
fn parts_of_good_log(folder: &Folder) -> PathBuf {
    let text = good_log();
    let (header, rows) = text.split_once('\n').unwrap();
    let lines: Vec<&str> = rows.lines().collect();
    let parts = folder.path("clicks");
    for (part, lines) in lines.chunks(80).enumerate() {
        let place = parts.join(format!("export=2024-01-0{}", part + 1));
        std::fs::create_dir_all(&place).unwrap();
        let text = format!("{header}\n{}\n", lines.join("\n"));
        std::fs::write(place.join("part-00000.csv.gz"), gzip(&text)).unwrap();
        std::fs::write(place.join(".part-00000.csv.gz.crc"), "crc").unwrap();
    }
    std::fs::write(parts.join("_SUCCESS"), "").unwrap();
    parts
}

#[test]
fn a_folder_of_part_files_gives_the_parts_of_the_one_file() {
    let folder = Folder::new();
    let parts = parts_of_good_log(&folder);
    let log = folder.file("one.csv", good_log());
    for (log, out) in [(&parts, "a"), (&log, "b")] {
        let output = prepare(log, &folder.path(out), &["--json"]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    for part in ["train", "test", "fit", "valid"] {
        let read = |out: &str| std::fs::read(folder.path(out).join(format!("{part}.parquet"))).unwrap();
        assert_eq!(read("a"), read("b"), "{part}");
    }
    let shown = program().arg("inspect").arg(&parts).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for part in [
        "export=2024-01-01/part-00000.csv.gz: 80 rows",
        "export=2024-01-03/part-00000.csv.gz: 80 rows",
        "240",
    ] {
        assert!(shown.contains(part), "`{part}` is not in {shown}");
    }
}

#[test]
fn every_command_that_takes_a_log_takes_a_folder_of_part_files() {
    let folder = Folder::new();
    let parts = parts_of_good_log(&folder);
    let (parts, model) = (parts.to_str().unwrap(), folder.path("model"));
    let model = model.to_str().unwrap();
    let runs: [&[&str]; 5] = [
        &["train", parts, "--out", model, "--model", "pop", "--json"],
        &["evaluate", model, parts, "--json"],
        &["inspect", parts, "--json"],
        &["compare", parts, parts, "--models", "pop,markov", "--json"],
        &["recommend", model, "--sessions", parts, "-k", "2"],
    ];
    for arguments in runs {
        let output = program().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }
    // Commands that need a prepared folder refuse it.
    for (arguments, expected) in [
        (&["train", parts, "--out", model, "--validate"][..], "a folder that `prepare` made"),
        // Both are read, and are the same.
        (&["train", parts, "--out", model, "--valid", parts], "known by heart"),
        (&["compare", parts], "name a test log"),
    ] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn nothing_is_written_into_the_folder_that_is_read() {
    let folder = Folder::new();
    let parts = parts_of_good_log(&folder);
    for out in [parts.join("prepared"), parts.join("not/there/yet"), parts.join("export=2024-01-01/x")] {
        let output = prepare(&parts, &out, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("would be read as a part of it"), "{}", stderr(&output));
        assert!(!out.exists());
    }
    let model = folder.path("model");
    let trained =
        program().arg("train").arg(&parts).args(["--model", "pop", "--out"]).arg(&model).output().unwrap();
    assert!(trained.status.success(), "{}", stderr(&trained));
    let lists = parts.join("lists.csv");
    let output = program()
        .arg("recommend")
        .arg(&model)
        .arg("--sessions")
        .arg(&parts)
        .arg("--out")
        .arg(&lists)
        .output();
    let output = output.unwrap();
    assert!(
        stderr(&output).contains("lies in the folder that is read") && !lists.exists(),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_folder_that_is_no_log_says_what_it_lacks() {
    let folder = Folder::new();
    let parts = parts_of_good_log(&folder);
    std::fs::write(parts.join("notes.txt"), "what the export is of\n").unwrap();
    let output = program().arg("inspect").arg(&parts).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    for part in ["notes.txt", "neither a model"] {
        assert!(message.contains(part), "`{part}` is not in {message}");
    }
    std::fs::remove_file(parts.join("notes.txt")).unwrap();
    std::fs::remove_file(parts.join("_SUCCESS")).unwrap();
    std::fs::create_dir(parts.join("_temporary")).unwrap();
    let output = prepare(&parts, &folder.path("out"), &[]);
    assert!(stderr(&output).contains("a job is still writing this folder"), "{}", stderr(&output));
}

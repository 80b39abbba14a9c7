//! Folders are replaced whole or left as they were, and parts of two preparations are refused.

use super::super::{EventLog, PrepareOptions, Prepared, prepare, write_parts};
use super::*;
use std::ops::ControlFlow;

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A log of six days with these two items, prepared with or without a validation part.
fn prepared(items: [&str; 2], with_validation: bool) -> Prepared {
    let mut log = EventLog::new();
    for day in 0..6 {
        items.iter().for_each(|item| log.push(&day.to_string(), item, day * 86_400_000_000));
    }
    let validation = with_validation.then_some(crate::data::Holdout::Sessions(1));
    let options = PrepareOptions {
        holdout: crate::data::Holdout::Sessions(1),
        min_item_support: 1,
        validation,
        ..PrepareOptions::default()
    };
    prepare(log, &options, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn write(items: [&str; 2], target: &Path) -> Result<()> {
    write_parts(&prepared(items, false), target, Format::Tsv, &mut |_, _| ())
}

/// The training part, if it may be read.
fn text(path: &Path) -> Result<String> {
    Ok(fs::read_to_string(PreparedFolder::open(path)?.part(PartName::Train)?).unwrap())
}

#[test]
fn failed_write_leaves_the_old_folder_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("a/b/out");
    let fail = || {
        let mut replacement = Replacement::begin(&target)?;
        replacement.write("train.tsv".into(), |file| file.write_all(b"new"))?;
        replacement.write("test.tsv".into(), |_| Err(io::Error::other("injected")))
    };
    assert!(fail().unwrap_err().to_string().contains("test.tsv"));
    assert!(names(&place.path().join("a/b")).is_empty());
    write(["old", "x"], &target).unwrap();
    fail().unwrap_err();
    assert!(text(&target).unwrap().contains("old"));
    write(["new", "x"], &target).unwrap();
    assert!(text(&target).unwrap().contains("new"));
    assert_eq!(names(&target), ["statistics.json", "test.tsv", "train.tsv"]);
}

#[test]
fn what_a_killed_process_left_goes_before_the_new_statistics_come() {
    let place = tempfile::tempdir().unwrap();
    let left_over = format!("{UNFINISHED}0123");
    fs::write(place.path().join(&left_over), "half").unwrap();
    let mut replacement = Replacement::begin(place.path()).unwrap();
    replacement.write("train.tsv".into(), |file| file.write_all(b"new")).unwrap();
    let names = names(place.path());
    assert!(
        !names.contains(&left_over) && names.iter().any(|name| name.starts_with(UNFINISHED)),
        "{names:?}"
    );
}

#[test]
fn parts_of_two_preparations_are_not_mixed_and_the_next_one_mends_the_folder() {
    let place = tempfile::tempdir().unwrap();
    let (target, other) = (place.path().join("out"), place.path().join("other"));
    let steps = ["train.tsv", "test.tsv", "statistics.json"];
    // Of the same sizes, so that only the hashes tell them apart.
    for killed_after in 0..=steps.len() {
        write(["old", "x"], &target).unwrap();
        write(["new", "x"], &other).unwrap();
        for name in &steps[..killed_after] {
            fs::copy(other.join(name), target.join(name)).unwrap();
        }
        fs::write(target.join(format!("{UNFINISHED}1")), "half").unwrap();
        fs::write(target.join(LOCK_FILE), "").unwrap();
        let folder = PreparedFolder::open(&target).unwrap();
        let [train, test] = [PartName::Train, PartName::Test].map(|name| folder.part(name));
        assert_eq!(
            [train.is_ok(), test.is_ok()],
            match killed_after {
                0 | 3 => [true, true],
                1 => [false, true],
                _ => [false, false],
            }
        );
        if let Err(error) = train {
            let message = error.to_string();
            assert!(message.contains("train.tsv") && message.contains("prepare the log again"));
        }
        write(["new", "x"], &target).unwrap();
        assert!(text(&target).unwrap().contains("new"));
        assert_eq!(names(&target).len(), 3, "{:?}", names(&target));
    }
    // A new folder, killed after its first file: the lock file identifies it.
    fs::remove_file(target.join(STATISTICS_FILE)).unwrap();
    assert!(matches!(check_replaceable(&target), Err(Error::WillNotReplace { .. })));
    fs::write(target.join(LOCK_FILE), "").unwrap();
    assert!(matches!(PreparedFolder::open(&target), Err(Error::NotPrepared { .. })));
    write(["new", "x"], &target).unwrap();
    assert_eq!(names(&target).len(), 3, "{:?}", names(&target));
}

#[test]
fn parts_that_the_new_preparation_does_not_have_go() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    write_parts(&prepared(["a", "b"], true), &target, Format::Parquet, &mut |_, _| ()).unwrap();
    assert_eq!(names(&target).len(), 5);
    let folder = PreparedFolder::open(&target).unwrap();
    assert!(PartName::ALL.iter().all(|&name| folder.has_part(name) && folder.part(name).is_ok()));
    write(["a", "b"], &target).unwrap();
    assert_eq!(names(&target), ["statistics.json", "test.tsv", "train.tsv"]);
    let folder = PreparedFolder::open(&target).unwrap();
    assert!(folder.has_part(PartName::Train) && !folder.has_part(PartName::Fit));
    let message = folder.part(PartName::Fit).unwrap_err().to_string();
    assert!(message.contains("no fit part") && message.contains("with a validation part"), "{message}");
}

#[test]
fn ids_of_any_text_and_times_of_any_size_are_read_back_from_a_folder() {
    let place = tempfile::tempdir().unwrap();
    let texts =
        ["a\tb", "c\nd", "e\"f", "\"quoted\"", "g\r\nh\t1\t2", " padded ", "0012", "39.0", "nan", "#", "'"];
    let mut log = EventLog::new();
    for (i, text) in texts.iter().enumerate() {
        for (item, time) in [(texts[texts.len() - 1 - i], 1_400_000_000_000_001), ("x", 3)] {
            log.push(text, item, time * i as i64 - 1_500_000);
            log.push(text, text, 5);
        }
    }
    log.push("last", "x", i64::MAX);
    log.push("last", "x", i64::MAX);
    let options = PrepareOptions {
        holdout: crate::data::Holdout::Sessions(1),
        min_item_support: 1,
        ..PrepareOptions::default()
    };
    let prepared = prepare(log, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    for format in [Format::Tsv, Format::Parquet] {
        let folder = place.path().join(format.extension());
        write_parts(&prepared, &folder, format, &mut |_, _| ()).unwrap();
        let path = PreparedFolder::open(&folder).unwrap().part(PartName::Train).unwrap();
        let options = crate::data::ReadOptions::default();
        let read = EventLog::read(&path, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        let events = |log: &EventLog| -> Vec<_> {
            let id = |event: &crate::data::Event| {
                let (session, item) = (log.session_ids().get(event.session), log.item_ids().get(event.item));
                (session.to_owned(), item.to_owned(), event.time)
            };
            log.events().iter().map(id).collect()
        };
        let written: Vec<_> = prepared
            .train()
            .sessions()
            .flatten()
            .map(|e| {
                (prepared.train().session_id(e).to_owned(), prepared.train().item_id(e).to_owned(), e.time)
            })
            .collect();
        assert_eq!(events(&read), written, "{format:?}");
        assert_eq!(written.len(), 4 * texts.len());
    }
}

#[test]
fn a_folder_of_an_older_version_has_no_hashes_and_is_read() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    write(["a", "b"], &target).unwrap();
    let path = target.join(STATISTICS_FILE);
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(value.as_object_mut().unwrap().remove("files").is_some());
    fs::write(&path, value.to_string()).unwrap();
    assert!(text(&target).unwrap().contains('a'));
    write(["c", "d"], &target).unwrap();
    assert!(text(&target).unwrap().contains('c'));
}

#[test]
fn foreign_folders_and_files_are_not_replaced() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    assert!(check_replaceable(&path("new")).is_ok());
    fs::create_dir(path("empty")).unwrap();
    assert!(check_replaceable(&path("empty")).is_ok());
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("foreign")).unwrap();
    fs::write(path("foreign").join("train.tsv"), "").unwrap();
    fs::create_dir(path("thesis")).unwrap();
    fs::write(path("thesis").join("thesis.tex"), "").unwrap();
    for name in ["file", "foreign", "thesis"] {
        let error = check_replaceable(&path(name)).unwrap_err();
        assert!(matches!(error, Error::WillNotReplace { .. }), "{name}: {error}");
    }
}

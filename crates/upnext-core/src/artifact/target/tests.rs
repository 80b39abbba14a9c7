//! A save that fails, is killed or meets another leaves a whole model, and nothing else.

use super::super::tests::marked;
use super::super::{Artifact, Manifest, WEIGHTS_FILE};
use super::of as target;
use crate::Error;
use crate::replace::{Step, Steps};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STEPS: [Step; 6] = [Step::Made, Step::Filled, Step::Synced, Step::Aside, Step::Placed, Step::Removed];

/// Asks [`saves_when_asked`], in a process of its own, for a save that ends at a step, or for saves without end.
const TASK: &str = "UPNEXT_TEST_SAVE";

/// The mark of the model at `dir`, which must be whole.
fn mark(dir: &Path) -> u32 {
    let artifact = Artifact::load(dir).unwrap();
    let mark = artifact.weights["output.weight"].values[0] as u32;
    let same = |x: f32| x == mark as f32;
    assert!(artifact.weights["output.weight"].values.iter().all(|&x| same(x)));
    assert_eq!(artifact.items.support(0), u64::from(mark));
    let training = artifact.training.unwrap();
    assert!(training.tensors["state"].values.iter().all(|&x| same(x)));
    assert_eq!(training.counts["steps"][0], u64::from(mark));
    mark
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn spawn(dir: &Path, exchange: bool, step: &str) -> Child {
    let task = format!("{exchange}\n{step}\n{}", dir.display());
    Command::new(std::env::current_exe().unwrap())
        .args(["artifact::target::tests::saves_when_asked", "--exact"])
        .env(TASK, task)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The other process of the tests below; of its own it only checks that nothing was asked.
#[test]
fn saves_when_asked() {
    let Ok(task) = std::env::var(TASK) else { return };
    let mut lines = task.lines();
    let mut next = || lines.next().unwrap();
    let (exchange, step, dir) = (next() == "true", next(), PathBuf::from(next()));
    let mut at = |reached: Step| {
        if format!("{reached:?}") == step {
            std::process::abort();
        }
        Ok(())
    };
    for round in 2.. {
        marked(round, 20_000).save_by(&dir, &mut Steps { exchange, at: Some(&mut at) }).unwrap();
    }
}

#[test]
fn save_that_dies_at_any_step_leaves_the_old_or_the_new_model() {
    for exchange in [true, false] {
        for step in STEPS {
            if exchange && step == Step::Aside {
                continue;
            }
            let place = tempfile::tempdir().unwrap();
            let dir = place.path().join("model");
            marked(1, 5).save(&dir).unwrap();
            let status = spawn(&dir, exchange, &format!("{step:?}")).wait().unwrap();
            assert!(!status.success());
            let expected = if matches!(step, Step::Placed | Step::Removed) { 2 } else { 1 };
            assert_eq!(mark(&dir), expected, "{step:?}, exchange {exchange}");
            Manifest::load(&dir).unwrap();
            Artifact::check_target(&dir).unwrap();
            assert_eq!(mark(&dir), expected, "asking changes nothing");
            let mut at = |_| Err(io::Error::other("injected"));
            marked(8, 5).save_by(&dir, &mut Steps { exchange, at: Some(&mut at) }).unwrap_err();
            assert_eq!(mark(&dir), expected, "a next save that fails loses nothing");
            marked(9, 5).save(&dir).unwrap();
            assert_eq!(mark(&dir), 9);
            assert_eq!(names(place.path()), ["model"], "left-overs of {step:?} are gone");
        }
    }
}

#[test]
fn first_save_that_dies_leaves_nothing_that_looks_like_a_model() {
    for step in [Step::Made, Step::Filled, Step::Synced] {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("model");
        spawn(&dir, true, &format!("{step:?}")).wait().unwrap();
        assert!(matches!(Artifact::load(&dir), Err(Error::NotAModel { .. })));
        marked(9, 5).save(&dir).unwrap();
        assert_eq!(names(place.path()), ["model"]);
    }
}

#[test]
fn save_that_fails_at_any_step_leaves_the_old_or_the_new_model_and_no_left_over() {
    for exchange in [true, false] {
        for failing in STEPS {
            let place = tempfile::tempdir().unwrap();
            let dir = place.path().join("model");
            marked(1, 5).save(&dir).unwrap();
            let mut at = |step| if step == failing { Err(io::Error::other("injected")) } else { Ok(()) };
            let result = marked(2, 5).save_by(&dir, &mut Steps { exchange, at: Some(&mut at) });
            let reached = !(exchange && failing == Step::Aside);
            assert_eq!(result.is_err(), reached, "{failing:?}");
            let expected = if reached && !matches!(failing, Step::Placed | Step::Removed) { 1 } else { 2 };
            assert_eq!(mark(&dir), expected, "{failing:?}, exchange {exchange}");
            assert_eq!(names(place.path()), ["model"], "{failing:?}");
        }
    }
}

#[test]
fn readers_see_whole_models_while_another_process_saves_and_is_killed() {
    for exchange in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("model");
        marked(1, 20_000).save(&dir).unwrap();
        let mut versions = std::collections::BTreeSet::new();
        for round in 0..8 {
            let mut child = spawn(&dir, exchange, "never");
            let end = Instant::now() + Duration::from_millis(60 + 23 * round);
            while Instant::now() < end {
                versions.insert(mark(&dir));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            mark(&dir);
        }
        assert!(versions.len() > 3, "the other process saved only {versions:?}");
        marked(9, 5).save(&dir).unwrap();
        assert_eq!(names(place.path()), ["model"]);
    }
}

#[test]
fn writers_of_the_same_model_do_not_disturb_each_other() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    marked(1, 500).save(&dir).unwrap();
    std::thread::scope(|scope| {
        for writer in 2..5 {
            let dir = &dir;
            scope.spawn(move || (0..25).for_each(|_| marked(writer, 500).save(dir).unwrap()));
        }
        (0..50).for_each(|_| _ = mark(&dir));
    });
    assert!((2..5).contains(&mark(&dir)));
    assert_eq!(names(place.path()), ["model"]);
}

#[test]
fn left_overs_of_a_living_process_stay() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    let living = target(&dir).unwrap().make_temporary().unwrap();
    let dead = place.path().join(".model.tmp-1-1");
    let foreign = [".model.tmp-notes", ".model.tmp-1-1-1", ".other.tmp-1-1", "model.tmp-1-1"];
    for name in foreign.map(|name| place.path().join(name)).iter().chain([&dead]) {
        fs::create_dir(name).unwrap();
    }
    marked(1, 5).save(&dir).unwrap();
    assert!(living.path.is_dir() && !dead.exists());
    assert_eq!(names(place.path()).len(), 2 + foreign.len());
}

#[test]
fn only_models_and_empty_folders_are_replaced() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("thesis")).unwrap();
    fs::write(path("thesis").join("thesis.tex"), "").unwrap();
    fs::create_dir(path("other")).unwrap();
    fs::write(path("other").join("manifest.json"), "{\"format\": \"web-extension\"}").unwrap();
    marked(1, 5).save(path("noted")).unwrap();
    fs::write(path("noted").join("notes.txt"), "").unwrap();
    marked(1, 5).save(path("damaged")).unwrap();
    fs::write(path("damaged").join("manifest.json"), "{").unwrap();
    std::os::unix::fs::symlink("empty", path("link")).unwrap();
    let before = names(place.path());
    for (name, expected) in [
        ("file", "a file of this name"),
        ("thesis", "neither empty nor a model"),
        ("other", "another program's"),
        ("noted", "`notes.txt`"),
        ("damaged", "damaged"),
        ("link", "symbolic link"),
        ("link/", "symbolic link"),
        ("..", "names no folder"),
    ] {
        for result in [Artifact::check_target(path(name)), marked(2, 5).save(path(name))] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::WillNotReplace { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    assert_eq!(names(place.path()), before);
    assert!(path("noted").join("notes.txt").exists());
    for name in ["empty", "new", "new/"] {
        Artifact::check_target(path(name)).unwrap();
        marked(3, 5).save(path(name)).unwrap();
        assert_eq!(mark(&path(name)), 3);
    }
}

#[test]
fn parent_that_is_missing_or_a_file_is_named_before_the_work() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    for parent in ["missing", "file"] {
        let parent = place.path().join(parent);
        let message = Artifact::check_target(parent.join("model")).unwrap_err().to_string();
        assert!(message.contains(parent.to_str().unwrap()), "{message}");
    }
    assert_eq!(names(place.path()), ["file"]);
}

/// A file system in memory that is unmounted when this is dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None`, with a printed reason, where this user or system cannot mount one.
    fn new() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mounted = rustix::process::geteuid().is_root()
            && run(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"], place.path());
        if !mounted {
            eprintln!("skipped: a small file system can be mounted by root only");
        }
        mounted.then_some(Self(place))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(&["umount", "-l"], self.0.path());
    }
}

fn run(command: &[&str], path: &Path) -> bool {
    let status = Command::new(command[0]).args(&command[1..]).arg(path).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn full_disk_leaves_the_old_model_and_names_the_file() {
    let Some(disk) = Mounted::new() else { return };
    let dir = disk.0.path().join("model");
    marked(1, 5).save(&dir).unwrap();
    // Fits but for the training state; does not fit at all.
    for rows in [110_000, 400_000] {
        let mut artifact = marked(2, rows);
        let table = artifact.weights["output.weight"].clone();
        artifact.training.as_mut().unwrap().tensors.insert("state".into(), table);
        let error = artifact.save(&dir).unwrap_err();
        let full =
            |e: &Error| matches!(e, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull);
        assert!(full(&error), "{error}");
        assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
        assert_eq!(mark(&dir), 1);
        assert_eq!(names(disk.0.path()), ["model"]);
    }
    assert!(dir.join(WEIGHTS_FILE).exists());
}

#[test]
fn read_only_place_is_named_before_the_work() {
    let refused = |dir: &Path| {
        for result in [Artifact::check_target(dir), marked(2, 5).save(dir)] {
            let message = result.unwrap_err().to_string();
            assert!(message.contains("cannot write in"), "{message}");
        }
        assert_eq!(mark(dir), 1);
    };
    if !rustix::process::geteuid().is_root() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("model");
        marked(1, 5).save(&dir).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o555)).unwrap();
        refused(&dir);
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        return;
    }
    let Some(disk) = Mounted::new() else { return };
    let dir = disk.0.path().join("model");
    marked(1, 5).save(&dir).unwrap();
    assert!(run(&["mount", "-o", "remount,ro"], disk.0.path()));
    refused(&dir);
}

#[test]
fn place_where_another_file_system_begins_is_refused() {
    let Some(disk) = Mounted::new() else { return };
    let message = Artifact::check_target(disk.0.path()).unwrap_err().to_string();
    assert!(message.contains("name a folder inside"), "{message}");
}

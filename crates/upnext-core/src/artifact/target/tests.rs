//! A save that fails, is killed or runs beside another one leaves a complete model, and nothing else.

use super::super::tests::{add_members, marked};
use super::super::write::{Step, StepHook, remove, save};
use super::super::{Artifact, Manifest};
use crate::Error;
use crate::replace::Lock;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Asks [`saves_when_asked`], in a process of its own, for a save that is killed at a step, or for saves without end.
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

/// The model that tests save in place of another: with members, of which fewer come after more.
fn model(mark: u32, rows: usize) -> Artifact {
    let mut artifact = marked(mark, rows);
    add_members(&mut artifact, &["a", "b-2", "c"][..(mark as usize + 1) % 4]);
    artifact
}

fn save_by(dir: &Path, mark: u32, at: &mut dyn FnMut(Step) -> io::Result<()>) -> crate::Result<()> {
    save(&model(mark, 5), dir, &mut StepHook { at: Some(at) })
}

/// The steps of a save of model 2, in place of model 1 where `over_a_model`.
fn steps_of_a_save(over_a_model: bool) -> Vec<Step> {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    if over_a_model {
        model(1, 5).save(&dir).unwrap();
    }
    let mut steps = Vec::new();
    save_by(&dir, 2, &mut |step| {
        steps.push(step);
        Ok(())
    })
    .unwrap();
    steps
}

fn spawn(dir: &Path, killed_at: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["artifact::target::tests::saves_when_asked", "--exact"])
        .env(TASK, format!("{killed_at}\n{}", dir.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The number of a step that no save reaches.
const NEVER: usize = usize::MAX;

/// The other process of the tests below; of its own it only checks that nothing was asked.
#[test]
fn saves_when_asked() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (killed_at, dir) = task.split_once('\n').unwrap();
    let (killed_at, dir) = (killed_at.parse::<usize>().unwrap(), PathBuf::from(dir));
    let mut reached = 0;
    for round in 2.. {
        let rows = if killed_at == NEVER { 20_000 } else { 5 };
        let mut at = |_| {
            if reached == killed_at {
                std::process::abort();
            }
            reached += 1;
            Ok(())
        };
        save(&model(round, rows), &dir, &mut StepHook { at: Some(&mut at) }).unwrap();
    }
}

#[test]
fn save_that_is_killed_at_any_step_leaves_the_old_or_the_new_model() {
    let steps = steps_of_a_save(true);
    for step in [Step::Locked, Step::Begun, Step::Written, Step::Placed, Step::Synced, Step::Removed] {
        assert!(steps.contains(&step), "{step:?}");
    }
    let replaced = steps.iter().position(|&step| step == Step::Replaced).unwrap();
    for (killed_at, step) in steps.iter().enumerate() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("model");
        model(1, 5).save(&dir).unwrap();
        assert!(!spawn(&dir, killed_at).wait().unwrap().success());
        let expected = if killed_at >= replaced { 2 } else { 1 };
        let step = format!("{step:?}, step {killed_at}");
        assert_eq!(mark(&dir), expected, "{step}");
        assert!(Artifact::exists(&dir));
        Manifest::load(&dir).unwrap();
        Artifact::check_target(&dir).unwrap();
        assert_eq!(mark(&dir), expected, "{step}: asking changes nothing");
        save_by(&dir, 8, &mut |_| Err(io::Error::other("injected"))).unwrap_err();
        assert_eq!(mark(&dir), expected, "{step}: a next save that fails loses nothing");
        marked(9, 5).save(&dir).unwrap();
        assert_eq!(mark(&dir), 9);
        assert_eq!(names(&dir).len(), 4, "{step}: {:?}", names(&dir));
        assert_eq!(names(place.path()), ["model"], "{step}");
    }
}

#[test]
fn first_save_that_is_killed_leaves_nothing_that_looks_like_a_model() {
    let steps = steps_of_a_save(false);
    let replaced = steps.iter().position(|&step| step == Step::Replaced).unwrap();
    for killed_at in 0..replaced {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("model");
        assert!(!spawn(&dir, killed_at).wait().unwrap().success());
        assert!(matches!(Artifact::load(&dir), Err(Error::NotAModel { .. })));
        assert!(!Artifact::exists(&dir));
        Artifact::check_target(&dir).unwrap();
        if killed_at % 2 == 0 {
            Artifact::remove(&dir).unwrap();
            assert!(names(place.path()).is_empty());
        }
        marked(9, 5).save(&dir).unwrap();
        assert_eq!(names(&dir).len(), 4, "step {killed_at}: {:?}", names(&dir));
    }
}

#[test]
fn save_that_fails_at_any_step_leaves_the_old_or_the_new_model_and_no_left_over() {
    for over_a_model in [true, false] {
        let steps = steps_of_a_save(over_a_model);
        let replaced = steps.iter().position(|&step| step == Step::Replaced).unwrap();
        for (failing, step) in steps.iter().enumerate() {
            let place = tempfile::tempdir().unwrap();
            let dir = place.path().join("model");
            if over_a_model {
                model(1, 5).save(&dir).unwrap();
            }
            let before = over_a_model.then(|| names(&dir));
            let mut reached = 0..;
            let result = save_by(&dir, 2, &mut |_| match reached.next() {
                Some(step) if step == failing => Err(io::Error::other("injected")),
                _ => Ok(()),
            });
            let step = format!("{step:?}, step {failing}");
            if failing < replaced {
                assert!(result.is_err(), "{step}");
                assert_eq!(before.is_some(), dir.exists(), "{step}");
                if let Some(before) = before {
                    assert_eq!((mark(&dir), names(&dir)), (1, before), "{step}");
                }
            } else {
                // A file that could not be removed does not make the save fail.
                assert_eq!(result.is_err(), failing == replaced, "{step}");
                assert_eq!(mark(&dir), 2, "{step}");
            }
        }
    }
}

#[test]
fn removal_that_stops_leaves_no_half_of_a_model() {
    for failing in 0..12 {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("model");
        model(2, 5).save(&dir).unwrap();
        let mut reached = 0..;
        let result = remove(
            &dir,
            &mut StepHook {
                at: Some(&mut |_| match reached.next() {
                    Some(step) if step >= failing => Err(io::Error::other("injected")),
                    _ => Ok(()),
                }),
            },
        );
        assert!(!Artifact::exists(&dir), "{result:?}");
        Artifact::remove(&dir).unwrap();
        assert!(names(place.path()).is_empty());
    }
}

#[test]
fn readers_see_whole_models_while_another_process_saves_and_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    marked(1, 20_000).save(&dir).unwrap();
    let mut versions = std::collections::BTreeSet::new();
    for round in 0..8 {
        let mut child = spawn(&dir, NEVER);
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
    assert_eq!((names(place.path()), names(&dir).len()), (vec!["model".to_owned()], 4));
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
fn files_of_a_living_process_stay() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    marked(1, 5).save(&dir).unwrap();
    let other = Lock::of(&dir).unwrap();
    let file = dir.join("weights-0123456789abcdef.safetensors");
    fs::write(&file, "").unwrap();
    std::thread::scope(|scope| {
        let saving = scope.spawn(|| marked(2, 5).save(&dir).unwrap());
        // Whenever the other save begins, it waits.
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(1));
            assert!(file.exists() && !saving.is_finished() && mark(&dir) == 1);
        }
        drop(other);
    });
    assert!(!file.exists() && mark(&dir) == 2);
}

#[test]
fn items_that_have_not_changed_are_not_written_again() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    marked(1, 5).save(&dir).unwrap();
    let items = || {
        let file = dir.join(&Manifest::load(&dir).unwrap().file("items").unwrap().file);
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        (file, written)
    };
    let first = items();
    marked(1, 9).save(&dir).unwrap();
    assert_eq!(items(), first);
    // One that was damaged is.
    fs::write(&first.0, vec![0; fs::metadata(&first.0).unwrap().len() as usize]).unwrap();
    marked(1, 5).save(&dir).unwrap();
    assert_eq!(mark(&dir), 1);
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
    // Names of a save, but no manifest beside them that says so.
    fs::create_dir(path("weights")).unwrap();
    fs::write(path("weights").join("weights.safetensors"), "").unwrap();
    marked(1, 5).save(path("photos")).unwrap();
    fs::create_dir_all(path("photos").join("members/a/photos")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("empty", path("link")).unwrap();
    let before = names(place.path());
    for (name, expected) in [
        ("file", "a file of this name"),
        ("thesis", "neither empty nor a model"),
        ("other", "another program's"),
        ("noted", "`notes.txt`"),
        ("damaged", "damaged"),
        ("weights", "neither empty nor a model"),
        ("photos", "`members/a/photos`"),
        #[cfg(unix)]
        ("link", "symbolic link"),
        #[cfg(unix)]
        ("link/", "symbolic link"),
        ("..", "names no folder"),
    ] {
        for result in [Artifact::check_target(path(name)), marked(2, 5).save(path(name))] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::WillNotReplace { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(Artifact::remove(path(name)).is_err());
    }
    assert_eq!(names(place.path()), before);
    assert!(path("noted").join("notes.txt").exists());
    // Files that file systems and desktops put into folders are ignored.
    fs::write(path("empty").join(".DS_Store"), "").unwrap();
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
        assert_eq!((names(disk.0.path()).len(), names(&dir).len()), (1, 4));
    }
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
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
        refused(&dir);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        return;
    }
    let Some(disk) = Mounted::new() else { return };
    let dir = disk.0.path().join("model");
    marked(1, 5).save(&dir).unwrap();
    assert!(run(&["mount", "-o", "remount,ro"], disk.0.path()));
    refused(&dir);
}

#[test]
fn a_model_may_be_where_another_file_system_begins() {
    let Some(disk) = Mounted::new() else { return };
    for mark_of in [1, 2] {
        Artifact::check_target(disk.0.path()).unwrap();
        marked(mark_of, 5).save(disk.0.path()).unwrap();
        assert_eq!(mark(disk.0.path()), mark_of);
    }
}

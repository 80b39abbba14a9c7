//! Models inside models.

use super::super::*;
use super::{add_members, assert_same, file_of, marked};
use std::fs;
use std::path::PathBuf;

/// A model with two members, the first of which has two of its own.
fn nested() -> Artifact {
    let mut artifact = marked(1, 4);
    add_members(&mut artifact, &["gru", "s-knn-2"]);
    add_members(&mut artifact.members[0].artifact, &["gru", "old"]);
    artifact.members[0].artifact.manifest.experiment.training.seed = 5;
    artifact.members[0].artifact.members[1].artifact.training = None;
    artifact
}

fn saved() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("model");
    nested().save(&dir).unwrap();
    (place, dir)
}

#[test]
fn two_levels_come_back_and_the_items_are_stored_once() {
    let (_place, dir) = saved();
    let back = Artifact::load(&dir).unwrap();
    assert_same(&nested(), &back);
    assert_eq!(back.manifest, Artifact::load_without_training(&dir).unwrap().manifest);
    let lean = Artifact::load_without_training(&dir).unwrap();
    assert!(lean.members[0].artifact.members[0].artifact.training.is_none());
    let manifest = Manifest::load(&dir).unwrap();
    let files = manifest.paths();
    let items = files.iter().filter(|path| path.contains("items-")).count();
    assert_eq!((files.len(), items), (10, 1), "{files:?}");
    assert!(files.iter().any(|path| path.starts_with("members/gru/members/old/weights-")));
    assert!(files.iter().all(|path| dir.join(path).is_file()));

    // What was loaded is saved as the same bytes.
    let text = fs::read(dir.join(MANIFEST_FILE)).unwrap();
    back.save(&dir).unwrap();
    assert_eq!(fs::read(dir.join(MANIFEST_FILE)).unwrap(), text);
}

#[test]
fn a_table_of_items_is_kept_once_and_makes_another_model() {
    let (_place, dir) = saved();
    let version = Manifest::load(&dir).unwrap().version();
    let csv = dir.with_file_name("items.csv");
    fs::write(&csv, "item_id,title,price\n0,Cup,3.5\nnew,Pot,\n").unwrap();
    let table = Arc::new(ItemTable::read(&csv, &Default::default()).unwrap());
    Artifact { item_table: Some(Arc::clone(&table)), ..nested() }.save(&dir).unwrap();
    let back = Artifact::load(&dir).unwrap();
    assert_eq!(back.item_table.as_deref(), Some(&*table));
    assert!(back.members[0].artifact.item_table.is_none());
    assert_ne!(back.manifest.version(), version);
    let attributes = dir.join(&back.manifest.file(ATTRIBUTES).unwrap().file);
    let written = fs::metadata(&attributes).unwrap().modified().unwrap();
    back.save(&dir).unwrap();
    assert_eq!(fs::metadata(&attributes).unwrap().modified().unwrap(), written);

    let mut wrong = nested();
    wrong.members[0].artifact.item_table = Some(table);
    let refused = wrong.save(&dir).unwrap_err().to_string();
    assert!(refused.contains("belongs to the model that holds the members"), "{refused}");
    fs::write(&attributes, "").unwrap();
    let damaged = Artifact::load(&dir).unwrap_err().to_string();
    assert!(damaged.contains("attributes-"), "{damaged}");
    // It goes with the next save of a model without one.
    nested().save(&dir).unwrap();
    assert!(!attributes.exists() && Artifact::load(&dir).unwrap().item_table.is_none());
}

#[test]
fn a_member_is_read_alone_by_its_folder() {
    let (_place, dir) = saved();
    let csv = dir.with_file_name("items.csv");
    fs::write(&csv, "item_id,title\n0,Cup\n").unwrap();
    let table = Arc::new(ItemTable::read(&csv, &Default::default()).unwrap());
    Artifact { item_table: Some(Arc::clone(&table)), ..nested() }.save(&dir).unwrap();
    let expected = |member: &Artifact| Artifact { item_table: Some(Arc::clone(&table)), ..member.clone() };
    let (outer, nested) = (dir.join("members/gru"), nested());
    assert_same(&Artifact::load(&outer).unwrap(), &expected(&nested.members[0].artifact));
    let inner = Artifact::load(outer.join("members/old/")).unwrap();
    assert_same(&inner, &expected(&nested.members[0].artifact.members[1].artifact));
    assert_eq!(inner.item_table.as_deref(), Some(&*table));
    assert_eq!(Manifest::load(&outer).unwrap().experiment.training.seed, 5);
    // Saved elsewhere, it is a model like any other.
    let alone = dir.with_file_name("alone");
    Artifact::load(&outer).unwrap().save(&alone).unwrap();
    assert_same(&Artifact::load(&alone).unwrap(), &Artifact::load(&outer).unwrap());

    let refused = |path: &str| Artifact::load(dir.join(path)).unwrap_err().to_string();
    assert!(
        refused("members/new").contains("has no such member: it has gru, s-knn-2"),
        "{}",
        refused("members/new")
    );
    let leaf = refused("members/s-knn-2/members/gru");
    assert!(leaf.contains("is not composed of others"), "{leaf}");
    assert!(refused("member/gru").contains("there is no such folder"));
    assert!(!Artifact::exists(&outer));
}

#[test]
fn a_member_makes_another_model() {
    let (_place, dir) = saved();
    let version = Manifest::load(&dir).unwrap().version();
    let mut other = nested();
    let inner = &mut other.members[0].artifact.members[1].artifact;
    inner.weights.get_mut("output.weight").unwrap().values[0] += 1.0;
    other.save(&dir).unwrap();
    assert_ne!(Manifest::load(&dir).unwrap().version(), version);
}

#[test]
fn damage_in_a_members_file_is_named() {
    let (_place, dir) = saved();
    let manifest = Manifest::load(&dir).unwrap();
    for path in manifest.paths().into_iter().filter(|path| path.starts_with("members/")) {
        let file = dir.join(path);
        let bytes = fs::read(&file).unwrap();
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&file, changed).unwrap();
        let message = Artifact::load(&dir).unwrap_err().to_string();
        assert!(message.contains(path) && message.contains("not the file that was saved"), "{message}");
        fs::remove_file(&file).unwrap();
        let message = Artifact::load(&dir).unwrap_err().to_string();
        assert!(message.contains(path) && message.contains("missing"), "{message}");
        fs::write(&file, bytes).unwrap();
    }
    Artifact::load(&dir).unwrap();
}

#[test]
fn fewer_members_leave_nothing_of_the_others() {
    let (_place, dir) = saved();
    let mut three = marked(1, 4);
    add_members(&mut three, &["a", "b", "gru"]);
    three.save(&dir).unwrap();
    assert_same(&three, &Artifact::load(&dir).unwrap());
    let mut one = marked(1, 4);
    add_members(&mut one, &["b"]);
    one.save(&dir).unwrap();
    assert_same(&one, &Artifact::load(&dir).unwrap());
    let names = |path: &str| {
        let entries = fs::read_dir(dir.join(path)).unwrap().map(|e| e.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((names("members"), names("members/b").len()), (vec!["b".to_owned()], 2));
    marked(1, 4).save(&dir).unwrap();
    assert_eq!(names("").len(), 4);
    nested().save(&dir).unwrap();
    Artifact::remove(&dir).unwrap();
    assert!(!dir.exists());
}

#[test]
fn members_that_could_not_be_read_again_are_not_saved() {
    let (_place, dir) = saved();
    let refused = |change: fn(&mut Artifact)| {
        let mut artifact = nested();
        change(&mut artifact);
        let message = artifact.save(&dir).unwrap_err().to_string();
        assert_same(&nested(), &Artifact::load(&dir).unwrap());
        message
    };
    for name in ["", "Gru", "a b", "../up", "a/b", "ü"] {
        let mut artifact = nested();
        artifact.members[1].name = name.into();
        let message = artifact.save(&dir).unwrap_err().to_string();
        assert!(message.contains("is no name"), "{message}");
    }
    assert!(refused(|a| a.members[1].name = "gru".into()).contains("two have the name `gru`"));
    let other_items = refused(|a| _ = a.members[0].artifact.members[0].artifact.items.add("a", 1));
    assert!(other_items.contains("items and supports"), "{other_items}");
    let wrong = refused(|a| {
        a.members[0].artifact.weights.get_mut("output.weight").unwrap().values.pop();
    });
    assert!(wrong.contains("`output.weight`"), "{wrong}");
}

#[test]
fn a_manifest_with_impossible_members_is_refused() {
    let (_place, dir) = saved();
    let path = dir.join(MANIFEST_FILE);
    let text = fs::read(&path).unwrap();
    let refused = |change: fn(&mut serde_json::Value)| {
        let mut manifest = serde_json::from_slice(&text).unwrap();
        change(&mut manifest);
        fs::write(&path, manifest.to_string()).unwrap();
        Artifact::load(&dir).unwrap_err().to_string()
    };
    let name = refused(|m| m["members"][1]["name"] = "../up".into());
    assert!(name.contains("no name of a member"), "{name}");
    let twice = refused(|m| m["members"][1]["name"] = "gru".into());
    assert!(twice.contains("two members `gru`"), "{twice}");
    let items = refused(|m| m["members"][0]["manifest"]["vocabulary_fingerprint"] = "0".into());
    assert!(items.contains("member `gru` is of other items"), "{items}");
    let file = refused(|m| m["members"][0]["manifest"]["files"][0]["file"] = "../../x".into());
    assert!(file.contains("no name of a file"), "{file}");
    fs::write(&path, &text).unwrap();
    assert!(file_of(&dir, "items").exists());
}

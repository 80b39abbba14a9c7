//! Every damaged file is detected, with a message that explains it.

use super::super::*;
use super::{file_of, marked, saved};
use serde_json::json;
use std::fs;

/// The message of the error that loading gives; it is one line that names a path.
fn refusal(dir: &Path) -> String {
    let message = Artifact::load(dir).unwrap_err().to_string();
    assert!(!message.contains('\n') && message.contains(dir.to_str().unwrap()), "{message}");
    message
}

fn edit(dir: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = dir.join(MANIFEST_FILE);
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(path, manifest.to_string()).unwrap();
}

/// Puts other bytes into the file of a role and lets the manifest describe them.
fn forge(dir: &Path, role: &str, bytes: &[u8]) {
    fs::write(file_of(dir, role), bytes).unwrap();
    edit(dir, |manifest| {
        let entries = manifest["files"].as_array_mut().unwrap();
        let entry = entries.iter_mut().find(|e| e["name"] == role).unwrap();
        entry["bytes"] = bytes.len().into();
        entry["blake3"] = blake3::hash(bytes).to_hex().as_str().into();
    });
}

#[test]
fn any_changed_byte_and_any_cut_of_any_file_is_noticed() {
    let (_place, dir) = saved();
    for role in [ITEMS, WEIGHTS, TRAINING] {
        let path = file_of(&dir, role);
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, &changed).unwrap();
            let message = refusal(&dir);
            assert!(message.contains(name) && message.contains("copy the whole model folder"), "{message}");
            fs::write(&path, &bytes[..at]).unwrap();
            let message = refusal(&dir);
            assert!(message.contains(name) && message.contains("truncated"), "{message}");
        }
        fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
        assert!(refusal(&dir).contains("not the file that was saved"));
        fs::remove_file(&path).unwrap();
        assert!(refusal(&dir).contains("missing"));
        fs::create_dir(&path).unwrap();
        assert!(refusal(&dir).contains("no file"));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        Artifact::load(&dir).unwrap();
    }
}

#[test]
fn damaged_training_state_does_not_keep_a_model_from_being_used() {
    let (_place, dir) = saved();
    fs::write(file_of(&dir, TRAINING), "").unwrap();
    refusal(&dir);
    Artifact::load_without_training(&dir).unwrap();
}

#[test]
fn files_of_another_model_are_refused() {
    let (place, dir) = saved();
    let other = place.path().join("other");
    let mut artifact = marked(2, 4);
    artifact.items.add("one more", 1);
    artifact.save(&other).unwrap();
    for role in [ITEMS, WEIGHTS, TRAINING] {
        let path = file_of(&dir, role);
        let own = fs::read(&path).unwrap();
        fs::copy(file_of(&other, role), &path).unwrap();
        assert!(refusal(&dir).contains(path.file_name().unwrap().to_str().unwrap()));
        fs::write(path, own).unwrap();
    }
    for (role, expected) in [(ITEMS, "`files` lack `items`"), (TRAINING, "`files` lack `training`")] {
        let text = fs::read(dir.join(MANIFEST_FILE)).unwrap();
        edit(&dir, |manifest| manifest["files"].as_array_mut().unwrap().retain(|e| e["name"] != role));
        assert!(refusal(&dir).contains(expected));
        fs::write(dir.join(MANIFEST_FILE), text).unwrap();
    }
}

#[test]
fn items_that_are_not_those_of_the_manifest_are_refused() {
    let reason = |change: fn(&mut ItemVocabulary)| {
        let (_place, dir) = saved();
        let mut items = marked(1, 4).items;
        change(&mut items);
        let mut bytes = Vec::new();
        items::write(&items, &mut bytes).unwrap();
        forge(&dir, ITEMS, &bytes);
        refusal(&dir)
    };
    assert!(reason(|items| _ = items.add("more", 1)).contains("9 items, and the manifest says 8"));
    let renamed = reason(|items| {
        let mut other = ItemVocabulary::new();
        (0..items.len()).for_each(|i| _ = other.add(&i.to_string(), 1));
        *items = other;
    });
    assert!(renamed.contains("fingerprint") && renamed.contains("another model's"), "{renamed}");
}

/// Parquet with a text (or binary) and an integer column.
fn parquet(ids: arrow_array::ArrayRef, supports: Vec<Option<i64>>) -> Vec<u8> {
    let supports: arrow_array::ArrayRef = std::sync::Arc::new(arrow_array::Int64Array::from(supports));
    let batch = arrow_array::RecordBatch::try_from_iter([("item_id", ids), ("support", supports)]).unwrap();
    let mut file = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

#[test]
fn ids_that_are_null_twice_there_or_no_text_are_named_by_row() {
    use arrow_array::{BinaryArray, StringArray};
    use std::sync::Arc;
    let (_place, dir) = saved();
    let text = |ids: Vec<Option<&str>>| Arc::new(StringArray::from(ids));
    for (file, expected) in [
        (parquet(text(vec![Some("a"), None]), vec![Some(1), Some(1)]), "row 1 (from 0) has no item_id"),
        (
            parquet(text(vec![Some("a"), Some("a")]), vec![Some(1), Some(1)]),
            "row 1 (from 0) has the item_id of a row before",
        ),
        (parquet(text(vec![Some("a")]), vec![None]), "row 0 (from 0) has no support"),
        (parquet(text(vec![Some("a")]), vec![Some(-1)]), "row 0 (from 0) has a negative support"),
        (
            parquet(Arc::new(BinaryArray::from(vec![&b"\xff"[..]])), vec![Some(1)]),
            "`item_id` is not of type Utf8",
        ),
        (b"PAR1 no parquet PAR1".to_vec(), "Parquet data is damaged"),
    ] {
        forge(&dir, ITEMS, &file);
        let message = refusal(&dir);
        assert!(message.contains(expected) && message.contains(ITEMS), "{message}");
    }
    // The same bytes under a schema that calls them text.
    let mut items = ItemVocabulary::new();
    items.add("needle", 1);
    let schema_says_text = {
        let ids = Arc::new(StringArray::from(vec!["needle"]));
        let file = parquet(ids, vec![Some(1)]);
        let mut changed = file.clone();
        for at in 0..file.len() - 6 {
            if &file[at..at + 6] == b"needle" {
                changed[at] = 0xff;
            }
        }
        changed
    };
    forge(&dir, ITEMS, &schema_says_text);
    let message = refusal(&dir);
    assert!(message.to_lowercase().contains("utf"), "{message}");
}

#[test]
fn tensors_of_other_types_and_impossible_sizes_are_refused() {
    let file = |header: &str, data: &[u8]| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    };
    // Eight arrays of 2^61 - 1 bytes: the sum of their sizes is near the largest number.
    let big = (1_u64 << 61) - 1;
    let huge: Vec<String> = (0..8)
        .map(|i| {
            let (start, end) = (i * big, (i + 1) * big);
            format!(r#""t{i}":{{"dtype":"U8","shape":[{big}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    for (bytes, expected) in [
        (
            file(r#"{"w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#, &[0; 4]),
            "`w` is of type F16, not F32",
        ),
        (file(r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}"#, &[0; 4]), "header is damaged"),
        (file(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, &[0; 8]), "header is damaged"),
        (
            file(r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}"#, &[0; 4]),
            "header is damaged",
        ),
        (
            file(r#"{"w":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}"#, &[0; 4]),
            "describes 4000000000 bytes, and 4 follow",
        ),
        (file(&format!("{{{}}}", huge.join(",")), &[0; 4]), "describes"),
        (file("{}", &[0; 4]), "describes 0 bytes, and 4 follow"),
        (file("[]", &[]), "header is damaged"),
        (vec![0xff; 30], "no safetensors file"),
        (vec![1, 2], "too early"),
        (b"\x80\x02pickle of a foreign program".to_vec(), "no safetensors file"),
    ] {
        let (_place, dir) = saved();
        forge(&dir, WEIGHTS, &bytes);
        let message = refusal(&dir);
        assert!(message.contains(expected) && message.contains(WEIGHTS), "{expected}: {message}");
    }
}

#[test]
fn manifests_that_are_none_say_what_to_do() {
    let (place, dir) = saved();
    assert!(refusal(&place.path().join("absent")).contains("no such folder"));
    assert!(refusal(place.path()).contains("has no manifest.json"));
    let file = place.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(refusal(&file).contains("a model is a folder"));

    let path = dir.join(MANIFEST_FILE);
    let text = fs::read_to_string(&path).unwrap();
    for cut in [0, 1, 40, text.len() / 2, text.len() - 3] {
        fs::write(&path, &text[..cut]).unwrap();
        let line = text[..cut].lines().count().max(1);
        let message = refusal(&dir);
        assert!(
            message.contains(&format!("manifest.json:{line}:")) && message.contains("damaged"),
            "{message}"
        );
    }
    fs::write(&path, text.replace("\"items\": 8", "\"items\": \"eight\"")).unwrap();
    let line = 1 + text[..text.find("\"items\": 8").unwrap()].matches('\n').count();
    assert!(refusal(&dir).contains(&format!("manifest.json:{line}:")));
    for (other, expected) in [
        (r#"{"format": "parquet"}"#, "`format` is not `upnext-model`"),
        ("{}", "is this a model folder?"),
        ("[1]", "manifest.json:1:"),
        ("\u{feff}{}", "manifest.json:1:"),
        (r#"{"format": "upnext-model", "format_version": 0}"#, "format_version"),
    ] {
        fs::write(&path, other).unwrap();
        let message = refusal(&dir);
        assert!(message.contains(expected), "{message}");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refusal(&dir).contains("no file"));
}

#[test]
fn newer_formats_name_the_version_that_is_needed_and_newer_fields_are_ignored() {
    let (_place, dir) = saved();
    edit(&dir, |manifest| {
        manifest["of_tomorrow"] = json!([1]);
        manifest["training"]["of_tomorrow"] = json!(1);
        manifest["training"]["epochs"][0]["of_tomorrow"] = json!(1);
        manifest["files"][0]["of_tomorrow"] = json!(1);
        manifest["upnext_version"] = json!("0.9.0");
    });
    Artifact::load(&dir).unwrap();
    edit(&dir, |manifest| manifest["experiment"]["training"]["of_tomorrow"] = json!(1));
    let message = refusal(&dir);
    assert!(message.contains("of_tomorrow") && message.contains("written by upnext 0.9.0"), "{message}");
    edit(&dir, |manifest| manifest["format_version"] = json!(3));
    let message = refusal(&dir);
    assert!(message.contains("use upnext 0.9.0 or newer") && message.contains("format 3"), "{message}");
    assert!(matches!(Manifest::load(&dir), Err(Error::NewerFormat { found: 3, known: 2, .. })));
}

#[test]
fn names_in_a_manifest_lead_nowhere_else() {
    let (place, dir) = saved();
    fs::write(place.path().join("secret"), "x").unwrap();
    for name in
        ["../secret", "/etc/passwd", "..", "", "a/../../secret", "x/", "a//b", "./a", "C:x", "..\\secret"]
    {
        edit(&dir, |manifest| manifest["files"][0]["file"] = json!(name));
        assert!(refusal(&dir).contains("no name of a file"), "{name}");
    }
}

#[test]
fn thousands_of_damaged_files_neither_panic_nor_misread() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let special: [&[u8]; 10] = [
        b"\0",
        b"\"",
        b"{",
        b"}",
        b"\xff",
        b"-1",
        b"18446744073709551615",
        b"1e999",
        b"null",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    ];
    for seed in fuzz::seeds(&marked(1, 4)) {
        fuzz::read_artifact(&seed);
        for _ in 0..10_000 {
            let mut bytes = seed.clone();
            for _ in 0..=random(4) {
                let at = 1 + random(bytes.len() - 1);
                match random(5) {
                    0 => bytes[at] ^= 1 << random(8),
                    1 if random(4) == 0 => bytes.truncate(at.max(2)),
                    2 => _ = bytes.splice(at..at, special[random(special.len())].iter().copied()),
                    3 => _ = bytes.remove(at),
                    _ => {
                        let end = (at + random(20)).min(bytes.len());
                        let copy = bytes[at..end].to_vec();
                        bytes.splice(at..at, copy);
                    }
                }
                if bytes.len() < 3 {
                    break;
                }
            }
            fuzz::read_artifact(&bytes);
        }
    }
}

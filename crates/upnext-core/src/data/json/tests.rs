//! JSON files of every form, encoding and compression read back the same; damaged ones are errors.

use super::JsonFile;
use crate::data::source::tests::{utf16, zip_of};
use crate::data::source::{self, Source};
use crate::error::{Error, Result};
use proptest::prelude::*;
use serde_json::json;
use std::io::Write;

/// A session, an item and a time.
type Row = (String, String, String);

fn open(bytes: &[u8]) -> Result<JsonFile> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    match source::open(file.path(), None)? {
        Source::Json(source) => JsonFile::open(source),
        _ => Err(Error::config("test", "it is not read as JSON")),
    }
}

/// The rows of these columns, and the lines and messages of bad ones.
fn read(bytes: &[u8], chosen: [&str; 3]) -> Result<(Vec<Row>, Vec<String>)> {
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    open(bytes)?.read(&chosen, &mut |line, _, row| {
        match row {
            Ok(row) => {
                let [session, item, time] = row else { panic!("{row:?}") };
                let text = |cell: &Option<&str>| cell.unwrap_or("-").to_owned();
                rows.push((text(session), text(item), text(time)));
            }
            Err(problem) => bad.push(format!("line {line}: {problem}")),
        }
        Ok(())
    })?;
    Ok((rows, bad))
}

const FLAT: [&str; 3] = ["s", "i", "t"];
const NESTED: [&str; 3] = ["s", "e.i", "e.t"];
const LISTS: [&str; 3] = ["s", "items", "times"];

/// The forms in which rows are written, with the columns to read.
const FORMS: [[&str; 3]; 8] = [FLAT, FLAT, FLAT, FLAT, FLAT, NESTED, LISTS, NESTED];

fn written(rows: &[Row], form: usize) -> String {
    let number = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let flat: Vec<_> = rows
        .iter()
        .map(|(s, i, t)| json!({"other": {"x": [1, {"}": "]"}]}, "s": s, "i": i, "t": number(t), "z": null}))
        .collect();
    let sessions: Vec<&[Row]> = rows.chunk_by(|a, b| a.0 == b.0).collect();
    let events =
        |rows: &[Row]| rows.iter().map(|(_, i, t)| json!({"i": i, "t": number(t)})).collect::<Vec<_>>();
    let nested: Vec<_> =
        sessions.iter().map(|rows| json!({"s": rows[0].0, "e": events(rows), "n": 1})).collect();
    let lists: Vec<_> = sessions
        .iter()
        .map(|rows| {
            let items: Vec<_> = rows.iter().map(|row| &row.1).collect();
            let times: Vec<_> = rows.iter().map(|row| number(&row.2)).collect();
            json!({"s": rows[0].0, "items": items, "times": times})
        })
        .collect();
    let lines = |objects: &[serde_json::Value]| objects.iter().map(|o| format!("{o}\n")).collect::<String>();
    match form {
        0 => lines(&flat),
        1 => json!(flat).to_string(),
        2 => format!("{:#}\n", json!(flat)),
        3 => flat.iter().map(|o| format!("{o:#}\n")).collect(),
        4 => flat.iter().map(|o| o.to_string()).collect(),
        5 => lines(&nested),
        6 => lines(&lists),
        _ => format!("{:#}", json!(nested)),
    }
}

fn encoded(text: &str, encoding: usize) -> Vec<u8> {
    match encoding {
        0 => text.as_bytes().to_vec(),
        1 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        2 => [&b"\xff\xfe"[..], &utf16(text, false)].concat(),
        _ => [&b"\xfe\xff"[..], &utf16(text, true)].concat(),
    }
}

fn packed(bytes: Vec<u8>, packing: usize) -> Vec<u8> {
    match packing {
        0 => bytes,
        1 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&bytes).unwrap();
            gzip.finish().unwrap()
        }
        #[cfg(feature = "zstd")]
        2 => zstd::encode_all(&*bytes, 1).unwrap(),
        _ => zip_of(&[("log.json", &bytes, true)]),
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let id = prop_oneof!["[a-c]", "[0-9]{1,3}", r#"[\\"{}\[\],:é😀\u{0}\n\t a]{1,6}"#, "\\PC{1,12}"];
    let time = prop_oneof!["[1-9][0-9]{8,17}", "1[0-9]{9}[.][0-9]{1,3}5"];
    proptest::collection::vec(("[ab]", id, time), 1..40)
}

proptest! {
    #[test]
    fn rows_in_any_form_encoding_and_compression_read_back_the_same(
        rows in rows(), form in 0..8_usize, encoding in 0..4_usize, packing in 0..4_usize,
    ) {
        let bytes = packed(encoded(&written(&rows, form), encoding), packing);
        let (found, bad) = read(&bytes, FORMS[form]).unwrap();
        prop_assert_eq!(found, rows);
        prop_assert_eq!(bad, Vec::<String>::new());
    }

    #[test]
    fn a_text_that_is_cut_off_has_no_rows_that_were_not_written(
        rows in rows(), form in 0..8_usize, share in 0.0..1.0_f64,
    ) {
        let text = written(&rows, form);
        let whole = text.trim_end().len();
        let bytes = &text.as_bytes()[..(share * whole as f64) as usize];
        match read(bytes, FORMS[form]) {
            // Lines and objects may end after any object; an array is closed by its bracket.
            Ok((found, bad)) => {
                prop_assert!(rows.starts_with(&found) && bad.is_empty() && ![1, 2, 7].contains(&form), "{:?}", bad);
            }
            Err(Error::Damaged { reason, .. }) => prop_assert!(reason.contains("line "), "{}", reason),
            Err(error) => prop_assert!(bytes.len() < 8, "{}", error),
        }
    }

    #[test]
    fn damage_is_an_error_in_one_line_or_other_rows_and_never_a_panic(
        rows in rows(), form in 0..8_usize, encoding in 0..4_usize, packing in 0..4_usize,
        damage in proptest::collection::vec((0..10_000_usize, any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut bytes = packed(encoded(&written(&rows, form), encoding), packing);
        for (at, byte, kind) in damage {
            let at = at % bytes.len().max(1);
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, [b'"', b'{', b'}', b'[', b']', b',', b'\\', b'\n', 0][usize::from(byte) % 9]),
                _ => { bytes.remove(at); bytes.push(byte); }
            }
        }
        match read(&bytes, FORMS[form]) {
            Ok((_, bad)) => prop_assert!(bad.iter().all(|bad| !bad.contains('\n'))),
            Err(error) => prop_assert!(!error.to_string().contains('\n'), "{}", error),
        }
    }
}

#[test]
fn a_broken_line_is_a_bad_row_and_the_others_are_read() {
    let text = "{\"s\": 1, \"i\": 2, \"t\": 3}\n{\"s\": 1, \"i\": \n\n{\"s\": 1, \"i\": 4, \"t\": 5}\n";
    let (rows, bad) = read(text.as_bytes(), FLAT).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(bad, ["line 2: damaged JSON: it ends where a value should be"]);
    let text = "{\"s\": 1, \"items\": [1], \"times\": []}\n{\"s\": 1, \"items\": [1], \"times\": [2]}\n";
    let (rows, bad) = read(text.as_bytes(), LISTS).unwrap();
    assert_eq!(rows, [("1".to_owned(), "1".to_owned(), "2".to_owned())]);
    assert_eq!(bad, ["line 1: lists of different lengths: items has 1 elements, and times has 0"]);
}

#[test]
fn the_file_has_its_columns_a_sample_and_a_form() {
    let file =
        open(b"{\"s\": 1, \"e\": [{\"i\": 7}, {\"i\": null, \"t\": 9}]}\n{\"s\": 2, \"x\": true}\n").unwrap();
    let columns: Vec<String> =
        file.columns().iter().map(|(name, sample, _)| format!("{name}: {}", sample.join(" "))).collect();
    assert_eq!(columns, ["s: 1 2", "e.i: 7", "e.t: 9", "x: true"]);
    assert_eq!((file.form(), file.compression, file.encoding), ("JSON lines", None, None));
    assert!(file.bytes_read.load(std::sync::atomic::Ordering::Relaxed) > 60);
    assert_eq!(open(b"[{\"a\": 1}]").unwrap().form(), "a JSON array");
    assert_eq!(open(b"{\n\"a\": 1}").unwrap().form(), "JSON objects");
    // Columns of later objects can be chosen as well.
    let late = format!("{}{{\"b\": 5}}\n", "{\"a\": 1}\n".repeat(1_500));
    let (rows, _) = read(late.as_bytes(), ["a", "b", "c.d"]).unwrap();
    assert_eq!(rows.len(), 1_501);
    assert_eq!(rows[1_500], ("-".to_owned(), "5".to_owned(), "-".to_owned()));
}

#[test]
fn what_has_no_rows_is_refused_with_what_to_do() {
    let error = |text: &str| open(text.as_bytes()).err().unwrap().to_string();
    assert!(error("[]").contains("there is no JSON object"));
    let columns = r#"{"session_id": {"0": 1, "1": 1}, "item_id": {"0": 5, "1": 6}}"#;
    assert!(
        error(columns)
            .contains("a JSON table written column by column cannot be read: write an object for each row")
    );
    assert!(error("[[1, 2], [3, 4]]").contains("damaged JSON data (line 1: `[` where an object"));
    assert!(error("[1, 2]\n[3, 4]\n").contains("line 1: `1` where an object"));
    let wide: Vec<String> = (0..2_001).map(|i| format!("\"f{i}\": 1")).collect();
    assert!(
        error(&format!("{{{}}}", wide.join(",")))
            .contains("a JSON file with more than 2000 different fields")
    );
}

#[test]
fn the_first_error_of_the_callback_ends_the_reading() {
    let (file, mut calls) = (open(b"{\"a\": [1, 2, 3]}\n{\"a\": 4}\n").unwrap(), 0);
    let result = file.read(&["a"], &mut |_, _, _| {
        calls += 1;
        if calls == 2 { Err(Error::Stopped) } else { Ok(()) }
    });
    assert!(matches!(result, Err(Error::Stopped)));
    assert_eq!(calls, 2);
}

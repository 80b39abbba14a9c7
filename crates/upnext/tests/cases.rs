//! Files as people have them, one in the exact form of each public data set, export or tool: for each the command that a
//! user would type first, and what comes of it. No file is read wrongly without a word: there are the right counts, or a
//! warning, or an error that leads to a command with the right counts.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use Outcome::{Log, Refused, Usual};
use program::{Folder, stderr, upnext};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What comes of a command.
enum Outcome {
    /// The parts of the log that stands behind most files: 1,374 events in 349 sessions on 40 items.
    Usual,
    /// A log of other events, sessions and items, by the nature of the file.
    Log([u64; 3]),
    /// An error.
    Refused,
}

/// The arguments of `upnext prepare`, what comes of it, and words of its messages.
type Step<'a> = (&'a [&'a str], Outcome, &'a [&'a str]);

/// The folder of the files; `None` with a printed reason if it is missing.
fn cases() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/cases"));
    let folder = std::env::var_os("UPNEXT_CASES").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!("skipped: {} is missing (set UPNEXT_CASES to the folder of files)", folder.display());
        return None;
    }
    Some(folder)
}

/// Runs `upnext prepare` with these files and flags, and checks what comes of it. Without words, nothing may be warned of.
fn check(folder: &Path, (arguments, outcome, words): Step<'_>) {
    let place = Folder::new();
    let mut command = upnext();
    command
        .current_dir(folder)
        .arg("prepare")
        .args(arguments)
        .arg("--out")
        .arg(place.path("out"))
        .arg("--json");
    let output = command.output().unwrap();
    let message = stderr(&output);
    for word in words {
        assert!(message.contains(word), "{arguments:?}: `{word}` is not in: {message}");
    }
    if let Refused = outcome {
        assert!(!output.status.success() && !place.path("out").exists(), "{arguments:?}: {message}");
        return;
    }
    assert!(output.status.success(), "{arguments:?}: {message}");
    assert!(!words.is_empty() || message.is_empty(), "{arguments:?}: {message}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts = |part: &str| ["events", "sessions", "items"].map(|of| document[part][of].as_u64().unwrap());
    match outcome {
        Usual => {
            let parts = ["train", "test"].map(counts);
            assert_eq!(parts, [[1212, 303, 40], [162, 46, 39]], "{arguments:?}");
        }
        Log(expected) => assert_eq!(counts("log"), expected, "{arguments:?}"),
        Refused => {}
    }
}

#[test]
fn files_that_have_one_meaning_are_read_without_a_flag() {
    let Some(folder) = cases() else { return };
    for file in [
        "A01-yoochoose-clicks.dat",
        "A04-otto-train.jsonl",
        "A05-otto.parquet",
        "A21-dressipi-train_sessions.csv",
        "A22-recbole.inter",
        "A26a-excel-de.csv",
        "A26d-utf16.csv",
        "A27-quoted.csv",
        "A28a-tz.csv",
        "A28b-pg.csv",
        "A28d-compact.csv",
        "A28e-sci.csv",
        "A28g-slash.csv",
        "A29a-multi.csv.gz",
        "A29a2-multi-headers.csv.gz",
        "A29c-days",
        "A30a-dict-tz.parquet",
        "A30b-large_string.parquet",
        "A30c-int96.parquet",
        "A30d-decimal.parquet",
        "A30e-binary.parquet",
        "A30f-decimal-time.parquet",
        "A30h-large-dict.parquet",
        "A30i-time-str-dict.parquet",
        "A30j-uint64.parquet",
        "A30k-list.parquet",
        "A30l-polars-cat.parquet",
        "A32-hive",
        "A35-array.json",
        "A35b-flat.jsonl",
        "A36c-segment.csv",
        "A37c-preamble.csv",
        "A37d-fixed-space.txt",
        "A37e-cr.csv",
        "A37f-two-time-cols.csv",
        "A37g-backslash.csv",
        "A40c-tsv-vector-header.tsv",
        "A45-globo",
        "A47-serenade.tsv",
        "plain.csv",
    ] {
        check(&folder, (&[file], Usual, &[]));
    }
    for file in ["quote.tsv", "quote2.tsv"] {
        check(&folder, (&[file], Log([30, 10, 3]), &[]));
    }
    for file in ["log.csv", "log_shuf.csv"] {
        check(&folder, (&[file], Log([5501, 1438, 225]), &[]));
    }
}

#[test]
fn files_with_users_ask_for_a_gap() {
    let Some(folder) = cases() else { return };
    let asked = "holds users, and there is no session column: set --session-gap (such as 30m)";
    for file in [
        "A06c-ml25m-ratings.csv",
        "A10b-amazon2023.csv",
        "A17-xing-interactions.csv",
        "A23-gorse-feedback.csv",
        "A48-personalize.csv",
        "rr_views.csv",
    ] {
        check(&folder, (&[file], Refused, &[asked]));
        check(&folder, (&[file, "--session-gap", "30m"], Usual, &[]));
    }
    // Without a header, what the pauses say.
    let doubt = "are these sessions or users? --session-gap (such as 30m) cuts them at pauses";
    for file in ["A06a-ml1m-ratings.dat", "A06b-ml100k-u.data"] {
        check(&folder, (&[file], Log([1374, 150, 40]), &[doubt]));
        check(&folder, (&[file, "--session-gap", "30m"], Usual, &[]));
    }
    for file in ["A09-UserBehavior.csv", "A09b-UserBehavior-realcats.csv"] {
        let kinds = "column 4 holds kinds of events, in the first rows pv (";
        check(&folder, (&[file], Log([1374, 150, 40]), &[doubt, kinds, "--where 4=pv reads one"]));
        check(&folder, (&[file, "--session-gap", "30m"], Usual, &[kinds]));
    }
    // Times in days and in hours: sessions of one day, or hour, cannot be told apart.
    let copies = "repeat another with the same session, item and time";
    check(&folder, (&["A10a-ratings_Beauty.csv"], Log([1374, 150, 40]), &[doubt, copies]));
    let days = "all times are whole days: a --holdout of 1d takes the";
    let gap = ["A10a-ratings_Beauty.csv", "--session-gap", "30m"];
    check(&folder, (&gap, Log([1374, 324, 40]), &[days, copies]));
    check(&folder, (&["A18b-tianchi-mobile.csv"], Refused, &[asked]));
    let equal = "in 371 of 371 sessions of two or more events all times are equal";
    check(&folder, (&["A18b-tianchi-mobile.csv", "--session-gap", "30m"], Log([1374, 390, 40]), &[equal]));
}

#[test]
fn columns_that_cannot_be_told_are_asked_for() {
    let Some(folder) = cases() else { return };
    let steps: [Step<'_>; 13] = [
        (&["A07-lastfm1k.tsv"], Refused, &["several columns may be the items", "name one by --item-column"]),
        (&["A07-lastfm1k.tsv", "--item-column", "5", "--session-gap", "30m"], Usual, &[]),
        (&["A02-retailrocket-events.csv"], Refused, &["set --session-gap (such as 30m)"]),
        (
            &["A02-retailrocket-events.csv", "--session-gap", "30m"],
            Log([1541, 349, 40]),
            &["kinds of events, in the first rows view (1374)", "--where event=view reads one"],
        ),
        (&["A02-retailrocket-events.csv", "--session-gap", "30m", "--where", "event=view"], Usual, &[]),
        (
            &["A12-coveo-browsing_train.csv"],
            Refused,
            &["column 4 (product_sku_hash) is empty", "--skip-bad-rows"],
        ),
        (
            &["A12-coveo-browsing_train.csv", "--skip-bad-rows"],
            Log([150, 45, 40]),
            &["--where event_type=event_product reads one"],
        ),
        (
            &["A14-mind-behaviors.tsv"],
            Refused,
            &[
                "session column 1, item column 2, time column 3 (--session-column, --item-column, --time-column)",
            ],
        ),
        (
            &["A14-mind-behaviors.tsv", "--user-column", "2", "--session-gap", "30m", "--item-column", "4"],
            Log([2748, 349, 40]),
            &[],
        ),
        (
            &["A15-adressa.jsonl"],
            Refused,
            &["no item column", "--session-gap (such as 30m)", "userId, time, url, id"],
        ),
        (
            &["A15-adressa.jsonl", "--session-gap", "30m", "--item-column", "id", "--holdout", "10%"],
            Log([40, 14, 26]),
            &["no validation part"],
        ),
        (&["A19-instacart-order_products.csv"], Refused, &["no column holds times", "set --order rows"]),
        (&["A19-instacart-order_products.csv", "--order", "rows", "--holdout", "46 sessions"], Usual, &[]),
    ];
    steps.into_iter().for_each(|step| check(&folder, step));
}

#[test]
fn orders_copies_and_ids_that_begin_again_are_noticed() {
    let Some(folder) = cases() else { return };
    let copies = "repeat another with the same session, item and time";
    let equal = "in 600 of 600 sessions of two or more events all times are equal";
    let steps: [Step<'_>; 12] = [
        // Ordered by its column `timeframe`.
        (&["A03-diginetica-train-item-views.csv"], Log([1374, 349, 40]), &["all times are whole days"]),
        (&["A26c-excel-us.csv"], Usual, &["in 10 of 349 sessions", copies]),
        (&["A34-dups.csv"], Log([4122, 349, 40]), &["2748 of 4122 events repeat another"]),
        (&["A34-dups.csv", "--drop-duplicates"], Usual, &[]),
        (&["plain.csv", "plain.csv"], Log([2748, 349, 40]), &["1374 of 2748 events repeat another"]),
        (&["plain.csv", "plain.csv", "--drop-duplicates"], Usual, &[]),
        (&["ties_sorted.csv"], Log([3000, 600, 398]), &[equal, "--order-column"]),
        (&["ties_shuffled.csv"], Log([3000, 600, 398]), &[equal, "--order-column"]),
        (&["days"], Log([1374, 45, 40]), &["34 of 44 sessions of file 2 continue", "--sessions-per-file"]),
        (&["days", "--sessions-per-file"], Usual, &[]),
        (&["notime.csv"], Refused, &["no column holds times", "set --order rows"]),
        (&["notime.csv", "--order", "rows", "--holdout", "10%"], Log([670, 180, 275]), &[]),
    ];
    steps.into_iter().for_each(|step| check(&folder, step));
    check(
        &folder,
        (&["notime.csv", "--order", "rows"], Refused, &["--holdout: the times are a counter", "such as 10%"]),
    );
    check(&folder, (&["prec.csv"], Refused, &["no training session is left", "such as 10%"]));
    check(&folder, (&["prec.csv", "--holdout", "10%"], Log([312, 39, 8]), &[]));
}

#[test]
fn missing_ids_and_forms_of_numbers_are_named() {
    let Some(folder) = cases() else { return };
    for (file, marker) in [
        ("A33-null-ga.csv", "\"(not set)\""),
        ("A33-null-nan.csv", "\"nan\""),
        ("A33-null-none.csv", "\"None\""),
        ("A33-null-null.csv", "\"NULL\""),
        ("A49-polars-nan.parquet", "\"NaN\""),
    ] {
        let message = format!(
            "is {marker}, which stands for a missing value (set --keep-null-ids if it is an id); 27 more"
        );
        check(&folder, (&[file], Refused, &[&message, "--skip-bad-rows"]));
        check(&folder, (&[file, "--skip-bad-rows"], Log([1346, 349, 40]), &[]));
    }
    let mixture = "686 ids are written with a fraction (39.0) and 687 without (39)";
    let steps: [Step<'_>; 13] = [
        (&["A33-null-m1.csv"], Log([1374, 349, 41]), &["28 ids are -1", "set --null -1"]),
        (&["A33-null-m1.csv", "--null", "-1", "--skip-bad-rows"], Log([1346, 349, 40]), &[]),
        (&["A41-null-sessions.csv"], Refused, &["column 1 (session_id) is \"NULL\""]),
        (&["A41-null-sessions.csv", "--skip-bad-rows"], Log([1305, 349, 40]), &[]),
        (&["A25-pandas-float-ids.csv"], Refused, &["line 12: column 3 (item_id) is empty; 1 more"]),
        (&["A25-pandas-float-ids.csv", "--skip-bad-rows"], Log([1372, 349, 40]), &[]),
        (&["A25b-pandas-float-ids-nonull.csv"], Log([1372, 349, 40]), &[]),
        (&["A25c-pandas-float-ids.parquet"], Refused, &["row 11: column 2 (item_id) is empty"]),
        (&["A25c-pandas-float-ids.parquet", "--skip-bad-rows"], Log([1372, 349, 40]), &[]),
        (&["mixf1.csv", "mixf2.csv"], Refused, &["mixf1.csv: line 7: column 2 (item_id) is empty"]),
        (&["mixf1.csv", "mixf2.csv", "--skip-bad-rows"], Log([1373, 349, 40]), &[mixture]),
        (&["A37a-spaces.csv"], Usual, &["white space around 1374 ids was removed"]),
        (&["weird.csv"], Usual, &["white space around 133 ids was removed"]),
    ];
    steps.into_iter().for_each(|step| check(&folder, step));
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let Some(folder) = cases() else { return };
    let steps: [Step<'_>; 10] = [
        (&["A26e-latin1.csv"], Refused, &["is not UTF-8 text", "set --encoding (such as latin1)"]),
        (&["A26e-latin1.csv", "--encoding", "latin1"], Usual, &[]),
        (
            &["A28f-sci-excel.csv"],
            Refused,
            &["has lost its last digits", "export the column as whole numbers"],
        ),
        (&["A43-avro.avro"], Refused, &["an Avro file cannot be read: write the table as Parquet or CSV"]),
        (&["A43-orc-like.orc"], Refused, &["an ORC file cannot be read: write the table as Parquet or CSV"]),
        (&["A50.xlsx"], Refused, &["an Excel workbook (xlsx) cannot be read: save the sheet as CSV"]),
        (&["plain.d"], Refused, &["`prepare` made this folder", "name one of them"]),
        (
            &["quote.csv"],
            Refused,
            &["line 6: a field that begins here with a quotation mark is not closed", "--quote none"],
        ),
        (&["quote.csv", "--quote", "none"], Log([30, 10, 3]), &[]),
        (&["two.csv"], Refused, &["9 events, 2 sessions: rare item"]),
    ];
    steps.into_iter().for_each(|step| check(&folder, step));
    let mut catalogue = upnext();
    catalogue.current_dir(&folder).args(["inspect", "--items", "cat_semi.csv"]);
    let message =
        program::refused(&mut catalogue, 1, &["line 4: a field that begins here with a quotation mark"]);
    assert!(message.contains("--quote none"), "{message}");
    // Without quotation marks, another row has a delimiter too many.
    let mut table = upnext();
    table.current_dir(&folder).args(["inspect", "--items", "cat_semi.csv", "--quote", "none"]);
    program::refused(&mut table, 1, &["cat_semi.csv:3: 3 fields, where the header has 2"]);
}

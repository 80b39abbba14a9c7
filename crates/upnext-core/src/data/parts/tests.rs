//! Folders as Spark, Polars, DuckDB and pandas leave them, and those that are refused.

use super::super::read::ReadProgress;
use super::super::{
    EventLog, Format, PrepareOptions, ReadOptions, TimeMicros, prepare, write_log, write_parts,
};
use super::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder of files, each with its folders.
    fn of(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, bytes)| folder.write(name, bytes));
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read_with(&self, set: impl Fn(&mut ReadOptions)) -> Result<EventLog> {
        let mut options = ReadOptions::default();
        set(&mut options);
        EventLog::read(self.0.path(), &options, &mut |_| ControlFlow::Continue(()))
    }

    fn read(&self) -> Result<EventLog> {
        self.read_with(|_| ())
    }

    fn message(&self) -> String {
        self.read().unwrap_err().to_string()
    }
}

fn csv(rows: &str) -> Vec<u8> {
    format!("session,item,time\n{rows}\n").into_bytes()
}

fn items(log: &EventLog) -> Vec<&str> {
    log.events().iter().map(|event| log.item_ids().get(event.item)).collect()
}

fn parquet(rows: &[(&str, &str, TimeMicros)]) -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let mut log = EventLog::from_events(rows.iter().copied()).unwrap();
    write_log(&log.grouped(), &place.path().join("x"), Format::Parquet).unwrap();
    fs::read(place.path().join("x")).unwrap()
}

const TIME: TimeMicros = 1_500_000_000_000_000;

#[test]
fn parts_are_read_in_the_order_of_their_paths_and_marks_are_skipped() {
    let folder = Folder::of(&[
        ("part-00010.csv", &csv("s,third,1500000000")),
        ("part-00002.csv", &csv("s,second,1500000000")),
        // Component by component: as whole texts, `a/b` would come behind `a-1`.
        ("a/b.csv", &csv("s,zeroth,1500000000")),
        ("a-1/b.csv", &csv("s,first,1500000000")),
        ("Z.csv", &csv("s,capital,1500000000")),
        ("_SUCCESS", b""),
        ("_metadata", b"PAR1"),
        ("_delta_log/0.json", b"{}"),
        (".part-00002.csv.crc", b"crc\0"),
        ("part-00002.csv.crc", b"crc\0"),
        (".hidden/x.csv", b"junk"),
        ("events-1.csv.part", b"session,item,time\ns,cut"),
    ]);
    let log = folder.read().unwrap();
    assert_eq!(items(&log), ["capital", "zeroth", "first", "second", "third"]);
    let files: Vec<_> = log.report().files.iter().map(|f| (f.path.clone(), f.rows)).collect();
    let names = ["Z.csv", "a/b.csv", "a-1/b.csv", "part-00002.csv", "part-00010.csv"];
    assert_eq!(files, names.map(|name| (folder.path(name), 1)));
}

#[test]
fn a_folder_named_like_a_file_and_several_paths_make_one_log() {
    let rows = [[("s", "a", TIME)], [("s", "b", TIME + 1)], [("t", "c", TIME)]].map(|rows| parquet(&rows));
    let folder = Folder::of(&[
        ("log.parquet/part-0.snappy.parquet", &rows[0]),
        ("log.parquet/part-1.snappy.parquet", &rows[1]),
        ("log.parquet/_SUCCESS", b""),
        ("single", &rows[2]),
    ]);
    let (mut last, mut events) = (ReadProgress::default(), 0);
    let paths = [folder.path("log.parquet"), folder.path("single")];
    let log = EventLog::read_all(&paths, &ReadOptions::default(), &mut |progress| {
        assert!(progress.bytes >= last.bytes && progress.events >= events, "{progress:?} after {last:?}");
        (last, events) = (progress, progress.events);
        ControlFlow::Continue(())
    });
    assert_eq!(items(&log.unwrap()), ["a", "b", "c"]);
    let size: u64 = rows.iter().map(|bytes| bytes.len() as u64).sum();
    assert_eq!((last.bytes, last.total_bytes, last.events), (size, size, 3));
}

#[test]
fn names_of_folders_are_columns_where_they_are_asked_for() {
    let file = |name: &str| format!("session,item,hour\n{name},i,2001-01-01\n").into_bytes();
    let folder = Folder::of(&[
        ("date=2017-07-14T02%3A40%3A00Z/shop=d%C3%BCne/p.csv", &file("x")),
        ("date=2017-07-14T02%3A40%3A01Z/shop=100%/p.csv", &file("y")),
        ("_date=2017-07-15/date=2017-07-15/shop=b/p.csv", &file("z")),
    ]);
    let log = folder
        .read_with(|options| {
            options.time_column = Some("Date".into());
            options.item_column = Some("shop".into());
        })
        .unwrap();
    let times: Vec<_> = log.events().iter().map(|event| event.time - TIME).collect();
    assert_eq!(items(&log), ["b", "düne", "100%"]);
    assert_eq!(times, [76_800_000_000, 0, 1_000_000]);
    assert_eq!(log.report().files[0].time, "the folder's column date");
    // A column of the file comes first, and nothing is taken from a folder's name unasked.
    let log = folder.read_with(|options| options.time_column = Some("hour".into())).unwrap();
    assert_eq!((items(&log), log.events()[0].time), (vec!["i"; 3], 978_307_200_000_000));
    let without = Folder::of(&[("_date=2017-07-15/date=2017-07-15/shop=b/p.csv", b"session,item\nx,i\n")]);
    let message = without.message();
    assert!(
        message.contains("no time column") && message.contains("and its folders give _date, date, shop"),
        "{message}"
    );
    let twice = folder.read_with(|options| {
        (options.time_column, options.item_column) = (Some("date".into()), Some("date".into()));
    });
    let message = twice.unwrap_err().to_string();
    assert_eq!(
        message,
        "time_column: the folder's column date already has another meaning: name another column"
    );
}

#[test]
fn a_missing_value_in_a_folders_name_is_null() {
    let rows = parquet(&[("s", "a", TIME)]);
    for (file, bytes) in [("p.parquet", rows), ("p.csv", csv("s,i,1500000000"))] {
        let name = format!("who=__HIVE_DEFAULT_PARTITION__/{file}");
        let folder = Folder::of(&[(&name, &bytes), (&format!("who=ann/{file}"), &bytes)]);
        let by_who = |options: &mut ReadOptions| options.session_column = vec!["who".into()];
        let message = folder.read_with(by_who).unwrap_err().to_string();
        assert!(
            message.contains("1: the folder's column who is empty")
                || message.contains("2: the folder's column who is empty"),
            "{message}"
        );
        let log = folder.read_with(|options| {
            by_who(options);
            options.skip_bad_rows = true;
        });
        let log = log.unwrap();
        assert_eq!(
            (log.session_ids().iter().collect::<Vec<_>>(), log.report().skipped_rows()),
            (vec!["ann"], 1)
        );
        let message =
            folder.read_with(|options| options.time_column = Some("who".into())).unwrap_err().to_string();
        assert!(message.contains("the folder's column who: \""), "{message}");
    }
}

#[test]
fn parts_of_other_kinds_or_columns_are_named_before_anything_is_read() {
    let good = csv("s,i,1500000000");
    let other = |name: &str, bytes: &[u8]| {
        let folder = Folder::of(&[("a.csv", &good), (name, bytes)]);
        let mut calls = Vec::new();
        let read = EventLog::read(folder.0.path(), &ReadOptions::default(), &mut |progress| {
            calls.push(progress.events);
            ControlFlow::Continue(())
        });
        assert_eq!(calls.iter().max(), Some(&0), "nothing was read: {calls:?}");
        let error = read.unwrap_err();
        assert!(
            matches!(&error, Error::UnlikeParts { path, other, .. }
            if *path == folder.path(name) && *other == folder.path("a.csv")),
            "{error}"
        );
        error.to_string()
    };
    for (name, bytes, expected) in [
        ("b.parquet", parquet(&[("s", "a", TIME)]), "b.parquet: is Parquet, and the other is text ("),
        (
            "b",
            b"session,item,time,shop\ns,i,1500000000,x\n".to_vec(),
            "has the columns shop, which the other lacks",
        ),
        ("b", b"session,item,ts\ns,i,1500000000\n".to_vec(), "has the columns ts in place of time"),
        ("b", b"s,i,1500000000\n".to_vec(), "does not begin with the names of its columns"),
    ] {
        let message = other(name, &bytes);
        assert!(message.contains(expected), "{message}");
    }
    // The order of columns, the delimiter and the compression are each file's own.
    let alike = b"time\titem\tsession\n1500000001\tj\ts\n";
    let packed = zstd::encode_all(&alike[..], 1).unwrap();
    let folder = Folder::of(&[("a.csv", &good), ("b.tsv", alike), ("c.zst", &packed)]);
    assert_eq!(items(&folder.read().unwrap()), ["i", "j", "j"]);
    let unnamed = Folder::of(&[("a", b"s,i,1500000000\n"), ("b", b"s,i,1500000000,4\n")]);
    assert!(unnamed.message().contains("has 4 columns, and the other has 3"), "{}", unnamed.message());
}

#[test]
fn parts_without_rows_are_listed_and_count_nothing_but_not_all_may_be_so() {
    let empty = [("a.csv", &b""[..]), ("c.csv", b"session,item,time\n"), ("d.csv", b"\n\n")];
    let folder = Folder::of(&empty);
    let error = folder.read().unwrap_err();
    assert!(matches!(&error, Error::NoEvents { path, .. } if path == folder.0.path()), "{error}");
    folder.write("b.csv", &csv("s,i,1500000000"));
    let log = folder.read().unwrap();
    let rows: Vec<_> = log.report().files.iter().map(|file| file.rows).collect();
    assert_eq!((rows, log.len()), (vec![0, 1, 0, 0], 1));
    // A file that is named by itself must have rows.
    let paths = [folder.path("a.csv"), folder.path("b.csv")];
    let alone = EventLog::read_all(&paths, &ReadOptions::default(), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(alone, Err(Error::NoEvents { .. })));
}

#[test]
fn folders_that_are_no_log_say_why() {
    let good = csv("s,i,1500000000");
    let folder = Folder::of(&[("_SUCCESS", b""), (".x", b"")]);
    assert!(folder.message().contains("the folder holds no log file"), "{}", folder.message());

    let writing = Folder::of(&[("x/p.csv", &good), ("x/_temporary/0/p.csv", &good)]);
    let error = writing.read().unwrap_err();
    assert!(matches!(&error, Error::Unfinished { path } if *path == writing.path("x")), "{error}");
    assert!(error.to_string().contains("a job is still writing this folder"), "{error}");
    writing.write("x/_SUCCESS", b"");
    assert_eq!(items(&writing.read().unwrap()), ["i"]);

    let folder = Folder::of(&[("p.csv", &good)]);
    let mut options = PrepareOptions::default();
    (options.min_item_support, options.validation) = (1, None);
    let day = 86_400_000_000;
    let events = [("s", "a", TIME), ("s", "b", TIME), ("t", "a", TIME + 3 * day), ("t", "b", TIME + 3 * day)];
    let log = EventLog::from_events(events).unwrap();
    let prepared = prepare(log, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    write_parts(&prepared, &folder.path("parts"), Format::Tsv, &mut |_, _| ()).unwrap();
    assert!(folder.message().contains("`prepare` made this folder"), "{}", folder.message());
}

#[test]
#[cfg(unix)]
fn links_are_followed_and_may_not_lead_back() {
    let place = Folder::of(&[("real/p.csv", &csv("s,i,1500000000")), ("log/q.csv", &csv("s,j,1500000000"))]);
    std::os::unix::fs::symlink(place.path("real"), place.path("log/a")).unwrap();
    let read =
        || EventLog::read(&place.path("log"), &ReadOptions::default(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(items(&read().unwrap()), ["i", "j"]);
    std::os::unix::fs::symlink(place.path("log"), place.path("real/back")).unwrap();
    let message = read().unwrap_err().to_string();
    assert!(message.contains("a/back: a link to a folder around it"), "{message}");
}

#[test]
fn the_observer_stops_a_reading_anywhere() {
    let rows: String = (0..20_000).map(|i| format!("s{i},i,{}\n", 1_500_000_000 + i)).collect();
    let folder = Folder::of(&[("a.csv", &csv(rows.trim_end())), ("b.csv", &csv("s,i,1500000000"))]);
    let stop_after = |calls: usize| {
        let mut left = calls;
        let read = EventLog::read(folder.0.path(), &ReadOptions::default(), &mut |_| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        matches!(read, Err(Error::Stopped))
    };
    let mut calls = 0;
    let whole = EventLog::read(folder.0.path(), &ReadOptions::default(), &mut |_| {
        calls += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(whole.unwrap().len(), 20_001);
    assert!(calls >= 6, "{calls} calls");
    assert!((1..=calls).all(stop_after));
    assert!(!stop_after(calls + 1));
}

#[test]
fn names_are_url_decoded_and_odd_percent_signs_stay() {
    let decoded: BTreeMap<&str, &str> =
        [("a%3Ab", "a:b"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%25x", "%x"), ("", "")].into();
    for (text, expected) in decoded {
        assert_eq!(url_decoded(text.as_bytes()), expected.as_bytes(), "{text}");
    }
    assert_eq!(partition(b"=x"), None);
    let twice = Partition { key: "a".into(), value: b"b=c".into() };
    assert_eq!(partition(b"a=b=c"), Some(twice));
}

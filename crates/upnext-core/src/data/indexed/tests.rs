//! Folders of item numbers as engines write them: in several files, in any order of files, and damaged in every way.

use super::*;
use crate::data::part::PartCounts;
use crate::data::sql::{Dialect, IdColumn, IdForm, TimeForm};
use crate::data::{Holdout, PreparedFolder, TestSessions, TimeMicros};
use crate::parquet::{BatchWriter, writer_properties};
use arrow_array::{ArrayRef, BooleanArray, Int32Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field};
use std::fs;
use std::sync::Arc;

const DAY: i64 = 86_400_000_000;

/// A row of the training part: session, position, item, time, and whether the session is of the validation part.
type Row = (i64, i32, i32, i64, bool);

/// Two sessions of the first day and one of the second, with four items.
const ROWS: [Row; 8] = [
    (0, 0, 0, DAY, false),
    (0, 1, 1, DAY + 5, false),
    (1, 0, 1, DAY + 7, true),
    (1, 1, 2, DAY + 8, true),
    (1, 2, 1, DAY + 9, true),
    (2, 0, 3, DAY + 9, false),
    (2, 1, 1, DAY + 10, false),
    (2, 2, 2, DAY + 11, false),
];

const ITEMS: [(&str, i64); 4] = [("b", 1), ("a", 4), ("39.0", 2), ("ä", 1)];

fn write(path: &Path, columns: Vec<(&str, DataType, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let fields = columns.iter().map(|(name, of, _)| Field::new(*name, of.clone(), true)).collect();
    let file = fs::File::create(path).unwrap();
    let mut writer = BatchWriter::new(file, fields, writer_properties()).unwrap();
    writer.write(columns.into_iter().map(|(_, _, array)| array).collect()).unwrap();
    writer.finish().unwrap();
}

fn longs(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn write_train(path: &Path, rows: &[Row]) {
    let ints = |of: fn(&Row) -> i32| Arc::new(Int32Array::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let flags = Arc::new(BooleanArray::from(rows.iter().map(|row| row.4).collect::<Vec<_>>()));
    write(
        path,
        vec![
            ("session", DataType::Int64, longs(rows.iter().map(|row| row.0))),
            ("position", DataType::Int32, ints(|row| row.1)),
            ("item", DataType::Int32, ints(|row| row.2)),
            ("time", DataType::Int64, longs(rows.iter().map(|row| row.3))),
            ("validation", DataType::Boolean, flags),
        ],
    );
}

fn write_items(path: &Path, items: &[(&str, i64)]) {
    let numbers = Int32Array::from_iter_values(0..items.len() as i32);
    write(
        path,
        vec![
            ("item", DataType::Int32, Arc::new(numbers)),
            ("item_id", DataType::Utf8, texts(items.iter().map(|item| item.0))),
            ("support", DataType::Int64, longs(items.iter().map(|item| item.1))),
        ],
    );
}

fn write_test(path: &Path, rows: &[(&str, &str, i64)]) {
    write(
        path,
        vec![
            ("session_id", DataType::Utf8, texts(rows.iter().map(|row| row.0))),
            ("item_id", DataType::Utf8, texts(rows.iter().map(|row| row.1))),
            ("time", DataType::Int64, longs(rows.iter().map(|row| row.2))),
            ("position", DataType::Int64, longs(0..rows.len() as i64)),
        ],
    );
}

fn options() -> SqlOptions {
    let column = |name: &str| IdColumn { name: name.to_owned(), form: IdForm::Text };
    SqlOptions {
        dialect: Dialect::Spark,
        source: "clicks".to_owned(),
        session: vec![column("session_id")],
        item: column("item_id"),
        time: "time".to_owned(),
        time_form: TimeForm::Us,
        order: None,
        session_gap: None,
        keep_null_ids: false,
        rounds: 1,
        rules: crate::data::PrepareOptions {
            validation: Some(Holdout::Sessions(1)),
            ..crate::data::PrepareOptions::default()
        },
    }
}

/// A row of the statistics: kind, name, events, sessions, items, text.
type Count = (&'static str, &'static str, i64, i64, i64, String);

fn counts() -> Vec<Count> {
    let part = |name, events, sessions, items| ("part", name, events, sessions, items, String::new());
    vec![
        ("format", "upnext 9", 1, 0, 0, serde_json::to_string(&options()).unwrap()),
        part("log", 14, 6, 5),
        part("train", 8, 3, 4),
        part("test", 2, 1, 2),
        part("test_all", 3, 1, 3),
        part("fit", 5, 2, 4),
        part("valid", 3, 1, 2),
        ("dropped", "short-session", 0, 0, 0, String::new()),
        ("dropped", "rare-item", 3, 2, 0, String::new()),
        ("dropped", "unknown-item", 1, 0, 0, String::new()),
        ("clicks", "test", 2, 1, 0, String::new()),
        ("bad_rows", "all", 16, 2, 0, String::new()),
    ]
}

fn write_statistics(path: &Path, counts: &[Count]) {
    let texts_of = |of: fn(&Count) -> &str| texts(counts.iter().map(of));
    let times = || Arc::new(Int64Array::from(vec![None; counts.len()])) as ArrayRef;
    write(
        path,
        vec![
            ("place", DataType::Int64, longs(0..counts.len() as i64)),
            ("kind", DataType::Utf8, texts_of(|count| count.0)),
            ("name", DataType::Utf8, texts_of(|count| count.1)),
            ("events", DataType::Int64, longs(counts.iter().map(|count| count.2))),
            ("sessions", DataType::Int64, longs(counts.iter().map(|count| count.3))),
            ("items", DataType::Int64, longs(counts.iter().map(|count| count.4))),
            ("first_time", DataType::Int64, times()),
            ("last_time", DataType::Int64, times()),
            ("text", DataType::Utf8, texts_of(|count| &count.5)),
        ],
    );
}

struct Folder(tempfile::TempDir);

impl Folder {
    /// A whole folder, whose training part is in these files.
    fn of(files: &[&[Row]]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (number, rows) in files.iter().enumerate() {
            write_train(&folder.at(&format!("train/part-{number}.parquet")), rows);
        }
        write_items(&folder.at("items/part-0.parquet"), &ITEMS);
        write_test(&folder.at("test/part-0.parquet"), &[("t", "a", DAY), ("t", "39.0", DAY)]);
        write_test(
            &folder.at("test_all/part-0.parquet"),
            &[("t", "a", DAY), ("t", "new", DAY), ("t", "39.0", DAY)],
        );
        write_test(&folder.at("valid/part-0.parquet"), &[("v", "a", DAY), ("v", "a", DAY)]);
        write_statistics(&folder.at("statistics/part-0.parquet"), &counts());
        for part in ["train", "items", "test", "test_all", "valid", "statistics"] {
            fs::write(folder.at(part).join("_SUCCESS"), "").unwrap();
        }
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn dataset(&self, part: PartName) -> Result<Dataset> {
        IndexedFolder::open(self.0.path())?
            .dataset(part, ItemVocabulary::new(), &mut |_| ControlFlow::Continue(()))
    }

    fn refused(&self) -> String {
        self.dataset(PartName::Train).unwrap_err().to_string()
    }

    fn log(&self, part: PartName) -> EventLog {
        let path = PreparedFolder::resolve(self.0.path(), part).unwrap();
        EventLog::read(&path, &ReadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap()
    }
}

fn named(data: &Dataset) -> Vec<(Vec<&str>, TimeMicros)> {
    let named = |items: &[ItemIndex]| items.iter().map(|&item| data.items.id(item)).collect();
    data.sessions.with_starts().map(|(items, start)| (named(items), start)).collect()
}

#[test]
fn sessions_are_joined_whatever_the_files_and_their_order() {
    let expected =
        [(vec!["b", "a"], DAY), (vec!["a", "39.0", "a"], DAY + 7), (vec!["ä", "a", "39.0"], DAY + 9)];
    let (a, b) = ROWS.split_at(3);
    let (b, c) = b.split_at(1);
    for files in [vec![&ROWS[..]], vec![c, a, &[][..], b], vec![b, c, a]] {
        let folder = Folder::of(&files);
        let data = folder.dataset(PartName::Train).unwrap();
        assert_eq!(named(&data), expected);
        assert_eq!(data.items.supports(), [1, 4, 2, 1]);
        // The same by ids.
        let (by_ids, _) = Dataset::from_log(folder.log(PartName::Train)).unwrap();
        assert_eq!(by_ids.sessions, data.sessions);
        assert_eq!(by_ids.items.fingerprint(), data.items.fingerprint());
    }
}

#[test]
fn fit_is_the_training_part_without_validation_sessions() {
    let folder = Folder::of(&[&ROWS]);
    let fit = folder.dataset(PartName::Fit).unwrap();
    assert_eq!(named(&fit), [(vec!["b", "a"], DAY), (vec!["ä", "a", "39.0"], DAY + 9)]);
    assert_eq!(fit.items.supports(), [1, 2, 1, 1]);
    let (by_ids, _) = Dataset::from_log(folder.log(PartName::Fit)).unwrap();
    assert_eq!((by_ids.sessions, by_ids.items.fingerprint()), (fit.sessions, fit.items.fingerprint()));
    // Items of an earlier model keep their places.
    let mut known = ItemVocabulary::new();
    ["z", "a"].iter().for_each(|id| _ = known.add(id, 0));
    let opened = IndexedFolder::open(folder.0.path()).unwrap();
    let more = opened.dataset(PartName::Train, known, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(more.items.ids().collect::<Vec<_>>(), ["z", "a", "b", "39.0", "ä"]);
    assert_eq!(more.items.supports(), [0, 4, 1, 2, 1]);
    assert_eq!(named(&more), named(&folder.dataset(PartName::Train).unwrap()));
}

#[test]
fn other_parts_are_logs_of_ids_as_they_are_and_statistics_are_told() {
    let folder = Folder::of(&[&ROWS]);
    let prepared = PreparedFolder::open(folder.0.path()).unwrap();
    assert!(PartName::ALL.into_iter().all(|part| prepared.has_part(part)));
    let statistics = prepared.statistics();
    let counts = |counts: PartCounts| (counts.events, counts.sessions, counts.items);
    assert_eq!(counts(statistics.train), (8, 3, 4));
    assert_eq!(statistics.fit.map(counts), Some((5, 2, 4)));
    assert_eq!(statistics.dropped.len(), 2);
    assert_eq!(statistics.test_next_clicks.map(|clicks| clicks.unknown), Some(1));
    assert!(statistics.warnings.iter().any(|warning| warning.contains("2 rows without")), "{statistics:?}");
    let data = folder.dataset(PartName::Train).unwrap();
    let test = TestSessions::from_log(folder.log(PartName::TestAll), &data.items).unwrap();
    assert_eq!((test.sessions.iter().collect::<Vec<_>>(), test.next_clicks.unknown), (vec![&[1, 2][..]], 1));
    let error = EventLog::read(folder.0.path(), &ReadOptions::default(), &mut |_| ControlFlow::Continue(()));
    assert!(error.unwrap_err().to_string().contains("no whole log"));
}

#[test]
fn a_folder_that_is_incomplete_or_mixed_is_refused() {
    let mut counts = counts();
    let folder = Folder::of(&[&ROWS[..5]]);
    assert!(folder.refused().contains("5 events in 2 sessions"), "{}", folder.refused());
    let folder = Folder::of(&[&ROWS[..3], &ROWS[5..]]);
    assert!(folder.refused().contains("6 events in 3 sessions"), "{}", folder.refused());
    let folder = Folder::of(&[&ROWS[..2], &ROWS[5..]]);
    assert!(folder.refused().contains("event 0 of session 2 comes after event 1 of session 0"));
    let folder = Folder::of(&[&ROWS, &ROWS[5..]]);
    assert!(folder.refused().contains("a file is missing, or there twice"), "{}", folder.refused());
    let mut other = ROWS;
    other[7].2 = 0;
    assert!(Folder::of(&[&other]).refused().contains("parts are of two preparations"));
    other[7].2 = 4;
    assert!(Folder::of(&[&other]).refused().contains("no item 4"));
    let folder = Folder::of(&[&ROWS]);
    write_items(&folder.at("items/part-0.parquet"), &ITEMS[..3]);
    assert!(folder.refused().contains("3 items"));
    write_items(&folder.at("items/part-0.parquet"), &[("b", 1), ("a", 4), ("b", 2), ("ä", 1)]);
    assert!(folder.refused().contains("there twice"));

    let folder = Folder::of(&[&ROWS]);
    fs::create_dir(folder.at("train/_temporary")).unwrap();
    fs::remove_file(folder.at("train/_SUCCESS")).unwrap();
    assert!(matches!(folder.dataset(PartName::Train), Err(Error::Unfinished { .. })));
    let folder = Folder::of(&[&ROWS]);
    fs::remove_dir_all(folder.at("statistics")).unwrap();
    assert!(matches!(folder.dataset(PartName::Train), Err(Error::Unfinished { .. })));
    assert!(PreparedFolder::is_at(folder.0.path()), "an unfinished folder is one");
    counts[2].2 = i64::MAX;
    let folder = Folder::of(&[&ROWS]);
    write_statistics(&folder.at("statistics/part-0.parquet"), &counts);
    assert!(matches!(folder.dataset(PartName::Train), Err(Error::Memory { .. })));
    counts[0].2 = 2;
    let folder = Folder::of(&[&ROWS]);
    write_statistics(&folder.at("statistics/part-0.parquet"), &counts);
    assert!(folder.refused().contains("newer upnext"), "{}", folder.refused());
    fs::write(folder.at("statistics/part-0.parquet"), "PAR1").unwrap();
    assert!(folder.refused().contains("damaged"), "{}", folder.refused());
}

#[test]
fn an_observer_stops_the_reading() {
    let folder = Folder::of(&[&ROWS]);
    let opened = IndexedFolder::open(folder.0.path()).unwrap();
    let stopped = opened.dataset(PartName::Train, ItemVocabulary::new(), &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Stopped)));
}

/// The sessions of a source from a number on.
fn streamed(data: &Dataset, first: u64) -> Vec<(u64, Vec<ItemIndex>)> {
    let mut stream = data.source.as_ref().unwrap().from(first).unwrap();
    let (mut items, mut found) = (Vec::new(), Vec::new());
    while let Some(number) = stream.next(&mut items).unwrap() {
        found.push((number, items.clone()));
    }
    found
}

#[test]
fn data_on_a_disk_are_those_in_memory_from_any_session_on() {
    let (a, b) = ROWS.split_at(3);
    let (b, c) = b.split_at(1);
    // A session that is longer than its files, in files in which none begins.
    let long: Vec<Row> = (0..9).map(|place| (0, place, place % 4, DAY, false)).collect();
    let mut files: Vec<&[Row]> = long.chunks(2).collect();
    let last = [(1, 0, 1, DAY + 5, true), (1, 1, 1, DAY + 5, true), (2, 0, 0, DAY + 7, false)];
    files.push(&last);
    let giant = Folder::of(&files);
    write_items(&giant.at("items/part-0.parquet"), &[("b", 4), ("a", 4), ("39.0", 2), ("ä", 2)]);
    let mut counts = counts();
    (counts[2].2, counts[2].3, counts[5].2, counts[5].3) = (12, 3, 10, 2);
    write_statistics(&giant.at("statistics/part-0.parquet"), &counts);
    for folder in [Folder::of(&[&ROWS]), Folder::of(&[c, a, &[][..], b]), Folder::of(&[b, c, a]), giant] {
        let opened = IndexedFolder::open(folder.0.path()).unwrap();
        let mut known = ItemVocabulary::new();
        ["z", "39.0"].iter().for_each(|id| _ = known.add(id, 3));
        for (part, known) in [
            (PartName::Train, ItemVocabulary::new()),
            (PartName::Fit, ItemVocabulary::new()),
            (PartName::Train, known),
        ] {
            let read = |on_disk: bool| {
                let observe = &mut |_| ControlFlow::Continue(());
                let known = known.clone();
                if on_disk {
                    opened.dataset_on_disk(part, known, observe).unwrap()
                } else {
                    opened.dataset(part, known, observe).unwrap()
                }
            };
            let (memory, disk) = (read(false), read(true));
            assert_eq!(disk.counts(), memory.counts());
            assert_eq!(disk.items.fingerprint(), memory.items.fingerprint());
            assert_eq!(disk.items.supports(), memory.items.supports());
            let all: Vec<(u64, Vec<ItemIndex>)> =
                (0..).zip(memory.sessions.iter().map(<[_]>::to_vec)).collect();
            for first in 0..=all.len() + 1 {
                assert_eq!(
                    streamed(&disk, first as u64),
                    all[first.min(all.len())..],
                    "{part:?} from {first}"
                );
            }
        }
    }
}

#[test]
fn a_file_that_is_damaged_between_two_epochs_is_an_error() {
    let folder = Folder::of(&[&ROWS]);
    let opened = IndexedFolder::open(folder.0.path()).unwrap();
    let go_on = &mut |_| ControlFlow::Continue(());
    let data = opened.dataset_on_disk(PartName::Train, ItemVocabulary::new(), go_on).unwrap();
    let path = folder.at("train/part-0.parquet");
    fs::write(&path, vec![7; fs::metadata(&path).unwrap().len() as usize]).unwrap();
    let mut stream = data.source.as_ref().unwrap().from(0).unwrap();
    let error = stream.next(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("part-0.parquet") && error.contains("row group 1"), "{error}");
    let folder = Folder::of(&[&ROWS[..5]]);
    let opened = IndexedFolder::open(folder.0.path()).unwrap();
    let error =
        opened.dataset_on_disk(PartName::Train, ItemVocabulary::new(), go_on).unwrap_err().to_string();
    assert!(error.contains("5 events in 2 sessions"), "{error}");
}

//! Logs in every supported format, and every kind of damage that is refused.

use super::super::{ReadOptions, RowOrder};
use super::*;
use crate::data::time::TimeUnit;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read_with(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<EventLog> {
    let folder = Folder::new();
    EventLog::read(&folder.file(name, bytes), options, &mut |_| ControlFlow::Continue(()))
}

fn read(bytes: &[u8]) -> Result<EventLog> {
    read_with("log", bytes, &ReadOptions::default())
}

fn message(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn triples(log: &EventLog) -> Vec<(&str, &str, TimeMicros)> {
    log.events()
        .iter()
        .map(|e| (log.session_ids().get(e.session), log.item_ids().get(e.item), e.time))
        .collect()
}

const TSV: &[u8] = b"SessionId\tItemId\tTime\n1\ta\t1500000000.5\n2\tb\t1500000001\n1\tb\t1500000002\n";
const EXPECTED: [(&str, &str, TimeMicros); 3] =
    [("1", "a", 1_500_000_000_500_000), ("2", "b", 1_500_000_001_000_000), ("1", "b", 1_500_000_002_000_000)];

#[test]
fn compression_is_known_by_its_magic_and_members_are_joined() {
    let (head, tail) = TSV.split_at(40);
    let mut two_members = gzip(head);
    two_members.extend(gzip(tail));
    let mut two_frames = zstd::encode_all(head, 1).unwrap();
    two_frames.extend(zstd::encode_all(tail, 1).unwrap());
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend_from_slice(TSV);
    for bytes in [TSV.to_vec(), gzip(TSV), two_members, two_frames, marked] {
        assert_eq!(triples(&read_with("misleading.zip", &bytes, &ReadOptions::default()).unwrap()), EXPECTED);
    }
}

#[test]
fn every_truncation_of_a_compressed_log_names_the_file() {
    for (packed, format) in [(gzip(TSV), "gzip"), (zstd::encode_all(TSV, 1).unwrap(), "zstd")] {
        for length in 5..packed.len() {
            let error = read_with("clicks", &packed[..length], &ReadOptions::default()).unwrap_err();
            assert!(
                matches!(&error, Error::Truncated { path, format: f } if path.ends_with("clicks") && *f == format),
                "{length} bytes of {format}: {error}"
            );
        }
    }
}

#[test]
fn damaged_gzip_is_told_from_a_failing_disk() {
    let mut bytes = gzip(TSV);
    let checksum = bytes.len() - 6;
    bytes[checksum] ^= 0xff;
    assert!(matches!(read(&bytes), Err(Error::Damaged { format: "gzip", .. })));
}

#[test]
fn unreadable_kinds_of_files_say_what_to_do() {
    for (bytes, expected) in [
        (&b""[..], "the file is empty"),
        (b"\n\n  \n", "the file is empty"),
        (b"SessionId,ItemId,Time\n", "there is only a header line"),
        (b"PK\x03\x04....", "damaged zip data"),
        (b"Obj\x01", "Avro"),
        (b"PAR1 but no more", "damaged Parquet data"),
    ] {
        let message = message(bytes);
        assert!(message.contains(expected) && message.contains("/log: "), "{message}");
    }
}

#[test]
fn first_bad_row_is_named_and_the_others_are_counted() {
    let text =
        |bad: &[u8]| [&b"session,item,time\ns,i,1500000000\n"[..], bad, b"\ns,j,1500000009\n"].concat();
    for (bad, expected) in [
        (
            &b"s,i,yesterday"[..],
            "line 3: column 3 (time): \"yesterday\" is no time in seconds, as this log's other times are (times are read as ISO 8601",
        ),
        (b"s,i,yesterday\ns,i,\ns", "%d.%m.%y %H:%M); 2 more bad rows follow"),
        (b"s,i", "line 3: 2 fields where at least 3 are needed"),
        (b",i,1500000000", "line 3: column 1 (session) is empty"),
        (b"s,,1500000000", "line 3: column 2 (item) is empty"),
        (b"s,a\0b,1500000000", "line 3: column 2 (item) holds a NUL byte"),
        (b"\0\0\0", "line 3: the row holds a NUL byte"),
        (b"s\xff,i,1500000000", "line 3: column 1 (session) is not UTF-8"),
    ] {
        let message = message(&text(bad));
        assert!(message.contains(expected), "{message}");
        let options = ReadOptions { skip_bad_rows: true, ..ReadOptions::default() };
        let log = read_with("log", &text(bad), &options).unwrap();
        assert_eq!((log.len() as u64, log.report().rows()), (2, 2 + log.report().skipped_rows()));
        assert_eq!(log.report().skipped_rows(), bad.split(|&b| b == b'\n').count() as u64);
    }
}

#[test]
fn a_quote_left_open_is_suspected_at_the_line_that_opens_it() {
    let lines = b"s,j,1500000000\n".repeat(1000);
    let unclosed = [&b"session,item,time\ns,\"i,1500000000\n"[..], &lines].concat();
    let closed_late = [&unclosed[..], b"s,j\",1500000000\n"].concat();
    for text in [unclosed, closed_late] {
        let message = message(&text);
        assert!(message.contains("line 2: a field that begins here with a quotation mark"), "{message}");
    }
}

#[test]
fn only_bad_rows_are_no_log_even_when_skipped() {
    let options = ReadOptions { skip_bad_rows: true, ..ReadOptions::default() };
    let error = read_with("log", b"session,item,time\n,i,1500000000\n", &options).unwrap_err();
    assert!(matches!(error, Error::NoEvents { .. }), "{error}");
}

#[test]
fn users_are_cut_into_sessions_at_pauses() {
    let text =
        b"user,item,time\nu,a,1500000000\nv,a,1500000001\nu,b,1500001800\nu,c,1500003601\nu/1,d,1500000000\n";
    let options = ReadOptions { user_column: Some("user".into()), ..ReadOptions::default() };
    let log = read_with("log", text, &options).unwrap();
    let sessions: Vec<_> = triples(&log).into_iter().map(|(s, i, _)| (s, i)).collect();
    assert_eq!(sessions, [("u/1", "a"), ("u/1", "b"), ("u/2", "c"), ("v/1", "a"), ("u/1/1", "d")]);
}

#[test]
fn grouping_sorts_by_session_then_time_then_line() {
    let mut log = EventLog::new();
    for (session, item, time) in
        [("b", "1", 9), ("a", "2", 5), ("b", "3", 3), ("a", "4", 5), ("c", "5", 0), ("b", "6", 3)]
    {
        log.push(session, item, time);
    }
    log.group();
    let order: Vec<_> = triples(&log).into_iter().map(|(_, item, _)| item).collect();
    assert_eq!(order, ["3", "6", "1", "2", "4", "5"]);
}

#[test]
fn several_files_make_one_log_and_progress_reaches_the_end() {
    let folder = Folder::new();
    let paths = [folder.file("a", TSV), folder.file("b", &gzip(TSV))];
    let mut last = (0, 0);
    let log = EventLog::read_all(&paths, &ReadOptions::default(), &mut |progress| {
        let (done, total) = (progress.bytes, progress.total_bytes);
        assert!(done >= last.0 && done <= total, "{done} of {total} after {}", last.0);
        last = (done, total);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((log.len(), log.session_ids().len(), log.report().files.len()), (6, 2, 2));
    assert!(last.0 == last.1 && last.1 > 0);
}

#[test]
fn report_tells_what_was_decided() {
    let log = read(&gzip(b"7,2014-04-07T10:51:09.277Z,x,0\n7,2014-04-07T10:52:09.277Z,y,0\n")).unwrap();
    let file = &log.report().files[0];
    assert_eq!(
        (file.session.as_str(), file.item.as_str(), file.time.as_str()),
        ("column 1", "column 3", "column 2")
    );
    assert_eq!((file.header, file.time_unit, file.rows), (false, TimeUnit::Iso, 2));
    assert_eq!(file.compression.as_deref(), Some("gzip"));
}

#[test]
fn events_in_memory_make_the_log_of_the_same_file() {
    let file = read(TSV).unwrap();
    let log = EventLog::from_events(EXPECTED).unwrap();
    assert_eq!((log.events(), log.report().rows()), (file.events(), 0));
    let owned = EXPECTED.map(|(session, item, time)| (session.to_owned(), item.to_owned(), time));
    assert_eq!(EventLog::from_events(owned).unwrap().events(), file.events());
    let counter = EventLog::from_events([("s", "a", 0), ("s", "b", 1)]).unwrap();
    assert!(counter.report().warnings[0].contains("counter"), "{:?}", counter.report().warnings);
}

#[test]
fn events_that_are_none_are_named_by_position() {
    let long = "x".repeat(MAX_ID_BYTES + 1);
    for (event, expected) in [
        (("", "i"), "event 2, counted from 1: the session id is empty"),
        (("s", ""), "event 2, counted from 1: the item id is empty"),
        (("s", "a\0b"), "event 2, counted from 1: the item id holds a NUL character"),
        (
            (long.as_str(), "i"),
            "event 2, counted from 1: the session id is 4097 bytes long, and at most 4096 are allowed",
        ),
    ] {
        let error = EventLog::from_events([("s", "i", 0), (event.0, event.1, 1), ("", "", 2)]).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let none = std::iter::empty::<(&str, &str, TimeMicros)>();
    assert!(matches!(EventLog::from_events(none), Err(Error::NoEvents { .. })));
}

#[test]
fn by_ids_the_order_of_rows_does_not_matter() {
    let rows = ["b,x,7,1", "b,10,7,0", "a,9,7,5", "b,9,7,0", "a,10,6,0", "a,9,7,5", "B,z,7,0"];
    let mut options = ReadOptions { order: RowOrder::Ids, ..ReadOptions::default() };
    for with_order in [false, true] {
        options.order_column = Some(if with_order { "step" } else { "none" }.to_owned());
        let read = |rows: &[&str]| {
            let text = format!("session_id,item_id,time,step\n{}\n", rows.join("\n"));
            read_with("log.csv", text.as_bytes(), &options).unwrap()
        };
        let first = read(&rows);
        let expected = ["10", "9", "x"];
        assert_eq!(triples(&first)[4..].iter().map(|row| row.1).collect::<Vec<_>>(), expected);
        let sessions: Vec<&str> = triples(&first).iter().map(|row| row.0).collect();
        assert_eq!(sessions, ["B", "a", "a", "a", "b", "b", "b"]);
        let mut rows = rows.to_vec();
        for _ in 0..rows.len() {
            rows.rotate_left(1);
            let other = read(&rows);
            assert_eq!(triples(&other), triples(&first));
            assert_eq!(other.copies(), first.copies());
        }
        assert_eq!(first.copies(), [3]);
    }
}

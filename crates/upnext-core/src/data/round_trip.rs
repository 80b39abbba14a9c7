//! A random log, written in any format, in any order of rows, with rows whose ids are missing: what is read are its
//! sessions.

use super::source::tests::{utf16, zip_of};
use super::{EventLog, NULL_MARKERS, ReadOptions};
use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

/// 2024-03-20T01:18:54Z in seconds since 1970.
const MOMENT: i64 = 1_710_897_534;

/// A row: the session, the item (`None`: missing), and the time in seconds.
type Row = (String, Option<String>, i64);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text {
        delimiter: &'static str,
        quoted: bool,
        preamble: bool,
        index: bool,
        line_end: &'static str,
    },
    JsonLines,
    JsonArray,
    /// A session with an array of its events on every line.
    JsonSessions,
    Parquet,
    ArrowFile,
    ArrowStream,
}

#[derive(Clone, Copy, Debug)]
enum Pack {
    Plain,
    Gzip,
    Zip,
    Utf16,
    Utf8Mark,
}

/// How times are written: as text, and the type of typed columns.
#[derive(Clone, Copy, Debug)]
enum Times {
    Seconds,
    SecondsWithFraction,
    Millis,
    Micros,
    Nanos,
    Iso,
    Postgres,
    Rfc2822,
    Apache,
    Digits,
    DayFirst,
}

#[derive(Clone, Debug)]
struct Written {
    kind: Kind,
    pack: Pack,
    times: Times,
    names: [&'static str; 3],
    /// Whether the ids are numbers, and how they are written.
    numbers: Option<bool>,
    marker: &'static str,
}

fn written() -> impl Strategy<Value = Written> {
    let text = (
        prop::sample::select(vec![",", ";", "\t", "|", "::"]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["\n", "\r\n"]),
    )
        .prop_map(|(delimiter, quoted, preamble, index, line_end)| Kind::Text {
            delimiter,
            quoted,
            preamble,
            index,
            line_end,
        });
    let kind = prop_oneof![
        4 => text,
        1 => Just(Kind::JsonLines),
        1 => Just(Kind::JsonArray),
        1 => Just(Kind::JsonSessions),
        2 => Just(Kind::Parquet),
        1 => Just(Kind::ArrowFile),
        1 => Just(Kind::ArrowStream),
    ];
    let pack = prop::sample::select(vec![Pack::Plain, Pack::Gzip, Pack::Zip, Pack::Utf16, Pack::Utf8Mark]);
    use Times::*;
    let times = prop::sample::select(vec![
        Seconds,
        SecondsWithFraction,
        Millis,
        Micros,
        Nanos,
        Iso,
        Postgres,
        Rfc2822,
        Apache,
        Digits,
        DayFirst,
    ]);
    let names = prop::sample::select(vec![
        ["SessionId", "ItemId", "Time"],
        ["session_id", "item_id", "timestamp"],
        ["session_id:token", "item_id:token", "timestamp:float"],
        ["user_session", "product_id", "event_time"],
        ["context_session_id", "properties_product_id", "original_timestamp"],
        ["Sitzung", "Artikel", "Zeitpunkt"],
    ]);
    let markers: Vec<&str> = NULL_MARKERS.iter().copied().chain([""]).collect();
    let numbers = prop::option::of(any::<bool>());
    (kind, pack, times, names, numbers, prop::sample::select(markers)).prop_map(
        |(kind, pack, times, names, numbers, marker)| Written { kind, pack, times, names, numbers, marker },
    )
}

impl Times {
    fn text(self, seconds: i64) -> String {
        let shown =
            |format: &str| jiff::Timestamp::from_second(seconds).unwrap().strftime(format).to_string();
        match self {
            Self::Seconds => seconds.to_string(),
            Self::SecondsWithFraction => format!("{seconds}.0"),
            Self::Millis => (seconds * 1_000).to_string(),
            Self::Micros => (seconds * 1_000_000).to_string(),
            Self::Nanos => (seconds * 1_000_000_000).to_string(),
            Self::Iso => shown("%Y-%m-%dT%H:%M:%SZ"),
            Self::Postgres => shown("%Y-%m-%d %H:%M:%S.000000+00"),
            Self::Rfc2822 => shown("%a, %d %b %Y %H:%M:%S +0000"),
            Self::Apache => shown("[%d/%b/%Y:%H:%M:%S +0000]"),
            Self::Digits => shown("%Y%m%d%H%M%S"),
            Self::DayFirst => shown("%d.%m.%Y %H:%M:%S"),
        }
    }

    fn column(self, rows: &[Row]) -> ArrayRef {
        let scaled = |by: i64| rows.iter().map(move |row| Some(row.2 * by));
        match self {
            Self::Seconds => Arc::new(Int64Array::from_iter(scaled(1))),
            Self::SecondsWithFraction => {
                Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2 as f64)))
            }
            Self::Millis => Arc::new(TimestampMillisecondArray::from_iter(scaled(1_000))),
            Self::Micros => Arc::new(TimestampMicrosecondArray::from_iter(scaled(1_000_000))),
            Self::Nanos => Arc::new(TimestampNanosecondArray::from_iter(scaled(1_000_000_000))),
            _ => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| self.text(row.2)))),
        }
    }
}

impl Written {
    fn id(&self, id: &str, row: usize) -> String {
        match self.numbers {
            // A mixture, as of files that were joined.
            Some(true) if row.is_multiple_of(3) => format!("{id}.0"),
            Some(_) => id.to_owned(),
            None => format!("id {id}"),
        }
    }

    fn item(&self, item: Option<&String>, row: usize) -> String {
        item.map_or_else(|| self.marker.to_owned(), |item| self.id(item, row))
    }

    fn text(
        &self,
        rows: &[Row],
        (delimiter, quoted, preamble, index): (&str, bool, bool, bool),
        end: &str,
    ) -> String {
        let field = |text: &str| {
            if quoted || text.contains(delimiter) { format!("\"{text}\"") } else { text.to_owned() }
        };
        let mut lines = Vec::new();
        if preamble {
            lines.extend(["# exported by a shop".to_owned(), "# all rows".to_owned()]);
        }
        let line = |first: String, fields: [&str; 3]| {
            let mut all: Vec<String> = if index { vec![first] } else { Vec::new() };
            all.extend(fields.map(&field));
            all.join(delimiter)
        };
        lines.push(line(String::new(), self.names));
        for (at, (session, item, time)) in rows.iter().enumerate() {
            let (session, item) = (self.id(session, at), self.item(item.as_ref(), at));
            lines.push(line(at.to_string(), [&session, &item, &self.times.text(*time)]));
        }
        lines.join(end) + end
    }

    fn json(&self, rows: &[Row]) -> Vec<serde_json::Value> {
        let [session_name, item_name, time_name] = self.names.map(str::to_owned);
        let event = |at: usize, (_, item, time): &Row| {
            let item = item.as_ref().map(|item| self.id(item, at));
            let time = self.times.text(*time);
            let time = time.parse::<i64>().map_or_else(|_| time.clone().into(), serde_json::Value::from);
            serde_json::Map::from_iter([(item_name.clone(), item.into()), (time_name.clone(), time)])
        };
        let mut lines = Vec::new();
        if let Kind::JsonSessions = self.kind {
            let mut sessions: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
            for (at, row) in rows.iter().enumerate() {
                sessions.entry(&row.0).or_default().push(event(at, row).into());
            }
            for (at, (session, events)) in sessions.into_iter().enumerate() {
                let session = self.id(session, at);
                lines.push(serde_json::json!({ session_name.clone(): session, "events": events }));
            }
            return lines;
        }
        for (at, row) in rows.iter().enumerate() {
            let mut object = event(at, row);
            object.insert(session_name.clone(), self.id(&row.0, at).into());
            lines.push(object.into());
        }
        lines
    }

    fn batch(&self, rows: &[Row]) -> RecordBatch {
        let ids = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
            match self.numbers {
                // As pandas writes whole numbers beside missing ones.
                Some(true) => {
                    Arc::new(Float64Array::from_iter(rows.iter().map(|row| of(row)?.parse::<f64>().ok())))
                }
                Some(false) => {
                    Arc::new(Int64Array::from_iter(rows.iter().map(|row| of(row)?.parse::<i64>().ok())))
                }
                None => {
                    let text = |(at, row): (usize, &Row)| of(row).map(|id| self.id(&id, at));
                    Arc::new(StringArray::from_iter(rows.iter().enumerate().map(text)))
                }
            }
        };
        let columns = [ids(&|row| Some(row.0.clone())), ids(&|row| row.1.clone()), self.times.column(rows)];
        RecordBatch::try_from_iter(self.names.into_iter().zip(columns)).unwrap()
    }

    fn bytes(&self, rows: &[Row]) -> Vec<u8> {
        let lines =
            |values: &[serde_json::Value]| values.iter().map(|v| format!("{v}\n")).collect::<String>();
        let text = match self.kind {
            Kind::Text { delimiter, quoted, preamble, index, line_end } => {
                self.text(rows, (delimiter, quoted, preamble, index), line_end)
            }
            Kind::JsonLines | Kind::JsonSessions => lines(&self.json(rows)),
            Kind::JsonArray => serde_json::to_string(&self.json(rows)).unwrap(),
            Kind::Parquet | Kind::ArrowFile | Kind::ArrowStream => return self.columnar(rows),
        };
        match self.pack {
            Pack::Plain => text.into_bytes(),
            Pack::Utf8Mark => [&b"\xef\xbb\xbf"[..], text.as_bytes()].concat(),
            Pack::Utf16 => [vec![0xff, 0xfe], utf16(&text, false)].concat(),
            Pack::Zip => zip_of(&[("log.csv", text.as_bytes(), true)]),
            Pack::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(text.as_bytes()).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn columnar(&self, rows: &[Row]) -> Vec<u8> {
        let (batch, mut bytes) = (self.batch(rows), Vec::new());
        let schema = batch.schema();
        match self.kind {
            Kind::Parquet => {
                let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
                writer.write(&batch).unwrap();
                writer.close().unwrap();
            }
            Kind::ArrowFile => {
                let mut writer = arrow_ipc::writer::FileWriter::try_new(&mut bytes, &schema).unwrap();
                writer.write(&batch).unwrap();
                writer.finish().unwrap();
            }
            _ => {
                let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &schema).unwrap();
                writer.write(&batch).unwrap();
                writer.finish().unwrap();
            }
        }
        bytes
    }
}

/// Rows of some sessions in any order; at most one in four lacks its item, and no two of a session have the same time.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let session = prop::collection::vec((1..40_u32, 0..8_u32), 1..6);
    let sessions = prop::collection::btree_map(1..500_u32, session, 3..12);
    sessions
        .prop_map(|sessions| {
            let mut rows = Vec::new();
            for (session, events) in sessions {
                for (at, (item, missing)) in events.into_iter().enumerate() {
                    let item = (missing > 0 || at == 0).then(|| item.to_string());
                    rows.push((
                        session.to_string(),
                        item,
                        MOMENT + i64::from(session) * 997 + at as i64 * 60,
                    ));
                }
            }
            rows
        })
        .prop_shuffle()
}

proptest! {
    #[test]
    fn a_log_in_any_format_and_order_is_read_as_its_sessions(rows in rows(), written in written()) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        std::fs::write(&path, written.bytes(&rows)).unwrap();
        let options = ReadOptions { skip_bad_rows: true, ..ReadOptions::default() };
        let mut log = EventLog::read(&path, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        log.group();
        let mut read: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for event in log.events() {
            let (session, item) = (log.session_ids().get(event.session), log.item_ids().get(event.item));
            read.entry(session.to_owned()).or_default().push((item.to_owned(), event.time / 1_000_000));
        }
        let mut sorted = rows.clone();
        sorted.sort_by_key(|row| row.2);
        let plain = Written { numbers: written.numbers.map(|_| false), ..written.clone() };
        let mut expected: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for (session, item, time) in &sorted {
            if let Some(item) = item {
                expected.entry(plain.id(session, 0)).or_default().push((plain.id(item, 0), *time));
            }
        }
        prop_assert_eq!(read, expected);
        let missing = rows.iter().filter(|row| row.1.is_none()).count() as u64;
        prop_assert_eq!(log.report().skipped_rows(), missing);

        // Without leave to skip them, the first is an error that says so.
        if missing > 0 {
            let strict = EventLog::read(&path, &ReadOptions::default(), &mut |_| ControlFlow::Continue(()));
            let message = strict.unwrap_err().to_string();
            prop_assert!(message.contains("empty") || message.contains("missing"), "{}", message);
        }
    }
}

//! Columns of every type, in Parquet files and in record batches.

use crate::Result;
use crate::data::{EventLog, ReadOptions, TimeMicros};
use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, Date32Array, Date64Array, DictionaryArray, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_cast::cast;
use arrow_schema::DataType;
use std::ops::ControlFlow;
use std::sync::Arc;

type Columns<'a> = Vec<(&'a str, ArrayRef)>;

fn batch(columns: Columns<'_>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet(columns: Columns<'_>) -> Vec<u8> {
    let batch = batch(columns);
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn from_file(columns: Columns<'_>) -> Result<EventLog> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("log");
    std::fs::write(&path, parquet(columns)).unwrap();
    EventLog::read(&path, &ReadOptions::default(), &mut |_| ControlFlow::Continue(()))
}

#[cfg(feature = "arrow")]
fn from_batch(columns: Columns<'_>) -> Result<EventLog> {
    EventLog::from_batches([Ok(batch(columns))], &ReadOptions::default())
}

/// The log of these columns, read from a file and from a batch: both must be the same.
fn both(columns: Columns<'_>) -> Result<EventLog> {
    let file = from_file(columns.clone());
    #[cfg(feature = "arrow")]
    match (&file, from_batch(columns)) {
        (Ok(file), Ok(batch)) => assert_eq!(triples(file), triples(&batch)),
        (Err(_), Err(_)) => {}
        (file, batch) => panic!("{file:?} is not {batch:?}"),
    }
    file
}

fn triples(log: &EventLog) -> Vec<(&str, &str, TimeMicros)> {
    let triple =
        |e: &super::super::Event| (log.session_ids().get(e.session), log.item_ids().get(e.item), e.time);
    log.events().iter().map(triple).collect()
}

fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn times() -> ArrayRef {
    Arc::new(Int64Array::from(vec![1_500_000_000, 1_500_000_001, 1_500_000_002]))
}

fn dictionary(of: &ArrayRef) -> ArrayRef {
    let to = DataType::Dictionary(Box::new(DataType::Int8), Box::new(of.data_type().clone()));
    cast(of, &to).unwrap()
}

#[test]
fn ids_of_every_type_are_the_same_text() {
    let small: [ArrayRef; 8] = [
        Arc::new(Int8Array::from(vec![7, 8, 7])),
        Arc::new(Int16Array::from(vec![7, 8, 7])),
        Arc::new(Int32Array::from(vec![7, 8, 7])),
        Arc::new(Int64Array::from(vec![7, 8, 7])),
        Arc::new(UInt8Array::from(vec![7, 8, 7])),
        Arc::new(UInt16Array::from(vec![7, 8, 7])),
        Arc::new(UInt32Array::from(vec![7, 8, 7])),
        Arc::new(UInt64Array::from(vec![7, 8, 7])),
    ];
    let bytes: Vec<&[u8]> = vec![b"7", b"8", b"7"];
    let text: [ArrayRef; 6] = [
        texts(&["7", "8", "7"]),
        Arc::new(LargeStringArray::from(vec!["7", "8", "7"])),
        Arc::new(StringViewArray::from(vec!["7", "8", "7"])),
        Arc::new(BinaryArray::from(bytes.clone())),
        Arc::new(LargeBinaryArray::from(bytes.clone())),
        Arc::new(BinaryViewArray::from(bytes)),
    ];
    for ids in small.iter().chain(&text) {
        let mut forms = vec![ArrayRef::clone(ids)];
        // Parquet files have no dictionaries of numbers, and give the plain column back.
        if !matches!(ids.data_type(), DataType::Utf8View | DataType::BinaryView) {
            forms.push(dictionary(ids));
        }
        for form in forms {
            let kind = form.data_type().clone();
            let log = both(vec![("item", ArrayRef::clone(&form)), ("session", form), ("time", times())]);
            let log = log.unwrap_or_else(|error| panic!("{kind}: {error}"));
            let ids: Vec<_> = triples(&log).into_iter().map(|(s, i, _)| (s, i)).collect();
            assert_eq!(ids, [("7", "7"), ("8", "8"), ("7", "7")], "{kind}");
        }
    }
    let floats: [ArrayRef; 2] =
        [Arc::new(Float32Array::from(vec![1.5, 2.0])), Arc::new(Float64Array::from(vec![1.5, 2.0]))];
    for ids in floats {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![1_500_000_000; 2]));
        let log = both(vec![("item", ArrayRef::clone(&ids)), ("session", ids), ("time", times)]).unwrap();
        assert_eq!(log.item_ids().iter().collect::<Vec<_>>(), ["1.5", "2"]);
    }
    let largest: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let time: ArrayRef = Arc::new(Int64Array::from(vec![1_500_000_000]));
    let log = both(vec![("item", ArrayRef::clone(&largest)), ("session", largest), ("time", time)]).unwrap();
    assert_eq!(log.item_ids().get(0), u64::MAX.to_string());
}

#[test]
fn a_dictionary_gives_the_value_of_each_row_and_null_for_none() {
    let items = DictionaryArray::<Int8Type>::new(
        Int8Array::from(vec![Some(1), None, Some(0)]),
        Arc::new(Int64Array::from(vec![100, 200])),
    );
    let columns: Columns<'_> =
        vec![("item", Arc::new(items)), ("session", texts(&["s"; 3])), ("time", times())];
    let message = both(columns).unwrap_err().to_string();
    assert!(message.contains("row 2: column 1 (item) is empty. "), "{message}");
}

#[test]
fn times_of_every_type_and_zone_are_the_same_moment() {
    let seconds = [1_500_000_000_i64, -3, 1_500_000_002];
    let scaled = |by: i64| seconds.map(|s| s * by).to_vec();
    let typed: [ArrayRef; 8] = [
        Arc::new(TimestampSecondArray::from(scaled(1))),
        Arc::new(TimestampMillisecondArray::from(scaled(1_000))),
        Arc::new(TimestampMicrosecondArray::from(scaled(1_000_000))),
        Arc::new(TimestampNanosecondArray::from(scaled(1_000_000_000))),
        Arc::new(TimestampSecondArray::from(scaled(1)).with_timezone("UTC")),
        Arc::new(TimestampMillisecondArray::from(scaled(1_000)).with_timezone("+05:30")),
        Arc::new(TimestampMicrosecondArray::from(scaled(1_000_000)).with_timezone("-08:00")),
        Arc::new(TimestampNanosecondArray::from(scaled(1_000_000_000)).with_timezone("Europe/Berlin")),
    ];
    // The units of numbers are told by their size, so that all must be plausible times.
    let plausible = [1_500_000_000_i64, 1_400_000_003, 1_500_000_002];
    let scaled = |by: i64| plausible.map(|s| s * by).to_vec();
    let loose: [ArrayRef; 9] = [
        Arc::new(Int64Array::from(scaled(1))),
        Arc::new(Int64Array::from(scaled(1_000))),
        Arc::new(Int64Array::from(scaled(1_000_000_000))),
        Arc::new(Int32Array::from(vec![1_500_000_000, 1_400_000_003, 1_500_000_002])),
        Arc::new(Float64Array::from(vec![1.5e9, 1_400_000_003.0, 1_500_000_002.0])),
        texts(&["2017-07-14T02:40:00Z", "2014-05-13T16:53:23Z", "2017-07-14 02:40:02"]),
        Arc::new(LargeStringArray::from(vec!["1500000000", "1400000003", "1500000002"])),
        Arc::new(StringViewArray::from(vec!["1500000000", "1400000003", "1500000002"])),
        dictionary(&texts(&["1500000000", "1400000003", "1500000002"])),
    ];
    let typed = typed.into_iter().map(|time| (time, seconds));
    for (time, seconds) in typed.chain(loose.into_iter().map(|time| (time, plausible))) {
        let kind = time.data_type().clone();
        let log = both(vec![("item", texts(&["i"; 3])), ("session", texts(&["s"; 3])), ("time", time)]);
        let log = log.unwrap_or_else(|error| panic!("{kind}: {error}"));
        let times: Vec<_> = log.events().iter().map(|e| e.time).collect();
        assert_eq!(times, seconds.map(|s| s * 1_000_000), "{kind}");
    }
    let halves: ArrayRef =
        Arc::new(Float64Array::from(vec![1_500_000_000.5, 1_500_000_001.0, 1_500_000_002.0]));
    let log =
        both(vec![("item", texts(&["i"; 3])), ("session", texts(&["s"; 3])), ("time", halves)]).unwrap();
    assert_eq!(log.events()[0].time, 1_500_000_000_500_000);
    let dates: [ArrayRef; 2] = [
        Arc::new(Date32Array::from(vec![17_361, -1, 0])),
        Arc::new(Date64Array::from(vec![17_361 * 86_400_000, -86_400_000, 0])),
    ];
    for time in dates {
        let log =
            both(vec![("item", texts(&["i"; 3])), ("session", texts(&["s"; 3])), ("time", time)]).unwrap();
        let days: Vec<_> = log.events().iter().map(|e| e.time / 86_400_000_000).collect();
        assert_eq!(days, [17_361, -1, 0]);
    }
}

#[test]
fn times_beyond_all_calendars_and_nulls_are_bad_rows() {
    let beyond: [ArrayRef; 4] = [
        Arc::new(Date32Array::from(vec![17_361, i32::MAX, 0])),
        Arc::new(TimestampSecondArray::from(vec![0, i64::MAX, 0])),
        Arc::new(UInt64Array::from(vec![1_500_000_000, u64::MAX, 1_500_000_000])),
        Arc::new(Int64Array::from(vec![Some(1_500_000_000), None, Some(1_500_000_000)])),
    ];
    for time in beyond {
        let kind = time.data_type().clone();
        let log = both(vec![("item", texts(&["i"; 3])), ("session", texts(&["s"; 3])), ("time", time)]);
        let message = log.unwrap_err().to_string();
        assert!(
            message.contains("row 2: column 3 (time): \"") && message.contains("no time"),
            "{kind}: {message}"
        );
    }
    // The unit is told by the first time that there is.
    let late: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1_500_000_000_000)]));
    let two = |array: &ArrayRef| array.slice(0, 2);
    let columns: Columns<'_> =
        vec![("item", two(&texts(&["i"; 3]))), ("session", two(&texts(&["s"; 3]))), ("time", late)];
    let message = both(columns).unwrap_err().to_string();
    assert!(message.contains("\"null\" is no time in milliseconds"), "{message}");
}

#[test]
fn nulls_foreign_types_and_broken_text_are_named_by_row_and_column() {
    let items: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]));
    let times_with_null: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(1_500_000_000), Some(1_500_000_001), None]));
    let shown = |columns: Columns<'_>| both(columns).unwrap_err().to_string();
    let message = shown(vec![("session", texts(&["s"; 3])), ("item", items), ("time", times_with_null)]);
    assert!(message.contains("row 2: column 2 (item) is empty; 1 more bad row"), "{message}");
    let spans: ArrayRef = Arc::new(arrow_array::DurationSecondArray::from(vec![1, 2, 1]));
    let message = shown(vec![("session", spans), ("item", times()), ("time", times())]);
    assert!(message.contains("column session of type Duration"), "{message}");
    let flags: ArrayRef = Arc::new(arrow_array::BooleanArray::from(vec![true, false, true]));
    let message = shown(vec![("session", times()), ("item", times()), ("time", flags)]);
    assert!(message.contains("column 3 (time): \"true\" is no time"), "{message}");
    let broken: ArrayRef = Arc::new(BinaryArray::from(vec![&b"a"[..], b"\xff", b"b"]));
    let message = shown(vec![("session", broken), ("item", times()), ("time", times())]);
    assert!(message.contains("row 2: column 1 (session) is not UTF-8"), "{message}");
}

#[cfg(feature = "arrow")]
mod batches {
    use super::*;
    use arrow_schema::ArrowError;

    fn rows(sessions: std::ops::Range<i64>) -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(sessions.clone()));
        let items =
            dictionary(&(Arc::new(Int64Array::from_iter_values(sessions.map(|s| s % 5))) as ArrayRef));
        let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![1_500_000_000; ids.len()]));
        // A column in the way, so that positions matter.
        batch(vec![("time", time), ("shop", ArrayRef::clone(&ids)), ("item", items), ("session", ids)])
    }

    #[test]
    fn many_batches_and_one_large_one_give_the_same_log() {
        let options = ReadOptions::default();
        let n = 3 * crate::parquet::BATCH_ROWS as i64 + 7;
        let one = EventLog::from_batches([Ok(rows(0..n))], &options).unwrap();
        let cuts = [0, 0, 1, 40_000, 40_000, n];
        let many = EventLog::from_batches(cuts.windows(2).map(|w| Ok(rows(w[0]..w[1]))), &options).unwrap();
        assert_eq!((one.len() as i64, one.events()), (n, many.events()));
        assert_eq!(triples(&one)[40_000], ("40000", "0", 1_500_000_000_000_000));
        let file = &many.report().files[0];
        assert_eq!((file.format.as_str(), file.rows as i64), ("Arrow", n));
        assert_eq!(file.session, "column 4 (session)");
    }

    #[test]
    fn what_is_wrong_with_a_batch_is_told_with_its_position() {
        let options = ReadOptions::default();
        let message = |batches: Vec<std::result::Result<RecordBatch, ArrowError>>| {
            EventLog::from_batches(batches, &options).unwrap_err().to_string()
        };
        let failed = Err(ArrowError::ComputeError("the engine stopped".into()));
        let shown = message(vec![Ok(rows(0..2)), failed]);
        assert!(
            shown.starts_with("record batch 2, counted from 1: ") && shown.contains("the engine stopped"),
            "{shown}"
        );
        let other = batch(vec![("time", times()), ("item", times()), ("session", times())]);
        let shown = message(vec![Ok(rows(0..2)), Ok(other)]);
        assert!(shown.contains("record batch 2") && shown.contains("time, item, session"), "{shown}");
        let shown = message(vec![Ok(batch(vec![("time", times()), ("session", times())]))]);
        assert!(shown.starts_with("record batches: no item column"), "{shown}");
        for none in [vec![], vec![Ok(rows(0..0))]] {
            let shown = message(none);
            assert!(shown.starts_with("record batches: there is no row"), "{shown}");
        }
    }

    #[test]
    fn options_name_columns_and_cut_users_into_sessions() {
        let mut options = ReadOptions { user_column: Some("shop".into()), ..ReadOptions::default() };
        let ids = |options: &ReadOptions| -> Vec<String> {
            let log = EventLog::from_batches([Ok(rows(3..5))], options).unwrap();
            log.session_ids().iter().map(str::to_owned).collect()
        };
        assert_eq!(ids(&options), ["3/3", "4/4"], "with the session column");
        options.session_gap = Some("30m".parse().unwrap());
        assert_eq!(ids(&options), ["3/1", "4/1"]);
    }
}

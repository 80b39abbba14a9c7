//! Nested columns and further types.

use super::*;
use arrow_array::builder::{
    FixedSizeBinaryBuilder, FixedSizeListBuilder, Int64Builder, LargeListBuilder, ListBuilder, StringBuilder,
};
use arrow_array::types::Int8Type;
use arrow_array::{
    Decimal128Array, Decimal256Array, DictionaryArray, Int64Array, ListArray, RecordBatch, StructArray,
};
use arrow_cast::display::array_value_to_string;

fn list(rows: &[Option<&[Option<i64>]>]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>(
        rows.iter().map(|row| row.map(<[Option<i64>]>::to_vec)),
    ))
}

fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn numbers(numbers: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(numbers))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn names(batch: &RecordBatch) -> Vec<String> {
    leaves(&batch.schema(), |_| false).into_iter().map(|leaf| leaf.name).collect()
}

fn rows_of(batch: &RecordBatch, chosen: &[&str]) -> Rows {
    let leaves = leaves(&batch.schema(), |_| false);
    let chosen: Vec<&Leaf> =
        chosen.iter().map(|name| leaves.iter().find(|leaf| leaf.name == *name).unwrap()).collect();
    rows(batch, &chosen).unwrap()
}

fn shown(rows: &Rows) -> Vec<String> {
    let cell = |array: &ArrayRef, row: usize| match array.is_null(row) {
        true => "-".to_owned(),
        false => array_value_to_string(array, row).unwrap(),
    };
    (0..rows.len)
        .map(|row| {
            let cells: Vec<String> = rows.columns.iter().map(|array| cell(array, row)).collect();
            format!("{}: {}", rows.origin(row), cells.join(" "))
        })
        .collect()
}

#[test]
fn lists_of_one_row_go_together_and_other_columns_are_repeated() {
    let items = list(&[Some(&[Some(1), None]), Some(&[]), Some(&[Some(3)]), None, Some(&[Some(5), Some(6)])]);
    let times = list(&[Some(&[Some(10), Some(11)]), Some(&[]), Some(&[Some(12), Some(13)]), None, None]);
    let sessions = texts(&["a", "b", "c", "d", "e"]);
    let batch = batch(vec![("items", items), ("s", sessions), ("times", times)]);
    assert_eq!(names(&batch), ["items", "s", "times"]);
    let rows = rows_of(&batch, &["s", "items", "times"]);
    assert_eq!(shown(&rows), ["0: a 1 10", "0: a - 11", "3: d - -", "4: e 5 -", "4: e 6 -"]);
    let [(2, problem)] = &rows.bad[..] else { panic!("{:?}", rows.bad) };
    assert_eq!(problem.to_string(), "lists of different lengths: items has 1 elements, and times has 2");
    // A column that is not chosen decides nothing.
    assert_eq!(shown(&rows_of(&batch, &["s"])).len(), 5);
    assert_eq!(rows_of(&batch, &["items"]).bad, []);
    // A slice of a batch has its own rows.
    let rows = rows_of(&batch.slice(3, 2), &["s", "items"]);
    assert_eq!(shown(&rows), ["0: d -", "1: e 5", "1: e 6"]);
}

#[test]
fn every_kind_of_list_is_read() {
    let mut large = LargeListBuilder::new(StringBuilder::new());
    large.append_value([Some("x"), Some("y")]);
    large.append_null();
    large.append_value([None::<&str>]);
    let mut fixed = FixedSizeListBuilder::new(Int64Builder::new(), 2);
    for (numbers, valid) in [([1, 2], true), ([0, 0], false), ([3, 4], true)] {
        fixed.values().append_slice(&numbers);
        fixed.append(valid);
    }
    let batch = batch(vec![("large", Arc::new(large.finish())), ("fixed", Arc::new(fixed.finish()))]);
    assert_eq!(shown(&rows_of(&batch, &["large"])), ["0: x", "0: y", "1: -", "2: -"]);
    assert_eq!(shown(&rows_of(&batch, &["fixed"])), ["0: 1", "0: 2", "1: -", "2: 3", "2: 4"]);
    assert_eq!(shown(&rows_of(&batch.slice(1, 2), &["fixed"])), ["0: -", "1: 3", "1: 4"]);
    assert_eq!(rows_of(&batch, &["large", "fixed"]).bad.len(), 1);
}

/// A struct of these fields, null in some rows.
fn structs(fields: Vec<(&str, ArrayRef)>, valid: Vec<bool>) -> ArrayRef {
    let (fields, arrays): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    Arc::new(StructArray::new(fields.into(), arrays, Some(valid.into())))
}

#[test]
fn fields_of_structs_are_columns_by_their_paths() {
    let page = structs(vec![("url", texts(&["u", "v", "w"]))], vec![true, true, false]);
    let event =
        structs(vec![("id", numbers([Some(1), Some(2), Some(3)])), ("page", page)], vec![true, false, true]);
    let batch = batch(vec![("event", event), ("n", numbers([Some(7), Some(8), Some(9)]))]);
    assert_eq!(names(&batch), ["event.id", "event.page.url", "n"]);
    assert_eq!(
        shown(&rows_of(&batch, &["n", "event.page.url", "event.id"])),
        ["0: 7 u 1", "1: 8 - -", "2: 9 - 3"]
    );
}

#[test]
fn lists_of_structs_are_read_as_sessions_with_events() {
    let events = structs(
        vec![("aid", numbers((1..=4).map(Some))), ("ts", numbers((11..=14).map(Some)))],
        vec![true, true, false, true],
    );
    let field = Arc::new(Field::new("element", events.data_type().clone(), true));
    let pairs: &[Option<i64>] = &[None, None];
    let offsets = list(&[Some(pairs), Some(&[]), Some(pairs)]).as_list::<i32>().offsets().clone();
    let list = ListArray::new(field, offsets, events, None);
    let batch = batch(vec![("session", numbers([Some(1), Some(2), Some(3)])), ("events", Arc::new(list))]);
    assert_eq!(names(&batch), ["session", "events.aid", "events.ts"]);
    let rows = rows_of(&batch, &["session", "events.ts", "events.aid"]);
    assert_eq!(shown(&rows), ["0: 1 11 1", "0: 1 12 2", "2: 3 - -", "2: 3 14 4"]);
}

#[test]
fn a_list_in_a_list_is_one_column_that_keeps_its_type() {
    let mut lists = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
    lists.values().append_value([Some(1)]);
    lists.append(true);
    let batch = batch(vec![("x", Arc::new(lists.finish()))]);
    assert_eq!(names(&batch), ["x"]);
    assert!(matches!(rows_of(&batch, &["x"]).columns[0].data_type(), DataType::List(_)));
}

fn all(array: &ArrayRef) -> Vec<String> {
    (0..array.len()).map(|row| array_value_to_string(array, row).unwrap()).collect()
}

#[test]
fn decimals_are_integers_or_text() {
    let ids: ArrayRef =
        Arc::new(Decimal128Array::from(vec![Some(39), None]).with_precision_and_scale(38, 0).unwrap());
    let read = readable(&ids, false);
    assert_eq!((read.data_type(), all(&read)), (&DataType::Int64, vec!["39".to_owned(), String::new()]));
    let large = 123_456_789_012_345_678_901_234_i128;
    let ids: ArrayRef =
        Arc::new(Decimal128Array::from(vec![large, 7]).with_precision_and_scale(38, 0).unwrap());
    assert_eq!(all(&readable(&ids, false)), [&large.to_string(), "7"]);
    let times: ArrayRef = Arc::new(
        Decimal128Array::from(vec![1_500_000_000_250_i128]).with_precision_and_scale(18, 3).unwrap(),
    );
    assert_eq!(all(&readable(&times, false)), ["1500000000.250"]);
    let wide = cast(&times, &DataType::Decimal256(60, 3)).unwrap();
    assert!(wide.as_any().is::<Decimal256Array>());
    assert_eq!(all(&readable(&wide, false)), ["1500000000.250"]);
    let dictionary = cast(&ids, &DataType::Utf8).unwrap();
    let dictionary: DictionaryArray<Int8Type> = dictionary.as_string::<i32>().iter().collect();
    assert_eq!(all(&readable(&(Arc::new(dictionary) as ArrayRef), false)), [&large.to_string(), "7"]);
}

#[test]
fn uuids_are_groups_of_digits_and_other_bytes_stay_bytes() {
    let mut bytes = FixedSizeBinaryBuilder::new(16);
    bytes.append_value(0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e_u128.to_be_bytes()).unwrap();
    bytes.append_null();
    let array: ArrayRef = Arc::new(bytes.finish());
    assert_eq!(all(&readable(&array, true)), ["0f8fad5b-d9cb-469f-a165-70867728950e", ""]);
    assert_eq!(readable(&array, false).data_type(), &DataType::Binary);
    let marked = Field::new("id", DataType::FixedSizeBinary(16), true)
        .with_metadata([("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())]);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![marked])), vec![array]).unwrap();
    let rows = rows_of(&batch, &["id"]);
    assert_eq!(shown(&rows), ["0: 0f8fad5b-d9cb-469f-a165-70867728950e", "1: -"]);
}

#[test]
fn leaves_are_numbered_as_in_a_parquet_file() {
    use parquet::file::properties::WriterProperties;
    let deep =
        structs(vec![("a", numbers([Some(1)])), ("b", list(&[Some(&[Some(2), Some(3)])]))], vec![true]);
    let mut nested = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
    nested.append_null();
    let batch = batch(vec![("s", deep), ("l", Arc::new(nested.finish())), ("id", texts(&["x"]))]);
    let mut bytes = Vec::new();
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::BROTLI(Default::default()))
        .build();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let size = bytes.len() as u64;
    let file = crate::parquet::ParquetFile::open(bytes::Bytes::from(bytes), size).unwrap();
    let asked = std::cell::RefCell::new(Vec::new());
    let leaves = leaves(file.schema(), |leaf| {
        asked.borrow_mut().push(leaf);
        leaf == 3
    });
    assert_eq!(*asked.borrow(), [0, 1, 2, 3]);
    let shown: Vec<_> =
        leaves.iter().map(|leaf| (leaf.name.as_str(), leaf.root, leaf.in_list, leaf.is_uuid)).collect();
    assert_eq!(
        shown,
        [("s.a", 0, false, false), ("s.b", 0, true, false), ("l", 1, true, false), ("id", 2, false, true)]
    );
    // Brotli is decompressed, and a struct of the file is read as one of memory.
    let chosen: Vec<&Leaf> = [&leaves[0], &leaves[1], &leaves[3]].to_vec();
    let batch = file.batches([0, 2]).unwrap().next().unwrap().unwrap();
    let rows = rows(&batch, &chosen).unwrap();
    assert_eq!(super::tests::shown(&rows), ["0: 1 2 x", "0: 1 3 x"]);
}

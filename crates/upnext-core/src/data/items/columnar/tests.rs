//! Item tables from Parquet: every type of column, what is refused, and a table's own file.

use super::super::tests::read_file;
use super::super::{ColumnType, ItemTable, ItemTableOptions, RepeatedItem};
use ::parquet::arrow::ArrowWriter;
use arrow_array::builder::{
    BooleanBuilder, FixedSizeListBuilder, Float32Builder, Float64Builder, Int32Builder, LargeListBuilder,
    ListBuilder, StringBuilder, StringDictionaryBuilder,
};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, TimestampMillisecondArray,
};
use std::path::Path;
use std::sync::Arc;

fn file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Values of one item: a text, a number, categories and a vector.
pub(in super::super) type Row = (String, Option<f64>, Vec<&'static str>, Option<[f32; 3]>);

/// A file with the rows of the random tables, as another program writes it.
pub(in super::super) fn parquet_of(rows: &[Row], id: impl Fn(usize) -> String) -> Vec<u8> {
    let ids = StringArray::from_iter_values((0..rows.len()).map(id));
    let texts = LargeStringArray::from_iter_values(rows.iter().map(|row| &row.0));
    let numbers = Float64Array::from_iter(rows.iter().map(|row| row.1));
    let mut tags = ListBuilder::new(StringBuilder::new());
    let mut vectors = FixedSizeListBuilder::new(Float32Builder::new(), 3);
    for (_, _, names, vector) in rows {
        names.iter().for_each(|name| tags.values().append_value(name));
        tags.append(true);
        vectors.values().append_slice(&vector.unwrap_or_default());
        vectors.append(vector.is_some());
    }
    file(vec![
        ("item", Arc::new(ids)),
        ("text", Arc::new(texts)),
        ("number", Arc::new(numbers)),
        ("tags", Arc::new(tags.finish())),
        ("vector", Arc::new(vectors.finish())),
    ])
}

fn read_as(bytes: &[u8], change: impl FnOnce(&mut ItemTableOptions)) -> Result<ItemTable, String> {
    read_file("items.parquet", bytes, change)
}

fn ids(count: i64) -> (&'static str, ArrayRef) {
    ("item_id", Arc::new(Int64Array::from_iter_values(1..=count)))
}

/// Lists of texts of three items: two names, null, and a null beside a name.
fn lists(of: &str) -> ArrayRef {
    let mut short = ListBuilder::new(StringBuilder::new());
    let mut long = LargeListBuilder::new(StringBuilder::new());
    for names in [Some([Some("a"), Some("b")]), None, Some([None, Some("a")])] {
        short.append_option(names);
        long.append_option(names);
    }
    if of == "long" { Arc::new(long.finish()) } else { Arc::new(short.finish()) }
}

#[test]
fn every_type_of_column_has_one_of_the_table() {
    let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
    dictionary.append_value("x");
    dictionary.append_value("y");
    dictionary.append_null();
    let mut truth = BooleanBuilder::new();
    truth.append_option(Some(true));
    truth.append_option(Some(false));
    truth.append_option(None);
    let mut doubles = ListBuilder::new(Float64Builder::new());
    doubles.append_value([Some(0.5), Some(-2.0)]);
    doubles.append_null();
    doubles.append_value([Some(1.0), Some(1.5)]);
    let mut whole = ListBuilder::new(Int32Builder::new());
    whole.append_value([Some(3), Some(4)]);
    whole.append_null();
    whole.append_value([Some(4)]);
    let mut fixed = FixedSizeListBuilder::new(Int32Builder::new(), 2);
    for values in [[1, 2], [0, 0], [3, 4]] {
        fixed.values().append_slice(&values);
        fixed.append(values != [0, 0]);
    }
    let bytes = file(vec![
        ("text", Arc::new(StringArray::from(vec![Some(" 007 "), None, Some("")])) as ArrayRef),
        ids(3),
        ("dictionary", Arc::new(dictionary.finish())),
        ("whole", Arc::new(Int64Array::from(vec![Some(-7), None, Some(1 << 40)]))),
        ("float", Arc::new(Float64Array::from(vec![Some(0.25), Some(f64::NAN), None]))),
        ("truth", Arc::new(truth.finish())),
        ("short", lists("short")),
        ("long", lists("long")),
        ("doubles", Arc::new(doubles.finish())),
        ("codes", Arc::new(whole.finish())),
        ("fixed", Arc::new(fixed.finish())),
        ("day", Arc::new(Date32Array::from(vec![Some(0), None, Some(16_000)]))),
        (
            "time",
            Arc::new(
                TimestampMillisecondArray::from(vec![Some(1), None, None]).with_timezone("Europe/Berlin"),
            ),
        ),
    ]);
    let table = read_as(&bytes, |_| ()).unwrap();
    let shown: Vec<_> = table
        .columns()
        .iter()
        .map(|column| {
            let values = [0, 1, 2].map(|row| match column.vector(row) {
                Some(vector) => format!("{vector:?}"),
                None => column.shown(row).map_or("-".to_owned(), |text| text.into_owned()),
            });
            (column.name(), column.column_type().name(), values.join(" · "))
        })
        .collect();
    let expected = [
        ("text", "text", "007 · - · -"),
        ("dictionary", "categories", "x · y · -"),
        ("whole", "number", "-7 · - · 1099511627776"),
        ("float", "number", "0.25 · - · -"),
        ("truth", "categories", "true · false · -"),
        ("short", "categories", "a, b · - · a"),
        ("long", "categories", "a, b · - · a"),
        ("doubles", "vector", "[0.5, -2.0] · - · [1.0, 1.5]"),
        ("codes", "categories", "3, 4 · - · 4"),
        ("fixed", "vector", "[1.0, 2.0] · - · [3.0, 4.0]"),
        ("day", "text", "1970-01-01 · - · 2013-10-22"),
        ("time", "text", "1970-01-01T00:00:00.001 · - · -"),
    ];
    assert_eq!(shown, expected.map(|(name, of, values)| (name, of, values.to_owned())));
    assert_eq!((table.row("3"), table.row("4")), (Some(2), None));
}

#[test]
fn a_column_becomes_the_type_that_is_asked_for_or_is_refused() {
    let mut whole = ListBuilder::new(Int32Builder::new());
    whole.append_value([Some(3), Some(4)]);
    let bytes = file(vec![
        ids(1),
        ("n", Arc::new(Int64Array::from(vec![7]))),
        ("t", Arc::new(StringArray::from(vec!["5"]))),
        ("b", Arc::new(BooleanArray::from(vec![true]))),
        ("l", Arc::new(whole.finish())),
    ]);
    use ColumnType::{Categories, Number, Text, Vector};
    for (name, wanted, expected) in [
        ("n", Text, "7"),
        ("n", Categories, "7"),
        ("t", Number, "5"),
        ("t", Categories, "5"),
        ("t", Vector, "[5.0]"),
        ("b", Number, "1"),
        ("b", Text, "true"),
        ("l", Vector, "[3.0, 4.0]"),
    ] {
        let table = read_as(&bytes, |options| _ = options.types.insert(name.to_owned(), wanted)).unwrap();
        let column = table.column(name).unwrap();
        assert_eq!(column.column_type(), wanted, "{name}");
        let value = column.vector(0).map(|vector| format!("{vector:?}"));
        assert_eq!(value.as_deref().unwrap_or(&column.shown(0).unwrap_or_default()), expected, "{name}");
    }
    let text = read_as(&bytes, |options| options.other_types = Some(Text)).unwrap();
    let types: Vec<_> = text.columns().iter().map(|column| column.column_type()).collect();
    assert_eq!(types, [Text, Text, Text, Categories], "a list cannot be a text");
    for (name, wanted) in [("n", Vector), ("b", Vector), ("l", Text), ("l", Number)] {
        let refused =
            read_as(&bytes, |options| _ = options.types.insert(name.to_owned(), wanted)).unwrap_err();
        assert!(
            refused.contains(&format!("column `{name}` of type")) && refused.contains("another type"),
            "{refused}"
        );
    }
}

#[test]
fn what_is_wrong_is_named_with_row_and_column() {
    let text = |values: Vec<Option<&'static str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let vectors = |rows: &[&[Option<f64>]]| {
        let mut lists = ListBuilder::new(Float64Builder::new());
        rows.iter().for_each(|row| lists.append_value(row.iter().copied()));
        Arc::new(lists.finish()) as ArrayRef
    };
    let two = [Some(1.0), Some(2.0)];
    for (columns, message) in [
        (
            vec![("a", text(vec![None])), ("b", text(vec![None]))],
            "items.parquet: no column of ids: none is called",
        ),
        (vec![("id", text(vec![Some("1"), None]))], "items.parquet: row 2: column `id`: empty"),
        (vec![("id", text(vec![Some("a\0")]))], "items.parquet: row 1: column `id`: the id has a NUL"),
        (
            vec![
                ("id", text(vec![Some("1"), Some("2"), Some("1")])),
                ("t", text(vec![None, None, Some("x")])),
            ],
            "items.parquet: row 3: column `id`: `1` stands in row 1 too, with another `t`",
        ),
        (
            vec![ids(2), ("n", Arc::new(Float64Array::from(vec![1.0, f64::INFINITY])))],
            "items.parquet: row 2: column `n`: inf is no finite number",
        ),
        (
            vec![ids(2), ("v", vectors(&[&two, &[Some(1.0)]]))],
            "items.parquet: row 2: column `v`: a vector of 1 numbers, where those before have 2",
        ),
        (
            vec![ids(1), ("v", vectors(&[&[Some(1.0), None]]))],
            "items.parquet: row 1: column `v`: the vector has NaN",
        ),
        (
            vec![ids(1), ("v", vectors(&[&[Some(1e300)]]))],
            "items.parquet: row 1: column `v`: the vector has inf",
        ),
        (
            vec![ids(1), ("raw", Arc::new(BinaryArray::from(vec![&b"x"[..]])))],
            "items.parquet: column `raw` of type Binary cannot be read: items have",
        ),
        (
            vec![("id", Arc::new(BooleanArray::from(vec![true])) as ArrayRef)],
            "items.parquet: column `id` of type Boolean cannot be read: ids are",
        ),
    ] {
        let refused = read_as(&file(columns), |_| ()).unwrap_err();
        assert!(refused.starts_with(message), "{refused}");
    }
    // A column that cannot be read hinders nobody who leaves it out.
    let bytes = file(vec![
        ids(1),
        ("raw", Arc::new(BinaryArray::from(vec![&b"x"[..]]))),
        ("t", text(vec![Some("y")])),
    ]);
    let table = read_as(&bytes, |options| options.columns = vec!["t".to_owned()]).unwrap();
    assert_eq!(table.column("t").unwrap().text(0), Some("y"));
    assert!(read_as(&bytes[..bytes.len() - 5], |_| ()).unwrap_err().contains("damaged Parquet"));
}

#[test]
fn the_last_of_repeated_vectors_and_lists_is_kept() {
    let mut vectors = ListBuilder::new(Float64Builder::new());
    vectors.append_value([Some(1.0), Some(2.0)]);
    vectors.append_null();
    vectors.append_null();
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("old")]);
    tags.append_value([Some("b")]);
    tags.append_value([Some("a"), Some("b")]);
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["1", "2", "1"]));
    let bytes = file(vec![("id", ids), ("v", Arc::new(vectors.finish())), ("tags", Arc::new(tags.finish()))]);
    let table = read_as(&bytes, |options| options.repeated = RepeatedItem::KeepLast).unwrap();
    let (vector, tags) = (table.column("v").unwrap(), table.column("tags").unwrap());
    assert_eq!((vector.vector(0), vector.width()), (None, 0));
    assert_eq!(tags.category_names().collect::<Vec<_>>(), ["a", "b"]);
    let mut bytes = Vec::new();
    table.to_parquet(&mut bytes).unwrap();
    assert_eq!(ItemTable::from_parquet(bytes, Path::new("x")).unwrap(), table);
}

#[test]
fn a_file_that_is_no_table_of_a_model_is_damage() {
    let from =
        |bytes: Vec<u8>| ItemTable::from_parquet(bytes, Path::new("a.parquet")).unwrap_err().to_string();
    assert!(from(b"PAR1".to_vec()).starts_with("a.parquet: damaged Parquet data"));
    let foreign = from(file(vec![ids(1)]));
    assert!(foreign.contains("it has no metadata `upnext.items`"), "{foreign}");
    let table = read_as(&file(vec![ids(40)]), |_| ()).unwrap();
    let mut bytes = Vec::new();
    table.to_parquet(&mut bytes).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        // Whatever is read has as many items as rows; most is refused.
        if let Ok(table) = ItemTable::from_parquet(damaged, Path::new("a.parquet")) {
            assert!(table.len() <= 40);
        }
    }
}

#[cfg(feature = "arrow")]
#[test]
fn record_batches_give_the_table_of_a_parquet_file() {
    use arrow_array::RecordBatchIterator;
    use arrow_schema::ArrowError;
    let batch = |ids: [i64; 2], tags: [Option<&str>; 2], price: [f64; 2]| {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("tag", Arc::new(StringArray::from(tags.to_vec()))),
            ("unread", Arc::new(StringArray::from(vec!["", "x"]))),
            ("sku", Arc::new(Int64Array::from(ids.to_vec()))),
            ("price", Arc::new(Float64Array::from(price.to_vec()))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap()
    };
    let batches = [
        batch([7, 8], [Some("a"), Some("a")], [1.5, f64::NAN]),
        batch([9, 10], [Some("b"), None], [2.0, 3.0]),
    ];
    let options = ItemTableOptions {
        columns: vec!["price".to_owned(), "tag".to_owned()],
        types: [("tag".to_owned(), ColumnType::Categories)].into(),
        ..ItemTableOptions::default()
    };
    let reader = |batches: Vec<Result<RecordBatch, ArrowError>>| {
        let schema = batches[0].as_ref().unwrap().schema();
        ItemTable::from_batches(RecordBatchIterator::new(batches, schema), &options)
    };
    let read = reader(batches.iter().cloned().map(Ok).collect()).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batches[0].schema(), None).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
    let of_file = read_file("items.parquet", bytes, |change| *change = options.clone()).unwrap();
    assert_eq!(read, of_file);
    assert_eq!((read.len(), read.columns().len(), read.column("price").unwrap().missing()), (4, 2, 1));
    let broken = vec![Ok(batches[0].clone()), Err(ArrowError::ComputeError("the cable is cut".to_owned()))];
    let error = reader(broken).unwrap_err().to_string();
    assert!(error.contains('2') && error.contains("the cable is cut"), "{error}");
    let twice = vec![Ok(batches[0].clone()), Ok(batch([8, 7], [None, None], [0.0, 0.0]))];
    let error = reader(twice).unwrap_err().to_string();
    assert!(error.contains("record batches") && error.contains("row 3"), "{error}");
}

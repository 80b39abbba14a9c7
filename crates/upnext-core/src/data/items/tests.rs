//! Item tables from text files: what is read, what is refused, and that Parquet gives the same.

use super::*;
use crate::Error;
use crate::data::{ItemVocabulary, Quote};
use columnar::tests::Row;
use proptest::prelude::*;
use std::io::Write as _;
use std::result::Result;

/// Reads a file of this name and these bytes; errors name it without its folder.
pub(crate) fn read_file(
    name: &str,
    bytes: impl AsRef<[u8]>,
    change: impl FnOnce(&mut ItemTableOptions),
) -> Result<ItemTable, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut options = ItemTableOptions::default();
    change(&mut options);
    let short = |error: Error| error.to_string().replace(&format!("{}/", dir.path().display()), "");
    ItemTable::read(&path, &options).map_err(short)
}

fn read_as(text: impl AsRef<[u8]>, change: impl FnOnce(&mut ItemTableOptions)) -> Result<ItemTable, String> {
    read_file("items.csv", text, change)
}

fn read(text: impl AsRef<[u8]>) -> Result<ItemTable, String> {
    read_as(text, |_| ())
}

fn typed(types: &[(&str, ColumnType)]) -> impl FnOnce(&mut ItemTableOptions) {
    let types = types.iter().map(|&(name, of)| (name.to_owned(), of)).collect();
    move |options| options.types = types
}

/// The types of all columns.
fn types(table: &ItemTable) -> Vec<(&str, ColumnType)> {
    table.columns().iter().map(|column| (column.name(), column.column_type())).collect()
}

#[test]
fn every_type_is_read_and_missing_values_are_none() {
    let text = "sku,title,price,tags,embedding\n\
                7,\" Cup, blue \",3.5,a|b|a,\"[1, 2.5]\"\n\
                8,,,,\n\
                9,Pot,-1e3,b| |,[-1 0]\n\
                10,Tea,0,b,\n";
    let table = read_as(text, |options| options.list_separator = Some('|')).unwrap();
    use ColumnType::{Categories, Number, Text, Vector};
    assert_eq!(
        types(&table),
        [("title", Text), ("price", Number), ("tags", Categories), ("embedding", Vector)]
    );
    assert_eq!((table.len(), table.id_name()), (4, "sku"));
    assert_eq!(table.ids().collect::<Vec<_>>(), ["7", "8", "9", "10"]);
    let [title, price, tags, embedding] = table.columns() else { panic!("four columns") };
    let all = |id: &str| {
        let row = table.row(id).unwrap();
        let tags = tags.categories(row).collect::<Vec<_>>().join("+");
        (title.text(row), price.number(row), tags, embedding.vector(row))
    };
    assert_eq!(all("7"), (Some("Cup, blue"), Some(3.5), "a+b+a".to_owned(), Some(&[1.0, 2.5][..])));
    assert_eq!(all("8"), (None, None, String::new(), None));
    assert_eq!(all("9"), (Some("Pot"), Some(-1_000.0), "b".to_owned(), Some(&[-1.0, 0.0][..])));
    assert_eq!((table.row("11"), table.column("no").is_none()), (None, true));
    assert_eq!([title, price, tags, embedding].map(Column::missing), [1, 1, 1, 2]);
    assert_eq!(tags.category_names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((embedding.width(), title.width()), (2, 0));
    let shown: Vec<_> = table.columns().iter().map(|column| column.shown(0)).collect();
    assert_eq!(shown, [Some("Cup, blue".into()), Some("3.5".into()), Some("a, b, a".into()), None]);
}

#[test]
fn a_column_has_the_type_that_is_asked_for_and_only_the_chosen_are_read() {
    let text = "id;a;b;c\n1;1;2 3;x\n2;1;4 5;\n";
    use ColumnType::{Categories, Text, Vector};
    let table = read_as(text, typed(&[("A", Text), ("b", Vector), ("c", Categories)])).unwrap();
    assert_eq!(types(&table), [("a", Text), ("b", Vector), ("c", Categories)]);
    let all_text = read_as(text, |options| options.other_types = Some(Text)).unwrap();
    assert!(all_text.columns().iter().all(|column| column.column_type() == Text));
    let some = read_as(text, |options| options.columns = vec!["c".to_owned(), "2".to_owned()]).unwrap();
    assert_eq!(types(&some), [("a", ColumnType::Number), ("c", Text)]);
}

#[test]
fn the_column_of_ids_is_found_as_in_a_log_or_named() {
    for name in ["ItemId", "item_id", "Product ID", "sku", "ID"] {
        assert_eq!(read(format!("title,{name}\na,7\n")).unwrap().row("7"), Some(0), "{name}");
    }
    // What a log calls its items comes before `id`.
    assert_eq!(read("id,item_id\n1,7\n").unwrap().id_name(), "item_id");
    let table = read_as("item_id,code\n1,x\n", |options| {
        options.item_columns = vec!["no".to_owned(), "CODE".to_owned()];
    });
    assert_eq!(table.unwrap().row("x"), Some(0));
}

#[test]
fn delimiters_compressions_and_marks_are_found() {
    let plain = "item_id\ttitle\n1\tTee\n2\tTöpfe\n";
    let expected = read(plain).unwrap();
    assert_eq!(expected.column("title").unwrap().text(1), Some("Töpfe"));
    assert_eq!(read(format!("\u{feff}{plain}")).unwrap(), expected);
    assert_eq!(read(plain.replace('\t', ";").replace('\n', "\r\n")).unwrap(), expected);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(read(&gzip).unwrap(), expected);
    assert!(read(&gzip[..gzip.len() - 9]).unwrap_err().contains("truncated"));
    assert_eq!(read(zstd::encode_all(plain.as_bytes(), 1).unwrap()).unwrap(), expected);
}

#[test]
fn a_table_has_no_delimiter_that_only_logs_have() {
    // A row of one column has spaces in its text.
    let ids = read("item_id\nred shoe\nblue shoe\n").unwrap();
    assert_eq!(ids.ids().collect::<Vec<_>>(), ["red shoe", "blue shoe"]);
    let refused = read("item_id::title::price\n1::Cup::3\n2::Pot::4\n").unwrap_err();
    let message =
        "items.csv: a table with `::` between its fields cannot be read: a table of items is CSV or Parquet";
    assert_eq!(refused, message);
}

#[test]
fn columns_without_a_name_of_their_own_get_one() {
    let table = read("id,a,,a,a_2\n1,2,3,4,5\n").unwrap();
    let names: Vec<_> = table.columns().iter().map(Column::name).collect();
    assert_eq!(names, ["a", "column_3", "a_2", "a_2_2"]);
}

#[test]
fn a_repeated_item_is_counted_refused_or_the_last_one_kept() {
    let same = read("id,a,b\n1,x,2\n2,y,\n1,x,2\n2,y,\n").unwrap();
    assert_eq!((same.len(), same.repeated_rows()), (2, 2));
    let text = "id,a,b\n1,\"x\ny\",2\n2,y,3\n1,z,2\n3,,\n2,,\n1,w,7\n";
    let refused = read(text).unwrap_err();
    assert_eq!(
        refused,
        "items.csv:5: column `id`: `1` stands in line 2 too, with another `a`: leave one of the two"
    );
    let last = read_as(text, |options| options.repeated = RepeatedItem::KeepLast).unwrap();
    assert_eq!(last.ids().collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(last.repeated_rows(), 3);
    let (a, b) = (last.column("a").unwrap(), last.column("b").unwrap());
    assert_eq!([0, 1, 2].map(|row| a.text(row)), [Some("w"), None, None]);
    assert_eq!([0, 1, 2].map(|row| b.number(row)), [Some(7.0), None, None]);
}

#[test]
fn what_is_wrong_is_named_with_line_and_column() {
    let long = format!("id,a\n{},\n", "x".repeat(4_097));
    for (text, message) in [
        ("", "items.csv:1: no column of ids: the file is empty"),
        (" \n\n", "items.csv:1: no column of ids: the file is empty"),
        (
            "name,price\nx,1\n",
            "items.csv:1: no column of ids: none is called item_id, product_id, sku, id or the like; the file has `name`, `price`. Name it with the option `item_column`",
        ),
        ("id,a\n1,x\n2\n", "items.csv:3: 1 fields, where the header has 2"),
        ("id,a\n1,\"x\ny\"\n,z\n", "items.csv:4: column `id`: empty: give"),
        ("id,a\nx\0y,z\n", "items.csv:2: column `id`: the id has a NUL byte"),
        (&long, "items.csv:2: column `id`: 4097 bytes: give at most 4096"),
    ] {
        let refused = read(text).unwrap_err();
        assert!(refused.starts_with(message), "{text:?}: {refused}");
    }
    assert_eq!(
        read(b"id,a\n1,\xff\n").unwrap_err(),
        "items.csv:2: column `a`: not UTF-8 text: convert the file to UTF-8"
    );
    assert_eq!(
        read(b"id,a\n\xff,b\n").unwrap_err(),
        "items.csv:2: column `id`: not UTF-8 text: convert the file to UTF-8"
    );

    let text = "id,n,v\n1,2,1 2\n2,x,3 4 5\n";
    use ColumnType::{Number, Text, Vector};
    for (wanted, message) in [
        (("n", Number), "items.csv:3: column `n`: `x` is no finite number"),
        (("v", Vector), "items.csv:3: column `v`: a vector of 3 numbers, where those before have 2"),
        (("n", Vector), "items.csv:3: column `n`: `x` is no vector"),
        (("w", Text), "items.csv:1: there is no column `w`; the file has `id`, `n`, `v`"),
    ] {
        let refused = read_as(text, typed(&[wanted])).unwrap_err();
        assert!(refused.starts_with(message), "{wanted:?}: {refused}");
    }
    let refused = read_as("id,v\n1,1 inf\n", typed(&[("v", Vector)])).unwrap_err();
    assert!(refused.starts_with("items.csv:2: column `v`: the vector has inf"), "{refused}");
    // The value that is wrong stands in the row that was kept.
    let refused = read_as("id,n\n1,x\n2,1\n1,y\n", |options| {
        (options.repeated, options.other_types) = (RepeatedItem::KeepLast, Some(Number));
    });
    assert!(refused.unwrap_err().starts_with("items.csv:4: column `n`: `y` is no finite"));

    let refused =
        read_as("sku,a\n1,2\n", |options| options.item_columns = vec!["id".to_owned()]).unwrap_err();
    assert!(refused.contains("none is called `id`; the file has `sku`, `a`"), "{refused}");
    let refused = read_as("id,a\n1,2\n", |options| options.columns = vec!["b".to_owned()]).unwrap_err();
    assert!(refused.contains("there is no column `b`"), "{refused}");
    assert!(read_as("id,a\n", |options| options.delimiter = Some('ä')).unwrap_err().contains("delimiter"));
    let folder = ItemTable::read(std::env::temp_dir(), &ItemTableOptions::default()).unwrap_err();
    assert!(folder.to_string().contains("this is a folder"), "{folder}");
}

#[test]
fn limits_are_kept() {
    let limited = |text: &str| {
        read_as(text, |options| {
            (options.limits.items, options.limits.id_bytes, options.limits.field_bytes) = (2, 3, 5);
        })
    };
    assert!(limited("id,a\n123,12345\n2,\n2,\n").is_ok());
    for (text, message) in [
        ("id,a\n1,\n2,\n3,\n", "items.csv:4: more than 2 items"),
        ("id,a\n1234,\n", "items.csv:2: column `id`: 4 bytes: give at most 3"),
        ("id,a\n1,123456\n", "items.csv:2: column `a`: 6 bytes: give at most 5"),
    ] {
        let refused = limited(text).unwrap_err();
        assert!(refused.starts_with(message), "{refused}");
    }
}

#[test]
fn a_table_may_lack_items_of_a_vocabulary_and_have_new_ones() {
    let mut vocabulary = ItemVocabulary::new();
    [("1", 5), ("2", 3), ("9", 1)].iter().for_each(|&(id, events)| _ = vocabulary.add(id, events));
    let table = read("id,a\n2,x\n1,y\n7,z\n8,z\n").unwrap();
    let expected = Coverage { items: 3, described_items: 2, events: 9, described_events: 8, new_items: 2 };
    assert_eq!(table.coverage(&vocabulary), expected);
}

#[test]
fn a_table_without_rows_is_one() {
    let table = read("id,a\n").unwrap();
    assert_eq!((table.len(), types(&table)), (0, vec![("a", ColumnType::Text)]));
    assert_eq!(read("id\n1\n2\n").unwrap().len(), 2);
}

#[test]
fn a_million_items_take_few_bytes_each() {
    const ITEMS: usize = 1_000_000;
    let mut text = String::from("item_id,title,price,brand\n");
    for item in 0..ITEMS {
        text.push_str(&format!("{item},Item number {item},{}.5,brand {}\n", item % 97, item % 1_000));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("items.csv");
    std::fs::write(&path, text).unwrap();
    let began = std::time::Instant::now();
    let table = ItemTable::read(&path, &ItemTableOptions::default()).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    use ColumnType::{Categories, Number, Text};
    assert_eq!(types(&table), [("title", Text), ("price", Number), ("brand", Categories)]);
    let bytes = table.memory_bytes() as f64 / ITEMS as f64;
    println!("{ITEMS} items read in {seconds:.2} s, {bytes:.0} bytes an item");
    // Ids of 6 bytes: 2 · 8 and two tables of numbers. Titles of 18: 26. A price: 8. A brand: 4 + 8.
    assert!(bytes < 90.0, "{bytes} bytes an item");
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = "[a-zäß ,;|\"'\n\t0-9]{0,8}";
    let number = prop::option::of(prop::num::f64::NORMAL | prop::num::f64::ZERO);
    let tags = prop::collection::vec(prop::sample::select(vec!["red", "dark blue", "ü", "1"]), 0..4);
    let vector = prop::option::of(prop::array::uniform3(prop::num::f32::NORMAL | prop::num::f32::ZERO));
    prop::collection::vec((text, number, tags, vector), 0..30)
}

proptest! {
    #[test]
    fn text_and_parquet_give_the_same_table_and_so_do_its_own_bytes(rows in rows()) {
        let id = |at: usize| format!("id {at}, \"x\"");
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["item", "text", "number", "tags", "vector"]).unwrap();
        for (at, (text, number, tags, vector)) in rows.iter().enumerate() {
            let number = number.map_or(String::new(), |number| number.to_string());
            let vector = vector.map_or(String::new(), |vector| format!("{vector:?}"));
            csv.write_record([id(at).as_str(), text, &number, &tags.join("|"), &vector]).unwrap();
        }
        use ColumnType::{Categories, Number, Text, Vector};
        let from_text = read_as(csv.into_inner().unwrap(), |options| {
            typed(&[("text", Text), ("number", Number), ("tags", Categories), ("vector", Vector)])(options);
            // Texts of any characters have lines that look like rows.
            (options.delimiter, options.quote) = (Some(','), Quote::Double);
            options.list_separator = Some('|');
        }).unwrap();
        for (at, (text, number, tags, vector)) in rows.iter().enumerate() {
            let [texts, numbers, lists, vectors] = from_text.columns() else { panic!("four columns") };
            prop_assert_eq!(texts.text(at).unwrap_or(""), text.trim());
            prop_assert_eq!(numbers.number(at).map(f64::to_bits), number.map(f64::to_bits));
            prop_assert_eq!(&lists.categories(at).collect::<Vec<_>>(), tags);
            prop_assert_eq!(vectors.vector(at), vector.as_ref().map(|vector| &vector[..]));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items.parquet");
        std::fs::write(&path, columnar::tests::parquet_of(&rows, id)).unwrap();
        let mut options = ItemTableOptions::default();
        typed(&[("text", Text)])(&mut options);
        let from_parquet = ItemTable::read(&path, &options).unwrap();
        prop_assert_eq!(&from_parquet, &from_text);

        let mut bytes = Vec::new();
        from_text.to_parquet(&mut bytes).unwrap();
        let again = ItemTable::from_parquet(bytes.clone(), &path).unwrap();
        prop_assert_eq!(&again, &from_text);
        let mut same = Vec::new();
        again.to_parquet(&mut same).unwrap();
        prop_assert!(same == bytes);
        let mut same = Vec::new();
        from_parquet.to_parquet(&mut same).unwrap();
        prop_assert!(same == bytes, "equal tables have equal bytes");
    }
}

#[test]
fn the_fingerprint_tells_ids_columns_and_values_apart() {
    let base = "item,tags,price\n1,a|b,2\n2,,3\n";
    let of = |text: &str| read_as(text, |options| options.list_separator = Some('|')).unwrap().fingerprint();
    assert_eq!(of(base), of(base));
    for other in [
        "item,tags,price\n1,b|a,2\n2,,3\n",
        "item,tags,price\n1,a|b,2\n3,,3\n",
        "item,tags,price\n1,a|b,2\n2,,\n",
        "item,tags,cost\n1,a|b,2\n2,,3\n",
        "item,price,tags\n1,2,a|b\n2,3,\n",
    ] {
        assert_ne!(of(base), of(other), "{other}");
    }
}

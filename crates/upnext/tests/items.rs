//! Tests of `inspect --items`.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, done, json, refused, upnext};

const ITEMS: &str = "sku,title,price,tags,vector\n\
                     7,Blue cup,3.5,a|b,\"[1, 2, 3]\"\n\
                     8,Tea pot,,b,\n\
                     8,Tea pot,,b,\n\
                     9,Red wine,9,a,\"[4, 5, 6]\"\n";

#[test]
fn inspect_shows_the_columns_of_a_table() {
    let folder = Folder::new();
    let file = folder.file("items.csv", ITEMS);
    let inspect = || {
        let mut command = upnext();
        command.arg("inspect").arg(&file).args(["--items", "--item-type", "tags=categories"]);
        command
    };
    let shown = json(&mut inspect());
    assert_eq!((&shown["items"], &shown["id_column"]), (&3.into(), &"sku".into()));
    assert_eq!(shown["repeated_rows"], 1);
    let columns: Vec<String> = shown["columns"].as_array().unwrap().iter().map(|c| c.to_string()).collect();
    let expected = [
        r#"{"missing":0,"name":"title","type":"text"}"#,
        r#"{"missing":1,"name":"price","type":"number"}"#,
        r#"{"categories":3,"missing":0,"name":"tags","type":"categories"}"#,
        r#"{"missing":1,"name":"vector","type":"vector","width":3}"#,
    ];
    assert_eq!(columns, expected);
    let text = String::from_utf8(done(&mut inspect()).stdout).unwrap();
    for word in ["column of ids", "sku", "3 categories", "3 numbers each", "rows of an item that had one"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_its_place() {
    let folder = Folder::new();
    let twice = folder.file("items.csv", "id,a\n1,x\n1,y\n");
    let inspect = |more: &[&str]| {
        let mut command = upnext();
        command.arg("inspect").arg(&twice).args(more);
        command
    };
    refused(&mut inspect(&["--items"]), 1, &["items.csv:3: column `id`: `1` stands in line 2 too"]);
    done(&mut inspect(&["--items", "--keep-last-item"]));
    // The options of item tables are refused for a log.
    refused(&mut inspect(&["--item-type", "a=text"]), 2, &["--items"]);
    refused(&mut inspect(&["--items", "--item-type", "a=txt"]), 2, &["`txt` is no type of a column"]);
}

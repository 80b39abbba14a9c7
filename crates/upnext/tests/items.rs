//! Tests of `inspect --items`.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod program;

use program::{Folder, done, json, refused, stderr, train, upnext};
use std::path::Path;

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

#[test]
fn a_model_keeps_the_table_that_it_was_trained_with_also_when_it_is_trained_on() {
    let folder = Folder::new();
    let log = folder.file("clicks.csv", "session,item,time\na,7,1\na,8,2\nb,8,3\nb,9,4\n");
    let table = folder.file("items.csv", ITEMS);
    let model = folder.path("model");
    let markov = |out: &Path, table: &Path| {
        let mut command = upnext();
        command.arg("train").arg(&log).arg("--out").arg(out).args([
            "--quiet",
            "--model",
            "markov",
            "--item-table",
        ]);
        command.arg(table);
        command
    };
    let mut first = markov(&model, &table);
    first.args(["--item-type", "tags=categories"]);
    assert!(!stderr(&done(&mut first)).contains("lacks"));
    let shape = json(upnext().arg("inspect").arg(&model));
    assert_eq!(shape["item_table"]["described_items"], 3);
    assert_eq!(shape["item_table"]["described_events"], 4);
    assert_eq!(shape["item_table"]["columns"][1]["type"], "number");
    let text = String::from_utf8(done(upnext().arg("inspect").arg(&model)).stdout).unwrap();
    assert!(text.contains("items of the model that it has") && text.contains("3 categories"), "{text}");

    // Ids of another kind are noticed.
    let other = folder.file("other.csv", "item_id,title\nx7,Cup\nx8,Pot\n");
    let said = stderr(&done(&mut markov(&folder.path("second"), &other)));
    assert!(said.contains("lacks 3 of the log's 3 items") && said.contains("`item_id`"), "{said}");

    // A network that is trained further has the table of the model that it began with.
    let (network, further) = (folder.path("network"), folder.path("further"));
    let batch = ["--epochs", "1", "--set", "training.batch_size=2"];
    done(train(&log, &network).args(batch).arg("--item-table").arg(&table));
    done(train(&log, &further).args(batch).arg("--init").arg(&network));
    let (before, after) =
        (json(upnext().arg("inspect").arg(&network)), json(upnext().arg("inspect").arg(&further)));
    assert_eq!(before["item_table"]["columns"], after["item_table"]["columns"]);
    assert_eq!(after["item_table"]["described_items"], 3);
}

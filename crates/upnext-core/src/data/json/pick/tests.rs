//! Rows of objects, nested and with lists beside each other; objects without rows say why.

use super::*;

fn rows_of(object: &str, chosen: &[&str]) -> std::result::Result<Vec<String>, RowProblem> {
    let mut shape = Shape::default();
    _ = shape.add(object);
    let mut rows = Vec::new();
    Picker::new(&shape, chosen).rows(object.as_bytes(), &mut |row| {
        let row: Vec<&str> = row.iter().map(|cell| cell.unwrap_or("-")).collect();
        rows.push(row.join(" "));
    })?;
    Ok(rows)
}

fn rows(object: &str, chosen: &[&str]) -> Vec<String> {
    rows_of(object, chosen).unwrap()
}

#[test]
fn elements_of_an_array_are_rows_with_the_values_outside_repeated() {
    let session =
        r#"{"session": 1, "events": [{"aid": 7, "ts": 10, "x": [1]}, {"ts": 11, "aid": 8}], "user": "u"}"#;
    let chosen = ["events.ts", "session", "events.aid", "user", "events.no"];
    assert_eq!(rows(session, &chosen), ["10 1 7 u -", "11 1 8 u -"]);
    assert_eq!(rows(r#"{"session": 1, "events": []}"#, &chosen), [""; 0]);
    assert_eq!(rows(r#"{"session": 1, "events": null}"#, &chosen), ["- 1 - - -"]);
    assert_eq!(rows(r#"{"session": 1, "events": {"aid": 7}}"#, &chosen), ["- 1 7 - -"]);
    assert_eq!(rows(session, &["session", "session"]), ["1 1"]);
}

#[test]
fn arrays_beside_each_other_go_together_or_are_a_bad_row() {
    let chosen = ["s", "items", "times"];
    assert_eq!(
        rows(r#"{"items": [1, null, 3], "s": 9, "times": [4, 5, 6]}"#, &chosen),
        ["9 1 4", "9 - 5", "9 3 6"]
    );
    assert_eq!(rows(r#"{"items": [1, 2], "s": 9}"#, &chosen), ["9 1 -", "9 2 -"]);
    let problem = rows_of(r#"{"items": [1, 2], "s": 9, "times": [4, 5, 6]}"#, &chosen).unwrap_err();
    assert_eq!(problem.to_string(), "lists of different lengths: items has 2 elements, and times has 3");
    assert!(rows_of(r#"{"items": [1, 2], "s": 9, "times": []}"#, &chosen).is_err());
}

#[test]
fn a_list_in_a_list_is_a_bad_row_if_its_column_is_chosen() {
    let object = r#"{"items": [[1, 2], [3]], "e": [[{"i": 1}]], "s": 9}"#;
    for (chosen, column) in [(["s", "items"], "items"), (["e.i", "s"], "e.i")] {
        let problem = rows_of(object, &chosen).unwrap_err();
        assert_eq!(problem.name(), "list in a list");
        assert_eq!(problem.to_string(), format!("{column}: a list in a list has no rows of its own"));
    }
    assert_eq!(rows(object, &["s"]), ["9"]);
}

#[test]
fn arrays_inside_the_elements_of_arrays_are_rows_too() {
    let orders = r#"{"user": "u", "orders": [{"id": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}, {"id": 2, "lines": []},
        {"id": 3, "lines": [{"sku": "c"}]}, {"id": 4}], "n": 4}"#;
    assert_eq!(
        rows(orders, &["user", "orders.id", "orders.lines.sku", "n"]),
        ["u 1 a 4", "u 1 b 4", "u 3 c 4", "u 4 - 4"]
    );
}

#[test]
fn keys_and_values_are_one_object() {
    let event = r#"{"name": "view", "event_params": [{"key": "ga_session_id", "value": {"string_value": null, "int_value": 123}},
        {"key": "page", "value": {"string_value": "a \"b\""}}, {"key": "none", "value": {"x": null}}]}"#;
    let chosen =
        ["event_params.page", "name", "event_params.ga_session_id", "event_params.none", "event_params.rare"];
    assert_eq!(rows(event, &chosen), ["a \"b\" view 123 - -"]);
    let mut shape = Shape::default();
    shape.add(event).unwrap();
    let mut picker = Picker::new(&shape, &["name", "event_params.rare.one"]);
    let mut rows = Vec::new();
    for event in [
        r#"{"name": "a", "event_params": []}"#,
        r#"{"name": "b", "event_params": [{"key": "rare.one", "value": 5}]}"#,
        r#"{"event_params": [{"value": {"int_value": "6"}, "key": "rare\u002eone"}, 7], "name": "c"}"#,
        r#"{"name": "d", "event_params": null}"#,
    ] {
        let each = &mut |row: &[Option<&str>]| rows.push(format!("{row:?}"));
        picker.rows(event.as_bytes(), each).unwrap();
    }
    let expected = [
        r#"[Some("a"), None]"#,
        r#"[Some("b"), Some("5")]"#,
        r#"[Some("c"), Some("6")]"#,
        r#"[Some("d"), None]"#,
    ];
    assert_eq!(rows, expected);
}

#[test]
fn values_are_as_they_are_written() {
    let object = r#"{"a": 12345678901234567890123, "b": 1.50, "c": true, "d": "x\u00e9\ty", "e": NaN, "f": "", "g": 1e3}"#;
    assert_eq!(
        rows(object, &["a", "b", "c", "d", "e", "f", "g"]),
        ["12345678901234567890123 1.50 true xé\ty NaN  1e3"]
    );
    assert_eq!(rows(r#"{"a": 1, "a": 2, "b": [1], "b": 3}"#, &["a", "b"]), ["2 3"]);
    assert_eq!(
        rows(r#"{"u": {"id": 1, "x": {"y": 2}}, "a.b": 3}"#, &["u.id", "u.x.y", "u", "a.b"]),
        ["1 2 - 3"]
    );
    assert_eq!(rows(r#"{"\u0061": 1}"#, &["a"]), ["1"]);
}

#[test]
fn damaged_objects_give_no_rows_and_say_why() {
    for (object, reason) in [
        ("{\"a\": 1", "it ends where `,` should be"),
        ("{\"a\": [1, 2}", "byte 12: `}` where `,` should be"),
        ("{\"a\": 1} x", "byte 10: `x` where the end of the object should be"),
        ("{\"a\": 01}", "byte 7: `0` where a value should be"),
        ("{\"a: 1}", "the string at byte 2 does not end"),
        ("{\"a\": \"\\q\"}", "an escape `\\` without a known letter"),
        ("[1]", "byte 1: `[` where `{` should be"),
        ("", "it ends where `{` should be"),
        ("{\"b\": {\"c\": tru}}", "byte 13: `t` where a value should be"),
    ] {
        let problem = rows_of(object, &["a"]).unwrap_err();
        assert_eq!(problem.to_string(), format!("damaged JSON: {reason}"), "{object}");
    }
    let deep = format!("{{\"b\": {}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(rows_of(&deep, &["a"]).unwrap_err().to_string().contains("more than 128 levels"));
    assert!(rows_of(&deep, &["b"]).is_err());
    let mut picker = Picker::new(&Shape::default(), &["a"]);
    let problem = picker.rows(b"{\"a\": \"\xff\"}", &mut |_| panic!("there is no row")).unwrap_err();
    assert!(matches!(problem, RowProblem::InvalidUtf8 { .. }));
}

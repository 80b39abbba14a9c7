//! Layouts of public logs, and logs whose columns cannot be detected.

use super::*;

fn layout(text: &str) -> TextLayout {
    of_text(Path::new("log"), &ReadOptions::default(), text.as_bytes(), true, &[]).unwrap()
}

fn columns(text: &str) -> (char, bool, [usize; 3], TimeUnit) {
    let layout = layout(text);
    (char::from(layout.delimiter), layout.header, layout.columns.at, layout.unit)
}

#[test]
fn layouts_of_public_logs_are_found() {
    for (text, expected) in [
        ("SessionId\tItemId\tTime\n1\t2\t3.5\n", ('\t', true, [0, 1, 2], TimeUnit::S)),
        (
            "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,0\n",
            (',', false, [0, 2, 1], TimeUnit::Iso),
        ),
        (
            "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n",
            (',', true, [1, 3, 0], TimeUnit::Ms),
        ),
        (
            "event_time,event_type,product_id,price,user_id,user_session\n2019-10-01 00:00:00 UTC,view,44600062,35.79,541312140,72d76fde\n",
            (',', true, [5, 2, 0], TimeUnit::Iso),
        ),
        (
            "session_id;user_id;item_id;timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n",
            (';', true, [0, 2, 4], TimeUnit::Iso),
        ),
        ("a|b|1500000000\nc|d|1500000001\n", ('|', false, [0, 1, 2], TimeUnit::S)),
        ("2017-01-01\ts\ti\n", ('\t', false, [1, 2, 0], TimeUnit::Iso)),
    ] {
        assert_eq!(columns(text), expected, "{text}");
    }
}

#[test]
fn ids_with_other_delimiters_do_not_confuse() {
    assert_eq!(columns("session_id\titem_id\ttime\na,b,c\td;e\t1\nf,g,h\ti;j\t2\n").0, '\t');
}

#[test]
fn missing_column_names_the_near_miss() {
    let options = ReadOptions { item_column: Some("itm".into()), ..ReadOptions::default() };
    let error =
        of_text(Path::new("log.csv"), &options, b"session,itam,time\n1,2,3\n", true, &[]).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("log.csv: no item column"), "{message}");
    assert!(message.contains("`itm` (is it `itam`?)"), "{message}");
    assert!(message.contains("session, itam, time"), "{message}");
}

#[test]
fn users_without_sessions_are_told_of_the_gap() {
    let text = b"user_id,item_id,time\n1,2,3\n";
    let error = of_text(Path::new("log"), &ReadOptions::default(), text, true, &[]).unwrap_err();
    assert!(error.to_string().contains("session_gap"), "{error}");
    let options = ReadOptions { session_gap: "30m".parse().ok(), ..ReadOptions::default() };
    assert_eq!(of_text(Path::new("log"), &options, text, true, &[]).unwrap().columns.at, [0, 1, 2]);
}

#[test]
fn columns_are_taken_by_position_with_and_without_header() {
    let options = ReadOptions {
        session_column: Some("3".into()),
        time_column: Some("1".into()),
        item_column: Some("2".into()),
        ..ReadOptions::default()
    };
    for text in ["x,y,z\n5,i,s\n", "5,i,s\n6,j,s\n"] {
        let layout = of_text(Path::new("log"), &options, text.as_bytes(), true, &[]).unwrap();
        assert_eq!(layout.columns.at, [2, 1, 0]);
        assert_eq!(layout.header, text.starts_with('x'));
    }
}

#[test]
fn one_column_for_two_meanings_is_refused() {
    let options = ReadOptions {
        session_column: Some("1".into()),
        item_column: Some("1".into()),
        ..ReadOptions::default()
    };
    assert!(matches!(
        of_text(Path::new("log"), &options, b"1,2,3\n", true, &[]),
        Err(Error::Config { field, .. }) if field == "item_column"
    ));
}

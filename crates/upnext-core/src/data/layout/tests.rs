//! Layouts and columns of public logs, exports and tools, and logs whose columns cannot be found.

use super::*;
use crate::data::columns::{self, Columns, TimeSource};
use crate::data::time::TimeUnit;

fn found(text: &str, options: &ReadOptions) -> Result<(TextLayout, Columns)> {
    let path = Path::new("log");
    let layout = of_text(path, options, text.as_bytes(), true)?;
    let columns = columns::find(path, options, &layout.sample, &[], None)?;
    Ok((layout, columns))
}

/// Delimiter, number of rows before the first event, the columns of sessions, items and times, and the unit.
type Found = (String, usize, Vec<usize>, TimeUnit);

fn layout_with(text: &str, options: &ReadOptions) -> Found {
    let (layout, columns) = found(text, options).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut at: Vec<usize> = columns.session.iter().map(|column| column.at).collect();
    at.push(columns.item.at);
    let unit = match &columns.time {
        TimeSource::Column(column, reader) => {
            at.push(column.at);
            reader.unit()
        }
        TimeSource::DayAndTime(day, reader, time) => {
            at.extend([day.at, time.at]);
            reader.unit()
        }
        TimeSource::Rows => TimeUnit::Auto,
    };
    (layout.fields.delimiter, layout.skipped_rows, at, unit)
}

fn layout(text: &str) -> Found {
    layout_with(text, &ReadOptions::default())
}

fn error(text: &str, options: &ReadOptions) -> String {
    match found(text, options) {
        Ok((_, columns)) => panic!("{text}: {columns:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn layouts_of_public_logs_are_found() {
    for (text, delimiter, skipped, at, unit) in [
        ("SessionId\tItemId\tTime\n1\t2\t1500000000.5\n", "\t", 1, [0, 1, 2], TimeUnit::S),
        (
            "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,0\n",
            ",",
            0,
            [0, 2, 1],
            TimeUnit::Iso,
        ),
        (
            "event_time,event_type,product_id,price,user_id,user_session\n2019-10-01 00:00:00 UTC,view,44600062,35.79,541312140,72d76fde\n",
            ",",
            1,
            [5, 2, 0],
            TimeUnit::Iso,
        ),
        (
            "session_id;user_id;item_id;timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n",
            ";",
            1,
            [0, 2, 4],
            TimeUnit::Iso,
        ),
        ("a|b|1500000000\nc|d|1500000001\n", "|", 0, [0, 1, 2], TimeUnit::S),
        ("2017-01-01\ts\ti\n", "\t", 0, [1, 2, 0], TimeUnit::Iso),
        ("64::30::5::1710897534\n64::35::5::1710897714\n", "::", 0, [0, 1, 3], TimeUnit::S),
        ("140 29 1710897534\n140 34 1710897714\n", " ", 0, [0, 1, 2], TimeUnit::S),
        ("# made by x\n# 2024\nsession,item,time\n1,2,1500000000\n", ",", 3, [0, 1, 2], TimeUnit::S),
        ("sep=;\nsession;item;time\n1;2;1500000000\n", ";", 2, [0, 1, 2], TimeUnit::S),
        ("#session,item,time\n1,2,1500000000\n", ",", 1, [0, 1, 2], TimeUnit::S),
        (
            "session_id:token\titem_id:token\ttimestamp:float\n1\t2\t1500000000.0\n",
            "\t",
            1,
            [0, 1, 2],
            TimeUnit::S,
        ),
        ("session,item,date,time_ms\n1,2,20240320,1710897534000\n", ",", 1, [0, 1, 3], TimeUnit::Ms),
        ("session,item,t\n1,2,1500000000\n", ",", 1, [0, 1, 2], TimeUnit::S),
    ] {
        assert_eq!(layout(text), (delimiter.to_owned(), skipped, at.to_vec(), unit), "{text}");
    }
}

#[test]
fn a_day_and_a_time_of_day_are_one_time() {
    let (.., at, unit) = layout("session,item,date,time\n1,2,2024-03-20,01:18:54\n");
    assert_eq!((at, unit), (vec![0, 1, 2, 3], TimeUnit::Iso));
}

#[test]
fn ids_with_other_delimiters_do_not_confuse() {
    assert_eq!(layout("session_id\titem_id\ttime\na,b,c\td;e\t1500000000\nf,g,h\ti;j\t1500000001\n").0, "\t");
    let vectors = "session_id\titem_id\ttime\tv\n1\t2\t1500000000\t[1,2,3,4]\n1\t2\t1500000001\t[1,2,3,4]\n";
    assert_eq!(layout(vectors).0, "\t");
}

#[test]
fn all_missing_columns_are_named_at_once_with_the_near_miss() {
    let options = ReadOptions { item_column: Some("itm".into()), ..ReadOptions::default() };
    let message = error("visit,itam,time\n1,2,1500000000\n", &options);
    assert!(message.contains("log: ") && message.contains("no session column"), "{message}");
    assert!(
        message.contains("no item column: there is no column `itm` (is it `itam`?) (`item_column` names it)"),
        "{message}"
    );
    assert!(message.contains("the columns visit, itam, time"), "{message}");
}

#[test]
fn users_are_no_sessions() {
    let text = "timestamp,visitorid,event,itemid\n1433221332117,257597,view,355908\n";
    let message = error(text, &ReadOptions::default());
    assert!(
        message.contains("column 2 (visitorid) holds users") && message.contains("session_gap"),
        "{message}"
    );
    let options = ReadOptions { session_gap: "30m".parse().ok(), ..ReadOptions::default() };
    assert_eq!(layout_with(text, &options).2, [1, 3, 0]);
    let counter = "user_pseudo_id,ga_session_number,item_id,event_timestamp\nu,1,i,1710897534000000\n";
    assert_eq!(layout(counter).2, [0, 1, 2, 3]);
    let message = error("ga_session_number,item_id,timestamp\n1,i,1710897534\n", &ReadOptions::default());
    assert!(message.contains("counts the sessions of each user"), "{message}");
    let options = ReadOptions {
        session_column: vec!["session".into()],
        user_column: Some("user".into()),
        ..ReadOptions::default()
    };
    assert_eq!(layout_with("session,user,item,time\n1,2,3,1500000000\n", &options).2, [1, 0, 2, 3]);
}

#[test]
fn columns_are_taken_by_position_with_and_without_header() {
    let options = ReadOptions {
        session_column: vec!["3".into()],
        time_column: Some("1".into()),
        item_column: Some("2".into()),
        ..ReadOptions::default()
    };
    for text in ["x,y,z\n5,i,s\n", "5,i,s\n6,j,s\n"] {
        let (_, skipped, at, _) = layout_with(text, &options);
        assert_eq!((skipped, at), (usize::from(text.starts_with('x')), vec![2, 1, 0]));
    }
}

#[test]
fn one_column_for_two_meanings_is_refused() {
    let options = ReadOptions {
        session_column: vec!["1".into()],
        item_column: Some("1".into()),
        ..ReadOptions::default()
    };
    assert!(matches!(
        found("1,2,3\n", &options),
        Err(Error::Config { field, .. }) if field == "item_column"
    ));
}

#[test]
fn columns_that_fit_equally_well_are_asked_for() {
    let artists = "user_1\t2024-03-20T01:18:54Z\tart-1\ttr-1\nuser_1\t2024-03-20T01:19:54Z\tart-1\ttr-2\nuser_2\t2024-03-20T01:20:54Z\tart-1\ttr-3\nuser_2\t2024-03-20T01:21:54Z\tart-2\ttr-4\n";
    let message = error(artists, &ReadOptions::default());
    assert!(
        message.contains("several columns may be the items") && message.contains("item_column"),
        "{message}"
    );
    let times = "session,item,a,b\n1,2,1500000001,1500000003\n";
    let message = error(times, &ReadOptions::default());
    assert!(message.contains("column 3 (a) and column 4 (b) hold times"), "{message}");
}

#[test]
fn a_log_without_times_is_read_in_the_order_of_its_rows_on_request() {
    let text = "order_id,product_id,add_to_cart_order\n1,2,1\n1,3,2\n";
    let message = error(text, &ReadOptions::default());
    assert!(message.contains("no time column") && message.contains("`order` to rows"), "{message}");
    let options = ReadOptions { order: crate::data::RowOrder::Rows, ..ReadOptions::default() };
    let (_, columns) = found(text, &options).unwrap();
    assert!(matches!(columns.time, TimeSource::Rows));
    assert_eq!(columns.order.map(|column| column.at), Some(2));
}

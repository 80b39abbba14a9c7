//! Logs that have more than one reading, or none: what is read, what is said about it, and what is refused.

use super::format_tests::{half_an_hour, read, sessions};
use super::{EventLog, Lists, ReadOptions, RowOrder};

/// A log of ten sessions of three events each, with a line for each event.
fn log(header: &str, line: impl Fn(u32, u32, u32) -> String) -> String {
    let mut text = if header.is_empty() { String::new() } else { format!("{header}\n") };
    for session in 1..=10_u32 {
        for step in 0..3 {
            let item = 10 + (session + step) % 5;
            text += &line(session, item, 1_714_982_400 + session * 7_200 + step * 60);
            text.push('\n');
        }
    }
    text
}

/// Events, sessions and items of a log, and all that was said about it.
fn counts(text: &str, change: impl FnOnce(&mut ReadOptions)) -> (usize, usize, usize, String) {
    let mut log = read(&[text], change).unwrap_or_else(|error| panic!("{error}: {text}"));
    let files: Vec<String> = log.report().files.iter().flat_map(|file| file.guesses.clone()).collect();
    let shape = super::LogShape::of(&mut log);
    let said = [files, shape.warnings].concat().join("\n");
    (shape.counts.events as usize, shape.counts.sessions as usize, shape.counts.items as usize, said)
}

fn refused(text: &str, change: impl FnOnce(&mut ReadOptions)) -> String {
    sessions(&[text], change).map(|found| panic!("{found:?} in {text}")).unwrap_err().to_string()
}

fn nothing(_: &mut ReadOptions) {}

#[test]
fn rows_in_any_order_are_ordered_by_their_column_where_there_is_no_time() {
    let text = "order_id,product_id,add_to_cart_order\n7,c,3\n8,x,1\n7,a,1\n7,d,10\n7,b,2\n";
    let rows = |options: &mut ReadOptions| options.order = RowOrder::Rows;
    assert_eq!(sessions(&[text], rows).unwrap(), ["7: a b c d", "8: x"]);
    let by_rows = |options: &mut ReadOptions| {
        (options.order, options.order_column) = (RowOrder::Rows, Some("none".into()));
    };
    assert_eq!(sessions(&[text], by_rows).unwrap(), ["7: c a d b", "8: x"]);
    // A name is not enough.
    let words = "session,item,position,time\n1,a,top,1710897534\n1,b,left,1710897535\n";
    assert_eq!(sessions(&[words], nothing).unwrap(), ["1: a b"]);
    let gaps = "session,item,step,time\n1,c,,1710897534\n1,b,2,1710897534\n1,a,1,1710897534\n";
    assert_eq!(sessions(&[gaps], nothing).unwrap(), ["1: a b c"]);
    assert!(counts(gaps, nothing).3.contains("1 rows have no value that orders them"));
}

#[test]
fn equal_times_are_warned_of_in_every_unit() {
    for (factor, unit) in [(1, "s"), (1_000, "ms"), (1_000_000, "us")] {
        let text =
            log("session,item,time", |s, i, t| format!("{s},{i},{}", u64::from(t / 7_200 * 7_200) * factor));
        let said = counts(&text, nothing).3;
        assert!(
            said.contains("in 10 of 10 sessions of two or more events all times are equal"),
            "{unit}: {said}"
        );
    }
    let said = counts(&log("session,item,time", |s, i, t| format!("{s},{i},{t}")), nothing).3;
    assert_eq!(said, "");
}

#[test]
fn headers_of_fewer_fields_than_rows_name_the_columns() {
    let trailing = log("item,session,time", |s, i, t| format!("{i},{s},{t},"));
    let (events, sessions, items, said) = counts(&trailing, nothing);
    assert_eq!((events, sessions, items, said.as_str()), (30, 10, 5, ""));
    // R writes the names of rows without a name for their column.
    let r = log("\"session\" \"item\" \"time\"", |s, i, t| format!("\"{t}\" {s} {i} {t}"));
    assert_eq!(counts(&r, nothing).1, 10);
    let title = format!("Clicks,2024\n{}", log("session,item,time", |s, i, t| format!("{s},{i},{t}")));
    let said = counts(&title, nothing);
    assert_eq!((said.0, said.1), (30, 10), "{said:?}");
}

#[test]
fn the_first_rows_of_a_log_are_no_preamble() {
    let marked: String =
        (0..8).map(|_| log("", |s, i, t| format!("#{s},{i},{t}\n").trim().to_owned())).collect();
    assert_eq!(counts(&marked, nothing).0, 240);
}

#[test]
fn fields_that_shift_a_row_are_bad_rows() {
    let text = log("session,time,query,item", |s, i, t| {
        format!("{s},{t},{},{i}", if i == 12 { "big, red" } else { "red" })
    });
    let message = refused(&text, nothing);
    assert!(message.contains("5 fields where the others have 4"), "{message}");
    assert_eq!(counts(&text, |options| options.skip_bad_rows = true).0, 24);
    let title = log("session,item,time,title", |s, i, t| {
        format!("{s},{i},{t},{}", if i == 12 { "Red, big" } else { "Red" })
    });
    let (events, _, _, said) = counts(&title, nothing);
    assert!(events == 30 && said.contains("6 rows have more fields than the others"), "{said}");
    let comma = log("session,item,price,time", |s, i, t| format!("{s},{i},11,99,{t}"));
    assert!(refused(&comma, nothing).contains("the header has 4 fields and most rows have 5"));
    // Blank lines and the end of DOS files are no rows; lines are counted with them.
    let text = "session,item,time\n\n1,a,1710897534\n\n   \n1,,1710897535\n\u{1a}\n";
    assert!(refused(text, nothing).contains("line 6: column 2 (item) is empty"));
    let text = text.replace('\n', "\r\n");
    assert!(refused(&text, nothing).contains("line 6: column 2 (item) is empty"));
}

#[test]
fn columns_without_names_are_taken_by_what_is_in_them() {
    // Latitude and longitude are no items, a country is no session.
    let places = log("", |s, i, t| format!("{s}\t{t}\t{}.5\t-{}.25\t{}", 30 + i, 97 + i, 420_000 + i));
    assert_eq!(counts(&places, nothing).2, 5);
    let country = log("", |s, i, t| format!("DE,{s},{i},{t}"));
    let (_, sessions, items, said) = counts(&country, nothing);
    assert_eq!((sessions, items), (10, 5));
    assert!(said.contains("there is no header: column 2 are the sessions and column 3 the items"), "{said}");
    let user = refused(&log("", |s, i, t| format!("{s},{},{i},{t}", 1 + s % 7)), nothing);
    assert!(user.contains("column 2 has one value for each value of column 1"), "{user}");
    let swapped = refused(&log("", |s, i, t| format!("{i},{s},{t}")), nothing);
    assert!(swapped.contains("which of the two holds the sessions?"), "{swapped}");
    // A day and a time of day in two columns.
    let text = "1 a 2024-05-06 10:00:02\n1 b 2024-05-06 10:00:01\n2 c 2024-05-07 10:00:00\n";
    assert_eq!(sessions_of(text), ["1: b a", "2: c"]);
}

fn sessions_of(text: &str) -> Vec<String> {
    sessions(&[text], nothing).unwrap()
}

#[test]
fn ids_with_spaces_are_ids_and_lists_are_lists() {
    for id in ["{} 42", "A{} 42", "978 3 16 1484{} 0"] {
        let text =
            log("session,item,time", |s, i, t| format!("{s},{},{t}", id.replace("{}", &i.to_string())));
        assert_eq!((counts(&text, nothing).0, counts(&text, nothing).2), (30, 5), "{id}");
    }
    let rows = |options: &mut ReadOptions| options.order = RowOrder::Rows;
    let quoted = "session,item_list\n1,\"['Blue Shirt', 'Red Hat']\"\n2,\"['Red Hat']\"\n";
    let listed = |options: &mut ReadOptions| {
        (options.order, options.item_column) = (RowOrder::Rows, Some("item_list".into()));
    };
    assert_eq!(sessions(&[quoted], listed).unwrap(), ["1: Blue Shirt Red Hat", "2: Red Hat"]);
    let semicolons = "session,items\n1,10;11;12\n2,10;12\n3,9\n";
    assert_eq!(sessions(&[semicolons], rows).unwrap(), ["1: 10 11 12", "2: 10 12", "3: 9"]);
    let ids = |options: &mut ReadOptions| (options.order, options.item_lists) = (RowOrder::Rows, Lists::No);
    assert_eq!(sessions(&[semicolons], ids).unwrap(), ["1: 10;11;12", "2: 10;12", "3: 9"]);
    // The header of a file without numbers, and a row that is a session.
    let public = "prev_items,next_item,locale\n\"['B0' 'B1']\",B2,UK\n\"['B1' 'B3' 'B4']\",B5,UK\n";
    assert_eq!(sessions(&[public], rows).unwrap(), ["1: B0 B1", "2: B1 B3 B4"]);
    // A missing element makes all of its row a bad one; nothing is said about equal times or copies.
    let missing = "session,items\n1,\"[7, null, 8]\"\n2,\"[7, 7, 8]\"\n";
    assert!(refused(missing, rows).contains("column 2 (items) is \"null\""));
    let (events, _, _, said) = counts(missing, |options| {
        rows(options);
        options.skip_bad_rows = true;
    });
    assert_eq!(events, 3);
    assert!(
        !said.contains("equal") && !said.contains("repeat another") && !said.contains("counter"),
        "{said}"
    );
}

#[test]
fn lists_of_json_are_sessions_in_their_order() {
    let rows = |options: &mut ReadOptions| options.order = RowOrder::Rows;
    assert_eq!(
        sessions(&["{\"items\": [\"b\", \"a\"]}\n{\"items\": [\"c\"]}\n"], rows).unwrap(),
        ["1: b a", "2: c"]
    );
    let timed = "{\"session\": 1, \"ts\": 1710897534, \"items\": [\"b\", \"a\", \"b\"]}\n";
    assert_eq!(sessions_of(timed), ["1: b a b"]);
    assert!(!counts(timed, nothing).3.contains("equal"));
    let visit = "{\"session\": 1, \"serverTimestamp\": 1710897599, \"actions\": [{\"timestamp\": 1710897535, \"sku\": \"b\"}, {\"timestamp\": 1710897534, \"sku\": \"a\"}]}";
    assert_eq!(sessions_of(visit), ["1: a b"]);
    let parts = "{\"session\": 1, \"item\": 2, \"time\": [2025, 2, 3, 6, 0, 0]}";
    assert!(refused(parts, |options| options.time_column = Some("time".into())).contains("is in a list"));
}

#[test]
fn conditions_compare_values_and_say_when_none_is_met() {
    let text = log("session,item,time,type", |s, i, t| {
        format!("{s},{i},{t},{}", if i == 12 { "2.0" } else { "1.0" })
    });
    let only = |condition: &str| {
        let condition = condition.parse().unwrap();
        counts(&text, |options| options.conditions = vec![condition])
    };
    assert_eq!((only("type=1").0, only("type!=1").0), (24, 6));
    let none = only("type!=view");
    assert_eq!(none.0, 30);
    assert!(none.3.contains("no row has the value \"view\" in column 4 (type)"), "{}", none.3);
    // What a condition leaves out says nothing about the other rows.
    let zeros = log("session,item,time", |s, i, t| format!("{s},{i},{}", if i == 12 { 0 } else { t }));
    assert!(refused(&zeros, nothing).contains("(`where`)"));
    assert_eq!(counts(&zeros, |options| options.conditions = vec!["time!=0".parse().unwrap()]).0, 24);
}

#[test]
fn ids_that_stand_for_none_or_lost_digits_are_named() {
    let many = |placeholder: &'static str| -> String {
        let mut number = 0;
        (0..12)
            .map(|_| {
                log("", |s, i, t| format!("{s},{i},{t}"))
                    .lines()
                    .map(|line| {
                        number += 1;
                        let (_, rest) = line.split_once(',').unwrap();
                        let id = if number % 9 == 0 {
                            placeholder.to_owned()
                        } else {
                            (1 + number / 3).to_string()
                        };
                        format!("{id},{rest}\n")
                    })
                    .collect::<String>()
            })
            .collect()
    };
    for placeholder in ["0", "unknown", "-", "00000000-0000-0000-0000-000000000000"] {
        let text = format!("session,item,time\n{}", many(placeholder));
        let said = counts(&text, nothing).3;
        assert!(said.contains(&format!("the session \"{placeholder}\" has 40 of 360 events")), "{said}");
    }
    let rounded = log("session,item,time", |s, i, t| {
        format!("{s},{:.5E},{t}", f64::from(214_530_000 + i * 600)).replace('E', "E+0")
    });
    assert!(counts(&rounded, nothing).3.contains("30 ids are numbers that lost digits"));
}

#[test]
fn a_session_column_beside_a_user_stays_part_of_the_key() {
    let text = log("user_id,session_id,item_id,time", |s, i, t| format!("{s},{},{i},{t}", s % 2));
    let said = counts(&text, nothing).3;
    assert!(said.contains("name both columns, by `session_column` and by `user_column`"), "{said}");
    let both = counts(&text, |options| options.user_column = Some("user_id".into()));
    assert_eq!(both.1, 10, "{}", both.3);
    let twice = log("sessionId,itemId,item_id,time", |s, i, t| format!("{s},x,{i},{t}"));
    assert!(counts(&twice, nothing).3.is_empty(), "a column of one value is no item column beside another");
    let two = refused(&log("sessionId,itemId,item_id,time", |s, i, t| format!("{s},{i},{t},{t}")), nothing);
    assert!(two.contains("may both hold the items: name one by `item_column`"), "{two}");
}

#[test]
fn daily_files_of_users_are_no_sessions_that_begin_again() {
    let day = |day: u32| log("user_id,item_id,time", |s, i, t| format!("{s},{i},{}", t + day * 86_400));
    let log = read(&[&day(0), &day(1)], half_an_hour).unwrap();
    assert!(log.report().warnings.is_empty(), "{:?}", log.report().warnings);
    let sessions: EventLog =
        read(&[&day(0).replace("user", "session"), &day(1).replace("user", "session")], nothing).unwrap();
    assert!(sessions.report().warnings.iter().any(|warning| warning.contains("`sessions_per_file`")));
}

#[test]
fn clocks_that_lost_half_of_the_day_are_noticed() {
    let text: String = (0..120)
        .map(|n| {
            format!(
                "{n},a,2024-05-{:02} {:02}:00:00\n{n},b,2024-05-{:02} {:02}:10:00\n",
                1 + n / 12,
                1 + n % 12,
                1 + n / 12,
                1 + n % 12
            )
        })
        .collect();
    let said = counts(&format!("session,item,time\n{text}"), nothing).3;
    assert!(said.contains("a clock of twelve hours"), "{said}");
    let compact = log("session,item,date,time", |s, i, _| format!("{s},{i},202405{:02},0708{:02}", s, s));
    assert!(counts(&compact, nothing).3.contains("column 4 (time) is not used"));
}

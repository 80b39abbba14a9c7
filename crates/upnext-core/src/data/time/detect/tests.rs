//! Columns of every format are recognised, and asked about exactly where they have two readings.

use super::super::tests::{MOMENT, WRITTEN};
use super::*;

/// 2025-01-01.
pub(super) const NOW: TimeMicros = 1_735_689_600_000_000;

pub(super) fn auto() -> TimeReader {
    TimeReader::new(TimeUnit::Auto, None, None).unwrap()
}

fn of(values: &[&str]) -> Detection {
    detect(values, &auto(), NOW)
}

/// The unit, resolution, and numbers of unread and implausible values.
fn absolute(detection: Detection) -> (TimeUnit, Resolution, usize, usize) {
    match detection {
        Detection::Absolute { reader, resolution, counts } => {
            (reader.unit(), resolution, counts.unread, counts.outside)
        }
        other => panic!("{other:?}"),
    }
}

fn unit(values: &[&str]) -> TimeUnit {
    absolute(of(values)).0
}

fn question(values: &[&str]) -> String {
    match of(values) {
        Detection::Ambiguous { question } => question,
        other => panic!("{other:?}"),
    }
}

fn reason(values: &[&str]) -> String {
    match of(values) {
        Detection::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn is_counter_of_seconds(values: &[&str]) -> bool {
    matches!(of(values), Detection::Counter { reader } if reader.unit() == TimeUnit::S)
}

#[test]
fn one_value_of_every_format_is_recognised() {
    for &(expected, text, time) in WRITTEN {
        if ["45371", "20-03-24"].contains(&text) {
            continue;
        }
        match of(&[text]) {
            Detection::Absolute { reader, counts, .. } => {
                assert_eq!(reader.unit(), expected, "{text}");
                assert_eq!(reader.parse(text.as_bytes()).map(|time| time.micros), Some(time), "{text}");
                assert_eq!(counts, Counts { values: 1, unread: 0, outside: 0 });
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(of(&["01:18:54", "1:18 AM"]), Detection::TimeOfDay));
    assert_eq!(unit(&["20-03-24", "27-03-24"]), TimeUnit::DayFirst);
}

#[test]
fn resolutions_are_the_coarsest_step() {
    for (values, expected) in [
        (&["2024-03-20", "2024-03-21"][..], Resolution::Day),
        (&["2024-03-20T00:00:00+05:30"], Resolution::Day),
        (&["1710892800", "1710979200"], Resolution::Day),
        (&["20240320"], Resolution::Day),
        (&["2024-03-20 01", "2024-03-20"], Resolution::Hour),
        (&["3/20/2024 1:18 AM"], Resolution::Minute),
        (&["1710897534", "1710892800"], Resolution::Second),
        (&["1710897534000"], Resolution::Second),
        (&["1710897534001", "1710892800000"], Resolution::Finer),
    ] {
        assert_eq!(absolute(of(values)).1, expected, "{values:?}");
    }
    let berlin = TimeReader::new(TimeUnit::Auto, None, Some("Europe/Berlin")).unwrap();
    assert_eq!(absolute(detect(&["2024-03-20", "2024-07-20"], &berlin, NOW)).1, Resolution::Day);
}

#[test]
fn numbers_that_are_no_times_are_a_counter() {
    for values in [
        &["0", "1", "2"][..],
        &["3.5"],
        &["-5", "7"],
        &["99999999"],
        &["20241332", "20249999"],
        &["39.0", "40.0"],
        // It passes through the numbers of Excel's days.
        &["1000", "40000", "80000"],
        &["829", "1399"],
    ] {
        assert!(is_counter_of_seconds(values), "{values:?}: {:?}", of(values));
    }
    let seconds = TimeReader::new(TimeUnit::S, None, None).unwrap();
    assert!(matches!(detect(&["829", "20240320"], &seconds, NOW), Detection::Counter { .. }));
    assert_eq!(absolute(detect(&["829", "1710897534"], &seconds, NOW)).3, 1);
}

#[test]
fn a_date_without_separators_is_never_a_number_of_seconds() {
    assert_eq!(unit(&["20240320", "20240401", "20191231"]), TimeUnit::Compact);
    let mut values = vec!["20240320"; 20];
    values.push("0");
    let reason = reason(&values);
    assert!(
        reason.starts_with("1 of 21 numbers, such as `0`, are no times between 1995 and tomorrow"),
        "{reason}"
    );
    assert!(
        reason.contains("as `20240320` is") && reason.ends_with("set `time_unit` to compact"),
        "{reason}"
    );
}

#[test]
fn one_value_in_fifty_may_be_implausible() {
    let mut values = vec!["1710897534"; 49];
    values.push("0");
    assert_eq!(absolute(of(&values)), (TimeUnit::S, Resolution::Second, 0, 1));
    values.pop();
    values[7] = "0";
    let reason = reason(&values);
    assert!(reason.starts_with("1 of 49 numbers, such as `0`"), "{reason}");
    assert!(
        reason.contains("in seconds, as `1710897534` is") && reason.ends_with("`time_unit` to s"),
        "{reason}"
    );
    // Dates in texts say their year.
    assert_eq!(absolute(of(&["1970-01-01", "2024-03-20"])).3, 1);
    assert_eq!(absolute(of(&["2025-01-02 23:59:59", "2025-01-03"])).3, 1);
    assert_eq!(absolute(of(&["1994-12-31 23:59:59", "1995-01-01"])).3, 1);
}

#[test]
fn times_outside_the_plausible_years_in_every_unit_are_refused_with_the_years() {
    assert_eq!(
        reason(&["757382400", "757382460"]),
        "`757382460` is no time between 1995 and tomorrow in any unit (it would lie in 1994 in seconds, in 1970 in milliseconds or microseconds or nanoseconds, in 1 in .NET ticks): if it is one, set `time_unit`; s is also for a counter"
    );
    let future = reason(&["4102444800000"]);
    assert!(future.contains("in 2100 in milliseconds, in 1970 in microseconds or nanoseconds"), "{future}");
    let large = reason(&["99999999999999999999"]);
    assert!(
        large.starts_with("`99999999999999999999` is no time") && !large.contains("would lie"),
        "{large}"
    );
    assert!(reason(&["1735948800"]).contains("in 2025 in seconds"), "after tomorrow");
    assert_eq!(unit(&["1735862399"]), TimeUnit::S, "tomorrow");
}

#[test]
fn scientific_notation_is_refused_where_digits_are_lost() {
    let lost = "`1.71090E+12` has lost its last digits, as a spreadsheet wrote these numbers in steps of 10,000 seconds: export the column as whole numbers";
    assert_eq!(reason(&["1.71090E+12", "1.71091E+12"]), lost);
    assert_eq!(reason(&["1.71090E+12"]), lost);
    assert!(reason(&["1.7109e+09"]).contains("steps of 100,000 seconds"));
    assert!(reason(&["2.02403E+13"]).contains("in steps of 100,000,000:"));
    assert!(reason(&["6.38465E+17"]).contains("in steps of 100,000 seconds"));
    assert_eq!(unit(&["1.710897534e+09", "1.710897714e+09"]), TimeUnit::S);
    assert_eq!(unit(&["1.710897534E12", "1.71089E12"]), TimeUnit::Ms);
    // Whole days and hours, written with as many digits as they need.
    assert_eq!(unit(&["1.7108928E9"]), TimeUnit::S);
    assert_eq!(unit(&["1.7109E9", "1.7109036E9", "1.7109072E9"]), TimeUnit::S);
    assert!(is_counter_of_seconds(&["1e3", "2e3"]));
}

#[test]
fn whole_numbers_that_excel_may_have_counted_are_asked_about() {
    assert_eq!(
        question(&["45371", "45372"]),
        "`45372` may be a day as Excel counts them (2024-03-21), or a counter: set `time_unit` to excel or s"
    );
    assert_eq!(unit(&["45371", "45371.5"]), TimeUnit::Excel);
    let excel = TimeReader::new(TimeUnit::Excel, None, None).unwrap();
    assert_eq!(absolute(detect(&["45371"], &excel, NOW)).1, Resolution::Day);
}

#[test]
fn months_and_days_without_a_year_are_named() {
    let question = question(&["829", "1111", "1231.0", "229"]);
    assert!(
        question.starts_with("`829` may be a month and a day without a year, or a counter"),
        "{question}"
    );
    assert!(question.contains("set `time_unit` to s"), "{question}");
    assert!(is_counter_of_seconds(&["829", "1111", "1100"]));
    assert!(is_counter_of_seconds(&["829", "1111", "100.5"]));
}

#[test]
fn hours_without_separators_are_asked_about_when_they_may_be_seconds() {
    let in_2034 = 2_030_000_000_000_000;
    match detect(&["2024032001"], &auto(), in_2034) {
        Detection::Ambiguous { question } => assert_eq!(
            question,
            "`2024032001` is 2034-02-20T07:06:41Z in seconds and 2024-03-20T01:00:00Z in digits such as 20240320: set `time_unit` to s or compact"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn day_and_month_are_told_apart_or_asked_about() {
    assert_eq!(unit(&["03/04/2024", "13/04/2024"]), TimeUnit::DayFirst);
    assert_eq!(unit(&["03/04/2024", "04/13/2024"]), TimeUnit::MonthFirst);
    assert_eq!(unit(&["03.04.2024"]), TimeUnit::DayFirst, "nobody writes the month first with points");
    assert_eq!(unit(&["3/12/2024", "2/1/2025"]), TimeUnit::DayFirst, "1 February 2025 is in the future");
    assert_eq!(unit(&["12/3/2024", "1/2/2025"]), TimeUnit::MonthFirst, "1 February 2025 is in the future");
    assert_eq!(
        question(&["03/03/2024", "03/04/2024"]),
        "`03/04/2024` is 3 April 2024 or March 4, 2024: set `time_unit` to day-first or month-first"
    );
    assert_eq!(
        question(&["03/03/2024 1:18 AM"]),
        "`03/03/2024 1:18 AM` does not tell whether the day or the month comes first: set `time_unit` to day-first or month-first"
    );
    assert_eq!(
        reason(&["20/03/2024", "3/20/2024", "03/04/2024"]),
        "`20/03/2024` has the day first and `3/20/2024` the month: write all times in one order"
    );
    let chosen = TimeReader::new(TimeUnit::MonthFirst, None, None).unwrap();
    assert_eq!(absolute(detect(&["03/04/2024"], &chosen, NOW)).0, TimeUnit::MonthFirst);
}

#[test]
fn years_of_two_digits_may_come_first() {
    assert_eq!(
        question(&["20-03-24"]),
        "`20-03-24` is 20 March 2024 or 24 March 2020: set `time_unit` to day-first, or `time_format` to %y-%m-%d"
    );
    assert_eq!(
        question(&["03/04/05"]),
        "`03/04/05` is 3 April 2005 or March 4, 2005 or 5 April 2003: set `time_unit` to day-first or month-first, or `time_format` to %y/%m/%d"
    );
    assert_eq!(unit(&["20-03-24", "21-03-24"]), TimeUnit::DayFirst, "the year is constant");
    assert_eq!(unit(&["20-03-24", "31-12-23"]), TimeUnit::DayFirst, "2031 is in the future");
    assert_eq!(
        reason(&["24-03-20 01:18", "24-03-21 01:18"]),
        "`24-03-20 01:18` seems to begin with a year of two digits: set `time_format` to %y-%m-%d %H:%M:%S, or as the times of day are written"
    );
}

#[test]
fn the_more_frequent_form_is_read() {
    assert_eq!(
        absolute(of(&["2024-03-20", "2024-03-21", "1710897534"])),
        (TimeUnit::Iso, Resolution::Day, 1, 0)
    );
    assert_eq!(absolute(of(&["2024-03-20", "1710897535", "1710897534"])).0, TimeUnit::S);
    assert_eq!(absolute(of(&["2024-03-20", "1710897534"])).0, TimeUnit::S);
    assert_eq!(absolute(of(&["2024-03-20", "x"])).2, 1);
    for (values, expected) in
        [(&["x", "yesterday", "2024-03-20"][..], "x"), (&["2024-03-20", "ä", "noon"], "ä"), (&[], "")]
    {
        assert!(matches!(of(values), Detection::NotTimes { example } if example == expected), "{values:?}");
    }
    assert!(matches!(detect(&[b"\xff\xfe"], &auto(), NOW), Detection::NotTimes { .. }));
}

#[test]
fn a_given_unit_is_used_without_questions() {
    let reader = |unit| TimeReader::new(unit, None, None).unwrap();
    for &(unit, text, _) in WRITTEN {
        assert_eq!(absolute(detect(&[text], &reader(unit), NOW)).0, unit, "{text}");
    }
    assert_eq!(absolute(detect(&["1", "2"], &reader(TimeUnit::Ms), NOW)).3, 2);
    let none = detect(&["1710897534", "x"], &reader(TimeUnit::DayFirst), NOW);
    assert!(matches!(none, Detection::NotTimes { example } if example == "1710897534"));
    let pattern = TimeReader::new(TimeUnit::Auto, Some("%y-%m-%d"), None).unwrap();
    match detect(&["20-03-24"], &pattern, NOW) {
        Detection::Absolute { reader, .. } => {
            assert_eq!(reader.parse(b"24-03-20").unwrap().micros, MOMENT - 4_734_000_000);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_texts_are_decided_on_without_a_panic() {
    let pieces = [
        "2024",
        "03",
        "20",
        "-",
        "/",
        ".",
        ":",
        " ",
        "T",
        "Z",
        "+",
        "e",
        "E",
        "Mar",
        "AM",
        "[",
        "1e400",
        "0",
        "\u{202f}",
        "ä",
        "9999999999",
    ];
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let values: Vec<String> =
            (0..=random(3)).map(|_| (0..random(9)).map(|_| pieces[random(pieces.len())]).collect()).collect();
        let detection = detect(&values, &auto(), NOW);
        if let Detection::Ambiguous { question: text } | Detection::Refused { reason: text } = &detection {
            assert!(!text.contains('\n') && text.contains('`'), "{text}");
        }
    }
}

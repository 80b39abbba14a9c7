//! Times in all the ways that logs and users write them.

use super::*;

/// 2024-03-20T01:18:54Z.
pub(super) const MOMENT: TimeMicros = 1_710_897_534 * MICROS_PER_SECOND;
const MINUTE: TimeMicros = MOMENT - 54 * MICROS_PER_SECOND;
const HOUR: TimeMicros = MINUTE - 18 * 60 * MICROS_PER_SECOND;
const DAY: TimeMicros = HOUR - MICROS_PER_HOUR;

/// One text of every form of each format, with the time that it says, in UTC.
#[rustfmt::skip]
pub(crate) const WRITTEN: &[(TimeUnit, &str, TimeMicros)] = &[
    (TimeUnit::S, "1710897534", MOMENT),
    (TimeUnit::S, "1710897534.0", MOMENT),
    (TimeUnit::S, "1.710897534e+09", MOMENT),
    (TimeUnit::S, "1710897534.277", MOMENT + 277_000),
    (TimeUnit::Ms, "1710897534000", MOMENT),
    (TimeUnit::Us, "1710897534000001", MOMENT + 1),
    (TimeUnit::Ns, "1710897534000001999", MOMENT + 1),
    (TimeUnit::DotnetTicks, "638464943340000000", MOMENT),
    (TimeUnit::DotnetTicks, "638464943340000019", MOMENT + 1),
    (TimeUnit::Excel, "45371.0547916667", MOMENT),
    (TimeUnit::Excel, "45371.054791666669", MOMENT),
    (TimeUnit::Excel, "45371.5", DAY + 12 * MICROS_PER_HOUR),
    (TimeUnit::Excel, "45371", DAY),
    (TimeUnit::Compact, "20240320", DAY),
    (TimeUnit::Compact, "20240320.0", DAY),
    (TimeUnit::Compact, "2024032001", HOUR),
    (TimeUnit::Compact, "202403200118", MINUTE),
    (TimeUnit::Compact, "20240320011854", MOMENT),
    (TimeUnit::Compact, "20240320011854.0", MOMENT),
    (TimeUnit::Compact, "20240320011854.277", MOMENT + 277_000),
    (TimeUnit::Compact, "20240320011854277", MOMENT + 277_000),
    (TimeUnit::Compact, "20240320T011854Z", MOMENT),
    (TimeUnit::Compact, "20240320T021854+0100", MOMENT),
    (TimeUnit::Compact, "20240320T011854.277Z", MOMENT + 277_000),
    (TimeUnit::Compact, "20240320T0118", MINUTE),
    (TimeUnit::Compact, "20240320 01:18:54", MOMENT),
    (TimeUnit::Compact, "20240320_011854", MOMENT),
    (TimeUnit::Compact, "20240320-011854", MOMENT),
    (TimeUnit::Iso, "2024-03-20T01:18:54Z", MOMENT),
    (TimeUnit::Iso, "2024-03-20t01:18:54z", MOMENT),
    (TimeUnit::Iso, "2024-03-20T01:18:54.277Z", MOMENT + 277_000),
    (TimeUnit::Iso, "2024-03-20 01:18:54,277", MOMENT + 277_000),
    (TimeUnit::Iso, "2024-03-20 01:18:54.000000+00", MOMENT),
    (TimeUnit::Iso, "2024-03-20 02:18:54+01", MOMENT),
    (TimeUnit::Iso, "2024-03-20 02:18:54+01:00", MOMENT),
    (TimeUnit::Iso, "2024-03-19T20:18:54-0500", MOMENT),
    (TimeUnit::Iso, "2024-03-20 06:48:54 +0530", MOMENT),
    (TimeUnit::Iso, "2024-03-20 01:18:54 +0000 UTC", MOMENT),
    (TimeUnit::Iso, "2024-03-20 02:18:54 +0100 CET", MOMENT),
    (TimeUnit::Iso, "2024-03-20 01:18:54 UTC", MOMENT),
    (TimeUnit::Iso, "2024-03-20 01:18:54 GMT", MOMENT),
    (TimeUnit::Iso, "2024-03-20T02:18:54+01:00[Europe/Berlin]", MOMENT),
    (TimeUnit::Iso, "2024-03-20T02:18:54[Europe/Berlin]", MOMENT),
    (TimeUnit::Iso, "2024-03-20 1:18:54 AM", MOMENT),
    (TimeUnit::Iso, "2024-03-20 01:18", MINUTE),
    (TimeUnit::Iso, "2024-03-20T01:18Z", MINUTE),
    (TimeUnit::Iso, "2024-03-20 01", HOUR),
    (TimeUnit::Iso, "2024-03-20T01", HOUR),
    (TimeUnit::Iso, "2024-03-20", DAY),
    (TimeUnit::Iso, "2024-03-20Z", DAY),
    (TimeUnit::Iso, "2024/03/20 01:18:54", MOMENT),
    (TimeUnit::Iso, "2024/3/20", DAY),
    (TimeUnit::Iso, "2024.03.20 01:18", MINUTE),
    (TimeUnit::Iso, "2024-03-20T01:18:60Z", MOMENT + 5 * MICROS_PER_SECOND),
    (TimeUnit::DayFirst, "20.03.2024 01:18:54", MOMENT),
    (TimeUnit::DayFirst, "20.03.2024 01:18", MINUTE),
    (TimeUnit::DayFirst, "20.3.2024, 01:18:54", MOMENT),
    (TimeUnit::DayFirst, "20/03/2024", DAY),
    (TimeUnit::DayFirst, "20-03-24", DAY),
    (TimeUnit::DayFirst, "20-03-2024 01:18:54.277", MOMENT + 277_000),
    (TimeUnit::DayFirst, "20/03/2024 02:18:54 +01:00", MOMENT),
    (TimeUnit::DayFirst, "20/03/2024T01:18:54Z", MOMENT),
    (TimeUnit::MonthFirst, "3/20/2024 1:18:54 AM", MOMENT),
    (TimeUnit::MonthFirst, "3/20/2024, 1:18:54 AM", MOMENT),
    (TimeUnit::MonthFirst, "3/20/2024, 1:18:54\u{202f}AM", MOMENT),
    (TimeUnit::MonthFirst, "3/20/2024 1:18:54 p.m.", MOMENT + 12 * MICROS_PER_HOUR),
    (TimeUnit::MonthFirst, "3/20/2024 12:18 AM", MINUTE - MICROS_PER_HOUR),
    (TimeUnit::MonthFirst, "3/20/2024 12:18 PM", MINUTE + 11 * MICROS_PER_HOUR),
    (TimeUnit::MonthFirst, "3/20/24 1:18", MINUTE),
    (TimeUnit::MonthFirst, "03-20-2024", DAY),
    (TimeUnit::MonthName, "Wed, 20 Mar 2024 02:18:54 +0100", MOMENT),
    (TimeUnit::MonthName, "20 Mar 2024 01:18:54 GMT", MOMENT),
    (TimeUnit::MonthName, "Tue, 19 Mar 2024 20:18:54 EST", MOMENT),
    (TimeUnit::MonthName, "Wed Mar 20 01:18:54 2024", MOMENT),
    (TimeUnit::MonthName, "Wed Mar 20 01:18:54 UTC 2024", MOMENT),
    (TimeUnit::MonthName, "Wed Mar 20 02:18:54 +0100 2024", MOMENT),
    (TimeUnit::MonthName, "Wed Mar 20 2024 02:18:54 GMT+0100 (Central European Standard Time)", MOMENT),
    (TimeUnit::MonthName, "20 Mar 2024", DAY),
    (TimeUnit::MonthName, "20 March 2024", DAY),
    (TimeUnit::MonthName, "March 20th, 2024 at 1:18 AM", MINUTE),
    (TimeUnit::MonthName, "Mar 20, 2024 1:18 AM", MINUTE),
    (TimeUnit::MonthName, "Wednesday, March 20, 2024 1:18:54 AM", MOMENT),
    (TimeUnit::MonthName, "20-Mar-2024", DAY),
    (TimeUnit::MonthName, "20-MAR-24 01:18:54", MOMENT),
    (TimeUnit::MonthName, "2024-Mar-20 01:18:54", MOMENT),
    (TimeUnit::MonthName, "20Mar2024", DAY),
    (TimeUnit::Apache, "[20/Mar/2024:01:18:54 +0000]", MOMENT),
    (TimeUnit::Apache, "20/Mar/2024:02:18:54 +0100", MOMENT),
    (TimeUnit::Apache, "[20/Mar/2024:01:18:54", MOMENT),
];

#[test]
fn every_format_gives_the_time_that_it_says() {
    for &(unit, text, time) in WRITTEN {
        assert_eq!(unit.parse(text.as_bytes()), Some(time), "{unit}: {text}");
        let padded = format!("  {text} ");
        assert_eq!(unit.parse(padded.as_bytes()), Some(time), "{unit}: {text}");
    }
}

#[test]
fn a_text_without_a_log_is_read_if_it_has_one_meaning() {
    for &(unit, text, time) in WRITTEN {
        let read = TimeUnit::Auto.parse(text.as_bytes());
        match unit {
            TimeUnit::DotnetTicks | TimeUnit::Excel => assert_ne!(read, Some(time), "{text}"),
            TimeUnit::DayFirst | TimeUnit::MonthFirst => assert_eq!(read, None, "{text}"),
            _ if text == "2024032001" => assert_eq!(read, Some(2_024_032_001_000_000), "{text}"),
            _ => assert_eq!(read, Some(time), "{text}"),
        }
    }
    assert_eq!(parse_time("20240320"), Ok(DAY));
    assert_eq!(parse_time("20 Mar 2024"), Ok(DAY));
    assert!(parse_time("03/04/2024").unwrap_err().contains("is no time: write it as 2017-10-15T03:00:00Z"));
    // No dates: such counters and times stay seconds since 1970.
    for seconds in [20_241_332, 19_700_101, 21_000_101, 2_024_032] {
        assert_eq!(parse_time(&seconds.to_string()), Ok(seconds * MICROS_PER_SECOND));
    }
}

#[test]
fn all_ways_to_write_a_moment_give_the_same_microseconds() {
    let moment = 1_396_867_869_277_000;
    for text in [
        "2014-04-07T10:51:09.277Z",
        "2014-04-07 10:51:09.277",
        "2014-04-07T10:51:09.277000+00:00",
        "2014-04-07 12:51:09.277+02:00",
        "2014-04-07T05:51:09.277-0500",
        "2014-04-07 10:51:09.277 UTC",
        "1396867869.277",
        " 1396867869.277 ",
        "1396867869277",
        "1396867869277000",
        "1396867869277000000",
        "1.396867869277e9",
    ] {
        assert_eq!(TimeUnit::Auto.parse(text.as_bytes()), Some(moment), "{text}");
    }
}

#[test]
fn fast_and_general_iso_parsers_agree_on_every_day_of_five_centuries() {
    for day in -100_000..100_000 {
        let time = day * MICROS_PER_DAY + (day * 7_919_000_003).rem_euclid(MICROS_PER_DAY);
        let text = format_time(time);
        let general = iso::parse_any(text.as_bytes());
        assert_eq!(general.map(scan::Civil::as_utc), Some(time), "{text}");
        assert_eq!(iso::parse_parts(text.as_bytes()), general, "{text}");
        let fast = iso::parse_fast(text.as_bytes());
        assert!(fast.is_none() || fast == general, "{text}");
        let local = text.trim_end_matches('Z').replace('T', " ");
        assert_eq!(iso::parse_parts(local.as_bytes()), iso::parse_any(local.as_bytes()), "{local}");
    }
    assert!(iso::parse_fast(b"2000-02-28T23:59:59Z").is_some());
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        " ",
        "-",
        ".",
        "abc",
        "nan",
        "inf",
        "1e400",
        "12:30",
        "2014-13-01",
        "2014-02-30 10:00:00",
        "2023-02-29",
        "1900-02-29",
        "99999999999999999999",
        "1.2.3",
        "0x10",
        "2014-04-07T10:51:09.Z",
        "2014-04-07T25:51:09Z",
        "2014-04-07T10:61:09Z",
        "2014-04-07T10:51:61Z",
        "2014-04-07T10:51:09 CET",
        "2014-04-07 13:51 PM",
        "2014-04/07",
        "2014-04-07T",
        "2014-04-07-05",
        "2014-04-07T10:51:09+0100x",
        "20240320T2518",
        "20240320T01185",
        "20240320011854T",
        "30 Feb 2024",
        "20 Mar",
        "20 Mar 2024 2025",
        "20 Mar Apr 2024",
        "20 Mar 2024 01:18 01:19",
        "20 Mar 2024 +0100",
        "Mar 20 01:18:54",
        "20 Mrz 2024",
        "Ma 20, 2024",
        "20/Mar/2024:01:18:54 +0000 x",
        "[20/Mar/2024:24:18:54 +0000]",
    ] {
        assert_eq!(TimeUnit::Auto.parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(TimeUnit::Iso.parse(b"1396867869"), None);
    assert_eq!(TimeUnit::S.parse(b"2014-04-07"), None);
    for (unit, texts) in [
        (
            TimeUnit::DayFirst,
            &["32.03.2024", "3/20/2024", "20.03-2024", "20.03.024", "20.03.20245", "2024-03-20"][..],
        ),
        (TimeUnit::MonthFirst, &["20/03/2024", "3/20/2024 0:18 AM", "3/20/2024 1:18 XM"]),
        (
            TimeUnit::Compact,
            &["20240320.5", "20241320", "2024032", "202403200", "20240320012561", "-20240320"],
        ),
        (TimeUnit::Excel, &["-1", "2958466", "2024-03-20", "nan"]),
        (TimeUnit::DotnetTicks, &["-1", "3155378976000000000"]),
        (TimeUnit::Pattern, &["2024-03-20"]),
    ] {
        for text in texts {
            assert_eq!(unit.parse(text.as_bytes()), None, "{unit}: {text}");
        }
    }
}

#[test]
fn fractions_round_to_the_nearest_microsecond() {
    assert_eq!(TimeUnit::S.parse(b"1.0000004"), Some(1_000_000));
    assert_eq!(TimeUnit::S.parse(b"1.0000005"), Some(1_000_001));
    assert_eq!(TimeUnit::S.parse(b"0.99999999"), Some(1_000_000));
    assert_eq!(TimeUnit::S.parse(b"-2.5"), Some(-2_500_000));
    assert_eq!(TimeUnit::S.parse(b"5."), Some(5_000_000));
    assert_eq!(TimeUnit::Ms.parse(b"1.0004"), Some(1_000));
    assert_eq!(TimeUnit::Ns.parse(b"-1"), Some(-1));
}

#[test]
fn seconds_written_are_read_back_exactly() {
    for time in [0, 1, -1, 1_500_000, -1_500_000, 1_396_867_869_277_001, 999_999, -999_999] {
        assert_eq!(TimeUnit::S.parse(format_seconds(time).as_bytes()), Some(time), "{time}");
    }
    assert_eq!(format_seconds(1_500_000), "1.5");
}

#[cfg(feature = "logs")]
#[test]
fn times_of_day_are_read() {
    let second = |seconds: i64| Some(seconds * MICROS_PER_SECOND);
    for (text, expected) in [
        ("01:18:54", second(4_734)),
        (" 1:18:54 ", second(4_734)),
        ("01:18:54.123", Some(4_734_123_000)),
        ("01:18:54,123", Some(4_734_123_000)),
        ("01:18", second(4_680)),
        ("1:18 AM", second(4_680)),
        ("1:18:54pm", second(47_934)),
        ("12:00 am", second(0)),
        ("23:59:59.999999", Some(MICROS_PER_DAY - 1)),
        ("24:00", None),
        ("1", None),
        ("1 AM", None),
        ("13:00 PM", None),
        ("01:18:54Z", None),
        ("1:2", None),
        ("", None),
    ] {
        assert_eq!(time_of_day(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn names_of_units_are_those_of_options() {
    for unit in TimeUnit::ALL {
        assert_eq!(serde_json::to_value(unit).unwrap(), unit.name());
        assert_eq!(serde_json::from_value::<TimeUnit>(unit.name().into()).unwrap(), unit);
    }
}

//! Times and spans in all the ways that logs and users write them.

use super::*;

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
        assert_eq!(parse_iso_any(text.as_bytes()), Some(time), "{text}");
        if let Some(fast) = parse_iso_fast(text.as_bytes()) {
            assert_eq!(fast, time, "{text}");
        }
    }
    assert!(parse_iso_fast(b"2000-02-28T23:59:59Z").is_some());
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
        "99999999999999999999",
        "1.2.3",
        "0x10",
        "2014-04-07T10:51:09.Z",
        "2014-04-07T25:51:09Z",
    ] {
        assert_eq!(TimeUnit::Auto.parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(TimeUnit::Iso.parse(b"1396867869"), None);
    assert_eq!(TimeUnit::S.parse(b"2014-04-07"), None);
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

#[test]
fn spans_read_what_they_write() {
    for (text, seconds) in [("1d", 86_400), ("12h", 43_200), ("30m", 1_800), ("90s", 90), ("2w", 1_209_600)] {
        let span: TimeSpan = text.parse().unwrap();
        assert_eq!(span, TimeSpan::from_seconds(seconds).unwrap());
        assert_eq!(span.to_string().parse(), Ok(span));
    }
    assert_eq!("86400".parse(), Ok(TimeSpan::DAY));
    for text in ["", "d", "-1d", "0", "1 fortnight", "1d2", "9999999999999w"] {
        assert!(text.parse::<TimeSpan>().is_err(), "{text}");
    }
}

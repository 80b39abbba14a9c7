//! Times of a log: as `TimeUnit` reads them, in the log's zone, and in their order below a microsecond.

use super::super::tests::{MOMENT, WRITTEN};
use super::*;

fn reader(unit: TimeUnit) -> TimeReader {
    TimeReader::new(unit, None, None).unwrap()
}

fn in_zone(zone: &str) -> TimeReader {
    TimeReader::new(TimeUnit::Iso, None, Some(zone)).unwrap()
}

fn micros(reader: &TimeReader, text: &str) -> Option<TimeMicros> {
    reader.parse(text.as_bytes()).map(|time| time.micros)
}

fn message(result: Result<TimeReader>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_reader_gives_the_microseconds_of_its_unit() {
    for &(unit, text, time) in WRITTEN {
        assert_eq!(micros(&reader(unit), text), Some(time), "{unit}: {text}");
        assert_eq!(micros(&reader(TimeUnit::Auto).with_unit(unit), text), Some(time), "{unit}: {text}");
    }
}

#[test]
fn numbers_are_read_as_their_texts() {
    for &(unit, text, time) in WRITTEN {
        let reader = reader(unit);
        if let Ok(value) = text.parse::<i64>() {
            assert_eq!(reader.integer(value), reader.parse(text.as_bytes()), "{unit}: {text}");
        }
        // Floating point has 53 bits for a number.
        if let Ok(value) = text.parse::<f64>()
            && text.len() < 17
        {
            assert_eq!(reader.float(value).map(|time| time.micros), Some(time), "{unit}: {text}");
        }
    }
    assert_eq!(reader(TimeUnit::Compact).float(20_240_320.5), None);
    for unit in
        [TimeUnit::Iso, TimeUnit::DayFirst, TimeUnit::MonthFirst, TimeUnit::MonthName, TimeUnit::Apache]
    {
        assert_eq!((reader(unit).integer(20_240_320), reader(unit).float(45_371.5)), (None, None));
    }
    for value in [i64::MIN + 1, i64::MAX, -1, 0, 1, 99_999_999, 100_000_000] {
        for &(unit, ..) in WRITTEN {
            let time = reader(unit).integer(value);
            assert_eq!(
                time.map(|time| time.micros),
                unit.parse(value.to_string().as_bytes()),
                "{unit}: {value}"
            );
        }
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN] {
        for &(unit, ..) in WRITTEN {
            assert_eq!(reader(unit).float(value), None, "{unit}: {value}");
        }
    }
}

#[test]
fn what_is_finer_than_a_microsecond_keeps_its_order() {
    for (unit, texts) in [
        (
            TimeUnit::Ns,
            &["-1001", "-1", "0", "1710897534000000001", "1710897534000000999", "1710897534000001000"][..],
        ),
        (TimeUnit::DotnetTicks, &["638464943340000000", "638464943340000001", "638464943340000010"]),
        (
            TimeUnit::S,
            &[
                "-0.0000015",
                "-0.0000009",
                "-0.0000005",
                "-0.0000004",
                "0",
                "0.000000001",
                "0.0000004",
                "0.0000005",
                "0.0000009",
                "0.000001",
                "0.000001001",
                "1710897534.277000001",
                "1710897534.277000002",
            ],
        ),
        (
            TimeUnit::Ms,
            &["-0.0005", "0", "0.0001", "0.0009", "0.001", "1710897534277.000123", "1710897534277.000124"],
        ),
        (TimeUnit::Us, &["-0.5", "0", "0.5", "1", "1.001"]),
        (
            TimeUnit::Iso,
            &[
                "1969-12-31T23:59:59.999999999Z",
                "1970-01-01T00:00:00Z",
                "2024-03-20T01:18:54.277Z",
                "2024-03-20T01:18:54.277000001Z",
                "2024-03-20T01:18:54.277000999",
                "2024-03-20T01:18:54.277001000Z",
                "2024-03-29 01:18:54.277000001",
                "2024-03-29 01:18:54,277000002",
            ],
        ),
        (TimeUnit::Compact, &["20240320011854.000000001", "20240320T011854.000000002Z"]),
        (TimeUnit::MonthName, &["20 Mar 2024 01:18:54.000000001", "20 Mar 2024 01:18:54.000000002"]),
        (TimeUnit::DayFirst, &["20.03.2024 01:18:54.000000001", "20.03.2024 01:18:54.000000002"]),
        (TimeUnit::Apache, &["20/Mar/2024:01:18:54.000000001", "20/Mar/2024:01:18:54.000000002"]),
    ] {
        let reader = reader(unit);
        let times: Vec<Instant> = texts.iter().map(|text| reader.parse(text.as_bytes()).unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{unit}: {times:?}");
        assert!(times.iter().all(|time| (-500..1000).contains(&time.nanos)));
        for (text, time) in texts.iter().zip(&times) {
            assert_eq!(unit.parse(text.as_bytes()), Some(time.micros), "{unit}: {text}");
        }
    }
    // Floating-point seconds of today are 238 ns apart.
    let mut value = 1_710_897_534.277_f64;
    for _ in 0..1_000 {
        let next = value.next_up();
        let (this, that) =
            (reader(TimeUnit::S).float(value).unwrap(), reader(TimeUnit::S).float(next).unwrap());
        assert!(this < that, "{value} {this:?} {that:?}");
        value = next;
    }
}

#[test]
fn local_times_are_those_of_the_given_zone() {
    let berlin = in_zone("Europe/Berlin");
    for (text, utc) in [
        ("2024-01-15 12:00:00", "2024-01-15T11:00:00Z"),
        ("2024-07-15 12:00:00.277", "2024-07-15T10:00:00.277Z"),
        ("2024-07-15", "2024-07-14T22:00:00Z"),
        ("1890-01-01 12:00:00", "1890-01-01T11:06:32Z"),
        // A zone that is written is kept.
        ("2024-07-15 12:00:00Z", "2024-07-15T12:00:00Z"),
        ("2024-07-15 12:00:00 UTC", "2024-07-15T12:00:00Z"),
        ("2024-07-15 12:00:00-05:00", "2024-07-15T17:00:00Z"),
        // The clock is set back from 3:00 to 2:00: the earlier of both times.
        ("2024-10-27 01:59:59", "2024-10-26T23:59:59Z"),
        ("2024-10-27 02:30:00", "2024-10-27T00:30:00Z"),
        ("2024-10-27 03:00:00", "2024-10-27T02:00:00Z"),
        // The clock skips the hour after 2:00: moved forward by it.
        ("2024-03-31 01:59:59", "2024-03-31T00:59:59Z"),
        ("2024-03-31 02:30:00", "2024-03-31T01:30:00Z"),
        ("2024-03-31 03:30:00", "2024-03-31T01:30:00Z"),
    ] {
        assert_eq!(micros(&berlin, text), TimeUnit::Iso.parse(utc.as_bytes()), "{text}");
    }
    for (zone, expected) in [
        ("+02:00", "2024-07-15T10:00:00Z"),
        ("-0530", "2024-07-15T17:30:00Z"),
        ("UTC", "2024-07-15T12:00:00Z"),
        ("europe/berlin", "2024-07-15T10:00:00Z"),
        ("America/New_York", "2024-07-15T16:00:00Z"),
        ("Asia/Kolkata", "2024-07-15T06:30:00Z"),
    ] {
        let time = micros(&in_zone(zone), "2024-07-15 12:00:00");
        assert_eq!(time, TimeUnit::Iso.parse(expected.as_bytes()), "{zone}");
    }
    let hour = super::super::MICROS_PER_HOUR;
    for &(unit, text, time) in WRITTEN {
        let local = TimeReader::new(unit, None, Some("+01:00")).unwrap();
        let written = unit.civil(text.as_bytes()).unwrap();
        let shift = if written.offset.is_none() { hour } else { 0 };
        assert_eq!(micros(&local, text), Some(time - shift), "{unit}: {text}");
    }
    let numbers = [TimeUnit::S, TimeUnit::Ms, TimeUnit::Us, TimeUnit::Ns];
    let zoned = |unit: &TimeUnit| unit.civil(b"1710897534").is_some_and(|civil| civil.offset == Some(0));
    assert!(numbers.iter().all(zoned), "numbers since 1970 are UTC");
}

#[test]
fn zones_that_are_not_known_are_named_with_the_nearest() {
    let refused = |zone| message(TimeReader::new(TimeUnit::Iso, None, Some(zone)));
    assert!(refused("Europe/Berln").contains("(is it `Europe/Berlin`?)"), "{}", refused("Europe/Berln"));
    assert!(refused("berlin").contains("(is it `Europe/Berlin`?)"), "{}", refused("berlin"));
    for zone in ["", "Atlantis/Nowhere", "+1", "+25:00", "+01:00x"] {
        assert!(refused(zone).contains("write it as Europe/Berlin, UTC or +01:00"), "{}", refused(zone));
    }
}

#[test]
fn patterns_read_what_they_describe() {
    let by =
        |pattern: &str, zone: Option<&str>| TimeReader::new(TimeUnit::Auto, Some(pattern), zone).unwrap();
    let day = MOMENT - 4_734_000_000;
    for (pattern, text, expected) in [
        ("%y-%m-%d", "24-03-20", day),
        ("%d.%m.%y %H:%M:%S", "20.03.24 01:18:54", MOMENT),
        ("%Y%j", "2024080", day),
        ("%H:%M:%S %d/%m/%Y", "01:18:54 20/03/2024", MOMENT),
        ("%Y-%m-%d %I:%M:%S%.f %p", "2024-03-20 1:18:54.277 AM", MOMENT + 277_000),
        ("%Y-%m-%d %H:%M:%S %z", "2024-03-20 02:18:54 +0100", MOMENT),
        ("%Y-%m-%d %H:%M:%S %Q", "2024-03-20 02:18:54 Europe/Berlin", MOMENT),
        ("%G-W%V-%u", "2024-W12-3", day),
        ("t=%s", "t=1710897534", MOMENT),
    ] {
        let reader = by(pattern, None);
        assert_eq!((reader.unit(), micros(&reader, text)), (TimeUnit::Pattern, Some(expected)), "{pattern}");
        assert_eq!(micros(&reader, "2024-03-20 noon"), None);
    }
    assert_eq!(by("%y%m%d", None).integer(240_320).unwrap().micros, day);
    assert_eq!(by("%y%m%d", None).float(240_320.0).unwrap().micros, day);
    assert_eq!(by("%y%m%d", None).integer(i64::MIN), None);
    assert_eq!(by("%y%m%d", None).float(0.5), None);
    let local = micros(&by("%d.%m.%y %H:%M", Some("Europe/Berlin")), "20.03.24 02:18");
    assert_eq!(local, Some(MOMENT - 54_000_000));
}

#[test]
fn patterns_that_give_no_date_are_refused() {
    let refused = |unit, pattern| message(TimeReader::new(unit, pattern, None));
    for pattern in ["%H:%M", "%Y-%m", "%", "%E", "%Y-%m-%d %Z", "%c", ""] {
        let message = refused(TimeUnit::Auto, Some(pattern));
        assert!(message.contains(&format!("`{pattern}` cannot be used")), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert!(refused(TimeUnit::Ms, Some("%Y-%m-%d")).contains("either a time format or a time unit"));
    assert!(refused(TimeUnit::Pattern, None).contains("needs `time_format`"));
}

#[test]
fn a_date_and_a_time_of_day_are_one_time() {
    let time_of_day = |text: &str| super::super::time_of_day(text.as_bytes()).unwrap();
    for (zone, shift) in [(None, 0), (Some("Europe/Berlin"), super::super::MICROS_PER_HOUR)] {
        for (unit, date) in [
            (TimeUnit::Iso, "2024-03-20"),
            (TimeUnit::DayFirst, "20.03.2024"),
            (TimeUnit::Compact, "20240320"),
        ] {
            let reader = TimeReader::new(unit, None, zone).unwrap();
            let time = reader.on_date(date.as_bytes(), time_of_day("01:18:54")).unwrap();
            assert_eq!(time.micros, MOMENT - shift, "{date} in {zone:?}");
        }
    }
    let berlin = in_zone("Europe/Berlin");
    let summer = berlin.on_date(b"2024-03-31", time_of_day("12:00")).unwrap();
    assert_eq!(summer.micros, TimeUnit::Iso.parse(b"2024-03-31T10:00Z").unwrap());
    assert_eq!(berlin.on_date(b"noon", 0), None);
}

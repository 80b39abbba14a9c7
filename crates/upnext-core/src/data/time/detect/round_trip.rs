//! Times written in any format are read back the same, or asked about where they have two readings.

use super::tests::{NOW, auto};
use super::*;
use jiff::civil::Date;
use proptest::prelude::*;

/// How a time is written in a log: the unit, the pattern, and the step in which it is whole.
type Format = (TimeUnit, &'static str, i64);

const SECOND: i64 = MICROS_PER_SECOND;

/// Formats that can be told from all others by any value. Those of numbers have no pattern.
const FORMATS: &[Format] = &[
    (TimeUnit::S, "", SECOND),
    (TimeUnit::S, ".3", SECOND / 1_000),
    (TimeUnit::S, ".6", 1),
    (TimeUnit::Ms, "", SECOND / 1_000),
    (TimeUnit::Us, "", 1),
    (TimeUnit::Ns, "", 1),
    (TimeUnit::DotnetTicks, "", 1),
    (TimeUnit::Excel, ".10", SECOND / 1_000),
    (TimeUnit::Excel, ".12", SECOND / 1_000),
    (TimeUnit::Compact, "%Y%m%d", MICROS_PER_DAY),
    (TimeUnit::Compact, "%Y%m%d%H", MICROS_PER_HOUR),
    (TimeUnit::Compact, "%Y%m%d%H%M", 60 * SECOND),
    (TimeUnit::Compact, "%Y%m%d%H%M%S", SECOND),
    (TimeUnit::Compact, "%Y%m%d%H%M%S.0", SECOND),
    (TimeUnit::Compact, "%Y%m%d%H%M%S%3f", SECOND / 1_000),
    (TimeUnit::Compact, "%Y%m%dT%H%M%SZ", SECOND),
    (TimeUnit::Compact, "%Y%m%dT%H%M%S.%6fZ", 1),
    (TimeUnit::Compact, "%Y%m%d %H:%M", 60 * SECOND),
    (TimeUnit::Iso, "%Y-%m-%dT%H:%M:%SZ", SECOND),
    (TimeUnit::Iso, "%Y-%m-%d %H:%M:%S.%6f", 1),
    (TimeUnit::Iso, "%Y-%m-%d %H:%M:%S,%3f", SECOND / 1_000),
    (TimeUnit::Iso, "%Y-%m-%dT%H:%M:%S.%6f+00:00", 1),
    (TimeUnit::Iso, "%Y-%m-%d %H:%M:%S+00", SECOND),
    (TimeUnit::Iso, "%Y-%m-%d %H:%M:%S +0000 UTC", SECOND),
    (TimeUnit::Iso, "%Y/%m/%d %H:%M:%S", SECOND),
    (TimeUnit::Iso, "%Y-%m-%d %H:%M", 60 * SECOND),
    (TimeUnit::Iso, "%Y-%m-%d %H", MICROS_PER_HOUR),
    (TimeUnit::Iso, "%Y-%m-%d", MICROS_PER_DAY),
    (TimeUnit::MonthName, "%a, %d %b %Y %H:%M:%S +0000", SECOND),
    (TimeUnit::MonthName, "%a %b %e %H:%M:%S %Y", SECOND),
    (TimeUnit::MonthName, "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", SECOND),
    (TimeUnit::MonthName, "%-d %B %Y", MICROS_PER_DAY),
    (TimeUnit::MonthName, "%b %-d, %Y %-I:%M %p", 60 * SECOND),
    (TimeUnit::MonthName, "%d-%b-%Y", MICROS_PER_DAY),
    (TimeUnit::MonthName, "%d-%b-%y %H:%M:%S", SECOND),
    (TimeUnit::Apache, "[%d/%b/%Y:%H:%M:%S +0000]", SECOND),
    (TimeUnit::DayFirst, "%d.%m.%Y %H:%M:%S", SECOND),
    (TimeUnit::DayFirst, "%-d.%-m.%Y", MICROS_PER_DAY),
];

/// Formats in which days up to the twelfth may be months.
const ORDERS: &[Format] = &[
    (TimeUnit::DayFirst, "%d/%m/%Y", MICROS_PER_DAY),
    (TimeUnit::DayFirst, "%d/%m/%Y %H:%M:%S", SECOND),
    (TimeUnit::DayFirst, "%-d-%-m-%Y %H:%M", 60 * SECOND),
    (TimeUnit::MonthFirst, "%m/%d/%Y", MICROS_PER_DAY),
    (TimeUnit::MonthFirst, "%-m/%-d/%Y %-I:%M:%S %p", SECOND),
    (TimeUnit::MonthFirst, "%-m/%-d/%Y, %-I:%M:%S %p", SECOND),
];

/// Formats with years of two digits, which may also come first.
const SHORT_YEARS: &[Format] = &[
    (TimeUnit::DayFirst, "%d-%m-%y", MICROS_PER_DAY),
    (TimeUnit::DayFirst, "%d.%m.%y %H:%M", 60 * SECOND),
    (TimeUnit::MonthFirst, "%-m/%-d/%y %-I:%M %p", 60 * SECOND),
];

fn written((unit, pattern, _): Format, time: TimeMicros) -> String {
    match (unit, pattern) {
        (TimeUnit::S, "") => (time / SECOND).to_string(),
        (TimeUnit::S, ".3") => format!("{}.{:03}", time / SECOND, time % SECOND / 1_000),
        (TimeUnit::S, _) => format!("{}.{:06}", time / SECOND, time % SECOND),
        (TimeUnit::Ms, _) => (time / 1_000).to_string(),
        (TimeUnit::Us, _) => time.to_string(),
        (TimeUnit::Ns, _) => format!("{time}456"),
        (TimeUnit::DotnetTicks, _) => (621_355_968_000_000_000 + 10 * time + 7).to_string(),
        (TimeUnit::Excel, ".10") => format!("{:.10}", 25_569.0 + time as f64 / 86_400e6),
        (TimeUnit::Excel, _) => format!("{:.12}", 25_569.0 + time as f64 / 86_400e6),
        (_, pattern) => {
            let time =
                jiff::Timestamp::from_microsecond(time).unwrap().to_zoned_datetime(jiff::tz::TimeZone::UTC);
            time.strftime(pattern).to_string()
        }
    }
}

/// Times of a log that begins at any time from 1995 on and goes on for up to a year.
fn times() -> impl Strategy<Value = Vec<TimeMicros>> {
    let days = prop_oneof![Just(1_i64), 1..15_i64, 1..370_i64];
    (YEAR_1995..NOW - 370 * MICROS_PER_DAY, days).prop_flat_map(|(start, days)| {
        proptest::collection::vec((0..days * MICROS_PER_DAY).prop_map(move |after| start + after), 1..80)
    })
}

/// The log's times as this format keeps them, and its texts.
fn log(format: Format, times: &[TimeMicros]) -> (Vec<TimeMicros>, Vec<String>) {
    let kept: Vec<TimeMicros> = times.iter().map(|time| time - time.rem_euclid(format.2)).collect();
    let texts = kept.iter().map(|&time| written(format, time)).collect();
    (kept, texts)
}

fn read_back(detection: Detection, format: Format, kept: &[TimeMicros], texts: &[String]) {
    match detection {
        Detection::Absolute { reader, resolution, counts } => {
            assert_eq!(reader.unit(), format.0, "{texts:?}");
            let read: Vec<_> =
                texts.iter().map(|text| reader.parse(text.as_bytes()).map(|t| t.micros)).collect();
            let expected: Vec<_> = kept.iter().map(|time| Some(*time)).collect();
            assert_eq!(read, expected, "{format:?}: {texts:?}");
            assert_eq!(counts, Counts { values: texts.len(), unread: 0, outside: 0 });
            if format.2 == MICROS_PER_DAY {
                assert_eq!(resolution, Resolution::Day);
            }
        }
        other => panic!("{format:?}: {other:?}: {texts:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn times_in_every_format_read_back_the_same(times in times(), shown in 0..FORMATS.len()) {
        let format = FORMATS[shown];
        let (kept, texts) = log(format, &times);
        read_back(detect(&texts, &auto(), NOW), format, &kept, &texts);
        let given = TimeReader::new(format.0, None, None).unwrap();
        read_back(detect(&texts, &given, NOW), format, &kept, &texts);
    }

    #[test]
    fn dates_are_asked_about_exactly_if_day_and_month_may_be_exchanged(
        times in times(),
        shown in 0..ORDERS.len(),
    ) {
        let format = ORDERS[shown];
        let (kept, texts) = log(format, &times);
        let dates: Vec<Date> = kept
            .iter()
            .map(|&time| jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_microsecond(time).unwrap()).date())
            .collect();
        let exchanged = dates.iter().all(|date| date.day() <= 12)
            && dates.iter().all(|date| Date::new(date.year(), date.day(), date.month()).unwrap().year() >= 1995);
        let detection = detect(&texts, &auto(), NOW);
        if exchanged {
            prop_assert!(matches!(detection, Detection::Ambiguous { .. }), "{detection:?}: {texts:?}");
        } else {
            read_back(detection, format, &kept, &texts);
        }
        let given = TimeReader::new(format.0, None, None).unwrap();
        read_back(detect(&texts, &given, NOW), format, &kept, &texts);
    }

    #[test]
    fn dates_with_short_years_are_read_rightly_or_asked_about(times in times(), shown in 0..SHORT_YEARS.len()) {
        let format = SHORT_YEARS[shown];
        let (kept, texts) = log(format, &times);
        match detect(&texts, &auto(), NOW) {
            Detection::Ambiguous { question } => prop_assert!(question.contains("`time_unit`"), "{question}"),
            Detection::Refused { reason } => prop_assert!(reason.contains("year of two digits"), "{reason}"),
            detection => read_back(detection, format, &kept, &texts),
        }
    }

    #[test]
    fn local_times_read_back_the_same_but_where_the_clock_is_changed(times in times()) {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
        let reader = TimeReader::new(TimeUnit::Iso, None, Some("Europe/Berlin")).unwrap();
        for time in times {
            let local = jiff::Timestamp::from_microsecond(time).unwrap().to_zoned_datetime(zone.clone());
            let text = local.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
            let read = reader.parse(text.as_bytes()).unwrap().micros;
            let doubled = zone.to_ambiguous_timestamp(local.datetime()).is_ambiguous();
            prop_assert!(read == time || (doubled && read == time - MICROS_PER_HOUR), "{text}");
        }
    }
}

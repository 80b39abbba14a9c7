//! Parsing and formatting of times and spans of time, in microseconds.
//!
//! [`TimeUnit`] names the units and formats in which logs write times, and parses one text. A log's column of times is
//! decided on by `detect`, from a sample, and read by a `TimeReader`.

mod compact;
mod dates;
mod decimal;
#[cfg(feature = "logs")]
pub(crate) mod detect;
mod iso;
mod names;
#[cfg(feature = "logs")]
pub(crate) mod reader;
mod scan;
mod span;
mod unit;

#[cfg(feature = "logs")]
pub(crate) use decimal::number;
#[cfg(feature = "logs")]
pub(crate) use scan::time_of_day;
pub use span::TimeSpan;
pub use unit::TimeUnit;

use super::sessions::TimeMicros;

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in an hour.
pub const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;
/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 1995-01-01 in microseconds. A time between 1970 and this is a counter or a wrong clock, as no click log is that old.
pub(crate) const YEAR_1995: TimeMicros = 788_918_400 * MICROS_PER_SECOND;
/// 2100-01-01 in microseconds.
const YEAR_2100: TimeMicros = 4_102_444_800 * MICROS_PER_SECOND;

/// Parses a time from user input: ISO 8601 (UTC unless it has a time zone), a number since 1970 whose unit follows from
/// its size, digits such as `20240320`, or a date with the name of its month.
///
/// # Errors
/// A message with the accepted formats.
pub fn parse_time(text: &str) -> Result<TimeMicros, String> {
    TimeUnit::Auto.parse(text.as_bytes()).ok_or_else(|| {
        format!(
            "`{text}` is no time: write it as 2017-10-15T03:00:00Z, as 2017-10-15, or as seconds since 1970"
        )
    })
}

/// The rules of all time zones: with logs, those that are part of the program, else the system's.
fn zones() -> &'static jiff::tz::TimeZoneDatabase {
    #[cfg(feature = "logs")]
    {
        static BUNDLED: std::sync::LazyLock<jiff::tz::TimeZoneDatabase> =
            std::sync::LazyLock::new(jiff::tz::TimeZoneDatabase::bundled);
        &BUNDLED
    }
    #[cfg(not(feature = "logs"))]
    jiff::tz::db()
}

/// Formats a time as ISO 8601 in UTC, or as seconds since 1970 if its year is outside the calendar.
pub fn format_time(time: TimeMicros) -> String {
    jiff::Timestamp::from_microsecond(time).map_or_else(|_| format_seconds(time), |t| t.to_string())
}

/// Formats a time as seconds since 1970, with up to six decimals.
pub fn format_seconds(time: TimeMicros) -> String {
    let (sign, magnitude) = (if time < 0 { "-" } else { "" }, time.unsigned_abs());
    let (whole, micros) = (magnitude / 1_000_000, magnitude % 1_000_000);
    if micros == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{}", format!("{micros:06}").trim_end_matches('0'))
    }
}

/// Serde: an optional time as ISO 8601 text.
pub(crate) mod optional_time {
    use super::{TimeMicros, format_time, parse_time};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Option<TimeMicros>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.serialize_some(&format_time(*time)),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TimeMicros>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| parse_time(&text).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::WRITTEN;

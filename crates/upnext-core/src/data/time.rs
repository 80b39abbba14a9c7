//! Parsing and formatting of times and spans of time, in microseconds.

use super::sessions::TimeMicros;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in an hour.
pub const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;
/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 1990-01-01 in microseconds. A time between 1970 and this is a counter or a wrong clock, as no click log is that old.
pub const YEAR_1990: TimeMicros = 631_152_000 * MICROS_PER_SECOND;

/// The unit or format of the times in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Detected from the first rows: text is ISO 8601, and the unit of numbers follows from their size (below 10¹¹
    /// seconds, below 10¹⁴ milliseconds, below 10¹⁷ microseconds, else nanoseconds).
    #[default]
    Auto,
    /// Seconds since 1970-01-01 UTC, or a counter; fractions allowed.
    S,
    /// Milliseconds since 1970-01-01 UTC.
    Ms,
    /// Microseconds since 1970-01-01 UTC.
    Us,
    /// Nanoseconds since 1970-01-01 UTC.
    Ns,
    /// ISO 8601 date and time; without a zone it is taken as UTC.
    Iso,
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::S => "seconds",
            Self::Ms => "milliseconds",
            Self::Us => "microseconds",
            Self::Ns => "nanoseconds",
            Self::Iso => "ISO 8601",
        })
    }
}

impl TimeUnit {
    /// The unit in which a number since 1970 is a time between the years 1973 and 5138. Small numbers are seconds, as
    /// counters are read as seconds.
    pub(crate) fn of_magnitude(value: f64) -> Self {
        match value.abs() {
            v if v < 1e11 => Self::S,
            v if v < 1e14 => Self::Ms,
            v if v < 1e17 => Self::Us,
            _ => Self::Ns,
        }
    }

    /// Parses a text as a time in this unit; `None` if it is not one, or lies beyond the years ±290,000.
    ///
    /// `Auto` decides for this text alone.
    pub fn parse(self, text: &[u8]) -> Option<TimeMicros> {
        let text = text.trim_ascii();
        match self {
            Self::S => parse_decimal(text, 6),
            Self::Ms => parse_decimal(text, 3),
            Self::Us => parse_decimal(text, 0),
            Self::Ns => parse_decimal(text, 0).map(|ns| ns.div_euclid(1000)),
            Self::Iso => parse_iso(text),
            Self::Auto => match number(text) {
                Some(value) => Self::of_magnitude(value).parse(text),
                None => parse_iso(text),
            },
        }
    }

    #[cfg(feature = "logs")]
    /// Converts a whole number in this unit to a time; `None` beyond the years ±290,000 and for `Iso`.
    pub(crate) fn integer(self, value: i64) -> Option<TimeMicros> {
        match self {
            Self::S => value.checked_mul(MICROS_PER_SECOND),
            Self::Ms => value.checked_mul(1000),
            Self::Us => Some(value),
            Self::Ns => Some(value.div_euclid(1000)),
            Self::Auto => Self::of_magnitude(value as f64).integer(value),
            Self::Iso => None,
        }
    }

    #[cfg(feature = "logs")]
    /// Converts a number in this unit to a time, rounded to microseconds; `None` if it is not finite or too large, and
    /// for `Iso`.
    pub(crate) fn float(self, value: f64) -> Option<TimeMicros> {
        let micros = match self {
            Self::S => value * 1e6,
            Self::Ms => value * 1e3,
            Self::Us => value,
            Self::Ns => value / 1e3,
            Self::Auto => return Self::of_magnitude(value).float(value),
            Self::Iso => return None,
        };
        (micros.abs() < 9.2e18).then(|| micros.round() as i64)
    }
}

/// Parses a time from user input: ISO 8601 (UTC unless it has a time zone), or a number since 1970 whose unit follows
/// from its size.
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

/// Parses a finite decimal number, with an optional fraction and exponent.
pub(crate) fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    // Rust also reads "inf", "nan" and "infinity" as numbers.
    let numeric = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|v: &f64| numeric && v.is_finite())
}

/// Parses a decimal number, multiplies it by 10^`scale` and rounds it to a whole number; `None` if it is not a number
/// or too large.
fn parse_decimal(text: &[u8], scale: u32) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (mut value, mut fraction, mut seen_point, mut seen_digit, mut round_up) =
        (0_i64, 0, false, false, false);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                seen_digit = true;
                if seen_point && fraction >= scale {
                    // Only the first digit beyond the scale decides the rounding.
                    round_up |= fraction == scale && byte >= b'5';
                    fraction += 1;
                    continue;
                }
                value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                fraction += u32::from(seen_point);
            }
            b'.' if !seen_point => seen_point = true,
            b'e' | b'E' if seen_digit => {
                let micros = number(text)? * 10_f64.powi(scale as i32);
                return (micros.abs() < 9.2e18).then(|| micros.round() as i64);
            }
            _ => return None,
        }
    }
    if !seen_digit {
        return None;
    }
    let value =
        value.checked_mul(10_i64.pow(scale - fraction.min(scale)))?.checked_add(i64::from(round_up))?;
    Some(if negative { -value } else { value })
}

/// Parses an ISO 8601 date and time, or a date alone.
fn parse_iso(text: &[u8]) -> Option<TimeMicros> {
    parse_iso_fast(text).or_else(|| parse_iso_any(text))
}

/// Parses the format that nearly all logs use, `2014-04-07T10:51:09.277Z` (or with a space, or without a zone). A large
/// log is read several times faster than with a general parser.
fn parse_iso_fast(text: &[u8]) -> Option<TimeMicros> {
    let digit = |i: usize| -> Option<i64> {
        let d = text.get(i)?.wrapping_sub(b'0');
        (d < 10).then_some(i64::from(d))
    };
    let two = |i: usize| Some(digit(i)? * 10 + digit(i + 1)?);
    let is = |i: usize, byte: u8| text.get(i) == Some(&byte);
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    let separated =
        is(4, b'-') && is(7, b'-') && (is(10, b'T') || is(10, b' ')) && is(13, b':') && is(16, b':');
    // Leap seconds and days from the 29th on are left to the general parser.
    if !separated || !(1..=12).contains(&month) || !(1..=28).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    let mut at = 19;
    if is(at, b'.') {
        let mut place = 100_000;
        at += 1;
        while let Some(d) = digit(at) {
            micros += d * place;
            place /= 10;
            at += 1;
        }
        if at == 20 {
            return None;
        }
    }
    if !matches!(&text[at..], b"" | b"Z" | b" UTC") {
        return None;
    }
    // Days from the civil date, counted from March so that the leap day is the last of a year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = y.div_euclid(400);
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let year_of_era = y - era * 400;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 * MICROS_PER_SECOND + second * MICROS_PER_SECOND + micros)
}

/// Parses any other format of date and time that the `jiff` crate reads.
fn parse_iso_any(text: &[u8]) -> Option<TimeMicros> {
    let text = std::str::from_utf8(text).ok()?;
    // A date needs dashes: jiff would also read 20141231, which is a number here.
    if !text.contains('-') {
        return None;
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond());
    }
    let zoneless = [" UTC", "UTC", " GMT", "GMT", "Z"].iter().find_map(|zone| text.strip_suffix(zone));
    let civil: jiff::civil::DateTime = zoneless.unwrap_or(text).parse().ok()?;
    Some(jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?.as_microsecond())
}

/// A span of time, written as a number and a unit: `1d`, `12h`, `30m`, `90s`, `2w`; a number alone is in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan {
    /// Microseconds, > 0.
    micros: i64,
}

impl TimeSpan {
    /// One day.
    pub const DAY: Self = Self { micros: MICROS_PER_DAY };

    /// A span in seconds; `None` unless `seconds` is above 0 and below 290,000 years.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        let micros = seconds.checked_mul(MICROS_PER_SECOND).filter(|&m| m > 0)?;
        Some(Self { micros })
    }

    /// The span in microseconds.
    pub fn micros(self) -> i64 {
        self.micros
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("d", MICROS_PER_DAY), ("h", MICROS_PER_HOUR), ("m", 60 * MICROS_PER_SECOND)] {
            if self.micros % size == 0 {
                return write!(f, "{}{unit}", self.micros / size);
            }
        }
        write!(f, "{}s", format_seconds(self.micros))
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no span of time: write it as 1d, 12h, 30m, 90s or 2w");
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let seconds_per_unit = match text[split..].trim() {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return Err(wrong()),
        };
        let micros = parse_decimal(&text.as_bytes()[..split], 6)
            .and_then(|micros| micros.checked_mul(seconds_per_unit))
            .filter(|&micros| micros > 0)
            .ok_or_else(wrong)?;
        Ok(Self { micros })
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
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

/// Serde: a span of time as text, `none` for no span.
pub(crate) mod span_or_none {
    use super::TimeSpan;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Option<TimeSpan>, to: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => to.collect_str(span),
            None => to.serialize_str("none"),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TimeSpan>, D::Error> {
        let text = String::deserialize(from)?;
        (text != "none").then(|| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests;

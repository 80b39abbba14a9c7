//! The units and formats of times.

use super::dates::Numbers;
use super::decimal::{decimal, number};
#[cfg(feature = "logs")]
use super::decimal::{rounded, scaled};
use super::scan::Civil;
use super::{MICROS_PER_DAY, TimeMicros, compact, iso, names};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The unit or format of the times in a log.
///
/// Times without a zone are taken as UTC, or as local times where the log's time zone is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Detected from the first rows.
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
    /// ISO 8601, and what is written like it, with the year first: `2024-03-20T01:18:54.277Z`, `2024-03-20 01:18`,
    /// `2024/03/20`, `2024-03-20 01:18:54 +0000 UTC`.
    Iso,
    /// .NET ticks: steps of 100 ns since 0001-01-01.
    DotnetTicks,
    /// Days since 1899-12-30, as in Excel's cells, with the time of day as a fraction; rounded to milliseconds, as Excel
    /// shows them.
    Excel,
    /// Digits without separators: `20240320`, `2024032001`, `202403200118`, `20240320011854`, `20240320T011854Z`.
    Compact,
    /// Numbers with the day first: `20.03.2024 01:18`, `20/03/2024`, `20-03-24`.
    DayFirst,
    /// Numbers with the month first: `3/20/2024 1:18:54 AM`, `03-20-2024`.
    MonthFirst,
    /// English names of months: RFC 2822 (`Wed, 20 Mar 2024 01:18:54 +0100`), asctime, `Mar 20, 2024 1:18 AM`.
    MonthName,
    /// Apache's and nginx's access logs: `[20/Mar/2024:01:18:54 +0000]`.
    Apache,
    /// A pattern of `strftime`, which is given beside the unit.
    Pattern,
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
            Self::DotnetTicks => ".NET ticks",
            Self::Excel => "Excel days",
            Self::Compact => "digits such as 20240320",
            Self::DayFirst => "dates with the day first",
            Self::MonthFirst => "dates with the month first",
            Self::MonthName => "dates with names of months",
            Self::Apache => "the format of Apache's logs",
            Self::Pattern => "the given pattern",
        })
    }
}

/// .NET ticks in a microsecond.
const TICKS_PER_MICRO: i64 = 10;
/// .NET ticks from 0001-01-01 to 1970-01-01.
const TICKS_1970: i64 = 621_355_968_000_000_000;
/// .NET ticks at the end of the year 9999.
const TICKS_END: i64 = 3_155_378_976_000_000_000;
/// Days from Excel's day 0, 1899-12-30, to 1970-01-01.
const EXCEL_1970: f64 = 25_569.0;
/// Excel's day 10000-01-01.
const EXCEL_END: f64 = 2_958_466.0;

/// The time of an Excel serial number.
fn of_excel(days: f64) -> Option<Civil> {
    if !(0.0..EXCEL_END).contains(&days) {
        return None;
    }
    let millis = ((days - EXCEL_1970) * (MICROS_PER_DAY / 1000) as f64).round() as i64;
    Some(Civil { micros: millis * 1000, nanos: 0, offset: None })
}

/// The time of .NET ticks. They do not say of which place they are.
fn of_ticks(ticks: i64) -> Option<Civil> {
    if !(0..TICKS_END).contains(&ticks) {
        return None;
    }
    let ticks = ticks - TICKS_1970;
    let nanos = (ticks.rem_euclid(TICKS_PER_MICRO) * 100) as i16;
    Some(Civil { micros: ticks.div_euclid(TICKS_PER_MICRO), nanos, offset: None })
}

impl TimeUnit {
    /// What is read as a time, for messages and documentation.
    pub const UNDERSTOOD: &str = "times are read as ISO 8601 (2024-03-20T01:18:54Z, 2024/03/20 01:18, 2024-03-20), numbers since 1970 (s, ms, us, ns), .NET ticks, Excel days, 20240320 or 20240320T011854Z, 20.03.2024 01:18 or 3/20/2024 1:18 AM, months by name (20 Mar 2024, RFC 2822), [20/Mar/2024:01:18:54 +0000], and by `time_format`, such as %d.%m.%y %H:%M";

    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Auto,
        Self::S,
        Self::Ms,
        Self::Us,
        Self::Ns,
        Self::Iso,
        Self::DotnetTicks,
        Self::Excel,
        Self::Compact,
        Self::DayFirst,
        Self::MonthFirst,
        Self::MonthName,
        Self::Apache,
        Self::Pattern,
    ];

    /// Its name in options, such as `day-first`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::S => "s",
            Self::Ms => "ms",
            Self::Us => "us",
            Self::Ns => "ns",
            Self::Iso => "iso",
            Self::DotnetTicks => "dotnet-ticks",
            Self::Excel => "excel",
            Self::Compact => "compact",
            Self::DayFirst => "day-first",
            Self::MonthFirst => "month-first",
            Self::MonthName => "month-name",
            Self::Apache => "apache",
            Self::Pattern => "pattern",
        }
    }

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

    /// Parses a text as a time in this unit; `None` if it is not one, or lies beyond the years ±290,000. A time without
    /// a zone is taken as UTC.
    ///
    /// `Auto` decides for this text alone, and refuses what can be read in two ways: `03/04/2024`. `Pattern` needs the
    /// pattern and reads nothing here.
    pub fn parse(self, text: &[u8]) -> Option<TimeMicros> {
        self.civil(text.trim_ascii()).map(Civil::as_utc)
    }

    /// Parses a text without spaces around it as a time in this unit; `None` for `Pattern`.
    #[inline]
    pub(super) fn civil(self, text: &[u8]) -> Option<Civil> {
        let utc = |(micros, nanos)| Civil::utc(micros, nanos);
        match self {
            Self::Iso => iso::parse(text),
            Self::S => decimal(text, 6).map(utc),
            Self::Ms => decimal(text, 3).map(utc),
            Self::Us => decimal(text, 0).map(utc),
            Self::Ns => {
                decimal(text, 0).map(|(ns, _)| Civil::utc(ns.div_euclid(1000), ns.rem_euclid(1000) as i16))
            }
            Self::DotnetTicks => of_ticks(decimal(text, 0)?.0),
            Self::Excel => of_excel(number(text)?),
            Self::Compact => compact::parse(text),
            Self::DayFirst => Numbers::of(text)?.day_first(),
            Self::MonthFirst => Numbers::of(text)?.month_first(),
            Self::MonthName => names::parse(text),
            Self::Apache => names::parse_apache(text),
            Self::Pattern => None,
            Self::Auto => match number(text) {
                Some(value) if value > 0.0 => {
                    compact_date(text).or_else(|| Self::of_magnitude(value).civil(text))
                }
                Some(value) => Self::of_magnitude(value).civil(text),
                None => [Self::Iso, Self::Compact, Self::MonthName, Self::Apache]
                    .into_iter()
                    .find_map(|unit| unit.civil(text)),
            },
        }
    }

    /// Converts a whole number in this unit to a time; `None` if it is not one.
    #[cfg(feature = "logs")]
    pub(crate) fn integer(self, value: i64) -> Option<TimeMicros> {
        self.civil_of_integer(value).map(Civil::as_utc)
    }

    /// Converts a whole number in this unit to a date and time; `None` if it is not one.
    #[cfg(feature = "logs")]
    pub(super) fn civil_of_integer(self, value: i64) -> Option<Civil> {
        match self {
            Self::S => value.checked_mul(super::MICROS_PER_SECOND).map(|micros| Civil::utc(micros, 0)),
            Self::Ms => value.checked_mul(1000).map(|micros| Civil::utc(micros, 0)),
            Self::Us => Some(Civil::utc(value, 0)),
            Self::Ns => Some(Civil::utc(value.div_euclid(1000), value.rem_euclid(1000) as i16)),
            Self::DotnetTicks => of_ticks(value),
            Self::Excel => of_excel(value as f64),
            Self::Compact => compact::of_integer(value),
            Self::Auto => Self::of_magnitude(value as f64).civil_of_integer(value),
            Self::Iso
            | Self::DayFirst
            | Self::MonthFirst
            | Self::MonthName
            | Self::Apache
            | Self::Pattern => None,
        }
    }

    /// Converts a number in this unit to a time, rounded to microseconds; `None` if it is not one.
    #[cfg(feature = "logs")]
    pub(super) fn civil_of_float(self, value: f64) -> Option<Civil> {
        let utc = |(micros, nanos)| Civil::utc(micros, nanos);
        match self {
            Self::S => scaled(value, 1_000_000).map(utc),
            Self::Ms => scaled(value, 1_000).map(utc),
            Self::Us => rounded(value).map(utc),
            Self::Ns => rounded(value / 1e3).map(utc),
            Self::DotnetTicks => {
                if !(0.0..TICKS_END as f64).contains(&value) {
                    return None;
                }
                let (micros, nanos) = rounded((value - TICKS_1970 as f64) / TICKS_PER_MICRO as f64)?;
                Some(Civil { micros, nanos, offset: None })
            }
            Self::Excel => of_excel(value),
            Self::Compact if value.fract() == 0.0 => compact::of_integer(value as i64),
            Self::Auto => Self::of_magnitude(value).civil_of_float(value),
            _ => None,
        }
    }
}

/// The time of a number that is a date without separators, between the years 1995 and 2100. Read as a number since 1970,
/// it would lie in 1970 or after 2600.
fn compact_date(text: &[u8]) -> Option<Civil> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // Ten digits are more likely seconds.
    if digits == 10 {
        return None;
    }
    let years = super::YEAR_1995..super::YEAR_2100;
    compact::parse(text).filter(|civil| years.contains(&civil.micros))
}

//! How the times of one log are read.

use super::TimeMicros;
use super::scan::Civil;
use super::unit::TimeUnit;
use crate::error::{Error, Result};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone};
use std::fmt::Write;

/// A time, and what is finer than a microsecond, so that the order of events is kept.
///
/// Instants of one unit compare as their exact times. `micros` is rounded as [`TimeUnit::parse`] rounds; `nanos` is what
/// the time exceeds that by: 0 for a whole microsecond, and negative where a number was rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant {
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) micros: TimeMicros,
    /// −500..1000.
    pub(crate) nanos: i16,
}

/// How the times of one log are read: the unit, a pattern, and the zone of times that do not name theirs.
#[derive(Clone, Debug)]
pub(crate) struct TimeReader {
    unit: TimeUnit,
    pattern: Option<Box<str>>,
    /// The zone of local times; `None` for UTC.
    zone: Option<TimeZone>,
}

impl TimeReader {
    /// A reader of this unit, or of a pattern of `strftime`, for a log with times of this zone (`Europe/Berlin`,
    /// `+01:00`).
    ///
    /// # Errors
    /// [`Error::Config`] for a pattern that gives no date, for a pattern and another unit than `Auto` or `Pattern`, for
    /// the unit `Pattern` without a pattern, and for a zone that is not known.
    pub(crate) fn new(unit: TimeUnit, pattern: Option<&str>, zone: Option<&str>) -> Result<Self> {
        let unit = match (unit, pattern) {
            (TimeUnit::Auto | TimeUnit::Pattern, Some(pattern)) => {
                check_pattern(pattern)?;
                TimeUnit::Pattern
            }
            (_, Some(_)) => {
                return Err(Error::config("time_format", "give either a time format or a time unit"));
            }
            (TimeUnit::Pattern, None) => {
                return Err(Error::config(
                    "time_unit",
                    "the unit pattern needs `time_format`, such as %d.%m.%Y %H:%M",
                ));
            }
            (unit, None) => unit,
        };
        let zone = zone.map(find_zone).transpose()?.filter(|zone| *zone != TimeZone::UTC);
        Ok(Self { unit, pattern: pattern.map(Box::from), zone })
    }

    /// The same reader for another unit.
    pub(crate) fn with_unit(&self, unit: TimeUnit) -> Self {
        Self { unit, ..self.clone() }
    }

    pub(crate) fn unit(&self) -> TimeUnit {
        self.unit
    }

    /// The time that a text gives; `None` if it is none in this unit.
    #[inline]
    pub(crate) fn parse(&self, text: &[u8]) -> Option<Instant> {
        self.instant(self.civil(text)?)
    }

    /// The time of a whole number in this unit.
    #[inline]
    pub(crate) fn integer(&self, value: i64) -> Option<Instant> {
        if self.unit == TimeUnit::Pattern {
            // The longest has 20 characters.
            let mut digits = Digits { bytes: [0; 20], length: 0 };
            write!(digits, "{value}").ok()?;
            return self.parse(&digits.bytes[..digits.length]);
        }
        self.instant(self.unit.civil_of_integer(value)?)
    }

    /// The time of a number in this unit.
    #[inline]
    pub(crate) fn float(&self, value: f64) -> Option<Instant> {
        // Whole numbers of which some were missing are often stored as floating point.
        if self.unit == TimeUnit::Pattern && value.fract() == 0.0 && value.abs() < 9e15 {
            return self.integer(value as i64);
        }
        self.instant(self.unit.civil_of_float(value)?)
    }

    /// The date and time as it is written.
    #[inline]
    pub(super) fn civil(&self, text: &[u8]) -> Option<Civil> {
        let text = text.trim_ascii();
        match &self.pattern {
            Some(pattern) if self.unit == TimeUnit::Pattern => by_pattern(pattern, text),
            _ => self.unit.civil(text),
        }
    }

    /// The time of a date and time of the log's place.
    #[inline]
    pub(super) fn instant(&self, civil: Civil) -> Option<Instant> {
        let micros = match (&self.zone, civil.offset) {
            (Some(zone), None) => local(zone, civil.micros)?,
            _ => civil.as_utc(),
        };
        Some(Instant { micros, nanos: civil.nanos })
    }

    /// The time of a clock of the log's place that shows this much.
    #[inline]
    pub(crate) fn local(&self, clock: Instant) -> Option<Instant> {
        self.instant(Civil { micros: clock.micros, nanos: clock.nanos, offset: None })
    }

    /// The time of a date of the log's place, in microseconds since 1970-01-01 there, and a time of day, in microseconds
    /// since midnight: of a log with a column for each.
    pub(crate) fn on_date(&self, date: &[u8], time_of_day: i64) -> Option<Instant> {
        let date = self.civil(date)?;
        self.instant(Civil { micros: date.micros.checked_add(time_of_day)?, ..date })
    }
}

/// The time of a clock in this zone that shows this many microseconds since 1970-01-01 00:00. Of two times, which the
/// clock shows when it is set back, it is the earlier; a time that the clock skips is moved forward by what is skipped.
fn local(zone: &TimeZone, micros: i64) -> Option<TimeMicros> {
    let clock = Offset::UTC.to_datetime(jiff::Timestamp::from_microsecond(micros).ok()?);
    Some(zone.to_timestamp(clock).ok()?.as_microsecond())
}

/// Decimal digits on the stack.
struct Digits {
    bytes: [u8; 20],
    length: usize,
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Parses a text by a pattern of `strftime`; midnight if the pattern has no time of day.
fn by_pattern(pattern: &str, text: &[u8]) -> Option<Civil> {
    let parts = BrokenDownTime::parse(pattern, text).ok()?;
    let civil = |time: jiff::Timestamp, offset| {
        let nanos = time.as_nanosecond();
        Some(Civil {
            micros: i64::try_from(nanos.div_euclid(1000)).ok()?,
            nanos: nanos.rem_euclid(1000) as i16,
            offset,
        })
    };
    if let Some(time) = parts.timestamp() {
        return civil(time, Some(0));
    }
    if let Some(name) = parts.iana_time_zone() {
        let zone = super::zones().get(name).ok()?;
        return civil(zone.to_timestamp(parts.to_datetime().ok()?).ok()?, Some(0));
    }
    let clock = Offset::UTC.to_timestamp(parts.to_datetime().ok()?).ok()?;
    civil(clock, parts.offset().map(Offset::seconds))
}

/// Checks that a pattern can be read and gives a date.
fn check_pattern(pattern: &str) -> Result<()> {
    let refused = |reason: String| {
        let reason = reason.replace(['\n', '\r'], " ");
        Error::config("time_format", format!("`{pattern}` cannot be used: {reason}"))
    };
    let example = jiff::Timestamp::from_second(1_710_897_534)
        .map_err(|error| refused(error.to_string()))?
        .to_zoned_datetime(TimeZone::UTC);
    let text = jiff::fmt::strtime::format(pattern, &example).map_err(|error| refused(error.to_string()))?;
    let parts = BrokenDownTime::parse(pattern, &text).map_err(|error| refused(error.to_string()))?;
    if parts.timestamp().is_none() {
        parts.to_datetime().map_err(|error| refused(error.to_string()))?;
    }
    Ok(())
}

/// Finds a time zone by its IANA name or its offset from UTC.
fn find_zone(name: &str) -> Result<TimeZone> {
    let name = name.trim();
    let mut scan = super::scan::Scan::new(name.as_bytes());
    if scan.is_sign()
        && let Some(offset) = scan.numeric_offset().filter(|_| scan.is_at_end())
    {
        return Offset::from_seconds(offset)
            .map(Offset::to_time_zone)
            .map_err(|error| Error::config("timezone", error.to_string()));
    }
    super::zones().get(name).map_err(|_| {
        let near = super::zones()
            .available()
            .map(|known| {
                let last = known.as_str().rsplit('/').next().unwrap_or_default();
                let near = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase());
                (near(known.as_str()).max(near(last)), known.as_str().to_owned())
            })
            .filter(|(similarity, _)| *similarity > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let meant = near.map(|(_, known)| format!(" (is it `{known}`?)")).unwrap_or_default();
        Error::config(
            "timezone",
            format!("there is no time zone `{name}`{meant}: write it as Europe/Berlin, UTC or +01:00"),
        )
    })
}

#[cfg(test)]
mod tests;

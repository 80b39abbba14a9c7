//! Spans of time: a number and a unit.

use super::decimal::decimal;
use super::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND, format_seconds};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A span of time, written as a number and a unit: `1d`, `12h`, `30m`, `90s`, `2w`. A number alone is refused, as it
/// would be seconds to some readers and days or minutes to others.
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

    /// Parses a number and a unit.
    ///
    /// # Errors
    /// A message with the accepted forms; for a number alone, one that shows its readings.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no span of time: write it as 1d, 12h, 30m, 90s or 2w");
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let number = &text[..split];
        let amount = decimal(number.as_bytes(), 6).map(|(micros, _)| micros).filter(|&micros| micros > 0);
        let seconds_per_unit = match text[split..].trim() {
            "" if amount.is_some() => {
                return Err(format!(
                    "`{number}` has no unit: write {number}d for days, {number}h for hours, {number}m for minutes or {number}s for seconds"
                ));
            }
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return Err(wrong()),
        };
        let micros = amount.and_then(|micros| micros.checked_mul(seconds_per_unit)).ok_or_else(wrong)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_what_they_write() {
        for (text, seconds) in
            [("1d", 86_400), ("12h", 43_200), ("30m", 1_800), ("90s", 90), ("2w", 1_209_600)]
        {
            let span: TimeSpan = text.parse().unwrap();
            assert_eq!(span, TimeSpan::from_seconds(seconds).unwrap());
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        assert_eq!("0.000001s".parse::<TimeSpan>().unwrap().micros(), 1);
        for text in ["", "d", "-1d", "0", "0s", "1 fortnight", "1d2", "9999999999999w", "1.2.3", "1.2.3d"] {
            let message = text.parse::<TimeSpan>().unwrap_err();
            assert!(message.contains("is no span of time: write it as 1d, 12h"), "{text}: {message}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_its_readings() {
        assert_eq!(
            "7".parse::<TimeSpan>().unwrap_err(),
            "`7` has no unit: write 7d for days, 7h for hours, 7m for minutes or 7s for seconds"
        );
        assert!(" 86400 ".parse::<TimeSpan>().unwrap_err().contains("86400s for seconds"));
        assert!("1.5".parse::<TimeSpan>().unwrap_err().contains("1.5d for days"));
    }
}

//! Dates, times of day and offsets from UTC as parts of texts.

use super::{MICROS_PER_DAY, MICROS_PER_SECOND};

/// A date and time as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    /// Microseconds from 1970-01-01 00:00 of the place where it was written.
    pub(super) micros: i64,
    /// What the time exceeds that by, −500..1000.
    pub(super) nanos: i16,
    /// Seconds that its place is ahead of UTC; `None` if the text does not say.
    pub(super) offset: Option<i32>,
}

impl Civil {
    /// A time in UTC.
    pub(super) fn utc(micros: i64, nanos: i16) -> Self {
        Self { micros, nanos, offset: Some(0) }
    }

    /// Microseconds since 1970-01-01 UTC; a place that is not given is taken as UTC.
    pub(super) fn as_utc(self) -> i64 {
        self.micros.saturating_sub(i64::from(self.offset.unwrap_or(0)) * MICROS_PER_SECOND)
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` if there is no such date.
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    (1..=length).contains(&day).then(|| days_of_valid(year, month, day))
}

/// Days from 1970-01-01 to a date that exists.
#[inline]
pub(super) fn days_of_valid(year: i64, month: i64, day: i64) -> i64 {
    // Counted from March, so that the leap day is the last of a year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = y.div_euclid(400);
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let year_of_era = y - era * 400;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The year of a number with two digits, as in POSIX: 69 to 99 are in the 20th century.
pub(super) fn full_year(two_digits: i64) -> i64 {
    two_digits + if two_digits < 69 { 2000 } else { 1900 }
}

/// A text that is read from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn is_at_digit(&self) -> bool {
        self.peek().is_some_and(|byte| byte.is_ascii_digit())
    }

    /// Whether the next byte is the sign of a number.
    pub(super) fn is_sign(&self) -> bool {
        matches!(self.rest, [b'+' | b'-', b'0'..=b'9', ..])
    }

    /// Skips this byte; false if another follows.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.rest = &self.rest[usize::from(found)..];
        found
    }

    /// Skips one of these bytes and returns it.
    pub(super) fn eat_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| bytes.contains(byte))?;
        self.rest = &self.rest[1..];
        Some(byte)
    }

    /// Skips spaces, those included that browsers write before AM and PM; false if there are none.
    pub(super) fn spaces(&mut self) -> bool {
        let mut found = false;
        loop {
            self.rest = match self.rest {
                [b' ' | b'\t', rest @ ..] | [0xe2, 0x80, 0xaf, rest @ ..] | [0xc2, 0xa0, rest @ ..] => rest,
                _ => return found,
            };
            found = true;
        }
    }

    /// A number of `least` to `most` (at most 18) digits, and how many it has.
    #[inline]
    pub(super) fn digits(&mut self, least: usize, most: usize) -> Option<(i64, usize)> {
        let count = self.rest.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        Some((digits.iter().fold(0, |value, &digit| value * 10 + i64::from(digit - b'0')), count))
    }

    /// Skips ASCII letters and returns them.
    pub(super) fn word(&mut self) -> &'a [u8] {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (word, rest) = self.rest.split_at(count);
        self.rest = rest;
        word
    }

    /// Skips the digits of a fraction of a second; nanoseconds.
    pub(super) fn fraction(&mut self) -> Option<i64> {
        let (mut nanos, digits) = self.digits(1, 9)?;
        (digits..9).for_each(|_| nanos *= 10);
        let finer = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[finer..];
        Some(nanos)
    }

    /// A time of day: `1:18`, `01:18:54`, `01:18:54.277`, `1:18 PM`, and `01` or `1 PM` if an hour alone is allowed.
    /// Microseconds since midnight, and the nanoseconds beyond. A leap second is the second before it.
    pub(super) fn clock(&mut self, hour_alone: bool) -> Option<(i64, i16)> {
        let (mut hour, _) = self.digits(1, 2)?;
        let (mut minute, mut second, mut nanos) = (0, 0, 0);
        if self.eat(b':') {
            minute = self.digits(2, 2)?.0;
            if self.eat(b':') {
                second = self.digits(2, 2)?.0;
                if self.eat_any(b".,").is_some() {
                    nanos = self.fraction()?;
                }
            }
        } else if !hour_alone {
            return None;
        }
        if let Some(afternoon) = self.meridiem() {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = (hour * 60 + minute) * 60 + second.min(59);
        Some((seconds * MICROS_PER_SECOND + nanos / 1000, (nanos % 1000) as i16))
    }

    /// Skips `AM`, `pm` or `p.m.`, with spaces before it; whether it is the afternoon.
    fn meridiem(&mut self) -> Option<bool> {
        let mut scan = *self;
        scan.spaces();
        let half = scan.eat_any(b"aApP")?;
        let dotted = scan.eat(b'.');
        scan.eat_any(b"mM")?;
        if dotted {
            scan.eat(b'.');
        }
        if scan.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        *self = scan;
        Some(half.eq_ignore_ascii_case(&b'p'))
    }

    /// What stands between a date and a time of day: `T`, spaces, or a comma and spaces.
    fn between(&mut self) -> bool {
        self.eat_any(b"Tt").is_some() || {
            let comma = self.eat(b',');
            self.spaces() || comma
        }
    }

    /// `+01`, `+0100` or `+01:00`, in seconds.
    pub(super) fn numeric_offset(&mut self) -> Option<i32> {
        let sign = if self.eat_any(b"+-")? == b'-' { -1 } else { 1 };
        let (hours, _) = self.digits(2, 2)?;
        let colon = self.eat(b':');
        let minutes = if colon || self.is_at_digit() { self.digits(2, 2)?.0 } else { 0 };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) as i32 * 60)
    }

    /// The zone at the end of a text, in seconds ahead of UTC: `Z`, ` UTC`, `GMT+0100`, `+01`, ` +0100 CET`. `None` if
    /// something else is left, `Some(None)` if nothing is.
    pub(super) fn zone(&mut self) -> Option<Option<i32>> {
        self.spaces();
        if self.is_at_end() {
            return Some(None);
        }
        let offset = if matches!(self.peek(), Some(b'+' | b'-')) {
            let offset = self.numeric_offset()?;
            // Go writes the zone's name, too: `+0000 UTC`, `+0100 CET`.
            if self.spaces() {
                let name = self.word();
                let named = (3..=5).contains(&name.len()) && name.iter().all(u8::is_ascii_uppercase);
                named.then_some(())?;
            }
            offset
        } else {
            utc_name(self.word())?;
            if self.is_at_end() { 0 } else { self.numeric_offset()? }
        };
        self.is_at_end().then_some(Some(offset))
    }

    /// The rest of a text after its date, which is `days` after 1970-01-01: nothing, or a time of day and a zone.
    pub(super) fn after_date(mut self, days: i64) -> Option<Civil> {
        let date = days * MICROS_PER_DAY;
        let mut time = self;
        if time.between() && time.is_at_digit() {
            let (micros, nanos) = time.clock(true)?;
            return Some(Civil { micros: date + micros, nanos, offset: time.zone()? });
        }
        // A date alone may have the name of UTC behind it, and no offset: 2024-03-20-05 is no date.
        self.spaces();
        let offset = if self.is_at_end() { None } else { Some(utc_name(self.word())?) };
        self.is_at_end().then_some(Civil { micros: date, nanos: 0, offset })
    }
}

/// The offset of a zone that is named `Z`, `UTC` or `GMT`.
fn utc_name(word: &[u8]) -> Option<i32> {
    let names: [&[u8]; 3] = [b"Z", b"UTC", b"GMT"];
    names.iter().any(|name| word.eq_ignore_ascii_case(name)).then_some(0)
}

/// Parses the time of day of a log that has it in a column of its own: `01:18:54`, `01:18:54.123`, `1:18`, `1:18 AM`.
/// Microseconds since midnight.
#[cfg(feature = "logs")]
pub(crate) fn time_of_day(text: &[u8]) -> Option<i64> {
    let mut scan = Scan::new(text.trim_ascii());
    let (micros, _) = scan.clock(false)?;
    scan.is_at_end().then_some(micros)
}

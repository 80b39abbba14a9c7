//! ISO 8601, and what is written like it: the year first, then month and day.

use super::MICROS_PER_SECOND;
use super::scan::{Civil, Scan, days, days_of_valid};

/// Powers of ten: what a number of nanoseconds lacks if this many of its last digits are left out.
const TENS: [i64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Parses a date, or a date and time, that begins with the year.
#[inline]
pub(super) fn parse(text: &[u8]) -> Option<Civil> {
    parse_fast(text).or_else(|| parse_parts(text)).or_else(|| parse_any(text))
}

/// Parses the format that nearly all logs use, `2014-04-07T10:51:09.277Z` (or with a space, or without a zone). A large
/// log is read several times faster than with a general parser.
#[inline]
pub(super) fn parse_fast(text: &[u8]) -> Option<Civil> {
    let (head, mut rest) = text.split_first_chunk::<19>()?;
    let digit = |i: usize| i64::from(head[i].wrapping_sub(b'0'));
    let are_digits = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18].iter().all(|&i| digit(i) < 10);
    let is = |i: usize, byte: u8| head[i] == byte;
    let separated =
        is(4, b'-') && is(7, b'-') && (is(10, b'T') || is(10, b' ')) && is(13, b':') && is(16, b':');
    if !separated || !are_digits {
        return None;
    }
    let two = |i: usize| digit(i) * 10 + digit(i + 1);
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    // Leap seconds and days from the 29th on are left to the general parser.
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut subsecond = 0;
    if let [b'.', fraction @ ..] = rest {
        let mut digits = 0;
        rest = fraction;
        while let [byte @ b'0'..=b'9', behind @ ..] = rest {
            if digits < 9 {
                subsecond = subsecond * 10 + i64::from(byte - b'0');
                digits += 1;
            }
            rest = behind;
        }
        if digits == 0 {
            return None;
        }
        subsecond *= TENS[9 - digits];
    }
    let offset = match rest {
        b"" => None,
        b"Z" | b" UTC" => Some(0),
        _ => return None,
    };
    let seconds = ((days_of_valid(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    let (micros, nanos) = (subsecond / 1000, (subsecond % 1000) as i16);
    Some(Civil { micros: seconds * MICROS_PER_SECOND + micros, nanos, offset })
}

/// Parses the other forms of a date with `-`, `/` or `.` between its numbers, with or without a time of day.
pub(super) fn parse_parts(text: &[u8]) -> Option<Civil> {
    let mut scan = Scan::new(text);
    let (year, _) = scan.digits(4, 4)?;
    let separator = scan.eat_any(b"-/.")?;
    let (month, _) = scan.digits(1, 2)?;
    if !scan.eat(separator) {
        return None;
    }
    let (day, _) = scan.digits(1, 2)?;
    scan.after_date(days(year, month, day)?)
}

/// Parses what else the `jiff` crate reads: years with a sign, and zones in brackets.
pub(super) fn parse_any(text: &[u8]) -> Option<Civil> {
    let text = std::str::from_utf8(text).ok()?;
    // A date needs dashes: jiff would also read 20141231, which is a number here.
    if !text.contains('-') {
        return None;
    }
    let civil = |time: jiff::Timestamp, offset| {
        let nanos = time.as_nanosecond().rem_euclid(1000) as i16;
        Some(Civil { micros: time.as_nanosecond().div_euclid(1000) as i64, nanos, offset })
    };
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return civil(time, Some(0));
    }
    if text.ends_with(']') {
        // Without an offset, the zone in brackets says of which place the clock is.
        let parser = jiff::fmt::temporal::DateTimeParser::new();
        let zoned = parser.parse_zoned_datetime_with(super::zones(), text).ok()?;
        return civil(zoned.timestamp(), Some(0));
    }
    let zoneless = [" UTC", "UTC", " GMT", "GMT", "Z"].iter().find_map(|zone| text.strip_suffix(zone));
    let local: jiff::civil::DateTime = zoneless.unwrap_or(text).parse().ok()?;
    civil(jiff::tz::TimeZone::UTC.to_timestamp(local).ok()?, zoneless.map(|_| 0))
}

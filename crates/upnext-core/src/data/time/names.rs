//! Times with English names of months: RFC 2822, `asctime`, browsers, spreadsheets, and Apache's logs.

use super::MICROS_PER_DAY;
use super::scan::{Civil, Scan, days, full_year};

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];

const WEEKDAYS: [&[u8]; 7] =
    [b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday", b"sunday"];

/// The zones that RFC 2822 names, in hours ahead of UTC.
const ZONES: [(&[u8], i32); 8] = [
    (b"EST", -5),
    (b"EDT", -4),
    (b"CST", -6),
    (b"CDT", -5),
    (b"MST", -7),
    (b"MDT", -6),
    (b"PST", -8),
    (b"PDT", -7),
];

/// Whether a word is one of these names, or its first three letters or more.
fn position(names: &[&[u8]], word: &[u8]) -> Option<i64> {
    let begins = |name: &&[u8]| {
        word.len() >= 3 && name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    names.iter().position(begins).map(|at| at as i64)
}

/// Parses a day, a month by its name and a year, in any usual order, with or without weekday, time of day and zone.
///
/// Read are `Wed, 20 Mar 2024 01:18:54 +0100` (RFC 2822), `Wed Mar 20 01:18:54 2024` (asctime), `20 Mar 2024`,
/// `Mar 20, 2024 1:18 AM`, `20-Mar-2024`, `Wed Mar 20 2024 01:18:54 GMT+0100 (Central European Standard Time)`. The
/// weekday is not checked.
pub(super) fn parse(text: &[u8]) -> Option<Civil> {
    let mut scan = Scan::new(text);
    let (mut month, mut clock, mut offset, mut weekday) = (None, None, None, false);
    // The day and the year, with their numbers of digits.
    let (mut numbers, mut count) = ([(0, 0); 2], 0);
    while let Some(byte) = scan.peek() {
        if byte.is_ascii_digit() {
            let mut ahead = scan;
            let number = ahead.digits(1, 4).filter(|_| !ahead.is_at_digit())?;
            if ahead.peek() == Some(b':') {
                if clock.replace(scan.clock(false)?).is_some() {
                    return None;
                }
                continue;
            }
            *numbers.get_mut(count)? = number;
            count += 1;
            scan = ahead;
            if matches!(scan.peek(), Some(b's' | b'n' | b'r' | b't')) {
                let endings: [&[u8]; 4] = [b"st", b"nd", b"rd", b"th"];
                let mut ahead = scan;
                if endings.contains(&ahead.word()) {
                    scan = ahead;
                }
            }
        } else if byte.is_ascii_alphabetic() {
            let word = scan.word();
            if let Some(at) = position(&MONTHS, word) {
                if month.replace(at + 1).is_some() {
                    return None;
                }
            } else if position(&WEEKDAYS, word).is_some() && !weekday {
                weekday = true;
            } else if let Some(zone) = zone_name(word)
                && clock.is_some()
                && offset.is_none()
            {
                offset = Some(zone);
                if matches!(scan.peek(), Some(b'+' | b'-')) && zone == 0 {
                    offset = Some(scan.numeric_offset()?);
                }
            } else if !(word.eq_ignore_ascii_case(b"at") && count > 0 && clock.is_none()) {
                return None;
            }
        } else if byte == b'+' || (byte == b'-' && clock.is_some() && scan.is_sign()) {
            if clock.is_none() || offset.replace(scan.numeric_offset()?).is_some() {
                return None;
            }
        } else if byte == b'(' {
            // The zone's name, behind its offset.
            offset?;
            break;
        } else if scan.eat_any(b",.-/").is_none() && !scan.spaces() {
            return None;
        }
    }
    if count != 2 {
        return None;
    }
    let [(first, first_length), (second, second_length)] = numbers;
    let (day, year) = match (first_length, second_length) {
        (1 | 2, 4) => (first, second),
        (4, 1 | 2) => (second, first),
        (1 | 2, 2) => (first, full_year(second)),
        _ => return None,
    };
    let (micros, nanos) = clock.unwrap_or((0, 0));
    let date = days(year, month?, day)? * MICROS_PER_DAY;
    Some(Civil { micros: date + micros, nanos, offset })
}

/// The offset of a zone that RFC 2822 names, in seconds.
fn zone_name(word: &[u8]) -> Option<i32> {
    let utc: [&[u8]; 4] = [b"UTC", b"GMT", b"UT", b"Z"];
    if utc.contains(&word) {
        return Some(0);
    }
    ZONES.iter().find(|(name, _)| *name == word).map(|(_, hours)| hours * 3_600)
}

/// Parses a time as Apache and nginx log it, `[20/Mar/2024:01:18:54 +0000]`, with or without brackets and zone.
pub(super) fn parse_apache(text: &[u8]) -> Option<Civil> {
    let text = text.strip_prefix(b"[").unwrap_or(text);
    let mut scan = Scan::new(text.strip_suffix(b"]").unwrap_or(text));
    let (day, _) = scan.digits(1, 2)?;
    let separated = scan.eat(b'/');
    let month = position(&MONTHS, scan.word())? + 1;
    if !separated || !scan.eat(b'/') {
        return None;
    }
    let (year, _) = scan.digits(4, 4)?;
    if !scan.eat(b':') {
        return None;
    }
    let (micros, nanos) = scan.clock(false)?;
    let date = days(year, month, day)? * MICROS_PER_DAY;
    Some(Civil { micros: date + micros, nanos, offset: scan.zone()? })
}

//! Dates and times without separators: `20240320`, `20240320011854`, `20240320T011854Z`.

use super::scan::{Civil, Scan, days};
use super::{MICROS_PER_DAY, MICROS_PER_SECOND};

/// Parses the year, month and day as eight digits, alone or with a time of day.
///
/// The time follows without a separator (hours; hours and minutes; also seconds; also milliseconds), or after `T`,
/// `_`, `-` or a space, with or without colons and a zone. A fraction of zero, as of a number that was stored as
/// floating point, is ignored.
pub(super) fn parse(text: &[u8]) -> Option<Civil> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(count);
    if count == 8
        && let Some(civil) = with_separate_time(text)
    {
        return Some(civil);
    }
    let fraction = match rest {
        [] => 0,
        [b'.', fraction @ ..] => {
            let mut scan = Scan::new(fraction);
            let nanos = scan.fraction().filter(|_| scan.is_at_end())?;
            if nanos > 0 && count != 14 {
                return None;
            }
            nanos
        }
        _ => return None,
    };
    let civil = digits_alone(digits)?;
    Some(Civil { micros: civil.micros + fraction / 1000, nanos: (fraction % 1000) as i16, ..civil })
}

/// The date and time whose digits are those of this number.
#[cfg(feature = "logs")]
pub(super) fn of_integer(value: i64) -> Option<Civil> {
    // Eight to seventeen digits.
    if !(10_000_000..100_000_000_000_000_000).contains(&value) {
        return None;
    }
    let mut digits = [0; 17];
    let (mut value, mut at) = (value, digits.len());
    while value > 0 {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    digits_alone(&digits[at..])
}

/// `20240320`, `2024032001`, `202403200118`, `20240320011854` or `20240320011854277`.
fn digits_alone(digits: &[u8]) -> Option<Civil> {
    if !matches!(digits.len(), 8 | 10 | 12 | 14 | 17) {
        return None;
    }
    let mut scan = Scan::new(digits);
    let date = date(&mut scan)?;
    let time = time(&mut scan)?;
    let millis = if scan.is_at_end() { 0 } else { scan.digits(3, 3)?.0 };
    Some(Civil { micros: date * MICROS_PER_DAY + time + millis * 1000, nanos: 0, offset: None })
}

/// `20240320T011854Z`, `20240320 01:18`, `20240320_011854`.
fn with_separate_time(text: &[u8]) -> Option<Civil> {
    let mut scan = Scan::new(text);
    let date = date(&mut scan)?;
    let rest = scan;
    if scan.eat_any(b"Tt_-").is_none() && !scan.spaces() {
        return None;
    }
    let mut compact = scan;
    let count = compact.digits(4, 6).map_or(0, |(_, count)| count);
    if matches!(count, 4 | 6) && !compact.is_at_digit() {
        let time = time(&mut scan)?;
        let nanos = if count == 6 && scan.eat_any(b".,").is_some() { scan.fraction()? } else { 0 };
        let micros = date * MICROS_PER_DAY + time + nanos / 1000;
        return Some(Civil { micros, nanos: (nanos % 1000) as i16, offset: scan.zone()? });
    }
    rest.after_date(date)
}

/// The first eight digits, in days since 1970-01-01.
fn date(scan: &mut Scan<'_>) -> Option<i64> {
    let (year, month, day) = (scan.digits(4, 4)?.0, scan.digits(2, 2)?.0, scan.digits(2, 2)?.0);
    days(year, month, day)
}

/// Hours, minutes and seconds of two digits each, as far as there are any, in microseconds.
fn time(scan: &mut Scan<'_>) -> Option<i64> {
    let mut part = || if scan.is_at_digit() { scan.digits(2, 2).map(|(part, _)| part) } else { Some(0) };
    let (hour, minute, second) = (part()?, part()?, part()?);
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then_some(((hour * 60 + minute) * 60 + second.min(59)) * MICROS_PER_SECOND)
}

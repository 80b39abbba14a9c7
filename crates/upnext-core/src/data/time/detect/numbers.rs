//! Decides on the unit of numbers.

use super::super::decimal::number;
use super::super::scan::Civil;
use super::super::unit::TimeUnit;
use super::super::{MICROS_PER_DAY, MICROS_PER_HOUR, TimeMicros, format_time};
use super::{COUNTER_END, ONE_IN, Undecided};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

/// The units of numbers, and how many of each make a second.
const UNITS: [(TimeUnit, f64); 7] = [
    (TimeUnit::S, 1.0),
    (TimeUnit::Ms, 1e3),
    (TimeUnit::Us, 1e6),
    (TimeUnit::Ns, 1e9),
    (TimeUnit::DotnetTicks, 1e7),
    (TimeUnit::Excel, 1.0 / 86_400.0),
    (TimeUnit::Compact, 1.0),
];

/// A number with fewer digits has lost some if a spreadsheet wrote it in scientific notation.
const KEPT_DIGITS: usize = 8;

/// The unit of these texts, which are numbers, and at least one.
pub(super) fn decide(texts: &[&str], times: &Range<TimeMicros>) -> Result<TimeUnit, Undecided> {
    let mut sorted: Vec<(f64, &str)> =
        texts.iter().filter_map(|text| Some((number(text.as_bytes())?, *text))).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some(&(_, median)) = sorted.get(sorted.len() / 2) else {
        return Err(Undecided::Counter);
    };
    let largest = sorted.iter().map(|(value, _)| value.abs()).fold(0.0, f64::max);
    let inside = |unit: TimeUnit, text: &str| {
        unit.civil(text.as_bytes()).is_some_and(|time| times.contains(&time.as_utc()))
    };
    // The first value outside the plausible times, and the number of such values.
    let outside = |unit: TimeUnit| {
        let mut outside = texts.iter().filter(|text| !inside(unit, text));
        let first = outside.next().copied();
        (first, outside.count() + usize::from(first.is_some()))
    };
    let possible: Vec<(TimeUnit, f64)> =
        UNITS.into_iter().filter(|(unit, _)| inside(*unit, median)).collect();
    let fits = |unit: &TimeUnit| ONE_IN * outside(*unit).1 <= texts.len();
    let plausible: Vec<TimeUnit> = possible.iter().map(|(unit, _)| *unit).filter(fits).collect();

    if let Some(reason) = lost_digits(texts, plausible.first().copied(), largest) {
        return Err(Undecided::Refused(reason));
    }
    match plausible[..] {
        [TimeUnit::Excel] if sorted.iter().all(|(value, _)| value.fract() == 0.0) => {
            let day = shown(TimeUnit::Excel, median);
            Err(Undecided::Ambiguous(format!(
                "`{median}` may be a day as Excel counts them ({day}), or a counter: set `time_unit` to excel or s"
            )))
        }
        [unit] => Ok(unit),
        [] => Err(implausible(texts, median, largest, &possible, outside)),
        [first, second, ..] => Err(Undecided::Ambiguous(format!(
            "`{median}` is {} in {first} and {} in {second}: set `time_unit` to {} or {}",
            shown(first, median),
            shown(second, median),
            first.name(),
            second.name()
        ))),
    }
}

/// What numbers are that are no plausible times in any unit.
fn implausible<'a>(
    texts: &[&'a str],
    median: &str,
    largest: f64,
    possible: &[(TimeUnit, f64)],
    outside: impl Fn(TimeUnit) -> (Option<&'a str>, usize),
) -> Undecided {
    // A counter passes through the numbers of Excel's days.
    let mixed = possible.iter().map(|(unit, _)| *unit).find(|unit| *unit != TimeUnit::Excel);
    if let Some(unit) = mixed
        && let (Some(first), count) = outside(unit)
    {
        return Undecided::Refused(format!(
            "{count} of {} numbers, such as `{first}`, are no times between 1995 and tomorrow in {unit}, as `{median}` is: correct them, leave them out by a condition (`where`), or set `time_unit` to {}",
            texts.len(),
            unit.name()
        ));
    }
    if texts.iter().all(|text| is_month_and_day(text)) {
        let example = texts[0];
        return Undecided::Ambiguous(format!(
            "`{example}` may be a month and a day without a year, or a counter: write dates with their year, or set `time_unit` to s to use the numbers as an order"
        ));
    }
    if largest < COUNTER_END {
        return Undecided::Counter;
    }
    let mut years: BTreeMap<i16, Vec<String>> = BTreeMap::new();
    for (unit, _) in UNITS {
        if let Some(year) = unit.civil(median.as_bytes()).and_then(datetime).map(|time| time.year()) {
            years.entry(year).or_default().push(unit.to_string());
        }
    }
    let years = years.iter().rev().map(|(year, units)| format!("in {year} in {}", units.join(" or ")));
    let years = years.collect::<Vec<_>>().join(", ");
    let would = if years.is_empty() { String::new() } else { format!(" (it would lie {years})") };
    Undecided::Refused(format!(
        "`{median}` is no time between 1995 and tomorrow in any unit{would}: if it is one, set `time_unit`; s is also for a counter"
    ))
}

/// Whether a whole number may be a month and a day, as `829` for 29 August.
fn is_month_and_day(text: &str) -> bool {
    let Some(value) =
        number(text.as_bytes()).filter(|value| value.fract() == 0.0 && (101.0..1232.0).contains(value))
    else {
        return false;
    };
    let (month, day) = (value as i64 / 100, value as i64 % 100);
    super::super::scan::days(2024, month, day).is_some()
}

/// The reason if numbers in scientific notation lost the digits that tell their times apart.
///
/// `unit` is the one in which they are plausible. Whole days in numbers whose last zeros are left out have lost nothing.
fn lost_digits(texts: &[&str], unit: Option<TimeUnit>, largest: f64) -> Option<String> {
    let scientific: Vec<(&str, Scientific)> =
        texts.iter().filter_map(|text| Some((*text, Scientific::of(text)?))).collect();
    if 2 * scientific.len() <= texts.len() || largest < COUNTER_END {
        return None;
    }
    let step = scientific.iter().map(|(_, number)| number.step).fold(f64::INFINITY, f64::min);
    let digits = scientific.iter().map(|(_, number)| number.digits).max().unwrap_or(0);
    let steps = match unit.and_then(|unit| UNITS.into_iter().find(|(other, _)| *other == unit)) {
        Some((unit, per_second)) => {
            let seconds = step / per_second;
            let times: BTreeSet<i64> = scientific
                .iter()
                .filter_map(|(text, _)| unit.civil(text.as_bytes()).map(|time| time.micros))
                .collect();
            let whole = |step: i64| times.iter().all(|time| time % step == 0);
            let padded = scientific.iter().any(|(_, number)| number.padded);
            let exact = !padded && (whole(MICROS_PER_DAY) || (times.len() > 2 && whole(MICROS_PER_HOUR)));
            if seconds <= 1.0 || exact {
                return None;
            }
            format!("{} seconds", thousands(seconds))
        }
        None if digits < KEPT_DIGITS && step > 1.0 => thousands(step),
        None => return None,
    };
    Some(format!(
        "`{}` has lost its last digits, as a spreadsheet wrote these numbers in steps of {steps}: export the column as whole numbers",
        scientific[0].0
    ))
}

/// A number in scientific notation.
struct Scientific {
    /// The place value of its last digit.
    step: f64,
    /// Digits of its mantissa.
    digits: usize,
    /// Whether the mantissa ends with a zero, as it does if all numbers are written with the same number of digits.
    padded: bool,
}

impl Scientific {
    fn of(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E'])?;
        let exponent: i32 = exponent.parse().ok()?;
        let decimals = mantissa.split_once('.').map_or("", |(_, decimals)| decimals);
        // One zero behind the point is there even if all others are left out.
        let decimals = if decimals == "0" { "" } else { decimals };
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
        let place = exponent.saturating_sub(i32::try_from(decimals.len()).ok()?);
        Some(Self { step: 10_f64.powi(place), digits, padded: decimals.ends_with('0') })
    }
}

/// A number with commas between its thousands.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn datetime(time: Civil) -> Option<jiff::civil::DateTime> {
    let time = jiff::Timestamp::from_microsecond(time.as_utc()).ok()?;
    Some(jiff::tz::Offset::UTC.to_datetime(time))
}

/// The time of a number in a unit, for messages.
fn shown(unit: TimeUnit, text: &str) -> String {
    let time = unit.civil(text.as_bytes()).map_or(0, Civil::as_utc);
    let text = format_time(time);
    if time % MICROS_PER_DAY == 0 { text.trim_end_matches("T00:00:00Z").to_owned() } else { text }
}

//! Decides whether the day or the month comes first in dates of numbers with the year last.

use super::super::TimeMicros;
use super::super::dates::Numbers;
use super::super::scan::Civil;
use super::super::unit::TimeUnit;
use super::{ONE_IN, Undecided};
use std::ops::Range;

/// The order of the numbers in these dates, which are at least one.
///
/// A number above 12 decides between day and month, then points between the numbers (nobody writes the month first with
/// them), then whether the dates lie before 1995 or in the future. A year of two digits may also come first: where one of
/// the outer numbers is the same in all dates and the other is not, the constant one is the year.
pub(super) fn decide(
    dates: &[(&str, Numbers<'_>)],
    times: &Range<TimeMicros>,
) -> Result<TimeUnit, Undecided> {
    let readings: Vec<[Option<Civil>; 3]> = dates.iter().map(|(_, numbers)| numbers.readings()).collect();
    let plausible = [0, 1, 2].map(|order| {
        let inside =
            |reading: &&[Option<Civil>; 3]| reading[order].is_some_and(|time| times.contains(&time.as_utc()));
        ONE_IN * (dates.len() - readings.iter().filter(inside).count()) <= dates.len()
    });
    let only = |order: usize| {
        let of = |reading: &[Option<Civil>; 3]| reading[order].is_some() && reading[1 - order].is_none();
        readings.iter().position(of).map(|at| dates[at].0)
    };
    let (day, month) = match (only(0), only(1)) {
        (Some(day), Some(month)) => {
            return Err(Undecided::Refused(format!(
                "`{day}` has the day first and `{month}` the month: write all times in one order"
            )));
        }
        (Some(_), None) => (true, false),
        (None, Some(_)) => (false, true),
        (None, None) if dates.iter().all(|(_, numbers)| numbers.separator == b'.') => (true, false),
        (None, None) if plausible[0] == plausible[1] => (true, true),
        (None, None) => (plausible[0], plausible[1]),
    };
    let constant =
        |place: usize| dates.iter().all(|(_, date)| date.numbers[place] == dates[0].1.numbers[place]);
    let year = plausible[2] && (constant(0) || !constant(2));
    if year && ((constant(0) && !constant(2)) || !(plausible[0] || plausible[1])) {
        return Err(Undecided::Refused(format!(
            "`{}` seems to begin with a year of two digits: set `time_format` to {}",
            dates[0].0,
            pattern(&dates[0].1)
        )));
    }
    match (day, month, year) {
        (true, false, false) => Ok(TimeUnit::DayFirst),
        (false, true, false) => Ok(TimeUnit::MonthFirst),
        _ => Err(Undecided::Ambiguous(question(dates, &readings, [day, month, year]))),
    }
}

/// The question for dates with several `open` orders: day, month or year first.
fn question(dates: &[(&str, Numbers<'_>)], readings: &[[Option<Civil>; 3]], open: [bool; 3]) -> String {
    let differing = readings.iter().position(|[day, month, year]| day != month || (open[2] && day != year));
    let (text, date) = dates[differing.unwrap_or(0)];
    let orders = ["%-d %B %Y", "%B %-d, %Y", "%-d %B %Y"];
    let meant: Vec<String> = (0..3)
        .filter(|&order| open[order])
        .filter_map(|order| Some(written(orders[order], readings[differing?][order]?)))
        .collect();
    let meant = if meant.is_empty() {
        "does not tell whether the day or the month comes first".to_owned()
    } else {
        format!("is {}", meant.join(" or "))
    };
    let units = [TimeUnit::DayFirst, TimeUnit::MonthFirst];
    let units: Vec<&str> =
        units.iter().zip(open).filter(|(_, open)| *open).map(|(unit, _)| unit.name()).collect();
    let or_pattern =
        if open[2] { format!(", or `time_format` to {}", pattern(&date)) } else { String::new() };
    format!("`{text}` {meant}: set `time_unit` to {}{or_pattern}", units.join(" or "))
}

/// The pattern of a date that begins with a year of two digits.
fn pattern(date: &Numbers<'_>) -> String {
    let separator = char::from(date.separator);
    let clock = if date.has_time() { " %H:%M:%S, or as the times of day are written" } else { "" };
    format!("%y{separator}%m{separator}%d{clock}")
}

/// A date in words.
fn written(pattern: &str, time: Civil) -> String {
    jiff::Timestamp::from_microsecond(time.micros)
        .ok()
        .and_then(|time| jiff::fmt::strtime::format(pattern, time).ok())
        .unwrap_or_default()
}

//! Decides from a sample how a column of times is written.
//!
//! What has two readings that are as good is a question, and what is recognised and cannot be used is refused with the
//! reason. Nothing is read as seconds of 1970 because no other reading was found.

mod dates;
mod numbers;

use super::dates::Numbers;
use super::reader::TimeReader;
use super::scan::{Civil, time_of_day};
use super::unit::TimeUnit;
use super::{
    MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND, TimeMicros, YEAR_1995, compact, iso, names, number,
};
use std::ops::Range;

/// What the values of a column are.
#[derive(Clone, Debug)]
pub(crate) enum Detection {
    /// Times that are known by date.
    Absolute {
        reader: TimeReader,
        resolution: Resolution,
        /// How many values of the sample were read.
        counts: Counts,
    },
    /// Numbers that are no times in any unit: an order. They are read as seconds since 1970.
    Counter { reader: TimeReader },
    /// Times of day without a date.
    TimeOfDay,
    /// Two readings are as good.
    Ambiguous {
        /// A sentence with one value in its readings, and the option that decides.
        question: String,
    },
    /// Recognised, and not usable.
    Refused {
        /// A sentence that says why, and what to do.
        reason: String,
    },
    /// Most values are no times.
    NotTimes {
        /// The first of them, empty if there are no values.
        example: String,
    },
}

/// The coarsest step in which all times of a sample are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resolution {
    /// Finer than a second.
    Finer,
    Second,
    Minute,
    Hour,
    Day,
}

/// How many values of a sample were read as times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Values in the sample.
    pub(crate) values: usize,
    /// Those that the reader cannot read.
    pub(crate) unread: usize,
    /// Those that it reads as times before 1995, or more than two days in the future.
    pub(crate) outside: usize,
}

/// A number is plausible as a time in a unit if no more than one value in this many is outside the plausible times.
pub(crate) const ONE_IN: usize = 50;

/// Numbers below this are taken as a counter if they are no times.
const COUNTER_END: f64 = 1e8;

/// The times that are plausible: from 1995 to two days in the future.
fn plausible_times(now: TimeMicros) -> Range<TimeMicros> {
    YEAR_1995..now.saturating_add(2 * MICROS_PER_DAY)
}

/// Decides how these values are written. Empty values and markers of missing ones are left out before.
///
/// `wanted` comes from the options: its unit `Auto` is decided on here, and any other is used without questions.
/// `now` is the present time.
pub(crate) fn detect<T: AsRef<[u8]>>(values: &[T], wanted: &TimeReader, now: TimeMicros) -> Detection {
    let times = plausible_times(now);
    let texts: Vec<&[u8]> = values.iter().map(|value| value.as_ref().trim_ascii()).collect();
    match wanted.unit() {
        TimeUnit::Auto => decide(&texts, wanted, &times),
        TimeUnit::S if is_counter(&texts) => Detection::Counter { reader: wanted.clone() },
        _ => absolute(&texts, wanted.clone(), &times),
    }
}

/// Why numbers or dates have no unit.
enum Undecided {
    Counter,
    Ambiguous(String),
    Refused(String),
}

/// The forms of single values.
#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Number(&'a str),
    Iso,
    /// With letters or separators in it; digits alone are numbers.
    Compact,
    Date(&'a str, Numbers<'a>),
    MonthName,
    Apache,
    TimeOfDay,
    Other,
}

impl<'a> Form<'a> {
    fn of(text: &'a [u8]) -> Self {
        let Ok(shown) = std::str::from_utf8(text) else {
            return Self::Other;
        };
        if number(text).is_some() {
            return Self::Number(shown);
        }
        if compact::parse(text).is_some() {
            return Self::Compact;
        }
        if let Some(date) = Numbers::of(text)
            && date.readings().iter().any(|reading| reading.is_some())
        {
            return Self::Date(shown, date);
        }
        match text {
            _ if iso::parse(text).is_some() => Self::Iso,
            _ if names::parse_apache(text).is_some() => Self::Apache,
            _ if names::parse(text).is_some() => Self::MonthName,
            _ if time_of_day(text).is_some() => Self::TimeOfDay,
            _ => Self::Other,
        }
    }

    /// Which form it is, in the order in which forms are preferred if several are as frequent.
    fn kind(&self) -> usize {
        match self {
            Self::Number(_) => 0,
            Self::Iso => 1,
            Self::Compact => 2,
            Self::Date(..) => 3,
            Self::MonthName => 4,
            Self::Apache => 5,
            Self::TimeOfDay => 6,
            Self::Other => 7,
        }
    }
}

/// Decides by the most frequent form. Values of another form are rows that cannot be read.
fn decide(texts: &[&[u8]], wanted: &TimeReader, times: &Range<TimeMicros>) -> Detection {
    let forms: Vec<Form<'_>> = texts.iter().map(|text| Form::of(text)).collect();
    let mut counts = [0_usize; 8];
    forms.iter().for_each(|form| counts[form.kind()] += 1);
    if 2 * counts[7] > texts.len() || texts.is_empty() {
        return not_times(texts, |text| matches!(Form::of(text), Form::Other));
    }
    let most = counts[..7].iter().max().copied().unwrap_or(0);
    let kind = counts.iter().position(|&count| count == most).unwrap_or(0);
    let unit = match kind {
        0 => {
            let numbers = forms.iter().filter_map(|form| match form {
                Form::Number(text) => Some(*text),
                _ => None,
            });
            numbers::decide(&numbers.collect::<Vec<_>>(), times)
        }
        1 => Ok(TimeUnit::Iso),
        2 => Ok(TimeUnit::Compact),
        3 => {
            let dates = forms.iter().filter_map(|form| match form {
                Form::Date(text, date) => Some((*text, *date)),
                _ => None,
            });
            dates::decide(&dates.collect::<Vec<_>>(), times)
        }
        4 => Ok(TimeUnit::MonthName),
        5 => Ok(TimeUnit::Apache),
        _ => return Detection::TimeOfDay,
    };
    match unit {
        Ok(unit) => absolute(texts, wanted.with_unit(unit), times),
        Err(Undecided::Counter) => Detection::Counter { reader: wanted.with_unit(TimeUnit::S) },
        Err(Undecided::Ambiguous(question)) => Detection::Ambiguous { question },
        Err(Undecided::Refused(reason)) => Detection::Refused { reason },
    }
}

/// The values as this reader reads them.
fn absolute(texts: &[&[u8]], reader: TimeReader, times: &Range<TimeMicros>) -> Detection {
    let read: Vec<Civil> = texts.iter().filter_map(|text| reader.civil(text)).collect();
    if read.is_empty() {
        return not_times(texts, |_| true);
    }
    let inside = |civil: &&Civil| reader.instant(**civil).is_some_and(|time| times.contains(&time.micros));
    let counts = Counts {
        values: texts.len(),
        unread: texts.len() - read.len(),
        outside: read.len() - read.iter().filter(inside).count(),
    };
    Detection::Absolute { reader, resolution: Resolution::of(&read), counts }
}

/// No times, with the first of the texts that are none as an example.
fn not_times(texts: &[&[u8]], is_none: impl Fn(&[u8]) -> bool) -> Detection {
    let example = texts.iter().find(|text| is_none(text)).copied().unwrap_or_default();
    Detection::NotTimes { example: String::from_utf8_lossy(example).into_owned() }
}

/// Whether these are numbers that are too small for seconds since 1970.
fn is_counter(texts: &[&[u8]]) -> bool {
    let mut numbers = texts.iter().filter_map(|text| number(text)).peekable();
    numbers.peek().is_some() && numbers.all(|number| number.abs() < COUNTER_END)
}

impl Resolution {
    /// The resolution of these times, by their clocks.
    fn of(times: &[Civil]) -> Self {
        let whole = |step: i64| times.iter().all(|time| time.micros % step == 0);
        [
            (Self::Day, MICROS_PER_DAY),
            (Self::Hour, MICROS_PER_HOUR),
            (Self::Minute, 60 * MICROS_PER_SECOND),
            (Self::Second, MICROS_PER_SECOND),
        ]
        .into_iter()
        .find(|(_, step)| whole(*step))
        .map_or(Self::Finer, |(resolution, _)| resolution)
    }
}

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;

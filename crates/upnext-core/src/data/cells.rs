//! The values of a row, and what they are read as: ids, times, orders, and the values of conditions.

use super::columns::Column;
use super::id_text::whole;
use super::names::shortened;
use super::normalize::{Changes, IdRules};
use super::report::RowProblem;
use super::time::reader::{Instant, TimeReader};
use super::time::{TimeUnit, number};

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// A null, in formats that have it.
    Missing,
    Text(&'a [u8]),
    /// A whole number in a column that is no id.
    Integer(i64),
    /// A number in a column that is no id.
    Float(f64),
    /// A value of a column whose type is that of times.
    Time(Instant),
    /// As [`Time`](Self::Time), of a type that does not say of which place it is.
    Clock(Instant),
}

pub(super) type Row<T> = std::result::Result<T, RowProblem>;

impl Cell<'_> {
    /// Whether it is the value of a condition, by the rules for ids: `1` is `1.0`. A missing value is the empty one.
    pub(super) fn is(self, wanted: &[u8]) -> bool {
        let shown = || std::str::from_utf8(wanted).unwrap_or_default();
        match self {
            Self::Missing => wanted.is_empty(),
            Self::Text(text) => whole(text.trim_ascii()) == whole(wanted),
            Self::Integer(value) => number(wanted) == Some(value as f64),
            Self::Float(value) => number(wanted) == Some(value) || (value.is_nan() && shown() == "NaN"),
            Self::Time(time) | Self::Clock(time) => TimeUnit::Iso.parse(wanted) == Some(time.micros),
        }
    }

    /// The value in messages.
    fn shown(self) -> String {
        match self {
            Self::Missing => "null".to_owned(),
            Self::Text(text) => shortened(&String::from_utf8_lossy(text)),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Time(time) | Self::Clock(time) => super::format_time(time.micros),
        }
    }

    /// Whether there is no value: a null, white space, or a marker.
    fn is_missing(self) -> bool {
        match self {
            Self::Missing => true,
            Self::Text(text) => super::normalize::is_null(text.trim_ascii()),
            Self::Float(value) => value.is_nan(),
            Self::Integer(_) | Self::Time(_) | Self::Clock(_) => false,
        }
    }
}

/// The value of a column in a row.
#[inline]
pub(super) fn value<'c, 'r: 'c>(
    column: &'c Column,
    cell: &impl Fn(usize) -> Option<Cell<'r>>,
) -> Row<Cell<'c>> {
    match &column.constant {
        None => cell(column.at).ok_or_else(|| RowProblem::TooFewFields { found: 0, needed: column.at + 1 }),
        Some(value) if value.is_empty() => Ok(Cell::Missing),
        Some(value) => Ok(Cell::Text(value)),
    }
}

/// The id in a cell.
#[inline]
pub(super) fn id<'r>(
    column: &Column,
    cell: Cell<'r>,
    rules: &IdRules,
    changes: &mut Changes,
) -> Row<&'r [u8]> {
    let Cell::Text(text) = cell else { return Err(missing(column, cell)) };
    rules.id(text, changes).ok_or_else(|| missing(column, cell))
}

/// The problem of a missing value.
#[cold]
pub(super) fn missing(column: &Column, cell: Cell) -> RowProblem {
    let column = column.label.clone();
    match cell {
        Cell::Text(text) if !text.trim_ascii().is_empty() => {
            RowProblem::NullId { column, found: shortened(&String::from_utf8_lossy(text.trim_ascii())) }
        }
        _ => RowProblem::EmptyId { column },
    }
}

/// The time in a cell.
#[inline]
pub(super) fn instant(column: &Column, reader: &TimeReader, cell: Cell) -> Row<Instant> {
    let read = match cell {
        Cell::Text(text) => reader.parse(text),
        Cell::Time(time) => Some(time),
        Cell::Clock(time) => reader.local(time),
        Cell::Integer(value) => reader.integer(value),
        Cell::Float(value) => reader.float(value),
        Cell::Missing => None,
    };
    read.ok_or_else(|| bad_time(column, reader, cell))
}

/// The problem of a value that is no time.
#[cold]
pub(super) fn bad_time(column: &Column, reader: &TimeReader, cell: Cell) -> RowProblem {
    match cell {
        Cell::Text(text) if text.contains(&0) => RowProblem::NulByte { column: column.label.clone() },
        cell => {
            RowProblem::BadTime { column: column.label.clone(), found: cell.shown(), unit: reader.unit() }
        }
    }
}

/// The place of an event among those of its time: a number, whose order is kept. `None` if it is missing.
pub(super) fn order(column: &Column, cell: Cell) -> Row<Option<i64>> {
    let key = match cell {
        cell if cell.is_missing() => return Ok(None),
        Cell::Integer(value) => Some(key_of_integer(value)),
        Cell::Text(text) => order_of_text(text),
        Cell::Float(value) => key_of(value),
        Cell::Time(time) | Cell::Clock(time) => Some(time.micros),
        Cell::Missing => None,
    };
    let bad = || RowProblem::BadOrder { column: column.label.clone(), found: cell.shown() };
    key.map(Some).ok_or_else(bad)
}

/// The place that a text gives; `None` if it is no number, or one of more digits than are told apart.
pub(super) fn order_of_text(text: &[u8]) -> Option<i64> {
    let text = whole(text.trim_ascii());
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        return std::str::from_utf8(text).ok()?.parse().ok().map(key_of_integer);
    }
    key_of(number(text)?)
}

/// Up to here, every whole number is a floating-point number.
const EXACT_FLOATS: i64 = 1 << 53;

/// The key of a number: keys are ordered as numbers are.
fn key_of(number: f64) -> Option<i64> {
    if !number.is_finite() {
        return None;
    }
    if number.abs() >= EXACT_FLOATS as f64 {
        return Some(key_of_integer(number as i64)); // without a fraction; clips
    }
    // The bits of a positive number are ordered as it is; those of a negative one are reversed.
    let bits = number.to_bits() as i64;
    Some(if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits })
}

/// The key of a whole number. Larger numbers than are exact in floating point follow one by one.
fn key_of_integer(value: i64) -> i64 {
    let clipped = value.clamp(-EXACT_FLOATS, EXACT_FLOATS);
    let bits = (clipped.unsigned_abs() as f64).to_bits() as i64;
    let key = if clipped < 0 { -bits } else { bits };
    key.saturating_add(value - clipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_those_of_the_numbers() {
        let numbers = [
            "-1e300",
            "-9007199254740993",
            "-9007199254740992",
            "-3.5",
            "-3",
            "0",
            "0.5",
            "1",
            "2.0",
            "3",
            "10",
            "9007199254740991.0",
            "9007199254740992",
            "9007199254740993",
            "1710897534277000001",
            "1710897534277000002",
        ];
        let keys: Vec<i64> = numbers.iter().map(|text| order_of_text(text.as_bytes()).unwrap()).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        assert_eq!(order_of_text(b"2.0"), order_of_text(b"2"));
        assert_eq!(order_of_text(b"0"), Some(0));
        let none = ["top", "", "1 2", "NaN", "49590338271490256608559692538361571095921575989136588898"];
        assert!(none.iter().all(|text| order_of_text(text.as_bytes()).is_none()));
    }

    #[test]
    fn conditions_compare_values_of_all_types() {
        let time = |text: &str| Instant { micros: TimeUnit::Iso.parse(text.as_bytes()).unwrap(), nanos: 0 };
        let midnight = Cell::Time(time("2024-03-20"));
        for (cell, wanted, expected) in [
            (Cell::Text(b" 1.0"), "1", true),
            (Cell::Text(b"1"), "1.0", true),
            (Cell::Text(b"view"), "View", false),
            (Cell::Integer(7), "7.0", true),
            (Cell::Integer(7), "", false),
            (Cell::Float(1.0), "1", true),
            (Cell::Missing, "", true),
            (Cell::Missing, "0", false),
            (midnight, "2024-03-20", true),
            (midnight, "2024-03-20T00:00:00Z", true),
            (midnight, "2024-03-21", false),
        ] {
            assert_eq!(cell.is(wanted.as_bytes()), expected, "{cell:?} {wanted}");
        }
    }
}

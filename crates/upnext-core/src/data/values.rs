//! The values of an Arrow array, row by row.

use super::cells::Cell;
use super::time::reader::Instant;
use super::time::{MICROS_PER_DAY, TimeUnit};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, BinaryArray, LargeBinaryArray, PrimitiveArray};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit as ArrowUnit};

/// The values of a column.
pub(super) enum Values {
    Short(BinaryArray),
    /// Texts with 64-bit offsets, which need not fit into 32 bits.
    Long(LargeBinaryArray),
    /// Timestamps, their unit, and whether they are clocks of the log's place: those without a time zone.
    Times(PrimitiveArray<Int64Type>, TimeUnit, bool),
    Integers(PrimitiveArray<Int64Type>),
    Floats(PrimitiveArray<Float64Type>),
}

impl Values {
    /// The values as texts: those of texts, bytes, whole numbers and numbers; `None` for other types.
    pub(super) fn texts(array: &ArrayRef) -> Option<Self> {
        let short = |array: &ArrayRef| cast(array, &DataType::Binary).ok();
        match array.data_type() {
            DataType::Utf8 | DataType::Utf8View | DataType::Binary | DataType::BinaryView => {
                Some(Self::Short(short(array)?.as_binary::<i32>().clone()))
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                Some(Self::Long(cast(array, &DataType::LargeBinary).ok()?.as_binary::<i64>().clone()))
            }
            other if other.is_floating() => Some(Self::Short(texts_of_floats(array)?)),
            other if other.is_integer() || *other == DataType::Boolean => {
                let text = cast(array, &DataType::Utf8).ok()?;
                Some(Self::Short(short(&text)?.as_binary::<i32>().clone()))
            }
            _ => None,
        }
    }

    /// The values as times, numbers or texts; `None` for other types.
    pub(super) fn of(array: &ArrayRef) -> Option<Self> {
        let is_local = !matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
        let times = |array, unit| Some(Self::Times(array, unit, is_local));
        match array.data_type() {
            DataType::Timestamp(ArrowUnit::Second, _) => {
                times(array.as_primitive::<TimestampSecondType>().reinterpret_cast(), TimeUnit::S)
            }
            DataType::Timestamp(ArrowUnit::Millisecond, _) => {
                times(array.as_primitive::<TimestampMillisecondType>().reinterpret_cast(), TimeUnit::Ms)
            }
            DataType::Timestamp(ArrowUnit::Microsecond, _) => {
                times(array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast(), TimeUnit::Us)
            }
            DataType::Timestamp(ArrowUnit::Nanosecond, _) => {
                times(array.as_primitive::<TimestampNanosecondType>().reinterpret_cast(), TimeUnit::Ns)
            }
            // A date beyond the years ±290,000 becomes null.
            DataType::Date32 => {
                let micros = |days: i32| i64::from(days).checked_mul(MICROS_PER_DAY);
                times(array.as_primitive::<Date32Type>().unary_opt(micros), TimeUnit::Us)
            }
            DataType::Date64 => {
                let micros = |millis: i64| millis.checked_mul(1_000);
                times(array.as_primitive::<Date64Type>().unary_opt(micros), TimeUnit::Us)
            }
            DataType::Time32(_) | DataType::Time64(_) => {
                let text = cast(array, &DataType::Utf8).ok()?;
                Some(Self::Short(cast(&text, &DataType::Binary).ok()?.as_binary::<i32>().clone()))
            }
            other if other.is_integer() => {
                Some(Self::Integers(cast(array, &DataType::Int64).ok()?.as_primitive::<Int64Type>().clone()))
            }
            other if other.is_floating() => Some(Self::Floats(
                cast(array, &DataType::Float64).ok()?.as_primitive::<Float64Type>().clone(),
            )),
            _ => Self::texts(array),
        }
    }

    /// The unit of times.
    pub(super) fn unit(&self) -> Option<TimeUnit> {
        if let Self::Times(_, unit, _) = self { Some(*unit) } else { None }
    }

    /// The value of a row.
    #[inline]
    pub(super) fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Short(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            Self::Long(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            Self::Integers(array) if array.is_valid(row) => Cell::Integer(array.value(row)),
            Self::Floats(array) if array.is_valid(row) => Cell::Float(array.value(row)),
            Self::Times(array, unit, is_local) if array.is_valid(row) => {
                time(array.value(row), *unit, *is_local)
            }
            _ => Cell::Missing,
        }
    }

    /// The value of a row as text; `None` for null.
    pub(super) fn text(&self, row: usize) -> Option<String> {
        match self.cell(row) {
            Cell::Missing => None,
            Cell::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            Cell::Integer(value) => Some(value.to_string()),
            Cell::Float(value) => Some(value.to_string()),
            Cell::Time(time) | Cell::Clock(time) => Some(super::format_time(time.micros)),
        }
    }
}

/// Numbers as texts, whole ones with `.0` and never in scientific notation.
fn texts_of_floats(array: &ArrayRef) -> Option<BinaryArray> {
    let array = cast(array, &DataType::Float64).ok()?;
    let text = |value: f64| if value.fract() == 0.0 { format!("{value:.1}") } else { value.to_string() };
    let texts = array.as_primitive::<Float64Type>().iter().map(|value| value.map(text));
    let texts: Vec<Option<String>> = texts.collect();
    Some(BinaryArray::from_iter(texts.iter().map(|text| text.as_deref().map(str::as_bytes))))
}

/// A timestamp; a time beyond the years ±290,000 is missing.
fn time(value: i64, unit: TimeUnit, is_local: bool) -> Cell<'static> {
    let nanos = if unit == TimeUnit::Ns { value.rem_euclid(1_000) as i16 } else { 0 };
    let cell = if is_local { Cell::Clock } else { Cell::Time };
    unit.integer(value).map_or(Cell::Missing, |micros| cell(Instant { micros, nanos }))
}

//! Reads Parquet into an [`EventLog`](super::EventLog).

use super::events::{EventLog, Progress};
use super::layout;
use super::options::ReadOptions;
use super::report::{FileReport, RowProblem};
use super::rows::{BadRows, LogBuilder};
use super::sessions::TimeMicros;
use super::text::bad_time;
use super::time::TimeUnit;
use crate::error::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit as ArrowUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;
use std::fmt::Display;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 16 * 1024;

/// Appends the events of a Parquet file to `log`.
///
/// # Errors
/// As [`EventLog::read`].
pub(super) fn read(
    path: &Path,
    file: File,
    options: &ReadOptions,
    log: &mut EventLog,
    progress: &mut Progress<'_>,
) -> Result<FileReport> {
    // The decoder's messages may quote names from the damaged file.
    let damaged = |reason: String| Error::Damaged {
        path: path.to_owned(),
        format: "Parquet",
        reason: layout::shortened_to(&reason, 200),
    };
    let size = file.metadata().map_err(Error::io(path, "read"))?.len();
    let builder = guarded(|| ParquetRecordBatchReaderBuilder::try_new(file)).map_err(damaged)?;
    check_chunks(builder.metadata(), size).map_err(damaged)?;
    let names: Vec<String> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
    let columns = layout::named_columns(path, options, &names)?;
    let num_rows = builder.metadata().file_metadata().num_rows().max(0) as u64;
    if num_rows == 0 {
        return Err(Error::NoEvents { path: path.to_owned(), found: "the file has no rows" });
    }
    let projection = ProjectionMask::roots(builder.parquet_schema(), columns.at);
    // The reader gives the chosen columns in the order of the file.
    let place = columns.at.map(|c| columns.at.iter().filter(|&&other| other < c).count());
    let builder = builder.with_projection(projection).with_batch_size(BATCH_ROWS);
    let mut reader = guarded(|| builder.build()).map_err(damaged)?;

    let mut unit = options.time_unit;
    let mut builder = LogBuilder::new(log);
    let mut bad = BadRows::new(path, "row", options.skip_bad_rows);
    let mut rows = 0;
    while let Some(batch) = guarded(|| reader.next().transpose()).map_err(damaged)? {
        let column = |i: usize| {
            batch
                .columns()
                .get(place[i])
                .ok_or_else(|| damaged("a column is missing in a row group".to_owned()))
        };
        let sessions = ids(path, column(0)?, &columns.labels[0])?;
        let items = ids(path, column(1)?, &columns.labels[1])?;
        let times = Times::new(path, column(2)?, &columns.labels[2])?;
        if unit == TimeUnit::Auto || matches!(times, Times::Typed(..)) {
            unit = times.guess_unit();
        }
        for row in 0..batch.num_rows() {
            rows += 1;
            let empty = |i: usize| RowProblem::EmptyId { column: columns.labels[i].clone() };
            let result = if sessions.is_null(row) {
                Err(empty(0))
            } else if items.is_null(row) {
                Err(empty(1))
            } else {
                times
                    .get(row, unit)
                    .map_err(|found| bad_time(&found, columns.labels[2].clone(), unit))
                    .and_then(|time| {
                        let (session, item) = (sessions.value(row), items.value(row));
                        builder.push(session.as_bytes(), item.as_bytes(), time, &columns.labels)
                    })
            };
            if let Err(problem) = result {
                bad.add(rows, problem);
            } else if builder.is_full() {
                return Err(Error::TooManyEvents { path: path.to_owned() });
            }
        }
        progress.at((size as f64 * (rows as f64 / num_rows as f64)) as u64);
    }
    let mut report = FileReport {
        path: path.to_owned(),
        format: "Parquet".to_owned(),
        header: true,
        time_unit: unit,
        rows,
        ..FileReport::default()
    };
    [report.session, report.item, report.time] = columns.labels;
    bad.finish(&mut report)?;
    Ok(report)
}

/// Whether every column chunk lies inside the file. The decoder takes that for granted.
fn check_chunks(metadata: &ParquetMetaData, size: u64) -> std::result::Result<(), String> {
    for (group, metadata) in metadata.row_groups().iter().enumerate() {
        for column in metadata.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size()).and_then(|end| u64::try_from(end).ok());
            if start < 0 || column.compressed_size() < 0 || end.is_none_or(|end| end > size) {
                return Err(format!("a column of row group {} lies outside the file", group + 1));
            }
        }
    }
    Ok(())
}

/// What a step of the decoder gives, its errors and panics as text: it panics on some damaged files.
fn guarded<T, E: Display>(
    step: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, String> {
    // After a panic the decoder is dropped without being used again, so that no broken state is seen.
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_else(|| "the decoder gave up".to_owned())),
    }
}

/// A column of ids as text.
fn ids(path: &Path, column: &ArrayRef, label: &str) -> Result<StringArray> {
    let is_id = match column.data_type() {
        DataType::Dictionary(_, values) => is_text(values) || values.is_integer(),
        other => {
            is_text(other)
                || other.is_integer()
                || other.is_floating()
                || matches!(other, DataType::Binary | DataType::LargeBinary)
        }
    };
    let text =
        if is_id { cast(column, &DataType::Utf8).ok() } else { None }.ok_or_else(|| Error::Unsupported {
            path: path.to_owned(),
            found: format!("{label} of type {}", column.data_type()),
            advice: "ids are texts or whole numbers",
        })?;
    Ok(text.as_string::<i32>().clone())
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A column of times.
enum Times {
    /// Timestamps: they know their unit, and are UTC whether or not they name a zone.
    Typed(PrimitiveArray<Int64Type>, TimeUnit),
    Integers(PrimitiveArray<Int64Type>),
    Floats(PrimitiveArray<Float64Type>),
    Text(StringArray),
}

impl Times {
    fn new(path: &Path, column: &ArrayRef, label: &str) -> Result<Self> {
        let unsupported = || Error::Unsupported {
            path: path.to_owned(),
            found: format!("{label} of type {}", column.data_type()),
            advice: "times are timestamps, dates, numbers or texts",
        };
        let convert = |to: DataType| cast(column, &to).map_err(|_| unsupported());
        let integers = |array: ArrayRef| array.as_primitive::<Int64Type>().clone();
        Ok(match column.data_type() {
            DataType::Timestamp(unit, _) => {
                let (array, unit) = match unit {
                    ArrowUnit::Second => {
                        (column.as_primitive::<TimestampSecondType>().reinterpret_cast(), TimeUnit::S)
                    }
                    ArrowUnit::Millisecond => {
                        (column.as_primitive::<TimestampMillisecondType>().reinterpret_cast(), TimeUnit::Ms)
                    }
                    ArrowUnit::Microsecond => {
                        (column.as_primitive::<TimestampMicrosecondType>().reinterpret_cast(), TimeUnit::Us)
                    }
                    ArrowUnit::Nanosecond => {
                        (column.as_primitive::<TimestampNanosecondType>().reinterpret_cast(), TimeUnit::Ns)
                    }
                };
                Self::Typed(array, unit)
            }
            DataType::Date32 | DataType::Date64 => {
                let array = convert(DataType::Timestamp(ArrowUnit::Microsecond, None))?;
                let array = array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast();
                Self::Typed(array, TimeUnit::Us)
            }
            other if other.is_integer() => Self::Integers(integers(convert(DataType::Int64)?)),
            other if other.is_numeric() => {
                Self::Floats(convert(DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Dictionary(_, values) if is_text(values) => {
                Self::Text(convert(DataType::Utf8)?.as_string::<i32>().clone())
            }
            other if is_text(other) => Self::Text(convert(DataType::Utf8)?.as_string::<i32>().clone()),
            _ => return Err(unsupported()),
        })
    }

    fn guess_unit(&self) -> TimeUnit {
        match self {
            Self::Typed(_, unit) => *unit,
            Self::Integers(array) => {
                layout::median_unit(array.iter().flatten().map(|v| (v as f64).abs()).collect())
            }
            Self::Floats(array) => layout::median_unit(array.iter().flatten().map(f64::abs).collect()),
            Self::Text(array) => layout::guess_unit(array.iter().flatten()),
        }
    }

    /// The time of a row, or the text that is none.
    fn get(&self, row: usize, unit: TimeUnit) -> std::result::Result<TimeMicros, String> {
        let (array, time): (&dyn Array, _) = match self {
            Self::Typed(a, own) => (a, own.integer(a.value(row))),
            Self::Integers(a) => (a, unit.integer(a.value(row))),
            Self::Floats(a) => (a, unit.float(a.value(row))),
            Self::Text(a) => (a, unit.parse(a.value(row).as_bytes())),
        };
        if array.is_null(row) {
            return Err("null".to_owned());
        }
        time.ok_or_else(|| match self {
            Self::Typed(a, _) | Self::Integers(a) => a.value(row).to_string(),
            Self::Floats(a) => a.value(row).to_string(),
            Self::Text(a) => a.value(row).to_owned(),
        })
    }
}

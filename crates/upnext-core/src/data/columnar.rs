//! Reads Arrow arrays, of Parquet files and of record batches, into an [`EventLog`](super::EventLog).

use super::bad_rows::BadRows;
use super::events::EventLog;
use super::layout::{self, Columns};
use super::names::damaged_parquet;
use super::options::ReadOptions;
use super::parts::InputFile;
use super::read::Progress;
use super::report::{FileReport, RowProblem};
use super::rows::LogBuilder;
use super::sessions::TimeMicros;
use super::text::bad_time;
use super::time::{MICROS_PER_DAY, TimeUnit};
use crate::error::{Error, Result};
use crate::parquet::ParquetFile;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, BinaryArray, LargeBinaryArray, PrimitiveArray};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit as ArrowUnit};
use std::fs::File;
use std::path::Path;

/// Opens a Parquet file, and returns it with its size in bytes.
fn open(path: &Path, file: File) -> Result<(ParquetFile<File>, u64)> {
    let size = file.metadata().map_err(Error::io(path, "read"))?.len();
    Ok((ParquetFile::open(file, size).map_err(|reason| damaged_parquet(path, &reason))?, size))
}

fn names_of(schema: &arrow_schema::Schema) -> Vec<String> {
    schema.fields().iter().map(|f| f.name().clone()).collect()
}

/// The column names of a Parquet file.
///
/// # Errors
/// [`Error::Damaged`], or [`Error::NoEvents`] if the file has no row.
pub(super) fn names(path: &Path, file: File) -> Result<Vec<String>> {
    let (file, _) = open(path, file)?;
    if file.rows() == 0 {
        return Err(Error::NoEvents { path: path.to_owned(), found: "the file has no rows" });
    }
    Ok(names_of(file.schema()))
}

/// Appends the events of a Parquet file to `log`.
///
/// # Errors
/// As [`EventLog::read`].
pub(super) fn read(
    input: &InputFile,
    file: File,
    options: &ReadOptions,
    log: &mut EventLog,
    progress: &mut Progress<'_>,
) -> Result<FileReport> {
    let path = input.path.as_path();
    let (file, size) = open(path, file)?;
    let columns = layout::named_columns(path, options, &names_of(file.schema()), &input.partitions)?;
    let num_rows = file.rows();
    if num_rows == 0 {
        return Err(Error::NoEvents { path: path.to_owned(), found: "the file has no rows" });
    }
    let chosen: Vec<usize> = columns.in_file().flatten().collect();
    // The decoder gives the chosen columns in the order of the file.
    let place = columns.in_file().map(|at| at.map(|at| chosen.iter().filter(|&&other| other < at).count()));
    let place: Vec<Option<usize>> = place.collect();
    let mut batches = file.batches(chosen).map_err(|reason| damaged_parquet(path, &reason))?;
    let mut reader = ColumnReader::new(path, options, columns, log);
    while let Some(batch) = batches.next().map_err(|reason| damaged_parquet(path, &reason))? {
        let mut arrays = [None; 3];
        for (array, place) in arrays.iter_mut().zip(&place) {
            if let Some(place) = *place {
                let column = batch.columns().get(place);
                *array =
                    Some(column.ok_or_else(|| damaged_parquet(path, "a column is missing in a row group"))?);
            }
        }
        reader.append(arrays, batch.num_rows())?;
        progress
            .at((size as f64 * (reader.rows as f64 / num_rows as f64)) as u64, reader.builder.events())?;
    }
    reader.finish("Parquet")
}

/// Appends the events of record batches to `log`; `path` names them in messages.
///
/// # Errors
/// As [`EventLog::from_batches`].
#[cfg(feature = "arrow")]
pub(super) fn read_batches(
    path: &Path,
    batches: impl IntoIterator<Item = std::result::Result<arrow_array::RecordBatch, arrow_schema::ArrowError>>,
    options: &ReadOptions,
    log: &mut EventLog,
) -> Result<FileReport> {
    let mut log = Some(log);
    let mut reader: Option<(Vec<String>, ColumnReader<'_>)> = None;
    for (position, batch) in (1..).zip(batches) {
        let refused =
            |reason: &str| Error::RecordBatch { position, reason: super::names::shortened_to(reason, 400) };
        let batch = batch.map_err(|error| refused(&error.to_string()))?;
        let names = names_of(batch.schema_ref());
        let (first, reader) = match (&mut reader, log.take()) {
            (Some(reader), _) => reader,
            (none, Some(log)) => {
                let columns = layout::named_columns(path, options, &names, &[])?;
                none.insert((names.clone(), ColumnReader::new(path, options, columns, log)))
            }
            (None, None) => unreachable!("the log is taken where the reader is made"),
        };
        if *first != names {
            let (these, first) = (names.join(", "), first.join(", "));
            return Err(refused(&format!(
                "its columns are {these}, and those of the first batch are {first}"
            )));
        }
        let at: Vec<usize> = reader.columns.in_file().flatten().collect();
        // In slices: ids that are not text are converted to text, and a batch may be a whole table.
        for start in (0..batch.num_rows()).step_by(crate::parquet::BATCH_ROWS) {
            let rows = crate::parquet::BATCH_ROWS.min(batch.num_rows() - start);
            let arrays: Vec<ArrayRef> = at.iter().map(|&at| batch.column(at).slice(start, rows)).collect();
            reader.append([arrays.first(), arrays.get(1), arrays.get(2)], rows)?;
        }
    }
    match reader {
        Some((_, reader)) if reader.rows > 0 => reader.finish("Arrow"),
        _ => Err(Error::NoEvents { path: path.to_owned(), found: "there is no row" }),
    }
}

/// Appends arrays of sessions, items and times to a log, batch by batch.
struct ColumnReader<'a> {
    path: &'a Path,
    columns: Columns,
    unit: TimeUnit,
    builder: LogBuilder<'a>,
    bad: BadRows,
    rows: u64,
}

impl<'a> ColumnReader<'a> {
    fn new(path: &'a Path, options: &ReadOptions, columns: Columns, log: &'a mut EventLog) -> Self {
        Self {
            path,
            columns,
            unit: options.time_unit,
            builder: LogBuilder::new(log),
            bad: BadRows::new(path, "row", options.skip_bad_rows),
            rows: 0,
        }
    }

    /// Appends `num_rows` rows; the array of a column that is not in the file is `None`.
    fn append(&mut self, arrays: [Option<&ArrayRef>; 3], num_rows: usize) -> Result<()> {
        let Self { path, columns, unit, builder, bad, rows } = self;
        let (path, columns): (&Path, &Columns) = (path, columns);
        let ids = |role: usize| Texts::ids(path, arrays[role], columns, role);
        let (sessions, items) = (ids(0)?, ids(1)?);
        let times = Times::new(path, arrays[2], columns)?;
        if *unit == TimeUnit::Auto || matches!(times, Times::Typed(..)) {
            *unit = times.guess_unit(num_rows);
        }
        let labels = &columns.labels;
        let empty = |role: usize| RowProblem::EmptyId { column: labels[role].clone() };
        for row in 0..num_rows {
            *rows += 1;
            let result = match (sessions.get(row), items.get(row)) {
                (None, _) => Err(empty(0)),
                (_, None) => Err(empty(1)),
                (Some(session), Some(item)) => times
                    .get(row, *unit)
                    .map_err(|found| bad_time(&found, labels[2].clone(), *unit))
                    .and_then(|time| builder.push(session, item, time, labels)),
            };
            if let Err(problem) = result {
                bad.add(*rows, problem);
            } else if builder.is_full() {
                return Err(Error::TooManyEvents { path: path.to_owned() });
            }
        }
        Ok(())
    }

    fn finish(self, format: &str) -> Result<FileReport> {
        let mut report = FileReport {
            path: self.path.to_owned(),
            format: format.to_owned(),
            header: true,
            time_unit: self.unit,
            rows: self.rows,
            ..FileReport::default()
        };
        [report.session, report.item, report.time] = self.columns.labels;
        self.bad.finish(&mut report)?;
        Ok(report)
    }
}

/// A column of ids, or of times as text.
enum Texts<'a> {
    Short(BinaryArray),
    /// With 64-bit offsets, which need not fit into 32 bits.
    Long(LargeBinaryArray),
    /// The same value in every row, given by a folder name.
    Constant(&'a [u8]),
}

impl<'a> Texts<'a> {
    fn ids(path: &Path, array: Option<&ArrayRef>, columns: &'a Columns, role: usize) -> Result<Self> {
        let Some(array) = array else {
            return Ok(Self::Constant(columns.constants[role].as_deref().unwrap_or_default()));
        };
        let found = || format!("{} of type {}", columns.labels[role], array.data_type());
        Self::of(&unpacked(array)).ok_or_else(|| Error::Unsupported {
            path: path.to_owned(),
            found: found(),
            advice: "ids are texts or whole numbers",
        })
    }

    fn of(array: &ArrayRef) -> Option<Self> {
        let short = |array: &ArrayRef| cast(array, &DataType::Binary).ok();
        match array.data_type() {
            DataType::Utf8 | DataType::Utf8View | DataType::Binary | DataType::BinaryView => {
                Some(Self::Short(short(array)?.as_binary::<i32>().clone()))
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                Some(Self::Long(cast(array, &DataType::LargeBinary).ok()?.as_binary::<i64>().clone()))
            }
            other if other.is_integer() || other.is_floating() => {
                let text = cast(array, &DataType::Utf8).ok()?;
                Some(Self::Short(short(&text)?.as_binary::<i32>().clone()))
            }
            _ => None,
        }
    }

    /// The bytes of a row; `None` for null.
    fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Short(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Long(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Constant(value) => Some(*value).filter(|value| !value.is_empty()),
        }
    }
}

/// The values of a dictionary, row by row; other arrays unchanged.
fn unpacked(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values).unwrap_or_else(|_| ArrayRef::clone(array)),
        _ => ArrayRef::clone(array),
    }
}

/// A column of times.
enum Times<'a> {
    /// Timestamps and their unit. The values are UTC, with or without a time zone.
    Typed(PrimitiveArray<Int64Type>, TimeUnit),
    Integers(PrimitiveArray<Int64Type>),
    Floats(PrimitiveArray<Float64Type>),
    Text(Texts<'a>),
}

impl<'a> Times<'a> {
    fn new(path: &Path, array: Option<&ArrayRef>, columns: &'a Columns) -> Result<Self> {
        let Some(array) = array else {
            return Ok(Self::Text(Texts::Constant(columns.constants[2].as_deref().unwrap_or_default())));
        };
        Self::of(&unpacked(array)).ok_or_else(|| Error::Unsupported {
            path: path.to_owned(),
            found: format!("{} of type {}", columns.labels[2], array.data_type()),
            advice: "times are timestamps, dates, numbers or texts",
        })
    }

    fn of(array: &ArrayRef) -> Option<Self> {
        let typed = |array, unit| Some(Self::Typed(array, unit));
        match array.data_type() {
            DataType::Timestamp(ArrowUnit::Second, _) => {
                typed(array.as_primitive::<TimestampSecondType>().reinterpret_cast(), TimeUnit::S)
            }
            DataType::Timestamp(ArrowUnit::Millisecond, _) => {
                typed(array.as_primitive::<TimestampMillisecondType>().reinterpret_cast(), TimeUnit::Ms)
            }
            DataType::Timestamp(ArrowUnit::Microsecond, _) => {
                typed(array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast(), TimeUnit::Us)
            }
            DataType::Timestamp(ArrowUnit::Nanosecond, _) => {
                typed(array.as_primitive::<TimestampNanosecondType>().reinterpret_cast(), TimeUnit::Ns)
            }
            // A date beyond the years ±290,000 becomes null.
            DataType::Date32 => {
                let micros = |days: i32| i64::from(days).checked_mul(MICROS_PER_DAY);
                typed(array.as_primitive::<Date32Type>().unary_opt(micros), TimeUnit::Us)
            }
            DataType::Date64 => {
                let micros = |millis: i64| millis.checked_mul(1_000);
                typed(array.as_primitive::<Date64Type>().unary_opt(micros), TimeUnit::Us)
            }
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Texts::of(array).map(Self::Text),
            other if other.is_integer() => {
                Some(Self::Integers(cast(array, &DataType::Int64).ok()?.as_primitive::<Int64Type>().clone()))
            }
            other if other.is_numeric() => Some(Self::Floats(
                cast(array, &DataType::Float64).ok()?.as_primitive::<Float64Type>().clone(),
            )),
            _ => None,
        }
    }

    fn guess_unit(&self, rows: usize) -> TimeUnit {
        match self {
            Self::Typed(_, unit) => *unit,
            Self::Integers(array) => {
                layout::median_unit(array.iter().flatten().map(|v| (v as f64).abs()).collect())
            }
            Self::Floats(array) => layout::median_unit(array.iter().flatten().map(f64::abs).collect()),
            Self::Text(texts) => {
                let texts = (0..rows).filter_map(|row| std::str::from_utf8(texts.get(row)?).ok());
                layout::guess_unit(texts)
            }
        }
    }

    /// The time of a row, or the value that is not a time as text.
    fn get(&self, row: usize, unit: TimeUnit) -> std::result::Result<TimeMicros, String> {
        let null = || "null".to_owned();
        let shown = |time: Option<TimeMicros>, text: &dyn Fn() -> String| time.ok_or_else(text);
        match self {
            Self::Typed(a, _) | Self::Integers(a) if a.is_null(row) => Err(null()),
            Self::Floats(a) if a.is_null(row) => Err(null()),
            Self::Typed(a, own) => shown(own.integer(a.value(row)), &|| a.value(row).to_string()),
            Self::Integers(a) => shown(unit.integer(a.value(row)), &|| a.value(row).to_string()),
            Self::Floats(a) => shown(unit.float(a.value(row)), &|| a.value(row).to_string()),
            Self::Text(texts) => {
                let text = texts.get(row).ok_or_else(null)?;
                shown(unit.parse(text), &|| String::from_utf8_lossy(text).into_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests;

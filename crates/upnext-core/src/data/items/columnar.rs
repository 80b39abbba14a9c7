//! Reads an item table from Parquet, and from Arrow record batches.

use super::ItemTable;
use super::builder::{Builder, Origin, choose};
use super::column::{Lists, Texts, Values, Vectors};
use super::options::{ColumnType, ItemTableOptions};
use crate::data::names::damaged_parquet;
use crate::error::{Error, Result};
use crate::parquet::ParquetFile;
use ::parquet::file::reader::ChunkReader;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, Float32Array, Float64Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema};
#[cfg(feature = "arrow")]
use std::cell::Cell;
use std::ops::Range;
use std::path::Path;

/// The form in which a column of the file is decoded.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Number,
    Category,
    List,
    Vector,
}

impl Form {
    /// The form for a column of this Arrow type and the requested type; `None` if the two do not fit.
    fn of(data_type: &DataType, wanted: Option<ColumnType>) -> Option<Self> {
        let of_dictionary = matches!(data_type, DataType::Dictionary(..));
        match unpacked(data_type) {
            DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
                let of_fixed_size = matches!(data_type, DataType::FixedSizeList(..));
                let element = unpacked(element.data_type());
                let is_category = is_text(element) || element.is_integer() || *element == DataType::Boolean;
                let may_be_vector = element.is_numeric();
                let is_vector = element.is_floating() || (of_fixed_size && element.is_numeric());
                match wanted {
                    None if is_vector => Some(Self::Vector),
                    None | Some(ColumnType::Categories) if is_category => Some(Self::List),
                    Some(ColumnType::Vector) if may_be_vector => Some(Self::Vector),
                    _ => None,
                }
            }
            number if number.is_numeric() => match wanted {
                None | Some(ColumnType::Number) => Some(Self::Number),
                Some(ColumnType::Text) => Some(Self::Text),
                Some(ColumnType::Categories) => Some(Self::Category),
                Some(ColumnType::Vector) => None,
            },
            DataType::Boolean => match wanted {
                None | Some(ColumnType::Categories) => Some(Self::Category),
                Some(ColumnType::Number) => Some(Self::Number),
                Some(ColumnType::Text) => Some(Self::Text),
                Some(ColumnType::Vector) => None,
            },
            text if is_text(text) => {
                Some(if of_dictionary && wanted.is_none() { Self::Category } else { Self::Text })
            }
            DataType::Null | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
                Some(Self::Text)
            }
            _ => None,
        }
    }

    /// A column without rows.
    fn empty(self) -> Values {
        match self {
            Self::Text => Values::Text(Texts::default()),
            Self::Number => Values::Number(Vec::new()),
            Self::Category | Self::List => Values::Categories(Lists::default()),
            Self::Vector => Values::Vector(Vectors::default()),
        }
    }
}

/// The type of a dictionary's values; other types unchanged.
fn unpacked(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The values of one column in a batch of rows.
enum Cells {
    Text(StringArray),
    Number(Float64Array),
    Category(StringArray),
    List(StringArray, Vec<Range<usize>>),
    Vector(Float32Array, Vec<Range<usize>>),
}

impl Cells {
    /// Decodes a column; `None` if its values do not have this form.
    fn new(column: &ArrayRef, form: Form) -> Option<Self> {
        Some(match form {
            Form::Text => Self::Text(texts(column)?),
            Form::Category => Self::Category(texts(column)?),
            Form::Number => {
                let numbers = cast(column, &DataType::Float64).ok()?;
                Self::Number(numbers.as_primitive_opt::<Float64Type>()?.clone())
            }
            Form::List => {
                let (values, ranges) = elements(column)?;
                Self::List(texts(&values)?, ranges)
            }
            Form::Vector => {
                let (values, ranges) = elements(column)?;
                let values = cast(&values, &DataType::Float32).ok()?;
                Self::Vector(values.as_primitive_opt::<Float32Type>()?.clone(), ranges)
            }
        })
    }
}

/// A column as texts. Times are UTC, whatever their time zone.
fn texts(column: &ArrayRef) -> Option<StringArray> {
    let column = match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let number = cast(column, &DataType::Int64).ok()?;
            cast(&number, &DataType::Timestamp(*unit, None)).ok()?
        }
        _ => column.clone(),
    };
    cast(&column, &DataType::Utf8).ok()?.as_string_opt::<i32>().cloned()
}

/// The elements of a column of lists, and the range of each row in them, which is empty for a null list.
fn elements(column: &ArrayRef) -> Option<(ArrayRef, Vec<Range<usize>>)> {
    let of_rows = |range: &dyn Fn(usize) -> Range<usize>| {
        (0..column.len()).map(|row| if column.is_null(row) { 0..0 } else { range(row) }).collect()
    };
    if let Some(lists) = column.as_list_opt::<i32>() {
        let offsets = lists.value_offsets();
        let ranges = of_rows(&|row| offsets[row] as usize..offsets[row + 1] as usize);
        return Some((lists.values().clone(), ranges));
    }
    if let Some(lists) = column.as_list_opt::<i64>() {
        let offsets = lists.value_offsets();
        let ranges = of_rows(&|row| offsets[row] as usize..offsets[row + 1] as usize);
        return Some((lists.values().clone(), ranges));
    }
    let lists = column.as_fixed_size_list_opt()?;
    let ranges = of_rows(&|row| lists.value_offset_at(row)..lists.value_offset_at(row + 1));
    Some((lists.values().clone(), ranges))
}

/// Reads a table from a file of `size` bytes.
pub(super) fn read<R: ChunkReader + 'static>(
    path: &Path,
    file: R,
    size: u64,
    options: &ItemTableOptions,
) -> Result<ItemTable> {
    let damaged = |reason: String| damaged_parquet(path, &reason);
    let file = ParquetFile::open(file, size).map_err(damaged)?;
    let schema = file.schema().clone();
    let open = |columns: &[usize]| {
        let mut batches = file.batches(columns.iter().copied()).map_err(damaged)?;
        Ok(move || batches.next().map_err(damaged))
    };
    read_columns(path, &schema, options, open, &damaged)
}

/// Reads a table from record batches.
#[cfg(feature = "arrow")]
pub(super) fn read_batches(
    path: &Path,
    mut batches: impl arrow_array::RecordBatchReader,
    options: &ItemTableOptions,
) -> Result<ItemTable> {
    let position = &Cell::new(0);
    let refused = &|reason: String| Error::RecordBatch { position: position.get(), reason };
    let schema = batches.schema();
    let open = |columns: &[usize]| {
        let columns = columns.to_vec();
        Ok(move || {
            position.set(position.get() + 1);
            let batch = batches.next().map(|batch| batch?.project(&columns)).transpose();
            batch.map_err(|error| refused(error.to_string()))
        })
    };
    read_columns(path, &schema, options, open, refused)
}

/// Reads a table from the batches that `open` gives for the positions of columns, ascending, until `None`.
fn read_columns<N: FnMut() -> Result<Option<RecordBatch>>>(
    path: &Path,
    schema: &Schema,
    options: &ItemTableOptions,
    open: impl FnOnce(&[usize]) -> Result<N>,
    damaged: &dyn Fn(String) -> Error,
) -> Result<ItemTable> {
    let origin = Origin { path, place: "row" };
    let names = schema.fields().iter().map(|field| field.name().clone()).collect();
    let chosen = choose(origin, names, options)?;
    let unsupported = |name: &str, data_type: &DataType, advice| Error::Unsupported {
        path: path.to_owned(),
        found: format!("column `{}` of type {data_type}", crate::data::names::shortened(name)),
        advice,
    };
    let id_type = schema.field(chosen.id).data_type();
    let may_be_id = |of: &DataType| is_text(of) || of.is_integer() || of.is_floating();
    if !may_be_id(unpacked(id_type)) {
        return Err(unsupported(&chosen.id_name, id_type, "ids are texts or whole numbers"));
    }
    let mut forms = Vec::new();
    for column in &chosen.others {
        let data_type = schema.field(column.at).data_type();
        let advice = if column.by_name {
            "ask for another type of this column, or leave it out"
        } else {
            "items have texts, numbers, truth values, times, and lists of these: convert the column, or leave it out"
        };
        let own = || if column.by_name { None } else { Form::of(data_type, None) };
        let form = Form::of(data_type, column.wanted).or_else(own);
        forms.push(form.ok_or_else(|| unsupported(&column.name, data_type, advice))?);
    }
    let values = forms.iter().map(|form| form.empty());
    let mut builder = Builder::new(origin, options, &chosen, values);

    let at = || chosen.others.iter().map(|column| column.at);
    let mut columns: Vec<usize> = at().chain([chosen.id]).collect();
    columns.sort_unstable();
    let mut next = open(&columns)?;
    // The batches have the chosen columns in the order of the file.
    let place = |column: usize| columns.partition_point(|&other| other < column);
    let (places, id_place): (Vec<usize>, usize) = (at().map(place).collect(), place(chosen.id));
    let mut position = 0;
    let mut vector = Vec::new();
    while let Some(batch) = next()? {
        let array = |place: usize| {
            batch.columns().get(place).ok_or_else(|| damaged("a column is missing in a row group".to_owned()))
        };
        let undecoded = || damaged("a column cannot be decoded".to_owned());
        let ids = texts(array(id_place)?).ok_or_else(undecoded)?;
        let mut cells = Vec::new();
        for (&place, &form) in places.iter().zip(&forms) {
            cells.push(Cells::new(array(place)?, form).ok_or_else(undecoded)?);
        }
        for row in 0..batch.num_rows() {
            position += 1;
            for (at, cells) in cells.iter().enumerate() {
                push(&mut builder, position, at, cells, row, &mut vector)?;
            }
            let id = if ids.is_null(row) { "" } else { ids.value(row) };
            builder.end_row(id.as_bytes(), position)?;
        }
    }
    builder.finish(false)
}

/// Pushes the value of a row to the column `at`.
fn push(
    builder: &mut Builder<'_>,
    position: u64,
    at: usize,
    cells: &Cells,
    row: usize,
    vector: &mut Vec<f32>,
) -> Result<()> {
    if let Cells::Text(array) | Cells::Category(array) = cells
        && array.is_valid(row)
    {
        builder.check_length(position, at, array.value(row).len())?;
    }
    let problem = match (cells, &mut builder.columns[at].values) {
        (Cells::Text(array), Values::Text(texts)) => {
            texts.push(if array.is_null(row) { "" } else { array.value(row).trim() });
            None
        }
        (Cells::Number(array), Values::Number(numbers)) => {
            // pandas writes a missing number as NaN.
            let number = if array.is_null(row) { f64::NAN } else { array.value(row) };
            numbers.push(number);
            number
                .is_infinite()
                .then(|| format!("{number} is no finite number: correct it, or leave it empty"))
        }
        (Cells::Category(array), Values::Categories(lists)) => {
            lists.push(array.is_valid(row).then(|| array.value(row)));
            None
        }
        (Cells::List(array, ranges), Values::Categories(lists)) => {
            lists.push(ranges[row].clone().filter(|&i| array.is_valid(i)).map(|i| array.value(i)));
            None
        }
        (Cells::Vector(array, ranges), Values::Vector(vectors)) => {
            vector.clear();
            // A null in a vector is refused like a NaN.
            vector.extend(
                ranges[row].clone().map(|i| if array.is_null(i) { f32::NAN } else { array.value(i) }),
            );
            vectors.push(vector).err()
        }
        _ => unreachable!("a column is made for the form in which it is decoded"),
    };
    match problem {
        Some(reason) => Err(builder.refused(position, at, reason)),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests;

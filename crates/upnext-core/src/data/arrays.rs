//! Columns of nested Arrow data as rows: fields of structs by their paths, elements of lists as rows of their own, and
//! values of further types as those that the reader of columns knows.
//!
//! The rules are those of JSON ([`json`](super::json)): lists of one row go together and must have equal lengths, the
//! other columns are repeated, an empty list has no row, and a null in place of a list is one missing value.

use super::report::RowProblem;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use std::ops::Range;
use std::sync::Arc;

/// A column that may be chosen: a column of the schema, or a field in its structs and lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Its path, such as `events.aid`.
    pub(super) name: String,
    /// The position of the schema's column that contains it.
    pub(super) root: usize,
    /// Whether it is in a list, whose elements are rows.
    pub(super) in_list: bool,
    /// The name of that column, and the fields below it.
    steps: Vec<String>,
    /// Whether its 16 bytes are a UUID.
    is_uuid: bool,
}

/// The columns that may be chosen, in the order of the schema. `is_uuid` tells whether a leaf column of a Parquet file,
/// counted in this order, is annotated as a UUID; in Arrow data, fields have metadata.
///
/// A list in a list, a map and a union are one column, which cannot be read.
pub(super) fn leaves(schema: &Schema, is_uuid: impl Fn(usize) -> bool) -> Vec<Leaf> {
    let (mut found, mut number) = (Vec::new(), 0);
    for (root, field) in schema.fields().iter().enumerate() {
        add_leaves(field, root, &mut Vec::new(), false, &is_uuid, &mut number, &mut found);
    }
    found
}

fn add_leaves(
    field: &Field,
    root: usize,
    above: &mut Vec<String>,
    in_list: bool,
    is_uuid: &impl Fn(usize) -> bool,
    number: &mut usize,
    found: &mut Vec<Leaf>,
) {
    above.push(field.name().clone());
    let (inner, in_list) = match element(field) {
        Some(element) if !in_list => (element, true),
        _ => (field, in_list),
    };
    match inner.data_type() {
        DataType::Struct(fields) => {
            for field in fields {
                add_leaves(field, root, above, in_list, is_uuid, number, found);
            }
        }
        other => {
            let is_marked =
                inner.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.uuid");
            found.push(Leaf {
                name: above.join("."),
                root,
                in_list,
                steps: above.clone(),
                is_uuid: is_marked || is_uuid(*number),
            });
            *number += count(other);
        }
    }
    above.pop();
}

/// The element of a list.
fn element(field: &Field) -> Option<&Field> {
    match field.data_type() {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            Some(element)
        }
        _ => None,
    }
}

/// Number of leaf columns that a type has in a Parquet file.
fn count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| count(field.data_type())).sum(),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => count(field.data_type()),
        _ => 1,
    }
}

/// The rows of a batch.
#[derive(Debug)]
pub(super) struct Rows {
    /// The chosen columns.
    pub(super) columns: Vec<ArrayRef>,
    /// Number of rows.
    pub(super) len: usize,
    /// Rows of the batch that have no rows here.
    pub(super) bad: Vec<(usize, RowProblem)>,
    /// The row of the batch in which each row is; `None` if they are the same.
    origins: Option<Vec<usize>>,
}

impl Rows {
    /// The row of the batch, from 0, of a row.
    pub(super) fn origin(&self, row: usize) -> usize {
        self.origins.as_ref().map_or(row, |origins| origins[row])
    }
}

/// Where the values of a column are.
struct Values {
    array: ArrayRef,
    /// The elements of each row, `None` for a null in place of a list; absent if the column is not in a list.
    lists: Option<Vec<Option<Range<usize>>>>,
    /// Structs around the values: where one is null, the value is.
    structs: Vec<ArrayRef>,
}

impl Values {
    /// Follows the steps from a column of the batch.
    ///
    /// # Errors
    /// If the batch lacks the column.
    fn of(batch: &RecordBatch, leaf: &Leaf) -> Result<Self, String> {
        let lacking = || format!("a batch has no column {}", super::names::shortened(&leaf.name));
        let (first, fields) = leaf.steps.split_first().ok_or_else(lacking)?;
        let array = ArrayRef::clone(batch.column_by_name(first).ok_or_else(lacking)?);
        let mut values = Self { array, lists: None, structs: Vec::new() };
        values.enter_list();
        for name in fields {
            let whole = values.array.as_struct_opt().ok_or_else(lacking)?;
            let field = ArrayRef::clone(whole.column_by_name(name).ok_or_else(lacking)?);
            values.structs.push(std::mem::replace(&mut values.array, field));
            values.enter_list();
        }
        values.structs.retain(|array| array.null_count() > 0);
        Ok(values)
    }

    /// Goes from a list to its elements, but not into a list in a list.
    fn enter_list(&mut self) {
        let Some((elements, ranges)) = elements(&self.array).filter(|_| self.lists.is_none()) else { return };
        let structs = std::mem::take(&mut self.structs);
        let is_null = |row: usize| self.array.is_null(row) || structs.iter().any(|array| array.is_null(row));
        self.lists = Some(
            ranges.into_iter().enumerate().map(|(row, range)| (!is_null(row)).then_some(range)).collect(),
        );
        self.array = elements;
    }

    /// Whether row after row is a value of `array`.
    fn is_plain(&self) -> bool {
        self.lists.is_none() && self.structs.is_empty()
    }

    /// Position of the `index`-th value of a row; `None` for null.
    fn position(&self, row: usize, index: usize) -> Option<u64> {
        let at = match &self.lists {
            None => row,
            Some(lists) => lists[row].as_ref()?.start + index,
        };
        (!self.structs.iter().any(|array| array.is_null(at))).then_some(at as u64)
    }
}

/// The elements of a column of lists, and the range of each row in them.
fn elements(array: &ArrayRef) -> Option<(ArrayRef, Vec<Range<usize>>)> {
    if let Some(lists) = array.as_list_opt::<i32>() {
        let ranges = lists.value_offsets().windows(2).map(|ends| ends[0] as usize..ends[1] as usize);
        return Some((ArrayRef::clone(lists.values()), ranges.collect()));
    }
    if let Some(lists) = array.as_list_opt::<i64>() {
        let ranges = lists.value_offsets().windows(2).map(|ends| ends[0] as usize..ends[1] as usize);
        return Some((ArrayRef::clone(lists.values()), ranges.collect()));
    }
    let lists = array.as_fixed_size_list_opt()?;
    let length = usize::try_from(lists.value_length()).unwrap_or(0);
    let ranges = (0..lists.len()).map(|row| row * length..(row + 1) * length);
    Some((ArrayRef::clone(lists.values()), ranges.collect()))
}

/// The rows of a batch: one for each element of the lists among the chosen columns, or one for each row of the batch if
/// there is none. Values are [`readable`].
///
/// # Errors
/// A sentence if the batch lacks a column, or if the decoder cannot copy its values.
pub(super) fn rows(batch: &RecordBatch, chosen: &[&Leaf]) -> Result<Rows, String> {
    let values = chosen.iter().map(|leaf| Values::of(batch, leaf)).collect::<Result<Vec<_>, _>>()?;
    if values.iter().all(Values::is_plain) {
        let columns = values.iter().zip(chosen).map(|(values, leaf)| readable(&values.array, leaf.is_uuid));
        return Ok(Rows {
            columns: columns.collect(),
            len: batch.num_rows(),
            bad: Vec::new(),
            origins: None,
        });
    }
    let (mut counts, mut bad) = (Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        match elements_of_row(&values, chosen, row) {
            Ok(count) => counts.push((row, count)),
            Err(reason) => bad.push((row, RowProblem::UnequalLists { reason })),
        }
    }
    let origins: Vec<usize> = counts.iter().flat_map(|&(row, n)| std::iter::repeat_n(row, n)).collect();
    let mut columns = Vec::with_capacity(chosen.len());
    for (values, leaf) in values.iter().zip(chosen) {
        let positions =
            counts.iter().flat_map(|&(row, n)| (0..n).map(move |index| values.position(row, index)));
        let positions = UInt64Array::from_iter(positions);
        let taken = arrow_select::take::take(&values.array, &positions, None).map_err(|e| e.to_string())?;
        columns.push(readable(&taken, leaf.is_uuid));
    }
    Ok(Rows { columns, len: origins.len(), bad, origins: Some(origins) })
}

/// Number of elements that the lists of a row have, 1 without a list; or which of them differ.
fn elements_of_row(values: &[Values], chosen: &[&Leaf], row: usize) -> Result<usize, String> {
    let mut known: Option<(usize, &str)> = None;
    for (values, leaf) in values.iter().zip(chosen) {
        let Some(range) = values.lists.as_ref().and_then(|lists| lists[row].as_ref()) else { continue };
        match known {
            Some((count, first)) if count != range.len() => {
                let (first, second) = (super::names::shortened(first), super::names::shortened(&leaf.name));
                return Err(format!("{first} has {count} elements, and {second} has {}", range.len()));
            }
            _ => known = Some((range.len(), &leaf.name)),
        }
    }
    Ok(known.map_or(1, |(count, _)| count))
}

/// An array in a type that the reader of columns knows: the values of dictionaries row by row; decimals without a
/// fraction as integers, or as text if they are beyond 64 bits; other decimals as text; UUIDs as text in groups of
/// 8-4-4-4-12 digits; other bytes of a fixed size as bytes. Arrays of other types are unchanged.
pub(super) fn readable(array: &ArrayRef, is_uuid: bool) -> ArrayRef {
    let to = |data_type: &DataType| cast(array, data_type).unwrap_or_else(|_| ArrayRef::clone(array));
    match array.data_type() {
        DataType::Dictionary(_, values) => readable_unless_same(array, to(values), is_uuid),
        DataType::RunEndEncoded(_, values) => readable_unless_same(array, to(values.data_type()), is_uuid),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => {
            let integers = if *scale <= 0 { cast(array, &DataType::Int64).ok() } else { None };
            // A number that does not fit becomes null.
            let fitting = integers.filter(|integers| integers.null_count() == array.null_count());
            fitting.unwrap_or_else(|| to(&DataType::Utf8))
        }
        DataType::FixedSizeBinary(16) if is_uuid => uuids(array).unwrap_or_else(|| ArrayRef::clone(array)),
        DataType::FixedSizeBinary(_) => to(&DataType::Binary),
        _ => ArrayRef::clone(array),
    }
}

fn readable_unless_same(array: &ArrayRef, unpacked: ArrayRef, is_uuid: bool) -> ArrayRef {
    if unpacked.data_type() == array.data_type() { unpacked } else { readable(&unpacked, is_uuid) }
}

/// UUIDs as text.
fn uuids(array: &ArrayRef) -> Option<ArrayRef> {
    let bytes = array.as_fixed_size_binary_opt()?;
    let text = |uuid: &[u8]| {
        let mut text = String::with_capacity(36);
        for (at, byte) in uuid.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text
    };
    let texts: StringArray = bytes.iter().map(|uuid| uuid.map(text)).collect();
    Some(Arc::new(texts))
}

#[cfg(test)]
mod tests;

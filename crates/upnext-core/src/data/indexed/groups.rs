//! Reads the row groups of a folder of Parquet files in the order of their first rows, batch by batch.

use super::Observer;
use crate::data::parts::files_below;
use crate::data::read::ReadProgress;
use crate::error::{Error, Result};
use crate::parquet::{Batches, ParquetFile};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A column to read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// Integers of any width, or booleans.
    Number(&'static str),
    /// Text.
    Text(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Number(name) | Self::Text(name) => name,
        }
    }
}

/// The row groups of a folder.
pub(super) struct Groups {
    columns: Vec<Column>,
    groups: Vec<Group>,
    bytes: u64,
}

struct Group {
    file: PathBuf,
    number: usize,
    /// The first columns of the first row, by which groups are ordered.
    first: Vec<i64>,
    bytes: u64,
}

/// Some rows.
pub(super) struct Rows {
    numbers: Vec<Option<Int64Array>>,
    texts: Vec<Option<StringArray>>,
    rows: usize,
}

impl Rows {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// A value of a column of numbers.
    pub(super) fn number(&self, column: usize, row: usize) -> i64 {
        self.numbers[column].as_ref().map_or(0, |values| values.value(row))
    }

    /// Whether a column of numbers has a value.
    pub(super) fn is_there(&self, column: usize, row: usize) -> bool {
        self.numbers[column].as_ref().is_some_and(|values| values.is_valid(row))
    }

    /// A value of a column of text; empty for a missing one.
    pub(super) fn text(&self, column: usize, row: usize) -> &str {
        match &self.texts[column] {
            Some(values) if values.is_valid(row) => values.value(row),
            _ => "",
        }
    }
}

fn not_prepared(path: &Path, reason: String) -> Error {
    Error::NotPrepared { path: path.to_owned(), reason }
}

/// Opens a file and the positions of its columns in the order of `columns`.
fn open(path: &Path, columns: &[Column]) -> Result<(ParquetFile<File>, Vec<usize>)> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let size = file.metadata().map_err(Error::io(path, "read"))?.len();
    let damaged = |reason| not_prepared(path, format!("is damaged: {reason}: prepare the log again"));
    let file = ParquetFile::open(file, size).map_err(damaged)?;
    let position = |column: &Column| {
        let fields = file.schema().fields();
        fields.iter().position(|field| field.name() == column.name()).ok_or_else(|| {
            let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            not_prepared(path, format!("has no column `{}`, but {}", column.name(), names.join(", ")))
        })
    };
    let positions = columns.iter().map(position).collect::<Result<_>>()?;
    Ok((file, positions))
}

/// Takes the wanted columns out of a batch, which has them in the order of the file.
fn rows(batch: &RecordBatch, columns: &[Column], may_be_null: bool) -> std::result::Result<Rows, String> {
    let mut rows = Rows { numbers: Vec::new(), texts: Vec::new(), rows: batch.num_rows() };
    for column in columns {
        let array =
            batch.column_by_name(column.name()).ok_or_else(|| format!("lacks `{}`", column.name()))?;
        if !may_be_null && array.null_count() > 0 {
            return Err(format!("{} values of `{}` are missing", array.null_count(), column.name()));
        }
        let cast = |to: &DataType| -> std::result::Result<ArrayRef, String> {
            arrow_cast::cast(array, to).map_err(|error| format!("`{}`: {error}", column.name()))
        };
        let (number, text) = match column {
            Column::Number(_) => (Some(cast(&DataType::Int64)?.as_primitive::<Int64Type>().clone()), None),
            Column::Text(_) => (None, Some(cast(&DataType::Utf8)?.as_string::<i32>().clone())),
        };
        rows.numbers.push(number);
        rows.texts.push(text);
    }
    Ok(rows)
}

impl Groups {
    /// Lists the row groups of a folder, ordered by the first `keys` columns of their first rows.
    pub(super) fn open(folder: &Path, columns: &[Column], keys: usize) -> Result<Self> {
        let mut groups = Vec::new();
        for file in files_below(folder)? {
            let count = open(&file.path, columns)?.0.row_groups();
            for number in 0..count {
                let (opened, positions) = open(&file.path, &columns[..keys])?;
                let (rows_of_group, bytes) = opened.size_of_group(number);
                if rows_of_group == 0 {
                    continue;
                }
                let damaged = |reason| not_prepared(&file.path, format!("is damaged: {reason}"));
                let mut first = opened.first_of_group(number, positions).map_err(damaged)?;
                let Some(batch) = first.next().map_err(damaged)? else { continue };
                let first = rows(&batch, &columns[..keys], false).map_err(damaged)?;
                let first = (0..keys).map(|key| first.number(key, 0)).collect();
                groups.push(Group { file: file.path.clone(), number, first, bytes });
            }
        }
        groups.sort_by(|a, b| a.first.cmp(&b.first));
        let bytes = groups.iter().map(|group| group.bytes).sum();
        Ok(Self { columns: columns.to_vec(), groups, bytes })
    }

    /// Calls `each` with all rows in their order. Its errors are told with the file.
    pub(super) fn read(
        &self,
        observe: &mut Observer<'_>,
        each: &mut dyn FnMut(&Rows) -> std::result::Result<(), String>,
    ) -> Result<()> {
        self.read_rows(false, observe, each)
    }

    /// As [`read`](Self::read), with columns in which values may be missing.
    pub(super) fn read_with_nulls(
        &self,
        each: &mut dyn FnMut(&Rows) -> std::result::Result<(), String>,
    ) -> Result<()> {
        self.read_rows(true, &mut |_| std::ops::ControlFlow::Continue(()), each)
    }

    fn read_rows(
        &self,
        may_be_null: bool,
        observe: &mut Observer<'_>,
        each: &mut dyn FnMut(&Rows) -> std::result::Result<(), String>,
    ) -> Result<()> {
        let (mut done, mut events) = (0, 0);
        for group in &self.groups {
            let told = |reason: String| {
                let advice = "prepare the log again";
                not_prepared(&group.file, format!("row group {}: {reason}: {advice}", group.number + 1))
            };
            let (file, positions) = open(&group.file, &self.columns)?;
            let mut batches: Batches = file.group(group.number, positions).map_err(told)?;
            while let Some(batch) = batches.next().map_err(told)? {
                each(&rows(&batch, &self.columns, may_be_null).map_err(told)?).map_err(told)?;
                events += batch.num_rows() as u64;
                if observe(ReadProgress { bytes: done, total_bytes: self.bytes, events }).is_break() {
                    return Err(Error::Stopped);
                }
            }
            done += group.bytes;
        }
        Ok(())
    }
}

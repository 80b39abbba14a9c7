//! Reads the row groups of a folder of Parquet files in the order of their first rows, batch by batch.

use crate::data::parts::files_below;
use crate::data::read::ReadProgress;
use crate::error::{Error, Result};
use crate::parquet::{Batches, Metadata, ParquetFile};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
#[derive(Debug)]
pub(super) struct Groups {
    folder: PathBuf,
    columns: Vec<Column>,
    groups: Vec<Group>,
    bytes: u64,
}

#[derive(Debug)]
struct Group {
    file: Arc<Opened>,
    number: usize,
    /// The first columns of the first row, by which groups are ordered.
    first: Vec<i64>,
    bytes: u64,
}

/// Some rows.
pub(super) struct Rows {
    columns: Vec<Values>,
    rows: usize,
}

/// The values of a column.
enum Values {
    Numbers(Int64Array),
    Texts(StringArray),
}

impl Rows {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// All values of a column of numbers; none of another one.
    pub(super) fn numbers(&self, column: usize) -> Int64Array {
        match self.columns.get(column) {
            Some(Values::Numbers(values)) => values.clone(),
            _ => Int64Array::from(Vec::<i64>::new()),
        }
    }

    /// A value of a column of numbers.
    pub(super) fn number(&self, column: usize, row: usize) -> i64 {
        match &self.columns[column] {
            Values::Numbers(values) => values.value(row),
            Values::Texts(_) => 0,
        }
    }

    /// Whether a column of numbers has a value.
    pub(super) fn is_there(&self, column: usize, row: usize) -> bool {
        matches!(&self.columns[column], Values::Numbers(values) if values.is_valid(row))
    }

    /// A value of a column of text; empty for a missing one.
    pub(super) fn text(&self, column: usize, row: usize) -> &str {
        match &self.columns[column] {
            Values::Texts(values) if values.is_valid(row) => values.value(row),
            _ => "",
        }
    }
}

fn not_prepared(path: &Path, reason: String) -> Error {
    Error::NotPrepared { path: path.to_owned(), reason }
}

/// A file whose metadata have been read.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    metadata: Metadata,
    /// The places of the wanted columns among its own.
    positions: Vec<usize>,
}

impl Opened {
    fn new(path: PathBuf, columns: &[Column]) -> Result<Self> {
        let file = File::open(&path).map_err(Error::io(&path, "open"))?;
        let size = file.metadata().map_err(Error::io(&path, "read"))?.len();
        let damaged = |reason| not_prepared(&path, format!("is damaged: {reason}: prepare the log again"));
        let metadata = Metadata::read(&file, size).map_err(damaged)?;
        let file = ParquetFile::with_metadata(file, &metadata);
        let position = |column: &Column| {
            let fields = file.schema().fields();
            fields.iter().position(|field| field.name() == column.name()).ok_or_else(|| {
                let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                not_prepared(&path, format!("has no column `{}`, but {}", column.name(), names.join(", ")))
            })
        };
        let positions = columns.iter().map(position).collect::<Result<_>>()?;
        Ok(Self { path, metadata, positions })
    }

    fn open(&self) -> Result<ParquetFile<File>> {
        let file = File::open(&self.path).map_err(Error::io(&self.path, "open"))?;
        Ok(ParquetFile::with_metadata(file, &self.metadata))
    }
}

/// Takes the wanted columns out of a batch, which has them in the order of the file.
fn rows(batch: &RecordBatch, columns: &[Column], may_be_null: bool) -> std::result::Result<Rows, String> {
    let values = |column: &Column| {
        let array =
            batch.column_by_name(column.name()).ok_or_else(|| format!("lacks `{}`", column.name()))?;
        if !may_be_null && array.null_count() > 0 {
            return Err(format!("{} values of `{}` are missing", array.null_count(), column.name()));
        }
        let cast = |to: &DataType| -> std::result::Result<ArrayRef, String> {
            arrow_cast::cast(array, to).map_err(|error| format!("`{}`: {error}", column.name()))
        };
        Ok(match column {
            Column::Number(_) => Values::Numbers(cast(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            Column::Text(_) => Values::Texts(cast(&DataType::Utf8)?.as_string::<i32>().clone()),
        })
    };
    Ok(Rows {
        columns: columns.iter().map(values).collect::<std::result::Result<_, String>>()?,
        rows: batch.num_rows(),
    })
}

impl Groups {
    /// Lists the row groups of a folder, ordered by the first `keys` columns of their first rows.
    pub(super) fn open(folder: &Path, columns: &[Column], keys: usize) -> Result<Self> {
        let mut groups = Vec::new();
        for file in files_below(folder)? {
            let file = Arc::new(Opened::new(file.path, columns)?);
            for number in 0..file.open()?.row_groups() {
                let opened = file.open()?;
                let (rows_of_group, bytes) = opened.size_of_group(number);
                if rows_of_group == 0 {
                    continue;
                }
                let damaged = |reason| not_prepared(&file.path, format!("is damaged: {reason}"));
                let positions = file.positions[..keys].to_vec();
                let mut first = opened.first_of_group(number, positions).map_err(damaged)?;
                let Some(batch) = first.next().map_err(damaged)? else { continue };
                let first = rows(&batch, &columns[..keys], false).map_err(damaged)?;
                let first = (0..keys).map(|key| first.number(key, 0)).collect();
                groups.push(Group { file: Arc::clone(&file), number, first, bytes });
            }
        }
        groups.sort_by(|a, b| a.first.cmp(&b.first));
        let bytes = groups.iter().map(|group| group.bytes).sum();
        Ok(Self { folder: folder.to_owned(), columns: columns.to_vec(), groups, bytes })
    }

    /// Number of row groups.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// All rows in their order, from those of a row group on.
    pub(super) fn rows_from(&self, group: usize) -> Reader<'_> {
        Reader { groups: self, next: group, batches: None, may_be_null: false, done: 0, events: 0 }
    }
}

/// Reads rows, batch by batch.
pub(super) struct Reader<'g> {
    groups: &'g Groups,
    /// The row group behind that of `batches`.
    next: usize,
    batches: Option<Batches>,
    may_be_null: bool,
    /// Bytes of the row groups that have been read.
    done: u64,
    events: u64,
}

impl Reader<'_> {
    /// The same rows, of which values may be missing.
    pub(super) fn with_nulls(self) -> Self {
        Self { may_be_null: true, ..self }
    }

    /// The next rows; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Rows>> {
        loop {
            if let Some(batches) = &mut self.batches {
                let batch = batches.next();
                if let Some(batch) = batch.map_err(|reason| self.wrong(reason))? {
                    self.events += batch.num_rows() as u64;
                    let found = rows(&batch, &self.groups.columns, self.may_be_null);
                    return found.map(Some).map_err(|reason| self.wrong(reason));
                }
                self.done += self.groups.groups[self.group()].bytes;
                self.batches = None;
            }
            let Some(group) = self.groups.groups.get(self.next) else { return Ok(None) };
            self.next += 1;
            let batches = group.file.open()?.group(group.number, group.file.positions.iter().copied());
            self.batches = Some(batches.map_err(|reason| self.wrong(reason))?);
        }
    }

    /// The row group of the rows that were read last.
    pub(super) fn group(&self) -> usize {
        self.next.saturating_sub(1)
    }

    /// How far it has read.
    pub(super) fn progress(&self) -> ReadProgress {
        ReadProgress { bytes: self.done, total_bytes: self.groups.bytes, events: self.events }
    }

    /// An error in the rows that were read last.
    pub(super) fn wrong(&self, reason: String) -> Error {
        let Some(group) = self.groups.groups.get(self.group()) else {
            return not_prepared(&self.groups.folder, reason);
        };
        let advice = "prepare the log again";
        not_prepared(&group.file.path, format!("row group {}: {reason}: {advice}", group.number + 1))
    }
}

//! Ids and tables of results, as the user has them.

use crate::arrow::Table;
use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder, UInt32Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use pyo3::prelude::*;
use std::sync::Arc;

/// Most rows, and most bytes of ids, of a batch.
const ROWS: usize = 1 << 20;
const BYTES: usize = 1 << 28;

/// Of which type ids are for the user; inside, they are texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Whole numbers, if all of them are the texts of such.
    #[default]
    Numbers,
    Texts,
}

/// The types of the ids of a log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdTypes {
    pub(crate) sessions: Ids,
    pub(crate) items: Ids,
}

/// An id for Python.
#[derive(IntoPyObject)]
pub(crate) enum Id {
    Number(i128),
    Text(String),
}

impl Ids {
    /// The ids of a column of this type.
    pub(crate) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(_, values) => Self::of(values),
            data_type if data_type.is_numeric() => Self::Numbers,
            _ => Self::Texts,
        }
    }

    /// That of ids which were given as whole numbers, or not.
    pub(crate) fn given(are_numbers: bool) -> Self {
        if are_numbers { Self::Numbers } else { Self::Texts }
    }

    /// One id.
    pub(crate) fn id(self, id: &str) -> Id {
        match self {
            Self::Numbers => number(id).map_or_else(|| Id::Text(id.to_owned()), Id::Number),
            Self::Texts => Id::Text(id.to_owned()),
        }
    }

    /// The type of a column of these ids, of which `all` are the possible ones.
    fn column_type<'a>(self, mut all: impl Iterator<Item = &'a str>) -> DataType {
        let fits = |id| number::<i64>(id).is_some();
        if self == Self::Numbers && all.all(fits) { DataType::Int64 } else { DataType::Utf8 }
    }
}

/// The number of which this is the text; `None` for other texts, and for other ways to write a number.
fn number<N: std::str::FromStr + ToString>(id: &str) -> Option<N> {
    let number: N = id.parse().ok()?;
    (number.to_string() == id).then_some(number)
}

/// A column under construction.
enum Column {
    Texts(StringBuilder),
    Numbers(Int64Builder),
    Times(TimestampMicrosecondBuilder),
    Ranks(UInt32Builder),
    Scores(Float32Builder),
    Flags(BooleanBuilder),
}

impl Column {
    fn of_ids<'a>(ids: Ids, all: impl Iterator<Item = &'a str>) -> Self {
        match ids.column_type(all) {
            DataType::Int64 => Self::Numbers(Int64Builder::new()),
            _ => Self::Texts(StringBuilder::new()),
        }
    }

    fn field(&self, name: &str) -> Field {
        let data_type = match self {
            Self::Texts(_) => DataType::Utf8,
            Self::Numbers(_) => DataType::Int64,
            Self::Times(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Ranks(_) => DataType::UInt32,
            Self::Scores(_) => DataType::Float32,
            Self::Flags(_) => DataType::Boolean,
        };
        Field::new(name, data_type, false)
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Texts(values) => Arc::new(values.finish()),
            Self::Numbers(values) => Arc::new(values.finish()),
            Self::Times(values) => Arc::new(values.finish()),
            Self::Ranks(values) => Arc::new(values.finish()),
            Self::Scores(values) => Arc::new(values.finish()),
            Self::Flags(values) => Arc::new(values.finish()),
        }
    }
}

/// A value of a row.
#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    Id(&'a str),
    Time(i64),
    Rank(u32),
    Score(f32),
    Flag(bool),
}

/// A table under construction, in batches of a bounded size.
pub(crate) struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    batches: Vec<RecordBatch>,
}

impl Rows {
    /// A table with columns of these ids, and of the kinds of these cells. `all` are the possible ids of a column.
    pub(crate) fn new(
        ids: [(&str, Ids, &mut dyn Iterator<Item = &str>); 2],
        others: &[(&str, Cell<'_>)],
    ) -> Self {
        let mut fields = Vec::new();
        let mut columns = Vec::new();
        for (name, ids, all) in ids {
            let column = Column::of_ids(ids, all);
            fields.push(column.field(name));
            columns.push(column);
        }
        for (name, kind) in others {
            let column = match kind {
                Cell::Id(_) => Column::Texts(StringBuilder::new()),
                Cell::Time(_) => Column::Times(TimestampMicrosecondBuilder::new()),
                Cell::Rank(_) => Column::Ranks(UInt32Builder::new()),
                Cell::Score(_) => Column::Scores(Float32Builder::new()),
                Cell::Flag(_) => Column::Flags(BooleanBuilder::new()),
            };
            fields.push(column.field(name));
            columns.push(column);
        }
        Self { schema: Arc::new(Schema::new(fields)), columns, rows: 0, bytes: 0, batches: Vec::new() }
    }

    /// Appends a row, whose cells are those of the columns in their order.
    pub(crate) fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), ArrowError> {
        for (column, &cell) in self.columns.iter_mut().zip(cells) {
            match (column, cell) {
                (Column::Texts(values), Cell::Id(id)) => {
                    self.bytes += id.len();
                    values.append_value(id);
                }
                (Column::Numbers(values), Cell::Id(id)) => values.append_option(number(id)),
                (Column::Times(values), Cell::Time(time)) => values.append_value(time),
                (Column::Ranks(values), Cell::Rank(rank)) => values.append_value(rank),
                (Column::Scores(values), Cell::Score(score)) => values.append_value(score),
                (Column::Flags(values), Cell::Flag(flag)) => values.append_value(flag),
                _ => return Err(ArrowError::SchemaError("a cell of another column".to_owned())),
            }
        }
        self.rows += 1;
        if self.rows >= ROWS || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ArrowError> {
        (self.rows, self.bytes) = (0, 0);
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        self.batches.push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(())
    }

    /// The table.
    pub(crate) fn finish(mut self) -> Result<Table, ArrowError> {
        if self.rows > 0 {
            self.flush()?;
        }
        Ok(Table::new(self.schema, self.batches))
    }
}

//! Writes an item table to a Parquet file, and reads it again.
//!
//! The first column has the ids, under the name with which the table was read; the others follow in order: texts,
//! numbers (float64), lists of texts, lists of float32. Missing values are null. The key `upnext.items` of the file's
//! metadata names the column of ids and the types, as JSON. Equal tables have equal bytes.

use super::column::{Column, Value};
use super::options::{ColumnType, ItemTableLimits, ItemTableOptions};
use super::{ItemTable, columnar};
use crate::data::names::damaged_parquet;
use crate::error::Result;
use crate::parquet::{BATCH_ROWS, BatchWriter, ParquetFile, model_properties};
use ::parquet::file::metadata::KeyValue;
use ::parquet::schema::types::ColumnPath;
use arrow_array::ArrayRef;
use arrow_array::builder::{Float32Builder, Float64Builder, ListBuilder, StringBuilder};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The key of the file's metadata under which its columns are described.
const METADATA_KEY: &str = "upnext.items";

/// The description of a file's columns.
#[derive(Serialize, Deserialize)]
struct Description {
    /// The name of the column of ids.
    id: String,
    columns: Vec<ColumnDescription>,
}

#[derive(Serialize, Deserialize)]
struct ColumnDescription {
    name: String,
    #[serde(rename = "type")]
    column_type: ColumnType,
}

impl ItemTable {
    /// Writes the table as Parquet, the same bytes for equal tables.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn to_parquet(&self, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let description = Description {
            id: self.id_name.clone(),
            columns: self
                .columns
                .iter()
                .map(|column| ColumnDescription {
                    name: column.name.clone(),
                    column_type: column.column_type(),
                })
                .collect(),
        };
        let description = serde_json::to_string(&description).map_err(io::Error::other)?;
        let id = Field::new(&self.id_name, DataType::Utf8, false);
        let fields = self.columns.iter().map(|column| Field::new(&column.name, data_type(column), true));
        let fields = std::iter::once(id).chain(fields).collect();
        let mut properties = model_properties()
            // The manifest names the writer; here it would change the bytes with every version of the library.
            .set_created_by("upnext".to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(METADATA_KEY.to_owned(), description)]))
            // Ids are unique, so that a dictionary would not help.
            .set_column_dictionary_enabled(ColumnPath::new(vec![self.id_name.clone()]), false);
        for column in self.columns.iter().filter(|column| column.column_type() == ColumnType::Vector) {
            let path = ["list", "item"].map(str::to_owned);
            let path = std::iter::once(column.name.clone()).chain(path).collect();
            properties = properties.set_column_dictionary_enabled(ColumnPath::new(path), false);
        }
        let mut writer = BatchWriter::new(out, fields, properties)?;
        for start in (0..self.len()).step_by(BATCH_ROWS) {
            let rows = start..(start + BATCH_ROWS).min(self.len());
            let mut ids = StringBuilder::new();
            rows.clone().for_each(|row| ids.append_value(self.id(row)));
            let mut arrays: Vec<ArrayRef> = vec![Arc::new(ids.finish())];
            arrays.extend(self.columns.iter().map(|column| array(column, rows.clone())));
            writer.write(arrays)?;
        }
        writer.finish()
    }

    /// Reads a table that [`to_parquet`](Self::to_parquet) wrote; `path` names it in errors.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) for bytes that are not such a table, and those of
    /// [`read`](Self::read).
    pub fn from_parquet(bytes: impl Into<Bytes>, path: &Path) -> Result<Self> {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        let file = ParquetFile::open(bytes.clone(), size).map_err(|reason| damaged_parquet(path, &reason))?;
        let text = file.schema().metadata().get(METADATA_KEY);
        let text = text.ok_or_else(|| damaged_parquet(path, "it has no metadata `upnext.items`"))?;
        let Description { id, columns } = serde_json::from_str(text)
            .map_err(|error| damaged_parquet(path, &format!("its metadata `upnext.items`: {error}")))?;
        let limits = ItemTableLimits { id_bytes: usize::MAX, ..ItemTableLimits::default() };
        let options = ItemTableOptions {
            limits,
            item_columns: vec![id],
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            types: columns.into_iter().map(|column| (column.name, column.column_type)).collect(),
            ..ItemTableOptions::default()
        };
        let rows = file.rows();
        let table = columnar::read(path, bytes, size, &options)?;
        if table.len() as u64 != rows {
            return Err(damaged_parquet(path, &format!("{} items in {rows} rows", table.len())));
        }
        Ok(table)
    }
}

/// The Arrow type of a column in the file.
fn data_type(column: &Column) -> DataType {
    match column.column_type() {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Number => DataType::Float64,
        ColumnType::Categories => DataType::new_list(DataType::Utf8, true),
        ColumnType::Vector => DataType::new_list(DataType::Float32, true),
    }
}

/// Some rows of a column as an Arrow array.
fn array(column: &Column, rows: Range<usize>) -> ArrayRef {
    match column.column_type() {
        ColumnType::Text => {
            let mut texts = StringBuilder::new();
            rows.for_each(|row| texts.append_option(column.text(row)));
            Arc::new(texts.finish())
        }
        ColumnType::Number => {
            let mut numbers = Float64Builder::new();
            rows.for_each(|row| numbers.append_option(column.number(row)));
            Arc::new(numbers.finish())
        }
        ColumnType::Categories => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for row in rows {
                column.categories(row).for_each(|name| lists.values().append_value(name));
                lists.append(column.value(row).is_some());
            }
            Arc::new(lists.finish())
        }
        ColumnType::Vector => {
            let mut lists = ListBuilder::new(Float32Builder::new());
            for row in rows {
                if let Some(Value::Vector(vector)) = column.value(row) {
                    lists.values().append_slice(vector);
                }
                lists.append(column.value(row).is_some());
            }
            Arc::new(lists.finish())
        }
    }
}

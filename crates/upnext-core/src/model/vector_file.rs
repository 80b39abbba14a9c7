//! Writing vectors to Parquet files.

use crate::parquet::{BATCH_ROWS, BatchWriter, writer_properties};
use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, StringArray};
use arrow_schema::{DataType, Field, FieldRef};
use std::io::{self, Write};
use std::sync::Arc;

/// Number of floats after which the buffered rows are encoded: 4 MiB.
const BATCH_FLOATS: usize = 1 << 20;

/// Size in bytes at which a row group ends, which bounds the writer's memory.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Writes vectors of items or sessions as a Parquet file: a column of ids (text), `vector` (a list of `width` floats of
/// 32 bits, the same number in every row), and `bias` (a float of 32 bits) if wanted. No value is null.
pub struct VectorWriter<W: Write + Send> {
    writer: BatchWriter<W>,
    element: FieldRef,
    width: usize,
    ids: Vec<String>,
    vectors: Vec<f32>,
    /// `None` for a file without biases.
    biases: Option<Vec<f32>>,
}

impl<W: Write + Send> std::fmt::Debug for VectorWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VectorWriter({} floats a row)", self.width)
    }
}

impl<W: Write + Send> VectorWriter<W> {
    /// Creates a writer to `out` of vectors of `width` floats, with a column of ids of this name, and with biases or
    /// without.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, id_column: &str, width: usize, has_biases: bool) -> io::Result<Self> {
        let element = Arc::new(Field::new("item", DataType::Float32, false));
        let list = DataType::FixedSizeList(Arc::clone(&element), size(width)?);
        let mut fields =
            vec![Field::new(id_column, DataType::Utf8, false), Field::new("vector", list, false)];
        if has_biases {
            fields.push(Field::new("bias", DataType::Float32, false));
        }
        // Hardly any id or float occurs twice.
        let writer = BatchWriter::new(out, fields, writer_properties().set_dictionary_enabled(false))?;
        let (ids, vectors, biases) = (Vec::new(), Vec::new(), has_biases.then(Vec::new));
        Ok(Self { writer, element, width, ids, vectors, biases })
    }

    /// Appends a row. `bias` is written if the file has biases, and is 0 if it is absent.
    ///
    /// # Errors
    /// Those of the output.
    ///
    /// # Panics
    /// If the vector has another width than the file.
    pub fn write(&mut self, id: &str, vector: &[f32], bias: Option<f32>) -> io::Result<()> {
        assert_eq!(
            vector.len(),
            self.width,
            "a vector of {} floats among those of {}",
            vector.len(),
            self.width
        );
        self.ids.push(id.to_owned());
        self.vectors.extend_from_slice(vector);
        if let Some(biases) = &mut self.biases {
            biases.push(bias.unwrap_or(0.0));
        }
        let is_full = self.ids.len() >= BATCH_ROWS || self.vectors.len() >= BATCH_FLOATS;
        if is_full { self.write_rows() } else { Ok(()) }
    }

    /// Writes all buffered rows and ends the file; without this call the file is incomplete.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_rows()?;
        self.writer.finish()
    }

    fn write_rows(&mut self) -> io::Result<()> {
        let ids = StringArray::from_iter_values(self.ids.drain(..));
        let floats = Arc::new(Float32Array::from(std::mem::take(&mut self.vectors)));
        let vectors = FixedSizeListArray::try_new(Arc::clone(&self.element), size(self.width)?, floats, None)
            .map_err(io::Error::other)?;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(vectors)];
        if let Some(biases) = &mut self.biases {
            columns.push(Arc::new(Float32Array::from(std::mem::take(biases))));
        }
        self.writer.write(columns)?;
        self.writer.end_row_group_at(ROW_GROUP_BYTES)
    }
}

/// The width as Arrow has it.
fn size(width: usize) -> io::Result<i32> {
    i32::try_from(width).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::items::{ColumnType, ItemTable, ItemTableOptions};
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float32Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    /// A file of as many rows, whose row `i` is `[i, -i]` with the bias `i / 2`.
    fn file(rows: usize, has_biases: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = VectorWriter::new(&mut bytes, "item_id", 2, has_biases).unwrap();
        for i in 0..rows {
            let x = i as f32;
            writer.write(&format!("ü,{i}\n"), &[x, -x], has_biases.then_some(x / 2.0)).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn every_row_comes_back_with_its_type_whatever_their_number() {
        for (rows, has_biases) in [(0, true), (1, false), (BATCH_ROWS, true), (BATCH_ROWS + 1, false)] {
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file(rows, has_biases))).unwrap();
            let fields = reader.schema().fields().clone();
            assert_eq!(fields.len(), if has_biases { 3 } else { 2 });
            assert!(
                matches!(fields[1].data_type(), DataType::FixedSizeList(of, 2) if of.data_type() == &DataType::Float32)
            );
            let mut row = 0;
            for batch in reader.build().unwrap().map(Result::unwrap) {
                let (ids, vectors) =
                    (batch.column(0).as_string::<i32>(), batch.column(1).as_fixed_size_list());
                for i in 0..batch.num_rows() {
                    let x = row as f32;
                    assert_eq!(ids.value(i), format!("ü,{row}\n"));
                    assert_eq!(vectors.value(i).as_primitive::<Float32Type>().values(), &[x, -x]);
                    if has_biases {
                        assert_eq!(batch.column(2).as_primitive::<Float32Type>().value(i), x / 2.0);
                    }
                    row += 1;
                }
            }
            assert_eq!(row, rows);
        }
    }

    #[test]
    fn the_file_is_a_table_of_items() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("vectors.parquet");
        std::fs::write(&path, file(3, true)).unwrap();
        let table = ItemTable::read(&path, &ItemTableOptions::default()).unwrap();
        let column = table.column("vector").unwrap();
        assert_eq!((column.column_type(), column.width()), (ColumnType::Vector, 2));
        let row = table.row("ü,2").or_else(|| table.row("ü,2\n")).unwrap();
        assert_eq!(column.vector(row), Some(&[2.0, -2.0][..]));
        assert_eq!(table.column("bias").unwrap().number(row), Some(1.0));
    }
}

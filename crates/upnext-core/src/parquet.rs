//! Shared code of all readers and writers of Parquet files: opening files that may be damaged, decoding batch by batch,
//! writer settings, and the operating system's error inside a Parquet error.

use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::arrow::{ArrowWriter, ProjectionMask};
use ::parquet::basic::Compression;
#[cfg(feature = "logs")]
use ::parquet::basic::LogicalType;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use ::parquet::file::reader::ChunkReader;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use std::fmt::Display;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Number of rows decoded or written at a time.
pub(crate) const BATCH_ROWS: usize = 16 * 1024;

/// A Parquet file whose metadata has been read and checked. Errors are the decoder's messages, unchanged.
pub(crate) struct ParquetFile<R: ChunkReader + 'static>(ParquetRecordBatchReaderBuilder<R>);

/// Decodes the rows of some columns of a file, batch by batch.
pub(crate) struct Batches(ParquetRecordBatchReader);

/// The metadata of a file that is opened several times: reading them takes as long as a row group of a file of many.
#[derive(Clone, Debug)]
pub(crate) struct Metadata(ArrowReaderMetadata);

impl Metadata {
    /// Reads the metadata of a file of `size` bytes.
    pub(crate) fn read<R: ChunkReader + 'static>(file: &R, size: u64) -> Result<Self, String> {
        let metadata = guarded(|| ArrowReaderMetadata::load(file, Default::default()))?;
        check_chunks(metadata.metadata(), size)?;
        Ok(Self(metadata))
    }
}

impl<R: ChunkReader + 'static> ParquetFile<R> {
    /// Opens a file of `size` bytes.
    pub(crate) fn open(file: R, size: u64) -> Result<Self, String> {
        let metadata = Metadata::read(&file, size)?;
        Ok(Self::with_metadata(file, &metadata))
    }

    /// Opens a file whose metadata have been read.
    pub(crate) fn with_metadata(file: R, metadata: &Metadata) -> Self {
        Self(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.0.clone()))
    }

    /// Names and types of the columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.0.schema()
    }

    /// Number of rows according to the metadata.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.0.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Whether the file is a log that this program wrote, whose ids are exact.
    #[cfg(feature = "logs")]
    pub(crate) fn is_own_log(&self) -> bool {
        let metadata = self.0.metadata().file_metadata().key_value_metadata();
        metadata.is_some_and(|entries| entries.iter().any(|entry| entry.key == OWN_LOG))
    }

    /// Whether a leaf column, counted in the order of the schema, is annotated as a UUID.
    #[cfg(feature = "logs")]
    pub(crate) fn is_uuid(&self, leaf: usize) -> bool {
        let schema = self.0.parquet_schema();
        leaf < schema.num_columns() && schema.column(leaf).logical_type_ref() == Some(&LogicalType::Uuid)
    }

    /// Number of row groups.
    #[cfg(feature = "logs")]
    pub(crate) fn row_groups(&self) -> usize {
        self.0.metadata().num_row_groups()
    }

    /// Number of rows of a row group, and of its bytes.
    #[cfg(feature = "logs")]
    pub(crate) fn size_of_group(&self, group: usize) -> (u64, u64) {
        let group = self.0.metadata().row_group(group);
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        (unsigned(group.num_rows()), unsigned(group.compressed_size()))
    }

    /// Decodes these columns of a row group, as [`batches`](Self::batches).
    #[cfg(feature = "logs")]
    pub(crate) fn group(
        self,
        group: usize,
        columns: impl IntoIterator<Item = usize>,
    ) -> Result<Batches, String> {
        Self(self.0.with_row_groups(vec![group])).batches(columns)
    }

    /// Decodes these columns of the first row of a row group.
    #[cfg(feature = "logs")]
    pub(crate) fn first_of_group(
        self,
        group: usize,
        columns: impl IntoIterator<Item = usize>,
    ) -> Result<Batches, String> {
        Self(self.0.with_limit(1)).group(group, columns)
    }

    /// Decodes these columns, given by position from 0. Batches have them in the order of the file, not of `columns`.
    pub(crate) fn batches(self, columns: impl IntoIterator<Item = usize>) -> Result<Batches, String> {
        let projection = ProjectionMask::roots(self.0.parquet_schema(), columns);
        let builder = self.0.with_projection(projection).with_batch_size(BATCH_ROWS);
        guarded(|| builder.build()).map(Batches)
    }
}

impl Batches {
    /// The next batch; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, String> {
        guarded(|| self.0.next().transpose())
    }
}

/// Checks that every column chunk lies inside the file, which the decoder assumes.
fn check_chunks(metadata: &ParquetMetaData, size: u64) -> Result<(), String> {
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

/// Runs a step of the decoder and returns errors and panics as text; the decoder panics on some damaged files.
pub(crate) fn guarded<T, E: Display>(step: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    // After a panic the decoder is dropped without being used again, so that no broken state is seen.
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result.map_err(|error| match error.to_string() {
            text if text.contains("Disabled feature at compile time") => format!(
                "{text}: this build of upnext lacks one of its features `zstd` (models of the first versions need it) and `logs`"
            ),
            text => text,
        }),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_else(|| "the decoder gave up".to_owned())),
    }
}

/// The settings of a model's files: Snappy compression, which every build can read, otherwise the writer's defaults.
pub(crate) fn model_properties() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_compression(Compression::SNAPPY)
}

/// The settings of other files: zstd compression, Snappy in a build without zstd, otherwise the writer's defaults.
#[cfg(feature = "logs")]
pub(crate) fn writer_properties() -> WriterPropertiesBuilder {
    #[cfg(feature = "zstd")]
    let compression = Compression::ZSTD(::parquet::basic::ZstdLevel::default());
    #[cfg(not(feature = "zstd"))]
    let compression = Compression::SNAPPY;
    WriterProperties::builder().set_compression(compression)
}

/// The key in the metadata of logs that this program wrote.
#[cfg(feature = "logs")]
const OWN_LOG: &str = "upnext.log";

/// Settings for the files of logs.
#[cfg(feature = "logs")]
pub(crate) fn log_properties() -> WriterPropertiesBuilder {
    let entry = ::parquet::file::metadata::KeyValue::new(OWN_LOG.to_owned(), "1".to_owned());
    writer_properties().set_key_value_metadata(Some(vec![entry]))
}

/// Writes a Parquet file, batch by batch.
pub(crate) struct BatchWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
}

impl<W: Write + Send> BatchWriter<W> {
    /// Begins a file with these columns.
    pub(crate) fn new(out: W, fields: Vec<Field>, properties: WriterPropertiesBuilder) -> io::Result<Self> {
        let schema = Arc::new(Schema::new(fields));
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties.build()));
        Ok(Self { writer: writer.map_err(io_error)?, schema })
    }

    /// Writes rows, given as one array a column.
    pub(crate) fn write(&mut self, columns: Vec<ArrayRef>) -> io::Result<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(io::Error::other)?;
        self.writer.write(&batch).map_err(io_error)
    }

    /// Ends the row group if it takes this many bytes of memory.
    #[cfg(feature = "logs")]
    pub(crate) fn end_row_group_at(&mut self, bytes: usize) -> io::Result<()> {
        if self.writer.in_progress_size() >= bytes { self.writer.flush().map_err(io_error) } else { Ok(()) }
    }

    /// Ends the file; without this call it is incomplete.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.writer.into_inner().map_err(io_error)?.flush()
    }
}

/// Returns the operating system's error inside a Parquet error, so that a full disk is reported as one.
pub(crate) fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};
    use bytes::Bytes;
    use std::sync::Arc;

    fn file(rows: i64) -> Vec<u8> {
        let column = || Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("a", column()), ("b", column())]).unwrap();
        let mut bytes = Vec::new();
        let properties = writer_properties().build();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    }

    #[test]
    fn batches_have_all_rows_of_the_wanted_columns() {
        let bytes = Bytes::from(file(40_000));
        let size = bytes.len() as u64;
        let open = ParquetFile::open(bytes, size).unwrap();
        assert_eq!((open.rows(), open.schema().fields().len()), (40_000, 2));
        let (mut batches, mut rows) = (open.batches([1]).unwrap(), 0);
        while let Some(batch) = batches.next().unwrap() {
            assert_eq!(batch.schema().field(0).name(), "b");
            rows += batch.num_rows();
        }
        assert_eq!(rows, 40_000);
    }

    #[test]
    fn a_column_beyond_the_end_of_the_file_is_damage() {
        let bytes = Bytes::from(file(100));
        let error = ParquetFile::open(bytes, 8).err().unwrap();
        assert_eq!(error, "a column of row group 1 lies outside the file");
    }

    #[test]
    fn errors_and_panics_of_the_decoder_become_text() {
        assert_eq!(guarded(|| Ok::<_, String>(1)), Ok(1));
        assert_eq!(guarded(|| Err::<(), _>("no")), Err("no".to_owned()));
        type Step = fn() -> Result<(), String>;
        let steps: [(Step, &str); 3] = [
            (|| panic!("at {}", 7), "at 7"),
            (|| panic!("plain"), "plain"),
            (|| std::panic::panic_any(7), "the decoder gave up"),
        ];
        for (step, shown) in steps {
            assert_eq!(guarded(step), Err(shown.to_owned()));
        }
    }

    #[test]
    fn a_full_disk_is_found_inside_the_writers_error() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(io_error(ParquetError::External(Box::new(full))).kind(), io::ErrorKind::StorageFull);
        assert_eq!(io_error(ParquetError::General("x".into())).kind(), io::ErrorKind::Other);
    }
}

//! Opens files with named columns, such as item tables: text with a header, or Parquet.

use super::layout;
use super::source::{self, Source, TextSource};
use crate::error::{Error, Result};
use csv::ByteRecord;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// An opened file.
pub(crate) enum TableFile {
    /// CSV, TSV or similar text, decompressed.
    Text(Box<TextTable>),
    /// A Parquet file, positioned at its beginning.
    Parquet(File),
    /// An empty file, or one with only white space.
    Empty,
}

/// A text file, positioned after its header.
pub(crate) struct TextTable {
    /// The names of the columns in the header, trimmed.
    pub(crate) names: Vec<String>,
    path: PathBuf,
    compression: Option<&'static str>,
    reader: csv::Reader<Box<dyn Read>>,
}

impl TableFile {
    /// Opens a file, recognised by its first bytes. `delimiter` separates the fields of text; if absent, it is
    /// detected.
    ///
    /// # Errors
    /// For a file that cannot be opened or has an unsupported format, and for a delimiter that is not one ASCII
    /// character.
    pub(crate) fn open(path: &Path, delimiter: Option<char>) -> Result<Self> {
        let source = match source::open(path, None) {
            Ok(Source::Parquet(file)) => return Ok(Self::Parquet(file)),
            Ok(Source::Text(source)) => source,
            Ok(Source::Json(_)) => return Err(unsupported(path, "a JSON file")),
            Ok(Source::Arrow(_)) => return Err(unsupported(path, "an Arrow file")),
            Err(Error::NoEvents { .. }) => return Ok(Self::Empty),
            Err(error) => return Err(error),
        };
        let delimiter = match delimiter {
            Some(c) if c.is_ascii() && !matches!(c, '"' | '\n' | '\r' | '\0') => c as u8,
            Some(c) => {
                let reason = format!("{c:?} cannot separate fields: use one ASCII character");
                return Err(Error::config("delimiter", reason));
            }
            None => layout::guess_delimiter(&source.sample, source.complete),
        };
        let (path, compression) = (source.path().to_owned(), source.compression);
        let reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(256 * 1024)
            .from_reader(Box::new(source.into_reader()) as Box<dyn Read>);
        let mut table = TextTable { names: Vec::new(), path, compression, reader };
        let mut record = ByteRecord::new();
        table.next(&mut record)?;
        let name = |field: &[u8]| String::from_utf8_lossy(field.trim_ascii()).into_owned();
        table.names = record.iter().map(name).collect();
        Ok(Self::Text(Box::new(table)))
    }
}

fn unsupported(path: &Path, found: &str) -> Error {
    let advice = "a table of items is CSV or Parquet";
    Error::Unsupported { path: path.to_owned(), found: found.to_owned(), advice }
}

impl TextTable {
    /// Reads the next row; `false` after the last.
    pub(crate) fn next(&mut self, record: &mut ByteRecord) -> Result<bool> {
        self.reader.read_byte_record(record).map_err(|error| {
            let error = match error.into_kind() {
                csv::ErrorKind::Io(error) => error,
                other => std::io::Error::other(format!("{other:?}")),
            };
            TextSource::error(&self.path, self.compression, error)
        })
    }
}

//! Opens files with named columns, such as item tables: text with a header, or Parquet.

use super::layout;
use super::options::Quote;
use super::quotes::{self, LAST_ROW, LineEnds, QuoteCheck};
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
    /// Number of columns; 0 before the header.
    width: usize,
    path: PathBuf,
    compression: Option<&'static str>,
    reader: csv::Reader<Box<dyn Read>>,
    quotes: QuoteCheck,
}

impl TableFile {
    /// Opens a file, recognised by its first bytes. `delimiter` separates the fields of text; if absent, it is
    /// detected.
    ///
    /// # Errors
    /// For a file that cannot be opened or has an unsupported format, such as `::` between the fields, for a delimiter
    /// that is not one ASCII character, and for a header in which a quotation mark is not closed.
    pub(crate) fn open(path: &Path, delimiter: Option<char>, quote: Quote) -> Result<Self> {
        let source = match source::open(path, None) {
            Ok(Source::Parquet(file)) => return Ok(Self::Parquet(file)),
            Ok(Source::Text(source)) => source,
            Ok(Source::Json(_)) => return Err(unsupported(path, "a JSON file")),
            Ok(Source::Arrow(_)) => return Err(unsupported(path, "an Arrow file")),
            Err(Error::NoEvents { .. }) => return Ok(Self::Empty),
            Err(error) => return Err(error),
        };
        if let Some(c) = delimiter
            && (!c.is_ascii() || matches!(c, '"' | '\n' | '\r' | '\0'))
        {
            let reason = format!("{c:?} cannot separate fields: use one ASCII character");
            return Err(Error::config("delimiter", reason));
        }
        let delimiter = delimiter.map(String::from);
        let candidates = layout::TABLE_DELIMITERS;
        let fields = layout::fields_of(delimiter, quote, &source.sample, source.complete, candidates);
        let line_ends = LineEnds::of(&source.sample);
        let (path, compression) = (source.path().to_owned(), source.compression);
        let text: Box<dyn Read> = Box::new(source.into_reader().chain(LAST_ROW));
        let reader = fields.reader().buffer_capacity(256 * 1024).from_reader(text);
        let quotes = QuoteCheck::new(fields.byte(), quote, line_ends);
        let mut table = TextTable { names: Vec::new(), width: 0, path, compression, reader, quotes };
        let mut record = ByteRecord::new();
        table.next(&mut record)?;
        let name = |field: &[u8]| String::from_utf8_lossy(field.trim_ascii()).into_owned();
        table.names = record.iter().map(name).collect();
        table.width = table.names.len();
        // Whole rows would be taken for ids, as only what stands before a colon counts in a name.
        if let [name] = &table.names[..]
            && name.contains("::")
        {
            return Err(unsupported(&table.path, "a table with `::` between its fields"));
        }
        Ok(Self::Text(Box::new(table)))
    }
}

fn unsupported(path: &Path, found: &str) -> Error {
    let advice = "a table of items is CSV or Parquet";
    Error::Unsupported { path: path.to_owned(), found: found.to_owned(), advice }
}

impl TextTable {
    /// The line on which the last row begins.
    pub(crate) fn line(&self) -> u64 {
        self.quotes.line
    }

    /// Reads the next row; `false` after the last.
    ///
    /// # Errors
    /// [`Error::OpenQuote`] if a quotation mark is not closed, so that a field swallows rows; errors of reading.
    pub(crate) fn next(&mut self, record: &mut ByteRecord) -> Result<bool> {
        let more = self.reader.read_byte_record(record).map_err(|error| {
            let error = match error.into_kind() {
                csv::ErrorKind::Io(error) => error,
                other => std::io::Error::other(format!("{other:?}")),
            };
            TextSource::error(&self.path, self.compression, error)
        })?;
        let width = if self.width == 0 { record.len() } else { self.width };
        let open =
            self.quotes.check(record, self.reader.position(), width).map(|open| (open.line, open.until));
        let line = self.line();
        let end_of_file = || (line, None);
        if let Some((line, until)) = open.or_else(|| (!more).then(end_of_file)) {
            return Err(Error::OpenQuote { path: self.path.clone(), line, until });
        }
        Ok(!quotes::is_last(record))
    }
}

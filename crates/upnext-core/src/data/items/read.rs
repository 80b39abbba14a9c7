//! Reads an item table from a file: CSV, TSV and their like, or Parquet.

use super::ItemTable;
use super::builder::{Builder, NOT_UTF8, Origin, choose};
use super::column::{Texts, Values};
use super::columnar;
use super::options::ItemTableOptions;
use crate::data::table::{TableFile, TextTable};
use crate::error::{Error, Result};
use csv::ByteRecord;
use std::path::Path;

impl ItemTable {
    /// Reads a table from CSV, TSV (plain, gzip, zstd) or Parquet, recognised by their first bytes.
    ///
    /// Text needs a header. Values are trimmed; an empty value, a null and, in numeric columns of Parquet, NaN are
    /// missing values. Columns have the types that `options` requests; the types of the others are inferred:
    ///
    /// 1. numbers, if every value is a finite number (text files only; columns of Parquet have types);
    /// 2. vectors, if every value is a list of finite numbers in square brackets, of the same length (text files only);
    /// 3. categories, if a list separator was given and a value has it; if `|` or `;` is clearly used (in at least two
    ///    values and a tenth of them, with parts that occur four times on average); if all values are `true` or
    ///    `false`; or if each distinct value occurs in four rows on average;
    /// 4. otherwise texts.
    ///
    /// In Parquet, dictionaries, booleans and lists of strings or integers are categories, lists of floating-point
    /// numbers and fixed-size lists of numbers are vectors, and times are texts, in UTC. Numbers are `f64`: integers
    /// beyond 2⁵³ lose their last digits unless they are read as text.
    ///
    /// Rows that repeat an earlier one are counted ([`repeated_rows`](Self::repeated_rows)).
    ///
    /// # Errors
    /// [`Error::ItemTable`] with the line or row and the column: a file that is empty or lacks a column of ids, an id
    /// that is empty, too long or has a NUL byte, an item in two rows with different values (unless
    /// [`RepeatedItem::KeepLast`](super::RepeatedItem::KeepLast)), a row with another number of fields, a value that is not of the requested type,
    /// vectors of different widths. [`Error::Unsupported`] for an unsupported kind of file or column, [`Error::Io`],
    /// [`Error::Truncated`], [`Error::Damaged`].
    pub fn read(path: impl AsRef<Path>, options: &ItemTableOptions) -> Result<Self> {
        let path = path.as_ref();
        let origin = Origin { path, place: "line" };
        if path.is_dir() {
            let reason = "this is a folder: give one file, CSV or Parquet".to_owned();
            return Err(origin.error(None, None, reason));
        }
        match TableFile::open(path, options.delimiter, options.quote)? {
            TableFile::Text(file) => read_text(path, *file, options),
            TableFile::Parquet(file) => {
                let size = file.metadata().map_err(Error::io(path, "read"))?.len();
                columnar::read(path, file, size, options)
            }
            TableFile::Empty => {
                let reason = "no column of ids: the file is empty, and its first line must name the columns";
                Err(origin.error(Some(1), None, reason.to_owned()))
            }
        }
    }

    /// Reads a table from Arrow record batches, with the rules of [`read`](Self::read) for Parquet.
    ///
    /// # Errors
    /// Those of [`read`](Self::read) about ids, columns and values, with `record batches` in place of a path;
    /// [`Error::RecordBatch`] with the number of the batch for an error of the reader.
    #[cfg(feature = "arrow")]
    pub fn from_batches(
        batches: impl arrow_array::RecordBatchReader,
        options: &ItemTableOptions,
    ) -> Result<Self> {
        columnar::read_batches(Path::new("record batches"), batches, options)
    }
}

/// Reads the rows of a text file.
fn read_text(path: &Path, mut file: TextTable, options: &ItemTableOptions) -> Result<ItemTable> {
    let origin = Origin { path, place: "line" };
    let names = std::mem::take(&mut file.names);
    let fields = names.len();
    let chosen = choose(origin, names, options)?;
    let texts = chosen.others.iter().map(|_| Values::Text(Texts::default()));
    let mut builder = Builder::new(origin, options, &chosen, texts);
    let mut record = ByteRecord::new();
    while file.next(&mut record)? {
        let line = file.line();
        if record.len() != fields {
            let reason = format!(
                "{} fields, where the header has {fields}: put fields with the delimiter in quotes",
                record.len()
            );
            return Err(origin.error(Some(line), None, reason));
        }
        for (i, column) in chosen.others.iter().enumerate() {
            let field = &record[column.at];
            builder.check_length(line, i, field.len())?;
            let text =
                std::str::from_utf8(field).map_err(|_| builder.refused(line, i, NOT_UTF8.to_owned()))?;
            if let Values::Text(texts) = &mut builder.columns[i].values {
                texts.push(text.trim());
            }
        }
        builder.end_row(&record[chosen.id], line)?;
    }
    builder.finish(true)
}

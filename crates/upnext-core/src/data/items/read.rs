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
    /// Reads a table from CSV, TSV (plain, gzip, zstd) or Parquet, told apart by their first bytes.
    ///
    /// Text needs a header. White space around values is left out; an empty value, a null and, in columns of numbers of
    /// Parquet, NaN are missing. A column has the type that `options` asks for. The others are inspected:
    ///
    /// 1. numbers, if every value is a finite number (text files only; Parquet says itself what is a number);
    /// 2. vectors, if every value is a list of finite numbers in square brackets, of the same length (text files only);
    /// 3. categories, where a separator of lists was given and a value has it; where `|` or `;` is plainly used (in two
    ///    values and a tenth of them at least, with each part standing on average in four); where all values are `true` or
    ///    `false`; and where each value stands on average in four rows;
    /// 4. else texts.
    ///
    /// In Parquet, dictionaries, truth values and lists of texts or whole numbers are categories, lists of floating-point
    /// numbers and lists of a fixed number of numbers are vectors, and times are texts, in UTC. Numbers have 64 bits with
    /// fraction: whole numbers beyond 2⁵³ lose their last digits unless they are read as text.
    ///
    /// A row that repeats one before is counted ([`repeated_rows`](Self::repeated_rows)).
    ///
    /// # Errors
    /// [`Error::ItemTable`] with the line or row and the column: a file without a column of ids or without a byte, an id
    /// that is empty, too long or has a NUL byte, an item that stands in two rows with different values (unless
    /// [`RepeatedItem::KeepLast`]), a row of another number of fields, a value that is not of the type asked for, vectors of
    /// different widths. [`Error::Unsupported`] for a kind of file or column that is not read, [`Error::Io`],
    /// [`Error::Truncated`], [`Error::Damaged`].
    pub fn read(path: impl AsRef<Path>, options: &ItemTableOptions) -> Result<Self> {
        let path = path.as_ref();
        let origin = Origin { path, place: "line" };
        if path.is_dir() {
            let reason = "this is a folder: give one file, CSV or Parquet".to_owned();
            return Err(origin.error(None, None, reason));
        }
        match TableFile::open(path, options.delimiter)? {
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
        let line = record.position().map_or(0, csv::Position::line);
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

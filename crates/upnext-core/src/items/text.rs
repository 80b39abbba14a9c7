//! Reads an item table from CSV, TSV and similar text.

use super::ItemTable;
use super::builder::{Builder, NOT_UTF8, Origin, choose};
use super::column::{Texts, Values};
use super::options::ItemTableOptions;
use crate::data::table::TextTable;
use crate::error::Result;
use csv::ByteRecord;
use std::path::Path;

/// Reads the rows of a text file.
pub(super) fn read(path: &Path, mut file: TextTable, options: &ItemTableOptions) -> Result<ItemTable> {
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

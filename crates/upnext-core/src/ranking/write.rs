//! Writing recommendation lists to files: one row per recommended item, or one row per session.

mod sessions;

use super::RecommendationList;
use crate::data::ItemVocabulary;
use crate::data::write::csv_error;
use crate::parquet::{BATCH_ROWS, BatchWriter, writer_properties};
use arrow_array::ArrayRef;
use arrow_array::builder::{BooleanBuilder, Float32Builder, StringBuilder, UInt32Builder};
use arrow_schema::{DataType, Field};
use serde::Serialize;
use sessions::SessionRows;
use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// The columns: the session's id, the rank from 1, the item's id, its score, and whether the list has the most popular
/// items because the session has no known item.
const COLUMNS: [&str; 5] = ["session_id", "rank", "item_id", "score", "fell_back"];

/// The file format of recommendation lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListFormat {
    /// Comma-separated text with a header.
    Csv,
    /// Tab-separated text with a header.
    Tsv,
    /// One JSON object per row.
    JsonLines,
    /// Parquet with zstd compression.
    Parquet,
}

impl ListFormat {
    /// File name extensions, without the dot, and their formats.
    pub const EXTENSIONS: [(&'static str, Self); 5] = [
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("parquet", Self::Parquet),
        ("jsonl", Self::JsonLines),
        ("ndjson", Self::JsonLines),
    ];

    /// The format by a file's name, in any case; `None` for an unknown extension.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension().and_then(OsStr::to_str)?;
        Self::EXTENSIONS
            .into_iter()
            .find(|(e, _)| extension.eq_ignore_ascii_case(e))
            .map(|(_, format)| format)
    }
}

/// What a row of a file of recommendation lists is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListRows {
    /// A recommended item: `session_id`, `rank` from 1, `item_id`, `score`, `fell_back`.
    #[default]
    Items,
    /// A session: `session_id`, `item_ids` and `scores`, best first, `fell_back`. In text the ids are separated by spaces
    /// and there are no scores.
    Sessions,
}

/// Writes recommendation lists in the format of a [`ListFormat`].
pub struct ListWriter<'v, W: Write + Send> {
    items: &'v ItemVocabulary,
    form: Form<W>,
}

impl<W: Write + Send> std::fmt::Debug for ListWriter<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ListWriter")
    }
}

enum Form<W: Write + Send> {
    Text(Box<csv::Writer<W>>),
    JsonLines(BufWriter<W>),
    Parquet(Box<Table<W>>),
    Sessions(Box<SessionRows<W>>),
}

/// A row; its fields have the names of [`COLUMNS`].
#[derive(Serialize)]
struct Row<'a> {
    session_id: &'a str,
    rank: usize,
    item_id: &'a str,
    score: f32,
    fell_back: bool,
}

impl<'v, W: Write + Send> ListWriter<'v, W> {
    /// Creates a writer to `out`. `items` is the vocabulary of the model.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(
        out: W,
        (format, rows): (ListFormat, ListRows),
        items: &'v ItemVocabulary,
    ) -> io::Result<Self> {
        if rows == ListRows::Sessions {
            return Ok(Self { items, form: Form::Sessions(Box::new(SessionRows::new(out, format)?)) });
        }
        let text = |delimiter, out| {
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
            writer.write_record(COLUMNS).map_err(csv_error)?;
            Ok::<_, io::Error>(Form::Text(Box::new(writer)))
        };
        let form = match format {
            ListFormat::Csv => text(b',', out)?,
            ListFormat::Tsv => text(b'\t', out)?,
            ListFormat::JsonLines => Form::JsonLines(BufWriter::new(out)),
            ListFormat::Parquet => Form::Parquet(Box::new(Table::new(out)?)),
        };
        Ok(Self { items, form })
    }

    /// Appends the list of a session. An empty list has no rows of items.
    ///
    /// # Errors
    /// Those of the output; [`io::ErrorKind::InvalidData`] for an id with white space in a row of text with several ids.
    ///
    /// # Panics
    /// If an item of the list is not in the vocabulary.
    pub fn write(&mut self, session_id: &str, list: &RecommendationList) -> io::Result<()> {
        if let Form::Sessions(rows) = &mut self.form {
            return rows.write(session_id, list, self.items);
        }
        for (rank, entry) in (1..).zip(&list.entries) {
            let item_id = self.items.id(entry.item);
            let row = Row { session_id, rank, item_id, score: entry.score, fell_back: list.fell_back };
            match &mut self.form {
                Form::Text(writer) => {
                    let (rank, score) = (row.rank.to_string(), row.score.to_string());
                    let fell_back = if row.fell_back { "true" } else { "false" };
                    let fields = [session_id, &rank, item_id, &score, fell_back];
                    writer.write_record(fields).map_err(csv_error)?;
                }
                Form::JsonLines(out) => {
                    serde_json::to_writer(&mut *out, &row)?;
                    out.write_all(b"\n")?;
                }
                Form::Parquet(table) => table.push(&row)?,
                Form::Sessions(_) => {}
            }
        }
        Ok(())
    }

    /// Writes all buffered rows and ends the file; without this call the file is incomplete.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> io::Result<()> {
        match self.form {
            Form::Text(mut writer) => writer.flush(),
            Form::JsonLines(mut out) => out.flush(),
            Form::Sessions(rows) => rows.finish(),
            Form::Parquet(mut table) => {
                table.write_rows()?;
                table.writer.finish()
            }
        }
    }
}

/// The buffered rows of a Parquet file.
struct Table<W: Write + Send> {
    writer: BatchWriter<W>,
    rows: usize,
    sessions: StringBuilder,
    ranks: UInt32Builder,
    items: StringBuilder,
    scores: Float32Builder,
    fell_back: BooleanBuilder,
}

impl<W: Write + Send> Table<W> {
    fn new(out: W) -> io::Result<Self> {
        let types = [DataType::Utf8, DataType::UInt32, DataType::Utf8, DataType::Float32, DataType::Boolean];
        let fields: Vec<Field> = COLUMNS
            .into_iter()
            .zip(types)
            .map(|(name, data_type)| Field::new(name, data_type, false))
            .collect();
        Ok(Self {
            writer: BatchWriter::new(out, fields, writer_properties())?,
            rows: 0,
            sessions: StringBuilder::new(),
            ranks: UInt32Builder::new(),
            items: StringBuilder::new(),
            scores: Float32Builder::new(),
            fell_back: BooleanBuilder::new(),
        })
    }

    fn push(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.sessions.append_value(row.session_id);
        // A list has at most as many entries as there are items, which fits u32.
        self.ranks.append_value(u32::try_from(row.rank).unwrap_or(u32::MAX));
        self.items.append_value(row.item_id);
        self.scores.append_value(row.score);
        self.fell_back.append_value(row.fell_back);
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.write_rows() } else { Ok(()) }
    }

    fn write_rows(&mut self) -> io::Result<()> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.sessions.finish()),
            Arc::new(self.ranks.finish()),
            Arc::new(self.items.finish()),
            Arc::new(self.scores.finish()),
            Arc::new(self.fell_back.finish()),
        ];
        self.writer.write(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Recommendation;
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, UInt32Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn items() -> ItemVocabulary {
        let mut items = ItemVocabulary::new();
        ["a,\"b\"", "tab\tand\nline", "ü"].iter().for_each(|id| _ = items.add(id, 1));
        items
    }

    fn list(scores: &[f32], fell_back: bool) -> RecommendationList {
        let entries = (0..).zip(scores).map(|(item, &score)| Recommendation { item, score }).collect();
        RecommendationList { entries, fell_back }
    }

    fn written(format: ListFormat) -> Vec<u8> {
        let (items, mut bytes) = (items(), Vec::new());
        let mut writer = ListWriter::new(&mut bytes, (format, ListRows::Items), &items).unwrap();
        writer.write("s,1", &list(&[0.1, -1e-9, 1e-20], false)).unwrap();
        writer.write("empty", &list(&[], false)).unwrap();
        writer.write("s2", &list(&[16_777_216.0], true)).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn text_quotes_ids_and_keeps_every_bit_of_a_score() {
        for (format, delimiter) in [(ListFormat::Csv, b','), (ListFormat::Tsv, b'\t')] {
            let bytes = written(format);
            let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(&bytes[..]);
            assert_eq!(reader.headers().unwrap(), COLUMNS.to_vec());
            let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            assert_eq!(rows.len(), 4);
            assert_eq!(rows[1], vec!["s,1", "2", "tab\tand\nline", &(-1e-9_f32).to_string(), "false"]);
            assert_eq!(rows[2][3].parse::<f32>().unwrap(), 1e-20);
            assert_eq!(rows[3], vec!["s2", "1", "a,\"b\"", "16777216", "true"]);
        }
    }

    #[test]
    fn json_lines_are_one_object_a_row() {
        let text = String::from_utf8(written(ListFormat::JsonLines)).unwrap();
        let rows: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let row = serde_json::json!(
            {"session_id": "s,1", "rank": 1, "item_id": "a,\"b\"", "score": 0.1, "fell_back": false}
        );
        assert_eq!((rows.len(), &rows[0]), (4, &row));
        assert_eq!(rows[3]["fell_back"], true);
    }

    #[test]
    fn parquet_has_a_type_for_each_column_and_any_number_of_rows() {
        let items = items();
        for sessions in [0, 1, BATCH_ROWS, BATCH_ROWS + 1] {
            let mut bytes = Vec::new();
            let mut writer =
                ListWriter::new(&mut bytes, (ListFormat::Parquet, ListRows::Items), &items).unwrap();
            for session in 0..sessions {
                writer.write(&session.to_string(), &list(&[session as f32], session == 1)).unwrap();
            }
            writer.finish().unwrap();
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
            let mut row = 0;
            for batch in reader.map(Result::unwrap) {
                for i in 0..batch.num_rows() {
                    assert_eq!(batch.column(0).as_string::<i32>().value(i), row.to_string());
                    assert_eq!(batch.column(1).as_primitive::<UInt32Type>().value(i), 1);
                    assert_eq!(batch.column(3).as_primitive::<Float32Type>().value(i), row as f32);
                    assert_eq!(batch.column(4).as_boolean().value(i), row == 1);
                    row += 1;
                }
            }
            assert_eq!(row, sessions);
        }
    }

    #[test]
    fn names_of_files_tell_the_format() {
        let of = |name: &str| ListFormat::of(Path::new(name));
        assert_eq!(of("a/lists.CSV"), Some(ListFormat::Csv));
        assert_eq!(of("lists.ndjson"), Some(ListFormat::JsonLines));
        assert_eq!(of("lists.csv.gz"), None);
        assert_eq!(of("csv"), None);
    }
}

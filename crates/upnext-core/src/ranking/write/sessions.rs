//! Recommendation lists with one row per session.

use super::{ListFormat, RecommendationList};
use crate::data::ItemVocabulary;
use crate::data::write::csv_error;
use crate::parquet::{BATCH_ROWS, BatchWriter, writer_properties};
use arrow_array::ArrayRef;
use arrow_array::builder::{BooleanBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_schema::{DataType, Field};
use serde::Serialize;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

/// Writes one row per session.
pub(super) enum SessionRows<W: Write + Send> {
    Text(Box<csv::Writer<W>>),
    JsonLines(BufWriter<W>),
    Parquet(Box<Table<W>>),
}

/// A row of JSON.
#[derive(Serialize)]
struct Row<'a> {
    session_id: &'a str,
    item_ids: Vec<&'a str>,
    scores: Vec<f32>,
    fell_back: bool,
}

impl<W: Write + Send> SessionRows<W> {
    pub(super) fn new(out: W, format: ListFormat) -> io::Result<Self> {
        let text = |delimiter, out| {
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
            writer.write_record(["session_id", "item_ids", "fell_back"]).map_err(csv_error)?;
            Ok(Self::Text(Box::new(writer)))
        };
        match format {
            ListFormat::Csv => text(b',', out),
            ListFormat::Tsv => text(b'\t', out),
            ListFormat::JsonLines => Ok(Self::JsonLines(BufWriter::new(out))),
            ListFormat::Parquet => Ok(Self::Parquet(Box::new(Table::new(out)?))),
        }
    }

    /// Appends the list of a session; it may be empty.
    pub(super) fn write(
        &mut self,
        session_id: &str,
        list: &RecommendationList,
        items: &ItemVocabulary,
    ) -> io::Result<()> {
        let ids = || list.entries.iter().map(|entry| items.id(entry.item));
        match self {
            Self::Text(writer) => {
                if let Some(id) = ids().find(|id| id.contains(char::is_whitespace)) {
                    let reason = format!(
                        "the item id {id:?} has a space in it, which separates the ids of a row: write .jsonl or .parquet, or one row an item"
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                }
                let fell_back = if list.fell_back { "true" } else { "false" };
                let joined = ids().collect::<Vec<_>>().join(" ");
                writer.write_record([session_id, &joined, fell_back]).map_err(csv_error)
            }
            Self::JsonLines(out) => {
                let scores = list.entries.iter().map(|entry| entry.score).collect();
                let row = Row { session_id, item_ids: ids().collect(), scores, fell_back: list.fell_back };
                serde_json::to_writer(&mut *out, &row)?;
                out.write_all(b"\n")
            }
            Self::Parquet(table) => {
                table.sessions.append_value(session_id);
                for entry in &list.entries {
                    table.items.values().append_value(items.id(entry.item));
                    table.scores.values().append_value(entry.score);
                }
                table.items.append(true);
                table.scores.append(true);
                table.fell_back.append_value(list.fell_back);
                (table.rows, table.entries) = (table.rows + 1, table.entries + list.entries.len());
                if table.rows + table.entries >= BATCH_ROWS { table.write_rows() } else { Ok(()) }
            }
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Text(mut writer) => writer.flush(),
            Self::JsonLines(mut out) => out.flush(),
            Self::Parquet(mut table) => {
                table.write_rows()?;
                table.writer.finish()
            }
        }
    }
}

/// The buffered rows of a Parquet file.
pub(super) struct Table<W: Write + Send> {
    writer: BatchWriter<W>,
    rows: usize,
    entries: usize,
    sessions: StringBuilder,
    items: ListBuilder<StringBuilder>,
    scores: ListBuilder<Float32Builder>,
    fell_back: BooleanBuilder,
}

impl<W: Write + Send> Table<W> {
    fn new(out: W) -> io::Result<Self> {
        let list = |of| DataType::List(Arc::new(Field::new("item", of, true)));
        let fields = vec![
            Field::new("session_id", DataType::Utf8, false),
            Field::new("item_ids", list(DataType::Utf8), false),
            Field::new("scores", list(DataType::Float32), false),
            Field::new("fell_back", DataType::Boolean, false),
        ];
        Ok(Self {
            writer: BatchWriter::new(out, fields, writer_properties())?,
            rows: 0,
            entries: 0,
            sessions: StringBuilder::new(),
            items: ListBuilder::new(StringBuilder::new()),
            scores: ListBuilder::new(Float32Builder::new()),
            fell_back: BooleanBuilder::new(),
        })
    }

    fn write_rows(&mut self) -> io::Result<()> {
        (self.rows, self.entries) = (0, 0);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.sessions.finish()),
            Arc::new(self.items.finish()),
            Arc::new(self.scores.finish()),
            Arc::new(self.fell_back.finish()),
        ];
        self.writer.write(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ListRows, ListWriter};
    use super::*;
    use crate::ranking::Recommendation;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float32Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn written(format: ListFormat, ids: [&str; 2]) -> io::Result<Vec<u8>> {
        let mut items = ItemVocabulary::new();
        ids.iter().for_each(|id| _ = items.add(id, 1));
        let list = |scores: &[f32], fell_back| {
            let entries = (0..).zip(scores).map(|(item, &score)| Recommendation { item, score }).collect();
            RecommendationList { entries, fell_back }
        };
        let mut bytes = Vec::new();
        let mut writer = ListWriter::new(&mut bytes, (format, ListRows::Sessions), &items)?;
        writer.write("s,1", &list(&[0.5, -1e-9], false))?;
        writer.write("empty", &list(&[], false))?;
        writer.write("s2", &list(&[2.0], true))?;
        writer.finish()?;
        Ok(bytes)
    }

    #[test]
    fn text_has_the_ids_of_a_session_in_one_field() {
        let text = String::from_utf8(written(ListFormat::Csv, ["a", "b,c"]).unwrap()).unwrap();
        assert_eq!(text, "session_id,item_ids,fell_back\n\"s,1\",\"a b,c\",false\nempty,,false\ns2,a,true\n");
        let error = written(ListFormat::Tsv, ["a b", "c"]).unwrap_err();
        assert!(error.to_string().contains("\"a b\" has a space in it"), "{error}");
    }

    #[test]
    fn json_and_parquet_have_lists_of_ids_and_scores() {
        let text = String::from_utf8(written(ListFormat::JsonLines, ["a b", "c"]).unwrap()).unwrap();
        assert_eq!(
            text.lines().next().unwrap(),
            r#"{"session_id":"s,1","item_ids":["a b","c"],"scores":[0.5,-1e-9],"fell_back":false}"#
        );
        let bytes = written(ListFormat::Parquet, ["a b", "c"]).unwrap();
        let mut reader =
            ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
        let batch = reader.next().unwrap().unwrap();
        assert_eq!(batch.num_rows(), 3);
        let (ids, scores) = (batch.column(1).as_list::<i32>(), batch.column(2).as_list::<i32>());
        assert_eq!(ids.value(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a b", "c"]);
        assert_eq!(scores.value(0).as_primitive::<Float32Type>().values(), &[0.5, -1e-9]);
        assert!(ids.value(1).is_empty() && batch.column(3).as_boolean().value(2));
    }
}

//! Writes the cases of an evaluation to a file, one row each, so that other metrics, segments and tests can be computed
//! elsewhere.

use super::RankedCase;
use crate::data::write::csv_error;
use crate::parquet::{BATCH_ROWS, BatchWriter, writer_properties};
use crate::ranking::TieRule;
use arrow_array::ArrayRef;
use arrow_array::builder::{BooleanBuilder, Float64Builder, ListBuilder, StringBuilder, UInt32Builder};
use arrow_schema::{DataType, Field};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// The tie rules, in the order of the columns with ranks.
const RULES: [TieRule; 3] = [TieRule::Conservative, TieRule::Standard, TieRule::Median];

/// The columns without `model` and `list`.
const COLUMNS: [&str; 7] =
    ["session_id", "position", "item_id", "rank_conservative", "rank_standard", "rank_median", "fell_back"];

/// The file format of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaseFormat {
    /// Comma-separated text with a header; lists are arrays in JSON.
    Csv,
    /// Parquet with zstd compression.
    Parquet,
}

impl CaseFormat {
    /// The format by a file's extension, `csv` or `parquet` in any case; `None` for another.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension().and_then(OsStr::to_str)?;
        [("csv", Self::Csv), ("parquet", Self::Parquet)]
            .into_iter()
            .find(|(name, _)| extension.eq_ignore_ascii_case(name))
            .map(|(_, format)| format)
    }
}

/// A row of a file of cases.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "callers make it")]
pub struct CaseRow<'a> {
    /// The model's name; written only by a writer with models.
    pub model: &'a str,
    /// The session's id.
    pub session_id: &'a str,
    /// The number of events of the session before the target.
    pub position: u32,
    /// The target's id.
    pub item_id: &'a str,
    /// The rank of the target; `None` for a next click that the model could not be asked for, whose rank is infinite.
    pub case: Option<&'a RankedCase>,
    /// The ids of the best items, written only by a writer with lists.
    pub list: &'a [String],
}

/// Writes cases: a row each, with the columns `model` (if there are several), `session_id`, `position` (the number of events
/// of the session before the target), `item_id` (the target), `rank_conservative`, `rank_standard`, `rank_median` (from 1; the
/// tie rules of [`TieRule`]; infinite, in text `inf`, for a target that the model does not know), `fell_back` (whether the model
/// knew nothing and ordered the items by popularity) and `list` (the best items, if they are wanted).
pub struct CaseWriter<W: Write + Send> {
    form: Form<W>,
    has_models: bool,
    has_lists: bool,
}

impl<W: Write + Send> std::fmt::Debug for CaseWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CaseWriter")
    }
}

enum Form<W: Write + Send> {
    Csv(Box<csv::Writer<W>>),
    Parquet(Box<Table<W>>),
}

impl<W: Write + Send> CaseWriter<W> {
    /// Creates a writer to `out`, with or without the columns `model` and `list`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, format: CaseFormat, has_models: bool, has_lists: bool) -> io::Result<Self> {
        let form = match format {
            CaseFormat::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                let names = has_models.then_some("model").into_iter().chain(COLUMNS);
                writer.write_record(names.chain(has_lists.then_some("list"))).map_err(csv_error)?;
                Form::Csv(Box::new(writer))
            }
            CaseFormat::Parquet => Form::Parquet(Box::new(Table::new(out, has_models, has_lists)?)),
        };
        Ok(Self { form, has_models, has_lists })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, row: &CaseRow) -> io::Result<()> {
        let ranks = RULES.map(|ties| row.case.map_or(f64::INFINITY, |case| case.rank(ties)));
        let fell_back = row.case.is_some_and(|case| case.fell_back);
        match &mut self.form {
            Form::Csv(writer) => {
                let shown = ranks.map(|rank| rank.to_string());
                let position = row.position.to_string();
                let list = if self.has_lists { serde_json::to_string(row.list)? } else { String::new() };
                let [conservative, standard, median] = &shown;
                let fell_back = if fell_back { "true" } else { "false" };
                let fields =
                    [row.session_id, &position, row.item_id, conservative, standard, median, fell_back];
                let fields = self.has_models.then_some(row.model).into_iter().chain(fields);
                writer.write_record(fields.chain(self.has_lists.then_some(list.as_str()))).map_err(csv_error)
            }
            Form::Parquet(table) => table.push(row, ranks, fell_back),
        }
    }

    /// Writes all buffered rows and ends the file; without this call the file is incomplete.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> io::Result<()> {
        match self.form {
            Form::Csv(mut writer) => writer.flush(),
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
    models: Option<StringBuilder>,
    sessions: StringBuilder,
    positions: UInt32Builder,
    items: StringBuilder,
    ranks: [Float64Builder; 3],
    fell_back: BooleanBuilder,
    lists: Option<ListBuilder<StringBuilder>>,
}

impl<W: Write + Send> Table<W> {
    fn new(out: W, has_models: bool, has_lists: bool) -> io::Result<Self> {
        let types = [
            DataType::Utf8,
            DataType::UInt32,
            DataType::Utf8,
            DataType::Float64,
            DataType::Float64,
            DataType::Float64,
            DataType::Boolean,
        ];
        let mut fields: Vec<Field> = Vec::new();
        fields.extend(has_models.then(|| Field::new("model", DataType::Utf8, false)));
        fields.extend(COLUMNS.into_iter().zip(types).map(|(name, of)| Field::new(name, of, false)));
        let list = DataType::new_list(DataType::Utf8, true);
        fields.extend(has_lists.then(|| Field::new("list", list, false)));
        Ok(Self {
            writer: BatchWriter::new(out, fields, writer_properties())?,
            rows: 0,
            models: has_models.then(StringBuilder::new),
            sessions: StringBuilder::new(),
            positions: UInt32Builder::new(),
            items: StringBuilder::new(),
            ranks: std::array::from_fn(|_| Float64Builder::new()),
            fell_back: BooleanBuilder::new(),
            lists: has_lists.then(|| ListBuilder::new(StringBuilder::new())),
        })
    }

    fn push(&mut self, row: &CaseRow, ranks: [f64; 3], fell_back: bool) -> io::Result<()> {
        if let Some(models) = &mut self.models {
            models.append_value(row.model);
        }
        self.sessions.append_value(row.session_id);
        self.positions.append_value(row.position);
        self.items.append_value(row.item_id);
        self.ranks.iter_mut().zip(ranks).for_each(|(column, rank)| column.append_value(rank));
        self.fell_back.append_value(fell_back);
        if let Some(lists) = &mut self.lists {
            row.list.iter().for_each(|id| lists.values().append_value(id));
            lists.append(true);
        }
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.write_rows() } else { Ok(()) }
    }

    fn write_rows(&mut self) -> io::Result<()> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        columns.extend(self.models.as_mut().map(|models| Arc::new(models.finish()) as ArrayRef));
        columns.push(Arc::new(self.sessions.finish()));
        columns.push(Arc::new(self.positions.finish()));
        columns.push(Arc::new(self.items.finish()));
        columns.extend(self.ranks.iter_mut().map(|ranks| Arc::new(ranks.finish()) as ArrayRef));
        columns.push(Arc::new(self.fell_back.finish()));
        columns.extend(self.lists.as_mut().map(|lists| Arc::new(lists.finish()) as ArrayRef));
        self.rows = 0;
        self.writer.write(columns)
    }
}

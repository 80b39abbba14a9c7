//! How a table of items is read, and how it is shown, for all commands.

use crate::output::{Table, printable, thousands};
use crate::reading::ReadArgs;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use upnext_core::data::items::{Column, ColumnType, ItemTable, ItemTableOptions, RepeatedItem};
use upnext_core::data::{Dataset, ItemVocabulary, Quote};

/// How a table of items is read. The argument that gives the table has the id `items`.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Reading a table of items")]
pub(crate) struct ItemTableArgs {
    /// Read a column as text, number, categories or vector; repeat it for more [default: by inspection]
    #[arg(long, value_name = "COLUMN=TYPE", value_parser = parse_type, requires = "items")]
    item_type: Vec<(String, ColumnType)>,

    /// Character between the categories of a field [default: | or ;, where a column plainly uses it]
    #[arg(long, value_name = "CHARACTER", requires = "items", value_parser = parse_character)]
    list_separator: Option<char>,

    /// Keep the last row of an item that has rows with different values, instead of failing
    #[arg(long, requires = "items")]
    keep_last_item: bool,
}

/// The table of items of a training.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TrainedItemsArgs {
    /// Table of items (titles, prices, categories, vectors), CSV or Parquet, to be saved with the model
    #[arg(id = "items", long = "item-table", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// The table's column of item ids [default: found by its name, as in a log]
    #[arg(long, value_name = "COLUMN", requires = "items")]
    item_table_column: Option<String>,

    #[command(flatten)]
    table: ItemTableArgs,
}

impl TrainedItemsArgs {
    /// Reads the table, if there is one, with fields quoted as those of the log.
    pub(crate) fn read(&self, read: &ReadArgs) -> upnext_core::Result<Option<Arc<ItemTable>>> {
        let Some(file) = &self.file else { return Ok(None) };
        let table = self.table.read(file, self.item_table_column.as_deref(), None, read.options().quote)?;
        Ok(Some(Arc::new(table)))
    }
}

/// The data with the item table, if there is one.
pub(crate) fn described(data: Dataset, table: Option<&Arc<ItemTable>>) -> Dataset {
    match table {
        Some(table) => data.with_item_table(Arc::clone(table)),
        None => data,
    }
}

/// Returns a warning if the item table lacks a tenth of the log's items: its ids may be of another kind.
pub(crate) fn uncovered(table: &ItemTable, items: &ItemVocabulary) -> Option<String> {
    let coverage = table.coverage(items);
    let lacking = coverage.items - coverage.described_items;
    (lacking * 10 > coverage.items).then(|| {
        format!(
            "the item table lacks {} of the log's {} items: is `{}` the column of the same ids?",
            thousands(lacking as u64),
            thousands(coverage.items as u64),
            table.id_name()
        )
    })
}

fn parse_character(text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(format!("must be one character, not `{text}`")),
    }
}

fn parse_type(text: &str) -> Result<(String, ColumnType), String> {
    let (name, of) = text.rsplit_once('=').ok_or("give a column and its type, such as price=number")?;
    Ok((name.to_owned(), of.parse()?))
}

impl ItemTableArgs {
    /// Reads a table, with the names of its column of ids and of its delimiter where they are given, and quoted fields.
    pub(crate) fn read(
        &self,
        path: &Path,
        item_column: Option<&str>,
        delimiter: Option<char>,
        quote: Quote,
    ) -> upnext_core::Result<ItemTable> {
        let mut options = ItemTableOptions::default();
        options.delimiter = delimiter;
        options.quote = quote;
        self.read_by(path, item_column, options)
    }

    /// Reads a table of further items, whose columns have the types of `like`.
    pub(crate) fn read_like(
        &self,
        path: &Path,
        item_column: Option<&str>,
        like: Option<&Arc<ItemTable>>,
    ) -> upnext_core::Result<ItemTable> {
        let options = like.map_or_else(ItemTableOptions::default, |like| ItemTableOptions::like(like));
        self.read_by(path, item_column, options)
    }

    fn read_by(
        &self,
        path: &Path,
        item_column: Option<&str>,
        mut options: ItemTableOptions,
    ) -> upnext_core::Result<ItemTable> {
        options.item_columns = item_column.map(str::to_owned).into_iter().collect();
        options.types = self.item_type.iter().cloned().collect();
        options.list_separator = self.list_separator.or(options.list_separator);
        if self.keep_last_item {
            options.repeated = RepeatedItem::KeepLast;
        }
        ItemTable::read(path, &options)
    }
}

/// A column as `--json` shows it.
#[derive(Serialize)]
pub(crate) struct ColumnShape {
    name: String,
    #[serde(rename = "type")]
    column_type: ColumnType,
    /// Items without a value.
    missing: usize,
    /// Number of different categories.
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<usize>,
    /// Numbers of a vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
}

impl ColumnShape {
    /// The columns of a table.
    pub(crate) fn of(table: &ItemTable) -> Vec<Self> {
        table.columns().iter().map(Self::new).collect()
    }

    fn new(column: &Column) -> Self {
        let column_type = column.column_type();
        let only = |of: ColumnType, count: usize| (column_type == of).then_some(count);
        Self {
            name: column.name().to_owned(),
            column_type,
            missing: column.missing(),
            categories: only(ColumnType::Categories, column.category_names().len()),
            width: only(ColumnType::Vector, column.width()),
        }
    }
}

/// Columns as a table.
pub(crate) fn describe_columns(columns: &[ColumnShape]) -> Table {
    let mut table = Table::new(&["column", "type", "missing", ""]);
    for column in columns {
        let size = match (column.categories, column.width) {
            (Some(count), _) => format!("{} categories", thousands(count as u64)),
            (_, Some(width)) => format!("{width} numbers each"),
            _ => String::new(),
        };
        let name = printable(&column.name);
        table.row(vec![name, column.column_type.to_string(), thousands(column.missing as u64), size]);
    }
    table
}

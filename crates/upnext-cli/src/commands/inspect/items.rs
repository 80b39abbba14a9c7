//! `upnext inspect FILE --items`: describes the columns of an item table.

use super::InspectArgs;
use crate::output::{Table, printable, thousands};
use serde::Serialize;
use std::path::Path;
use upnext_core::items::{Column, ColumnType, ItemTable, ItemTableOptions, RepeatedItem};

/// The arguments for reading an item table.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Reading a table of items")]
pub(super) struct ItemsArgs {
    /// The file is a table of items, CSV or Parquet; --item-column names its column of ids, --delimiter separates its
    /// fields
    #[arg(long)]
    pub(super) items: bool,

    /// Read a column as text, number, categories or vector; repeat it for more [default: by inspection]
    #[arg(long, value_name = "COLUMN=TYPE", value_parser = parse_type, requires = "items")]
    item_type: Vec<(String, ColumnType)>,

    /// Character between the categories of a field [default: | or ;, where a column plainly uses it]
    #[arg(long, value_name = "CHARACTER", requires = "items")]
    list_separator: Option<char>,

    /// Of the rows of an item with different values keep the last, instead of failing
    #[arg(long, requires = "items")]
    keep_last_item: bool,
}

fn parse_type(text: &str) -> Result<(String, ColumnType), String> {
    let (name, of) = text.rsplit_once('=').ok_or("give a column and its type, such as price=number")?;
    Ok((name.to_owned(), of.parse()?))
}

/// The document of `--json`.
#[derive(Serialize)]
struct Shape<'a> {
    path: &'a Path,
    items: usize,
    /// Name of the id column.
    id_column: &'a str,
    repeated_rows: u64,
    memory_bytes: usize,
    columns: Vec<ColumnShape<'a>>,
}

#[derive(Serialize)]
struct ColumnShape<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    column_type: ColumnType,
    /// Number of items without a value.
    missing: usize,
    /// Number of different categories.
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<usize>,
    /// Length of the vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
}

impl<'a> ColumnShape<'a> {
    fn new(column: &'a Column) -> Self {
        let column_type = column.column_type();
        let only = |of: ColumnType, count: usize| (column_type == of).then_some(count);
        Self {
            name: column.name(),
            column_type,
            missing: column.missing(),
            categories: only(ColumnType::Categories, column.category_names().len()),
            width: only(ColumnType::Vector, column.width()),
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let log = args.read.options();
    let mut options = ItemTableOptions::default();
    options.item_columns = log.item_column.into_iter().collect();
    options.types = args.items.item_type.iter().cloned().collect();
    (options.delimiter, options.list_separator) = (log.delimiter, args.items.list_separator);
    if args.items.keep_last_item {
        options.repeated = RepeatedItem::KeepLast;
    }
    let table = ItemTable::read(&args.path, &options)?;
    let shape = Shape {
        path: &args.path,
        items: table.len(),
        id_column: table.id_name(),
        repeated_rows: table.repeated_rows(),
        memory_bytes: table.memory_bytes(),
        columns: table.columns().iter().map(ColumnShape::new).collect(),
    };
    args.output.print(&shape, describe)
}

/// Formats the item table's columns as a table.
fn describe(shape: &Shape) -> String {
    let mut overview = Table::new(&["items", &thousands(shape.items as u64)]);
    overview.row(vec!["column of ids".to_owned(), printable(shape.id_column)]);
    if shape.repeated_rows > 0 {
        overview.row(vec!["rows of an item that had one".to_owned(), thousands(shape.repeated_rows)]);
    }
    overview.row(vec!["bytes in memory".to_owned(), thousands(shape.memory_bytes as u64)]);
    let mut columns = Table::new(&["column", "type", "missing", ""]);
    for column in &shape.columns {
        let size = match (column.categories, column.width) {
            (Some(count), _) => format!("{} categories", thousands(count as u64)),
            (_, Some(width)) => format!("{width} numbers each"),
            _ => String::new(),
        };
        let name = printable(column.name);
        columns.row(vec![name, column.column_type.to_string(), thousands(column.missing as u64), size]);
    }
    format!("{overview}\n{columns}")
}

//! `upnext inspect FILE --items`: describes the columns of an item table.

use super::InspectArgs;
use crate::item_table::{ColumnShape, ItemTableArgs, describe_columns};
use crate::output::{Table, printable, thousands};
use serde::Serialize;
use std::path::Path;

/// The arguments for reading an item table.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Reading a table of items")]
pub(super) struct ItemsArgs {
    /// The file is a table of items, CSV or Parquet; --item-column names its column of ids, --delimiter separates its
    /// fields
    #[arg(long)]
    pub(super) items: bool,

    #[command(flatten)]
    table: ItemTableArgs,
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
    columns: Vec<ColumnShape>,
}

/// Runs the command.
pub(super) fn run(args: &InspectArgs) -> anyhow::Result<()> {
    let log = args.read.options();
    anyhow::ensure!(args.paths.len() == 1, "--items describes one table: give one file");
    let delimiter = log.delimiter.as_deref().map(|text| {
        text.parse().map_err(|_| anyhow::anyhow!("--delimiter {text}: a table of items has one character"))
    });
    let path = args.path();
    let table = args.items.table.read(path, log.item_column.as_deref(), delimiter.transpose()?, log.quote)?;
    let shape = Shape {
        path,
        items: table.len(),
        id_column: table.id_name(),
        repeated_rows: table.repeated_rows(),
        memory_bytes: table.memory_bytes(),
        columns: ColumnShape::of(&table),
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
    format!("{overview}\n{}", describe_columns(&shape.columns))
}

//! `upnext items`: items that come after the training.

use crate::item_table::ItemTableArgs;
use crate::output::{OutputArgs, thousands};
use anyhow::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};
use upnext_core::model::{Model, NewItems};

/// Add items to a saved model.
#[derive(clap::Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct ItemsArgs {
    #[command(subcommand)]
    command: Items,
}

#[derive(clap::Subcommand, Debug)]
enum Items {
    Add(AddArgs),
}

/// Add items that training has not seen, with vectors made of their attributes.
///
/// The model must be a network that was trained with `model.attributes`. The new items can be read in sessions and recommended at
/// once; all others stay as they are, also where the file has them with other attributes. Training from the new model (`--init`)
/// begins with these vectors.
#[derive(clap::Args, Debug)]
struct AddArgs {
    /// The model's folder
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Table of the items, CSV or Parquet, with the columns of the table that the model was trained with
    #[arg(long, value_name = "FILE")]
    items: PathBuf,

    /// Column of item ids in the table, by name or position [default: by name]
    #[arg(long, value_name = "COLUMN")]
    item_column: Option<String>,

    #[command(flatten)]
    table: ItemTableArgs,

    /// Folder for the model with the new items; MODEL itself is replaced in one step
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    output: OutputArgs,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    out: &'a Path,
    /// Number of items that were added.
    added: usize,
    /// Number of items of the table that the model had already.
    known: usize,
    /// Number of items of the model now.
    items: usize,
}

/// Runs the command.
pub(crate) fn run(args: &ItemsArgs) -> anyhow::Result<()> {
    let Items::Add(args) = &args.command;
    let model = Model::load(&args.model)?;
    let table = args.table.read_like(&args.items, args.item_column.as_deref(), model.item_table())?;
    let NewItems { model, added, known, .. } =
        model.with_items(&table).with_context(|| args.items.display().to_string())?;
    model.save(&args.out)?;
    let done = Done { out: &args.out, added, known, items: model.items().len() };
    args.output.print(&done, describe)
}

fn describe(done: &Done) -> String {
    let number = |count: usize| thousands(count as u64);
    let known = match done.known {
        0 => String::new(),
        known => format!("; {} that it had stay as they are", number(known)),
    };
    let (added, items) = (number(done.added), number(done.items));
    format!("{added} items are new{known}: {} has {items} items\n", done.out.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_tells_new_items_from_known_ones() {
        let done = Done { out: Path::new("m2"), added: 1200, known: 3, items: 38_000 };
        assert_eq!(
            describe(&done),
            "1,200 items are new; 3 that it had stay as they are: m2 has 38,000 items\n"
        );
    }
}

//! `upnext similar`: the items that are most similar to an item.

use super::recommend::{ModelDocument, shown};
use crate::numbers::one_or_more;
use crate::output::{OutputArgs, Table, printable};
use crate::restrict::RestrictArgs;
use serde::Serialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use upnext_core::data::items::{ColumnType, ItemTable, ItemTableOptions};
use upnext_core::model::{Model, Similar, SimilarItems};
use upnext_core::recommender::SimilarityMeasure;

/// List the items that are most similar to an item.
///
/// Networks and factor models compare the vectors of items, session neighbours the sessions that contain them, and
/// item-knn, markov, ar and sr list the items of largest weight after this one. pop, s-pop and repeat cannot tell. The item
/// itself is left out; a list is shorter than -k where the model knows of fewer similar items.
#[derive(clap::Args, Debug)]
pub(crate) struct SimilarArgs {
    /// The model's folder
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// The item, by its id; repeat it for a list each
    #[arg(long, value_name = "ID", required = true, allow_negative_numbers = true)]
    item: Vec<String>,

    /// Length of the lists
    #[arg(short, value_name = "K", value_parser = one_or_more::<usize>, default_value_t = 20)]
    k: usize,

    #[command(flatten)]
    restrict: RestrictArgs,

    /// Titles of items to show: a CSV or Parquet file with columns `item_id` and `title` [default: those of the table of
    /// items that the model was trained with]
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Document<'a> {
    model: ModelDocument<'a>,
    /// What the similarities are.
    measure: SimilarityMeasure,
    /// One list per `--item`, in their order.
    lists: Vec<ListDocument<'a>>,
}

/// The list of an item in the JSON document.
#[derive(Serialize)]
struct ListDocument<'a> {
    item_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Cow<'a, str>>,
    similar: Vec<EntryDocument<'a>>,
}

/// A similar item in the JSON document.
#[derive(Serialize)]
struct EntryDocument<'a> {
    rank: usize,
    item_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Cow<'a, str>>,
    similarity: f32,
}

/// Runs the command.
pub(crate) fn run(args: &SimilarArgs) -> anyhow::Result<()> {
    let model = Model::load(&args.model)?;
    let filter = args.restrict.filter(model.items())?;
    let titles = match &args.catalogue {
        Some(path) => Some(Arc::new(read_titles(path)?)),
        None => model.item_table().cloned(),
    };
    let titles = titles.as_deref();
    let find = |id: &String| model.similar_items_filtered(id, args.k, &filter);
    let found = args.item.iter().map(find).collect::<upnext_core::Result<Vec<SimilarItems>>>()?;
    // There is at least one item, and all lists are of one model.
    let Some(measure) = found.first().map(|found| found.measure) else { return Ok(()) };
    let mut lists = Vec::with_capacity(found.len());
    for (item_id, found) in args.item.iter().zip(&found) {
        let title = titles.and_then(|titles| titles.title(item_id));
        lists.push(ListDocument { item_id, title, similar: entries(found, titles) });
    }
    args.output.print(&Document { model: ModelDocument::new(&args.model, &model), measure, lists }, describe)
}

/// Reads a catalogue of titles.
fn read_titles(path: &Path) -> anyhow::Result<ItemTable> {
    let mut options = ItemTableOptions::default();
    // Titles are shown as they stand in the file, also those that look like numbers.
    options.other_types = Some(ColumnType::Text);
    let table = ItemTable::read(path, &options)?;
    if table.title_column().is_none() {
        let wanted = ItemTable::TITLE_COLUMNS.join("` or `");
        anyhow::bail!("{}: no column of titles: none is called `{wanted}`", path.display());
    }
    Ok(table)
}

fn entries<'a>(found: &'a SimilarItems, titles: Option<&'a ItemTable>) -> Vec<EntryDocument<'a>> {
    let entry = |(rank, similar): (usize, &'a Similar)| EntryDocument {
        rank,
        item_id: &similar.id,
        title: titles.and_then(|titles| titles.title(&similar.id)),
        similarity: similar.similarity,
    };
    (1..).zip(&found.items).map(entry).collect()
}

/// Formats each list as a table.
fn describe(document: &Document) -> String {
    let measure = document.measure.description();
    let lists: Vec<String> = document.lists.iter().map(|list| describe_list(list, measure)).collect();
    lists.join("\n")
}

fn describe_list(list: &ListDocument, measure: &str) -> String {
    let title = list.title.as_deref().map(|title| format!(" ({})", printable(title))).unwrap_or_default();
    let mut text = format!("Similar to {}{title}, by the {measure}:\n", printable(list.item_id));
    if list.similar.is_empty() {
        return text + "No item is left to list.\n";
    }
    let has_titles = list.similar.iter().any(|entry| entry.title.is_some());
    let mut headings = vec!["rank", "item", "similarity"];
    if has_titles {
        headings.insert(2, "title");
    }
    let mut table = Table::new(&headings);
    let largest = list.similar.iter().map(|entry| entry.similarity.abs()).fold(0.0, f32::max);
    for entry in &list.similar {
        let mut row =
            vec![entry.rank.to_string(), printable(entry.item_id), shown(entry.similarity, largest)];
        if has_titles {
            row.insert(2, entry.title.as_deref().map(printable).unwrap_or_default());
        }
        table.row(row);
    }
    text.push_str(&table.to_string());
    text
}

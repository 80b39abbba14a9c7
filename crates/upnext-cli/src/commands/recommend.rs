//! `upnext recommend`: recommends next items for one session, or for all sessions of a log.

mod many;

use crate::experiment::ThreadArgs;
use crate::numbers::one_or_more;
use crate::output::{OutputArgs, Table, named, printable, thousands, warn};
use crate::reading::ReadArgs;
use crate::restrict::RestrictArgs;
use clap::ArgGroup;
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use upnext_core::data::{ItemIndex, ItemVocabulary};
use upnext_core::experiment::ModelKind;
use upnext_core::model::Model;
use upnext_core::ranking::{Filter, ListRows, RecommendationList, recommend};

/// Recommend the next items of a session, or of all sessions of a log.
///
/// Items that the model does not know are skipped and reported; a session without a known item gets the most popular
/// items, and the result says so (`fell_back`). Scores can be compared within a list only. A log of sessions needs a
/// time column, which tells the last event.
#[derive(clap::Args, Debug)]
#[command(group(ArgGroup::new("input").required(true).args(["session", "item", "sessions"])))]
pub(crate) struct RecommendArgs {
    /// The model's folder
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Items of the session so far, oldest first, separated by commas; may be empty
    #[arg(long, value_name = "ID,…", allow_negative_numbers = true, conflicts_with_all = ["ReadArgs", "ThreadArgs"])]
    session: Option<String>,

    /// One item of the session so far, for ids with commas; repeat it for more, oldest first
    #[arg(long, value_name = "ID", allow_negative_numbers = true, conflicts_with_all = ["ReadArgs", "ThreadArgs"])]
    item: Vec<String>,

    /// Click log, or a folder that `prepare` made (its test part): recommend for each of its sessions
    #[arg(long, value_name = "FILE")]
    sessions: Option<PathBuf>,

    /// File to write: .csv, .tsv, .parquet or .jsonl; `-` or absent: CSV (or JSON) to stdout
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["session", "item"])]
    out: Option<PathBuf>,

    /// Write one row per session with all its items, separated by spaces in text, instead of one row per item
    #[arg(long, requires = "sessions")]
    one_row: bool,

    /// Length of the lists
    #[arg(short, value_name = "K", value_parser = one_or_more::<usize>, default_value_t = 20)]
    k: usize,

    /// Leave out the items of the session itself
    #[arg(long)]
    exclude_seen: bool,

    #[command(flatten)]
    restrict: RestrictArgs,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

impl RecommendArgs {
    /// What a row of the file is.
    fn rows(&self) -> ListRows {
        if self.one_row { ListRows::Sessions } else { ListRows::Items }
    }
}

/// The model in the JSON document.
#[derive(Clone, Copy, Serialize)]
pub(super) struct ModelDocument<'a> {
    path: &'a Path,
    kind: ModelKind,
}

impl<'a> ModelDocument<'a> {
    pub(super) fn new(path: &'a Path, model: &Model) -> Self {
        Self { path, kind: model.kind() }
    }
}

/// The list of a session in the JSON document.
#[derive(Serialize)]
struct ListDocument<'a> {
    model: ModelDocument<'a>,
    /// Absent for a session given on the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    /// The item ids of the session.
    session: Vec<&'a str>,
    /// Item ids that are unknown to the model, each once.
    unknown_items: Vec<&'a str>,
    fell_back: bool,
    recommendations: Vec<EntryDocument<'a>>,
}

/// A recommended item in the JSON document.
#[derive(Serialize)]
struct EntryDocument<'a> {
    rank: usize,
    item_id: &'a str,
    score: f32,
}

impl<'a> ListDocument<'a> {
    fn new(
        model: ModelDocument<'a>,
        items: &'a ItemVocabulary,
        session_id: Option<&'a str>,
        session: Vec<&'a str>,
        list: &RecommendationList,
    ) -> Self {
        let mut named = HashSet::new();
        let unknown_items =
            session.iter().copied().filter(|id| items.index_of(id).is_none() && named.insert(*id)).collect();
        let entry = |(rank, entry): (usize, &upnext_core::ranking::Recommendation)| EntryDocument {
            rank,
            item_id: items.id(entry.item),
            score: entry.score,
        };
        let recommendations = (1..).zip(&list.entries).map(entry).collect();
        Self { model, session_id, session, unknown_items, fell_back: list.fell_back, recommendations }
    }
}

/// Runs the command.
pub(crate) fn run(args: &RecommendArgs) -> anyhow::Result<()> {
    // Errors in the arguments are reported before the model is loaded.
    let session: Vec<&str> = match &args.session {
        Some(text) => split(text)?,
        None => args.item.iter().map(String::as_str).collect(),
    };
    let sink = args.sessions.as_deref().map(|log| many::Sink::new(args, log)).transpose()?;
    let model = Model::load(&args.model)?;
    let filter = Filter { exclude_seen: args.exclude_seen, ..args.restrict.filter(model.items())? };
    match sink {
        Some(sink) => many::run(args, &sink, &model, &filter),
        None => recommend_to_one(args, &session, &model, &filter),
    }
}

/// Splits the argument of `--session` into ids.
fn split(text: &str) -> upnext_core::Result<Vec<&str>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = text.split(',').map(str::trim).collect();
    if ids.contains(&"") {
        let reason = "has an empty id: separate ids by one comma each, or give them with --item";
        return Err(upnext_core::Error::config("--session", reason));
    }
    Ok(ids)
}

fn recommend_to_one(
    args: &RecommendArgs,
    session: &[&str],
    model: &Model,
    filter: &Filter,
) -> anyhow::Result<()> {
    let items = model.items();
    let known: Vec<ItemIndex> = session.iter().filter_map(|id| items.index_of(id)).collect();
    let lists = recommend(model.recommender(), items, &[&known], args.k, filter)?;
    let list = lists.into_iter().next().unwrap_or_default();
    let document = ListDocument::new(document_of(args, model), items, None, session.to_vec(), &list);
    if !document.unknown_items.is_empty() {
        let skipped = session.len() - known.len();
        warn(&[format!("the model does not know {}: skipped", named(&document.unknown_items, skipped))]);
    }
    args.output.print(&document, describe)
}

fn document_of<'a>(args: &'a RecommendArgs, model: &Model) -> ModelDocument<'a> {
    ModelDocument::new(&args.model, model)
}

/// Formats a list as a table.
fn describe(document: &ListDocument) -> String {
    let mut text = String::new();
    if document.fell_back {
        let why = if document.session.is_empty() { "is empty" } else { "has no item that the model knows" };
        text = format!("The session {why}: these are the most popular items.\n");
    }
    if document.recommendations.is_empty() {
        return text + "No item is left to recommend.\n";
    }
    let mut table = Table::new(&["rank", "item", if document.fell_back { "events" } else { "score" }]);
    let largest = document.recommendations.iter().map(|r| r.score.abs()).fold(0.0, f32::max);
    let counts = document.recommendations.iter().all(|r| r.score.fract() == 0.0 && r.score >= 0.0);
    for entry in &document.recommendations {
        let score = if counts { thousands(entry.score as u64) } else { shown(entry.score, largest) };
        table.row(vec![entry.rank.to_string(), printable(entry.item_id), score]);
    }
    text + &table.to_string()
}

/// Formats a score with as many decimals as give the largest score of the list five digits.
pub(super) fn shown(score: f32, largest: f32) -> String {
    let decimals = (4.0 - largest.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{score:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_split_at_commas_and_empty_ids_are_refused() {
        assert_eq!(split("12, 7,99 ").unwrap(), ["12", "7", "99"]);
        assert!(split("").unwrap().is_empty() && split(" ").unwrap().is_empty());
        for wrong in ["12,", ",", "12,,7"] {
            assert!(split(wrong).unwrap_err().to_string().starts_with("--session: has an empty id"));
        }
    }

    #[test]
    fn scores_have_five_digits() {
        let of = |score, largest| shown(score, largest);
        assert_eq!(of(0.999_991, 0.999_991), "0.99999");
        assert_eq!(of(-1.234_567, 12.3), "-1.235");
        assert_eq!(of(123_456.7, 123_456.7), "123457");
        assert_eq!(of(0.0, 0.0), "0.000000000000");
        assert_eq!(of(1.5e-7, 1.5e-7), "0.00000015000");
    }
}

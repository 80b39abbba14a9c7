//! `upnext evaluate`: evaluates a saved model on a test log.

use crate::cases::{CaseArgs, CaseFile};
use crate::experiment::ThreadArgs;
use crate::next_clicks::{Test, Unknown, sentence};
use crate::output::{OutputArgs, Table, thousands};
use crate::ranking::RankingArgs;
use crate::reading::ReadArgs;
use crate::train_and_rank::rank_test;
use anyhow::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use upnext_core::data::NextClicks;
use upnext_core::data::items::{ItemTable, ItemTableOptions};
use upnext_core::data::part::DroppedSessions;
use upnext_core::evaluation::{Evaluation, EvaluationConfig, MetricsAt, OfTargets};
use upnext_core::experiment::{ModelKind, TieRule};
use upnext_core::model::Model;
use upnext_core::replace::replace_file;

/// Evaluate a saved model: rank the next item of every event of every test session.
///
/// Recall@k is the share of the next items that are among the first k (also called hit rate, HR@k, and in many papers P@k; true
/// precision is Recall@k / k); MRR@k is the mean of 1/rank, 0 behind k; NDCG@k the mean of 1/log2(1 + rank). "last hit" is Recall@k of the
/// last event of each session alone, "repeats" the share of the hits on items that the session had before; --lists adds metrics of lists, which docs/evaluation.md defines. Test events on items that training
/// never saw are dropped, then sessions of fewer than two events, as in the paper; --unknown miss counts such next items as
/// misses, --unknown rank ranks them by their attributes, as candidates from their first event on. Ties count against the model unless told otherwise.
#[derive(clap::Args, Debug)]
pub(crate) struct EvaluateArgs {
    /// The model's folder
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Test log, or a folder that `prepare` made
    #[arg(value_name = "TEST")]
    test: PathBuf,

    #[command(flatten)]
    ranking: RankingArgs,

    /// Form the list of every case, for the metrics of lists: coverage, popularity, Gini index, novelty, diversity, serendipity, precision, MAP
    #[arg(long)]
    lists: bool,

    #[command(flatten)]
    cases: CaseArgs,

    /// With --unknown rank: attributes of the items that training has not seen, CSV or Parquet [default: the table that the model was
    /// trained with]
    #[arg(long, value_name = "FILE")]
    item_table: Option<PathBuf>,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    model: &'a Path,
    kind: ModelKind,
    test: &'a Path,
    items: usize,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    /// The same by what the target is.
    targets: [OfTargets; 3],
    unknown: Unknown,
    /// All next clicks of the test part; absent if those on unknown items were dropped before, without being counted.
    next_clicks: Option<NextClicks>,
    dropped: DroppedSessions,
}

/// Runs the command.
pub(crate) fn run(args: &EvaluateArgs) -> anyhow::Result<()> {
    let threads = args.threads.threads()?;
    let loaded = with_new_items(Model::load(&args.model)?, args)?;
    let options = options(args, &loaded)?;
    let (unknown, quiet, case_file) =
        (args.cases.unknown, args.output.quiet, args.cases.check(&[&args.test, &args.model])?);
    let test = Test::read(&args.test, loaded.items(), &args.read, unknown, quiet, false)?;
    let (model, items, sessions) = (loaded.recommender(), loaded.items(), &test.sessions.sessions);
    let mut evaluation = rank_test(model, items, (&test.sessions, unknown), &options, threads, quiet)?;
    if let Some((path, format)) = case_file {
        replace_file(path, |file| {
            let mut cases = CaseFile::begin(&args.cases, (path, format), file, false, threads)?;
            cases.write(("", &loaded), (&test.sessions, items), &evaluation)?;
            anyhow::Ok(cases.finish()?)
        })?;
    }
    let misses = test.misses(unknown).iter().map(|&misses| u64::from(misses)).sum();
    evaluation = evaluation.counting_misses(misses);
    let targets = evaluation.by_support(sessions, items);
    let done = Done {
        model: &args.model,
        kind: loaded.experiment().model.kind(),
        test: &args.test,
        items: loaded.items().len(),
        evaluation: &evaluation,
        targets,
        unknown,
        next_clicks: test.next_clicks,
        dropped: test.sessions.dropped,
    };
    args.output.print(&done, describe)
}

/// The model with the items of the table, if unknown items are ranked.
fn with_new_items(loaded: Model, args: &EvaluateArgs) -> anyhow::Result<Model> {
    if args.cases.unknown != Unknown::Rank {
        anyhow::ensure!(args.item_table.is_none(), "--item-table is read with `--unknown rank` only");
        return Ok(loaded);
    }
    let own = loaded.item_table().cloned();
    let table = match &args.item_table {
        Some(path) => {
            let options = own.as_deref().map_or_else(ItemTableOptions::default, ItemTableOptions::like);
            Arc::new(ItemTable::read(path, &options)?)
        }
        None => own.context("the model has no table of items: name one (--item-table FILE)")?,
    };
    Ok(loaded.with_items(&table).context("items that training has not seen cannot be ranked")?.model)
}

/// The evaluation settings of the model's experiment, overridden by the arguments.
fn options(args: &EvaluateArgs, loaded: &Model) -> anyhow::Result<EvaluationConfig> {
    let mut options = loaded.experiment().evaluation.clone();
    options.lists |= args.lists;
    Ok(args.ranking.over(options)?)
}

fn describe(done: &Done) -> String {
    let Evaluation { cases, sessions, candidates, seconds, misses, .. } = done.evaluation;
    let on = match misses {
        0 => format!("{} cases", thousands(*cases as u64)),
        misses => format!(
            "{} next clicks ({} ranked, {} misses)",
            thousands(*cases as u64 + misses),
            thousands(*cases as u64),
            thousands(*misses)
        ),
    };
    let mut text = format!(
        "{} on {on} of {} sessions, {} candidates, {} ties, {seconds:.1} s\n",
        done.kind,
        thousands(*sessions as u64),
        thousands(*candidates as u64),
        shown_ties(done.evaluation.ties),
    );
    let ranks_new = done.unknown == Unknown::Rank;
    let [_, _, new] = &done.targets;
    text.push_str(&match done.next_clicks {
        Some(clicks) if ranks_new => format!(
            "of {} next clicks {} are on items that training has not seen: {} of them are ranked by their attributes\n",
            thousands(clicks.total),
            thousands(clicks.unknown),
            thousands(new.cases as u64)
        ),
        clicks => sentence(clicks, *cases as u64, done.evaluation.misses),
    });
    if done.dropped != DroppedSessions::default() {
        text.push_str(&format!(
            "left out: {} events on items that {}, then {} sessions of fewer than two events\n",
            thousands(done.dropped.unknown_events),
            if ranks_new { "neither training nor the table has" } else { "training never saw" },
            thousands(done.dropped.short_sessions)
        ));
    }
    text = format!("{text}\n{}", metrics_tables(done.evaluation));
    if ranks_new {
        text = format!("{text}\n{}", targets_table(&done.targets));
    }
    text
}

/// The metrics at the largest cut-off by what the target is.
fn targets_table(targets: &[OfTargets]) -> String {
    let k = targets.first().and_then(|of| of.metrics.last()).map_or(0, |at| at.k);
    let mut table = Table::new(&["targets", "cases", &format!("recall@{k}"), &format!("mrr@{k}")]);
    for OfTargets { of, cases, metrics, .. } in targets {
        let cell = |of: fn(&MetricsAt) -> f64| match metrics.last() {
            Some(at) if *cases > 0 => format!("{:.4}", of(at)),
            _ => "–".to_owned(),
        };
        let row = vec![(*of).to_owned(), thousands(*cases as u64), cell(|at| at.recall), cell(|at| at.mrr)];
        table.row(row);
    }
    table.to_string()
}

/// The name of a tie rule.
pub(crate) fn shown_ties(ties: TieRule) -> String {
    serde_json::to_value(ties).ok().and_then(|ties| ties.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The metrics by cut-off: those of ranks and hits, and of lists, if lists were formed.
pub(crate) fn metrics_tables(evaluation: &Evaluation) -> String {
    let table = |columns: &Vec<(&str, MetricOf)>| {
        let headings: Vec<&str> = std::iter::once("k").chain(columns.iter().map(|column| column.0)).collect();
        let mut table = Table::new(&headings);
        for at in &evaluation.metrics {
            let cells = columns.iter().map(|(_, of)| of(at).map_or("–".to_owned(), |x| format!("{x:.4}")));
            table.row(std::iter::once(at.k.to_string()).chain(cells).collect());
        }
        table.to_string()
    };
    metric_columns(evaluation).iter().map(table).collect::<Vec<_>>().join("\n")
}

/// The columns of the tables of metrics, which do not fit into one: those of ranks and hits, and those of lists, if lists were
/// formed.
pub(crate) fn metric_columns(evaluation: &Evaluation) -> Vec<Vec<(&'static str, MetricOf)>> {
    let metrics = &evaluation.metrics;
    let mut first: Vec<(&str, MetricOf)> = vec![
        ("recall", |at| Some(at.recall)),
        ("mrr", |at| Some(at.mrr)),
        ("ndcg", |at| Some(at.ndcg)),
        ("last hit", |at| at.last_hit),
        ("repeats", |at| at.repeats),
    ];
    if !metrics.iter().any(|at| at.coverage.is_some()) {
        return vec![first];
    }
    first.extend([("coverage", (|at| at.coverage) as MetricOf), ("popularity", |at| at.popularity)]);
    let of_lists = OF_LISTS.into_iter().filter(|(_, of)| metrics.iter().any(|at| of(at).is_some())).collect();
    vec![first, of_lists]
}

/// A metric at a cut-off, if it was computed.
pub(crate) type MetricOf = fn(&MetricsAt) -> Option<f64>;

/// The metrics of lists besides coverage and popularity, with their names in tables.
pub(crate) const OF_LISTS: [(&str, MetricOf); 6] = [
    ("precision", |at| at.precision),
    ("map", |at| at.map),
    ("gini", |at| at.gini),
    ("novelty", |at| at.novelty),
    ("diversity", |at| at.diversity),
    ("serendipity", |at| at.serendipity),
];

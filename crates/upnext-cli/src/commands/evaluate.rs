//! `upnext evaluate`: evaluates a saved model on a test log.

use crate::experiment::ThreadArgs;
use crate::output::{OutputArgs, Table, thousands, warn};
use crate::ranking::RankingArgs;
use crate::reading::ReadArgs;
use crate::train_and_rank::rank;
use serde::Serialize;
use std::path::{Path, PathBuf};
use upnext_core::data::TestSessions;
use upnext_core::data::folder::{PartName, PreparedFolder};
use upnext_core::data::part::DroppedSessions;
use upnext_core::evaluation::{Evaluation, EvaluationConfig};
use upnext_core::experiment::{ModelKind, TieRule};
use upnext_core::model::Model;

/// Evaluate a saved model: rank the next item of every event of every test session.
///
/// Test events on items that training never saw are dropped, then sessions of fewer than two events, as in the paper.
/// Ties count against the model unless told otherwise.
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

    /// Form the list of every case, for coverage and average popularity
    #[arg(long)]
    lists: bool,

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
    dropped: DroppedSessions,
}

/// Runs the command.
pub(crate) fn run(args: &EvaluateArgs) -> anyhow::Result<()> {
    let threads = args.threads.threads()?;
    let loaded = Model::load(&args.model)?;
    let options = options(args, &loaded)?;
    let log = args.read.read(&[PreparedFolder::resolve(&args.test, PartName::Test)?], args.output.quiet)?;
    warn(&log.report().warnings);
    let test = TestSessions::from_log(log, loaded.items())?;
    let (model, quiet) = (loaded.recommender(), args.output.quiet);
    let evaluation = rank(model, loaded.items(), &test.sessions, &options, threads, quiet)?;
    let done = Done {
        model: &args.model,
        kind: loaded.experiment().model.kind(),
        test: &args.test,
        items: loaded.items().len(),
        evaluation: &evaluation,
        dropped: test.dropped,
    };
    args.output.print(&done, describe)
}

/// The evaluation settings of the model's experiment, overridden by the arguments.
fn options(args: &EvaluateArgs, loaded: &Model) -> anyhow::Result<EvaluationConfig> {
    let mut options = loaded.experiment().evaluation.clone();
    options.lists |= args.lists;
    Ok(args.ranking.over(options)?)
}

fn describe(done: &Done) -> String {
    let Evaluation { cases, sessions, candidates, seconds, .. } = done.evaluation;
    let mut text = format!(
        "{} on {} cases of {} sessions, {} candidates, {} ties, {seconds:.1} s\n",
        done.kind,
        thousands(*cases as u64),
        thousands(*sessions as u64),
        thousands(*candidates as u64),
        shown_ties(done.evaluation.ties),
    );
    if done.dropped != DroppedSessions::default() {
        text.push_str(&format!(
            "left out: {} events on items that training never saw, then {} sessions of fewer than two events\n",
            thousands(done.dropped.unknown_events),
            thousands(done.dropped.short_sessions)
        ));
    }
    format!("{text}\n{}", metrics_table(done.evaluation))
}

/// The name of a tie rule.
pub(crate) fn shown_ties(ties: TieRule) -> String {
    serde_json::to_value(ties).ok().and_then(|ties| ties.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The metrics by cut-off.
pub(crate) fn metrics_table(evaluation: &Evaluation) -> Table {
    let lists = evaluation.metrics.iter().any(|at| at.coverage.is_some());
    let mut headings = vec!["k", "recall", "mrr", "ndcg"];
    if lists {
        headings.extend(["coverage", "popularity"]);
    }
    let mut table = Table::new(&headings);
    for at in &evaluation.metrics {
        let mut row = vec![at.k.to_string()];
        row.extend([at.recall, at.mrr, at.ndcg].map(|x| format!("{x:.4}")));
        row.extend([at.coverage, at.popularity].into_iter().flatten().map(|x| format!("{x:.4}")));
        table.row(row);
    }
    table
}

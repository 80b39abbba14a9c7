//! The outcome of a comparison, for `--json`, the report and the text output.

use crate::commands::evaluate::{MetricOf, OF_LISTS};
use crate::next_clicks::sentence;
use crate::output::{Table, seconds, thousands};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use upnext_core::artifact::EpochSummary;
use upnext_core::comparison::{Comparison, Interval, Metric};
use upnext_core::data::part::DroppedSessions;
use upnext_core::data::{LogShape, NextClicks};
use upnext_core::evaluation::{EvaluationConfig, MetricsAt, OfTargets, Unranked};
use upnext_core::experiment::{Experiment, ModelKind};
use upnext_core::history::Selection;

/// The outcome of a comparison.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) version: &'static str,
    pub(super) command: String,
    pub(super) threads: usize,
    pub(super) data: DataReport,
    /// The evaluation settings of all models.
    pub(super) evaluation: EvaluationConfig,
    /// The models, in the order of the arguments.
    pub(super) models: Vec<Row>,
    pub(super) failed: Vec<Failed>,
    /// Intervals and differences; its models are those of `models`, in the same order.
    pub(super) comparison: Comparison,
    pub(super) examples: Vec<Example>,
    /// Titles of the examples' items, by id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) titles: BTreeMap<String, String>,
}

/// The logs, and the parts of them that were used.
#[derive(Serialize)]
pub(super) struct DataReport {
    pub(super) train: LogReport,
    pub(super) test: LogReport,
    pub(super) items: usize,
    pub(super) cases: usize,
    /// All next clicks of the test part; absent if those on unknown items were dropped before, without being counted.
    pub(super) next_clicks: Option<NextClicks>,
    /// Next clicks that count as misses of every model.
    pub(super) misses: u64,
    pub(super) candidates: usize,
}

#[derive(Serialize)]
pub(super) struct LogReport {
    pub(super) path: PathBuf,
    pub(super) shape: LogShape,
    /// Events and sessions that were left out.
    pub(super) dropped: DroppedSessions,
    /// Number of events that were used.
    pub(super) events: usize,
    pub(super) sessions: usize,
}

/// A model and its figures.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: ModelKind,
    /// The commands that compute the same figures.
    pub(super) commands: Vec<String>,
    /// The complete experiment.
    pub(super) experiment: Experiment,
    /// Absent for a saved model that has no record of it.
    pub(super) training_seconds: Option<f64>,
    pub(super) prediction_seconds: f64,
    /// Median milliseconds of one core for the list of one session; absent if none was timed.
    pub(super) request_ms: Option<f64>,
    /// Size of the model's files in bytes, without a training state.
    pub(super) model_bytes: u64,
    pub(super) epochs: Vec<EpochSummary>,
    /// The validated epochs that chose the number of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) selection: Option<Selection>,
    /// Number of the model's items.
    pub(super) items: usize,
    /// The cases that a model with other items could not rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unranked: Option<Unranked>,
    /// The metrics by what the target is, if unknown items are ranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) targets: Option<[OfTargets; 3]>,
    pub(super) metrics: Vec<MetricsAt>,
}

impl Row {
    /// The epochs that were validated, if any were: those that chose the number of epochs, or all.
    pub(super) fn validated_epochs(&self) -> &[EpochSummary] {
        self.selection.as_ref().map_or(&self.epochs, |selection| &selection.epochs)
    }
}

/// A model that could not be trained or evaluated.
#[derive(Serialize)]
pub(super) struct Failed {
    pub(super) name: String,
    pub(super) reason: String,
}

/// A test session, and the lists of all models before its last event.
#[derive(Serialize)]
pub(super) struct Example {
    /// Item ids of all events but the last.
    pub(super) seen: Vec<String>,
    /// Item id of the last event.
    pub(super) next: String,
    /// Lists of item ids, one per model.
    pub(super) lists: Vec<Vec<String>>,
}

impl Outcome {
    /// The largest cut-off k, which the summary is for.
    pub(super) fn cutoff(&self) -> usize {
        self.evaluation.cutoffs.last().copied().unwrap_or_default()
    }

    /// Indices of the models by descending MRR at the largest cut-off.
    pub(super) fn by_mrr(&self) -> Vec<usize> {
        let mrr = |i: usize| self.models[i].metrics.last().map_or(0.0, |at| at.mrr);
        let mut order: Vec<usize> = (0..self.models.len()).collect();
        order.sort_by(|&a, &b| mrr(b).total_cmp(&mrr(a)));
        order
    }

    /// The confidence interval of a model's metric at k.
    pub(super) fn interval(&self, model: usize, metric: Metric, k: usize) -> Option<Interval> {
        let figures = self.comparison.models.get(model)?;
        figures.iter().find(|at| at.metric == metric && at.k == k)?.estimate.interval
    }
}

/// What a reader has to know of single models before their figures, a sentence each.
pub(super) fn remarks(outcome: &Outcome) -> Vec<String> {
    let mut remarks = Vec::new();
    for row in &outcome.models {
        if let Some(selection) = &row.selection {
            remarks.push(format!(
                "{}: {} epochs, the best of {} by validation",
                row.name,
                selection.best_epoch,
                selection.epochs.len()
            ));
        }
        if let Some(unranked) = row.unranked.filter(|unranked| unranked.cases > 0) {
            let why = match row.targets {
                Some(_) => "does not get the new items",
                None => "knows other items than the training log",
            };
            remarks.push(format!(
                "{}: {} cases are misses, since it {why} ({} targets that it does not know, and {} after nothing that it knows); it ranks among its own {}",
                row.name,
                thousands(unranked.cases as u64),
                thousands(unranked.unknown_targets as u64),
                thousands(unranked.unknown_histories as u64),
                thousands(row.items as u64)
            ));
        }
    }
    remarks
}

/// Formats the outcome as text.
pub(super) fn describe(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let data = &outcome.data;
    let ranked = if data.misses > 0 { "ranked next clicks" } else { "cases" };
    let mut text = format!(
        "trained on {} events of {} sessions on {} items; {} {ranked} of {} sessions, {} candidates\n\n",
        thousands(data.train.events as u64),
        thousands(data.train.sessions as u64),
        thousands(data.items as u64),
        thousands(data.cases as u64),
        thousands(data.test.sessions as u64),
        thousands(data.candidates as u64),
    );
    text.insert_str(text.len() - 1, &sentence(data.next_clicks, data.cases as u64, data.misses));
    for remark in remarks(outcome) {
        text.insert_str(text.len() - 1, &format!("{remark}\n"));
    }
    let order = outcome.by_mrr();
    for &k in outcome.evaluation.cutoffs.iter().rev() {
        let names = [format!("recall@{k}"), format!("mrr@{k}"), format!("ndcg@{k}")];
        let mut headings =
            vec!["model", &names[0], "95 %", &names[1], "95 %", &names[2], "coverage", "popularity"];
        let last = k == outcome.cutoff();
        if last {
            headings.extend(["train s", "predict s"]);
        }
        let mut table = Table::new(&headings);
        for &i in &order {
            let row = &outcome.models[i];
            let Some(at) = row.metrics.iter().find(|at| at.k == k) else { continue };
            let range = |metric| {
                outcome
                    .interval(i, metric, k)
                    .map_or(String::new(), |x| format!("{:.4}–{:.4}", x.low, x.high))
            };
            let share = |x: Option<f64>| x.map_or(String::new(), |x| format!("{x:.4}"));
            let mut cells = vec![
                row.name.clone(),
                format!("{:.4}", at.recall),
                range(Metric::Recall),
                format!("{:.4}", at.mrr),
                range(Metric::Mrr),
                format!("{:.4}", at.ndcg),
                share(at.coverage),
                share(at.popularity),
            ];
            if last {
                cells.push(row.training_seconds.map_or("–".to_owned(), seconds));
                cells.push(seconds(row.prediction_seconds));
            }
            table.row(cells);
        }
        text.push_str(&format!("{table}\n"));
    }
    text.push_str(
        &by_targets(outcome, &order, k)
            .map_or_else(String::new, |table| format!("by target, at {k}\n{table}\n")),
    );
    text.push_str(&format!("beyond accuracy, at {k}\n{}\n", beyond_accuracy(outcome, &order, k)));
    let names: Vec<&str> = outcome.models.iter().map(|model| model.name.as_str()).collect();
    for metric in [Metric::Recall, Metric::Mrr] {
        text.push_str(&not_apart((&names, &outcome.comparison), &order, metric, k));
    }
    for failed in &outcome.failed {
        text.push_str(&format!("{} failed: {}\n", failed.name, failed.reason));
    }
    text
}

/// The table of Recall and MRR at a cut-off by what the target is, if unknown items are ranked.
fn by_targets(outcome: &Outcome, order: &[usize], k: usize) -> Option<Table> {
    let of_first = outcome.models.first()?.targets.as_ref()?;
    let heading = |of: &OfTargets| format!("{} ({})", of.of, thousands(of.cases as u64));
    let headings = of_first.iter().flat_map(|of| [format!("{}: recall", heading(of)), "mrr".to_owned()]);
    let headings: Vec<String> = std::iter::once("model".to_owned()).chain(headings).collect();
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    for &i in order {
        let row = &outcome.models[i];
        let of = row.targets.iter().flatten();
        let cells = of.flat_map(|of| {
            let at = of.metrics.iter().find(|at| at.k == k);
            [at.map(|at| at.recall), at.map(|at| at.mrr)]
                .map(|x| x.map_or("–".to_owned(), |x| format!("{x:.4}")))
        });
        table.row(std::iter::once(row.name.clone()).chain(cells).collect());
    }
    Some(table)
}

/// The metrics besides accuracy, coverage and popularity, with their names in tables.
pub(super) fn beyond() -> impl Iterator<Item = (&'static str, MetricOf)> {
    let of_hits: [(&str, MetricOf); 2] = [("last hit", |at| at.last_hit), ("repeats", |at| at.repeats)];
    of_hits.into_iter().chain(OF_LISTS)
}

/// The table of the metrics besides accuracy at a cut-off.
fn beyond_accuracy(outcome: &Outcome, order: &[usize], k: usize) -> Table {
    let headings: Vec<&str> = std::iter::once("model").chain(beyond().map(|metric| metric.0)).collect();
    let mut table = Table::new(&headings);
    for &i in order {
        let row = &outcome.models[i];
        let Some(at) = row.metrics.iter().find(|at| at.k == k) else { continue };
        let cells = beyond().map(|(_, of)| of(at).map_or("–".to_owned(), |x| format!("{x:.4}")));
        table.row(std::iter::once(row.name.clone()).chain(cells).collect());
    }
    table
}

/// Describes which pairs of models, given by their names and their comparison, have no significant difference.
pub(super) fn not_apart(
    (names, comparison): (&[&str], &Comparison),
    order: &[usize],
    metric: Metric,
    k: usize,
) -> String {
    let mut pairs = Vec::new();
    for (place, &a) in order.iter().enumerate() {
        for &b in &order[place + 1..] {
            let interval = comparison.difference(a, b, metric, k).and_then(|d| d.interval);
            if interval.is_some_and(|interval| interval.contains(0.0)) {
                pairs.push(format!("{} and {}", names[a], names[b]));
            }
        }
    }
    let name = metric.name();
    match (order.len(), pairs.is_empty()) {
        (0 | 1, _) => String::new(),
        (_, true) => format!("{name}@{k}: every difference is significant (95 % interval, paired)\n"),
        (_, false) => {
            format!("{name}@{k}: no significant difference (95 %, paired) between {}\n", pairs.join(", "))
        }
    }
}

//! The outcome of a comparison over windows, for `--json`, the report and the text output.

use super::super::outcome::{Failed, not_apart};
use crate::output::{Table, thousands};
use serde::Serialize;
use std::path::PathBuf;
use upnext_core::comparison::{Comparison, Interval, Metric, WindowCut};
use upnext_core::data::DroppedSessions;
use upnext_core::evaluation::{EvaluationConfig, MetricsAt};
use upnext_core::experiment::{Experiment, ModelKind};

/// The outcome of a comparison over windows.
#[derive(Serialize)]
pub(in super::super) struct WindowsOutcome {
    pub(super) version: &'static str,
    pub(in super::super) command: String,
    pub(super) threads: usize,
    /// The training log.
    pub(in super::super) train: PathBuf,
    /// The evaluation settings of all models.
    pub(in super::super) evaluation: EvaluationConfig,
    /// How the windows were cut.
    pub(in super::super) cut: WindowCut,
    /// The windows, the oldest first.
    pub(in super::super) windows: Vec<WindowReport>,
    /// The models, in the order of the arguments.
    pub(in super::super) models: Vec<WindowsRow>,
    pub(in super::super) failed: Vec<Failed>,
    /// The means over the windows with their intervals, and differences; its models are those of `models`, in the same order.
    pub(in super::super) comparison: Comparison,
}

/// A window.
#[derive(Serialize)]
pub(in super::super) struct WindowReport {
    /// The start of its first session; absent where the times are a counter.
    pub(super) first_start: Option<String>,
    /// The start of its last session; absent where the times are a counter.
    pub(super) last_start: Option<String>,
    /// Number of sessions before it, which models are fitted on.
    pub(super) fit_sessions: usize,
    /// Number of events of these sessions.
    pub(super) fit_events: usize,
    /// Number of items of these sessions.
    pub(super) items: usize,
    /// Number of sessions that models are judged on.
    pub(super) sessions: usize,
    /// Number of cases of these sessions.
    pub(super) cases: usize,
    /// What was left out of the window.
    pub(super) dropped: DroppedSessions,
}

/// A model and its figures.
#[derive(Serialize)]
pub(in super::super) struct WindowsRow {
    pub(in super::super) name: String,
    pub(super) kind: ModelKind,
    /// The experiment, of which every window trains a model.
    pub(super) experiment: Experiment,
    /// Of all windows.
    pub(super) training_seconds: f64,
    /// Of all windows.
    pub(super) prediction_seconds: f64,
    /// The means over the windows, by cut-off; a metric that a window lacks is absent.
    pub(in super::super) mean: Vec<MetricsAt>,
    /// The metrics in each window, by cut-off.
    pub(in super::super) windows: Vec<Vec<MetricsAt>>,
}

impl WindowsOutcome {
    /// The largest cut-off.
    pub(in super::super) fn cutoff(&self) -> usize {
        self.evaluation.cutoffs.last().copied().unwrap_or_default()
    }

    /// Indices of the models by descending mean MRR at the largest cut-off.
    pub(in super::super) fn by_mrr(&self) -> Vec<usize> {
        let mrr = |m: usize| self.models[m].mean.last().map_or(0.0, |at| at.mrr);
        let mut order: Vec<usize> = (0..self.models.len()).collect();
        order.sort_by(|&a, &b| mrr(b).total_cmp(&mrr(a)));
        order
    }

    /// The interval of a model's mean metric at k.
    pub(in super::super) fn interval(&self, model: usize, metric: Metric, k: usize) -> Option<Interval> {
        let figures = self.comparison.models.get(model)?;
        figures.iter().find(|at| at.metric == metric && at.k == k)?.estimate.interval
    }

    /// A sentence about how the windows were cut.
    pub(in super::super) fn cut_sentence(&self) -> String {
        let count = self.windows.len();
        match self.cut {
            WindowCut::Days if count == 1 => {
                "the window is the last day of the training part, by the starts of sessions".to_owned()
            }
            WindowCut::Days => {
                format!(
                    "the windows are the last {count} days of the training part, by the starts of sessions"
                )
            }
            _ => format!(
                "the windows are equal shares of the training part’s sessions: the newest {count} of {} parts, since the times are no real ones, too short for {count} days and one before them, or a day has nothing to judge",
                count + 1
            ),
        }
    }
}

/// The facts of the windows: their headings, and a row each.
pub(in super::super) fn facts(outcome: &WindowsOutcome) -> (Vec<String>, Vec<Vec<String>>) {
    let has_times = outcome.windows.iter().any(|window| window.first_start.is_some());
    let mut headings = vec!["window"];
    if has_times {
        headings.extend(["sessions from", "to"]);
    }
    headings.extend(["fitted sessions", "fitted items", "judged sessions", "cases"]);
    let row = |(number, window): (usize, &WindowReport)| {
        let minute =
            |time: &Option<String>| time.as_deref().and_then(|time| time.get(..16)).unwrap_or("–").to_owned();
        let mut row = vec![(number + 1).to_string()];
        if has_times {
            row.extend([minute(&window.first_start), minute(&window.last_start)]);
        }
        let counts = [window.fit_sessions, window.items, window.sessions, window.cases];
        row.extend(counts.map(|count| thousands(count as u64)));
        row
    };
    let rows = outcome.windows.iter().enumerate().map(row).collect();
    (headings.into_iter().map(str::to_owned).collect(), rows)
}

/// Formats the outcome as text.
pub(super) fn describe(outcome: &WindowsOutcome) -> String {
    let table = |(headings, rows): (Vec<String>, Vec<Vec<String>>)| {
        let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
        rows.into_iter().for_each(|row| table.row(row));
        table
    };
    let mut text = format!(
        "{} without its test part: {}\n\n{}\n",
        outcome.train.display(),
        outcome.cut_sentence(),
        table(facts(outcome))
    );
    let order = outcome.by_mrr();
    text.push_str("means over the windows\n");
    for &k in outcome.evaluation.cutoffs.iter().rev() {
        let of_metric = |metric: &Metric| [format!("{}@{k}", metric.name()), "95 %".to_owned()];
        let headings =
            std::iter::once("model".to_owned()).chain(Metric::ALL.iter().flat_map(of_metric)).collect();
        let row = |&m: &usize| {
            let mut row = vec![outcome.models[m].name.clone()];
            let at = outcome.models[m].mean.iter().find(|at| at.k == k);
            for metric in Metric::ALL {
                row.push(at.map_or(String::new(), |at| format!("{:.4}", value(at, metric))));
                let interval = outcome.interval(m, metric, k);
                row.push(interval.map_or(String::new(), |x| format!("{:.4}–{:.4}", x.low, x.high)));
            }
            row
        };
        text.push_str(&format!("{}\n", table((headings, order.iter().map(row).collect()))));
    }
    let k = outcome.cutoff();
    for metric in [Metric::Mrr, Metric::Recall] {
        text.push_str(&format!(
            "{}@{k} by window\n{}\n",
            metric.name(),
            table(by_window(outcome, metric, &|x| format!("{x:.4}")))
        ));
    }
    let names: Vec<&str> = outcome.models.iter().map(|model| model.name.as_str()).collect();
    for metric in [Metric::Recall, Metric::Mrr] {
        text.push_str(&not_apart((&names, &outcome.comparison), &order, metric, k));
    }
    for failed in &outcome.failed {
        text.push_str(&format!("{} failed: {}\n", failed.name, failed.reason));
    }
    text
}

/// A metric of a single rank.
pub(in super::super) fn value(at: &MetricsAt, metric: Metric) -> f64 {
    match metric {
        Metric::Recall => at.recall,
        Metric::Mrr => at.mrr,
        Metric::Ndcg => at.ndcg,
    }
}

/// The table of a metric at the largest cut-off in each window: its headings, and a row for each model.
pub(in super::super) fn by_window(
    outcome: &WindowsOutcome,
    metric: Metric,
    written: &dyn Fn(f64) -> String,
) -> (Vec<String>, Vec<Vec<String>>) {
    let names = (1..=outcome.windows.len()).map(|window| window.to_string());
    let headings = std::iter::once("model".to_owned()).chain(names).collect();
    let row = |m: usize| {
        let model = &outcome.models[m];
        let of_windows = model
            .windows
            .iter()
            .map(|window| window.last().map_or(String::new(), |at| written(value(at, metric))));
        std::iter::once(model.name.clone()).chain(of_windows).collect()
    };
    (headings, outcome.by_mrr().into_iter().map(row).collect())
}

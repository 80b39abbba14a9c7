//! The result of a run: its document, and what the terminal shows.

use super::live::{shape, span};
use crate::output::{Table, printable};
use crate::page::percent;
use crate::serving::{model_bytes, request_times};
use serde::Serialize;
use std::path::Path;
use upnext_core::Model;
use upnext_core::auto::{AutoReport, CUTOFF, CandidateReport};
use upnext_core::data::Dataset;
use upnext_core::evaluation::Evaluation;

/// The document of `--json`.
#[derive(Serialize)]
pub(super) struct Outcome<'a> {
    pub(super) train: &'a Path,
    pub(super) out: &'a Path,
    #[serde(flatten)]
    pub(super) report: AutoReport,
    pub(super) served: Served,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test: Option<TestResult>,
    pub(super) threads: usize,
}

/// The figures of the saved model on the test part.
#[derive(Serialize)]
pub(super) struct TestResult {
    pub(super) evaluation: Evaluation,
    pub(super) seconds: f64,
}

/// What the saved model costs to serve.
#[derive(Serialize)]
pub(super) struct Served {
    pub(super) bytes: u64,
    /// Milliseconds of one core for a list of 20, one session at a time: the one in the middle, and the 99th of 100.
    pub(super) median_ms: f64,
    pub(super) p99_ms: f64,
}

impl Served {
    /// Recommends for some sessions of the data, one by one.
    pub(super) fn measure(model: &Model, data: &Dataset, out: &Path) -> anyhow::Result<Self> {
        let times = request_times(model, (&data.sessions, &data.items), CUTOFF)?;
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0.0);
        Ok(Self { bytes: model_bytes(out)?, median_ms: at(0.5), p99_ms: at(0.99) })
    }
}

impl Outcome<'_> {
    pub(super) fn winner(&self) -> &CandidateReport {
        &self.report.candidates[self.report.winner]
    }

    /// The best of the models alone, with the interval of its objective minus that of the winner.
    pub(super) fn best_alone(&self) -> Option<&CandidateReport> {
        self.report.candidates.iter().find(|candidate| candidate.members.len() == 1)
    }
}

/// The name of a candidate.
pub(super) fn name(candidate: &CandidateReport) -> String {
    candidate.members.join(" + ")
}

/// An interval in percentage points.
pub(super) fn interval(candidate: &CandidateReport) -> String {
    candidate.behind.map_or_else(String::new, |i| format!("{:+.2} to {:+.2}", i.low * 100.0, i.high * 100.0))
}

/// Number of candidates that the terminal shows.
const SHOWN: usize = 8;

pub(super) fn describe(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let mut text = format!("{}\n\n", shape(&report.character));
    let mut table = Table::new(&[
        "model",
        "recall@20",
        "mrr@20",
        &format!("{} minus the saved one’s, %", report.objective),
    ]);
    for (at, candidate) in report.candidates.iter().enumerate().take(SHOWN.max(report.winner + 1)) {
        let mark = if at == report.winner { " (saved)" } else { "" };
        table.row(vec![
            format!("{}{mark}", printable(&name(candidate))),
            format!("{:.4}", candidate.figures.recall),
            format!("{:.4}", candidate.figures.mrr),
            interval(candidate),
        ]);
    }
    text.push_str(&format!("{table}\n"));
    if outcome.winner().refined {
        text.push_str(&format!("the weights of the saved blend are refined by {}\n", report.objective));
    }
    if let Some(test) = &outcome.test
        && let Some(at) = test.evaluation.metrics.iter().find(|at| at.k == 20)
    {
        text.push_str(&format!(
            "on the test part, {} cases: recall@20 {:.4}, mrr@20 {:.4}\n",
            test.evaluation.cases, at.recall, at.mrr
        ));
    }
    for skipped in &report.skipped {
        let needs = span(skipped.seconds);
        text.push_str(&format!("{} was left out: it needs {needs} more (--budget)\n", skipped.name));
    }
    let served = &outcome.served;
    text.push_str(&format!(
        "{} of {}; the model has {} MB and answers in {:.2} ms (p99 {:.2} ms) on one core\nmodel in {}\n",
        span(report.seconds),
        span(report.budget_seconds),
        served.bytes.div_ceil(1_000_000),
        served.median_ms,
        served.p99_ms,
        outcome.out.display()
    ));
    if report.candidates.len() > 1
        && let Some(alone) = outcome.best_alone()
        && outcome.winner().members.len() > 1
    {
        let gain = |a: f64, b: f64| format!("{} %", percent(a - b));
        let (best, alone_figures) = (outcome.winner().figures, alone.figures);
        text.push_str(&format!(
            "the best model alone, {}, has {} less recall@20 and {} less mrr@20\n",
            name(alone),
            gain(best.recall, alone_figures.recall),
            gain(best.mrr, alone_figures.mrr)
        ));
    }
    text
}

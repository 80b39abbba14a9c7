//! The result of a run: its document, and what the terminal shows.

use super::live::{reason, shape, span};
use crate::output::{Table, printable};
use crate::page::svg::signed;
use crate::serving::{model_bytes, request_times};
use serde::Serialize;
use std::path::Path;
use upnext_core::Model;
use upnext_core::auto::{AutoReport, CUTOFF, CandidateReport, Figures, Objective};
use upnext_core::comparison::Metric;
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

/// The most members that a blend may have more or less than the winner to be named by them.
const DIFFERENCES: usize = 3;

/// The name of a candidate with these members in a list that the winner heads: by what it has more or less than that.
pub(super) fn name_beside(members: &[String], winner: &[String]) -> String {
    let beyond = |all: &[String], others: &[String]| -> Vec<String> {
        all.iter().filter(|member| !others.contains(member)).cloned().collect()
    };
    let (more, less) = (beyond(members, winner), beyond(winner, members));
    match members {
        [alone] => format!("{alone} alone"),
        _ if winner.len() == 1 || more.len() + less.len() > DIFFERENCES => members.join(" + "),
        _ => {
            let part = |word: &str, members: &[String]| {
                (!members.is_empty()).then(|| format!("{word} {}", members.join(" and ")))
            };
            let parts: Vec<String> =
                [part("without", &less), part("with", &more)].into_iter().flatten().collect();
            format!("the saved one {}", parts.join(", "))
        }
    }
}

/// A metric of figures.
type Column = (Metric, fn(&Figures) -> f64);

/// The metrics of tables: Recall and MRR, and the objective if it is another.
pub(super) fn metrics(objective: Objective) -> Vec<Column> {
    let mut all: Vec<Column> = vec![(Metric::Recall, |at| at.recall), (Metric::Mrr, |at| at.mrr)];
    if objective.0 == Metric::Ndcg {
        all.push((Metric::Ndcg, |at| at.ndcg));
    }
    all
}

/// An interval in percentage points.
pub(super) fn interval(candidate: &CandidateReport) -> String {
    let points = |value: f64| signed(value * 100.0);
    candidate.behind.map_or_else(String::new, |i| format!("{} to {}", points(i.low), points(i.high)))
}

/// Number of candidates that the terminal shows.
const SHOWN: usize = 8;

pub(super) fn describe(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let winner = outcome.winner();
    let mut text = format!("{}\n\nsaved: {}\n\n", shape(&report.character), name(winner));
    let metrics = metrics(report.objective);
    let mut headings = vec!["model".to_owned()];
    headings.extend(metrics.iter().map(|(metric, _)| format!("{}@{CUTOFF}", metric.name())));
    headings.push(format!("{} minus the saved one’s, points", report.objective));
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    for (at, candidate) in report.candidates.iter().enumerate().take(SHOWN.max(report.winner + 1)) {
        let name = match at == report.winner {
            true => "the saved one".to_owned(),
            false => name_beside(&candidate.members, &winner.members),
        };
        let figures = metrics.iter().map(|(_, of)| format!("{:.4}", of(&candidate.figures)));
        let cells = [printable(&name)].into_iter().chain(figures).chain([interval(candidate)]);
        table.row(cells.collect());
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
        let reason = reason(skipped, ["was", "were"]);
        text.push_str(&format!("{} was left out: {reason} (--budget)\n", skipped.name));
    }
    let served = &outcome.served;
    text.push_str(&format!(
        "it took {} of a budget of {}; the model has {} MB and answers in {:.2} ms (p99 {:.2} ms) on one core\nmodel in {}\n",
        span(report.seconds),
        span(report.budget_seconds),
        served.bytes.div_ceil(1_000_000),
        served.median_ms,
        served.p99_ms,
        outcome.out.display()
    ));
    if report.candidates.len() > 1
        && let Some(alone) = outcome.best_alone()
        && winner.members.len() > 1
    {
        let points = |of: fn(&Figures) -> f64| signed((of(&alone.figures) - of(&winner.figures)) * 100.0);
        text.push_str(&format!(
            "the best model alone is {}: recall@{CUTOFF} {}, mrr@{CUTOFF} {} points\n",
            name(alone),
            points(|at| at.recall),
            points(|at| at.mrr)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_named_by_what_they_have_more_or_less_than_the_winner() {
        let members = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let winner = members(&["sr", "vstan", "repeat"]);
        let named = |names: &[&str]| name_beside(&members(names), &winner);
        assert_eq!(named(&["vstan"]), "vstan alone");
        assert_eq!(named(&["sr", "vstan"]), "the saved one without repeat");
        assert_eq!(named(&["sr", "repeat", "pop"]), "the saved one without vstan, with pop");
        assert_eq!(named(&["repeat", "a", "b"]), "repeat + a + b");
        assert_eq!(name_beside(&winner, &members(&["sr"])), "sr + vstan + repeat");
    }
}

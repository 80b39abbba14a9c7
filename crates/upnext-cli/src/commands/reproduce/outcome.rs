//! The outcome of a reproduction, for `--json`, the report and the text output.

use super::data::Count;
use super::findings::{Finding, NOT_EXAMINED};
use super::folder::RowResult;
use super::paper::{Group, PAPER, Protocol};
use crate::output::{Table, seconds, thousands};
use serde::Serialize;
use std::path::PathBuf;
use upnext_core::data::Statistics;
use upnext_core::experiment::Published;

/// The cut-off k of the published figures.
pub(super) const CUTOFF: usize = 20;

/// The outcome of a reproduction.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) version: &'static str,
    pub(super) command: String,
    pub(super) protocol: Protocol,
    pub(super) clicks: PathBuf,
    pub(super) out: PathBuf,
    pub(super) threads: usize,
    pub(super) scale: u64,
    pub(super) counts: Vec<Count>,
    /// Notes about the data that readers of the figures need.
    pub(super) notes: Vec<String>,
    pub(super) statistics: Statistics,
    /// The `prepare` command that writes the same data.
    pub(super) prepare: String,
    /// The rows, in the order of the tables.
    pub(super) rows: Vec<RowOutcome>,
    pub(super) failed: Vec<Failed>,
    pub(super) findings: Vec<Finding>,
}

/// A row beside the published one.
#[derive(Serialize)]
pub(super) struct RowOutcome {
    pub(super) group: Group,
    pub(super) published: Option<Published>,
    pub(super) measured: Published,
    /// Measured minus published figure, in percent of the published one.
    pub(super) difference_percent: Option<Published>,
    /// Whether the result was computed by an earlier process.
    pub(super) resumed: bool,
    /// The commands that compute the same figures.
    pub(super) commands: Vec<String>,
    #[serde(flatten)]
    pub(super) result: RowResult,
}

/// A row that could not be computed.
#[derive(Serialize)]
pub(super) struct Failed {
    pub(super) name: &'static str,
    pub(super) reason: String,
    /// Whether losses or scores were no longer finite.
    pub(super) is_unstable: bool,
}

impl RowOutcome {
    pub(super) fn new(
        group: Group,
        published: Option<Published>,
        result: RowResult,
        resumed: bool,
        commands: Vec<String>,
    ) -> anyhow::Result<Self> {
        let Some(at) = result.metrics.iter().find(|at| at.k == CUTOFF) else {
            anyhow::bail!(
                "the result of {} has no figures at {CUTOFF}: remove it to make it anew",
                result.name
            );
        };
        let measured = Published { recall_at_20: at.recall, mrr_at_20: at.mrr };
        let percent = |measured: f64, published: f64| (measured - published) / published * 100.0;
        let difference_percent = published.map(|published| Published {
            recall_at_20: percent(measured.recall_at_20, published.recall_at_20),
            mrr_at_20: percent(measured.mrr_at_20, published.mrr_at_20),
        });
        Ok(Self { group, published, measured, difference_percent, resumed, commands, result })
    }
}

impl Outcome {
    /// The rows of a table, each with its index among all rows.
    pub(super) fn of_group(&self, group: Group) -> Vec<(usize, &RowOutcome)> {
        self.rows.iter().enumerate().filter(|(_, row)| row.group == group).collect()
    }
}

/// Formats a difference in percent with its sign.
pub(super) fn signed(percent: f64) -> String {
    // Zero after rounding has no sign.
    let rounded = (percent * 10.0).round() / 10.0;
    if rounded == 0.0 { "0.0 %".to_owned() } else { format!("{rounded:+.1} %") }
}

/// The listed parameters of a network: mini-batch, dropout of the hidden layer, learning rate, momentum, epochs.
pub(super) fn parameters(row: &RowOutcome) -> Option<[String; 5]> {
    row.result.experiment.model.network()?;
    let training = &row.result.experiment.training;
    Some([
        training.batch_size.to_string(),
        training.dropout_hidden.to_string(),
        training.learning_rate.to_string(),
        training.momentum.to_string(),
        training.epochs.to_string(),
    ])
}

/// The headings of [`parameters`].
pub(super) const PARAMETERS: [&str; 5] = ["mini-batch", "dropout", "learning rate", "momentum", "epochs"];

/// The introduction of the parameter table.
pub(super) const ABOUT_PARAMETERS: &str = "Table 2 gives those of 100 units; for 1000 units the paper gives none, and these are the same. It gives no number of epochs: ours.";

/// Formats the outcome as text.
pub(super) fn describe(outcome: &Outcome) -> String {
    let mut text = format!("{} of {PAPER}, on {}\n\n", outcome.protocol.data_set(), outcome.clicks.display());
    let mut counts = Table::new(&["", "here", "published", ""]);
    for count in &outcome.counts {
        let published = thousands(count.published);
        counts.row(vec![
            count.what.label().to_owned(),
            thousands(count.measured),
            if count.about { format!("about {published}") } else { published },
            if count.about || count.same { String::new() } else { "differs".to_owned() },
        ]);
    }
    text.push_str(&format!("{counts}\n"));
    outcome.notes.iter().for_each(|note| text.push_str(&format!("{note}\n")));
    for group in Group::ALL {
        let rows = outcome.of_group(group);
        if rows.is_empty() {
            continue;
        }
        let (published, by) = ("published", "differs by");
        let headings = ["", "recall@20", published, by, "mrr@20", published, by, "train s", "predict s"];
        let mut table = Table::new(&headings);
        for (_, row) in rows {
            let figures = |of: fn(&Published) -> f64| {
                [
                    format!("{:.4}", of(&row.measured)),
                    row.published.as_ref().map_or("none".to_owned(), |p| format!("{:.4}", of(p))),
                    row.difference_percent.as_ref().map_or(String::new(), |d| signed(of(d))),
                ]
            };
            let mut cells = vec![row.result.name.clone()];
            cells.extend(figures(|p| p.recall_at_20));
            cells.extend(figures(|p| p.mrr_at_20));
            cells.extend([row.result.training_seconds, row.result.prediction_seconds].map(seconds));
            table.row(cells);
        }
        text.push_str(&format!("\n{}\n{table}", group.title()));
        if group == Group::Table3 {
            text.push_str(&table_2(outcome));
        }
    }
    if !outcome.findings.is_empty() {
        text.push_str("\nWhat the paper found, on these figures\n");
    }
    for finding in &outcome.findings {
        text.push_str(&format!("{}: {} ({})\n", finding.claim, finding.verdict(), finding.figures));
    }
    if !outcome.findings.is_empty() {
        text.push_str(&format!("{NOT_EXAMINED}\n"));
    }
    for failed in &outcome.failed {
        text.push_str(&format!("{} failed: {}\n", failed.name, failed.reason));
    }
    text.push_str(&format!("\nmodels and results in {}\n", outcome.out.display()));
    text
}

fn table_2(outcome: &Outcome) -> String {
    let mut headings = vec![""];
    headings.extend(PARAMETERS);
    let mut table = Table::new(&headings);
    for (_, row) in outcome.of_group(Group::Table3) {
        let cells = parameters(row).into_iter().flatten();
        table.row(std::iter::once(row.result.name.clone()).chain(cells).collect());
    }
    format!("\nTable 2: the parameters. {ABOUT_PARAMETERS}\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_that_rounds_to_nothing_has_no_sign() {
        assert_eq!([-0.04, 0.04, 12.345, -3.0].map(signed), ["0.0 %", "0.0 %", "+12.3 %", "-3.0 %"]);
    }
}

//! The table of metrics besides accuracy.

use super::super::outcome::Outcome;
use super::{at_other_cutoffs, name};
use crate::commands::evaluate::MetricOf;
use crate::page::{percent, table};

/// How a figure is written.
type Written = fn(f64) -> String;

/// The metrics with their headings and how they are written.
const COLUMNS: [(&str, MetricOf, Written); 8] = [
    ("last hit, %", |at| at.last_hit, percent),
    ("repeats, %", |at| at.repeats, percent),
    ("precision, %", |at| at.precision, percent),
    ("MAP, %", |at| at.map, percent),
    ("Gini", |at| at.gini, plain),
    ("novelty, bits", |at| at.novelty, plain),
    ("diversity", |at| at.diversity, plain),
    ("serendipity, %", |at| at.serendipity, percent),
];

fn plain(x: f64) -> String {
    format!("{x:.3}")
}

/// The metrics at the largest cut-off, followed by those at the others.
pub(super) fn beyond_accuracy(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let others = at_other_cutoffs(outcome, |k| at(outcome, k));
    format!(
        "<p>For lists of {k}. Last hit: Recall of the last event of each session alone. Repeats: share of the hits whose item the session had before, which a visitor may find again alone. \
         Precision and MAP: all items of the rest of the session are relevant, not the next one alone. \
         Gini: 0 if all items are in equally many lists, near 1 if a few items fill them; with the popularity above, it shows how far a model leans to what is popular. \
         Novelty: how rare the listed items are, in bits; one more bit is half as many events. \
         Diversity: 1 less the mean cosine of the model’s vectors of two items of a list, from 0 to 2; each model judges by its own vectors, and – has none. \
         Serendipity: share of the cases whose item is in the list and not among the {k} most popular.</p>{}{others}",
        at(outcome, k)
    )
}

/// The table at a cut-off.
fn at(outcome: &Outcome, k: usize) -> String {
    let headings: Vec<String> = std::iter::once("model".to_owned())
        .chain(COLUMNS.iter().map(|(heading, ..)| (*heading).to_owned()))
        .collect();
    let row = |m: usize| {
        let at = outcome.models[m].metrics.iter().find(|at| at.k == k);
        let cells = COLUMNS.iter().map(|(_, of, written)| at.and_then(of).map_or("–".to_owned(), *written));
        std::iter::once(name(outcome, m)).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = outcome.by_mrr().into_iter().map(row).collect();
    table("figures", &headings, &rows)
}

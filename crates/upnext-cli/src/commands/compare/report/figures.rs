//! The figures of a comparison: the table of all models, and their differences from the first.

use super::super::outcome::Outcome;
use super::verdict::{choose, significant};
use super::{at_other_cutoffs, name};
use crate::output::{seconds, thousands};
use crate::page::svg::{Difference, forest};
use crate::page::{percent, shown, side_by_side, table};
use upnext_core::comparison::Metric;

/// The metrics at the largest cut-off, followed by those at the others.
pub(super) fn results(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let others = at_other_cutoffs(outcome, |k| at(outcome, k, false));
    format!(
        "<p>In percent, the best Recall, MRR and NDCG in bold; small: the 95 % interval over {} resamples of the test sessions. \
         Coverage: share of all items that are in any list of {k}. Popularity: how popular the recommended items are on average, where 100 is the item with the most events; \
         high means that the lists show what everybody knows. Request: milliseconds of one core for one list. Size: the files that are served. \
         ★ is the model of the verdict. A click on a heading sorts.</p>{}{others}",
        thousands(outcome.comparison.bootstrap.resamples as u64),
        at(outcome, k, true)
    )
}

/// The table at a cut-off.
fn at(outcome: &Outcome, k: usize, with_cost: bool) -> String {
    let mut headings: Vec<String> = vec!["model".into()];
    headings.extend(Metric::ALL.map(|metric| format!("{}@{k}, %", shown(metric))));
    headings.extend(["coverage, %".into(), "popularity, %".into()]);
    if with_cost {
        headings.extend(["request, ms", "size, MB", "train, s"].map(str::to_owned));
    }
    let best = |value: &dyn Fn(usize) -> f64| (0..outcome.models.len()).map(value).fold(0.0, f64::max);
    let mut rows = Vec::new();
    let order = outcome.by_mrr();
    let choice = (order.len() > 1).then(|| choose(outcome, &order));
    for m in order {
        let row = &outcome.models[m];
        let mark = if Some(m) == choice { " ★" } else { "" };
        let mut cells = vec![format!("{}{mark}", name(outcome, m))];
        for metric in Metric::ALL {
            let value = |m: usize| {
                let at = outcome.comparison.models[m].iter().find(|at| at.metric == metric && at.k == k);
                at.map_or(0.0, |at| at.estimate.value)
            };
            let (own, top) = (value(m), best(&value));
            let range = outcome
                .interval(m, metric, k)
                .map_or(String::new(), |i| format!("<small>{}–{}</small>", percent(i.low), percent(i.high)));
            let figure = percent(own);
            let figure = if own == top { format!("<b>{figure}</b>") } else { figure };
            cells.push(format!("{figure} {range}"));
        }
        let at = row.metrics.iter().find(|at| at.k == k);
        for share in [at.and_then(|at| at.coverage), at.and_then(|at| at.popularity)] {
            cells.push(share.map_or("–".to_owned(), percent));
        }
        if with_cost {
            cells.push(row.request_ms.map_or("–".to_owned(), significant));
            cells.push(significant(row.model_bytes as f64 / 1e6));
            cells.push(row.training_seconds.map_or("–".to_owned(), seconds));
        }
        rows.push(cells);
    }
    table("figures", &headings, &rows)
}

/// Forest plots: every model's difference from the first by this metric, with its interval.
pub(super) fn differences(outcome: &Outcome) -> String {
    if outcome.models.len() < 2 {
        return String::new();
    }
    let k = outcome.cutoff();
    let plot = |metric: Metric| {
        let value = |m: usize| {
            let at = outcome.comparison.models[m].iter().find(|at| at.metric == metric && at.k == k);
            at.map_or(0.0, |at| at.estimate.value)
        };
        let mut order = outcome.by_mrr();
        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
        let first = order[0];
        let row = |&m: &usize| {
            let difference = outcome.comparison.difference(m, first, metric, k);
            Difference {
                name: outcome.models[m].name.clone(),
                figure: format!("{} %", percent(value(m))),
                difference: difference.map(|d| d.value * 100.0),
                low_high: difference.and_then(|d| d.interval).map(|i| (i.low * 100.0, i.high * 100.0)),
            }
        };
        let rows: Vec<Difference> = order.iter().map(row).collect();
        forest(
            &format!("{}@{k}: every model less {}", shown(metric), name(outcome, first)),
            "percentage points; bars are 95 % intervals of the difference on the same sessions",
            &rows,
        )
    };
    let pairs = outcome.models.len() - 1;
    format!(
        "<p>Models in the order of the metric, each compared with the first on the same resampled sessions. A bar that crosses the line at 0 \
         is no more than chance; ◀ is farther behind than the axis reaches. Differences are of unrounded figures. {}</p>{}",
        if pairs >= 5 {
            format!(
                "Each is judged on its own: of {pairs} models that are as good as the first, about one in twenty would look different. The intervals of all pairs are in the document of <code>--json</code>."
            )
        } else {
            "The intervals of all pairs are in the document of <code>--json</code>.".to_owned()
        },
        side_by_side(&[plot(Metric::Mrr), plot(Metric::Recall)].concat())
    )
}

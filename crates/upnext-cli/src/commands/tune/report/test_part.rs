//! The figures on the test part: the best point beside the setting before the search and a baseline, with intervals.

use super::super::final_stage::BEFORE;
use super::super::outcome::{Outcome, Test, test_is_known};
use super::{metric, objective};
use crate::commands::evaluate::shown_ties;
use crate::output::thousands;
use crate::page::svg::signed;
use crate::page::{escape, percent, shown, table};
use upnext_core::comparison::{Comparison, Estimate, Interval, Metric};

/// Formats the interval of a difference in percentage points.
fn interval(difference: Option<Estimate>) -> String {
    difference
        .and_then(|d| d.interval)
        .map_or("?".to_owned(), |i| format!("{} to {}", signed(i.low * 100.0), signed(i.high * 100.0)))
}

/// What the search gained, by the test part; empty without figures on it.
pub(super) fn verdict(outcome: &Outcome) -> String {
    let Some((test, comparison)) = outcome.test.as_ref().and_then(|t| Some((t, t.comparison.as_ref()?)))
    else {
        return String::new();
    };
    let (k, name) = (outcome.cutoff(), objective(outcome));
    let own = comparison.models.first().and_then(|figures| {
        figures.iter().find(|at| at.metric == metric(outcome) && at.k == k).map(|at| at.estimate)
    });
    let Some(own) = own else { return String::new() };
    let gains: Vec<String> = test
        .evaluated_beside()
        .filter_map(|(number, beside)| {
            let difference = comparison.difference(0, number, metric(outcome), k)?;
            let is_chance = difference.interval.is_none_or(|i| i.contains(0.0));
            Some(format!(
                "{:.2} percentage points {} {} ({}{})",
                (difference.value * 100.0).abs(),
                if difference.value < 0.0 { "below" } else { "above" },
                escape(&beside.name),
                interval(Some(difference)),
                if is_chance { ": no more than chance" } else { "" }
            ))
        })
        .collect();
    let keep = advice(outcome, test, comparison);
    let class = if keep.is_empty() { "verdict" } else { "verdict keep" };
    let gains = if gains.is_empty() { String::new() } else { format!(": {}", gains.join(", and ")) };
    format!(
        "<div class=\"{class}\">{keep}<p><b>{name} of the best point is {} % on sessions that the search never saw</b>{gains}. In parentheses: 95 % intervals of the difference on the same sessions.</p></div>",
        percent(own.value)
    )
}

/// The sentence that advises against the best point, if it is not better than what was there before; else empty.
fn advice(outcome: &Outcome, test: &Test, comparison: &Comparison) -> String {
    let Some((number, before)) = test.evaluated_beside().find(|(_, beside)| beside.name == BEFORE) else {
        return String::new();
    };
    let ahead = |metric| {
        let difference = comparison.difference(0, number, metric, outcome.cutoff());
        difference.and_then(|difference| difference.interval)
    };
    let ahead = [Metric::Recall, Metric::Mrr].map(|metric| (metric, ahead(metric)));
    keep(&before.name, (metric(outcome), outcome.cutoff()), &ahead)
}

/// The advice to keep what was there before, unless the intervals by which the best point is `ahead` of it say that this is
/// better in the objective, and worse in nothing.
fn keep(before: &str, (objective, k): (Metric, usize), ahead: &[(Metric, Option<Interval>)]) -> String {
    let name = |metric: Metric| format!("{}@{k}", shown(metric));
    let is_worse = |ahead: &Option<Interval>| ahead.is_some_and(|ahead| ahead.high < 0.0);
    let worse: Vec<String> =
        ahead.iter().filter(|(_, ahead)| is_worse(ahead)).map(|&(metric, _)| name(metric)).collect();
    let is_better = |&(metric, ahead): &(Metric, Option<Interval>)| {
        metric == objective && ahead.is_some_and(|ahead| ahead.low > 0.0)
    };
    let reason = if !worse.is_empty() {
        format!("It has the better {}, by more than chance", worse.join(" and "))
    } else if !ahead.iter().any(is_better) {
        format!("The search found nothing that is better in {} by more than chance", name(objective))
    } else {
        return String::new();
    };
    format!("<p class=\"use\">Keep {}.</p><p>{reason}.</p>", escape(before))
}

/// The section on the test part.
pub(super) fn test(outcome: &Outcome) -> String {
    if let Some(reason) = &outcome.failed {
        return format!(
            "<p class=\"failed\">The best point failed on all of the training part: {}</p>",
            escape(reason)
        );
    }
    let Some(test) = &outcome.test else {
        return "<p>There was no test part: the figures below are those that points were chosen by, and so too good. A setting before the search and a baseline are compared with the best point where there is one.</p>".to_owned();
    };
    let known = match test.also_in_training {
        0 => String::new(),
        sessions => format!("<p>{}.</p>", escape(&test_is_known(sessions))),
    };
    let judged = match test.judgements {
        1 => "judged once".to_owned(),
        n => {
            format!("judged; it was judgement {n} of this search, so that its figures are a little too good")
        }
    };
    format!(
        "<p>The best point was trained again on all {} events of the training part and {judged}: {} cases of {} sessions, \
         ranked among {} candidates, {} ties. The others were trained on the same events. In percent, differences of unrounded figures in percentage points; small: 95 % intervals over resamples of the sessions, those of \
         differences over the same resamples.</p>{known}{}",
        thousands(outcome.train_events.unwrap_or_default() as u64),
        thousands(test.evaluation.cases as u64),
        thousands(test.evaluation.sessions as u64),
        thousands(test.evaluation.candidates as u64),
        shown_ties(test.evaluation.ties),
        figures(outcome, test)
    )
}

/// The table at the largest cut-off, and the best point's figures at the others.
fn figures(outcome: &Outcome, test: &Test) -> String {
    let k = outcome.cutoff();
    let own = |number: usize, metric: Metric, k: usize, value: f64| {
        let figures = test.comparison.as_ref().and_then(|comparison| comparison.models.get(number));
        let at = figures.and_then(|figures| figures.iter().find(|at| at.metric == metric && at.k == k));
        let range = at
            .and_then(|at| at.estimate.interval)
            .map_or(String::new(), |i| format!(" <small>{}–{}</small>", percent(i.low), percent(i.high)));
        format!("{}{range}", percent(value))
    };
    let mut headings = vec![format!("at {k}")];
    for metric in ["Recall", "MRR"] {
        headings.extend([format!("{metric}, %"), "best point ahead by".to_owned()]);
    }
    headings.push("NDCG, %".to_owned());
    let cells = |number: usize, at: &upnext_core::evaluation::MetricsAt| {
        let mut cells = Vec::new();
        for (metric, value) in [(Metric::Recall, at.recall), (Metric::Mrr, at.mrr)] {
            cells.push(own(number, metric, k, value));
            let difference = test.comparison.as_ref().and_then(|c| c.difference(0, number, metric, k));
            cells.push(difference.map_or("–".to_owned(), |d| {
                format!("{} <small>{}</small>", signed(d.value * 100.0), interval(Some(d)))
            }));
        }
        cells.push(own(number, Metric::Ndcg, k, at.ndcg));
        cells
    };
    let mut rows = Vec::new();
    if let Some(at) = test.evaluation.metrics.last() {
        rows.push([vec!["<b>the best point</b>".to_owned()], cells(0, at)].concat());
    }
    for (number, beside) in test.evaluated_beside() {
        if let Some(at) = beside.metrics.last() {
            rows.push([vec![escape(&beside.name)], cells(number, at)].concat());
        }
    }
    let failed: String = test
        .beside
        .iter()
        .filter_map(|beside| Some((&beside.name, beside.failed.as_ref()?)))
        .map(|(name, reason)| {
            format!("<p class=\"failed\">{} could not be trained: {}</p>", escape(name), escape(reason))
        })
        .collect();
    let others: Vec<Vec<String>> = test
        .evaluation
        .metrics
        .iter()
        .map(|at| {
            let metrics = [(Metric::Recall, at.recall), (Metric::Mrr, at.mrr), (Metric::Ndcg, at.ndcg)];
            let cells = metrics.map(|(metric, value)| own(0, metric, at.k, value));
            std::iter::once(at.k.to_string()).chain(cells).collect()
        })
        .collect();
    let by_cutoff = ["k", "Recall, %", "MRR, %", "NDCG, %"].map(str::to_owned);
    format!(
        "{}{failed}<h3>The best point by cut-off</h3>{}",
        table("figures", &headings, &rows),
        table("figures", &by_cutoff, &others)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_kept_unless_the_best_point_is_better_and_worse_in_nothing() {
        let interval = |low: f64, high: f64| -> Option<Interval> {
            serde_json::from_value(serde_json::json!({ "low": low, "high": high })).unwrap()
        };
        let advice = |recall, mrr| {
            keep("the <default>", (Metric::Mrr, 20), &[(Metric::Recall, recall), (Metric::Mrr, mrr)])
        };
        assert_eq!(advice(interval(-0.01, 0.01), interval(0.001, 0.02)), "");
        let level = advice(interval(0.001, 0.02), interval(-0.001, 0.02));
        assert!(level.contains("nothing that is better in MRR@20"), "{level}");
        assert!(level.contains("Keep the &lt;default&gt;."), "{level}");
        let worse = advice(interval(-0.02, -0.01), interval(0.001, 0.02));
        assert!(worse.contains("It has the better Recall@20, by more"), "{worse}");
        let both = advice(interval(-0.02, -0.01), interval(-0.02, -0.01));
        assert!(both.contains("the better Recall@20 and MRR@20, by more"), "{both}");
        assert!(advice(None, None).contains("nothing that is better"));
    }
}

//! The verdict of a comparison: which model to use, by how much it is better, and what it costs to serve.

use super::super::outcome::Outcome;
use super::name;
use crate::output::thousands;
use crate::page::percent;
use crate::page::svg::signed;
use upnext_core::comparison::Metric;

/// The verdict as HTML.
pub(super) fn verdict(outcome: &Outcome) -> String {
    let order = outcome.by_mrr();
    let Some(&best) = order.first() else { return String::new() };
    let choice = choose(outcome, &order);
    let paragraphs = [
        use_line(outcome, &order, choice),
        accuracy(outcome, &order, best, choice),
        cost(outcome, best, choice),
    ];
    let html: String = paragraphs.into_iter().filter(|text| !text.is_empty()).collect();
    format!("<div class=\"verdict\">{html}</div>")
}

/// Whether model `a` is ahead of model `b` by more than chance: the 95 % interval of their difference is above 0.
fn is_ahead(outcome: &Outcome, a: usize, b: usize, metric: Metric) -> bool {
    let difference = outcome.comparison.difference(a, b, metric, outcome.cutoff());
    difference.and_then(|d| d.interval).is_some_and(|interval| interval.low > 0.0)
}

/// The models that no other is ahead of by more than chance, neither by MRR nor by Recall, in the order of the MRR.
fn unbeaten(outcome: &Outcome, order: &[usize]) -> Vec<usize> {
    let is_unbeaten = |&m: &usize| {
        order.iter().all(|&other| {
            [Metric::Mrr, Metric::Recall].into_iter().all(|metric| !is_ahead(outcome, other, m, metric))
        })
    };
    order.iter().copied().filter(is_unbeaten).collect()
}

/// How many times cheaper a request must be for a model to be used in place of a level one with a higher MRR. The times of
/// requests vary by a factor of two from one comparison to the next.
const CLEARLY_CHEAPER: f64 = 3.0;

/// The model to use: of those that no other is ahead of, the one with the highest MRR, or one that is clearly cheaper to
/// serve; if there is none, that with the highest MRR.
pub(super) fn choose(outcome: &Outcome, order: &[usize]) -> usize {
    let cost = |m: usize| outcome.models[m].request_ms.unwrap_or(f64::INFINITY);
    first_or_cheaper(&unbeaten(outcome, order), cost).unwrap_or(order[0])
}

/// The first of some models, or the one of lowest cost if that is clearly lower.
fn first_or_cheaper(models: &[usize], cost: impl Fn(usize) -> f64) -> Option<usize> {
    let first = *models.first()?;
    let cheapest = models.iter().copied().min_by(|&a, &b| cost(a).total_cmp(&cost(b)))?;
    Some(if cost(cheapest) * CLEARLY_CHEAPER <= cost(first) { cheapest } else { first })
}

/// Whether two models have the same rank in every case, as far as the comparison can tell.
fn are_same(outcome: &Outcome, a: usize, b: usize) -> bool {
    Metric::ALL.into_iter().all(|metric| {
        let difference = outcome.comparison.difference(a, b, metric, outcome.cutoff());
        difference
            .is_some_and(|d| d.value == 0.0 && d.interval.is_some_and(|i| i.low == 0.0 && i.high == 0.0))
    })
}

/// The sentence that names the model, and why this one.
fn use_line(outcome: &Outcome, order: &[usize], choice: usize) -> String {
    let of = |m: usize| format!("<b>{}</b>", name(outcome, m));
    let level = unbeaten(outcome, order);
    let others: Vec<String> = level.iter().filter(|&&m| m != choice).map(|&m| of(m)).collect();
    let reason = match (order.len(), level.as_slice()) {
        (1, _) => return String::new(),
        (_, []) => {
            let by_recall =
                order.iter().copied().max_by(|&a, &b| recall(outcome, a).total_cmp(&recall(outcome, b)));
            let rival = by_recall.filter(|&m| m != choice);
            let rival = rival.map_or(String::new(), |m| {
                format!(
                    " If the order within a list of {} does not matter, use {}: its Recall@{0} is higher, {} %.",
                    outcome.cutoff(),
                    of(m),
                    percent(recall(outcome, m))
                )
            });
            format!(" It has the highest MRR@{}.{rival}", outcome.cutoff())
        }
        (_, [_]) => format!(
            " No other model is significantly better in MRR@{k} or Recall@{k}, and each of them is worse than some other.",
            k = outcome.cutoff()
        ),
        (_, [first, ..]) => {
            let why = if *first == choice {
                format!("Of these, {} has the highest MRR@{}.", of(choice), outcome.cutoff())
            } else {
                let [own, other] = [choice, *first]
                    .map(|m| outcome.models[m].request_ms.map_or(String::new(), milliseconds));
                format!("{} answers a request in {own}, {} in {other}.", of(choice), of(*first))
            };
            let is_same =
                others.len() == 1 && level.iter().all(|&m| m == choice || are_same(outcome, m, choice));
            let level = if is_same {
                "has the same rank in every case".to_owned()
            } else {
                format!(
                    "{} level with it: no difference in MRR@{k} or Recall@{k} between them is significant. {why}",
                    if others.len() == 1 { "is" } else { "are" },
                    k = outcome.cutoff()
                )
            };
            format!(" {} {level}", list(&others)) + if is_same { "." } else { "" }
        }
    };
    format!("<p class=\"use\">Use {}.</p><p>{}</p>", of(choice), reason.trim_start()).replace("<p></p>", "")
}

/// Joins names by commas and an "and".
fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn recall(outcome: &Outcome, m: usize) -> f64 {
    outcome.models[m].metrics.last().map_or(0.0, |at| at.recall)
}

/// The model's figures, and the paired difference from the next model, or from the one with the highest MRR.
fn accuracy(outcome: &Outcome, order: &[usize], best: usize, choice: usize) -> String {
    let k = outcome.cutoff();
    let Some(at) = outcome.models[choice].metrics.last() else { return String::new() };
    let rival = if choice == best { order.get(1).copied() } else { Some(best) };
    let difference =
        rival.and_then(|rival| Some((rival, outcome.comparison.difference(choice, rival, Metric::Mrr, k)?)));
    let difference = difference.map_or(String::new(), |(rival, d)| {
        let which = if choice == best { "the next one" } else { "the highest" };
        let interval = d.interval.map_or(String::new(), |i| {
            format!(
                " (95 % interval of the difference on the same sessions: {} to {})",
                signed(i.low * 100.0),
                signed(i.high * 100.0)
            )
        });
        if are_same(outcome, choice, rival) {
            return String::new();
        }
        format!(
            ", {:.2} percentage points {} <b>{}</b>, {which}{interval}",
            (d.value * 100.0).abs(),
            if d.value < 0.0 { "below" } else { "above" },
            name(outcome, rival)
        )
    });
    format!(
        "<p>MRR@{k}: {} %{difference}. Recall@{k}: {} %, so that the next item is among the first {k} in {:.0} of 100 cases.</p>",
        percent(at.mrr),
        percent(at.recall),
        at.recall * 100.0
    )
}

/// What the model costs to serve.
fn cost(outcome: &Outcome, best: usize, choice: usize) -> String {
    let row = &outcome.models[choice];
    let time = |m: usize| outcome.models[m].request_ms.map(milliseconds);
    let requests = time(choice).map_or(String::new(), |ms| {
        let of_best = time(best).filter(|_| best != choice);
        let of_best = of_best.map_or(String::new(), |ms| format!(" ({} takes {ms})", name(outcome, best)));
        format!("A request takes {ms} of one core{of_best}; ")
    });
    format!("<p>{requests}its files take {}.</p>", megabytes(row.model_bytes)).replace("<p>its", "<p>Its")
}

/// Formats milliseconds with three significant digits.
pub(super) fn milliseconds(ms: f64) -> String {
    format!("{} ms", significant(ms))
}

/// Formats a positive number with three significant digits.
pub(super) fn significant(x: f64) -> String {
    match x {
        x if x >= 100.0 => thousands(x.round() as u64),
        x if x >= 10.0 => format!("{x:.1}"),
        x if x >= 1.0 => format!("{x:.2}"),
        x if x >= 0.1 => format!("{x:.3}"),
        x => format!("{x:.4}"),
    }
}

/// Formats a number of bytes in megabytes.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{} MB", significant(bytes as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn among_level_models_only_a_clearly_cheaper_one_comes_before_the_first() {
        let choice = |costs: &[f64]| {
            let models: Vec<usize> = (0..costs.len()).collect();
            first_or_cheaper(&models, |m| costs[m])
        };
        assert_eq!(choice(&[]), None);
        // Times of requests vary by a factor of two.
        assert_eq!(choice(&[0.17, 0.08, 0.09]), Some(0));
        assert_eq!(choice(&[0.31, 0.2, 0.1]), Some(2));
        // Unknown ones.
        assert_eq!(choice(&[f64::INFINITY, f64::INFINITY]), Some(0));
        assert_eq!(choice(&[0.1, f64::INFINITY]), Some(0));
    }

    #[test]
    fn figures_have_three_significant_digits_and_names_an_and() {
        let shown = [1234.4, 56.78, 1.234, 0.5678, 0.0123].map(significant);
        assert_eq!(shown, ["1,234", "56.8", "1.23", "0.568", "0.0123"]);
        assert_eq!((megabytes(1_500_000), milliseconds(0.25)), ("1.50 MB".into(), "0.250 ms".into()));
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!([list(&names), list(&names[..1]), list(&[])], ["a, b and c", "a", ""]);
    }
}

//! The findings of the paper, checked as far as the available rows allow.

use super::outcome::{Failed, RowOutcome};
use super::paper::Group;
use serde::Serialize;

/// A finding of the paper, and whether the measured figures confirm it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) claim: &'static str,
    /// Number of comparisons in which the finding holds.
    pub(super) held: usize,
    /// Number of comparisons.
    pub(super) of: usize,
    /// The figures of the comparisons.
    pub(super) figures: String,
}

impl Finding {
    pub(super) fn holds(&self) -> bool {
        self.held == self.of
    }

    pub(super) fn verdict(&self) -> String {
        match self.held {
            held if held == self.of => "yes".to_owned(),
            0 => "no".to_owned(),
            held => format!("in {held} of {}", self.of),
        }
    }
}

/// A note on the findings that need other rows.
pub(super) const NOT_EXAMINED: &str = "Layers, inputs, units, optimisers and the output's activation need variants of the networks, which are no rows here: they are not examined.";

/// The name and Recall@20 of a row.
#[derive(Clone, Copy, Debug)]
struct Figure<'a> {
    name: &'a str,
    recall: f64,
}

/// The findings of section 4.3 that can be checked with these rows, by Recall@20.
pub(super) fn findings(rows: &[RowOutcome], failed: &[Failed]) -> Vec<Finding> {
    let of = |row: &RowOutcome| row.result.experiment.model.network().map(|network| network.layers[0]);
    let figure = |row| -> Figure {
        let row: &RowOutcome = row;
        Figure { name: &row.result.name, recall: row.measured.recall_at_20 }
    };
    let baselines: Vec<Figure> = rows.iter().filter(|row| row.group == Group::Table1).map(figure).collect();
    let networks = |units| {
        rows.iter().filter(move |row| row.group == Group::Table3 && of(row) == Some(units)).map(figure)
    };
    let unstable: Vec<&str> = failed.iter().filter(|f| f.is_unstable).map(|f| f.name).collect();
    let (small, large): (Vec<_>, Vec<_>) = (networks(100).collect(), networks(1000).collect());
    examine(&baselines, &small, &large, &unstable)
}

fn examine(baselines: &[Figure], small: &[Figure], large: &[Figure], unstable: &[&str]) -> Vec<Finding> {
    let baseline = |name| baselines.iter().find(|figure| figure.name == name);
    let mut found = Vec::new();
    if let Some(knn) = baseline("item-knn") {
        let others: Vec<&Figure> = baselines.iter().filter(|figure| figure.name != knn.name).collect();
        let best = "Item-KNN is the best of the baselines";
        found.extend(all_against(best, &others, |other| (other.recall < knn.recall, knn)));
        let small: Vec<&Figure> = small.iter().collect();
        let ahead = "The networks of 100 units rank better than Item-KNN";
        found.extend(all_against(ahead, &small, |network| (network.recall > knn.recall, knn)));
    }
    // The counterpart has the same name with another number of units.
    let counterpart = |of: &Figure| small.iter().find(|small| small.name == of.name.replace("-1000", "-100"));
    let (of_xe, of_pairs): (Vec<&Figure>, Vec<&Figure>) =
        large.iter().filter(|of| counterpart(of).is_some()).partition(|of| of.name.contains("-xe-"));
    for (claim, networks, better) in [
        ("With TOP1 and BPR, 1000 units rank better than 100", &of_pairs, true),
        ("With cross-entropy, 1000 units rank worse than 100", &of_xe, false),
    ] {
        found.extend(all_against(claim, networks, |network| {
            let small = counterpart(network).unwrap_or(network);
            ((network.recall > small.recall) == better, small)
        }));
    }
    let stable = "All networks are stable: losses and scores finite, better than POP (the paper's cross-entropy mostly was not)";
    let above_pop = baseline("pop").and_then(|pop| {
        let networks: Vec<&Figure> = small.iter().chain(large).collect();
        all_against(stable, &networks, |network| (network.recall > pop.recall, pop))
    });
    if unstable.is_empty() {
        found.extend(above_pop);
    } else {
        let above = above_pop.unwrap_or(Finding { claim: stable, held: 0, of: 0, figures: String::new() });
        let not_finite = format!("not finite: {}", unstable.join(", "));
        let figures = [above.figures, not_finite].into_iter().filter(|text| !text.is_empty());
        let figures = figures.collect::<Vec<_>>().join(", ");
        found.push(Finding { of: above.of + unstable.len(), figures, ..above });
    }
    found
}

/// Checks a claim for each of `figures`. `test` returns whether it holds and the figure it was compared with. `None`
/// for no figures.
fn all_against<'a>(
    claim: &'static str,
    figures: &[&'a Figure<'a>],
    test: impl Fn(&'a Figure<'a>) -> (bool, &'a Figure<'a>),
) -> Option<Finding> {
    let shown = |figure: &'a Figure<'a>| {
        let (_, other) = test(figure);
        format!("{} {:.4} against {} {:.4}", figure.name, figure.recall, other.name, other.recall)
    };
    let held = figures.iter().filter(|figure| test(figure).0).count();
    let texts: Vec<String> = figures.iter().map(|figure| shown(figure)).collect();
    (!figures.is_empty()).then(|| Finding { claim, held, of: figures.len(), figures: texts.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(of: &'static [(&'static str, f64)]) -> Vec<Figure<'static>> {
        of.iter().map(|&(name, recall)| Figure { name, recall }).collect()
    }

    #[test]
    fn the_published_figures_show_the_published_findings() {
        let baselines =
            figures(&[("pop", 0.005), ("s-pop", 0.2672), ("item-knn", 0.5065), ("bpr-mf", 0.2574)]);
        let small = figures(&[("rsc15-top1-100", 0.5853), ("rsc15-xe-100-paper", 0.6074)]);
        let large = figures(&[("rsc15-top1-1000", 0.6206), ("rsc15-xe-1000-paper", 0.5777)]);
        let found = examine(&baselines, &small, &large, &[]);
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(Finding::holds), "{found:?}");
        assert_eq!(found[3].figures, "rsc15-xe-1000-paper 0.5777 against rsc15-xe-100-paper 0.6074");
    }

    #[test]
    fn figures_that_say_otherwise_are_not_hidden_and_missing_rows_say_nothing() {
        let baselines = figures(&[("pop", 0.5), ("item-knn", 0.4)]);
        let small = figures(&[("rsc15-top1-100", 0.55), ("rsc15-bpr-100", 0.3)]);
        let found = examine(&baselines, &small, &[], &[]);
        let verdicts: Vec<String> = found.iter().map(Finding::verdict).collect();
        assert_eq!(verdicts, ["no", "in 1 of 2", "in 1 of 2"]);
        assert!(examine(&[], &small, &[], &[]).is_empty());
        let diverged = examine(&[], &[], &[], &["rsc15-xe-1000-paper"]);
        assert!(diverged[0].verdict() == "no" && diverged[0].figures.ends_with("rsc15-xe-1000-paper"));
        assert!(examine(&baselines[..1], &[], &[], &[]).is_empty());
    }
}

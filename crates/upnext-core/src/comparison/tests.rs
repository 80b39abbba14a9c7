//! Comparisons with metrics computed by hand or by the evaluation.

use super::*;
use crate::contract::{ByLastItem, vocabulary};
use crate::data::ItemVocabulary;
use crate::evaluation::{EvaluationConfig, evaluate};
use std::ops::ControlFlow;

/// 60 sessions over 30 items, in which item i is followed by item i + 1.
fn chain() -> (ItemVocabulary, Sessions) {
    let mut sessions = Sessions::new();
    for s in 0..60_u32 {
        let items: Vec<u32> = (s % 20..s % 20 + 2 + s % 7).collect();
        sessions.push(&items, 0);
    }
    (vocabulary(&std::array::from_fn::<u64, 30, _>(|i| i as u64 + 1)), sessions)
}

fn judged(score: impl Fn(u32, u32) -> f32 + Send + Sync + 'static) -> Evaluation {
    let (items, sessions) = chain();
    let options = EvaluationConfig { cutoffs: vec![1, 5, 20], ..Default::default() };
    evaluate(&ByLastItem::new(30, score), &items, &sessions, &options, 1, &|_| ControlFlow::Continue(()))
        .unwrap()
}

/// A score that ranks the next item first after even items, and about seventh after odd ones.
fn half_right() -> Evaluation {
    judged(|last, item| {
        if last % 2 == 0 && item == last + 1 {
            100.0
        } else {
            -(item.abs_diff((last + 7) % 30) as f32) - item as f32 / 64.0
        }
    })
}

fn oracle() -> Evaluation {
    judged(|last, item| if item == last + 1 { 1.0 } else { -(item as f32) })
}

fn compared(evaluations: &[&Evaluation], threads: usize) -> Comparison {
    let (items, sessions) = chain();
    let options = BootstrapOptions { resamples: 300, seed: 5 };
    let train = Dataset::new(items, sessions.clone());
    compare(evaluations, (&sessions, &[]), &train, &[1, 5, 20], options, threads)
}

#[test]
fn figures_are_those_of_the_evaluation_within_their_intervals() {
    let (half, oracle) = (half_right(), oracle());
    let found = compared(&[&half, &oracle], 2);
    for (evaluation, figures) in [&half, &oracle].into_iter().zip(&found.models) {
        for EstimateAt { metric, k, estimate } in figures {
            let at = evaluation.metrics.iter().find(|at| at.k == *k).unwrap();
            let expected = match metric {
                Metric::Recall => at.recall,
                Metric::Mrr => at.mrr,
                Metric::Ndcg => at.ndcg,
            };
            assert!((estimate.value - expected).abs() < 1e-12, "{metric:?}@{k}");
            assert!(estimate.interval.unwrap().contains(expected));
        }
    }
    let recall_at_1 = found.models[0][0].estimate.interval.unwrap();
    assert!(0.2 < recall_at_1.low && recall_at_1.low < recall_at_1.high && recall_at_1.high < 0.8);
}

#[test]
fn a_difference_is_seen_from_both_sides_and_a_model_does_not_differ_from_itself() {
    let (half, oracle) = (half_right(), oracle());
    let found = compared(&[&half, &oracle, &half], 1);
    let ahead = found.difference(1, 0, Metric::Recall, 1).unwrap();
    let behind = found.difference(0, 1, Metric::Recall, 1).unwrap();
    assert_eq!(ahead.value, -behind.value);
    assert_eq!(ahead.interval.unwrap().low, -behind.interval.unwrap().high);
    assert!(ahead.interval.unwrap().low > 0.0);
    let itself = found.difference(0, 2, Metric::Mrr, 20).unwrap();
    assert_eq!((itself.value, itself.interval), (0.0, Some(Interval { low: 0.0, high: 0.0 })));
    assert_eq!(found.difference(1, 1, Metric::Recall, 1), None);
    assert_eq!(found.difference(0, 1, Metric::Recall, 7), None);
}

#[test]
fn groups_add_up_to_the_whole() {
    let half = half_right();
    let found = compared(&[&half], 1);
    let at = half.metrics.last().unwrap();
    for Breakdown { by, groups, figures } in &found.breakdowns {
        assert_eq!(groups.iter().map(|g| g.cases).sum::<usize>(), half.cases, "{by:?}");
        for (metric, whole) in [at.recall, at.mrr, at.ndcg].into_iter().enumerate() {
            let parts = groups.iter().zip(&figures[metric][0]);
            let sum: f64 = parts.map(|(group, figure)| figure.value * group.cases as f64).sum();
            assert!((sum / half.cases as f64 - whole).abs() < 1e-12, "{by:?}");
        }
    }
    assert_eq!(found.breakdowns.len(), 4);
}

#[test]
fn a_comparison_repeats_on_any_number_of_threads() {
    let (half, oracle) = (half_right(), oracle());
    assert_eq!(compared(&[&half, &oracle], 1), compared(&[&half, &oracle], 3));
}

#[test]
#[should_panic(expected = "not of the same cases")]
fn models_judged_on_other_cases_are_not_compared() {
    let half = half_right();
    let mut other = half.clone();
    other.ranked.pop();
    compared(&[&half, &other], 1);
}

#[test]
fn examples_are_readable_sessions_and_repeat() {
    let (_, sessions) = chain();
    let shown = examples(&sessions, 4, 1);
    assert_eq!((shown.len(), &shown), (4, &examples(&sessions, 4, 1)));
    assert!(shown.is_sorted() && shown.iter().all(|&s| sessions.session(s).len() >= 3));
    assert_ne!(shown, examples(&sessions, 4, 2));
    let mut pairs = Sessions::new();
    pairs.push(&[1, 2], 0);
    assert_eq!(examples(&pairs, 3, 1), [0]);
}

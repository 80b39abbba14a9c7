//! Evaluation of models whose metrics can be computed by hand.

use super::*;
use crate::baselines::Pop;
use crate::contract::{ByLastItem, vocabulary};
use crate::ranking::TieRule;
use std::ops::ControlFlow;

fn options(cutoffs: &[usize]) -> EvaluationConfig {
    EvaluationConfig { cutoffs: cutoffs.to_vec(), ..Default::default() }
}

fn sessions(of: &[&[ItemIndex]]) -> Sessions {
    let mut sessions = Sessions::new();
    of.iter().for_each(|items| sessions.push(items, 0));
    sessions
}

fn judged(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    options: &EvaluationConfig,
) -> Result<Evaluation> {
    evaluate(model, items, sessions, options, 2, &|_| ControlFlow::Continue(()))
}

/// 30 items, and sessions in which item i is followed by item i + 1.
fn chain() -> (ItemVocabulary, Sessions) {
    (vocabulary(&[1; 30]), sessions(&[&[0, 1, 2, 3], &[7], &[10, 11], &[27, 28, 29], &[]]))
}

#[test]
fn a_constant_model_scores_zero_unless_ties_are_given_away() {
    let (items, sessions) = chain();
    let constant = ByLastItem::new(30, |_, _| 0.7);
    for (ties, rank, recall) in
        [(TieRule::Conservative, 30.0, 0.0), (TieRule::Standard, 1.0, 1.0), (TieRule::Median, 15.5, 1.0)]
    {
        let got = judged(&constant, &items, &sessions, &EvaluationConfig { ties, ..options(&[20]) }).unwrap();
        assert_eq!((got.cases, got.sessions, got.candidates), (6, 3, 30));
        assert_eq!(got.ranks(ties), [rank; 6]);
        assert_eq!(got.metrics[0].recall, recall);
    }
}

#[test]
fn a_model_that_knows_the_answer_scores_one() {
    let (items, sessions) = chain();
    let oracle =
        ByLastItem::new(30, |last, item| if item == last + 1 { 1.0 } else { -f32::from(item as u16) });
    let got = judged(&oracle, &items, &sessions, &options(&[1, 20])).unwrap();
    for at in got.metrics {
        assert_eq!((at.recall, at.mrr, at.ndcg), (1.0, 1.0, 1.0), "{}", at.k);
    }
}

#[test]
fn pop_has_the_figures_worked_out_by_hand() {
    // Order by support: 2 (9 events), then 0 and 3 (4 each), then 1 (1).
    let items = vocabulary(&[4, 1, 9, 4]);
    // Targets 2, 0, 1, 3: ranks 1, 3 (a tie), 4, 3 (a tie).
    let sessions = sessions(&[&[0, 2, 0], &[2, 1], &[1, 3]]);
    let pop = Pop::new(&items);
    let got =
        judged(&pop, &items, &sessions, &EvaluationConfig { lists: true, ..options(&[1, 2, 3]) }).unwrap();
    assert_eq!(got.ranks(TieRule::Conservative), [1.0, 3.0, 4.0, 3.0]);
    assert_eq!(got.ranks(TieRule::Standard), [1.0, 2.0, 4.0, 2.0]);
    assert_eq!(got.ranks(TieRule::Median), [1.0, 2.5, 4.0, 2.5]);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    let [at1, at2, at3] = got.metrics[..] else { panic!("three cut-offs") };
    assert_eq!([at1.recall, at1.mrr, at1.ndcg], [0.25; 3]);
    assert_eq!([at2.recall, at2.mrr], [0.25; 2]);
    near(at3.recall, 3.0 / 4.0);
    near(at3.mrr, (1.0 + 2.0 / 3.0) / 4.0);
    near(at3.ndcg, (1.0 + 2.0 / 2.0) / 4.0);
    // All lists are 2, 0, 3.
    for (at, coverage, popularity) in
        [(at1, 1.0 / 4.0, 1.0), (at2, 2.0 / 4.0, 13.0 / 18.0), (at3, 3.0 / 4.0, 17.0 / 27.0)]
    {
        near(at.coverage.unwrap(), coverage);
        near(at.popularity.unwrap(), popularity);
    }
}

#[test]
fn a_target_beside_the_popular_candidates_is_ranked_among_them_and_itself() {
    let items = vocabulary(&[4, 1, 9, 4, 2]);
    // Candidates 2 and 0 (3 has the same support and a higher index).
    let limited = EvaluationConfig { candidates: Some(2), lists: true, ..options(&[1, 2]) };
    let sessions = sessions(&[&[0, 2], &[2, 3], &[2, 1], &[2, 4]]);
    let model =
        ByLastItem::new(5, |_, item| [0.5, 0.5, 0.25, 0.75, -1.0].get(item as usize).copied().unwrap());
    let got = judged(&model, &items, &sessions, &limited).unwrap();
    let counts: Vec<(u32, u32)> = got.ranked.iter().map(|c| (c.larger, c.equal)).collect();
    assert_eq!(counts, [(1, 1), (0, 1), (0, 2), (2, 1)]);
    assert_eq!(got.candidates, 2);
    // Lists contain candidates only: 0, then 2.
    assert_eq!(got.metrics[1].coverage, Some(2.0 / 5.0));
    assert_eq!(got.metrics[0].popularity, Some(4.0 / 9.0));
}

#[test]
fn more_popular_candidates_than_items_are_all_items() {
    let (items, sessions) = chain();
    let model = ByLastItem::new(30, |last, item| ((last * 7 + item * 13) % 11) as f32);
    let all = judged(&model, &items, &sessions, &options(&[5])).unwrap();
    let limited = EvaluationConfig { candidates: Some(30_000), ..options(&[5]) };
    assert_eq!(judged(&model, &items, &sessions, &limited).unwrap().ranked, all.ranked);
}

#[test]
fn a_score_that_is_no_number_ends_the_evaluation() {
    let (items, sessions) = chain();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let model = ByLastItem::new(30, move |last, item| if (last, item) == (28, 4) { bad } else { 0.0 });
        let error = evaluate(&model, &items, &sessions, &options(&[20]), 1, &|_| ControlFlow::Continue(()))
            .unwrap_err();
        assert!(matches!(error, Error::NonFiniteScores { count: 1, scores: 60, .. }), "{error}");
        assert!(error.to_string().starts_with("by-last-item: 1 of 60 scores are not finite"), "{error}");
    }
    // A target that is not a candidate.
    let items = vocabulary(&[1, 9]);
    let model = ByLastItem::new(2, |_, item| if item == 0 { f32::NAN } else { 0.0 });
    let limited = EvaluationConfig { candidates: Some(1), ..options(&[1]) };
    let sessions = self::sessions(&[&[1, 0]]);
    let error = judged(&model, &items, &sessions, &limited).unwrap_err();
    assert!(matches!(error, Error::NonFiniteScores { count: 1, .. }), "{error}");
}

#[test]
fn sessions_without_a_case_are_an_error() {
    let items = vocabulary(&[1, 1]);
    let sessions = sessions(&[&[0], &[], &[1]]);
    let error = judged(&Pop::new(&items), &items, &sessions, &options(&[1])).unwrap_err();
    assert!(matches!(error, Error::NoCases { sessions: 3 }), "{error}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let (items, sessions) = chain();
    let error = judged(&Pop::new(&items), &items, &sessions, &options(&[0])).unwrap_err();
    assert!(error.to_string().starts_with("evaluation.cutoffs"), "{error}");
}

#[test]
fn progress_is_told_of_every_case() {
    let (items, sessions) = chain();
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let count = |cases| {
        seen.fetch_add(cases, std::sync::atomic::Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    let got = evaluate(&Pop::new(&items), &items, &sessions, &options(&[1]), 3, &count).unwrap();
    assert_eq!((seen.into_inner(), got.cases), (6, 6));
}

#[test]
fn progress_can_stop_an_evaluation() {
    let (items, sessions) = chain();
    let stop = |_| ControlFlow::Break(());
    let stopped = evaluate(&Pop::new(&items), &items, &sessions, &options(&[1]), 2, &stop);
    assert!(matches!(stopped, Err(crate::Error::Stopped)));
}

#[test]
fn an_evaluation_survives_json_without_its_cases() {
    let (items, sessions) = chain();
    let got = judged(&Pop::new(&items), &items, &sessions, &options(&[1, 20])).unwrap();
    let json = serde_json::to_value(&got).unwrap();
    assert!(json.get("ranked").is_none() && json["metrics"][0].get("coverage").is_none(), "{json}");
    let back: Evaluation = serde_json::from_value(json).unwrap();
    assert_eq!(back, Evaluation { ranked: Vec::new(), ..got });
}

//! The metrics of lists and hits of whole evaluations, against plain computations on lists made by `recommend`.

use super::*;
use crate::baselines::{BprMf, BprMfConfig, Markov, NoFields};
use crate::contract::{ByLastItem, example, vocabulary};
use crate::ranking::{Filter, TieRule, recommend};
use crate::recommender::SessionScorer;
use upnext_reference::lists as reference;

/// A model with vectors of its own choice.
#[derive(Debug)]
struct WithVectors<M> {
    scores: M,
    vectors: Vec<Vec<f32>>,
}

impl<M: Recommender> Recommender for WithVectors<M> {
    fn num_items(&self) -> usize {
        self.vectors.len()
    }

    fn vector(&self, item: ItemIndex) -> Option<&[f32]> {
        Some(&self.vectors[item as usize])
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        self.scores.scorer(rows)
    }
}

fn judged(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    options: &EvaluationConfig,
) -> Evaluation {
    evaluate(model, items, sessions, options, 3, &|_| ControlFlow::Continue(())).unwrap()
}

fn near(found: Option<f64>, expected: f64, what: &str) {
    match found {
        Some(found) => assert!((found - expected).abs() < 1e-9, "{what}: {found}, not {expected}"),
        None => assert!(expected.is_nan(), "{what} is missing, and should be {expected}"),
    }
}

/// Checks every metric of an evaluation of all sessions of the data.
fn is_that_of_plain_computations(model: &dyn Recommender, items: &ItemVocabulary, sessions: &Sessions) {
    for (candidates, ties) in [(None, TieRule::Conservative), (Some(30), TieRule::Median)] {
        let options = EvaluationConfig { cutoffs: vec![1, 4, 9, 20], ties, candidates, lists: true };
        let evaluation = judged(model, items, sessions, &options);
        let popular: Vec<ItemIndex> =
            items.by_support().into_iter().take(candidates.unwrap_or(usize::MAX)).collect();
        let (mut histories, mut rests) = (Vec::new(), Vec::new());
        for session in sessions.iter() {
            for i in 1..session.len() {
                histories.push(&session[..i]);
                rests.push(&session[i..]);
            }
        }
        let targets: Vec<ItemIndex> = rests.iter().map(|rest| rest[0]).collect();
        let filter = Filter { only: Some(popular.clone()), ..Filter::default() };
        let recommended = recommend(model, items, &histories, 20, &filter).unwrap();
        let lists: Vec<Vec<u32>> =
            recommended.iter().map(|list| list.entries.iter().map(|entry| entry.item).collect()).collect();
        let vectors: Option<Vec<Vec<f64>>> = (0..items.len() as u32)
            .map(|item| Some(model.vector(item)?.iter().map(|&x| f64::from(x)).collect()))
            .collect();
        let mut ranks = evaluation.ranks(ties).into_iter();
        let of_sessions: Vec<&[u32]> = sessions.iter().collect();
        let ranks: Vec<Vec<f64>> =
            of_sessions.iter().map(|s| ranks.by_ref().take(s.len().saturating_sub(1)).collect()).collect();
        assert!(evaluation.metrics.iter().any(|at| at.serendipity > Some(0.0) && at.repeats > Some(0.0)));
        for at in &evaluation.metrics {
            let k = at.k;
            near(at.gini, reference::gini(&lists, items.len(), k), "gini");
            near(at.novelty, reference::novelty(&lists, items.supports(), k), "novelty");
            let diversity = vectors.as_ref().map_or(f64::NAN, |v| reference::diversity(&lists, v, k));
            near(at.diversity, diversity, "diversity");
            near(at.serendipity, reference::serendipity(&lists, &targets, &popular, k), "serendipity");
            near(at.precision, reference::precision(&lists, &rests, k), "precision");
            near(at.map, reference::map(&lists, &rests, k), "map");
            near(at.repeats, reference::repeats(&of_sessions, &ranks, k), "repeats");
            near(at.last_hit, reference::last_hit(&ranks, k), "last_hit");
        }
    }
}

#[test]
fn metrics_of_lists_and_hits_are_those_of_plain_computations() {
    let data = example();
    let (items, sessions) = (&data.items, &data.sessions);
    is_that_of_plain_computations(&Markov::fit(&NoFields::default(), &data).unwrap(), items, sessions);
    is_that_of_plain_computations(&BprMf::fit(&BprMfConfig::default(), &data, 3).unwrap(), items, sessions);
    let scores = ByLastItem::new(items.len(), |last, item| ((last * 31 + item * 17) % 23) as f32);
    // Some items have no direction, and some are opposite to each other.
    let vectors = (0..items.len() as i16)
        .map(|i| vec![f32::from(i % 3 - 1), f32::from(i % 5 - 2) * f32::from(i % 2), 0.0])
        .collect();
    is_that_of_plain_computations(&WithVectors { scores, vectors }, items, sessions);
}

/// Items 0 to 4 with 8, 4, 2, 1 and 1 events, and a model whose lists are 4, 3, 2 for every case.
fn by_hand() -> (ItemVocabulary, Sessions, WithVectors<impl Recommender>) {
    let mut sessions = Sessions::new();
    sessions.push(&[0, 4, 0, 4, 2], 0);
    sessions.push(&[1, 0], 0);
    let vectors = vec![vec![1.0, 1.0], vec![1.0, 1.0], vec![0.0, -2.0], vec![0.0, 3.0], vec![0.5, 0.0]];
    let scores = ByLastItem::new(5, |_, item| item as f32);
    (vocabulary(&[8, 4, 2, 1, 1]), sessions, WithVectors { scores, vectors })
}

#[test]
fn metrics_have_the_figures_worked_out_by_hand() {
    let (items, sessions, model) = by_hand();
    let options = EvaluationConfig { cutoffs: vec![1, 3], lists: true, ..Default::default() };
    let [one, three] = judged(&model, &items, &sessions, &options).metrics[..] else {
        panic!("two cut-offs")
    };
    // One item in all of the five lists, and three.
    near(one.gini, 4.0 / 5.0, "gini@1");
    near(three.gini, 2.0 / 5.0, "gini@3");
    near(one.novelty, 4.0, "novelty@1");
    near(three.novelty, (4.0 + 4.0 + 3.0) / 3.0, "novelty@3");
    // The cosines of 4, 3 and 2 are 0, 0 and −1.
    assert_eq!(one.diversity, None);
    near(three.diversity, (1.0 + 1.0 + 2.0) / 3.0, "diversity@3");
    // Targets 4, 0, 4, 2 and 0: POP has 0 first, and 0, 1 and 2 among three.
    near(one.serendipity, 2.0 / 5.0, "serendipity@1");
    near(three.serendipity, 2.0 / 5.0, "serendipity@3");
    // Rests {4, 0, 2} twice, {4, 2}, {2}, {0}: the lists have 2, 2, 2, 1 and 0 of them.
    near(one.precision, 3.0 / 5.0, "precision@1");
    near(three.precision, 7.0 / 15.0, "precision@3");
    near(one.map, 3.0 / 5.0, "map@1");
    let pair = 1.0 + 2.0 / 3.0;
    near(three.map, (pair / 3.0 * 2.0 + pair / 2.0 + 1.0 / 3.0) / 5.0, "map@3");
    // Ranks 1, 5, 1, 3 and 5: the second 4 is a repeat.
    near(one.repeats, 1.0 / 2.0, "repeats@1");
    near(three.repeats, 1.0 / 3.0, "repeats@3");
    near(one.last_hit, 0.0, "last_hit@1");
    near(three.last_hit, 1.0 / 2.0, "last_hit@3");
}

#[test]
fn without_lists_only_the_metrics_of_hits_are_there() {
    let (items, sessions, model) = by_hand();
    let options = EvaluationConfig { cutoffs: vec![1, 3], ..Default::default() };
    let lists = EvaluationConfig { lists: true, ..options.clone() };
    let with = judged(&model, &items, &sessions, &lists).metrics[1];
    let without = judged(&model, &items, &sessions, &options).metrics[1];
    let MetricsAt { k, recall, mrr, ndcg, repeats, last_hit, .. } = with;
    assert_eq!(without, MetricsAt { k, recall, mrr, ndcg, repeats, last_hit, ..MetricsAt::default() });
    let json = serde_json::to_value(without).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 6, "{json}");
}

#[test]
fn misses_are_cases_without_a_relevant_item() {
    let (items, sessions, model) = by_hand();
    let options = EvaluationConfig { cutoffs: vec![1, 3], lists: true, ..Default::default() };
    let before = judged(&model, &items, &sessions, &options);
    let after = before.clone().counting_misses(4).counting_misses(1);
    for (before, after) in before.metrics.iter().zip(&after.metrics) {
        near(after.serendipity, before.serendipity.unwrap() / 2.0, "serendipity");
        near(after.precision, before.precision.unwrap() / 2.0, "precision");
        near(after.map, before.map.unwrap() / 2.0, "map");
        assert_eq!(
            (after.gini, after.novelty, after.diversity),
            (before.gini, before.novelty, before.diversity)
        );
        assert_eq!((after.repeats, after.last_hit), (before.repeats, before.last_hit));
    }
}

#[test]
fn a_model_of_fewer_items_has_the_inequality_of_all_of_them() {
    // The model knows the items 0 and 1 of four and lists 1, 0: the counts are 0, 0, 1 and 1 for each list.
    let (items, own) = (vocabulary(&[4, 3, 2, 1]), vocabulary(&[4, 3]));
    let mut sessions = Sessions::new();
    sessions.push(&[0, 1, 2], 0);
    let model = ByLastItem::new(2, |_, item| item as f32);
    let options = EvaluationConfig { cutoffs: vec![1, 2], lists: true, ..Default::default() };
    let go_on = |_| ControlFlow::Continue(());
    let (found, _) = evaluate_across((&model, &own), &items, &sessions, &options, 1, &go_on).unwrap();
    let [one, two] = found.metrics[..] else { panic!("two cut-offs") };
    near(one.gini, reference::gini(&[vec![1]], 4, 1), "gini@1");
    near(two.gini, reference::gini(&[vec![1, 0]], 4, 2), "gini@2");
    // The second case is a miss, since the model does not know 2.
    near(one.precision, 1.0 / 2.0, "precision@1");
    near(one.map, 1.0 / 2.0, "map@1");
    near(one.serendipity, 1.0 / 2.0, "serendipity@1");
    near(one.last_hit, 0.0, "last_hit@1");
    near(one.repeats, 0.0, "repeats@1");
}

#[test]
fn the_mean_of_metrics_lacks_what_one_of_them_lacks() {
    let (items, sessions, model) = by_hand();
    let options = EvaluationConfig { cutoffs: vec![1, 3], lists: true, ..Default::default() };
    let with = judged(&model, &items, &sessions, &options).metrics[1];
    let scores = ByLastItem::new(5, |_, item| -(item as f32));
    let other = judged(&scores, &items, &sessions, &options).metrics[1];
    let mean = MetricsAt::mean(&[with, other]).unwrap();
    let number = |at: &MetricsAt| serde_json::to_value(at).unwrap().as_object().unwrap().clone();
    let (with, other, mean) = (number(&with), number(&other), number(&mean));
    assert!(with.contains_key("diversity") && !mean.contains_key("diversity"));
    assert_eq!(mean.len(), with.len() - 1, "{mean:?}");
    for (name, value) in &mean {
        let [a, b] = [&with, &other].map(|of| of[name].as_f64().unwrap());
        near(value.as_f64(), f64::midpoint(a, b), name);
    }
    assert_eq!(MetricsAt::mean(&[]), None);
}

//! On public logs the baselines have the figures that others measured. Skipped where the folder of logs is missing.
//!
//! The figures were measured with other programs on the same cases: unknown test items dropped, then sessions
//! shorter than two; ties of a session's counts broken by popularity.

mod public_logs;

use public_logs::parts;
use std::ops::ControlFlow;
use upnext_core::baselines::{Pop, SPop};
use upnext_core::data::{Dataset, TestSessions};
use upnext_core::evaluation::{EvaluationConfig, evaluate};
use upnext_core::recommender::Recommender;

/// Recall@20, MRR@20 and the number of cases.
fn at_20(model: &dyn Recommender, train: &Dataset, test: &TestSessions) -> (f64, f64, usize) {
    let options = EvaluationConfig { cutoffs: vec![20], ..Default::default() };
    let got =
        evaluate(model, &train.items, &test.sessions, &options, 2, &|_| ControlFlow::Continue(())).unwrap();
    (got.metrics[0].recall, got.metrics[0].mrr, got.cases)
}

/// `figure` as it is published: with four digits.
fn is(figure: f64, published: f64) {
    assert!((figure - published).abs() <= 0.5e-4, "{figure}, not {published}");
}

#[test]
fn yoochoose_1_64_has_the_known_figures() {
    let Some((train, test)) = parts("yoochoose1_64") else { return };
    let (recall, mrr, cases) = at_20(&Pop::new(&train.items), &train, &test);
    assert_eq!(cases, 55_400);
    is(recall, 0.0737);
    is(mrr, 0.0170);
    let (recall, mrr, _) = at_20(&SPop::new(&train.items), &train, &test);
    is(recall, 0.3114);
    is(mrr, 0.1862);
}

#[test]
fn diginetica_has_the_known_figures() {
    let Some((train, test)) = parts("diginetica") else { return };
    is(at_20(&Pop::new(&train.items), &train, &test).0, 0.0093);
    is(at_20(&SPop::new(&train.items), &train, &test).0, 0.2108);
}

#[test]
fn pop_shows_the_same_list_to_everybody() {
    let Some((train, test)) = parts("yoochoose1_64") else { return };
    let options = EvaluationConfig { cutoffs: vec![20], lists: true, ..Default::default() };
    let got = evaluate(&Pop::new(&train.items), &train.items, &test.sessions, &options, 2, &|_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(got.metrics[0].coverage, Some(20.0 / 17_376.0));
}

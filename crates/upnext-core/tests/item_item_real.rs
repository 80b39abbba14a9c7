//! On public logs the models of the last item have the figures that others measured or published. Skipped where the
//! folder of logs is missing.
//!
//! Item-KNN and Markov were measured with other programs on the same cases; AR and SR are published (Ludewig et al.
//! 2020), for cases that may include unknown items.

mod public_logs;

use public_logs::parts;
use std::ops::ControlFlow;
use upnext_core::baselines::{
    AssociationRules, AssociationRulesConfig, ItemKnn, ItemKnnConfig, Markov, NoFields, SequentialRules,
    SequentialRulesConfig,
};
use upnext_core::data::{Dataset, TestSessions};
use upnext_core::evaluation::{EvaluationConfig, evaluate};
use upnext_core::recommender::Recommender;

/// Training and test part of a folder with both.
struct Parts {
    train: Dataset,
    test: TestSessions,
}

impl Parts {
    fn of(folder: &str) -> Option<Self> {
        let (train, test) = parts(folder)?;
        Some(Self { train, test })
    }

    /// Recall@20 and MRR@20.
    fn at_20(&self, model: &dyn Recommender) -> (f64, f64) {
        let options = EvaluationConfig { cutoffs: vec![20], ..Default::default() };
        let got = evaluate(model, &self.train.items, &self.test.sessions, &options, 2, &|_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        (got.metrics[0].recall, got.metrics[0].mrr)
    }

    fn item_knn(&self, regularization: f32, neighbours: usize) -> f64 {
        let config = ItemKnnConfig { regularization, neighbours };
        self.at_20(&ItemKnn::fit(&config, &self.train).unwrap()).0
    }

    fn markov(&self) -> (f64, f64) {
        self.at_20(&Markov::fit(&NoFields::default(), &self.train).unwrap())
    }
}

fn is_within(share: f64, figure: f64, known: f64) {
    assert!((figure / known - 1.0).abs() <= share, "{figure}, not {known}");
}

#[test]
fn item_knn_and_markov_have_the_known_figures_on_yoochoose_1_64() {
    let Some(parts) = Parts::of("yoochoose1_64") else { return };
    is_within(0.01, parts.item_knn(20.0, ItemKnnConfig::default().neighbours), 0.5327);
    let (recall, mrr) = parts.markov();
    is_within(0.01, recall, 0.657);
    is_within(0.01, mrr, 0.300);
}

#[test]
fn item_knn_and_markov_have_the_known_figures_on_diginetica() {
    let Some(parts) = Parts::of("diginetica") else { return };
    is_within(0.01, parts.item_knn(20.0, ItemKnnConfig::default().neighbours), 0.3715);
    is_within(0.01, parts.item_knn(0.0, ItemKnnConfig::default().neighbours), 0.3486);
    let (recall, mrr) = parts.markov();
    is_within(0.01, recall, 0.347);
    is_within(0.01, mrr, 0.129);
}

#[test]
fn a_hundred_neighbours_are_as_good_as_all() {
    let Some(parts) = Parts::of("yoochoose1_64") else { return };
    is_within(0.001, parts.item_knn(20.0, 100), parts.item_knn(20.0, usize::MAX));
}

#[test]
fn rules_have_the_published_figures_on_yoochoose_1_64() {
    let Some(parts) = Parts::of("yoochoose1_64") else { return };
    let rules = AssociationRules::fit(&AssociationRulesConfig::default(), &parts.train).unwrap();
    let (recall, mrr) = parts.at_20(&rules);
    is_within(0.02, recall, 0.6652);
    is_within(0.02, mrr, 0.2862);
    let rules = SequentialRules::fit(&SequentialRulesConfig::default(), &parts.train).unwrap();
    let (recall, mrr) = parts.at_20(&rules);
    is_within(0.02, recall, 0.6674);
    is_within(0.02, mrr, 0.3033);
}

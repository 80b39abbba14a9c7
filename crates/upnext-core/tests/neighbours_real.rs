//! On public logs the session neighbours have the published figures. Skipped where the folder of logs is missing.
//!
//! The published figures (Ludewig et al. 2020) are those of tuned parameters, which are not known here; ours were chosen
//! by Recall@20 on the last tenth of yoochoose1_64's training sessions, held out (22 points of VS-KNN, 9 of STAN, 4 of
//! VSTAN; S-KNN has its defaults). On yoochoose1_64 there are 55,400 cases without the test items that training does not
//! know, and 55,898 with them, as, it seems, in the published tables. Their diginetica is another split of the same log.

mod public_logs;

use public_logs::parts;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use upnext_core::baselines::{SKnn, SKnnConfig, Stan, StanConfig, VsKnn, VsKnnConfig, Vstan, VstanConfig};
use upnext_core::data::{Dataset, TestSessions};
use upnext_core::evaluation::{EvaluationConfig, evaluate};
use upnext_core::recommender::Recommender;

type Parts = Option<(Dataset, TestSessions)>;

fn yoochoose() -> Option<&'static (Dataset, TestSessions)> {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| parts("yoochoose1_64")).as_ref()
}

fn diginetica() -> Option<&'static (Dataset, TestSessions)> {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| parts("diginetica")).as_ref()
}

/// Recall@20 and MRR@20.
fn at_20(model: &dyn Recommender, (train, test): &(Dataset, TestSessions)) -> [f64; 2] {
    let options = EvaluationConfig { cutoffs: vec![20], ..Default::default() };
    let got =
        evaluate(model, &train.items, &test.sessions, &options, 2, &|_| ControlFlow::Continue(())).unwrap();
    [got.metrics[0].recall, got.metrics[0].mrr]
}

/// Both figures as they were measured when the parameters had been chosen, with four digits.
fn are(figures: [f64; 2], measured: [f64; 2]) {
    for (figure, measured) in figures.into_iter().zip(measured) {
        assert!((figure - measured).abs() <= 1e-4, "{figures:?}, not {measured}");
    }
}

/// Both figures within 2% of the published ones.
fn nearly_as_published(figures: [f64; 2], published: [f64; 2]) {
    for (figure, published) in figures.into_iter().zip(published) {
        assert!((figure / published - 1.0).abs() <= 0.02, "{figures:?}, published {published}");
    }
}

#[test]
fn s_knn_has_the_published_figures_on_yoochoose_1_64() {
    let Some(parts) = yoochoose() else { return };
    let figures = at_20(&SKnn::fit(&SKnnConfig::default(), &parts.0).unwrap(), parts);
    nearly_as_published(figures, [0.6423, 0.2522]);
    are(figures, [0.6412, 0.2512]);
}

#[test]
fn vs_knn_has_the_published_figures_on_yoochoose_1_64() {
    let Some(parts) = yoochoose() else { return };
    let figures = at_20(&VsKnn::fit(&VsKnnConfig::default(), &parts.0).unwrap(), parts);
    nearly_as_published(figures, [0.6961, 0.2879]);
    are(figures, [0.6985, 0.2876]);
}

#[test]
fn positions_age_and_nearness_help_on_yoochoose_1_64() {
    let Some(parts) = yoochoose() else { return };
    are(at_20(&Stan::fit(&StanConfig::default(), &parts.0).unwrap(), parts), [0.6992, 0.2872]);
    are(at_20(&Vstan::fit(&VstanConfig::default(), &parts.0).unwrap(), parts), [0.7066, 0.2882]);
}

#[test]
fn diginetica_has_figures_like_those_of_the_other_split() {
    let Some(parts) = diginetica() else { return };
    // Recall is 2.5% above the published one.
    are(at_20(&SKnn::fit(&SKnnConfig::default(), &parts.0).unwrap(), parts), [0.4968, 0.1725]);
    let figures = at_20(&VsKnn::fit(&VsKnnConfig::default(), &parts.0).unwrap(), parts);
    nearly_as_published(figures, [0.5203, 0.1841]);
    are(figures, [0.5150, 0.1827]);
}

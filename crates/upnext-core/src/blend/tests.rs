use super::lists::{List, union};
use super::*;
use crate::contract::{example, obeys_the_contract};
use crate::fit::{FitOptions, fit};
use crate::kind::Scale;
use crate::model::Model;
use crate::ranking::Entry;

fn experiment(members: &str) -> Experiment {
    let text = format!(
        "[model]\nkind = \"blend\"\nmembers = {members}\ndepth = 20\nheld_out = 0.3\n[training]\nepochs = 2\nbatch_size = 4\nsamples = 8\n"
    );
    Experiment::from_toml(&text, "blend.toml").unwrap()
}

fn fitted(members: &str) -> Model {
    fit(example(), &experiment(members), FitOptions::default().threads(2)).unwrap().model
}

const MEMBERS: &str = "[{ kind = \"gru4rec\", layers = [8] }, \"vstan\", \"sr\", \"repeat\"]";

#[test]
fn blends_obey_the_contract_and_return_from_their_arrays() {
    let data = example();
    let model = fitted(MEMBERS);
    obeys_the_contract(model.recommender(), &data.items, &data.sessions);
    let again = models::from_arrays(model.experiment(), &data.items, model.arrays()).unwrap();
    assert_eq!(again.arrays(), model.arrays());
    obeys_the_contract(again.recommender(), &data.items, &data.sessions);
}

#[test]
fn the_same_blend_for_any_number_of_threads() {
    let one = fit(example(), &experiment(MEMBERS), FitOptions::default().threads(1)).unwrap().model;
    assert_eq!(one.arrays(), fitted(MEMBERS).arrays());
}

#[test]
fn lists_hold_the_logarithms_of_probabilities() {
    let entry = |item, score| Entry { score, support: 1, item };
    let log = |list: &List, item| list.log_of(item).map(f32::exp);
    let near = |a: Option<f32>, b: f32| assert!((a.unwrap() - b).abs() < 1e-6, "{a:?} {b}");
    let list = List::new(&[entry(7, 2.0_f32.ln()), entry(3, 0.0), entry(5, 0.0)], Scale::Logit);
    near(log(&list, 7), 0.5);
    near(log(&list, 3), 0.25);
    assert_eq!(log(&list, 4), None);
    assert!((list.floor - (0.25_f32.ln() - 1.0)).abs() < 1e-6);
    let list = List::new(&[entry(7, 3.0), entry(3, 1.0), entry(5, 0.0), entry(6, -2.0)], Scale::Weight);
    near(log(&list, 7), 0.75);
    assert_eq!((log(&list, 5), list.items.len()), (None, 2));
    let list = List::new(&[entry(7, 1.25), entry(3, 0.5)], Scale::AboveOne);
    near(log(&list, 7), 0.25);
    assert_eq!(list.items.len(), 1);
    let empty = List::new(&[entry(7, -1.0)], Scale::Weight);
    assert_eq!((empty.items.len(), empty.floor), (0, -9.0));
    assert_eq!(union(&[list, empty]), [7]);
}

#[test]
fn members_are_names_or_tables_and_no_blends() {
    let experiment = experiment("[\"pop\", { kind = \"vs-knn\", k = 7 }]");
    let ModelConfig::Blend(blend) = &experiment.model else { panic!() };
    assert_eq!(blend.members[0].0, ModelConfig::of_kind(ModelKind::Pop));
    let ModelConfig::VsKnn(knn) = &blend.members[1].0 else { panic!() };
    assert_eq!(knn.k, 7);
    let refused = |members: &str, words: &[&str]| {
        let text = format!("[model]\nkind = \"blend\"\nmembers = {members}\n");
        let message = match Experiment::from_toml(&text, "blend.toml") {
            Err(error) => error.to_string(),
            Ok(experiment) => experiment.validate().unwrap_err().to_string(),
        };
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    refused("[\"pop\"]", &["2 to 16"]);
    refused("[\"pop\", \"blend\"]", &["cannot be a member"]);
    refused("[\"pop\", { kind = \"vs-knn\", k = 0 }]", &["members[1]", "vs-knn"]);
}

#[test]
fn a_log_that_is_too_short_is_refused() {
    let data = crate::data::Dataset::new(crate::contract::vocabulary(&[1, 1]), {
        let mut sessions = crate::data::Sessions::new();
        sessions.push(&[0, 1], 0);
        sessions
    });
    let message = fit(data, &experiment("[\"pop\", \"sr\"]"), FitOptions::default()).unwrap_err().to_string();
    assert!(message.contains("model.held_out"), "{message}");
}

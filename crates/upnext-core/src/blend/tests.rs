use super::*;
use crate::contract::{example, obeys_the_contract, vocabulary};
use crate::data::{Dataset, Sessions};
use crate::experiment::ModelConfig;
use crate::fit::{FitOptions, fit};
use crate::history::FitEvent;
use crate::model::Model;
use std::ops::ControlFlow;

fn experiment(members: &str, training: &str) -> Experiment {
    let text = format!(
        "[model]\nkind = \"blend\"\nmembers = {members}\ndepth = 20\nheld_out = 0.3\n[training]\nepochs = 2\nbatch_size = 4\nsamples = 8\n{training}"
    );
    Experiment::from_toml(&text, "blend.toml").unwrap()
}

fn fitted(members: &str, threads: usize) -> Model {
    fit(example(), &experiment(members, ""), FitOptions::default().threads(threads)).unwrap().model
}

const MEMBERS: &str = "[{ kind = \"gru4rec\", layers = [8] }, \"vstan\", \"sr\", \"repeat\"]";

#[test]
fn blends_obey_the_contract_and_return_from_their_arrays() {
    let data = example();
    let model = fitted(MEMBERS, 2);
    obeys_the_contract(model.recommender(), &data.items, &data.sessions);
    let again = models::from_arrays(model.experiment(), &data.items, model.arrays()).unwrap();
    assert_eq!(again.arrays(), model.arrays());
    obeys_the_contract(again.recommender(), &data.items, &data.sessions);
}

#[test]
fn the_same_blend_for_any_number_of_threads() {
    assert_eq!(fitted(MEMBERS, 1).arrays(), fitted(MEMBERS, 3).arrays());
}

#[test]
fn a_saved_blend_has_its_members_with_their_trainings() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("blend");
    let model = fitted(MEMBERS, 1);
    model.save(&folder).unwrap();
    let loaded = Model::load(&folder).unwrap();
    assert_eq!(loaded.arrays(), model.arrays());
    let artifact = crate::artifact::Artifact::load(&folder).unwrap();
    let names: Vec<&str> = artifact.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["gru4rec", "vstan", "sr", "repeat"]);
    let network = &artifact.members[0].artifact.manifest;
    assert_eq!(network.experiment.model.network().unwrap().layers, [8]);
    let chosen = network.training.selection.as_ref().unwrap();
    assert_eq!((chosen.epochs.len(), network.training.epochs.len()), (2, chosen.best_epoch));
    assert_eq!(loaded.training(), model.training());
}

#[test]
fn a_member_that_diverges_is_left_out_and_said() {
    let mut left_out = Vec::new();
    let mut observe = |event: FitEvent| {
        if let FitEvent::LeftOut { name, .. } = event {
            left_out.push(name.to_owned());
        }
        ControlFlow::Continue(())
    };
    let experiment = experiment(MEMBERS, "learning_rate = 1e30\noptimizer = \"sgd\"\n");
    let model =
        fit(example(), &experiment, FitOptions::default().threads(1).observer(&mut observe)).unwrap().model;
    assert_eq!(left_out, ["gru4rec"]);
    let names: Vec<String> = model.arrays().members.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["vstan", "sr", "repeat"]);
    let again = models::from_arrays(model.experiment(), model.items(), model.arrays()).unwrap();
    assert_eq!(again.arrays(), model.arrays());
    // Where nobody is left who reads the session, its error is the blend's.
    let experiment = self::experiment(
        "[{ kind = \"gru4rec\", layers = [8] }, \"pop\"]",
        "learning_rate = 1e30\noptimizer = \"sgd\"\n",
    );
    let error = fit(example(), &experiment, FitOptions::default().threads(1)).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
}

#[test]
fn a_blend_that_starts_from_another_keeps_its_weights_and_trains_its_network() {
    let first = fitted(MEMBERS, 1);
    let options = FitOptions::default().threads(1).init(first.clone());
    let next = fit(example(), &experiment(MEMBERS, ""), options).unwrap().model;
    let (before, after) = (first.arrays(), next.arrays());
    assert_eq!(before.tensors, after.tensors);
    assert_ne!(before.members[0], after.members[0]);
    assert_eq!(before.members[1..], after.members[1..]);
}

#[test]
fn scores_that_are_not_finite_are_reported() {
    let data = example();
    let model = fitted(MEMBERS, 1);
    let mut arrays = model.arrays();
    let (_, network) = &mut arrays.members[0];
    network.tensors.get_mut("layer0.bias").unwrap().values.fill(f32::NAN);
    let broken = models::from_arrays(model.experiment(), &data.items, arrays).unwrap();
    let filter = crate::ranking::Filter::default();
    let error =
        crate::ranking::recommend(broken.recommender(), &data.items, &[&[0]], 5, &filter).unwrap_err();
    assert!(matches!(error, Error::NonFiniteScores { .. }), "{error}");
}

#[test]
fn a_log_that_is_too_short_is_refused() {
    let mut sessions = Sessions::new();
    sessions.push(&[0, 1], 0);
    let data = Dataset::new(vocabulary(&[1, 1]), sessions);
    let refused = fit(data, &experiment("[\"pop\", \"sr\"]", ""), FitOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("model.held_out"), "{refused}");
}

#[test]
fn similar_items_are_those_of_the_first_member_that_can_tell() {
    let model = fitted(MEMBERS, 1);
    let Some(Similarities::Listed(SimilarityMeasure::VectorCosine, listed)) =
        model.recommender().similarities(0)
    else {
        panic!()
    };
    let own = listed.iter().find(|&&(item, _)| item == 0).unwrap().1;
    assert!((own - 1.0).abs() < 1e-5 && listed.iter().all(|&(_, cosine)| cosine > 0.0 && cosine < 1.0001));
    let listed = fitted("[\"repeat\", \"vstan\"]", 1).recommender().similarities(0).unwrap();
    assert_eq!(listed.measure(), SimilarityMeasure::SessionCosine);
}

#[test]
fn every_kind_can_be_a_member() {
    for kind in crate::experiment::ModelKind::ALL
        .into_iter()
        .filter(|&kind| kind != crate::experiment::ModelKind::Blend)
    {
        let mut experiment = experiment("[\"pop\", \"sr\"]", "");
        let ModelConfig::Blend(blend) = &mut experiment.model else { panic!() };
        blend.members[0] = Member::new(ModelConfig::of_kind(kind));
        let data = example();
        let model = fit(example(), &experiment, FitOptions::default().threads(1)).unwrap().model;
        obeys_the_contract(model.recommender(), &data.items, &data.sessions);
    }
}

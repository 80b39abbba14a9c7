//! `fit` gives the same model as a training on disk, for every kind; it can be stopped and continued.

use super::*;
use crate::data::ItemVocabulary;
use crate::data::items::{ColumnType, ItemTableOptions, tests::read_file};
use crate::evaluation::EvaluationConfig;
use crate::experiment::{ModelConfig, ModelKind};
use crate::ranking::Filter;
use crate::recommender::SimilarityMeasure;
use crate::training::{TrainingPlan, train};
use std::time::Duration;
use upnext_kernels::{Isa, activate};

/// Sessions that repeat after `period` items, on 12 items.
fn dataset(sessions: u32) -> Dataset {
    let mut data = Dataset::default();
    for s in 0..sessions {
        let items: Vec<u32> = (0..4).map(|t| (s * 5 + t) % 12).collect();
        for &item in &items {
            // Ids in the order of their indices.
            while data.items.len() <= item as usize {
                let next = data.items.len();
                data.items.add(&format!("item {next}"), 0);
            }
            data.items.add(&format!("item {item}"), 1);
        }
        data.sessions.push(&items, i64::from(s));
    }
    let rows: String = (0..12).map(|i| format!("item {i},{}\n", i / 3)).collect();
    let types = |options: &mut ItemTableOptions| {
        options.types.insert("shelf".to_owned(), ColumnType::Categories);
    };
    data.with_item_table(read_file("items.csv", format!("item,shelf\n{rows}"), types).unwrap())
}

fn experiment(kind: ModelKind) -> Experiment {
    let mut experiment = Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
    if kind == ModelKind::Gru4rec {
        experiment.set("model.layers=8").unwrap();
        experiment.set("training.dropout_hidden=0.2").unwrap();
    }
    experiment.training.batch_size = 4;
    experiment.training.samples = 6;
    experiment.training.epochs = 3;
    experiment
}

fn plan<'a>(
    data: &Arc<Dataset>,
    experiment: &'a Experiment,
    validation: Option<&'a Sessions>,
    out: &'a std::path::Path,
) -> TrainingPlan<'a> {
    TrainingPlan {
        data: Arc::clone(data),
        validation,
        refit: None,
        experiment,
        threads: 1,
        out,
        init: None,
        resume: false,
        checkpoint_every: Duration::ZERO,
        keep_training_state: true,
    }
}

#[test]
fn every_kind_is_fitted_in_memory_to_the_bits_of_a_training_with_folders() {
    let data = Arc::new(dataset(40));
    let mut valid = Sessions::new();
    valid.push(&[0, 1, 2], 0);
    valid.push(&[7, 3, 4], 0);
    let place = tempfile::tempdir().unwrap();
    for kind in ModelKind::ALL {
        for validation in [None, Some(&valid)] {
            let experiment = experiment(kind);
            let out = place.path().join(format!("{kind}-{}", validation.is_some()));
            let plan = plan(&data, &experiment, validation, &out);
            train(plan, &mut |_| ControlFlow::Continue(())).unwrap();
            let of_folder = Model::load(&out).unwrap();
            let mut options = FitOptions::default().threads(2).keep_training_state(true);
            if let Some(valid) = validation {
                options = options.validation(valid);
            }
            let fitted = fit(Arc::clone(&data), &experiment, options).unwrap();
            assert_eq!(fitted.model.arrays(), of_folder.arrays(), "{kind}");
            assert_eq!(fitted.model.experiment(), of_folder.experiment(), "{kind}");
            assert_eq!(fitted.history.best_epoch, of_folder.training().best_epoch, "{kind}");
            let session = ["item 3", "item 4"];
            let list = fitted.model.recommend(&session, 5).unwrap();
            assert_eq!(list, of_folder.recommend(&session, 5).unwrap(), "{kind}");
            let again = place.path().join(format!("{kind}-again"));
            fitted.model.save(&again).unwrap();
            assert_eq!(Model::load(&again).unwrap().recommend(&session, 5).unwrap(), list, "{kind}");
        }
    }
}

#[test]
fn a_second_training_on_all_of_the_data_has_the_bits_of_one_for_the_best_number_of_epochs() {
    let (part, whole) = (Arc::new(dataset(40)), Arc::new(dataset(60)));
    let mut valid = Sessions::new();
    valid.push(&[0, 1, 2], 0);
    valid.push(&[7, 3, 4], 0);
    let place = tempfile::tempdir().unwrap();
    for kind in ModelKind::ALL {
        let experiment = experiment(kind);
        let mut refits = 0;
        let mut observer = |event: FitEvent| {
            refits += usize::from(matches!(event, FitEvent::Refit(_)));
            ControlFlow::Continue(())
        };
        let options = FitOptions::default().threads(2).validation(&valid).refit(Arc::clone(&whole));
        let fitted = fit(Arc::clone(&part), &experiment, options.observer(&mut observer)).unwrap();
        let chosen = fitted.history.selection.as_ref().map(|selection| selection.best_epoch);
        assert_eq!(refits, usize::from(kind == ModelKind::Gru4rec), "{kind}");
        assert_eq!(chosen.is_some(), kind == ModelKind::Gru4rec, "{kind}");
        let mut plain = experiment.clone();
        plain.training.epochs = chosen.unwrap_or(experiment.training.epochs);
        let expected = fit(Arc::clone(&whole), &plain, FitOptions::default().threads(1)).unwrap().model;
        assert_eq!(fitted.model.arrays(), expected.arrays(), "{kind}");
        assert_eq!(fitted.history.sessions, 60, "{kind}");

        let out = place.path().join(kind.name());
        let plan =
            TrainingPlan { refit: Some(Arc::clone(&whole)), ..plan(&part, &experiment, Some(&valid), &out) };
        let outcome = train(plan, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(Model::load(&out).unwrap().arrays(), expected.arrays(), "{kind}");
        let best = |summary: &TrainingSummary| summary.selection.as_ref().map(|s| (s.best_epoch, s.sessions));
        assert_eq!(best(&outcome.summary), best(&fitted.history), "{kind}");
    }
    let options = FitOptions::default().refit(whole);
    let error = fit(part, &experiment(ModelKind::Gru4rec), options).unwrap_err();
    assert!(error.to_string().starts_with("refit: "), "{error}");
}

#[test]
fn an_observer_stops_a_fit_with_the_network_as_it_is() {
    let mut mini_batches = 0;
    let mut observer = |event: FitEvent| {
        mini_batches += usize::from(matches!(event, FitEvent::MiniBatch(_)));
        if mini_batches == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = FitOptions::default().threads(1).observer(&mut observer);
    let fitted = fit(dataset(40), &experiment(ModelKind::Gru4rec), options).unwrap();
    assert_eq!((fitted.ended, fitted.history.finished), (Ended::Interrupted, false));
    assert_eq!(mini_batches, 7);
    assert_eq!(fitted.model.recommend(&["item 1"], 2).unwrap().items.len(), 2);
}

#[test]
fn a_fit_starts_from_an_earlier_model_with_new_items() {
    let old = dataset(40);
    let experiment = experiment(ModelKind::Gru4rec);
    let options = FitOptions::default().threads(1).keep_training_state(true);
    let model = fit(old.clone(), &experiment, options).unwrap().model;
    let mut new = old;
    new.items.add("new", 3);
    new.sessions.push(&[12, 1, 12], 99);
    let fitted = fit(new, &experiment, FitOptions::default().threads(1).init(model.clone())).unwrap();
    assert_eq!(fitted.model.items().len(), 13);

    let mut other = ItemVocabulary::new();
    (0..12).for_each(|i| _ = other.add(&format!("other {i}"), 9));
    let foreign = Dataset::new(other, dataset(40).sessions);
    let refused = fit(foreign, &experiment, FitOptions::default().init(model)).unwrap_err();
    assert!(refused.to_string().contains("Dataset::extending"), "{refused}");
}

#[test]
fn vectors_and_similar_items_are_those_of_the_network() {
    let model = fit(dataset(60), &experiment(ModelKind::Gru4rec), FitOptions::default()).unwrap().model;
    let (width, vectors) = model.item_vectors().unwrap();
    assert_eq!((width, vectors.len()), (8, 8 * 12));
    let list = model.similar_items("item 3", 4).unwrap();
    let similar = &list.items;
    assert_eq!((list.measure, similar.len()), (SimilarityMeasure::VectorCosine, 4));
    assert!(similar.is_sorted_by(|a, b| a.similarity >= b.similarity));
    assert!(similar.iter().all(|s| s.id != "item 3"));
    let of = |id: &str| &vectors[model.items().index_of(id).unwrap() as usize * width..][..width];
    let (a, b) = (of("item 3"), of(&similar[0].id));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    assert!((dot(a, b) / (dot(a, a) * dot(b, b)).sqrt() - similar[0].similarity).abs() < 1e-5);
    assert!(matches!(model.similar_items("no", 1), Err(Error::UnknownItem { .. })));

    let session = model.session_vector(&["item 1", "item 2"]).unwrap();
    let list = model.recommend(&["item 1", "item 2"], 12).unwrap();
    let biases = model.item_biases().unwrap();
    assert_eq!(biases, model.arrays().tensors["output.bias"].values);
    for entry in &list.items {
        let item = model.items().index_of(&entry.id).unwrap();
        let score = dot(&session, of(&entry.id)) + biases[item as usize];
        assert!((score - entry.score).abs() < 1e-4, "{} {score} {}", entry.id, entry.score);
    }
    assert_eq!(model.session_vector(&["no"]), None);
    let pop = fit(dataset(9), &experiment(ModelKind::Pop), FitOptions::default()).unwrap().model;
    assert!(pop.item_vectors().is_none() && pop.session_vector(&["item 1"]).is_none());
}

#[test]
fn every_kind_compares_items_by_its_measure_or_names_the_kinds_that_do() {
    for kind in ModelKind::ALL {
        let model = fit(dataset(60), &experiment(kind), FitOptions::default()).unwrap().model;
        let found = model.similar_items("item 3", 5);
        match kind.similarity() {
            Some(measure) => {
                let found = found.unwrap();
                assert_eq!(found.measure, measure, "{kind}");
                assert!((1..=5).contains(&found.items.len()), "{kind}: {found:?}");
                let one = Filter {
                    only: Some(vec![model.items().index_of("item 4").unwrap(), 3]),
                    ..Filter::default()
                };
                let one = model.similar_items_filtered("item 3", 5, &one).unwrap();
                assert_eq!(one.items.iter().map(|s| &s.id).collect::<Vec<_>>(), ["item 4"], "{kind}");
            }
            None => {
                let refused = found.unwrap_err().to_string();
                assert!(refused.starts_with(&format!("{kind} cannot tell")), "{refused}");
                assert!(refused.contains("gru4rec, item-knn") && !refused.contains("s-pop,"), "{refused}");
            }
        }
        assert!(matches!(model.similar_items("no", 1), Err(Error::UnknownItem { .. })), "{kind}");
    }
    let cannot: Vec<ModelKind> =
        ModelKind::ALL.into_iter().filter(|kind| kind.similarity().is_none()).collect();
    assert_eq!(cannot, [ModelKind::Pop, ModelKind::DecayPop, ModelKind::SPop, ModelKind::Repeat]);
}

#[test]
fn products_of_vectors_and_biases_are_the_scores_of_every_kind_that_has_them() {
    let sessions: [&[u32]; 4] = [&[3], &[1, 2, 7, 3, 3], &[], &[11, 0]];
    let mut have = Vec::new();
    for kind in ModelKind::ALL {
        for biases in [false, true] {
            let mut experiment = experiment(kind);
            if biases && experiment.set("model.item_biases=true").is_err() {
                continue;
            }
            let model = fit(dataset(60), &experiment, FitOptions::default()).unwrap().model;
            let Some((width, items)) = model.item_vectors() else {
                assert_eq!(model.session_vectors(&sessions), None, "{kind}");
                assert_eq!((model.vector_width(), model.vector_activation()), (None, None), "{kind}");
                continue;
            };
            have.push((kind, model.item_biases().is_some()));
            let vectors = model.session_vectors(&sessions).unwrap();
            assert!(vectors[2 * width..3 * width].iter().all(|&x| x == 0.0));
            for (session, vector) in sessions.iter().zip(vectors.chunks(width)).filter(|(s, _)| !s.is_empty())
            {
                let ids: Vec<&str> = session.iter().map(|&item| model.items().id(item)).collect();
                assert_eq!(model.session_vector(&ids).unwrap(), vector, "{kind}");
                for entry in model.recommend(&ids, 12).unwrap().items {
                    let item = model.items().index_of(&entry.id).unwrap() as usize;
                    let terms = vector.iter().zip(&items[item * width..]).map(|(x, y)| f64::from(x * y));
                    let bias = f64::from(model.item_biases().map_or(0.0, |biases| biases[item]));
                    let size: f64 = terms.clone().map(f64::abs).sum::<f64>() + bias.abs();
                    let mut score = [(terms.sum::<f64>() + bias) as f32; 16];
                    activate(Isa::PORTABLE, model.vector_activation().unwrap(), &mut score);
                    assert!(f64::from((score[0] - entry.score).abs()) <= 1e-5 * size, "{kind}: {entry:?}");
                }
            }
        }
    }
    use ModelKind::{BprMf, Gru4rec, SessionAverage};
    let expected =
        [(Gru4rec, true), (BprMf, false), (BprMf, true), (SessionAverage, false), (SessionAverage, true)];
    assert_eq!(have, expected);
}

#[test]
fn observers_stop_evaluation_and_recommendation() {
    let data = dataset(40);
    let sessions = data.sessions.clone();
    let mut experiment = Experiment::default();
    experiment.set("model.kind=markov").unwrap();
    let model = fit(data, &experiment, FitOptions::default()).unwrap().model;
    let options = EvaluationConfig::default();
    let stopped = model.evaluate_observed(&sessions, &options, 2, &|_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    let (asked, filter) = (&mut 0, Filter::default());
    let some: Vec<[&str; 1]> = model.items().ids().take(3).map(|id| [id]).collect();
    let go_on = &mut || {
        *asked += 1;
        ControlFlow::Continue(())
    };
    let lists = model.recommend_observed(&some, 2, &filter, go_on).unwrap();
    assert_eq!(lists, model.recommend_many(&some, 2).unwrap());
    assert!(*asked > 0);
    let stopped = model.recommend_observed(&some, 2, &filter, &mut || ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
}

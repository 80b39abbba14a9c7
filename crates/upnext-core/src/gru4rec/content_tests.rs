//! Networks whose items have content, from training to new items.

use super::content::Content;
use super::network::Network;
use crate::data::items::{ColumnType, ItemTable, ItemTableOptions};
use crate::data::{Dataset, EventLog, TestSessions};
use crate::evaluation::{Births, EvaluationConfig, evaluate_with_births};
use crate::{Experiment, FitOptions, Model, fit};
use std::ops::ControlFlow;
use upnext_kernels::CounterRng;

fn table(text: &str) -> ItemTable {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("items.csv");
    std::fs::write(&path, text).unwrap();
    let mut options = ItemTableOptions::default();
    options.usual_types.insert("shelf".to_owned(), ColumnType::Categories);
    options.usual_types.insert("price".to_owned(), ColumnType::Number);
    ItemTable::read(&path, &options).unwrap()
}

/// Sessions that stay on one of four shelves, among its first `items` items.
fn log(sessions: std::ops::Range<u64>, items: u64) -> EventLog {
    let mut log = EventLog::new();
    for s in sessions {
        let shelf = s % 4;
        for t in 0..4 {
            let item = CounterRng::new(1, 0).below(4 * s + t, items);
            log.push(&format!("s{s:03}"), &format!("i{shelf}-{item}"), (10 * s + t) as i64);
        }
    }
    log
}

fn all_items() -> String {
    let mut text = "item,shelf,price\n".to_owned();
    for shelf in 0..4 {
        (0..10).for_each(|item| text += &format!("i{shelf}-{item},shelf {shelf},{}\n", item % 3));
    }
    text
}

fn experiment() -> Experiment {
    let mut experiment = Experiment::default();
    for field in [
        "model.layers=[16]",
        "model.attributes=[\"*\"]",
        "training.epochs=4",
        "training.batch_size=8",
        "training.samples=16",
        "training.dropout_item=0.3",
    ] {
        experiment.set(field).unwrap();
    }
    experiment
}

fn trained() -> Model {
    let data = Dataset::from_log(log(0..120, 8)).unwrap().0.with_item_table(table(&all_items()));
    fit(data, &experiment(), FitOptions::default().keep_training_state(true)).unwrap().model
}

/// The scores of all items after a session, by id.
fn scores(model: &Model, session: &[&str]) -> Vec<(String, u32)> {
    let list = model.recommend(session, model.items().len()).unwrap();
    let mut scores: Vec<_> = list.items.into_iter().map(|item| (item.id, item.score.to_bits())).collect();
    scores.sort();
    scores
}

#[test]
fn a_saved_model_has_the_same_bits_and_a_damaged_one_is_refused() {
    let model = trained();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("m");
    model.save(&path).unwrap();
    let loaded = Model::load(&path).unwrap();
    assert_eq!(loaded.arrays(), model.arrays());
    let mut arrays = model.arrays();
    let table = arrays.tensors.get_mut("content.features").unwrap();
    table.shape[0] -= 1;
    let refused = Content::take(&mut arrays, 32).unwrap_err().to_string();
    assert!(refused.contains("content.features"), "{refused}");
    let mut all = experiment();
    all.set("training.dropout_item=1").unwrap();
    assert!(all.validate().unwrap_err().to_string().contains("training.dropout_item"));
    assert_eq!(scores(&loaded, &["i0-1", "i0-2"]), scores(&model, &["i0-1", "i0-2"]));
    assert_eq!(
        model.attributes(),
        [("shelf".to_owned(), ColumnType::Categories), ("price".to_owned(), ColumnType::Number)]
    );
}

#[test]
fn new_items_are_recommended_where_their_content_belongs_and_others_stay() {
    let model = trained();
    let before = scores(&model, &["i2-1", "i2-3"]);
    let new = model.with_items(&table(&all_items())).unwrap();
    assert_eq!((new.added, new.known, new.model.items().len()), (8, 32, 40));
    let after = scores(&new.model, &["i2-1", "i2-3"]);
    assert!(before.iter().all(|score| after.contains(score)));
    let rank = |id: &str| {
        let list = new.model.recommend(&["i2-1", "i2-3"], 40).unwrap();
        list.items.iter().position(|item| item.id == id).unwrap()
    };
    for item in [8, 9] {
        let own = rank(&format!("i2-{item}"));
        assert!(
            own < 20
                && (0..4).filter(|&shelf| shelf != 2).all(|shelf| own < rank(&format!("i{shelf}-{item}")))
        );
    }
    // A session of nothing but a new item is understood.
    let list = new.model.recommend(&["i3-9"], 8).unwrap();
    assert!(!list.fell_back);
    let of_shelf = list.items.iter().filter(|item| item.id.starts_with("i3-")).count();
    assert!(of_shelf >= 6, "{list:?}");
    let item = |id| new.model.items().index_of(id).unwrap();
    assert!(new.model.is_new(item("i3-9")) && !new.model.is_new(item("i3-1")));
    // Through a file, and once more.
    let place = tempfile::tempdir().unwrap();
    new.model.save(place.path().join("m")).unwrap();
    let loaded = Model::load(place.path().join("m")).unwrap();
    assert_eq!(scores(&loaded, &["i3-9"]), scores(&new.model, &["i3-9"]));
    assert_eq!(loaded.with_items(&table(&all_items())).unwrap().added, 0);
}

#[test]
fn a_network_without_content_of_the_same_rows_gives_the_same_scores() {
    let model = trained().with_items(&table(&all_items())).unwrap().model;
    let network = model.network().unwrap();
    let mut tensors = network.tensors_without_content();
    let plain =
        Network::from_tensors(network.config().clone(), network.output_activation(), 40, &mut tensors);
    let plain = plain.unwrap();
    for item in 0..40 {
        assert_eq!(plain.item_table().values(item), network.item_table().values(item));
    }
}

#[test]
fn training_goes_on_from_the_vectors_of_new_items() {
    let model = trained().with_items(&table(&all_items())).unwrap().model;
    let mut log = log(120..200, 10);
    let (data, _) = Dataset::extending(&log.grouped(), model.items().clone()).unwrap();
    let mut experiment = experiment();
    experiment.set("training.epochs=1").unwrap();
    experiment.set("training.learning_rate=1e-9").unwrap();
    let rows = |model: &Model| {
        let network = model.network().unwrap();
        let rows = (0..40).map(|item| network.item_table().values(item).to_vec());
        rows.collect::<Vec<_>>()
    };
    let before = rows(&model);
    // The table is that of the earlier model.
    let fitted = fit(data, &experiment, FitOptions::default().init(model)).unwrap();
    let after = rows(&fitted.model);
    assert!(before.iter().flatten().zip(after.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn models_without_content_refuse_new_items_and_attributes_need_a_table() {
    let data = Dataset::from_log(log(0..40, 8)).unwrap().0;
    let refused = fit(data.clone(), &experiment(), FitOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("attributes") && refused.contains("item table"), "{refused}");
    let data = data.with_item_table(table(&all_items()));
    for (kind, says) in [("pop", "pop model"), ("gru4rec", "without attributes")] {
        let mut experiment = Experiment::default();
        experiment.set(&format!("model.kind={kind}")).unwrap();
        let model = fit(data.clone(), &experiment, FitOptions::default()).unwrap().model;
        let refused = model.with_items(&table(&all_items())).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
    let lacking = trained().with_items(&table("item,shelf\ni9-9,shelf 1\n")).unwrap_err().to_string();
    assert!(lacking.contains("lacks the column `price`"), "{lacking}");
}

#[test]
fn an_item_is_a_candidate_from_its_first_event_on() {
    let model = trained().with_items(&table(&all_items())).unwrap().model;
    let mut log = EventLog::new();
    // i0-8 is born at 105, i0-9 at 200; i1-9 is in no session.
    let events =
        [("a", "i0-1", 100), ("a", "i0-2", 101), ("b", "i0-1", 104), ("b", "i0-8", 105), ("c", "i0-2", 110)];
    for (session, item, time) in events.into_iter().chain([("c", "i0-1", 111), ("d", "i0-9", 200)]) {
        log.push(session, item, time);
    }
    let test = TestSessions::from_log(log, model.items()).unwrap();
    let options = EvaluationConfig::default();
    let go_on = |_| ControlFlow::Continue(());
    let births = Births::new(model.items(), &test, |_| None);
    assert_eq!(births.born(), 2);
    let (recommender, items) = (model.recommender(), model.items());
    let found = evaluate_with_births(recommender, items, &births, &options, 2, &go_on).unwrap();
    // By hand: the rank among the known items, and those of the new ones that are born.
    let rank = |session: &[&str], target: &str, born: &[&str]| {
        let list = model.recommend(session, 40).unwrap().items;
        let exists = |id: &str| !id.ends_with("-8") && !id.ends_with("-9") || born.contains(&id);
        1.0 + list.iter().take_while(|item| item.id != target).filter(|item| exists(&item.id)).count() as f64
    };
    let by_hand = [
        rank(&["i0-1"], "i0-2", &[]),
        rank(&["i0-1"], "i0-8", &["i0-8"]),
        rank(&["i0-2"], "i0-1", &["i0-8"]),
    ];
    assert_eq!(found.ranks(found.ties), by_hand);
    let of = |new: bool| found.of_targets(&test.sessions, |item| (items.support(item) == 0) == new).0;
    assert_eq!((of(true), of(false)), (1, 2));
    // The catalogue may know an earlier birth.
    let earlier = Births::new(items, &test, |item| (items.id(item) == "i1-9").then_some(0));
    assert_eq!(earlier.born(), 3);
}

//! Tests of `inspect` for models.

mod shop;

use shop::{Shop, assert_refused, damaged_models, json, stdout, upnext};
use std::ops::ControlFlow;
use upnext_core::experiment::ModelKind;

const NOTHING: [&str; 0] = [];

#[test]
fn trained_network_shows_what_it_is_and_how_it_was_trained() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Gru4rec);
    let shown = json(&upnext("inspect", &path, &["--json"]));
    assert_eq!(shown["kind"], "gru4rec");
    assert_eq!(shown["items"], model.items().len());
    assert_eq!((&shown["finished"], &shown["has_training_state"]), (&true.into(), &true.into()));
    assert_eq!((&shown["format"], &shown["format_version"]), (&"upnext-model".into(), &2.into()));
    assert_eq!(shown["experiment"]["training"]["learning_rate"], 0.05);
    assert_eq!(shown["training"]["epochs"].as_array().unwrap().len(), 3);
    // One GRU layer of 8 units over a shared table of 8 columns: the table and its bias, three gates of 8 × (8 + 8 +
    // 1).
    let expected = model.items().len() * 9 + 3 * 8 * 17;
    assert_eq!(shown["parameters"], expected);
    let keys: Vec<&str> =
        shown["changed"].as_array().unwrap().iter().map(|c| c["key"].as_str().unwrap()).collect();
    let expected = ["model.layers", "training.batch_size", "training.epochs", "training.learning_rate"];
    assert_eq!(keys[..4], expected);
    for file in shown["files"].as_array().unwrap() {
        let size = std::fs::metadata(path.join(file["name"].as_str().unwrap())).unwrap().len();
        assert_eq!(file["bytes"], size);
    }
    assert_eq!(shown["files"].as_array().unwrap().len(), std::fs::read_dir(&path).unwrap().count());
    let most_popular = model.items().by_support()[0];
    assert_eq!(shown["most_popular"][0]["item_id"], model.items().id(most_popular));

    let text = stdout(&upnext("inspect", &path, &NOTHING));
    let best = format!("{}*", model.training().best_epoch.unwrap());
    for word in [
        "gru4rec",
        "finished, with",
        "training.learning_rate",
        "0.05",
        "recall@20",
        "MRR@20",
        &best,
        "weights-",
        "upnext-model 2",
        &model.training().instruction_set,
        model.items().id(most_popular),
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn model_that_counts_has_no_parameters_and_the_default_configuration() {
    let shop = Shop::new();
    let (path, _) = shop.train(ModelKind::Pop);
    let shown = json(&upnext("inspect", &path, &["--json"]));
    assert_eq!((&shown["kind"], &shown["parameters"]), (&"pop".into(), &0.into()));
    assert!(
        shown["changed"].as_array().unwrap().is_empty() && shown["tensors"].as_array().unwrap().is_empty()
    );
    let text = stdout(&upnext("inspect", &path, &NOTHING));
    assert!(text.contains("the default") && !text.contains("loss"), "{text}");
}

#[test]
fn checkpoint_is_called_one() {
    let shop = Shop::new();
    let (path, _) = shop.train_with(ModelKind::Gru4rec, |mini_batches| {
        if mini_batches == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(path.ends_with("gru4rec.checkpoint"));
    let text = stdout(&upnext("inspect", &path, &NOTHING));
    assert!(text.contains("a checkpoint: training is not finished"), "{text}");
    assert_eq!(json(&upnext("inspect", &path, &["--json"]))["finished"], false);
}

#[test]
fn damaged_models_fail_and_the_file_is_named() {
    let shop = Shop::new();
    let (path, _) = shop.train(ModelKind::Gru4rec);
    for (damaged, words) in damaged_models(&shop, &path) {
        assert_refused(&upnext("inspect", &damaged, &["--json"]), 1, &words);
    }
    // Files that only further training reads are checked, too.
    let training = shop::file_of(&path, "training");
    let mut bytes = std::fs::read(&training).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(training, bytes).unwrap();
    assert_refused(&upnext("inspect", &path, &NOTHING), 1, &["training-", "checksum"]);
}

#[test]
fn folder_that_is_neither_model_nor_prepared_is_told_what_it_lacks() {
    let shop = Shop::new();
    std::fs::create_dir(shop.path("photos")).unwrap();
    let notes = shop.file("notes.txt", "");
    assert_refused(&upnext("inspect", &notes, &NOTHING), 1, &["notes.txt", "empty"]);
    let words = ["photos", "no manifest.json", "no statistics.json"];
    assert_refused(&upnext("inspect", &shop.path("photos"), &NOTHING), 1, &words);
    assert_refused(&upnext("inspect", &shop.path("missing"), &NOTHING), 1, &["missing", "cannot open"]);
    assert_eq!(shop.names(), ["notes.txt", "photos"]);
}

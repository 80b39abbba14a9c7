//! Tests of items that come after the training: by admin calls, from a file, and with later models.

use crate::shop::{ADMIN_KEY, EVENING, KEY, MORNING, Shop, items, keys, metric, save_model_of, until};
use serde_json::{Value, json};
use std::path::Path;
use upnext_core::experiment::ModelKind;
use upnext_core::model::Model;
use upnext_server::Setup;

/// A shop whose model compares items by their attribute `sort`, with keys.
fn shop(change: impl FnOnce(&Path, &mut Setup)) -> Shop {
    try_shop(change).unwrap()
}

fn try_shop(change: impl FnOnce(&Path, &mut Setup)) -> Result<Shop, upnext_server::Error> {
    Shop::try_with(|place, setup| {
        let model = place.join("content");
        save_model_of(ModelKind::ContentKnn, &model, MORNING);
        setup.config.model = Some(model);
        setup.keys.admin = keys().admin;
        change(place, setup);
    })
}

/// The ids of the list after a session, those of new items with a `*`.
fn list(shop: &Shop, session: &[&str]) -> Vec<String> {
    let answer = shop.client().post("/v1/recommend", json!({"session": session})).json(200);
    let entries = answer["recommendations"].as_array().unwrap();
    let shown = |entry: &Value| {
        let mark = if entry["new"] == true { "*" } else { "" };
        format!("{}{mark}", entry["item_id"].as_str().unwrap())
    };
    entries.iter().map(shown).collect()
}

#[test]
fn new_items_are_read_and_recommended_at_once_and_by_every_model_that_is_loaded_later() {
    let shop = shop(|place, setup| {
        save_model_of(ModelKind::ContentKnn, &place.join("later"), EVENING);
        setup.config.models_dir = Some(place.to_owned());
    });
    let mut admin = shop.client().with_key(ADMIN_KEY);
    let before = admin.get("/v1/model").json(200);
    assert_eq!((&before["items"], &before["new_items"]), (&json!(5), &json!(0)));
    assert_eq!(list(&shop, &["kettle"]), ["cup", "tea", "pot", "kettle", "bread"]);

    let two = json!({"items": [{"item_id": "mug", "sort": "hot"}, {"item_id": "bun", "sort": ["food"]}]});
    let answer = admin.post("/v1/admin/items", &two).json(200);
    assert_eq!((&answer["added"], &answer["known"]), (&json!(2), &json!(0)));
    let model = &answer["models"][0];
    assert_eq!((&model["items"], &model["new_items"]), (&json!(7), &json!(2)));
    let version = |model: &Value| model["version"].as_str().unwrap().to_owned();
    assert!(version(model).starts_with(&format!("{}+", version(&before))), "{model}");
    assert_eq!(list(&shop, &["kettle"])[..4], ["cup", "tea", "pot", "mug*"]);
    assert_eq!(list(&shop, &["bun"])[0], "bread");
    let similar = shop.client().get("/v1/items/mug/similar").json(200);
    assert_eq!(similar["similar"].as_array().unwrap().len(), 4, "{similar}");
    assert_eq!(metric(&mut shop.client(), r#"upnext_new_items{role="first"}"#), 2.0);
    assert_eq!(metric(&mut shop.client(), r#"upnext_item_changes_total{outcome="loaded"}"#), 1.0);

    // Once more, and another: what is known stays.
    let again = json!({"items": [{"item_id": "mug", "sort": "food"}, {"item_id": "tea", "sort": null}]});
    let answer = admin.post("/v1/admin/items", &again).json(200);
    assert_eq!((&answer["added"], &answer["known"]), (&json!(0), &json!(2)));
    assert_eq!(list(&shop, &["kettle"])[3], "mug*");

    // A later model has them too, and has learnt the wine in the meantime.
    let later = admin.post("/v1/admin/reload", json!({"path": "later"})).json(200);
    assert_eq!((&later["items"], &later["new_items"]), (&json!(6), &json!(2)));
    assert_eq!(list(&shop, &["kettle"])[1], "mug*");
}

#[test]
fn items_come_one_a_line_too() {
    let shop = shop(|_, setup| setup.config.max_new_items = 2);
    let mut admin = shop.client().with_key(ADMIN_KEY);
    let mut send = |lines: &str| {
        admin.send_with(
            "POST",
            "/v1/admin/items",
            "content-type: application/x-ndjson",
            Some(lines.as_bytes()),
        )
    };
    let answer = send("{\"item_id\": \"mug\", \"sort\": \"hot\"}\n\n{\"item_id\": \"bun\"}").json(200);
    assert_eq!(answer["added"], 2);
    let problem = send("{\"item_id\": \"jug\"}\n{\"item\": 3}\n").problem(422);
    assert!(problem["field"].as_str().unwrap().starts_with("line 2"), "{problem}");
    let problem = send("{\"item_id\": \"jug\"}\n").problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("max_new_items"), "{problem}");
    send("{\"item_id\": \"a\"}\n{\"item_id\": \"b\"}\n{\"item_id\": \"c\"}\n").problem(413);
    assert_eq!(send("{\"item_id\": \"mug\"}\n").json(200)["known"], 1);
    assert_eq!(send("").json(200)["models"][0]["new_items"], 2);
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_added() {
    let shop = shop(|_, _| {});
    let mut admin = shop.client().with_key(ADMIN_KEY);
    for (items, field, says) in [
        (json!([{"item_id": "mug", "colour": "red"}]), "items[0].colour", "has `sort`"),
        (json!([{"item_id": "mug", "sort": {"a": 1}}]), "items[0].sort", "is an object"),
        (json!([{"item_id": "a"}, {"item_id": "a"}]), "items[1].item_id", "twice"),
        (json!([{"item_id": "a"}, {"item_id": ""}]), "items[1].item_id", "no id"),
        (json!([{"item_id": "a".repeat(5_000)}]), "items[0].item_id", "5000 bytes"),
        (json!([{"sort": "hot"}]), "items[0].item_id", "missing"),
        (json!([{"item_id": 3}]), "items[0].item_id", "invalid type"),
    ] {
        let problem = admin.post("/v1/admin/items", json!({"items": items})).problem(422);
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    let twice = r#"{"items": [{"item_id": "mug", "sort": "a", "sort": "b"}]}"#;
    let problem = admin.post("/v1/admin/items", twice).problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("duplicate"), "{problem}");
    assert_eq!(admin.get("/v1/model").json(200)["new_items"], 0);
    assert_eq!(metric(&mut shop.client(), r#"upnext_item_changes_total{outcome="refused"}"#), 5.0);

    shop.client().post("/v1/admin/items", json!({"items": []})).problem(401);
    let rules = Shop::with(|_, setup| setup.keys = keys());
    rules.client().with_key(KEY).post("/v1/admin/items", json!({"items": []})).problem(403);
    let mut admin = rules.client().with_key(ADMIN_KEY);
    let problem = admin.post("/v1/admin/items", json!({"items": [{"item_id": "mug"}]})).problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("model.attributes"), "{problem}");
}

#[test]
fn a_file_of_new_items_is_read_at_the_start_and_again_when_it_changes() {
    let shop = shop(|place, setup| {
        std::fs::write(place.join("new.csv"), "item_id,sort\nmug,hot\ntea,hot\n").unwrap();
        setup.config.items_file = Some(place.join("new.csv"));
        setup.config.poll_ms = 10;
    });
    assert_eq!(list(&shop, &["kettle"])[..4], ["cup", "tea", "pot", "mug*"]);
    let new = |shop: &Shop| shop.client().get("/v1/model").json(200)["new_items"].clone();
    std::fs::write(shop.path("new.csv"), "item_id,sort\nmug,hot\nbun,food\n").unwrap();
    until(|| new(&shop) == 2);
    // A file that does not fit changes nothing, and the server says so until one does.
    std::fs::write(shop.path("new.csv"), "item_id,colour\njug,red\n").unwrap();
    let degraded = |shop: &Shop| shop.client().get("/readyz").json(200)["degraded"].to_string();
    until(|| degraded(&shop).contains("`sort`"));
    assert_eq!(new(&shop), 2);
    std::fs::write(shop.path("new.csv"), "item_id,sort\njug,hot\n").unwrap();
    until(|| new(&shop) == 3);
    assert_eq!(degraded(&shop), "null");
    // What is in the model of the next night is new no more.
    let place = shop.path("content");
    let sessions: Vec<&str> = MORNING.iter().copied().chain(["kettle jug", "kettle jug"]).collect();
    save_model_of(ModelKind::ContentKnn, &place, &sessions);
    let mut admin = shop.client().with_key(ADMIN_KEY);
    let loaded = admin.post("/v1/admin/reload", json!({})).json(200);
    assert_eq!((&loaded["items"], &loaded["new_items"]), (&json!(6), &json!(0)));

    for (file, model, says) in [
        ("item_id,colour\nmug,red\n", ModelKind::ContentKnn, "items_file: "),
        ("item_id,sort\nmug,hot\n", ModelKind::Markov, "is of no use"),
    ] {
        let refused = try_shop(|place, setup| {
            std::fs::write(place.join("new.csv"), file).unwrap();
            save_model_of(model, &place.join("other"), MORNING);
            setup.config.model = Some(place.join("other"));
            setup.config.items_file = Some(place.join("new.csv"));
        });
        let message = refused.err().expect("a refusal").to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_saved_model_with_new_items_marks_them() {
    let shop = shop(|place, setup| {
        let (model, out) = (Model::load(place.join("content")).unwrap(), place.join("more"));
        let table = model.item_table().unwrap();
        let mug = [("mug".to_owned(), json!({"sort": "hot"}).as_object().unwrap().clone())];
        model.with_items(&table.of_json(&mug).unwrap()).unwrap().model.save(&out).unwrap();
        setup.config.model = Some(out);
    });
    assert_eq!(list(&shop, &["kettle"])[..4], ["cup", "tea", "pot", "mug*"]);
    let answer = shop.client().post("/v1/recommend", json!({"session": ["mug"]})).json(200);
    assert_eq!(answer["unknown_items"], json!([]));
    assert_eq!(items(&answer)[0], "cup");
}

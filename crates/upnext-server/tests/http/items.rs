//! Tests of item search and lookup, and of a second model that requests can name.

use crate::shop::{EVENING, KEY, MORNING, Shop, items, keys, save_model, save_model_of};
use serde_json::{Value, json};
use upnext_core::experiment::ModelKind;
use upnext_server::ServerConfig;

/// Titles of some items of the shop, and of an unknown one.
const TITLES: &str = "item_id,title,price\ncup,Blue <b>cup</b>,3\npot,Cosy pot,\nwine,Red wine,9\n";

fn with_titles(change: impl FnOnce(&mut ServerConfig)) -> Shop {
    Shop::with(|place, setup| {
        let file = place.join("titles.csv");
        std::fs::write(&file, TITLES).unwrap();
        setup.config.catalogue_file = Some(file);
        change(&mut setup.config);
    })
}

fn found(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|item| item["item_id"].as_str().unwrap()).collect()
}

#[test]
fn items_are_found_by_id_and_title_with_popular_ones_first() {
    let shop = with_titles(|_| {});
    let mut client = shop.client();
    let mut find = |query: &str| client.get(&format!("/v1/items?{query}")).json(200);
    let answer = find("query=c");
    assert_eq!(found(&answer), ["cup", "pot"]);
    let cup = json!({"item_id": "cup", "title": "Blue <b>cup</b>", "details": {"price": "3"}, "events": 4});
    assert_eq!(answer["items"][0], cup);
    assert_eq!(answer["items"][1], json!({"item_id": "pot", "title": "Cosy pot", "events": 1}));
    assert_eq!(found(&find("query=POT%20co")), ["pot"]);
    // Items unknown to the model are not found.
    assert_eq!(found(&find("query=wine")), Vec::<&str>::new());
    assert_eq!(found(&find("limit=2")), ["cup", "kettle"]);
    assert_eq!(found(&Shop::open().client().get("/v1/items?query=co").json(200)), Vec::<&str>::new());
}

#[test]
fn items_are_filtered_by_the_columns_that_the_catalogue_lists() {
    let shop = with_titles(|_| {});
    let mut client = shop.client();
    let catalogue = client.get("/v1/catalogue").json(200);
    assert_eq!(catalogue["columns"], json!([{"name": "price", "values": ["3", "9"]}]));
    assert_eq!((&catalogue["pictures"], &catalogue["most_items"]), (&json!(false), &json!(1000)));
    assert_eq!(found(&client.get("/v1/items?where=price%3D3").json(200)), ["cup"]);
    assert_eq!(found(&client.get("/v1/items?query=c&where=price%3D3&where=price%3D3").json(200)), ["cup"]);
    // An item without a value has none, and the model does not know the wine.
    assert_eq!(found(&client.get("/v1/items?where=price%3D").json(200)), Vec::<&str>::new());
    assert_eq!(found(&client.get("/v1/items?where=price%3D9").json(200)), Vec::<&str>::new());
    for wrong in ["where=colour%3Dblue", "where=price", "where=title%3DRed+wine", "where="] {
        assert_eq!(client.get(&format!("/v1/items?{wrong}")).problem(422)["field"], "where", "{wrong}");
    }
    let none = Shop::open().client().get("/v1/catalogue").json(200);
    assert_eq!((&none["columns"], &none["pictures"]), (&json!([]), &json!(false)));
    Shop::open().client().get("/v1/items?where=price%3D3").problem(422);
}

#[test]
fn sessions_of_a_log_are_offered_to_be_replayed_without_their_ids() {
    let shop = Shop::with(|place, setup| {
        let file = place.join("test.csv");
        let log = "SessionId,ItemId,Time\nanna,cup,1700000000\nanna,<b>,1700000001\nanna,tea,1700000002\nbea,cup,1700000000\n";
        std::fs::write(&file, log).unwrap();
        setup.config.examples_log = Some(file);
    });
    let answer = shop.client().get("/v1/examples").json(200);
    assert_eq!(answer, json!({"examples": [{"items": ["cup", "<b>", "tea"]}]}));
    assert_eq!(Shop::open().client().get("/v1/examples").json(200), json!({"examples": []}));
    let refused = Shop::try_with(|place, setup| setup.config.examples_log = Some(place.join("none.csv")));
    assert!(refused.err().expect("a refusal").to_string().contains("none.csv"));
}

#[test]
fn ids_are_looked_up_in_their_order_whatever_they_are() {
    let shop = with_titles(|_| {});
    let ids = ["<script>alert(1)</script>", "wine", "", "cup", "wine", "\u{0}\n\"'"];
    let answer = shop.client().post("/v1/items/lookup", json!({"ids": ids})).json(200);
    assert_eq!(found(&answer), ids);
    assert_eq!(answer["items"][0], json!({"item_id": ids[0], "events": null}));
    assert_eq!(answer["items"][1]["title"], "Red wine");
    assert_eq!(answer["items"][3]["events"], 4);
}

#[test]
fn wrong_questions_about_items_are_refused_with_the_field() {
    let shop = with_titles(|config| {
        (config.default_k, config.max_k, config.max_query_bytes) = (2, 2, 5);
        config.max_session_events = 1;
    });
    let mut client = shop.client();
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=3", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("query=abcdef", "query"),
        ("query=%C3%A9%C3%A9%C3%A9", "query"),
    ] {
        assert_eq!(client.get(&format!("/v1/items?{query}")).problem(422)["field"], field, "{query}");
    }
    client.get("/v1/items?q=a").problem(400);
    client.get("/v1/items?query=%FF").problem(400);
    for (body, field) in [
        (json!({"ids": ["a", "b", "c", "d"]}), "ids"),
        (json!({"ids": ["a", "x".repeat(5_000)]}), "ids[1]"),
        (json!({"ids": [1]}), "ids[0]"),
        (json!({}), "ids"),
    ] {
        assert_eq!(client.post("/v1/items/lookup", &body).problem(422)["field"], field, "{body}");
    }
}

#[test]
fn items_and_models_need_a_key_where_the_server_has_one() {
    let shop = Shop::with(|_, setup| setup.keys = keys());
    for path in ["/v1/items", "/v1/models", "/v1/catalogue", "/v1/examples"] {
        shop.client().get(path).problem(401);
        shop.client().with_key(KEY).get(path).json(200);
    }
    shop.client().post("/v1/items/lookup", json!({"ids": []})).problem(401);
}

#[test]
fn a_catalogue_that_cannot_be_read_keeps_the_server_from_starting() {
    let message = Shop::try_with(|place, setup| {
        let file = place.join("titles.csv");
        std::fs::write(&file, "item_id,title\na,b\na,c\n").unwrap();
        setup.config.catalogue_file = Some(file);
    });
    let message = message.err().expect("a refusal").to_string();
    assert!(message.contains("titles.csv:3: column `item_id`: `a` stands"), "{message}");
}

#[test]
fn who_names_the_second_model_is_answered_by_it_and_nobody_else() {
    let shop = Shop::with(|place, setup| {
        save_model_of(ModelKind::ItemKnn, &place.join("evening"), EVENING);
        std::fs::write(place.join("block"), "wine\n").unwrap();
        setup.config.compare_model = Some(place.join("evening"));
        setup.config.block_file = Some(place.join("block"));
    });
    let mut client = shop.client();
    let mut ask = |body: Value| client.post("/v1/recommend", body).json(200);
    let kettle = |model: Value| json!({"session": ["kettle"], "k": 1, "model": model});
    let (second, first) = (ask(kettle(json!("evening"))), ask(kettle(json!("morning"))));
    assert_eq!((&second["model"]["name"], items(&second)), (&json!("evening"), vec!["bread"]));
    assert_eq!((&first["model"]["name"], items(&first)), (&json!("morning"), vec!["tea"]));
    assert_eq!(ask(kettle(Value::Null)), first);
    // Block and allow lists apply to both models.
    let all = ask(json!({"session": [], "model": "evening"}));
    assert!(!items(&all).contains(&"wine") && items(&all).contains(&"tea"), "{all}");
    let batch = json!({"requests": [{"session": ["kettle"], "k": 1}], "model": "evening"});
    let batch = client.post("/v1/recommend/batch", batch).json(200);
    assert_eq!((&batch["model"], items(&batch["lists"][0])), (&second["model"], vec!["bread"]));

    let models = client.get("/v1/models").json(200)["models"].clone();
    assert_eq!((&models[0]["name"], &models[1]["name"]), (&json!("morning"), &json!("evening")));
    assert_eq!((&models[1]["items"], &models[1]["allowed_items"]), (&json!(4), &json!(3)));
    let problem = client.post("/v1/recommend", kettle(json!("noon"))).problem(422);
    assert_eq!(problem["field"], "model");
    assert!(problem["detail"].as_str().unwrap().contains("`morning`, `evening`"), "{problem}");
    let one_by_one = json!({"requests": [{"session": [], "model": "evening"}]});
    let problem = client.post("/v1/recommend/batch", one_by_one).problem(422);
    assert_eq!(problem["field"], "requests[0].model");
}

#[test]
fn two_models_of_one_name_are_refused() {
    let message = Shop::try_with(|place, setup| {
        save_model(&place.join("evening"), MORNING);
        (setup.config.compare_model, setup.config.name) =
            (Some(place.join("evening")), Some("evening".to_owned()));
    });
    let message = message.err().expect("a refusal").to_string();
    assert!(message.contains("`evening`") && message.contains("--name"), "{message}");
}

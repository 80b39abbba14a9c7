//! Tests of similar items.

use crate::shop::{EVENING, KEY, MORNING, Shop, keys, save_model, save_model_of, until};
use serde_json::{Value, json};
use std::path::Path;
use upnext_core::experiment::ModelKind;
use upnext_server::Setup;

/// Serves a model of a kind, fitted to the morning.
fn of_kind(kind: ModelKind, change: impl FnOnce(&Path, &mut Setup)) -> Shop {
    Shop::with(|place, setup| {
        setup.config.model = Some(place.join("kind"));
        save_model_of(kind, setup.config.model.as_ref().unwrap(), MORNING);
        change(place, setup);
    })
}

/// The ids of a list, most similar first.
fn listed(answer: &Value) -> Vec<&str> {
    let entries = answer["similar"].as_array().expect("a list");
    assert!((1..).zip(entries).all(|(rank, entry)| entry["rank"] == rank), "{answer}");
    entries.iter().map(|entry| entry["item_id"].as_str().unwrap()).collect()
}

#[test]
fn items_that_share_sessions_are_similar_and_the_answer_names_model_and_measure() {
    let shop = of_kind(ModelKind::SKnn, |_, _| {});
    let similarity = |answer: &Value, i: usize| answer["similar"][i]["similarity"].as_f64().unwrap();
    // Bread is in two of the four sessions of the cup.
    let bread = shop.client().get("/v1/items/bread/similar").json(200);
    assert_eq!(listed(&bread), ["cup"]);
    assert!((similarity(&bread, 0) - 0.5_f64.sqrt()).abs() < 1e-6, "{bread}");
    // Tea is in three sessions, all of them with the kettle, two with the cup, one with the pot, which has no other.
    let answer = shop.client().get("/v1/items/tea/similar").json(200);
    assert_eq!((listed(&answer)[0], listed(&answer).len()), ("kettle", 3));
    assert_eq!(similarity(&answer, 0), 1.0);
    assert!((1..3).all(|i| (similarity(&answer, i) - (1.0 / 3.0_f64).sqrt()).abs() < 1e-6), "{answer}");
    assert_eq!((&answer["item_id"], &answer["measure"]), (&json!("tea"), &json!("session-cosine")));
    let model = &answer["model"];
    assert_eq!((&model["name"], &model["kind"]), (&json!("kind"), &json!("s-knn")));
    assert_eq!(model["version"], shop.client().get("/v1/model").json(200)["version"]);
}

#[test]
fn every_kind_that_can_answers_and_the_others_say_which_can() {
    // The network has learnt too little from these sessions to be asked, and a blend needs more.
    let unfit = [ModelKind::Gru4rec, ModelKind::Blend];
    for kind in ModelKind::ALL.into_iter().filter(|kind| !unfit.contains(kind)) {
        let shop = of_kind(kind, |_, _| {});
        let reply = shop.client().get("/v1/items/kettle/similar");
        match kind.similarity() {
            Some(measure) => {
                let answer = reply.json(200);
                assert_eq!(answer["measure"], measure.name(), "{kind}");
                assert!(listed(&answer).contains(&"tea") && !listed(&answer).contains(&"kettle"), "{answer}");
            }
            None => {
                let detail = reply.problem(409)["detail"].clone();
                assert!(detail.as_str().unwrap().contains("gru4rec, item-knn"), "{detail}");
            }
        }
    }
}

#[test]
fn lists_hold_what_the_request_and_the_served_lists_allow() {
    let shop = of_kind(ModelKind::BprMf, |place, setup| {
        std::fs::write(place.join("block"), "bread\n").unwrap();
        setup.config.block_file = Some(place.join("block"));
    });
    let mut client = shop.client();
    let mut list = |query: &str| {
        let answer = client.get(&format!("/v1/items/tea/similar?{query}")).json(200);
        listed(&answer).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = list("");
    assert_eq!(all.len(), 3, "all but tea itself and the blocked bread: {all:?}");
    assert_eq!(list("k=2"), all[..2]);
    assert_eq!(list(&format!("k=2&exclude={}&exclude=never%20seen", all[0])), all[1..]);
    assert_eq!(list(&format!("only={}&only=bread&only=tea&only={}", all[2], all[0])), [&*all[0], &*all[2]]);
    assert_eq!(list("only=bread"), Vec::<String>::new());
    assert_eq!(list("min_similarity=1.5"), Vec::<String>::new());
    assert_eq!(list("min_similarity=-1"), all);
    // A blocked item is not listed, and can be asked for.
    client.get("/v1/items/bread/similar").json(200);
}

#[test]
fn ids_are_percent_encoded_and_titles_come_from_the_catalogue() {
    let shop = Shop::with(|place, setup| {
        setup.config.model = Some(place.join("odd"));
        let sessions = ["a/b ü?", "a/b lookup", "lookup ü?"];
        save_model_of(ModelKind::ItemKnn, setup.config.model.as_ref().unwrap(), &sessions);
        std::fs::write(place.join("titles.csv"), "item_id,title\na/b,Both <b>\nü?,\n").unwrap();
        setup.config.catalogue_file = Some(place.join("titles.csv"));
    });
    let mut client = shop.client();
    let both = client.get("/v1/items/a%2Fb/similar").json(200);
    assert_eq!((&both["item_id"], &both["title"]), (&json!("a/b"), &json!("Both <b>")));
    let mut others = listed(&both);
    others.sort_unstable();
    assert_eq!(others, ["lookup", "ü?"]);
    assert_eq!(both["similar"][0]["title"], Value::Null);
    let odd = client.get("/v1/items/%C3%BC%3F/similar?only=a%2Fb").json(200);
    assert_eq!((listed(&odd), &odd["similar"][0]["title"]), (vec!["a/b"], &json!("Both <b>")));
    assert_eq!(listed(&client.get("/v1/items/lookup/similar?exclude=%C3%BC?").json(200)), ["a/b"]);
}

#[test]
fn wrong_requests_are_refused_with_the_field_and_unknown_items_are_not_found() {
    let shop = Shop::with(|_, setup| {
        (setup.config.default_k, setup.config.max_k, setup.config.max_list_items) = (2, 3, 2);
        setup.config.max_item_id_bytes = 20;
    });
    let mut client = shop.client();
    let long = "x".repeat(21);
    for (path, field) in [
        ("tea/similar?k=0".to_owned(), "k"),
        ("tea/similar?k=4".to_owned(), "k"),
        ("tea/similar?k=-1".to_owned(), "k"),
        ("tea/similar?min_similarity=inf".to_owned(), "min_similarity"),
        ("tea/similar?exclude=a&exclude=b&exclude=c".to_owned(), "exclude"),
        (format!("tea/similar?only={long}"), "only"),
        ("tea/similar?model=noon".to_owned(), "model"),
        (format!("{long}/similar"), "id"),
    ] {
        assert_eq!(client.get(&format!("/v1/items/{path}")).problem(422)["field"], field, "{path}");
    }
    client.get("/v1/items/tea/similar?limit=2").problem(400);
    assert_eq!(client.get("/v1/items/%FF/similar").problem(400)["field"], "id");
    let unknown = client.get("/v1/items/never%20seen/similar").problem(404);
    assert!(unknown["detail"].as_str().unwrap().contains("`never seen`"), "{unknown}");
    client.get("/v1/items/tea/like").problem(404);
    client.send("POST", "/v1/items/tea/similar", Some(b"{}")).problem(405);
    let text = client.get("/metrics").text().to_owned();
    let line = r#"upnext_requests_total{method="GET",route="/v1/items/{id}/similar",status="404"} 1"#;
    assert!(text.lines().any(|own| own == line), "{text}");
    // Similar items are no sessions.
    assert!(text.contains("upnext_batch_sessions_count 0\n") && text.contains("upnext_queue_sessions 0\n"));
}

#[test]
fn a_key_is_needed_where_there_is_one_and_the_second_model_answers_if_it_is_named() {
    let shop = Shop::with(|place, setup| {
        setup.keys = keys();
        save_model(&place.join("evening"), EVENING);
        setup.config.compare_model = Some(place.join("evening"));
    });
    shop.client().get("/v1/items/kettle/similar").problem(401);
    let mut client = shop.client().with_key(KEY);
    let mut list = |query: &str| {
        let answer = client.get(&format!("/v1/items/kettle/similar?{query}")).json(200);
        (answer["model"]["name"].clone(), listed(&answer).join(" "))
    };
    assert_eq!(list(""), (json!("morning"), "tea".to_owned()));
    assert_eq!(list("model=evening"), (json!("evening"), "bread".to_owned()));
}

#[test]
fn a_request_waits_for_the_compute_threads_and_a_full_queue_refuses_it() {
    let shop = Shop::with(|place, setup| {
        let sessions: Vec<String> = (0..2_000).map(|i| format!("{i} {}", (i + 1) % 2_000)).collect();
        let sessions: Vec<&str> = sessions.iter().map(String::as_str).collect();
        setup.config.model = Some(place.join("many"));
        save_model_of(ModelKind::BprMf, setup.config.model.as_ref().unwrap(), &sessions);
        (setup.config.queue_sessions, setup.config.max_batch_sessions, setup.config.batch_sessions) =
            (64, 64, 64);
        (setup.config.max_k, setup.config.max_answer_entries) = (2_000, 2_000 * 64);
        (setup.config.max_request_work, setup.config.request_timeout_ms) = (u64::MAX >> 24, 60_000);
    });
    let long: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    let ask = |request: Value| json!({"requests": vec![request; 64]}).to_string();
    let [mut busy, mut waiting, mut third] = [(); 3].map(|()| shop.client());
    busy.ask(
        "POST",
        "/v1/recommend/batch",
        Some(ask(json!({"session": long, "k": 2_000, "why": true})).as_bytes()),
    );
    until(|| third.get("/metrics").text().contains("upnext_batch_sessions_count 1\n"));
    waiting.ask("GET", "/v1/items/7/similar", None);
    until(|| third.get("/metrics").text().contains("upnext_queue_sessions 1\n"));
    let mut full = shop.client();
    full.ask("POST", "/v1/recommend/batch", Some(ask(json!({"session": []})).as_bytes()));
    assert_eq!(full.reply().unwrap().problem(503)["status"], 503, "64 more do not fit");
    drop(busy);
    assert_eq!(listed(&waiting.reply().unwrap().json(200)).len(), 20);
    until(|| third.get("/metrics").text().contains("upnext_queue_sessions 0\n"));
}

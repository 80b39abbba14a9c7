//! Tests of two models: shares of the sessions, shadow lists, and separate reloading.

use crate::shop::{ADMIN_KEY, Client, EVENING, MORNING, Shop, items, keys, metric, save_model, until};
use serde_json::{Value, json};
use upnext_server::ServerConfig;

/// A shop with the second model `evening`.
fn with_second(change: impl FnOnce(&mut ServerConfig)) -> Shop {
    Shop::with(|place, setup| {
        save_model(&place.join("evening"), EVENING);
        setup.config.compare_model = Some(place.join("evening"));
        setup.keys.admin = keys().admin;
        change(&mut setup.config);
    })
}

fn click(client: &mut Client, session: &str) -> Value {
    client.post(&format!("/v1/sessions/{session}/events"), json!({"item": "kettle", "k": 1})).json(200)
}

#[test]
fn a_share_of_the_sessions_is_answered_by_the_second_model_and_each_session_by_one_alone() {
    let shop = with_second(|config| config.compare_share = 0.5);
    let mut client = shop.client();
    let mut by_second = 0;
    for session in 0..60 {
        let session = session.to_string();
        let first = click(&mut client, &session);
        let evening = first["model"]["name"] == "evening";
        assert_eq!(items(&first), if evening { ["bread"] } else { ["tea"] });
        // A session stays with its model, and a stateless request with its id, too.
        assert_eq!(click(&mut client, &session)["model"], first["model"]);
        let stateless = json!({"session": ["kettle"], "session_id": session});
        assert_eq!(client.post("/v1/recommend", stateless).json(200)["model"], first["model"]);
        by_second += usize::from(evening);
    }
    assert!((15..=45).contains(&by_second), "{by_second} of 60 at a share of a half");
    // Without an id, there is no session to assign, and a named model takes precedence over the share.
    let plain = client.post("/v1/recommend", json!({"session": ["kettle"]})).json(200);
    assert_eq!(plain["model"]["name"], "morning");
    for session in 0..10 {
        let named = json!({"session": [], "session_id": session.to_string(), "model": "morning"});
        assert_eq!(client.post("/v1/recommend", named).json(200)["model"]["name"], "morning");
    }
    assert_eq!(metric(&mut client, r#"upnext_lists_total{role="second"}"#), 3.0 * by_second as f64);
}

#[test]
fn a_session_id_beside_a_session_has_the_bounds_of_one_in_a_path() {
    let shop = with_second(|_| {});
    let mut client = shop.client();
    for id in [String::new(), "x".repeat(257), "a\0".to_owned()] {
        let problem = client.post("/v1/recommend", json!({"session": [], "session_id": id})).problem(422);
        assert_eq!(problem["field"], "session_id");
    }
}

#[test]
fn the_shadow_is_asked_what_the_first_was_and_nobody_sees_it() {
    let shop = with_second(|config| config.compare_shadow = 1.0);
    let mut client = shop.client();
    for session in ["a", "b", "c"] {
        let answer = click(&mut client, session);
        assert_eq!((items(&answer), &answer["model"]["name"]), (vec!["tea"], &json!("morning")));
    }
    client.post("/v1/recommend", json!({"session": [], "session_id": "d", "k": 5})).json(200);
    // Shadow lists are computed after the responses.
    until(|| metric(&mut client, "upnext_shadow_overlap_count") == 4.0);
    assert_eq!(metric(&mut client, "upnext_shadows_dropped_total"), 0.0);
    // After `kettle`, the lists of length 1 have no common item. The popular items of the morning are cup, tea, kettle,
    // bread and pot; three of the evening's kettle, bread, tea and wine are among them.
    assert_eq!(metric(&mut client, "upnext_shadow_overlap_sum"), 3.0 / 5.0);
    assert_eq!(metric(&mut client, r#"upnext_lists_total{role="first"}"#), 4.0);
    assert_eq!(metric(&mut client, r#"upnext_lists_total{role="second"}"#), 0.0);
}

#[test]
fn each_model_is_replaced_alone_and_never_by_one_of_the_others_name() {
    let shop = with_second(|config| {
        let models = config.compare_model.as_ref().unwrap().parent().unwrap().join("models");
        std::fs::create_dir(&models).unwrap();
        for (name, sessions) in [("noon", &["kettle wine"][..]), ("morning", MORNING)] {
            save_model(&models.join(name), sessions);
        }
        config.models_dir = Some(models);
    });
    let mut admin = shop.client().with_key(ADMIN_KEY);
    let names = |client: &mut Client| {
        let models = client.get("/v1/models").json(200)["models"].clone();
        [&models[0]["name"], &models[1]["name"]].map(|name| name.as_str().unwrap().to_owned())
    };
    let mut reload = |body: Value| admin.post("/v1/admin/reload", body);
    assert_eq!(reload(json!({"replace": "evening"})).json(200)["name"], "evening");
    assert_eq!(reload(json!({"path": "noon", "replace": "evening"})).json(200)["name"], "noon");
    assert_eq!(names(&mut shop.client()), ["morning", "noon"]);
    assert_eq!(reload(json!({"replace": "evening"})).problem(422)["field"], "replace");
    let problem = reload(json!({"path": "morning", "replace": "noon"})).problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("`morning`"), "{problem}");
    assert_eq!(names(&mut shop.client()), ["morning", "noon"]);
    let text = shop.client().get("/metrics").text().to_owned();
    assert!(text.contains(r#"role="first",name="morning""#) && text.contains(r#"role="second",name="noon""#));
}

#[test]
fn a_model_whose_folder_changes_is_loaded_and_a_broken_one_only_refused() {
    let shop = with_second(|config| {
        (config.watch_models, config.poll_ms, config.reload_min_items) = (true, 5, 0.0);
    });
    let mut client = shop.client();
    let reloads = |client: &mut Client, outcome: &str| {
        let name = format!("upnext_reloads_total{{outcome=\"{outcome}\"}}");
        if client.get("/metrics").text().contains(&name) { metric(client, &name) } else { 0.0 }
    };
    assert_eq!(items(&click(&mut client, "v1")), ["tea"]);
    save_model(&shop.path("morning"), &["kettle pot"]);
    until(|| items(&click(&mut client, "v1")) == ["pot"]);
    let loaded = reloads(&mut client, "loaded");
    // An incomplete model, as during a copy.
    let manifest = shop.path("morning/manifest.json");
    let whole = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    until(|| reloads(&mut client, "refused") > 0.0);
    assert_eq!(items(&click(&mut client, "v1")), ["pot"]);
    std::fs::write(&manifest, &whole).unwrap();
    until(|| reloads(&mut client, "loaded") > loaded);
    // The second model's folder is watched, too.
    save_model(&shop.path("evening"), &["kettle wine"]);
    let ask = json!({"session": ["kettle"], "k": 1, "model": "evening"});
    until(|| items(&client.post("/v1/recommend", &ask).json(200)) == ["wine"]);
}

//! Tests of events: they count once under their keys, have types, and are logged with the lists that were shown.

use crate::shop::{Client, Reply, Shop, items, metric};
use serde_json::{Value, json};
use std::path::Path;

/// Sends an event under a key.
fn send(client: &mut Client, session: &str, key: &str, body: &Value) -> Reply {
    let path = format!("/v1/sessions/{session}/events");
    client.send_with("POST", &path, &format!("idempotency-key: {key}"), Some(body.to_string().as_bytes()))
}

/// The text of all complete files of a folder with this ending.
fn logged(dir: &Path, ending: &str) -> String {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.to_str().unwrap().ends_with(ending));
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn an_event_that_is_sent_twice_counts_once_in_session_and_log() {
    let shop = Shop::with(|place, setup| {
        setup.config.event_log_dir = Some(place.join("events"));
        setup.config.session_file = Some(place.join("sessions"));
    });
    let mut client = shop.client();
    let click = json!({"item": "kettle", "k": 1});
    let first = send(&mut client, "v1", "e-1", &click).json(200);
    assert_eq!(first.get("repeated"), None);
    let again = send(&mut client, "v1", "e-1", &click).json(200);
    assert_eq!((&again["repeated"], &again["events"]), (&json!(true), &json!(1)));
    assert_eq!(again["recommendations"], first["recommendations"]);
    assert_eq!(send(&mut client, "v1", "e-2", &click).json(200)["events"], 2);
    // Each session has its own keys.
    assert_eq!(send(&mut client, "v2", "e-1", &click).json(200).get("repeated"), None);
    let other = send(&mut client, "v1", "e-1", &json!({"item": "tea"})).problem(409);
    assert_eq!(other["field"], "idempotency-key");
    for wrong in ["", "a b", &"x".repeat(129)] {
        send(&mut client, "v1", wrong, &click).problem(400);
    }
    client
        .send_with("POST", "/v1/sessions/v1/events", "idempotency-key: a\nidempotency-key: b", Some(b"{}"))
        .problem(400);
    assert_eq!(metric(&mut client, "upnext_session_events_repeated_total"), 1.0);
    assert_eq!(metric(&mut client, "upnext_session_events_total"), 3.0);
    let place = shop.close();
    let rows = logged(&place.path().join("events"), ".csv");
    assert_eq!(rows.lines().count(), 1 + 3, "{rows}");
}

#[test]
fn events_of_other_types_are_logged_and_lists_are_made_of_clicks() {
    let shop = Shop::with(|place, setup| {
        setup.config.event_log_dir = Some(place.join("events"));
    });
    let mut client = shop.client();
    let mut event = |body: Value| client.post("/v1/sessions/v/events", body);
    let click = event(json!({"item": "kettle", "k": 2})).json(200);
    let bought = event(json!({"item": "bread", "type": "purchase", "k": 2})).json(200);
    assert_eq!((&bought["events"], items(&bought)), (&json!(1), items(&click)));
    assert_eq!(event(json!({"item": "tea", "type": "view"})).json(200)["events"], 2);
    let problem = event(json!({"item": "tea", "type": "buy"})).problem(422);
    assert_eq!(problem["field"], "type");
    assert!(problem["detail"].as_str().unwrap().contains("view, cart, purchase"), "{problem}");
    let bought = send(&mut shop.client(), "new", "o", &json!({"item": "tea", "type": "purchase"})).json(200);
    assert_eq!((&bought["events"], &bought["fell_back"]), (&json!(0), &json!(true)));
    assert_eq!(
        send(&mut shop.client(), "new", "o", &json!({"item": "tea", "type": "purchase"})).json(200)["repeated"],
        true
    );
    let place = shop.close();
    let rows = logged(&place.path().join("events"), ".csv");
    let types: Vec<&str> = rows.lines().map(|row| row.rsplit(',').next().unwrap()).collect();
    assert_eq!(types, ["type", "view", "purchase", "view", "purchase"]);
    // Without a log, such an event would be nowhere.
    let shop = Shop::open();
    let problem =
        shop.client().post("/v1/sessions/v/events", json!({"item": "tea", "type": "cart"})).problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("--event-log"), "{problem}");
}

#[test]
fn what_was_shown_can_be_joined_with_what_was_clicked_next() {
    let shop = Shop::with(|place, setup| {
        setup.config.event_log_dir = Some(place.join("events"));
        setup.config.impression_log = true;
    });
    let mut client = shop.client();
    for item in ["kettle", "tea", "cup"] {
        client.post("/v1/sessions/v/events", json!({"item": item, "k": 2})).json(200);
    }
    client.post("/v1/recommend", json!({"session": ["kettle"], "session_id": "w", "k": 1})).json(200);
    client.post("/v1/recommend", json!({"session": ["kettle"], "k": 1})).json(200);
    assert_eq!(metric(&mut client, "upnext_impressions_lost_total"), 0.0);
    let place = shop.close();
    let dir = place.path().join("events");
    let shown: Vec<Value> =
        logged(&dir, ".jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown.len(), 4, "{shown:?}");
    let rows = logged(&dir, ".csv");
    let clicks: Vec<Vec<&str>> = rows.lines().skip(1).map(|row| row.split(',').collect()).collect();
    // Each click after the first, and its rank in the list that was shown before.
    let mut ranks = Vec::new();
    for (before, click) in shown.iter().zip(&clicks[1..]) {
        assert_eq!(
            (&before["session"], &before["model"], &before["role"]),
            (&json!(click[0]), &json!("morning"), &json!("first"))
        );
        let listed = before["items"].as_array().unwrap();
        ranks.push(listed.iter().position(|item| item == click[1]).map(|i| i + 1));
    }
    assert_eq!(ranks, [Some(1), Some(1)]);
    assert_eq!(
        (&shown[3]["session"], &shown[3]["events"], &shown[3]["share"]),
        (&json!("w"), &json!(1), &json!(1.0))
    );
    assert!(shown[0]["version"].is_string() && shown[0]["request_id"].is_string(), "{}", shown[0]);
}

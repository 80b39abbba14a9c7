//! Tests of stored sessions.

use crate::shop::{Shop, items, until};
use serde_json::json;
use std::path::Path;
use upnext_core::data::{EventLog, ReadOptions};
use upnext_server::SessionSync;

#[test]
fn a_session_grows_event_by_event_until_it_is_removed() {
    let shop = Shop::open();
    let mut client = shop.client();
    let mut click =
        |item: &str| client.post("/v1/sessions/v1/events", json!({"item": item, "k": 1})).json(200);
    assert_eq!(items(&click("kettle")), ["tea"]);
    let answer = click("never seen");
    // The model skips an unknown item, but the session keeps it for another model.
    assert_eq!((items(&answer), &answer["unknown_items"]), (vec!["tea"], &json!(["never seen"])));
    let answer = click("tea");
    assert_eq!((items(&answer), &answer["events"]), (vec!["cup"], &json!(3)));
    assert_eq!(answer["session_id"], "v1");
    assert_eq!(answer["model"]["name"], "morning");

    let kept = client.get("/v1/sessions/v1").json(200);
    assert_eq!((&kept["items"], &kept["events"]), (&json!(["kettle", "never seen", "tea"]), &json!(3)));
    assert!(kept["last_event"].as_str().unwrap().starts_with("20"), "{kept}");
    assert_eq!(client.send("DELETE", "/v1/sessions/v1", None).status, 204);
    client.get("/v1/sessions/v1").problem(404);
    client.send("DELETE", "/v1/sessions/v1", None).problem(404);
}

#[test]
fn what_is_kept_gets_the_list_that_the_same_session_gets_alone() {
    let shop = Shop::open();
    let mut client = shop.client();
    client.post("/v1/sessions/v1/events", json!({"item": "bread"})).json(200);
    let wish = json!({"item": "tea", "exclude_seen": true, "exclude": ["cup"], "k": 2});
    let kept = client.post("/v1/sessions/v1/events", wish).json(200);
    let wish = json!({"session": ["bread", "tea"], "exclude_seen": true, "exclude": ["cup"], "k": 2});
    let alone = client.post("/v1/recommend", wish).json(200);
    assert_eq!(kept["recommendations"], alone["recommendations"]);
}

#[test]
fn sessions_are_bounded_in_number_and_length() {
    let shop = Shop::with(|_, setup| {
        (setup.config.max_sessions, setup.config.max_session_events) = (2, 3);
    });
    let mut client = shop.client();
    for session in ["v1", "v2", "v3"] {
        for item in ["a", "b", "c", "d"] {
            client.post(&format!("/v1/sessions/{session}/events"), json!({"item": item})).json(200);
        }
    }
    client.get("/v1/sessions/v1").problem(404);
    let kept = client.get("/v1/sessions/v3").json(200);
    assert_eq!((&kept["items"], &kept["events"]), (&json!(["b", "c", "d"]), &json!(4)));
}

#[test]
fn a_refused_event_is_not_stored() {
    let shop = Shop::open();
    let mut client = shop.client();
    for (body, field) in [
        (json!({"item": "x".repeat(10_000)}), "item"),
        (json!({"item": 7}), "item"),
        (json!({"item": "tea", "k": 0}), "k"),
        (json!({"item": "tea", "session": []}), "session"),
        (json!({}), "item"),
    ] {
        assert_eq!(client.post("/v1/sessions/v1/events", body).problem(422)["field"], field);
    }
    client.get("/v1/sessions/v1").problem(404);
}

#[test]
fn ids_are_any_text_and_no_more_than_their_limit() {
    let shop = Shop::open();
    let mut client = shop.client();
    client.post("/v1/sessions/a%2Fb%20%C3%A4/events", json!({"item": "tea"})).json(200);
    assert_eq!(client.get("/v1/sessions/a%2Fb%20%C3%A4").json(200)["session_id"], "a/b ä");
    let long = format!("/v1/sessions/{}", "x".repeat(257));
    assert_eq!(client.get(&long).problem(422)["field"], "id");
    assert_eq!(client.get("/v1/sessions/%ff").problem(400)["field"], "id");
    client.get("/v1/sessions/").problem(404);
}

#[test]
fn clients_at_once_lose_no_event() {
    let shop = Shop::open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut client = shop.client();
            scope.spawn(move || {
                for event in 0..40 {
                    let session = format!("/v1/sessions/v{}/events", (thread + event) % 2);
                    client.post(&session, json!({"item": "tea", "k": 1})).json(200);
                }
            });
        }
    });
    for session in ["v0", "v1"] {
        assert_eq!(shop.client().get(&format!("/v1/sessions/{session}")).json(200)["events"], 80);
    }
}

#[test]
fn a_restart_loses_no_session_and_no_second_server_writes_the_file() {
    for sync in [SessionSync::EveryEvent, SessionSync::EverySecond, SessionSync::System] {
        let keep = |place: &Path| place.join("sessions");
        let shop = Shop::with(|place, setup| {
            (setup.config.session_file, setup.config.session_sync) = (Some(keep(place)), sync);
        });
        let mut client = shop.client();
        for (session, item) in [("v1", "kettle"), ("v2", "tea"), ("v1", "line\nbreak"), ("v3", "cup")] {
            client.post(&format!("/v1/sessions/{session}/events"), json!({"item": item})).json(200);
        }
        assert_eq!(client.send("DELETE", "/v1/sessions/v2", None).status, 204);
        let file = shop.path("sessions");
        let refused = Shop::try_with(|_, setup| setup.config.session_file = Some(file.clone())).err();
        let message = refused.expect("a refusal").to_string();
        assert!(message.contains("another server"), "{message}");

        let place = shop.close();
        let shop = Shop::with(|_, setup| setup.config.session_file = Some(keep(place.path())));
        let mut client = shop.client();
        until(|| client.get("/v1/sessions/v1").status != 503);
        assert_eq!(client.get("/v1/sessions/v1").json(200)["items"], json!(["kettle", "line\nbreak"]));
        client.get("/v1/sessions/v2").problem(404);
        assert_eq!(client.get("/v1/sessions/v3").json(200)["events"], 1);
    }
}

#[test]
fn a_session_file_that_cannot_be_one_keeps_the_server_from_starting() {
    let refused = |name: &str| {
        let shop = Shop::try_with(|place, setup| {
            std::fs::write(place.join("clicks"), "a,b\n").unwrap();
            setup.config.session_file = Some(place.join(name));
        });
        shop.err().expect("a refusal").to_string()
    };
    assert!(refused("no/folder").contains("no/folder"));
    assert!(refused("clicks").contains("no session file"));
}

#[test]
fn events_are_logged_as_preparation_reads_them_with_the_model_that_answered() {
    let shop = Shop::with(|place, setup| {
        setup.config.event_log_dir = Some(place.join("events"));
        setup.config.session_idle_s = 3_600;
    });
    let mut client = shop.client();
    for (session, item) in [("v1", "kettle"), ("v2", "never%20seen"), ("v1", "tea")] {
        client.post(&format!("/v1/sessions/{session}/events"), json!({"item": item})).json(200);
    }
    // Refused and stateless requests are not logged.
    for item in ["", "a\0"] {
        assert_eq!(
            client.post("/v1/sessions/v1/events", json!({"item": item})).problem(422)["field"],
            "item"
        );
    }
    assert_eq!(client.post("/v1/sessions/%00/events", json!({"item": "tea"})).problem(422)["field"], "id");
    client.post("/v1/sessions/v1/events", json!({"item": "tea", "k": 0})).problem(422);
    client.post("/v1/recommend", json!({"session": ["cup"]})).json(200);
    let place = shop.close();
    let files: Vec<_> = std::fs::read_dir(place.path().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .collect();
    let mut log =
        EventLog::read_all(&files, &ReadOptions::default(), &mut |_| std::ops::ControlFlow::Continue(()))
            .unwrap();
    log.group();
    let items = log.events().iter().map(|event| log.item_ids().get(event.item)).collect::<Vec<_>>();
    assert_eq!(items, ["kettle", "tea", "never%20seen"]);
    let sessions: Vec<_> = log.events().iter().map(|event| log.session_ids().get(event.session)).collect();
    assert!(sessions[0] == sessions[1] && sessions[0].starts_with("v1@") && sessions[2].starts_with("v2@"));
    assert!(
        std::fs::read_to_string(&files[0])
            .unwrap()
            .lines()
            .skip(1)
            .all(|line| line.ends_with(",morning,view"))
    );
}

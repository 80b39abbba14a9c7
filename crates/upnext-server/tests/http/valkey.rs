//! Tests of sessions that several servers share in a real Valkey or Redis server. Without one, they print `skipped`.

use crate::shop::{Client, EVENING, Shop, items, save_model, until};
use crate::store::Store;
use serde_json::{Value, json};
use upnext_server::ServerConfig;

/// A server that uses the store.
fn replica(store: &Store, change: impl FnOnce(&mut ServerConfig)) -> Shop {
    Shop::with(|_, setup| {
        setup.config.session_store = Some(store.url());
        // Long enough for a busy machine; a stopped store refuses connections at once.
        setup.config.session_store_timeout_ms = 10_000;
        change(&mut setup.config);
    })
}

fn click(client: &mut Client, session: &str, item: &str) -> Value {
    client.post(&format!("/v1/sessions/{session}/events"), json!({"item": item, "k": 2})).json(200)
}

#[test]
fn two_replicas_see_each_others_events_and_give_the_same_answers() {
    let Some(store) = Store::start() else { return };
    let replicas = [replica(&store, |_| {}), replica(&store, |_| {})];
    let mut clients = replicas.each_ref().map(Shop::client);
    // The same session on a server with its own store.
    let alone = Shop::open();
    let mut alone = alone.client();
    for (event, item) in ["kettle", "never seen", "tea", "line\nbreak", "bread"].into_iter().enumerate() {
        let shared = click(&mut clients[event % 2], "v1", item);
        assert_eq!(shared, click(&mut alone, "v1", item), "event {event}");
        let shown = clients.each_mut().map(|client| client.get("/v1/sessions/v1").json(200));
        assert_eq!(shown[0], shown[1]);
        assert_eq!(shown[0]["items"], alone.get("/v1/sessions/v1").json(200)["items"]);
    }
    assert_eq!(clients[1].send("DELETE", "/v1/sessions/v1", None).status, 204);
    for client in &mut clients {
        client.get("/v1/sessions/v1").problem(404);
        client.send("DELETE", "/v1/sessions/v1", None).problem(404);
    }
    assert_eq!(click(&mut clients[0], "v1", "kettle")["events"], 1);
}

#[test]
fn a_replica_with_another_model_goes_on_with_the_same_items() {
    let Some(store) = Store::start() else { return };
    let morning = replica(&store, |_| {});
    let evening = Shop::with(|place, setup| {
        save_model(&place.join("evening"), EVENING);
        setup.config.model = Some(place.join("evening"));
        setup.config.session_store = Some(store.url());
        setup.config.session_store_timeout_ms = 10_000;
    });
    assert_eq!(items(&click(&mut morning.client(), "v1", "kettle"))[0], "tea");
    let answer = click(&mut evening.client(), "v1", "kettle");
    assert_eq!((items(&answer)[0], &answer["events"]), ("bread", &json!(2)));
}

#[test]
fn a_long_session_keeps_its_latest_items_and_counts_all() {
    let Some(store) = Store::start() else { return };
    let shop = replica(&store, |config| config.max_session_events = 3);
    let mut client = shop.client();
    for item in ["a", "b", "c", "d", "e"] {
        click(&mut client, "v1", item);
    }
    let kept = client.get("/v1/sessions/v1").json(200);
    assert_eq!((&kept["items"], &kept["events"]), (&json!(["c", "d", "e"]), &json!(5)));
    assert_eq!(store.ask(&["LLEN", "upnext:1:session:v1"]), ":4");
    // A server with a smaller limit reads only as many items.
    let short = replica(&store, |config| config.max_session_events = 1);
    assert_eq!(short.client().get("/v1/sessions/v1").json(200)["items"], json!(["e"]));
    assert_eq!(click(&mut short.client(), "v1", "f")["events"], 6);
    assert_eq!(store.ask(&["LLEN", "upnext:1:session:v1"]), ":2");
}

#[test]
fn a_session_is_over_after_its_idle_time_and_every_event_begins_it_anew() {
    let Some(store) = Store::start() else { return };
    let shop = replica(&store, |config| config.session_idle_s = 1_000);
    let mut client = shop.client();
    let left = || store.ask(&["PTTL", "upnext:1:session:v1"])[1..].parse::<i64>().unwrap();
    click(&mut client, "v1", "kettle");
    assert!((900_000..=1_000_000).contains(&left()), "{}", left());
    store.ask(&["PEXPIRE", "upnext:1:session:v1", "500000"]);
    // Reading a session does not extend it.
    client.get("/v1/sessions/v1").json(200);
    assert!(left() <= 500_000, "{}", left());
    click(&mut client, "v1", "tea");
    assert!(left() >= 900_000, "{}", left());

    let hasty = replica(&store, |config| config.session_idle_s = 1);
    let mut client = hasty.client();
    click(&mut client, "v2", "kettle");
    until(|| client.get("/v1/sessions/v2").status == 404);
    assert_eq!(click(&mut client, "v2", "kettle")["events"], 1);
}

#[test]
fn clients_at_once_on_two_replicas_lose_no_event() {
    let Some(store) = Store::start() else { return };
    let replicas = [replica(&store, |_| {}), replica(&store, |_| {})];
    let mut counts = std::thread::scope(|scope| {
        let clicking: Vec<_> = (0..4)
            .map(|thread| {
                let mut client = replicas[thread % 2].client();
                let event = move |_| click(&mut client, "v1", "tea")["events"].as_u64().unwrap();
                scope.spawn(move || (0..50).map(event).collect::<Vec<_>>())
            })
            .collect();
        clicking.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    // Every event got a different number.
    counts.sort_unstable();
    assert_eq!(counts, (1..=200).collect::<Vec<_>>());
    let kept = replicas[1].client().get("/v1/sessions/v1").json(200);
    assert_eq!((kept["events"].as_u64(), kept["items"].as_array().unwrap().len()), (Some(200), 200));
}

/// A click whose event the store does not keep.
fn click_unstored(client: &mut Client, session: &str, item: &str) -> Value {
    let answer = click(client, session, item);
    assert_eq!(answer["event_stored"], false, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("store of sessions"), "{answer}");
    answer
}

fn degraded(shop: &Shop) -> Value {
    shop.client().get("/readyz").json(200)["degraded"].clone()
}

#[test]
fn a_store_that_goes_away_and_comes_back_needs_no_restart_and_no_visitor_is_without_a_list() {
    let Some(mut store) = Store::stopped() else { return };
    // The server starts without the store.
    let shop = replica(&store, |_| {});
    let mut client = shop.client();
    for _ in 0..2 {
        let first = click_unstored(&mut client, "v1", "kettle");
        assert_eq!(items(&first)[0], "tea");
        let second = click_unstored(&mut client, "v1", "tea");
        assert_eq!((items(&second)[0], &second["events"]), ("cup", &json!(2)));
        client.get("/v1/sessions/v1").problem(503);
        client.send("DELETE", "/v1/sessions/v1", None).problem(503);
        until(|| degraded(&shop)[0].as_str().is_some_and(|text| text.contains("store of sessions")));
        let text = shop.client().get("/metrics").text().to_owned();
        assert!(text.contains("\nupnext_session_store_up 0\n"), "{text}");
        assert!(!text.contains("upnext_session_events_unstored_total{reason=\"local\"} 0\n"), "{text}");
        // Requests that need no store are answered.
        client.get("/healthz").json(200);
        client.post("/v1/recommend", json!({"session": ["kettle"]})).json(200);

        store.restart();
        until(|| degraded(&shop).is_null());
        // The restarted store is empty, and has none of the events that were not stored.
        client.get("/v1/sessions/v1").problem(404);
        assert_eq!(click(&mut client, "v1", "kettle")["events"], 1);
        let stored = click(&mut client, "v1", "tea");
        assert_eq!((&stored["events"], stored.get("event_stored")), (&json!(2), None));
        assert_eq!(client.send("DELETE", "/v1/sessions/v1", None).status, 204);
        store.kill();
    }
}

#[test]
fn a_session_that_the_store_had_goes_on_while_it_is_away() {
    let Some(mut store) = Store::start() else { return };
    let shop = replica(&store, |_| {});
    let mut client = shop.client();
    click(&mut client, "v1", "bread");
    click(&mut client, "v1", "kettle");
    store.kill();
    let answer = click_unstored(&mut client, "v1", "tea");
    assert_eq!((items(&answer)[0], &answer["events"]), ("cup", &json!(3)));
}

#[test]
fn a_store_that_is_read_only_or_full_is_seen_without_any_event() {
    let Some(store) = Store::start() else { return };
    let shop = replica(&store, |_| {});
    let is_well = || degraded(&shop).is_null();
    until(is_well);
    for (broken, mended) in [
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"][..],
            &["CONFIG", "SET", "min-replicas-to-write", "0"][..],
        ),
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
    ] {
        assert_eq!(store.ask(broken), "+OK");
        until(|| !is_well());
        let answer = click_unstored(&mut shop.client(), "v1", "kettle");
        assert_eq!(items(&answer)[0], "tea");
        assert_eq!(store.ask(mended), "+OK");
        until(is_well);
        assert_eq!(click(&mut shop.client(), "v2", "kettle").get("event_stored"), None);
    }
}

#[test]
fn a_store_that_does_not_answer_leaves_open_whether_an_event_is_stored() {
    let Some(store) = Store::start() else { return };
    let shop = replica(&store, |config| config.session_store_timeout_ms = 2_000);
    let mut client = shop.client();
    click(&mut client, "v1", "kettle");
    store.signal("-STOP");
    let answer = click_unstored(&mut client, "v1", "tea");
    assert_eq!(items(&answer)[0], "cup");
    // Nobody waits for a store that is known to be silent.
    let began = std::time::Instant::now();
    click_unstored(&mut client, "v2", "tea");
    assert!(began.elapsed() < std::time::Duration::from_secs(2));
    store.signal("-CONT");
    until(|| degraded(&shop).is_null());
    client.get("/v1/sessions/v2").problem(404);
    let events = click(&mut client, "v1", "cup")["events"].as_u64();
    assert!(events == Some(2) || events == Some(3), "{events:?}");
}

#[test]
fn what_is_no_session_under_a_key_is_refused_and_left_alone() {
    let Some(store) = Store::start() else { return };
    let shop = replica(&store, |_| {});
    let mut client = shop.client();
    let key = "upnext:1:session:v1";
    for (write, read) in [
        (&["SET", key, "text"][..], &["GET", key][..]),
        (&["RPUSH", key, "no head", "tea"], &["LINDEX", key, "0"]),
        (&["RPUSH", key, "1 2", "tea"], &["LLEN", key]),
        (&["HSET", key, "field", "value"], &["HGETALL", key]),
    ] {
        store.ask(&["DEL", key]);
        store.ask(write);
        let before = store.ask(read);
        click_unstored(&mut client, "v1", "tea");
        client.get("/v1/sessions/v1").problem(503);
        assert_eq!(store.ask(read), before, "{write:?}");
        // Other sessions are stored meanwhile over the same connection.
        click(&mut client, "v2", "tea");
    }
    // Deleting the session resolves it.
    assert_eq!(client.send("DELETE", "/v1/sessions/v1", None).status, 204);
    assert_eq!(click(&mut client, "v1", "tea")["events"], 1);
}

#[test]
fn ids_stay_apart_whatever_they_are() {
    let Some(store) = Store::start() else { return };
    let shop = replica(&store, |_| {});
    let mut client = shop.client();
    let longest = "x".repeat(256);
    let long = &longest[..255];
    let ids = [
        "a",
        "a b",
        "a  b",
        "a\nb",
        "a\r\nDEL a",
        "{a}",
        "{a}b",
        "a*",
        "\"a\"",
        "ä",
        "a\u{308}",
        "🫖",
        "%61",
        &longest,
        long,
    ];
    let path = |id: &str| {
        let escaped: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("/v1/sessions/{escaped}")
    };
    for (number, id) in ids.iter().enumerate() {
        let event = json!({"item": number.to_string()});
        let answer = client.post(&format!("{}/events", path(id)), event).json(200);
        assert_eq!((&answer["session_id"], &answer["events"]), (&json!(id), &json!(1)));
    }
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(client.get(&path(id)).json(200)["items"], json!([number.to_string()]), "{id:?}");
    }
    // And the text of the probes.
    assert_eq!(store.ask(&["DBSIZE"]), format!(":{}", ids.len() + 1));
}

#[test]
fn metrics_say_how_many_sessions_there_are_where_that_is_known() {
    let has_sessions = |shop: &Shop| {
        let text = shop.client().get("/metrics").text().to_owned();
        (text.lines().any(|line| line == "upnext_sessions 1"), text.contains("upnext_sessions "))
    };
    let own = Shop::open();
    click(&mut own.client(), "v1", "tea");
    assert_eq!(has_sessions(&own), (true, true));
    let Some(store) = Store::start() else { return };
    let shared = replica(&store, |_| {});
    click(&mut shared.client(), "v1", "tea");
    assert_eq!(has_sessions(&shared), (false, false));
}

#[test]
fn a_store_that_is_full_keeps_the_session() {
    let Some(store) = Store::start() else { return };
    let shop = replica(&store, |_| {});
    let mut client = shop.client();
    click(&mut client, "v1", "tea");
    store.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    click_unstored(&mut client, "v1", "cup");
    assert_eq!(client.get("/v1/sessions/v1").json(200)["items"], json!(["tea"]));
    store.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(click(&mut client, "v1", "cup")["events"], 2);
}

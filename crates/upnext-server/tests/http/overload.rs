//! Tests of overload: clients that do not read, full queues, and expensive requests.

use crate::fairness::{APP, SHOP, two_keys};
use crate::shop::{Client, MORNING, Shop, save_model_of, until};
use crate::tls::{self, Certificate};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use upnext_core::experiment::ModelKind;
use upnext_server::Setup;

/// Number of items in the large shop: the maximum length of a list.
const ITEMS: usize = 2_000;

/// Number of sessions in its requests, which fill its queue.
const SESSIONS: usize = 64;

fn item(i: usize) -> String {
    format!("an-item-whose-id-is-long-enough-for-large-answers-{}", i % ITEMS)
}

/// Serves a model with item vectors and many items, with a queue for one batch request.
fn large(place: &Path, setup: &mut Setup) {
    let sessions: Vec<String> = (0..ITEMS).map(|i| format!("{} {}", item(i), item(i + 1))).collect();
    let sessions: Vec<&str> = sessions.iter().map(String::as_str).collect();
    setup.config.model = Some(place.join("large"));
    save_model_of(ModelKind::BprMf, setup.config.model.as_ref().unwrap(), &sessions);
    (setup.config.queue_sessions, setup.config.max_batch_sessions) = (SESSIONS, SESSIONS);
    (setup.config.max_k, setup.config.max_answer_entries) = (ITEMS, ITEMS * SESSIONS);
    // A whole request is one batch.
    setup.config.batch_sessions = SESSIONS;
    setup.config.request_timeout_ms = 60_000;
    setup.config.max_request_work = u64::MAX >> 24;
}

fn batch(request: Value) -> String {
    json!({"requests": vec![request; SESSIONS]}).to_string()
}

/// Waits until the metrics have this line.
fn until_metrics_say(watching: &mut Client, expected: &str) {
    until(|| watching.get("/metrics").text().lines().any(|line| line == expected));
}

/// Occupies the only thread with a batch of the first client, and the queue with one of the second. Comparing every entry of every
/// list with every item of a long session takes far longer than the next requests.
fn fill(watching: &mut Client, first: &mut Client, second: &mut Client) {
    let long: Vec<String> = (0..200).map(item).collect();
    let busy = batch(json!({"session": long, "k": ITEMS, "why": true}));
    first.ask("POST", "/v1/recommend/batch", Some(busy.as_bytes()));
    until_metrics_say(watching, "upnext_batch_sessions_count 1");
    let waiting = batch(json!({"session": [item(1)], "k": 1}));
    second.ask("POST", "/v1/recommend/batch", Some(waiting.as_bytes()));
    until_metrics_say(watching, &format!("upnext_queue_sessions {SESSIONS}"));
}

#[test]
fn a_client_that_never_reads_loses_its_connection_and_another_gets_the_place() {
    fn check<S: Read + Write>(secure: bool, connect: impl Fn(SocketAddr, &Certificate) -> Client<S>) {
        let certificate = tls::certificate();
        let shop = Shop::with(|place, setup| {
            large(place, setup);
            if secure {
                tls::show(&certificate, place, setup);
            }
            (setup.config.max_connections, setup.config.write_timeout_ms) = (1, 200);
        });
        let mut stuck = connect(shop.address, &certificate);
        let body = batch(json!({"session": [], "k": ITEMS}));
        stuck.ask("POST", "/v1/recommend/batch", Some(body.as_bytes()));
        let metrics = connect(shop.address, &certificate).get("/metrics").text().to_owned();
        assert!(metrics.lines().any(|line| line == "upnext_connections 1"), "{metrics}");
        // It receives what was in the system's buffers, not the whole response.
        let head = stuck.head().unwrap();
        let length: usize = head.header("content-length").unwrap().parse().unwrap();
        let mut received = Vec::new();
        _ = stuck.stream.read_to_end(&mut received);
        assert!(head.status == 200 && received.len() < length, "{} of {length}", received.len());
    }
    check(false, |address, _| Client::new(address));
    check(true, tls::client);
}

#[test]
fn a_full_queue_refuses_and_stores_nothing_and_the_server_answers_again_afterwards() {
    let shop = Shop::with(large);
    let [mut watching, mut first, mut second, mut third] = [(); 4].map(|()| shop.client());
    fill(&mut watching, &mut first, &mut second);

    let click = json!({"item": item(1), "k": 1});
    for (path, body) in [("/v1/sessions/v/events", &click), ("/v1/recommend", &json!({"session": []}))] {
        let refused = third.post(path, body);
        assert_eq!(refused.problem(503)["event_stored"], Value::Null);
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    third.get("/v1/sessions/v").problem(404);

    for waited in [&mut first, &mut second] {
        assert_eq!(waited.reply().unwrap().json(200)["lists"].as_array().unwrap().len(), SESSIONS);
    }
    assert_eq!(third.post("/v1/sessions/v/events", &click).json(200)["events"], 1);
    until_metrics_say(&mut watching, "upnext_queue_sessions 0");
    until_metrics_say(
        &mut watching,
        r#"upnext_requests_total{method="POST",route="/v1/recommend",status="503"} 1"#,
    );
}

#[test]
fn one_key_cannot_fill_the_queue() {
    let shop = Shop::with(|place, setup| {
        large(place, setup);
        setup.keys = two_keys();
        setup.config.queue_sessions = 4 * SESSIONS;
        setup.config.key_queue_share = 0.25;
    });
    let client = |key| shop.client().with_key(key);
    let [mut first, mut second, mut third] = [(); 3].map(|()| client(SHOP));
    let mut other = client(APP);
    fill(&mut client(APP), &mut first, &mut second);

    let visit = json!({"session": [item(1)], "k": 1}).to_string();
    third.post("/v1/recommend", json!({"session": []})).problem(503);
    other.ask("POST", "/v1/recommend", Some(visit.as_bytes()));
    for waited in [&mut first, &mut second, &mut other] {
        waited.reply().unwrap().json(200);
    }
    third.post("/v1/recommend", json!({"session": []})).json(200);
}

#[test]
fn a_large_batch_lets_others_have_their_turn_and_ends_with_its_request() {
    let shop = Shop::with(|place, setup| {
        large(place, setup);
        setup.config.batch_sessions = 1;
        setup.config.queue_sessions = 2 * SESSIONS;
    });
    let batches = || {
        let metrics = shop.client().get("/metrics").text().to_owned();
        let count = metrics.lines().find_map(|line| line.strip_prefix("upnext_batch_sessions_count "));
        count.unwrap().parse::<usize>().unwrap()
    };
    let long: Vec<String> = (0..200).map(item).collect();
    let mut large = shop.client();
    let body = batch(json!({"session": long, "k": ITEMS, "why": true}));
    large.ask("POST", "/v1/recommend/batch", Some(body.as_bytes()));
    until(|| batches() > 0);
    shop.client().post("/v1/recommend", json!({"session": [item(1)], "k": 1})).json(200);
    let done = batches();
    assert!(done < SESSIONS, "the one session was answered after {done} of the batch");
    let answer = large.reply().unwrap().json(200);
    assert_eq!(answer["lists"].as_array().unwrap().len(), SESSIONS);
    assert_eq!(batches(), SESSIONS + 1);
}

#[test]
fn an_event_that_is_kept_and_not_answered_in_time_says_so_and_asks_for_no_second_try() {
    let shop = Shop::with(|place, setup| {
        large(place, setup);
        setup.config.request_timeout_ms = 1;
    });
    // All of these events are stored, answered or not: the list after the last takes far longer than a millisecond.
    let mut client = shop.client();
    for i in 0..199 {
        client.post("/v1/sessions/v/events", json!({"item": item(i), "k": 1}));
    }
    let refused = client.post("/v1/sessions/v/events", json!({"item": item(199), "k": ITEMS, "why": true}));
    assert_eq!(refused.problem(503)["event_stored"], true);
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(client.get("/v1/sessions/v").json(200)["events"], 200);
}

/// Number of items in the shop whose batch requests take minutes.
const MANY: usize = 4_000;

/// Serves a model with vectors of [`MANY`] items, and returns a request of some 10¹¹ multiplications.
fn shop_of_many(request_timeout_ms: u64) -> (Shop, String) {
    let shop = Shop::with(|place, setup| {
        let sessions: Vec<String> = (0..MANY).map(|i| format!("{i} {}", (i + 1) % MANY)).collect();
        let sessions: Vec<&str> = sessions.iter().map(String::as_str).collect();
        large(place, setup);
        setup.config.model = Some(place.join("many"));
        save_model_of(ModelKind::BprMf, setup.config.model.as_ref().unwrap(), &sessions);
        (setup.config.max_k, setup.config.max_session_events) = (MANY, MANY);
        (setup.config.max_answer_entries, setup.config.max_body_bytes) = (MANY * SESSIONS, 1 << 24);
        setup.config.request_timeout_ms = request_timeout_ms;
    });
    let all: Vec<String> = (0..MANY).map(|i| i.to_string()).collect();
    (shop, batch(json!({"session": all, "k": MANY, "why": true})))
}

#[test]
fn a_computation_ends_at_the_deadline_of_its_request() {
    let (shop, minutes) = shop_of_many(2_000);
    let mut busy = shop.client();
    busy.post("/v1/recommend/batch", &minutes).problem(503);
    // The only thread is free again. Without cancellation, it would be busy for minutes.
    busy.post("/v1/recommend", json!({"session": ["1"], "k": 1})).json(200);
}

#[test]
fn a_computation_ends_when_its_client_has_left() {
    let (shop, minutes) = shop_of_many(3_600_000);
    let mut busy = shop.client();
    busy.ask("POST", "/v1/recommend/batch", Some(minutes.as_bytes()));
    let mut watching = shop.client();
    until(|| watching.get("/metrics").text().contains("upnext_batch_sessions_count 1\n"));
    drop(busy);
    shop.client().post("/v1/recommend", json!({"session": ["1"], "k": 1})).json(200);
}

#[test]
fn a_small_request_that_costs_much_is_refused_before_it_is_computed_or_stored() {
    let shop = Shop::with(|place, setup| {
        let sessions: Vec<String> = (0..1_000).map(|i| format!("{i} {}", (i + 1) % 1_000)).collect();
        let sessions: Vec<&str> = sessions.iter().map(String::as_str).collect();
        setup.config.model = Some(place.join("thousand"));
        save_model_of(ModelKind::BprMf, setup.config.model.as_ref().unwrap(), &sessions);
    });
    let mut client = shop.client();
    let long: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    let request = |lists: usize, why: bool| {
        let request = json!({"session": long, "k": 1_000, "why": why});
        json!({"requests": vec![request; lists]}).to_string()
    };
    let body = request(20, true);
    assert!(body.len() < 40_000, "{}", body.len());
    let problem = client.post("/v1/recommend/batch", body).problem(422);
    assert_eq!(problem["field"], "requests");
    let detail = problem["detail"].as_str().unwrap();
    // Pairs: 20 lists × 1,000 entries × 200 items; a vector has 100 floats.
    for number in ["20 lists", "4000000 pairs", "100 floats", "400000000 multiplications", "200000000"] {
        assert!(detail.contains(number), "{number}: {detail}");
    }
    assert!(client.get("/metrics").text().contains("upnext_batch_sessions_count 0\n"));
    client.post("/v1/recommend/batch", request(20, false)).json(200);
    client.post("/v1/recommend/batch", request(10, true)).json(200);

    let shop = Shop::with(|place, setup| {
        save_model_of(ModelKind::BprMf, &place.join("vectors"), MORNING);
        setup.config.model = Some(place.join("vectors"));
        setup.config.max_request_work = 1_000;
    });
    let mut client = shop.client();
    let click = |why: bool| json!({"item": "tea", "k": 1, "why": why});
    // One entry × at most 200 events × the width, however long the session is.
    assert_eq!(client.post("/v1/sessions/v/events", click(true)).problem(422)["field"], "why");
    client.get("/v1/sessions/v").problem(404);
    client.post("/v1/sessions/v/events", click(false)).json(200);
    client.post("/v1/recommend", json!({"session": ["tea"], "k": 1, "why": true})).json(200);
}

#[test]
fn one_batch_has_no_more_entries_than_an_answer_may_have() {
    let shop = Shop::with(|_, setup| (setup.config.max_k, setup.config.max_answer_entries) = (100, 150));
    let ask = |ks: &[usize]| {
        let requests: Vec<Value> = ks.iter().map(|k| json!({"session": [], "k": k})).collect();
        shop.client().post("/v1/recommend/batch", json!({"requests": requests}))
    };
    ask(&[100, 50]).json(200);
    let problem = ask(&[100, 51]).problem(422);
    assert_eq!(problem["field"], "requests");
    assert!(problem["detail"].as_str().unwrap().contains("at most 150"), "{problem}");
}

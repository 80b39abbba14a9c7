//! Tests of fairness: rates, parts of the queue, and time limits that clients set.

use crate::shop::{Shop, metric};
use serde_json::json;
use upnext_server::{ApiKeys, Keys};

pub(crate) const SHOP: &str = "the-key-of-the-shop";
pub(crate) const APP: &str = "the-key-of-the-app";

pub(crate) fn two_keys() -> ApiKeys {
    let text = format!("shop {SHOP}\napp {APP}\n");
    ApiKeys { data: Keys::parse(&text, "keys").unwrap(), admin: Keys::default() }
}

#[test]
fn a_key_that_asks_for_too_much_is_told_when_to_come_back_and_others_are_answered() {
    let shop = Shop::with(|_, setup| {
        setup.keys = two_keys();
        (setup.config.lists_per_second, setup.config.lists_burst) = (1, 20);
        setup.config.max_batch_sessions = 20;
    });
    let batch = |count: usize| json!({"requests": vec![json!({"session": []}); count]});
    let mut client = shop.client().with_key(SHOP);
    client.post("/v1/recommend/batch", batch(18)).json(200);
    client.post("/v1/recommend", json!({"session": []})).json(200);
    let refused = client.post("/v1/recommend/batch", batch(15));
    refused.problem(429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((12..=14).contains(&wait), "{wait}");
    let mut other = shop.client().with_key(APP);
    other.post("/v1/recommend/batch", batch(20)).json(200);
    let events = other.post("/v1/sessions/v/events", json!({"item": "tea"}));
    events.problem(429);
    other.get("/v1/sessions/v").problem(404);
    assert_eq!(metric(&mut other, "upnext_rate_limited_total"), 16.0);
}

#[test]
fn a_client_may_wait_for_less_time_than_the_server_would() {
    let shop = Shop::open();
    let mut client = shop.client();
    let body = json!({"session": ["kettle"]}).to_string();
    let mut ask = |limit: &str| {
        let head = format!("x-request-timeout-ms: {limit}");
        client.send_with("POST", "/v1/recommend", &head, Some(body.as_bytes()))
    };
    ask("5000").json(200);
    ask("99999999").json(200);
    for wrong in ["0", "-1", "x", "1.5", ""] {
        ask(wrong).problem(400);
    }
}

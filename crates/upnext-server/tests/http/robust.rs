//! Property tests with random requests: no panic, no status 5xx but 503, and the next request works.

use crate::shop::{ADMIN_KEY, EVENING, KEY, Shop, keys, save_model};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::{Value, json};
use std::time::SystemTime;

/// A runner whose seed is the date, so that cases differ from day to day and failures can be reproduced on the same
/// day.
fn cases_of_the_day() -> TestRunner {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if matches!(config.rng_seed, RngSeed::Random) {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        config.rng_seed = RngSeed::Fixed(since_1970.as_secs() / 86_400);
    }
    if let RngSeed::Fixed(seed) = config.rng_seed {
        eprintln!("the same cases again: PROPTEST_RNG_SEED={seed}");
    }
    TestRunner::new(config)
}

/// Random JSON, in which field names of the interface are frequent.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "session",
            "item",
            "k",
            "exclude",
            "exclude_seen",
            "only",
            "min_score",
            "requests",
            "path",
            "replace",
            "session_id",
            "why",
            "morning",
            "evening",
            "kettle",
            "tea",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..30).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Almost valid bodies.
fn nearly_right() -> impl Strategy<Value = Value> {
    let ids = prop::collection::vec(prop_oneof![Just("kettle".to_owned()), any::<String>()], 0..5);
    let key = prop::sample::select(vec![
        "session",
        "item",
        "k",
        "exclude",
        "exclude_seen",
        "only",
        "min_score",
        "model",
        "session_id",
        "why",
    ]);
    (ids, prop::collection::vec((key, any_json()), 0..3)).prop_map(|(ids, fields)| {
        let mut body = json!({"session": ids});
        fields.into_iter().for_each(|(key, value)| body[key] = value);
        body
    })
}

const PATHS: [&str; 5] =
    ["/v1/recommend", "/v1/recommend/batch", "/v1/sessions/x/events", "/v1/items/lookup", "/v1/admin/reload"];

#[test]
fn no_body_breaks_the_server() {
    let shop = Shop::with(|place, setup| {
        setup.keys.admin = keys().admin;
        save_model(&place.join("evening"), EVENING);
        setup.config.compare_model = Some(place.join("evening"));
        (setup.config.compare_share, setup.config.compare_shadow) = (0.5, 0.5);
        setup.config.event_log_dir = Some(place.join("events"));
    });
    let mut runner = cases_of_the_day();
    let bodies = prop_oneof![
        any_json().prop_map(|body| body.to_string().into_bytes()),
        nearly_right().prop_map(|body| body.to_string().into_bytes()),
        nearly_right().prop_map(|body| json!({"requests": [body]}).to_string().into_bytes()),
        (any::<String>(), nearly_right()).prop_map(|(item, mut body)| {
            body["item"] = item.into();
            body.as_object_mut().expect("an object was made").remove("session");
            body.to_string().into_bytes()
        }),
        prop::collection::vec(any::<String>(), 0..5)
            .prop_map(|ids| json!({"ids": ids}).to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    let client = std::cell::RefCell::new(shop.client().with_key(ADMIN_KEY));
    let outcome = runner.run(&(0..PATHS.len(), bodies), |(path, body)| {
        let reply = client.borrow_mut().send("POST", PATHS[path], Some(&body));
        let shown = String::from_utf8_lossy(&body).into_owned();
        prop_assert!(reply.status < 500, "{}: {shown}: {reply:?}", PATHS[path]);
        let kind = reply.header("content-type").unwrap_or_default();
        let expected = if reply.status == 200 { "application/json" } else { "application/problem+json" };
        prop_assert_eq!(kind, expected);
        Ok(())
    });
    outcome.unwrap();
    shop.client().get("/healthz").json(200);
}

#[test]
fn no_path_or_method_breaks_the_server() {
    let shop = Shop::with(|_, setup| setup.keys = keys());
    let mut runner = cases_of_the_day();
    let paths = prop_oneof![
        "/[!-~]{0,40}",
        "/v1/[!-~]{0,40}",
        "/v1/sessions/[!-~]{0,40}(/events)?",
        "/v1/items\\?(query|limit)=[!-~]{0,40}",
        "/v1/items/[!-~]{0,40}/similar",
        "/v1/items/(kettle|tea|%C3%BC)/similar(\\?(k|exclude|only|min_similarity|model)=[!-~]{0,20}){0,1}(&(k|only|model)=[!-~]{0,9}){0,3}",
        "/assets/[!-~]{0,20}"
    ];
    let methods = prop_oneof!["GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS|CONNECT|TRACE", "[A-Z]{1,9}"];
    let outcome = runner.run(&(methods, paths), |(method, path)| {
        // A new connection for each, since some of them close it.
        let mut client = shop.client();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n"
        );
        client.write(head.as_bytes());
        let status = client.head().map(|reply| reply.status);
        prop_assert!(status.is_none_or(|status| status < 500), "{method} {path}: {status:?}");
        Ok(())
    });
    outcome.unwrap();
    shop.client().get("/healthz").json(200);
}

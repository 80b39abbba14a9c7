//! Tests of requests that are almost right.

use crate::shop::{KEY, Shop, keys};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The status of a request with these head lines and this body.
fn status(shop: &Shop, head: &str, body: &[u8]) -> u16 {
    let mut client = shop.client();
    client.write(&[head.replace('\n', "\r\n").as_bytes(), b"\r\n\r\n", body].concat());
    client.reply().unwrap().status
}

#[test]
fn a_long_session_is_cut_to_its_latest_events_and_the_answer_says_so() {
    let shop = Shop::with(|_, setup| setup.config.max_session_events = 3);
    let mut client = shop.client();
    let short = client.post("/v1/recommend", json!({"session": ["cup", "bread", "kettle"]})).json(200);
    assert_eq!(short.get("events_left_out"), None);
    let session = json!({"session": ["wine", "never seen", "cup", "bread", "kettle"]});
    let long = client.post("/v1/recommend", &session).json(200);
    assert_eq!((&long["recommendations"], &long["events_left_out"]), (&short["recommendations"], &json!(2)));
    let batch = json!({"requests": [session, {"session": ["kettle"]}]});
    let batch = client.post("/v1/recommend/batch", batch).json(200);
    assert_eq!(batch["lists"][0]["events_left_out"], 2);
    assert_eq!(batch["lists"][1].get("events_left_out"), None);
}

#[test]
fn a_server_without_keys_answers_to_names_of_its_own_machine() {
    let open = Shop::open();
    let head = |host: &str| format!("GET /v1/model HTTP/1.1\nhost: {host}");
    for (host, expected) in [
        ("localhost", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("a b", 421),
    ] {
        assert_eq!(status(&open, &head(host), b""), expected, "{host}");
    }
    let closed = Shop::with(|_, setup| setup.keys = keys());
    let keyed = format!("{}\nauthorization: Bearer {KEY}", head("shop.example"));
    assert_eq!(status(&closed, &keyed, b""), 200);
    for shop in [&open, &closed] {
        assert_eq!(status(shop, "GET /healthz HTTP/1.1", b""), 400);
        assert_eq!(status(shop, "GET /healthz HTTP/1.1\nhost: localhost\nhost: localhost", b""), 400);
        assert_eq!(status(shop, "GET /healthz HTTP/1.0", b""), 200);
    }
}

#[test]
fn a_body_may_be_compressed_and_is_bounded_before_and_after() {
    let shop = Shop::with(|_, setup| setup.config.max_body_bytes = 1_000);
    let send = |encoding: &str, body: &[u8]| {
        let head = format!(
            "POST /v1/recommend HTTP/1.1\nhost: localhost\ncontent-type: application/json\ncontent-encoding: {encoding}\ncontent-length: {}",
            body.len()
        );
        status(&shop, &head, body)
    };
    let body = r#"{"session": ["kettle"]}"#;
    assert_eq!(send("gzip", &gzip(body)), 200);
    assert_eq!(send("identity", body.as_bytes()), 200);
    assert_eq!(send("gzip", body.as_bytes()), 400);
    assert_eq!(send("gzip", &gzip(&body.replace(' ', &" ".repeat(1_000)))), 413);
    for other in ["br", "deflate", "gzip, gzip", "zstd"] {
        assert_eq!(send(other, &gzip(body)), 415, "{other}");
    }
    // A client that waits for leave to send too much is refused at once.
    let head = "POST /v1/recommend HTTP/1.1\nhost: localhost\ncontent-type: application/json\nexpect: 100-continue\ncontent-length: 1001";
    assert_eq!(status(&shop, head, b""), 413);
}

#[test]
fn parameters_and_numbers_that_would_be_ignored_are_refused() {
    let shop = Shop::open();
    let mut client = shop.client();
    client.get("/v1/model?version=2").problem(400);
    client.post("/v1/recommend?k=3", json!({"session": []})).problem(400);
    client.get("/v1/sessions/v1?k=3").problem(400);
    client.get("/v1/items?query=%ff").problem(400);
    client.get("/v1/items/tea/similar?exclude=%ff").problem(400);
    client.get("/v1/model?").json(200);
    assert_eq!(client.get("/?q=1").status, 200);
    let problem = client.post("/v1/recommend", r#"{"session": [], "min_score": 1e39}"#).problem(422);
    assert_eq!(problem["field"], "min_score", "{problem}");
}

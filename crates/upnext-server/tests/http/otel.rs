//! Tests of traces, with a collector that keeps what it is sent.

use crate::shop::Shop;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn a_request_is_a_span_of_its_callers_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let shop = Shop::with(|_, setup| setup.config.otlp_endpoint = Some(endpoint));
    let collecting = std::thread::spawn(move || {
        let (mut stream, _) = collector.accept().unwrap();
        let (mut received, mut part) = (Vec::new(), [0; 4096]);
        let is_whole = |received: &[u8]| {
            let text = String::from_utf8_lossy(received).to_lowercase();
            let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let length: usize = length.unwrap().parse().unwrap();
            let begin = received.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            received.len() >= begin + length
        };
        while !is_whole(&received) {
            let read = stream.read(&mut part).unwrap();
            received.extend_from_slice(&part[..read]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        received
    });
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let head = format!("traceparent: 00-{trace}-b7ad6b7169203331-01");
    let body = json!({"session": ["kettle"]}).to_string();
    let reply = shop.client().send_with("POST", "/v1/recommend", &head, Some(body.as_bytes()));
    reply.json(200);
    let span = reply.header("traceresponse").unwrap().split('-').nth(2).unwrap().to_owned();
    // Without a trace of the caller, one begins.
    shop.client().get("/v1/model").json(200);
    shop.client().get("/healthz").json(200);
    // Its end sends what waits.
    shop.close();
    let received = collecting.join().unwrap();
    let has = |bytes: &[u8]| received.windows(bytes.len()).any(|window| window == bytes);
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    };
    assert!(has(b"POST /v1/traces HTTP/1.1\r\n") && has(b"application/x-protobuf"));
    assert!(has(&hex(trace)) && has(&hex("b7ad6b7169203331")) && has(&hex(&span)));
    assert!(has(b"POST /v1/recommend") && has(b"GET /v1/model") && has(b"http.response.status_code"));
    assert!(!has(b"healthz"));
}

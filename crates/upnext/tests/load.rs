//! Tests of `upnext load` against a server, and of targets that it must refuse.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod server;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod shop;

use server::Served;
use shop::{Shop, assert_refused, json, stderr, stdout};
use std::collections::HashSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use upnext_core::experiment::ModelKind;

fn load(url: &str, more: &[&str]) -> Output {
    shop::upnext("load", Path::new(url), more)
}

/// A log of 40 sessions, as lists of items.
fn log(shop: &Shop) -> (String, Vec<Vec<String>>) {
    let sessions: Vec<Vec<String>> =
        (0..40).map(|s| (0..2 + s % 5).map(|i| (1 + (s * 7 + i * 3) % 60).to_string()).collect()).collect();
    let mut text = "SessionId,ItemId,Time\n".to_owned();
    for (s, items) in sessions.iter().enumerate() {
        items
            .iter()
            .enumerate()
            .for_each(|(i, item)| text.push_str(&format!("s{s},{item},{}\n", 100 * s + i)));
    }
    (shop.file("clicks.csv", text).to_str().unwrap().to_owned(), sessions)
}

#[test]
fn every_click_is_answered_and_kept_in_its_order() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Gru4rec);
    let (log, sessions) = log(&shop);
    let server = Served::start(&model, &["--log-level", "error"]);
    let url = format!("http://{}", server.address);
    let timing = [
        "--rate",
        "200",
        "--duration",
        "2s",
        "--ramp",
        "0",
        "--think",
        "200ms",
        "--timeout",
        "20s",
        "-k",
        "3",
    ];
    let output = load(&url, &[&timing[..], &["--sessions", &log, "--json"]].concat());
    let report = json(&output);
    assert!(report["requests"].as_u64().unwrap() > 300 && report["ok"] == report["requests"], "{report}");
    assert!(report["errors"].as_object().unwrap().is_empty(), "{report}");
    assert!(stderr(&output).lines().filter(|line| line.contains(" clicks, 0 errors, p50 ")).count() >= 1);

    let known: HashSet<&[String]> =
        sessions.iter().flat_map(|s| (1..=s.len()).flat_map(|n| s.windows(n))).collect();
    let prefix = report["session_prefix"].as_str().unwrap();
    let (mut events, mut number, mut missing) = (0, 0, 0);
    // The first session ended before the first click was sent.
    while missing < 400 {
        let kept = server.ask("GET", &format!("/v1/sessions/{prefix}-{number}"), "").unwrap();
        number += 1;
        let Some(items) = kept["items"].as_array() else {
            missing += 1;
            continue;
        };
        missing = 0;
        let items: Vec<String> = items.iter().map(|item| item.as_str().unwrap().to_owned()).collect();
        assert!(known.contains(&items[..]), "{items:?} is part of no session");
        events += items.len() as u64;
    }
    assert_eq!(report["ok"], events);
}

#[test]
fn sessions_are_drawn_from_a_model_and_figures_shown_as_a_table() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let keys = shop.file("keys", "a-key-of-16-bytes\n").to_str().unwrap().to_owned();
    let server = Served::start(&model, &["--keys", &keys]);
    let url = format!("http://{}", server.address);
    let model = model.to_str().unwrap();
    let args = ["--rate", "200", "--duration", "300ms", "--ramp", "0", "--timeout", "20s", "--stateless"];
    let args = [&args[..], &["--model", model, "-q"]].concat();
    let output = load(&url, &[&args[..], &["--keys", &keys]].concat());
    let table = stdout(&output);
    assert!(table.contains("p99.9") && !table.contains("errors"), "{table}");
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));

    // Without the key, no click succeeds.
    let output = load(&url, &args);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no click was answered well") && stderr(&output).contains(" 401"));
}

#[test]
fn what_cannot_or_must_not_be_loaded_is_refused() {
    let shop = Shop::new();
    let (log, _) = log(&shop);
    let refused = |url: &str, more: &[&str], code, words: &[&str]| {
        let args = [&["--rate", "10", "--sessions", &log, "-q"], more].concat();
        assert_refused(&load(url, &args), code, words);
    };
    // 192.0.2.0/24 is reserved for documentation.
    refused("http://192.0.2.1:8080", &[], 2, &["URL", "192.0.2.1", "--allow-remote"]);
    refused("https://127.0.0.1", &[], 2, &["ca", "--ca FILE"]);
    refused("http://127.0.0.1", &["--ca", "x"], 2, &["ca", "https"]);
    refused("http://127.0.0.1:1/v1", &[], 2, &["URL", "path"]);
    refused("127.0.0.1", &[], 2, &["URL", "http://HOST:PORT"]);
    refused("http://127.0.0.1:1", &["--duration", "0"], 2, &["duration"]);
    refused("http://127.0.0.1:1", &["--ramp", "soon"], 2, &["--ramp", "soon"]);
    refused("http://127.0.0.1:1", &["--model", "x"], 2, &["--sessions", "--model"]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refused(&format!("http://{free}"), &[], 1, &["no server can be reached", "upnext serve"]);
}

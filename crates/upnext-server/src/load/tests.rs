//! Tests of the load generator against a small test server.

use super::*;
use crate::Keys;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use upnext_core::data::{Dataset, EventLog};

pub(super) fn options() -> LoadOptions {
    LoadOptions {
        target: Target::parse("http://127.0.0.1:1").unwrap(),
        ca: None,
        rate_per_second: 200.0,
        ramp: Duration::ZERO,
        duration: Duration::from_millis(500),
        connections: 4,
        think: Duration::from_millis(100),
        stateful: true,
        event_keys: false,
        session_prefix: "test".to_owned(),
        k: 5,
        timeout: Duration::from_secs(5),
        keys: Keys::default(),
        seed: 3,
    }
}

const SESSIONS: [(&str, &[&str]); 3] =
    [("s", &["a", "b", "c", "d", "e"]), ("t", &["b", "c"]), ("u", &["x", "\"y", "z"])];

fn visitors() -> Visitors {
    let mut log = EventLog::new();
    for (session, items) in SESSIONS {
        for (second, item) in items.iter().enumerate() {
            log.push(session, item, second as i64);
        }
    }
    let (data, _) = Dataset::from_log(log).unwrap();
    Visitors::of_log(data).unwrap()
}

/// A request that the test server received.
struct Seen {
    path: String,
    /// In lower case.
    head: String,
    body: serde_json::Value,
}

/// Delay in milliseconds and response head for request number `n`.
type Behaviour = fn(usize) -> (u64, &'static str);

const OK: &str = "200 OK";

fn server(behaviour: Behaviour) -> (Target, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, log) = (stream.unwrap(), Arc::clone(&log));
            std::thread::spawn(move || answer(&stream, &log, behaviour));
        }
    });
    (target(address), seen)
}

fn target(address: SocketAddr) -> Target {
    Target::parse(&format!("http://{address}")).unwrap()
}

fn answer(mut stream: &TcpStream, log: &Mutex<Vec<Seen>>, behaviour: Behaviour) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let number = {
            let mut log = log.lock().unwrap();
            let path = head.split(' ').nth(1).unwrap().to_owned();
            log.push(Seen { path, head, body: serde_json::from_slice(&body).unwrap() });
            log.len() - 1
        };
        let (pause, status) = behaviour(number);
        std::thread::sleep(Duration::from_millis(pause));
        // In one write: several would wait for acknowledgements. It fails if the client has given up.
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
        if stream.write_all(answer.as_bytes()).is_err() || status.contains("close") {
            return;
        }
    }
}

fn run(options: &LoadOptions) -> LoadReport {
    load(options, &visitors(), &AtomicBool::new(false), &mut |_| {}).unwrap()
}

#[test]
fn clicks_of_a_session_arrive_whole_and_in_order() {
    let (target, seen) = server(|_| (1, OK));
    let keys = Keys::parse("secret-of-16-bytes\nanother-of-16-bytes\n", "keys").unwrap();
    let options = LoadOptions { target, keys, ..options() };
    let report = run(&options);
    let seen = seen.lock().unwrap();
    let due = Arrivals::new(&options).count();
    assert!(due > 60 && report.errors.is_empty(), "{due}: {report:?}");
    assert_eq!((report.ok, report.requests, seen.len()), (due as u64, due as u64, due));
    let mut sessions: HashMap<&str, Vec<&str>> = HashMap::new();
    for Seen { path, head, body } in seen.iter() {
        assert!(head.contains("authorization: bearer secret-of-16-bytes\r\n"), "{head}");
        assert!(head.contains("host: 127.0.0.1:") && body["k"] == 5, "{head}{body}");
        sessions.entry(path).or_default().push(body["item"].as_str().unwrap());
    }
    assert!(sessions.len() > 20);
    for (path, items) in &sessions {
        assert!(path.starts_with("/v1/sessions/test-") && path.ends_with("/events"), "{path}");
        // Only the last clicks of a session that is open at the start, and the first of one that is open at the end.
        let known =
            SESSIONS.iter().any(|(_, session)| session.windows(items.len()).any(|part| part == items));
        assert!(known, "{items:?}");
    }
}

#[test]
fn a_stateless_click_sends_its_session_so_far() {
    let (target, seen) = server(|_| (0, OK));
    run(&LoadOptions { target, stateful: false, ..options() });
    let seen = seen.lock().unwrap();
    for Seen { path, body, .. } in seen.iter() {
        let session: Vec<&str> =
            body["session"].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect();
        assert!(SESSIONS.iter().any(|(_, known)| known.starts_with(&session)), "{session:?}");
        assert_eq!((path.as_str(), &body["k"]), ("/v1/recommend", &5.into()));
    }
    assert!(seen.iter().any(|seen| seen.body["session"].as_array().unwrap().len() == 5));
}

#[test]
fn the_clicks_behind_a_pause_of_the_server_are_counted_as_late() {
    // One answer takes 300 ms; the clicks that come meanwhile wait for it on their connection.
    let (target, _) = server(|number| (if number == 20 { 300 } else { 0 }, OK));
    let report = run(&LoadOptions { target, connections: 1, ..options() });
    assert!(report.errors.is_empty(), "{report:?}");
    assert!(report.latency_ms.p90 > 100.0 && report.latency_ms.max >= 300.0, "{report:?}");
    // Only one of them was slow after it was sent: the others were sent late.
    assert!(report.service_ms.p90 < report.latency_ms.p90 / 2.0, "{report:?}");
    assert!(report.late_ms.p90 > report.latency_ms.p90 / 2.0, "{report:?}");
}

#[test]
fn errors_are_counted_by_what_came_instead() {
    let (target, _) = server(|number| match number % 10 {
        5 => (150, OK),
        1..=3 => (0, "503 Service Unavailable"),
        _ => (0, OK),
    });
    let report = run(&LoadOptions { target, timeout: Duration::from_millis(60), ..options() });
    assert!(report.errors["503"] > 10 && report.errors["timed out"] > 2, "{report:?}");
    assert_eq!(report.ok + report.errors.values().sum::<u64>(), report.requests);
    let timeline = |of: fn(&Second) -> u64| report.timeline.iter().map(of).sum::<u64>();
    assert_eq!(timeline(|second| second.requests), report.requests);
    assert_eq!(timeline(|second| second.errors), report.requests - report.ok);
}

#[test]
fn what_a_server_cannot_do_is_given_up_in_time_and_counted() {
    // 200 clicks a second for a server that answers 50.
    let (target, seen) = server(|_| (20, OK));
    let options = LoadOptions { target, connections: 1, timeout: Duration::from_millis(100), ..options() };
    let report = run(&options);
    let due = Arrivals::new(&options).count() as u64;
    assert_eq!(report.requests, due, "{report:?}");
    assert!(report.errors["not sent"] > due / 4 && report.ok > 10, "{report:?}");
    assert!(seen.lock().unwrap().len() as u64 <= due - report.errors["not sent"]);
}

#[test]
fn a_connection_that_the_server_closes_is_made_anew() {
    let (target, _) = server(|_| (0, "200 OK\r\nconnection: close"));
    let report = run(&LoadOptions { target, ..options() });
    assert!(report.ok > 60 && report.errors.is_empty(), "{report:?}");
}

#[test]
fn the_ramp_is_seen_and_does_not_count() {
    let (target, seen) = server(|_| (0, OK));
    let options = LoadOptions { target, ramp: Duration::from_millis(400), ..options() };
    let report = run(&options);
    let counted = Arrivals::new(&options).filter(|due| *due >= options.ramp).count() as u64;
    let all = seen.lock().unwrap().len() as u64;
    assert!(report.requests == counted && counted < all, "{report:?}");
    assert_eq!(report.timeline.iter().map(|second| second.requests).sum::<u64>(), all);
    assert!((report.answered_per_second - counted as f64 / 0.5).abs() < 1e-9, "{report:?}");
}

#[test]
fn a_server_that_is_not_there_and_options_that_make_no_sense_are_refused() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = |options: LoadOptions| {
        load(&options, &visitors(), &AtomicBool::new(false), &mut |_| {}).unwrap_err().to_string()
    };
    let message = refused(LoadOptions { target: target(free), ..options() });
    assert!(message.contains("no server can be reached"), "{message}");
    for (options, field) in [
        (LoadOptions { rate_per_second: 0.0, ..options() }, "rate"),
        (LoadOptions { rate_per_second: f64::NAN, ..options() }, "rate"),
        (LoadOptions { connections: 0, ..options() }, "connections"),
        (LoadOptions { duration: Duration::ZERO, ..options() }, "duration"),
        (LoadOptions { think: Duration::MAX, ..options() }, "think"),
        (LoadOptions { k: 0, ..options() }, "k"),
        (LoadOptions { timeout: Duration::ZERO, ..options() }, "timeout"),
        (LoadOptions { session_prefix: "a/b".to_owned(), ..options() }, "session_prefix"),
    ] {
        let message = refused(options);
        assert!(message.starts_with(&format!("{field}: ")), "{field}: {message}");
    }
    assert!(Visitors::of_log(Dataset::default()).is_none());
    assert!(Visitors::by_popularity(Dataset::default().items).is_none());
}

#[test]
fn a_load_that_is_stopped_reports_what_there_was() {
    let (target, _) = server(|_| (0, OK));
    let stop = AtomicBool::new(false);
    let options = LoadOptions { target, duration: Duration::from_secs(60), ..options() };
    let mut seconds = Vec::new();
    let report = load(&options, &visitors(), &stop, &mut |second| {
        seconds.push(*second);
        stop.store(true, Ordering::Relaxed);
    })
    .unwrap();
    assert!(report.seconds >= 1.0 && report.seconds < 30.0, "{report:?}");
    assert!((report.answered_per_second / 200.0 - 1.0).abs() < 0.5, "{report:?}");
    assert_eq!(seconds, report.timeline[..seconds.len()]);
}

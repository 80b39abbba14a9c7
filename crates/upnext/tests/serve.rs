//! Tests of `upnext serve`: starting, requests, reloading, stopping and kills.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod server;
#[allow(dead_code, reason = "each test file uses a part of it")]
mod shop;

use serde_json::Value;
use server::Served;
use shop::{Shop, assert_refused, damaged_models, upnext};
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use upnext_core::experiment::ModelKind;

#[test]
fn recommendations_are_those_of_the_command_line_and_both_signals_end_in_order() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Gru4rec);
    for signal in ["-TERM", "-INT"] {
        let server = Served::start(&model, &["--log", "json"]);
        let answer = server.ask("POST", "/v1/recommend", r#"{"session": ["1", "2"], "k": 3}"#).unwrap();
        let expected = shop::json(&upnext("recommend", &model, &["--session", "1,2", "-k", "3", "--json"]));
        assert_eq!(answer["recommendations"], expected["recommendations"]);
        assert_eq!(answer["fell_back"], expected["fell_back"]);
        let (code, log) = server.end(signal);
        assert_eq!(code, Some(0), "{log}");
        let line = log.lines().find(|line| line.contains("/v1/recommend")).expect("a line of the request");
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["status"], &line["method"]), (&200.into(), &"POST".into()), "{line}");
        assert!(line["request_id"].is_string() && line["ms"].is_number(), "{line}");
    }
}

#[cfg(unix)] // It sends a signal.
#[test]
fn a_hang_up_loads_the_model_anew_and_keeps_the_old_one_if_it_is_broken() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let (other, _) = shop.train(ModelKind::Markov);
    let mut server = Served::start(&model, &[]);
    let kind = |server: &Served| server.ask("GET", "/v1/model", "").unwrap()["kind"].clone();
    assert_eq!(kind(&server), "pop");
    std::fs::rename(&model, shop.path("old")).unwrap();
    server.hang_up_until("model refused");
    assert_eq!(kind(&server), "pop");
    std::fs::rename(&other, &model).unwrap();
    server.hang_up_until("model loaded");
    assert_eq!(kind(&server), "markov");
}

#[cfg(unix)] // It sends a signal.
#[test]
fn a_hang_up_shows_the_renewed_certificate_and_keeps_the_old_one_if_it_is_broken() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let file = |name: &str, text: String| shop.file(name, &text).to_str().unwrap().to_owned();
    let certificate = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (old, new) = (certificate(), certificate());
    let [old_ca, new_ca] =
        [("old", &old), ("new", &new)].map(|(name, certificate)| file(name, certificate.cert.pem()));
    let cert = file("cert.pem", old.cert.pem());
    let key = file("key.pem", old.signing_key.serialize_pem());
    let mut server = Served::start(&model, &["--tls-cert", &cert, "--tls-key", &key]);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let answers_who_trusts = |server: &Served, ca: &str| {
        let timing = ["--rate", "100", "--duration", "200ms", "--ramp", "0", "--timeout", "20s"];
        let model = ["--model", model.to_str().unwrap(), "--stateless", "-q", "--ca", ca];
        let output = upnext("load", Path::new(&server.url), &[&timing[..], &model].concat());
        let message = shop::stderr(&output);
        assert!(output.status.success() || message.contains("no TLS with 127.0.0.1"), "{message}");
        output.status.success()
    };
    assert!(answers_who_trusts(&server, &old_ca) && !answers_who_trusts(&server, &new_ca));
    file("cert.pem", new.cert.pem());
    server.hang_up_until("certificate refused");
    assert!(answers_who_trusts(&server, &old_ca) && !answers_who_trusts(&server, &new_ca));
    file("key.pem", new.signing_key.serialize_pem());
    server.hang_up_until("certificate loaded");
    assert!(answers_who_trusts(&server, &new_ca) && !answers_who_trusts(&server, &old_ca));
    let (code, log) = server.end("-TERM");
    assert_eq!(code, Some(0), "{log}");
}

#[cfg(unix)] // It sends a signal.
#[test]
fn a_log_that_nobody_reads_or_whose_reader_has_ended_keeps_no_request_from_its_answer() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let mut server = Served::start(&model, &[]);
    // A pipe holds some hundred lines, and each request logs one.
    let ask = |server: &Served| {
        (0..1_500).for_each(|_| assert!(server.ask("GET", "/healthz", "").is_some(), "no answer"));
    };
    ask(&server);
    let mut other = Command::new("true").stderr(Stdio::piped()).spawn().unwrap();
    server.stderr = BufReader::new(other.stderr.take().unwrap());
    other.wait().unwrap();
    ask(&server);
    assert_eq!(server.end("-TERM").0, Some(0));
}

#[cfg(unix)] // It sends a signal.
#[test]
fn how_the_lists_of_a_shadow_differ_is_logged_under_the_id_of_the_request() {
    let shop = Shop::new();
    let ((first, loaded), (second, _)) = (shop.train(ModelKind::Pop), shop.train(ModelKind::Markov));
    let click = format!(r#"{{"item": "{}", "k": 3}}"#, loaded.items().id(7));
    let second = second.to_str().unwrap();
    let server = Served::start(&first, &["--compare", second, "--shadow", "1", "--log", "json"]);
    // A shadow list that is not finished when the server ends is not logged.
    for _ in 0..20 {
        server.ask("POST", "/v1/sessions/v1/events", &click).unwrap();
    }
    let log = server.end("-TERM").1;
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |message: &str| lines.iter().filter(move |line| line["message"] == message).collect::<Vec<_>>();
    let differs = *of("shadow differs").first().unwrap_or_else(|| panic!("no shadow differs in:\n{log}"));
    assert!(differs["common"].as_u64() < Some(3) || differs["same_top"] == false, "{differs}");
    assert!(of("request").iter().any(|request| request["request_id"] == differs["request_id"]), "{differs}");
}

#[cfg(unix)] // It sends a signal.
#[test]
fn a_killed_server_has_lost_no_acknowledged_event() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let file = shop.path("sessions");
    let file = file.to_str().unwrap();
    for round in 0..3 {
        let mut server = Served::start(&model, &["--session-file", file, "--log-level", "error"]);
        let acknowledged = Mutex::new(vec![0; 4]);
        let enough = |acknowledged: &Mutex<Vec<u64>>| acknowledged.lock().unwrap().iter().sum::<u64>() >= 60;
        std::thread::scope(|scope| {
            let (server_ref, acknowledged) = (&server, &acknowledged);
            let clicking: Vec<_> = (0..4)
                .map(|visitor| {
                    scope.spawn(move || {
                        let path = format!("/v1/sessions/r{round}-{visitor}/events");
                        while let Some(answer) = server_ref.ask("POST", &path, r#"{"item": "1", "k": 1}"#) {
                            acknowledged.lock().unwrap()[visitor] = answer["events"].as_u64().unwrap();
                        }
                    })
                })
                .collect();
            while !enough(acknowledged) && !clicking.iter().any(|thread| thread.is_finished()) {
                std::thread::yield_now();
            }
            server_ref.signal("-KILL");
        });
        server.child.wait().unwrap();
        let again = Served::start(&model, &["--session-file", file]);
        for (visitor, &events) in acknowledged.lock().unwrap().iter().enumerate() {
            assert!(events > 0);
            let path = format!("/v1/sessions/r{round}-{visitor}");
            // Those of before are read while the server answers.
            let mut kept = None;
            while kept.is_none() {
                kept = again.ask("GET", &path, "").unwrap()["events"].as_u64();
            }
            let kept = kept.unwrap();
            // The last event may have been written but not yet acknowledged.
            assert!((events..=events + 1).contains(&kept), "{kept} of {events} acknowledged");
        }
    }
}

#[cfg(unix)] // Signals, and a file that does not end.
#[test]
fn a_server_that_loads_is_alive_and_not_ready_and_takes_signals() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let titles = shop.path("titles.csv");
    assert!(Command::new("mkfifo").arg(&titles).status().unwrap().success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_upnext"))
            .arg("serve")
            .arg(&model)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--catalogue"])
            .arg(&titles)
            .env("UPNEXT_DRAIN_MS", "0")
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let status = |path: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse::<u16>().ok()
    };
    let signal = |child: &std::process::Child, name: &str| {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    };
    let mut child = start();
    while status("/healthz").is_none() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
    }
    assert_eq!(["/healthz", "/readyz", "/v1/model"].map(status), [Some(200), Some(503), Some(503)]);
    signal(&child, "-HUP");
    assert_eq!(status("/healthz"), Some(200));
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let mut child = start();
    std::fs::write(&titles, "item,title\n1,Tea\n").unwrap();
    while status("/readyz") != Some(200) {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
    }
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_served_is_refused_with_what_to_do() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Gru4rec);
    for (broken, words) in damaged_models(&shop, &model) {
        assert_refused(&upnext("serve", &broken, &["--listen", "127.0.0.1:0"]), 1, &words);
    }
    let refused =
        |more: &[&str], code, words: &[&str]| assert_refused(&upnext("serve", &model, more), code, words);
    refused(&["--listen", "0.0.0.0:0"], 1, &["0.0.0.0", "--keys", "--allow-open"]);
    refused(&["--listen", "localhost"], 2, &["--listen"]);
    let file = |text: &str| shop.file("limits.toml", text).to_str().unwrap().to_owned();
    refused(&["--config", &file("max_k = 10\nmax_kk = 3\n")], 2, &["limits.toml:2", "max_kk", "`max_k`"]);
    refused(&["--config", &file("max_k = 10\n")], 2, &["max_k", "default_k"]);
    refused(&["--tls-cert", "cert.pem"], 2, &["tls_key_file", "--tls-key"]);
    refused(&["--tls-cert", "nothing.pem", "--tls-key", "nothing.pem"], 1, &["nothing.pem"]);
    let keys = shop.file("keys", "secret-7\n");
    let message = upnext("serve", &model, &["--keys", keys.to_str().unwrap()]);
    assert_refused(&message, 1, &["keys:1: ", "less than 16"]);
    assert!(!shop::stderr(&message).contains("secret-7"));
}

#[test]
fn the_password_of_a_store_comes_from_a_file_or_the_environment_and_is_shown_nowhere() {
    let shop = Shop::new();
    let limits = |more: &[&str], variable: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
        command.args(["serve", "--show-config"]).args(more).env_remove("UPNEXT_SESSION_STORE");
        let output = command.envs(variable.map(|url| ("UPNEXT_SESSION_STORE", url))).output().unwrap();
        for said in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(!said.contains("pass-7"), "{said}");
        }
        output
    };
    let shown = |output: &Output, url: &str| {
        let text = shop::stdout(output);
        assert!(text.contains(&format!("session_store = \"{url}\"")), "{text}{}", shop::stderr(output));
    };
    let file = |text: &str| shop.file("limits.toml", text).to_str().unwrap().to_owned();
    let (secret, hidden) = ("redis://:pass-7@store:6380/2", "redis://:***@store:6380/2");
    shown(&limits(&[], Some(secret)), hidden);
    shown(&limits(&["--config", &file(&format!("session_store = \"{secret}\"\n"))], None), hidden);
    // The environment overrides the file, and an argument overrides the environment.
    shown(&limits(&["--config", &file("session_store = \"redis://other\"\n")], Some(secret)), hidden);
    shown(&limits(&["--session-store", "redis://third"], Some(secret)), "redis://third");

    assert_refused(&limits(&["--session-store", secret], None), 2, &["--session-store", "other users"]);
    assert_refused(
        &limits(&["--session-store", "store:pass-7"], None),
        2,
        &["--session-store", "redis://HOST"],
    );
    assert_refused(&limits(&[], Some("http://:pass-7@x")), 2, &["UPNEXT_SESSION_STORE", "redis://HOST"]);
    let broken = file("max_k = 100\nsession_store = \"redis://:pass-7@\"\n");
    assert_refused(&limits(&["--config", &broken], None), 2, &["limits.toml:2:", "session_store"]);
    let both = ["--session-store", "redis://store", "--session-file", "sessions"];
    assert_refused(&limits(&both, None), 2, &["session_store", "session_file"]);
}

#[test]
fn the_options_that_are_shown_are_a_file_to_start_from() {
    let shop = Shop::new();
    let shown = upnext("serve", Path::new("--show-config"), &["--session-sync", "every-event"]);
    let text = shop::stdout(&shown);
    for words in
        ["session_sync = \"every-event\" # from --session-sync", "max_k = 1000\n", "# session_file is absent"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let file = shop.file("options.toml", &text);
    let again =
        shop::stdout(&upnext("serve", Path::new("--show-config"), &["--config", file.to_str().unwrap()]));
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(" # from ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&again), values(&text));
    assert!(again.contains("# from ") && again.contains("options.toml:"), "{again}");
}

#[test]
fn every_option_can_be_given_by_the_file_the_environment_and_an_argument() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let file =
        shop.file("serve.toml", format!("model = {model:?}\nlisten = \"127.0.0.1:0\"\nname = \"of-file\"\n"));
    let show = |variables: &[(&str, &str)], more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
        command.args(["serve", "--show-config", "--config"]).arg(&file).args(more);
        command.envs(variables.iter().copied()).output().unwrap()
    };
    let name = |variables: &[(&str, &str)], more: &[&str]| {
        let text = shop::stdout(&show(variables, more));
        let line = text.lines().find(|line| line.starts_with("name = ")).unwrap().to_owned();
        line.split_once(" # from ").map(|(value, origin)| (value.to_owned(), origin.to_owned())).unwrap()
    };
    assert!(name(&[], &[]).1.ends_with("serve.toml:3"));
    let variable = [("UPNEXT_NAME", "of-variable")];
    assert_eq!(name(&variable, &[]), ("name = \"of-variable\"".to_owned(), "UPNEXT_NAME".to_owned()));
    assert_eq!(name(&variable, &["--set", "name=set"]).1, "--set name");
    assert_eq!(name(&variable, &["--set", "name=set", "--name", "flag"]).0, "name = \"flag\"");
    let near = show(&[("UPNEXT_MAX_KK", "5")], &[]);
    assert!(
        shop::stderr(&near).contains("UPNEXT_MAX_KK sets no option: did you mean UPNEXT_MAX_K?"),
        "{near:?}"
    );
    // A file is enough to start.
    let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
    command.args(["serve", "--config"]).arg(&file);
    let server = Served::started(command);
    assert_eq!(server.ask("GET", "/v1/model", "").unwrap()["name"], "of-file");
    drop(server);
    let nothing = Command::new(env!("CARGO_BIN_EXE_upnext")).arg("serve").output().unwrap();
    assert_refused(&nothing, 2, &["model: is missing", "upnext serve MODEL"]);
}

#[test]
fn a_program_that_reads_log_lines_gets_json_from_the_first_to_the_last() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let lines = |log: &str| -> Vec<Value> {
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    };
    for (more, code) in
        [(&["--tls-cert", "nothing.pem", "--tls-key", "nothing.pem"][..], 1), (&["--set", "max_k=0"], 2)]
    {
        let output = upnext("serve", &model, &[&["--log", "json"], more].concat());
        assert_eq!(output.status.code(), Some(code));
        let lines = lines(&shop::stderr(&output));
        assert_eq!(lines.last().unwrap()["level"], "ERROR", "{lines:?}");
    }
    let server = Served::start(&model, &["--log", "json", "--set", "log_probes=true"]);
    server.ask("GET", "/readyz", "").unwrap();
    server.ask("GET", "/v1/model", "").unwrap();
    let (_, log) = server.end("-INT");
    let lines = lines(&log);
    let request = lines.iter().find(|line| line["route"] == "/v1/model").unwrap();
    assert!(request["bytes"].as_u64() > Some(100) && request["address"] == "127.0.0.1", "{request}");
    assert!(lines.iter().any(|line| line["route"] == "/readyz"));
    let quiet = Served::start(&model, &["--log", "json"]);
    quiet.ask("GET", "/readyz", "").unwrap();
    assert!(!quiet.end("-INT").1.contains("/readyz"));
}

#[cfg(unix)] // Signals.
#[test]
fn a_server_that_is_to_stop_drains_and_stops_at_the_second_signal() {
    let shop = Shop::new();
    let (model, _) = shop.train(ModelKind::Pop);
    let server = Served::start(&model, &["--set", "drain_ms=600000"]);
    server.signal("-TERM");
    while server.ask("GET", "/readyz", "").is_none_or(|answer| answer["status"] != 503) {}
    assert!(server.ask("GET", "/v1/model", "").is_some());
    assert_eq!(server.end("-TERM").0, Some(0));
}

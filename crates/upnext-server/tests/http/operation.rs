//! Tests of operation: keys, metrics, reloading while requests run, and graceful shutdown.

use crate::shop::{
    ADMIN_KEY, Client, EVENING, KEY, MORNING, Shop, items, keys, metric, save_model, setup, until,
};
use serde_json::{Value, json};
use upnext_server::{ApiKeys, Keys, Server};

#[test]
fn data_needs_a_key_where_there_is_one_and_health_does_not() {
    let shop = Shop::with(|_, setup| setup.keys = keys());
    let ask = json!({"session": ["kettle"]});
    let refused = shop.client().post("/v1/recommend", &ask);
    refused.problem(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    shop.client().with_key("a-key-for-the-shoq").post("/v1/recommend", &ask).problem(401);
    shop.client().with_key(ADMIN_KEY).post("/v1/recommend", &ask).problem(403);
    shop.client().with_key(KEY).post("/v1/recommend", &ask).json(200);
    for path in ["/v1/sessions/x", "/v1/model", "/metrics"] {
        shop.client().get(path).problem(401);
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs", "/"] {
        assert_eq!(shop.client().get(path).status, 200, "{path}");
    }
    assert_eq!(shop.client().with_key(ADMIN_KEY).get("/metrics").status, 200);
}

#[test]
fn admin_calls_need_a_key_of_their_own() {
    let shop = Shop::open();
    shop.client().post("/v1/admin/reload", "{}").problem(403);
    let shop = Shop::with(|_, setup| setup.keys = keys());
    shop.client().post("/v1/admin/reload", "{}").problem(401);
    shop.client().with_key(KEY).post("/v1/admin/reload", "{}").problem(403);
    shop.client().with_key(ADMIN_KEY).post("/v1/admin/reload", "{}").json(200);
}

#[test]
fn a_key_is_revoked_without_a_restart_and_what_is_refused_is_counted() {
    let shop = Shop::with(|place, setup| {
        let file = |name: &str, key: &str| {
            std::fs::write(place.join(name), format!("shop {key}\n")).unwrap();
            Keys::read(&place.join(name)).unwrap()
        };
        setup.keys = ApiKeys { data: file("keys", KEY), admin: file("admin-keys", ADMIN_KEY) };
        (setup.config.watch_models, setup.config.poll_ms) = (true, 10);
    });
    let status = |key| shop.client().with_key(key).get("/v1/model").status;
    assert_eq!(status(KEY), 200);
    std::fs::write(shop.path("keys"), "shop another-key-for-the-shop\n").unwrap();
    until(|| status(KEY) == 401);
    assert_eq!(status("another-key-for-the-shop"), 200);
    // A file without a key opens nothing and closes nothing.
    std::fs::write(shop.path("keys"), "# none\n").unwrap();
    let count = |name: &str| {
        let text = shop.client().with_key(ADMIN_KEY).get("/metrics").text().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in:\n{text}")).parse::<u64>().unwrap()
    };
    until(|| count(r#"upnext_key_changes_total{outcome="refused"}"#) > 0);
    assert_eq!((status(KEY), status("another-key-for-the-shop")), (401, 200));
    assert_eq!(count(r#"upnext_keys_refused_total{reason="missing"}"#), 0);
    shop.client().get("/v1/model").problem(401);
    shop.client().with_key(ADMIN_KEY).get("/v1/catalogue").problem(403);
    assert_eq!(count(r#"upnext_keys_refused_total{reason="missing"}"#), 1);
    assert_eq!(count(r#"upnext_keys_refused_total{reason="other"}"#), 1);
    assert!(count(r#"upnext_keys_refused_total{reason="unknown"}"#) >= 2);
}

#[test]
fn an_address_that_others_can_reach_is_refused_without_a_key() {
    let open = |change: fn(&mut upnext_server::Setup)| {
        Shop::try_with(|_, setup| {
            setup.config.listen = ([0, 0, 0, 0], 0).into();
            change(setup);
        })
    };
    let message = open(|_| {}).err().expect("a refusal").to_string();
    assert!(message.contains("--keys") && message.contains("--allow-open"), "{message}");
    assert!(open(|setup| setup.keys = keys()).is_ok());
    assert!(open(|setup| setup.config.allow_open = true).is_ok());
}

#[test]
fn metrics_count_what_happened() {
    let shop = Shop::open();
    let mut client = shop.client();
    client.post("/v1/recommend", json!({"session": ["kettle", "x"]})).json(200);
    client.post("/v1/recommend", json!({"session": []})).json(200);
    client.post("/v1/recommend", json!({"session": 1})).problem(422);
    client.post("/v1/sessions/v1/events", json!({"item": "tea"})).json(200);
    client.get("/v1/nothing").problem(404);
    client.send("BREW", "/v1/other", None).problem(404);
    let text = client.get("/metrics").text().to_owned();
    for line in [
        r#"upnext_requests_total{method="POST",route="/v1/recommend",status="200"} 2"#,
        r#"upnext_requests_total{method="POST",route="/v1/recommend",status="422"} 1"#,
        r#"upnext_requests_total{method="POST",route="/v1/sessions/{id}/events",status="200"} 1"#,
        r#"upnext_requests_total{method="GET",route="other",status="404"} 1"#,
        r#"upnext_requests_total{method="other",route="other",status="404"} 1"#,
        r#"upnext_request_seconds_count{method="POST",route="/v1/recommend"} 3"#,
        "upnext_batch_sessions_count 3",
        "upnext_batch_sessions_sum 3.0",
        r#"upnext_lists_total{role="first"} 3"#,
        r#"upnext_fallbacks_total{role="first"} 1"#,
        "upnext_unknown_items_total 1",
        "upnext_session_events_total 1",
        "upnext_sessions 1",
        "upnext_queue_sessions 0",
        "upnext_connections 1",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in:\n{text}");
    }
    assert!(text.contains(r#"upnext_model_info{role="first",name="morning",version=""#), "{text}");
}

#[test]
fn every_answer_has_a_request_id_and_a_sane_one_is_taken_over() {
    let shop = Shop::open();
    let mut client = shop.client();
    let ids = [client.get("/healthz"), client.get("/nothing")]
        .map(|r| r.header("x-request-id").unwrap().to_owned());
    assert_ne!(ids[0], ids[1]);
    for (sent, taken) in [("trace-7", true), ("a b", false)] {
        client.write(
            format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-request-id: {sent}\r\n\r\n").as_bytes(),
        );
        let reply = client.reply().unwrap();
        assert_eq!(reply.header("x-request-id") == Some(sent), taken, "{reply:?}");
    }
}

#[test]
fn another_model_is_served_from_one_request_to_the_next_and_sessions_stay() {
    let shop = Shop::with(|place, setup| {
        setup.keys.admin = keys().admin;
        let models = place.join("models");
        std::fs::create_dir(&models).unwrap();
        save_model(&models.join("evening"), EVENING);
        setup.config.models_dir = Some(models);
    });
    let (mut client, mut admin) = (shop.client(), shop.client().with_key(ADMIN_KEY));
    let click = |client: &mut Client| {
        client.post("/v1/sessions/v1/events", json!({"item": "kettle", "k": 1})).json(200)
    };
    let before = click(&mut client);
    assert_eq!(items(&before), ["tea"]);

    let loaded = admin.post("/v1/admin/reload", json!({"path": "evening"})).json(200);
    let after = click(&mut client);
    assert_eq!((items(&after), &after["events"]), (vec!["bread"], &json!(2)));
    assert_eq!(
        (&after["model"]["name"], &after["model"]["version"]),
        (&json!("evening"), &loaded["version"])
    );
    assert_ne!(before["model"]["version"], after["model"]["version"]);
    let text = client.get("/metrics").text().to_owned();
    assert!(
        text.contains(r#"upnext_model_info{role="first",name="evening""#)
            && !text.contains(r#"name="morning""#),
        "{text}"
    );
    assert!(text.contains(r#"upnext_reloads_total{outcome="loaded"} 1"#), "{text}");

    // The served folder is changed in place.
    save_model(&shop.path("models/evening"), MORNING);
    admin.post("/v1/admin/reload", "{}").json(200);
    assert_eq!(items(&click(&mut client)), ["tea"]);
}

#[cfg(unix)] // Links.
#[test]
fn a_reload_is_finished_although_who_asked_has_left_and_a_link_is_followed_each_time() {
    let shop = Shop::with(|place, setup| {
        setup.keys.admin = keys().admin;
        let models = place.join("models");
        for (name, sessions) in [("evening", EVENING), ("morning", MORNING)] {
            save_model(&models_dir(&models).join(name), sessions);
        }
        std::os::unix::fs::symlink("evening", models.join("current")).unwrap();
        setup.config.models_dir = Some(models);
    });
    let served = || shop.client().get("/v1/model").json(200)["name"].clone();
    let body = json!({"path": "current"}).to_string();
    // A client that disconnects before its request is read does not start a reload, so it is repeated.
    until(|| {
        shop.client().with_key(ADMIN_KEY).ask("POST", "/v1/admin/reload", Some(body.as_bytes()));
        served() == "evening"
    });
    std::fs::remove_file(shop.path("models/current")).unwrap();
    std::os::unix::fs::symlink("morning", shop.path("models/current")).unwrap();
    shop.client().with_key(ADMIN_KEY).post("/v1/admin/reload", "{}").json(200);
    assert_eq!(served(), "morning");
    // A link that later leads out of the folder of models is refused.
    save_model(&shop.path("outside"), EVENING);
    std::fs::remove_file(shop.path("models/current")).unwrap();
    std::os::unix::fs::symlink("../outside", shop.path("models/current")).unwrap();
    shop.client().with_key(ADMIN_KEY).post("/v1/admin/reload", "{}").problem(422);
    assert_eq!(served(), "morning");
}

#[test]
fn a_server_that_is_to_stop_says_so_to_new_connections_until_it_has_drained() {
    let shop = Shop::with(|_, setup| setup.config.drain_ms = 5_000);
    shop.client().get("/readyz").json(200);
    shop.drain();
    until(|| shop.client().get("/readyz").status == 503);
    shop.client().post("/v1/recommend", json!({"session": ["kettle"]})).json(200);
    shop.close();
}

#[cfg(unix)] // Links.
#[test]
fn a_broken_model_or_a_path_that_leads_out_is_refused_and_the_old_model_stays() {
    let shop = Shop::with(|place, setup| {
        setup.keys.admin = keys().admin;
        let models = place.join("models");
        save_model(&place.join("outside"), EVENING);
        save_model(&models_dir(&models).join("broken"), EVENING);
        std::fs::write(items_file(&models.join("broken")), "no items").unwrap();
        std::os::unix::fs::symlink(place.join("outside"), models.join("link")).unwrap();
        setup.config.models_dir = Some(models);
    });
    let mut admin = shop.client().with_key(ADMIN_KEY);
    let outside = shop.path("outside");
    let outside = outside.to_str().unwrap();
    for path in ["../outside", outside, "link", "", ".", "nothing", "a\0b", "broken/../../outside"] {
        let problem = admin.post("/v1/admin/reload", json!({"path": path})).problem(422);
        assert_eq!(problem["field"], "path", "{path:?}: {problem}");
    }
    let problem = admin.post("/v1/admin/reload", json!({"path": "broken"})).problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("items-"), "{problem}");
    admin.post("/v1/admin/reload", json!({"path": 7})).problem(422);
    admin.send("POST", "/v1/admin/reload", None).problem(415);
    std::fs::remove_file(shop.path("morning/manifest.json")).unwrap();
    admin.post("/v1/admin/reload", "{}").problem(422);
    let answer = admin.post("/v1/recommend", json!({"session": ["kettle"], "k": 1})).json(200);
    assert_eq!((items(&answer), &answer["model"]["name"]), (vec!["tea"], &json!("morning")));
}

/// The path of a model's item file.
fn items_file(model: &std::path::Path) -> std::path::PathBuf {
    let manifest = std::fs::read(model.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let items = files.iter().find(|file| file["name"] == "items").unwrap();
    model.join(items["file"].as_str().unwrap())
}

fn models_dir(path: &std::path::Path) -> &std::path::Path {
    std::fs::create_dir_all(path).unwrap();
    path
}

#[test]
fn no_answer_is_lost_or_mixed_while_models_are_swapped() {
    let shop = Shop::with(|place, setup| {
        setup.keys.admin = keys().admin;
        setup.config.batch_queue_share = 1.0;
        save_model(&models_dir(&place.join("models")).join("evening"), EVENING);
        save_model(&place.join("models/morning"), MORNING);
        setup.config.models_dir = Some(place.join("models"));
    });
    // Long enough that models are replaced during the computation.
    let request = json!({"session": vec!["kettle"; 100], "k": 1});
    let requests = json!({"requests": vec![request; 200]}).to_string();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .map(|_| {
                let (mut client, requests) = (shop.client(), requests.as_str());
                scope.spawn(move || {
                    for _ in 0..40 {
                        let answer = client.post("/v1/recommend/batch", requests).json(200);
                        let expected = if answer["model"]["name"] == "evening" { "bread" } else { "tea" };
                        let lists = answer["lists"].as_array().unwrap();
                        assert!(lists.len() == 200 && lists.iter().all(|list| items(list) == [expected]));
                    }
                })
            })
            .collect();
        let mut admin = shop.client().with_key(ADMIN_KEY);
        while !asking.iter().all(|thread| thread.is_finished()) {
            for name in ["evening", "morning"] {
                admin.post("/v1/admin/reload", json!({"path": name})).json(200);
            }
        }
    });
}

#[test]
fn lists_are_applied_again_when_their_files_change() {
    let shop = Shop::with(|place, setup| {
        std::fs::write(place.join("block"), "tea\n").unwrap();
        std::fs::write(place.join("allow"), "tea\ncup\npot\nnever seen\n").unwrap();
        setup.config.block_file = Some(place.join("block"));
        setup.config.allow_file = Some(place.join("allow"));
        setup.config.poll_ms = 10;
        setup.keys.admin = keys().admin;
    });
    let mut client = shop.client();
    let mut list = || {
        let answer = client.post("/v1/recommend", json!({"session": ["kettle"]})).json(200);
        items(&answer).join(" ")
    };
    assert_eq!(list(), "cup pot");
    std::fs::write(shop.path("block"), "cup\n").unwrap();
    until(|| list() == "tea pot");
    // An invalid file changes nothing; the next valid one is applied.
    std::fs::write(shop.path("allow"), b"\xff\n").unwrap();
    std::fs::write(shop.path("allow"), "cup\ntea\n").unwrap();
    until(|| list() == "tea");
    std::fs::remove_file(shop.path("block")).unwrap();
    assert_eq!(list(), "tea");

    // Less than half of a list is refused, unless it is said that it is meant.
    std::fs::write(shop.path("block"), "cup\n").unwrap();
    let mut admin = shop.client().with_key(ADMIN_KEY);
    let refused = || metric(&mut shop.client(), r#"upnext_list_changes_total{outcome="refused"}"#);
    let before = refused();
    std::fs::write(shop.path("allow"), "").unwrap();
    until(|| refused() > before);
    assert_eq!(list(), "tea");
    let problem = admin.post("/v1/admin/lists", json!({})).problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("0 ids instead of 2"), "{problem}");
    assert_eq!(list(), "tea");
    let models = admin.post("/v1/admin/lists", json!({"replace": true})).json(200);
    assert_eq!(models["models"][0]["allowed_items"], 0);
    assert_eq!(list(), "");
    let ready = shop.client().get("/readyz").json(200);
    assert!(ready["degraded"][0].as_str().unwrap().contains("leave no item"), "{ready}");
    assert_eq!(metric(&mut shop.client(), r#"upnext_allowed_items{role="first"}"#), 0.0);
    assert_eq!(metric(&mut shop.client(), r#"upnext_list_items{list="allow"}"#), 0.0);
    let refused = Shop::try_with(|place, setup| {
        std::fs::write(place.join("allow"), "never seen\n").unwrap();
        setup.config.allow_file = Some(place.join("allow"));
    });
    let message = refused.err().expect("a refusal").to_string();
    assert!(message.starts_with("allow_file: leaves no item"), "{message}");
}

#[test]
fn a_list_that_is_being_written_is_not_read() {
    let shop = Shop::with(|place, setup| {
        std::fs::write(place.join("block"), "tea\npot\n").unwrap();
        setup.config.block_file = Some(place.join("block"));
        setup.config.poll_ms = 20;
    });
    let mut client = shop.client();
    // The block list is written anew again and again, the blocked item last.
    for _ in 0..20 {
        std::fs::write(shop.path("block"), "").unwrap();
        for _ in 0..5 {
            let answer = client.post("/v1/recommend", json!({"session": ["kettle"]})).json(200);
            assert!(!items(&answer).contains(&"tea"), "{answer}");
        }
        std::fs::write(shop.path("block"), "pot\ntea\n").unwrap();
    }
}

#[test]
fn what_is_in_flight_is_answered_before_the_server_ends() {
    let shop = Shop::open();
    let body = r#"{"session": ["kettle"], "k": 1}"#;
    let mut client = shop.client();
    let head = format!(
        "POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    client.write(head.as_bytes());
    // The server requests the body, so the request is in flight.
    assert_eq!(client.reply().unwrap().status, 100);
    shop.stop();
    while std::net::TcpStream::connect(shop.address).is_ok() {
        std::thread::yield_now();
    }
    client.write(body.as_bytes());
    let reply = client.reply().unwrap();
    assert_eq!(items(&reply.json(200)), ["tea"]);
    assert!(client.reply().is_none(), "the connection ends");
    drop(shop.close());
}

#[test]
fn a_client_that_sends_no_request_or_no_body_is_let_go() {
    let shop = Shop::with(|_, setup| {
        (setup.config.header_timeout_ms, setup.config.body_timeout_ms) = (100, 100);
    });
    let mut slow = shop.client();
    slow.write(b"GET /healthz HTTP/1.1\r\nx: ");
    assert!(slow.reply().is_none_or(|reply| reply.status == 408));
    let mut slow = shop.client();
    slow.write(b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{");
    slow.reply().unwrap().problem(408);
    shop.client().get("/healthz").json(200);
}

#[test]
fn more_connections_than_the_limit_take_the_places_of_idle_ones() {
    let shop = Shop::with(|_, setup| setup.config.max_connections = 1);
    let mut first = shop.client();
    first.get("/healthz").json(200);
    let mut second = shop.client();
    second.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    // The first is idle, and makes room.
    second.reply().unwrap().json(200);
    assert!(first.reply().is_none());
    assert_eq!(metric(&mut second, "upnext_connections_displaced_total"), 1.0);
    // One that waits for its answer does not.
    let body = r#"{"session": ["kettle"], "k": 1}"#;
    let length = body.len();
    second.write(format!("POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n").as_bytes());
    assert_eq!(second.reply().unwrap().status, 100);
    let mut third = shop.client();
    third.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    second.write(body.as_bytes());
    second.reply().unwrap().json(200);
    third.reply().unwrap().json(200);
}

#[test]
fn the_description_names_every_path_and_the_page_loads_nothing_from_elsewhere() {
    let shop = Shop::open();
    let mut client = shop.client();
    let api = client.get("/openapi.json").json(200);
    let paths = api["paths"].as_object().unwrap();
    for path in [
        "/v1/recommend",
        "/v1/recommend/batch",
        "/v1/sessions/{id}",
        "/v1/sessions/{id}/events",
        "/v1/items",
        "/v1/items/lookup",
        "/v1/catalogue",
        "/v1/examples",
        "/v1/items/{id}/similar",
        "/v1/model",
        "/v1/models",
        "/v1/admin/reload",
        "/v1/admin/lists",
        "/v1/admin/share",
        "/v1/admin/items",
        "/v1/admin/sessions",
        "/metrics",
        "/healthz",
        "/readyz",
    ] {
        let methods =
            paths.get(path).and_then(Value::as_object).unwrap_or_else(|| panic!("{path} is missing"));
        for method in methods.keys() {
            let status = client.send(&method.to_uppercase(), &path.replace("{id}", "x"), None).status;
            let detail = format!("{method} {path}: {status}");
            // There is no session and no item `x`.
            let may_lack = ["/v1/sessions/{id}", "/v1/items/{id}/similar"].contains(&path);
            assert!(status != 405 && (status != 404 || may_lack), "{detail}");
        }
    }
    assert_eq!(paths.len(), 19);
    let request = &api["components"]["schemas"]["RecommendRequest"];
    assert_eq!(request["required"], json!(["session"]));
    assert_eq!(
        request["properties"]["k"]["description"],
        "Length of the list; absent: the server's default, usually 20."
    );
    let page = client.get("/docs");
    assert!(page.text().contains("/openapi.json"));
    for elsewhere in ["http:", "https:", "//cdn", "@import", "src="] {
        assert!(!page.text().contains(elsewhere), "{elsewhere}");
    }
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
}

#[test]
fn what_cannot_be_served_is_said_before_the_server_starts() {
    let place = tempfile::tempdir().unwrap();
    let message = Server::bind(setup(place.path().join("nothing"))).unwrap_err().to_string();
    assert!(message.contains("nothing") && message.contains("no such folder"), "{message}");
    let taken = Shop::open();
    let message =
        Shop::try_with(|_, setup| setup.config.listen = taken.address).err().expect("a refusal").to_string();
    assert!(message.contains(&taken.address.to_string()), "{message}");
    let message = Shop::try_with(|_, setup| setup.config.max_k = 0).err().expect("a refusal").to_string();
    assert!(message.starts_with("max_k"), "{message}");
}

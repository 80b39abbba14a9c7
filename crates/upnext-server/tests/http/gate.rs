//! Tests of what stands between a new model and visitors, and of the admin calls for shares and sessions.

use crate::shop::{ADMIN_KEY, EVENING, MORNING, Shop, keys, metric, save_model, until};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, SystemTime};
use upnext_server::{ServerConfig, Setup};

fn with_models(place: &Path, setup: &mut Setup, change: impl FnOnce(&mut ServerConfig)) {
    let models = place.join("models");
    std::fs::create_dir(&models).unwrap();
    save_model(&models.join("morning"), MORNING);
    save_model(&models.join("evening"), EVENING);
    save_model(&models.join("half"), &["kettle tea", "kettle tea"]);
    setup.config.models_dir = Some(models);
    setup.keys.admin = keys().admin;
    change(&mut setup.config);
}

#[test]
fn a_model_that_lacks_half_of_the_items_or_is_old_is_refused_unless_it_is_forced() {
    let shop = Shop::with(|place, setup| {
        with_models(place, setup, |config| config.reload_max_age_s = 3_600);
        let old = place.join("models/evening/manifest.json");
        let file = std::fs::File::options().append(true).open(old).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(7_200)).unwrap();
    });
    let mut admin = shop.client().with_key(ADMIN_KEY);
    let mut load = |body: Value| admin.post("/v1/admin/reload", body);
    let detail = load(json!({"path": "half"})).problem(422)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("2 items instead of 5") && detail.contains("force"), "{detail}");
    let detail = load(json!({"path": "evening"})).problem(422)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("reload_max_age_s"), "{detail}");
    assert_eq!(load(json!({"path": "morning"})).json(200)["name"], "morning");
    assert_eq!(load(json!({"path": "evening", "force": true})).json(200)["name"], "evening");
    let created = metric(&mut admin, r#"upnext_model_created_seconds{role="first"}"#);
    let loaded = metric(&mut admin, r#"upnext_model_loaded_seconds{role="first"}"#);
    assert!((7_000.0..8_000.0).contains(&(loaded - created)), "{created} {loaded}");
    let model = admin.get("/v1/model").json(200);
    assert!(model["created"].is_string() && model["loaded"].is_string(), "{model}");
}

#[test]
fn a_model_is_tried_on_requests_before_it_answers_them() {
    let shop = Shop::with(|place, setup| {
        with_models(place, setup, |config| {
            (config.reload_shadow_requests, config.reload_min_overlap) = (10, 0.9);
        });
    });
    // The lists of the same model are the same; those of the other one are not.
    for (path, expected) in [("morning", 200), ("evening", 422)] {
        let reply = std::thread::scope(|scope| {
            let load = || shop.client().with_key(ADMIN_KEY).post("/v1/admin/reload", json!({"path": path}));
            let loading = scope.spawn(load);
            let mut client = shop.client();
            until(|| {
                client.post("/v1/recommend", json!({"session": ["kettle"], "k": 3})).json(200);
                loading.is_finished()
            });
            loading.join().unwrap()
        });
        assert_eq!(reply.status, expected, "{}", reply.text());
        if expected == 422 {
            assert!(reply.text().contains("reload_min_overlap"), "{}", reply.text());
        }
    }
    assert_eq!(shop.client().get("/v1/model").json(200)["name"], "morning");
    // An operator who does not want to wait says so.
    let forced = json!({"path": "evening", "force": true});
    shop.client().with_key(ADMIN_KEY).post("/v1/admin/reload", forced).json(200);
}

#[test]
fn the_share_of_the_second_model_is_changed_while_it_answers() {
    let shop = Shop::with(|place, setup| {
        save_model(&place.join("second"), EVENING);
        setup.config.compare_model = Some(place.join("second"));
        setup.keys.admin = keys().admin;
    });
    let mut admin = shop.client().with_key(ADMIN_KEY);
    let mut client = shop.client();
    let mut second = || {
        let list = json!({"session": ["kettle"], "session_id": "v"});
        client.post("/v1/recommend", list).json(200)["model"]["name"] == "second"
    };
    assert!(!second());
    let answer = admin.post("/v1/admin/share", json!({"share": 1})).json(200);
    assert_eq!(answer, json!({"share": 1.0, "shadow": 0.0}));
    assert!(second());
    assert_eq!(metric(&mut admin, "upnext_compare_share"), 1.0);
    admin.post("/v1/admin/share", json!({"share": 0, "shadow": 1})).json(200);
    assert!(!second());
    until(|| metric(&mut admin, "upnext_shadow_overlap_count") > 0.0);
    assert_eq!(admin.post("/v1/admin/share", json!({"share": 1.5})).problem(422)["field"], "share");
    let alone = Shop::with(|_, setup| setup.keys.admin = keys().admin);
    alone.client().with_key(ADMIN_KEY).post("/v1/admin/share", json!({"share": 0.5})).problem(409);
}

#[test]
fn sessions_move_from_one_server_to_another() {
    let open = || Shop::with(|_, setup| setup.keys.admin = keys().admin);
    let (old, new) = (open(), open());
    let mut client = old.client();
    for session in 0..600 {
        for item in ["kettle", "tea"] {
            client.post(&format!("/v1/sessions/v{session}/events"), json!({"item": item, "k": 1})).json(200);
        }
    }
    client.get("/v1/admin/sessions").problem(401);
    let exported = old.client().with_key(ADMIN_KEY).get("/v1/admin/sessions");
    assert_eq!((exported.status, exported.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(exported.text().lines().count(), 600);
    let packed = old.client().with_key(ADMIN_KEY).send_with(
        "GET",
        "/v1/admin/sessions",
        "accept-encoding: gzip",
        None,
    );
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed.body), &mut text).unwrap();
    assert_eq!(text.lines().count(), 600);
    let mut admin = new.client().with_key(ADMIN_KEY);
    let mut import = |body: &[u8]| {
        admin.send_with("POST", "/v1/admin/sessions", "content-type: application/x-ndjson", Some(body))
    };
    assert_eq!(import(&exported.body).json(200), json!({"imported": 600, "skipped": 0}));
    // The second time, none is later than what is there.
    assert_eq!(import(&exported.body).json(200)["imported"], 0);
    let session = new.client().get("/v1/sessions/v599").json(200);
    assert_eq!((&session["items"], &session["events"]), (&json!(["kettle", "tea"]), &json!(2)));
    let line = exported.text().lines().next().unwrap();
    let problem = import(format!("{line}\n\n{{\"session_id\": \"x\"}}").as_bytes()).problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("missing field"), "{problem}");
    let wrong = line.replace("\"events\":2", "\"events\":1");
    assert_eq!(import(wrong.as_bytes()).problem(422)["field"], "line 1.events");
    assert_eq!(import(b"{").problem(400)["field"], "line 1");
    let fresh = line.replace(line.split('"').nth(3).unwrap(), "fresh");
    let problem = import(format!("{fresh}\n{{\"session_id\": \"x\"}}").as_bytes()).problem(422);
    assert!(problem["field"].as_str().unwrap().starts_with("line 2"), "{problem}");
    new.client().get("/v1/sessions/fresh").json(200);
    let far = line.replace("\"events\":2", "\"events\":18446744073709551615");
    import(far.as_bytes()).problem(422);
    admin.post("/v1/admin/sessions", line).problem(415);
}

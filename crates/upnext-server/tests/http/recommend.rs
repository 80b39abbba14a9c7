//! Tests of stateless recommendations and of invalid requests.

use crate::shop::{MORNING, Shop, items, save_model_of};
use serde_json::{Value, json};
use upnext_core::experiment::ModelKind;

#[test]
fn what_followed_in_training_comes_first_and_the_answer_names_its_model() {
    let shop = Shop::open();
    let answer =
        shop.client().post("/v1/recommend", json!({"session": ["bread", "kettle"], "k": 2})).json(200);
    assert_eq!(items(&answer)[0], "tea");
    assert_eq!(answer["recommendations"][0]["rank"], 1);
    assert_eq!(answer["recommendations"].as_array().unwrap().len(), 2);
    assert_eq!((&answer["fell_back"], &answer["unknown_items"]), (&json!(false), &json!([])));
    assert_eq!((&answer["model"]["name"], &answer["model"]["kind"]), (&json!("morning"), &json!("markov")));
    let version = answer["model"]["version"].as_str().unwrap();
    assert_eq!(version.len(), 32);
    assert_eq!(shop.client().get("/v1/model").json(200)["version"], version);
}

#[test]
fn a_session_without_a_known_item_gets_the_popular_items_and_the_answer_says_so() {
    let shop = Shop::open();
    let mut client = shop.client();
    for session in [json!([]), json!(["never", "seen", "never"])] {
        let answer =
            client.post("/v1/recommend", json!({"session": session, "k": 1, "min_score": 1e9})).json(200);
        assert_eq!((items(&answer), &answer["fell_back"]), (vec!["cup"], &json!(true)));
        assert_eq!(answer["recommendations"][0]["score"], 4.0);
    }
    let answer = client
        .post("/v1/recommend", json!({"session": ["never", "kettle", "seen", "never"], "k": 1}))
        .json(200);
    assert_eq!((items(&answer), &answer["unknown_items"]), (vec!["tea"], &json!(["never", "seen"])));
}

#[test]
fn lists_hold_what_the_request_allows() {
    let shop = Shop::open();
    let mut client = shop.client();
    let mut list = |wish: Value| {
        let mut request = json!({"session": ["bread", "tea"]});
        request.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
        let answer = client.post("/v1/recommend", request).json(200);
        items(&answer).join(" ")
    };
    assert_eq!(list(json!({"k": 2})), "cup pot");
    assert_eq!(list(json!({"exclude": ["cup", "never seen"], "k": 1})), "pot");
    assert_eq!(list(json!({"only": ["pot", "kettle", "never seen"]})), "pot kettle");
    assert_eq!(list(json!({"only": ["pot", "bread"], "exclude_seen": true})), "pot");
    assert_eq!(list(json!({"only": []})), "");
    // Items without evidence in the model have negative scores.
    assert_eq!(list(json!({"min_score": 0.0})), "cup pot");
    let all = list(json!({}));
    assert!(all.contains("bread") && all.contains("tea"), "{all}");
    let unseen = list(json!({"exclude_seen": true}));
    assert!(!unseen.contains("bread") && !unseen.contains("tea"), "{unseen}");
}

#[test]
fn why_names_the_item_of_the_session_that_is_most_like_the_recommended_one() {
    let shop = Shop::with(|place, setup| {
        setup.config.model = Some(place.join("factors"));
        save_model_of(ModelKind::BprMf, setup.config.model.as_ref().unwrap(), MORNING);
    });
    let ask = |session: Value, why: bool| {
        shop.client()
            .post("/v1/recommend", json!({"session": session, "only": ["tea"], "why": why}))
            .json(200)
    };
    let because = |answer: &Value| answer["recommendations"][0]["because"].clone();
    let of_itself = because(&ask(json!(["bread", "tea", "never seen"]), true));
    assert_eq!(of_itself["item_id"], "tea");
    assert!((of_itself["similarity"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    let kettle = because(&ask(json!(["kettle"]), true))["similarity"].as_f64().unwrap();
    let bread = because(&ask(json!(["bread"]), true))["similarity"].as_f64().unwrap();
    let closer = if kettle > bread { "kettle" } else { "bread" };
    assert_eq!(because(&ask(json!(["kettle", "bread"]), true))["item_id"], closer);
    assert_eq!(because(&ask(json!(["kettle"]), false)), Value::Null);
    assert_eq!(because(&ask(json!([]), true)), Value::Null);
    // A model without item vectors gives no reasons.
    let answer =
        Shop::open().client().post("/v1/recommend", json!({"session": ["kettle"], "why": true})).json(200);
    assert_eq!(because(&answer), Value::Null);
}

#[test]
fn a_batch_gives_each_session_what_it_gets_alone() {
    let shop = Shop::open();
    let mut client = shop.client();
    let requests = [
        json!({"session": ["kettle"], "k": 3}),
        json!({"session": []}),
        json!({"session": ["tea", "x"], "exclude": ["cup"], "k": 1}),
        json!({"session": ["bread"], "only": ["tea", "cup"]}),
    ];
    let batch = client.post("/v1/recommend/batch", json!({"requests": requests})).json(200);
    assert_eq!(batch["lists"].as_array().unwrap().len(), requests.len());
    for (request, list) in requests.iter().zip(batch["lists"].as_array().unwrap()) {
        let mut alone = client.post("/v1/recommend", request).json(200);
        assert_eq!(alone["model"], batch["model"]);
        alone.as_object_mut().unwrap().remove("model");
        assert_eq!(list, &alone);
    }
    let none = client.post("/v1/recommend/batch", json!({"requests": []})).json(200);
    assert_eq!(none["lists"], json!([]));
}

#[test]
fn wrong_requests_are_refused_with_the_field_and_the_connection_goes_on() {
    let shop = Shop::with(|_, setup| setup.config.max_batch_sessions = 3);
    let mut client = shop.client();
    let long = "x".repeat(10_000);
    for (path, body, field) in [
        ("recommend", json!({"session": ["a"], "k": 0}), "k"),
        ("recommend", json!({"session": ["a"], "k": 1_000_000_000}), "k"),
        ("recommend", json!({"session": ["a"], "k": -1}), "k"),
        ("recommend", json!({"session": ["a"], "k": 1.5}), "k"),
        ("recommend", json!({"session": "a"}), "session"),
        ("recommend", json!({"session": [1]}), "session[0]"),
        ("recommend", json!({"session": ["a", long]}), "session[1]"),
        ("recommend", json!({"session": [], "colour": "red"}), "colour"),
        ("recommend", json!({"k": 5}), "session"),
        ("recommend", json!({"session": [], "exclude": [long]}), "exclude[0]"),
        ("recommend", json!({"session": [], "only": vec!["a"; 10_001]}), "only"),
        ("recommend", json!({"session": [], "min_score": "high"}), "min_score"),
        ("recommend/batch", json!({"requests": [{"session": []}, {"session": [], "k": 0}]}), "requests[1].k"),
        ("recommend/batch", json!({"requests": [{"session": [null]}]}), "requests[0].session[0]"),
        ("recommend/batch", json!({"requests": vec![json!({"session": []}); 4]}), "requests"),
    ] {
        let problem = client.post(&format!("/v1/{path}"), &body).problem(422);
        assert_eq!(problem["field"], field, "{problem}");
    }
    for body in ["", "{", "nonsense", "{\"session\": []} {}"] {
        client.post("/v1/recommend", body).problem(400);
    }
    let nested = "[".repeat(50_000);
    assert_eq!(client.post("/v1/recommend", &nested).problem(422)["field"], "body");
    let nested = format!("{{\"session\": {nested}");
    assert_eq!(client.post("/v1/recommend", &nested).problem(422)["field"], "session[0]");
    client.send("POST", "/v1/recommend", Some(b"{\"session\": [\"\xff\xfe\"]}")).problem(400);
    client.post("/v1/recommend", json!({"session": ["kettle"]})).json(200);
}

#[test]
fn what_is_no_request_for_this_path_is_refused() {
    let shop = Shop::with(|_, setup| setup.config.max_body_bytes = 1_000);
    let mut client = shop.client();
    client.get("/v1/nothing").problem(404);
    let refused = client.get("/v1/recommend");
    refused.problem(405);
    assert_eq!(refused.header("allow"), Some("POST"));
    client.send("POST", "/v1/recommend", None).problem(415);
    client.write(
        b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}",
    );
    client.reply().unwrap().problem(415);
    shop.client().post("/v1/recommend", json!({"session": vec!["some-item"; 150]})).problem(413);
    let mut chunked = shop.client();
    chunked.write(b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    (0..3).for_each(|_| chunked.write(format!("1f4\r\n{}\r\n", " ".repeat(500)).as_bytes()));
    chunked.reply().unwrap().problem(413);
}

#[test]
fn what_is_no_http_is_refused_and_the_next_client_is_served() {
    let shop = Shop::open();
    for (bytes, status) in [
        (b"nonsense\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(), 400),
        (format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000)).into_bytes(), 431),
        (format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "y".repeat(100_000)).into_bytes(), 414),
    ] {
        let mut client = shop.client();
        client.write(&bytes);
        let reply = client.reply();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).into_owned();
        // If the server closes the connection while the client is writing, the response may be lost.
        assert!(reply.as_ref().is_none_or(|reply| (400..500).contains(&reply.status)), "{shown}: {reply:?}");
        if bytes.len() < 1_000 {
            assert_eq!(reply.map(|reply| reply.status), Some(status), "{shown}");
        }
    }
    shop.client().get("/healthz").json(200);
}

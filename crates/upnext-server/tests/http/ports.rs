//! Tests of the ports: that of operators, HTTP/2, pages of other sites, and the headers of all responses.

use crate::shop::{ADMIN_KEY, Client, KEY, MORNING, Shop, keys, metric, save_model};
use crate::tls;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::IpAddr;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

#[test]
fn operators_have_a_port_of_their_own_that_visitors_cannot_fill() {
    let shop = Shop::with(|_, setup| {
        setup.keys = keys();
        setup.config.admin_listen = Some(([127, 0, 0, 1], 0).into());
        setup.config.max_connections = 2;
    });
    let operator = |key| Client::new(shop.admin_address.unwrap()).with_key(key);
    for path in ["/healthz", "/readyz"] {
        shop.client().get(path).json(200);
        Client::new(shop.admin_address.unwrap()).get(path).json(200);
    }
    let mut admin = operator(ADMIN_KEY);
    assert_eq!(metric(&mut admin, "upnext_ready"), 1.0);
    admin.post("/v1/admin/reload", "{}").json(200);
    assert_eq!(admin.get("/v1/model").json(200)["name"], "morning");
    // Each port has what is for its clients.
    let mut visitor = shop.client().with_key(KEY);
    visitor.get("/metrics").problem(404);
    shop.client().with_key(ADMIN_KEY).post("/v1/admin/reload", "{}").problem(404);
    operator(KEY).post("/v1/recommend", json!({"session": []})).problem(404);
    // Visitors that hold all connections do not hold those of operators.
    let body = br#"{"session": []}"#;
    let mut holding: Vec<Client> = (0..2).map(|_| shop.client().with_key(KEY)).collect();
    for client in &mut holding {
        client.write(format!("POST /v1/recommend HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n", body.len()).as_bytes());
        assert_eq!(client.reply().unwrap().status, 100);
    }
    operator(ADMIN_KEY).get("/healthz").json(200);
    for client in &mut holding {
        client.write(body);
        client.reply().unwrap().json(200);
    }
    let message = Shop::try_with(|_, setup| setup.config.admin_listen = Some(([0, 0, 0, 0], 0).into()));
    assert!(message.err().expect("a refusal").to_string().contains("no key is set"));
}

/// The status and the body of a request by HTTP/2.
async fn by_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (method, uri, body): (&str, String, &str),
) -> (u16, Vec<u8>) {
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = |path_and_body: &str| {
        Request::builder()
            .method(method)
            .uri(&uri)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(path_and_body.to_owned())))
            .unwrap()
    };
    // Several at a time over one connection.
    let answers: Vec<_> = (0..5).map(|_| client.send_request(ask(body))).collect();
    let mut last = (0, Vec::new());
    for answer in answers {
        let response = answer.await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        let status = response.status().as_u16();
        last = (status, response.into_body().collect().await.unwrap().to_bytes().to_vec());
    }
    drop(client);
    _ = connection.await;
    last
}

#[test]
fn http_2_gives_the_same_answers_with_and_without_tls() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let certificate = tls::certificate();
    let (plain, secured) = (Shop::open(), Shop::with(|place, setup| tls::show(&certificate, place, setup)));
    let body = json!({"session": ["kettle", "x"], "k": 3}).to_string();
    let expected = plain.client().post("/v1/recommend", &body).body;
    let connect = |address: SocketAddr| async move { tokio::net::TcpStream::connect(address).await.unwrap() };
    runtime.block_on(async {
        let uri = |host: &str, path: &str| format!("http://{host}{path}");
        let stream = connect(plain.address).await;
        let ask = ("POST", uri("localhost", "/v1/recommend"), &*body);
        assert_eq!(by_http2(stream, ask).await, (200, expected.clone()));
        // The host is checked as in HTTP/1.
        let stream = connect(plain.address).await;
        assert_eq!(by_http2(stream, ("GET", uri("evil.example", "/v1/model"), "")).await.0, 421);

        let mut roots = RootCertStore::empty();
        roots.add(certificate.cert.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = IpAddr::try_from("127.0.0.1").unwrap().into();
        let stream =
            TlsConnector::from(Arc::new(config)).connect(name, connect(secured.address).await).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let ask = ("POST", "https://127.0.0.1/v1/recommend".to_owned(), &*body);
        assert_eq!(by_http2(stream, ask).await, (200, expected));
    });
    plain.close();
}

#[test]
fn pages_of_listed_origins_may_call_the_server() {
    let shop = Shop::with(|_, setup| {
        setup.config.cors_origins = vec!["https://shop.example".to_owned()];
        setup.keys = keys();
    });
    let mut client = shop.client();
    let mut preflight = |origin: &str| {
        let head = format!(
            "origin: {origin}\naccess-control-request-method: POST\naccess-control-request-headers: authorization,content-type,idempotency-key"
        );
        client.send_with("OPTIONS", "/v1/sessions/v/events", &head, None)
    };
    let allowed = preflight("https://shop.example");
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    let headers = allowed.header("access-control-allow-headers").unwrap().to_owned();
    for header in ["authorization", "content-type", "idempotency-key"] {
        assert!(headers.contains(header), "{headers}");
    }
    assert_eq!(preflight("https://evil.example").header("access-control-allow-origin"), None);
    // A page can read why it was refused.
    let refused = shop.client().send_with("GET", "/v1/model", "origin: https://shop.example", None);
    refused.problem(401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://shop.example"));
    let closed = Shop::open().client().send_with("GET", "/v1/model", "origin: https://shop.example", None);
    assert_eq!(closed.header("access-control-allow-origin"), None);
}

#[test]
fn every_response_says_what_browsers_must_not_do() {
    let shop = Shop::open();
    for path in ["/healthz", "/v1/model", "/nothing", "/metrics", "/openapi.json", "/docs", "/"] {
        let reply = shop.client().get(path);
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert_eq!(reply.headers.iter().filter(|(name, _)| name == "content-security-policy").count(), 1);
    }
}

#[test]
fn large_responses_are_compressed_for_clients_that_can_read_them() {
    let sessions: Vec<String> = (0..200).map(|i| format!("item-{i} item-{}", (i + 1) % 200)).collect();
    let shop = Shop::with(|place, setup| {
        let sessions: Vec<&str> = sessions.iter().map(String::as_str).collect();
        save_model(&place.join("many"), &[MORNING, &sessions[..]].concat());
        setup.config.model = Some(place.join("many"));
    });
    let body = |k: usize| json!({"session": ["item-7"], "k": k}).to_string();
    let mut client = shop.client();
    let mut ask =
        |k: usize, head: &str| client.send_with("POST", "/v1/recommend", head, Some(body(k).as_bytes()));
    let plain = ask(150, "accept-encoding: identity");
    let packed = ask(150, "accept-encoding: gzip");
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), (None, Some("gzip")));
    let mut text = String::new();
    GzDecoder::new(&*packed.body).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text());
    assert!(packed.body.len() * 3 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    assert_eq!(ask(1, "accept-encoding: gzip").header("content-encoding"), None);
}

#[test]
fn a_trace_goes_on_in_the_response() {
    let shop = Shop::open();
    let id = "0af7651916cd43dd8448eb211c80319c";
    let head = format!("traceparent: 00-{id}-b7ad6b7169203331-01");
    let reply = shop.client().send_with("GET", "/v1/model", &head, None);
    let answer = reply.header("traceresponse").unwrap();
    assert!(answer.starts_with(&format!("00-{id}-")) && answer.ends_with("-01"), "{answer}");
    assert!(!answer.contains("b7ad6b7169203331"), "{answer}");
    assert_eq!(shop.client().get("/v1/model").header("traceresponse"), None);
    let model: Value = reply.json(200);
    assert_eq!(model["name"], "morning");
}

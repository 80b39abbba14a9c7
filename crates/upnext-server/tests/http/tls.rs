//! Tests of TLS: the same responses as over plain HTTP, and clients without TLS do not delay others.

use crate::shop::{Client, Shop, connect, items, metric};
use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::IpAddr;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use upnext_server::{Error, Setup};

/// A certificate and its key.
pub(crate) type Certificate = CertifiedKey<KeyPair>;

/// A self-signed certificate for the loopback address.
pub(crate) fn certificate() -> Certificate {
    generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap()
}

/// Makes a server use a certificate.
pub(crate) fn show(certificate: &Certificate, place: &Path, setup: &mut Setup) {
    let (cert, key) = (place.join("cert.pem"), place.join("key.pem"));
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    (setup.config.tls_cert_file, setup.config.tls_key_file) = (Some(cert), Some(key));
}

pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts only this certificate.
pub(crate) fn client(address: SocketAddr, trusted: &Certificate) -> Client<Secured> {
    client_of(address, trusted, &TLS13)
}

fn client_of(
    address: SocketAddr,
    trusted: &Certificate,
    version: &'static SupportedProtocolVersion,
) -> Client<Secured> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = IpAddr::try_from("127.0.0.1").unwrap().into();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    Client::over(StreamOwned::new(connection, connect(address)))
}

#[test]
fn a_client_over_tls_gets_the_answer_of_one_over_plain_http() {
    let (plain, certificate) = (Shop::open(), certificate());
    let shop = Shop::with(|place, setup| show(&certificate, place, setup));
    let ask = json!({"session": ["kettle", "x"], "k": 3});
    let expected = plain.client().post("/v1/recommend", &ask);
    assert_eq!(items(&expected.json(200)), ["tea", "cup", "kettle"]);
    for version in [&TLS13, &TLS12] {
        let mut client = client_of(shop.address, &certificate, version);
        for _ in 0..2 {
            assert_eq!(client.post("/v1/recommend", &ask).body, expected.body);
        }
        let spoken = &client.stream.get_ref().conn;
        assert_eq!(spoken.protocol_version(), Some(version.version));
        assert_eq!(spoken.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

#[test]
fn what_is_no_tls_ends_and_the_next_client_is_served() {
    let certificate = certificate();
    // Only one connection is allowed, so that the next client waits for the end of the previous one.
    let shop = Shop::with(|place, setup| {
        show(&certificate, place, setup);
        (setup.config.max_connections, setup.config.header_timeout_ms) = (1, 200);
    });
    let started = b"\x16\x03\x01\x02\x00\x01";
    for bytes in [&b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"[..], &[0xff; 5_000], started, b""] {
        let mut stream = connect(shop.address);
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // An alert or nothing: it may be lost if the server closes the connection before it has read everything.
        let end = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP") && answer.len() < 100, "{bytes:?}: {answer:?}");
        let timed_out = end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!timed_out, "{bytes:?}: the connection goes on");
        client(shop.address, &certificate).get("/healthz").json(200);
    }
}

#[test]
fn a_client_that_begins_no_handshake_holds_up_neither_others_nor_the_end() {
    let certificate = certificate();
    let shop = Shop::with(|place, setup| {
        show(&certificate, place, setup);
        (setup.config.header_timeout_ms, setup.config.shutdown_timeout_ms) = (600_000, 90_000);
    });
    let mut silent = connect(shop.address);
    client(shop.address, &certificate).get("/healthz").json(200);
    let asked = Instant::now();
    shop.stop();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "the connection ends");
    assert!(asked.elapsed() < Duration::from_secs(30));
}

#[test]
fn what_is_in_flight_over_tls_is_answered_before_the_server_ends() {
    let certificate = certificate();
    let shop = Shop::with(|place, setup| show(&certificate, place, setup));
    let body = r#"{"session": ["kettle"], "k": 1}"#;
    let mut client = client(shop.address, &certificate);
    let length = body.len();
    client.write(
        format!(
            "POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        )
        .as_bytes(),
    );
    // The server requests the body, so the request is in flight.
    assert_eq!(client.reply().unwrap().status, 100);
    shop.stop();
    while TcpStream::connect(shop.address).is_ok() {
        std::thread::yield_now();
    }
    client.write(body.as_bytes());
    assert_eq!(items(&client.reply().unwrap().json(200)), ["tea"]);
    // The server sends a TLS closing alert; without it, this would be an error, as for a truncation attack.
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
    drop(shop.close());
}

#[test]
fn files_that_are_no_certificate_and_key_are_refused_at_the_start() {
    let (own, other) = (certificate(), certificate());
    let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let other_cert = other.cert.pem();
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    let mangled = |text: &str, by: &str| text.replacen('\n', by, 2);
    let passphrase = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned();
    for (cert_file, key_file, words) in [
        (None, Some(key.clone()), ["cert.pem", "read"]),
        (Some(cert.clone()), None, ["key.pem", "read"]),
        (Some(String::new()), Some(key.clone()), ["cert.pem", "no certificate"]),
        (Some(key.clone()), Some(key.clone()), ["cert.pem", "no certificate"]),
        (Some(cert.clone()), Some(cert.clone()), ["key.pem", "no key"]),
        (Some(cert.clone()), Some(passphrase), ["key.pem", "passphrase"]),
        (Some(cut(&cert)), Some(key.clone()), ["cert.pem", "ends within"]),
        (Some(cert.clone()), Some(cut(&key)), ["key.pem", "ends within"]),
        (Some(cert.clone()), Some(mangled(&key, "\n\u{e9}")), ["key.pem", "base64"]),
        (Some(no_certificate), Some(key.clone()), ["cert.pem", "cannot be used"]),
        (Some(cert.clone()), Some(no_key), ["key.pem", "cannot be used"]),
        (Some(other_cert.clone()), Some(key.clone()), ["key.pem", "does not belong"]),
        (Some(other_cert + &cert), Some(key.clone()), ["key.pem", "first certificate"]),
    ] {
        let refused = Shop::try_with(|place, setup| {
            show(&own, place, setup);
            for (name, text) in [("cert.pem", &cert_file), ("key.pem", &key_file)] {
                match text {
                    Some(text) => std::fs::write(place.join(name), text).unwrap(),
                    None => std::fs::remove_file(place.join(name)).unwrap(),
                }
            }
        });
        let message = refused.err().expect("a refusal").to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{words:?}: {message}");
        let secret = key.lines().nth(1).unwrap();
        assert!(!message.contains(&secret[..16]) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn tls_does_not_make_an_address_that_others_reach_safe_without_a_key() {
    let refused = Shop::try_with(|place, setup| {
        show(&certificate(), place, setup);
        setup.config.listen = ([0, 0, 0, 0], 0).into();
    });
    assert!(matches!(refused.err(), Some(Error::OpenToAll { .. })));
}

/// A certificate that ended long ago.
fn ended() -> Certificate {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

#[test]
fn a_certificate_that_has_ended_is_shown_only_if_that_is_wanted_and_its_end_is_a_metric() {
    let old = ended();
    let message =
        Shop::try_with(|place, setup| show(&old, place, setup)).err().expect("a refusal").to_string();
    assert!(
        message.contains("cert.pem") && message.contains("2021-01-01") && message.contains("renew"),
        "{message}"
    );
    let shop = Shop::with(|place, setup| {
        show(&old, place, setup);
        setup.config.allow_expired_certificate = true;
        setup.config.admin_listen = Some(([127, 0, 0, 1], 0).into());
    });
    drop(shop);
    let new = certificate();
    let shop = Shop::with(|place, setup| show(&new, place, setup));
    let ends = metric(&mut client(shop.address, &new), "upnext_certificate_expires_seconds");
    assert!(ends > 4e9, "{ends}");
    let plain = Shop::open().client().get("/metrics").text().to_owned();
    assert!(!plain.contains("upnext_certificate_expires_seconds "), "{plain}");
}

#[test]
fn browsers_are_told_to_come_by_tls_only() {
    let certificate = certificate();
    let shop = Shop::with(|place, setup| show(&certificate, place, setup));
    let reply = client(shop.address, &certificate).get("/healthz");
    assert_eq!(reply.header("strict-transport-security"), Some("max-age=86400"));
    assert_eq!(Shop::open().client().get("/healthz").header("strict-transport-security"), None);
}

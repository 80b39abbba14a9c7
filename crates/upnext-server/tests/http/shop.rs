//! Models of a tiny shop, a server for them, and an HTTP client.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use upnext_core::data::items::{ColumnType, ItemTable, ItemTableOptions};
use upnext_core::data::{Dataset, EventLog};
use upnext_core::experiment::{Experiment, ModelConfig, ModelKind};
use upnext_core::{FitOptions, fit};
use upnext_server::{ApiKeys, Error, Keys, Server, ServerConfig, Setup, Stopper};

pub(crate) const KEY: &str = "a-key-for-the-shop";
pub(crate) const ADMIN_KEY: &str = "a-key-for-the-operator";

/// Sessions in which `tea` follows `kettle`, and `cup` follows `tea` more often than `pot`; `cup` is the most popular.
pub(crate) const MORNING: &[&str] =
    &["kettle tea cup", "kettle tea cup", "kettle tea pot", "bread cup", "bread cup"];
/// Sessions in which `bread` follows `kettle`.
pub(crate) const EVENING: &[&str] = &["kettle bread", "kettle bread", "tea wine"];

/// Fits a Markov model to sessions and saves it.
pub(crate) fn save_model(path: &Path, sessions: &[&str]) {
    save_model_of(ModelKind::Markov, path, sessions);
}

/// Fits a baseline to sessions and saves it.
pub(crate) fn save_model_of(kind: ModelKind, path: &Path, sessions: &[&str]) {
    let mut log = EventLog::new();
    for (session, items) in sessions.iter().enumerate() {
        for (second, item) in items.split(' ').enumerate() {
            log.push(&session.to_string(), item, second as i64 * 1_000_000);
        }
    }
    let (data, _) = Dataset::from_log(log).unwrap();
    let experiment = Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
    let data = if kind.needs_item_table() { data.with_item_table(attributes(path)) } else { data };
    fit(data, &experiment, FitOptions::default()).unwrap().model.save(path).unwrap();
}

/// Attributes of the items: what is drunk from, and what is eaten.
fn attributes(beside: &Path) -> ItemTable {
    let path = beside.with_extension("csv");
    std::fs::write(&path, "item_id,sort\ntea,hot\nkettle,hot\ncup,hot\npot,hot\nbread,food\njam,food\n")
        .unwrap();
    let mut options = ItemTableOptions::default();
    options.types.insert("sort".to_owned(), ColumnType::Categories);
    ItemTable::read(&path, &options).unwrap()
}

/// A folder with models, and a running server.
pub(crate) struct Shop {
    place: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    /// The second address, if there is one.
    pub(crate) admin_address: Option<SocketAddr>,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Shop {
    /// Serves the model of [`MORNING`] without keys.
    pub(crate) fn open() -> Self {
        Self::with(|_, _| {})
    }

    /// Serves it with a changed setup.
    pub(crate) fn with(change: impl FnOnce(&Path, &mut Setup)) -> Self {
        Self::try_with(change).unwrap()
    }

    /// As [`with`](Self::with), but returns the error of a server that does not start.
    pub(crate) fn try_with(change: impl FnOnce(&Path, &mut Setup)) -> Result<Self, Error> {
        let place = tempfile::tempdir().unwrap();
        let model = place.path().join("morning");
        save_model(&model, MORNING);
        let mut setup = setup(model);
        change(place.path(), &mut setup);
        let server = Server::bind(setup)?;
        let (address, admin_address, stopper) = (server.address(), server.admin_address(), server.stopper());
        let thread = Some(std::thread::spawn(move || server.run().unwrap()));
        Ok(Self { place, address, admin_address, stopper, thread })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Requests a shutdown without waiting for it.
    pub(crate) fn stop(&self) {
        self.stopper.stop();
    }

    /// Requests a shutdown that load balancers can follow.
    pub(crate) fn drain(&self) {
        self.stopper.drain();
    }

    /// Stops the server and waits for it, which must end without an error.
    pub(crate) fn close(mut self) -> tempfile::TempDir {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap();
        std::mem::replace(&mut self.place, tempfile::tempdir().unwrap())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            // A failing test reports its own reason.
            _ = thread.join();
        }
    }
}

/// The setup of a server on a free port with few threads.
pub(crate) fn setup(model: PathBuf) -> Setup {
    let config = ServerConfig {
        model: Some(model),
        listen: ([127, 0, 0, 1], 0).into(),
        http_threads: 1,
        compute_threads: 1,
        request_timeout_ms: 20_000,
        ..ServerConfig::default()
    };
    Setup { config, keys: ApiKeys::default() }
}

/// Keys for data and for admin calls.
pub(crate) fn keys() -> ApiKeys {
    let parse = |text| Keys::parse(text, "keys").unwrap();
    ApiKeys { data: parse(KEY), admin: parse(ADMIN_KEY) }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header, whose name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The JSON body; checks the status.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem details; checks the status, which must also be in the body.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        let problem = self.json(status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        problem
    }
}

/// Connects to a server, with a time-out, so that a test fails rather than hangs.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// An HTTP client on one connection, plain or with TLS.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: BufReader<S>,
    key: Option<&'static str>,
    more: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::over(connect(address))
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream), key: None, more: String::new() }
    }

    pub(crate) fn with_key(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, None)
    }

    pub(crate) fn post(&mut self, path: &str, body: impl ToString) -> Reply {
        self.send("POST", path, Some(body.to_string().as_bytes()))
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Reply {
        self.ask(method, path, body);
        self.reply().expect("an answer")
    }

    /// Sends a request with more head lines.
    pub(crate) fn send_with(&mut self, method: &str, path: &str, head: &str, body: Option<&[u8]>) -> Reply {
        self.more = head.replace('\n', "\r\n");
        self.ask(method, path, body);
        self.more.clear();
        self.reply().expect("an answer")
    }

    /// Sends a request without reading the response.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: Option<&[u8]>) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        if let Some(key) = self.key {
            head += &format!("authorization: Bearer {key}\r\n");
        }
        if let Some(body) = body {
            let kind =
                if self.more.contains("content-type") { "" } else { "content-type: application/json\r\n" };
            head += &format!("{kind}content-length: {}\r\n", body.len());
        }
        if !self.more.is_empty() {
            head += &format!("{}\r\n", self.more);
        }
        self.write(&[head.as_bytes(), b"\r\n", body.unwrap_or_default()].concat());
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // The server may respond and close the connection before it has read everything.
        _ = self.stream.get_mut().write_all(bytes);
    }

    /// Reads the next response; `None` if the server closes the connection.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        let mut reply = self.head()?;
        if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                let mut line = String::new();
                self.stream.read_line(&mut line).unwrap();
                let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
                let mut chunk = vec![0; length + 2];
                self.stream.read_exact(&mut chunk).unwrap();
                if length == 0 {
                    return Some(reply);
                }
                reply.body.extend_from_slice(&chunk[..length]);
            }
        }
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        reply.body.resize(length, 0);
        self.stream.read_exact(&mut reply.body).unwrap();
        Some(reply)
    }

    /// Reads the next response without a body, as for HEAD and CONNECT.
    pub(crate) fn head(&mut self) -> Option<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        Some(Reply { status, headers, body: Vec::new() })
    }
}

/// The value of a metric, whose name may have labels.
#[track_caller]
pub(crate) fn metric<S: Read + Write>(client: &mut Client<S>, name: &str) -> f64 {
    let text = client.get("/metrics").text().to_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{name} is not in:\n{text}"))
}

/// Polls a condition until it holds; fails the test after a time-out.
#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "it has not become true for a minute");
    }
}

/// The recommended ids, best first.
pub(crate) fn items(list: &Value) -> Vec<&str> {
    let entries = list["recommendations"].as_array().expect("a list");
    entries.iter().map(|entry| entry["item_id"].as_str().unwrap()).collect()
}

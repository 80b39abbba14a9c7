//! Runs `upnext serve` as a separate process.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A running server.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) stderr: BufReader<ChildStderr>,
    pub(crate) url: String,
    pub(crate) address: String,
}

impl Served {
    /// Starts a server on a free port, and waits until it answers.
    pub(crate) fn start(model: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).arg(model).args(more).env("UPNEXT_DRAIN_MS", "0");
        Self::started(command)
    }

    /// Starts a server by this command, and waits until it answers.
    pub(crate) fn started(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut lines = String::new();
        let url = loop {
            assert!(stderr.read_line(&mut lines).unwrap() > 0, "{lines}");
            if let Some((_, url)) = lines.split_once("listening on ") {
                break url.trim().to_owned();
            }
            if let Some((_, rest)) = lines.split_once("\"url\":\"") {
                break rest.split('"').next().unwrap().to_owned();
            }
        };
        let address = url.split_once("://").unwrap().1.to_owned();
        Self { child, stderr, url, address }
    }

    /// Sends a request on a new connection; `None` if the response is not complete.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// The body of a response to GET.
    pub(crate) fn text(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Sends the process a signal, such as `-TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Makes it reload its files, and waits for these words in its log.
    pub(crate) fn hang_up_until(&mut self, words: &str) {
        self.signal("-HUP");
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "the server has ended");
        }
    }

    /// Sends a signal, and returns the exit code and the rest of the log.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

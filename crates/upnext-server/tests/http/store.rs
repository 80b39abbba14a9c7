//! A Valkey or Redis server for one test, on a free port and without files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use upnext_server::StoreUrl;

pub(crate) const PASSWORD: &str = "a-password-for-the-store";

/// A store, which may be running.
pub(crate) struct Store {
    program: PathBuf,
    place: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Store {
    /// Starts a store; prints `skipped` and returns `None` if no server program is installed.
    pub(crate) fn start() -> Option<Self> {
        let mut store = Self::stopped()?;
        store.restart();
        Some(store)
    }

    /// A store that is not running yet; `None` as for [`start`](Self::start).
    pub(crate) fn stopped() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["valkey-server", "redis-server"];
        let mut programs = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
        let Some(program) = programs.find(|file| file.is_file()) else {
            eprintln!("skipped: no valkey-server and no redis-server to keep sessions in");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Some(Self { program, place: tempfile::tempdir().unwrap(), port, child: None })
    }

    /// Starts it empty, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", PASSWORD]);
        command.args(["--port", &self.port.to_string(), "--dir"]).arg(self.place.path());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.child = Some(child);
        crate::shop::until(|| TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        assert_eq!(self.ask(&["PING"]), "+PONG");
    }

    /// Kills it, like a failing machine.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Its URL, with the password.
    pub(crate) fn url(&self) -> StoreUrl {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port).parse().unwrap()
    }

    /// Sends a command directly to the store. Returns the first line of the reply, or the text of a bulk string.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        for words in [&["AUTH", PASSWORD], command] {
            let mut request = format!("*{}\r\n", words.len());
            words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
            stream.get_mut().write_all(request.as_bytes()).unwrap();
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        let line = line.trim_end().to_owned();
        match line.strip_prefix('$').and_then(|length| length.parse().ok()) {
            Some(length) => {
                let mut text = vec![0; length];
                stream.read_exact(&mut text).unwrap();
                String::from_utf8(text).unwrap()
            }
            None => line,
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

//! The address of the server to test.

use crate::Error;
use hyper::Uri;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The server to test: its addresses and the `Host` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    /// The host without its port.
    name: String,
    https: bool,
    addresses: Vec<SocketAddr>,
}

impl Target {
    /// Parses a URL such as `http://127.0.0.1:8080` and looks up its host.
    ///
    /// # Errors
    /// [`upnext_core::Error::Config`] for another form of URL, and for a host without an address.
    pub fn parse(url: &str) -> upnext_core::Result<Self> {
        let refused = |reason: &str| upnext_core::Error::config("URL", format!("`{url}` {reason}"));
        let form = "is not of the form http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:8080";
        let uri: Uri = url.parse().map_err(|_| refused(form))?;
        let (https, port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(refused(form)),
        };
        let authority = uri.authority().ok_or_else(|| refused(form))?;
        if authority.as_str().contains('@') {
            return Err(refused("has a user: keys come from a file or the environment"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(refused("has a path: give host and port, the paths are those of the interface"));
        }
        // The brackets around an IPv6 address are part of the URL only.
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let found = (name, authority.port_u16().unwrap_or(port)).to_socket_addrs();
        let addresses: Vec<SocketAddr> = found
            .map_err(|error| refused(&format!("has a host that cannot be looked up: {error}")))?
            .collect();
        if addresses.is_empty() {
            return Err(refused("has a host without an address"));
        }
        Ok(Self { host: authority.as_str().to_owned(), name: name.to_owned(), https, addresses })
    }

    /// Whether all its addresses are loopback addresses of this machine.
    pub fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// Whether it is reached over TLS.
    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// The name or address that its certificate must have.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The value of the `Host` header.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The first address that accepts a connection. Checked before the schedule begins, so that an unreachable server
    /// is an error and not a result.
    pub(super) fn reached(&self, timeout: Duration) -> Result<SocketAddr, Error> {
        let mut refused = None;
        for &address in &self.addresses {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(_) => return Ok(address),
                Err(error) => refused = Some(error),
            }
        }
        let source = refused.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into());
        Err(Error::Unreachable { host: self.host.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port_and_nothing_else() {
        let target = Target::parse("http://127.0.0.1:8080").unwrap();
        assert_eq!(
            target,
            Target {
                host: "127.0.0.1:8080".into(),
                name: "127.0.0.1".into(),
                https: false,
                addresses: vec![([127, 0, 0, 1], 8080).into()]
            }
        );
        assert_eq!(Target::parse("http://127.0.0.1/").unwrap().addresses[0].port(), 80);
        assert_eq!(Target::parse("http://[::1]:80").unwrap().addresses, ["[::1]:80".parse().unwrap()]);
        let safe = Target::parse("https://[::1]").unwrap();
        assert_eq!((safe.is_https(), safe.name(), safe.addresses[0].port()), (true, "::1", 443));
        for (url, word) in [
            ("ftp://127.0.0.1", "http://HOST:PORT"),
            ("127.0.0.1:8080", "http://HOST:PORT"),
            ("http://", "http://HOST:PORT"),
            ("", "http://HOST:PORT"),
            ("http://127.0.0.1:8080/v1", "path"),
            ("http://127.0.0.1:8080/?k=1", "path"),
            ("http://me:secret@127.0.0.1", "user"),
        ] {
            let message = Target::parse(url).unwrap_err().to_string();
            assert!(message.starts_with("URL: ") && message.contains(word), "{url}: {message}");
        }
    }

    #[test]
    fn only_addresses_that_are_this_machine_are_loopback() {
        for (url, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9:1", true),
            ("http://[::1]:1", true),
            ("http://[::ffff:127.0.0.1]:1", true),
            ("http://192.0.2.1:1", false),
            ("http://0.0.0.0:1", false),
            ("http://[::ffff:192.0.2.1]:1", false),
        ] {
            assert_eq!(Target::parse(url).unwrap().is_loopback(), loopback, "{url}");
        }
    }
}

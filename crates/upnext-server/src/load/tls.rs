//! The TLS client of the load generator.

use crate::Error;
use crate::pem::{certificates, refused};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A TLS client for one server name.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// A client that trusts the certificates of a PEM file and those that they signed, for a server of this name or
    /// address.
    pub(super) fn trusting(ca: &Path, name: &str) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            let unusable = |error| refused(ca, format!("a certificate of it cannot be used: {error}"));
            roots.add(certificate).map_err(unusable)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| refused(ca, error.to_string()))?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            upnext_core::Error::config("URL", format!("`{name}` is no name that a certificate has"))
        })?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Performs the TLS handshake on a connection.
    pub(super) async fn begin(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

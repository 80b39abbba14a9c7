//! TLS by rustls: the certificate and its key, read at the start and again when they have been renewed.

use crate::pem::{certificates, private_key, refused};
use crate::{Error, ServerConfig};
use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{Error as TlsError, InconsistentKeys};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What the server shows to new connections, and where it is from.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<rustls::ServerConfig>,
}

impl std::fmt::Debug for Tls {
    /// Without the key: this may end in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({}, {})", self.certificate.display(), self.key.display())
    }
}

impl Tls {
    /// Reads the files that the configuration names; `None`: the server speaks plain HTTP.
    pub(super) fn of(config: &ServerConfig) -> Result<Option<Self>, Error> {
        let (Some(certificate), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) else {
            return Ok(None);
        };
        let current = ArcSwap::new(read(certificate, key)?);
        Ok(Some(Self { certificate: certificate.clone(), key: key.clone(), current }))
    }

    /// Reads the files again, for new connections. Files that are wrong change nothing, and are logged.
    pub(super) fn reload(&self) {
        match read(&self.certificate, &self.key) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(certificate = %self.certificate.display(), "certificate loaded");
            }
            Err(error) => tracing::error!(%error, "certificate refused: the old one is shown on"),
        }
    }

    /// What makes a connection one of TLS, with the certificate of now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

/// TLS 1.2 and 1.3 with a chain and its key. The provider is named: a default of the whole process would be a second place
/// to look for what is used.
fn read(certificate: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, Error> {
    let (chain, private) = (certificates(certificate)?, private_key(key)?);
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|error| unusable(&error, certificate, key))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Which of the two files is wrong, and what to do.
fn unusable(error: &TlsError, certificate: &Path, key: &Path) -> Error {
    match error {
        TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let reason = format!(
                "the key does not belong to the first certificate of {}: give the key that it was made for; the server's own certificate stands before those that signed it",
                certificate.display()
            );
            refused(key, reason)
        }
        TlsError::InvalidCertificate(reason) => {
            let reason = format!("its first certificate cannot be used ({reason}): have it made anew");
            refused(certificate, reason)
        }
        _ => {
            let kinds = "RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519";
            refused(key, format!("the key cannot be used: take one of {kinds}"))
        }
    }
}

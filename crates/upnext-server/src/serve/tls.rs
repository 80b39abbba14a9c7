//! TLS of the server with rustls; certificate and key can be reloaded.

use crate::pem::{certificates, private_key, refused};
use crate::{Error, ServerConfig};
use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{Error as TlsError, InconsistentKeys};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The TLS configuration for new connections, and the files that it is read from.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<rustls::ServerConfig>,
}

impl std::fmt::Debug for Tls {
    /// Writes the paths and not the key, since the text may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({}, {})", self.certificate.display(), self.key.display())
    }
}

impl Tls {
    /// Reads the certificate and key that the configuration names; `None` if it names none: the server speaks plain
    /// HTTP.
    pub(super) fn of(config: &ServerConfig) -> Result<Option<Self>, Error> {
        let (Some(certificate), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) else {
            return Ok(None);
        };
        let current = ArcSwap::new(read(certificate, key)?);
        Ok(Some(Self { certificate: certificate.clone(), key: key.clone(), current }))
    }

    /// Reads the files again, for new connections. Errors are logged, and the old certificate stays in use.
    pub(super) fn reload(&self) {
        match read(&self.certificate, &self.key) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(certificate = %self.certificate.display(), "certificate loaded");
            }
            Err(error) => tracing::error!(%error, "certificate refused: the old one is shown on"),
        }
    }

    /// A TLS acceptor with the current certificate.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

/// Reads a certificate chain and its key into a configuration for TLS 1.2 and 1.3. The crypto provider is given
/// explicitly, since a default of the process could be set anywhere.
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

/// The error that names the faulty one of the two files and how to fix it.
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

//! TLS of the server with rustls; certificate and key can be reloaded.

use crate::metrics::Metrics;
use crate::pem::{certificates, private_key, refused};
use crate::sessions::now_ms;
use crate::{Error, ServerConfig};
use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{Error as TlsError, InconsistentKeys};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsAcceptor;
use upnext_core::data::format_time;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Seconds before the end of a certificate from which loading it is a warning: two weeks.
const SOON_S: i64 = 14 * 86_400;

/// The TLS configuration for new connections, and the files that it is read from.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    allow_expired: bool,
    current: ArcSwap<Shown>,
    metrics: OnceLock<Arc<Metrics>>,
}

/// The certificate that is shown.
struct Shown {
    config: Arc<rustls::ServerConfig>,
    /// The time at which it ends, in seconds since 1970.
    ends: i64,
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
        let allow_expired = config.allow_expired_certificate;
        let current = ArcSwap::from_pointee(read(certificate, key, allow_expired)?);
        let (certificate, key) = (certificate.clone(), key.clone());
        Ok(Some(Self { certificate, key, allow_expired, current, metrics: OnceLock::new() }))
    }

    /// Reads the files again, for new connections. Errors are logged, and the old certificate stays in use.
    pub(super) fn reload(&self) {
        match read(&self.certificate, &self.key, self.allow_expired) {
            Ok(shown) => {
                self.current.store(Arc::new(shown));
                let ends = format_time(self.current.load().ends * 1_000_000);
                tracing::info!(certificate = %self.certificate.display(), ends, "certificate loaded");
                self.metrics.get().inspect(|metrics| metrics.certificate(self.current.load().ends));
            }
            Err(error) => tracing::error!(%error, "certificate refused: the old one is shown on"),
        }
    }

    /// Sets the metric of the certificate's end, now and when another one is loaded.
    pub(super) fn tell(&self, metrics: &Arc<Metrics>) {
        metrics.certificate(self.current.load().ends);
        _ = self.metrics.set(Arc::clone(metrics));
    }

    /// A TLS acceptor with the current certificate.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }
}

/// Reads a certificate chain and its key into a configuration for TLS 1.2 and 1.3. The crypto provider is given
/// explicitly, since a default of the process could be set anywhere.
fn read(certificate: &Path, key: &Path, allow_expired: bool) -> Result<Shown, Error> {
    let (chain, private) = (certificates(certificate)?, private_key(key)?);
    let now = (now_ms() / 1_000) as i64;
    let mut first = None;
    for ends in ends(certificate, &chain)? {
        let shown = format_time(ends * 1_000_000);
        let is_first = first.is_none();
        first.get_or_insert(ends);
        if ends > now + SOON_S {
            continue;
        }
        if ends > now {
            tracing::warn!(certificate = %certificate.display(), ends = shown, "a certificate of the file ends soon: renew it, and send SIGHUP");
        } else if is_first && !allow_expired {
            let reason = format!(
                "the certificate has ended at {shown}, and no client would trust it: renew it, or set allow_expired_certificate"
            );
            return Err(refused(certificate, reason));
        } else {
            tracing::warn!(certificate = %certificate.display(), ended = shown, "a certificate of the file has ended");
        }
    }
    let ends = first.unwrap_or(i64::MAX / 1_000_000);
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|error| unusable(&error, certificate, key))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Shown { config: Arc::new(config), ends })
}

/// The times at which certificates end, in seconds since 1970.
fn ends(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Vec<i64>, Error> {
    let end = |certificate: &CertificateDer<'_>| {
        let parsed = X509Certificate::from_der(certificate);
        let (_, parsed) =
            parsed.map_err(|_| refused(path, "one of its certificates cannot be used: have it made anew"))?;
        Ok(parsed.validity().not_after.timestamp())
    };
    chain.iter().map(end).collect()
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

//! Reading of certificates and private keys from PEM files.

use crate::Error;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// Reads the certificates of a PEM file in their order; other sections are ignored.
///
/// # Errors
/// For a file that cannot be read, is not PEM or has no certificate.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = std::fs::read(path).map_err(upnext_core::Error::io(path, "read"))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| broken(path, &error))?;
    if found.is_empty() {
        let reason = "there is no certificate in it: give a file in PEM, with `-----BEGIN CERTIFICATE-----`";
        return Err(refused(path, reason));
    }
    Ok(found)
}

/// Reads the first private key of a PEM file: PKCS#8, PKCS#1 or SEC1.
///
/// # Errors
/// For a file that cannot be read, is not PEM or has no key.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = std::fs::read(path).map_err(upnext_core::Error::io(path, "read"))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => refused(
            path,
            "there is no key in it: give a file in PEM, with `-----BEGIN PRIVATE KEY-----`, and without a passphrase",
        ),
        error => broken(path, &error),
    })
}

/// The error for a malformed file. The parser's own message is dropped, since it may quote the key, and would be
/// logged.
fn broken(path: &Path, error: &pem::Error) -> Error {
    refused(
        path,
        match error {
            pem::Error::MissingSectionEnd { .. } => "it ends within a section: copy the whole file",
            pem::Error::Base64Decode(_) => {
                "what stands between BEGIN and END is not base64: copy the file anew"
            }
            _ => "it is not in PEM: copy the file anew",
        },
    )
}

/// The error for an unusable certificate or key file.
pub(crate) fn refused(path: &Path, reason: impl Into<String>) -> Error {
    Error::Tls { path: path.to_owned(), reason: reason.into() }
}

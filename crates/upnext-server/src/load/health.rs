//! Whether a server is ready, for health checks of containers.

use super::connection::Open;
use super::target::Target;
use super::tls::Tls;
use crate::Error;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::HOST;
use std::path::Path;
use std::time::Duration;

/// The answer of a server to `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it is ready.
    pub is_ready: bool,
    /// What it says of itself, as JSON.
    pub body: String,
}

/// Asks a server whether it is ready. `ca` is the certificate that it must have, or the one that signed it, for `https`.
///
/// # Errors
/// [`Error::Unreachable`] if nothing answers within `timeout`, and those of a certificate that cannot be read.
pub fn health(target: &Target, ca: Option<&Path>, timeout: Duration) -> Result<Health, Error> {
    let tls = match (target.is_https(), ca) {
        (false, _) => None,
        (true, Some(ca)) => Some(Tls::trusting(ca, target.name())?),
        (true, None) => {
            let reason = "is https: give the server's certificate, or the one that signed it (--ca FILE)";
            return Err(upnext_core::Error::config("URL", reason).into());
        }
    };
    let address = target.reached(timeout)?;
    let failed = |action| move |source| Error::System { action, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("start a thread for HTTP"))?;
    let asked = async {
        let mut open = Open::to(address, tls.as_ref()).await?;
        let request = hyper::Request::get("/readyz").header(HOST, target.host());
        let response = open.requests().send_request(request.body(Full::new(Bytes::new()))?).await?;
        let is_ready = response.status().is_success();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, Box<dyn std::error::Error>>(Health {
            is_ready,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    let asked =
        tokio::task::LocalSet::new().block_on(&runtime, async { tokio::time::timeout(timeout, asked).await });
    let unreachable = |source| Error::Unreachable { host: target.host().to_owned(), source };
    match asked {
        Ok(Ok(health)) => Ok(health),
        Ok(Err(error)) => Err(unreachable(std::io::Error::other(error.to_string()))),
        Err(_) => Err(unreachable(std::io::ErrorKind::TimedOut.into())),
    }
}

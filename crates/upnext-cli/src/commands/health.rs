//! `upnext health`: whether a server is ready.

use super::serve::plain;
use crate::output::print;
use anyhow::bail;
use std::path::PathBuf;
use std::time::Duration;
use upnext_server::load::{Target, health};

/// Time for the answer: less than the usual limit of a health check.
const LIMIT: Duration = Duration::from_secs(2);

/// Ask a server whether it is ready, as health checks of containers do.
///
/// The exit code is 0 if it is, and 1 if it is not, or does not answer within two seconds.
#[derive(clap::Args, Debug)]
pub(crate) struct HealthArgs {
    /// The server
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,

    /// For https: the server's certificate, or the one that signed it, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let target = Target::parse(&args.url)?;
    let health = health(&target, args.ca.as_deref(), LIMIT).map_err(plain)?;
    if !health.is_ready {
        bail!("{} is not ready: {}", args.url, health.body.trim());
    }
    print(&format!("{}\n", health.body.trim()))
}

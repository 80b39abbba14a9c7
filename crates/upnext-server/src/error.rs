//! What can keep a server, or a load on one, from starting.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server, or a load on one, did not start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model, a file or the configuration.
    #[error(transparent)]
    Library(#[from] upnext_core::Error),

    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {address}: {source}: choose another address, or port 0 for any free port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },

    /// An address that others can reach, without a key.
    #[error(
        "{address} can be reached from other machines, and no key is set: give --keys FILE, or --allow-open if something in front of the server checks who asks"
    )]
    OpenToAll {
        /// The address.
        address: SocketAddr,
    },

    /// Keys that are none.
    #[error("{origin}:{line}: {reason}")]
    Keys {
        /// The file or environment variable.
        origin: String,
        /// From 1.
        line: usize,
        /// What is wrong. The key itself is not in it.
        reason: String,
    },

    /// A certificate or a key that cannot be used.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do. Nothing of the key is in it.
        reason: String,
    },

    /// A table of items that is no catalogue of titles.
    #[error("{}: {reason}", path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// A second model that no request could name.
    #[error("both models are named `{name}`: give the served one another name with --name")]
    SameName {
        /// The name.
        name: String,
    },

    /// A file that another server uses.
    #[error("{}: another server uses what this belongs to: name another session file or folder of events", path.display())]
    Taken {
        /// The lock.
        path: PathBuf,
    },

    /// A session file that is not one.
    #[error("{}: {reason}", path.display())]
    SessionFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// A model that loads and does not answer.
    #[error("{}: {reason}", path.display())]
    Model {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// No server to put a load on.
    #[error("{host}: no server can be reached there: {source}: start one with `upnext serve MODEL`")]
    Unreachable {
        /// Host and port.
        host: String,
        /// Why.
        source: std::io::Error,
    },

    /// The system gave no threads or no files.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

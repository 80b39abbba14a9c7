//! The error type of this crate.

use std::net::SocketAddr;
use std::path::PathBuf;

/// An error that keeps a server or a load test from starting. Each message says how to fix it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the library: in the model, a file or the configuration.
    #[error(transparent)]
    Library(#[from] upnext_core::Error),

    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {address}: {source}: choose another address, or port 0 for any free port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },

    /// The address can be reached from other machines, and no key is set.
    #[error(
        "{address} can be reached from other machines, and no key is set: give --keys FILE, or --allow-open if something in front of the server checks who asks"
    )]
    OpenToAll {
        /// The address.
        address: SocketAddr,
    },

    /// A line of a key list is not a valid key.
    #[error("{origin}:{line}: {reason}")]
    Keys {
        /// The file or environment variable.
        origin: String,
        /// The line number, from 1.
        line: usize,
        /// What is wrong, without the key itself.
        reason: String,
    },

    /// A TLS certificate or private key cannot be used.
    #[error("{}: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong and how to fix it, without any part of the key.
        reason: String,
    },

    /// An item table cannot be used as a catalogue of titles.
    #[error("{}: {reason}", path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// Both models have the same name, so that no request could select the second one.
    #[error("both models are named `{name}`: give the served one another name with --name")]
    SameName {
        /// The name.
        name: String,
    },

    /// Another server holds the lock of a session file or an event log.
    #[error("{}: another server uses what this belongs to: name another session file or folder of events", path.display())]
    Taken {
        /// The lock file.
        path: PathBuf,
    },

    /// A signal to stop came before everything was loaded.
    #[error("stopped before the model was loaded")]
    Stopped,

    /// The disk did not take the latest changes of sessions until the end.
    #[error("the session file lacks the latest changes ({changes}), which are lost: the log says why")]
    Lost {
        /// Number of events and removals.
        changes: u64,
    },

    /// A file is not a session file of this program.
    #[error("{}: {reason}", path.display())]
    SessionFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// A model was loaded but cannot compute recommendations.
    #[error("{}: {reason}", path.display())]
    Model {
        /// The model's folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// The server to be load-tested cannot be reached.
    #[error("{host}: no server can be reached there: {source}: start one with `upnext serve MODEL`")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The error of the last connection attempt.
        source: std::io::Error,
    },

    /// The operating system refused a resource such as a thread or a file.
    #[error("cannot {action}: {source}")]
    System {
        /// The action that failed, as a verb phrase.
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
}

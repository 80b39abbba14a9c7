//! Session-based recommendations: which item comes next in a session, learnt from a click log.
//!
//! From a log to recommendations:
//!
//! ```
//! use upnext_core::data::EventLog;
//! use upnext_core::{Dataset, Experiment, FitOptions, fit};
//!
//! // A real log is read by `EventLog::read`.
//! let mut log = EventLog::new();
//! for (session, items) in [("s1", "kettle tea cup"), ("s2", "kettle tea pot"), ("s3", "cup pot")] {
//!     for (second, item) in items.split(' ').enumerate() {
//!         log.push(session, item, second as i64 * 1_000_000);
//!     }
//! }
//! let (data, _dropped) = Dataset::from_log(log)?;
//!
//! // The published RSC15 setting, made small.
//! let mut experiment = Experiment::default();
//! for field in ["model.layers=16", "training.batch_size=2", "training.samples=8", "training.epochs=30"] {
//!     experiment.set(field)?;
//! }
//! let model = fit(data, &experiment, FitOptions::default())?.model;
//! assert_eq!(model.recommend(&["kettle"], 1)?.items[0].id, "tea");
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path().join("model");
//! model.save(&folder)?; // `Model::load` or `upnext serve` takes it from there.
//! # Ok::<(), upnext_core::Error>(())
//! ```
//!
//! # Features
//!
//! All are on by default. A program that only recommends from a saved model needs none of them.
//!
//! - `logs`: files of click logs, tables of items and lists (CSV and Parquet, plain or gzip), [`data::prepare()`], `simulate`.
//! - `arrow`: `EventLog::from_batches`, which has Arrow types in its signature; with it `logs`.
//! - `onnx`: networks as ONNX graphs.
//! - `toml`: experiment files, published settings, `Experiment::set`, and `tuning`.
//! - `zstd`: zstd in logs, and models that upnext 0.1.0 saved before their items were compressed by Snappy. It compiles C.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod arrays;
pub mod artifact;
pub mod auto;
pub mod baselines;
pub mod batch;
pub mod blend;
mod checksum;
pub mod comparison;
mod content;
#[cfg(test)]
mod contract;
pub mod data;
#[doc(hidden)]
pub mod documented;
pub mod error;
pub mod evaluation;
pub mod experiment;
pub mod fit;
pub mod gru4rec;
pub mod history;
mod kind;
mod kinds;
mod memory;
pub mod model;
mod models;
#[cfg(feature = "onnx")]
pub mod onnx;
mod parquet;
pub mod ranking;
pub mod recommender;
#[doc(hidden)] // For the other crates of upnext alone.
pub mod replace;
#[cfg(feature = "logs")]
pub mod simulate;
mod stages;
pub mod training;
#[cfg(feature = "toml")]
pub mod tuning;

/// The Arrow crates whose types [`data::EventLog::from_batches`] takes.
#[cfg(feature = "arrow")]
pub use {arrow_array, arrow_schema};

pub use data::Dataset;
pub use error::{Error, Result};
pub use experiment::Experiment;
pub use fit::{FitOptions, Fitted, fit};
pub use history::FitEvent;
pub use model::Model;

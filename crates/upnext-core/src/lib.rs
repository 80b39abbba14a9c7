//! upnext: what comes next in a session, learnt from a click log.
//!
//! From a log to recommendations, in one page:
//!
//! ```
//! use upnext_core::data::{Dataset, EventLog};
//! use upnext_core::evaluation::{EvaluationConfig, evaluate};
//! use upnext_core::experiment::Experiment;
//! use upnext_core::gru4rec::{Network, Trainer};
//! use upnext_core::ranking::{Filter, recommend};
//!
//! // Three visitors of a shop with five items (a real log: `EventLog::read`).
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
//! for field in ["model.layers=16", "training.batch_size=2", "training.samples=8"] {
//!     experiment.set(field)?;
//! }
//! experiment.validate()?;
//! let config = experiment.model.network().expect("the default is a network").clone();
//! let activation = config.output_activation_for(experiment.training.loss);
//! let network = Network::new(config, activation, data.items.len(), experiment.training.seed);
//! let mut trainer = Trainer::new(network, &experiment.training, &data, 1)?;
//! for _ in 0..30 {
//!     trainer.run_epoch(&mut |_progress| ControlFlow::Continue(()))?;
//! }
//!
//! let network = trainer.into_network();
//! let kettle = data.items.index_of("kettle").expect("an item of the log");
//! let lists = recommend(&network, &data.items, &[&[kettle]], 1, &Filter::default())?;
//! assert_eq!(data.items.id(lists[0].entries[0].item), "tea");
//!
//! let result = evaluate(&network, &data.items, &data.sessions, &EvaluationConfig::default(), 1, &|_| {})?;
//! println!("recall@1 on its own training data: {:.2}", result.metrics[0].recall);
//! # Ok::<(), upnext_core::Error>(())
//! ```

pub mod arrays;
pub mod artifact;
pub mod baselines;
pub mod batch;
pub mod comparison;
#[cfg(test)]
mod contract;
pub mod data;
pub mod error;
pub mod evaluation;
pub mod experiment;
pub mod gru4rec;
mod memory;
pub mod model;
mod parquet;
pub mod ranking;
pub mod recommender;
pub mod replace;
pub mod simulate;
pub mod training;
pub mod tuning;

/// The Arrow crates whose types [`data::EventLog::from_batches`] takes.
#[cfg(feature = "arrow")]
pub use {arrow_array, arrow_schema};

pub use error::{Error, Result};

//! Click logs: reading, filtering, splitting, and conversion into sessions of item indices.
//!
//! [`EventLog::read`] reads a file or a folder of part files; [`EventLog::from_events`] and `EventLog::from_batches`
//! take events and Arrow record batches in memory. [`prepare()`] filters and splits a log by the paper's rules, and
//! [`write_parts`] writes the parts. Models are trained on a [`Dataset`] and tested on [`TestSessions`].

mod columnar;
pub mod events;
pub mod folder;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub(crate) mod ids;
mod layout;
pub mod options;
pub mod part;
mod parts;
pub mod prepare;
mod read;
pub mod report;
mod rows;
pub mod sessions;
pub mod shape;
mod source;
pub mod statistics;
pub(crate) mod table;
mod text;
pub mod time;
pub mod vocabulary;
mod warnings;
pub mod write;

pub use events::{Event, EventLog};
pub use folder::{PartName, PreparedFolder};
pub use ids::{Ids, MAX_ID_BYTES};
pub use options::{Header, ReadOptions};
pub use part::{DroppedSessions, Part, PartCounts, TestSessions};
pub use prepare::{PrepareOptions, PreparePhase, PrepareProgress, Prepared, prepare};
pub use read::ReadProgress;
pub use report::ReadReport;
pub use sessions::{Dataset, Sessions, TimeMicros};
pub use shape::LogShape;
pub use statistics::{DropRule, Dropped, Statistics};
pub use time::{TimeSpan, TimeUnit, format_time, parse_time};
pub use vocabulary::{ItemIndex, ItemVocabulary};
pub use write::{Format, write_log, write_parts};

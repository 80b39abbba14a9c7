//! Click logs: reading, filtering, splitting, and conversion into sessions of item indices.
//!
//! [`EventLog::read`] reads a file or a folder of part files; [`EventLog::from_events`] and `EventLog::from_batches`
//! take events and Arrow record batches in memory. [`prepare()`] filters and splits a log by the paper's rules, and
//! [`write_parts`] writes the parts. Models are trained on a [`Dataset`] and tested on [`TestSessions`].

#[cfg(feature = "logs")]
mod arrays;
#[cfg(feature = "logs")]
mod bad_rows;
#[cfg(feature = "logs")]
mod cells;
#[cfg(feature = "logs")]
mod columnar;
#[cfg(feature = "logs")]
mod columns;
mod copies;
#[cfg(all(test, feature = "logs"))]
mod doubt_tests;
pub mod durations;
pub mod events;
#[cfg(feature = "logs")]
mod few_values;
#[cfg(feature = "logs")]
pub mod folder;
#[cfg(all(test, feature = "logs"))]
mod format_tests;
#[cfg(all(feature = "logs", any(test, feature = "fuzzing")))]
pub mod fuzz;
pub mod holdout;
mod id_text;
pub(crate) mod ids;
#[cfg(feature = "logs")]
pub mod indexed;
#[cfg(feature = "logs")]
mod ipc;
pub mod items;
#[cfg(feature = "logs")]
mod json;
#[cfg(feature = "logs")]
mod json_log;
#[cfg(feature = "logs")]
mod layout;
#[cfg(feature = "logs")]
mod lists;
#[cfg_attr(not(feature = "logs"), expect(dead_code, reason = "logs have more columns than tables of items"))]
mod names;
#[cfg(feature = "logs")]
mod normalize;
pub mod options;
pub mod part;
#[cfg(feature = "logs")]
mod parts;
pub mod prepare;
#[cfg(feature = "logs")]
mod quotes;
#[cfg(feature = "logs")]
mod read;
#[cfg(feature = "logs")]
mod replace_delimiter;
mod replay;
pub mod report;
#[cfg(all(test, feature = "logs"))]
mod round_trip;
#[cfg(feature = "logs")]
mod row_reader;
mod rows;
mod session_index;
mod session_source;
pub mod sessions;
pub mod shape;
#[cfg(feature = "logs")]
mod source;
#[cfg(feature = "logs")]
pub mod sql;
pub mod statistics;
#[cfg(feature = "logs")]
mod table;
pub mod test_sessions;
#[cfg(feature = "logs")]
mod text;
pub mod time;
#[cfg(feature = "logs")]
mod values;
pub mod vocabulary;
mod warnings;
#[cfg(feature = "logs")]
mod watch;
#[cfg(feature = "logs")]
pub mod write;

pub use durations::SessionTimes;
pub use events::{Event, EventLog, GroupedLog};
#[cfg(feature = "logs")]
pub use folder::PreparedFolder;
pub use holdout::Holdout;
pub use ids::{Ids, MAX_ID_BYTES};
#[cfg(feature = "logs")]
pub use indexed::IndexedFolder;
pub use items::{ItemTable, ItemTableOptions};
pub(crate) use names::shortened_to;
#[cfg(feature = "logs")]
pub use normalize::NULL_MARKERS;
pub use options::{Condition, Header, Lists, Quote, ReadOptions, RowOrder};
pub use part::{DroppedSessions, Part, PartCounts, PartName};
pub use prepare::{PrepareOptions, PreparePhase, PrepareProgress, Prepared, prepare};
#[cfg(feature = "logs")]
pub use read::ReadProgress;
pub use report::ReadReport;
pub use session_source::{SessionCounts, SessionSource, SessionStream};
pub use sessions::{Dataset, Sessions, TimeMicros};
pub use shape::LogShape;
pub use statistics::{DropRule, Dropped, Statistics};
pub use test_sessions::{MissedClick, NextClicks, TestSessions};
pub use time::{TimeSpan, TimeUnit, format_time, parse_time};
pub use vocabulary::{ItemIndex, ItemVocabulary};
#[cfg(feature = "logs")]
pub use write::{Format, write_log, write_parts};

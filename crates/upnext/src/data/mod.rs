//! From a click log to sessions of item indices.

pub mod sessions;
pub mod vocabulary;

pub use sessions::{Dataset, Sessions, TimeMicros};
pub use vocabulary::{ItemIndex, ItemVocabulary};

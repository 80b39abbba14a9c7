//! What is known of an item beside its id, and how is it found by a few letters?

mod catalogue;
mod search;

pub(crate) use catalogue::{Catalogue, Description};
pub(crate) use search::Search;

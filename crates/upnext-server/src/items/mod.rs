//! Titles, pictures and attributes of items, and the search by the beginnings of words.

mod catalogue;
mod search;

pub(crate) use catalogue::{Catalogue, Condition, Description};
pub(crate) use search::Search;

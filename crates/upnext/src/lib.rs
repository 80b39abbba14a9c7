//! Session-based recommendations with recurrent neural networks.
//!
//! This crate re-exports the library [`upnext_core`] under the name of the project. With the feature `cli`, it also has
//! the program `upnext`.

#![forbid(unsafe_code)]

pub use upnext_core::*;

//! Session-based recommendations with recurrent neural networks.
//!
//! This crate is the library [`upnext_core`] under the name of the project, and, with the feature `cli`, the program `upnext`.

#![forbid(unsafe_code)]

pub use upnext_core::*;

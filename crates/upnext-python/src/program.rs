//! The program in the package.

use pyo3::prelude::*;
use std::ffi::OsString;
use upnext_cli::Invocation;

/// The version of the package.
#[pyfunction]
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Runs the command line on these arguments, and returns its exit code. `program` are the words that start the program again.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>, program: Vec<OsString>) -> u8 {
    let arguments = std::iter::once("upnext".into()).chain(arguments).collect();
    py.detach(|| upnext_cli::run(Invocation { arguments, program: Some(program) }))
}

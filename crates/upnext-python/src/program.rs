//! The program in the package: as a console script, and its commands as functions.

use crate::errors::{OrRaise, json, options, raise, raise_as};
use crate::work::interruptible;
use pyo3::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;
use upnext_cli::Invocation;
use upnext_cli::embedded::{self, Failure};
use upnext_core::Experiment;
use upnext_core::data::PreparedFolder;
use upnext_core::data::sql::{SqlOptions, SqlPlan};

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

/// Runs a command and returns what it prints, a JSON document with `--json`, and its warnings. `shown` is the call in words.
#[pyfunction]
pub(crate) fn call(py: Python<'_>, arguments: Vec<OsString>, shown: &str) -> PyResult<(String, Vec<String>)> {
    let ((printed, done), signal) = interruptible(py, |stop| embedded::call(arguments, shown, stop.flag()));
    match (done, signal) {
        (Ok(()), None) => Ok((printed.result, printed.warnings)),
        (_, Some(raised)) => Err(raised),
        (Err(Failure::Library(error)), None) => Err(raise(py, &error)),
        (Err(Failure::Other(text)), None) => Err(raise_as(py, "UpnextError", &text)),
        (Err(_), None) => Err(raise_as(py, "UpnextError", "failed for an unknown reason")),
    }
}

/// Checks an experiment, which is JSON, and gives the values of the fields that depend on others.
#[pyfunction]
pub(crate) fn resolved(py: Python<'_>, experiment: &str) -> PyResult<String> {
    let experiment: Experiment = options(py, experiment)?;
    experiment.validate().or_raise(py)?;
    json(py, &experiment.resolved())
}

/// The queries that prepare a log in an engine, as JSON.
#[pyfunction]
pub(crate) fn sql_plan(py: Python<'_>, sql_options: &str) -> PyResult<String> {
    let sql_options: SqlOptions = options(py, sql_options)?;
    json(py, &SqlPlan::new(&sql_options).or_raise(py)?)
}

/// The statistics of a prepared folder, as JSON.
#[pyfunction]
pub(crate) fn folder_statistics(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    json(py, PreparedFolder::open(&path).or_raise(py)?.statistics())
}

/// Writes an experiment, which is JSON, as a file that the commands read.
#[pyfunction]
pub(crate) fn experiment_file(py: Python<'_>, experiment: &str, path: PathBuf) -> PyResult<()> {
    let experiment: Experiment = options(py, experiment)?;
    let text = experiment.to_toml().or_raise(py)?;
    std::fs::write(&path, text).map_err(upnext_core::Error::io(&path, "write")).or_raise(py)
}

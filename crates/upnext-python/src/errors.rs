//! The library's errors as exceptions of `upnext.errors`, with the same sentences.

use pyo3::prelude::*;
use upnext_core::Error;

/// The exception of an error.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let name = match error {
        Error::Config { .. } | Error::ExperimentFile { .. } | Error::UnknownKey { .. } => "ConfigError",
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "MissingFileError",
        Error::Io { .. } | Error::WillNotReplace { .. } => "FileError",
        Error::Stopped => "StoppedError",
        Error::Memory { .. } => "OutOfMemoryError",
        Error::Diverged { .. } | Error::NonFiniteScores { .. } => "NotFiniteError",
        Error::NotAModel { .. }
        | Error::DamagedModel { .. }
        | Error::ManifestFile { .. }
        | Error::NewerFormat { .. }
        | Error::Weights { .. } => "ModelFileError",
        Error::UnknownItem { .. } => "UnknownItemError",
        Error::NoVectors { .. } | Error::NoSimilarity { .. } | Error::NoGraph { .. } => "NotSupportedError",
        _ => "DataError",
    };
    raise_as(py, name, &error.to_string())
}

/// An exception of `upnext.errors`.
pub(crate) fn raise_as(py: Python<'_>, name: &str, text: &str) -> PyErr {
    match py.import("upnext.errors").and_then(|module| module.getattr(name)?.call1((text,))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// Results of the library in functions for Python.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for upnext_core::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}

/// Reads options from JSON, whose fields Python has filled in.
pub(crate) fn options<T: serde::de::DeserializeOwned>(py: Python<'_>, json: &str) -> PyResult<T> {
    let read = &mut serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(read).map_err(|error| {
        let field = match error.path().to_string().as_str() {
            "." => "options".to_owned(),
            path => path.to_owned(),
        };
        let text = error.inner().to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        raise(py, &Error::Config { field, reason: upnext_core::experiment::plain(text) })
    })
}

/// Writes a record as JSON.
pub(crate) fn json(py: Python<'_>, value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value)
        .map_err(|error| raise(py, &Error::Config { field: "record".to_owned(), reason: error.to_string() }))
}

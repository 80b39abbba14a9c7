//! Tables of items with their attributes.

use crate::arrow::batches;
use crate::errors::{OrRaise, options, raise_as};
use pyo3::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use upnext_core::data::items::{self, ColumnType, ItemTableOptions, RepeatedItem};

/// A table of items.
#[pyclass(frozen, module = "upnext._upnext")]
pub(crate) struct ItemTable {
    pub(crate) inner: Arc<items::ItemTable>,
}

/// How a table is read, by the names of the arguments in Python.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    item: Option<String>,
    columns: Vec<String>,
    types: BTreeMap<String, String>,
    list_separator: Option<char>,
    keep_last: bool,
}

impl Reading {
    /// The options of the library; columns have the types of the table `like` if there is no other wish.
    fn options(self, py: Python<'_>, like: Option<&ItemTable>) -> PyResult<ItemTableOptions> {
        let mut found =
            like.map_or_else(ItemTableOptions::default, |like| ItemTableOptions::like(&like.inner));
        for (name, of) in self.types {
            let of: ColumnType = of
                .parse()
                .map_err(|error: String| raise_as(py, "ConfigError", &format!("types: {error}")))?;
            found.types.insert(name, of);
        }
        found.item_columns = self.item.into_iter().collect();
        found.columns = self.columns;
        found.list_separator = self.list_separator.or(found.list_separator);
        if self.keep_last {
            found.repeated = RepeatedItem::KeepLast;
        }
        Ok(found)
    }
}

/// Reads a file.
#[pyfunction]
#[pyo3(signature = (path, reading, like=None))]
pub(crate) fn read_items(
    py: Python<'_>,
    path: PathBuf,
    reading: &str,
    like: Option<&ItemTable>,
) -> PyResult<ItemTable> {
    let given = options::<Reading>(py, reading)?.options(py, like)?;
    let inner = py.detach(|| items::ItemTable::read(&path, &given)).or_raise(py)?;
    Ok(ItemTable { inner: Arc::new(inner) })
}

/// Reads an object with the method `__arrow_c_stream__`.
#[pyfunction]
#[pyo3(signature = (object, reading, like=None))]
pub(crate) fn read_items_arrow(
    py: Python<'_>,
    object: &Bound<'_, PyAny>,
    reading: &str,
    like: Option<&ItemTable>,
) -> PyResult<ItemTable> {
    let (given, batches) = (options::<Reading>(py, reading)?.options(py, like)?, batches(object)?);
    let inner = py.detach(|| items::ItemTable::from_batches(batches, &given)).or_raise(py)?;
    Ok(ItemTable { inner: Arc::new(inner) })
}

#[pymethods]
impl ItemTable {
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    /// The names of the columns, each with its type and the number of items without a value.
    #[getter]
    fn columns(&self) -> Vec<(String, &'static str, usize)> {
        let columns = self.inner.columns().iter();
        columns.map(|of| (of.name().to_owned(), of.column_type().name(), of.missing())).collect()
    }

    /// The name of the column of ids.
    #[getter]
    fn item(&self) -> &str {
        self.inner.id_name()
    }
}

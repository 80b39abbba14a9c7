//! The extension of the Python package `upnext`: the library's types for Python, without any algorithm.
//!
//! Options and records cross the border as JSON, whose fields are those of the library. Users see `python/upnext/`, which
//! calls this module and no other.

mod arrow;
mod data;
mod errors;
mod fit;
mod items;
mod model;
mod program;
mod table;
mod work;

/// The module `upnext._upnext`.
#[pyo3::pymodule]
mod _upnext {
    #[pymodule_export]
    use super::arrow::Table;
    #[pymodule_export]
    use super::data::{Sessions, option_names, prepared_folder, read, read_arrow, read_lists};
    #[pymodule_export]
    use super::fit::fit;
    #[pymodule_export]
    use super::items::{ItemTable, read_items, read_items_arrow};
    #[pymodule_export]
    use super::model::{Evaluation, Model};
    #[pymodule_export]
    use super::program::{call, experiment_file, folder_statistics, main, resolved, sql_plan, version};
}

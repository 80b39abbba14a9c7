//! How are files and folders replaced as a whole or not at all?

mod file;
mod folder;

pub use file::{check_file, replace_file};
#[cfg(test)]
pub(crate) use folder::Step;
pub(crate) use folder::{Steps, Target, read_one_version};

//! How is a file replaced as a whole or not at all?

mod file;

pub use file::replace_file;

//! Replaces a file, or a folder of files, so that a crash leaves the old or the new one.
//!
//! A file is written under another name in the same folder and then renamed, which replaces the old one in one step on
//! every file system. A folder of several files has one file that lists the others, and that is replaced last (a
//! model's manifest) or reveals a mixture (a prepared folder's statistics).

mod file;
mod folder;

#[cfg(feature = "toml")]
pub(crate) use file::create_file;
pub(crate) use file::{UNFINISHED, Unfinished, folder_of};
pub use file::{check_file, replace_file};
pub(crate) use folder::{LOCK_FILE, Lock, check_writable, is_of_the_system, names_in, sync_folder};

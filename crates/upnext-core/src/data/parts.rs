//! Lists the part files of a folder, in their order.
//!
//! Spark, Polars, DuckDB and pandas write a table as a folder of part files: `part-0.parquet`, markers such as
//! `_SUCCESS`, checksums, and folders named `key=value` for the columns that the table is partitioned by (Hive's
//! convention). The parts are read in the order of their paths below the folder, compared component by component and
//! byte by byte.

use super::folder::{PreparedFolder, STATISTICS_FILE};
use super::indexed::IndexedFolder;
use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Hive's mark of a missing value in a folder name.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A file to read.
#[derive(Clone, Debug, Default)]
pub(super) struct InputFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// The columns given by the names of the folders above it, outermost first.
    pub(super) partitions: Vec<Partition>,
    /// Whether its ids are taken as they are.
    pub(super) has_exact_ids: bool,
}

/// A column of one value, from a folder named `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) key: String,
    /// Empty for a missing value.
    pub(super) value: Vec<u8>,
}

/// Lists the files below `folder`, in their order.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unfinished`] for a folder that is still being written; [`Error::NotPrepared`] for a folder
/// that `prepare` wrote; [`Error::NoEvents`] if there is no file; [`Error::Unsupported`] for anything but files and
/// folders, and for a link to a folder above.
pub(super) fn files_below(folder: &Path) -> Result<Vec<InputFile>> {
    let mut files = Vec::new();
    walk(folder, &mut Vec::new(), &mut Vec::new(), &mut files)?;
    if files.is_empty() {
        return Err(Error::NoEvents { path: folder.to_owned(), found: "the folder holds no log file" });
    }
    Ok(files)
}

/// Whether a name is skipped: hidden files, markers, checksums, and the growing event log of `serve`. As in Spark,
/// `_key=value` is not skipped.
fn is_skipped(name: &[u8]) -> bool {
    name.starts_with(b".")
        || [&b".crc"[..], b".csv.part"].iter().any(|ending| name.ends_with(ending))
        || (name.starts_with(b"_") && !name.contains(&b'='))
}

fn walk(
    folder: &Path,
    ancestors: &mut Vec<PathBuf>,
    partitions: &mut Vec<Partition>,
    files: &mut Vec<InputFile>,
) -> Result<()> {
    let unsupported = |path: &Path, found: &str, advice| Error::Unsupported {
        path: path.to_owned(),
        found: found.to_owned(),
        advice,
    };
    let real = folder.canonicalize().map_err(Error::io(folder, "open"))?;
    if ancestors.contains(&real) {
        return Err(unsupported(folder, "a link to a folder around it", "remove the link"));
    }
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "read"))?;
    let names =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<std::io::Result<Vec<_>>>();
    let mut names = names.map_err(Error::io(folder, "read"))?;
    names.sort_unstable_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
    let has = |name: &str| names.iter().any(|own| own == name);
    if has("_temporary") && !has("_SUCCESS") {
        return Err(Error::Unfinished { path: folder.to_owned() });
    }
    let is_prepared = has(STATISTICS_FILE) || IndexedFolder::is_whole_at(folder);
    if is_prepared && PreparedFolder::open(folder).is_ok() {
        return Err(Error::NotPrepared {
            path: folder.to_owned(),
            reason: "`prepare` made this folder, and its parts are no whole log: name one of them, such as its train.parquet".to_owned(),
        });
    }
    ancestors.push(real);
    for name in names.iter().filter(|name| !is_skipped(name.as_encoded_bytes())) {
        let path = folder.join(name);
        let metadata = fs::metadata(&path).map_err(Error::io(&path, "open"))?;
        if metadata.is_dir() {
            let partition = partition(name.as_encoded_bytes());
            let known = partitions.len();
            partitions.extend(partition);
            walk(&path, ancestors, partitions, files)?;
            partitions.truncate(known);
        } else if metadata.is_file() {
            let (bytes, partitions) = (metadata.len(), partitions.clone());
            files.push(InputFile { path, bytes, partitions, has_exact_ids: false });
        } else {
            return Err(unsupported(&path, "what is neither a file nor a folder", "remove it"));
        }
    }
    ancestors.pop();
    Ok(())
}

/// The column given by a folder named `key=value`; `None` for other names.
fn partition(name: &[u8]) -> Option<Partition> {
    let equals = name.iter().position(|&b| b == b'=').filter(|&at| at > 0)?;
    let key = String::from_utf8_lossy(&url_decoded(&name[..equals])).into_owned();
    let value = url_decoded(&name[equals + 1..]);
    Some(Partition { key, value: if value == HIVE_NULL.as_bytes() { Vec::new() } else { value } })
}

/// Decodes percent-encoded bytes such as `%3A`; other percent signs are unchanged.
fn url_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16));
    let (mut decoded, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests;

//! The files of an artifact, checked against their sizes and checksums when they are read.

use super::manifest::{Checksum, FileEntry};
use crate::checksum::Hashed;
use crate::data::shortened_to;
use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The size of buffers for reading and writing, in bytes.
pub(super) const BUFFER: usize = 1 << 18;

/// An error of reading a file, without the path of the file.
#[derive(Debug)]
pub(super) enum Problem {
    /// An error of the operating system.
    Io(io::Error),
    /// What is wrong with the bytes.
    Damaged(String),
}

impl Problem {
    /// The error, with the path of the file.
    pub(super) fn at(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Error::DamagedModel { path, reason: "it ends too early".to_owned() }
            }
            Self::Io(source) => Error::Io { path, action: "read", source },
            Self::Damaged(reason) => Error::DamagedModel { path, reason },
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A text from a file, quoted and shortened for a message.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shortened_to(text, 60))
}

/// Computes the CRC-32 of the bytes that are read.
struct Crc32 {
    file: File,
    hash: crc32fast::Hasher,
}

impl Read for Crc32 {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(bytes)?;
        self.hash.update(&bytes[..read]);
        Ok(read)
    }
}

/// Reads a file of the folder `dir` with `parse`, which receives its size in bytes and must read all of it.
///
/// The result of `parse` is returned only if the file has the size and checksum of the manifest's entry.
pub(super) fn read<T>(
    dir: &Path,
    entry: &FileEntry,
    parse: impl FnOnce(&mut dyn Read, u64) -> std::result::Result<T, Problem>,
) -> Result<T> {
    let path = dir.join(&entry.file);
    let damaged = |reason: String| Error::DamagedModel { path: path.clone(), reason };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged("this file of the model is missing".to_owned()));
        }
        Err(error) => return Err(Error::io(&path, "read")(error)),
    };
    // Opening a pipe would wait for a writer.
    if !metadata.is_file() {
        return Err(damaged("it is no file".to_owned()));
    }
    let size = metadata.len();
    if size < entry.bytes {
        return Err(damaged(format!("it is truncated: {size} of {} bytes are there", entry.bytes)));
    }
    if size > entry.bytes {
        let reason =
            format!("it is not the file that was saved: it has {size} bytes instead of {}", entry.bytes);
        return Err(damaged(reason));
    }
    let file = File::open(&path).map_err(Error::io(&path, "open"))?;
    let parsed;
    let is_same = match &entry.checksum {
        Checksum::Blake3(digits) => {
            let mut reader = BufReader::with_capacity(BUFFER, Hashed::new(file));
            parsed = parse(&mut reader, size);
            reader.get_ref().sum().1 == *digits
        }
        Checksum::Crc32(sum) => {
            let mut reader = BufReader::with_capacity(BUFFER, Crc32 { file, hash: crc32fast::Hasher::new() });
            parsed = parse(&mut reader, size);
            reader.into_inner().hash.finalize() == *sum
        }
    };
    let content = parsed.map_err(|problem| problem.at(&path))?;
    if !is_same {
        return Err(damaged("it is not the file that was saved: its checksum is another".to_owned()));
    }
    Ok(content)
}

/// Reads all bytes: a `parse` function for [`read`].
pub(super) fn bytes(input: &mut dyn Read, size: u64) -> std::result::Result<bytes::Bytes, Problem> {
    let mut bytes = Vec::new();
    input.take(size).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

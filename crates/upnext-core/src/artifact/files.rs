//! The files of an artifact: written with their size and checksum, and checked against them when read.

use super::manifest::FileEntry;
use crate::{Error, Result};
use flate2::Crc;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Bytes that go to or come from the system at a time.
const BUFFER: usize = 1 << 18;

/// What writes a file's bytes.
pub(super) type Content<'a> = dyn FnMut(&mut (dyn Write + Send)) -> io::Result<()> + 'a;

/// Why bytes could not be read, before it is known which file they are of.
#[derive(Debug)]
pub(super) enum Problem {
    /// The system's error.
    Io(io::Error),
    /// What is wrong with the bytes.
    Damaged(String),
}

impl Problem {
    /// The error of a file.
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

/// A text from a file, fit for a message of one line.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", one_line(text, 60))
}

/// A text on one line and not longer than `limit` characters.
pub(super) fn one_line(text: &str, limit: usize) -> String {
    let mut line: String = text
        .chars()
        .take(limit)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if text.chars().nth(limit).is_some() {
        line.push('…');
    }
    line
}

/// Counts and sums up what passes through.
struct Checked<T> {
    inner: T,
    crc: Crc,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.crc.update(&bytes[..read]);
        Ok(read)
    }
}

impl FileEntry {
    /// Size and checksum of any file, read to its end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        let mut reader = Checked { inner: file, crc: Crc::new() };
        let mut buffer = vec![0; BUFFER];
        let mut bytes = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => bytes += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(path, "read")(error)),
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, bytes, crc32: reader.crc.sum() })
    }
}

/// Writes the file `name` of `folder` to the disk; errors name the file in `shown`.
pub(super) fn write(folder: &Path, shown: &Path, name: &str, content: &mut Content<'_>) -> Result<FileEntry> {
    let mut write = || {
        let inner = File::create_new(folder.join(name))?;
        let mut out = BufWriter::with_capacity(BUFFER, Checked { inner, crc: Crc::new() });
        content(&mut out)?;
        let Checked { inner, crc } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        inner.sync_all()?;
        Ok(FileEntry { name: name.to_owned(), bytes: inner.metadata()?.len(), crc32: crc.sum() })
    };
    write().map_err(Error::io(&shown.join(name), "write"))
}

/// Reads a file of the folder `dir` with `parse`, which is told its size in bytes and must read all of it.
///
/// What `parse` gives is returned only if the file is the one that the manifest's entry describes.
pub(super) fn read<T>(
    dir: &Path,
    entry: &FileEntry,
    parse: impl FnOnce(&mut dyn Read, u64) -> std::result::Result<T, Problem>,
) -> Result<T> {
    let path = dir.join(&entry.name);
    let damaged = |reason: String| Error::DamagedModel { path: path.clone(), reason };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged("this file of the model is missing".to_owned()));
        }
        Err(error) => return Err(Error::io(&path, "read")(error)),
    };
    // Opening a pipe would wait for whoever writes to it.
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
    let mut reader = BufReader::with_capacity(BUFFER, Checked { inner: file, crc: Crc::new() });
    let content = parse(&mut reader, size).map_err(|problem| problem.at(&path))?;
    if reader.get_ref().crc.sum() != entry.crc32 {
        return Err(damaged("it is not the file that was saved: its checksum is another".to_owned()));
    }
    Ok(content)
}

/// All bytes, for [`read`].
pub(super) fn bytes(input: &mut dyn Read, size: u64) -> std::result::Result<bytes::Bytes, Problem> {
    let mut bytes = Vec::new();
    input.take(size).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_size_and_the_checksum_that_everybody_computes() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("clicks.dat");
        fs::write(&path, "123456789").unwrap();
        let entry = FileEntry { name: "clicks.dat".to_owned(), bytes: 9, crc32: 0xcbf4_3926 };
        assert_eq!(FileEntry::of(&path).unwrap(), entry);
        assert!(matches!(FileEntry::of(&place.path().join("no.dat")), Err(Error::Io { .. })));
    }
}

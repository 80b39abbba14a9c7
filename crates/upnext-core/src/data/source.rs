//! Opens a log file. Its format is recognised by its first bytes, not by its name.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of decompressed bytes from which the layout of a text file is guessed.
const SAMPLE_BYTES: u64 = 64 * 1024;

/// An opened log file.
pub(super) enum Source {
    /// Text, decompressed.
    Text(TextSource),
    /// A Parquet file, positioned at its beginning.
    Parquet(File),
}

/// Decompressed text, of which the beginning has been read ahead.
pub(super) struct TextSource {
    /// The beginning, without a byte order mark.
    pub(super) sample: Vec<u8>,
    /// What follows the sample.
    pub(super) rest: Box<dyn Read>,
    /// Whether the sample is the whole text.
    pub(super) complete: bool,
    pub(super) compression: Option<&'static str>,
    /// Bytes of the file read so far.
    pub(super) bytes_read: Arc<AtomicU64>,
    path: PathBuf,
}

impl TextSource {
    /// Converts an I/O error of reading this source.
    pub(super) fn error(path: &Path, compression: Option<&'static str>, error: io::Error) -> Error {
        let path = path.to_owned();
        match compression {
            Some(format) if error.kind() == io::ErrorKind::UnexpectedEof => Error::Truncated { path, format },
            // Errors of the operating system have a number; those without one come from the decoder.
            Some(format) if error.raw_os_error().is_none() => {
                Error::Damaged { path, format, reason: error.to_string() }
            }
            _ => Error::Io { path, action: "read", source: error },
        }
    }

    /// The whole text.
    pub(super) fn into_reader(self) -> impl Read {
        io::Cursor::new(self.sample).chain(self.rest)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A reader that counts its bytes.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Decompresses zstd.
#[cfg(feature = "zstd")]
fn zstd_decoder(packed: impl io::BufRead + 'static) -> io::Result<Box<dyn Read>> {
    Ok(Box::new(zstd::stream::read::Decoder::with_buffer(packed)?))
}

/// This build cannot decompress zstd.
#[cfg(not(feature = "zstd"))]
fn zstd_decoder(_: impl io::BufRead + 'static) -> io::Result<Box<dyn Read>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens `path` and recognises its format.
///
/// # Errors
/// If it cannot be opened, is a folder, is empty, or has an unsupported format (zip, xz, bzip2, UTF-16).
pub(super) fn open(path: &Path) -> Result<Source> {
    let mut file = File::open(path).map_err(Error::io(path, "open"))?;
    if file.metadata().map_err(Error::io(path, "open"))?.is_dir() {
        return Err(Error::NotPrepared {
            path: path.to_owned(),
            reason: "this is a folder: give a log file, or a folder that `prepare` made".to_owned(),
        });
    }
    let mut magic = Vec::with_capacity(8);
    file.by_ref().take(6).read_to_end(&mut magic).map_err(Error::io(path, "read"))?;
    let unsupported = |found: &str, advice| {
        Err(Error::Unsupported { path: path.to_owned(), found: found.to_owned(), advice })
    };
    match magic.as_slice() {
        [] => return Err(Error::NoEvents { path: path.to_owned(), found: "the file is empty" }),
        [b'P', b'A', b'R', b'1', ..] => {
            io::Seek::rewind(&mut file).map_err(Error::io(path, "rewind"))?;
            return Ok(Source::Parquet(file));
        }
        [b'P', b'K', 3, 4, ..] => return unsupported("a zip archive", "unpack it first"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => return unsupported("xz data", "unpack it, or use gzip or zstd"),
        [b'B', b'Z', b'h', ..] => return unsupported("bzip2 data", "unpack it, or use gzip or zstd"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] if !cfg!(feature = "zstd") => {
            return unsupported("zstd data", "this build is without zstd: unpack it, or use gzip");
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return unsupported("UTF-16 text", "convert it to UTF-8"),
        _ => {}
    }
    let bytes_read = Arc::new(AtomicU64::new(magic.len() as u64));
    let counted = Counting { inner: file, count: Arc::clone(&bytes_read) };
    let (is_gzip, is_zstd) = (magic.starts_with(&[0x1f, 0x8b]), magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    let raw = BufReader::with_capacity(256 * 1024, io::Cursor::new(magic).chain(counted));
    let (mut rest, compression): (Box<dyn Read>, _) = if is_gzip {
        // A gzip file may hold several members one after the other, as `cat a.gz b.gz` makes.
        (Box::new(flate2::bufread::MultiGzDecoder::new(raw)), Some("gzip"))
    } else if is_zstd {
        (zstd_decoder(raw).map_err(Error::io(path, "read"))?, Some("zstd"))
    } else {
        (Box::new(raw), None)
    };
    let mut sample = Vec::new();
    (&mut rest)
        .take(SAMPLE_BYTES)
        .read_to_end(&mut sample)
        .map_err(|e| TextSource::error(path, compression, e))?;
    let complete = (sample.len() as u64) < SAMPLE_BYTES;
    if sample.starts_with(b"\xef\xbb\xbf") {
        sample.drain(..3);
    }
    if sample.iter().all(u8::is_ascii_whitespace) && complete {
        return Err(Error::NoEvents { path: path.to_owned(), found: "the file is empty" });
    }
    Ok(Source::Text(TextSource { sample, rest, complete, compression, bytes_read, path: path.to_owned() }))
}

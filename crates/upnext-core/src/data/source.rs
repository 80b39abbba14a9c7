//! Opens a log file. Its format is recognised by its first bytes, not by its name.

mod encoding;
mod kinds;
mod zip;

use self::kinds::{Kind, MAGIC_BYTES};
use super::json;
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
    /// Fields separated by a delimiter: decompressed, in UTF-8.
    Text(TextSource),
    /// JSON: one object after the other, or an array of objects; decompressed, in UTF-8.
    Json(TextSource),
    /// A Parquet file, positioned at its beginning.
    Parquet(File),
    /// A file or stream in Arrow's IPC format, positioned at its beginning.
    Arrow(File),
}

/// Decompressed text in UTF-8, of which the beginning has been read ahead.
pub(super) struct TextSource {
    /// The beginning, without a byte order mark.
    pub(super) sample: Vec<u8>,
    /// What follows the sample.
    pub(super) rest: Box<dyn Read>,
    /// Whether the sample is the whole text.
    pub(super) complete: bool,
    /// "gzip", "zstd" or "zip".
    pub(super) compression: Option<&'static str>,
    /// The encoding of the file, such as "UTF-16LE"; `None` for UTF-8.
    pub(super) encoding: Option<&'static str>,
    /// Bytes of the file read so far.
    pub(super) bytes_read: Arc<AtomicU64>,
    path: PathBuf,
}

impl TextSource {
    /// Converts an I/O error of reading this source.
    pub(super) fn error(path: &Path, compression: Option<&'static str>, error: io::Error) -> Error {
        let path = path.to_owned();
        let malformed = error.get_ref().and_then(|inner| inner.downcast_ref::<encoding::Malformed>());
        if let Some(malformed) = malformed {
            return Error::Damaged { path, format: malformed.encoding, reason: malformed.to_string() };
        }
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

/// Opens `path` and recognises its format. Text is UTF-8 or has a byte order mark, unless `encoding` gives a label of the
/// WHATWG Encoding Standard.
///
/// # Errors
/// If it cannot be opened, is a folder, is empty, or has an unsupported format ([`Error::Unsupported`]); for a label that
/// does not exist.
pub(super) fn open(path: &Path, encoding: Option<&str>) -> Result<Source> {
    let asked = encoding.map(encoding::labelled).transpose()?;
    let mut file = File::open(path).map_err(Error::io(path, "open"))?;
    if file.metadata().map_err(Error::io(path, "open"))?.is_dir() {
        return Err(Error::NotPrepared {
            path: path.to_owned(),
            reason: "this is a folder: give a log file, or a folder that `prepare` made".to_owned(),
        });
    }
    let mut magic = Vec::with_capacity(MAGIC_BYTES as usize);
    file.by_ref().take(MAGIC_BYTES).read_to_end(&mut magic).map_err(Error::io(path, "read"))?;
    if magic.is_empty() {
        return Err(empty(path));
    }
    let kind = kinds::of(&magic);
    if matches!(kind, Kind::Parquet | Kind::Arrow | Kind::Zip) {
        io::Seek::rewind(&mut file).map_err(Error::io(path, "rewind"))?;
    }
    let bytes_read = Arc::new(AtomicU64::new(0));
    let raw = |magic: Vec<u8>, file: File| {
        bytes_read.store(magic.len() as u64, Ordering::Relaxed);
        let counted = Counting { inner: file, count: Arc::clone(&bytes_read) };
        BufReader::with_capacity(256 * 1024, io::Cursor::new(magic).chain(counted))
    };
    let (reader, compression): (Box<dyn Read>, _) = match kind {
        Kind::Parquet => return Ok(Source::Parquet(file)),
        Kind::Arrow => return Ok(Source::Arrow(file)),
        Kind::Refused(refused) => {
            let found = refused.name.to_owned();
            return Err(Error::Unsupported { path: path.to_owned(), found, advice: refused.advice });
        }
        Kind::Zip => (zip::open(path, file, &bytes_read)?, Some("zip")),
        // A gzip file may hold several members one after the other, as `cat a.gz b.gz` makes.
        Kind::Gzip => (Box::new(flate2::bufread::MultiGzDecoder::new(raw(magic, file))), Some("gzip")),
        Kind::Zstd if cfg!(not(feature = "zstd")) => {
            let advice = "this build is without zstd: unpack it, or use gzip";
            return Err(Error::Unsupported { path: path.to_owned(), found: "zstd data".to_owned(), advice });
        }
        Kind::Zstd => (zstd_decoder(raw(magic, file)).map_err(Error::io(path, "read"))?, Some("zstd")),
        Kind::Text => (Box::new(raw(magic, file)), None),
    };
    let source = text(path, reader, compression, asked, Arc::clone(&bytes_read))?;
    Ok(if json::is_json(&source.sample, source.complete) {
        Source::Json(source)
    } else {
        Source::Text(source)
    })
}

fn empty(path: &Path) -> Error {
    Error::NoEvents { path: path.to_owned(), found: "the file is empty" }
}

/// Reads the beginning of a decompressed text, and decodes it.
fn text(
    path: &Path,
    mut reader: Box<dyn Read>,
    compression: Option<&'static str>,
    asked: Option<&'static encoding_rs::Encoding>,
    bytes_read: Arc<AtomicU64>,
) -> Result<TextSource> {
    let unsupported = |found: String, advice| Error::Unsupported { path: path.to_owned(), found, advice };
    let read_sample = |reader: &mut Box<dyn Read>| {
        let mut sample = Vec::new();
        let read = reader.take(SAMPLE_BYTES).read_to_end(&mut sample);
        read.map_err(|error| TextSource::error(path, compression, error))?;
        Ok(sample)
    };
    let mut sample = read_sample(&mut reader)?;
    if let Some(compression) = compression {
        let inside = |name: &str| format!("{name} in {compression} data");
        let unpack = "unpack it first";
        match kinds::of(&sample) {
            Kind::Text => {}
            Kind::Refused(refused) => return Err(unsupported(inside(refused.name), refused.advice)),
            Kind::Parquet => return Err(unsupported(inside("a Parquet file"), unpack)),
            Kind::Arrow => return Err(unsupported(inside("an Arrow file"), unpack)),
            Kind::Gzip => return Err(unsupported(inside("gzip data"), unpack)),
            Kind::Zstd => return Err(unsupported(inside("zstd data"), unpack)),
            Kind::Zip => return Err(unsupported(inside("a zip archive"), unpack)),
        }
    }
    let (encoding, mark) = encoding::of(&sample, asked);
    sample.drain(..mark);
    if asked.is_none() && mark == 0 && encoding::is_unmarked_utf16(&sample) {
        let found = "UTF-16 text without a byte order mark".to_owned();
        return Err(unsupported(found, "set `encoding` to utf-16le or utf-16be"));
    }
    let mut complete = ((sample.len() + mark) as u64) < SAMPLE_BYTES;
    let name = encoding::name(encoding);
    if name.is_some() {
        let encoded = io::Cursor::new(sample).chain(reader);
        reader = Box::new(encoding::Decoded::new(encoded, encoding, mark));
        sample = read_sample(&mut reader)?;
        complete = (sample.len() as u64) < SAMPLE_BYTES;
    }
    if sample.iter().all(u8::is_ascii_whitespace) && complete {
        return Err(empty(path));
    }
    let path = path.to_owned();
    Ok(TextSource { sample, rest: reader, complete, compression, encoding: name, bytes_read, path })
}

#[cfg(test)]
pub(super) mod tests;

//! Finds the one file in a zip archive, and reads it.

use super::Counting;
use crate::data::names::shortened;
use crate::error::{Error, Result};
use flate2::bufread::DeflateDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use zip::{CompressionMethod, ZipArchive};

/// Opens the one file in the archive; `bytes_read` counts its compressed bytes.
///
/// # Errors
/// [`Error::Unsupported`] for another number of files, an encrypted file, another compression, and for documents that
/// are zip archives, such as xlsx. [`Error::Damaged`] for an archive that is cut off or damaged.
pub(super) fn open(path: &Path, file: File, bytes_read: &Arc<AtomicU64>) -> Result<Box<dyn Read>> {
    let damaged = |error: zip::result::ZipError| match error {
        zip::result::ZipError::Io(source) if source.raw_os_error().is_some() => {
            Error::Io { path: path.to_owned(), action: "read", source }
        }
        // The directory of an archive is at its end, so it is missing in one that is cut off.
        other => Error::Damaged {
            path: path.to_owned(),
            format: "zip",
            reason: shortened_reason(&other.to_string()),
        },
    };
    let unsupported = |found: String, advice| Error::Unsupported { path: path.to_owned(), found, advice };
    let size = file.metadata().map_err(Error::io(path, "read"))?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let names: Vec<String> =
        archive.file_names_raw().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    if let Some((found, advice)) = document(&names) {
        return Err(unsupported(found.to_owned(), advice));
    }
    let files: Vec<usize> = (0..names.len()).filter(|&at| is_file(&names[at])).collect();
    let [at] = files[..] else {
        let shown: Vec<String> = files.iter().take(10).map(|&at| shortened(&names[at])).collect();
        let more = if files.len() > 10 { ", …" } else { "" };
        return Err(if files.is_empty() {
            unsupported("a zip archive without a file".to_owned(), "zip the log again")
        } else {
            let found = format!("a zip archive of {} files ({}{more})", files.len(), shown.join(", "));
            unsupported(found, "unpack it, and give the files to read, or a folder of them")
        });
    };
    let member = archive.by_index_raw(at).map_err(damaged)?;
    let method = member.compression();
    let (packed, unpacked, crc) = (member.compressed_size(), member.size(), member.crc32());
    let (encrypted, start) = (member.encrypted(), member.data_start());
    drop(member);
    if encrypted {
        return Err(unsupported("an encrypted zip archive".to_owned(), "unpack it first"));
    }
    let outside = || Error::Damaged {
        path: path.to_owned(),
        format: "zip",
        reason: "its directory names bytes outside the file".to_owned(),
    };
    let start =
        start.filter(|start| start.checked_add(packed).is_some_and(|end| end <= size)).ok_or_else(outside)?;
    let mut file = archive.into_inner().into_inner();
    file.seek(SeekFrom::Start(start)).map_err(Error::io(path, "read"))?;
    let raw = BufReader::with_capacity(
        256 * 1024,
        Counting { inner: file, count: Arc::clone(bytes_read) }.take(packed),
    );
    let inner: Box<dyn Read> = match method {
        CompressionMethod::STORE => Box::new(raw),
        CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(raw)),
        _ => {
            let found = format!("a zip archive with compression method {method}");
            return Err(unsupported(found, "unpack it, or use gzip or zstd"));
        }
    };
    Ok(Box::new(Checked { inner, left: unpacked, crc, hasher: crc32fast::Hasher::new() }))
}

fn shortened_reason(reason: &str) -> String {
    crate::data::names::shortened_to(reason, 200)
}

/// Whether a member counts: not folders, hidden files, and what macOS adds.
fn is_file(name: &str) -> bool {
    !name.ends_with(['/', '\\'])
        && !name.split(['/', '\\']).any(|part| part.starts_with('.') || part == "__MACOSX")
}

/// A document that is a zip archive of these members, and what to do with it.
fn document(names: &[String]) -> Option<(&'static str, &'static str)> {
    let has = |name: &str| names.iter().any(|own| own == name);
    let sheet = "save the sheet as CSV";
    if has("[Content_Types].xml") {
        let is_workbook = names.iter().any(|name| name.starts_with("xl/"));
        return Some((if is_workbook { "an Excel workbook (xlsx)" } else { "an Office document" }, sheet));
    }
    if has("mimetype") && has("content.xml") {
        return Some(("an OpenDocument file, such as a spreadsheet (ods)", sheet));
    }
    (!names.is_empty() && names.iter().all(|name| name.ends_with(".npy"))).then_some((
        "an archive of NumPy arrays (npz)",
        "load it in Python, and write it with `to_parquet` or `to_csv` of pandas",
    ))
}

/// Checks length and checksum at the end of a member.
struct Checked<R> {
    inner: R,
    /// Bytes that are still to come.
    left: u64,
    crc: u32,
    hasher: crc32fast::Hasher,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        if n == 0 && !buffer.is_empty() {
            if self.left > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.hasher.clone().finalize() != self.crc {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is another one"));
            }
            return Ok(0);
        }
        self.hasher.update(&buffer[..n]);
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it is longer than the archive's directory says")
        })?;
        Ok(n)
    }
}

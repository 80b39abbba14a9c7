//! BLAKE3 hashes: of files, while they are written or read, and of data in memory.

use blake3::Hasher;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Bytes hashed at a time, enough for the vector code of BLAKE3.
const BUFFER: usize = 1 << 16;

/// A reader or writer that hashes and counts the bytes that pass through.
pub(crate) struct Hashed<T> {
    pub(crate) inner: T,
    hasher: Hasher,
    bytes: u64,
}

impl<T> Hashed<T> {
    /// Wraps a reader or writer; nothing is hashed yet.
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, hasher: Hasher::new(), bytes: 0 }
    }

    /// Number of bytes so far, and their hash as 64 hex digits.
    pub(crate) fn sum(&self) -> (u64, String) {
        (self.bytes, self.hasher.finalize().to_hex().to_string())
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Size in bytes and BLAKE3 hash, as 64 hex digits, of a file.
pub(crate) fn of_file(path: &Path) -> io::Result<(u64, String)> {
    of_rest(File::open(path)?)
}

/// Size in bytes and BLAKE3 hash, as 64 hex digits, of the rest of a reader.
pub(crate) fn of_rest(reader: impl Read) -> io::Result<(u64, String)> {
    let mut file = Hashed::new(reader);
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(file.sum()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A fingerprint of data that is given in many small pieces: the first half of its BLAKE3 hash.
pub(crate) struct Fingerprint {
    hasher: Hasher,
    buffer: Vec<u8>,
}

impl Fingerprint {
    /// A fingerprint of no data yet.
    pub(crate) fn new() -> Self {
        Self { hasher: Hasher::new(), buffer: Vec::with_capacity(BUFFER) }
    }

    /// Adds bytes. The boundaries of pieces are not hashed: add lengths where they matter.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
        if bytes.len() > BUFFER {
            self.hasher.update(bytes);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The fingerprint as 32 hex digits.
    pub(crate) fn digits(mut self) -> String {
        self.hasher.update(&self.buffer);
        let hex = self.hasher.finalize().to_hex();
        hex.as_str()[..32].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of "abc" by the reference implementation.
    const ABC: &str = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";

    #[test]
    fn files_have_the_hash_that_everybody_computes() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(of_file(&path).unwrap(), (3, ABC.to_owned()));
        assert_eq!(of_file(&place.path().join("no")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn fingerprint_does_not_depend_on_the_pieces() {
        let data: Vec<u8> = (0..3 * BUFFER + 5).map(|i| (i * i % 251) as u8).collect();
        let whole = blake3::hash(&data).to_hex();
        for piece in [1, 7, 1000, BUFFER, BUFFER + 1, data.len()] {
            let mut fingerprint = Fingerprint::new();
            data.chunks(piece).for_each(|bytes| fingerprint.add(bytes));
            assert_eq!(fingerprint.digits(), whole.as_str()[..32], "pieces of {piece} bytes");
        }
    }
}

//! Replaces a delimiter of several characters by one byte, as the reader of fields takes only one.

use super::layout::SEPARATOR;
use std::io::{self, Read};

/// A reader in which [`SEPARATOR`] stands for every occurrence of a delimiter.
pub(super) struct Replaced<R> {
    inner: R,
    delimiter: Vec<u8>,
    /// Bytes that were read and not yet returned, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    is_at_end: bool,
}

impl<R: Read> Replaced<R> {
    pub(super) fn new(inner: R, delimiter: &str) -> Self {
        Self {
            inner,
            delimiter: delimiter.as_bytes().to_vec(),
            buffer: Vec::new(),
            start: 0,
            is_at_end: false,
        }
    }

    /// Reads more, unless the end has been reached.
    fn fill(&mut self) -> io::Result<()> {
        const CHUNK: u64 = 64 * 1024;
        self.buffer.drain(..self.start);
        self.start = 0;
        let read = (&mut self.inner).take(CHUNK).read_to_end(&mut self.buffer)?;
        self.is_at_end = read == 0;
        Ok(())
    }
}

impl<R: Read> Read for Replaced<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        // A delimiter may go on behind the bytes that have been read.
        while !self.is_at_end && self.buffer.len() - self.start < self.delimiter.len() {
            self.fill()?;
        }
        let mut written = 0;
        while written < out.len() {
            let rest = &self.buffer[self.start..];
            if rest.is_empty() || (!self.is_at_end && rest.len() < self.delimiter.len()) {
                break;
            }
            let is_delimiter = rest.starts_with(&self.delimiter);
            out[written] = if is_delimiter { SEPARATOR } else { rest[0] };
            self.start += if is_delimiter { self.delimiter.len() } else { 1 };
            written += 1;
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(out.len()).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn every_delimiter_is_replaced_wherever_the_chunks_end() {
        for (text, expected) in [
            ("1::2::3\n4::5::6", "1\u{1f}2\u{1f}3\n4\u{1f}5\u{1f}6"),
            (":::", "\u{1f}:"),
            (":", ":"),
            ("", ""),
        ] {
            for chunk in 1..8 {
                let mut read = String::new();
                Replaced::new(Slow(text.as_bytes(), chunk), "::").read_to_string(&mut read).unwrap();
                assert_eq!(read, expected);
            }
        }
        let long = "ab::".repeat(50_000);
        let mut read = String::new();
        Replaced::new(long.as_bytes(), "::").read_to_string(&mut read).unwrap();
        assert_eq!(read, "ab\u{1f}".repeat(50_000));
    }
}

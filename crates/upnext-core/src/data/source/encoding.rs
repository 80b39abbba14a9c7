//! Decodes text that is not UTF-8: UTF-16 with a byte order mark, and any encoding that an option names.

use crate::error::{Error, Result};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use std::fmt;
use std::io::{self, Read};

/// Number of bytes decoded at a time.
const CHUNK: usize = 64 * 1024;

/// The encoding with this label of the WHATWG Encoding Standard, such as `latin1`, `windows-1252` or `utf-16le`.
///
/// # Errors
/// [`Error::Config`] for a text that is no label.
pub(super) fn labelled(label: &str) -> Result<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| {
        let label = crate::data::names::shortened(label);
        Error::config(
            "encoding",
            format!("`{label}` is no encoding: use a label of the WHATWG standard, such as utf-8, utf-16le, utf-16be, latin1, windows-1252 or shift_jis"),
        )
    })
}

/// The encoding of a text that begins with `head`, and the length of its byte order mark. As in the standard, a mark is
/// preferred to the encoding that was `asked` for.
pub(super) fn of(head: &[u8], asked: Option<&'static Encoding>) -> (&'static Encoding, usize) {
    Encoding::for_bom(head).unwrap_or((asked.unwrap_or(UTF_8), 0))
}

/// Whether the text is UTF-16 without a byte order mark: if every second byte of its first characters is 0, as in Latin
/// letters and digits.
pub(super) fn is_unmarked_utf16(head: &[u8]) -> bool {
    let (pairs, _) = head[..head.len().min(64)].as_chunks::<2>();
    let zeros = |of: usize| pairs.iter().filter(|pair| pair[of] == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    pairs.len() >= 4 && first.min(second) == 0 && first.max(second) * 4 >= pairs.len() * 3
}

/// A byte sequence that is no character of the encoding.
#[derive(Debug)]
pub(super) struct Malformed {
    /// The name of the encoding.
    pub(super) encoding: &'static str,
    /// The position of the byte after the sequence, about, from 0.
    position: u64,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the bytes before {} are no character: is the text cut off, or in another encoding?",
            self.position
        )
    }
}

impl std::error::Error for Malformed {}

/// Decodes to UTF-8. A sequence that is no character is an error, which holds a [`Malformed`].
pub(super) struct Decoded<R> {
    inner: R,
    decoder: Decoder,
    input: Vec<u8>,
    /// The part of `input` that is not decoded yet.
    pending: std::ops::Range<usize>,
    output: Vec<u8>,
    /// The part of `output` that is not read yet.
    ready: std::ops::Range<usize>,
    /// Bytes taken from `inner` and decoded.
    position: u64,
    at_end: bool,
    finished: bool,
}

impl<R: Read> Decoded<R> {
    /// `inner` begins after the byte order mark, of `mark` bytes.
    pub(super) fn new(inner: R, encoding: &'static Encoding, mark: usize) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_without_bom_handling(),
            input: vec![0; CHUNK],
            pending: 0..0,
            // Room for the longest output of a chunk: three bytes for one.
            output: vec![0; 3 * CHUNK + 64],
            ready: 0..0,
            position: mark as u64,
            at_end: false,
            finished: false,
        }
    }

    /// Decodes the next characters into `output`.
    fn decode(&mut self) -> io::Result<()> {
        if self.pending.is_empty() && !self.at_end {
            let n = self.inner.read(&mut self.input)?;
            self.pending = 0..n;
            self.at_end = n == 0;
        }
        let source = &self.input[self.pending.clone()];
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(source, &mut self.output, self.at_end);
        self.pending.start += read;
        self.position += read as u64;
        self.ready = 0..written;
        match result {
            DecoderResult::InputEmpty => self.finished = self.at_end,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                self.finished = true;
                let encoding = self.decoder.encoding().name();
                return Err(io::Error::other(Malformed { encoding, position: self.position }));
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.finished {
            self.decode()?;
        }
        let n = buffer.len().min(self.ready.len());
        buffer[..n].copy_from_slice(&self.output[self.ready.start..self.ready.start + n]);
        self.ready.start += n;
        Ok(n)
    }
}

/// The name of an encoding for reports; `None` for UTF-8.
pub(super) fn name(encoding: &'static Encoding) -> Option<&'static str> {
    (encoding != UTF_8).then(|| encoding.name())
}

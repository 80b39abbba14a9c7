//! Reads record batches of files and streams in Arrow's IPC format; a file contains a stream.
//!
//! Messages are taken from the stream here, since their lengths must be checked against the file before memory is
//! allocated for them; they are decoded by `arrow-ipc`.

use crate::parquet::guarded;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::{Endianness, Message, MessageHeader, convert, root_as_message};
use arrow_schema::SchemaRef;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

/// The beginning of a file, with its padding. Its end has the length of the footer and the first six bytes.
const FILE_MAGIC: &[u8] = b"ARROW1\0\0";

/// Precedes the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// An Arrow file or stream whose schema has been read. Errors are sentences, or the decoder's messages.
pub(super) struct ArrowFile<R>(Messages<R>);

/// Decodes the record batches of a file.
pub(super) struct ArrowBatches<R> {
    messages: Messages<R>,
    dictionaries: HashMap<i64, ArrayRef>,
    /// Positions of the columns, in ascending order.
    columns: Vec<usize>,
}

/// The messages of a stream.
struct Messages<R> {
    reader: R,
    /// Bytes of the file, and how many of them were read.
    size: u64,
    at: u64,
    is_file: bool,
    schema: SchemaRef,
    metadata: Vec<u8>,
    body: Vec<u8>,
}

impl<R: Read> ArrowFile<R> {
    /// Reads the schema of a file of `size` bytes.
    pub(super) fn open(reader: R, size: u64) -> Result<Self, String> {
        let schema = Arc::new(arrow_schema::Schema::empty());
        let (metadata, body) = (Vec::new(), Vec::new());
        let mut messages = Messages { reader, size, at: 0, is_file: false, schema, metadata, body };
        let mut begin = [0; 4];
        messages.read(&mut begin)?;
        if begin != CONTINUATION {
            let mut rest = [0; 4];
            messages.read(&mut rest)?;
            if [begin, rest].concat() != FILE_MAGIC {
                return Err("it does not begin as a file or stream".to_owned());
            }
            messages.is_file = true;
            messages.read(&mut begin)?;
            // Writers pad the beginning to a multiple of 8 or 64 bytes.
            while begin == [0; 4] && messages.at < 72 {
                messages.read(&mut begin)?;
            }
        }
        if !messages.next_after(begin)? {
            return Err("there is no schema".to_owned());
        }
        let message = messages.message()?;
        let schema = message.header_as_schema().ok_or("it does not begin with a schema")?;
        if schema.endianness() != Endianness::Little {
            return Err("it was written on a big-endian machine: write it on another one".to_owned());
        }
        let schema = guarded(|| convert::try_fb_to_schema(schema))?;
        messages.schema = Arc::new(schema);
        Ok(Self(messages))
    }

    /// Names and types of the columns.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    /// Decodes these columns, given by position from 0. Batches have them in the order of the file, not of `columns`.
    pub(super) fn batches(self, columns: impl IntoIterator<Item = usize>) -> ArrowBatches<R> {
        let mut columns: Vec<usize> = columns.into_iter().collect();
        columns.sort_unstable();
        columns.dedup();
        ArrowBatches { messages: self.0, dictionaries: HashMap::new(), columns }
    }
}

impl<R: Read> ArrowBatches<R> {
    /// Bytes of the file read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.messages.at
    }

    /// The next batch, which may be a whole table; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, String> {
        while self.messages.next()? {
            let schema = Arc::clone(&self.messages.schema);
            let body = std::mem::take(&mut self.messages.body);
            let message = self.messages.message()?;
            let version = message.version();
            match message.header_type() {
                MessageHeader::RecordBatch => {
                    let batch = message.header_as_record_batch().ok_or("a batch without its header")?;
                    check_lengths(&batch, &body)?;
                    let (dictionaries, columns) = (&self.dictionaries, Some(&*self.columns));
                    let body = body.into();
                    let decode = || read_record_batch(&body, batch, schema, dictionaries, columns, &version);
                    return guarded(decode).map(Some);
                }
                MessageHeader::DictionaryBatch => {
                    let batch =
                        message.header_as_dictionary_batch().ok_or("a dictionary without its header")?;
                    batch.data().map_or(Ok(()), |data| check_lengths(&data, &body))?;
                    let dictionaries = &mut self.dictionaries;
                    let body = body.into();
                    guarded(|| read_dictionary(&body, batch, &schema, dictionaries, &version))?;
                }
                MessageHeader::Schema => {
                    return Err("a second schema follows: two streams in one file".to_owned());
                }
                other => return Err(format!("a message of an unknown kind, {other:?}")),
            }
        }
        Ok(None)
    }
}

impl<R: Read> Messages<R> {
    fn cut_off(&self) -> String {
        format!("it ends too early, after {} bytes: it is cut off", self.at)
    }

    /// Fills `buffer`.
    fn read(&mut self, buffer: &mut [u8]) -> Result<(), String> {
        let n = self.read_some(buffer)?;
        if n < buffer.len() { Err(self.cut_off()) } else { Ok(()) }
    }

    /// Fills `buffer` as far as there are bytes.
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        self.at += filled as u64;
        Ok(filled)
    }

    /// Bytes of a message's part, checked against the size of the file.
    fn part(&mut self, length: i64) -> Result<Vec<u8>, String> {
        let left = self.size.saturating_sub(self.at);
        let length = u64::try_from(length).map_err(|_| "a message with a negative length".to_owned())?;
        if length > left {
            return Err(self.cut_off());
        }
        let mut part = vec![0; usize::try_from(length).map_err(|_| "a message is too long".to_owned())?];
        self.read(&mut part)?;
        Ok(part)
    }

    /// Reads the next message; `false` at the end.
    fn next(&mut self) -> Result<bool, String> {
        let mut begin = [0; 4];
        match self.read_some(&mut begin)? {
            4 => self.next_after(begin),
            // A writer may end a stream by closing it.
            0 if !self.is_file => Ok(false),
            _ => Err(self.cut_off()),
        }
    }

    /// Reads the message whose first four bytes were read.
    fn next_after(&mut self, begin: [u8; 4]) -> Result<bool, String> {
        let mut length = begin;
        // Before version 0.15, there was no mark.
        if begin == CONTINUATION {
            self.read(&mut length)?;
        }
        let length = i32::from_le_bytes(length);
        if length == 0 {
            return self.end().map(|()| false);
        }
        self.metadata = self.part(length.into())?;
        let body = self.message()?.bodyLength();
        self.body = self.part(body)?;
        Ok(true)
    }

    /// The message that was read last.
    fn message(&self) -> Result<Message<'_>, String> {
        root_as_message(&self.metadata).map_err(|error| format!("a damaged message: {error}"))
    }

    /// Checks what follows the end of the stream: in a file, a footer, its length and the magic.
    fn end(&mut self) -> Result<(), String> {
        let magic = &FILE_MAGIC[..6];
        let (mut buffer, mut last, start) = (vec![0; 64 * 1024], Vec::new(), self.at);
        loop {
            let n = self.read_some(&mut buffer)?;
            if n == 0 {
                break;
            }
            last.extend_from_slice(&buffer[..n]);
            last.drain(..last.len().saturating_sub(magic.len()));
        }
        match (self.is_file, self.at - start) {
            (true, _) if last == magic => Ok(()),
            (true, _) => Err(self.cut_off()),
            (false, 0) => Ok(()),
            (false, bytes) => Err(format!("{bytes} bytes follow the end of the stream")),
        }
    }
}

/// Checks that the buffers of a batch are inside its body, and that the lengths that they claim to have when they are
/// decompressed fit into memory, since the decoder allocates them first.
fn check_lengths(batch: &arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<(), String> {
    let mut largest = 0;
    for buffer in batch.buffers().into_iter().flatten() {
        let range = || {
            let start = usize::try_from(buffer.offset()).ok()?;
            body.get(start..start.checked_add(usize::try_from(buffer.length()).ok()?)?)
        };
        let bytes = range().ok_or("a column lies outside its batch")?;
        if let (Some(_), Some(claimed)) = (batch.compression(), bytes.first_chunk()) {
            largest = largest.max(i64::from_le_bytes(*claimed));
        }
    }
    // Most batches are small, and the system is not asked for them.
    if largest > 64 << 20 && largest.unsigned_abs() > crate::memory::available() {
        return Err(format!("a column of {largest} bytes in one batch, which does not fit into memory"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

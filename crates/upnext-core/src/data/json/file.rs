//! The rows of a JSON file.

use super::brackets::Form;
use super::pick::Picker;
use super::shape::Shape;
use super::split::{Objects, SplitError};
use crate::data::names::shortened_to;
use crate::data::report::RowProblem;
use crate::data::source::TextSource;
use crate::error::{Error, Result};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Number of objects from which the columns are found, and their bytes.
const SAMPLE_OBJECTS: usize = 1_000;
const SAMPLE_BYTES: usize = 4 << 20;

/// A JSON file, of which the first objects have been read.
pub(in crate::data) struct JsonFile {
    /// Bytes of the file read so far.
    pub(in crate::data) bytes_read: Arc<AtomicU64>,
    pub(in crate::data) compression: Option<&'static str>,
    pub(in crate::data) encoding: Option<&'static str>,
    path: PathBuf,
    objects: Objects<Box<dyn Read>>,
    /// The first objects and their lines.
    head: Vec<(u64, Vec<u8>)>,
    shape: Shape,
}

/// A row: the values of the chosen columns, or what is wrong with an object, which has no rows then.
pub(in crate::data) type JsonRow<'a> = std::result::Result<&'a [Option<&'a str>], RowProblem>;

impl JsonFile {
    /// Reads the first objects and finds their columns.
    ///
    /// # Errors
    /// [`Error::NoEvents`] if there is no object; [`Error::Damaged`] with the line for a text that is cut off or not JSON;
    /// [`Error::Unsupported`] for too many columns and for tables written column by column.
    pub(in crate::data) fn open(source: TextSource) -> Result<Self> {
        let path = source.path().to_owned();
        let (bytes_read, compression, encoding) =
            (Arc::clone(&source.bytes_read), source.compression, source.encoding);
        let reader: Box<dyn Read> = Box::new(source.into_reader());
        let mut objects =
            Objects::new(reader).map_err(|error| TextSource::error(&path, compression, error))?;
        let (mut head, mut bytes, mut shape) = (Vec::new(), 0, Shape::default());
        while head.len() < SAMPLE_OBJECTS && bytes < SAMPLE_BYTES {
            let next = objects.next().map_err(|error| failed(&path, compression, error))?;
            let Some((line, object)) = next else { break };
            bytes += object.len();
            // A damaged object is reported when the rows are read.
            let columns = std::str::from_utf8(object).map_or(Ok(()), |object| shape.add(object));
            if let (Err(reason), true) = (columns, shape.is_full) {
                let found = format!("a JSON file with {reason}");
                let advice = "write an object for each event, or for each session with a list of its events";
                return Err(Error::Unsupported { path, found, advice });
            }
            head.push((line, object.to_owned()));
        }
        if head.is_empty() {
            return Err(Error::NoEvents { path, found: "there is no JSON object" });
        }
        if head.len() == 1 && shape.is_by_columns() {
            return Err(Error::Unsupported {
                path,
                found: "a JSON table written column by column".to_owned(),
                advice: "write an object for each row, as `to_json(orient=\"records\", lines=True)` of pandas does",
            });
        }
        Ok(Self { bytes_read, compression, encoding, path, objects, head, shape })
    }

    /// The form for reports: "JSON lines", "JSON objects" or "a JSON array".
    pub(in crate::data) fn form(&self) -> &'static str {
        match self.objects.form {
            Form::Lines => "JSON lines",
            Form::Objects => "JSON objects",
            Form::Array => "a JSON array",
        }
    }

    /// The columns of the first objects, in the order in which they occur first: their names, and the first values of
    /// each, without missing ones, and whether it is in an array. Later objects may have more columns, which can be chosen as well.
    pub(in crate::data) fn columns(&self) -> Vec<(String, &[String], bool)> {
        self.shape.columns()
    }

    /// Calls `each` with the line of an object, the place of the row in it, and the row, for every row and for every object that has no rows because of
    /// a [`RowProblem`]. Values are in the order of `chosen`: texts, numbers as they are written, `true` or `false`, or
    /// `None` for null and for a field that is not there.
    ///
    /// # Errors
    /// The first error of `each`; [`Error::Damaged`] with the line for a text that is cut off or not JSON,
    /// [`Error::Truncated`], [`Error::Io`].
    pub(in crate::data) fn read(
        mut self,
        chosen: &[&str],
        each: &mut dyn FnMut(u64, usize, JsonRow<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut picker = Picker::new(&self.shape, chosen);
        let mut rows_of = |line: u64, object: &[u8]| {
            let (mut result, mut element) = (Ok(()), 0);
            let rows = picker.rows(object, &mut |row| {
                if result.is_ok() {
                    result = each(line, element, Ok(row));
                }
                element += 1;
            });
            match rows {
                Ok(()) => result,
                Err(problem) => each(line, 0, Err(problem)),
            }
        };
        for (line, object) in std::mem::take(&mut self.head) {
            rows_of(line, &object)?;
        }
        loop {
            match self.objects.next() {
                Ok(Some((line, object))) => rows_of(line, object)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(failed(&self.path, self.compression, error)),
            }
        }
    }
}

/// The error of a text that cannot be split.
fn failed(path: &Path, compression: Option<&'static str>, error: SplitError) -> Error {
    match error {
        SplitError::Io(error) => TextSource::error(path, compression, error),
        SplitError::Text { line, reason } => Error::Damaged {
            path: path.to_owned(),
            format: "JSON",
            reason: shortened_to(&format!("line {line}: {reason}"), 300),
        },
    }
}

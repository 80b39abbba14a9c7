//! Writes events as Parquet or tab-separated text, with the columns `session_id`, `item_id`, `time`.

use super::events::Event;
use super::folder::Replacement;
use super::part::Part;
use super::part::PartName;
use super::prepare::Prepared;
use super::time::format_seconds;
use crate::error::{Error, Result};
use crate::parquet::{BATCH_ROWS, BatchWriter, log_properties};
use crate::replace::replace_file;
use arrow_array::builder::{StringBuilder, TimestampMicrosecondBuilder};
use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// The file format of written events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// Parquet with zstd; the time is a timestamp in microseconds, UTC.
    #[default]
    Parquet,
    /// Tab-separated text with a header; the time is in seconds since 1970, with a fraction if it has one.
    Tsv,
}

impl Format {
    /// The file name extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Tsv => "tsv",
        }
    }
}

/// Writes the parts and their statistics into a folder. The files have temporary names until all of them are written.
/// If the process is killed while they are renamed, [`PreparedFolder::part`](super::PreparedFolder::part) refuses a
/// mixture of old and new files.
///
/// `progress` is called with the numbers of events written so far and in total.
///
/// # Errors
/// [`Error::WillNotReplace`] if `folder` holds anything that `prepare` did not write; [`Error::Io`], such as a full
/// disk, after which `folder` is unchanged.
pub fn write_parts(
    prepared: &Prepared,
    folder: &Path,
    format: Format,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let statistics = prepared.statistics();
    let mut before = 0;
    let mut replacement = Replacement::begin(folder)?;
    let parts = PartName::ALL.into_iter().filter_map(|name| Some((name, prepared.part(name)?)));
    let total = parts.clone().map(|(_, part)| part.num_events()).sum();
    for (name, part) in parts {
        replacement.write(name.file_name(format), |file| {
            write_events(&part, file, format, &mut |events| progress(before + events, total))
        })?;
        before += part.num_events();
    }
    replacement.finish(statistics)
}

/// Writes a part of a log into a file, which appears as a whole or not at all.
///
/// # Errors
/// [`Error::Io`].
pub fn write_log(part: &Part<'_>, path: &Path, format: Format) -> Result<()> {
    replace_file(path, |file| write_events(part, file, format, &mut |_| ()).map_err(Error::io(path, "write")))
}

/// Writes the events of a part.
fn write_events(
    part: &Part<'_>,
    file: impl Write + Send,
    format: Format,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let file = BufWriter::with_capacity(1 << 20, file);
    match format {
        Format::Parquet => write_parquet(part, file, progress),
        Format::Tsv => write_tsv(part, file, progress),
    }
}

fn write_tsv(part: &Part<'_>, file: impl Write + Send, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().delimiter(b'\t').from_writer(file);
    writer.write_record(["session_id", "item_id", "time"]).map_err(csv_error)?;
    for (i, event) in part.sessions().flatten().enumerate() {
        let fields = [part.session_id(event), part.item_id(event), &format_seconds(event.time)];
        writer.write_record(fields).map_err(csv_error)?;
        if i % BATCH_ROWS == 0 {
            progress(i as u64);
        }
    }
    writer.into_inner().map_err(|e| io::Error::new(e.error().kind(), e.error().to_string()))?.flush()
}

fn write_parquet(part: &Part<'_>, file: impl Write + Send, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
    let time_type = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = vec![
        Field::new("session_id", DataType::Utf8, false),
        Field::new("item_id", DataType::Utf8, false),
        Field::new("time", time_type.clone(), false),
    ];
    let mut writer = BatchWriter::new(file, fields, log_properties())?;
    let mut sessions = StringBuilder::new();
    let mut items = StringBuilder::new();
    let mut times = TimestampMicrosecondBuilder::new().with_data_type(time_type);
    let mut events = part.sessions().flatten().peekable();
    let mut written = 0;
    while events.peek().is_some() {
        for event in events.by_ref().take(BATCH_ROWS) {
            let Event { time, .. } = *event;
            sessions.append_value(part.session_id(event));
            items.append_value(part.item_id(event));
            times.append_value(time);
            written += 1;
        }
        writer.write(vec![
            Arc::new(sessions.finish()),
            Arc::new(items.finish()),
            Arc::new(times.finish()),
        ])?;
        progress(written);
    }
    writer.finish()
}

/// Returns the operating system's error inside a CSV error.
pub(crate) fn csv_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EventLog, ReadOptions};
    use super::*;
    use std::ops::ControlFlow;

    #[test]
    fn both_formats_read_back_as_the_same_log() {
        let mut log = EventLog::new();
        let texts = ["a\tb", "c\nd", "e\"f", "\"quoted\"", "g\r\nh", "ü,;|", "0012", "#", "'"];
        for (i, text) in texts.iter().enumerate() {
            let time = 1_400_000_000_000_000 + 1_234_567 * i as i64;
            log.push(text, texts[texts.len() - 1 - i], time);
            log.push(text, "x", time + 1);
        }
        let place = tempfile::tempdir().unwrap();
        for format in [Format::Parquet, Format::Tsv] {
            let path = place.path().join(format!("log.{}", format.extension()));
            write_log(&log.grouped(), &path, format).unwrap();
            let read =
                EventLog::read(&path, &ReadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(read.events(), log.events(), "{format:?}");
            assert!(read.session_ids().iter().eq(log.session_ids().iter()));
            assert!(read.item_ids().iter().eq(log.item_ids().iter()));
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
    }
}

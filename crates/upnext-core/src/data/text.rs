//! Reads CSV, TSV and similar text into an [`EventLog`](super::EventLog).

use super::bad_rows::BadRows;
use super::events::EventLog;
use super::layout::{self, TextLayout};
use super::names::shortened;
use super::options::ReadOptions;
use super::parts::Partition;
use super::read::Progress;
use super::report::{FileReport, RowProblem};
use super::rows::LogBuilder;
use super::source::TextSource;
use super::time::TimeUnit;
use crate::error::{Error, Result};
use csv::ByteRecord;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Number of rows between two calls of the progress callback.
const ROWS_PER_PROGRESS: u64 = 8192;

/// Appends the events of a text file to `log`.
///
/// # Errors
/// As [`EventLog::read`].
pub(super) fn read(
    source: TextSource,
    partitions: &[Partition],
    options: &ReadOptions,
    log: &mut EventLog,
    progress: &mut Progress<'_>,
) -> Result<FileReport> {
    let path = source.path().to_owned();
    let (compression, encoding) = (source.compression, source.encoding);
    let bytes_read = Arc::clone(&source.bytes_read);
    let layout = layout::of_text(&path, options, &source.sample, source.complete, partitions)?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(layout.delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(256 * 1024)
        .from_reader(source.into_reader());

    let mut builder = LogBuilder::new(log);
    let mut bad = BadRows::new(&path, "line", options.skip_bad_rows);
    let mut record = ByteRecord::new();
    let (mut rows, mut skip_header) = (0_u64, layout.header);
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let error = match error.into_kind() {
                    csv::ErrorKind::Io(error) => error,
                    other => std::io::Error::other(format!("{other:?}")),
                };
                return Err(TextSource::error(&path, compression, error));
            }
        }
        if std::mem::take(&mut skip_header) {
            continue;
        }
        rows += 1;
        if rows.is_multiple_of(ROWS_PER_PROGRESS) {
            progress.at(bytes_read.load(Ordering::Relaxed), builder.events())?;
        }
        if let Err(problem) = push_row(&mut builder, &record, &layout) {
            bad.add(record.position().map_or(0, csv::Position::line), problem);
        } else if builder.is_full() {
            return Err(Error::TooManyEvents { path });
        }
    }
    progress.at(bytes_read.load(Ordering::Relaxed), builder.events())?;
    if rows == 0 {
        return Err(Error::NoEvents { path, found: "there is only a header line" });
    }
    let mut report = FileReport {
        path,
        format: match layout.delimiter {
            b'\t' => "tab-separated text".to_owned(),
            b',' => "comma-separated text".to_owned(),
            other => format!("text separated by {:?}", char::from(other)),
        },
        compression: compression.map(str::to_owned),
        encoding: encoding.map(str::to_owned),
        header: layout.header,
        time_unit: layout.unit,
        rows,
        ..FileReport::default()
    };
    [report.session, report.item, report.time] = layout.columns.labels;
    bad.finish(&mut report)?;
    Ok(report)
}

fn push_row(
    builder: &mut LogBuilder<'_>,
    record: &ByteRecord,
    layout: &TextLayout,
) -> std::result::Result<(), RowProblem> {
    let columns = &layout.columns;
    let field = |role: usize| match &columns.constants[role] {
        None => record.get(columns.at[role]),
        Some(value) => Some(value.as_slice()),
    };
    let [session, item, time] = [field(0), field(1), field(2)];
    let (Some(session), Some(item), Some(time)) = (session, item, time) else {
        return Err(if record.as_slice().contains(&0) {
            RowProblem::NulByte { column: "the row".to_owned() }
        } else {
            let needed = columns.in_file().flatten().max().map_or(0, |c| c + 1);
            RowProblem::TooFewFields { found: record.len(), needed }
        });
    };
    match layout.unit.parse(time) {
        Some(time) => builder.push(session, item, time, &columns.labels),
        None if time.contains(&0) => Err(RowProblem::NulByte { column: columns.labels[2].clone() }),
        None => Err(bad_time(&String::from_utf8_lossy(time), columns.labels[2].clone(), layout.unit)),
    }
}

/// The problem of a text that is not a time in the log's unit.
pub(super) fn bad_time(text: &str, column: String, unit: TimeUnit) -> RowProblem {
    RowProblem::BadTime { column, found: shortened(text), unit }
}

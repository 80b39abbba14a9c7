//! Reads JSON into an [`EventLog`](super::EventLog).

use super::columns::{self, Sample};
use super::json::JsonFile;
use super::normalize::IdRules;
use super::options::ReadOptions;
use super::parts::InputFile;
use super::read::{Progress, Reading};
use super::report::FileReport;
use super::row_reader::{Cell, RowReader};
use super::source::TextSource;
use crate::error::Result;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Number of objects between two calls of the progress callback.
const ROWS_PER_PROGRESS: u64 = 2048;

/// Appends the events of a JSON file to the log.
///
/// # Errors
/// As [`EventLog::read`](super::EventLog::read).
pub(super) fn read(
    source: TextSource,
    input: &InputFile,
    options: &ReadOptions,
    reading: &mut Reading,
    progress: &mut Progress<'_>,
) -> Result<FileReport> {
    let path = input.path.as_path();
    let file = JsonFile::open(source)?;
    let sample = sample_of(&file);
    let columns = columns::find(path, options, &sample, &input.partitions, reading.earlier.as_ref())?;
    reading.earlier = Some(columns.clone());
    let positions = columns.positions();
    let names = sample.names.unwrap_or_default();
    let chosen: Vec<&str> = positions.iter().map(|&at| names[at].as_str()).collect();
    let bytes_read = Arc::clone(&file.bytes_read);
    let report = FileReport {
        path: path.to_owned(),
        format: file.form().to_owned(),
        compression: file.compression.map(str::to_owned),
        encoding: file.encoding.map(str::to_owned),
        header: true,
        ..FileReport::default()
    };
    let rules = IdRules::new(options);
    let mut rows =
        RowReader::new((path, "line"), columns, options, rules, (&mut reading.log, &mut reading.watch));
    file.read(&chosen, &mut |line, row| {
        match row {
            Err(problem) => rows.bad(line, problem),
            Ok(values) => rows.row(line, values.len(), |at| {
                let value = values.get(positions.binary_search(&at).ok()?)?;
                Some(value.map_or(Cell::Missing, |text| Cell::Text(text.as_bytes())))
            })?,
        }
        if rows.rows().is_multiple_of(ROWS_PER_PROGRESS) {
            progress.at(bytes_read.load(Ordering::Relaxed), rows.events())?;
        }
        Ok(())
    })?;
    progress.at(bytes_read.load(Ordering::Relaxed), rows.events())?;
    rows.finish(report)
}

/// The columns of a JSON file and their first values.
///
/// # Errors
/// As [`JsonFile::open`].
pub(super) fn sample(source: TextSource) -> Result<Sample> {
    JsonFile::open(source).map(|file| sample_of(&file))
}

fn sample_of(file: &JsonFile) -> Sample {
    let names = file.names();
    // Column by column: lists beside each other may have different lengths, and only chosen ones must agree.
    let values =
        |name: &String| file.sample(&[name]).into_iter().filter_map(|row| row.into_iter().next()).collect();
    let columns: Vec<Vec<Option<String>>> = names.iter().map(values).collect();
    Sample { count: names.len(), columns, names: Some(names), typed: Vec::new() }
}

//! Reads JSON into an [`EventLog`](super::EventLog).

use super::cells::Cell;
use super::columns::{self, Sample};
use super::json::JsonFile;
use super::normalize::IdRules;
use super::options::ReadOptions;
use super::parts::InputFile;
use super::read::{Progress, Reading};
use super::report::FileReport;
use super::row_reader::{Origin, RowReader};
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
    file.read(&chosen, &mut |position, element, row| {
        match row {
            Err(problem) => rows.bad(position, problem),
            Ok(values) => rows.row(Origin { position, element }, values.len(), |at| {
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
    let (mut names, mut columns, mut in_lists) = (Vec::new(), Vec::new(), Vec::new());
    for (name, sample, in_list) in file.columns() {
        if in_list {
            in_lists.push(names.len());
        }
        names.push(name);
        columns.push(sample.iter().cloned().map(Some).collect());
    }
    Sample { count: names.len(), columns, names: Some(names), in_lists, ..Sample::default() }
}

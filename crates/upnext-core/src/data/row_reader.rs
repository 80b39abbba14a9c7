//! Turns the rows of a file into events: checks conditions, normalises ids, reads times, and counts bad rows.

use super::bad_rows::BadRows;
use super::columns::{Column, Columns, TimeSource};
use super::events::EventLog;
use super::kinds::FewValues;
use super::lists;
use super::normalize::IdRules;
use super::options::ReadOptions;
use super::report::{FileReport, RowProblem};
use super::rows::LogBuilder;
use super::time::reader::{Instant, TimeReader};
use super::time::time_of_day;
use super::watch::Watch;
use crate::error::{Error, Result};
use std::path::Path;

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// A null, in formats that have it.
    Missing,
    Text(&'a [u8]),
    /// A number in a column of times.
    Integer(i64),
    /// A number in a column of times.
    Float(f64),
    /// A value of a column whose type is that of times.
    Time(Instant),
}

type Row<T> = std::result::Result<T, RowProblem>;

/// Reads the rows of one file.
pub(super) struct RowReader<'a> {
    path: &'a Path,
    log: &'a mut EventLog,
    watch: &'a mut Watch,
    columns: Columns,
    session_label: String,
    time_label: String,
    rules: IdRules,
    bad: BadRows,
    /// The number of the file, if sessions of different files are different sessions.
    file: Option<usize>,
    /// The names of the file's columns, which may be repeated as a row.
    header: Option<Vec<String>>,
    rows: u64,
    /// Rows that do not meet a condition.
    excluded: u64,
    repeated_headers: u64,
    /// The id of a session with several key columns.
    key: Vec<u8>,
}

/// What a row is, if it is not bad.
enum Outcome {
    Events,
    Excluded,
    Header,
}

impl<'a> RowReader<'a> {
    /// A reader for the rows of `path`, whose positions in messages are of kind `place`: "line" or "row".
    pub(super) fn new(
        (path, place): (&'a Path, &'static str),
        columns: Columns,
        options: &ReadOptions,
        rules: IdRules,
        (log, watch): (&'a mut EventLog, &'a mut Watch),
    ) -> Self {
        watch.begin_file(columns.user.is_some());
        Self {
            path,
            session_label: columns.session_label(),
            time_label: columns.time_label(),
            file: options.sessions_per_file.then(|| watch.file()),
            columns,
            rules,
            bad: BadRows::new(path, place, options.skip_bad_rows),
            header: None,
            rows: 0,
            excluded: 0,
            repeated_headers: 0,
            key: Vec::new(),
            log,
            watch,
        }
    }

    /// Rows that are the column names once more are left out.
    pub(super) fn with_header(mut self, names: Option<Vec<String>>) -> Self {
        self.header = names;
        self
    }

    /// Number of rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of events in the log.
    pub(super) fn events(&self) -> usize {
        self.log.len()
    }

    /// Counts a row that its format could not read.
    pub(super) fn bad(&mut self, position: u64, problem: RowProblem) {
        self.rows += 1;
        self.bad.add(position, problem);
    }

    /// Reads a row. `cell` returns the value of a column of the file; `None` if the row is too short, and `fields` is its
    /// number of fields.
    ///
    /// # Errors
    /// [`Error::TooManyEvents`].
    #[inline]
    pub(super) fn row<'r>(
        &mut self,
        position: u64,
        fields: usize,
        cell: impl Fn(usize) -> Option<Cell<'r>>,
    ) -> Result<()> {
        self.rows += 1;
        match self.read(&cell) {
            Ok(Outcome::Events) if self.log.len() >= u32::MAX as usize => {
                Err(Error::TooManyEvents { path: self.path.to_owned() })
            }
            Ok(Outcome::Events) => Ok(()),
            Ok(Outcome::Excluded) => {
                self.excluded += 1;
                Ok(())
            }
            Ok(Outcome::Header) => {
                self.repeated_headers += 1;
                Ok(())
            }
            Err(problem) => {
                let problem = match problem {
                    RowProblem::TooFewFields { needed, .. } => {
                        RowProblem::TooFewFields { found: fields, needed }
                    }
                    other => other,
                };
                self.bad.add(position, problem);
                Ok(())
            }
        }
    }

    #[inline]
    fn read<'r>(&mut self, cell: &impl Fn(usize) -> Option<Cell<'r>>) -> Row<Outcome> {
        let Self { columns, .. } = self;
        for (column, values, excludes) in &columns.conditions {
            let is_one = match value(column, cell)? {
                Cell::Text(text) => values.iter().any(|value| value == text.trim_ascii()),
                _ => values.iter().any(Vec::is_empty),
            };
            if is_one == *excludes {
                return Ok(Outcome::Excluded);
            }
        }
        let time = match self.time(cell) {
            Err(RowProblem::BadTime { .. }) if self.is_header(cell) => return Ok(Outcome::Header),
            time => time?,
        };
        let order = match &self.columns.order {
            None => i64::from(time.nanos),
            Some(column) => order(column, value(column, cell)?)?,
        };
        self.append(cell, time, order).map(|()| Outcome::Events)
    }

    #[inline]
    fn append<'r>(
        &mut self,
        cell: &impl Fn(usize) -> Option<Cell<'r>>,
        time: Instant,
        order: i64,
    ) -> Row<()> {
        let Self { columns, rules, log, watch, session_label, file, rows, key, .. } = self;
        let user = match columns.user.as_ref().map(|column| value(column, cell)).transpose()? {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        };
        let session: &[u8] = match (&columns.session[..], *file) {
            // The usual case, in which nothing is copied.
            ([column], None) => id(column, value(column, cell)?, rules, &mut watch.session_ids)?,
            (several, file) => {
                key.clear();
                if let Some(file) = file {
                    key.extend_from_slice(file.to_string().as_bytes());
                }
                if several.is_empty() {
                    join(key, (rows.wrapping_add(watch.rows_before())).to_string().as_bytes());
                }
                for column in several {
                    join(key, id(column, value(column, cell)?, rules, &mut watch.session_ids)?);
                }
                key
            }
        };
        let labels = [session_label.as_str(), columns.item.label.as_str()];
        let items = value(&columns.item, cell)?;
        let mut push = |watch: &mut Watch, item: &[u8]| {
            LogBuilder::new(log).push(session, item, time.micros, labels)?;
            log.set_order(order);
            if let Some(event) = log.events().last() {
                watch.event(*event, user);
            }
            Ok(())
        };
        if columns.has_lists {
            let Cell::Text(text) = items else { return Err(missing(&columns.item, items)) };
            for element in lists::elements(text) {
                if let Some(item) = rules.id(element, &mut watch.item_ids) {
                    push(watch, item)?;
                }
            }
        } else {
            let item = id(&columns.item, items, rules, &mut watch.item_ids)?;
            push(watch, item)?;
        }
        Ok(())
    }

    #[inline]
    fn time<'r>(&self, cell: &impl Fn(usize) -> Option<Cell<'r>>) -> Row<Instant> {
        match &self.columns.time {
            TimeSource::Column(column, reader) => instant(column, reader, value(column, cell)?),
            TimeSource::DayAndTime(day, reader, time) => {
                let (date, clock) = (value(day, cell)?, value(time, cell)?);
                let Cell::Text(clock) = clock else { return Err(missing(time, clock)) };
                let of_day = time_of_day(clock).ok_or_else(|| bad_time(time, reader, clock))?;
                let read = match date {
                    Cell::Text(date) => reader.on_date(date, of_day),
                    Cell::Time(date) => {
                        Some(Instant { micros: date.micros.saturating_add(of_day), nanos: 0 })
                    }
                    other => return Err(missing(day, other)),
                };
                let shown = if let Cell::Text(date) = date { date } else { clock };
                read.ok_or_else(|| bad_time(day, reader, shown))
            }
            TimeSource::Rows => {
                let row = self.rows.wrapping_add(self.watch.rows_before());
                Ok(Instant { micros: (row as i64).saturating_mul(1_000_000), nanos: 0 })
            }
        }
    }

    /// Whether a row whose time cannot be read is the header once more.
    #[cold]
    fn is_header<'r>(&self, cell: &impl Fn(usize) -> Option<Cell<'r>>) -> bool {
        let Some(names) = &self.header else { return false };
        self.columns.positions().into_iter().all(|at| {
            let name = names.get(at).map(|name| name.trim().as_bytes());
            matches!(cell(at), Some(Cell::Text(text)) if Some(text.trim_ascii()) == name)
        })
    }

    /// The report of the file.
    ///
    /// # Errors
    /// [`Error::BadRow`] for the first bad row, if they are not skipped.
    pub(super) fn finish(self, mut report: FileReport) -> Result<FileReport> {
        let Self { columns, watch, session_label, time_label, rows, .. } = self;
        watch.end_file(rows);
        report.rows = rows - self.repeated_headers;
        report.excluded = self.excluded;
        report.repeated_headers = self.repeated_headers;
        if let TimeSource::Column(_, reader) | TimeSource::DayAndTime(_, reader, _) = &columns.time {
            report.time_unit = reader.unit();
        }
        report.warnings.extend(columns.few_values.iter().find_map(FewValues::warning));
        report.few_values = columns.few_values.into_iter().map(FewValues::into_report).collect();
        report.session = session_label;
        report.item = columns.item.label;
        report.time = time_label;
        report.order = columns.order.map(|column| column.label);
        report.guesses.extend(columns.guesses);
        self.bad.finish(&mut report)?;
        Ok(report)
    }
}

/// The value of a column in a row.
#[inline]
fn value<'c, 'r: 'c>(column: &'c Column, cell: &impl Fn(usize) -> Option<Cell<'r>>) -> Row<Cell<'c>> {
    match &column.constant {
        None => cell(column.at).ok_or(RowProblem::TooFewFields { found: 0, needed: column.at + 1 }),
        Some(value) if value.is_empty() => Ok(Cell::Missing),
        Some(value) => Ok(Cell::Text(value)),
    }
}

/// The id in a cell.
#[inline]
fn id<'r>(
    column: &Column,
    cell: Cell<'r>,
    rules: &IdRules,
    changes: &mut super::normalize::Changes,
) -> Row<&'r [u8]> {
    let Cell::Text(text) = cell else { return Err(missing(column, cell)) };
    rules.id(text, changes).ok_or_else(|| missing(column, cell))
}

/// The problem of a missing value.
#[cold]
fn missing(column: &Column, cell: Cell) -> RowProblem {
    let column = column.label.clone();
    match cell {
        Cell::Text(text) if !text.trim_ascii().is_empty() => RowProblem::NullId {
            column,
            found: super::names::shortened(&String::from_utf8_lossy(text.trim_ascii())),
        },
        _ => RowProblem::EmptyId { column },
    }
}

/// Appends a part of a key. The parts are separated by a slash; slashes within all but the last part are escaped, as in
/// URLs, so that different parts give different keys.
fn join(key: &mut Vec<u8>, part: &[u8]) {
    if !key.is_empty() {
        key.push(b'/');
    }
    for &byte in part {
        match byte {
            b'/' => key.extend_from_slice(b"%2F"),
            b'%' => key.extend_from_slice(b"%25"),
            other => key.push(other),
        }
    }
}

#[inline]
fn instant(column: &Column, reader: &TimeReader, cell: Cell) -> Row<Instant> {
    let read = match cell {
        Cell::Text(text) => reader.parse(text),
        Cell::Time(time) => Some(time),
        Cell::Integer(value) => reader.integer(value),
        Cell::Float(value) => reader.float(value),
        Cell::Missing => None,
    };
    read.ok_or_else(|| match cell {
        Cell::Text(text) => bad_time(column, reader, text),
        Cell::Integer(value) => bad_time(column, reader, value.to_string().as_bytes()),
        Cell::Float(value) => bad_time(column, reader, value.to_string().as_bytes()),
        Cell::Missing | Cell::Time(_) => bad_time(column, reader, b"null"),
    })
}

#[cold]
fn bad_time(column: &Column, reader: &TimeReader, text: &[u8]) -> RowProblem {
    if text.contains(&0) {
        return RowProblem::NulByte { column: column.label.clone() };
    }
    let found = super::names::shortened(&String::from_utf8_lossy(text));
    RowProblem::BadTime { column: column.label.clone(), found, unit: reader.unit() }
}

/// The place of an event among those of its time: a number, whose order is kept.
fn order(column: &Column, cell: Cell) -> Row<i64> {
    let number = match cell {
        Cell::Text(text) => super::time::number(text.trim_ascii()),
        Cell::Integer(value) => return Ok(value),
        Cell::Float(value) => Some(value),
        Cell::Time(time) => return Ok(time.micros),
        Cell::Missing => None,
    };
    let number = number.ok_or_else(|| RowProblem::BadOrder {
        column: column.label.clone(),
        found: match cell {
            Cell::Text(text) => super::names::shortened(&String::from_utf8_lossy(text)),
            _ => "null".to_owned(),
        },
    })?;
    // The bits of a positive number are ordered as it is; those of a negative one are reversed.
    let bits = number.to_bits() as i64;
    Ok(if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits })
}

//! Turns the rows of a file into events: checks conditions, normalises ids, reads times, and counts bad rows.

use super::bad_rows::BadRows;
use super::cells::{self, Cell, Row, bad_time, instant, missing, value};
use super::columns::{Columns, TimeSource};
use super::events::EventLog;
use super::few_values::FewValues;
use super::lists;
use super::normalize::{Changes, IdRules};
use super::options::ReadOptions;
use super::report::{FileReport, RowProblem};
use super::rows::{self, LogBuilder};
use super::time::reader::Instant;
use super::time::{MICROS_PER_SECOND, time_of_day};
use super::watch::Watch;
use crate::error::{Error, Result};
use std::path::Path;

/// Where a row comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// The line or the row of the file, for messages.
    pub(super) position: u64,
    /// The place among the rows that its record has, from 0: several for an array in an object, or a list in a row.
    pub(super) element: usize,
}

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
    /// Records so far: several rows may be of one.
    records: u64,
    /// Rows that do not meet a condition.
    excluded: u64,
    repeated_headers: u64,
    /// Rows without a value in the order column.
    without_order: u64,
    /// Rows with more fields than the others, which are behind the used columns.
    longer: u64,
    /// Which values of the conditions occurred.
    met: Vec<Vec<bool>>,
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
        let met = columns.conditions.iter().map(|(_, values, _)| vec![false; values.len()]).collect();
        Self {
            met,
            path,
            session_label: columns.session_label(),
            time_label: columns.time_label(),
            file: options.sessions_per_file.then(|| watch.file()),
            columns,
            rules,
            bad: BadRows::new(path, place, options.skip_bad_rows),
            header: None,
            rows: 0,
            records: 0,
            excluded: 0,
            repeated_headers: 0,
            without_order: 0,
            longer: 0,
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

    /// Whether the used columns are the first ones of `width`, and not the last, so that a row with more fields has them all in
    /// their places.
    pub(super) fn is_prefix(&self, width: usize) -> bool {
        let used = self.columns.positions();
        used.len() < width && used.into_iter().eq(0..self.columns.positions().len())
    }

    /// Counts a row that is read though it has more fields than the others.
    pub(super) fn count_longer(&mut self, is_longer: bool) {
        self.longer += u64::from(is_longer);
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
        self.records += 1;
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
        origin: Origin,
        fields: usize,
        cell: impl Fn(usize) -> Option<Cell<'r>>,
    ) -> Result<()> {
        self.rows += 1;
        self.records += u64::from(origin.element == 0);
        match self.read(origin.element, &cell) {
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
                self.bad.add(origin.position, problem);
                Ok(())
            }
        }
    }

    #[inline]
    fn read<'r>(&mut self, element: usize, cell: &impl Fn(usize) -> Option<Cell<'r>>) -> Row<Outcome> {
        let is_excluded = !self.columns.conditions.is_empty() && self.is_excluded(cell)?;
        if is_excluded || matches!(self.columns.time, TimeSource::Rows) {
            // The other rows that are the header have a time that cannot be read.
            if self.is_header(cell) {
                return Ok(Outcome::Header);
            }
            if is_excluded {
                return Ok(Outcome::Excluded);
            }
        }
        let time = match self.time(cell) {
            Err(RowProblem::BadTime { .. }) if self.is_header(cell) => return Ok(Outcome::Header),
            time => time?,
        };
        let order = match &self.columns.order {
            Some(column) => {
                let order = cells::order(column, value(column, cell)?)?;
                self.without_order += u64::from(order.is_none());
                order.unwrap_or(i64::MAX)
            }
            None => in_record(i64::from(time.nanos), if self.columns.in_list { element } else { 0 }),
        };
        self.append(cell, time, order).map(|()| Outcome::Events)
    }

    /// Whether a condition leaves the row out.
    fn is_excluded<'r>(&mut self, cell: &impl Fn(usize) -> Option<Cell<'r>>) -> Row<bool> {
        for ((column, values, excludes), met) in self.columns.conditions.iter().zip(&mut self.met) {
            let found = value(column, cell)?;
            let one = values.iter().position(|wanted| found.is(wanted));
            if let Some(one) = one {
                met[one] = true;
            }
            if one.is_some() == *excludes {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[inline]
    fn append<'r>(
        &mut self,
        cell: &impl Fn(usize) -> Option<Cell<'r>>,
        time: Instant,
        order: i64,
    ) -> Row<()> {
        let Self { columns, rules, log, watch, session_label, file, records, key, .. } = self;
        let user = match columns.user.as_ref().map(|column| value(column, cell)).transpose()? {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        };
        let session: &[u8] = match (&columns.session[..], *file) {
            // The usual case, in which nothing is copied.
            ([column], None) => cells::id(column, value(column, cell)?, rules, &mut watch.session_ids)?,
            (several, file) => {
                key.clear();
                if let Some(file) = file {
                    key.extend_from_slice(file.to_string().as_bytes());
                }
                if several.is_empty() {
                    join(key, (records.wrapping_add(watch.records_before())).to_string().as_bytes());
                }
                for column in several {
                    join(key, cells::id(column, value(column, cell)?, rules, &mut watch.session_ids)?);
                }
                key
            }
        };
        // Rows that a column orders have the time of the session's first row.
        let of_first_row = matches!(columns.time, TimeSource::Rows) && columns.order.is_some();
        let labels = [session_label.as_str(), columns.item.label.as_str()];
        let items = value(&columns.item, cell)?;
        let mut push = |watch: &mut Watch, item: &[u8], order: i64| {
            LogBuilder::new(log).push(session, item, time.micros, labels)?;
            if let Some(event) = log.events.last_mut().filter(|_| of_first_row) {
                event.time = watch.first_time(event.session, event.time);
            }
            log.set_order(order);
            if let Some(event) = log.events().last() {
                watch.event(*event, user);
            }
            Ok(())
        };
        if !columns.has_lists {
            let item = cells::id(&columns.item, items, rules, &mut watch.item_ids)?;
            return push(watch, item, order);
        }
        let Cell::Text(text) = items else { return Err(missing(&columns.item, items)) };
        // All elements are checked before the first is an event.
        for element in lists::elements(text) {
            let item = cells::id(&columns.item, Cell::Text(element), rules, &mut Changes::default())?;
            rows::checked(item, labels[1])?;
        }
        for (place, element) in lists::elements(text).enumerate() {
            if let Some(item) = rules.id(element, &mut watch.item_ids) {
                let order = if columns.order.is_none() { in_record(order, place) } else { order };
                push(watch, item, order)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn time<'r>(&self, cell: &impl Fn(usize) -> Option<Cell<'r>>) -> Row<Instant> {
        match &self.columns.time {
            TimeSource::Column(column, reader) => instant(column, reader, value(column, cell)?),
            TimeSource::DayAndTime(day, reader, time) => {
                let (date, clock) = (value(day, cell)?, value(time, cell)?);
                let Cell::Text(text) = clock else { return Err(missing(time, clock)) };
                let of_day = time_of_day(text).ok_or_else(|| bad_time(time, reader, clock))?;
                let read = match date {
                    Cell::Text(date) => reader.on_date(date, of_day),
                    Cell::Time(date) | Cell::Clock(date) => {
                        reader.local(Instant { micros: date.micros.saturating_add(of_day), nanos: 0 })
                    }
                    Cell::Integer(date) => reader.on_date(date.to_string().as_bytes(), of_day),
                    Cell::Missing | Cell::Float(_) => return Err(missing(day, date)),
                };
                read.ok_or_else(|| bad_time(day, reader, date))
            }
            TimeSource::Rows => {
                let row = self.rows.wrapping_add(self.watch.rows_before());
                Ok(Instant { micros: (row as i64).saturating_mul(MICROS_PER_SECOND), nanos: 0 })
            }
        }
    }

    /// Whether a row is the header once more.
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
        watch.end_file(rows, self.records);
        for ((column, values, _), met) in columns.conditions.iter().zip(self.met) {
            values.iter().zip(met).for_each(|(value, met)| watch.condition(&column.label, value, met));
        }
        report.rows = rows - self.repeated_headers;
        report.excluded = self.excluded;
        report.repeated_headers = self.repeated_headers;
        if let TimeSource::Column(_, reader) | TimeSource::DayAndTime(_, reader, _) = &columns.time {
            report.time_unit = reader.unit();
        }
        if let (Some(order), 1..) = (&columns.order, self.without_order) {
            report.warnings.push(format!(
                "{}: {} rows have no value that orders them: they come last among the events of their time",
                order.label, self.without_order
            ));
        }
        if self.longer > 0 {
            report.warnings.push(format!(
                "{} rows have more fields than the others, behind the columns that are used",
                self.longer
            ));
        }
        report.warnings.extend(columns.warnings);
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

/// The order of the elements of a record, which has `order` among the events of its time.
fn in_record(order: i64, element: usize) -> i64 {
    const MOST: i64 = 1_000_000;
    order * MOST + (element as i64).min(MOST - 1)
}

/// Appends a part of a key. The parts are separated by a slash; slashes within them are escaped, as in URLs, so that
/// different parts give different keys.
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

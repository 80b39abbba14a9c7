//! Detects the layout of a log: delimiter, header, and the columns of sessions, items and times.
//!
//! With a header, columns are found by name. Without one, the first column of ISO 8601 times is the time (the RecSys
//! Challenge 2015 has session, time, item, category), and the first two others are session and item; if there is no
//! column of such times, the order is session, item, time.

use super::names::{Role, find_known, find_wanted, normalized, shortened};
use super::options::{Header, ReadOptions};
use super::parts::Partition;
use super::time::{TimeUnit, number};
use crate::error::{Error, Result};
use std::path::Path;

/// Number of rows at the beginning of a file from which its layout is guessed.
const SAMPLE_ROWS: usize = 200;

/// The three columns, by position from 0, and their names for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// Session, item, time. Columns given by folder names are numbered after those of the file.
    pub(super) at: [usize; 3],
    /// Their names in messages, such as `column 3 (Time)`.
    pub(super) labels: [String; 3],
    /// The constant value of a column that is given by a folder name.
    pub(super) constants: [Option<Vec<u8>>; 3],
}

impl Columns {
    /// The positions of the three in the file; `None` for a column that is given by a folder name.
    pub(super) fn in_file(&self) -> impl Iterator<Item = Option<usize>> {
        self.at.iter().zip(&self.constants).map(|(&at, constant)| constant.is_none().then_some(at))
    }
}

/// The layout of a text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextLayout {
    pub(super) delimiter: u8,
    pub(super) header: bool,
    pub(super) columns: Columns,
    pub(super) unit: TimeUnit,
    /// The names of all columns, if there is a header.
    pub(super) names: Option<Vec<String>>,
    /// Number of fields of the first row.
    pub(super) fields: usize,
}

/// What all part files of a folder must have in common.
#[derive(Clone, Debug)]
pub(super) struct PartColumns {
    /// "text" or "Parquet".
    pub(super) kind: &'static str,
    pub(super) names: Option<Vec<String>>,
    pub(super) count: usize,
}

impl PartColumns {
    /// Describes how this file differs from `other`; `None` if it does not. The order of columns may differ.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        if self.kind != other.kind {
            return Some(format!("is {}, and the other is {}", self.kind, other.kind));
        }
        match (&self.names, &other.names) {
            (Some(names), Some(others)) => {
                let lacking = |a: &[String], b: &[String]| {
                    let lacking = a.iter().filter(|name| !b.contains(name)).take(10);
                    lacking.map(|name| shortened(name)).collect::<Vec<_>>().join(", ")
                };
                let (more, fewer) = (lacking(names, others), lacking(others, names));
                match (more.is_empty(), fewer.is_empty()) {
                    (true, true) => None,
                    (false, true) => Some(format!("has the columns {more}, which the other lacks")),
                    (true, false) => Some(format!("lacks the columns {fewer} of the other")),
                    (false, false) => Some(format!("has the columns {more} in place of {fewer}")),
                }
            }
            (None, None) if self.count == other.count => None,
            (None, None) => Some(format!("has {} columns, and the other has {}", self.count, other.count)),
            (Some(_), None) => {
                Some("begins with the names of its columns, and the other does not".to_owned())
            }
            (None, Some(_)) => {
                Some("does not begin with the names of its columns, as the other does".to_owned())
            }
        }
    }
}

/// The role of the session column: `User` if the options name a user column, or if a gap is given and the log has users
/// but no sessions.
fn session_role(options: &ReadOptions, names: &[String]) -> Role {
    let by_gap = options.session_column.is_none()
        && options.session_gap.is_some()
        && find_known(Role::Session, names).is_none()
        && find_known(Role::User, names).is_some();
    if options.user_column.is_some() || by_gap { Role::User } else { Role::Session }
}

/// Finds the columns of a log with column names; `partitions` are used only if an option names one.
///
/// # Errors
/// [`Error::MissingColumn`].
pub(super) fn named_columns(
    path: &Path,
    options: &ReadOptions,
    names: &[String],
    partitions: &[Partition],
) -> Result<Columns> {
    let mut at = [0; 3];
    for (slot, role) in at.iter_mut().zip([session_role(options, names), Role::Item, Role::Time]) {
        let wanted = role.option(options);
        let found = match wanted {
            Some(wanted) => find_wanted(wanted, Some(names), names.len())
                .or_else(|| Some(names.len() + find_partition(wanted, partitions)?)),
            None => find_known(role, names),
        };
        *slot = found.ok_or_else(|| missing(path, role, wanted, names, partitions))?;
    }
    let label = |i: usize| format!("column {} ({})", i + 1, shortened(&names[i]));
    columns(at, names.len(), partitions, label)
}

/// Finds the partition that an option gives by its name.
fn find_partition(wanted: &str, partitions: &[Partition]) -> Option<usize> {
    let keys: Vec<String> = partitions.iter().map(|partition| partition.key.clone()).collect();
    find_wanted(wanted, Some(&keys), 0)
}

/// The columns at these positions; those from `count` on are given by folder names.
fn columns(
    at: [usize; 3],
    count: usize,
    partitions: &[Partition],
    label: impl Fn(usize) -> String,
) -> Result<Columns> {
    let partition = |at: usize| partitions.get(at.checked_sub(count)?);
    let label = |at: usize| match partition(at) {
        Some(partition) => format!("the folder's column {}", shortened(&partition.key)),
        None => label(at),
    };
    for (field, other) in [("item_column", 1), ("time_column", 2)] {
        if at[..other].contains(&at[other]) {
            let reason = format!("{} already has another meaning: name another column", label(at[other]));
            return Err(Error::config(field, reason));
        }
    }
    Ok(Columns { at, labels: at.map(label), constants: at.map(|at| Some(partition(at)?.value.clone())) })
}

fn missing(
    path: &Path,
    role: Role,
    wanted: Option<&str>,
    names: &[String],
    partitions: &[Partition],
) -> Error {
    let has_user = role == Role::Session && find_known(Role::User, names).is_some();
    let looked_for = match wanted {
        Some(wanted) => {
            let close = names
                .iter()
                .map(|n| (strsim::jaro_winkler(&normalized(n), &normalized(wanted)), n))
                .filter(|(similarity, _)| *similarity > 0.8)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            match close {
                Some((_, name)) => format!("there is no column `{wanted}` (is it `{}`?)", shortened(name)),
                None => format!("there is no column `{wanted}`"),
            }
        }
        None if has_user => {
            "there are users but no sessions: set `session_gap` (such as 30m) to cut the users' events into sessions"
                .to_owned()
        }
        None => format!("none is called {} or the like", role.known_names()[..3].join(", ")),
    };
    let names: Vec<String> = names.iter().take(30).map(|n| shortened(n)).collect();
    Error::MissingColumn {
        path: path.to_owned(),
        role: role.name(),
        looked_for,
        columns: format!("the columns {}{}", names.join(", "), and_of_folders(partitions)),
    }
}

fn and_of_folders(partitions: &[Partition]) -> String {
    let keys: Vec<String> = partitions.iter().map(|partition| shortened(&partition.key)).collect();
    if keys.is_empty() { String::new() } else { format!(", and its folders give {}", keys.join(", ")) }
}

/// Finds the columns of a log without column names.
fn unnamed_columns(
    path: &Path,
    options: &ReadOptions,
    rows: &[Vec<String>],
    partitions: &[Partition],
) -> Result<Columns> {
    let count = rows[0].len();
    let session = if options.user_column.is_some() { Role::User } else { Role::Session };
    let mut at: [Option<usize>; 3] = [None; 3];
    let too_few = |role: Role, wanted: Option<&str>| Error::MissingColumn {
        path: path.to_owned(),
        role: role.name(),
        looked_for: match wanted {
            Some(wanted) => format!("the file has no header and no column `{wanted}`"),
            None => "the file has no header, and too few columns".to_owned(),
        },
        columns: format!(
            "{}{}",
            if count == 1 { "1 column".to_owned() } else { format!("{count} columns") },
            and_of_folders(partitions)
        ),
    };
    for (slot, role) in at.iter_mut().zip([session, Role::Item, Role::Time]) {
        if let Some(wanted) = role.option(options) {
            let found = find_wanted(wanted, None, count)
                .or_else(|| Some(count + find_partition(wanted, partitions)?));
            *slot = Some(found.ok_or_else(|| too_few(role, Some(wanted)))?);
        }
    }
    if at[2].is_none() {
        let is_time = |c: usize| {
            rows.iter().all(|row| row.get(c).is_some_and(|f| TimeUnit::Iso.parse(f.as_bytes()).is_some()))
        };
        at[2] = (0..count).filter(|c| !at.contains(&Some(*c))).find(|&c| is_time(c));
    }
    for (i, role) in [(0, session), (1, Role::Item), (2, Role::Time)] {
        if at[i].is_none() {
            let free = (0..count).find(|c| !at.contains(&Some(*c)));
            at[i] = Some(free.ok_or_else(|| too_few(role, None))?);
        }
    }
    let at = at.map(|c| c.expect("every column was given, recognised or taken in order above"));
    columns(at, count, partitions, |c| format!("column {}", c + 1))
}

/// The first rows of `sample`, as text, without a last row that may be incomplete.
fn sample_rows(sample: &[u8], delimiter: u8, complete: bool) -> Vec<Vec<String>> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(sample);
    let mut rows: Vec<Vec<String>> = reader
        .byte_records()
        .take(SAMPLE_ROWS)
        .map_while(|record| record.ok())
        .map(|record| record.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect())
        .collect();
    if !complete && rows.len() > 1 && rows.len() < SAMPLE_ROWS {
        rows.pop();
    }
    rows
}

/// The delimiter that gives the rows the most uniform number of fields, at least three if possible.
pub(super) fn guess_delimiter(sample: &[u8], complete: bool) -> u8 {
    let score = |delimiter: u8| {
        let rows = sample_rows(sample, delimiter, complete);
        let first = rows.first().map_or(0, Vec::len);
        let even = rows.iter().filter(|r| r.len() == first).count() * 1000 / rows.len().max(1);
        (first.min(3), even, first)
    };
    let mut best = (b'\t', score(b'\t'));
    for delimiter in *b",;|" {
        let this = score(delimiter);
        if this > best.1 {
            best = (delimiter, this);
        }
    }
    best.0
}

fn guess_header(options: &ReadOptions, rows: &[Vec<String>]) -> bool {
    let looks_timed = |row: &Vec<String>| {
        row.iter()
            .any(|f| number(f.trim().as_bytes()).is_some() || TimeUnit::Iso.parse(f.as_bytes()).is_some())
    };
    let first = &rows[0];
    let roles = [Role::Session, Role::User, Role::Item, Role::Time];
    let named = roles
        .into_iter()
        .filter(|role| {
            // A position given by an option is a number, which may also be a value in the first row.
            let named = |wanted: &str| {
                wanted.parse::<usize>().is_err() && find_wanted(wanted, Some(first), 0).is_some()
            };
            role.option(options).is_some_and(named) || find_known(*role, first).is_some()
        })
        .count();
    named >= 2 || (!looks_timed(first) && (named == 1 || rows[1..].iter().any(looks_timed)))
}

/// The unit of the times in these texts: that of the median number, or ISO 8601 if most are not numbers.
pub(super) fn guess_unit<'a>(texts: impl Iterator<Item = &'a str>) -> TimeUnit {
    let (mut numbers, mut iso) = (Vec::new(), 0);
    for text in texts {
        match number(text.trim().as_bytes()) {
            Some(value) => numbers.push(value.abs()),
            None => iso += usize::from(TimeUnit::Iso.parse(text.as_bytes()).is_some()),
        }
    }
    if numbers.is_empty() && iso == 0 {
        return TimeUnit::Auto;
    }
    if numbers.len() >= iso { median_unit(numbers) } else { TimeUnit::Iso }
}

/// The unit in which the median of these numbers is a plausible time; `Auto` if there are no numbers.
pub(super) fn median_unit(mut numbers: Vec<f64>) -> TimeUnit {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).map_or(TimeUnit::Auto, |&median| TimeUnit::of_magnitude(median))
}

/// Detects the layout of a text file that begins with `sample`.
///
/// # Errors
/// [`Error::NoEvents`] if there is only a header, [`Error::MissingColumn`].
pub(super) fn of_text(
    path: &Path,
    options: &ReadOptions,
    sample: &[u8],
    complete: bool,
    partitions: &[Partition],
) -> Result<TextLayout> {
    let delimiter = match options.delimiter {
        Some(c) => u8::try_from(c)
            .map_err(|_| Error::config("delimiter", format!("{c:?} is not one ASCII character")))?,
        None => guess_delimiter(sample, complete),
    };
    let mut rows = sample_rows(sample, delimiter, complete);
    if rows.is_empty() {
        return Err(Error::NoEvents { path: path.to_owned(), found: "the file is empty" });
    }
    let header = match options.header {
        Header::Yes => true,
        Header::No => false,
        Header::Auto => guess_header(options, &rows),
    };
    let (fields, names) = (rows[0].len(), header.then(|| rows.remove(0)));
    let columns = match &names {
        Some(names) => named_columns(path, options, names, partitions)?,
        None => unnamed_columns(path, options, &rows, partitions)?,
    };
    if rows.is_empty() && complete {
        return Err(Error::NoEvents { path: path.to_owned(), found: "there is only a header line" });
    }
    let unit = match options.time_unit {
        TimeUnit::Auto => match &columns.constants[2] {
            Some(time) => guess_unit(std::str::from_utf8(time).into_iter()),
            None => guess_unit(rows.iter().filter_map(|row| row.get(columns.at[2])).map(String::as_str)),
        },
        unit => unit,
    };
    Ok(TextLayout { delimiter, header, columns, unit, names, fields })
}

#[cfg(test)]
mod tests;

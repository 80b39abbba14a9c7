//! Sessions and items in a log without column names, by position and by what the values say against that.

use super::{Finder, TimeSource};
use crate::data::names::shortened;
use crate::data::time::{number, time_of_day};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// The first values of a column, row by row.
type Values<'a> = Vec<Option<&'a str>>;

/// The rows of each value of a column.
type Groups<'a> = HashMap<&'a str, Vec<usize>>;

/// Values that occur once are no evidence; this many that occur more often are some.
const ENOUGH: usize = 5;

impl Finder<'_> {
    /// The columns that may hold ids: neither measures, nor times of day, nor one value in all rows.
    pub(super) fn id_columns(&self, taken: &[usize]) -> Vec<usize> {
        let may_be_ids = |&at: &usize| {
            let values: Vec<&str> = self.sample.values(at).collect();
            let is_measure =
                |text: &&&str| number(text.as_bytes()).is_some_and(|number| number.fract() != 0.0);
            let is_clock = |text: &&&str| time_of_day(text.as_bytes()).is_some();
            let most = |count: usize| count * 2 > values.len();
            values.len() < ENOUGH
                || !(self.sample.distinct(at) == 1
                    || most(values.iter().filter(is_measure).count())
                    || most(values.iter().filter(is_clock).count()))
        };
        let free: Vec<usize> = (0..self.sample.count).filter(|at| !taken.contains(at)).collect();
        let ids: Vec<usize> = free.iter().copied().filter(may_be_ids).collect();
        // Too few: the columns by position, about which there will be warnings.
        if ids.len() < 2 { free } else { ids }
    }

    /// The item column of a log without names: the first one that may hold ids, after the session's.
    ///
    /// # Errors
    /// [`Error::AmbiguousLog`] if several columns may be the items.
    pub(super) fn unnamed_item(&self, taken: &[usize], has_session: bool) -> Result<Option<usize>> {
        let mut ids = self.id_columns(taken);
        if !has_session && !ids.is_empty() {
            ids.remove(0);
        }
        let Some(&first) = ids.first() else { return Ok(None) };
        // Of items and what is said of them (artist and track, product and category), items have the most values.
        let distinct: Vec<usize> = ids.iter().map(|&at| self.sample.distinct(at)).collect();
        let most = distinct.iter().copied().max().unwrap_or(0);
        if distinct[0] * 10 < most * 9 && most > 3 {
            let columns: Vec<String> = ids
                .iter()
                .zip(&distinct)
                .map(|(&at, count)| {
                    let example = self.sample.values(at).next().map(shortened).unwrap_or_default();
                    format!("{} ({count} values, such as {example})", self.sample.label(at))
                })
                .collect();
            return Err(self.asks(&format!(
                "the file has no header, and several columns may be the items: {}; name one by `item_column`",
                columns.join(", ")
            )));
        }
        Ok(Some(first))
    }

    /// Checks that the values do not speak against these columns, which were taken by position.
    ///
    /// # Errors
    /// [`Error::AmbiguousLog`] if they do.
    pub(super) fn doubt(&self, session: usize, item: usize, time: &TimeSource) -> Result<()> {
        let (sessions, items) = (self.row_values(session), self.row_values(item));
        let (by_session, by_item) = (groups(&sessions), groups(&items));
        let (session, item) = (self.sample.label(session), self.sample.label(item));
        let which = "name the columns by `session_column` and `item_column`";
        let all = |groups: &Groups<'_>, values: &Values<'_>| {
            let one = |rows: &&&Vec<usize>| rows.iter().all(|&row| values[row] == values[rows[0]]);
            let several: Vec<&Vec<usize>> = groups.values().filter(|rows| rows.len() > 1).collect();
            let rows: usize = several.iter().map(|rows| rows.len()).sum();
            (several.len() >= ENOUGH && several.iter().filter(one).count() * 20 >= several.len() * 19, rows)
        };
        let (one_item_a_session, _) = all(&by_session, &items);
        if one_item_a_session {
            return Err(self.asks(&format!(
                "the file has no header, and {item} has one value for each value of {session}: a user, or something else that does not change within a session? {which}"
            )));
        }
        let (one_session_an_item, rows) = all(&by_item, &sessions);
        if one_session_an_item && rows * 10 >= items.len() * 8 {
            return Err(self.asks(&format!(
                "the file has no header, and a value of {item} occurs with one value of {session} only: is {item} the session of a user? {which}"
            )));
        }
        let TimeSource::Column(column, reader) = time else { return Ok(()) };
        let times: Vec<Option<i64>> = self
            .row_values(column.at)
            .into_iter()
            .map(|text| text.and_then(|text| reader.parse(text.as_bytes())).map(|time| time.micros))
            .collect();
        let (of_session, of_item) = (span(&by_session, &times), span(&by_item, &times));
        if let (Some(of_session), Some(of_item)) = (of_session, of_item)
            && rows * 10 >= items.len() * 8
            && of_item < of_session / 10
        {
            return Err(self.asks(&format!(
                "the file has no header, and events with the same value of {item} are closer together in time than those of {session}: which of the two holds the sessions? {which}"
            )));
        }
        Ok(())
    }

    fn row_values(&self, column: usize) -> Values<'_> {
        let values = self.sample.columns.get(column).map(Vec::as_slice).unwrap_or_default();
        values.iter().map(|value| value.as_deref().map(str::trim)).collect()
    }

    pub(super) fn asks(&self, question: &str) -> Error {
        Error::AmbiguousLog { path: self.path.to_owned(), question: question.to_owned() }
    }
}

fn groups<'a>(values: &Values<'a>) -> Groups<'a> {
    let mut groups = Groups::new();
    for (row, value) in values.iter().enumerate() {
        if let Some(value) = value {
            groups.entry(value).or_default().push(row);
        }
    }
    groups
}

/// The median of the times from the first to the last row of groups of two or more; `None` if there are too few.
fn span(groups: &Groups<'_>, times: &[Option<i64>]) -> Option<i64> {
    let span = |rows: &Vec<usize>| {
        let times = rows.iter().filter_map(|&row| times.get(row).copied().flatten());
        Some(times.clone().max()?.saturating_sub(times.min()?))
    };
    let mut spans: Vec<i64> = groups.values().filter(|rows| rows.len() > 1).filter_map(span).collect();
    spans.sort_unstable();
    if spans.len() < ENOUGH { None } else { Some(spans[spans.len() / 2]) }
}

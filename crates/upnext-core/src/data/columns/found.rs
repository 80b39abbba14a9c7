//! The first rows of a file, and the columns that are found in it.

use crate::data::cells::Cell;
use crate::data::few_values::FewValues;
use crate::data::names::{find_wanted, shortened};
use crate::data::normalize;
use crate::data::options::Condition;
use crate::data::time::TimeUnit;
use crate::data::time::reader::TimeReader;

/// The first rows of a file, from which its columns are found.
#[derive(Clone, Debug, Default)]
pub(in crate::data) struct Sample {
    /// The names of all columns, if the file has them.
    pub(in crate::data) names: Option<Vec<String>>,
    /// Number of columns.
    pub(in crate::data) count: usize,
    /// The first values of each column as text; `None` for a missing value.
    pub(in crate::data) columns: Vec<Vec<Option<String>>>,
    /// The columns whose type is that of times, so that their values need no format, and the units of the types.
    pub(in crate::data) typed: Vec<(usize, TimeUnit)>,
    /// The columns in lists, whose elements are rows.
    pub(in crate::data) in_lists: Vec<usize>,
}

impl Sample {
    /// The values of a column, without missing ones.
    pub(in crate::data) fn values(&self, column: usize) -> impl Iterator<Item = &str> {
        let values = self.columns.get(column).map(Vec::as_slice).unwrap_or_default();
        let present = values.iter().filter_map(|value| value.as_deref().map(str::trim));
        present.filter(|text| !normalize::is_null(text.as_bytes()))
    }

    /// The rows that meet these conditions; `None` if they are all, or if the columns are not row by row.
    pub(super) fn meeting(&self, conditions: &[Condition]) -> Option<Self> {
        let rows = self.columns.first().map(Vec::len).filter(|_| !conditions.is_empty())?;
        if self.columns.iter().any(|column| column.len() != rows) {
            return None;
        }
        let meets = |row: usize| {
            conditions.iter().all(|condition| {
                let at = find_wanted(&condition.column, self.names.as_deref(), self.count);
                let value = |at: usize| self.columns[at][row].as_deref().map(str::as_bytes);
                let cell = |at: usize| value(at).map_or(Cell::Missing, Cell::Text);
                let is_one = |at: usize| condition.values.iter().any(|text| cell(at).is(text.as_bytes()));
                at.is_none_or(|at| is_one(at) != condition.excludes)
            })
        };
        let kept: Vec<usize> = (0..rows).filter(|&row| meets(row)).collect();
        let of_column = |column: &Vec<Option<String>>| kept.iter().map(|&row| column[row].clone()).collect();
        Some(Self { columns: self.columns.iter().map(of_column).collect(), ..self.clone() })
    }

    /// Number of different values of a column.
    pub(super) fn distinct(&self, column: usize) -> usize {
        let mut values: Vec<&str> = self.values(column).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    }

    /// The name of a column in messages, such as `column 3 (Time)`.
    pub(super) fn label(&self, column: usize) -> String {
        match &self.names {
            Some(names) => format!("column {} ({})", column + 1, shortened(&names[column])),
            None => format!("column {}", column + 1),
        }
    }
}

/// A column of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Column {
    /// Its position from 0. Columns given by folder names are numbered after those of the file.
    pub(in crate::data) at: usize,
    /// Its name in messages.
    pub(in crate::data) label: String,
    /// The value in every row, for a column that is given by a folder name.
    pub(in crate::data) constant: Option<Vec<u8>>,
}

/// What gives the time of a row.
#[derive(Clone, Debug)]
pub(in crate::data) enum TimeSource {
    /// A column.
    Column(Column, TimeReader),
    /// A column of days and one of times of day.
    DayAndTime(Column, TimeReader, Column),
    /// The number of the row.
    Rows,
}

/// The columns of a log.
#[derive(Clone, Debug)]
pub(in crate::data) struct Columns {
    /// The columns of the session's key, users first; empty if every row is a session.
    pub(in crate::data) session: Vec<Column>,
    pub(in crate::data) item: Column,
    /// Whether the item column holds lists of items, each of which is an event.
    pub(in crate::data) has_lists: bool,
    /// Whether the items of a record are in a list and their times are not, so that their order is that of the list.
    pub(in crate::data) in_list: bool,
    pub(in crate::data) time: TimeSource,
    pub(in crate::data) order: Option<Column>,
    /// A user column that is not part of the key.
    pub(in crate::data) user: Option<Column>,
    /// Conditions: the column, its values, and whether rows with one of them are left out.
    pub(in crate::data) conditions: Vec<(Column, Vec<Vec<u8>>, bool)>,
    /// What was guessed, for the report.
    pub(in crate::data) guesses: Vec<String>,
    /// What looks wrong.
    pub(in crate::data) warnings: Vec<String>,
    /// Columns of few values that nothing uses.
    pub(in crate::data) few_values: Vec<FewValues>,
}

impl Columns {
    /// The names of the session's columns in messages.
    pub(in crate::data) fn session_label(&self) -> String {
        match &self.session[..] {
            [] => "every row".to_owned(),
            columns => columns.iter().map(|column| column.label.as_str()).collect::<Vec<_>>().join(" and "),
        }
    }

    /// The name of the time column in messages.
    pub(in crate::data) fn time_label(&self) -> String {
        match &self.time {
            TimeSource::Column(column, _) => column.label.clone(),
            TimeSource::DayAndTime(day, _, time) => format!("{} and {}", day.label, time.label),
            TimeSource::Rows => "the order of the rows".to_owned(),
        }
    }

    /// All columns that a row needs.
    pub(in crate::data) fn used(&self) -> impl Iterator<Item = &Column> {
        let times: [Option<&Column>; 2] = match &self.time {
            TimeSource::Column(column, _) => [Some(column), None],
            TimeSource::DayAndTime(day, _, time) => [Some(day), Some(time)],
            TimeSource::Rows => [None, None],
        };
        let conditions = self.conditions.iter().map(|(column, ..)| column);
        let others = times.into_iter().chain([self.order.as_ref(), self.user.as_ref()]).flatten();
        self.session.iter().chain([&self.item]).chain(others).chain(conditions)
    }

    /// The positions of the needed columns of the file, ascending.
    pub(in crate::data) fn positions(&self) -> Vec<usize> {
        let mut at: Vec<usize> =
            self.used().filter(|column| column.constant.is_none()).map(|column| column.at).collect();
        at.sort_unstable();
        at.dedup();
        at
    }
}

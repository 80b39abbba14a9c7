//! Preparation as SQL: the rules of [`prepare`](super::prepare()) as queries for the engine that has the log.
//!
//! A [`SqlPlan`] is a list of queries, each of which makes a table from those before it or a folder of the preparation. Who runs
//! them (the Python package, or anyone with the script that `upnext sql prepare` prints) needs no other rule than this order, except
//! that rounds of the filter may be repeated until one drops nothing.
//!
//! The result is a folder of item indices ([`IndexedFolder`](super::IndexedFolder)) with the events, sessions, items and counts of
//! `prepare` with [`RowOrder::Ids`](super::RowOrder::Ids): a table has no order, so that events of a session at the same time are
//! ordered by the order column and then by their items' ids, and sessions that end at the same time by their ids.

mod dialect;
mod filters;
mod outputs;
mod script;
mod split;

use super::prepare::PrepareOptions;
use super::time::TimeSpan;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

pub use dialect::{Dialect, IdForm, TimeForm};
pub(crate) use outputs::FORMAT_VERSION;

/// A log in an engine, and how it is prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlOptions {
    /// The engine's SQL.
    pub dialect: Dialect,
    /// The log: the name of a table or view, or a query in parentheses, as it stands in the script.
    pub source: String,
    /// The session columns; several are a key together. With `session_gap`, they may be those of a user.
    pub session: Vec<IdColumn>,
    /// The item column.
    pub item: IdColumn,
    /// The time column.
    pub time: String,
    /// How times are stored.
    #[serde(default)]
    pub time_form: TimeForm,
    /// The column of integers that orders the events of a session with the same time; absent: their items' ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// A pause longer than this begins a new session. Absent: sessions are not cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_gap: Option<TimeSpan>,
    /// Whether texts such as NULL and None are ids.
    #[serde(default)]
    pub keep_null_ids: bool,
    /// How often rare items and short sessions are dropped; with [`PrepareOptions::iterate_filters`] the caller asks for one more
    /// as long as the last one has dropped something. 1 or more.
    #[serde(default = "one")]
    pub rounds: usize,
    /// The rules.
    #[serde(default)]
    pub rules: PrepareOptions,
}

fn one() -> usize {
    1
}

/// A column of ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdColumn {
    /// Its name.
    pub name: String,
    /// How its ids are stored.
    #[serde(default)]
    pub form: IdForm,
}

/// What a query makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqlKind {
    /// A view, which is used once or cheap.
    View,
    /// A table, which is used by several queries.
    Table,
    /// Parquet files in a folder of the preparation, with the rows in their order.
    Folder,
}

/// One query of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SqlStep {
    /// The name of the view or table, or of the folder.
    pub name: String,
    /// What it makes.
    pub kind: SqlKind,
    /// What it is, for whoever reads the script.
    pub about: String,
    /// The query.
    pub query: String,
}

/// The queries of a preparation, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SqlPlan {
    /// The queries.
    pub steps: Vec<SqlStep>,
}

/// Prefix of the names of views and tables.
pub const TABLE_PREFIX: &str = "upnext_";

impl SqlPlan {
    /// The queries that prepare a log.
    ///
    /// # Errors
    /// [`Error::Config`] for invalid rules, and for a log without session columns.
    pub fn new(options: &SqlOptions) -> Result<Self> {
        options.rules.check()?;
        if options.session.is_empty() {
            return Err(Error::config("session_column", "is missing: name the column of sessions"));
        }
        if options.rounds == 0 {
            return Err(Error::config("rounds", "must be at least 1"));
        }
        let mut plan = Self { steps: Vec::new() };
        filters::add(options, &mut plan);
        split::add(options, &mut plan);
        outputs::add(options, &mut plan);
        Ok(plan)
    }

    /// Adds a query and returns the name of what it makes.
    fn add(&mut self, kind: SqlKind, name: &str, about: &str, query: String) -> String {
        let name = if kind == SqlKind::Folder { name.to_owned() } else { format!("{TABLE_PREFIX}{name}") };
        self.steps.push(SqlStep { name: name.clone(), kind, about: about.to_owned(), query });
        name
    }

    fn view(&mut self, name: &str, about: &str, query: String) -> String {
        self.add(SqlKind::View, name, about, query)
    }

    fn table(&mut self, name: &str, about: &str, query: String) -> String {
        self.add(SqlKind::Table, name, about, query)
    }

    fn folder(&mut self, name: &str, about: &str, query: String) {
        self.add(SqlKind::Folder, name, about, query);
    }
}

#[cfg(test)]
mod tests;

//! How a click log is to be read: the `[data]` settings of the reader.

use super::time::{TimeSpan, TimeUnit};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Whether a text file begins with a line of column names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Header {
    /// Found from the first rows.
    #[default]
    Auto,
    /// The first line holds names.
    Yes,
    /// The first line is an event.
    No,
}

/// Which columns of a log mean what, and how they are written. By default all of it is found from the file.
///
/// A column is given by its name (as written, else in any case) or by its position counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The session column. Absent: found by name (`SessionId`, `session_id`, `visitorid`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_column: Option<String>,
    /// The item column. Absent: found by name (`ItemId`, `item_id`, `product_id`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_column: Option<String>,
    /// The time column. Absent: found by name (`Time`, `timestamp`, `ts`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_column: Option<String>,
    /// The user column, for logs without sessions: a user's events are cut into sessions by `session_gap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_column: Option<String>,
    /// Where the next event is later than this, a new session begins. Absent: sessions are not cut, except those
    /// made from a user column, where it is 30 minutes, the custom of web analytics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_gap: Option<TimeSpan>,
    /// The character between fields. Absent: found among tab, comma, semicolon and bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Whether the first line holds column names.
    pub header: Header,
    /// How times are written. Parquet columns of type timestamp or date need no unit.
    pub time_unit: TimeUnit,
    /// Leave out rows that are no events (they are counted), instead of failing.
    pub skip_bad_rows: bool,
}

impl ReadOptions {
    /// The gap that a log with a user column is cut by when none is given: 30 minutes.
    pub const USER_SESSION_GAP_SECONDS: i64 = 1_800;

    /// Whether the options make sense together.
    ///
    /// # Errors
    /// [`Error::Config`] for a delimiter that is not one ASCII character, or for both a session and a user column.
    pub fn check(&self) -> Result<()> {
        if let Some(delimiter) = self.delimiter
            && (!delimiter.is_ascii() || matches!(delimiter, '"' | '\n' | '\r' | '\0'))
        {
            return Err(Error::config(
                "delimiter",
                format!("{delimiter:?} cannot separate fields: use one ASCII character"),
            ));
        }
        if self.session_column.is_some() && self.user_column.is_some() {
            return Err(Error::config(
                "user_column",
                "give either a session column or a user column; to cut given sessions at pauses, set session_gap alone",
            ));
        }
        Ok(())
    }

    /// The gap at which sessions are cut, if they are.
    pub(crate) fn effective_gap(&self) -> Option<TimeSpan> {
        let of_users = || TimeSpan::from_seconds(Self::USER_SESSION_GAP_SECONDS);
        self.session_gap.or_else(|| self.user_column.as_ref().and_then(|_| of_users()))
    }
}

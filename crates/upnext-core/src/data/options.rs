//! Options of reading a click log.

use super::time::{TimeSpan, TimeUnit};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Whether a text file begins with a line of column names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Header {
    /// Detected from the first rows.
    #[default]
    Auto,
    /// The first line holds names.
    Yes,
    /// The first line is an event.
    No,
}

/// The columns of a log and the format of their values. By default, everything is detected.
///
/// A column is given by its name (an exact match is preferred to one in any case) or by its position, counted from 1.
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
    /// The user column, for logs without sessions: a user's events are cut into sessions at `session_gap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_column: Option<String>,
    /// A pause longer than this begins a new session. Absent: sessions are not cut, except with a user column, where
    /// the gap is 30 minutes, as is usual in web analytics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_gap: Option<TimeSpan>,
    /// The character between fields. Absent: detected among tab, comma, semicolon and vertical bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Whether the first line holds column names.
    pub header: Header,
    /// The unit or format of times. Parquet columns of type timestamp or date need none.
    pub time_unit: TimeUnit,
    /// Whether rows that are not valid events are skipped and counted, instead of being an error.
    pub skip_bad_rows: bool,
}

impl ReadOptions {
    /// The default gap in seconds for a log with a user column: 30 minutes.
    pub const USER_SESSION_GAP_SECONDS: i64 = 1_800;

    /// Checks the options.
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

    /// The gap at which sessions are cut; `None` if they are not cut.
    pub(crate) fn effective_gap(&self) -> Option<TimeSpan> {
        let of_users = || TimeSpan::from_seconds(Self::USER_SESSION_GAP_SECONDS);
        self.session_gap.or_else(|| self.user_column.as_ref().and_then(|_| of_users()))
    }
}

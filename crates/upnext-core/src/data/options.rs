//! Options of reading a click log.

use super::time::{TimeSpan, TimeUnit};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

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

/// How fields of a text file are quoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quote {
    /// By double quotation marks; in tab-separated text only if the first rows have fields that begin and end with one.
    #[default]
    Auto,
    /// By double quotation marks, also where a field spans lines that look like rows.
    Double,
    /// Quotation marks are characters like any other.
    None,
}

/// Whether a column of items holds lists, each element of which is an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Lists {
    /// Decided by the first values: in brackets, or several ids, not always of the same number.
    #[default]
    Auto,
    /// Lists, whose elements are separated by white space, commas, semicolons or bars.
    Yes,
    /// Ids, whatever they look like.
    No,
}

/// What gives the order of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowOrder {
    /// The time column.
    #[default]
    Time,
    /// The order of the rows: the log has no times, and the number of the row stands for the time.
    Rows,
    /// The time column and, where times are equal, the order column and then the ids, whatever the order of the rows: the
    /// order of a log that is prepared by SQL, whose rows have none.
    Ids,
}

/// A condition on a column: rows that do not meet it are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The column, by name or position from 1.
    pub column: String,
    /// The values, without white space around them.
    pub values: Vec<String>,
    /// Whether rows with one of the values are left out, instead of those without.
    pub excludes: bool,
}

impl FromStr for Condition {
    type Err = String;

    /// Parses `column=value[,value…]` or `column!=value[,value…]`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || {
            format!("`{text}` is no condition: write it as event=view, as event=view,cart or as type!=filter")
        };
        let (column, values) = text.split_once('=').ok_or_else(wrong)?;
        let (column, excludes) = column.strip_suffix('!').map_or((column, false), |column| (column, true));
        let (column, values) = (column.trim(), values.split(',').map(|value| value.trim().to_owned()));
        if column.is_empty() {
            return Err(wrong());
        }
        Ok(Self { column: column.to_owned(), values: values.collect(), excludes })
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.column, if self.excludes { "!=" } else { "=" }, self.values.join(","))
    }
}

impl Serialize for Condition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The columns of a log and the format of their values. By default, everything is detected.
///
/// A column is given by its name (an exact match is preferred to one in any case) or by its position, counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The session columns; several are a key together. Empty: found by name (`SessionId`, `session_id`, …).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub session_column: Vec<String>,
    /// The item column. Absent: found by name (`ItemId`, `item_id`, `product_id`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_column: Option<String>,
    /// The time column. Absent: found by name (`Time`, `timestamp`, `ts`, …) or by its values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_column: Option<String>,
    /// The user column. Without session columns, a user's events are cut into sessions at `session_gap`; with them, it
    /// is the first part of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_column: Option<String>,
    /// The column that orders the events of a session that have the same time. Absent: found by name (`position`,
    /// `step`, `timeframe`, …); `none` for no column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_column: Option<String>,
    /// Whether the item column holds lists of items.
    #[serde(skip_serializing_if = "is_default")]
    pub item_lists: Lists,
    /// What gives the order of events.
    #[serde(skip_serializing_if = "is_default")]
    pub order: RowOrder,
    /// A pause longer than this begins a new session. Absent: sessions are not cut, except with a user column and no
    /// session column, where the gap is 30 minutes, as is usual in web analytics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_gap: Option<TimeSpan>,
    /// Whether the same session id in two files is two sessions, for logs whose ids begin again in every file.
    #[serde(skip_serializing_if = "is_default")]
    pub sessions_per_file: bool,
    /// Conditions on columns: rows that do not meet all of them are left out.
    #[serde(rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The text between fields, one or more ASCII characters. Absent: detected among tab, comma, semicolon, vertical
    /// bar, two colons and space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// How fields are quoted.
    #[serde(skip_serializing_if = "is_default")]
    pub quote: Quote,
    /// The encoding of text files, a label of the WHATWG Encoding Standard such as `latin1`. Absent: UTF-8, or UTF-16 if
    /// the file begins with its byte order mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Whether the first line holds column names.
    pub header: Header,
    /// The unit or format of times. Parquet columns of type timestamp or date need none.
    pub time_unit: TimeUnit,
    /// The pattern of times as text, in the notation of `strftime`, such as `%d.%m.%Y %H:%M`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_format: Option<String>,
    /// The time zone of times that do not name theirs, such as `Europe/Berlin`. Absent: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Other texts that stand for a missing id, besides the empty one and [`NULL_MARKERS`](super::NULL_MARKERS).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nulls: Vec<String>,
    /// Whether [`NULL_MARKERS`](super::NULL_MARKERS) are ids, as in a shop with an item called "None".
    #[serde(skip_serializing_if = "is_default")]
    pub keep_null_ids: bool,
    /// Whether rows that are not valid events are skipped and counted, instead of being an error.
    pub skip_bad_rows: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ReadOptions {
    /// The default gap in seconds for a log with users and no sessions: 30 minutes.
    pub const USER_SESSION_GAP_SECONDS: i64 = 1_800;

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Config`] for a delimiter that cannot separate fields, and for options that contradict each other.
    pub fn check(&self) -> Result<()> {
        if let Some(delimiter) = &self.delimiter
            && (delimiter.is_empty()
                || !delimiter.is_ascii()
                || delimiter.contains(['"', '\n', '\r', '\0'])
                || delimiter.contains(|c: char| c.is_ascii_alphanumeric())
                || delimiter.len() > 4)
        {
            let reason = format!(
                "{delimiter:?} cannot separate fields: use one to four ASCII characters that are no letters and digits"
            );
            return Err(Error::config("delimiter", reason));
        }
        if self.order == RowOrder::Rows && self.time_column.is_some() {
            return Err(Error::config(
                "order",
                "the order of the rows takes the place of a time column: give one of them",
            ));
        }
        if self.order == RowOrder::Rows && self.session_gap.is_some() {
            return Err(Error::config(
                "session_gap",
                "sessions cannot be cut at pauses in a log without times",
            ));
        }
        Ok(())
    }

    /// The gap at which sessions are cut; `None` if they are not cut.
    #[cfg(feature = "logs")]
    pub(crate) fn effective_gap(&self) -> Option<TimeSpan> {
        let only_user =
            self.user_column.is_some() && self.session_column.is_empty() && self.order != RowOrder::Rows;
        let of_users = || TimeSpan::from_seconds(Self::USER_SESSION_GAP_SECONDS);
        self.session_gap.or_else(|| only_user.then(of_users).flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_written_as_they_are_read() {
        for (text, column, values, excludes) in [
            ("event=view", "event", &["view"][..], false),
            ("type != filter, ad", "type", &["filter", "ad"], true),
            ("a=", "a", &[""], false),
            ("a=b=c", "a", &["b=c"], false),
        ] {
            let condition: Condition = text.parse().unwrap();
            assert_eq!(condition.column, column);
            assert_eq!(
                (&condition.values[..], condition.excludes),
                (&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()[..], excludes)
            );
            assert_eq!(condition.to_string().parse::<Condition>().unwrap(), condition);
        }
        assert!("view".parse::<Condition>().is_err() && "=view".parse::<Condition>().is_err());
    }
}

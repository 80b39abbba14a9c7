//! The lines of session files: the CRC-32 of a JSON as 8 hex digits, a space, the JSON, and a line feed.

use super::clock::Now;
use super::table::{Kept, Table};
use super::{Event, Session};
use crate::checksum;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

/// The version of the format.
pub(super) const VERSION: u32 = 3;

/// The contents of a line. What has a default is missing in files of versions 1 and 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Record<'a> {
    /// The first line of a file.
    Upnext {
        /// The format's version.
        sessions: u32,
        /// The number of the newest log whose changes a snapshot contains.
        #[serde(default)]
        covers: u64,
        /// A number of the process that wrote the file, since the steady times of each have a beginning of their own.
        #[serde(default)]
        run: u64,
        /// The times at which the file began.
        #[serde(default)]
        ms: u64,
        #[serde(default)]
        steady_ms: u64,
    },
    /// A session, in a snapshot.
    Session {
        #[serde(borrow)]
        id: Cow<'a, str>,
        items: Vec<Cow<'a, str>>,
        events: u64,
        began_ms: u64,
        last_event_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steady_ms: Option<u64>,
        #[serde(default)]
        seq: u64,
        /// The keys of its latest events with keys, and what these were.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keys: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    },
    /// An event.
    Event {
        #[serde(borrow)]
        id: Cow<'a, str>,
        item: Cow<'a, str>,
        ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steady_ms: Option<u64>,
        #[serde(default)]
        seq: u64,
        /// The number of the event in its session, from 1; 0: the next, if the session is not over. Of an event that is no
        /// click, the number of the one before.
        #[serde(default)]
        number: u64,
        /// Whether it is no click, and not one of the items that lists are made of.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        other: bool,
        /// The client's name of the event, and what it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<(Cow<'a, str>, Cow<'a, str>)>,
    },
    /// The removal of a session.
    Removed {
        #[serde(borrow)]
        id: Cow<'a, str>,
        ms: u64,
        #[serde(default)]
        seq: u64,
    },
}

impl Record<'_> {
    /// The first line of a file that begins now.
    pub(super) fn heading(covers: u64, run: u64, now: Now) -> Record<'static> {
        Record::Upnext { sessions: VERSION, covers, run, ms: now.wall_ms, steady_ms: now.steady_ms }
    }

    /// Appends the record's line to `lines`.
    pub(super) fn write(&self, lines: &mut Vec<u8>) -> io::Result<()> {
        let json = serde_json::to_vec(self)?;
        write!(lines, "{:08x} ", checksum(&json))?;
        lines.extend_from_slice(&json);
        lines.push(b'\n');
        Ok(())
    }

    /// Parses a line; `None` for one that is truncated or damaged.
    pub(super) fn read(line: &[u8]) -> Option<Record<'_>> {
        let (sum, json) = (line.get(..8)?, line.strip_suffix(b"\n")?.get(9..)?);
        let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
        (sum == checksum(json)).then(|| serde_json::from_slice(json).ok())?
    }

    /// Does to a table what the record says was done; a heading does nothing. What the table has done already is skipped, by
    /// the numbers `seq` of changes: a snapshot is made while changes go on, and has some of those that the logs after it
    /// have, too.
    pub(super) fn replay(self, table: &mut Table) {
        match self {
            Record::Session { id, items, events, began_ms, last_event_ms, steady_ms, seq, keys } => {
                let keys = keys.iter().map(|(key, what)| (Arc::from(&**key), Arc::from(&**what)));
                let items = items.iter().map(|item| Arc::from(&**item)).collect();
                table.restore(Kept {
                    id: Arc::from(&*id),
                    session: Session { items, events, began_ms, last_event_ms },
                    steady_ms: steady_ms.unwrap_or(last_event_ms),
                    seq,
                    keys: keys.collect(),
                });
            }
            Record::Event { id, item, ms, steady_ms, seq, number, other, key } => {
                let now = Now { wall_ms: ms, steady_ms: steady_ms.unwrap_or(ms) };
                let key = key.map(|(key, what)| (Arc::from(&*key), Arc::from(&*what)));
                let event = Event { item: Arc::from(&*item), is_click: !other, key };
                table.replay(&id, &event, now, seq, number);
            }
            Record::Removed { id, seq, .. } => table.forget(&id, seq),
            Record::Upnext { .. } => {}
        }
    }
}

impl<'a> From<&'a Kept> for Record<'a> {
    fn from(kept: &'a Kept) -> Self {
        let session = &kept.session;
        Record::Session {
            id: Cow::Borrowed(&kept.id),
            items: session.items.iter().map(|item| Cow::Borrowed(&**item)).collect(),
            events: session.events,
            began_ms: session.began_ms,
            last_event_ms: session.last_event_ms,
            steady_ms: Some(kept.steady_ms),
            seq: kept.seq,
            keys: kept
                .keys
                .iter()
                .map(|(key, item)| (Cow::Borrowed(&**key), Cow::Borrowed(&**item)))
                .collect(),
        }
    }
}

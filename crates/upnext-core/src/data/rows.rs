//! Appends events to a log, with checked ids.

use super::events::{Event, EventLog};
use super::ids::MAX_ID_BYTES;
use super::report::RowProblem;
use super::sessions::TimeMicros;

/// Appends events to a log: checks ids and converts them to numbers.
pub(super) struct LogBuilder<'a> {
    log: &'a mut EventLog,
}

impl<'a> LogBuilder<'a> {
    pub(super) fn new(log: &'a mut EventLog) -> Self {
        Self { log }
    }

    /// Whether the log has too many events.
    pub(super) fn is_full(&self) -> bool {
        self.log.events.len() >= u32::MAX as usize
    }

    /// Appends an event, or returns what is wrong with its ids; `labels` are the names of their columns in messages.
    pub(super) fn push(
        &mut self,
        session: &[u8],
        item: &[u8],
        time: TimeMicros,
        labels: [&str; 2],
    ) -> std::result::Result<(), RowProblem> {
        let log = &mut *self.log;
        // Most rows continue the session of the row before.
        let last = log.events.last().map(|e| e.session);
        let session_number = last
            .filter(|&s| log.session_ids.get(s).as_bytes() == session)
            .or_else(|| log.session_ids.find_bytes(session));
        let item_number = log.item_ids.find_bytes(item);
        // Only ids not seen before need to be checked, and both are checked before one is added.
        let new_session = session_number.is_none().then(|| checked(session, labels[0])).transpose()?;
        let new_item = item_number.is_none().then(|| checked(item, labels[1])).transpose()?;
        let add = |number: Option<u32>, new: Option<&str>, ids: &mut super::ids::IdTable| match (number, new)
        {
            (Some(number), _) => number,
            (None, Some(id)) => ids.add_new(id),
            (None, None) => unreachable!("an id without a number was checked as a new one"),
        };
        let session = add(session_number, new_session, &mut log.session_ids);
        let item = add(item_number, new_item, &mut log.item_ids);
        log.events.push(Event { session, item, time });
        Ok(())
    }
}

/// Checks an id and returns it as text.
pub(super) fn checked<'a>(id: &'a [u8], label: &str) -> std::result::Result<&'a str, RowProblem> {
    let column = || label.to_owned();
    if id.is_empty() {
        return Err(RowProblem::EmptyId { column: column() });
    }
    if id.len() > MAX_ID_BYTES {
        return Err(RowProblem::LongId { column: column(), bytes: id.len() });
    }
    if id.contains(&0) {
        return Err(RowProblem::NulByte { column: column() });
    }
    std::str::from_utf8(id).map_err(|_| RowProblem::InvalidUtf8 { column: column() })
}

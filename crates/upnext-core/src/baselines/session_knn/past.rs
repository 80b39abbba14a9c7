//! The stored training sessions, most recent first, and an index of them by item.

use crate::arrays::Arrays;
use crate::data::{ItemIndex, Sessions};
use crate::{Error, Result};

/// A distinct item of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionItem {
    pub(super) item: ItemIndex,
    /// The position of the item's last event in the session, from 0.
    pub(super) position: u32,
}

/// Training sessions as sets of items, most recent first: session 0 began last. Of sessions that began at the same
/// time, the later in the data comes first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PastSessions {
    /// The distinct items of all sessions, by session and then by position.
    session_items: Vec<SessionItem>,
    /// The end of session `s` in `session_items` is `ends[s]`.
    ends: Vec<usize>,
    /// The time from the start of each session to that of session 0, in microseconds, ascending.
    ages_us: Vec<u64>,
}

impl PastSessions {
    /// Stores the sessions of at least one event.
    pub(super) fn new(sessions: &Sessions, num_items: usize) -> Self {
        let (rows, starts) = (sessions.rows(), sessions.starts().collect::<Vec<_>>());
        let mut order: Vec<usize> = (0..sessions.len()).filter(|&s| !rows.session(s).is_empty()).collect();
        order.sort_unstable_by_key(|&s| std::cmp::Reverse((starts[s], s)));
        let mut past = Self::default();
        // The last session in which each item was seen, counted from 1, so that nothing needs to be cleared.
        let mut seen = vec![0; num_items];
        for (number, &s) in order.iter().enumerate() {
            let begin = past.session_items.len();
            for (position, &item) in rows.session(s).iter().enumerate().rev() {
                if std::mem::replace(&mut seen[item as usize], number + 1) != number + 1 {
                    past.session_items.push(SessionItem { item, position: position as u32 });
                }
            }
            past.session_items[begin..].reverse();
            past.ends.push(past.session_items.len());
            past.ages_us.push(starts[order[0]].abs_diff(starts[s]));
        }
        past
    }

    /// Number of sessions.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The distinct items of a session, by position.
    pub(super) fn session(&self, s: u32) -> &[SessionItem] {
        let s = s as usize;
        &self.session_items[if s == 0 { 0 } else { self.ends[s - 1] }..self.ends[s]]
    }

    /// The time from the start of session `s` to that of session 0, in microseconds.
    pub(super) fn age_us(&self, s: u32) -> u64 {
        self.ages_us[s as usize]
    }

    /// The sessions as arrays, for [`from_arrays`](Self::from_arrays).
    pub(super) fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        let mut add = |name: &str, values: Vec<u64>| arrays.counts.insert(name.into(), values);
        add(ITEMS, self.session_items.iter().map(|entry| entry.item.into()).collect());
        add(POSITIONS, self.session_items.iter().map(|entry| entry.position.into()).collect());
        add(ENDS, self.ends.iter().map(|&end| end as u64).collect());
        add(AGES, self.ages_us.clone());
        arrays
    }

    /// Creates the sessions from the result of [`arrays`](Self::arrays).
    ///
    /// # Errors
    /// [`Error::Weights`] for arrays that are not sessions of `num_items` items.
    pub(super) fn from_arrays(num_items: usize, mut arrays: Arrays) -> Result<Self> {
        let items = arrays.take_counts(ITEMS)?;
        let positions = arrays.take_counts(POSITIONS)?;
        let stored_ends = arrays.take_counts(ENDS)?;
        let ages_us = arrays.take_counts(AGES)?;
        arrays.finish()?;
        if positions.len() != items.len() {
            let reason = format!("has {} numbers for {} items", positions.len(), items.len());
            return Err(Error::weights(POSITIONS, reason));
        }
        if let Some(item) = items.iter().find(|&&item| item >= num_items as u64) {
            return Err(Error::weights(
                ITEMS,
                format!("has item {item}, and the model has {num_items} items"),
            ));
        }
        let mut ends = Vec::with_capacity(stored_ends.len());
        let mut begin = 0;
        for &end in &stored_ends {
            if end <= begin as u64 || end > items.len() as u64 {
                return Err(Error::weights(
                    ENDS,
                    format!("has {end} after {begin}, for {} items", items.len()),
                ));
            }
            begin = end as usize;
            ends.push(begin);
        }
        if begin != items.len() {
            return Err(Error::weights(ENDS, format!("ends at {begin}, for {} items", items.len())));
        }
        if ends.len() >= u32::MAX as usize {
            return Err(Error::weights(ENDS, format!("has {} sessions, too many", ends.len())));
        }
        if ages_us.len() != ends.len() || !ages_us.is_sorted() || ages_us.first().is_some_and(|&age| age != 0)
        {
            let reason = format!("is not one age a session for {} sessions, from 0 upwards", ends.len());
            return Err(Error::weights(AGES, reason));
        }
        let mut session_items = Vec::with_capacity(items.len());
        for (&item, &position) in items.iter().zip(&positions) {
            let Ok(position) = u32::try_from(position) else {
                return Err(Error::weights(
                    POSITIONS,
                    format!("has {position}, which no session is long enough for"),
                ));
            };
            // Items are below the number of items, which fits u32.
            session_items.push(SessionItem { item: item as ItemIndex, position });
        }
        let past = Self { session_items, ends, ages_us };
        let mut seen = vec![u32::MAX; num_items];
        for s in 0..past.len() as u32 {
            let session = past.session(s);
            if !session.is_sorted_by(|a, b| a.position < b.position) {
                return Err(Error::weights(POSITIONS, format!("does not ascend in session {s}")));
            }
            for entry in session {
                if std::mem::replace(&mut seen[entry.item as usize], s) == s {
                    return Err(Error::weights(
                        ITEMS,
                        format!("has item {} twice in session {s}", entry.item),
                    ));
                }
            }
        }
        Ok(past)
    }
}

const ITEMS: &str = "session_items";
const POSITIONS: &str = "session_positions";
const ENDS: &str = "session_ends";
const AGES: &str = "session_ages_us";

/// An inverted index: the most recent training sessions that contain each item.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Sessions by item, then most recent first.
    sessions: Vec<u32>,
    /// The end of item `i` in `sessions` is `ends[i]`.
    ends: Vec<usize>,
    /// Number of sessions with each item, those that are not in the index included.
    counts: Vec<u32>,
}

impl Index {
    /// Indexes the `most` most recent sessions of each item.
    ///
    /// They suffice to find the `most` most recent sessions that contain any of several items, each with all of these
    /// items: a session that is missing from an item's list has `most` more recent ones in that list alone.
    pub(super) fn new(past: &PastSessions, num_items: usize, most: usize) -> Self {
        let mut counts = vec![0_u32; num_items];
        past.session_items.iter().for_each(|entry| counts[entry.item as usize] += 1);
        let mut at = 0;
        let mut filled = Vec::with_capacity(num_items);
        let mut ends = Vec::with_capacity(num_items);
        for &count in &counts {
            filled.push(at);
            at += (count as usize).min(most);
            ends.push(at);
        }
        let mut sessions = vec![0; at];
        for s in 0..past.len() as u32 {
            for entry in past.session(s) {
                let item = entry.item as usize;
                if filled[item] < ends[item] {
                    sessions[filled[item]] = s;
                    filled[item] += 1;
                }
            }
        }
        Self { sessions, ends, counts }
    }

    /// The indexed sessions with an item, most recent first.
    pub(super) fn sessions(&self, item: ItemIndex) -> &[u32] {
        let item = item as usize;
        &self.sessions[if item == 0 { 0 } else { self.ends[item - 1] }..self.ends[item]]
    }

    /// Whether all sessions of every item are indexed.
    pub(super) fn is_whole(&self) -> bool {
        let sessions: u64 = self.counts.iter().copied().map(u64::from).sum();
        sessions == self.sessions.len() as u64
    }

    /// Number of sessions with an item.
    pub(super) fn count(&self, item: ItemIndex) -> u32 {
        self.counts[item as usize]
    }
}

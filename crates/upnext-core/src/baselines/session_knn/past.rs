//! The sessions of training, newest first, and which of them an item occurs in.

use crate::arrays::Arrays;
use crate::data::{ItemIndex, Sessions};
use crate::{Error, Result};

/// An item of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) item: ItemIndex,
    /// Of the item's last event in the session, from 0.
    pub(super) position: u32,
}

/// Sessions as sets of items, newest first: number 0 is the one that began last; of those that began together, the one
/// that stands last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PastSessions {
    /// By session, then position; an item once a session.
    visits: Vec<Visit>,
    /// `ends[s]` is where session `s` ends in `visits`.
    ends: Vec<usize>,
    /// How much earlier than session 0 each began, in microseconds: ascending.
    ages_us: Vec<u64>,
}

impl PastSessions {
    /// The sessions that have an event.
    pub(super) fn new(sessions: &Sessions, num_items: usize) -> Self {
        let mut order: Vec<usize> =
            (0..sessions.len()).filter(|&s| !sessions.session(s).is_empty()).collect();
        order.sort_unstable_by_key(|&s| std::cmp::Reverse((sessions.start(s), s)));
        let mut past = Self::default();
        // Per item the last session that it was seen in, counted from 1: no set has to be cleared.
        let mut seen = vec![0; num_items];
        for (number, &s) in order.iter().enumerate() {
            let begin = past.visits.len();
            for (position, &item) in sessions.session(s).iter().enumerate().rev() {
                if std::mem::replace(&mut seen[item as usize], number + 1) != number + 1 {
                    past.visits.push(Visit { item, position: position as u32 });
                }
            }
            past.visits[begin..].reverse();
            past.ends.push(past.visits.len());
            past.ages_us.push(sessions.start(order[0]).abs_diff(sessions.start(s)));
        }
        past
    }

    /// Number of sessions.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The items of a session, by position.
    pub(super) fn session(&self, s: u32) -> &[Visit] {
        let s = s as usize;
        &self.visits[if s == 0 { 0 } else { self.ends[s - 1] }..self.ends[s]]
    }

    /// How much earlier than session 0 session `s` began, in microseconds.
    pub(super) fn age_us(&self, s: u32) -> u64 {
        self.ages_us[s as usize]
    }

    /// What [`from_arrays`](Self::from_arrays) reads.
    pub(super) fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        let mut add = |name: &str, values: Vec<u64>| arrays.counts.insert(name.into(), values);
        add(ITEMS, self.visits.iter().map(|visit| visit.item.into()).collect());
        add(POSITIONS, self.visits.iter().map(|visit| visit.position.into()).collect());
        add(ENDS, self.ends.iter().map(|&end| end as u64).collect());
        add(AGES, self.ages_us.clone());
        arrays
    }

    /// The sessions that these arrays hold.
    ///
    /// # Errors
    /// [`Error::Weights`] for arrays that are not those of sessions of `num_items` items.
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
        let mut visits = Vec::with_capacity(items.len());
        for (&item, &position) in items.iter().zip(&positions) {
            let Ok(position) = u32::try_from(position) else {
                return Err(Error::weights(
                    POSITIONS,
                    format!("has {position}, which no session is long enough for"),
                ));
            };
            // Below the number of items, which is that of a vocabulary of u32 indices.
            visits.push(Visit { item: item as ItemIndex, position });
        }
        let past = Self { visits, ends, ages_us };
        let mut seen = vec![u32::MAX; num_items];
        for s in 0..past.len() as u32 {
            let session = past.session(s);
            if !session.is_sorted_by(|a, b| a.position < b.position) {
                return Err(Error::weights(POSITIONS, format!("does not ascend in session {s}")));
            }
            for visit in session {
                if std::mem::replace(&mut seen[visit.item as usize], s) == s {
                    return Err(Error::weights(
                        ITEMS,
                        format!("has item {} twice in session {s}", visit.item),
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

/// For each item the newest sessions that have it.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// By item, then newest first.
    sessions: Vec<u32>,
    /// `ends[i]` is where item `i` ends in `sessions`.
    ends: Vec<usize>,
    /// Number of sessions with each item, those left out here as well.
    counts: Vec<u32>,
}

impl Index {
    /// The newest `most` sessions of every item.
    ///
    /// They are enough to find the newest `most` sessions that have any item of a list, each with all its items of the
    /// list: what an item's list leaves out has `most` newer sessions in that list alone.
    pub(super) fn new(past: &PastSessions, num_items: usize, most: usize) -> Self {
        let mut counts = vec![0_u32; num_items];
        past.visits.iter().for_each(|visit| counts[visit.item as usize] += 1);
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
            for visit in past.session(s) {
                let item = visit.item as usize;
                if filled[item] < ends[item] {
                    sessions[filled[item]] = s;
                    filled[item] += 1;
                }
            }
        }
        Self { sessions, ends, counts }
    }

    /// The newest sessions with an item, the newest first.
    pub(super) fn sessions(&self, item: ItemIndex) -> &[u32] {
        let item = item as usize;
        &self.sessions[if item == 0 { 0 } else { self.ends[item - 1] }..self.ends[item]]
    }

    /// Number of sessions with an item.
    pub(super) fn count(&self, item: ItemIndex) -> u32 {
        self.counts[item as usize]
    }
}

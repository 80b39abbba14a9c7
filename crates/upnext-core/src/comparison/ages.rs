//! How old items are at the end of training: when a training session first had them.

use crate::data::time::MICROS_PER_DAY;
use crate::data::{Dataset, ItemIndex};

/// The ages of all items at the end of a training part.
#[derive(Clone, Debug)]
pub(super) struct Ages {
    /// Whether ages are in days; else in percent of the training sessions.
    pub(super) in_days: bool,
    of_item: Vec<u64>,
}

impl Ages {
    /// The age of every item: in days, from the start of the first session with it to the start of the last session, if the
    /// times are real and the sessions span a day; else the share of the sessions after the first with it, in percent. Both are
    /// rounded down. Items of an earlier training, without a session, are as old as the first session.
    pub(super) fn of(train: &Dataset) -> Self {
        let sessions = &train.sessions;
        let start = |s: u32| sessions.start(s as usize);
        let mut order: Vec<u32> = (0..sessions.len() as u32).collect();
        order.sort_by_key(|&s| start(s));
        let span = match order[..] {
            [first, .., last] => start(last).saturating_sub(start(first)),
            _ => 0,
        };
        let in_days = !sessions.times_are_counter() && span >= MICROS_PER_DAY;
        let age = |place: usize| {
            let after = order.len() - 1 - place;
            if in_days {
                let micros = start(order[order.len() - 1]).saturating_sub(start(order[place]));
                (micros / MICROS_PER_DAY) as u64
            } else {
                (after as u128 * 100 / order.len() as u128) as u64
            }
        };
        let oldest = if order.is_empty() { 0 } else { age(0) };
        let mut of_item = vec![None; train.items.len()];
        for (place, &s) in order.iter().enumerate() {
            for &item in sessions.session(s as usize) {
                of_item[item as usize].get_or_insert_with(|| age(place));
            }
        }
        Self { in_days, of_item: of_item.into_iter().map(|age| age.unwrap_or(oldest)).collect() }
    }

    /// The age of an item.
    pub(super) fn of_item(&self, item: ItemIndex) -> u64 {
        self.of_item[item as usize]
    }
}

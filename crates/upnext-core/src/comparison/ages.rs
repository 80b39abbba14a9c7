//! How old items are at the end of training: when a training session first had them.

use super::windows::Order;
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
    /// rounded down. Items of an earlier training, without a session, are as old as the first session, and items without
    /// any training are of age 0.
    pub(super) fn of(train: &Dataset) -> Self {
        let order = Order::of(train);
        let Some(last) = order.sessions.len().checked_sub(1) else {
            return Self { in_days: false, of_item: vec![0; train.items.len()] };
        };
        let micros = |place: usize| order.start(last).saturating_sub(order.start(place));
        let in_days = !train.sessions.times_are_counter() && micros(0) >= MICROS_PER_DAY;
        let age = |place: usize| {
            if in_days {
                (micros(place) / MICROS_PER_DAY) as u64
            } else {
                ((last - place) as u128 * 100 / (last as u128 + 1)) as u64
            }
        };
        let of_item = |(&place, &support): (&usize, &u64)| match place {
            _ if support == 0 => 0,
            place if place > last => age(0),
            place => age(place),
        };
        let of_item = order.first_seen.iter().zip(train.items.supports()).map(of_item).collect();
        Self { in_days, of_item }
    }

    /// The age of an item.
    pub(super) fn of_item(&self, item: ItemIndex) -> u64 {
        self.of_item[item as usize]
    }
}

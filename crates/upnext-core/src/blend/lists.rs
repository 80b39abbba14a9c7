//! The best items of a member after a session, with the logarithms of their probabilities.

use crate::data::ItemIndex;
use crate::kind::Scale;
use crate::ranking::Entry;

/// The logarithm that is assumed for the smallest probability of an empty list.
const EMPTY: f32 = -8.0;

/// The list of a member for one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct List {
    /// The items, ascending, and the logarithms of their probabilities.
    pub(super) items: Vec<(ItemIndex, f32)>,
    /// The logarithm for items that are not in the list: one below the smallest.
    pub(super) floor: f32,
}

impl List {
    /// The list of the best `entries` of a member, in their order, whose scores mean what `scale` says.
    ///
    /// * Logits: the softmax over the list.
    /// * Weights: their shares of the list's sum; items without a weight are left out.
    /// * Probabilities above 1: what is above it; other items are left out.
    pub(super) fn new(entries: &[Entry], scale: Scale) -> Self {
        let mut items: Vec<(ItemIndex, f32)> = match scale {
            Scale::Logit => {
                let largest = entries.first().map_or(0.0, |entry| entry.score);
                let sum: f64 = entries.iter().map(|entry| f64::from(entry.score - largest).exp()).sum();
                let log_sum = sum.ln() as f32;
                entries.iter().map(|entry| (entry.item, entry.score - largest - log_sum)).collect()
            }
            Scale::Weight => {
                let known = || entries.iter().filter(|entry| entry.score > 0.0);
                let sum: f64 = known().map(|entry| f64::from(entry.score)).sum();
                known().map(|entry| (entry.item, (f64::from(entry.score) / sum).ln() as f32)).collect()
            }
            Scale::AboveOne => {
                let known = entries.iter().filter(|entry| entry.score > 1.0);
                known.map(|entry| (entry.item, (f64::from(entry.score) - 1.0).ln() as f32)).collect()
            }
        };
        let smallest = items.iter().map(|&(_, log)| log).reduce(f32::min).unwrap_or(EMPTY);
        items.sort_unstable_by_key(|&(item, _)| item);
        Self { items, floor: smallest - 1.0 }
    }

    /// The logarithm of an item's probability; `None` if it is not in the list.
    pub(super) fn log_of(&self, item: ItemIndex) -> Option<f32> {
        let at = self.items.binary_search_by_key(&item, |&(item, _)| item).ok()?;
        Some(self.items[at].1)
    }
}

/// The items of any list, ascending.
pub(super) fn union(lists: &[List]) -> Vec<ItemIndex> {
    let mut items: Vec<ItemIndex> =
        lists.iter().flat_map(|list| list.items.iter().map(|&(item, _)| item)).collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// Writes the two features of each member for an item: the logarithm, and whether it is not in the list.
pub(super) fn features(lists: &[List], item: ItemIndex, features: &mut Vec<f32>) {
    for list in lists {
        match list.log_of(item) {
            Some(log) => features.extend([log, 0.0]),
            None => features.extend([list.floor, 1.0]),
        }
    }
}

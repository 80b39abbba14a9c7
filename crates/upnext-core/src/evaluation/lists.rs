//! What the top-k lists of all cases hold, counted in integers: the order of the cases changes nothing.

use crate::ranking::Entry;

/// Coverage and popularity of lists, for every cut-off up to their length.
#[derive(Clone, Debug)]
pub(super) struct ListTally {
    /// Per item, its best place in any list, from 0; `u32::MAX` where it is in none.
    best_place: Vec<u32>,
    /// Per place, the sum of the supports of the items there.
    support: Vec<u64>,
    /// Per place, in how many lists there is an item.
    entries: Vec<u64>,
}

impl ListTally {
    /// No list yet, of up to `length` of `items` items.
    pub(super) fn new(items: usize, length: usize) -> Self {
        Self { best_place: vec![u32::MAX; items], support: vec![0; length], entries: vec![0; length] }
    }

    /// Adds one list.
    pub(super) fn add(&mut self, list: &[Entry]) {
        for (place, entry) in list.iter().enumerate() {
            let best = &mut self.best_place[entry.item as usize];
            *best = (*best).min(place as u32);
            self.support[place] += entry.support;
            self.entries[place] += 1;
        }
    }

    /// Adds the lists that another tally has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (best, &theirs) in self.best_place.iter_mut().zip(&other.best_place) {
            *best = (*best).min(theirs);
        }
        for (mine, theirs) in [(&mut self.support, &other.support), (&mut self.entries, &other.entries)] {
            mine.iter_mut().zip(theirs).for_each(|(sum, x)| *sum += x);
        }
    }

    /// The share of the items that occur in any list of length `k`.
    pub(super) fn coverage(&self, k: usize) -> f64 {
        let shown = self.best_place.iter().filter(|&&place| (place as usize) < k).count();
        shown as f64 / self.best_place.len().max(1) as f64
    }

    /// The mean, over the entries of all lists of length `k`, of support / `largest_support`.
    pub(super) fn popularity(&self, k: usize, largest_support: u64) -> f64 {
        let sum = |counts: &[u64]| counts.iter().take(k).sum::<u64>() as f64;
        sum(&self.support) / (sum(&self.entries).max(1.0) * largest_support.max(1) as f64)
    }
}

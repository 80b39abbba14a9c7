//! Coverage and popularity of top-k lists, counted in integers so that the order of the cases does not matter.

use crate::ranking::Entry;

/// Counts of the entries of many lists, from which coverage and popularity follow for every cut-off up to their length.
#[derive(Clone, Debug)]
pub(super) struct ListTally {
    /// The best position of each item in any list, from 0; `u32::MAX` if it is in none.
    best_position: Vec<u32>,
    /// The sum of the supports of the items at each position.
    support: Vec<u64>,
    /// The number of lists that have an item at each position.
    entries: Vec<u64>,
}

impl ListTally {
    /// An empty tally of lists of up to `length` of `items` items.
    pub(super) fn new(items: usize, length: usize) -> Self {
        Self { best_position: vec![u32::MAX; items], support: vec![0; length], entries: vec![0; length] }
    }

    /// Adds a list.
    pub(super) fn add(&mut self, list: &[Entry]) {
        for (position, entry) in list.iter().enumerate() {
            let best = &mut self.best_position[entry.item as usize];
            *best = (*best).min(position as u32);
            self.support[position] += entry.support;
            self.entries[position] += 1;
        }
    }

    /// Adds the lists of another tally.
    pub(super) fn merge(&mut self, other: &Self) {
        for (best, &theirs) in self.best_position.iter_mut().zip(&other.best_position) {
            *best = (*best).min(theirs);
        }
        for (mine, theirs) in [(&mut self.support, &other.support), (&mut self.entries, &other.entries)] {
            mine.iter_mut().zip(theirs).for_each(|(sum, x)| *sum += x);
        }
    }

    /// The share of the items that occur in any list of length `k`.
    pub(super) fn coverage(&self, k: usize) -> f64 {
        let shown = self.best_position.iter().filter(|&&position| (position as usize) < k).count();
        shown as f64 / self.best_position.len().max(1) as f64
    }

    /// The mean, over the entries of all lists of length `k`, of support / `largest_support`.
    pub(super) fn popularity(&self, k: usize, largest_support: u64) -> f64 {
        let sum = |counts: &[u64]| counts.iter().take(k).sum::<u64>() as f64;
        sum(&self.support) / (sum(&self.entries).max(1.0) * largest_support.max(1) as f64)
    }
}

//! Precision and mean average precision of lists, where all items of the rest of the session are relevant (Ludewig and
//! Jannach, *Evaluation of session-based recommendation algorithms*, UMUAI 2018).

use super::spread::{fixed, mean};
use crate::data::ItemIndex;
use crate::ranking::Entry;

/// Sums over lists of their relevant entries, at each cut-off.
#[derive(Clone, Debug)]
pub(super) struct Relevance {
    /// The number of relevant entries of all lists.
    hits: Vec<u64>,
    /// The sums of the average precisions, in fixed point.
    average_precisions: Vec<i128>,
    /// The number of the last list for which each item was relevant, from 1.
    relevant_for: Vec<u32>,
    list: u32,
}

impl Relevance {
    pub(super) fn new(items: usize, cutoffs: usize) -> Self {
        Self {
            hits: vec![0; cutoffs],
            average_precisions: vec![0; cutoffs],
            relevant_for: vec![0; items],
            list: 0,
        }
    }

    /// Adds a list, for which the items of `rest` are relevant.
    pub(super) fn add(&mut self, cutoffs: &[usize], list: &[Entry], rest: &[ItemIndex]) {
        self.list += 1;
        let mut relevant = 0;
        for &item in rest {
            let of = &mut self.relevant_for[item as usize];
            relevant += usize::from(*of != self.list);
            *of = self.list;
        }
        let (mut from, mut hits, mut precisions) = (0, 0_u32, 0.0);
        for (c, &k) in cutoffs.iter().enumerate() {
            let to = k.min(list.len());
            for (place, entry) in list.iter().enumerate().take(to).skip(from) {
                if self.relevant_for[entry.item as usize] == self.list {
                    hits += 1;
                    precisions += f64::from(hits) / (place + 1) as f64;
                }
            }
            from = to;
            self.hits[c] += u64::from(hits);
            self.average_precisions[c] += fixed(precisions / k.min(relevant).max(1) as f64);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.hits.iter_mut().zip(&other.hits).for_each(|(sum, x)| *sum += x);
        let theirs = &other.average_precisions;
        self.average_precisions.iter_mut().zip(theirs).for_each(|(sum, x)| *sum += x);
    }

    /// The mean precision of `lists` lists at cut-off `k`, which has this index.
    pub(super) fn precision(&self, cutoff: usize, k: usize, lists: f64) -> f64 {
        self.hits[cutoff] as f64 / (k as f64 * lists)
    }

    /// The mean average precision of `lists` lists at a cut-off, by its index.
    pub(super) fn map(&self, cutoff: usize, lists: f64) -> f64 {
        mean(self.average_precisions[cutoff], lists)
    }
}

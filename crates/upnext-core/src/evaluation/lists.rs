//! Metrics of top-k lists: how they use the catalogue, and how new and surprising their items are. All sums are of
//! integers, so that the order of the cases does not matter.

use super::outcome::MetricsAt;
use super::relevance::Relevance;
use super::spread::{Spread, scale};
use crate::data::{ItemIndex, ItemVocabulary};
use crate::ranking::Entry;
use crate::recommender::Recommender;

/// What the metrics of all lists need, common to all threads.
#[derive(Debug)]
pub(super) struct ListTask<'a> {
    pub(super) model: &'a dyn Recommender,
    pub(super) items: &'a ItemVocabulary,
    pub(super) cutoffs: &'a [usize],
    /// Length of the lists.
    pub(super) length: usize,
    /// The place of each item among the candidates in the order of popularity, from 0; `u32::MAX` for other items.
    popular_place: Vec<u32>,
    /// For each item, 1 / the length of its vector, and 0 for a vector without a direction; empty for a model without vectors.
    pub(super) scales: Vec<f64>,
}

impl<'a> ListTask<'a> {
    /// A task of lists of `candidates`, which are in the order of popularity.
    pub(super) fn new(
        model: &'a dyn Recommender,
        items: &'a ItemVocabulary,
        cutoffs: &'a [usize],
        candidates: &[ItemIndex],
    ) -> Self {
        let mut popular_place = vec![u32::MAX; items.len()];
        (0..).zip(candidates).for_each(|(place, &item)| popular_place[item as usize] = place);
        let length = cutoffs.last().copied().unwrap_or(0).min(candidates.len());
        let scales = (0..items.len() as ItemIndex).map_while(|item| model.vector(item)).map(scale).collect();
        Self { model, items, cutoffs, length, popular_place, scales }
    }
}

/// Counts of many lists, from which their metrics follow for every cut-off.
#[derive(Clone, Debug)]
pub(super) struct ListTally<'a> {
    task: &'a ListTask<'a>,
    /// items × cut-offs: the number of lists that have the item at a place from the cut-off before up to this one.
    counts: Vec<u32>,
    /// The sum of the supports of the items at each place.
    support: Vec<u64>,
    /// The number of lists that have an item at each place.
    entries: Vec<u64>,
    /// Number of lists.
    lists: u64,
    /// At each cut-off, the number of lists with the target, which is not among as many of the most popular candidates.
    surprises: Vec<u64>,
    spread: Spread,
    relevance: Relevance,
}

impl<'a> ListTally<'a> {
    /// A tally of no list.
    pub(super) fn new(task: &'a ListTask<'a>) -> Self {
        let (items, cutoffs) = (task.items.len(), task.cutoffs.len());
        Self {
            task,
            counts: vec![0; items * cutoffs],
            support: vec![0; task.length],
            entries: vec![0; task.length],
            lists: 0,
            surprises: vec![0; cutoffs],
            spread: Spread::new(cutoffs),
            relevance: Relevance::new(items, cutoffs),
        }
    }

    /// Adds the list of a case: `rest` is the rest of its session, which begins with the target.
    pub(super) fn add(&mut self, list: &[Entry], rest: &[ItemIndex]) {
        let ListTask { cutoffs, popular_place, .. } = self.task;
        self.lists += 1;
        let (mut from, mut is_hit) = (0, false);
        for (c, &k) in cutoffs.iter().enumerate() {
            let to = k.min(list.len());
            for (place, entry) in list.iter().enumerate().take(to).skip(from) {
                self.counts[entry.item as usize * cutoffs.len() + c] += 1;
                self.support[place] += entry.support;
                self.entries[place] += 1;
                is_hit |= rest.first() == Some(&entry.item);
            }
            from = to;
            let is_popular = |target: &ItemIndex| (popular_place[*target as usize] as usize) < k;
            self.surprises[c] += u64::from(is_hit && !rest.first().is_some_and(is_popular));
        }
        self.spread.add(self.task, list);
        self.relevance.add(cutoffs, list, rest);
    }

    /// Adds the lists of another tally.
    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, x)| *sum += x);
        for (mine, theirs) in [
            (&mut self.support, &other.support),
            (&mut self.entries, &other.entries),
            (&mut self.surprises, &other.surprises),
        ] {
            mine.iter_mut().zip(theirs).for_each(|(sum, x)| *sum += x);
        }
        self.lists += other.lists;
        self.spread.merge(&other.spread);
        self.relevance.merge(&other.relevance);
    }

    /// Sets the metrics of lists at a cut-off, by its index.
    pub(super) fn set(&self, cutoff: usize, at: &mut MetricsAt) {
        let counts: Vec<u64> = self
            .counts
            .chunks_exact(self.task.cutoffs.len())
            .map(|bands| bands[..=cutoff].iter().copied().map(u64::from).sum())
            .collect();
        let lists = self.lists.max(1) as f64;
        at.coverage = Some(coverage(&counts));
        at.popularity = Some(self.popularity(at.k));
        at.gini = Some(gini(&counts));
        at.novelty = Some(novelty(&counts, self.task.items.supports()));
        at.diversity = self.spread.diversity(cutoff);
        at.serendipity = Some(self.surprises[cutoff] as f64 / lists);
        at.precision = Some(self.relevance.precision(cutoff, at.k, lists));
        at.map = Some(self.relevance.map(cutoff, lists));
    }

    /// The mean, over the entries of all lists of length `k`, of support / the largest support.
    fn popularity(&self, k: usize) -> f64 {
        let largest = self.task.items.supports().iter().copied().max().unwrap_or(0);
        let sum = |counts: &[u64]| counts.iter().take(k).sum::<u64>() as f64;
        sum(&self.support) / (sum(&self.entries).max(1.0) * largest.max(1) as f64)
    }
}

/// The share of the items that occur in any list.
fn coverage(counts: &[u64]) -> f64 {
    let shown = counts.iter().filter(|&&count| count > 0).count();
    shown as f64 / counts.len().max(1) as f64
}

/// The Gini index: with counts in ascending order, Σ (2 rank − n − 1) count / (n Σ count); 0 without a count.
fn gini(counts: &[u64]) -> f64 {
    let mut ascending = counts.to_vec();
    ascending.sort_unstable();
    let (n, total) = (counts.len() as i128, ascending.iter().map(|&count| u128::from(count)).sum::<u128>());
    let weighted: i128 =
        (1..).zip(&ascending).map(|(rank, &count)| (2 * rank - n - 1) * i128::from(count)).sum();
    if total == 0 { 0.0 } else { weighted as f64 / (n as f64 * total as f64) }
}

/// The mean of −log2(support / Σ support) over the entries, with a support of at least 1; 0 without an entry.
fn novelty(counts: &[u64], supports: &[u64]) -> f64 {
    let events = supports.iter().sum::<u64>().max(1) as f64;
    let of_item = |(&count, &support): (&u64, &u64)| count as f64 * (events / support.max(1) as f64).log2();
    let bits: f64 = counts.iter().zip(supports).map(of_item).sum();
    bits / counts.iter().sum::<u64>().max(1) as f64
}

//! Recommendations: the best items for the sessions so far.

use super::{BLOCK, Entry, ROWS, TopK, count_non_finite};
use crate::batch::HistoryBatcher;
use crate::data::{ItemIndex, ItemVocabulary, Sessions};
use crate::recommender::{Recommender, lanes};
use crate::{Error, Result};

/// Which items may be recommended; the default is all of them.
///
/// Lists may be long, in any order, with repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Leave out what occurs in the session itself.
    pub exclude_seen: bool,
    /// Leave out these items.
    pub exclude: Vec<ItemIndex>,
    /// Recommend nothing but these items; `None`: any.
    pub only: Option<Vec<ItemIndex>>,
}

impl Filter {
    /// The items that may be recommended to any session, ascending.
    fn candidates(&self, items: usize) -> Vec<ItemIndex> {
        let mut allowed = vec![self.only.is_none(); items];
        for &item in self.only.iter().flatten() {
            allowed[item as usize] = true;
        }
        for &item in &self.exclude {
            allowed[item as usize] = false;
        }
        (0..items as ItemIndex).filter(|&item| allowed[item as usize]).collect()
    }
}

/// One recommended item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recommendation {
    /// The item.
    pub item: ItemIndex,
    /// The model's score, comparable within its list alone; in a list that fell back the item's support.
    pub score: f32,
}

/// What is recommended to one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecommendationList {
    /// By falling score, then support, then index.
    pub entries: Vec<Recommendation>,
    /// Whether these are the popular items, because the session has no event.
    pub fell_back: bool,
}

/// The `k` best items after each of many sessions, in the order of the sessions.
///
/// The filter applies before the cut to `k`: a list is shorter only where fewer items are left. A session without an
/// event gets the items with the largest support. No list depends on the other sessions.
///
/// # Errors
/// [`Error::NonFiniteScores`] for a model that gives such.
///
/// # Panics
/// If the model's number of items is not that of the vocabulary, or a session or the filter names an item behind it.
pub fn recommend(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    histories: &[&[ItemIndex]],
    k: usize,
    filter: &Filter,
) -> Result<Vec<RecommendationList>> {
    assert_eq!(model.num_items(), items.len(), "the vocabulary is not the model's");
    let candidates = filter.candidates(items.len());
    let mut lists = vec![RecommendationList::default(); histories.len()];
    let mut sessions = Sessions::new();
    histories.iter().for_each(|history| sessions.push(history, 0));

    // Sessions of like lengths together: they read their events side by side.
    let mut order: Vec<u32> = (0..sessions.len() as u32).collect();
    order.sort_by_key(|&s| std::cmp::Reverse(histories[s as usize].len()));
    let empty = order.split_off(order.partition_point(|&s| !histories[s as usize].is_empty()));
    for &session in &empty {
        lists[session as usize] = popular(items, &candidates, k);
    }

    let mut scores = vec![0.0; lanes(ROWS.min(order.len())) * BLOCK.min(candidates.len())];
    for chunk in order.chunks(ROWS) {
        let (rows, lanes) = (chunk.len(), lanes(chunk.len()));
        let mut follower = model.follow(rows);
        let mut batcher = HistoryBatcher::new(&sessions, chunk.to_vec());
        while let Some(batch) = batcher.next_batch() {
            follower.observe(batch, &sessions);
        }
        let seen: Vec<Vec<ItemIndex>> = chunk.iter().map(|&s| distinct(histories[s as usize])).collect();
        let mut best = vec![TopK::new(k.min(candidates.len())); rows];
        let mut not_finite = 0;
        for block in candidates.chunks(BLOCK) {
            let scores = &mut scores[..block.len() * lanes];
            follower.score(block, scores);
            not_finite += count_non_finite(scores, lanes, rows);
            for (&item, scores) in block.iter().zip(scores.chunks_exact(lanes)) {
                for (b, &score) in scores[..rows].iter().enumerate() {
                    let wanted = best[b].admits(score)
                        && !(filter.exclude_seen && seen[b].binary_search(&item).is_ok());
                    if wanted {
                        best[b].push(Entry { score, support: items.support(item), item });
                    }
                }
            }
        }
        if not_finite > 0 {
            return Err(Error::NonFiniteScores {
                model: model.name().to_owned(),
                count: not_finite,
                scores: (rows * candidates.len()) as u64,
            });
        }
        for (&session, best) in chunk.iter().zip(&mut best) {
            let entries = best.sorted().iter().map(|e| Recommendation { item: e.item, score: e.score });
            lists[session as usize].entries = entries.collect();
        }
    }
    Ok(lists)
}

/// [`recommend`] on `threads` threads: the same lists, sooner.
///
/// # Errors
/// As [`recommend`].
///
/// # Panics
/// As [`recommend`], and if `threads` is 0.
pub fn recommend_on(
    threads: usize,
    model: &dyn Recommender,
    items: &ItemVocabulary,
    histories: &[&[ItemIndex]],
    k: usize,
    filter: &Filter,
) -> Result<Vec<RecommendationList>> {
    assert!(threads > 0, "recommending needs a thread");
    let mut shares = histories.chunks(histories.len().div_ceil(threads).max(1));
    let own = shares.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let work = |share| move || recommend(model, items, share, k, filter);
        let others: Vec<_> = shares.map(|share| scope.spawn(work(share))).collect();
        let mut lists = work(own)()?;
        for thread in others {
            lists.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(lists)
    })
}

/// The candidates with the largest support.
fn popular(items: &ItemVocabulary, candidates: &[ItemIndex], k: usize) -> RecommendationList {
    let mut best = TopK::new(k.min(candidates.len()));
    for &item in candidates {
        // All scores are equal: support decides, in full precision.
        best.push(Entry { score: 0.0, support: items.support(item), item });
    }
    let entries = best.sorted().iter();
    let entries = entries.map(|e| Recommendation { item: e.item, score: e.support as f32 }).collect();
    RecommendationList { entries, fell_back: true }
}

/// The different items of a session, ascending.
fn distinct(history: &[ItemIndex]) -> Vec<ItemIndex> {
    let mut items = history.to_vec();
    items.sort_unstable();
    items.dedup();
    items
}

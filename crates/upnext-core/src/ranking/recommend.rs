//! Recommendations: the best items after each of many sessions.

use super::index::ListRequest;
use super::{BLOCK, Entry, Index, ROWS, TopK, add_block, count_non_finite, first_floors};
use crate::batch::HistoryBatcher;
use crate::data::{ItemIndex, ItemVocabulary, Sessions};
use crate::recommender::{Recommender, SessionScorer, lanes};
use crate::{Error, Result};
use std::ops::ControlFlow;
use std::sync::OnceLock;

/// A filter of the items that may be recommended; the default allows all.
///
/// Lists of items may be long, in any order, and contain repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whether to exclude the items of the session itself.
    pub exclude_seen: bool,
    /// Items to exclude.
    pub exclude: Vec<ItemIndex>,
    /// The only items to recommend; `None` allows all.
    pub only: Option<Vec<ItemIndex>>,
}

/// The items that may be recommended to any session, prepared once for many calls.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// The candidates, ascending.
    items: Vec<ItemIndex>,
    /// The candidates by falling support, sorted on first use.
    by_support: OnceLock<Vec<ItemIndex>>,
}

impl Candidates {
    /// The items of `only` (`None`: all items) that are not in `exclude`. Both may be in any order and contain repeats.
    ///
    /// # Panics
    /// If an item is not in the vocabulary.
    pub fn new(items: &ItemVocabulary, exclude: &[ItemIndex], only: Option<&[ItemIndex]>) -> Self {
        let mut allowed = vec![only.is_none(); items.len()];
        for &item in only.unwrap_or_default() {
            allowed[item as usize] = true;
        }
        for &item in exclude {
            allowed[item as usize] = false;
        }
        Self::of((0..items.len() as ItemIndex).filter(|&item| allowed[item as usize]).collect())
    }

    /// The candidates that are in `only`.
    pub(super) fn narrowed(&self, only: &[ItemIndex]) -> Self {
        let mut items = distinct(only);
        items.retain(|item| self.items.binary_search(item).is_ok());
        Self::of(items)
    }

    fn of(items: Vec<ItemIndex>) -> Self {
        Self { items, by_support: OnceLock::new() }
    }

    /// The candidates, ascending.
    pub(super) fn items(&self) -> &[ItemIndex] {
        &self.items
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Sorts the candidates by support in advance, which otherwise happens for the first session without events.
    pub fn prepare(&self, items: &ItemVocabulary) {
        self.by_support(items);
    }

    fn by_support(&self, items: &ItemVocabulary) -> &[ItemIndex] {
        self.by_support.get_or_init(|| {
            let mut order = self.items.clone();
            order.sort_by_key(|&item| (std::cmp::Reverse(items.support(item)), item));
            order
        })
    }

    /// The `k` candidates of largest support that are not in `hidden`, which must be ascending.
    fn popular(&self, items: &ItemVocabulary, k: usize, hidden: &[ItemIndex]) -> RecommendationList {
        let shown = self.by_support(items).iter().filter(|item| hidden.binary_search(item).is_err()).take(k);
        let entries = shown.map(|&item| Recommendation { item, score: items.support(item) as f32 }).collect();
        RecommendationList { entries, fell_back: true }
    }
}

/// A request for a recommendation list.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The session so far, oldest event first.
    pub history: &'a [ItemIndex],
    /// Length of the list.
    pub k: usize,
    /// The filter of this session.
    pub filter: &'a Filter,
}

impl Query<'_> {
    /// The items to leave out, ascending.
    fn hidden(&self) -> Vec<ItemIndex> {
        let seen = if self.filter.exclude_seen { self.history } else { &[] };
        distinct(&[&self.filter.exclude, seen].concat())
    }
}

/// One recommended item.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recommendation {
    /// The item.
    pub item: ItemIndex,
    /// The model's score, comparable within its list only. If the list fell back, the item's support.
    pub score: f32,
}

/// The recommendations for one session.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RecommendationList {
    /// The items, by falling score, then falling support, then ascending index.
    pub entries: Vec<Recommendation>,
    /// Whether these are the most popular items, because the session has no events.
    pub fell_back: bool,
}

/// The `k` best items after each of many sessions, in the order of the sessions.
///
/// The filter applies before the cut to `k`: a list is shorter only if fewer items are left. A session without events
/// gets the items of largest support. Lists do not depend on the other sessions.
///
/// # Errors
/// [`Error::NonFiniteScores`] if a score is not finite.
///
/// # Panics
/// If the model and the vocabulary differ in their numbers of items, or an item of a session or of the filter is not in
/// the vocabulary.
pub fn recommend(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    histories: &[&[ItemIndex]],
    k: usize,
    filter: &Filter,
) -> Result<Vec<RecommendationList>> {
    recommend_observed(model, items, histories, k, filter, &mut || ControlFlow::Continue(()))
}

/// [`recommend`] with an observer that can stop it.
fn recommend_observed(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    histories: &[&[ItemIndex]],
    k: usize,
    filter: &Filter,
    observe: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Vec<RecommendationList>> {
    let candidates = Candidates::new(items, &filter.exclude, filter.only.as_deref());
    let own = Filter { exclude_seen: filter.exclude_seen, ..Filter::default() };
    let queries: Vec<Query> = histories.iter().map(|&history| Query { history, k, filter: &own }).collect();
    recommend_each_observed(model, items, None, &candidates, &queries, observe)
}

/// As [`recommend`], for sessions with their own list lengths and filters, among prepared candidates.
///
/// Queries with [`Filter::only`] are scored one by one, on these items only. `index` must be that of the model; it
/// changes the time and not the lists.
///
/// # Errors
/// As [`recommend`].
///
/// # Panics
/// As [`recommend`], and if a candidate is not in the vocabulary, or the index is that of a model of another shape.
pub fn recommend_each(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    index: Option<&Index>,
    candidates: &Candidates,
    queries: &[Query],
) -> Result<Vec<RecommendationList>> {
    let go_on = &mut || ControlFlow::Continue(());
    recommend_each_observed(model, items, index, candidates, queries, go_on)
}

/// As [`recommend_each`], with an observer that can stop it.
///
/// `observe` is called after each batch of events, after each block of scored items, and before each query with
/// [`Filter::only`].
///
/// # Errors
/// As [`recommend`]; [`Error::Stopped`] if `observe` breaks.
///
/// # Panics
/// As [`recommend_each`].
pub fn recommend_each_observed(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    index: Option<&Index>,
    candidates: &Candidates,
    queries: &[Query],
    observe: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Vec<RecommendationList>> {
    assert_eq!(model.num_items(), items.len(), "the vocabulary is not the model's");
    let lists = vec![RecommendationList::default(); queries.len()];
    let mut call = Call { model, items, queries, observe, lists };
    call.answer_all(index, candidates)?;
    Ok(call.lists)
}

/// The queries of a call, and their lists.
struct Call<'c> {
    model: &'c dyn Recommender,
    items: &'c ItemVocabulary,
    queries: &'c [Query<'c>],
    observe: &'c mut dyn FnMut() -> ControlFlow<()>,
    lists: Vec<RecommendationList>,
}

impl Call<'_> {
    fn answer_all(&mut self, index: Option<&Index>, candidates: &Candidates) -> Result<()> {
        let queries = self.queries;
        let mut together = Vec::new();
        for (i, query) in queries.iter().enumerate() {
            match &query.filter.only {
                None => together.push(i as u32),
                Some(only) => {
                    self.check_stopped()?;
                    self.answer(None, &candidates.narrowed(only), vec![i as u32])?;
                }
            }
        }
        self.answer(index, candidates, together)
    }

    /// Calls the observer, and returns [`Error::Stopped`] if it breaks.
    fn check_stopped(&mut self) -> Result<()> {
        if (self.observe)().is_break() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Fills the lists of the queries whose indices are in `order`, with the same candidates for all.
    fn answer(&mut self, index: Option<&Index>, candidates: &Candidates, mut order: Vec<u32>) -> Result<()> {
        let (items, queries) = (self.items, self.queries);
        // Sessions of similar lengths are read together, in one batch.
        let history = |&i: &u32| queries[i as usize].history;
        order.sort_by_key(|i| std::cmp::Reverse(history(i).len()));
        let empty = order.split_off(order.partition_point(|i| !history(i).is_empty()));
        for &i in &empty {
            let query = &queries[i as usize];
            self.lists[i as usize] = candidates.popular(items, query.k, &query.hidden());
        }
        let mut sessions = Sessions::new();
        order.iter().for_each(|i| sessions.push(history(i), 0));
        let candidates = &candidates.items;

        for (chunk, first) in order.chunks(ROWS).zip((0u32..).step_by(ROWS)) {
            let mut scorer = self.model.scorer(chunk.len());
            let mut batcher = HistoryBatcher::new(&sessions, (first..first + chunk.len() as u32).collect());
            while let Some(batch) = batcher.next_batch() {
                scorer.read(batch);
                self.check_stopped()?;
            }
            let requests: Vec<ListRequest> = chunk
                .iter()
                .map(|&i| &queries[i as usize])
                .map(|query| ListRequest { k: query.k.min(candidates.len()), hidden: query.hidden() })
                .collect();
            let found = index.and_then(|index| index.find(&*scorer, items.supports(), candidates, &requests));
            let found = found.or_else(|| self.weighed(&mut *scorer, candidates, &requests));
            let best = match found {
                Some(best) => best,
                None => self.score_all(&mut *scorer, candidates, &requests)?,
            };
            for (&i, best) in chunk.iter().zip(best) {
                self.lists[i as usize].entries = best;
            }
        }
        Ok(())
    }

    /// The best candidates of each row, of a model that has weights for few items; `None` if these fill not all lists.
    fn weighed(
        &self,
        scorer: &mut dyn SessionScorer,
        candidates: &[ItemIndex],
        requests: &[ListRequest],
    ) -> Option<Vec<Vec<Recommendation>>> {
        let all = candidates.len() == self.items.len();
        let list = |(row, request): (usize, &ListRequest)| {
            let mut best = TopK::new(request.k);
            for &(item, score) in scorer.weights(row)? {
                if best.admits(score)
                    && request.allows(item)
                    && (all || candidates.binary_search(&item).is_ok())
                {
                    best.push(Entry { score, support: self.items.support(item), item });
                }
            }
            let best = best.sorted();
            (best.len() == request.k).then(|| best.iter().map(recommendation).collect())
        };
        requests.iter().enumerate().map(list).collect()
    }

    /// The best candidates of each row, by scoring all candidates.
    fn score_all(
        &mut self,
        scorer: &mut dyn SessionScorer,
        candidates: &[ItemIndex],
        requests: &[ListRequest],
    ) -> Result<Vec<Vec<Recommendation>>> {
        let (rows, lanes) = (requests.len(), lanes(requests.len()));
        let mut scores = vec![0.0; lanes * BLOCK.min(candidates.len())];
        let mut best: Vec<TopK> = requests.iter().map(|request| TopK::new(request.k)).collect();
        let mut floors = first_floors(rows);
        let mut not_finite = 0;
        for block in candidates.chunks(BLOCK) {
            let scores = &mut scores[..block.len() * lanes];
            scorer.score(block, scores);
            not_finite += count_non_finite(scores, lanes, rows);
            let allows = |b: usize, item| requests[b].allows(item);
            add_block(&mut best, &mut floors, (block, scores), self.items.supports(), allows);
            self.check_stopped()?;
        }
        if not_finite > 0 {
            let scores = (rows * candidates.len()) as u64;
            let model = self.model.name().to_owned();
            return Err(Error::NonFiniteScores { model, count: not_finite, scores });
        }
        Ok(best.iter_mut().map(|best| best.sorted().iter().map(recommendation).collect()).collect())
    }
}

fn recommendation(entry: &Entry) -> Recommendation {
    Recommendation { item: entry.item, score: entry.score }
}

/// As [`recommend`], on `threads` threads, each of which calls `observe` from time to time. The lists do not depend on the
/// number of threads.
///
/// # Errors
/// As [`recommend`]; [`Error::Stopped`] once `observe` answers [`ControlFlow::Break`].
///
/// # Panics
/// As [`recommend`], and if `threads` is 0.
pub fn recommend_parallel(
    threads: usize,
    model: &dyn Recommender,
    items: &ItemVocabulary,
    histories: &[&[ItemIndex]],
    k: usize,
    filter: &Filter,
    observe: &(dyn Fn() -> ControlFlow<()> + Sync),
) -> Result<Vec<RecommendationList>> {
    assert!(threads > 0, "recommending needs a thread");
    let mut shares = histories.chunks(histories.len().div_ceil(threads).max(1));
    let own = shares.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let work = |share| move || recommend_observed(model, items, share, k, filter, &mut || observe());
        let others: Vec<_> = shares.map(|share| scope.spawn(work(share))).collect();
        let mut lists = work(own)()?;
        for thread in others {
            lists.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(lists)
    })
}

/// The distinct items of a list, ascending.
pub(super) fn distinct(list: &[ItemIndex]) -> Vec<ItemIndex> {
    let mut items = list.to_vec();
    items.sort_unstable();
    items.dedup();
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::vocabulary;
    use crate::gru4rec::Network;
    use crate::gru4rec::config::{Activation, NetworkConfig};

    #[test]
    fn a_call_ends_where_its_observer_says_and_no_later() {
        const ITEMS: usize = 3 * BLOCK;
        let items = vocabulary(&[1; ITEMS]);
        let config = NetworkConfig { layers: vec![4], ..NetworkConfig::default() };
        let network = Network::new(config, Activation::Linear, ITEMS, 5);
        let all = Candidates::new(&items, &[], None);
        let (any, two) = (Filter::default(), Filter { only: Some(vec![7, 8]), ..Filter::default() });
        let long = Query { history: &[1, 2, 3, 4, 5], k: 3, filter: &any };
        let own = Query { history: &[1, 2], k: 2, filter: &two };
        // Five events and three blocks; for a query with its own items, one call before it, two events and one block.
        for (queries, expected) in
            [(vec![long], 8), (vec![long, long], 8), (vec![own], 4), (vec![own, long], 12)]
        {
            let run = |stop_at: usize| {
                let mut looks = 0;
                let mut observe = || {
                    looks += 1;
                    if looks == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                let lists = recommend_each_observed(&network, &items, None, &all, &queries, &mut observe);
                let lists = match lists {
                    Err(Error::Stopped) => None,
                    lists => Some(lists.unwrap()),
                };
                (lists, looks)
            };
            let (lists, looks) = run(usize::MAX);
            assert_eq!(looks, expected);
            assert_eq!(lists, Some(recommend_each(&network, &items, None, &all, &queries).unwrap()));
            for stop_at in 1..=expected {
                assert_eq!(run(stop_at), (None, stop_at));
            }
        }
    }
}

//! The search for neighbours and the scores of their items.

use super::past::{Index, PastSessions};
use super::scheme::Scheme;
use crate::Result;
use crate::arrays::Arrays;
use crate::baselines::history_scorer::HistoryScorer;
use crate::baselines::sparse::{Popularity, SparseScores};
use crate::data::{Dataset, ItemIndex, ItemVocabulary};
use crate::recommender::{SessionScorer, Similarities, SimilarityMeasure};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A fitted model of any of the four kinds: the training sessions, their index, and the weights.
#[derive(Clone)]
pub(super) struct Engine {
    scheme: Scheme,
    past: PastSessions,
    index: Index,
    /// All sessions of each item, for similarities, where `index` leaves some out; made on first use.
    whole_index: OnceLock<Index>,
    popularity: Popularity,
    /// The IDF weight of each item.
    rarity: Vec<f64>,
    spare: Spare,
}

/// Buffers of searches that have ended: they have an entry for each training session, which would be cleared for every list.
#[derive(Default)]
struct Spare(Mutex<Vec<Search>>);

/// Number of spare buffers, above which they are freed.
const MOST_SPARE: usize = 16;

impl Spare {
    fn locked(&self) -> MutexGuard<'_, Vec<Search>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Search> {
        self.locked().pop()
    }

    fn give_back(&self, search: Search) {
        let mut spare = self.locked();
        if spare.len() < MOST_SPARE {
            spare.push(search);
        }
    }
}

impl Clone for Spare {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Engine {
    pub(super) fn fit(scheme: Scheme, data: &Dataset) -> Self {
        Self::new(scheme, &data.items, PastSessions::new(&data.sessions, data.items.len()))
    }

    pub(super) fn from_arrays(scheme: Scheme, items: &ItemVocabulary, arrays: Arrays) -> Result<Self> {
        Ok(Self::new(scheme, items, PastSessions::from_arrays(items.len(), arrays)?))
    }

    fn new(scheme: Scheme, items: &ItemVocabulary, past: PastSessions) -> Self {
        let index = Index::new(&past, items.len(), scheme.sample_size);
        let rarity =
            (0..items.len() as ItemIndex).map(|item| scheme.rarity(index.count(item), past.len())).collect();
        let (whole_index, spare) = (OnceLock::new(), Spare::default());
        Self { scheme, past, index, whole_index, popularity: Popularity::new(items), rarity, spare }
    }

    pub(super) fn arrays(&self) -> Arrays {
        self.past.arrays()
    }

    pub(super) fn num_items(&self) -> usize {
        self.popularity.num_items()
    }

    pub(super) fn num_sessions(&self) -> usize {
        self.past.len()
    }

    /// The items that share a session with `item`, by the cosine of their sets of sessions.
    pub(super) fn similarities(&self, item: ItemIndex) -> Similarities {
        let whole = || Index::new(&self.past, self.num_items(), usize::MAX);
        let index = if self.index.is_whole() { &self.index } else { self.whole_index.get_or_init(whole) };
        let mut shared = vec![0_u32; self.num_items()];
        let mut others = Vec::new();
        for &s in index.sessions(item) {
            for entry in self.past.session(s) {
                let count = &mut shared[entry.item as usize];
                if *count == 0 && entry.item != item {
                    others.push(entry.item);
                }
                *count += 1;
            }
        }
        let sessions = |item| f64::from(index.count(item));
        let cosine = |other: ItemIndex| {
            let both = f64::from(shared[other as usize]);
            (other, (both / (sessions(item) * sessions(other)).sqrt()) as f32)
        };
        Similarities::Listed(SimilarityMeasure::SessionCosine, others.into_iter().map(cosine).collect())
    }

    pub(super) fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        let search = self.spare.take().unwrap_or_else(|| Search::new(self));
        let mut taken = TakenSearch { engine: self, search };
        let search = move |row: usize, history: &[ItemIndex], scores: &mut SparseScores| {
            taken.search.score(taken.engine, history);
            scores.set(row, &taken.engine.popularity, taken.search.take_scores());
        };
        Box::new(HistoryScorer::new(&self.popularity, rows, search))
    }
}

/// The buffers of a search, which go back to the engine in the end.
struct TakenSearch<'m> {
    engine: &'m Engine,
    search: Search,
}

impl Drop for TakenSearch<'_> {
    fn drop(&mut self) {
        // After a panic, its sums may not be cleared.
        if !std::thread::panicking() {
            self.engine.spare.give_back(std::mem::take(&mut self.search));
        }
    }
}

/// The items that a training session has in common with the current session.
#[derive(Clone, Copy, Default)]
struct Common {
    /// Sum of the weights of the common items.
    weight: f64,
    /// The position of the last common item in the current session, counted from 1 at the end; 0 if there is none.
    back: u32,
    /// The last common item.
    item: ItemIndex,
}

/// The buffers of a search. Between searches, all sums and marks are cleared.
#[derive(Default)]
struct Search {
    /// One entry per training session.
    common: Vec<Common>,
    /// The training sessions with a common item.
    candidates: Vec<u32>,
    /// Similarity and training session.
    neighbours: Vec<(f64, u32)>,
    /// The score of each item.
    sums: Vec<f64>,
    /// Whether each item is in `current` (in the search for candidates) or in `reached` (after that).
    marked: Vec<bool>,
    /// The items with a score.
    reached: Vec<ItemIndex>,
    /// The distinct items of the current session, each with the position of its last event, counted from 1 at the end.
    current: Vec<(ItemIndex, usize)>,
}

impl Search {
    fn new(engine: &Engine) -> Self {
        Self {
            common: vec![Common::default(); engine.past.len()],
            candidates: Vec::new(),
            neighbours: Vec::new(),
            sums: vec![0.0; engine.num_items()],
            marked: vec![false; engine.num_items()],
            reached: Vec::new(),
            current: Vec::new(),
        }
    }

    /// Computes the scores of the neighbours' items for a session, into `sums` and `reached`.
    fn score(&mut self, engine: &Engine, history: &[ItemIndex]) {
        self.find_candidates(engine, history);
        self.find_neighbours(engine);
        let scheme = &engine.scheme;
        for &(similarity, s) in &self.neighbours {
            let common = self.common[s as usize];
            let weight = similarity * scheme.weighting_score.at(common.back as usize, history.len());
            let session = engine.past.session(s);
            let meeting =
                session.iter().find(|entry| entry.item == common.item).map_or(0, |entry| entry.position);
            for entry in session {
                let item = entry.item as usize;
                if !std::mem::replace(&mut self.marked[item], true) {
                    self.reached.push(entry.item);
                }
                self.sums[item] += weight * scheme.nearness(entry.position.abs_diff(meeting));
            }
        }
        for &item in &self.reached {
            self.sums[item as usize] *= engine.rarity[item as usize];
        }
        for &s in &self.candidates {
            self.common[s as usize] = Common::default();
        }
    }

    /// Finds the training sessions with a common item, and their common items.
    fn find_candidates(&mut self, engine: &Engine, history: &[ItemIndex]) {
        self.current.clear();
        for (before_last, &item) in history.iter().rev().enumerate() {
            if !std::mem::replace(&mut self.marked[item as usize], true) {
                self.current.push((item, before_last + 1));
            }
        }
        self.candidates.clear();
        for &(item, back) in &self.current {
            self.marked[item as usize] = false;
            let weight = engine.scheme.weighting.at(back, history.len());
            for &s in engine.index.sessions(item) {
                let common = &mut self.common[s as usize];
                if common.back == 0 {
                    // The first common item is the last one of the session: `current` begins there.
                    *common = Common { weight: 0.0, back: back as u32, item };
                    self.candidates.push(s);
                }
                common.weight += weight;
            }
        }
    }

    /// Finds the neighbours: the most similar of the most recent candidates; of equally similar ones, the more recent.
    fn find_neighbours(&mut self, engine: &Engine) {
        let (scheme, past) = (&engine.scheme, &engine.past);
        let sampled = first(&mut self.candidates, scheme.sample_size, u32::cmp);
        let newest = sampled.iter().min().map_or(0, |&s| past.age_us(s));
        let current = self.current.len();
        self.neighbours.clear();
        self.neighbours.extend(sampled.iter().map(|&s| {
            let similarity =
                scheme.similarity(self.common[s as usize].weight, current, past.session(s).len());
            (similarity * scheme.recency(past.age_us(s) - newest), s)
        }));
        let by_similarity = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let count = first(&mut self.neighbours, scheme.k, by_similarity).len();
        self.neighbours.truncate(count);
        // A fixed order, on which the rounding of the sums depends.
        self.neighbours.sort_unstable_by_key(|&(_, s)| s);
    }

    /// Removes and returns the scores.
    fn take_scores(&mut self) -> impl Iterator<Item = (ItemIndex, f32)> {
        let (sums, marked) = (&mut self.sums, &mut self.marked);
        self.reached.drain(..).map(|item| {
            marked[item as usize] = false;
            (item, std::mem::take(&mut sums[item as usize]) as f32)
        })
    }
}

/// Moves the `count` smallest elements to the front of a list, in any order, and returns them.
fn first<T>(list: &mut [T], count: usize, order: impl FnMut(&T, &T) -> std::cmp::Ordering) -> &[T] {
    if count < list.len() {
        list.select_nth_unstable_by(count, order);
    }
    &list[..count.min(list.len())]
}

//! Evaluation of models by the ranks of the next items of test sessions. The protocol is in `docs/evaluation.md`.
//!
//! One loop evaluates every model. A test session is read event by event; after each event but the last, the next item
//! is ranked among the candidates. Candidates are scored in blocks and counted, so that no matrix of sessions × items
//! is stored.

mod across;
mod births;
#[cfg(feature = "logs")]
mod cases;
mod config;
mod events;
#[cfg(test)]
mod list_tests;
mod lists;
pub mod metrics;
mod outcome;
mod relevance;
mod spread;
#[cfg(test)]
mod tests;

pub use across::{Unranked, evaluate_across};
pub(crate) use births::RARE;
pub use births::{Births, OfTargets};
#[cfg(feature = "logs")]
pub use cases::{CaseFormat, CaseRow, CaseWriter};
pub use config::EvaluationConfig;
pub use outcome::{Evaluation, MetricsAt, RankedCase};

use crate::batch::SessionBatcher;
use crate::data::{ItemIndex, ItemVocabulary, Sessions};
use crate::memory::Bytes;
use crate::ranking::{BLOCK, Entry, ROWS, TopK, count_non_finite};
use crate::recommender::{Recommender, lanes};
use crate::{Error, Result};
use events::HitCounts;
use lists::{ListTally, ListTask};
use std::ops::ControlFlow;
use std::time::Instant;
use upnext_kernels::{Isa, count_above};

/// Evaluates a model on test sessions, on `threads` threads. The result does not depend on their number.
///
/// A session of n events has n − 1 cases; sessions of fewer than two events are skipped. `progress` is called from any
/// of the threads with the number of cases ranked since its last call, and can stop the evaluation.
///
/// # Errors
/// [`Error::Config`] for invalid options; [`Error::NoCases`] if no session has two events; [`Error::NonFiniteScores`]
/// if a score is not finite; [`Error::Stopped`] if `progress` breaks.
///
/// # Panics
/// If `threads` is 0, the model and the vocabulary differ in their numbers of items, or an item of a session is not in
/// the vocabulary.
pub fn evaluate(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    options: &EvaluationConfig,
    threads: usize,
    progress: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
) -> Result<Evaluation> {
    evaluate_in_blocks(model, items, sessions, None, options, threads, progress, (ROWS, BLOCK))
}

/// As [`evaluate`], where some items of the model begin to exist during the test part: before, they are no candidates.
///
/// # Errors
/// As [`evaluate`].
///
/// # Panics
/// As [`evaluate`].
pub fn evaluate_with_births(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    births: &Births<'_>,
    options: &EvaluationConfig,
    threads: usize,
    progress: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
) -> Result<Evaluation> {
    let sessions = births.sessions();
    evaluate_in_blocks(model, items, sessions, Some(births), options, threads, progress, (ROWS, BLOCK))
}

/// As [`evaluate`], with `rows` sessions at a time and `block` candidates per block, which change the time only.
#[allow(clippy::too_many_arguments)] // those of `evaluate`, and three more
pub(crate) fn evaluate_in_blocks(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    births: Option<&Births<'_>>,
    options: &EvaluationConfig,
    threads: usize,
    progress: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
    (rows, block): (usize, usize),
) -> Result<Evaluation> {
    assert!(threads > 0, "an evaluation needs a thread");
    assert_eq!(model.num_items(), items.len(), "the vocabulary is not the model's");
    options.validate()?;
    let begin = Instant::now();
    let lengths: Vec<usize> = sessions.iter().map(<[u32]>::len).collect();
    let length = |s: u32| lengths[s as usize];
    let mut order: Vec<u32> = (0..sessions.len() as u32).filter(|&s| length(s) >= 2).collect();
    if order.is_empty() {
        return Err(Error::NoCases { sessions: sessions.len() });
    }
    // Longest sessions first, so that all rows are in use until shortly before the end, and threads get equal shares.
    order.sort_by_key(|&s| std::cmp::Reverse(length(s)));
    let task = Task { births, ..Task::new(model, items, sessions, options, progress, (rows, block)) };
    let threads = threads.min(order.len());
    let share = |thread: usize| order.iter().copied().skip(thread).step_by(threads).collect::<Vec<u32>>();
    let tallies: Vec<Result<Tally<'_>>> = std::thread::scope(|scope| {
        let (task, share) = (&task, &share);
        let others: Vec<_> = (1..threads).map(|t| scope.spawn(move || task.rank_all(share(t)))).collect();
        let own = task.rank_all(share(0));
        let others = others.into_iter().map(|thread| match thread.join() {
            Ok(tally) => tally,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(others).collect()
    });
    let mut tallies = tallies.into_iter();
    let mut total = Tally::new(&task);
    tallies.try_for_each(|tally| tally.map(|tally| total.merge(tally)))?;
    total.cases.sort_unstable_by_key(|case| (case.session, case.position));

    let ranks: Vec<f64> = total.cases.iter().map(|case| case.rank(options.ties)).collect();
    let hits = HitCounts::of(&total.cases, sessions, items.len(), (options.ties, &options.cutoffs));
    let at = |(cutoff, &k): (usize, &usize)| {
        let mut at = MetricsAt { k, ..MetricsAt::default() }.of_ranks(&ranks);
        hits.set(cutoff, &mut at);
        if let Some(lists) = &total.lists {
            lists.set(cutoff, &mut at);
        }
        at
    };
    Ok(Evaluation {
        cases: ranks.len(),
        sessions: order.len(),
        candidates: task.candidates.len(),
        ties: options.ties,
        misses: 0,
        metrics: options.cutoffs.iter().enumerate().map(at).collect(),
        seconds: begin.elapsed().as_secs_f64(),
        ranked: total.cases,
    })
}

/// Memory in bytes of an evaluation of a model over `items` items whose session scorers have these buffers.
pub(crate) fn bytes(
    items: usize,
    sessions: &Sessions,
    options: &EvaluationConfig,
    threads: usize,
    scorer: Bytes,
) -> Bytes {
    let cases: usize = sessions.iter().map(|session| session.len().saturating_sub(1)).sum();
    let mut total = Bytes::default();
    total.add_times(threads, scorer);
    total.add(threads, lanes(ROWS) * BLOCK * size_of::<f32>());
    // The cases of every thread, and of all together, in lists that may have grown to twice their length; their ranks.
    total.add(cases, 4 * size_of::<RankedCase>() + size_of::<f64>());
    // The candidates while they are sorted, and whether an item is one; afterwards, the items that a session has shown.
    total.add(items, 2 * size_of::<ItemIndex>() + 1);
    if options.lists {
        // For each item, how often the lists have it up to each cut-off, and whether it is relevant; its place in the order of
        // popularity, the length of its vector, and its counts while a metric is computed.
        let of_item = (options.cutoffs.len() + 1).saturating_mul(size_of::<u32>());
        total.add(threads + 1, items.saturating_mul(of_item));
        total.add(items, size_of::<u32>() + 3 * size_of::<u64>());
    }
    total
}

/// The inputs of an evaluation, common to all threads.
struct Task<'a> {
    model: &'a dyn Recommender,
    items: &'a ItemVocabulary,
    sessions: &'a Sessions,
    progress: &'a (dyn Fn(usize) -> ControlFlow<()> + Sync),
    /// The candidates, ascending, since blocks of adjacent items are scored fastest.
    candidates: Vec<ItemIndex>,
    is_candidate: Vec<bool>,
    /// The task of the top-k lists, if they are formed.
    lists: Option<ListTask<'a>>,
    births: Option<&'a Births<'a>>,
    rows: usize,
    block: usize,
}

/// The result of a thread.
struct Tally<'a> {
    cases: Vec<RankedCase>,
    lists: Option<ListTally<'a>>,
}

impl<'a> Tally<'a> {
    fn new(task: &'a Task) -> Self {
        Self { cases: Vec::new(), lists: task.lists.as_ref().map(ListTally::new) }
    }

    fn merge(&mut self, other: Self) {
        self.cases.extend(other.cases);
        if let (Some(mine), Some(theirs)) = (&mut self.lists, &other.lists) {
            mine.merge(theirs);
        }
    }
}

impl<'a> Task<'a> {
    fn new(
        model: &'a dyn Recommender,
        items: &'a ItemVocabulary,
        sessions: &'a Sessions,
        options: &'a EvaluationConfig,
        progress: &'a (dyn Fn(usize) -> ControlFlow<()> + Sync),
        (rows, block): (usize, usize),
    ) -> Self {
        let mut candidates = items.by_support();
        candidates.truncate(options.candidates.unwrap_or(usize::MAX));
        let lists = options.lists.then(|| ListTask::new(model, items, &options.cutoffs, &candidates));
        candidates.sort_unstable();
        let mut is_candidate = vec![false; items.len()];
        candidates.iter().for_each(|&item| is_candidate[item as usize] = true);
        Self { model, items, sessions, progress, candidates, is_candidate, lists, births: None, rows, block }
    }

    /// Ranks all cases of the sessions whose indices are in `order`.
    fn rank_all(&self, order: Vec<u32>) -> Result<Tally<'_>> {
        let isa = Isa::detect();
        let rows = self.rows.min(order.len());
        let mut tally = Tally::new(self);
        let mut scorer = self.model.scorer(rows);
        let mut batcher = SessionBatcher::new(self.sessions, order, rows);
        let mut scores = vec![0.0; lanes(rows) * rows.max(self.block)];
        let [mut target, mut larger, mut equal] = [const { Vec::new() }; 3];
        let list_length = self.lists.as_ref().map_or(0, |lists| lists.length);
        let mut best = vec![TopK::new(list_length); rows];
        let mut times = Vec::new();
        while let Some(batch) = batcher.next_batch()? {
            let (rows, lanes) = (batch.len(), lanes(batch.len()));
            scorer.read(batch);

            // All targets are scored for all rows; each row needs the score of its own target.
            scorer.score(&batch.targets, &mut scores[..rows * lanes]);
            target.clear();
            target.extend((0..rows).map(|b| scores[b * lanes + b]));
            target.resize(lanes, 0.0);
            let first = tally.cases.len();
            let mut not_finite = 0;
            for (b, (&item, score)) in batch.targets.iter().zip(&target).enumerate() {
                let beside = !self.is_candidate[item as usize];
                not_finite += u64::from(beside && !score.is_finite());
                tally.cases.push(RankedCase {
                    session: batch.session(b) as u32,
                    position: batch.position(b) as u32,
                    larger: 0,
                    equal: u32::from(beside),
                    fell_back: false,
                });
            }

            if let Some(births) = self.births {
                times.clear();
                times.extend((0..rows).map(|b| births.time_of_target(batch.session(b), batch.position(b))));
            }
            for block in self.candidates.chunks(self.block) {
                let scores = &mut scores[..block.len() * lanes];
                scorer.score(block, scores);
                if let Some(births) = self.births {
                    births.hide_unborn(block, lanes, &times, scores);
                }
                for counts in [&mut larger, &mut equal] {
                    counts.clear();
                    counts.resize(lanes, 0.0);
                }
                if !count_above(isa, scores, rows, &target, &mut larger, &mut equal) {
                    not_finite += count_non_finite(scores, lanes, rows);
                }
                for (b, case) in tally.cases[first..].iter_mut().enumerate() {
                    case.larger += larger[b] as u32;
                    case.equal += equal[b] as u32;
                }
                if tally.lists.is_some() {
                    self.collect(block, scores, lanes, &mut best[..rows]);
                }
            }
            for (b, case) in tally.cases[first..].iter_mut().enumerate() {
                case.fell_back = scorer.fell_back(b);
            }
            if not_finite > 0 {
                return Err(Error::NonFiniteScores {
                    model: self.model.name().to_owned(),
                    count: not_finite,
                    scores: (rows * self.candidates.len()) as u64,
                });
            }
            if let Some(lists) = &mut tally.lists {
                for (b, best) in best[..rows].iter_mut().enumerate() {
                    let rest = &self.sessions.session(batch.session(b))[batch.position(b) + 1..];
                    lists.add(best.sorted(), rest);
                    best.clear();
                }
            }
            if (self.progress)(rows).is_break() {
                return Err(Error::Stopped);
            }
        }
        Ok(tally)
    }

    /// Adds a block of scored candidates to the top-k list of each row.
    fn collect(&self, block: &[ItemIndex], scores: &[f32], lanes: usize, best: &mut [TopK]) {
        for (&item, scores) in block.iter().zip(scores.chunks_exact(lanes)) {
            for (best, &score) in best.iter_mut().zip(scores) {
                if best.admits(score) {
                    best.push(Entry { score, support: self.items.support(item), item });
                }
            }
        }
    }
}

//! Evaluation: how well does a model rank what came next? `docs/evaluation.md` is the protocol.
//!
//! The one loop of the program that judges: test sessions are fed event by event, and after each event but the last the
//! next item is ranked among the candidates. Candidates are scored in blocks, so that no matrix of sessions by items is
//! ever there.

mod config;
mod lists;
pub mod metrics;
#[cfg(test)]
mod tests;

pub use config::EvaluationConfig;

use crate::batch::SessionBatcher;
use crate::data::{ItemIndex, ItemVocabulary, Sessions};
use crate::ranking::{BLOCK, Entry, ROWS, TieRule, TopK, count_non_finite};
use crate::recommender::{Recommender, lanes};
use crate::{Error, Result};
use lists::ListTally;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::time::Instant;
use upnext_kernels::{Isa, count_above};

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// Number of cases: positions of sessions whose next item was ranked.
    pub cases: usize,
    /// Number of sessions with a case.
    pub sessions: usize,
    /// Number of candidates of each case; a target that is not among them is ranked beside them.
    pub candidates: usize,
    /// The tie rule of the metrics.
    pub ties: TieRule,
    /// The metrics, per cut-off.
    pub metrics: Vec<MetricsAt>,
    /// Time that the evaluation took, in seconds.
    pub seconds: f64,
    /// Every case, by session and position: what confidence intervals are made of.
    #[serde(skip)]
    pub ranked: Vec<RankedCase>,
}

impl Evaluation {
    /// The metrics at the largest cut-off, at which models are chosen. There is always one: [`evaluate`] refuses to judge
    /// without a cut-off.
    pub(crate) fn at_largest(&self) -> MetricsAt {
        self.metrics[self.metrics.len() - 1]
    }
}

/// The metrics at one cut-off, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricsAt {
    /// The cut-off.
    pub k: usize,
    /// [`metrics::recall`].
    pub recall: f64,
    /// [`metrics::mrr`].
    pub mrr: f64,
    /// [`metrics::ndcg`].
    pub ndcg: f64,
    /// The share of all items of the vocabulary that occur in the top-k list of any case (Ludewig and Jannach, Evaluation
    /// of session-based recommendation algorithms, UMUAI 2018); only with [`EvaluationConfig::lists`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// The mean popularity of the entries of all top-k lists (Ludewig and Jannach 2018), an item's popularity being its
    /// support divided by the largest support; only with [`EvaluationConfig::lists`].
    ///
    /// Lists are ordered by score, then support, then index. Where candidates are the M most popular items, lists are
    /// made of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub popularity: Option<f64>,
}

/// Where the target of one case stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RankedCase {
    /// The session, as an index of those evaluated.
    pub session: u32,
    /// The position of the event read last, from 0; the target is the next one.
    pub position: u32,
    /// Number of candidates with a larger score than the target.
    pub larger: u32,
    /// Number of candidates with the target's score, the target counted in.
    pub equal: u32,
}

impl RankedCase {
    /// The target's rank, from 1.
    pub fn rank(&self, ties: TieRule) -> f64 {
        ties.rank(self.larger, self.equal)
    }
}

impl Evaluation {
    /// The rank of every case under any tie rule, by session and position.
    pub fn ranks(&self, ties: TieRule) -> Vec<f64> {
        self.ranked.iter().map(|case| case.rank(ties)).collect()
    }
}

/// Judges a model by sessions that it was not trained on, on `threads` threads.
///
/// `progress` is told, from any of the threads, how many more cases have been ranked, and answers whether to go on; there
/// are as many as events less one in every session. Sessions of fewer than two events are passed over. The result does not depend on the
/// number of threads.
///
/// # Errors
/// [`Error::Config`] for options that make no sense, [`Error::NoCases`] if no session has two events,
/// [`Error::NonFiniteScores`] for a model that gives such, [`Error::Stopped`] where `progress` asked to stop.
///
/// # Panics
/// If `threads` is 0, the model's number of items is not that of the vocabulary, or a session has an item behind it.
pub fn evaluate(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    options: &EvaluationConfig,
    threads: usize,
    progress: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
) -> Result<Evaluation> {
    evaluate_in_blocks(model, items, sessions, options, threads, progress, (ROWS, BLOCK))
}

/// [`evaluate`] with other numbers of (sessions side by side, candidates in a block), which change nothing but the time.
pub(crate) fn evaluate_in_blocks(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    options: &EvaluationConfig,
    threads: usize,
    progress: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
    (rows, block): (usize, usize),
) -> Result<Evaluation> {
    assert!(threads > 0, "an evaluation needs a thread");
    assert_eq!(model.num_items(), items.len(), "the vocabulary is not the model's");
    options.validate()?;
    let begin = Instant::now();
    let length = |s: u32| sessions.session(s as usize).len();
    let mut order: Vec<u32> = (0..sessions.len() as u32).filter(|&s| length(s) >= 2).collect();
    if order.is_empty() {
        return Err(Error::NoCases { sessions: sessions.len() });
    }
    // The longest first: all rows are busy until shortly before the end, and threads get equal shares.
    order.sort_by_key(|&s| std::cmp::Reverse(length(s)));
    let task = Task::new(model, items, sessions, options, progress, (rows, block));
    let threads = threads.min(order.len());
    let share = |thread: usize| order.iter().copied().skip(thread).step_by(threads).collect::<Vec<u32>>();
    let tallies: Vec<Result<Tally>> = std::thread::scope(|scope| {
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
    let largest_support = items.supports().iter().copied().max().unwrap_or(0);
    let at = |&k: &usize| MetricsAt {
        k,
        recall: metrics::recall(&ranks, k),
        mrr: metrics::mrr(&ranks, k),
        ndcg: metrics::ndcg(&ranks, k),
        coverage: total.lists.as_ref().map(|lists| lists.coverage(k)),
        popularity: total.lists.as_ref().map(|lists| lists.popularity(k, largest_support)),
    };
    Ok(Evaluation {
        cases: ranks.len(),
        sessions: order.len(),
        candidates: task.candidates.len(),
        ties: options.ties,
        metrics: options.cutoffs.iter().map(at).collect(),
        seconds: begin.elapsed().as_secs_f64(),
        ranked: total.cases,
    })
}

/// What every thread does alike.
struct Task<'a> {
    model: &'a dyn Recommender,
    items: &'a ItemVocabulary,
    sessions: &'a Sessions,
    progress: &'a (dyn Fn(usize) -> ControlFlow<()> + Sync),
    /// Ascending: blocks of neighbours in a table are read fastest.
    candidates: Vec<ItemIndex>,
    is_candidate: Vec<bool>,
    /// Length of the lists to make; 0 for none.
    list_length: usize,
    rows: usize,
    block: usize,
}

/// What a thread found.
struct Tally {
    cases: Vec<RankedCase>,
    lists: Option<ListTally>,
}

impl Tally {
    fn new(task: &Task) -> Self {
        let length = task.list_length;
        Self {
            cases: Vec::new(),
            lists: (length > 0).then(|| ListTally::new(task.items.len(), length.min(task.candidates.len()))),
        }
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
        options: &EvaluationConfig,
        progress: &'a (dyn Fn(usize) -> ControlFlow<()> + Sync),
        (rows, block): (usize, usize),
    ) -> Self {
        let mut candidates = items.by_support();
        candidates.truncate(options.candidates.unwrap_or(usize::MAX));
        candidates.sort_unstable();
        let mut is_candidate = vec![false; items.len()];
        candidates.iter().for_each(|&item| is_candidate[item as usize] = true);
        let longest = options.cutoffs.last().copied().unwrap_or(0);
        let list_length = if options.lists { longest } else { 0 };
        Self { model, items, sessions, progress, candidates, is_candidate, list_length, rows, block }
    }

    /// Ranks all cases of the sessions that `order` names.
    fn rank_all(&self, order: Vec<u32>) -> Result<Tally> {
        let isa = Isa::detect();
        let rows = self.rows.min(order.len());
        let mut tally = Tally::new(self);
        let mut scorer = self.model.scorer(rows);
        let mut batcher = SessionBatcher::new(self.sessions, order, rows);
        let mut scores = vec![0.0; lanes(rows) * rows.max(self.block)];
        let [mut target, mut larger, mut equal] = [const { Vec::new() }; 3];
        let mut best = vec![TopK::new(self.list_length.min(self.candidates.len())); rows];
        while let Some(batch) = batcher.next_batch() {
            let (rows, lanes) = (batch.len(), lanes(batch.len()));
            scorer.observe(batch, self.sessions);

            // Of the scores of all targets for all rows, each row needs its own.
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
                });
            }

            for block in self.candidates.chunks(self.block) {
                let scores = &mut scores[..block.len() * lanes];
                scorer.score(block, scores);
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
            if not_finite > 0 {
                return Err(Error::NonFiniteScores {
                    model: self.model.name().to_owned(),
                    count: not_finite,
                    scores: (rows * self.candidates.len()) as u64,
                });
            }
            if let Some(lists) = &mut tally.lists {
                for best in &mut best[..rows] {
                    lists.add(best.sorted());
                    best.clear();
                }
            }
            if (self.progress)(rows).is_break() {
                return Err(Error::Stopped);
            }
        }
        Ok(tally)
    }

    /// Offers a block of scored candidates to every row's list.
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

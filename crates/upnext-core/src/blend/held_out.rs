//! Sessions that no member has learnt from, and the lists of members for them.

use super::learn::Case;
use super::lists::{Catalogue, FEATURES, List, Lister, Source, fixed};
use super::pool::{Pool, features, union};
use crate::batch::SessionBatcher;
use crate::data::{ItemIndex, ItemVocabulary, Sessions};
use crate::evaluation::{EvaluationConfig, evaluate};
use crate::experiment::TieRule;
use crate::history::{FitEvent, Observer};
use crate::kind::{AnyModel, Scale};
use crate::ranking::ROWS;
use crate::{Error, Result};
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of cases that weights are learnt from, at most: there are twelve weights a member, and a case with eight members takes
/// up to fifty kilobytes.
pub(crate) const CASES: usize = 20_000;

/// Held-out sessions, whose cases are the positions that an event follows.
pub(crate) struct HeldOut {
    sessions: Sessions,
    /// The number of the first case of each session.
    first: Vec<usize>,
    /// The target of each case.
    targets: Vec<ItemIndex>,
    contexts: Vec<usize>,
}

impl HeldOut {
    /// Sessions with about `most` cases in all at most, evenly from these. Those of less than two events have no case.
    pub(crate) fn new(sessions: &Sessions, most: usize) -> Self {
        let total: usize = sessions.iter().map(|session| session.len().saturating_sub(1)).sum();
        let every = total.div_ceil(most).max(1);
        let mut held =
            Self { sessions: Sessions::new(), first: Vec::new(), targets: Vec::new(), contexts: Vec::new() };
        let long = (0..sessions.len()).filter(|&s| sessions.session(s).len() > 1);
        for s in long.step_by(every) {
            let session = sessions.session(s);
            held.first.push(held.targets.len());
            held.targets.extend_from_slice(&session[1..]);
            held.contexts.extend((1..session.len()).map(Pool::context));
            held.sessions.push(session, sessions.start(s));
        }
        held
    }

    /// Number of cases.
    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }

    /// The lists of a member for all cases, in their order, on `threads` threads.
    ///
    /// # Errors
    /// [`Error::NonFiniteScores`] if the member gives scores that are not finite; [`Error::Stopped`] if the observer breaks.
    pub(crate) fn lists(
        &self,
        (model, scale): (&dyn AnyModel, Scale),
        catalogue: &Catalogue,
        depth: usize,
        threads: usize,
        observe: &mut Observer<'_>,
    ) -> Result<Vec<List>> {
        // Sessions are read together in groups, which are dealt to the threads in turn.
        let order: Vec<u32> = (0..self.sessions.len() as u32).collect();
        let groups: Vec<&[u32]> = order.chunks(4 * ROWS).collect();
        let source = Source::new((model, scale), None, fixed((model, scale)));
        let (threads, is_stopped) = (threads.min(groups.len()).max(1), AtomicBool::new(false));
        let work = |thread: usize, go_on: &mut dyn FnMut(usize) -> bool| -> Result<Vec<(usize, List)>> {
            let mut lister = Lister::new(source.clone(), depth, ROWS);
            let mut found = Vec::new();
            for (number, group) in groups.iter().enumerate().skip(thread).step_by(threads) {
                if !go_on(number) {
                    break;
                }
                self.group(&mut lister, catalogue, group, &mut found)?;
            }
            Ok(found)
        };
        let mut lists = vec![List::default(); self.len()];
        std::thread::scope(|scope| -> Result<()> {
            let (work, is_stopped) = (&work, &is_stopped);
            let until_stopped = move |thread| work(thread, &mut |_| !is_stopped.load(Ordering::Relaxed));
            let others: Vec<_> =
                (1..threads).map(|thread| scope.spawn(move || until_stopped(thread))).collect();
            let own = work(0, &mut |done| {
                let stops = observe(FitEvent::Listing { done, of: groups.len() }).is_break();
                is_stopped.store(stops, Ordering::Relaxed);
                !stops
            });
            let others = others.into_iter().map(|thread| match thread.join() {
                Ok(found) => found,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            for found in std::iter::once(own).chain(others) {
                found?.into_iter().for_each(|(case, list)| lists[case] = list);
            }
            Ok(())
        })?;
        if is_stopped.into_inner() {
            return Err(Error::Stopped);
        }
        let broken = lists.iter().filter(|list| !list.is_finite()).count() as u64;
        if broken > 0 {
            return Err(Error::NonFiniteScores {
                model: model.name().to_owned(),
                count: broken,
                scores: self.len() as u64,
            });
        }
        Ok(lists)
    }

    /// Adds the lists of the cases of some sessions, with the numbers of the cases.
    fn group(
        &self,
        lister: &mut Lister,
        catalogue: &Catalogue,
        group: &[u32],
        found: &mut Vec<(usize, List)>,
    ) -> Result<()> {
        let mut batcher = SessionBatcher::new(&self.sessions, group.to_vec(), ROWS.min(group.len()));
        while let Some(batch) = batcher.next_batch()? {
            lister.read(batch);
            let case = |row: usize| self.first[batch.session(row)] + batch.position(row);
            let lists = lister.lists(catalogue).into_iter().enumerate();
            found.extend(lists.map(|(row, list)| (case(row), list)));
        }
        Ok(())
    }

    /// The numbers of the cases of each session.
    pub(crate) fn cases_of_sessions(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let ends = self.first.iter().skip(1).copied().chain([self.len()]);
        self.first.iter().zip(ends).map(|(&first, end)| first..end)
    }

    /// The rank of the target of each case under a model alone, by the conservative rule.
    ///
    /// # Errors
    /// Those of [`evaluate`].
    pub(crate) fn ranks_alone(
        &self,
        model: &dyn AnyModel,
        items: &ItemVocabulary,
        threads: usize,
    ) -> Result<Vec<f64>> {
        let options = EvaluationConfig { ties: TieRule::Conservative, ..EvaluationConfig::default() };
        let go_on = |_: usize| ControlFlow::Continue(());
        let found = evaluate(model.recommender(), items, &self.sessions, &options, threads, &go_on)?;
        Ok(found.ranks(options.ties))
    }

    /// The rank of the target of each case under a pool of members' lists, by the conservative rule.
    pub(crate) fn ranks(&self, pool: &Pool, lists: &[&[List]], catalogue: &Catalogue) -> Vec<f64> {
        let rank = |case: usize| {
            let own: Vec<&List> = lists.iter().map(|of_member| &of_member[case]).collect();
            let scores = pool.scores(self.contexts[case], &own);
            let target = self.targets[case];
            let rank = match scores.binary_search_by_key(&target, |&(item, _)| item) {
                Ok(at) => scores.iter().filter(|&&(_, score)| score >= scores[at].1).count(),
                Err(_) => catalogue.rank_behind(&scores, target),
            };
            rank as f64
        };
        (0..self.len()).map(rank).collect()
    }

    /// Whether the lists of a member are the same after every session, so that it lists nothing.
    pub(crate) fn is_fixed(lists: &[List]) -> bool {
        lists.first().is_some_and(|list| list.fixed.is_some())
    }

    /// Every `every`-th case for learning weights, of those whose target is in any of the members' lists.
    pub(crate) fn cases(&self, lists: &[&[List]], every: usize) -> Vec<Case> {
        let case = |case: usize| {
            let lists: Vec<&List> = lists.iter().map(|of_member| &of_member[case]).collect();
            let union = union(&lists);
            let target = union.binary_search(&self.targets[case]).ok()?;
            let mut own = Vec::with_capacity(union.len() * FEATURES * lists.len());
            union.iter().for_each(|&item| features(&lists, item, &mut own));
            Some(Case { context: self.contexts[case], features: own, target })
        };
        (0..self.len()).step_by(every.max(1)).filter_map(case).collect()
    }
}

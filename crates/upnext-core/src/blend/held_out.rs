//! Sessions that no member has learnt from, and the lists of members for them.

use super::learn::Case;
use super::lists::{Catalogue, List, Lister};
use super::pool::{Pool, features, union};
use crate::batch::SessionBatcher;
use crate::data::{ItemIndex, Sessions};
use crate::history::{FitEvent, Observer};
use crate::kind::{AnyModel, Scale};
use crate::ranking::ROWS;
use crate::{Error, Result};
use std::ops::Range;

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
    /// Sessions with about `limit` cases in all, evenly from these. Those of less than two events have no case.
    pub(crate) fn new(sessions: &Sessions, limit: usize) -> Self {
        let total: usize = sessions.iter().map(|session| session.len().saturating_sub(1)).sum();
        let every = total.div_ceil(limit).max(1);
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
        let mut lists = vec![List::default(); self.len()];
        // Sessions are read together in groups, which threads take in turn; between rounds, the caller can stop.
        let groups: Vec<Vec<u32>> = (0..self.sessions.len() as u32)
            .collect::<Vec<_>>()
            .chunks(4 * ROWS)
            .map(<[u32]>::to_vec)
            .collect();
        for (done, round) in (0..).step_by(threads).zip(groups.chunks(threads)) {
            if observe(FitEvent::Listing { done, of: groups.len() }).is_break() {
                return Err(Error::Stopped);
            }
            let work = |group: &Vec<u32>| {
                self.group(Lister::new((model, scale), None, depth, ROWS), catalogue, group)
            };
            let found: Vec<Vec<(usize, List)>> = std::thread::scope(|scope| {
                let others: Vec<_> = round[1..].iter().map(|group| scope.spawn(|| work(group))).collect();
                let own = work(&round[0]);
                let others = others.into_iter().map(|thread| match thread.join() {
                    Ok(found) => found,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
                std::iter::once(own).chain(others).collect()
            });
            for (case, list) in found.into_iter().flatten() {
                lists[case] = list;
            }
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

    /// The lists of the cases of some sessions, with the numbers of the cases.
    fn group(&self, mut lister: Lister, catalogue: &Catalogue, group: &[u32]) -> Vec<(usize, List)> {
        let mut found = Vec::new();
        let mut batcher = SessionBatcher::new(&self.sessions, group.to_vec(), ROWS.min(group.len()));
        while let Some(batch) = batcher.next_batch() {
            lister.read(batch, &self.sessions);
            let case = |row: usize| self.first[batch.session(row)] + batch.position(row);
            found
                .extend(lister.lists(catalogue).into_iter().enumerate().map(|(row, list)| (case(row), list)));
        }
        found
    }

    /// The numbers of the cases of each session.
    pub(crate) fn cases_of_sessions(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let ends = self.first.iter().skip(1).copied().chain([self.len()]);
        self.first.iter().zip(ends).map(|(&first, end)| first..end)
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

    /// The cases for learning weights whose target is in any of the members' lists.
    pub(crate) fn cases(&self, lists: &[&[List]]) -> Vec<Case> {
        let case = |case: usize| {
            let lists: Vec<&List> = lists.iter().map(|of_member| &of_member[case]).collect();
            let union = union(&lists);
            let target = union.binary_search(&self.targets[case]).ok()?;
            let mut own = Vec::with_capacity(union.len() * 2 * lists.len());
            union.iter().for_each(|&item| features(&lists, item, &mut own));
            Some(Case { context: self.contexts[case], features: own, target })
        };
        (0..self.len()).filter_map(case).collect()
    }
}

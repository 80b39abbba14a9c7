//! Items that begin to exist during the test part, and metrics of some of the targets.

use super::outcome::{Evaluation, MetricsAt};
use crate::data::{ItemIndex, ItemVocabulary, Sessions, TestSessions, TimeMicros};
use serde::Serialize;

/// The items that exist at the time of a case: those of the training, and new ones from their birth on.
///
/// A new item is one without training events. Its birth is that of the catalogue, if that has one, else its first event in the test part. It is a
/// candidate of the cases whose target is clicked then or later, so that a target always is one. In a log whose times are days, an item is
/// a candidate for the whole of its first day.
#[derive(Clone, Debug)]
pub struct Births<'a> {
    test: &'a TestSessions,
    /// The new items and their births, by index.
    new: Vec<(ItemIndex, TimeMicros)>,
}

impl<'a> Births<'a> {
    /// The births of the items of a vocabulary by which the test sessions were made. `born` is the catalogue's birth of an item, if that is known.
    pub fn new(
        items: &ItemVocabulary,
        test: &'a TestSessions,
        born: impl Fn(ItemIndex) -> Option<TimeMicros>,
    ) -> Self {
        let new = (0..items.len() as ItemIndex).filter(|&item| items.support(item) == 0);
        // One that is never born is no candidate.
        let birth = |item| {
            let first = test.first_event(item);
            let born = born(item).map(|born| first.map_or(born, |first| born.min(first)));
            born.or(first).unwrap_or(TimeMicros::MAX)
        };
        Self { test, new: new.map(|item| (item, birth(item))).collect() }
    }

    /// The test sessions.
    pub fn sessions(&self) -> &'a Sessions {
        &self.test.sessions
    }

    /// Number of new items that exist at the end of the test part.
    pub fn born(&self) -> usize {
        self.new.iter().filter(|(_, birth)| *birth < TimeMicros::MAX).count()
    }

    /// The time of the target of a case: the event of a session behind its `position`-th.
    pub(super) fn time_of_target(&self, session: usize, position: usize) -> TimeMicros {
        self.test.time(session, position + 1)
    }

    /// Lowers the scores of items that do not exist yet, so that they are behind all others. `block` are adjacent items, ascending, with
    /// `lanes` scores each; `times` are those of the targets.
    pub(super) fn hide_unborn(
        &self,
        block: &[ItemIndex],
        lanes: usize,
        times: &[TimeMicros],
        scores: &mut [f32],
    ) {
        let Some((first, last)) = block.first().zip(block.last()) else { return };
        let from = self.new.partition_point(|(item, _)| item < first);
        for &(item, birth) in self.new[from..].iter().take_while(|(item, _)| item <= last) {
            let Ok(place) = block.binary_search(&item) else { continue };
            for (score, &time) in scores[place * lanes..].iter_mut().zip(times) {
                if birth > time {
                    *score = f32::MIN;
                }
            }
        }
    }
}

/// Support below which an item is rare.
pub(crate) const RARE: u64 = 5;

/// The cases whose targets are of one sort.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OfTargets {
    /// `known`, `rare` (those of them with a support below 5) or `new` (items without training events).
    pub of: &'static str,
    /// Number of cases.
    pub cases: usize,
    /// The metrics of ranks over them, by cut-off; zeros without cases.
    pub metrics: Vec<MetricsAt>,
}

impl Evaluation {
    /// The cases on known, on rare and on new items, each by themselves.
    pub fn by_support(&self, sessions: &Sessions, items: &ItemVocabulary) -> [OfTargets; 3] {
        let of = |of, among: &dyn Fn(u64) -> bool| {
            let (cases, metrics) = self.of_targets(sessions, |item| among(items.support(item)));
            OfTargets { of, cases, metrics }
        };
        [
            of("known", &|support| support > 0),
            of("rare", &|support| (1..RARE).contains(&support)),
            of("new", &|support| support == 0),
        ]
    }

    /// The number of the cases whose target is among some items, and the metrics of ranks over them alone.
    pub fn of_targets(
        &self,
        sessions: &Sessions,
        among: impl Fn(ItemIndex) -> bool,
    ) -> (usize, Vec<MetricsAt>) {
        let of = self.ranked.iter().filter(|case| among(case.target(sessions)));
        let ranks: Vec<f64> = of.map(|case| case.rank(self.ties)).collect();
        let at = |of_all: &MetricsAt| MetricsAt { k: of_all.k, ..MetricsAt::default() }.of_ranks(&ranks);
        (ranks.len(), self.metrics.iter().map(at).collect())
    }
}

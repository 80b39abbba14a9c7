//! Scores of a blend for several sessions at once.

use super::lists::{List, features, union};
use super::pool::Pool;
use super::{Blend, BlendConfig};
use crate::batch::{Batch, Carry};
use crate::data::{ItemIndex, Sessions};
use crate::experiment::ModelKind;
use crate::kind::{AnyModel, Scale};
use crate::ranking::{BLOCK, Entry, TopK};
use crate::recommender::{SessionScorer, lanes};

/// The lists of all members for the sessions of a batch.
pub(super) struct Lists<'m> {
    members: Vec<(Box<dyn SessionScorer + 'm>, Scale)>,
    supports: &'m [u64],
    depth: usize,
    scores: Vec<f32>,
    best: Vec<TopK>,
}

impl<'m> Lists<'m> {
    /// For fitted members in the order of the configuration, and up to `rows` sessions.
    pub(super) fn new(
        config: &BlendConfig,
        members: &'m [Box<dyn AnyModel>],
        supports: &'m [u64],
        rows: usize,
    ) -> Self {
        let scales = config.members.iter().map(|member| ModelKind::scale(member.0.kind()));
        let scorers = members.iter().map(|member| member.scorer(rows));
        Self {
            members: scorers.zip(scales).collect(),
            supports,
            depth: config.depth,
            scores: vec![0.0; lanes(rows) * BLOCK],
            best: vec![TopK::new(config.depth); rows],
        }
    }

    /// Reads a batch; returns the lists of all members for each row.
    pub(super) fn read(&mut self, batch: &Batch, sessions: &Sessions) -> Vec<Vec<List>> {
        let (rows, lanes) = (batch.len(), lanes(batch.len()));
        let mut lists = vec![Vec::with_capacity(self.members.len()); rows];
        let all: Vec<ItemIndex> = (0..self.supports.len() as ItemIndex).collect();
        for (scorer, scale) in &mut self.members {
            scorer.read(batch, sessions);
            self.best[..rows].iter_mut().for_each(TopK::clear);
            for block in all.chunks(BLOCK) {
                let scores = &mut self.scores[..block.len() * lanes];
                scorer.score(block, scores);
                for (&item, scores) in block.iter().zip(scores.chunks_exact(lanes)) {
                    for (best, &score) in self.best[..rows].iter_mut().zip(scores) {
                        if best.admits(score) {
                            best.push(Entry { score, support: self.supports[item as usize], item });
                        }
                    }
                }
            }
            for (best, lists) in self.best.iter_mut().zip(&mut lists) {
                lists.push(List::new(best.sorted(), *scale));
            }
        }
        debug_assert!(self.depth > 0);
        lists
    }
}

pub(super) struct BlendScorer<'m> {
    blend: &'m Blend,
    lists: Lists<'m>,
    rows: Vec<Row>,
    /// Number of rows in whose lists each item is; those of most items is 0.
    listed: Vec<u32>,
}

/// A session of a batch.
#[derive(Clone, Default)]
struct Row {
    /// Number of events read.
    events: usize,
    /// The items of all lists, ascending, and their scores.
    scores: Vec<(ItemIndex, f32)>,
    /// What is added to the popularity of an item in no list: its score is below all others.
    behind: f32,
}

impl<'m> BlendScorer<'m> {
    pub(super) fn new(blend: &'m Blend, rows: usize) -> Self {
        Self {
            blend,
            lists: Lists::new(&blend.config, &blend.members, &blend.supports, rows),
            rows: Vec::with_capacity(rows),
            listed: vec![0; blend.popularity.len()],
        }
    }
}

impl SessionScorer for BlendScorer<'_> {
    fn read(&mut self, batch: &Batch, sessions: &Sessions) {
        let lists = self.lists.read(batch, sessions);
        let before = std::mem::take(&mut self.rows);
        for (item, _) in before.iter().flat_map(|row| &row.scores) {
            self.listed[*item as usize] -= 1;
        }
        let mut own = Vec::new();
        for (lists, &carry) in lists.iter().zip(&batch.carry) {
            let events = 1 + match carry {
                Carry::Fresh => 0,
                Carry::Row(from) => before[from].events,
            };
            let context = Pool::context(events);
            let score = |item| {
                own.clear();
                features(lists, item, &mut own);
                (item, self.blend.pool.score(context, &own))
            };
            let scores: Vec<(ItemIndex, f32)> = union(lists).into_iter().map(score).collect();
            scores.iter().for_each(|&(item, _)| self.listed[item as usize] += 1);
            let smallest = scores.iter().map(|&(_, score)| score).reduce(f32::min).unwrap_or(0.0);
            // Popularity is from 0 to below 1.
            self.rows.push(Row { events, scores, behind: smallest - 2.0 });
        }
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        for (&item, scores) in items.iter().zip(scores.chunks_exact_mut(lanes(self.rows.len()))) {
            let popularity = self.blend.popularity[item as usize];
            let is_listed = self.listed[item as usize] > 0;
            for (score, row) in scores.iter_mut().zip(&self.rows) {
                *score = row.behind + popularity;
                if is_listed && let Ok(at) = row.scores.binary_search_by_key(&item, |&(item, _)| item) {
                    *score = row.scores[at].1;
                }
            }
        }
    }

    fn fell_back(&self, b: usize) -> bool {
        self.lists.members.iter().all(|(scorer, _)| scorer.fell_back(b))
    }
}

//! Evaluation of a model that knows other items than the test sessions were cut to: yesterday's model on today's
//! sessions.

use super::events::HitCounts;
use super::{Evaluation, EvaluationConfig, MetricsAt, RankedCase, evaluate};
use crate::data::{ItemIndex, ItemVocabulary, Sessions};
use crate::recommender::Recommender;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::time::Instant;

/// The cases that a model with a vocabulary of its own could not rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unranked {
    /// Number of cases.
    pub cases: usize,
    /// Those whose target the model does not know.
    pub unknown_targets: usize,
    /// Those whose target it knows, but none of the events before it.
    pub unknown_histories: usize,
}

/// Evaluates a model with the vocabulary `own` on sessions whose items are those of `items`, as it would serve them.
///
/// It reads the events that it knows, and ranks among its own items. A case whose target it does not know, or none of
/// the events before it, counts as a miss at every cut-off. The cases are the same as those of [`evaluate`] with a model
/// for `items`, so that the two can be compared. Coverage and Gini index are those of the larger of the two vocabularies; a case
/// that is not ranked has precision 0, and items that the model does not know are not relevant.
///
/// # Errors
/// Those of [`evaluate`]; [`Error::NoCases`](crate::Error::NoCases) also if the model knows less than two items of every
/// session.
///
/// # Panics
/// If `threads` is 0, the model and `own` differ in their numbers of items, or an item of a session is not in `items`.
pub fn evaluate_across(
    (model, own): (&dyn Recommender, &ItemVocabulary),
    items: &ItemVocabulary,
    sessions: &Sessions,
    options: &EvaluationConfig,
    threads: usize,
    progress: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
) -> Result<(Evaluation, Unranked)> {
    let begin = Instant::now();
    let known: Vec<Option<ItemIndex>> = items.ids().map(|id| own.index_of(id)).collect();
    let translated = Translated::new(sessions, &known);
    let evaluated = evaluate(model, own, &translated.sessions, options, threads, progress);
    let evaluated = evaluated.map_err(|error| match error {
        Error::NoCases { .. } => Error::NoCases { sessions: sessions.len() },
        other => other,
    })?;

    let (mut ranked, mut unranked) = (Vec::new(), Unranked::default());
    let mut own_cases = evaluated.ranked.iter().peekable();
    for (s, session) in sessions.iter().enumerate() {
        let is_known = |item: &ItemIndex| known[*item as usize].is_some();
        for (position, target) in session.iter().skip(1).enumerate() {
            let place = (s as u32, position as u32);
            let case = own_cases.next_if(|case| translated.place(case) == place);
            ranked.push(match case {
                Some(case) => RankedCase { session: place.0, position: place.1, ..*case },
                None => {
                    unranked.cases += 1;
                    *if is_known(target) {
                        &mut unranked.unknown_histories
                    } else {
                        &mut unranked.unknown_targets
                    } += 1;
                    // Behind all items, at any cut-off.
                    RankedCase {
                        session: place.0,
                        position: place.1,
                        larger: RankedCase::BEHIND_ALL,
                        equal: 1,
                        fell_back: false,
                    }
                }
            });
        }
    }
    let ranks: Vec<f64> = ranked.iter().map(|case| case.rank(options.ties)).collect();
    let hits = HitCounts::of(&ranked, sessions, items.len(), (options.ties, &options.cutoffs));
    // A share of the own items would make a model look broad because it knows few.
    let of_items = own.len() as f64 / own.len().max(items.len()).max(1) as f64;
    let of_cases = evaluated.ranked.len() as f64 / ranked.len().max(1) as f64;
    let at = |(cutoff, of_own): (usize, &MetricsAt)| {
        let mut at = of_own.of_ranks(&ranks).of_items(of_items).of_cases(of_cases);
        hits.set(cutoff, &mut at);
        at
    };
    let evaluation = Evaluation {
        cases: ranked.len(),
        sessions: sessions.iter().filter(|session| session.len() > 1).count(),
        metrics: evaluated.metrics.iter().enumerate().map(at).collect(),
        seconds: begin.elapsed().as_secs_f64(),
        ranked,
        ..evaluated
    };
    Ok((evaluation, unranked))
}

/// Sessions with the items of another vocabulary, without those that it lacks.
struct Translated {
    sessions: Sessions,
    /// The number of each session among the original ones, and the positions of its events there.
    places: Vec<(u32, Vec<u32>)>,
}

impl Translated {
    /// Translates sessions; those with fewer than two known items are left out.
    fn new(sessions: &Sessions, known: &[Option<ItemIndex>]) -> Self {
        let mut translated = Self { sessions: Sessions::new(), places: Vec::new() };
        let (mut items, mut positions) = (Vec::new(), Vec::new());
        for (s, session) in sessions.iter().enumerate() {
            items.clear();
            positions.clear();
            for (position, &item) in session.iter().enumerate() {
                if let Some(item) = known[item as usize] {
                    items.push(item);
                    positions.push(position as u32);
                }
            }
            if items.len() > 1 {
                translated.sessions.push(&items, sessions.start(s));
                translated.places.push((s as u32, positions.clone()));
            }
        }
        translated
    }

    /// The original session and position of a case: its target is the event after that position.
    fn place(&self, case: &RankedCase) -> (u32, u32) {
        let (session, positions) = &self.places[case.session as usize];
        (*session, positions[case.position as usize + 1] - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ByLastItem, example, vocabulary};
    use crate::ranking::TieRule;

    fn go_on(_: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    #[test]
    fn with_the_same_items_in_another_order_the_figures_are_the_same() {
        let data = example();
        let own = {
            let mut own = ItemVocabulary::new();
            let ids: Vec<(u32, &str)> = (0..).zip(data.items.ids()).collect();
            ids.into_iter().rev().for_each(|(item, id)| _ = own.add(id, data.items.support(item)));
            own
        };
        let score = |last: u32, item: u32| ((last * 31 + item * 17) % 23) as f32 - 9.0;
        let last = data.items.len() as u32 - 1;
        let model = ByLastItem::new(data.items.len(), score);
        let reversed = ByLastItem::new(data.items.len(), |a, b| score(last - a, last - b));
        let options = EvaluationConfig { lists: true, ..EvaluationConfig::default() };
        let expected = evaluate(&model, &data.items, &data.sessions, &options, 2, &go_on).unwrap();
        let (found, unranked) =
            evaluate_across((&reversed, &own), &data.items, &data.sessions, &options, 2, &go_on).unwrap();
        assert_eq!(unranked, Unranked::default());
        assert_eq!((found.ranked, found.sessions), (expected.ranked, expected.sessions));
        let recall =
            |metrics: &[MetricsAt]| metrics.iter().map(|at| (at.recall, at.mrr, at.ndcg)).collect::<Vec<_>>();
        assert_eq!(recall(&found.metrics), recall(&expected.metrics));
    }

    #[test]
    fn what_the_model_does_not_know_is_a_miss_and_is_not_read() {
        // The model knows the items 3, 1 and 0, in this order, and predicts the next smaller number of those it knows.
        let items = vocabulary(&[1; 4]);
        let mut own = ItemVocabulary::new();
        ["3", "1", "0"].into_iter().for_each(|id| _ = own.add(id, 1));
        let model = ByLastItem::new(3, |last, item| if item == last + 1 { 1.0 } else { 0.0 });
        let mut sessions = Sessions::new();
        for session in [&[3, 2, 1, 0][..], &[2, 3, 1], &[2, 2], &[2, 0], &[1]] {
            sessions.push(session, 7);
        }
        let options = EvaluationConfig { cutoffs: vec![1, 3], ..EvaluationConfig::default() };
        let (found, unranked) =
            evaluate_across((&model, &own), &items, &sessions, &options, 1, &go_on).unwrap();
        // Targets: 2 (unknown), 1 after 3 (first), 0 (first); 3 after nothing known, 1 (first); 2; 0 after nothing known.
        let places: Vec<(u32, u32)> = found.ranked.iter().map(|case| (case.session, case.position)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (3, 0)]);
        let first: Vec<bool> = found.ranks(TieRule::Conservative).iter().map(|&rank| rank == 1.0).collect();
        assert_eq!(first, [false, true, true, false, true, false, false]);
        assert_eq!(unranked, Unranked { cases: 4, unknown_targets: 2, unknown_histories: 2 });
        assert_eq!((found.cases, found.sessions, found.candidates), (7, 4, 3));
        assert!(found.metrics.iter().all(|at| (at.recall - 3.0 / 7.0).abs() < 1e-12), "{:?}", found.metrics);
    }

    #[test]
    fn a_model_that_knows_nothing_of_the_sessions_is_refused() {
        let (items, mut own) = (vocabulary(&[1; 4]), ItemVocabulary::new());
        own.add("9", 1);
        let mut sessions = Sessions::new();
        sessions.push(&[0, 1], 0);
        let model = ByLastItem::new(1, |_, _| 0.0);
        let options = EvaluationConfig::default();
        let refused = evaluate_across((&model, &own), &items, &sessions, &options, 1, &go_on);
        assert!(matches!(refused, Err(Error::NoCases { sessions: 1 })), "{refused:?}");
    }

    #[test]
    fn coverage_is_a_share_of_the_larger_vocabulary() {
        let items = vocabulary(&[1; 6]);
        let mut own = ItemVocabulary::new();
        for id in ["0", "1", "2"] {
            own.add(id, 1);
        }
        let mut sessions = Sessions::new();
        sessions.push(&[0, 1], 0);
        let model = ByLastItem::new(3, |_, item| item as f32);
        let options = EvaluationConfig { cutoffs: vec![1, 3], lists: true, ..EvaluationConfig::default() };
        let (evaluation, _) =
            evaluate_across((&model, &own), &items, &sessions, &options, 1, &go_on).unwrap();
        let coverage: Vec<Option<f64>> = evaluation.metrics.iter().map(|at| at.coverage).collect();
        assert_eq!(coverage, [Some(1.0 / 6.0), Some(0.5)]);
    }
}

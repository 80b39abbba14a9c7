//! The best items of a model found by its index, without scoring all items.
//!
//! The lists are those of scoring every item, to the bit: see [`upnext_kernels::Scan`].

use super::Recommendation;
use crate::data::{ItemIndex, ItemVocabulary};
use crate::recommender::{Factors, Recommender, SessionScorer};
use upnext_kernels::{LINE, Scan, ScanTable, TopLists};

/// A model prepared for many searches: a copy of its item factors in bytes, about a quarter of their size.
///
/// Made once for a model that does not change, and handed to [`recommend_each`](super::recommend_each) with it.
pub struct Index {
    bytes: ScanTable,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} items × {})", self.bytes.rows(), self.bytes.width())
    }
}

/// What a session is to get.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) k: usize,
    /// The items that it does not get, ascending.
    pub(super) hidden: Vec<ItemIndex>,
}

impl Wanted {
    pub(super) fn may_get(&self, item: ItemIndex) -> bool {
        self.hidden.binary_search(&item).is_err()
    }
}

impl Index {
    /// The index of a model whose scores are products ([`Factors`]) of finite numbers; `None` for all others.
    pub fn new(model: &dyn Recommender) -> Option<Self> {
        let scorer = model.scorer(1);
        let bytes = ScanTable::new(scorer.factors()?.items);
        // Broken weights are left to the scoring of every item, which counts them.
        bytes.is_finite().then_some(Self { bytes })
    }

    /// The best candidates for each row of the scorer, where the index finds them sooner than scoring would.
    ///
    /// `None` too where a score is not finite: scoring every candidate says how many are.
    pub(super) fn find(
        &self,
        scorer: &dyn SessionScorer,
        items: &ItemVocabulary,
        candidates: &[ItemIndex],
        wanted: &[Wanted],
    ) -> Option<Vec<Vec<Recommendation>>> {
        let k = wanted.iter().map(|wanted| wanted.k).max()?;
        if !pays(items.len(), candidates.len(), wanted.len(), k) {
            return None;
        }
        self.search(scorer.factors()?, items, candidates, wanted, k)
    }

    fn search(
        &self,
        factors: Factors,
        items: &ItemVocabulary,
        candidates: &[ItemIndex],
        wanted: &[Wanted],
        k: usize,
    ) -> Option<Vec<Vec<Recommendation>>> {
        let scan = Scan {
            isa: factors.isa,
            table: factors.items,
            bytes: &self.bytes,
            priorities: items.supports(),
            activation: factors.activation,
        };
        let all = candidates.len() == items.len();
        let keep = |row: usize, item: ItemIndex| {
            wanted[row].may_get(item) && (all || candidates.binary_search(&item).is_ok())
        };
        let mut lists = TopLists::new(self.bytes.width());
        scan.top_k(factors.states, wanted.len(), k, 0..self.bytes.rows() as u32, &keep, &mut lists);
        let list = |(row, wanted): (usize, &Wanted)| {
            let best = lists.list(row).ok()?.iter().take(wanted.k);
            Some(best.map(|best| Recommendation { item: best.row, score: best.score }).collect())
        };
        wanted.iter().enumerate().map(list).collect()
    }
}

/// Whether a search is expected to take less time than scoring the candidates, for so many rows and lists of `k`.
///
/// Times in nanoseconds of one core as measured at 33 and 101 columns (`docs/performance.md`); only their ratio matters.
fn pays(items: usize, candidates: usize, rows: usize, k: usize) -> bool {
    let [items, candidates, k] = [items, candidates, k].map(|n| n as f64);
    // In any order k (1 + ln(n / k)) items enter a list on the way; the bounds cost a half more.
    let scored = 1.5 * k * (1.0 + (candidates / k).ln());
    let search = items + rows as f64 * (0.4 * items + 130.0 * scored);
    let scoring = candidates * (25.0 + 13.0 * rows.div_ceil(LINE) as f64);
    search < scoring
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::contract::vocabulary;
    use crate::gru4rec::Network;
    use crate::gru4rec::config::{Activation, NetworkConfig, Unit};
    use crate::ranking::{Candidates, Filter, Query, recommend_each};
    use upnext_kernels::CounterRng;

    const ITEMS: usize = 3000;

    /// Items with few different supports, so that ties are decided by both support and index.
    fn items() -> ItemVocabulary {
        let rng = CounterRng::new(3, 0);
        vocabulary(&(0..ITEMS as u64).map(|i| rng.below(i, 3)).collect::<Vec<_>>())
    }

    /// A network whose output weights are `scale` times those drawn; large ones saturate.
    fn network(unit: Unit, activation: Activation, scale: f32) -> Network {
        let config = NetworkConfig { unit, layers: vec![18], ..NetworkConfig::default() };
        let mut network = Network::new(config, activation, ITEMS, 5);
        network.values.output.data_mut().iter_mut().for_each(|x| *x *= scale);
        network
    }

    fn histories() -> Vec<Vec<ItemIndex>> {
        let rng = CounterRng::new(4, 0);
        let history = |s: u64| (0..s % 7).map(|i| rng.below(10 * s + i, ITEMS as u64) as ItemIndex).collect();
        (0..20).map(history).collect()
    }

    #[test]
    fn an_index_changes_no_bit_of_any_list() {
        let (items, histories) = (items(), histories());
        let blocked: Vec<ItemIndex> = (0..ITEMS as ItemIndex).step_by(17).collect();
        let allowed: Vec<ItemIndex> = (0..ITEMS as ItemIndex).filter(|i| i % 4 > 0).collect();
        let filters = [
            Filter::default(),
            Filter { exclude_seen: true, exclude: (0..900).collect(), only: None },
            Filter { exclude_seen: true, exclude: Vec::new(), only: Some((0..50).rev().collect()) },
        ];
        let candidates = [
            Candidates::new(&items, &[], None),
            Candidates::new(&items, &blocked, None),
            Candidates::new(&items, &blocked, Some(&allowed)),
            Candidates::new(&items, &[], Some(&[7, 2000, 8])),
            Candidates::new(&items, &[], Some(&[])),
        ];
        for unit in [Unit::Gru, Unit::Lstm, Unit::Rnn] {
            for (activation, scale) in [
                (Activation::Tanh, 1.0),
                (Activation::Tanh, 400.0),
                (Activation::Linear, 1.0),
                (Activation::Elu { alpha: 0.5 }, 20.0),
                (Activation::Relu, 1.0),
            ] {
                let network = network(unit, activation, scale);
                let index = Index::new(&network).unwrap();
                for candidates in &candidates {
                    for (rows, k) in [(1, 1), (20, 3), (3, 20), (2, ITEMS + 5), (1, 0)] {
                        let queries: Vec<Query> = histories
                            .iter()
                            .zip(filters.iter().cycle())
                            .enumerate()
                            .map(|(i, (history, filter))| Query {
                                history,
                                k: k.saturating_sub(i % 2),
                                filter,
                            })
                            .collect();
                        for queries in queries.chunks(rows) {
                            let lists = |index| recommend_each(&network, &items, index, candidates, queries);
                            assert_eq!(lists(Some(&index)).unwrap(), lists(None).unwrap());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_search_is_right_even_where_it_does_not_pay() {
        let (items, histories) = (items(), histories());
        let network = network(Unit::Gru, Activation::Tanh, 30.0);
        let index = Index::new(&network).unwrap();
        let candidates: Vec<ItemIndex> = (0..ITEMS as ItemIndex).filter(|i| i % 50 > 0).collect();
        let filter = Filter::default();
        for history in histories.iter().filter(|history| !history.is_empty()) {
            let mut scorer = network.scorer(1);
            let mut sessions = crate::data::Sessions::new();
            sessions.push(history, 0);
            let mut batcher = crate::batch::HistoryBatcher::new(&sessions, vec![0]);
            while let Some(batch) = batcher.next_batch() {
                scorer.observe(batch, &sessions);
            }
            let own = Candidates::new(&items, &[], Some(&candidates));
            for k in [1, 900, candidates.len()] {
                let wanted = [Wanted { k, hidden: Vec::new() }];
                let found = index.search(scorer.factors().unwrap(), &items, &candidates, &wanted, k).unwrap();
                let plain =
                    recommend_each(&network, &items, None, &own, &[Query { history, k, filter: &filter }]);
                assert_eq!(found[0], plain.unwrap()[0].entries);
            }
        }
    }

    #[test]
    fn a_search_pays_for_short_lists_of_many_items() {
        for (items, candidates, rows, k, expected) in [
            (1_000_000, 1_000_000, 1, 20, true),
            (1_000_000, 1_000_000, 96, 20, true),
            (1_000_000, 900_000, 32, 100, true),
            (1_000_000, 10_000, 1, 20, false),
            (1_000_000, 1_000_000, 1, 1_000_000, false),
            (37_483, 37_483, 8, 20, true),
            (37_483, 37_483, 32, 500, false),
            (3000, 3000, 1, 3, true),
            (70, 70, 1, 20, false),
            (70, 0, 1, 0, false),
        ] {
            assert_eq!(pays(items, candidates, rows, k), expected, "{items} {candidates} {rows} {k}");
        }
    }

    #[test]
    fn broken_weights_and_states_are_refused_as_without_an_index() {
        let items = items();
        let all = Candidates::new(&items, &[], None);
        let filter = Filter::default();
        let query = Query { history: &[0], k: 5, filter: &filter };
        let mut network = network(Unit::Gru, Activation::Linear, 1.0);
        let index = Index::new(&network).unwrap();
        network.values.layers[0].bias.data_mut()[..18].fill(f32::NAN);
        let error = recommend_each(&network, &items, Some(&index), &all, &[query]).unwrap_err();
        assert!(matches!(error, Error::NonFiniteScores { count: 3000, scores: 3000, .. }), "{error}");
        network.values.output.row_mut(7)[0] = f32::INFINITY;
        assert!(Index::new(&network).is_none());
    }

    #[test]
    fn models_without_factors_have_no_index() {
        assert!(Index::new(&crate::baselines::Pop::new(&items())).is_none());
    }
}

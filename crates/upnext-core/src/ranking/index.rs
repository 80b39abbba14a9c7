//! An index that finds the best items of a model without scoring all items.
//!
//! Lists are the same to the bit as those of scoring every item; [`upnext_kernels::Scan`] has the method.

use super::Recommendation;
use crate::data::ItemIndex;
use crate::recommender::{Factors, Recommender, SessionScorer};
use upnext_kernels::{LINE, Scan, ScanTable, TopLists};

/// An index of a model's items: a copy of their vectors in bytes, about a quarter of the size of the originals.
///
/// It is built once per model and passed to [`recommend_each`](super::recommend_each) with the model.
pub struct Index {
    bytes: ScanTable,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} items × {})", self.bytes.rows(), self.bytes.width())
    }
}

/// The length of a session's list, and the items to leave out of it.
#[derive(Clone, Debug)]
pub(crate) struct ListRequest {
    pub(crate) k: usize,
    /// The items to leave out, ascending.
    pub(crate) hidden: Vec<ItemIndex>,
}

impl ListRequest {
    pub(super) fn allows(&self, item: ItemIndex) -> bool {
        self.hidden.binary_search(&item).is_err()
    }
}

impl Index {
    /// Builds the index of a model whose scores are products ([`Factors`]); `None` for other models, and if a factor is
    /// not finite.
    pub fn new(model: &dyn Recommender) -> Option<Self> {
        let scorer = model.scorer(1);
        let bytes = ScanTable::new(scorer.factors()?.items);
        // Scoring every item reports the scores that are not finite.
        bytes.is_finite().then_some(Self { bytes })
    }

    /// The index of a model with more items, of which the first are those of this index's model.
    ///
    /// # Panics
    /// If its factors are of another width, or of fewer items.
    pub fn extended(&self, model: &dyn Recommender) -> Option<Self> {
        let scorer = model.scorer(1);
        let bytes = self.bytes.extended(scorer.factors()?.items);
        bytes.is_finite().then_some(Self { bytes })
    }

    /// The best candidates for each row of the scorer, of items with these supports; `None` if scoring every candidate is expected to be faster.
    ///
    /// It is also `None` if a score is not finite; scoring every candidate then reports the number of such scores.
    pub(crate) fn find(
        &self,
        scorer: &dyn SessionScorer,
        supports: &[u64],
        candidates: &[ItemIndex],
        requests: &[ListRequest],
    ) -> Option<Vec<Vec<Recommendation>>> {
        let k = requests.iter().map(|request| request.k).max()?;
        if !is_faster(supports.len(), candidates.len(), requests.len(), k) {
            return None;
        }
        self.search(scorer.factors()?, supports, candidates, requests, k)
    }

    fn search(
        &self,
        factors: Factors,
        supports: &[u64],
        candidates: &[ItemIndex],
        requests: &[ListRequest],
        k: usize,
    ) -> Option<Vec<Vec<Recommendation>>> {
        let scan = Scan {
            isa: factors.isa,
            table: factors.items,
            bytes: &self.bytes,
            priorities: supports,
            activation: factors.activation,
        };
        let all = candidates.len() == supports.len();
        let keep = |row: usize, item: ItemIndex| {
            requests[row].allows(item) && (all || candidates.binary_search(&item).is_ok())
        };
        let mut lists = TopLists::new(self.bytes.width());
        scan.top_k(factors.states, requests.len(), k, 0..self.bytes.rows() as u32, &keep, &mut lists);
        let list = |(row, request): (usize, &ListRequest)| {
            let best = lists.list(row).ok()?.iter().take(request.k);
            Some(best.map(|best| Recommendation { item: best.row, score: best.score }).collect())
        };
        requests.iter().enumerate().map(list).collect()
    }
}

/// Whether a search for `rows` lists of length `k` is expected to be faster than scoring the candidates.
///
/// The model of both times, in nanoseconds on one core, was fitted to measurements with 33 and 101 columns
/// (`docs/performance.md`); only their ratio matters.
fn is_faster(items: usize, candidates: usize, rows: usize, k: usize) -> bool {
    let [items, candidates, k] = [items, candidates, k].map(|n| n as f64);
    // In random order, k (1 + ln(n / k)) items enter a list at some time; inexact bounds add half as many.
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
    use crate::data::ItemVocabulary;
    use crate::gru4rec::Network;
    use crate::gru4rec::config::{Activation, NetworkConfig, Unit};
    use crate::ranking::{Candidates, Filter, Query, recommend_each};
    use upnext_kernels::CounterRng;

    const ITEMS: usize = 3000;

    /// Items with few distinct supports, so that both support and index decide ties.
    fn items() -> ItemVocabulary {
        let rng = CounterRng::new(3, 0);
        vocabulary(&(0..ITEMS as u64).map(|i| rng.below(i, 3)).collect::<Vec<_>>())
    }

    /// A network with its initial output weights multiplied by `scale`; with large ones, the activation saturates.
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
                scorer.read(batch);
            }
            let own = Candidates::new(&items, &[], Some(&candidates));
            for k in [1, 900, candidates.len()] {
                let requests = [ListRequest { k, hidden: Vec::new() }];
                let found = index
                    .search(scorer.factors().unwrap(), items.supports(), &candidates, &requests, k)
                    .unwrap();
                let plain =
                    recommend_each(&network, &items, None, &own, &[Query { history, k, filter: &filter }]);
                assert_eq!(found[0], plain.unwrap()[0].entries);
            }
        }
    }

    #[test]
    fn an_index_changes_no_bit_of_the_lists_of_a_factor_model() {
        use crate::baselines::{BprMf, BprMfConfig};
        let (items, histories) = (items(), histories());
        let mut sessions = crate::data::Sessions::new();
        histories.iter().for_each(|history| sessions.push(history, 0));
        let data = crate::data::Dataset::new(items, sessions);
        for item_biases in [true, false] {
            let config = BprMfConfig { factors: 17, item_biases, ..BprMfConfig::default() };
            let model = BprMf::fit(&config, &data, 3).unwrap();
            let index = Index::new(&model).unwrap();
            let (all, filter) = (Candidates::new(&data.items, &[], None), Filter::default());
            let queries: Vec<Query> =
                histories.iter().map(|history| Query { history, k: 3, filter: &filter }).collect();
            let lists = |index| recommend_each(&model, &data.items, index, &all, &queries).unwrap();
            assert_eq!(lists(Some(&index)), lists(None));
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
            assert_eq!(is_faster(items, candidates, rows, k), expected, "{items} {candidates} {rows} {k}");
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

//! The contract of [`Recommender`] as one test suite, which every model passes on the same sessions.

use crate::baselines::{
    AssociationRules, AssociationRulesConfig, BprMf, BprMfConfig, ContentKnn, ContentKnnConfig, ItemKnn,
    ItemKnnConfig, Markov, NoFields, Pop, Repeat, RepeatConfig, SKnn, SKnnConfig, SPop, SequentialRules,
    SequentialRulesConfig, SessionAverage, SessionAverageConfig, Stan, StanConfig, VsKnn, VsKnnConfig, Vstan,
    VstanConfig,
};
use crate::batch::{Batch, HistoryBatcher, SessionBatcher};
use crate::data::items::{ColumnType, ItemTable, ItemTableOptions, tests::read_file};
use crate::data::{Dataset, ItemIndex, ItemVocabulary, Sessions};
use crate::evaluation::{Evaluation, EvaluationConfig, evaluate_in_blocks};
use crate::gru4rec::Network;
use crate::gru4rec::config::{Activation, Input, NetworkConfig, Unit};
use crate::ranking::{
    Candidates, Filter, Index, Query, SimilarQuery, TieRule, VectorLengths, recommend, recommend_each,
    recommend_parallel, similar,
};
use crate::recommender::{Recommender, SessionScorer, Similarities, lanes};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use upnext_kernels::CounterRng;
use upnext_reference::evaluation as reference;

#[test]
fn pop_obeys_the_contract() {
    let Dataset { items, sessions, .. } = example();
    obeys_the_contract(&Pop::new(&items), &items, &sessions);
}

#[test]
fn s_pop_obeys_the_contract() {
    let Dataset { items, sessions, .. } = example();
    obeys_the_contract(&SPop::new(&items), &items, &sessions);
}

#[test]
fn repeat_obeys_the_contract() {
    let data = example();
    let model = Repeat::fit(&RepeatConfig::default(), &data).unwrap();
    obeys_the_contract(&model, &data.items, &data.sessions);
}

#[test]
fn bpr_mf_obeys_the_contract() {
    let data = example();
    let config = BprMfConfig { item_biases: true, ..Default::default() };
    let model = BprMf::fit(&config, &data, 3).unwrap();
    obeys_the_contract(&model, &data.items, &data.sessions);
}

#[test]
fn session_average_obeys_the_contract() {
    let data = example();
    let config = SessionAverageConfig { factors: 17, ..Default::default() };
    let model = SessionAverage::fit(&config, &data, 3).unwrap();
    obeys_the_contract(&model, &data.items, &data.sessions);
}

#[test]
fn models_of_item_to_item_weights_obey_the_contract_and_return_from_their_arrays() {
    let data = example();
    let check = |model: &dyn Recommender| obeys_the_contract(model, &data.items, &data.sessions);
    macro_rules! check {
        ($model:ident, $config:expr) => {
            let config = $config;
            let model = $model::fit(&config, &data).unwrap();
            check(&model);
            let again = $model::from_arrays(&config, &data.items, model.arrays()).unwrap();
            assert_eq!(again.arrays(), model.arrays());
            assert_eq!(scored_alone(&again, &data.sessions), scored_alone(&model, &data.sessions));
        };
    }
    check!(ItemKnn, ItemKnnConfig::default());
    check!(ItemKnn, ItemKnnConfig { neighbours: 3, regularization: 0.0 });
    check!(Markov, NoFields::default());
    check!(AssociationRules, AssociationRulesConfig::default());
    check!(AssociationRules, AssociationRulesConfig { pruning: 2 });
    check!(SequentialRules, SequentialRulesConfig::default());
    check!(SequentialRules, SequentialRulesConfig { steps: 2, pruning: 2, half_life: 0.3 });
}

#[test]
fn neighbours_by_attributes_obey_the_contract() {
    let data = example();
    for config in [
        ContentKnnConfig::default(),
        ContentKnnConfig { attributes: vec!["shelves".into()], decay: 0.0, neighbours: 5 },
    ] {
        let model = ContentKnn::fit(&config, &data).unwrap();
        obeys_the_contract(&model, &data.items, &data.sessions);
        let again = ContentKnn::from_arrays(&config, &data.items, model.arrays()).unwrap();
        assert_eq!(scored_alone(&again, &data.sessions), scored_alone(&model, &data.sessions));
    }
}

#[test]
fn session_neighbours_obey_the_contract() {
    let data = example();
    let Dataset { items, sessions, .. } = &data;
    let cut = SKnnConfig { k: 4, sample_size: 9, ..Default::default() };
    obeys_the_contract(&SKnn::fit(&cut, &data).unwrap(), items, sessions);
    obeys_the_contract(&VsKnn::fit(&VsKnnConfig::default(), &data).unwrap(), items, sessions);
    obeys_the_contract(&Stan::fit(&StanConfig::default(), &data).unwrap(), items, sessions);
    obeys_the_contract(&Vstan::fit(&VstanConfig::default(), &data).unwrap(), items, sessions);
}

#[test]
fn networks_of_every_unit_and_input_obey_the_contract() {
    let Dataset { items, sessions, .. } = example();
    for unit in [Unit::Gru, Unit::Lstm, Unit::Rnn] {
        for input in [Input::OneHot, Input::Discounted, Input::Embedding, Input::Shared] {
            let config = NetworkConfig { unit, input, layers: vec![18], ..Default::default() };
            let network = Network::new(config.clone(), Activation::Tanh, items.len(), 3);
            obeys_the_contract(&network, &items, &sessions);
            let tensors = &mut network.tensors();
            let loaded = Network::from_tensors_to_read(config, Activation::Tanh, items.len(), tensors);
            let loaded = loaded.unwrap();
            obeys_the_contract(&loaded, &items, &sessions);
            assert_eq!(scored_alone(&loaded, &sessions), scored_alone(&network, &sessions));
        }
    }
}

#[test]
fn deep_networks_obey_the_contract() {
    let Dataset { items, sessions, .. } = example();
    let config = NetworkConfig {
        layers: vec![18, 33],
        input_to_deeper_layers: true,
        feed_forward: vec![20],
        ..Default::default()
    };
    let network = Network::new(config, Activation::Linear, items.len(), 3);
    obeys_the_contract(&network, &items, &sessions);
}

#[test]
fn a_model_of_the_last_item_obeys_the_contract() {
    let Dataset { items, sessions, .. } = example();
    let model = ByLastItem::new(items.len(), |last, item| ((last * 31 + item * 17) % 23) as f32 - 9.0);
    obeys_the_contract(&model, &items, &sessions);
}

#[test]
#[should_panic(expected = "depends on the batch")]
fn a_model_that_forgets_to_reset_is_caught() {
    let Dataset { items, sessions, .. } = example();
    obeys_the_contract(&Forgetful(items.len()), &items, &sessions);
}

/// Sessions of 0 to 12 events on 70 items, some popular and some in no session, with their supports.
pub(crate) fn example() -> Dataset {
    let rng = CounterRng::new(7, 0);
    let mut draws = 0;
    let mut below = |n: u64| {
        draws += 1;
        rng.below(draws, n) as ItemIndex
    };
    let mut sessions = Sessions::new();
    let mut supports = vec![0; 70];
    for _ in 0..60 {
        let mut items: Vec<ItemIndex> = Vec::new();
        for _ in 0..below(13) {
            let again = items.get(below(20) as usize).copied();
            let item = again.unwrap_or_else(|| below(66) * below(66) / 66);
            supports[item as usize] += 1;
            items.push(item);
        }
        sessions.push(&items, 0);
    }
    Dataset::new(vocabulary(&supports), sessions).with_item_table(attributes())
}

/// Attributes of most of the items of [`example`]: categories, numbers and vectors, not all of them given.
fn attributes() -> ItemTable {
    let row = |i: usize| {
        let shelf = if i % 9 == 4 { String::new() } else { format!("{}|{}", i % 5, i % 7) };
        format!("{i},{shelf},{},\"[{}, 0.5]\"\n", i * i % 31, i % 11)
    };
    let rows: String = (0..65).map(row).collect();
    let types = |options: &mut ItemTableOptions| {
        options.types.insert("shelves".to_owned(), ColumnType::Categories);
        options.list_separator = Some('|');
    };
    read_file("items.csv", format!("item,shelves,price,look\n{rows}"), types).unwrap()
}

/// Items "0", "1", … with these supports.
pub(crate) fn vocabulary(supports: &[u64]) -> ItemVocabulary {
    let mut items = ItemVocabulary::new();
    for (i, &support) in supports.iter().enumerate() {
        items.add(&i.to_string(), support);
    }
    items
}

/// Scores of all items, by (session, number of events read).
type Scores = BTreeMap<(usize, usize), Vec<f32>>;

/// Panics if a model violates the contract.
pub(crate) fn obeys_the_contract(model: &dyn Recommender, items: &ItemVocabulary, sessions: &Sessions) {
    assert_eq!(model.num_items(), items.len());
    let alone = scored_alone(model, sessions);
    assert!(alone.values().flatten().all(|score| score.is_finite()), "a score is not finite");
    scores_are_the_same_in_any_batch(model, sessions, &alone);
    scores_are_the_same_when_sessions_join_late(model, sessions, &alone);
    ranks_are_those_of_the_scores(model, items, sessions, &alone);
    lists_are_those_of_the_scores(model, items, sessions, &alone);
    similar_items_are_those_of_the_similarities(model, items);
}

/// The scores of every session, each read by its own scorer.
fn scored_alone(model: &dyn Recommender, sessions: &Sessions) -> Scores {
    let all: Vec<ItemIndex> = (0..model.num_items() as ItemIndex).collect();
    let mut alone = Scores::new();
    for s in 0..sessions.len() {
        let mut scorer = model.scorer(1);
        let mut batcher = HistoryBatcher::new(sessions, vec![s as u32]);
        while let Some(batch) = batcher.next_batch() {
            scorer.read(batch);
            alone.insert((s, batch.position(0) + 1), row_scores(&mut *scorer, &all, 1).remove(0));
        }
    }
    alone
}

/// The scores of `items` per row.
fn row_scores(scorer: &mut dyn SessionScorer, items: &[ItemIndex], rows: usize) -> Vec<Vec<f32>> {
    let lanes = lanes(rows);
    let mut scores = vec![f32::NAN; items.len() * lanes];
    scorer.score(items, &mut scores);
    (0..rows).map(|b| (0..items.len()).map(|i| scores[i * lanes + b]).collect()).collect()
}

fn same_as_alone(scorer: &mut dyn SessionScorer, batch: &Batch, lists: &[Vec<ItemIndex>], alone: &Scores) {
    for list in lists {
        for (b, scores) in row_scores(scorer, list, batch.len()).into_iter().enumerate() {
            let place = (batch.session(b), batch.position(b) + 1);
            for (&item, score) in list.iter().zip(scores) {
                let expected = alone[&place][item as usize];
                assert!(
                    score.to_bits() == expected.to_bits(),
                    "the score of item {item} after {} events of session {} depends on the batch or the list: {score} in row {b} of {}, \
                     {expected} alone",
                    place.1,
                    place.0,
                    batch.len()
                );
            }
        }
    }
}

/// Checks scores in any list, row and batch size, beside any sessions, after any session in the row, and while the
/// batch shrinks.
fn scores_are_the_same_in_any_batch(model: &dyn Recommender, sessions: &Sessions, alone: &Scores) {
    let n = model.num_items() as ItemIndex;
    let lists = [
        (0..n).collect(),
        (0..n).rev().chain([0, 0, n - 1]).collect(),
        (n / 3..n / 2).collect(),
        (0..n).step_by(3).collect(),
        vec![n / 2],
    ];
    let forward: Vec<u32> = (0..sessions.len() as u32).collect();
    let backward: Vec<u32> = forward.iter().rev().copied().collect();
    for (rows, order) in [(1, &forward), (2, &backward), (5, &forward), (17, &backward), (40, &forward)] {
        let mut scorer = model.scorer(rows);
        let mut batcher = SessionBatcher::new(sessions, order.clone(), rows);
        while let Some(batch) = batcher.next_batch().unwrap() {
            scorer.read(batch);
            same_as_alone(&mut *scorer, batch, &lists, alone);
        }
    }
}

/// Checks scores in batches that grow, in which sessions begin in new rows.
fn scores_are_the_same_when_sessions_join_late(model: &dyn Recommender, sessions: &Sessions, alone: &Scores) {
    let order: Vec<u32> = (0..sessions.len() as u32).collect();
    let mut scorer = model.scorer(order.len());
    let mut batcher = HistoryBatcher::new(sessions, order);
    let lists = [(0..model.num_items() as ItemIndex).collect()];
    while let Some(batch) = batcher.next_batch() {
        scorer.read(batch);
        same_as_alone(&mut *scorer, batch, &lists, alone);
    }
}

/// Checks ranks for any number of threads, and for any number of rows and candidates per block.
fn ranks_are_those_of_the_scores(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    alone: &Scores,
) {
    for candidates in [None, Some(20)] {
        let options =
            EvaluationConfig { cutoffs: vec![1, 10], candidates, lists: true, ..Default::default() };
        let evaluated = |threads, shape| {
            let got = evaluate_in_blocks(
                model,
                items,
                sessions,
                None,
                &options,
                threads,
                &|_| ControlFlow::Continue(()),
                shape,
            )
            .unwrap();
            Evaluation { seconds: 0.0, ..got }
        };
        let got = evaluated(1, (96, 256));
        for (threads, shape) in [(2, (96, 256)), (3, (1, 7)), (1, (4, 16)), (3, (16, 70)), (99, (2, 1))] {
            assert_eq!(evaluated(threads, shape), got, "{threads} threads, {shape:?}");
        }
        let mut popular = items.by_support();
        popular.truncate(candidates.unwrap_or(usize::MAX));
        let mut ranked = got.ranked.iter();
        for s in 0..sessions.len() {
            for (i, &target) in sessions.session(s).iter().enumerate().skip(1) {
                let mut listed = popular.clone();
                if !listed.contains(&target) {
                    listed.push(target);
                }
                let scores: Vec<f64> =
                    listed.iter().map(|&item| f64::from(alone[&(s, i)][item as usize])).collect();
                let place = listed.iter().position(|&item| item == target).unwrap();
                let case = ranked.next().expect("a case for every target");
                assert_eq!((case.session as usize, case.position as usize + 1), (s, i));
                for (rule, ties) in [
                    (TieRule::Conservative, reference::Ties::Conservative),
                    (TieRule::Standard, reference::Ties::Standard),
                    (TieRule::Median, reference::Ties::Median),
                ] {
                    assert_eq!(case.rank(rule), reference::rank(&scores, place, ties));
                }
            }
        }
        assert!(ranked.next().is_none());
    }
}

/// Checks lists beside any sessions and with every filter.
fn lists_are_those_of_the_scores(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    alone: &Scores,
) {
    let n = items.len() as ItemIndex;
    let histories: Vec<&[ItemIndex]> = sessions.iter().collect();
    let few = Filter { only: Some(vec![n - 1, 5, 3, 5, 40]), exclude: vec![3, 3], ..Default::default() };
    let filters = [
        Filter::default(),
        Filter { exclude_seen: true, ..Default::default() },
        Filter { exclude: (0..n).step_by(2).collect(), exclude_seen: true, ..Default::default() },
        Filter { exclude_seen: true, ..few.clone() },
        few,
        Filter { only: Some(Vec::new()), ..Default::default() },
    ];
    for filter in &filters {
        for k in [0, 1, 20, usize::MAX] {
            let lists = recommend(model, items, &histories, k, filter).unwrap();
            assert_eq!(lists.len(), histories.len());
            for threads in [1, 3, 1000] {
                let go_on = &|| ControlFlow::Continue(());
                assert_eq!(
                    recommend_parallel(threads, model, items, &histories, k, filter, go_on).unwrap(),
                    lists
                );
            }
            for (s, (list, history)) in lists.iter().zip(&histories).enumerate() {
                let mut expected: Vec<ItemIndex> = (0..n)
                    .filter(|item| !filter.exclude.contains(item))
                    .filter(|item| filter.only.as_ref().is_none_or(|only| only.contains(item)))
                    .filter(|item| !(filter.exclude_seen && history.contains(item)))
                    .collect();
                let score = |item: ItemIndex| match alone.get(&(s, history.len())) {
                    Some(scores) => scores[item as usize],
                    None => items.support(item) as f32,
                };
                expected.sort_by(|&a, &b| {
                    let by_score = score(b).partial_cmp(&score(a)).unwrap();
                    by_score.then(items.support(b).cmp(&items.support(a))).then(a.cmp(&b))
                });
                expected.truncate(k);
                assert_eq!(list.entries.iter().map(|e| e.item).collect::<Vec<_>>(), expected);
                assert!(list.entries.iter().all(|e| e.score == score(e.item)));
                assert_eq!(list.fell_back, history.is_empty());
            }
        }
    }

    // Each session with its own length of list and filter, among fewer candidates.
    let allowed: Vec<ItemIndex> = (0..n).filter(|item| item % 7 != 0).collect();
    let candidates = Candidates::new(items, &[2, 2], Some(&allowed));
    let requests: Vec<(&[ItemIndex], usize, &Filter)> = histories
        .iter()
        .enumerate()
        .map(|(s, &history)| (history, [20, 1, usize::MAX][s % 3], &filters[s % filters.len()]))
        .collect();
    let queries: Vec<Query> =
        requests.iter().map(|&(history, k, filter)| Query { history, k, filter }).collect();
    let index = Index::new(model);
    let lists = recommend_each(model, items, index.as_ref(), &candidates, &queries).unwrap();
    for (list, &(history, k, filter)) in lists.iter().zip(&requests) {
        let inside = |item: &ItemIndex| filter.only.as_ref().is_none_or(|only| only.contains(item));
        let filter = Filter {
            exclude: [filter.exclude.as_slice(), &[2]].concat(),
            only: Some(allowed.iter().copied().filter(inside).collect()),
            ..filter.clone()
        };
        assert_eq!(recommend(model, items, &[history], k, &filter).unwrap(), std::slice::from_ref(list));
    }
}

/// Checks the lists of similar items of every item: against plain similarities, in both directions, and with filters.
fn similar_items_are_those_of_the_similarities(model: &dyn Recommender, items: &ItemVocabulary) {
    let n = items.len() as ItemIndex;
    let (lengths, all) = (VectorLengths::new(model), Candidates::new(items, &[], None));
    let list = |item, k, candidates: &Candidates, filter: &Filter| {
        let go_on = &mut || ControlFlow::Continue(());
        let list = similar(model, &lengths, candidates, &SimilarQuery { item, k, filter }, go_on).unwrap()?;
        Some((list.measure, list.entries.iter().map(|e| (e.item, e.similarity)).collect::<Vec<_>>()))
    };
    let any = Filter::default();
    if model.similarities(0).is_none() {
        return assert!((0..n).all(|item| list(item, 5, &all, &any).is_none()));
    }
    let lists: Vec<_> = (0..n).map(|item| list(item, usize::MAX, &all, &any).unwrap()).collect();
    let fewer = Candidates::new(items, &[4, 9], None);
    let filter = Filter {
        exclude: vec![7, 7],
        only: Some((0..n).filter(|item| item % 3 != 2).rev().collect()),
        ..Filter::default()
    };
    for (item, (measure, entries)) in (0..).zip(&lists) {
        let similarities = model.similarities(item).unwrap();
        assert_eq!(similarities.measure(), *measure);
        let mut expected: BTreeMap<ItemIndex, f64> = match similarities {
            Similarities::Vectors => (0..n).map(|other| (other, cosine(model, item, other))).collect(),
            Similarities::Listed(_, listed) => {
                let count = listed.len();
                let listed: BTreeMap<_, _> = listed.into_iter().map(|(i, x)| (i, f64::from(x))).collect();
                assert_eq!(listed.len(), count, "an item is listed twice");
                listed
            }
        };
        expected.remove(&item);
        assert_eq!(entries.len(), expected.len(), "the item itself is left out, and nothing else");
        assert!(entries.is_sorted_by(|a, b| a.1 > b.1 || (a.1 == b.1 && a.0 < b.0)), "{entries:?}");
        for &(other, similarity) in entries {
            assert!((f64::from(similarity) - expected[&other]).abs() < 1e-5, "{item} {other}: {similarity}");
            if measure.is_symmetric() {
                let back = lists[other as usize].1.iter().find(|entry| entry.0 == item).unwrap();
                assert_eq!(back.1.to_bits(), similarity.to_bits(), "{item} {other}");
            }
        }
        assert_eq!(list(item, usize::MAX, &all, &any).unwrap().1, *entries, "the same again");
        assert_eq!(list(item, 5, &all, &any).unwrap().1, entries[..entries.len().min(5)]);
        let allowed = |&(other, _): &(ItemIndex, f32)| other % 3 != 2 && ![4, 7, 9].contains(&other);
        let allowed: Vec<_> = entries.iter().copied().filter(allowed).take(6).collect();
        assert_eq!(list(item, 6, &fewer, &filter).unwrap().1, allowed);
    }
}

/// The cosine of the vectors of two items; 0 if one is zero.
fn cosine(model: &dyn Recommender, a: ItemIndex, b: ItemIndex) -> f64 {
    let (a, b) = (model.vector(a).unwrap(), model.vector(b).unwrap());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// A model whose scores are a function of the session's last item, so that its metrics can be computed by hand.
pub(crate) struct ByLastItem<F> {
    items: usize,
    score: F,
}

impl<F: Fn(ItemIndex, ItemIndex) -> f32 + Send + Sync> ByLastItem<F> {
    /// `score(last item, item)` for `items` items.
    pub(crate) fn new(items: usize, score: F) -> Self {
        Self { items, score }
    }
}

impl<F> std::fmt::Debug for ByLastItem<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ByLastItem({} items)", self.items)
    }
}

impl<F: Fn(ItemIndex, ItemIndex) -> f32 + Send + Sync> Recommender for ByLastItem<F> {
    fn name(&self) -> &str {
        "by-last-item"
    }

    fn num_items(&self) -> usize {
        self.items
    }

    fn scorer(&self, _rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(ByLastItemScorer { score: &self.score, last: Vec::new() })
    }
}

struct ByLastItemScorer<'m, F> {
    score: &'m F,
    last: Vec<ItemIndex>,
}

impl<F: Fn(ItemIndex, ItemIndex) -> f32> SessionScorer for ByLastItemScorer<'_, F> {
    fn read(&mut self, batch: &Batch) {
        self.last.clone_from(&batch.inputs);
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        for (&item, scores) in items.iter().zip(scores.chunks_exact_mut(lanes(self.last.len()))) {
            // Lanes beyond the rows are unspecified and must not be read.
            scores.fill(f32::NAN);
            self.last.iter().zip(scores).for_each(|(&last, score)| *score = (self.score)(last, item));
        }
    }
}

/// A broken model: it counts the events of a row and does not reset when another session begins in it.
#[derive(Debug)]
struct Forgetful(usize);

impl Recommender for Forgetful {
    fn num_items(&self) -> usize {
        self.0
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(ForgetfulScorer { read: vec![0; rows], rows: 0 })
    }
}

struct ForgetfulScorer {
    read: Vec<u32>,
    rows: usize,
}

impl SessionScorer for ForgetfulScorer {
    fn read(&mut self, batch: &Batch) {
        self.rows = batch.len();
        self.read[..self.rows].iter_mut().for_each(|read| *read += 1);
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        let lanes = lanes(self.rows);
        for (i, &item) in items.iter().enumerate() {
            for b in 0..self.rows {
                scores[i * lanes + b] = (self.read[b] * (item + 1)) as f32;
            }
        }
    }
}

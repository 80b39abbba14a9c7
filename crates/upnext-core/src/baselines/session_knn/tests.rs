//! Scores of small sessions computed by hand, and the search compared with one that looks at every session.

use super::past::PastSessions;
use super::scheme::Scheme;
use super::*;
use crate::Error;
use crate::batch::HistoryBatcher;
use crate::contract::vocabulary;
use crate::data::{ItemIndex, Sessions};
use crate::recommender::{SimilarityMeasure, lanes};
use std::f64::consts::LN_2;
use upnext_kernels::CounterRng;

const DAY: i64 = 86_400_000_000;
/// The λ of which e^(−1/λ) is one half.
const HALF: f64 = 1.0 / LN_2;

/// Items 0 to 5; sessions a day apart.
fn data(sessions: &[&[ItemIndex]]) -> Dataset {
    let mut supports = vec![0; 6];
    let mut rows = Sessions::new();
    for (day, session) in sessions.iter().enumerate() {
        session.iter().for_each(|&item| supports[item as usize] += 1);
        rows.push(session, day as i64 * DAY);
    }
    Dataset::new(vocabulary(&supports), rows)
}

/// Three days: `|n|` is 3, 3 and 2.
fn three() -> Dataset {
    data(&[&[0, 1, 2], &[1, 2, 3], &[2, 4]])
}

/// The scores of all items after `history`.
fn scores(model: &dyn Recommender, history: &[ItemIndex]) -> Vec<f32> {
    let mut sessions = Sessions::new();
    sessions.push(history, 0);
    let mut scorer = model.scorer(1);
    let mut batcher = HistoryBatcher::new(&sessions, vec![0]);
    while let Some(batch) = batcher.next_batch() {
        scorer.read(batch);
    }
    let items: Vec<ItemIndex> = (0..model.num_items() as ItemIndex).collect();
    let mut scores = vec![f32::NAN; items.len() * lanes(1)];
    scorer.score(&items, &mut scores);
    scores.into_iter().step_by(lanes(1)).collect()
}

/// Asserts that scores are as expected. An expected 0 stands for an item without a neighbour, which scores below 0.
fn are(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (item, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        if expected == 0.0 {
            assert!(found < 0.0, "item {item}: {found}, where nothing is known");
        } else {
            let difference = (f64::from(found) - expected).abs();
            assert!(difference <= 1e-6 * expected, "item {item}: {found}, not {expected}");
        }
    }
}

#[test]
fn s_knn_sums_the_cosines_of_the_sessions_with_the_item() {
    let model = SKnn::fit(&SKnnConfig::default(), &three()).unwrap();
    let two_of_three = 2.0 / 6.0_f64.sqrt();
    let one_of_two = 0.5;
    let expected =
        [two_of_three, 2.0 * two_of_three, 2.0 * two_of_three + one_of_two, two_of_three, one_of_two, 0.0];
    are(&scores(&model, &[1, 2]), &expected);
    // Sessions are sets: order and repeats do not matter.
    are(&scores(&model, &[2, 1, 1, 2, 1]), &expected);
    // No training session contains item 5.
    are(&scores(&model, &[5]), &[0.0; 6]);
}

#[test]
fn items_with_equal_scores_go_by_popularity() {
    let model = SKnn::fit(&SKnnConfig::default(), &data(&[&[3, 3], &[3, 4], &[5, 4], &[2, 4, 5]])).unwrap();
    let found = scores(&model, &[2]);
    assert!(found[4] > found[5] && found[5] > 0.0 && found[2] < found[5] && found[3] < 0.0);
    assert!(found[3] > found[0] && found[0] == found[1]);
}

#[test]
fn the_newest_candidates_are_taken_and_of_equal_neighbours_the_newer() {
    let with = |k, sample_size| {
        let config = SKnnConfig { k, sample_size, ..Default::default() };
        scores(&SKnn::fit(&config, &three()).unwrap(), &[1, 2])
    };
    let two_of_three = 2.0 / 6.0_f64.sqrt();
    are(&with(9, 1), &[0.0, 0.0, 0.5, 0.0, 0.5, 0.0]);
    are(&with(9, 2), &[0.0, two_of_three, 0.5 + two_of_three, two_of_three, 0.5, 0.0]);
    are(&with(1, 9), &[0.0, two_of_three, two_of_three, two_of_three, 0.0, 0.0]);
    are(&with(2, 3), &[two_of_three, 2.0 * two_of_three, 2.0 * two_of_three, two_of_three, 0.0, 0.0]);
}

#[test]
fn time_and_not_the_order_of_the_rows_says_which_session_is_newer() {
    let mut data = three();
    let mut sessions = Sessions::new();
    for day in [2, 0, 1] {
        sessions.push(data.sessions.session(day), day as i64 * DAY);
    }
    data.sessions = sessions;
    let config = SKnnConfig { k: 9, sample_size: 1, ..Default::default() };
    are(&scores(&SKnn::fit(&config, &data).unwrap(), &[1, 2]), &[0.0, 0.0, 0.5, 0.0, 0.5, 0.0]);
}

#[test]
fn vs_knn_weighs_by_the_place_of_common_items() {
    let data = data(&[&[0, 1, 2], &[1, 2, 3], &[2, 4], &[5, 3]]);
    let config = VsKnnConfig {
        weighting: Decay::Linear,
        weighting_score: Decay::Linear,
        idf_weighting: 0.0,
        ..Default::default()
    };
    let model = VsKnn::fit(&config, &data).unwrap();
    // Items 1, 2, 5 have weights 1/3, 2/3 and 1, and so do neighbours whose last common item they are.
    let [a, b, c, d] = [1.0 * 2.0 / 3.0, 1.0 * 2.0 / 3.0, 2.0 / 3.0 * 2.0 / 3.0, 1.0];
    are(&scores(&model, &[1, 2, 5]), &[a, a + b, a + b + c, b + d, c, d]);
    // An item counts at its last position: 2, 1 and 5 have weights 3/4, 1/2 and 1.
    let [a, b, c, d] = [1.25 * 0.75, 1.25 * 0.75, 0.75 * 0.75, 1.0];
    are(&scores(&model, &[2, 1, 2, 5]), &[a, a + b, a + b + c, b + d, c, d]);
}

#[test]
fn decays_fall_from_the_last_event_as_their_names_say() {
    let at = |decay: Decay| [1, 2, 4].map(|back| decay.at(back, 4));
    assert_eq!(at(Decay::Same), [1.0, 1.0, 1.0]);
    assert_eq!(at(Decay::Div), [1.0, 0.5, 0.25]);
    assert_eq!(at(Decay::Linear), [1.0, 0.75, 0.25]);
    assert_eq!(at(Decay::Quadratic), [1.0, 0.5625, 0.0625]);
    assert_eq!(at(Decay::Log), [1.0, 1.0 / 3.0_f64.log2(), 1.0 / 5.0_f64.log2()]);
}

#[test]
fn stan_weighs_by_position_age_and_nearness() {
    let config = StanConfig { lambda1: HALF, lambda2: HALF, lambda3: HALF, ..Default::default() };
    // Item 1 has weight 1/2. Weights halve with each day before the last session, and with each event from item 2.
    let common = 1.5 / 6.0_f64.sqrt();
    let [a, b, c] = [common / 4.0, common / 2.0, 0.5];
    let expected = [a / 4.0, a / 2.0 + b / 2.0, a + b + c, b / 2.0, c / 2.0, 0.0];
    are(&scores(&Stan::fit(&config, &three()).unwrap(), &[1, 2]), &expected);
    // A repeated item counts at its last position: 2 comes after 3.
    let again = data(&[&[2, 1, 3, 2]]);
    let common = 1.5 / 6.0_f64.sqrt();
    let expected = [0.0, common / 4.0, common, common / 2.0, 0.0, 0.0];
    are(&scores(&Stan::fit(&config, &again).unwrap(), &[1, 2]), &expected);
}

#[test]
fn without_its_weights_stan_is_s_knn() {
    let config = StanConfig { k: 2, sample_size: 3, lambda1: 0.0, lambda2: 0.0, lambda3: 0.0 };
    let plain = SKnnConfig { k: 2, sample_size: 3, ..Default::default() };
    let (stan, s_knn) = (Stan::fit(&config, &three()).unwrap(), SKnn::fit(&plain, &three()).unwrap());
    assert_eq!(scores(&stan, &[4, 1, 2]), scores(&s_knn, &[4, 1, 2]));
}

#[test]
fn the_only_neighbour_recommends_however_old_it_is() {
    let mut data = three();
    data.sessions.push(&[5, 4], 100_000 * DAY);
    let config = StanConfig { lambda2: 0.01, ..Default::default() };
    let found = scores(&Stan::fit(&config, &data).unwrap(), &[0]);
    assert!(found[1] > 0.0 && found[2] > 0.0 && found[5] < 0.0, "{found:?}");
}

#[test]
fn vstan_weighs_neighbours_and_rare_items_too() {
    let config = VstanConfig {
        lambda1: 0.0,
        lambda2: 0.0,
        lambda3: 0.0,
        weighting_score: Decay::Div,
        idf_weighting: 2.0,
        ..Default::default()
    };
    // The last session shares item 2 only, the second last of the current session: half its similarity of 1/2.
    let (both, one) = (2.0 / 6.0_f64.sqrt(), 0.25);
    let rarity = |with: f64| 1.0 + 2.0 * (3.0 / with).ln();
    let expected = [
        both * rarity(1.0),
        2.0 * both * rarity(2.0),
        2.0 * both + one,
        both * rarity(1.0),
        one * rarity(1.0),
        0.0,
    ];
    are(&scores(&Vstan::fit(&config, &three()).unwrap(), &[2, 1]), &expected);
    let config = VstanConfig { lambda1: HALF, lambda2: HALF, lambda3: HALF, idf_weighting: 0.0, ..config };
    let common = 1.5 / 6.0_f64.sqrt();
    let [a, b, c] = [common / 4.0, common / 2.0, 0.5 * 0.5 * 0.5];
    let expected = [a / 2.0, a + b, a / 2.0 + b / 2.0 + c, b / 4.0, c / 2.0, 0.0];
    are(&scores(&Vstan::fit(&config, &three()).unwrap(), &[2, 1]), &expected);
}

/// Schemes that use every weight, with samples smaller and larger than the number of candidates.
fn schemes() -> Vec<Scheme> {
    let mut schemes = Vec::new();
    for (k, sample_size) in [(3, 7), (10, 10), (500, 1000), (1, 40)] {
        schemes.push(SKnnConfig { k, sample_size, ..Default::default() }.scheme());
        schemes.push(
            VsKnnConfig {
                k,
                sample_size,
                weighting: Decay::Quadratic,
                weighting_score: Decay::Div,
                idf_weighting: 1.5,
                similarity: Similarity::Vec,
            }
            .scheme(),
        );
        schemes.push(StanConfig { k, sample_size, lambda1: 1.7, lambda2: 0.8, lambda3: 2.2 }.scheme());
        schemes.push(VstanConfig { k, sample_size, idf_weighting: 0.3, ..Default::default() }.scheme());
    }
    schemes
}

/// The definition, without an index: all sessions are compared.
fn plainly(scheme: &Scheme, data: &Dataset, history: &[ItemIndex]) -> Vec<f64> {
    let last_place = |session: &[ItemIndex], item| session.iter().rposition(|&other| other == item);
    let distinct = |session: &[ItemIndex]| {
        let mut items = session.to_vec();
        items.sort_unstable();
        items.dedup();
        items
    };
    let current = distinct(history);
    let mut candidates: Vec<usize> = (0..data.sessions.len())
        .filter(|&s| data.sessions.session(s).iter().any(|item| current.contains(item)))
        .collect();
    candidates.sort_by_key(|&s| std::cmp::Reverse((data.sessions.start(s), s)));
    candidates.truncate(scheme.sample_size);
    let newest = candidates.first().map_or(0, |&s| data.sessions.start(s));
    let back = |item| history.len() - last_place(history, item).unwrap();
    let mut neighbours: Vec<(f64, usize)> = Vec::new();
    for &s in &candidates {
        let past = distinct(data.sessions.session(s));
        // The sum in the order of the search, so that equal similarities are equal here too.
        let mut places: Vec<usize> = past.iter().filter(|&i| current.contains(i)).map(|&i| back(i)).collect();
        places.sort_unstable();
        let common = places.iter().map(|&place| scheme.weighting.at(place, history.len())).sum();
        let days = (newest - data.sessions.start(s)) as f64 / DAY as f64;
        let recency = if scheme.lambda2 > 0.0 { (-days / scheme.lambda2).exp() } else { 1.0 };
        neighbours.push((scheme.similarity(common, current.len(), past.len()) * recency, s));
    }
    neighbours.sort_by(|a, b| b.0.total_cmp(&a.0));
    neighbours.truncate(scheme.k);
    let mut scores = vec![0.0; data.items.len()];
    for (similarity, s) in neighbours {
        let session = data.sessions.session(s);
        let &meeting = history.iter().rev().find(|item| session.contains(item)).unwrap();
        let weight = similarity * scheme.weighting_score.at(back(meeting), history.len());
        for item in distinct(session) {
            let [place, meeting] = [item, meeting].map(|item| last_place(session, item).unwrap());
            let nearness = if scheme.lambda3 > 0.0 {
                (-(place.abs_diff(meeting) as f64) / scheme.lambda3).exp()
            } else {
                1.0
            };
            let with = (0..data.sessions.len()).filter(|&s| data.sessions.session(s).contains(&item)).count();
            scores[item as usize] += weight * nearness * scheme.rarity(with as u32, data.sessions.len());
        }
    }
    scores
}

#[test]
fn the_search_finds_what_comparing_all_sessions_finds() {
    let rng = CounterRng::new(11, 0);
    let mut draws = 0;
    let mut below = |n: u64| {
        draws += 1;
        rng.below(draws, n) as ItemIndex
    };
    let mut sessions = Sessions::new();
    let mut supports = vec![0; 40];
    for _ in 0..150 {
        let session: Vec<ItemIndex> = (0..1 + below(7)).map(|_| below(40) * below(40) / 40).collect();
        session.iter().for_each(|&item| supports[item as usize] += 1);
        // Starts out of order, some equal, some before 1970.
        sessions.push(&session, (i64::from(below(50)) - 25) * DAY / 10);
    }
    let data = Dataset::new(vocabulary(&supports), sessions);
    let num_items = data.items.len();
    for scheme in schemes() {
        let engine = Engine::fit(scheme.clone(), &data);
        let model = SKnn(engine);
        for _ in 0..20 {
            let history: Vec<ItemIndex> = (0..1 + below(9)).map(|_| below(40) * below(40) / 40).collect();
            let found = scores(&model, &history);
            let expected = plainly(&scheme, &data, &history);
            assert_eq!(found.len(), num_items);
            are(&found, &expected);
        }
    }
}

#[test]
fn arrays_give_the_same_model_back_and_damage_is_named() {
    let data = crate::contract::example();
    let config = VstanConfig { k: 9, sample_size: 20, idf_weighting: 0.5, ..Default::default() };
    let model = Vstan::fit(&config, &data).unwrap();
    let arrays = model.arrays();
    let again = Vstan::from_arrays(&config, &data.items, arrays.clone()).unwrap();
    for session in data.sessions.iter().filter(|session| !session.is_empty()) {
        let bits = |model: &Vstan| scores(model, session).iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&model), bits(&again));
    }

    let refused = |name: &str, change: &dyn Fn(&mut Vec<u64>)| {
        let mut arrays = arrays.clone();
        change(arrays.counts.get_mut(name).unwrap());
        match Vstan::from_arrays(&config, &data.items, arrays) {
            Err(Error::Weights { name: named, .. }) => named,
            other => panic!("{name}: {other:?}"),
        }
    };
    let [items, positions, ends, ages] =
        ["session_items", "session_positions", "session_ends", "session_ages_us"];
    for name in [items, positions, ends, ages] {
        refused(name, &|values| _ = values.pop());
        refused(name, &|values| values.push(0));
        let mut arrays = arrays.clone();
        arrays.counts.remove(name);
        assert!(Vstan::from_arrays(&config, &data.items, arrays).is_err());
    }
    assert_eq!(refused(items, &|v| v[3] = 70), items);
    assert_eq!(refused(items, &|v| v[3] = u64::MAX), items);
    assert_eq!(refused(items, &|v| v[1] = v[0]), items);
    assert_eq!(refused(positions, &|v| v[1] = v[0]), positions);
    assert_eq!(refused(positions, &|v| v[0] = 1 << 32), positions);
    assert_eq!(refused(ends, &|v| v[0] = 0), ends);
    assert_eq!(refused(ends, &|v| v[1] = v[0]), ends);
    assert_eq!(refused(ends, &|v| v[0] = u64::MAX), ends);
    assert_eq!(refused(ends, &|v| *v.last_mut().unwrap() -= 1), ends);
    assert_eq!(refused(ages, &|v| v[0] = 1), ages);
    assert_eq!(refused(ages, &|v| v[1] = 5), ages);
    let mut more = arrays.clone();
    more.counts.insert("another".into(), vec![]);
    assert!(Vstan::from_arrays(&config, &data.items, more).unwrap_err().to_string().contains("another"));
}

#[test]
fn a_model_of_no_session_knows_only_popularity() {
    let nothing = Dataset::new(vocabulary(&[1, 5, 3]), Sessions::new());
    let model = Stan::fit(&StanConfig::default(), &nothing).unwrap();
    let found = scores(&model, &[0]);
    assert!(found[1] > found[2] && found[2] > found[0] && found[1] < 0.0);
    Stan::from_arrays(&StanConfig::default(), &nothing.items, model.arrays()).unwrap();
}

#[test]
fn the_index_keeps_the_newest_sessions_and_counts_all() {
    let data = three();
    let past = PastSessions::new(&data.sessions, 6);
    let index = super::past::Index::new(&past, 6, 2);
    assert_eq!((index.sessions(2), index.count(2)), (&[0, 1][..], 3));
    assert_eq!((index.sessions(0), index.count(0)), (&[2][..], 1));
    assert_eq!((index.sessions(5), index.count(5)), (&[][..], 0));
    assert_eq!([0, 1, 2].map(|s| past.age_us(s)), [0, DAY as u64, 2 * DAY as u64]);
}

#[test]
fn items_are_similar_by_the_sessions_that_they_share_even_beyond_the_sample() {
    // Item 2 occurs in all three sessions, item 1 in two; an item that repeats counts once.
    let data = data(&[&[0, 1, 2, 1], &[1, 2, 3], &[2, 4]]);
    let of = |model: &dyn Recommender, item| match model.similarities(item) {
        Some(Similarities::Listed(SimilarityMeasure::SessionCosine, mut listed)) => {
            listed.sort_by_key(|&(item, _)| item);
            listed
        }
        other => panic!("{other:?}"),
    };
    let cosine = |shared: f64, a: f64, b: f64| (shared / (a * b).sqrt()) as f32;
    let few = SKnnConfig { sample_size: 1, k: 1, ..Default::default() };
    let models: [Box<dyn Recommender>; 5] = [
        Box::new(SKnn::fit(&SKnnConfig::default(), &data).unwrap()),
        Box::new(SKnn::fit(&few, &data).unwrap()),
        Box::new(VsKnn::fit(&VsKnnConfig::default(), &data).unwrap()),
        Box::new(Stan::fit(&StanConfig::default(), &data).unwrap()),
        Box::new(Vstan::fit(&VstanConfig::default(), &data).unwrap()),
    ];
    for model in &models {
        let of = |item| of(model.as_ref(), item);
        let with_2 = [(0, 1.0, 1.0), (1, 2.0, 2.0), (3, 1.0, 1.0), (4, 1.0, 1.0)];
        assert_eq!(of(2), with_2.map(|(other, shared, n)| (other, cosine(shared, 3.0, n))));
        assert_eq!(of(4), [(2, cosine(1.0, 1.0, 3.0))]);
        assert_eq!(of(5), []);
    }
}

#[test]
fn parameters_that_make_no_sense_are_refused_by_name() {
    let refused = |result: Result<()>, field: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(field) && message.contains("use "), "{message}");
    };
    refused(SKnnConfig { k: 0, ..Default::default() }.validate(), "model.k");
    refused(SKnnConfig { sample_size: 0, ..Default::default() }.validate(), "model.sample_size");
    refused(VsKnnConfig { idf_weighting: -1.0, ..Default::default() }.validate(), "model.idf_weighting");
    refused(VsKnnConfig { idf_weighting: f64::NAN, ..Default::default() }.validate(), "model.idf_weighting");
    refused(VsKnnConfig { k: 0, ..Default::default() }.validate(), "model.k");
    refused(StanConfig { lambda1: -0.1, ..Default::default() }.validate(), "model.lambda1");
    refused(StanConfig { lambda2: f64::INFINITY, ..Default::default() }.validate(), "model.lambda2");
    refused(VstanConfig { lambda3: f64::NAN, ..Default::default() }.validate(), "model.lambda3");
    refused(VstanConfig { idf_weighting: 1e7, ..Default::default() }.validate(), "model.idf_weighting");
    SKnnConfig::default().validate().unwrap();
    VsKnnConfig::default().validate().unwrap();
    StanConfig::default().validate().unwrap();
    VstanConfig::default().validate().unwrap();
    assert!(SKnn::fit(&SKnnConfig { k: 0, ..Default::default() }, &three()).is_err());
}

#[test]
fn configurations_are_read_as_they_are_written() {
    let config = VstanConfig { weighting_score: Decay::Quadratic, ..Default::default() };
    let text = toml::to_string(&config).unwrap();
    assert!(text.contains("weighting_score = \"quadratic\"") && text.contains("similarity = \"cosine\""));
    assert_eq!(toml::from_str::<VstanConfig>(&text).unwrap(), config);
    assert_eq!(toml::from_str::<VsKnnConfig>("k = 7").unwrap(), VsKnnConfig { k: 7, ..Default::default() });
    assert!(toml::from_str::<SKnnConfig>("lambda1 = 7").is_err());
}

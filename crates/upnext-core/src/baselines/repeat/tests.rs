use super::*;
use crate::baselines::item_item::dataset;
use crate::contract::example;
use crate::ranking::{Filter, recommend};

fn lists(model: &Repeat, items: &ItemVocabulary, session: &[ItemIndex]) -> Vec<(ItemIndex, f32)> {
    let lists = recommend(model, items, &[session], 99, &Filter::default()).unwrap();
    lists[0].entries.iter().map(|entry| (entry.item, entry.score)).collect()
}

#[test]
fn scores_are_the_probabilities_of_all_items() {
    let data = example();
    let model = Repeat::fit(&RepeatConfig::default(), &data).unwrap();
    for session in [&[3][..], &[1, 4, 1, 0], &[2, 2, 2], &[5, 6, 7, 8, 9, 10, 11, 12, 13, 5]] {
        let list = lists(&model, &data.items, session);
        let sum: f64 =
            list.iter().map(|&(_, score)| f64::from(if score >= 1.0 { score - 1.0 } else { score })).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let mut distinct = session.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut first: Vec<ItemIndex> = list[..distinct.len()].iter().map(|&(item, _)| item).collect();
        first.sort_unstable();
        assert_eq!(first, distinct, "the session's items come first");
    }
}

#[test]
fn the_order_follows_what_visitors_do() {
    // They go back to the item before; nobody clicks an item twice in a row.
    let data = dataset(6, &[&[0, 1, 0], &[2, 3, 2], &[1, 4, 1], &[0, 2, 0], &[3, 0, 3], &[4, 5, 4]]);
    let model = Repeat::fit(&RepeatConfig { shrinkage: 0.1, item_shrinkage: 100.0 }, &data).unwrap();
    for session in [[5, 1], [1, 5], [0, 3]] {
        assert_eq!(lists(&model, &data.items, &session)[0].0, session[0]);
    }
}

#[test]
fn items_that_are_repeated_more_often_than_others_come_first() {
    // Item 0 is clicked again at once, item 1 never is.
    let mut sessions: Vec<&[ItemIndex]> = Vec::new();
    for _ in 0..20 {
        sessions.extend([&[0, 0, 2][..], &[1, 3, 2], &[0, 0, 3], &[1, 2, 3]]);
    }
    let data = dataset(4, &sessions);
    let model = Repeat::fit(&RepeatConfig { shrinkage: 1.0, item_shrinkage: 1.0 }, &data).unwrap();
    assert!(model.tendencies[0] > 1.5 && model.tendencies[1] < 0.2, "{:?}", model.tendencies);
    let chance = |item| lists(&model, &data.items, &[item])[0].1 - 1.0;
    assert!(chance(0) > 0.8 && chance(1) < 0.3, "{} {}", chance(0), chance(1));
}

#[test]
fn without_repeats_others_are_ordered_by_how_often_they_were_new() {
    let data = dataset(4, &[&[0, 1], &[2, 1], &[3, 2], &[0, 2], &[3, 1]]);
    let model = Repeat::fit(&RepeatConfig::default(), &data).unwrap();
    let order: Vec<ItemIndex> = lists(&model, &data.items, &[3]).iter().map(|&(item, _)| item).collect();
    assert_eq!(order, [3, 1, 2, 0]);
    assert!(lists(&model, &data.items, &[3])[0].1 < 1.2);
}

#[test]
fn of_equal_chances_the_item_that_was_new_more_often_comes_first_and_no_scores_are_equal() {
    let data = dataset(6, &[&[0, 1], &[2, 1], &[3, 1], &[0, 2], &[3, 2], &[5, 4]]);
    let model = Repeat::fit(&RepeatConfig { shrinkage: 1e6, item_shrinkage: 1e6 }, &data).unwrap();
    let list = lists(&model, &data.items, &[4, 2, 1, 3, 0, 5]);
    // Neither 1 nor 4 was ever followed by another click, so that they have the same chance and tendency.
    let place = |item| list.iter().position(|entry| entry.0 == item).unwrap();
    assert!(place(1) < place(4), "{list:?}");
    assert!(list.windows(2).all(|pair| pair[0].1 > pair[1].1), "{list:?}");
}

#[test]
fn a_log_without_pairs_gives_a_model() {
    let data = dataset(3, &[&[0], &[1], &[]]);
    let model = Repeat::fit(&RepeatConfig::default(), &data).unwrap();
    let list = lists(&model, &data.items, &[1]);
    assert_eq!(list[0].0, 1);
    assert!(list.iter().all(|&(_, score)| score.is_finite()));
}

#[test]
fn arrays_keep_every_bit_and_damaged_ones_are_refused() {
    let data = example();
    let config = RepeatConfig::default();
    let arrays = Repeat::fit(&config, &data).unwrap().arrays();
    let again = Repeat::from_arrays(&config, &data.items, arrays.clone()).unwrap();
    assert_eq!(again.arrays(), arrays);
    let refused = |damage: &dyn Fn(&mut Arrays), name: &str| {
        let mut arrays = arrays.clone();
        damage(&mut arrays);
        let message = Repeat::from_arrays(&config, &data.items, arrays).unwrap_err().to_string();
        assert!(message.contains(&format!("`{name}`")), "{message}");
    };
    refused(&|a| drop(a.tensors.remove(CHANCES)), CHANCES);
    refused(&|a| a.tensors.get_mut(CHANCES).unwrap().values[3] = 0.0, CHANCES);
    refused(&|a| a.tensors.get_mut(TENDENCIES).unwrap().values[3] = f32::NAN, TENDENCIES);
    refused(&|a| a.tensors.get_mut(NOVEL).unwrap().values[3] = -1.0, NOVEL);
    refused(&|a| a.tensors.get_mut(AT).unwrap().values.reverse(), AT);
    refused(&|a| a.tensors.get_mut(SHARE).unwrap().values.truncate(1), SHARE);
    refused(&|a| drop(a.counts.insert("more".into(), vec![1])), "more");
}

#[test]
fn a_model_with_hardly_any_shrinkage_can_be_read_again() {
    let data = example();
    let config = RepeatConfig { shrinkage: 1e-30, item_shrinkage: 1e-44 };
    let model = Repeat::fit(&config, &data).unwrap();
    Repeat::from_arrays(&config, &data.items, model.arrays()).unwrap();
    assert!(lists(&model, &data.items, &[1]).iter().all(|&(_, score)| score.is_finite()));
}

#[test]
fn shrinkages_are_checked() {
    for (config, field) in [
        (RepeatConfig { shrinkage: 0.0, ..Default::default() }, "model.shrinkage"),
        (RepeatConfig { item_shrinkage: f32::NAN, ..Default::default() }, "model.item_shrinkage"),
    ] {
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains(field), "{message}");
    }
}

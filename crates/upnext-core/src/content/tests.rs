//! What attributes become, on small tables with known answers.

use super::encoder::{Encoder, Factors};
use super::features::ItemFeatures;
use super::tokens::PARTS;
use crate::arrays::Arrays;
use crate::data::ItemVocabulary;
use crate::data::items::{ColumnType, ItemTable, ItemTableOptions};

fn table(text: &str, types: &[(&str, ColumnType)]) -> ItemTable {
    let mut options = ItemTableOptions::default();
    for &(name, column_type) in types {
        options.types.insert(name.to_owned(), column_type);
    }
    options.list_separator = Some('|');
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("items.csv");
    std::fs::write(&path, text).unwrap();
    ItemTable::read(&path, &options).unwrap()
}

/// The items `i0`, `i1`, … of which all are trained on.
fn items(count: usize) -> ItemVocabulary {
    let mut items = ItemVocabulary::new();
    (0..count).for_each(|i| _ = items.add(&format!("i{i}"), 1 + i as u64));
    items
}

fn encode(encoder: &Encoder, table: &ItemTable, ids: &[&str]) -> ItemFeatures {
    encoder.encode(table, ids.iter().copied()).unwrap()
}

/// Number of features, and width of the vectors.
fn shape(encoder: &Encoder) -> (usize, usize) {
    (encoder.shape().features, encoder.shape().width)
}

fn features(content: &ItemFeatures, item: u32) -> Vec<u32> {
    content.of(item).map(|(feature, _)| feature).collect()
}

fn learn(table: &ItemTable, items: &ItemVocabulary, columns: &[String]) -> crate::Result<Encoder> {
    let (encoder, content) = Encoder::learn(table, items, columns, Factors::Damped)?;
    assert_eq!(content, encoder.encode(table, items.ids())?);
    Ok(encoder)
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

#[test]
fn categories_of_one_item_share_a_feature_and_weights_fall_with_lists_and_with_users() {
    let table = table(
        "item,colour\ni0,red\ni1,red|blue\ni2,blue\ni3,odd\ni4,rare|red\ni5,\nnew,red|never\nlater,green|green\n",
        &[("colour", ColumnType::Categories)],
    );
    let encoder = learn(&table, &items(6), &all()).unwrap();
    // Missing, red, blue, rare.
    assert_eq!(shape(&encoder), (4, 0));
    let content = encode(&encoder, &table, &["i0", "i1", "i2", "i3", "i4", "i5", "no row", "new", "later"]);
    let (red, blue, rare) = (features(&content, 0)[0], features(&content, 2)[0], features(&content, 3)[0]);
    assert_eq!(features(&content, 1), [red, blue]);
    assert_eq!(features(&content, 4), [rare, red]);
    let missing = features(&content, 5);
    assert_eq!((missing.len(), features(&content, 6)), (1, missing.clone()));
    assert_eq!(features(&content, 7), [red, rare]);
    assert!([red, blue, rare].iter().all(|&f| f != missing[0] && f < 4));
    // 1 / √ of the length of the list, 1 / ∛ of the number of items of the training that have the category.
    let users = |feature| if feature == red { 3.0_f32 } else { 2.0 };
    for (item, length) in [(0, 1.0_f32), (1, 2.0), (7, 2.0), (8, 2.0)] {
        for (feature, weight) in content.of(item) {
            assert!((weight - 1.0 / (length.sqrt() * users(feature).cbrt())).abs() < 1e-6, "{item}");
        }
    }
}

#[test]
fn numbers_fall_into_bins_of_as_many_items_and_new_extremes_into_the_outermost() {
    let mut text = "item,price\n".to_owned();
    (0..100).for_each(|i| text += &format!("i{i},{}\n", i * i));
    text += "cheap,-5\ndear,1e9\nunknown,\n";
    let table = table(&text, &[("price", ColumnType::Number)]);
    let encoder = learn(&table, &items(100), &all()).unwrap();
    assert_eq!(shape(&encoder), (11, 0));
    let ids: Vec<String> = (0..100).map(|i| format!("i{i}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).chain(["cheap", "dear", "unknown"]).collect();
    let content = encode(&encoder, &table, &ids);
    let bins: Vec<u32> = (0..100).map(|item| features(&content, item)[0]).collect();
    assert!(bins.is_sorted());
    assert!(bins.chunk_by(|a, b| a == b).all(|bin| bin.len() == 10), "{bins:?}");
    assert_eq!(features(&content, 100), bins[..1]);
    assert_eq!(features(&content, 101), bins[99..]);
    assert!(!bins.contains(&features(&content, 102)[0]));
}

#[test]
fn equal_numbers_are_one_bin() {
    let table = table("item,n\ni0,1\ni1,1\ni2,1\ni3,1\n", &[("n", ColumnType::Number)]);
    assert_eq!(shape(&learn(&table, &items(4), &all()).unwrap()), (2, 0));
}

#[test]
fn words_of_several_items_have_features_and_rare_ones_share_parts() {
    let table = table(
        "item,title\ni0,Blue cup\ni1,BLUE pot\ni2,Green teapot\ni3,...\nnew,blue teapots\n",
        &[("title", ColumnType::Text)],
    );
    let encoder = learn(&table, &items(4), &all()).unwrap();
    assert_eq!(encoder.shape().features, 1 + 1 + PARTS as usize);
    let content = encode(&encoder, &table, &["i0", "i1", "i2", "i3", "new"]);
    let blue = features(&content, 0)[0];
    assert!(features(&content, 1).contains(&blue) && features(&content, 4).contains(&blue));
    let shared = features(&content, 2).iter().filter(|f| features(&content, 4).contains(f)).count();
    assert!(shared >= 4, "{shared}");
    assert_eq!(features(&content, 3).len(), 1);
    let (weight, count) = (content.of(4).find(|&(feature, _)| feature == blue), content.of(4).count() as f32);
    assert!((weight.unwrap().1 - 1.0 / (count.sqrt() * 2.0_f32.cbrt())).abs() < 1e-6);
}

#[test]
fn vectors_have_mean_0_and_length_1_on_average() {
    let table = table(
        "item,v\ni0,[1;2]\ni1,[3;2]\ni2,[5;8]\ni3,\nnew,[3;4]\n"
            .replace(';', ",")
            .replace("[", "\"[")
            .replace(']', "]\"")
            .as_str(),
        &[("v", ColumnType::Vector)],
    );
    let encoder = learn(&table, &items(4), &all()).unwrap();
    assert_eq!(shape(&encoder), (1, 2));
    let content = encode(&encoder, &table, &["i0", "i1", "i2", "i3", "new"]);
    for k in 0..2 {
        let sum: f32 = (0..3).map(|item| content.vector(item)[k]).sum();
        assert!(sum.abs() < 1e-6);
    }
    let squares: f32 = (0..3).flat_map(|item| content.vector(item)).map(|x| x * x).sum();
    assert!((squares / 3.0 - 1.0).abs() < 1e-5);
    assert_eq!((content.vector(3), content.vector(4)), (&[0.0, 0.0][..], &[0.0, 0.0][..]));
    assert_eq!((content.of(3).len(), content.of(4).len()), (1, 0));
}

#[test]
fn vectors_of_any_size_stay_finite_and_can_be_saved() {
    for (a, b) in [("3e38", "-3e38"), ("1e-45", "0"), ("2", "2")] {
        let text = format!("item,v\ni0,\"[{a}, 1]\"\ni1,\"[{b}, 1]\"\n");
        let table = table(&text, &[("v", ColumnType::Vector)]);
        let encoder = learn(&table, &items(2), &all()).unwrap();
        let content = encode(&encoder, &table, &["i0", "i1"]);
        assert!((0..2).flat_map(|item| content.vector(item)).all(|x| x.is_finite()), "{a}");
        let mut arrays = Arrays::default();
        encoder.add_to(&mut arrays);
        assert_eq!(Encoder::take(&mut arrays).unwrap(), encoder);
    }
}

#[test]
fn only_items_of_the_training_teach_terms() {
    let table = table("item,c\ni0,a\ni1,a\nx,b\ny,b\n", &[("c", ColumnType::Categories)]);
    let mut items = items(2);
    items.add("x", 0);
    items.add("y", 0);
    assert_eq!(shape(&learn(&table, &items, &all()).unwrap()), (3, 0));
}

#[test]
fn a_column_that_is_not_there_and_one_of_another_type_are_named() {
    let trained = table("item,a,b\ni0,x,1\ni1,x,2\n", &[("a", ColumnType::Categories)]);
    let learn_from = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        learn(&trained, &items(2), &names)
    };
    let error = learn_from(&["a", "colour"]).unwrap_err().to_string();
    assert!(error.contains("`colour`") && error.contains("`a`, `b`"), "{error}");
    let encoder = learn_from(&["b", "a"]).unwrap();
    let refuse = |table: &ItemTable| encoder.encode(table, std::iter::once("i0")).unwrap_err().to_string();
    let error = refuse(&table("item,a\ni0,x\n", &[]));
    assert!(error.contains("`b`"), "{error}");
    let error = refuse(&table("item,a,b\ni0,x,much\n", &[("a", ColumnType::Categories)]));
    assert!(error.contains("`b`") && error.contains("number"), "{error}");
    let error = learn(&table("item,a\nother,x\n", &[]), &items(2), &all()).unwrap_err().to_string();
    assert!(error.contains("none of the 2 items"), "{error}");
}

#[test]
fn an_encoder_is_saved_and_a_damaged_one_refused() {
    let table = table(
        "item,c,n,t\ni0,ä\"b,1,blue\ni1,ä\"b,2,blue\ni2,z,,pot\n",
        &[("c", ColumnType::Categories), ("t", ColumnType::Text)],
    );
    let encoder = learn(&table, &items(3), &all()).unwrap();
    let mut arrays = Arrays::default();
    encoder.add_to(&mut arrays);
    assert_eq!(Encoder::take(&mut arrays.clone()).unwrap(), encoder);
    let name = arrays.counts.keys().next().unwrap().clone();
    let mut cut = arrays.clone();
    cut.counts.get_mut(&name).unwrap().pop();
    assert!(Encoder::take(&mut cut).unwrap_err().to_string().contains(&name));
    let mut beyond = Arrays::default();
    Encoder::of_shape(3, 0).add_to(&mut beyond);
    assert!(Encoder::take(&mut beyond).is_ok());
    let text = serde_json::to_string(&encoder).unwrap().replacen("\"features\":", "\"features\":1,\"x\":", 1);
    let broken: Encoder = serde_json::from_str(&text).unwrap();
    let mut arrays = Arrays::default();
    broken.add_to(&mut arrays);
    assert!(Encoder::take(&mut arrays).is_err());
}

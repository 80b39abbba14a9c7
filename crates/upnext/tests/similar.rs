//! Tests of `similar`: its lists, filters and titles, and invalid input.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod shop;

use serde_json::{Value, json};
use shop::{Shop, WITH_COMMA, assert_refused, json as document, stderr, stdout, upnext};
use upnext_core::experiment::ModelKind;
use upnext_core::model::Model;

/// Ids and similarities of a list in a JSON document.
fn listed(list: &Value) -> Vec<(String, f32)> {
    let entries = list["similar"].as_array().unwrap();
    assert!((1..).zip(entries).all(|(rank, entry)| entry["rank"] == rank));
    let entry =
        |e: &Value| (e["item_id"].as_str().unwrap().to_owned(), e["similarity"].to_string().parse().unwrap());
    entries.iter().map(entry).collect()
}

/// The list of the library.
fn expected(model: &Model, item: &str, k: usize) -> Vec<(String, f32)> {
    let found = model.similar_items(item, k).unwrap();
    found.items.into_iter().map(|similar| (similar.id, similar.similarity)).collect()
}

/// The most popular item.
fn popular(model: &Model) -> &str {
    model.items().id(model.items().by_support()[0])
}

#[test]
fn items_get_the_lists_of_the_library_and_kinds_that_cannot_are_refused() {
    let shop = Shop::new();
    for kind in ModelKind::ALL {
        let (path, model) = shop.train(kind);
        let items = [popular(&model), WITH_COMMA, "line\nbreak"];
        let named = items.iter().flat_map(|item| ["--item", item]).collect::<Vec<_>>();
        let run = |more: &[&str]| upnext("similar", &path, &[&named, more].concat());
        let Some(measure) = kind.similarity() else {
            assert_refused(&run(&[]), 1, &[kind.name(), "cannot tell", "gru4rec, item-knn"]);
            continue;
        };
        for k in [1, 20, 1_000_000] {
            let shown = document(&run(&["-k", &k.to_string(), "--json"]));
            assert_eq!(shown["model"], json!({"path": path.to_str().unwrap(), "kind": kind.name()}));
            assert_eq!(shown["measure"], measure.name());
            for (item, list) in items.iter().zip(shown["lists"].as_array().unwrap()) {
                assert_eq!((&list["item_id"], list.get("title")), (&json!(item), None));
                assert_eq!(listed(list), expected(&model, item, k), "{kind} {item}");
            }
        }
        let text = stdout(&run(&["-k", "1"]));
        assert!(text.contains(measure.description()) && text.contains("line\\nbreak"), "{text}");
        let lists = text.lines().filter(|line| line.starts_with("Similar to ")).count();
        assert_eq!(lists, 3, "a list for each item: {text}");
    }
}

#[test]
fn filters_apply_before_the_list_is_cut() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Gru4rec);
    let item = popular(&model);
    let all: Vec<String> = expected(&model, item, usize::MAX).into_iter().map(|(id, _)| id).collect();
    assert_eq!(all.len(), model.items().len() - 1);
    let run = |more: &[&str]| {
        let output = upnext("similar", &path, &[&["--item", item, "-k", "3", "--json"], more].concat());
        let ids = listed(&document(&output)["lists"][0]).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        (ids, stderr(&output))
    };
    let exclude = shop.file("exclude.txt", format!("{}\r\nno such item\n{}\n", all[0], all[2]));
    let exclude = ["--exclude", exclude.to_str().unwrap()];
    let (list, said) = run(&exclude);
    assert_eq!(list, [&all[1], &all[3], &all[4]].map(Clone::clone));
    assert!(said.contains("does not know 1 of the 3 ids: `no such item`"), "{said}");
    let only = shop.file("only.txt", format!("{}\n{item}\n{}\n{}\n", all[9], all[0], all[5]));
    let only = ["--only", only.to_str().unwrap()];
    assert_eq!(run(&only).0, [&all[0], &all[5], &all[9]].map(Clone::clone));
    assert_eq!(run(&[only, exclude].concat()).0, [&all[5], &all[9]].map(Clone::clone));
    let itself = shop.file("itself.txt", item);
    let text = stdout(&upnext("similar", &path, &["--item", item, "--only", itself.to_str().unwrap()]));
    assert!(text.contains("No item is left to list"), "{text}");
}

#[test]
fn titles_come_from_the_catalogue() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::ItemKnn);
    let item = popular(&model);
    let (first, _) = expected(&model, item, 1).remove(0);
    let titles = shop.file("titles.csv", format!("item_id,title,price\n{item},Big | cup,3\n{first},007,4\n"));
    let args = ["--item", item, "-k", "2", "--catalogue", titles.to_str().unwrap()];
    let shown = document(&upnext("similar", &path, &[&args[..], &["--json"]].concat()));
    let list = &shown["lists"][0];
    assert_eq!((&list["title"], &list["similar"][0]["title"]), (&json!("Big | cup"), &json!("007")));
    assert_eq!(list["similar"][1].get("title"), None);
    let text = stdout(&upnext("similar", &path, &args));
    assert!(text.contains("(Big | cup)") && text.contains("title") && text.contains("007"), "{text}");
    let untitled = shop.file("untitled.csv", "item_id,price\n1,2\n");
    let args = ["--item", item, "--catalogue", untitled.to_str().unwrap()];
    assert_refused(&upnext("similar", &path, &args), 1, &["untitled.csv", "`title` or `name`"]);
}

#[test]
fn unknown_items_and_wrong_usage_are_refused() {
    let shop = Shop::new();
    let (path, model) = shop.train(ModelKind::Markov);
    let item = popular(&model);
    let args = ["--item", item, "--item", "never seen", "--json"];
    assert_refused(&upnext("similar", &path, &args), 1, &["does not know the item `never seen`"]);
    for (args, words) in [
        (vec![], vec!["--item"]),
        (vec!["--item", item, "-k", "0"], vec!["-k"]),
        (vec!["--item", item, "--exclude-seen"], vec!["--exclude-seen"]),
    ] {
        assert_refused(&upnext("similar", &path, &args), 2, &words);
    }
    assert_refused(&upnext("similar", &shop.path("none"), &["--item", item]), 1, &["none", "no such folder"]);
}

//! Tests of `vectors`: the files of items and sessions, whose products are the scores, and invalid input.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod shop;

use shop::{Shop, assert_refused, json, stderr, stdout, upnext};
use std::path::Path;
use upnext_core::data::{ItemTable, ItemTableOptions};
use upnext_core::experiment::ModelKind;
use upnext_core::model::Model;

/// Reads a written file.
fn table(path: &Path, id_column: &str) -> ItemTable {
    let mut options = ItemTableOptions::default();
    options.item_columns = vec![id_column.to_owned()];
    ItemTable::read(path, &options).unwrap()
}

fn vector<'t>(table: &'t ItemTable, id: &str) -> &'t [f32] {
    table.column("vector").unwrap().vector(table.row(id).unwrap()).unwrap()
}

/// A log of 2,500 sessions, more than a block of one thread, every hundredth of which has unknown items only.
fn log(model: &Model) -> (String, Vec<(String, Vec<String>)>) {
    let items: Vec<&str> = model.items().ids().filter(|id| !id.contains(['\n', ','])).collect();
    let mut text = "session_id,item_id,time\n".to_owned();
    let mut sessions = Vec::new();
    for s in 0..2_500_usize {
        let unknown = s % 100 == 3;
        let item = |e: usize| match (unknown, e) {
            (true, _) => format!("new {e}"),
            (false, 1) => "new".to_owned(),
            _ => items[(s * 7 + e * e) % items.len()].to_owned(),
        };
        let events: Vec<String> = (0..1 + s % 5).map(item).collect();
        for (e, item) in events.iter().enumerate() {
            text.push_str(&format!("s{s},{item},{}\n", 1_500_000_000 + s * 10 + e));
        }
        if !unknown {
            sessions.push((format!("s{s}"), events));
        }
    }
    (text, sessions)
}

#[test]
fn products_of_the_written_vectors_and_the_biases_are_the_scores() {
    let shop = Shop::new();
    for kind in [ModelKind::Gru4rec, ModelKind::BprMf, ModelKind::SessionAverage] {
        let (path, model) = shop.train(kind);
        let (items, of_sessions) = (shop.file("items.parquet", "old"), shop.path("sessions.parquet"));
        let out = |path: &Path| ["--out".to_owned(), path.to_str().unwrap().to_owned()];
        let done = json(&upnext("vectors", &path, &[&out(&items)[..], &["--json".to_owned()]].concat()));
        let has_biases = kind == ModelKind::Gru4rec;
        assert_eq!((&done["of"], &done["vectors"]), (&"items".into(), &model.items().len().into()));
        assert_eq!((&done["bias"], &done["activation"]), (&has_biases.into(), &"linear".into()));
        assert_eq!(done["width"], model.vector_width().unwrap());
        let (text, sessions) = log(&model);
        let log = shop.file("log.csv", text);
        for threads in [&["--threads", "1"][..], &[]] {
            let more = [&["--sessions", log.to_str().unwrap()], threads].concat();
            let more: Vec<String> = more.into_iter().map(str::to_owned).chain(out(&of_sessions)).collect();
            let output = upnext("vectors", &path, &more);
            let said = stdout(&output);
            assert!(
                said.contains("2,475 vectors of sessions") && said.contains("sessions.parquet"),
                "{said}"
            );
            let warned = stderr(&output);
            assert!(warned.contains("25 sessions have no other"), "{warned}");
        }

        let (items, of_sessions) = (table(&items, "item_id"), table(&of_sessions, "session_id"));
        assert!(items.ids().eq(model.items().ids()));
        assert_eq!(items.column("bias").is_some(), has_biases);
        assert!(of_sessions.column("bias").is_none());
        assert!(of_sessions.ids().eq(sessions.iter().map(|(id, _)| id.as_str())));
        for (id, events) in sessions.iter().step_by(37) {
            let state = vector(&of_sessions, id);
            for entry in model.recommend(events, 5).unwrap().items {
                let bias = items
                    .column("bias")
                    .map_or(0.0, |bias| bias.number(items.row(&entry.id).unwrap()).unwrap());
                let terms = state.iter().zip(vector(&items, &entry.id)).map(|(x, y)| f64::from(x * y));
                let size = terms.clone().map(f64::abs).sum::<f64>() + bias.abs();
                let score = terms.sum::<f64>() + bias;
                let error = (score - f64::from(entry.score)).abs();
                assert!(error <= 1e-5 * size, "{kind} {id} {entry:?}: {score}");
            }
        }
    }
}

#[test]
fn wrong_usage_and_kinds_without_vectors_are_refused_and_leave_the_old_file() {
    let shop = Shop::new();
    let (path, _) = shop.train(ModelKind::Markov);
    let out = shop.file("v.parquet", "old");
    let out = out.to_str().unwrap();
    let log = shop.file("log.csv", "session_id,item_id,time\ns,1,5\n");
    let log = log.to_str().unwrap();
    let words = ["markov has no vectors", "gru4rec", "session-average"];
    assert_refused(&upnext("vectors", &path, &["--out", out]), 1, &words);
    assert_refused(&upnext("vectors", &path, &["--out", out, "--sessions", log]), 1, &words);
    assert_eq!(std::fs::read_to_string(out).unwrap(), "old");
    let none = shop.path("no model");
    let missing = shop.path("missing/v.parquet");
    let as_log = shop.file("log.parquet", "x");
    let as_log = as_log.to_str().unwrap();
    for (args, words) in [
        (vec![], vec!["--out"]),
        (vec!["--out", "vectors.csv"], vec!["vectors.csv", ".parquet"]),
        (vec!["--out", missing.to_str().unwrap()], vec!["there is no folder"]),
        (vec!["--out", as_log, "--sessions", as_log], vec!["the log that is read"]),
        (vec!["--out", out, "--threads", "1"], vec!["--sessions"]),
        (vec!["--out", out, "--time-column", "t"], vec!["--sessions"]),
    ] {
        assert_refused(&upnext("vectors", &none, &args), 2, &words);
    }
}

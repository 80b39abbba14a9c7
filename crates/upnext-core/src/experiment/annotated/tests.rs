//! What `--show-config` prints, and the page `docs/configuration.md`, which is made from the same doc comments.

use super::*;
use crate::documented::WIDTH;
use crate::experiment::{ModelConfig, known_keys};
use crate::gru4rec::validate::Idle;
use std::collections::BTreeSet;
use std::path::Path;

/// The variable that lets the test write the page instead of comparing it.
const WRITE: &str = "UPNEXT_WRITE_PAGES";

pub(super) fn of_kind(kind: ModelKind) -> Experiment {
    Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() }
}

#[test]
fn what_is_shown_has_a_comment_for_each_field_and_reads_back() {
    for kind in ModelKind::ALL {
        let experiment = of_kind(kind);
        let text = experiment.to_annotated_toml().unwrap();
        assert_eq!(Experiment::from_toml(&text, "shown.toml").unwrap(), experiment.resolved(), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let mut fields = 0;
        for pair in lines.windows(2).filter(|pair| pair[1].contains(" = ") && !pair[1].starts_with('#')) {
            assert!(pair[0].starts_with("# "), "{pair:?}");
            fields += 1;
        }
        assert!(fields > 3, "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}

#[test]
fn only_what_applies_is_shown() {
    let network = of_kind(ModelKind::Gru4rec);
    let text = network.to_annotated_toml().unwrap();
    assert!(text.contains("\nlearning_rate = 0.1\n") && text.contains("Default: 0.1."), "{text}");
    assert!(text.contains("# candidates is absent."), "{text}");
    for field in ["rmsprop_decay", "adam_beta1", "bpr_max_penalty", "discount", "embedding_size", "[data]"] {
        assert!(!text.contains(&format!("\n{field}")), "{field} is in {text}");
    }
    let mut adam = network.clone();
    adam.set_all(&["training.optimizer=adam", "training.samples=0"]).unwrap();
    let text = adam.to_toml().unwrap();
    assert!(text.contains("\nadam_beta1 = 0.9\n") && !text.contains("sample_alpha"), "{text}");

    let neighbours = of_kind(ModelKind::VsKnn).to_toml().unwrap();
    assert!(!neighbours.contains("[training]") && neighbours.contains("sample_size = 5000"), "{neighbours}");
    let factors = of_kind(ModelKind::BprMf).to_toml().unwrap();
    assert!(factors.contains("[training]\nseed = 42\n"), "{factors}");
}

#[test]
fn every_field_is_documented_with_the_source_of_its_default() {
    let mut documented = BTreeSet::from(["model.kind".to_owned()]);
    for kind in ModelKind::ALL {
        for table in ["data", "data.published", "model", "training", "evaluation"] {
            for field in docs_of(table, kind) {
                let text = field.text();
                assert!(text.ends_with('.') && text.len() > 20, "{table}.{}: {text}", field.name);
                let names_source =
                    text.contains("he default") || text.contains("f absent") || text.contains("best in [1]");
                assert!(names_source || table.starts_with("data"), "{table}.{}: {text}", field.name);
                documented.insert(format!("{table}.{}", field.name));
            }
        }
    }
    documented.remove("data.published");
    assert_eq!(documented, known_keys().into_iter().collect());
}

#[test]
fn the_values_of_a_field_are_in_its_documentation() {
    let mut found = 0;
    for kind in ModelKind::ALL {
        for table in ["model", "training", "evaluation"] {
            for field in docs_of(table, kind) {
                let key = format!("{table}.{}", field.name);
                let Err(error) = of_kind(kind).set(&format!("{key}=\"?\"")) else { continue };
                let message = error.to_string();
                let Some(values) = message.split("expected one of ").nth(1) else { continue };
                for value in values.split('`').skip(1).step_by(2) {
                    assert!(field.text().contains(&format!("`{value}`")), "{key} lacks {value}: {message}");
                    found += 1;
                }
            }
        }
    }
    assert!(found >= 20, "{found} values");
}

/// The fields that have no effect on a network with the default input and loss, no samples and the optimiser SGD, which
/// are all that depend on others.
fn idle_fields() -> Vec<(String, Idle)> {
    let mut experiment = of_kind(ModelKind::Gru4rec);
    experiment.set_all(&["training.samples=0", "training.optimizer=sgd"]).unwrap();
    known_keys().into_iter().filter_map(|key| experiment.idle(&key).map(|idle| (key, idle))).collect()
}

#[test]
fn a_field_without_effect_is_refused_in_files_and_assignments() {
    let fields = idle_fields();
    assert_eq!(fields.len(), 9, "{fields:?}");
    let text = "[training]\nmomentum = 0.2\nadam_beta1 = 0.8\n";
    let message = Experiment::from_toml(text, "mine.toml").unwrap_err().to_string();
    assert!(message.starts_with("mine.toml:3:1: training.adam_beta1: has no effect"), "{message}");
    let with_adam = format!("{text}optimizer = \"adam\"\n");
    assert_eq!(Experiment::from_toml(&with_adam, "mine.toml").unwrap().training.adam_beta1, 0.8);
    let mut experiment = Experiment::default();
    let message = experiment.set_all(&["model.discount=0.5"]).unwrap_err().to_string();
    assert!(message.contains("model.input is not discounted"), "{message}");
    // In any order.
    Experiment::default().set_all(&["model.discount=0.5", "model.input=discounted"]).unwrap();
}

#[test]
fn a_field_that_the_kind_does_not_read_is_refused_with_the_kinds_that_do() {
    let text = "[model]\nkind = \"vs-knn\"\n[training]\nlearning_rate = 0.1\n";
    let message = Experiment::from_toml(text, "mine.toml").unwrap_err().to_string();
    assert!(
        message.starts_with("mine.toml:4:1: training.learning_rate: a model of kind \"vs-knn\""),
        "{message}"
    );
    assert!(message.ends_with("it is for gru4rec, blend"), "{message}");
    let refused = |kind, assignment| of_kind(kind).set(assignment).unwrap_err().to_string();
    assert!(
        refused(ModelKind::Pop, "training.seed=1")
            .ends_with("it is for gru4rec, bpr-mf, session-average, blend")
    );
    assert!(refused(ModelKind::BprMf, "training.epochs=3").ends_with("use model.epochs"));
    of_kind(ModelKind::BprMf).set("training.seed=1").unwrap();
    // A saved model's configuration has all fields, whatever its kind reads.
    let saved = serde_json::to_string(&of_kind(ModelKind::VsKnn)).unwrap();
    assert!(saved.contains("learning_rate"), "{saved}");
    assert_eq!(serde_json::from_str::<Experiment>(&saved).unwrap(), of_kind(ModelKind::VsKnn));
}

/// The page that documents every field.
fn page() -> String {
    let mut page = String::from(
        "# Configuration: every field of an experiment\n\n\
         This page is made from the doc comments of the code; a test compares the two.\n\n\
         An experiment is one TOML file (`upnext train --config FILE`). Single fields are set by `--set`, as in\n\
         `--set training.learning_rate=0.05`. Every field has a default, so that an empty file is an experiment.\n\
         `upnext train --show-config [--model KIND]` prints the fields that apply to a kind of model, with these texts\n\
         as comments. An unknown field is refused, and so is one that has no effect: because the kind of model does not\n\
         read it, or because of the value of another field.\n\n",
    );
    _ = writeln!(page, "{REFERENCES} `docs/algorithms.md` has the formulas.\n");
    page.push_str("## `[model]`\n\n");
    _ = writeln!(page, "`kind`: {} Default: `\"gru4rec\"`. The other fields depend on it.\n", kind_text());
    for kind in ModelKind::ALL {
        let fields = docs_of("model", kind);
        if fields.is_empty() {
            _ = writeln!(page, "### `kind = \"{kind}\"`\n\nNo further fields.\n");
        } else {
            table(&mut page, &format!("### `kind = \"{kind}\"`"), "model", kind);
        }
    }
    let named = |reads: &dyn Fn(ModelKind) -> bool| {
        let names = ModelKind::ALL.into_iter().filter(|&kind| reads(kind));
        names.map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
    };
    let all = |kind: ModelKind| kind.reads_training("epochs");
    let seed_alone = |kind: ModelKind| kind.reads_training("seed") && !all(kind);
    table(&mut page, "## `[training]`", "training", ModelKind::Gru4rec);
    _ = writeln!(
        page,
        "Read by {}; of these fields, `seed` alone is read by {}.\n",
        named(&all),
        named(&seed_alone)
    );
    page.push_str("These fields have an effect only with a value of another one:\n\n");
    page.push_str("| field | has an effect with |\n|---|---|\n");
    for (key, idle) in idle_fields() {
        _ = writeln!(page, "| `{key}` | `{}` {} |", idle.depends_on, idle.wanted);
    }
    page.push('\n');
    table(&mut page, "## `[evaluation]`", "evaluation", ModelKind::Gru4rec);
    table(&mut page, "## `[data]`", "data", ModelKind::Gru4rec);
    table(&mut page, "## `[data.published]`", "data.published", ModelKind::Gru4rec);
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// Adds a heading and the table of the fields of an experiment's table.
fn table(page: &mut String, heading: &str, name: &str, kind: ModelKind) {
    let defaults = sections(&toml_text(&of_kind(kind)).unwrap());
    let defaults = defaults.iter().find(|section| section.name == name);
    _ = writeln!(page, "{heading}\n\n| field | default | meaning, range and source |\n|---|---|---|");
    for field in docs_of(name, kind) {
        let default = defaults.and_then(|section| section.value(field.name));
        let default = default.map_or("absent".to_owned(), |default| format!("`{default}`"));
        _ = writeln!(page, "| `{}` | {default} | {} |", field.name, field.text().replace('|', "\\|"));
    }
    page.push('\n');
}

#[test]
fn the_page_of_all_fields_is_that_of_the_doc_comments() {
    is_written("docs/configuration.md", "the_page_of_all_fields", &page());
}

/// Checks that a file of the repository is what a test makes, or writes it.
pub(super) fn is_written(file: &str, test: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    // Not assert_eq: both texts would be printed.
    assert!(
        stored == expected,
        "{file} is not what the doc comments say: write it anew by\n  {WRITE}=1 cargo test -p upnext-core --lib {test}"
    );
}

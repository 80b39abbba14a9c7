//! The classes of the Python package, one a kind, from the doc comments of the configurations: `python/upnext/models.py`.

use super::docs_of;
use super::tests::{is_written, of_kind};
use crate::documented::FieldDoc;
use crate::experiment::ModelKind;
use serde_json::Value;
use std::fmt::Write as _;

/// Number of characters after which a line of a doc string is wrapped.
const WIDTH: usize = 116;

/// The name of the class of a kind.
fn class(kind: ModelKind) -> String {
    match kind {
        ModelKind::Gru4rec => "GRU4Rec".to_owned(),
        ModelKind::ItemKnn => "ItemKNN".to_owned(),
        ModelKind::Ar | ModelKind::Sr | ModelKind::Stan | ModelKind::Vstan => kind.name().to_uppercase(),
        ModelKind::ContentKnn => "ContentKNN".to_owned(),
        ModelKind::SKnn => "SKNN".to_owned(),
        ModelKind::VsKnn => "VSKNN".to_owned(),
        ModelKind::BprMf => "BPRMF".to_owned(),
        other => other.doc().0.to_owned(),
    }
}

/// The type of a field in Python.
fn annotation(of: &str) -> String {
    let of: String = of.split_whitespace().collect();
    if let Some(inner) = of.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("{} | None", annotation(inner));
    }
    match of.as_str() {
        "usize" | "u64" | "u32" => "int".to_owned(),
        "f32" | "f64" => "float".to_owned(),
        "bool" => "bool".to_owned(),
        "Vec<usize>" => "Sequence[int]".to_owned(),
        "Vec<String>" => "Sequence[str]".to_owned(),
        "Vec<Member>" => "Sequence[str | dict | Recommender]".to_owned(),
        _ => "str".to_owned(),
    }
}

/// A value as Python writes it. Lists are tuples, which a default cannot share with others by mistake.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(values) if values.is_empty() => "()".to_owned(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(literal).collect();
            format!("({},)", values.join(", "))
        }
        // A member with the defaults of its kind is written by its name.
        Value::Object(fields) => fields.get("kind").map_or_else(String::new, literal),
        Value::String(text) => format!("\"{text}\""),
        Value::Number(number) => number.to_string(),
    }
}

/// The fields of a kind: the table, the documentation, and the default value.
fn fields(kind: ModelKind) -> Vec<(&'static str, &'static FieldDoc, Value)> {
    // By way of text, since the f32 0.8 would become another number as an f64.
    let defaults: Value = serde_json::from_str(&serde_json::to_string(&of_kind(kind)).unwrap()).unwrap();
    let table = |table: &'static str| {
        let defaults = defaults[table].clone();
        docs_of(table, kind)
            .iter()
            .filter(move |field| table == "model" || kind.reads_training(field.name))
            .map(move |field| (table, field, defaults.get(field.name).cloned().unwrap_or(Value::Null)))
    };
    table("model").chain(table("training")).collect()
}

/// Adds a paragraph, indented, with the first line after `first`.
fn paragraph(out: &mut String, first: &str, indent: &str, text: &str) {
    let mut line = first.to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && !line.trim().is_empty() {
            _ = writeln!(out, "{}", line.trim_end());
            indent.clone_into(&mut line);
        }
        let space = if line.is_empty() || line.ends_with(' ') { "" } else { " " };
        _ = write!(line, "{space}{word}");
    }
    _ = writeln!(out, "{}", line.trim_end());
}

/// The publications that the texts cite, with the beginning of their marks.
const SOURCES: [(&str, &str); 2] =
    [("[1", "[1] Hidasi et al., ICLR 2016."), ("[2", "[2] Hidasi and Karatzoglou, CIKM 2018.")];

/// The documentation of a field in the words of Python.
fn in_python(text: &str) -> String {
    let words = [("true", "True"), ("false", "False"), ("[]", "()")];
    let words = words.map(|(from, to)| (format!("`{from}`"), format!("`{to}`")));
    let others = [
        ("\\", "\\\\"),
        (" (`--validate` or `--valid`)", " (`validation`)"),
        (" (the range of TOML's integers)", ""),
    ];
    let others = others.map(|(from, to)| (from.to_owned(), to.to_owned()));
    others.iter().chain(&words).fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn module() -> String {
    let mut out = String::from(
        "\"\"\"The kinds of models, one class each.\n\nThis file is written from the documentation of the library's configurations; `CONTRIBUTING.md` says how.\n[1] is Hidasi et al., ICLR 2016; [2] is Hidasi and Karatzoglou, CIKM 2018.\n\"\"\"\n\nfrom __future__ import annotations\n\nfrom collections.abc import Sequence\n\nfrom ._recommender import Recommender\n",
    );
    let names: Vec<String> = ModelKind::ALL.into_iter().map(|kind| format!("\"{}\"", class(kind))).collect();
    _ = writeln!(out, "\n__all__ = [{}]", names.join(", "));
    for kind in ModelKind::ALL {
        let fields = fields(kind);
        _ = write!(out, "\n\nclass {}(Recommender):\n    \"\"\"", class(kind));
        paragraph(&mut out, "", "    ", kind.doc().1.trim());
        if !fields.is_empty() {
            _ = writeln!(out, "\n    Parameters\n    ----------");
            for (_, field, default) in &fields {
                _ = writeln!(
                    out,
                    "    {} : {}, default {}",
                    field.name,
                    annotation(field.of),
                    literal(default)
                );
                paragraph(&mut out, "        ", "        ", &in_python(&field.text()));
            }
        }
        let texts: String = fields.iter().map(|(_, field, _)| field.text()).collect();
        let cited: Vec<&str> =
            SOURCES.iter().filter(|(mark, _)| texts.contains(mark)).map(|(_, source)| *source).collect();
        if !cited.is_empty() {
            _ = writeln!(out, "\n    {}", cited.join("\n    "));
        }
        _ = writeln!(out, "    \"\"\"\n\n    kind = \"{kind}\"");
        let table = |name: &str| {
            let names: Vec<String> = fields
                .iter()
                .filter(|(table, ..)| *table == name)
                .map(|(_, field, _)| format!("\"{}\"", field.name))
                .collect();
            if names.is_empty() { "()".to_owned() } else { format!("({},)", names.join(", ")) }
        };
        _ = writeln!(
            out,
            "    _model_fields = {}\n    _training_fields = {}",
            table("model"),
            table("training")
        );
        if fields.is_empty() {
            continue;
        }
        _ = writeln!(out, "\n    def __init__(\n        self,\n        *,");
        for (_, field, default) in &fields {
            _ = writeln!(out, "        {}: {} = {},", field.name, annotation(field.of), literal(default));
        }
        _ = writeln!(out, "    ) -> None:");
        for (_, field, _) in &fields {
            _ = writeln!(out, "        self.{0} = {0}", field.name);
        }
    }
    out
}

#[test]
fn the_classes_of_python_are_those_of_the_doc_comments() {
    for kind in ModelKind::ALL {
        let mut names: Vec<&str> = fields(kind).iter().map(|(_, field, _)| field.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{kind}: a field of both tables: {names:?}");
        assert!(
            !names.iter().any(|name| ["lambda", "class", "from", "global", "is"].contains(name)),
            "{kind}"
        );
    }
    is_written("python/upnext/models.py", "the_classes_of_python", &module());
}

//! Reading and writing experiments as TOML, and `key=value` assignments to their fields.

use super::keys::{known_keys, nearest};
use super::model::Parse;
use super::{Experiment, ModelConfig, ModelKind};
use crate::{Error, Result};
use serde::Deserialize;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Value};

impl Experiment {
    /// Reads an experiment file. It does not check values: call [`validate`](Self::validate), after any
    /// [`set`](Self::set).
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and those of [`from_toml`](Self::from_toml).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            action: "read",
            source,
        })?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// Parses an experiment. `origin` is the name of the text in errors, such as its path.
    ///
    /// # Errors
    /// [`Error::ExperimentFile`] with line and column for bad TOML, a value of the wrong type, a field that the model's
    /// kind does not have or does not read, or one that has no effect with the others; [`Error::UnknownKey`] for a key
    /// that no experiment has.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let file = File { text, origin };
        let mut tables = DeTable::parse(text).map_err(|e| file.toml_error("", &e))?.into_inner();
        file.check_keys(&tables, "", &known_keys())?;
        let fields = fields_in_order(&tables);
        let model = match take(&mut tables, "model") {
            Some(table) => file.model(table)?,
            None => ModelConfig::default(),
        };
        for (key, span) in &fields {
            if let Err(Error::Config { reason, .. }) = model.kind().check_reads(key) {
                return Err(file.error(span, format!("{key}: {reason}")));
            }
        }
        let experiment = Self {
            data: file.section(&mut tables, "data")?,
            model,
            training: file.section(&mut tables, "training")?,
            evaluation: file.section(&mut tables, "evaluation")?,
        };
        for (key, span) in &fields {
            if let Some(idle) = experiment.idle(key) {
                return Err(file.error(span, format!("{key}: {idle}")));
            }
        }
        Ok(experiment)
    }

    /// Sets one field by `key=value`; the value is parsed by the field's type: `training.learning_rate=0.05`,
    /// `training.loss=bpr-max`, `model.layers=100,100` or `model.layers=[100, 100]`.
    ///
    /// Another `model.kind` sets all fields of the model to that kind's defaults. A field without effect, because of
    /// the value of another, is accepted; [`set_all`](Self::set_all) refuses it.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] with the nearest key; [`Error::Config`] for a value of the wrong type, and for a field
    /// that the model's kind does not have or does not read. The experiment is then unchanged.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(Error::config(
                assignment,
                "no value: use key=value, as in training.learning_rate=0.05",
            ));
        };
        let (key, text) = (key.trim(), text.trim());
        let known = known_keys();
        if !known.iter().any(|known| known == key) {
            // A field that the model has is nearer than one of another kind.
            let kind = self.model.kind();
            let is_own = |known: &&String| match known.strip_prefix("model.") {
                Some(field) => field == "kind" || kind.has_field(field),
                None => kind.check_reads(known).is_ok(),
            };
            let own: Vec<String> = known.iter().filter(is_own).cloned().collect();
            let is_near = nearest(key, own.iter().map(String::as_str)).is_some();
            return Err(unknown(assignment, key, if is_near { &own } else { &known }));
        }
        if key == "model.kind" {
            let kind = text.trim_matches('"').parse::<ModelKind>()?;
            if kind != self.model.kind() {
                self.model = ModelConfig::of_kind(kind);
            }
            return Ok(());
        }
        if let Some(field) = key.strip_prefix("model.") {
            let kind = self.model.kind();
            if !kind.fields().contains(&field) {
                return Err(Error::config(key, not_of_kind(kind, field)));
            }
        }
        self.model.kind().check_reads(key)?;
        let mut first_error = None;
        for value in readings(text) {
            match self.set_value(key, value) {
                Ok(()) => return Ok(()),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| Error::config(key, "has no value")))
    }

    /// Sets fields by `key=value`, one after the other, as [`set`](Self::set).
    ///
    /// # Errors
    /// Those of [`set`](Self::set), and [`Error::Config`] for a field that has no effect with the others, such as
    /// `training.adam_beta1` without the optimiser `adam`. The fields before it are then set.
    pub fn set_all<S: AsRef<str>>(&mut self, assignments: &[S]) -> Result<()> {
        for assignment in assignments {
            self.set(assignment.as_ref())?;
        }
        for assignment in assignments {
            let key = assignment.as_ref().split('=').next().unwrap_or_default().trim();
            if let Some(idle) = self.idle(key) {
                return Err(Error::config(key, idle.to_string()));
            }
        }
        Ok(())
    }

    /// Sets the field of a known key.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of the wrong type. The experiment is then unchanged.
    pub(crate) fn set_value(&mut self, key: &str, value: Value) -> Result<()> {
        let mut changed = toml::Table::try_from(&*self).map_err(|e| Error::config(key, e.to_string()))?;
        insert(&mut changed, key, value);
        *self = Self::deserialize(changed).map_err(|e| Error::config(key, plain(e.message())))?;
        Ok(())
    }
}

/// The possible values of a text, the most likely first: for the field of a configuration whose type is not known.
pub fn readings(text: &str) -> Vec<Value> {
    let toml = |text: &str| {
        Value::deserialize(ValueDeserializer::parse(text).ok()?).ok().filter(|value| !value.is_table())
    };
    let mut readings = Vec::new();
    readings.extend(toml(text));
    // Accepts `.5` and `1.`, which are not numbers in TOML.
    readings.extend(text.parse().ok().filter(|_| readings.is_empty()).map(Value::Float));
    readings.push(Value::String(text.to_owned()));
    readings.extend(toml(&format!("[{text}]")));
    let texts = text.split(',').map(|part| Value::String(part.trim().to_owned()));
    readings.push(Value::Array(texts.collect()));
    readings
}

/// Inserts a value at a dotted key, with the tables that are missing.
fn insert(table: &mut toml::Table, key: &str, value: Value) {
    let Some((first, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    if let Value::Table(inner) = table.entry(first).or_insert_with(|| Value::Table(toml::Table::new())) {
        insert(inner, rest, value);
    }
}

/// The dotted keys of the fields of all tables and where they stand, in the order of the text.
fn fields_in_order(tables: &DeTable<'_>) -> Vec<(String, Range<usize>)> {
    let mut fields = Vec::new();
    for (section, table) in tables {
        if let DeValue::Table(table) = table.get_ref() {
            let section = section.get_ref();
            fields.extend(table.keys().map(|key| (format!("{section}.{}", key.get_ref()), key.span())));
        }
    }
    fields.sort_by_key(|(_, span)| span.start);
    fields
}

fn take<'i>(table: &mut DeTable<'i>, key: &str) -> Option<Spanned<DeValue<'i>>> {
    table.remove(key)
}

/// A TOML text, with its name in errors.
pub(crate) struct File<'a> {
    pub(crate) text: &'a str,
    pub(crate) origin: &'a str,
}

impl File<'_> {
    /// Checks that all keys of a table are known. `prefix` is the dotted path of `table`, with a trailing dot.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] with the first unknown key.
    pub(crate) fn check_keys(&self, table: &DeTable<'_>, prefix: &str, known: &[String]) -> Result<()> {
        let mut keys: Vec<_> = table.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in keys {
            let path = format!("{prefix}{}", key.get_ref());
            let inside = format!("{path}.");
            if known.contains(&path) {
                continue;
            }
            if !known.iter().any(|known| known.starts_with(&inside)) {
                let (line, _) = self.line_and_column(&key.span());
                return Err(unknown(&format!("{}:{line}", self.origin), &path, known));
            }
            match value.get_ref() {
                DeValue::Table(table) => self.check_keys(table, &inside, known)?,
                _ => return Err(self.error(&value.span(), format!("{path}: is a table: write [{path}]"))),
            }
        }
        Ok(())
    }

    fn section<T: Default + for<'de> Deserialize<'de>>(
        &self,
        tables: &mut DeTable<'_>,
        name: &str,
    ) -> Result<T> {
        match take(tables, name) {
            Some(table) => self.parse(table, name),
            None => Ok(T::default()),
        }
    }

    fn model(&self, table: Spanned<DeValue<'_>>) -> Result<ModelConfig> {
        let span = table.span();
        // `check_keys` has checked that it is a table.
        let DeValue::Table(mut fields) = table.into_inner() else { return Ok(ModelConfig::default()) };
        let kind = match take(&mut fields, "kind") {
            Some(kind) => self.parse(kind, "model.kind")?,
            None => ModelKind::Gru4rec,
        };
        let foreign = fields.keys().filter(|key| !kind.fields().contains(&key.get_ref().as_ref()));
        if let Some(key) = foreign.min_by_key(|key| key.span().start) {
            return Err(self.error(
                &key.span(),
                format!("model.{}: {}", key.get_ref(), not_of_kind(kind, key.get_ref())),
            ));
        }
        let fields = Spanned::new(span, DeValue::Table(fields));
        ModelConfig::read(kind, ModelFields { file: self, fields })
    }

    fn parse<T: for<'de> Deserialize<'de>>(&self, value: Spanned<DeValue<'_>>, name: &str) -> Result<T> {
        let key_of = |span: &Range<usize>| field_at(value.get_ref(), span);
        T::deserialize(ValueDeserializer::from(value.clone())).map_err(|e| {
            let field = e.span().and_then(|span| key_of(&span));
            let name = field.map_or_else(|| name.to_owned(), |field| format!("{name}.{field}"));
            self.toml_error(&name, &e)
        })
    }

    /// The error of a TOML parser about a field, with line and column.
    pub(crate) fn toml_error(&self, field: &str, e: &toml::de::Error) -> Error {
        let message = plain(e.message());
        let reason = if field.is_empty() { message } else { format!("{field}: {message}") };
        self.error(&e.span().unwrap_or(0..0), reason)
    }

    /// An error with the line and column of a span.
    pub(crate) fn error(&self, span: &Range<usize>, reason: String) -> Error {
        let (line, column) = self.line_and_column(span);
        Error::ExperimentFile { origin: self.origin.to_owned(), line, column, reason }
    }

    /// Line and column of the start of a span, both from 1.
    fn line_and_column(&self, span: &Range<usize>) -> (usize, usize) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// The `[model]` table without its kind.
struct ModelFields<'f, 'i> {
    file: &'f File<'f>,
    fields: Spanned<DeValue<'i>>,
}

impl Parse for ModelFields<'_, '_> {
    fn parse<T: for<'de> Deserialize<'de>>(self) -> Result<T> {
        self.file.parse(self.fields, "model")
    }
}

/// The key of `table` whose value contains a span.
fn field_at(table: &DeValue<'_>, span: &Range<usize>) -> Option<String> {
    let DeValue::Table(fields) = table else { return None };
    let (key, _) =
        fields.iter().find(|(_, value)| value.span().start <= span.start && span.end <= value.span().end)?;
    Some(key.get_ref().to_string())
}

fn unknown(place: &str, key: &str, known: &[String]) -> Error {
    let suggestion = match nearest(key, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => {
            let table = key.split_once('.').map_or("", |(table, _)| table);
            let beside: Vec<&str> =
                known.iter().filter_map(|k| k.strip_prefix(table)?.strip_prefix('.')).collect();
            if beside.is_empty() {
                "the tables are [data], [model], [training] and [evaluation]".to_owned()
            } else {
                format!("[{table}] has {}", beside.join(", "))
            }
        }
    };
    Error::UnknownKey { place: place.to_owned(), key: key.to_owned(), suggestion }
}

fn not_of_kind(kind: ModelKind, field: &str) -> String {
    let known = known_keys();
    let elsewhere = known.iter().map(String::as_str).filter(|key| !key.starts_with("model."));
    let suggestion = nearest(&format!("model.{field}"), elsewhere)
        .map_or_else(|| "remove it".to_owned(), |key| format!("did you mean `{key}`? Else remove it"));
    format!("a model of kind \"{kind}\" has no such field: {suggestion}, or use another model.kind")
}

/// A message of a TOML deserializer without Rust's type names, and with a suggestion for a misspelt value.
pub fn plain(message: &str) -> String {
    const WORDS: [(&str, &str); 20] = [
        ("a nonzero usize", "a whole number, 1 or above"),
        ("a nonzero u64", "a whole number, 1 or above"),
        ("a nonzero u32", "a whole number, 1 or above"),
        ("expected f32", "expected a number"),
        ("expected f64", "expected a number"),
        ("expected usize", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected u16", "expected a whole number, 0 to 65535"),
        ("expected u8", "expected a whole number, 0 to 255"),
        ("expected i64", "expected a whole number"),
        ("expected an integer", "expected a whole number"),
        ("expected a sequence", "expected a list of whole numbers, as in [100, 50]"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a text"),
        ("expected path string", "expected a path"),
        ("expected string or table", "expected a text"),
        ("invalid type: floating point", "invalid type: decimal number"),
        ("invalid value: floating point", "invalid value: decimal number"),
        ("invalid type: integer", "invalid type: whole number"),
    ];
    let mut text = message.trim_end().replace('\n', " ");
    for (from, to) in WORDS {
        text = text.replace(from, to);
    }
    if text.starts_with("unknown variant") {
        let mut quoted = text.split('`').skip(1).step_by(2);
        let word = quoted.next().unwrap_or_default();
        if let Some(nearest) = nearest(word, quoted) {
            text = format!("{text}: did you mean `{nearest}`?");
        }
    }
    text
}

#[cfg(test)]
mod tests;

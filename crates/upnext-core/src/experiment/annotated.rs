//! Experiments as TOML: the fields that apply, with or without their documentation.

use super::{DataConfig, EvaluationConfig, Experiment, ModelConfig, ModelKind, Published};
use crate::blend::Member;
use crate::documented::{Documented, FieldDoc, comment};
use crate::gru4rec::config::TrainingConfig;
use crate::{Error, Result};
use std::fmt::Write;
use toml::{Table, Value};

/// What the numbers in brackets in the documentation of fields stand for.
pub(super) const REFERENCES: &str =
    "[1] is Hidasi et al., ICLR 2016; [2] is Hidasi and Karatzoglou, CIKM 2018.";

/// The documentation of the key `model.kind`.
pub(super) fn kind_text() -> String {
    let names: Vec<String> = ModelKind::ALL.iter().map(|kind| format!("`{kind}`")).collect();
    format!("The kind of model: {}.", names.join(", "))
}

/// The documented fields of a table, such as `training`; those of `model` belong to the kind.
pub(super) fn docs_of(table: &str, kind: ModelKind) -> &'static [FieldDoc] {
    match table {
        "data" => DataConfig::FIELDS,
        "data.published" => Published::FIELDS,
        "model" => kind.field_docs(),
        "training" => TrainingConfig::FIELDS,
        "evaluation" => EvaluationConfig::FIELDS,
        _ => &[],
    }
}

/// A table of an experiment as text.
pub(super) struct Section {
    /// The name without brackets.
    pub(super) name: String,
    /// Keys and values.
    pub(super) fields: Vec<(String, String)>,
}

impl Section {
    /// The value of a field as TOML; `None` if the field is absent.
    pub(super) fn value(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == field).map(|(_, value)| value.as_str())
    }
}

impl Experiment {
    /// The [`resolved`](Self::resolved) experiment as TOML, with the fields that have an effect.
    ///
    /// # Errors
    /// [`Error::Config`] for a number out of TOML's range (a seed of 2⁶³ or more).
    pub fn to_toml(&self) -> Result<String> {
        let mut text = String::new();
        for Section { name, fields } in self.sections()? {
            _ = writeln!(text, "{}[{name}]", if text.is_empty() { "" } else { "\n" });
            for (key, value) in fields {
                _ = writeln!(text, "{key} = {value}");
            }
        }
        Ok(text)
    }

    /// As [`to_toml`](Self::to_toml), with the meaning, range, default and source of each field as a comment.
    ///
    /// # Errors
    /// Those of [`to_toml`](Self::to_toml).
    pub fn to_annotated_toml(&self) -> Result<String> {
        let kind = self.model.kind();
        let of_kind = Self { model: ModelConfig::of_kind(kind), ..Self::default() };
        // Not resolved: a field that is absent by default has no default value, and its text says what applies.
        let defaults = sections(&toml_text(&of_kind)?);
        let mut text = String::new();
        comment(
            &mut text,
            &format!("An experiment of upnext. Fields that are left out have their defaults. {REFERENCES}"),
        );
        for section in self.sections()? {
            let name = &section.name;
            _ = writeln!(text, "\n[{name}]");
            if name == "model" {
                comment(&mut text, &kind_text());
                _ = writeln!(text, "kind = {}", section.value("kind").unwrap_or_default());
            }
            let default_section = defaults.iter().find(|defaults| defaults.name == *name);
            for field in docs_of(name, kind) {
                let default = default_section.and_then(|section| section.value(field.name));
                let about = about(field, default);
                match section.value(field.name) {
                    Some(value) => {
                        comment(&mut text, &about);
                        _ = writeln!(text, "{} = {value}", field.name);
                    }
                    // The other tables have absent fields only if these have no effect or no meaning here.
                    None if name == "evaluation" => {
                        comment(&mut text, &format!("{} is absent. {about}", field.name));
                    }
                    None => {}
                }
            }
        }
        Ok(text)
    }

    /// The tables with their fields that have an effect, without empty tables.
    fn sections(&self) -> Result<Vec<Section>> {
        let mut sections = sections(&toml_text(&self.resolved())?);
        for Section { name, fields } in &mut sections {
            fields.retain(|(key, _)| self.applies(&format!("{name}.{key}")));
        }
        sections.retain(|section| !section.fields.is_empty());
        Ok(sections)
    }
}

/// The documentation of a field and its default value, if it has one.
pub(super) fn about(field: &FieldDoc, default: Option<&str>) -> String {
    let text = field.text();
    default.map_or(text.clone(), |default| format!("{text} Default: {default}."))
}

/// All fields of an experiment as TOML.
pub(super) fn toml_text(experiment: &Experiment) -> Result<String> {
    let mut experiment = experiment.clone();
    let members = match &mut experiment.model {
        ModelConfig::Blend(blend) => std::mem::take(&mut blend.members),
        _ => Vec::new(),
    };
    let text = toml::to_string(&experiment).map_err(unwritable)?;
    if members.is_empty() {
        return Ok(text);
    }
    let members = members.iter().map(member_value).collect::<Result<_>>()?;
    Ok(text.replacen("members = []", &format!("members = {}", Value::Array(members)), 1))
}

fn unwritable(e: toml::ser::Error) -> Error {
    Error::config("experiment", format!("cannot be written as TOML: {e}"))
}

/// A member of a blend in one line: the name of its kind, or a table with the fields that are not the kind's defaults.
fn member_value(member: &Member) -> Result<Value> {
    let kind = member.model.kind();
    let table = |member: &Member| Table::try_from(member).map_err(unwritable);
    let defaults = table(&Member::new(ModelConfig::of_kind(kind)))?;
    let mut own = table(member)?;
    own.retain(|field, value| field == "kind" || defaults.get(field) != Some(value));
    if own.len() == 1 {
        return Ok(Value::String(kind.name().to_owned()));
    }
    own.iter_mut().for_each(|(_, value)| shorten(value));
    Ok(Value::Table(own))
}

/// Writes numbers of type f32 as they were: 0.1, not 0.10000000149011612.
fn shorten(value: &mut Value) {
    match value {
        Value::Float(number) if f64::from(*number as f32) == *number => {
            *number = (*number as f32).to_string().parse().unwrap_or(*number);
        }
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Table(fields) => fields.iter_mut().for_each(|(_, value)| shorten(value)),
        _ => {}
    }
}

/// The tables of a text that the TOML writer has made, which has a line for each header and each field.
pub(super) fn sections(text: &str) -> Vec<Section> {
    // A text with line breaks between triple quotation marks goes on until they close.
    let is_open = |value: &str| {
        ["\"\"\"", "'''"].iter().any(|q| value.starts_with(q) && (value.len() < 6 || !value.ends_with(q)))
    };
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        let last = sections.last_mut().and_then(|section| section.fields.last_mut());
        if let Some((_, value)) = last.filter(|(_, value)| is_open(value)) {
            value.push('\n');
            value.push_str(line);
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push(Section { name: name.to_owned(), fields: Vec::new() });
        } else if let (Some((key, value)), Some(section)) = (line.split_once(" = "), sections.last_mut()) {
            section.fields.push((key.to_owned(), value.to_owned()));
        }
    }
    sections
}

#[cfg(test)]
mod python;
#[cfg(test)]
mod tests;

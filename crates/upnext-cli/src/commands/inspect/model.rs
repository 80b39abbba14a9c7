//! `upnext inspect MODEL`: describes a model and its training.

use crate::item_table::{ColumnShape, describe_columns};
use crate::output::{OutputArgs, Table, printable, thousands};
use anyhow::Context;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use upnext_core::artifact::{
    Artifact, MANIFEST_FILE, Manifest, MemberManifest, TrainingSummary, ValidationSummary,
};
use upnext_core::data::items::Coverage;
use upnext_core::experiment::{Experiment, ModelConfig, ModelKind};
use upnext_core::model::Model;

/// Maximum number of epochs in the table; `--json` has all.
const MAX_EPOCHS: usize = 40;
/// Number of most popular items in the output.
const MOST_POPULAR: usize = 10;

/// The document of `--json`.
#[derive(Serialize)]
struct Shape<'a> {
    path: &'a Path,
    kind: ModelKind,
    /// Whether training was finished; `false` in a checkpoint.
    finished: bool,
    /// Whether it has the state from which training can be resumed bit by bit.
    has_training_state: bool,
    format: String,
    format_version: u32,
    upnext_version: String,
    items: usize,
    vocabulary_fingerprint: String,
    /// Number of elements in all tensors, those of members included.
    parameters: u64,
    tensors: Vec<TensorShape>,
    /// The models that it is composed of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<MemberShape>,
    bytes: u64,
    /// All files, the manifest first.
    files: Vec<FileSize>,
    /// The fields of the experiment that differ from their defaults.
    changed: Vec<Changed>,
    experiment: Experiment,
    training: TrainingSummary,
    most_popular: Vec<Popular>,
    /// The table of items, where the model has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    item_table: Option<ItemTableShape>,
}

#[derive(Serialize)]
struct ItemTableShape {
    #[serde(flatten)]
    coverage: Coverage,
    columns: Vec<ColumnShape>,
}

#[derive(Serialize)]
struct TensorShape {
    name: String,
    shape: Vec<usize>,
}

#[derive(Serialize)]
struct MemberShape {
    name: String,
    kind: ModelKind,
    /// Its folder, by which every command reads it alone.
    path: PathBuf,
    bytes: u64,
    /// The fields of its experiment that differ from their defaults.
    changed: Vec<Changed>,
}

#[derive(Serialize)]
struct FileSize {
    name: String,
    bytes: u64,
}

#[derive(Serialize)]
struct Changed {
    key: String,
    value: Value,
    default: Value,
}

#[derive(Serialize)]
struct Popular {
    item_id: String,
    support: u64,
}

/// Whether `path` is a model, possibly a damaged one, or a member of one.
pub(super) fn is_model(path: &Path) -> bool {
    path.join(MANIFEST_FILE).exists() || Manifest::load(path).is_ok()
}

/// Describes a model. All of its files are read, so that damage is detected.
pub(super) fn run(path: &Path, output: OutputArgs) -> anyhow::Result<()> {
    let artifact = Artifact::load(path)?;
    let has_training_state = artifact.training.is_some();
    let manifest = artifact.manifest.clone();
    let (tensors, parameters) = (tensors_of(&artifact), parameters_of(&artifact));
    // Building the model checks that the weights fit its configuration.
    let model = Model::from_artifact(artifact)
        .with_context(|| format!("{}: its weights are not those of its configuration", path.display()))?;
    let items = model.items();
    let popular = |&item: &u32| Popular { item_id: items.id(item).to_owned(), support: items.support(item) };
    let own = std::fs::metadata(path.join(MANIFEST_FILE)).ok();
    let own = own.map(|file| FileSize { name: MANIFEST_FILE.to_owned(), bytes: file.len() });
    let files: Vec<FileSize> = own.into_iter().chain(files_of(&manifest)).collect();
    let shape = Shape {
        path,
        kind: model.experiment().model.kind(),
        finished: model.training().finished,
        has_training_state,
        format: manifest.format,
        format_version: manifest.format_version,
        upnext_version: manifest.upnext_version,
        items: items.len(),
        vocabulary_fingerprint: manifest.vocabulary_fingerprint,
        parameters,
        tensors,
        members: manifest
            .members
            .iter()
            .map(|member| of_member(path, member))
            .collect::<anyhow::Result<_>>()?,
        bytes: files.iter().map(|file| file.bytes).sum(),
        files,
        changed: changed(model.experiment())?,
        most_popular: items.by_support().iter().take(MOST_POPULAR).map(popular).collect(),
        item_table: model
            .item_table()
            .map(|table| ItemTableShape { coverage: table.coverage(items), columns: ColumnShape::of(table) }),
        experiment: model.experiment().clone(),
        training: model.training().clone(),
    };
    output.print(&shape, describe)
}

fn tensors_of(artifact: &Artifact) -> Vec<TensorShape> {
    let weights = artifact
        .weights
        .iter()
        .map(|(name, tensor)| TensorShape { name: name.clone(), shape: tensor.shape.clone() });
    let counts = artifact
        .counts
        .iter()
        .map(|(name, counts)| TensorShape { name: name.clone(), shape: vec![counts.len()] });
    weights.chain(counts).collect()
}

fn parameters_of(artifact: &Artifact) -> u64 {
    let own: u64 =
        tensors_of(artifact).iter().map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum();
    own + artifact.members.iter().map(|member| parameters_of(&member.artifact)).sum::<u64>()
}

fn of_member(
    path: &Path,
    MemberManifest { name, manifest, .. }: &MemberManifest,
) -> anyhow::Result<MemberShape> {
    Ok(MemberShape {
        name: name.clone(),
        kind: manifest.experiment.model.kind(),
        path: path.join("members").join(name),
        bytes: files_of(manifest).iter().map(|file| file.bytes).sum(),
        changed: changed(&manifest.experiment)?,
    })
}

/// The files listed in a manifest, including those of members.
fn files_of(manifest: &Manifest) -> Vec<FileSize> {
    let own = manifest.files.iter().map(|file| FileSize { name: file.file.clone(), bytes: file.bytes });
    own.chain(manifest.members.iter().flat_map(|member| files_of(&member.manifest))).collect()
}

/// The fields that differ from the defaults of the same kind of model.
fn changed(experiment: &Experiment) -> anyhow::Result<Vec<Changed>> {
    let default =
        Experiment { model: ModelConfig::of_kind(experiment.model.kind()), ..Experiment::default() };
    // Converted as text, since the f32 0.05 would become another number as an f64.
    let values = |experiment: &Experiment| serde_json::from_str::<Value>(&serde_json::to_string(experiment)?);
    let (values, defaults) = (values(&experiment.resolved())?, values(&default.resolved())?);
    let mut changed = Vec::new();
    collect_changed(&mut changed, "", &values, &defaults);
    Ok(changed)
}

fn collect_changed(changed: &mut Vec<Changed>, key: &str, value: &Value, default: &Value) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            collect_changed(changed, &key, value, &default[name]);
        }
    } else if value != default {
        changed.push(Changed { key: key.to_owned(), value: value.clone(), default: default.clone() });
    }
}

/// Formats the description of a model as tables.
fn describe(shape: &Shape) -> String {
    let mut tables = vec![overview(shape)];
    // The table of members says more, in less space.
    let shown = |changed: &&Changed| shape.members.is_empty() || changed.key != "model.members";
    let changed: Vec<&Changed> = shape.changed.iter().filter(shown).collect();
    if !changed.is_empty() {
        let mut table = Table::new(&["configuration, where not the default", "", "default"]);
        for Changed { key, value, default } in changed {
            let default = if default.is_null() { "absent".to_owned() } else { default.to_string() };
            table.row(vec![key.clone(), value.to_string(), default]);
        }
        tables.push(table);
    }
    if !shape.members.is_empty() {
        let mut table = Table::new(&["member", "kind", "bytes", "alone in", "where not the default"]);
        for MemberShape { name, kind, path, bytes, changed } in &shape.members {
            let (kind, path) = (kind.name().to_owned(), printable(&path.display().to_string()));
            let fields = changed.iter().map(|Changed { key, value, .. }| {
                let field = key.split_once('.').map_or(key.as_str(), |(_, field)| field);
                format!("{field} {value}")
            });
            let fields = fields.collect::<Vec<_>>().join(", ");
            table.row(vec![name.clone(), kind, thousands(*bytes), path, fields]);
        }
        tables.push(table);
    }
    if !shape.training.validated_epochs().is_empty() {
        tables.push(epochs(&shape.training));
    }
    if !shape.tensors.is_empty() {
        let mut table = Table::new(&["tensor", "shape"]);
        for TensorShape { name, shape } in &shape.tensors {
            let sizes: Vec<String> = shape.iter().map(|&size| thousands(size as u64)).collect();
            table.row(vec![name.clone(), sizes.join(" × ")]);
        }
        tables.push(table);
    }
    let mut files = Table::new(&["file", "bytes"]);
    for FileSize { name, bytes } in &shape.files {
        files.row(vec![name.clone(), thousands(*bytes)]);
    }
    files.row(vec!["all".into(), thousands(shape.bytes)]);
    let mut popular = Table::new(&["most popular item", "events"]);
    for Popular { item_id, support } in &shape.most_popular {
        popular.row(vec![printable(item_id), thousands(*support)]);
    }
    tables.extend([files, popular]);
    if let Some(ItemTableShape { coverage, columns }) = &shape.item_table {
        let count = |of: usize| thousands(of as u64);
        let mut table = Table::new(&["table of items", ""]);
        let (of, all) = (count(coverage.described_items), count(coverage.items));
        table.row(vec!["items of the model that it has".to_owned(), format!("{of} of {all}")]);
        let (of, all) = (thousands(coverage.described_events), thousands(coverage.events));
        table.row(vec!["their training events".to_owned(), format!("{of} of {all}")]);
        table.row(vec!["items that the model does not have".to_owned(), count(coverage.new_items)]);
        tables.extend([table, describe_columns(columns)]);
    }
    let tables: Vec<String> = tables.iter().map(Table::to_string).collect();
    tables.join("\n")
}

fn overview(shape: &Shape) -> Table {
    let training = &shape.training;
    let state = match (shape.finished, shape.has_training_state) {
        (false, _) => "a checkpoint: training is not finished",
        (true, true) => "finished, with what a further training needs",
        (true, false) => "finished",
    };
    let mut table = Table::new(&["model", shape.kind.name()]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_owned(), value]);
    row("state", state.to_owned());
    row("items", thousands(shape.items as u64));
    row("parameters", thousands(shape.parameters));
    row("trained on events", thousands(training.events));
    row("trained on sessions", thousands(training.sessions));
    if training.pairs_left_out > 0 {
        row("pairs of an epoch without negatives", thousands(training.pairs_left_out));
    }
    if let Some(selection) = &training.selection {
        let (best, all) = (selection.best_epoch, selection.epochs.len());
        row(
            "epochs",
            format!("{} on all of the data; validation chose {best} of {all}", training.epochs.len()),
        );
    } else if !training.epochs.is_empty() {
        row("epochs", training.epochs.len().to_string());
    }
    if let Some(best) = training.best_epoch {
        row("best epoch", best.to_string());
    }
    if !training.instruction_set.is_empty() {
        row("instruction set of the training", training.instruction_set.clone());
    }
    if let Some(created) = &training.created {
        row("saved", created.clone());
    }
    row("written by", format!("upnext {}", shape.upnext_version));
    row("format", format!("{} {}", shape.format, shape.format_version));
    if shape.changed.is_empty() {
        row("configuration", "the default".to_owned());
    }
    table
}

/// A table of the last epochs, of those that were validated if any were. The one that validation chose has a star.
fn epochs(training: &TrainingSummary) -> Table {
    let all = training.validated_epochs();
    let best = training.selection.as_ref().map_or(training.best_epoch, |chosen| Some(chosen.best_epoch));
    let shown = &all[all.len().saturating_sub(MAX_EPOCHS)..];
    let validation = shown.iter().find_map(|epoch| epoch.validation);
    let mut headings: Vec<String> =
        ["epoch", "loss", "seconds", "mini-batches", "pairs"].map(str::to_owned).to_vec();
    if let Some(ValidationSummary { cutoff, .. }) = validation {
        headings.extend([format!("recall@{cutoff}"), format!("MRR@{cutoff}")]);
    }
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut table = Table::new(&headings);
    for epoch in shown {
        let star = if best == Some(epoch.epoch) { "*" } else { "" };
        let mut row = vec![
            format!("{}{star}", epoch.epoch),
            format!("{:.5}", epoch.loss),
            format!("{:.1}", epoch.seconds),
            thousands(epoch.mini_batches),
            thousands(epoch.pairs),
        ];
        if let Some(ValidationSummary { recall, mrr, .. }) = epoch.validation {
            row.extend([format!("{recall:.4}"), format!("{mrr:.4}")]);
        }
        table.row(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use upnext_core::artifact::EpochSummary;

    #[test]
    fn only_changed_fields_are_shown_as_they_were_written() {
        let mut experiment = Experiment::default();
        assert!(changed(&experiment).unwrap().is_empty());
        for assignment in ["training.learning_rate=0.05", "model.layers=7,9"] {
            experiment.set(assignment).unwrap();
        }
        let shown: Vec<String> = changed(&experiment)
            .unwrap()
            .iter()
            .map(|c| format!("{} {} {}", c.key, c.value, c.default))
            .collect();
        assert_eq!(shown, ["model.layers [7,9] [100]", "training.learning_rate 0.05 0.1"]);
        experiment.model = ModelConfig::of_kind(ModelKind::Pop);
        assert!(changed(&experiment).unwrap().is_empty());
    }

    #[test]
    fn of_many_epochs_the_last_are_shown() {
        let epoch = |epoch| {
            let mut summary = EpochSummary::default();
            summary.epoch = epoch;
            summary
        };
        let training = TrainingSummary {
            epochs: (1..=100).map(epoch).collect(),
            best_epoch: Some(99),
            ..TrainingSummary::default()
        };
        let text = epochs(&training).to_string();
        assert_eq!(text.lines().count(), 1 + MAX_EPOCHS);
        assert!(text.contains("\n61 ") && text.contains("\n99* ") && !text.contains("\n60 "), "{text}");
    }
}

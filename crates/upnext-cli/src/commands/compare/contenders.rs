//! The models to compare: model kinds, experiment files, and saved models.

use super::CompareArgs;
use super::data::has_validation;
use crate::commands::evaluate::shown_ties;
use crate::embedded;
use crate::next_clicks::Unknown;
use crate::output::shell_word;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use upnext_core::artifact::Manifest;
use upnext_core::experiment::{EvaluationConfig, Experiment, ModelConfig, ModelKind, published_text};
use upnext_core::{Error, Result};

/// A model to compare.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    /// Its unique name in tables: the kind, or the name of the file or folder, with as many of the folders that hold it
    /// as distinguish it from the others.
    pub(super) name: String,
    /// Its experiment, with the evaluation settings of the comparison.
    pub(super) experiment: Experiment,
    pub(super) source: Source,
    /// Whether validation chooses the number of epochs, after which the model is trained again on everything.
    pub(super) is_validated: bool,
}

/// The source of a model.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A model kind with its defaults.
    Kind,
    /// An experiment file.
    File(PathBuf),
    /// The folder of a saved model.
    Saved(PathBuf),
}

impl Source {
    /// The folder of a saved model.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Saved(folder) => Some(folder),
            Self::Kind | Self::File(_) => None,
        }
    }
}

impl Contender {
    /// The name as that of a folder.
    pub(super) fn folder_name(&self) -> String {
        self.name.replace('/', "-")
    }

    /// The commands that compute the same figures; none in a call by another program, whose data may be in no file.
    pub(super) fn commands(&self, args: &CompareArgs, fields: &[String]) -> Vec<String> {
        if embedded::is_embedded() {
            return Vec::new();
        }
        let word = |path: &Path| shell_word(&path.display().to_string());
        let train = match &self.source {
            Source::Saved(_) => None,
            Source::Kind => Some(format!("--model {}", self.experiment.model.kind())),
            Source::File(file) => Some(format!("--config {}", word(file))),
        };
        let model = match &self.source {
            Source::Saved(folder) => word(folder),
            _ => shell_word(&self.folder_name()),
        };
        let mut commands = Vec::new();
        if let Some(config) = train {
            let mut command = format!("upnext train {} --out {model} {config}", word(&args.train));
            for field in fields.iter().filter(|field| self.uses(field)) {
                command.push_str(&format!(" --set {}", shell_word(field)));
            }
            let reads = |field| self.experiment.model.kind().reads_training(field);
            for (option, value) in [
                ("--epochs", args.epochs.filter(|_| reads("epochs")).map(|n| n.to_string())),
                ("--seed", args.seed.filter(|_| reads("seed")).map(|n| n.to_string())),
            ] {
                command.extend(value.map(|value| format!(" {option} {value}")));
            }
            if let Some(table) = &args.item_table.file {
                command.push_str(&format!(" --item-table {}", word(table)));
            }
            if self.is_validated {
                command.push_str(" --validate");
            }
            commands.push(command);
        }
        let EvaluationConfig { cutoffs, ties, candidates, .. } = &self.experiment.evaluation;
        let cutoffs: Vec<String> = cutoffs.iter().map(ToString::to_string).collect();
        let mut command = format!(
            "upnext evaluate {model} {} -k {} --ties {} --lists",
            word(args.test()),
            cutoffs.join(","),
            shown_ties(*ties)
        );
        command.extend(candidates.map(|m| format!(" --candidates {m}")));
        command.push_str(match args.cases.unknown {
            Unknown::LeaveOut => "",
            Unknown::Miss => " --unknown miss",
            Unknown::Rank => " --unknown rank",
        });
        commands.push(command);
        commands
    }

    /// Whether the model is trained here and has or reads the field of a `--set FIELD=…`.
    fn has(&self, assignment: &str) -> bool {
        let (key, kind) = (key_of(assignment), self.experiment.model.kind());
        match key.strip_prefix("model.") {
            _ if matches!(self.source, Source::Saved(_)) => false,
            Some(field) => kind.has_field(field),
            None => kind.check_reads(key).is_ok(),
        }
    }

    /// Whether the field of a `--set FIELD=…` has an effect on the model.
    fn uses(&self, assignment: &str) -> bool {
        self.has(assignment) && self.experiment.applies(key_of(assignment))
    }

    fn change(
        &mut self,
        args: &CompareArgs,
        evaluation: &EvaluationConfig,
        has_validation: bool,
    ) -> Result<()> {
        if !matches!(self.source, Source::Saved(_)) {
            for field in &args.fields {
                if self.has(field) {
                    self.experiment.set(field)?;
                }
            }
            let kind = self.experiment.model.kind();
            let training = &mut self.experiment.training;
            if kind.reads_training("epochs") {
                training.epochs = args.epochs.unwrap_or(training.epochs);
            }
            if kind.reads_training("seed") {
                training.seed = args.seed.unwrap_or(training.seed);
            }
        }
        self.experiment.evaluation = evaluation.clone();
        let (training, is_trained) = (&self.experiment.training, !matches!(self.source, Source::Saved(_)));
        let validates_itself = self.experiment.model.kind().validates_itself();
        if training.patience > 0 && is_trained && !has_validation && !validates_itself {
            let reason = if args.windows.is_some() {
                format!(
                    "{}: early stopping needs a validation part, which a window does not have: add --set training.patience=0",
                    self.name
                )
            } else {
                format!(
                    "{}: early stopping needs a validation part, which {} does not have: add --set training.patience=0, or prepare the log with one",
                    self.name,
                    args.train.display()
                )
            };
            return Err(Error::config("training.patience", reason));
        }
        // A kind has no published number of epochs: validation gives each log its own.
        let is_open = matches!(self.source, Source::Kind)
            && args.epochs.is_none()
            && !args.fields.iter().any(|field| key_of(field) == "training.epochs")
            && self.experiment.model.network().is_some();
        self.is_validated =
            is_trained && has_validation && !validates_itself && (is_open || training.patience > 0);
        self.experiment.validate()
    }
}

/// The models named by the arguments, checked as far as possible without the data.
pub(super) fn contenders(args: &CompareArgs, evaluation: &EvaluationConfig) -> Result<Vec<Contender>> {
    for field in &args.fields {
        let key = key_of(field);
        if key == "model.kind" || key.starts_with("evaluation.") {
            let reason = "is not for `--set` here: --models names kinds, and -k, --ties and --candidates say how all are judged";
            return Err(Error::config(key, reason));
        }
    }
    let mut found = Vec::new();
    if args.models.is_empty() {
        // A blend would train the others once more.
        let has_table = args.item_table.file.is_some();
        let usual = |kind: &ModelKind| *kind != ModelKind::Blend && (has_table || !kind.needs_item_table());
        found.extend(ModelKind::ALL.into_iter().filter(usual).map(of_kind));
    }
    for word in &args.models {
        found.push(contender(word)?);
    }
    // A window has no validation part.
    let has_validation = args.windows.is_none() && has_validation(&args.train);
    for contender in &mut found {
        contender.change(args, evaluation, has_validation)?;
    }
    for field in &args.fields {
        // A field that none of the models uses is an error, as a misspelt one is.
        if !found.iter().any(|contender| contender.uses(field)) {
            Experiment::default().set(field)?;
            return Err(Error::config(
                key_of(field),
                "has an effect on none of the models that are trained here: leave it out",
            ));
        }
    }
    let reads_epochs = |contender: &Contender| contender.has("training.epochs");
    if args.epochs.is_some() && !found.iter().any(reads_epochs) {
        let reason =
            "sets training.epochs, which none of the models that are trained here reads: leave it out";
        return Err(Error::config("--epochs", reason));
    }
    let paths: Vec<_> = found.iter().map(|contender| path_of(&contender.source)).collect();
    let names = distinct(found.iter().map(|contender| contender.name.clone()).collect(), &paths);
    for (contender, name) in found.iter_mut().zip(names) {
        contender.name = name;
    }
    Ok(found)
}

/// The key of a `KEY=VALUE`.
fn key_of(assignment: &str) -> &str {
    assignment.split('=').next().unwrap_or_default().trim()
}

/// The names of the folders that hold a file or a saved model, the innermost first.
fn path_of(source: &Source) -> Vec<String> {
    let (Source::File(path) | Source::Saved(path)) = source else { return Vec::new() };
    let path = path.canonicalize().unwrap_or_else(|_| path.clone());
    let folders = path.ancestors().skip(1).filter_map(Path::file_name);
    folders.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Makes names unique: equal ones are preceded by the folders that hold them, as far as needed, and numbered where that
/// does not help. `holders` has the folders of each name, the innermost first.
fn distinct(mut names: Vec<String>, holders: &[Vec<String>]) -> Vec<String> {
    let mut depths = vec![0; names.len()];
    loop {
        let is_longer = |i: usize| depths[i] < holders[i].len();
        let is_shared = |i: usize| (0..names.len()).any(|other| other != i && names[other] == names[i]);
        let longer: Vec<usize> = (0..names.len()).filter(|&i| is_shared(i) && is_longer(i)).collect();
        if longer.is_empty() {
            break;
        }
        for i in longer {
            names[i] = format!("{}/{}", holders[i][depths[i]], names[i]);
            depths[i] += 1;
        }
    }
    let mut taken = HashSet::new();
    for name in &mut names {
        let base = name.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            *name = format!("{base}-{number}");
        }
    }
    names
}

fn of_kind(kind: ModelKind) -> Contender {
    let experiment = Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
    Contender { name: kind.name().to_owned(), experiment, source: Source::Kind, is_validated: false }
}

fn contender(word: &str) -> Result<Contender> {
    if let Some(kind) = ModelKind::ALL.into_iter().find(|kind| kind.name() == word) {
        return Ok(of_kind(kind));
    }
    let path = PathBuf::from(word);
    let name = |name: Option<&std::ffi::OsStr>| {
        name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    // A member of a saved model may have no folder, where it has no file.
    let saved = Manifest::load(&path);
    if path.is_dir() || saved.is_ok() {
        let manifest = saved?;
        let resolved = path.canonicalize().unwrap_or_else(|_| path.clone());
        let name = name(resolved.file_name());
        return Ok(Contender {
            name,
            experiment: manifest.experiment,
            source: Source::Saved(path),
            is_validated: false,
        });
    }
    if path.extension().is_some_and(|extension| extension == "toml") || published_text(word).is_some() {
        let (name, experiment) = (name(path.file_stem()), crate::experiment::load(&path)?);
        return Ok(Contender { name, experiment, source: Source::File(path), is_validated: false });
    }
    match word.parse::<ModelKind>() {
        Err(Error::Config { reason, .. }) => Err(Error::config(
            "--models",
            format!("{reason}; or name an experiment file (.toml) or the folder of a saved model"),
        )),
        other => other.map(of_kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_one_name_are_named_with_the_folders_that_distinguish_them() {
        let holders = |path: &str| -> Vec<String> {
            path.split('/').rev().skip(1).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let named = |paths: &[&str]| {
            let names = paths.iter().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect();
            distinct(names, &paths.iter().map(|path| holders(path)).collect::<Vec<_>>())
        };
        assert_eq!(named(&["/a/model", "/b/model", "/b/other"]), ["a/model", "b/model", "other"]);
        assert_eq!(named(&["/x/a/model", "/y/a/model"]), ["x/a/model", "y/a/model"]);
        assert_eq!(named(&["/x/a/model", "/y/b/model", "/z/b/model"]), ["a/model", "y/b/model", "z/b/model"]);
        // A kind has no folder.
        assert_eq!(named(&["pop", "/runs/pop"]), ["pop", "runs/pop"]);
        assert_eq!(named(&["pop", "pop"]), ["pop", "pop-2"]);
        // The same folder twice: nothing distinguishes them.
        assert_eq!(named(&["/a/m", "/a/m"]), ["a/m", "a/m-2"]);
    }
}

//! The models to compare: model kinds, experiment files, and saved models.

use super::CompareArgs;
use crate::commands::evaluate::shown_ties;
use crate::output::shell_word;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use upnext_core::artifact::Manifest;
use upnext_core::experiment::{EvaluationConfig, Experiment, ModelConfig, ModelKind, published_text};
use upnext_core::{Error, Result};

/// A model to compare.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    /// Its unique name in tables: the kind, or the name of the file or folder.
    pub(super) name: String,
    /// Its experiment, with the evaluation settings of the comparison.
    pub(super) experiment: Experiment,
    pub(super) source: Source,
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
    /// The commands that compute the same figures.
    pub(super) fn commands(&self, args: &CompareArgs, fields: &[String]) -> Vec<String> {
        let word = |path: &Path| shell_word(&path.display().to_string());
        let train = match &self.source {
            Source::Saved(_) => None,
            Source::Kind => Some(format!("--model {}", self.experiment.model.kind())),
            Source::File(file) => Some(format!("--config {}", word(file))),
        };
        let model = match &self.source {
            Source::Saved(folder) => word(folder),
            _ => shell_word(&self.name),
        };
        let mut commands = Vec::new();
        if let Some(config) = train {
            let mut command = format!("upnext train {} --out {model} {config}", word(&args.train));
            for field in fields.iter().filter(|field| self.has(field)) {
                command.push_str(&format!(" --set {}", shell_word(field)));
            }
            for (option, value) in [
                ("--epochs", args.epochs.map(|n| n.to_string())),
                ("--seed", args.seed.map(|n| n.to_string())),
            ] {
                command.extend(value.map(|value| format!(" {option} {value}")));
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
        commands.push(command);
        commands
    }

    /// Whether the model has the field of a `--set FIELD=…`.
    fn has(&self, assignment: &str) -> bool {
        let key = assignment.split('=').next().unwrap_or_default().trim();
        match key.strip_prefix("model.") {
            _ if matches!(self.source, Source::Saved(_)) => false,
            Some(field) => self.experiment.model.kind().has_field(field),
            None => true,
        }
    }

    fn change(&mut self, args: &CompareArgs, evaluation: &EvaluationConfig) -> Result<()> {
        if !matches!(self.source, Source::Saved(_)) {
            for field in &args.fields {
                if self.has(field) {
                    self.experiment.set(field)?;
                }
            }
            let training = &mut self.experiment.training;
            training.epochs = args.epochs.unwrap_or(training.epochs);
            training.seed = args.seed.unwrap_or(training.seed);
        }
        self.experiment.evaluation = evaluation.clone();
        if self.experiment.training.patience > 0 && !matches!(self.source, Source::Saved(_)) {
            let reason = format!(
                "{}: early stopping needs a validation part, which `compare` does not take: add --set training.patience=0, or train the model by `upnext train` and name its folder",
                self.name
            );
            return Err(Error::config("training.patience", reason));
        }
        self.experiment.validate()
    }
}

/// The models named by the arguments, checked as far as possible without the data.
pub(super) fn contenders(args: &CompareArgs, evaluation: &EvaluationConfig) -> Result<Vec<Contender>> {
    for field in &args.fields {
        let key = field.split('=').next().unwrap_or_default().trim();
        if key == "model.kind" || key.starts_with("evaluation.") {
            let reason = "is not for `--set` here: --models names kinds, and -k, --ties and --candidates say how all are judged";
            return Err(Error::config(key, reason));
        }
    }
    let mut found = Vec::new();
    if args.models.is_empty() {
        found.extend(ModelKind::ALL.map(of_kind));
    }
    for word in &args.models {
        found.push(contender(word)?);
    }
    for contender in &mut found {
        contender.change(args, evaluation)?;
    }
    for field in &args.fields {
        // A field that none of the models has is an error, as a misspelt one is.
        if !found.iter().any(|contender| contender.has(field)) {
            Experiment::default().set(field)?;
            let key = field.split('=').next().unwrap_or_default();
            return Err(Error::config(
                key,
                "none of the models that are compared has this field: leave it out",
            ));
        }
    }
    let mut taken = HashSet::new();
    for contender in &mut found {
        let base = contender.name.clone();
        let mut number = 1;
        while !taken.insert(contender.name.clone()) {
            number += 1;
            contender.name = format!("{base}-{number}");
        }
    }
    Ok(found)
}

fn of_kind(kind: ModelKind) -> Contender {
    let experiment = Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
    Contender { name: kind.name().to_owned(), experiment, source: Source::Kind }
}

fn contender(word: &str) -> Result<Contender> {
    if let Some(kind) = ModelKind::ALL.into_iter().find(|kind| kind.name() == word) {
        return Ok(of_kind(kind));
    }
    let path = PathBuf::from(word);
    let name = |name: Option<&std::ffi::OsStr>| {
        name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    if path.is_dir() {
        let manifest = Manifest::load(&path)?;
        let resolved = path.canonicalize().unwrap_or_else(|_| path.clone());
        let name = name(resolved.file_name());
        return Ok(Contender { name, experiment: manifest.experiment, source: Source::Saved(path) });
    }
    if path.extension().is_some_and(|extension| extension == "toml") || published_text(word).is_some() {
        let (name, experiment) = (name(path.file_stem()), crate::experiment::load(&path)?);
        return Ok(Contender { name, experiment, source: Source::File(path) });
    }
    match word.parse::<ModelKind>() {
        Err(Error::Config { reason, .. }) => Err(Error::config(
            "--models",
            format!("{reason}; or name an experiment file (.toml) or the folder of a saved model"),
        )),
        other => other.map(of_kind),
    }
}

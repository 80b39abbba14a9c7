//! The arguments that define an experiment: a file, single fields, and shortcuts for the most common ones.

use crate::numbers::{one_or_more, seed};
use std::path::{Path, PathBuf};
use upnext_core::Result;
use upnext_core::experiment::{Experiment, ModelConfig, ModelKind, nearest, published_names};

/// The model and its training. Later arguments override earlier ones: file, `--model`, `--set`, short cuts.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Model and training")]
pub(crate) struct ExperimentArgs {
    /// Kind of model [default: that of the file, or gru4rec]
    #[arg(long, value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(ModelKind::ALL.map(ModelKind::name)))]
    model: Option<String>,

    /// Number of epochs (training.epochs)
    #[arg(long, value_name = "N", value_parser = one_or_more::<usize>)]
    epochs: Option<usize>,

    /// Seed of all random numbers [default: 42]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,

    /// Experiment file (TOML), or the name of a published setting, such as rsc15-top1-100 [default: rsc15-xe-100]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Set a field of the experiment, as in training.learning_rate=0.05; may be repeated. `upnext train --show-config`
    /// lists the fields
    #[arg(long = "set", value_name = "KEY=VALUE")]
    fields: Vec<String>,
}

impl ExperimentArgs {
    /// The validated experiment. `otherwise` is the starting point if no file is given.
    ///
    /// # Errors
    /// [`upnext_core::Error::Config`] for an argument that sets a field without effect, besides those of the library.
    pub(crate) fn experiment(&self, otherwise: Experiment) -> Result<Experiment> {
        let experiment = self.with_any_seed(otherwise)?;
        if self.seed.is_some() {
            check_reads(&experiment, "training.seed", "--seed")?;
        }
        Ok(experiment)
    }

    /// As [`experiment`](Self::experiment), for a command that draws random numbers by itself: the seed is accepted for
    /// every kind of model.
    pub(crate) fn with_any_seed(&self, otherwise: Experiment) -> Result<Experiment> {
        let mut experiment = match &self.config {
            Some(file) => load(file)?,
            None => otherwise,
        };
        if let Some(kind) = &self.model {
            let kind: ModelKind = kind.parse()?;
            if kind != experiment.model.kind() {
                if let Some(file) = &self.config {
                    let reason = format!(
                        "{} is for a model of kind \"{}\", whose settings mean nothing to \"{kind}\": leave out one of the two",
                        file.display(),
                        experiment.model.kind()
                    );
                    return Err(upnext_core::Error::config("--model", reason));
                }
                experiment.model = ModelConfig::of_kind(kind);
            }
        }
        experiment.set_all(&self.fields)?;
        if let Some(epochs) = self.epochs {
            check_reads(&experiment, "training.epochs", "--epochs")?;
            experiment.training.epochs = epochs;
        }
        if let Some(seed) = self.seed {
            experiment.training.seed = seed;
        }
        experiment.validate()?;
        Ok(experiment)
    }
}

/// Checks that the experiment's kind of model reads the field that an option sets.
fn check_reads(experiment: &Experiment, key: &str, option: &str) -> Result<()> {
    experiment.model.kind().check_reads(key).map_err(|error| match error {
        upnext_core::Error::Config { field, reason } => {
            upnext_core::Error::config(option, format!("sets {field}, and {reason}"))
        }
        other => other,
    })
}

/// Reads an experiment file, or if there is no such file the published setting of that name.
pub(crate) fn load(file: &Path) -> Result<Experiment> {
    let name = file.to_str().filter(|_| !file.exists());
    if let Some(published) = name.map(Experiment::published).transpose()?.flatten() {
        return Ok(published);
    }
    match name.filter(|name| !name.contains(['/', '\\']) && !name.ends_with(".toml")) {
        Some(name) => Err(no_such_setting(name)),
        None => Experiment::load(file),
    }
}

/// There is neither a file nor a published setting of this name.
fn no_such_setting(name: &str) -> upnext_core::Error {
    let names: Vec<&str> = published_names().collect();
    let nearest = nearest(name, names.iter().copied());
    let nearest = nearest.map(|nearest| format!("did you mean `{nearest}`? ")).unwrap_or_default();
    let reason =
        format!("there is no file `{name}`: {nearest}The published settings are {}", names.join(", "));
    upnext_core::Error::config("--config", reason)
}

/// The argument for the number of threads.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct ThreadArgs {
    /// Number of threads; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = one_or_more::<usize>)]
    threads: Option<usize>,
}

impl ThreadArgs {
    /// The given number of threads, if any.
    pub(crate) fn given(self) -> Option<usize> {
        self.threads
    }

    /// The number of threads, by default the number of cores.
    pub(crate) fn threads(self) -> Result<usize> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match self.threads {
            None => Ok(cores),
            Some(threads) if threads > cores => Err(upnext_core::Error::config(
                "--threads",
                format!(
                    "is {threads}, more than this machine's {cores} cores, which would only be slower: use {cores} or less"
                ),
            )),
            Some(threads) => Ok(threads),
        }
    }
}

//! A saved model: a folder of one form for every model, written as a whole or not at all (`docs/artifact.md`).
//!
//! ```
//! use upnext_core::artifact::{Artifact, TrainingSummary};
//! use upnext_core::data::ItemVocabulary;
//! use upnext_core::experiment::{Experiment, ModelConfig, ModelKind};
//!
//! # let place = tempfile::tempdir().unwrap();
//! # let folder = place.path().join("popular");
//! let experiment = Experiment { model: ModelConfig::of_kind(ModelKind::Pop), ..Experiment::default() };
//! let mut items = ItemVocabulary::new();
//! items.add("red shoes", 17);
//! Artifact::check_target(&folder)?;
//! Artifact::new(experiment, items, TrainingSummary::default()).save(&folder)?;
//! assert_eq!(Artifact::load(&folder)?.items.index_of("red shoes"), Some(0));
//! # Ok::<(), upnext_core::Error>(())
//! ```

mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod items;
mod manifest;
mod target;
mod tensors;
#[cfg(test)]
mod tests;

pub use crate::history::{EpochSummary, TrainingSummary, ValidationSummary};
pub use manifest::{FileEntry, Manifest};

pub use crate::arrays::TrainingState;
use crate::arrays::{Arrays, Tensor};
use crate::data::ItemVocabulary;
use crate::experiment::Experiment;
use crate::replace::{Steps, read_one_version};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The manifest's file.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The vocabulary's file.
pub const ITEMS_FILE: &str = "items.parquet";
/// The weights' file, absent in models without weights.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// The file of what training needs to go on, absent in models that only count or that were saved without it.
pub const TRAINING_FILE: &str = "training.safetensors";

/// A model as it is saved: any kind of model, with or without what training needs to go on.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What the model is, and how it was trained.
    pub manifest: Manifest,
    /// The items that it knows.
    pub items: ItemVocabulary,
    /// Its parameters by name; empty for models that follow from the items' support alone.
    pub weights: BTreeMap<String, Tensor>,
    /// Its whole numbers by name, such as counts and indices; a name stands in only one of the two maps.
    pub counts: BTreeMap<String, Vec<u64>>,
    /// What training needs to go on.
    pub training: Option<TrainingState>,
}

impl Artifact {
    /// A model without weights and without training state; both are fields to set.
    pub fn new(experiment: Experiment, items: ItemVocabulary, training: TrainingSummary) -> Self {
        let manifest = Manifest::new(experiment, &items, training);
        Self { manifest, items, weights: BTreeMap::new(), counts: BTreeMap::new(), training: None }
    }

    /// The same with these weights and counts.
    pub fn with_arrays(self, arrays: Arrays) -> Self {
        Self { weights: arrays.tensors, counts: arrays.counts, ..self }
    }

    /// The same without its weights and counts, and these apart.
    pub(crate) fn take_arrays(mut self) -> (Self, Arrays) {
        let arrays =
            Arrays { tensors: std::mem::take(&mut self.weights), counts: std::mem::take(&mut self.counts) };
        (self, arrays)
    }

    /// Whether [`save`](Self::save) may write at `dir`: nothing is there, or an empty folder, or a model; and the folder
    /// above exists and can be written. To be asked before hours of work.
    ///
    /// # Errors
    /// [`Error::WillNotReplace`] for anything else at `dir`, [`Error::Io`] for a folder above that is missing or read-only.
    pub fn check_target(dir: impl AsRef<Path>) -> Result<()> {
        target::of(dir.as_ref())?.check()
    }

    /// Writes the model into the folder `dir`, in place of a model that is there.
    ///
    /// Whatever happens, a crash included, `dir` holds the old model or the new one and never a mixture.
    /// The manifest's counts, fingerprint, files and version are written from what is saved.
    ///
    /// # Errors
    /// As [`check_target`](Self::check_target); [`Error::Io`], such as a full disk; [`Error::Weights`] for a tensor whose
    /// shape and number of values differ; [`Error::Config`] for a number in the manifest that is not finite.
    /// Nothing at `dir` has changed then.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_by(dir.as_ref(), &mut Steps::default())
    }

    /// Removes the model in the folder `dir`, where there is one, in one step: no crash leaves a part of it there.
    ///
    /// # Errors
    /// [`Error::WillNotReplace`] for anything but a model at `dir`, [`Error::Io`] where the system refuses.
    pub fn remove(dir: impl AsRef<Path>) -> Result<()> {
        target::of(dir.as_ref())?.remove()
    }

    fn save_by(&self, dir: &Path, steps: &mut Steps<'_>) -> Result<()> {
        let weights = tensors::Plan::new(&self.weights, &self.counts)?;
        let training =
            self.training.as_ref().map(|t| tensors::Plan::new(&t.tensors, &t.counts)).transpose()?;
        let training_position = self.training.as_ref().map(|t| t.position.clone());
        let mut manifest = Manifest { training_position, ..self.manifest.clone() };
        manifest.describe(&self.items);
        manifest.files.clear();
        manifest.to_json()?;

        target::of(dir)?.replace(steps, |folder| {
            let mut write = |name: &str, content: &mut files::Content<'_>| {
                let entry = files::write(folder, dir, name, content)?;
                manifest.files.push(entry);
                Ok::<_, Error>(())
            };
            write(ITEMS_FILE, &mut |out| items::write(&self.items, out))?;
            if !(self.weights.is_empty() && self.counts.is_empty()) {
                write(WEIGHTS_FILE, &mut |out| weights.write(out))?;
            }
            if let Some(training) = &training {
                write(TRAINING_FILE, &mut |out| training.write(out))?;
            }
            let text = manifest.to_json()?;
            files::write(folder, dir, MANIFEST_FILE, &mut |out| out.write_all(&text)).map(|_| ())
        })
    }

    /// Reads a model with its training state, where it has one.
    ///
    /// # Errors
    /// [`Error::NotAModel`], [`Error::ManifestFile`], [`Error::NewerFormat`], [`Error::DamagedModel`] and [`Error::Io`],
    /// each with the file and what to do.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        Self::load_parts(dir.as_ref(), true)
    }

    /// Reads what is needed to evaluate, recommend and serve: `training` is `None`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_without_training(dir: impl AsRef<Path>) -> Result<Self> {
        Self::load_parts(dir.as_ref(), false)
    }

    fn load_parts(dir: &Path, with_training: bool) -> Result<Self> {
        read_one_version(dir, MANIFEST_FILE, |folder| {
            Self::read(folder, &manifest::read(folder)?, with_training)
        })
    }

    fn read(dir: &Path, text: &[u8], with_training: bool) -> Result<Self> {
        let mut manifest = Manifest::parse(text, &dir.join(MANIFEST_FILE))?;
        let position = manifest.training_position.take();
        let entry = |name| manifest.file(name, dir);
        let damaged = |name: &str, reason: String| Error::DamagedModel { path: dir.join(name), reason };

        let Some(items) = entry(ITEMS_FILE)? else {
            return Err(damaged(MANIFEST_FILE, format!("its `files` lack {ITEMS_FILE}")));
        };
        let bytes = files::read(dir, items, files::bytes)?;
        let items = items::read(bytes).map_err(|problem| problem.at(&dir.join(ITEMS_FILE)))?;
        if items.len() as u64 != manifest.items {
            let reason = format!("it has {} items, and the manifest says {}", items.len(), manifest.items);
            return Err(damaged(ITEMS_FILE, reason));
        }
        let fingerprint = items.fingerprint();
        if fingerprint != manifest.vocabulary_fingerprint {
            let reason = format!(
                "its ids have the fingerprint {fingerprint}, and the manifest says {}: it is another model's",
                files::quoted(&manifest.vocabulary_fingerprint)
            );
            return Err(damaged(ITEMS_FILE, reason));
        }

        let Arrays { tensors: weights, counts } = match entry(WEIGHTS_FILE)? {
            Some(entry) => files::read(dir, entry, tensors::read)?,
            None => Arrays::default(),
        };
        let training = match (entry(TRAINING_FILE)?, position) {
            (None, None) => None,
            (Some(_), None) => {
                return Err(damaged(MANIFEST_FILE, "it lacks `training_position`".to_owned()));
            }
            (None, Some(_)) => {
                return Err(damaged(MANIFEST_FILE, format!("its `files` lack {TRAINING_FILE}")));
            }
            (Some(_), Some(_)) if !with_training => None,
            (Some(entry), Some(position)) => {
                let Arrays { tensors, counts } = files::read(dir, entry, tensors::read)?;
                Some(TrainingState { tensors, counts, position })
            }
        };
        Ok(Self { manifest, items, weights, counts, training })
    }
}

//! Saved models: a folder with the same layout for every kind, which is replaced as a whole or not at all
//! (`docs/artifact.md`).
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
mod format_1;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod items;
mod manifest;
mod target;
mod tensors;
#[cfg(test)]
mod tests;
mod write;

pub use crate::history::{EpochSummary, TrainingSummary, ValidationSummary};
pub use manifest::{Checksum, FileEntry, Manifest, MemberManifest};

pub use crate::arrays::{Arrays, Tensor, TrainingState};
use crate::data::{ItemTable, ItemVocabulary};
use crate::experiment::Experiment;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The file name of the manifest.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The role of the vocabulary's file.
const ITEMS: &str = "items";
/// The role of the file of the table of items, absent in models without one.
const ATTRIBUTES: &str = "attributes";
/// The role of the file of weights, absent in models without weights.
const WEIGHTS: &str = "weights";
/// The role of the file of the training state, absent in models that have none or were saved without it.
const TRAINING: &str = "training";

/// The saved form of a model of any kind, with or without its training state.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What the model is, and how it was trained.
    pub manifest: Manifest,
    /// Its vocabulary.
    pub items: ItemVocabulary,
    /// Attributes of items; `None` in members, which have that of the model that holds them.
    pub item_table: Option<Arc<ItemTable>>,
    /// Its parameters by name; empty for models that follow from the items' support alone.
    pub weights: BTreeMap<String, Tensor>,
    /// Its arrays of whole numbers by name, such as counts and indices. No name is in both maps.
    pub counts: BTreeMap<String, Vec<u64>>,
    /// Its training state.
    pub training: Option<TrainingState>,
    /// The models that it is composed of, each with a unique name.
    pub members: Vec<Member>,
}

/// A model inside another one.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name, of `a` to `z`, `0` to `9` and `-`.
    pub name: String,
    /// The model, with the same items and support as the enclosing model, which alone saves them.
    pub artifact: Artifact,
}

impl Artifact {
    /// An artifact without weights, training state and members, which can be set as fields.
    pub fn new(experiment: Experiment, items: ItemVocabulary, training: TrainingSummary) -> Self {
        let manifest = Manifest::new(experiment, &items, training);
        let (weights, counts) = (BTreeMap::new(), BTreeMap::new());
        let item_table = None;
        Self { manifest, items, item_table, weights, counts, training: None, members: Vec::new() }
    }

    /// Sets the weights and counts, and the members with theirs, whose experiments are those of the manifest's.
    pub fn with_arrays(self, arrays: Arrays) -> Self {
        let Arrays { tensors: weights, counts, members } = arrays;
        let manifest = &self.manifest;
        let mut experiments = manifest.experiment.members();
        let members = members.into_iter().map(|(name, arrays)| {
            let experiment = experiments.iter_mut().find(|(other, _)| *other == name);
            let experiment = experiment.map(|(_, experiment)| std::mem::take(experiment)).unwrap_or_default();
            let training = manifest.training.member(&name).cloned().unwrap_or_default();
            let artifact = Self::new(experiment, self.items.clone(), training).with_arrays(arrays);
            Member { name, artifact }
        });
        let members = members.collect();
        Self { weights, counts, members, ..self }
    }

    /// Takes the weights and counts out, and the members, whose trainings become part of the model's.
    pub(crate) fn take_arrays(mut self) -> (Self, Arrays) {
        let (mut trainings, mut members) = (Vec::new(), Vec::new());
        for Member { name, artifact } in std::mem::take(&mut self.members) {
            let (artifact, arrays) = artifact.take_arrays();
            trainings.push((name.clone(), artifact.manifest.training));
            members.push((name, arrays));
        }
        self.manifest.training.members = trainings;
        let (tensors, counts) = (std::mem::take(&mut self.weights), std::mem::take(&mut self.counts));
        (self, Arrays { tensors, counts, members })
    }

    /// Whether the folder `dir` holds a model, of any version, even with damaged files. A folder in which the first
    /// save was killed does not.
    pub fn exists(dir: impl AsRef<Path>) -> bool {
        manifest::read_text(dir.as_ref()).is_ok_and(|text| target::is_of_a_model(&text))
    }

    /// Checks that [`save`](Self::save) may write at `dir`: nothing is there, or an empty folder, or a model, or the
    /// rest of a killed save; and the folder, or the one above it, is writable. Call it before hours of work.
    ///
    /// # Errors
    /// [`Error::WillNotReplace`] for anything else at `dir`, [`Error::Io`] for a folder above that is missing or
    /// read-only.
    pub fn check_target(dir: impl AsRef<Path>) -> Result<()> {
        target::check(dir.as_ref())
    }

    /// Writes the model into the folder `dir`, replacing a model that is there.
    ///
    /// Whatever happens, a crash included, `dir` holds the old model or the new one and never a mixture, on every file
    /// system: files are written beside the old ones, and one rename replaces the old manifest by the new one.
    /// The manifest's number of items, fingerprint, files, members and version of upnext are set from what is saved.
    ///
    /// # Errors
    /// As [`check_target`](Self::check_target); [`Error::Io`], such as a full disk; [`Error::Weights`] for a tensor
    /// whose shape and number of values differ; [`Error::Config`] for a number in the manifest that is not finite, and
    /// for members with the same name or with other items. The model at `dir` is unchanged then.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        write::save(self, dir.as_ref(), &mut write::StepHook::default())
    }

    /// Removes the model in the folder `dir`, if there is one. A crash leaves the model, or no model and some files
    /// that the next save or removal deletes.
    ///
    /// # Errors
    /// [`Error::WillNotReplace`] for anything but a model at `dir`, [`Error::Io`] if a file cannot be removed.
    pub fn remove(dir: impl AsRef<Path>) -> Result<()> {
        write::remove(dir.as_ref(), &mut write::StepHook::default())
    }

    /// Reads a model with its training state, if it has one. `dir` may be a member's folder in that of a model that is composed
    /// of others, as in `model/members/vstan`: then it is that member alone, with the items of the model.
    ///
    /// # Errors
    /// [`Error::NotAModel`], [`Error::ManifestFile`], [`Error::NewerFormat`], [`Error::DamagedModel`] and
    /// [`Error::Io`], each with the file and what to do.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        Self::load_parts(dir.as_ref(), true)
    }

    /// Reads a model without its training state, as needed to evaluate, recommend and serve.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_without_training(dir: impl AsRef<Path>) -> Result<Self> {
        Self::load_parts(dir.as_ref(), false)
    }

    fn load_parts(dir: &Path, with_training: bool) -> Result<Self> {
        manifest::load(dir, |root, manifest, member| {
            let items = read_items(root, manifest)?;
            let mut artifact = Self::read(root, member.clone(), items, with_training)?;
            artifact.item_table =
                manifest.file(ATTRIBUTES).map(|entry| read_item_table(root, entry)).transpose()?;
            Ok(artifact)
        })
    }

    /// Reads a model, or a member of one, over these items, without their table.
    fn read(dir: &Path, mut manifest: Manifest, items: ItemVocabulary, with_training: bool) -> Result<Self> {
        let damaged =
            |reason: &str| Error::DamagedModel { path: dir.join(MANIFEST_FILE), reason: reason.to_owned() };
        let Arrays { tensors: weights, counts, .. } = match manifest.file(WEIGHTS) {
            Some(entry) => files::read(dir, entry, tensors::read)?,
            None => Arrays::default(),
        };
        let training = match (manifest.file(TRAINING), &manifest.training_position) {
            (None, None) => None,
            (Some(_), None) => return Err(damaged("it lacks `training_position`")),
            (None, Some(_)) => return Err(damaged("its `files` lack `training`")),
            (Some(_), Some(_)) if !with_training => None,
            (Some(entry), Some(position)) => {
                let Arrays { tensors, counts, .. } = files::read(dir, entry, tensors::read)?;
                Some(TrainingState { tensors, counts, position: position.clone() })
            }
        };
        manifest.training_position = None;
        let members = manifest.members.iter().map(|MemberManifest { name, manifest }| {
            let artifact = Self::read(dir, manifest.clone(), items.clone(), with_training)?;
            Ok(Member { name: name.clone(), artifact })
        });
        let members = members.collect::<Result<_>>()?;
        Ok(Self { manifest, items, item_table: None, weights, counts, training, members })
    }
}

/// Reads the table of items of a model.
fn read_item_table(dir: &Path, entry: &FileEntry) -> Result<Arc<ItemTable>> {
    let bytes = files::read(dir, entry, files::bytes)?;
    ItemTable::from_parquet(bytes, &dir.join(&entry.file)).map(Arc::new)
}

/// Reads the items of a model.
fn read_items(dir: &Path, manifest: &Manifest) -> Result<ItemVocabulary> {
    let damaged = |path: &str, reason: String| Error::DamagedModel { path: dir.join(path), reason };
    let Some(entry) = manifest.file(ITEMS) else {
        return Err(damaged(MANIFEST_FILE, "its `files` lack `items`".to_owned()));
    };
    let bytes = files::read(dir, entry, files::bytes)?;
    let items = items::read(bytes).map_err(|problem| problem.at(&dir.join(&entry.file)))?;
    if items.len() as u64 != manifest.items {
        let reason = format!("it has {} items, and the manifest says {}", items.len(), manifest.items);
        return Err(damaged(&entry.file, reason));
    }
    if !manifest.has_items(&items) {
        let reason = format!(
            "its ids have the fingerprint {}, and the manifest says {}: it is another model's",
            manifest.fingerprint_of(&items),
            files::quoted(&manifest.vocabulary_fingerprint)
        );
        return Err(damaged(&entry.file, reason));
    }
    Ok(items)
}

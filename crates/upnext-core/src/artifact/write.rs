//! Saves a model so that a crash at any moment leaves the old model or the new one.
//!
//! Files are written beside those of the old model, under names with their hash. Then the manifest, which lists the
//! files of the model, is replaced, which is one step on every file system, and files that it does not list are
//! removed. Files that a killed save leaves belong to no model, and are removed by the next save.

use super::files::BUFFER;
use super::manifest::{self, Checksum, FileEntry, Manifest, MemberManifest};
use super::{ATTRIBUTES, Artifact, ITEMS, MANIFEST_FILE, Member, TRAINING, WEIGHTS, items, target, tensors};
use crate::arrays::is_member_name;
use crate::checksum::{self, Hashed};
use crate::data::ItemVocabulary;
use crate::replace::{Unfinished, folder_of, replace_file, sync_folder};
use crate::{Error, Result};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The steps of a save, at each of which tests kill it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The folder exists and is locked.
    Locked,
    /// A file has been created.
    Begun,
    /// A file is written, but has a temporary name.
    Written,
    /// A file has its final name.
    Placed,
    /// All files have their final names and are on disk.
    Synced,
    /// The new manifest has replaced the old one.
    Replaced,
    /// A file of the old model has been removed.
    Removed,
}

/// A hook for tests at each step of a save.
#[derive(Default)]
pub(super) struct StepHook<'a> {
    /// Called at each step; an error that it returns makes the step fail.
    pub(super) at: Option<&'a mut dyn FnMut(Step) -> io::Result<()>>,
}

impl StepHook<'_> {
    pub(super) fn reach(&mut self, step: Step) -> io::Result<()> {
        self.at.as_mut().map_or(Ok(()), |at| at(step))
    }
}

/// An artifact that has been checked for writing.
struct Plan<'a> {
    artifact: &'a Artifact,
    manifest: Manifest,
    weights: Option<tensors::Plan<'a>>,
    training: Option<tensors::Plan<'a>>,
    members: Vec<(&'a str, Plan<'a>)>,
}

impl<'a> Plan<'a> {
    /// Checks an artifact. For a member, `holder` is the vocabulary of the enclosing model.
    fn new(artifact: &'a Artifact, holder: Option<&ItemVocabulary>) -> Result<Self> {
        let Artifact { weights, counts, training, items, members, .. } = artifact;
        let refused = |reason: String| Err(Error::config("members", reason));
        if holder.is_some_and(|h| !h.ids().eq(items.ids()) || h.supports() != items.supports()) {
            return refused(
                "a member must have the items and supports of the model that holds it".to_owned(),
            );
        }
        if holder.is_some() && artifact.item_table.is_some() {
            return refused("a table of items belongs to the model that holds the members".to_owned());
        }
        for (i, Member { name, .. }) in members.iter().enumerate() {
            if !is_member_name(name) {
                return refused(format!("`{}` is no name: use a to z, 0 to 9 and -", name.escape_default()));
            }
            if members[..i].iter().any(|other| other.name == *name) {
                return refused(format!("two have the name `{name}`"));
            }
        }
        let training_position = training.as_ref().map(|t| t.position.clone());
        let mut manifest = Manifest { training_position, ..artifact.manifest.clone() };
        manifest.describe(items);
        (manifest.files, manifest.members) = (Vec::new(), Vec::new());
        // It is in the manifests of the members.
        manifest.training.members = Vec::new();
        manifest.to_json()?;
        let has_weights = !(weights.is_empty() && counts.is_empty());
        // Planned even if nothing is written, as a check.
        let weights = tensors::Plan::new(weights, counts)?;
        Ok(Self {
            artifact,
            manifest,
            weights: has_weights.then_some(weights),
            training: training.as_ref().map(|t| tensors::Plan::new(&t.tensors, &t.counts)).transpose()?,
            members: members
                .iter()
                .map(|member| Ok((member.name.as_str(), Self::new(&member.artifact, Some(items))?)))
                .collect::<Result<_>>()?,
        })
    }
}

/// Writes a model's files below its folder.
struct Writer<'w, 's> {
    dir: &'w Path,
    steps: &'w mut StepHook<'s>,
}

impl Writer<'_, '_> {
    /// Writes all files of a model and of its members, and completes its manifest. `prefix` is empty, or the path of
    /// its folder with `/` at the end.
    fn model(&mut self, plan: Plan, prefix: &str) -> Result<Manifest> {
        let Plan { artifact, mut manifest, weights, training, members } = plan;
        let folder = self.dir.join(prefix);
        if prefix.is_empty() {
            let mut bytes = Vec::new();
            let path = self.dir.join(format!("{ITEMS}.parquet"));
            items::write(&artifact.items, &mut bytes).map_err(Error::io(&path, "write"))?;
            manifest.files.push(self.unless_there(ITEMS, &bytes)?);
            if let Some(table) = &artifact.item_table {
                let mut bytes = Vec::new();
                let path = self.dir.join(format!("{ATTRIBUTES}.parquet"));
                table.to_parquet(&mut bytes).map_err(Error::io(&path, "write"))?;
                manifest.files.push(self.unless_there(ATTRIBUTES, &bytes)?);
            }
        } else {
            fs::create_dir_all(&folder).map_err(Error::io(&folder, "make"))?;
        }
        for (role, tensors) in [(WEIGHTS, weights), (TRAINING, training)] {
            if let Some(tensors) = tensors {
                manifest.files.push(self.file(prefix, role, "safetensors", &mut |out| tensors.write(out))?);
            }
        }
        let has_members = !members.is_empty();
        for (name, member) in members {
            let manifest_of_member = self.model(member, &format!("{prefix}members/{name}/"))?;
            manifest.members.push(MemberManifest { name: name.to_owned(), manifest: manifest_of_member });
        }
        if has_members {
            let members = folder.join("members");
            sync_folder(&members).map_err(Error::io(&members, "write"))?;
        }
        sync_folder(&folder).map_err(Error::io(&folder, "write"))?;
        Ok(manifest)
    }

    /// Writes a Parquet file, unless the same file exists: items do not change between checkpoints.
    fn unless_there(&mut self, role: &str, bytes: &[u8]) -> Result<FileEntry> {
        let hash = blake3::hash(bytes).to_hex().to_string();
        let file = file_name(role, &hash, "parquet");
        if checksum::of_file(&self.dir.join(&file)).is_ok_and(|(_, there)| there == hash) {
            let (name, bytes) = (role.to_owned(), bytes.len() as u64);
            return Ok(FileEntry { name, file, bytes, checksum: Checksum::Blake3(hash) });
        }
        self.file("", role, "parquet", &mut |out| out.write_all(bytes))
    }

    /// Writes a file to disk, under a name with its hash.
    fn file(
        &mut self,
        prefix: &str,
        role: &str,
        extension: &str,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<FileEntry> {
        let folder = self.dir.join(prefix);
        let mut write = || {
            let unfinished = Unfinished::new_in(&folder)?;
            self.steps.reach(Step::Begun)?;
            let mut out = BufWriter::with_capacity(BUFFER, Hashed::new(unfinished.file()));
            content(&mut out)?;
            let (bytes, hash) = out.into_inner().map_err(io::IntoInnerError::into_error)?.sum();
            self.steps.reach(Step::Written)?;
            let name = file_name(role, &hash, extension);
            unfinished.put(&folder.join(&name))?;
            self.steps.reach(Step::Placed)?;
            let file = format!("{prefix}{name}");
            Ok(FileEntry { name: role.to_owned(), file, bytes, checksum: Checksum::Blake3(hash) })
        };
        write().map_err(Error::io(&folder.join(format!("{role}.{extension}")), "write"))
    }
}

/// The name of a file with this role and hash.
fn file_name(role: &str, hash: &str, extension: &str) -> String {
    format!("{role}-{}.{extension}", &hash[..target::HASH_DIGITS])
}

/// Saves a model; see [`Artifact::save`].
pub(super) fn save(artifact: &Artifact, dir: &Path, steps: &mut StepHook<'_>) -> Result<()> {
    let plan = Plan::new(artifact, None)?;
    target::check_replaceable(dir)?;
    let mut lock = target::lock(dir)?;
    let old = manifest::read_text(dir).ok();
    let result = write_all(plan, dir, steps);
    // A file that cannot be removed does no harm: the next save tries again.
    _ = target::clean(dir, &old.map_or_else(Vec::new, |old| target::listed(&old)), steps);
    match &result {
        Ok(()) if lock.made_folder => _ = sync_folder(folder_of(dir)),
        Err(_) if lock.made_folder => lock.end_with_folder(),
        _ => {}
    }
    result
}

fn write_all(plan: Plan, dir: &Path, steps: &mut StepHook<'_>) -> Result<()> {
    let failed = |error| Error::io(dir, "write")(error);
    steps.reach(Step::Locked).map_err(failed)?;
    let manifest = Writer { dir, steps }.model(plan, "")?;
    let text = manifest.to_json()?;
    steps.reach(Step::Synced).map_err(failed)?;
    let path = dir.join(MANIFEST_FILE);
    replace_file(&path, |mut file| {
        steps.reach(Step::Begun).map_err(failed)?;
        file.write_all(&text).map_err(Error::io(&path, "write"))?;
        steps.reach(Step::Written).map_err(failed)
    })?;
    steps.reach(Step::Replaced).map_err(failed)
}

/// Removes a model; see [`Artifact::remove`].
pub(super) fn remove(dir: &Path, steps: &mut StepHook<'_>) -> Result<()> {
    if target::check_replaceable(dir)? {
        let mut lock = target::lock(dir)?;
        let listed = manifest::read_text(dir).map(|text| target::listed(&text)).unwrap_or_default();
        let path = dir.join(MANIFEST_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(&path, "remove")(error));
            }
            _ => {}
        }
        let failed = |error| Error::io(dir, "remove")(error);
        sync_folder(dir).map_err(failed)?;
        steps.reach(Step::Replaced).map_err(failed)?;
        target::clean(dir, &listed, steps).map_err(failed)?;
        lock.end_with_folder();
        // The model is removed, even if its folder is not.
        _ = sync_folder(folder_of(dir));
    }
    Ok(())
}

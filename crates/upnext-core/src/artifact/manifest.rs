//! `manifest.json`: what a model is, how it was trained, and which files belong to it.

use super::files::quoted;
use super::{MANIFEST_FILE, TRAINING, format_1};
use crate::arrays::is_member_name;
use crate::checksum::{self, Fingerprint};
use crate::data::{ItemVocabulary, shortened_to};
use crate::experiment::Experiment;
use crate::history::TrainingSummary;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The maximum size of a manifest in bytes: a million epochs fit.
const MAX_BYTES: u64 = 1 << 28;

/// The number of attempts to read a model that is saved at the same time.
const READ_ATTEMPTS: usize = 100;

/// What a model is and how it was trained: `manifest.json`.
///
/// Unknown fields, which a newer upnext may have written, are ignored outside `experiment`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The format: [`Manifest::FORMAT`].
    pub format: String,
    /// Version of the format: this upnext reads 1 and 2.
    pub format_version: u32,
    /// The version of upnext that wrote the model.
    pub upnext_version: String,
    /// The complete configuration, with defaults filled in.
    pub experiment: Experiment,
    /// Number of items.
    pub items: u64,
    /// The fingerprint of the vocabulary; compare it by [`has_items`](Self::has_items).
    pub vocabulary_fingerprint: String,
    /// The record of the training.
    pub training: TrainingSummary,
    /// How far training has come, for a model with a training state.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub training_position: Option<serde_json::Value>,
    /// The model's own files, without those of its members.
    pub files: Vec<FileEntry>,
    /// The models that it is composed of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberManifest>,
}

/// The manifest of a model inside another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemberManifest {
    /// Its name, of `a` to `z`, `0` to `9` and `-`.
    pub name: String,
    /// Its manifest. Its items are those of the enclosing model, and it has no file for them.
    pub manifest: Manifest,
}

/// A file, such as one of a model, with its size and checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its role: "items", "attributes", "weights" or "training" in a model.
    pub name: String,
    /// Its path from the model's folder, with `/` between folders.
    #[serde(default)]
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The checksum of its bytes.
    #[serde(flatten)]
    pub checksum: Checksum,
}

/// A checksum of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// The BLAKE3 hash as 64 hex digits.
    Blake3(String),
    /// The CRC-32 (that of gzip and Python's `zlib.crc32`), in models of format 1.
    Crc32(u32),
}

impl FileEntry {
    /// The entry of any file, with its size and BLAKE3 hash, and the file name as both role and path.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        let (bytes, hash) = checksum::of_rest(file).map_err(Error::io(path, "read"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { file: name.clone(), name, bytes, checksum: Checksum::Blake3(hash) })
    }
}

/// Deserialises a field that is present, even with the value `null`, as `Some`.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

impl Manifest {
    /// The value of [`format`](Self::format).
    pub const FORMAT: &str = "upnext-model";
    /// The format version that this upnext writes, and the newest that it reads.
    pub const FORMAT_VERSION: u32 = 2;

    pub(super) fn new(experiment: Experiment, items: &ItemVocabulary, training: TrainingSummary) -> Self {
        let mut manifest = Self {
            format: Self::FORMAT.to_owned(),
            format_version: Self::FORMAT_VERSION,
            upnext_version: String::new(),
            experiment: experiment.resolved(),
            items: 0,
            vocabulary_fingerprint: String::new(),
            training,
            training_position: None,
            files: Vec::new(),
            members: Vec::new(),
        };
        manifest.describe(items);
        manifest
    }

    /// Sets the format, the version of upnext, and the number and fingerprint of the items.
    pub(super) fn describe(&mut self, items: &ItemVocabulary) {
        self.format = Self::FORMAT.to_owned();
        self.format_version = Self::FORMAT_VERSION;
        self.upnext_version = env!("CARGO_PKG_VERSION").to_owned();
        self.items = items.len() as u64;
        self.vocabulary_fingerprint = items.fingerprint();
    }

    /// Reads the manifest of the model in the folder `dir`, and no other file. `dir` may be that of a member
    /// ([`Artifact::load`](super::Artifact::load)).
    ///
    /// # Errors
    /// [`Error::NotAModel`], [`Error::ManifestFile`], [`Error::NewerFormat`], [`Error::DamagedModel`] and
    /// [`Error::Io`].
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        load(dir.as_ref(), |_, _, manifest| Ok(manifest.clone()))
    }

    /// Whether the model uses the same indices for the same items as this vocabulary.
    pub fn has_items(&self, items: &ItemVocabulary) -> bool {
        self.vocabulary_fingerprint == self.fingerprint_of(items)
    }

    /// The fingerprint of a vocabulary in this manifest's format.
    pub(super) fn fingerprint_of(&self, items: &ItemVocabulary) -> String {
        if self.format_version == 1 { format_1::fingerprint(items) } else { items.fingerprint() }
    }

    /// The version of the model: 32 hex digits that follow from the configuration and the files' checksums, including
    /// those of all members. Models with the same configuration, items and weights have the same version, whenever and
    /// wherever they were saved.
    pub fn version(&self) -> String {
        let mut hash = Fingerprint::new();
        let mut add = |bytes: &[u8]| {
            hash.add(&(bytes.len() as u64).to_le_bytes());
            hash.add(bytes);
        };
        // The training state does not make it another model.
        for file in self.files.iter().filter(|file| file.name != TRAINING) {
            add(file.name.as_bytes());
            add(&file.bytes.to_le_bytes());
            match &file.checksum {
                Checksum::Blake3(digits) => add(digits.as_bytes()),
                Checksum::Crc32(sum) => add(&sum.to_le_bytes()),
            }
        }
        for MemberManifest { name, manifest } in &self.members {
            add(name.as_bytes());
            add(manifest.version().as_bytes());
        }
        // A configuration that was read from a file can be serialised: it has no numbers that are not finite.
        add(&serde_json::to_vec(&self.experiment).unwrap_or_default());
        hash.digits()
    }

    /// Parses a manifest; `path` names it in errors.
    pub(super) fn parse(text: &[u8], path: &Path) -> Result<Self> {
        let header: Header = serde_json::from_slice(text).map_err(|e| json_error(path, &e, None))?;
        if header.format.as_deref() != Some(Self::FORMAT) {
            return Err(Error::NotAModel {
                path: path.to_owned(),
                reason: format!("its `format` is not `{}`: is this a model folder?", Self::FORMAT),
            });
        }
        let written_by = header.upnext_version.as_deref();
        match header.format_version {
            Some(found) if found > u64::from(Self::FORMAT_VERSION) => {
                let written_by = shortened_to(written_by.unwrap_or("of a newer version"), 40);
                let known = Self::FORMAT_VERSION;
                return Err(Error::NewerFormat { path: path.to_owned(), written_by, found, known });
            }
            Some(1..) => {}
            _ => {
                let reason = "its `format_version` is not a number from 1 on".to_owned();
                return Err(Error::DamagedModel { path: path.to_owned(), reason });
            }
        }
        let mut manifest: Self =
            serde_json::from_slice(text).map_err(|e| json_error(path, &e, written_by))?;
        let check = manifest.complete_and_check();
        check.map_err(|reason| Error::DamagedModel { path: path.to_owned(), reason })?;
        Ok(manifest)
    }

    /// Completes the entries of format 1, and checks the names of files and members. An error is the reason.
    fn complete_and_check(&mut self) -> std::result::Result<(), String> {
        for entry in &mut self.files {
            if self.format_version == 1 {
                format_1::complete(entry);
            }
            // A path out of the folder would read other files; `\\` and `:` do so on Windows only.
            let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
            if !entry.file.split('/').all(plain) {
                return Err(format!("{} in `files` is no name of a file", quoted(&entry.file)));
            }
        }
        for MemberManifest { name, manifest } in &mut self.members {
            manifest.complete_and_check()?;
            if !is_member_name(name) {
                return Err(format!("{} is no name of a member", quoted(name)));
            }
            if manifest.vocabulary_fingerprint != self.vocabulary_fingerprint || manifest.items != self.items
            {
                return Err(format!("its member `{name}` is of other items"));
            }
        }
        let mut names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("it has two members `{}`", pair[0])),
            None => Ok(()),
        }
    }

    /// Serialises the manifest, and checks that it can be read again.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        let refused = |reason: String| Error::config("manifest", reason);
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| refused(e.to_string()))?;
        text.push(b'\n');
        // JSON has no numbers that are not finite: they are written as `null`.
        match Self::parse(&text, Path::new(MANIFEST_FILE)) {
            Ok(back) if back == *self => Ok(text),
            Ok(_) => Err(refused("it does not survive being written: are all numbers finite?".to_owned())),
            Err(error) => Err(refused(format!("cannot be written ({error}): are all numbers finite?"))),
        }
    }

    /// The file of this role, "items", "attributes", "weights" or "training"; `None` if the model has none.
    pub fn file(&self, role: &str) -> Option<&FileEntry> {
        self.files.iter().find(|entry| entry.name == role)
    }

    /// The paths of all files, those of members included.
    pub(super) fn paths(&self) -> Vec<&str> {
        let members = self.members.iter().flat_map(|member| member.manifest.paths());
        self.files.iter().map(|entry| entry.file.as_str()).chain(members).collect()
    }
}

/// Reads one version of the model, or the member of a model, in the folder `dir` with `read`, which receives the model's folder
/// and its manifest, and that of what is to be read: of the member, or of the model once more.
pub(super) fn load<T>(
    dir: &Path,
    mut read: impl FnMut(&Path, &Manifest, &Manifest) -> Result<T>,
) -> Result<T> {
    let (root, names) = root_of(dir);
    read_one_version(root, |text| {
        let manifest = Manifest::parse(text, &root.join(MANIFEST_FILE))?;
        let mut found = &manifest;
        for name in &names {
            let own = found.members.iter().find(|member| member.name == *name);
            found = &own.ok_or_else(|| not_a_member(dir, root, found))?.manifest;
        }
        read(root, &manifest, found)
    })
}

/// The folder of the model that the folder `dir` of a member lies in, with the names of the members on the way down; for
/// the folder of a model, and where there is none, itself.
fn root_of(dir: &Path) -> (&Path, Vec<&str>) {
    let (mut root, mut names) = (dir, Vec::new());
    while !root.join(MANIFEST_FILE).exists() {
        let enclosing = root.parent().filter(|folder| folder.ends_with("members")).and_then(Path::parent);
        let name = root.file_name().and_then(|name| name.to_str());
        let (Some(enclosing), Some(name)) = (enclosing, name) else { return (dir, Vec::new()) };
        root = if enclosing.as_os_str().is_empty() { Path::new(".") } else { enclosing };
        names.insert(0, name);
    }
    (root, names)
}

fn not_a_member(dir: &Path, root: &Path, manifest: &Manifest) -> Error {
    let names: Vec<&str> = manifest.members.iter().map(|member| member.name.as_str()).collect();
    let reason = match names.as_slice() {
        [] => format!("the model in {} is not composed of others", root.display()),
        names => format!("the model in {} has no such member: it has {}", root.display(), names.join(", ")),
    };
    Error::NotAModel { path: dir.to_owned(), reason }
}

/// Reads one version of the model in the folder `dir` with `read`, which receives the manifest's bytes. If `read` fails
/// and the model was saved in the meantime, it is called again, because files of the old manifest may have been
/// removed.
fn read_one_version<T>(dir: &Path, mut read: impl FnMut(&[u8]) -> Result<T>) -> Result<T> {
    let mut text = read_text(dir);
    for _ in 0..READ_ATTEMPTS {
        let error = match text.as_deref().map(&mut read) {
            Ok(Ok(model)) => return Ok(model),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let now = read_text(dir);
        match (error, &text, &now) {
            (Some(error), Ok(was), Ok(is)) if was == is => return Err(error),
            (_, Err(_), Err(_)) => break,
            _ => text = now,
        }
    }
    text.and_then(|text| read(&text))
}

/// The fields that every version of the manifest has.
#[derive(Deserialize)]
struct Header {
    format: Option<String>,
    format_version: Option<u64>,
    upnext_version: Option<String>,
}

fn json_error(path: &Path, error: &serde_json::Error, written_by: Option<&str>) -> Error {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    let remedy = match written_by {
        Some(version) if version != env!("CARGO_PKG_VERSION") => format!(
            "the model was written by upnext {}, this is upnext {}: use that version or a newer one, or copy the whole model folder again",
            shortened_to(version, 40),
            env!("CARGO_PKG_VERSION")
        ),
        _ => "the manifest is damaged: copy the whole model folder again, or train the model anew".to_owned(),
    };
    Error::ManifestFile {
        path: path.to_owned(),
        line,
        column,
        reason: format!("{}: {remedy}", shortened_to(text, 300)),
    }
}

/// Reads the bytes of the manifest in the folder `dir`.
pub(super) fn read_text(dir: &Path) -> Result<Vec<u8>> {
    let not_a_model = |reason: String| Error::NotAModel { path: dir.to_owned(), reason };
    let path = dir.join(MANIFEST_FILE);
    let metadata = match std::fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_a_model(if dir.is_dir() {
                format!("it has no {MANIFEST_FILE}: is this a model folder, as `upnext train` writes it?")
            } else {
                "there is no such folder: name one that `upnext train` wrote".to_owned()
            }));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(not_a_model(
                "it is a file, and a model is a folder that `upnext train` wrote".to_owned(),
            ));
        }
        Err(error) => return Err(Error::io(&path, "read")(error)),
    };
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        let reason = "it is no file, or too large to be a manifest".to_owned();
        return Err(Error::DamagedModel { path, reason });
    }
    let mut text = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text))
        .map_err(Error::io(&path, "read"))?;
    Ok(text)
}

//! `manifest.json`: what a model is, how it was trained, and which files belong to it.

use super::files::{one_line, quoted};
use super::{ITEMS_FILE, MANIFEST_FILE, TRAINING_FILE, WEIGHTS_FILE};
use crate::data::ItemVocabulary;
use crate::data::ids::Fnv;
use crate::experiment::Experiment;
use crate::history::TrainingSummary;
use crate::replace::read_one_version;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest manifest that is read, in bytes: a million epochs fit.
const MAX_BYTES: u64 = 1 << 28;

/// What a model is and how it was trained: `manifest.json`.
///
/// Fields that are not known, of a newer upnext, are ignored outside `experiment`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`Manifest::FORMAT`].
    pub format: String,
    /// Version of the format: this upnext reads 1.
    pub format_version: u32,
    /// The version of upnext that wrote the model.
    pub upnext_version: String,
    /// The whole configuration, absent fields resolved.
    pub experiment: Experiment,
    /// Number of items.
    pub items: u64,
    /// [`ItemVocabulary::fingerprint`] of the items.
    pub vocabulary_fingerprint: String,
    /// How the training went.
    pub training: TrainingSummary,
    /// Where training stands, for a model that can be trained on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub training_position: Option<serde_json::Value>,
    /// The other files of the model.
    pub files: Vec<FileEntry>,
}

/// A file, such as one of a model, and how its bytes are known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in its folder.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The CRC-32 of its bytes (that of gzip and Python's `zlib.crc32`).
    pub crc32: u32,
}

/// A field that is there, be it `null`.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

impl Manifest {
    /// What `format` says.
    pub const FORMAT: &str = "upnext-model";
    /// The newest format that this upnext reads, and the one that it writes.
    pub const FORMAT_VERSION: u32 = 1;

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
        };
        manifest.describe(items);
        manifest
    }

    /// Sets what this version of upnext says about a model over these items.
    pub(super) fn describe(&mut self, items: &ItemVocabulary) {
        self.format = Self::FORMAT.to_owned();
        self.format_version = Self::FORMAT_VERSION;
        self.upnext_version = env!("CARGO_PKG_VERSION").to_owned();
        self.items = items.len() as u64;
        self.vocabulary_fingerprint = items.fingerprint();
    }

    /// Reads the manifest of the model in the folder `dir`; the other files are not looked at.
    ///
    /// # Errors
    /// [`Error::NotAModel`], [`Error::ManifestFile`], [`Error::NewerFormat`], [`Error::DamagedModel`] and [`Error::Io`].
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        read_one_version(dir.as_ref(), MANIFEST_FILE, |dir| {
            Self::parse(&read(dir)?, &dir.join(MANIFEST_FILE))
        })
    }

    /// What tells saved models apart, as 16 hex digits that follow from the configuration and the files' checksums: the
    /// same configuration, items and weights have the same version, whenever and wherever they were saved.
    pub fn version(&self) -> String {
        let mut hash = Fnv::default();
        // What only further training needs does not make another model.
        for file in self.files.iter().filter(|file| file.name != TRAINING_FILE) {
            hash.eat(file.name.as_bytes());
            hash.eat(&file.bytes.to_le_bytes());
            hash.eat(&file.crc32.to_le_bytes());
        }
        // A configuration that was read can be written; numbers that are not finite do not come from a file.
        hash.eat(&serde_json::to_vec(&self.experiment).unwrap_or_default());
        hash.digits()
    }

    /// Parses a manifest, which errors call `path`.
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
                let written_by = one_line(written_by.unwrap_or("of a newer version"), 40);
                let known = Self::FORMAT_VERSION;
                return Err(Error::NewerFormat { path: path.to_owned(), written_by, found, known });
            }
            Some(1..) => {}
            _ => {
                let reason = "its `format_version` is not a number from 1 on".to_owned();
                return Err(Error::DamagedModel { path: path.to_owned(), reason });
            }
        }
        let manifest: Self = serde_json::from_slice(text).map_err(|e| json_error(path, &e, written_by))?;
        for entry in &manifest.files {
            // A name that leads out of the folder would read somebody else's files.
            let name = Path::new(&entry.name);
            if name.file_name().is_none_or(|n| n != name.as_os_str()) || entry.name.contains('\0') {
                let reason = format!("{} in `files` is no name of a file", quoted(&entry.name));
                return Err(Error::DamagedModel { path: path.to_owned(), reason });
            }
        }
        Ok(manifest)
    }

    /// The manifest as a file, checked to be readable again.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        let refused = |reason: String| Error::config("manifest", reason);
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| refused(e.to_string()))?;
        text.push(b'\n');
        // JSON has no word for numbers that are not finite, and writes `null`.
        match Self::parse(&text, Path::new(MANIFEST_FILE)) {
            Ok(back) if back == *self => Ok(text),
            Ok(_) => Err(refused("it does not survive being written: are all numbers finite?".to_owned())),
            Err(error) => Err(refused(format!("cannot be written ({error}): are all numbers finite?"))),
        }
    }

    /// The entry of a file; `None` if neither the manifest nor the folder `dir` has it.
    pub(super) fn file(&self, name: &str, dir: &Path) -> Result<Option<&FileEntry>> {
        let entry = self.files.iter().find(|entry| entry.name == name);
        let path = dir.join(name);
        if entry.is_none() && [ITEMS_FILE, WEIGHTS_FILE, TRAINING_FILE].contains(&name) && path.exists() {
            let reason = "it is not of this model: the manifest does not list it".to_owned();
            return Err(Error::DamagedModel { path, reason });
        }
        Ok(entry)
    }
}

/// What every version of the manifest has.
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
            one_line(version, 40),
            env!("CARGO_PKG_VERSION")
        ),
        _ => "the manifest is damaged: copy the whole model folder again, or train the model anew".to_owned(),
    };
    Error::ManifestFile {
        path: path.to_owned(),
        line,
        column,
        reason: format!("{}: {remedy}", one_line(text, 300)),
    }
}

/// The manifest's bytes in the folder `dir`.
pub(super) fn read(dir: &Path) -> Result<Vec<u8>> {
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

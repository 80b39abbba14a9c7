//! Checks that a save replaces nothing but a model, and removes files that earlier saves left.

use super::manifest::{self, Manifest};
use super::write::{Step, StepHook};
use super::{ATTRIBUTES, ITEMS, MANIFEST_FILE, TRAINING, WEIGHTS, files, format_1};
use crate::arrays::is_member_name;
use crate::replace::{LOCK_FILE, Lock, UNFINISHED, check_writable, is_of_the_system, names_in};
use crate::{Error, Result};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::Path;

/// The number of digits of a file's hash in its name.
pub(super) const HASH_DIGITS: usize = 16;

/// The kind of a path in a model's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The manifest, the lock, and files of the system, which are kept.
    Stays,
    /// A file that only a save of a model writes, which is removed if no manifest lists it.
    Own,
    /// A folder that only a save of a model creates.
    Folder,
    /// Anything else.
    Foreign,
}

/// The kind of a file or folder below a model's folder; `listed` are the files that the manifest lists.
fn kind_of(path: &str, is_folder: bool, listed: &[String]) -> Kind {
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_folder {
        let is_listed =
            listed.iter().any(|file| file.starts_with(path) && file[path.len()..].starts_with('/'));
        let is_own = path.split('/').enumerate().all(|(depth, part)| match depth % 2 {
            0 => part == "members",
            _ => is_member_name(part),
        });
        return if is_listed || is_own { Kind::Folder } else { Kind::Foreign };
    }
    let is_top = name == path;
    if is_top && (path == MANIFEST_FILE || path == LOCK_FILE) || is_of_the_system(name.as_ref()) {
        return Kind::Stays;
    }
    let is_own =
        name.starts_with(UNFINISHED) || is_name_of_save(name) || listed.iter().any(|file| file == path);
    if is_own { Kind::Own } else { Kind::Foreign }
}

/// Whether this is a file name that a save gives, such as `weights-0123456789abcdef.safetensors`.
fn is_name_of_save(name: &str) -> bool {
    let Some((role, rest)) = name.split_once('-') else { return false };
    let Some((hash, extension)) = rest.split_once('.') else { return false };
    let known = match role {
        ITEMS | ATTRIBUTES => extension == "parquet",
        WEIGHTS | TRAINING => extension == "safetensors",
        _ => false,
    };
    known && hash.len() == HASH_DIGITS && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The files and folders below a model's folder, with their kinds. Folders come before their contents; foreign ones are
/// not entered.
fn walk(dir: &Path, listed: &[String]) -> io::Result<Vec<(String, Kind)>> {
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(dir.join(&folder))? {
            let entry = entry?;
            let path = format!("{folder}{}", entry.file_name().to_string_lossy());
            let is_folder = entry.file_type()?.is_dir();
            // A name that is not UTF-8 is foreign: no save gives a name with replacement characters.
            let kind = kind_of(&path, is_folder, listed);
            if kind == Kind::Folder {
                waiting.push(format!("{path}/"));
            }
            found.push((path, kind));
        }
    }
    Ok(found)
}

/// The paths of all files that a manifest lists. A newer version may list files that are not known here.
pub(super) fn listed(manifest: &[u8]) -> Vec<String> {
    fn collect(manifest: &Value, paths: &mut Vec<String>) {
        let array = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
        for file in array(&manifest["files"]) {
            let path = file["file"].as_str().or(file["name"].as_str());
            paths.extend(path.map(str::to_owned));
        }
        for member in array(&manifest["members"]) {
            collect(&member["manifest"], paths);
        }
    }
    let mut paths = format_1::FILES.map(str::to_owned).to_vec();
    collect(&serde_json::from_slice(manifest).unwrap_or_default(), &mut paths);
    paths
}

/// Whether this is the manifest of a model, of any version.
pub(super) fn is_of_a_model(manifest: &[u8]) -> bool {
    serde_json::from_slice::<Value>(manifest).is_ok_and(|manifest| manifest["format"] == Manifest::FORMAT)
}

/// Checks that a save at `dir` destroys nothing but a model; returns whether anything is there.
pub(super) fn check_replaceable(dir: &Path) -> Result<bool> {
    let refused = |reason: String| Err(Error::WillNotReplace { path: dir.to_owned(), reason });
    let Some(names) = names_in(dir)? else { return Ok(false) };
    let has_manifest = names.iter().any(|name| name == MANIFEST_FILE);
    let listed = match has_manifest.then(|| manifest::read_text(dir)) {
        Some(Ok(text)) if is_of_a_model(&text) => listed(&text),
        // Removed since it was seen.
        Some(Err(Error::NotAModel { .. })) | None => Vec::new(),
        Some(_) => return refused("its manifest.json is damaged or another program's".to_owned()),
    };
    let found = match walk(dir, &listed) {
        Ok(found) => found,
        // Another process is saving, and removes files while they are looked at.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Error::io(dir, "read")(error)),
    };
    match found.into_iter().find(|(_, kind)| *kind == Kind::Foreign) {
        Some(_) if !has_manifest => refused("it is neither empty nor a model that upnext wrote".to_owned()),
        Some((path, _)) => {
            let path = files::quoted(&path);
            refused(format!("it holds {path}, which is no file of a model"))
        }
        None => Ok(true),
    }
}

/// Checks that a save can write at `dir`, and that it destroys nothing but a model.
pub(super) fn check(dir: &Path) -> Result<()> {
    check_replaceable(dir)?;
    check_writable(dir)
}

/// Locks the model at `dir` for changes, and waits until no other process holds the lock.
pub(super) fn lock(dir: &Path) -> Result<Lock> {
    Lock::of(dir).map_err(Error::io(dir, "write in"))
}

/// Removes files that do not belong to the model at `dir`: those with names that a save gives, and `old` ones, unless
/// the manifest lists them; then empty folders of members. Goes on after an error, and returns the first one.
pub(super) fn clean(dir: &Path, old: &[String], steps: &mut StepHook<'_>) -> io::Result<()> {
    let kept = match manifest::read_text(dir) {
        Ok(text) => match Manifest::parse(&text, dir) {
            Ok(manifest) => manifest.paths().into_iter().map(str::to_owned).collect(),
            // Of a newer version, which may list its files in another way.
            Err(_) => return Ok(()),
        },
        Err(Error::NotAModel { .. }) => Vec::new(),
        Err(_) => return Ok(()),
    };
    let mut result = Ok(());
    let mut folders = Vec::new();
    for (path, kind) in walk(dir, old)? {
        match kind {
            Kind::Own if !kept.contains(&path) => {
                let removed = fs::remove_file(dir.join(&path)).and_then(|()| steps.reach(Step::Removed));
                result = result.and(removed);
            }
            Kind::Folder => folders.push(path),
            _ => {}
        }
    }
    for folder in folders.iter().rev() {
        // Fails for folders that are not empty.
        _ = fs::remove_dir(dir.join(folder));
    }
    result
}

#[cfg(test)]
mod tests;

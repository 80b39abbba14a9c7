//! Where a model may be saved: in place of nothing but a model.

use super::{ITEMS_FILE, MANIFEST_FILE, Manifest, TRAINING_FILE, WEIGHTS_FILE, files, manifest};
use crate::Result;
use crate::replace::Target;
use std::ffi::OsString;
use std::path::Path;

/// The folder `dir` as the place of a model.
pub(super) fn of(dir: &Path) -> Result<Target> {
    Target::new(dir, objection)
}

/// Why a folder that holds `names` is not replaced by a model.
fn objection(dir: &Path, names: &[OsString]) -> Option<String> {
    if !names.iter().any(|name| name == MANIFEST_FILE) {
        return Some("it is neither empty nor a model that upnext wrote".to_owned());
    }
    let manifest: Option<serde_json::Value> =
        manifest::read(dir).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let Some(manifest) = manifest.filter(|m| m["format"] == Manifest::FORMAT) else {
        return Some("its manifest.json is damaged or another program's".to_owned());
    };
    // A newer version may have files that are not known here.
    let listed = manifest["files"].as_array().into_iter().flatten().filter_map(|f| f["name"].as_str());
    let own: Vec<&str> = listed.chain([MANIFEST_FILE, ITEMS_FILE, WEIGHTS_FILE, TRAINING_FILE]).collect();
    let foreign = names.iter().find(|name| !own.iter().any(|own| *name == own))?;
    let name = files::quoted(&foreign.to_string_lossy());
    Some(format!("it holds {name}, which is no file of a model and would be lost"))
}

#[cfg(test)]
mod tests;

//! The body of the artifact reader's fuzz tests, shared by the cargo-fuzz target and a bounded test.

use super::{Artifact, MANIFEST_FILE, Manifest, files, items, tensors};
use crate::Error;
use std::path::Path;

/// Reads `bytes` after the first as a manifest, items or tensors, depending on the first. Checks that the reader does
/// not panic, that every error message is a single line, and that the result can be written and read again.
///
/// # Panics
/// If a check fails.
pub fn read_artifact(bytes: &[u8]) {
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let path = Path::new(MANIFEST_FILE);
    let error = match choice % 3 {
        0 => read_manifest(bytes).err(),
        1 => read_items(bytes).err().map(|problem| problem.at(path)),
        _ => read_tensors(bytes).err().map(|problem| problem.at(path)),
    };
    if let Some(error) = error {
        let message = error.to_string();
        assert!(!message.contains(char::is_control) && message.len() < 4000, "{message:?}");
    }
}

fn read_manifest(bytes: &[u8]) -> Result<(), Error> {
    let manifest = Manifest::parse(bytes, Path::new(MANIFEST_FILE))?;
    manifest.to_json().expect("a manifest that was read can be written");
    Ok(())
}

fn read_items(bytes: &[u8]) -> Result<(), files::Problem> {
    let vocabulary = items::read(bytes.to_vec().into())?;
    let mut file = Vec::new();
    items::write(&vocabulary, &mut file).expect("items that were read can be written");
    let back = items::read(file.into())?;
    assert!(back.ids().eq(vocabulary.ids()) && back.supports() == vocabulary.supports());
    Ok(())
}

fn read_tensors(bytes: &[u8]) -> Result<(), files::Problem> {
    let arrays = tensors::read(&mut &bytes[..], bytes.len() as u64)?;
    let plan =
        tensors::Plan::new(&arrays.tensors, &arrays.counts).expect("tensors that were read can be written");
    let mut file = Vec::new();
    plan.write(&mut file).expect("memory takes any file");
    let back = tensors::read(&mut &file[..], file.len() as u64)?;
    // Bits are compared, because NaN is not equal to itself.
    let bits = |arrays: &crate::arrays::Arrays| -> Vec<u32> {
        arrays.tensors.values().flat_map(|t| t.values.iter().map(|x| x.to_bits())).collect()
    };
    assert!(back.counts == arrays.counts && bits(&back) == bits(&arrays));
    Ok(())
}

/// The files of an artifact as seed inputs for [`read_artifact`].
pub fn seeds(artifact: &Artifact) -> Vec<Vec<u8>> {
    let manifest = artifact.manifest.to_json().unwrap_or_default();
    let mut vocabulary = Vec::new();
    _ = items::write(&artifact.items, &mut vocabulary);
    let mut seeds = vec![(0, manifest), (1, vocabulary)];
    let training = artifact.training.clone().unwrap_or_default();
    if let Ok(plan) = tensors::Plan::new(&training.tensors, &training.counts) {
        let mut file = Vec::new();
        _ = plan.write(&mut file);
        seeds.push((2, file));
    }
    seeds.into_iter().map(|(choice, file)| [vec![choice], file].concat()).collect()
}

//! Compatibility with models of format 1: fixed file names, CRC-32 checksums, and another fingerprint of the
//! vocabulary.

use super::manifest::FileEntry;
use crate::data::ItemVocabulary;

/// The files of a model of format 1. The next save into its folder removes them.
pub(super) const FILES: [&str; 3] = ["items.parquet", "weights.safetensors", "training.safetensors"];

/// Completes an entry of format 1, which has only the name of the file, with the role of the file.
pub(super) fn complete(entry: &mut FileEntry) {
    if entry.file.is_empty() {
        entry.file.clone_from(&entry.name);
        if FILES.contains(&entry.file.as_str()) {
            entry.name.truncate(entry.name.find('.').unwrap_or(entry.name.len()));
        }
    }
}

/// The fingerprint of the items in a manifest of format 1: a 64-bit FNV-1a hash as 16 hex digits, over the length of
/// each id as 8 little-endian bytes and the id.
pub(super) fn fingerprint(items: &ItemVocabulary) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for id in items.ids() {
        for byte in (id.len() as u64).to_le_bytes().into_iter().chain(id.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

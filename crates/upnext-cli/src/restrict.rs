//! The arguments that restrict which items are listed, shared by all commands that list items.

use crate::output::{named, thousands, warn};
use std::path::{Path, PathBuf};
use upnext_core::data::{ItemIndex, ItemVocabulary};
use upnext_core::ranking::Filter;

/// The arguments that restrict which items are listed.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RestrictArgs {
    /// Leave out the items in this file, one id a line
    #[arg(long, value_name = "FILE")]
    exclude: Option<PathBuf>,

    /// List nothing but the items in this file, one id a line
    #[arg(long, value_name = "FILE")]
    only: Option<PathBuf>,
}

impl RestrictArgs {
    /// The filter; ids that are not in the vocabulary are reported.
    pub(crate) fn filter(&self, items: &ItemVocabulary) -> anyhow::Result<Filter> {
        let exclude = self.exclude.as_deref().map(|path| known(path, items)).transpose()?.unwrap_or_default();
        let only = self.only.as_deref().map(|path| known(path, items)).transpose()?;
        if let (Some(path), Some([])) = (&self.only, only.as_deref()) {
            anyhow::bail!(
                "{}: none of its ids is an item that the model knows, so nothing can be listed: give ids of the log that the model was trained on, one a line",
                path.display()
            );
        }
        if let Some(path) = &self.exclude {
            let mut left = vec![only.is_none(); items.len()];
            only.iter().flatten().for_each(|&item| left[item as usize] = true);
            exclude.iter().for_each(|&item| left[item as usize] = false);
            if !left.contains(&true) {
                anyhow::bail!("{}: leaves no item to list: exclude fewer items", path.display());
            }
        }
        Ok(Filter { exclude, only, ..Filter::default() })
    }
}

/// Reads items from a file of ids, one per line; unknown ones are reported.
fn known(path: &Path, items: &ItemVocabulary) -> anyhow::Result<Vec<ItemIndex>> {
    let bytes = std::fs::read(path).map_err(upnext_core::Error::io(path, "read"))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for (line, id) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let Ok(id) = std::str::from_utf8(id.strip_suffix(b"\r").unwrap_or(id)) else {
            anyhow::bail!("{}:{line}: not UTF-8 text: give one item id a line", path.display());
        };
        if id.trim().is_empty() {
            continue;
        }
        // An id may begin or end with spaces. If the id with them is unknown, they were typed by mistake.
        match items.index_of(id).or_else(|| items.index_of(id.trim())) {
            Some(item) => found.push(item),
            None => unknown.push(id),
        }
    }
    if !unknown.is_empty() {
        let ids = found.len() + unknown.len();
        warn(&[format!(
            "{}: the model does not know {} of the {} ids: {}",
            path.display(),
            thousands(unknown.len() as u64),
            thousands(ids as u64),
            named(&unknown, unknown.len())
        )]);
    }
    Ok(found)
}

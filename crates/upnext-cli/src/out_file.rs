//! Where results are written: checks before the work, so that nothing that is read is overwritten.

use std::path::{Path, PathBuf};
use upnext_core::Error;

/// The path at which `--out FILE` is written, the target of a symbolic link, after checks that it can be and does not
/// replace `log`, which is read.
///
/// # Errors
/// [`Error::Config`] of `--out`.
pub(crate) fn check(out: &Path, log: Option<&Path>) -> upnext_core::Result<PathBuf> {
    if out.is_dir() {
        return Err(refused(out, "is a folder: name a file"));
    }
    // The target of a symbolic link is written, and the link stays.
    let path = out.canonicalize().unwrap_or_else(|_| out.to_owned());
    if log.is_some_and(|log| log.canonicalize().is_ok_and(|log| log == path)) {
        return Err(refused(out, "is the log that is read: choose another file"));
    }
    if log.is_some_and(|log| log.is_dir() && will_lie_in(out, log)) {
        return Err(refused(out, "lies in the folder that is read: choose another place"));
    }
    let parent = path.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(refused(out, &format!("there is no folder {}: make it first", parent.display())));
    }
    Ok(path)
}

/// The error for a file that cannot be written, with the reason.
pub(crate) fn refused(out: &Path, reason: &str) -> Error {
    Error::config("--out", format!("{}: {reason}", out.display()))
}

/// Whether `file` is inside `folder`, with symbolic links resolved.
pub(crate) fn lies_in(file: &Path, folder: &Path) -> bool {
    match (file.canonicalize(), folder.canonicalize()) {
        (Ok(file), Ok(folder)) => file.starts_with(folder),
        _ => false,
    }
}

/// Whether `path`, which need not exist, is inside `folder`.
pub(crate) fn will_lie_in(path: &Path, folder: &Path) -> bool {
    // Components that do not exist have no symbolic links to resolve.
    let here = Path::new(".");
    let mut around = path.ancestors().map(|around| if around == Path::new("") { here } else { around });
    around.find(|around| around.exists()).is_some_and(|around| lies_in(around, folder))
}

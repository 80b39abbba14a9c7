//! A lock on a folder, whose files only one process at a time may replace.

use super::file::{folder_of, try_to_write_in};
use crate::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The file that is locked while a folder's files are replaced. It exists only then, or after a kill.
pub(crate) const LOCK_FILE: &str = ".upnext-lock";

/// The number of attempts to take a lock whose file is removed by its previous holder in the meantime.
const ATTEMPTS: usize = 1000;

/// An exclusive lock on a folder's files, which is released on drop or at the end of the process.
///
/// On a file system without locks, every process gets it: there, two processes must not replace the same folder at
/// once.
pub(crate) struct Lock {
    path: PathBuf,
    /// Whether the lock created the folder.
    pub(crate) made_folder: bool,
    file: Option<File>,
}

impl Lock {
    /// Creates the folder if it is missing, and waits until no other process holds its lock.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(LOCK_FILE);
        let mut made_folder = false;
        let mut attempts = 0;
        loop {
            match fs::create_dir(folder) {
                Ok(()) => made_folder = true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            attempts += 1;
            match File::options().read(true).write(true).create(true).truncate(false).open(&path) {
                Ok(file) => {
                    if file.lock().is_err() || is_at(&file, &path) || attempts == ATTEMPTS {
                        return Ok(Self { path, made_folder, file: Some(file) });
                    }
                }
                // The previous holder of the lock has removed the folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Releases the lock, and removes the folder if nothing else is in it.
    pub(crate) fn end_with_folder(&mut self) {
        _ = fs::remove_file(&self.path);
        // Only now: a process that waits for the lock must find that its file has been removed.
        self.file = None;
        if let Some(folder) = self.path.parent() {
            _ = fs::remove_dir(folder);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only while the lock is held, and only on systems where `is_at` shows others that the file was removed.
        if cfg!(unix) && self.file.is_some() {
            _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` still refers to the open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|m| (m.dev(), m.ino()));
    let own = number(file.metadata());
    own.is_some() && own == number(fs::metadata(path))
}

/// On other systems the file is kept when the lock is released.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Whether a file name is one that file systems and desktops give: files that were removed while open, on NFS and FUSE,
/// and the view settings of folders on macOS.
pub(crate) fn is_of_the_system(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".nfs") || name.starts_with(b".fuse_hidden") || name == b".DS_Store"
}

/// The names in the folder at `path`; `None` if nothing is there.
///
/// # Errors
/// [`Error::WillNotReplace`] for a file and for a symbolic link, and for a path that names no folder, such as `..`.
pub(crate) fn names_in(path: &Path) -> Result<Option<Vec<OsString>>> {
    let refused =
        |reason: &str| Err(Error::WillNotReplace { path: path.to_owned(), reason: reason.to_owned() });
    let Some(name) = path.file_name() else {
        return refused("this names no folder that could be written as a whole");
    };
    // Without a trailing slash, which would follow a symbolic link.
    match fs::symlink_metadata(path.with_file_name(name)) {
        Ok(metadata) if metadata.is_symlink() => return refused("this is a symbolic link"),
        Ok(metadata) if !metadata.is_dir() => return refused("a file of this name exists"),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, "read")(error)),
    }
    let entries = fs::read_dir(path).and_then(|entries| entries.map(|e| Ok(e?.file_name())).collect());
    entries.map(Some).map_err(Error::io(path, "read"))
}

/// Checks that the folder `path` is writable, or can be created. Call it before hours of work.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    let folder = if path.is_dir() { path } else { folder_of(path) };
    try_to_write_in(folder).map_err(Error::io(folder, "write in"))
}

/// Flushes the names in a folder to disk, so that they survive a power failure.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Other systems have no such call, and some file systems refuse it.
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_at_a_time_has_a_folder_also_when_it_is_removed_in_between() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("model");
        let (inside, rounds) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..300 {
                        let mut lock = Lock::of(&folder).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        rounds.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        if round % 3 == 0 { lock.end_with_folder() } else { drop(lock) }
                    }
                });
            }
        });
        assert_eq!(rounds.into_inner(), 1200);
    }
}

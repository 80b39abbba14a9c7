//! Atomic replacement of a file.

use super::folder::sync_folder;
use crate::Error;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

/// The prefix of the names of unfinished files.
pub(crate) const UNFINISHED: &str = ".upnext-unfinished-";

/// An unfinished file, under a temporary name in the folder of its target. It is removed on drop.
pub(crate) struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    /// Creates an empty file.
    pub(crate) fn new_in(folder: &Path) -> io::Result<Self> {
        loop {
            // A random number, seeded by the system, that no other process uses.
            let path = folder.join(format!("{UNFINISHED}{:016x}", RandomState::new().hash_one(0)));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The file to write to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Flushes the file to disk and renames it to `target` in the same folder, replacing a file that is there.
    pub(crate) fn put(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        // The drop of `self` then finds nothing under the temporary name.
        fs::rename(&self.path, target)
    }
}

#[cfg(feature = "toml")]
impl Unfinished {
    /// Flushes the file to disk and gives it the name `target` in the same folder, unless there is a file of that name: false.
    fn put_if_first(self, target: &Path) -> io::Result<bool> {
        self.file.sync_all()?;
        match fs::hard_link(&self.path, target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // A file system without links: two that come at the same moment both count as the first.
            Err(_) if target.exists() => Ok(false),
            Err(_) => fs::rename(&self.path, target).map(|()| true),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A file that cannot be removed does no harm.
        _ = fs::remove_file(&self.path);
    }
}

/// The folder that a file or a folder is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."))
}

/// Replaces a file atomically: `fill` writes a temporary file beside `target`, which is then renamed to `target`. If
/// anything fails, `target` is unchanged.
///
/// # Errors
/// Those of `fill`, and [`Error::Io`].
pub fn replace_file<T, E: From<Error>>(
    target: &Path,
    fill: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let unfinished = Unfinished::new_in(folder_of(target)).map_err(Error::io(target, "write"))?;
    let result = fill(unfinished.file())?;
    unfinished.put(target).map_err(Error::io(target, "write"))?;
    // The file is replaced, whether or not its name is on disk yet.
    _ = sync_folder(folder_of(target));
    Ok(result)
}

/// Creates a file atomically, as [`replace_file`] does, unless there is one of this name, which is left as it is: false.
///
/// # Errors
/// Those of `fill`, and [`Error::Io`].
#[cfg(feature = "toml")]
pub(crate) fn create_file(
    target: &Path,
    fill: impl FnOnce(&File) -> Result<(), Error>,
) -> Result<bool, Error> {
    let unfinished = Unfinished::new_in(folder_of(target)).map_err(Error::io(target, "write"))?;
    fill(unfinished.file())?;
    let is_first = unfinished.put_if_first(target).map_err(Error::io(target, "write"))?;
    _ = sync_folder(folder_of(target));
    Ok(is_first)
}

/// Creates a file in a folder, which shows whether that is possible: permissions, quotas and read-only file systems do not
/// show otherwise. On Linux the file has no name, so that nothing is left of it, not even by a kill.
pub(crate) fn try_to_write_in(folder: &Path) -> io::Result<()> {
    fs::metadata(folder)?; // an error that does not name the temporary file
    tempfile::tempfile_in(folder).map(drop)
}

/// Checks that [`replace_file`] can write at `target`. Call it before hours of work.
///
/// # Errors
/// [`Error::Io`] if `target` is a folder, or if the folder above it is missing or not writable.
pub fn check_file(target: &Path) -> crate::Result<()> {
    if target.is_dir() {
        return Err(Error::io(target, "write")(io::ErrorKind::IsADirectory.into()));
    }
    try_to_write_in(folder_of(target)).map_err(Error::io(target, "write"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn failed_write_leaves_the_old_file_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("lists.csv");
        let write = |text: &'static str, fails: bool| {
            replace_file(&target, |mut file| {
                file.write_all(text.as_bytes()).map_err(Error::io(&target, "write"))?;
                if fails { Err(Error::config("x", "fails after writing")) } else { Ok(text.len()) }
            })
        };
        assert!(write("new", true).is_err() && !target.exists());
        assert_eq!(write("old", false).unwrap(), 3);
        assert!(write("new", true).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(write("newer", false).unwrap(), 5);
        assert_eq!(fs::read_to_string(&target).unwrap(), "newer");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn places_that_cannot_be_written_are_found_beforehand() {
        let place = tempfile::tempdir().unwrap();
        check_file(&place.path().join("new.html")).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        let missing = check_file(&place.path().join("missing/new.html")).unwrap_err().to_string();
        assert!(missing.contains("missing/new.html: cannot write"), "{missing}");
        assert!(check_file(place.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn replaced_files_have_the_rights_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let [usual, replaced] = ["usual", "replaced"].map(|name| place.path().join(name));
        fs::write(&usual, "").unwrap();
        replace_file(&replaced, |_| Ok::<_, Error>(())).unwrap();
        let rights = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(rights(&replaced), rights(&usual));
    }
}

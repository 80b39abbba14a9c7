//! A file that appears as a whole.

use crate::Error;
use std::fs::File;
use std::path::Path;

/// Writes a file as a whole or not at all: `fill` fills a temporary file beside `target`, which then takes its place;
/// whatever fails, `target` is as it was before.
///
/// # Errors
/// Those of `fill`, and [`Error::Io`].
pub fn replace_file<T, E: From<Error>>(
    target: &Path,
    fill: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let parent = target.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".upnext-unfinished-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The usual rights of a new file, less the user's mask; a temporary one would be closed to others.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let unfinished = builder.tempfile_in(parent).map_err(Error::io(target, "write"))?;
    let result = fill(unfinished.as_file())?;
    unfinished.as_file().sync_all().map_err(Error::io(target, "write"))?;
    unfinished.persist(target).map_err(|e| Error::io(target, "write")(e.error))?;
    // The name is in the folder, which a power failure may find unwritten, too. Some systems refuse to sync folders: the
    // file is replaced all the same.
    _ = File::open(parent).and_then(|folder| folder.sync_all());
    Ok(result)
}

/// Whether [`replace_file`] can write at `target`: to be asked before hours of work.
///
/// # Errors
/// [`Error::Io`] where `target` is a folder, or the folder above it is missing or cannot be written.
pub fn check_file(target: &Path) -> crate::Result<()> {
    if target.is_dir() {
        return Err(Error::io(target, "write")(std::io::ErrorKind::IsADirectory.into()));
    }
    let parent = target.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
    // Rights, full quotas and read-only systems: only the attempt tells.
    tempfile::Builder::new()
        .prefix(".upnext-unfinished-")
        .tempfile_in(parent)
        .map_err(Error::io(target, "write"))?;
    Ok(())
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
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn places_that_cannot_be_written_are_found_beforehand() {
        let place = tempfile::tempdir().unwrap();
        check_file(&place.path().join("new.html")).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        let missing = check_file(&place.path().join("missing/new.html")).unwrap_err().to_string();
        assert!(missing.contains("missing/new.html: cannot write"), "{missing}");
        assert!(check_file(place.path()).is_err());
    }
}

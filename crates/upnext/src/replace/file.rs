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
    Ok(result)
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
}

//! Has a file or a folder changed since it was read?

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells that a file, or a file of a folder, has changed: editors, copies and `mv` change at least one of size,
/// inode and the times of change, which have nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<(std::ffi::OsString, [i64; 6])>);

impl Stamp {
    /// The stamp of a file, or of the files of a folder; `None` where there is none that can be seen.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let own = std::fs::metadata(path).ok()?;
        if !own.is_dir() {
            return Some(Self(vec![(path.file_name()?.to_owned(), numbers(&own))]));
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).ok()? {
            let entry = entry.ok()?;
            files.push((entry.file_name(), numbers(&std::fs::metadata(entry.path()).ok()?)));
        }
        files.sort();
        Some(Self(files))
    }
}

fn numbers(file: &std::fs::Metadata) -> [i64; 6] {
    [file.len() as i64, file.ino() as i64, file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_file_of_the_same_length_and_a_replaced_folder_are_told() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        assert_eq!(Stamp::of(&at("model")), None);
        for name in ["model", "other"] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("weights"), "123").unwrap();
        }
        let first = Stamp::of(&at("model"));
        assert!(first.is_some());
        assert_eq!(Stamp::of(&at("model")), first);
        assert_ne!(Stamp::of(&at("other")), first);
        // The name that leads to it does not matter.
        std::os::unix::fs::symlink(at("model"), at("link")).unwrap();
        assert_eq!(Stamp::of(&at("link")), first);
        std::fs::write(at("model/new"), "").unwrap();
        std::fs::remove_file(at("model/new")).unwrap();
        assert_eq!(Stamp::of(&at("model")), first);
        // Another file of the same name and length, with the time of the old one.
        let time = std::fs::metadata(at("model/weights")).unwrap().modified().unwrap();
        std::fs::write(at("new"), "456").unwrap();
        std::fs::File::options().append(true).open(at("new")).unwrap().set_modified(time).unwrap();
        std::fs::rename(at("new"), at("model/weights")).unwrap();
        assert_ne!(Stamp::of(&at("model")), first);
    }
}

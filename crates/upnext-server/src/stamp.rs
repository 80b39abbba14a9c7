//! Has a file or a folder changed since it was read?

use crate::checksum;
use std::ffi::OsString;
use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

/// What tells that a file, or a file of a folder, has changed: editors, copies and `mv` change at least one of size, the
/// time of the contents and, on Unix, inode and the time of the last change. A model's manifest, which names the checksums
/// of its other files, is looked into: elsewhere times may be those of the original, and as coarse as two seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    files: Vec<(OsString, FileStamp)>,
    manifest: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Inode, seconds and nanoseconds of the last change.
    #[cfg(unix)]
    unix: [i64; 3],
}

impl Stamp {
    /// The stamp of a file, or of the files of a folder; `None` where there is none that can be seen.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let own = std::fs::metadata(path).ok()?;
        if !own.is_dir() {
            return Some(Self {
                files: vec![(path.file_name()?.to_owned(), FileStamp::of(&own))],
                manifest: None,
            });
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).ok()? {
            let entry = entry.ok()?;
            files.push((entry.file_name(), FileStamp::of(&std::fs::metadata(entry.path()).ok()?)));
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let manifest = std::fs::read(path.join("manifest.json")).ok().map(|bytes| checksum(&bytes));
        Some(Self { files, manifest })
    }
}

impl FileStamp {
    fn of(file: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            bytes: file.len(),
            modified: file.modified().ok(),
            #[cfg(unix)]
            unix: [file.ino() as i64, file.ctime(), file.ctime_nsec()],
        }
    }
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
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("model"), at("link")).unwrap();
            assert_eq!(Stamp::of(&at("link")), first);
        }
        std::fs::write(at("model/new"), "").unwrap();
        std::fs::remove_file(at("model/new")).unwrap();
        assert_eq!(Stamp::of(&at("model")), first);
        // Another file of the same name and length, with the time of the old one.
        let replace = |name: &str| {
            let time = std::fs::metadata(at(name)).unwrap().modified().unwrap();
            std::fs::write(at("new"), "456").unwrap();
            std::fs::File::options().append(true).open(at("new")).unwrap().set_modified(time).unwrap();
            std::fs::rename(at("new"), at(name)).unwrap();
        };
        #[cfg(unix)]
        {
            replace("model/weights");
            assert_ne!(Stamp::of(&at("model")), first);
        }
        // The manifest is looked into, where a system has no inodes.
        std::fs::write(at("model/manifest.json"), "123").unwrap();
        let first = Stamp::of(&at("model")).unwrap();
        replace("model/manifest.json");
        assert_ne!(Stamp::of(&at("model")).unwrap().manifest, first.manifest);
    }
}

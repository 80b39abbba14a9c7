//! Detection of changed files and folders.

use crate::checksum;
use std::ffi::OsString;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Maximum depth of nested folders that are looked into: more than nested ensembles need.
const MAX_DEPTH: usize = 16;

/// A fingerprint of a file, or of all files in a folder and its subfolders, which differs after a change.
///
/// It consists of sizes, inodes and change times in nanoseconds: editors, copies and `mv` change at least one of them.
/// Other systems lack inodes, and their times may be coarse or copied from the original. Therefore the contents of a
/// model's manifest, which has the checksums of the model's files, are included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    files: Vec<(PathBuf, Numbers)>,
    manifest: Option<u32>,
}

/// A file's size in bytes, inode number, and times of modification and change in nanoseconds, as far as the system has
/// them.
type Numbers = (u64, u64, [i128; 2]);

impl Stamp {
    /// The stamp of a file or folder; `None` if it does not exist or cannot be read.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let own = std::fs::metadata(path).ok()?;
        if !own.is_dir() {
            let files = vec![(path.file_name()?.into(), numbers(&own))];
            return Some(Self { files, manifest: None });
        }
        let mut files = Vec::new();
        let mut waiting = vec![(PathBuf::new(), 0)];
        while let Some((folder, depth)) = waiting.pop() {
            for entry in std::fs::read_dir(path.join(&folder)).ok()? {
                let name: OsString = entry.ok()?.file_name();
                let file = folder.join(name);
                let metadata = std::fs::metadata(path.join(&file)).ok()?;
                if metadata.is_dir() && depth < MAX_DEPTH {
                    waiting.push((file, depth + 1));
                } else {
                    files.push((file, numbers(&metadata)));
                }
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let manifest = std::fs::read(path.join("manifest.json")).ok().map(|bytes| checksum(&bytes));
        Some(Self { files, manifest })
    }
}

/// Notices when watched files have changed and settled: they were the same in two checks, so that they are not read while they
/// are written.
#[derive(Debug)]
pub(crate) struct Settling<S> {
    /// What the last check found, and what was settled last, which is not tried again.
    last: Option<S>,
    tried: Option<S>,
}

impl<S> Default for Settling<S> {
    fn default() -> Self {
        Self { last: None, tried: None }
    }
}

impl<S: Clone + PartialEq> Settling<S> {
    /// Whether the files, of which a check found `now` (`None`: they are away), have settled and are others than those in use.
    pub(crate) fn is_due(&mut self, now: Option<S>, in_use: Option<&S>) -> bool {
        let is_due = now.is_some() && now == self.last && now.as_ref() != in_use && now != self.tried;
        if is_due {
            self.tried.clone_from(&now);
        }
        self.last = now;
        is_due
    }
}

fn numbers(file: &Metadata) -> Numbers {
    let nanoseconds = |time: std::io::Result<SystemTime>| match time.map(|t| t.duration_since(UNIX_EPOCH)) {
        Ok(Ok(after)) => after.as_nanos() as i128,
        Ok(Err(before)) => -(before.duration().as_nanos() as i128),
        Err(_) => 0,
    };
    #[cfg(unix)]
    let (number, changed) = {
        use std::os::unix::fs::MetadataExt;
        (file.ino(), i128::from(file.ctime()) * 1_000_000_000 + i128::from(file.ctime_nsec()))
    };
    #[cfg(not(unix))]
    let (number, changed) = (0, nanoseconds(file.created()));
    (file.len(), number, [nanoseconds(file.modified()), changed])
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
        // The path to it does not matter.
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("model"), at("link")).unwrap();
            assert_eq!(Stamp::of(&at("link")), first);
        }
        std::fs::write(at("model/new"), "").unwrap();
        std::fs::remove_file(at("model/new")).unwrap();
        assert_eq!(Stamp::of(&at("model")), first);
        std::fs::create_dir_all(at("model/members/inner")).unwrap();
        assert_eq!(Stamp::of(&at("model")), first);
        std::fs::write(at("model/members/inner/weights"), "123").unwrap();
        let nested = Stamp::of(&at("model"));
        assert_ne!(nested, first);
        std::fs::write(at("model/members/inner/weights"), "1234").unwrap();
        assert_ne!(Stamp::of(&at("model")), nested);
        std::fs::remove_dir_all(at("model/members")).unwrap();
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
        // The contents of the manifest count, for systems without inodes.
        std::fs::write(at("model/manifest.json"), "123").unwrap();
        let first = Stamp::of(&at("model")).unwrap();
        replace("model/manifest.json");
        assert_ne!(Stamp::of(&at("model")).unwrap().manifest, first.manifest);
    }
}

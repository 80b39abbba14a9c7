//! How a folder is replaced as a whole or not at all.
//!
//! The new version is written into `.NAME.tmp-PID-N` beside the folder NAME and then changes places with it in one
//! step of the file system; what is then under the temporary name is the old version, and is removed. Where the file
//! system has no such step, the old version first goes to `.NAME.old-PID-N`, where it is found if that is how far it
//! came. A process holds a lock on its temporary folder, which ends with it: that is how the next save knows which
//! left-overs belong to nobody.

use crate::{Error, Result};
#[cfg(any(target_os = "linux", target_os = "macos"))]
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a folder is read anew because it was replaced meanwhile.
const READ_ATTEMPTS: usize = 100;

/// Says why a folder with these names in it must not be replaced; `None`: it may be. Empty folders are not asked about.
pub(crate) type Objection = fn(&Path, &[OsString]) -> Option<String>;

/// Where a save stands: it can be killed at any of these places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The temporary folder is there.
    Made,
    /// It is full.
    Filled,
    /// It is on the disk.
    Synced,
    /// Without an exchange: the old version is aside, and nothing is in its place.
    Aside,
    /// The new version is in its place.
    Placed,
    /// The old version is gone.
    Removed,
}

/// The steps of a save as a test sees them.
pub(crate) struct Steps<'a> {
    /// Whether the file system may be asked to exchange folders.
    pub(crate) exchange: bool,
    /// Called at each step; an error is one of this step.
    pub(crate) at: Option<&'a mut dyn FnMut(Step) -> io::Result<()>>,
}

impl Steps<'_> {
    fn reach(&mut self, step: Step) -> io::Result<()> {
        self.at.as_mut().map_or(Ok(()), |at| at(step))
    }
}

impl Default for Steps<'_> {
    fn default() -> Self {
        Self { exchange: true, at: None }
    }
}

/// What a folder beside the target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A version that is being written, or an old one after the exchange.
    Temporary,
    /// The old version between the two renames.
    Old,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Temporary, Self::Old];

    fn word(self) -> &'static str {
        match self {
            Self::Temporary => "tmp",
            Self::Old => "old",
        }
    }
}

/// The folder that a save writes.
#[derive(Debug)]
pub(crate) struct Target {
    parent: PathBuf,
    name: OsString,
    objection: Objection,
}

/// A folder that goes when this is dropped; the lock tells other processes that its owner lives.
pub(crate) struct Temporary {
    pub(crate) path: PathBuf,
    /// Whether the folder is still, or again, under this path.
    present: bool,
    _lock: Option<File>,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.present {
            // What cannot be removed now is left to the next save.
            _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Where the folder `dir` can be read: `dir`, or the old version that a save was replacing when it was killed.
fn readable(dir: &Path) -> PathBuf {
    if fs::symlink_metadata(dir).is_err()
        && let Ok(target) = Target::new(dir, |_, _| None)
        && let Some((_, old)) = target.siblings().into_iter().find(|(kind, _)| *kind == Kind::Old)
    {
        return old;
    }
    dir.to_owned()
}

/// Reads the folder `dir` with `read`, again where the folder was replaced meanwhile, which its file `marker` tells.
pub(crate) fn read_one_version<T>(
    dir: &Path,
    marker: &str,
    mut read: impl FnMut(&Path) -> Result<T>,
) -> Result<T> {
    // Which version stands where: the number of the marker's file may come again, with another time of creation.
    let version = |folder: &Path| {
        let file = fs::metadata(folder.join(marker)).ok();
        (folder.to_owned(), file.map(|m| (m.dev(), m.ino(), m.ctime(), m.ctime_nsec())))
    };
    let mut attempts = 0;
    loop {
        let folder = readable(dir);
        let before = version(&folder);
        let result = read(&folder);
        attempts += 1;
        if result.is_ok() || attempts == READ_ATTEMPTS || version(&readable(dir)) == before {
            return result;
        }
    }
}

impl Target {
    /// The folder `dir`, which replaces only what `objection` has nothing against.
    pub(crate) fn new(dir: &Path, objection: Objection) -> Result<Self> {
        let Some(name) = dir.file_name() else {
            return Err(Error::WillNotReplace {
                path: dir.to_owned(),
                reason: "this names no folder that could be written as a whole".to_owned(),
            });
        };
        let parent = dir.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new("."));
        Ok(Self { parent: parent.to_owned(), name: name.to_owned(), objection })
    }

    fn path(&self) -> PathBuf {
        // Without a slash at its end, which would follow a symbolic link.
        if self.parent == Path::new(".") { PathBuf::from(&self.name) } else { self.parent.join(&self.name) }
    }

    /// Checks that a save can write here, and that it destroys nothing that it should not. What killed saves have left
    /// goes, or goes back to its place.
    pub(crate) fn check(&self) -> Result<()> {
        self.recover()?;
        self.check_replaceable()?;
        self.make_temporary().map(|_| ())
    }

    /// Checks that a save destroys nothing that it should not.
    pub(crate) fn check_replaceable(&self) -> Result<()> {
        let path = self.path();
        let refused =
            |reason: &str| Err(Error::WillNotReplace { path: path.clone(), reason: reason.to_owned() });
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        if metadata.is_symlink() {
            return refused("this is a symbolic link");
        }
        if !metadata.is_dir() {
            return refused("a file of this name exists");
        }
        if fs::metadata(&self.parent).is_ok_and(|parent| parent.dev() != metadata.dev()) {
            return refused(
                "this is where another file system begins, which cannot be replaced: name a folder inside",
            );
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(Error::io(&path, "read"))? {
            names.push(entry.map_err(Error::io(&path, "read"))?.file_name());
        }
        let objection = if names.is_empty() { None } else { (self.objection)(&path, &names) };
        objection.map_or(Ok(()), |reason| refused(&reason))
    }

    fn sibling(&self, kind: Kind, number: u64) -> PathBuf {
        let mut name = self.sibling_prefix(kind);
        name.push(format!("{}-{number}", std::process::id()));
        self.parent.join(name)
    }

    fn sibling_prefix(&self, kind: Kind) -> OsString {
        let mut prefix = OsString::from(".");
        prefix.push(&self.name);
        prefix.push(format!(".{}-", kind.word()));
        prefix
    }

    /// The folders beside the target that saves of it have made.
    fn siblings(&self) -> Vec<(Kind, PathBuf)> {
        let prefixes = Kind::ALL.map(|kind| (kind, self.sibling_prefix(kind)));
        let kind_of = |name: &OsString| {
            prefixes.iter().find_map(|(kind, prefix)| {
                let rest = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes())?;
                let numbers: Vec<&[u8]> = rest.split(|&byte| byte == b'-').collect();
                let is_number = |text: &&[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
                (numbers.len() == 2 && numbers.iter().all(is_number)).then_some(*kind)
            })
        };
        // A folder that cannot be listed has no left-overs that could be removed.
        let entries = fs::read_dir(&self.parent).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()))
            .filter_map(|entry| Some((kind_of(&entry.file_name())?, entry.path())))
            .collect();
        found.sort_by(|a, b| a.1.cmp(&b.1));
        found
    }

    /// Puts a version back that a killed save had moved aside, and removes what killed saves have left.
    fn recover(&self) -> Result<()> {
        let path = self.path();
        for (kind, left_over) in self.siblings() {
            // Locks that the file system does not have tell nothing: then the folder may be another process's.
            let Ok(file) = File::open(&left_over) else { continue };
            if file.try_lock().is_err() {
                continue;
            }
            if kind == Kind::Old && fs::symlink_metadata(&path).is_err() {
                fs::rename(&left_over, &path).map_err(Error::io(&path, "restore"))?;
                sync(&self.parent)?;
            } else {
                _ = fs::remove_dir_all(&left_over);
            }
        }
        Ok(())
    }

    pub(crate) fn make_temporary(&self) -> Result<Temporary> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let failed = |error| Error::io(&self.parent, "write in")(error);
        loop {
            let path = self.sibling(Kind::Temporary, NEXT.fetch_add(1, Ordering::Relaxed));
            match fs::create_dir(&path) {
                Ok(()) => {}
                // Of a dead process that had the same number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(failed(error)),
            }
            // Another process may take the folder for a left-over until it is locked.
            match File::open(&path) {
                Ok(file) => match file.try_lock() {
                    Ok(()) if fs::symlink_metadata(&path).is_ok() => {
                        return Ok(Temporary { path, present: true, _lock: Some(file) });
                    }
                    Ok(()) | Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(_)) => return Ok(Temporary { path, present: true, _lock: None }),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Puts the folder that `fill` fills in the target's place.
    pub(crate) fn replace(
        &self,
        steps: &mut Steps<'_>,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let path = self.path();
        let failed = |error| Error::io(&path, "replace")(error);
        self.recover()?;
        self.check_replaceable()?;
        let mut temporary = self.make_temporary()?;
        steps.reach(Step::Made).map_err(failed)?;
        fill(&temporary.path)?;
        steps.reach(Step::Filled).map_err(failed)?;
        sync(&temporary.path)?;
        steps.reach(Step::Synced).map_err(failed)?;
        temporary.present = self.put_in_place(&temporary.path, steps).map_err(failed)?;
        steps.reach(Step::Placed).map_err(failed)?;
        sync(&self.parent)?;
        drop(temporary);
        steps.reach(Step::Removed).map_err(failed)
    }

    /// Removes the target, and what killed saves of it have left.
    pub(crate) fn remove(&self) -> Result<()> {
        let path = self.path();
        self.recover()?;
        if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(());
        }
        self.check_replaceable()?;
        let temporary = self.make_temporary()?;
        fs::rename(&path, &temporary.path).map_err(Error::io(&path, "remove"))?;
        sync(&self.parent)
    }

    /// Lets `new` become the target; returns whether the old version is now where `new` was.
    fn put_in_place(&self, new: &Path, steps: &mut Steps<'_>) -> io::Result<bool> {
        let path = self.path();
        // Also an empty folder is replaced by this.
        let error = match fs::rename(new, &path) {
            Ok(()) => return Ok(false),
            Err(error) => error,
        };
        if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) {
            return Err(error);
        }
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        if steps.exchange {
            match renameat_with(CWD, new, CWD, &path, RenameFlags::EXCHANGE) {
                Ok(()) => return Ok(true),
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let number = new.to_string_lossy().rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let aside = self.sibling(Kind::Old, number);
        // While it is locked, no other process puts it back.
        let lock = File::open(&path)?;
        _ = lock.try_lock();
        fs::rename(&path, &aside)?;
        let aside = Aside { path: aside, target: path };
        steps.reach(Step::Aside)?;
        fs::rename(new, &aside.target)?;
        Ok(false)
    }
}

/// The old version, moved aside: it goes back if nothing has come in its place, and else goes.
struct Aside {
    path: PathBuf,
    target: PathBuf,
}

impl Drop for Aside {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.target).is_err() {
            // Where this fails, `readable` and the next save find it.
            _ = fs::rename(&self.path, &self.target);
        } else {
            _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder, "write"))
}

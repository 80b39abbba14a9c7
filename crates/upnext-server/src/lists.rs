//! Block and allow lists: files that restrict which items may be recommended.

use crate::Error;
use crate::stamp::{Settling, Stamp};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use upnext_core::data::{ItemIndex, ItemVocabulary};
use upnext_core::ranking::Candidates;

/// A file that was changed within this time may still be written.
const QUIET: Duration = Duration::from_secs(1);

/// A server's start waits no longer than this for files that change again and again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The item ids of the block and allow files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    block: Vec<String>,
    /// `None`: every item is allowed.
    allow: Option<Vec<String>>,
}

impl Lists {
    /// Numbers of ids by list, of those that there are.
    pub(crate) fn counts(&self) -> [(&'static str, Option<usize>); 2] {
        [("block", Some(self.block.len())), ("allow", self.allow.as_ref().map(Vec::len))]
    }

    /// Why these should not take the place of `old` without being asked for: half of a list is missing, as while a file is
    /// written.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn check(&self, old: &Self) -> Result<(), String> {
        for ((name, old), (_, new)) in old.counts().into_iter().zip(self.counts()) {
            if let (Some(old), Some(new)) = (old, new)
                && new * 2 < old
            {
                return Err(format!(
                    "the {name} list has {new} ids instead of {old}: if that is meant, send SIGHUP, or POST /v1/admin/lists with {{\"replace\": true}}"
                ));
            }
        }
        Ok(())
    }

    /// The items of a vocabulary that are allowed and not blocked. Ids outside the vocabulary are ignored.
    pub(crate) fn candidates(&self, items: &ItemVocabulary) -> Candidates {
        let known = |ids: &[String]| -> Vec<ItemIndex> {
            // An id may begin or end with spaces. If the id with them is unknown, they were typed by mistake.
            ids.iter().filter_map(|id| items.index_of(id).or_else(|| items.index_of(id.trim()))).collect()
        };
        let candidates =
            Candidates::new(items, &known(&self.block), self.allow.as_deref().map(known).as_deref());
        // Prepared while a model is loaded or a list changes, so that no request has to wait for it.
        candidates.prepare(items);
        candidates
    }
}

/// The paths of the block and allow files, with their last seen [`Stamp`]s.
#[derive(Debug)]
pub(crate) struct ListFiles {
    block: Option<PathBuf>,
    allow: Option<PathBuf>,
    /// The files that were read.
    seen: [Option<Stamp>; 2],
    settling: Settling<[Option<Stamp>; 2]>,
}

impl ListFiles {
    pub(crate) fn new(block: Option<PathBuf>, allow: Option<PathBuf>) -> Self {
        Self { block, allow, seen: [const { None }; 2], settling: Settling::default() }
    }

    /// Whether there is a file to watch.
    pub(crate) fn any(&self) -> bool {
        self.block.is_some() || self.allow.is_some()
    }

    /// Whether a file has changed since it was read, and has stayed the same since the last call, so that it is not read
    /// while it is written.
    pub(crate) fn have_settled(&mut self) -> bool {
        let now = self.stamps();
        self.settling.is_due(Some(now), Some(&self.seen))
    }

    /// Waits until no file has changed for a second: when a server starts, there is no older list that tells half a list from a whole
    /// one.
    pub(crate) fn wait_until_quiet(&self) {
        let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        let is_young = |changed: SystemTime| changed.elapsed().is_ok_and(|age| age < QUIET);
        let began = Instant::now();
        while began.elapsed() < LONGEST_WAIT
            && [&self.block, &self.allow].into_iter().flatten().filter_map(changed).any(is_young)
        {
            std::thread::sleep(QUIET / 20);
        }
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.block, &self.allow].map(|path| Stamp::of(path.as_ref()?))
    }

    /// Reads both files.
    ///
    /// # Errors
    /// For a file that cannot be read or is not UTF-8 text, with its path and line.
    pub(crate) fn read(&mut self) -> Result<Lists, Error> {
        // Before the files, so that a change in the meantime is seen.
        self.seen = self.stamps();
        Ok(Lists {
            block: self.block.as_deref().map(read).transpose()?.unwrap_or_default(),
            allow: self.allow.as_deref().map(read).transpose()?,
        })
    }
}

/// Reads the ids of a file, one per line.
fn read(path: &Path) -> Result<Vec<String>, Error> {
    let bytes = std::fs::read(path).map_err(upnext_core::Error::io(path, "read"))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut ids = Vec::new();
    for (line, id) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let Ok(id) = std::str::from_utf8(id.strip_suffix(b"\r").unwrap_or(id)) else {
            let place = format!("{}:{line}", path.display());
            return Err(upnext_core::Error::config(place, "not UTF-8 text: give one item id a line").into());
        };
        if !id.trim().is_empty() {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_leave_the_items_that_are_allowed_and_not_blocked() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let mut items = ItemVocabulary::new();
        ["a", "b", " c", "d"].iter().for_each(|id| _ = items.add(id, 1));
        let left = |block: Option<PathBuf>, allow: Option<PathBuf>| {
            ListFiles::new(block, allow).read().unwrap().candidates(&items).len()
        };
        assert_eq!(left(None, None), 4);
        assert_eq!(left(file("b", b"a\r\nnever seen\n\n b \n"), None), 2);
        assert_eq!(left(file("b", b"a\n"), file("a", "\u{feff}a\n c\n".as_bytes())), 1);
        assert_eq!(left(None, file("a", b"\n")), 0);
        let error = ListFiles::new(file("b", b"a\n\xff\n"), None).read().unwrap_err().to_string();
        assert!(error.contains("b:2: not UTF-8"), "{error}");
    }

    #[test]
    fn a_changed_file_is_noticed_once_and_when_it_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("block");
        std::fs::write(&path, "a").unwrap();
        let mut files = ListFiles::new(Some(path.clone()), None);
        files.read().unwrap();
        assert!(!files.have_settled() && !files.have_settled());
        for text in ["a\nb", "a\nb\nc"] {
            std::fs::write(&path, text).unwrap();
            assert!(!files.have_settled());
        }
        assert!(files.have_settled());
        files.read().unwrap();
        assert!(!files.have_settled());
    }

    #[test]
    fn the_start_waits_for_a_list_that_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("block");
        std::fs::write(&path, "a\n").unwrap();
        let mut files = ListFiles::new(Some(path.clone()), Some(dir.path().join("none")));
        let writer = std::thread::spawn(move || {
            std::thread::sleep(QUIET / 2);
            std::fs::write(&path, "a\nb\n").unwrap();
        });
        files.wait_until_quiet();
        files.allow = None;
        assert_eq!(files.read().unwrap().counts()[0], ("block", Some(2)));
        writer.join().unwrap();
        let began = Instant::now();
        files.wait_until_quiet();
        assert!(began.elapsed() < QUIET, "a quiet file is waited for");
    }

    #[test]
    fn half_a_list_is_not_taken_for_a_whole_one() {
        let lists = |block: usize, allow: Option<usize>| Lists {
            block: vec!["x".to_owned(); block],
            allow: allow.map(|count| vec!["x".to_owned(); count]),
        };
        let old = lists(10, Some(4));
        for (block, allow, is_taken) in
            [(10, 4, true), (5, 2, true), (4, 4, false), (99, 1, false), (10, 0, false)]
        {
            assert_eq!(lists(block, Some(allow)).check(&old).is_ok(), is_taken, "{block} {allow}");
        }
        assert!(lists(0, None).check(&lists(0, None)).is_ok());
        assert!(lists(4, None).check(&old).unwrap_err().contains("block list has 4 ids instead of 10"));
    }
}

//! Claims: who does which work of a search that several machines share.
//!
//! A claim is a file that exactly one process can make. Its owner writes into it time and again; if nobody has for as long as the
//! lease, by the clock of the process that watches, its owner is gone, and the claim is taken over. No result depends on
//! claims: a trial ends in the same way wherever it is run, and the result that is stored first is everybody's. They save
//! running it twice.

use super::lock;
use crate::replace::replace_file;
use crate::{Error, Result};
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The claims of this process in a folder, and what it has seen of those of others.
#[derive(Debug)]
pub(super) struct Claims {
    shared: Arc<Shared>,
    lease: Duration,
    /// What was written in the claims of others, and since when it has been that.
    seen: Mutex<HashMap<String, (Vec<u8>, Instant)>>,
    /// Ends the thread that renews the claims, when it is dropped.
    heart: Option<(Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// A text that no other process has.
    owner: String,
    held: Mutex<HashMap<String, Held>>,
}

/// A claim of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// The number of times that it was renewed.
    Since(u64),
    /// Another process has taken it over, or it cannot be renewed.
    Lost,
}

impl Claims {
    /// Claims in a folder, which is made.
    pub(super) fn new(folder: &Path, lease: Duration) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder, "make"))?;
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        let owner = format!("process {} ({random:016x})", std::process::id());
        let shared = Arc::new(Shared { folder: folder.to_owned(), owner, held: Mutex::default() });
        let (end, ended) = mpsc::channel();
        let renews = Arc::clone(&shared);
        // Several times in a lease: a beat that comes late is not the end.
        let beat = lease / 5;
        let heart = std::thread::spawn(move || {
            while ended.recv_timeout(beat) == Err(RecvTimeoutError::Timeout) {
                renews.renew();
            }
        });
        Ok(Self { shared, lease, seen: Mutex::default(), heart: Some((end, heart)) })
    }

    /// Claims some work; false if another process has it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn take(&self, name: &str) -> Result<bool> {
        let path = self.shared.path(name);
        loop {
            let made = OpenOptions::new().write(true).create_new(true).open(&path);
            match made {
                Ok(mut file) => {
                    file.write_all(self.shared.text(0).as_bytes()).map_err(Error::io(&path, "write"))?;
                    lock(&self.shared.held).insert(name.to_owned(), Held::Since(0));
                    lock(&self.seen).remove(name);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(&path, "make")(error)),
            }
            let text = match fs::read(&path) {
                Ok(text) => text,
                // It was given back just now.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io(&path, "read")(error)),
            };
            let mut seen = lock(&self.seen);
            match seen.get(name) {
                Some((was, since)) if *was == text => {
                    if since.elapsed() < self.lease {
                        return Ok(false);
                    }
                    seen.remove(name);
                    drop(seen);
                    if !self.take_away(&path, &text)? {
                        return Ok(false);
                    }
                }
                _ => {
                    seen.insert(name.to_owned(), (text, Instant::now()));
                    return Ok(false);
                }
            }
        }
    }

    /// Removes a claim whose owner is gone; false if it is no longer what was seen.
    fn take_away(&self, path: &Path, seen: &[u8]) -> Result<bool> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}", self.shared.owner.replace(|c: char| !c.is_ascii_alphanumeric(), "")));
        // Exactly one process can move it.
        match fs::rename(path, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io(path, "rename")(error)),
        }
        let is_same = fs::read(&aside).is_ok_and(|text| text == seen);
        if !is_same {
            // Somebody else was faster, and this is their claim: they have it back.
            _ = fs::hard_link(&aside, path);
        }
        fs::remove_file(&aside).map_err(Error::io(Path::new(&aside), "remove"))?;
        Ok(is_same)
    }

    /// Whether a claim of this process is no longer its own.
    pub(super) fn is_lost(&self, name: &str) -> bool {
        lock(&self.shared.held).get(name) == Some(&Held::Lost)
    }

    /// Gives a claim back.
    pub(super) fn give_back(&self, name: &str) {
        let mut held = lock(&self.shared.held);
        if matches!(held.remove(name), Some(Held::Since(_))) {
            let path = self.shared.path(name);
            if self.shared.is_own(&path) {
                // If it stays, it is taken over after the lease.
                _ = fs::remove_file(path);
            }
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let names: Vec<String> = lock(&self.shared.held).keys().cloned().collect();
        names.iter().for_each(|name| self.give_back(name));
        if let Some((end, heart)) = self.heart.take() {
            drop(end);
            _ = heart.join();
        }
    }
}

impl Shared {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn text(&self, renewed: u64) -> String {
        format!("{}, renewed {renewed} times\n", self.owner)
    }

    fn is_own(&self, path: &Path) -> bool {
        fs::read_to_string(path).is_ok_and(|text| text.starts_with(&self.owner))
    }

    /// Writes into all claims. The lock is held all along, so that none is written that has been given back.
    fn renew(&self) {
        for (name, held) in lock(&self.held).iter_mut() {
            let Held::Since(renewed) = *held else { continue };
            let path = self.path(name);
            let text = self.text(renewed + 1);
            let is_renewed = self.is_own(&path)
                && replace_file(&path, |mut out| {
                    out.write_all(text.as_bytes()).map_err(Error::io(&path, "write"))
                })
                .is_ok();
            *held = if is_renewed { Held::Since(renewed + 1) } else { Held::Lost };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(200);

    /// Waits until `done`, for a minute at most.
    fn until(mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn one_process_has_a_claim_as_long_as_it_lives_or_until_it_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let claims = |lease| Claims::new(folder.path(), lease).unwrap();
        let (one, two) = (claims(LEASE), claims(LEASE));
        assert!(one.take("a").unwrap() && two.take("b").unwrap());
        let begun = Instant::now();
        while begun.elapsed() < 3 * LEASE {
            assert!(!two.take("a").unwrap() && !one.take("b").unwrap());
        }
        one.give_back("a");
        assert!(two.take("a").unwrap());
        drop(two);
        assert!(one.take("a").unwrap() && one.take("b").unwrap());
        drop(one);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_claim_of_a_process_that_is_gone_is_taken_over_by_one_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "process 7 (dead), renewed 3 times\n").unwrap();
        let all: Vec<Claims> = (0..8).map(|_| Claims::new(folder.path(), LEASE).unwrap()).collect();
        let mut owners = Vec::new();
        until(|| {
            std::thread::scope(|scope| {
                let tries: Vec<_> =
                    all.iter().map(|claims| scope.spawn(|| claims.take("a").unwrap())).collect();
                let taken = tries
                    .into_iter()
                    .enumerate()
                    .filter_map(|(owner, taken)| taken.join().unwrap().then_some(owner));
                owners.extend(taken);
            });
            !owners.is_empty()
        });
        // Two may have it for a moment, and one of them then knows that it has lost it.
        until(|| owners.iter().filter(|&&owner| !all[owner].is_lost("a")).count() == 1);
        drop(all);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left aside");
    }

    #[test]
    fn a_process_that_was_thought_to_be_gone_knows_it() {
        let folder = tempfile::tempdir().unwrap();
        let one = Claims::new(folder.path(), LEASE).unwrap();
        assert!(one.take("a").unwrap() && !one.is_lost("a"));
        fs::write(folder.path().join("a"), "process 7 (another), renewed 0 times\n").unwrap();
        until(|| one.is_lost("a"));
        one.give_back("a");
        assert!(folder.path().join("a").exists(), "the claim of the other one");
        fs::remove_file(folder.path().join("a")).unwrap();
        assert!(one.take("a").unwrap() && !one.is_lost("a"));
    }
}

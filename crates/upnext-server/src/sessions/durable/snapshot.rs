//! Snapshots of all sessions, which replace the logs before them.

use super::Shared;
use crate::sessions::clock::Now;
use crate::sessions::journal::Journal;
use crate::sessions::record::Record;
use crate::{locked, threads};
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use upnext_core::replace::replace_file;

/// Number of sessions that a snapshot takes from the table at a time: about half a millisecond.
const CHUNK: usize = 512;

impl Shared {
    /// Begins another log, and a snapshot that covers those before.
    pub(super) fn begin_snapshot(self: &Arc<Self>, journal: &mut Journal) -> Option<JoinHandle<()>> {
        let covers = match journal.begin() {
            Ok(covers) => covers,
            Err(error) => {
                tracing::warn!(path = %self.files.snapshot().display(), %error, "no room for another session log");
                return None;
            }
        };
        // Changes from here on are in the new log.
        let had_gap = std::mem::take(&mut locked(&self.inner).has_gap);
        self.snapping.store(true, Ordering::Relaxed);
        let shared = Arc::clone(self);
        let action = "start the thread that makes a snapshot of sessions";
        let started = threads::start("sessions-snapshot", action, move || {
            let made = shared.make_snapshot(covers);
            match made {
                Ok(bytes) => {
                    shared.snapshot.store(bytes, Ordering::Relaxed);
                    shared.snapped.store(true, Ordering::Relaxed);
                }
                Err(error) => {
                    if !shared.closing.load(Ordering::Relaxed) {
                        tracing::error!(%error, "no snapshot of the sessions: the logs stay");
                    }
                    locked(&shared.inner).has_gap |= had_gap;
                }
            }
            shared.snapping.store(false, Ordering::Relaxed);
        });
        started
            .inspect_err(|error| {
                tracing::error!(%error, "no snapshot of the sessions");
                self.snapping.store(false, Ordering::Relaxed);
                locked(&self.inner).has_gap |= had_gap;
            })
            .ok()
    }

    /// Replaces the snapshot by one of the current sessions, which has all changes of the logs up to `covers`, and removes
    /// these. Returns its size in bytes.
    fn make_snapshot(&self, covers: u64) -> upnext_core::Result<u64> {
        let path = self.files.snapshot();
        let failed = || upnext_core::Error::io(path, "write");
        let mut size = 0;
        replace_file(path, |file| {
            let mut file = BufWriter::new(file);
            let mut lines = Vec::new();
            Record::heading(covers, self.run, Now::read()).write(&mut lines).map_err(failed())?;
            let mut turn = 0;
            loop {
                file.write_all(&lines).map_err(failed())?;
                size += lines.len() as u64;
                lines.clear();
                if self.closing.load(Ordering::Relaxed) {
                    return Err(upnext_core::Error::Stopped);
                }
                // Sessions with a new event come again at the end, until there are no more.
                let (kept, last) = locked(&self.inner).table.since(turn, CHUNK);
                if last == turn {
                    return file.flush().map_err(failed());
                }
                turn = last;
                for kept in &kept {
                    Record::from(kept).write(&mut lines).map_err(failed())?;
                }
            }
        })?;
        self.files.remove_logs(covers);
        Ok(size)
    }
}

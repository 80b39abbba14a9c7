//! Checks that a computation fits into memory before it begins, instead of being killed after hours.

use crate::{Error, Result};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Checks that `needed_bytes` of memory are available; `what` names the computation in the error.
///
/// # Errors
/// [`Error::Memory`] if they are not.
pub(crate) fn require(what: &'static str, needed_bytes: u64) -> Result<()> {
    let available_bytes = available();
    if needed_bytes <= available_bytes {
        return Ok(());
    }
    Err(Error::Memory { what, needed_bytes, available_bytes })
}

/// A sum of bytes. It saturates, since absurd configurations have absurd sizes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bytes(u64);

impl Bytes {
    /// Adds the bytes of `count` things of this size.
    pub(crate) fn add(&mut self, count: usize, size: usize) {
        self.0 = self.0.saturating_add((count as u64).saturating_mul(size as u64));
    }

    /// Adds another sum, `count` times.
    pub(crate) fn add_times(&mut self, count: usize, other: Self) {
        self.0 = self.0.saturating_add(other.0.saturating_mul(count as u64));
    }

    /// The sum.
    pub(crate) fn sum(self) -> u64 {
        self.0
    }
}

/// Bytes of memory that this process can still allocate; `u64::MAX` if the system does not report it.
pub(crate) fn available() -> u64 {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(memory) else { return u64::MAX };
    // A container's limit may be below the machine's memory. Its page cache counts as free, as it can be reclaimed.
    let limit = system.cgroup_limits().map_or(u64::MAX, |c| c.total_memory.saturating_sub(c.rss));
    match system.available_memory() {
        0 => limit,
        available => available.min(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused_with_its_size() {
        require("a small thing", 4096).unwrap();
        let error = require("a table", 3 << 50).unwrap_err().to_string();
        assert!(error.contains("a table needs 3377.7 TB of memory"), "{error}");
    }
}

//! The clock by which sessions end. It goes on evenly, whatever is done to the system's clock.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The steady time at which a process begins: large enough that the ages of all sessions can be subtracted from it.
const BEGINNING: u64 = 1 << 42;

/// The time of an event by two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// Milliseconds since 1970 by the system's clock, which people and other programs read, and which may be set.
    pub(crate) wall_ms: u64,
    /// Milliseconds by a clock of this process, which is never set. Only differences have a meaning.
    pub(crate) steady_ms: u64,
}

impl Now {
    /// The current time.
    pub(crate) fn read() -> Self {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let elapsed = BEGAN.elapsed().as_millis() as u64;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Self { wall_ms: wall.map_or(0, |time| time.as_millis() as u64), steady_ms: BEGINNING + elapsed }
    }
}

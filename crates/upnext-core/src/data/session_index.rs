//! Where sessions begin and end in one array of items, and when they start: about five bytes a session.

use super::sessions::TimeMicros;
use std::ops::Range;

/// Sessions from one mark to the next. A look-up reads half as many on average.
const BLOCK: usize = 16;

/// The lengths and start times of sessions, in blocks of differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SessionIndex {
    /// For each session its length, and its start time as the difference to that of the session before; seven bits a byte, the
    /// lowest first, with the eighth set in all but the last.
    bytes: Vec<u8>,
    /// The state of a [`Cursor`] before each block.
    marks: Vec<Mark>,
    end: Mark,
    len: usize,
}

/// A place in the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    /// The place in `bytes`.
    byte: usize,
    /// The place in the array of items.
    event: usize,
    /// The start time of the session before.
    start: TimeMicros,
}

/// Reads an index from a place on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'i> {
    bytes: &'i [u8],
    at: Mark,
}

impl SessionIndex {
    /// An empty index with room for this number of sessions that are a few seconds apart.
    pub(super) fn with_capacity(sessions: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(sessions.saturating_mul(4)),
            marks: Vec::with_capacity(sessions / BLOCK + 1),
            ..Self::default()
        }
    }

    /// Appends a session.
    pub(super) fn push(&mut self, length: usize, start: TimeMicros) {
        if self.len.is_multiple_of(BLOCK) {
            self.marks.push(self.end);
        }
        let later = start.wrapping_sub(self.end.start);
        self.write(length as u64);
        self.write(((later << 1) ^ (later >> 63)) as u64);
        self.end = Mark { byte: self.bytes.len(), event: self.end.event + length, start };
        self.len += 1;
    }

    fn write(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// Number of sessions.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Reads from session `s` on, which may be the end.
    ///
    /// # Panics
    /// If there is no such session.
    pub(super) fn from(&self, s: usize) -> Cursor<'_> {
        let mut cursor =
            Cursor { bytes: &self.bytes, at: self.marks.get(s / BLOCK).copied().unwrap_or(self.end) };
        if s < self.len {
            (0..s % BLOCK).for_each(|_| _ = cursor.read());
        }
        cursor
    }

    /// The place of session `s` in the array of items, and its start time.
    ///
    /// # Panics
    /// If `s` is not below [`len`](Self::len).
    pub(super) fn get(&self, s: usize) -> (Range<usize>, TimeMicros) {
        assert!(s < self.len, "there are {} sessions, and no session {s}", self.len);
        self.from(s).read()
    }
}

impl Cursor<'_> {
    /// The next session, which there must be.
    pub(super) fn read(&mut self) -> (Range<usize>, TimeMicros) {
        let length = self.number() as usize;
        let later = self.number();
        let later = (later >> 1) as i64 ^ -((later & 1) as i64);
        let begin = self.at.event;
        self.at.event += length;
        self.at.start = self.at.start.wrapping_add(later);
        (begin..self.at.event, self.at.start)
    }

    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.bytes[self.at.byte];
            self.at.byte += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_session_is_found_where_it_was_pushed(
            sessions in prop::collection::vec(
                (prop_oneof![0..5_usize, 0..100_000_usize], prop_oneof![0..9_i64, any::<i64>()]), 0..70),
        ) {
            let mut index = SessionIndex::default();
            let (mut expected, mut event) = (Vec::new(), 0);
            for &(length, start) in &sessions {
                index.push(length, start);
                expected.push((event..event + length, start));
                event += length;
            }
            prop_assert_eq!(index.len(), sessions.len());
            let found: Vec<_> = (0..index.len()).map(|s| index.get(s)).collect();
            prop_assert_eq!(&found, &expected);
            for s in 0..=index.len() {
                let mut cursor = index.from(s);
                let rest: Vec<_> = expected[s..].iter().map(|_| cursor.read()).collect();
                prop_assert_eq!(&rest[..], &expected[s..]);
            }
        }
    }

    #[test]
    fn sessions_that_begin_within_seconds_take_about_five_bytes() {
        let mut index = SessionIndex::with_capacity(10_000);
        (0..10_000).for_each(|s| index.push(2 + s % 7, s as i64 * 700_000));
        let bytes = index.bytes.len() + index.marks.len() * size_of::<Mark>();
        assert!(bytes < 5 * 10_000 + 8_000, "{bytes}");
    }
}

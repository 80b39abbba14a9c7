//! Ids as text, each stored once and known inside by a number.

use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// Ids longer than this many bytes are refused: a quote that was left open is the usual cause.
pub const MAX_ID_BYTES: usize = 4096;

/// A set of ids (any text), numbered 0, 1, 2, … in the order in which they were first added.
///
/// All text lies in one allocation, so that millions of ids cost their bytes and about 14 bytes each.
#[derive(Clone)]
pub struct IdTable {
    /// All ids, one after the other.
    text: String,
    /// `ends[i]` is where id `i` ends in `text`.
    ends: Vec<usize>,
    /// Numbers hashed by id.
    index: HashTable<u32>,
    hasher: IdHasher,
}

impl Default for IdTable {
    fn default() -> Self {
        Self { text: String::new(), ends: Vec::new(), index: HashTable::new(), hasher: IdHasher::new() }
    }
}

impl std::fmt::Debug for IdTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdTable({} ids)", self.len())
    }
}

impl IdTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The id with this number.
    ///
    /// # Panics
    /// If `number` is not below [`len`](Self::len).
    pub fn get(&self, number: u32) -> &str {
        let i = number as usize;
        &self.text[if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i]]
    }

    /// The ids in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i as u32))
    }

    /// The number of an id; `None` if it was never added.
    pub fn find(&self, id: &str) -> Option<u32> {
        self.find_bytes(id.as_bytes())
    }

    /// The number of an id given as bytes: what is found needs no check for valid UTF-8.
    pub(crate) fn find_bytes(&self, id: &[u8]) -> Option<u32> {
        self.index.find(self.hasher.hash(id), |&i| self.get(i).as_bytes() == id).copied()
    }

    /// Bytes that the table takes in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>() + self.index.allocation_size()
    }

    /// The number of an id, which joins the table if it is new.
    ///
    /// # Panics
    /// If the table would exceed 2³² ids.
    pub fn add(&mut self, id: &str) -> u32 {
        let Self { text, ends, index, hasher } = self;
        let at = |i: u32| {
            let i = i as usize;
            &text[if i == 0 { 0 } else { ends[i - 1] }..ends[i]]
        };
        let hash = hasher.hash(id.as_bytes());
        if let Some(&number) = index.find(hash, |&i| at(i) == id) {
            return number;
        }
        let number = u32::try_from(ends.len()).expect("an id table holds at most 2^32 ids");
        index.insert_unique(hash, number, |&i| hasher.hash(at(i).as_bytes()));
        text.push_str(id);
        ends.push(text.len());
        number
    }
}

/// A 64-bit FNV-1a hash, the same on every machine: tells data apart that nobody changed on purpose.
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds some bytes.
    pub(crate) fn eat(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash as 16 hex digits.
    pub(crate) fn digits(&self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Hashes short texts by folded multiplication, eight bytes at a time.
///
/// Reading a log hashes two ids an event; SipHash would be the largest part of that. The keys are random for each
/// table, so that no log can be written to collide on purpose.
#[derive(Clone)]
struct IdHasher {
    keys: [u64; 2],
}

impl IdHasher {
    fn new() -> Self {
        let random = RandomState::new();
        Self { keys: [random.hash_one(1_u8) | 1, random.hash_one(2_u8) | 1] }
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        let fold = |a: u64, b: u64| {
            let wide = u128::from(a) * u128::from(b);
            (wide as u64) ^ (wide >> 64) as u64
        };
        let mut hash = self.keys[0] ^ bytes.len() as u64;
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = u64::from_le_bytes(chunk.try_into().expect("chunks_exact gives chunks of 8"));
            hash = fold(hash ^ word, self.keys[1]);
        }
        let mut last = [0; 8];
        last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        hash = fold(hash ^ u64::from_le_bytes(last), self.keys[1]);
        fold(hash, self.keys[0] ^ 0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_numbers_and_boundaries() {
        let mut table = IdTable::new();
        let ids = ["ab", "c", "a", "bc", "", "ab", "ä,\n\t\"", "12345678", "123456789", "c"];
        let numbers: Vec<u32> = ids.iter().map(|id| table.add(id)).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 0, 5, 6, 7, 1]);
        for (id, number) in ids.into_iter().zip(numbers) {
            assert_eq!(table.get(number), id);
            assert_eq!(table.find(id), Some(number));
        }
        assert_eq!(table.find("abc"), None);
        assert_eq!(table.iter().count(), 8);
    }

    #[test]
    fn hashes_of_consecutive_numbers_spread_over_all_bits() {
        let hasher = IdHasher::new();
        let hashes: Vec<u64> = (0..20_000).map(|n| hasher.hash(n.to_string().as_bytes())).collect();
        for bit in 0..64 {
            let ones = hashes.iter().filter(|&&h| h >> bit & 1 == 1).count();
            assert!((9_000..11_000).contains(&ones), "bit {bit} is set in {ones} of 20,000 hashes");
        }
    }
}

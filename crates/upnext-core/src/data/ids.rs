//! A table of ids: each is stored once as text, and has a number.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

/// The maximum length of an id in bytes. A longer one is usually caused by a quote that was left open.
pub const MAX_ID_BYTES: usize = 4096;

/// A set of ids (any text), numbered 0, 1, 2, … in the order in which they were first added.
///
/// All text is in one allocation: an id takes its bytes and about 14 more. Reading a log hashes two ids per event. The
/// hash is foldhash with a random seed for each table, so that a log cannot be crafted to collide.
#[derive(Clone, Default)]
pub(crate) struct IdTable {
    /// All ids, one after the other.
    text: String,
    /// `ends[i]` is the end of id `i` in `text`.
    ends: Vec<usize>,
    /// The numbers, hashed by id.
    index: HashTable<u32>,
    hasher: RandomState,
}

/// Hashes an id with the seed of its table.
fn hash(hasher: &RandomState, id: &[u8]) -> u64 {
    // `hash_one` would hash the length, too, which foldhash does for any slice.
    let mut hash = hasher.build_hasher();
    hash.write(id);
    hash.finish()
}

/// The ids of a log, numbered 0, 1, 2, … by their first occurrence in the log.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a>(pub(super) &'a IdTable);

impl<'a> Ids<'a> {
    /// Number of ids.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is no id.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The id with this number.
    ///
    /// # Panics
    /// If `number` is not below [`len`](Self::len).
    pub fn get(self, number: u32) -> &'a str {
        self.0.get(number)
    }

    /// The ids in the order of their numbers.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.0.iter()
    }

    /// The number of an id; `None` if the log does not have it.
    pub fn find(self, id: &str) -> Option<u32> {
        self.0.find(id)
    }
}

impl std::fmt::Debug for IdTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdTable({} ids)", self.len())
    }
}

impl IdTable {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Number of ids.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no id.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The id with this number.
    ///
    /// # Panics
    /// If `number` is not below [`len`](Self::len).
    pub(crate) fn get(&self, number: u32) -> &str {
        let i = number as usize;
        &self.text[if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i]]
    }

    /// The ids in the order of their numbers.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i as u32))
    }

    /// The number of an id; `None` if it was never added.
    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        self.find_bytes(id.as_bytes())
    }

    /// The number of an id given as bytes; bytes that are found are valid UTF-8.
    pub(crate) fn find_bytes(&self, id: &[u8]) -> Option<u32> {
        self.index.find(hash(&self.hasher, id), |&i| self.get(i).as_bytes() == id).copied()
    }

    /// Bytes of memory that the table takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>() + self.index.allocation_size()
    }

    /// The number of an id, which is added to the table if it is new.
    ///
    /// # Panics
    /// If the table would exceed 2³² ids.
    pub(crate) fn add(&mut self, id: &str) -> u32 {
        self.find(id).unwrap_or_else(|| self.add_new(id))
    }

    /// Adds an id that the table does not have, and returns its number.
    ///
    /// # Panics
    /// If the table would exceed 2³² ids.
    pub(crate) fn add_new(&mut self, id: &str) -> u32 {
        debug_assert_eq!(self.find(id), None, "the id is in the table");
        let number = u32::try_from(self.len()).expect("an id table holds at most 2^32 ids");
        if self.index.len() == self.index.capacity() {
            self.grow();
        }
        self.text.push_str(id);
        self.ends.push(self.text.len());
        self.insert(number);
        number
    }

    /// Makes the index twice as large. It is filled anew in the order of the ids, whose text then is read from one end to
    /// the other, and the old one is freed before.
    fn grow(&mut self) {
        let capacity = self.index.capacity() + 1;
        self.index = HashTable::new();
        self.index = HashTable::with_capacity(capacity);
        (0..self.len() as u32).for_each(|number| self.insert(number));
    }

    /// Adds the number of an id to the index.
    fn insert(&mut self, number: u32) {
        let key = hash(&self.hasher, self.get(number).as_bytes());
        let Self { text, ends, index, hasher } = self;
        index.insert_unique(key, number, |&i| {
            let i = i as usize;
            hash(hasher, &text.as_bytes()[if i == 0 { 0 } else { ends[i - 1] }..ends[i]])
        });
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
    fn ids_of_consecutive_numbers_spread_over_the_table() {
        // A few of the random seeds are worse, by little: a bit is set in 44 of 100 hashes.
        let spreads = (0..20).filter(|_| {
            let hasher = RandomState::default();
            let hashes: Vec<u64> =
                (0..20_000).map(|n: u32| hash(&hasher, n.to_string().as_bytes())).collect();
            // The table takes the place from the low bits, and tells entries apart by the seven highest.
            let ones = |bit: u32| hashes.iter().filter(|&&h| h >> bit & 1 == 1).count();
            (0..16).chain(57..64).all(|bit| (9_000..11_000).contains(&ones(bit)))
        });
        let count = spreads.count();
        assert!(count >= 15, "each bit is set in about half of the hashes with {count} of 20 seeds");
    }

    #[test]
    fn two_tables_hash_the_same_id_differently() {
        let [a, b] = [RandomState::default(), RandomState::default()];
        let differ =
            (0..100_u32).filter(|n| hash(&a, &n.to_le_bytes()) != hash(&b, &n.to_le_bytes())).count();
        assert!(differ > 90, "{differ} of 100 hashes differ");
    }
}

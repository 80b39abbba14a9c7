//! The vocabulary, which translates between the user's item ids (any text) and item indices.

use super::ids::IdTable;
use crate::checksum::Fingerprint;

/// Index of an item in an [`ItemVocabulary`], 0 ≤ index < number of items.
pub type ItemIndex = u32;

/// The items of a model: their ids in index order, and their support in training.
///
/// Built from the training part alone, so that nothing of the test part leaks into a model.
#[derive(Clone, Default)]
pub struct ItemVocabulary {
    ids: IdTable,
    /// Number of training events of each item.
    support: Vec<u64>,
}

impl std::fmt::Debug for ItemVocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ItemVocabulary({} items)", self.len())
    }
}

impl ItemVocabulary {
    /// An empty vocabulary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The user's id of an item.
    ///
    /// # Panics
    /// If `item` is not below [`len`](Self::len).
    pub fn id(&self, item: ItemIndex) -> &str {
        self.ids.get(item)
    }

    /// The ids in index order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.ids.iter()
    }

    /// The index of a user's id; `None` if the vocabulary does not have it.
    pub fn index_of(&self, id: &str) -> Option<ItemIndex> {
        self.ids.find(id)
    }

    /// The support of an item: its number of training events.
    ///
    /// # Panics
    /// If `item` is not below [`len`](Self::len).
    pub fn support(&self, item: ItemIndex) -> u64 {
        self.support[item as usize]
    }

    /// The support of all items, by index.
    pub fn supports(&self) -> &[u64] {
        &self.support
    }

    /// Adds `count` to the support of the item with this id, which is added to the vocabulary if it is new, and returns
    /// its index.
    ///
    /// # Panics
    /// If the vocabulary would exceed `u32::MAX` items.
    pub fn add(&mut self, id: &str, count: u64) -> ItemIndex {
        let item = self.ids.add(id);
        match self.support.get_mut(item as usize) {
            Some(support) => *support += count,
            None => self.support.push(count),
        }
        item
    }

    /// Adds `count` to the support of an item.
    ///
    /// # Panics
    /// If `item` is not below [`len`](Self::len).
    #[cfg(feature = "logs")]
    pub(crate) fn add_support(&mut self, item: ItemIndex, count: u64) {
        self.support[item as usize] += count;
    }

    /// Sets the support of every item to 0, keeping ids and indices.
    pub fn clear_support(&mut self) {
        self.support.fill(0);
    }

    /// The items in the order of popularity: by descending support, ties by index.
    pub fn by_support(&self) -> Vec<ItemIndex> {
        let mut items: Vec<ItemIndex> = (0..self.len() as ItemIndex).collect();
        items.sort_by_key(|&i| (std::cmp::Reverse(self.support[i as usize]), i));
        items
    }

    /// A fingerprint of all ids in index order: the first half of a BLAKE3 hash, as 32 hex digits. Models with the same
    /// fingerprint use the same indices for the same items.
    pub fn fingerprint(&self) -> String {
        let mut hash = Fingerprint::new();
        for id in self.ids() {
            hash.add(&(id.len() as u64).to_le_bytes());
            hash.add(id.as_bytes());
        }
        hash.digits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_indices_are_inverse_and_support_adds_up() {
        let mut v = ItemVocabulary::new();
        for id in ["b", "a", "", "b", "ä,\n", "b"] {
            v.add(id, 1);
        }
        assert_eq!(v.len(), 4);
        for i in 0..4 {
            assert_eq!(v.index_of(v.id(i)), Some(i));
        }
        assert_eq!(v.ids().collect::<Vec<_>>(), ["b", "a", "", "ä,\n"]);
        assert_eq!(v.supports(), [3, 1, 1, 1]);
        assert_eq!(v.index_of("c"), None);
        assert_eq!(v.by_support(), [0, 1, 2, 3]);
    }

    #[test]
    fn fingerprint_tells_order_and_boundaries_apart() {
        let of = |ids: &[&str]| {
            let mut v = ItemVocabulary::new();
            ids.iter().for_each(|id| _ = v.add(id, 1));
            v.fingerprint()
        };
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", "c"]), of(&["c", "ab"]));
    }
}

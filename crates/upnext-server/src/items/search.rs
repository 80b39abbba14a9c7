//! Item search by the beginnings of words in ids and titles, most popular items first.
//!
//! The index is a suffix array of word beginnings: the texts of all items are concatenated in order of popularity, and
//! the positions at which a word begins are sorted by the text that follows. The positions of a prefix are then a
//! contiguous range, and the smallest position in it belongs to the most popular item.

use super::Catalogue;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::{ControlFlow, Range};
use upnext_core::data::{ItemIndex, ItemVocabulary};

/// Positions that are examined between two calls of the observer: a millisecond with the longest query.
const POSITIONS_PER_CHECK: usize = 64;

/// The search index of a vocabulary.
#[derive(Debug)]
pub(crate) struct Search {
    /// The items, most popular first.
    items: Vec<ItemIndex>,
    /// For each item its id and its title in lower case, each followed by a line feed.
    text: String,
    /// End of each item's text in `text`.
    ends: Vec<usize>,
    /// Positions in `text` at which words begin, sorted by the text that follows.
    words: Vec<usize>,
}

impl Search {
    /// Builds the index of a model's items by id and, with a catalogue, by title.
    pub(crate) fn new(vocabulary: &ItemVocabulary, catalogue: Option<&Catalogue>) -> Self {
        let items = vocabulary.by_support();
        let (mut text, mut ends, mut words) = (String::new(), Vec::with_capacity(items.len()), Vec::new());
        for &item in &items {
            let id = vocabulary.id(item);
            let title = catalogue.and_then(|catalogue| catalogue.get(id)?.title());
            for part in std::iter::once(id).chain(title.as_deref()) {
                let start = text.len();
                text.extend(lower(part));
                words.extend(beginnings(&text[start..]).map(|at| start + at));
                text.push('\n');
            }
            ends.push(text.len());
        }
        // Only up to the next line feed: words of a query have none.
        words.sort_unstable_by(|&a, &b| line(&text, a).cmp(line(&text, b)));
        Self { items, text, ends, words }
    }

    /// The `limit` most popular items that `accept` allows and that have, for every word of the query, a word that begins
    /// with it. An empty query matches all items. `None` if `observe`, which is called repeatedly, broke off the search.
    pub(crate) fn find(
        &self,
        query: &str,
        limit: usize,
        accept: &dyn Fn(ItemIndex) -> bool,
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Option<Vec<ItemIndex>> {
        let query: String = lower(query).collect();
        let words: BTreeSet<&str> = query.split_whitespace().collect();
        let mut sought: Vec<(&str, Range<usize>)> =
            words.into_iter().map(|word| (word, self.range(word))).collect();
        // The rarest word has the fewest positions to examine.
        sought.sort_by_key(|(_, range)| range.len());
        let Some((_, rarest)) = sought.first() else {
            return self.first(limit, accept, observe);
        };
        let mut positions: BinaryHeap<Reverse<usize>> =
            self.words[rarest.clone()].iter().copied().map(Reverse).collect();
        let (mut found, mut last, mut examined) = (Vec::new(), None, 0_usize);
        while found.len() < limit {
            if examined.is_multiple_of(POSITIONS_PER_CHECK) && observe().is_break() {
                return None;
            }
            examined += 1;
            let Some(Reverse(position)) = positions.pop() else { break };
            let nth = self.ends.partition_point(|&end| end <= position);
            // An item with two matching words comes up twice in succession.
            if last.replace(nth) != Some(nth)
                && sought[1..].iter().all(|(word, _)| self.has(nth, word))
                && accept(self.items[nth])
            {
                found.push(self.items[nth]);
            }
        }
        Some(found)
    }

    /// The most popular items that `accept` allows.
    fn first(
        &self,
        limit: usize,
        accept: &dyn Fn(ItemIndex) -> bool,
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Option<Vec<ItemIndex>> {
        let mut found = Vec::new();
        for (examined, &item) in self.items.iter().enumerate() {
            if found.len() == limit {
                break;
            }
            if examined.is_multiple_of(POSITIONS_PER_CHECK) && observe().is_break() {
                return None;
            }
            if accept(item) {
                found.push(item);
            }
        }
        Some(found)
    }

    /// The range of `words` whose text begins with `prefix`.
    fn range(&self, prefix: &str) -> Range<usize> {
        let order = |&position: &usize| {
            let rest = &self.text.as_bytes()[position..];
            if rest.starts_with(prefix.as_bytes()) {
                Ordering::Equal
            } else {
                line(&self.text, position).cmp(prefix.as_bytes())
            }
        };
        let start = self.words.partition_point(|position| order(position).is_lt());
        let length = self.words[start..].partition_point(|position| order(position).is_eq());
        start..start + length
    }

    /// Whether item number `nth` has a word that begins with `word`.
    fn has(&self, nth: usize, word: &str) -> bool {
        let start = if nth == 0 { 0 } else { self.ends[nth - 1] };
        let text = &self.text[start..self.ends[nth]];
        beginnings(text).any(|at| text[at..].starts_with(word))
    }
}

/// Lower case, character by character: unlike `str::to_lowercase`, it does not depend on word ends (Greek sigma).
fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

/// The bytes from a position to the end of its line.
fn line(text: &str, position: usize) -> &[u8] {
    let rest = &text.as_bytes()[position..];
    &rest[..rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())]
}

/// Positions at which words begin: the start of the text, and every letter or digit after another character.
fn beginnings(text: &str) -> impl Iterator<Item = usize> {
    let mut inside = false;
    let mut first = true;
    text.char_indices().filter_map(move |(at, c)| {
        let is_first = std::mem::take(&mut first);
        let begins = c.is_alphanumeric() && !inside || is_first && !c.is_whitespace();
        inside = c.is_alphanumeric();
        begins.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vocabulary(items: &[(&str, u64)]) -> ItemVocabulary {
        let mut vocabulary = ItemVocabulary::new();
        items.iter().for_each(|&(id, support)| _ = vocabulary.add(id, support));
        vocabulary
    }

    fn found<'a>(search: &Search, items: &'a ItemVocabulary, query: &str, limit: usize) -> Vec<&'a str> {
        let found = search.find(query, limit, &|_| true, &mut || ControlFlow::Continue(())).unwrap();
        found.into_iter().map(|item| items.id(item)).collect()
    }

    #[test]
    fn every_word_of_the_query_begins_a_word_and_popular_items_come_first() {
        let items =
            vocabulary(&[("12", 1), ("120", 5), ("sku-12", 3), ("912", 9), ("Über Tee", 2), ("#x", 1)]);
        let search = Search::new(&items, None);
        for (query, expected) in [
            ("12", vec!["120", "sku-12", "12"]),
            ("sku-1", vec!["sku-12"]),
            ("1 SKU", vec!["sku-12"]),
            ("über", vec!["Über Tee"]),
            ("te Ü", vec!["Über Tee"]),
            ("ee", vec![]),
            ("121", vec![]),
            ("#", vec!["#x"]),
            (" ", vec!["912", "120", "sku-12", "Über Tee", "12", "#x"]),
        ] {
            assert_eq!(found(&search, &items, query, 9), expected, "{query}");
        }
        assert_eq!(found(&search, &items, "12", 2), ["120", "sku-12"]);
        let only = |query: &str| {
            let is_short = |item: ItemIndex| items.id(item).len() < 3;
            let found = search.find(query, 9, &is_short, &mut || ControlFlow::Continue(())).unwrap();
            found.into_iter().map(|item| items.id(item)).collect::<Vec<_>>()
        };
        assert_eq!((only("1"), only("")), (vec!["12"], vec!["12", "#x"]));
        assert_eq!(found(&search, &items, "", 1), ["912"]);
        assert!(found(&Search::new(&vocabulary(&[]), None), &items, "a", 5).is_empty());
    }

    #[test]
    fn titles_are_searched_too_and_an_item_is_found_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.csv");
        std::fs::write(&path, "id,title\n1,Blue cup of blue glass\n2,Cup\n3,Blue unseen\n").unwrap();
        let catalogue = Catalogue::read(&path, &crate::ServerConfig::default()).unwrap();
        let items = vocabulary(&[("1", 1), ("2", 2)]);
        let search = Search::new(&items, Some(&catalogue));
        assert_eq!(found(&search, &items, "cup", 9), ["2", "1"]);
        assert_eq!(found(&search, &items, "blu", 9), ["1"]);
        assert_eq!(found(&search, &items, "1 gl", 9), ["1"]);
    }

    #[test]
    fn a_search_ends_where_its_observer_says() {
        // Every item has both words, so that all positions of one of them are examined.
        let ids: Vec<String> = (0..10 * POSITIONS_PER_CHECK).map(|i| format!("cup-{i}-x")).collect();
        let items: Vec<(&str, u64)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        let search = Search::new(&vocabulary(&items), None);
        for (stop_at, expected) in [(usize::MAX, 11), (1, 1), (5, 5)] {
            let mut looks = 0;
            let found = search.find("cup x", usize::MAX, &|_| true, &mut || {
                looks += 1;
                if looks == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!((found.is_some(), looks), (stop_at == usize::MAX, expected));
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_plain_search_finds(
            ids in prop::collection::btree_set("[aAbß ,\n-]{0,6}", 0..12), query in "[abß ,\n-]{0,4}", limit in 0..5_usize,
        ) {
            let mut items = ItemVocabulary::new();
            ids.iter().zip((0..4).cycle()).for_each(|(id, support)| _ = items.add(id, support));
            let plain = |item: &ItemIndex| {
                let id: String = lower(items.id(*item)).collect();
                let words: Vec<&str> = beginnings(&id).map(|at| &id[at..]).collect();
                query.to_lowercase().split_whitespace().all(|word| words.iter().any(|own| own.starts_with(word)))
            };
            let expected: Vec<ItemIndex> = items.by_support().into_iter().filter(plain).take(limit).collect();
            let found = Search::new(&items, None).find(&query, limit, &|_| true, &mut || ControlFlow::Continue(()));
            prop_assert_eq!(found, Some(expected));
        }
    }
}

//! Items by the beginnings of their words, popular ones first.
//!
//! A suffix array of word beginnings: the texts of all items stand one after the other, the most popular first, and the
//! places where a word begins are sorted by what follows there. The places that follow a prefix are then a range, and
//! the smallest place in it belongs to the most popular item.

use super::Catalogue;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::{ControlFlow, Range};
use upnext_core::data::{ItemIndex, ItemVocabulary};

/// Places that are looked at between two looks at whether the answer is still wanted: a millisecond with the longest query.
const PLACES_BETWEEN_LOOKS: usize = 64;

/// What finds the items of a vocabulary.
#[derive(Debug)]
pub(crate) struct Search {
    /// The items, popular first.
    items: Vec<ItemIndex>,
    /// Per item its id and its title, in lower case, each followed by a line break.
    text: String,
    /// Where the text of each item ends.
    ends: Vec<usize>,
    /// Where words begin in `text`, sorted by what follows.
    words: Vec<usize>,
}

impl Search {
    /// Prepares the search among the items of a model, by id and, where there is a catalogue, by title.
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
        // What follows the first line break never decides: a word that is sought has none.
        words.sort_unstable_by(|&a, &b| line(&text, a).cmp(line(&text, b)));
        Self { items, text, ends, words }
    }

    /// At most `limit` items each of which has, for every word of the query, a word that begins so; the most popular
    /// first. An empty query finds all. `None` where `observe`, asked from time to time, has ended the search.
    pub(crate) fn find(
        &self,
        query: &str,
        limit: usize,
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Option<Vec<ItemIndex>> {
        let query: String = lower(query).collect();
        let words: BTreeSet<&str> = query.split_whitespace().collect();
        let mut sought: Vec<(&str, Range<usize>)> =
            words.into_iter().map(|word| (word, self.range(word))).collect();
        // The rarest word has the fewest places to look at.
        sought.sort_by_key(|(_, range)| range.len());
        let Some((_, rarest)) = sought.first() else {
            return Some(self.items.iter().take(limit).copied().collect());
        };
        let mut places: BinaryHeap<Reverse<usize>> =
            self.words[rarest.clone()].iter().copied().map(Reverse).collect();
        let (mut found, mut last, mut looked_at) = (Vec::new(), None, 0_usize);
        while found.len() < limit {
            if looked_at.is_multiple_of(PLACES_BETWEEN_LOOKS) && observe().is_break() {
                return None;
            }
            looked_at += 1;
            let Some(Reverse(place)) = places.pop() else { break };
            let nth = self.ends.partition_point(|&end| end <= place);
            // An item with two such words comes twice, one after the other.
            if last.replace(nth) != Some(nth) && sought[1..].iter().all(|(word, _)| self.has(nth, word)) {
                found.push(self.items[nth]);
            }
        }
        Some(found)
    }

    /// The range of `words` where `prefix` follows.
    fn range(&self, prefix: &str) -> Range<usize> {
        let order = |&place: &usize| {
            let rest = &self.text.as_bytes()[place..];
            if rest.starts_with(prefix.as_bytes()) {
                Ordering::Equal
            } else {
                line(&self.text, place).cmp(prefix.as_bytes())
            }
        };
        let start = self.words.partition_point(|place| order(place).is_lt());
        let length = self.words[start..].partition_point(|place| order(place).is_eq());
        start..start + length
    }

    /// Whether the nth item has a word that begins so.
    fn has(&self, nth: usize, word: &str) -> bool {
        let start = if nth == 0 { 0 } else { self.ends[nth - 1] };
        let text = &self.text[start..self.ends[nth]];
        beginnings(text).any(|at| text[at..].starts_with(word))
    }
}

/// A text in lower case, letter by letter: the same wherever a word ends, which Greek sigmas of `str` are not.
fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

/// The bytes from a place to the end of its line.
fn line(text: &str, place: usize) -> &[u8] {
    let rest = &text.as_bytes()[place..];
    &rest[..rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())]
}

/// Where a text has the beginning of a word: its own, and each letter or digit behind something else.
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
        let found = search.find(query, limit, &mut || ControlFlow::Continue(())).unwrap();
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
        // Every item has both words: all places of one of them are looked at.
        let ids: Vec<String> = (0..10 * PLACES_BETWEEN_LOOKS).map(|i| format!("cup-{i}-x")).collect();
        let items: Vec<(&str, u64)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        let search = Search::new(&vocabulary(&items), None);
        for (stop_at, expected) in [(usize::MAX, 11), (1, 1), (5, 5)] {
            let mut looks = 0;
            let found = search.find("cup x", usize::MAX, &mut || {
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
            let found = Search::new(&items, None).find(&query, limit, &mut || ControlFlow::Continue(()));
            prop_assert_eq!(found, Some(expected));
        }
    }
}

//! Lists of items in one field, such as `['B09W9FND7K' 'B09JSPLN1M']`, `[1, 2, 3]` or `N1 N2 N3`.

use std::collections::BTreeSet;

/// The elements of a list. In brackets they are separated by white space or punctuation; else by white space, or by the
/// commas, semicolons or bars of a list without any. Within quotation marks nothing separates, and the marks do not count.
pub(super) fn elements(text: &[u8]) -> Elements<'_> {
    let text = text.trim_ascii();
    let is_bracketed = matches!(text, [b'[' | b'{' | b'(', .., b']' | b'}' | b')']);
    let has_spaces = text.iter().any(u8::is_ascii_whitespace);
    let between: &[u8] = match (is_bracketed, has_spaces) {
        (true, _) => b"[](){}<>,;| \t\n\r\x0c",
        (false, true) => b" \t\n\r\x0c",
        (false, false) => b",;|",
    };
    Elements { rest: text, between, has_quotes: is_bracketed }
}

/// The elements of a list that are left.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    between: &'static [u8],
    has_quotes: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|byte| !self.between.contains(byte))?;
        let text = &self.rest[start..];
        if let [quote @ (b'"' | b'\''), quoted @ ..] = text
            && self.has_quotes
            && let Some(end) = closing(quoted, *quote, self.between)
        {
            self.rest = &quoted[end + 1..];
            return Some(&quoted[..end]);
        }
        let end = text.iter().position(|byte| self.between.contains(byte)).unwrap_or(text.len());
        self.rest = &text[end..];
        Some(&text[..end])
    }
}

/// The place of the quotation mark that closes an element: one with a separator, or nothing, behind it.
fn closing(text: &[u8], quote: u8, between: &[u8]) -> Option<usize> {
    let closes = |at: &usize| {
        text[*at] == quote && text.get(at + 1).is_none_or(|next| between.contains(next) || *next == quote)
    };
    (0..text.len()).find(closes)
}

/// Whether values are lists: most of them in brackets, or most of several ids without letters in lower case. Ids with spaces
/// in them have that form as well; but all of them have as many parts, and what is first in one is not last in another.
pub(super) fn are_lists<'v>(values: impl Iterator<Item = &'v str>) -> bool {
    let (mut all, mut bracketed) = (0, 0);
    let mut lengths: Vec<usize> = Vec::new();
    let (mut first, mut last) = (BTreeSet::new(), BTreeSet::new());
    for value in values {
        all += 1;
        bracketed += usize::from(value.starts_with('[') && value.ends_with(']'));
        let is_id =
            |word: &[u8]| word.iter().any(u8::is_ascii_digit) && !word.iter().any(u8::is_ascii_lowercase);
        let words: Vec<&[u8]> = elements(value.as_bytes()).collect();
        if words.iter().all(|word| is_id(word)) {
            lengths.push(words.len());
            first.extend(words.first().copied());
            last.extend(words.last().copied().filter(|_| words.len() > 1));
        }
    }
    let several = lengths.iter().filter(|length| **length > 1).count();
    lengths.sort_unstable();
    let most = lengths.chunk_by(|a, b| a == b).map(<[usize]>::len).max().unwrap_or(0);
    let is_one_set = last.len() > 2 && 2 * first.intersection(&last).count() > last.len();
    all > 0 && (bracketed * 10 >= all * 9 || (several * 2 > all && (most * 10 < all * 9 || is_one_set)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        elements(text.as_bytes()).map(|element| std::str::from_utf8(element).unwrap()).collect()
    }

    #[test]
    fn lists_of_public_logs_are_split() {
        assert_eq!(split("['B09W9FND7K' 'B09JSPLN1M'\n 'B1']"), ["B09W9FND7K", "B09JSPLN1M", "B1"]);
        assert_eq!(split("[1, 2, 3]"), ["1", "2", "3"]);
        assert_eq!(split(r#"["Blue Shirt", "Red Hat"]"#), ["Blue Shirt", "Red Hat"]);
        assert_eq!(split("['it''s' \"a, b\"]"), ["it", "s", "a, b"]);
        assert_eq!(split("{7,8}"), ["7", "8"]);
        assert_eq!(split("7|8;9"), ["7", "8", "9"]);
        assert_eq!(split("['open, 2]"), ["'open", "2"]);
        assert_eq!(split("N29 N30"), ["N29", "N30"]);
        assert_eq!(split("N29,1 N30"), ["N29,1", "N30"]);
        assert_eq!(split("[]"), [""; 0]);
    }

    #[test]
    fn ids_are_no_lists_and_titles_are_none() {
        assert!(are_lists(["[1,2]", "[3]"].into_iter()));
        assert!(are_lists(["N29 N30", "N3 N4", "N5"].into_iter()));
        assert!(are_lists(["N1 N2", "N2 N3", "N3 N1", "N1 N3"].into_iter()));
        assert!(are_lists(["10;11;12", "10;12", "10;13;10"].into_iter()));
        assert!(!are_lists(["A10 42", "AB11 43", "A7 42"].into_iter()), "ids with a space");
        assert!(!are_lists(["978 3 16 148410 0", "978 3 16 148411 9"].into_iter()));
        assert!(!are_lists(["29", "30"].into_iter()));
        assert!(!are_lists(["00029,2", "00034,1"].into_iter()));
        assert!(!are_lists(["Schuh 29", "Hemd 30"].into_iter()));
        assert!(!are_lists(std::iter::empty()));
    }
}

//! Lists of items in one field, such as `['B09W9FND7K' 'B09JSPLN1M']`, `[1, 2, 3]` or `N1 N2 N3`.

/// The elements of a list. In brackets they are separated by white space or punctuation, and quotation marks around them do
/// not count; else they are separated by white space.
pub(super) fn elements(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let has_brackets = text.trim_ascii_start().first() == Some(&b'[');
    let is_between =
        move |byte: &u8| byte.is_ascii_whitespace() || (has_brackets && b"[](){}<>,;|'\"".contains(byte));
    text.split(is_between).filter(|element| !element.is_empty())
}

/// Whether values are lists: most of them in brackets, or most of several words without letters in lower case, as ids
/// have them.
pub(super) fn are_lists<'v>(values: impl Iterator<Item = &'v str>) -> bool {
    let (mut all, mut bracketed, mut many) = (0, 0, 0);
    for value in values {
        all += 1;
        bracketed += usize::from(value.starts_with('[') && value.ends_with(']'));
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        let is_id = |word: &str| {
            word.bytes().any(|b| b.is_ascii_digit()) && !word.bytes().any(|b| b.is_ascii_lowercase())
        };
        many += usize::from(words.clone().count() > 1 && words.all(is_id));
    }
    all > 0 && (bracketed * 10 >= all * 9 || many * 2 > all)
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
        assert_eq!(split("N29 N30"), ["N29", "N30"]);
        assert_eq!(split("N29,1 N30"), ["N29,1", "N30"]);
        assert_eq!(split("[]"), [""; 0]);
    }

    #[test]
    fn ids_are_no_lists_and_titles_are_none() {
        assert!(are_lists(["[1,2]", "[3]"].into_iter()));
        assert!(are_lists(["N29 N30", "N3 N4", "N5"].into_iter()));
        assert!(!are_lists(["29", "30"].into_iter()));
        assert!(!are_lists(["00029,2", "00034,1"].into_iter()));
        assert!(!are_lists(["Schuh 29", "Hemd 30"].into_iter()));
        assert!(!are_lists(std::iter::empty()));
    }
}

//! Short texts as words, and rare words as parts of three characters.

/// Number of features that the parts of rare words share, by their hash.
pub(super) const PARTS: u32 = 4096;

/// Characters of a part.
const PART: usize = 3;

/// The words of a text: runs of letters and digits, in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The parts of a word, with a mark at its begin and its end: those of `cup` are `<cu`, `cup` and `up>`. Each is the number of a
/// feature below [`PARTS`].
pub(super) fn parts(word: &str) -> Vec<u32> {
    let characters: Vec<char> = std::iter::once('<').chain(word.chars()).chain(['>']).collect();
    let mut parts: Vec<u32> = characters
        .windows(PART.min(characters.len()))
        .map(|part| crc32fast::hash(part.iter().collect::<String>().as_bytes()) % PARTS)
        .collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits_of_any_script() {
        assert_eq!(
            words("Blue CUP, 0.5 l – Größe").collect::<Vec<_>>(),
            ["blue", "cup", "0", "5", "l", "größe"]
        );
        assert_eq!(words(" -–- ").count(), 0);
    }

    #[test]
    fn similar_words_share_parts() {
        let shared = |a: &str, b: &str| parts(a).iter().filter(|part| parts(b).contains(part)).count();
        assert_eq!(parts("a").len(), 1);
        assert_eq!(shared("kaffeetasse", "kaffeetassen"), 10);
        assert_eq!(shared("kaffee", "brot"), 0);
    }
}

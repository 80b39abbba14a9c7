//! The text of an id in a field: without white space around it, and whole numbers without a fraction.

/// The id in a field of a table of items, by the rules for logs.
pub(super) fn in_table(field: &[u8]) -> &[u8] {
    whole(trimmed(field))
}

/// A field without white space around it, the spaces of other scripts and the invisible ones of spreadsheets and web pages
/// included.
pub(super) fn trimmed(field: &[u8]) -> &[u8] {
    let text = field.trim_ascii();
    let is_plain = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii);
    if is_plain(text.first()) && is_plain(text.last()) {
        return text;
    }
    std::str::from_utf8(text).map_or(text, |text| text.trim_matches(is_space).as_bytes())
}

/// Whether a character at the end of a field is no part of an id, besides the white space of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// A number with a fraction of zeros without the fraction, and any other text as it is.
pub(super) fn whole(text: &[u8]) -> &[u8] {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    match &digits[whole..] {
        [b'.', zeros @ ..] if whole > 0 && !zeros.is_empty() && zeros.iter().all(|&byte| byte == b'0') => {
            &text[..text.len() - zeros.len() - 1]
        }
        _ => text,
    }
}

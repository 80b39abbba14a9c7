//! The tokens of JSON in one object's text.
//!
//! Wider than RFC 8259 in two ways, for files that exist: `NaN`, `Infinity` and `-Infinity`, which Python writes, are
//! scalars, and strings may contain control characters.

use super::MAX_DEPTH;
use std::borrow::Cow;
use std::ops::Range;

/// What is wrong with a text; positions are not given, since an object is mostly a line.
pub(super) type Result<T> = std::result::Result<T, String>;

/// A position in a text.
#[derive(Clone)]
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

/// A string as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    /// The bytes between the quotation marks.
    pub(super) range: Range<usize>,
    pub(super) has_escapes: bool,
}

/// The first token of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The value is an object, whose fields follow.
    Object,
    /// The value is an array, whose elements follow.
    Array,
    String(Raw),
    /// A number, `true` or `false`, or Python's `NaN` and infinities: the bytes of the text.
    Scalar(Range<usize>),
    Null,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    /// Skips white space and returns the next byte.
    #[inline]
    pub(super) fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Skips white space and takes `wanted`.
    #[inline]
    pub(super) fn take(&mut self, wanted: u8) -> Result<()> {
        if self.next_byte() == Some(wanted) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected(&format!("`{}`", char::from(wanted))))
    }

    /// Skips white space and takes `wanted` if it is next.
    #[inline]
    pub(super) fn takes(&mut self, wanted: u8) -> bool {
        let is_next = self.next_byte() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    /// The error of finding something else than `wanted`.
    pub(super) fn unexpected(&self, wanted: &str) -> String {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => {
                format!("byte {}: `{}` where {wanted} should be", self.at + 1, found.escape_debug())
            }
            None => format!("it ends where {wanted} should be"),
        }
    }

    /// Checks that nothing follows.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the object")),
        }
    }

    /// The first token of the next value.
    #[inline]
    pub(super) fn token(&mut self) -> Result<Token> {
        let start = match self.next_byte() {
            Some(b'"') => return Ok(Token::String(self.string()?)),
            Some(b'{') => {
                self.at += 1;
                return Ok(Token::Object);
            }
            Some(b'[') => {
                self.at += 1;
                return Ok(Token::Array);
            }
            _ => self.at,
        };
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')) {
            self.at += 1;
        }
        match &self.bytes()[start..self.at] {
            b"null" => Ok(Token::Null),
            b"true" | b"false" | b"NaN" | b"Infinity" | b"-Infinity" => Ok(Token::Scalar(start..self.at)),
            word if is_number(word) => Ok(Token::Scalar(start..self.at)),
            _ => {
                self.at = start;
                Err(self.unexpected("a value"))
            }
        }
    }

    /// Takes a string, whose quotation mark is next.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Raw> {
        self.take(b'"')?;
        let (start, bytes) = (self.at, self.bytes());
        let mut has_escapes = false;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Raw { range: start..self.at - 1, has_escapes });
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
                None => {
                    self.at = start - 1;
                    return Err(format!("the string at byte {start} does not end"));
                }
            }
        }
    }

    /// The key of the next field of an object, or `None` at its end. `first`: no comma comes before it.
    #[inline]
    pub(super) fn key(&mut self, first: bool) -> Result<Option<Raw>> {
        if self.takes(b'}') {
            return Ok(None);
        }
        if !first {
            self.take(b',')?;
        }
        if self.next_byte() != Some(b'"') {
            return Err(self.unexpected("a key in quotation marks"));
        }
        let key = self.string()?;
        self.take(b':')?;
        Ok(Some(key))
    }

    /// Whether an array has another element. `first`: no comma comes before it.
    #[inline]
    pub(super) fn element(&mut self, first: bool) -> Result<bool> {
        if self.takes(b']') {
            return Ok(false);
        }
        if !first {
            self.take(b',')?;
        }
        Ok(true)
    }

    /// Skips the value that begins with `token`, which is `depth` levels deep. Returns its first scalar that is not null.
    pub(super) fn skip(&mut self, token: Token, depth: usize) -> Result<Option<Token>> {
        deep(depth)?;
        let mut found = None;
        match token {
            Token::Null => {}
            Token::String(_) | Token::Scalar(_) => found = Some(token),
            Token::Object => {
                let mut first = true;
                while self.key(first)?.is_some() {
                    first = false;
                    let token = self.token()?;
                    let scalar = self.skip(token, depth + 1)?;
                    found = found.or(scalar);
                }
            }
            Token::Array => {
                let mut first = true;
                while self.element(first)? {
                    first = false;
                    let token = self.token()?;
                    let scalar = self.skip(token, depth + 1)?;
                    found = found.or(scalar);
                }
            }
        }
        Ok(found)
    }

    /// The text of a string.
    pub(super) fn unescaped(&self, raw: &Raw) -> Result<Cow<'a, str>> {
        let text = &self.text[raw.range.clone()];
        if raw.has_escapes { unescape(text).map(Cow::Owned) } else { Ok(Cow::Borrowed(text)) }
    }
}

/// Checks the number of levels.
pub(super) fn deep(depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(format!("it has more than {MAX_DEPTH} levels of objects and arrays"));
    }
    Ok(())
}

/// Replaces the escapes in a string.
fn unescape(text: &str) -> Result<String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        let escape = chars.next();
        rest = chars.as_str();
        result.push(match escape {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (c, after) = unicode(rest).ok_or("an escape `\\u` is no character")?;
                rest = after;
                c
            }
            _ => return Err("an escape `\\` without a known letter".to_owned()),
        });
    }
    result.push_str(rest);
    Ok(result)
}

/// The character of the four hexadecimal digits at the beginning of `text`, or of eight for a surrogate pair, and what follows.
fn unicode(text: &str) -> Option<(char, &str)> {
    let digits = |text: &str| {
        let digits = text.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let first = digits(text)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, &text[4..]));
    }
    let second = text[4..].strip_prefix("\\u").and_then(digits).filter(|c| (0xdc00..0xe000).contains(c))?;
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, &text[10..]))
}

/// Whether a word is a number of RFC 8259.
#[inline]
fn is_number(word: &[u8]) -> bool {
    fn digits(text: &[u8]) -> (usize, &[u8]) {
        let n = text.iter().take_while(|b| b.is_ascii_digit()).count();
        (n, &text[n..])
    }
    let text = word.strip_prefix(b"-").unwrap_or(word);
    let (n, mut rest) = digits(text);
    if n == 0 || (n > 1 && text[0] == b'0') {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let (n, after) = digits(fraction);
        if n == 0 {
            return false;
        }
        rest = after;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent =
            exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
        let (n, after) = digits(exponent);
        return n > 0 && after.is_empty();
    }
    rest.is_empty()
}

/// Whether a text is one value and nothing else.
pub(super) fn is_value(text: &[u8]) -> bool {
    let whole = |text| {
        let mut lexer = Lexer::new(text);
        let token = lexer.token()?;
        lexer.skip(token, 1)?;
        lexer.end()
    };
    std::str::from_utf8(text).is_ok_and(|text| whole(text).is_ok())
}

/// Whether a text that may be cut off begins with `[` and an element that is a value.
pub(super) fn begins_array(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    let mut lexer = Lexer::new(text);
    let element = |lexer: &mut Lexer<'_>| {
        lexer.take(b'[')?;
        let token = lexer.token()?;
        // An array or object in the array may be longer than this beginning of the text.
        if matches!(token, Token::Array | Token::Object) {
            return Ok(true);
        }
        Ok::<_, String>(matches!(lexer.next_byte(), Some(b',' | b']')))
    };
    element(&mut lexer).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_standard() {
        for number in ["0", "-0", "10", "1.5", "1e5", "1E+5", "-1.25e-3", "123456789012345678901234567890"] {
            assert!(is_number(number.as_bytes()), "{number}");
        }
        for other in ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "1-2", "0x1", "1.5.2", "--1", "e5"] {
            assert!(!is_number(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn escapes_are_replaced_and_halves_of_pairs_are_errors() {
        assert_eq!(unescape(r#"a\"b\\c\/\n\t\u00e9\ud83d\ude00é"#).unwrap(), "a\"b\\c/\n\té😀é");
        for bad in [r"\x", r"\u12", r"\ud83d", r"\ud83dA", r"\ud83dA", r"\ude00", r"\u+123", "\\uéé"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_whole_values_are_values() {
        for value in [
            "{}",
            "[]",
            " {\"a\": [1, {\"b\": null}], \"c\": \"\\\"}\"} ",
            "1",
            "NaN",
            "-Infinity",
            "\"a\tb\"",
        ] {
            assert!(is_value(value.as_bytes()), "{value}");
        }
        for other in [
            "",
            "{",
            "{]",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{\"a\":1} 2",
            "nul",
            "{a:1}",
            "\"",
            "\"\\",
        ] {
            assert!(!is_value(other.as_bytes()), "{other}");
        }
        let deep = |levels: usize| [b"[".repeat(levels), b"]".repeat(levels)].concat();
        assert!(
            is_value(&deep(MAX_DEPTH)) && !is_value(&deep(MAX_DEPTH + 1)) && !is_value(&b"[".repeat(1 << 20))
        );
    }
}

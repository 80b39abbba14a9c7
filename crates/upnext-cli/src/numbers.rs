//! Parsers of numbers in arguments, with messages for people: clap's own name Rust's types.

use std::fmt::Display;

/// The most digits of a number in a suggestion.
const DIGITS: usize = 20;

/// Parses a whole number of 0 or more.
pub(crate) fn zero_or_more<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    within(text, 0, u64::MAX)
}

/// Parses a whole number of 1 or more.
pub(crate) fn one_or_more<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    within(text, 1, u64::MAX)
}

/// Parses a whole number of 2 or more.
pub(crate) fn two_or_more<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    within(text, 2, u64::MAX)
}

/// Parses a seed: a whole number of 0 or more, below 2⁶³, which is the range of TOML's integers.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    within(text, 0, (1 << 63) - 1)
}

/// Parses a whole number from `least` to `most`, at most the largest of its type.
pub(crate) fn within<T: TryFrom<u64>>(text: &str, least: u64, most: u64) -> Result<T, String> {
    let text = text.trim();
    // `parse` accepts a plus sign, too.
    let number = text.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let range = if most == u64::MAX {
            format!("a whole number of {least} or more")
        } else {
            format!("a whole number from {least} to {most}")
        };
        let in_digits = in_digits(text).map(|digits| format!(": write {digits}")).unwrap_or_default();
        let is_whole = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let is_too_large = is_whole && text.parse::<u64>().map_or(true, |number| number >= least);
        let too_large = if is_too_large { " (it is too large)" } else { "" };
        refusal(&range, format!("{text}`{too_large}{in_digits}"))
    })
}

/// Parses a number above 0, which may have decimals.
pub(crate) fn above_zero(text: &str) -> Result<f64, String> {
    number(text, |number| number > 0.0, "a number above 0, such as 10 or 0.5")
}

/// Parses a share: a number from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    number(text, |number| (0.0..=1.0).contains(&number), "a number from 0 to 1, such as 0.1")
}

fn number(text: &str, is_valid: impl Fn(f64) -> bool, range: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && is_valid(*number));
    number.ok_or_else(|| refusal(range, format!("{}`", text.trim())))
}

fn refusal(range: &str, not: impl Display) -> String {
    format!("must be {range}, not `{not}")
}

/// The digits of a whole number that is written in another way, such as 1e3, 1_000, 1,000 or 1000.0.
fn in_digits(text: &str) -> Option<String> {
    if text.chars().all(|c| c.is_ascii_digit() || c == '-') {
        return None;
    }
    let number: f64 = text.replace(['_', ',', '\''], "").parse().ok()?;
    (number.is_finite() && number >= 0.0 && number.fract() == 0.0)
        .then(|| format!("{number:.0}"))
        .filter(|digits| digits.len() <= DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_with_what_to_write() {
        for (text, message) in [
            ("0", "must be a whole number of 1 or more, not `0`"),
            ("x", "must be a whole number of 1 or more, not `x`"),
            ("", "must be a whole number of 1 or more, not ``"),
            ("-1", "must be a whole number of 1 or more, not `-1`"),
            ("1.5", "must be a whole number of 1 or more, not `1.5`"),
            ("1e3", "must be a whole number of 1 or more, not `1e3`: write 1000"),
            ("10,000", "must be a whole number of 1 or more, not `10,000`: write 10000"),
        ] {
            assert_eq!(one_or_more::<usize>(text), Err(message.to_owned()), "{text}");
        }
        assert_eq!(seed("9223372036854775807"), Ok(i64::MAX as u64));
        assert!(seed("9223372036854775808").unwrap_err().contains("(it is too large)"));
        assert_eq!(one_or_more::<usize>("12"), Ok(12));
        assert_eq!(zero_or_more::<u64>("0"), Ok(0));
        assert!(within::<u8>("300", 1, 1000).is_err());
        assert_eq!(above_zero("0.5"), Ok(0.5));
        for text in ["0", "-1", "nan", "inf", "x"] {
            assert!(above_zero(text).unwrap_err().contains("a number above 0"), "{text}");
        }
        assert_eq!((share("0"), share("1")), (Ok(0.0), Ok(1.0)));
        assert_eq!(share("1.1"), Err("must be a number from 0 to 1, such as 0.1, not `1.1`".to_owned()));
    }
}

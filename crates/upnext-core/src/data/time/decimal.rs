//! Decimal numbers in texts.

/// Parses a finite decimal number, with an optional fraction and exponent.
pub(crate) fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    // Rust also reads "inf", "nan" and "infinity" as numbers.
    let numeric = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|v: &f64| numeric && v.is_finite())
}

/// Parses a decimal number and multiplies it by 10^`scale`. Returns the product rounded to a whole number, and what the
/// product exceeds that number by, in thousandths (−500..=500). `None` if the text is not a number or too large.
pub(super) fn decimal(text: &[u8], scale: u32) -> Option<(i64, i16)> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (mut value, mut fraction, mut seen_point, mut seen_digit, mut beyond) =
        (0_i64, 0, false, false, 0_i16);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                seen_digit = true;
                let digit = byte - b'0';
                if seen_point && fraction >= scale {
                    // Three digits beyond the scale, of which the first decides the rounding.
                    let place = [100, 10, 1].get((fraction - scale) as usize).unwrap_or(&0);
                    beyond += i16::from(digit) * place;
                    fraction += 1;
                    continue;
                }
                value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
                fraction += u32::from(seen_point);
            }
            b'.' if !seen_point => seen_point = true,
            b'e' | b'E' if seen_digit => return rounded(number(text)? * 10_f64.powi(scale as i32)),
            _ => return None,
        }
    }
    if !seen_digit {
        return None;
    }
    let round_up = beyond >= 500;
    let value =
        value.checked_mul(10_i64.pow(scale - fraction.min(scale)))?.checked_add(i64::from(round_up))?;
    let place = if round_up { beyond - 1000 } else { beyond };
    Some(if negative { (-value, -place) } else { (value, place) })
}

/// A number rounded to a whole one, and what it exceeds that by, in thousandths (−500..=500); `None` if it is not finite or
/// too large.
pub(super) fn rounded(value: f64) -> Option<(i64, i16)> {
    let whole = value.round();
    // The conversion from floating point clips.
    (value.abs() < 9.2e18).then_some((whole as i64, ((value - whole) * 1000.0) as i16))
}

/// A number multiplied and rounded, as [`rounded`]. The place is that of the exact product, which has more digits than
/// a floating-point number: seconds of today have steps of 238 ns. It is 0 for the number that is nearest to a whole
/// product, as it is meant.
#[cfg(feature = "logs")]
pub(super) fn scaled(value: f64, factor: i64) -> Option<(i64, i16)> {
    let (product, _) = rounded(value * factor as f64)?;
    if product as f64 / factor as f64 == value {
        return Some((product, 0));
    }
    let whole = value.trunc();
    let beyond =
        (value - whole) * factor as f64 - product.wrapping_sub((whole as i64).wrapping_mul(factor)) as f64;
    Some((product, (beyond * 1000.0) as i16))
}

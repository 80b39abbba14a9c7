//! Reads the ids of a log as they stand in files: white space around them is removed, markers of missing values are
//! recognised, and whole numbers with a fraction (`39.0`) are integers (`39`).

use super::id_text::{trimmed, whole};
use super::options::ReadOptions;

/// Texts that stand for a missing value in the files of databases, pandas, R, spreadsheets and web analytics.
pub const NULL_MARKERS: [&str; 21] = [
    "NULL",
    "null",
    "Null",
    "(null)",
    "<null>",
    "nil",
    "\\N",
    "None",
    "nan",
    "NaN",
    "NAN",
    "-nan",
    "NA",
    "<NA>",
    "N/A",
    "n/a",
    "#N/A",
    "#NULL!",
    "NaT",
    "(not set)",
    "undefined",
];

/// Whole numbers of more digits may have been rounded in floating point.
const FLOAT_DIGITS: usize = 16;

/// The length of the longest of [`NULL_MARKERS`] in bytes.
const LONGEST_MARKER: usize = 9;

/// The rules by which ids are read.
#[derive(Clone, Debug)]
pub(super) struct IdRules {
    /// Whether [`NULL_MARKERS`] are missing values.
    has_markers: bool,
    /// Other texts that stand for a missing value.
    nulls: Vec<Vec<u8>>,
    /// Whether ids are taken as they are.
    is_exact: bool,
}

/// What was changed in the ids of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Ids with white space around them.
    pub(super) trimmed: u64,
    /// Whole numbers with a fraction.
    pub(super) floats: u64,
    /// Integers without a fraction, `-1` included.
    pub(super) integers: u64,
    /// Ids that are `-1`.
    pub(super) minus_ones: u64,
    /// Numbers in scientific notation, such as `1.23457E+17`, and whole ones with a fraction and more digits than floating
    /// point keeps.
    pub(super) scientific: u64,
}

impl IdRules {
    /// The rules for ids that `upnext` wrote: they are taken as they are.
    pub(super) fn exact() -> Self {
        Self { has_markers: false, nulls: Vec::new(), is_exact: true }
    }

    pub(super) fn new(options: &ReadOptions) -> Self {
        let nulls = options.nulls.iter().map(|text| whole(trimmed(text.as_bytes())).to_vec());
        Self { has_markers: !options.keep_null_ids, nulls: nulls.collect(), is_exact: false }
    }

    /// The id in a field; `None` if it is missing.
    pub(super) fn id<'a>(&self, field: &'a [u8], changes: &mut Changes) -> Option<&'a [u8]> {
        if self.is_exact {
            return Some(field).filter(|id| !id.is_empty());
        }
        // Most ids are numbers as they stand.
        if self.nulls.is_empty() && !field.is_empty() && field.iter().all(u8::is_ascii_digit) {
            changes.integers += 1;
            return Some(field);
        }
        let id = trimmed(field);
        changes.trimmed += u64::from(id.len() != field.len());
        let first = id.first()?;
        if !first.is_ascii_digit() && *first != b'-' {
            return Some(id).filter(|id| !self.is_null(id));
        }
        let written = id;
        let id = whole(written);
        if self.is_null(id) {
            return None;
        }
        if id.len() < written.len() {
            changes.floats += 1;
            changes.scientific += u64::from(id.len() > FLOAT_DIGITS);
        } else if id[1..].iter().all(u8::is_ascii_digit) && id != b"-" {
            changes.integers += 1;
        } else {
            changes.scientific += u64::from(is_scientific(id));
        }
        changes.minus_ones += u64::from(id == b"-1");
        Some(id)
    }

    /// Whether a text without white space around it stands for a missing value.
    fn is_null(&self, id: &[u8]) -> bool {
        (self.has_markers
            && id.len() <= LONGEST_MARKER
            && !id[0].is_ascii_digit()
            && NULL_MARKERS.iter().any(|marker| marker.as_bytes() == id))
            || self.nulls.iter().any(|null| null == id)
    }
}

/// Whether a number is in the scientific notation of spreadsheets, such as `1.23457E+17`, which may have lost digits.
fn is_scientific(id: &[u8]) -> bool {
    let Some(at) = id.iter().position(|byte| matches!(byte, b'E' | b'e')) else { return false };
    let mantissa = &id[..at];
    mantissa.contains(&b'.')
        && mantissa.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
        && matches!(&id[at + 1..], [b'+', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// Whether a text without white space around it is empty or one of [`NULL_MARKERS`].
pub(super) fn is_null(text: &[u8]) -> bool {
    text.is_empty() || NULL_MARKERS.iter().any(|marker| marker.as_bytes() == text)
}

impl Changes {
    /// Warnings about the ids of a column, which messages call `column`.
    pub(super) fn warnings(&self, column: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.trimmed > 0 {
            warnings.push(format!("{column}: white space around {} ids was removed", self.trimmed));
        }
        if self.floats > 0 && self.integers > 0 {
            warnings.push(format!(
                "{column}: {} ids are written with a fraction (39.0) and {} without (39): both are read as the same integer",
                self.floats, self.integers
            ));
        }
        if self.scientific > 0 {
            warnings.push(format!(
                "{column}: {} ids are numbers that lost digits, in scientific notation (1.23457E+17) or in floating point: different ids may have become one; write the column as text or as whole numbers",
                self.scientific
            ));
        }
        if self.minus_ones > 0 {
            warnings.push(format!(
                "{column}: {} ids are -1, which often stands for a missing value: if it does, set `null` to -1",
                self.minus_ones
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(field: &str) -> Option<String> {
        let id =
            IdRules::new(&ReadOptions::default()).id(field.as_bytes(), &mut Changes::default())?.to_vec();
        Some(String::from_utf8(id).unwrap())
    }

    #[test]
    fn whole_floats_are_integers_and_other_texts_stay_as_they_are() {
        for (field, id) in [
            ("39.0", "39"),
            ("39.00", "39"),
            ("-1.0", "-1"),
            (" 39 ", "39"),
            ("\t39\r", "39"),
            ("39\u{a0}", "39"),
            ("\u{200b}a b\u{3000}", "a b"),
            ("0.0", "0"),
            ("007", "007"),
            ("39.5", "39.5"),
            ("39.", "39."),
            (".0", ".0"),
            ("-.0", "-.0"),
            ("1.0.0", "1.0.0"),
            ("v1.0", "v1.0"),
            ("1e5", "1e5"),
            ("-", "-"),
            ("a b", "a b"),
            ("none", "none"),
            ("Nancy", "Nancy"),
        ] {
            assert_eq!(read(field).as_deref(), Some(id), "{field:?}");
        }
    }

    #[test]
    fn markers_are_missing_unless_they_are_ids() {
        assert!(NULL_MARKERS.iter().all(|marker| marker.len() <= LONGEST_MARKER));
        for marker in NULL_MARKERS.iter().chain(&["", "  ", " NULL "]) {
            assert_eq!(read(marker), None, "{marker:?}");
        }
        let mut options = ReadOptions::default();
        (options.keep_null_ids, options.nulls) = (true, vec!["-1".to_owned(), " gone".to_owned()]);
        let rules = IdRules::new(&options);
        for (field, id) in [
            ("None", Some("None")),
            ("", None),
            ("-1", None),
            ("-1.0", None),
            ("gone ", None),
            ("1", Some("1")),
        ] {
            let id = id.map(str::as_bytes);
            assert_eq!(rules.id(field.as_bytes(), &mut Changes::default()), id, "{field:?}");
        }
    }

    #[test]
    fn every_change_is_counted_and_named() {
        let rules = IdRules::new(&ReadOptions::default());
        let mut changes = Changes::default();
        for field in ["39.0", "39", " 7", "-1", "-1.0", "x", "NULL", "1.23457E+17", "1e5"] {
            rules.id(field.as_bytes(), &mut changes);
        }
        let expected = Changes { trimmed: 1, floats: 2, integers: 3, minus_ones: 2, scientific: 1 };
        assert_eq!(changes, expected);
        let warnings = changes.warnings("column 2 (item)");
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert!(warnings.iter().all(|w| w.starts_with("column 2 (item): ")), "{warnings:?}");
        assert!(Changes { integers: 5, ..Changes::default() }.warnings("").is_empty());
    }

    proptest! {
        #[test]
        fn an_id_that_was_read_is_read_as_itself(field in "[ \\t0-9.a-zN-]{0,8}") {
            if let Some(id) = read(&field) {
                prop_assert_eq!(read(&id), Some(id.clone()));
                prop_assert_eq!(id.trim(), &id);
            }
        }
    }
}

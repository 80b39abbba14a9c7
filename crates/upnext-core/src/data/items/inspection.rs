//! Infers the type of a column of texts, and converts its values.

use super::column::{Lists, Texts, Values, Vectors};
use super::options::ColumnType;
use crate::data::ids::IdTable;
use crate::data::names::shortened;

/// A column is one of categories if each distinct value occurs in at least this many rows on average.
const ROWS_PER_CATEGORY: usize = 4;
/// A character is a list separator only if at least one in this many values has it.
const VALUES_PER_LIST: usize = 10;
/// The list separators that are tried if none is given.
const SEPARATORS: [char; 2] = ['|', ';'];

/// How a column of texts is read.
pub(super) struct Reading {
    /// The requested type.
    pub(super) wanted: Option<ColumnType>,
    /// The requested separator of lists.
    pub(super) separator: Option<char>,
    /// Whether texts may be inferred to be numbers or vectors: so in text files, but not in Parquet columns of type
    /// text.
    pub(super) untyped: bool,
}

/// Converts texts to the requested type, or to the inferred one. An error has the row of an invalid value, and what is
/// wrong with it.
pub(super) fn typed(texts: Texts, reading: &Reading) -> Result<Values, (usize, String)> {
    let separator = || reading.separator.or_else(|| plain_separator(&texts));
    match reading.wanted {
        Some(ColumnType::Text) => Ok(Values::Text(texts)),
        Some(ColumnType::Number) => numbers(&texts),
        Some(ColumnType::Categories) => Ok(categories(&texts, separator())),
        Some(ColumnType::Vector) => vectors(&texts),
        None => {
            if texts.present().next().is_none() {
                return Ok(Values::Text(texts));
            }
            if reading.untyped && texts.present().all(|(_, text)| number(text).is_some()) {
                return numbers(&texts);
            }
            if reading.untyped && are_vectors(&texts) {
                return vectors(&texts);
            }
            let separator = separator().filter(|&s| texts.present().any(|(_, text)| text.contains(s)));
            if separator.is_some() || are_truth_values(&texts) || are_few(&texts) {
                return Ok(categories(&texts, separator));
            }
            Ok(Values::Text(texts))
        }
    }
}

/// Parses a finite number.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn numbers(texts: &Texts) -> Result<Values, (usize, String)> {
    let mut numbers = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        let text = texts.get(row);
        numbers.push(if text.is_empty() {
            f64::NAN
        } else {
            number(text).ok_or_else(|| {
                let text = shortened(text);
                (
                    row,
                    format!(
                        "`{text}` is no finite number: correct it, leave it empty, or read the column as text"
                    ),
                )
            })?
        });
    }
    Ok(Values::Number(numbers))
}

/// Parses the numbers of a vector, in brackets or without; `None` if they are not numbers.
fn vector_of(text: &str, into: &mut Vec<f32>) -> Option<()> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    into.clear();
    let fields = inner.split([',', ';', '|', ' ', '\t', '\n', '\r']).filter(|field| !field.is_empty());
    for field in fields {
        into.push(field.parse().ok()?);
    }
    Some(())
}

fn vectors(texts: &Texts) -> Result<Values, (usize, String)> {
    let (mut vectors, mut vector) = (Vectors::default(), Vec::new());
    for row in 0..texts.len() {
        let text = texts.get(row);
        vector_of(text, &mut vector).ok_or_else(|| {
            let text = shortened(text);
            (row, format!("`{text}` is no vector: give numbers separated by spaces, such as `0.5 -1 2`, or leave it empty"))
        })?;
        vectors.push(&vector).map_err(|reason| (row, reason))?;
    }
    Ok(Values::Vector(vectors))
}

/// Whether all texts are vectors in brackets, of the same width of at least two.
fn are_vectors(texts: &Texts) -> bool {
    let (mut width, mut vector) = (None, Vec::new());
    texts.present().all(|(_, text)| {
        text.starts_with('[')
            && text.ends_with(']')
            && vector_of(text, &mut vector).is_some()
            && vector.len() >= 2
            && vector.iter().all(|value| value.is_finite())
            && *width.get_or_insert(vector.len()) == vector.len()
    })
}

fn categories(texts: &Texts, separator: Option<char>) -> Values {
    let mut lists = Lists::default();
    for row in 0..texts.len() {
        match separator {
            Some(separator) => lists.push(texts.get(row).split(separator)),
            None => lists.push([texts.get(row)]),
        }
    }
    Values::Categories(lists)
}

/// The separator that a column clearly uses: in at least two values and a tenth of them, with parts that occur four
/// times on average.
fn plain_separator(texts: &Texts) -> Option<char> {
    let present = texts.present().count();
    SEPARATORS.into_iter().find(|&separator| {
        let lists = texts.present().filter(|(_, text)| text.contains(separator)).count();
        if lists < 2 || lists * VALUES_PER_LIST < present {
            return false;
        }
        let (mut names, mut parts) = (IdTable::new(), 0);
        let all = texts.present().flat_map(|(_, text)| text.split(separator)).map(str::trim);
        for part in all.filter(|part| !part.is_empty()) {
            parts += 1;
            names.add(part);
        }
        names.len() * ROWS_PER_CATEGORY <= parts
    })
}

fn are_truth_values(texts: &Texts) -> bool {
    texts.present().all(|(_, text)| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"))
}

/// Whether each distinct text occurs in four rows on average.
fn are_few(texts: &Texts) -> bool {
    let most = texts.present().count() / ROWS_PER_CATEGORY;
    let mut names = IdTable::new();
    texts.present().all(|(_, text)| {
        names.add(text);
        names.len() <= most
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str], separator: Option<char>, untyped: bool) -> ColumnType {
        let mut column = Texts::default();
        texts.iter().for_each(|text| column.push(text));
        let reading = Reading { wanted: None, separator, untyped };
        match typed(column, &reading).unwrap() {
            Values::Text(_) => ColumnType::Text,
            Values::Number(_) => ColumnType::Number,
            Values::Categories(_) => ColumnType::Categories,
            Values::Vector(_) => ColumnType::Vector,
        }
    }

    #[test]
    fn a_column_has_the_type_that_all_of_its_values_have() {
        use ColumnType::{Categories, Number, Text, Vector};
        for (texts, expected) in [
            (&["1", "", "-2.5e3", "007"][..], Number),
            (&["1", "2", "3", "x"], Text),
            (&["1", "NaN"], Text),
            (&["1", "1e999"], Text),
            (&["", ""], Text),
            (&[], Text),
            (&["[1, 2]", "", "[0.5 -1]"], Vector),
            (&["[1, 2]", "[1]"], Text),
            (&["[1]", "[2]"], Text),
            (&["[1, 2]", "[1, inf]"], Text),
            (&["true", "False", ""], Categories),
            // Each occurs in four rows, then in fewer.
            (&["a", "b", "a", "b", "a", "a", "b", "b"], Categories),
            (&["a", "b", "a", "b", "a", "a", "b"], Text),
        ] {
            assert_eq!(of(texts, None, true), expected, "{texts:?}");
        }
        // The columns of a typed file are texts.
        assert_eq!(of(&["1", "2"], None, false), Text);
        assert_eq!(of(&["[1, 2]"], None, false), Text);
        assert_eq!(of(&["true"], None, false), Categories);
    }

    #[test]
    fn a_separator_of_lists_is_asked_for_or_plainly_used() {
        let lists = ["a|b", "b|a", "a", "b", "a|b", ""];
        assert_eq!(of(&lists, None, true), ColumnType::Categories);
        assert_eq!(
            of(&lists.map(|text| text.replace('|', ";")).each_ref().map(String::as_str), None, true),
            ColumnType::Categories
        );
        // Parts that do not come again are no categories.
        let titles = ["Cup; blue", "Pot; red", "Tea; green"];
        assert_eq!(of(&titles, None, true), ColumnType::Text);
        assert_eq!(of(&titles, Some(';'), true), ColumnType::Categories);
        assert_eq!(of(&titles, Some('/'), true), ColumnType::Text);
        // One value of many is no plain use.
        let mut once = vec!["a|b"];
        once.extend(["x", "y", "z", "u", "v", "w"]);
        assert_eq!(of(&once, None, true), ColumnType::Text);
    }
}

//! Finds the columns of JSON objects, and their first values.

use super::lexer::{Lexer, Result, Token, deep};
use std::borrow::Cow;
use std::collections::HashMap;

/// Most columns of a file.
const MAX_COLUMNS: usize = 2_000;

/// Most values of a column that are kept.
const SAMPLE_VALUES: usize = 2_000;

/// Separates the steps of a path in [`Shape::known`].
const STEP: char = '\0';

/// The columns of some objects, in the order in which they occur first.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    columns: Vec<Column>,
    /// The position of a column by its steps, with [`STEP`] before each.
    known: HashMap<String, usize>,
    /// Paths of arrays of `{"key": …, "value": …}` objects, as in `known`.
    keyed: Vec<String>,
    /// Number of arrays around the value that is read, whose elements are rows.
    arrays: usize,
    /// Whether there are more columns than [`MAX_COLUMNS`].
    pub(super) is_full: bool,
}

#[derive(Clone, Debug, Default)]
struct Column {
    path: String,
    /// Whether a value was found, not only null or an empty array.
    has_value: bool,
    /// Whether it is in an array, whose elements are rows.
    in_list: bool,
    /// Its first values, as a picker gives them, without missing ones.
    sample: Vec<String>,
}

impl Column {
    /// Keeps a value if it is one of the first.
    fn keep(&mut self, lexer: &Lexer<'_>, value: &Token) {
        if self.sample.len() == SAMPLE_VALUES {
            return;
        }
        match value {
            Token::Scalar(range) => self.sample.push(lexer.text[range.clone()].to_owned()),
            // A damaged escape is reported when the rows are read, if the column is chosen.
            Token::String(raw) => self.sample.extend(lexer.unescaped(raw).map(Cow::into_owned)),
            Token::Null | Token::Object | Token::Array => {}
        }
    }
}

impl Shape {
    /// Adds the columns of an object, and its values to their samples. A damaged object may add columns, but no values.
    ///
    /// # Errors
    /// A sentence for a text that is no object, and for too many columns.
    pub(super) fn add(&mut self, object: &str) -> Result<()> {
        let before: Vec<usize> = self.columns.iter().map(|column| column.sample.len()).collect();
        self.arrays = 0;
        let added = self.whole(object);
        if added.is_err() {
            let before = before.into_iter().chain(std::iter::repeat(0));
            self.columns.iter_mut().zip(before).for_each(|(column, length)| column.sample.truncate(length));
        }
        added
    }

    fn whole(&mut self, object: &str) -> Result<()> {
        let mut lexer = Lexer::new(object);
        lexer.take(b'{')?;
        self.object(&mut lexer, &mut String::new(), 1)?;
        lexer.end()
    }

    fn object(&mut self, lexer: &mut Lexer<'_>, path: &mut String, depth: usize) -> Result<()> {
        deep(depth)?;
        let (length, mut first) = (path.len(), true);
        while let Some(key) = lexer.key(first)? {
            first = false;
            path.push(STEP);
            path.push_str(&lexer.unescaped(&key)?);
            let token = lexer.token()?;
            self.value(lexer, token, path, depth + 1)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn value(&mut self, lexer: &mut Lexer<'_>, token: Token, path: &mut String, depth: usize) -> Result<()> {
        match token {
            Token::Object => self.object(lexer, path, depth),
            Token::Array => {
                self.arrays += 1;
                let read = self.array(lexer, path, depth);
                self.arrays -= 1;
                read
            }
            Token::Null => self.found(path, false).map(|_| ()),
            Token::String(_) | Token::Scalar(_) => {
                let column = self.found(path, true)?;
                self.columns[column].keep(lexer, &token);
                Ok(())
            }
        }
    }

    fn array(&mut self, lexer: &mut Lexer<'_>, path: &mut String, depth: usize) -> Result<()> {
        deep(depth)?;
        let (length, mut first) = (path.len(), true);
        while lexer.element(first)? {
            first = false;
            let token = lexer.token()?;
            match token {
                Token::Object => match entry(lexer, depth + 1)? {
                    Some((key, value)) => {
                        if !self.keyed.contains(path) {
                            self.keyed.push(path.clone());
                        }
                        path.push(STEP);
                        path.push_str(&key);
                        self.arrays -= 1;
                        let column = self.found(path, value.is_some());
                        self.arrays += 1;
                        let column = column?;
                        if let Some(value) = value {
                            self.columns[column].keep(lexer, &value);
                        }
                        path.truncate(length);
                    }
                    None => self.object(lexer, path, depth + 1)?,
                },
                // It cannot be unnested; a picker refuses it if the column is chosen.
                Token::Array => {
                    lexer.skip(token, depth + 1)?;
                    self.found(path, true)?;
                }
                other => self.value(lexer, other, path, depth + 1)?,
            }
        }
        if first {
            self.found(path, false)?;
        }
        Ok(())
    }

    /// The position of the column of a path, which is added if it is new.
    fn found(&mut self, path: &str, has_value: bool) -> Result<usize> {
        let at = match self.known.get(path) {
            Some(&at) => at,
            None if self.columns.len() == MAX_COLUMNS => {
                self.is_full = true;
                return Err(format!("more than {MAX_COLUMNS} different fields"));
            }
            None => {
                self.known.insert(path.to_owned(), self.columns.len());
                self.columns.push(Column { path: path.to_owned(), ..Column::default() });
                self.columns.len() - 1
            }
        };
        let column = &mut self.columns[at];
        column.has_value |= has_value;
        column.in_list |= self.arrays > 0;
        Ok(at)
    }

    /// The columns: all with a value, and those that are always null or empty and have no fields in other objects.
    fn used(&self) -> impl Iterator<Item = &Column> {
        let is_above = |column: &Column| {
            let below = |other: &Column| {
                other.path.strip_prefix(&column.path).is_some_and(|rest| rest.starts_with(STEP))
            };
            self.columns.iter().any(below)
        };
        self.columns.iter().filter(move |column| column.has_value || !is_above(column))
    }

    /// The names of the columns, such as `events.aid`, the first values of each, and whether it is in an array. Lists beside
    /// each other may have different lengths here.
    pub(super) fn columns(&self) -> Vec<(String, &[String], bool)> {
        let mut columns: Vec<(String, &[String], bool)> = Vec::new();
        for column in self.used() {
            let name = name(&column.path);
            // A key may contain a dot, so that two paths have one name.
            if columns.iter().all(|(known, ..)| *known != name) {
                columns.push((name, column.sample.as_slice(), column.in_list));
            }
        }
        columns
    }

    /// The keys on the way to a column. A name that is not known is taken apart at its dots.
    pub(super) fn steps(&self, wanted: &str) -> Vec<String> {
        let known = self.used().find(|column| name(&column.path) == wanted);
        let path = known.map(|column| column.path.clone());
        if let Some(path) = path {
            return path[1..].split(STEP).map(str::to_owned).collect();
        }
        // A rare key of a known array of keys and values may itself contain dots.
        for array in &self.keyed {
            let prefix = format!("{}.", name(array));
            if let Some(key) = wanted.strip_prefix(&prefix) {
                let steps = array[1..].split(STEP).map(str::to_owned);
                return steps.chain([key.to_owned()]).collect();
            }
        }
        wanted.split('.').map(str::to_owned).collect()
    }

    /// Whether the array at these steps has objects of a key and a value.
    pub(super) fn is_keyed(&self, steps: &[String]) -> bool {
        let path: String = steps
            .iter()
            .flat_map(|step| [&*STEP.encode_utf8(&mut [0; 4]), step].map(str::to_owned))
            .collect();
        self.keyed.contains(&path)
    }

    /// Whether all columns are numbered fields of objects: a table that is written column by column.
    pub(super) fn is_by_columns(&self) -> bool {
        let is_numbered = |column: &Column| {
            let mut steps = column.path[1..].split(STEP);
            steps.nth(1).is_some_and(|step| step.parse::<u64>().is_ok()) && steps.next().is_none()
        };
        self.columns.len() > 1 && self.columns.iter().all(is_numbered)
    }
}

/// The name of a path.
fn name(path: &str) -> String {
    path[1..].replace(STEP, ".")
}

/// Reads an object, after its bracket, if it consists of a string `key` and a `value`: returns the key, and the first
/// scalar of the value that is not null. Otherwise nothing is read.
fn entry(lexer: &mut Lexer<'_>, depth: usize) -> Result<Option<(String, Option<Token>)>> {
    let mut ahead = lexer.clone();
    let (mut key, mut value, mut first) = (None, None, true);
    while let Some(field) = ahead.key(first)? {
        first = false;
        let token = ahead.token()?;
        match (&*ahead.unescaped(&field)?, &token) {
            ("key", Token::String(raw)) if key.is_none() => key = Some(ahead.unescaped(raw)?.into_owned()),
            ("value", _) if value.is_none() => value = Some(ahead.skip(token, depth + 1)?),
            _ => return Ok(None),
        }
    }
    let (Some(key), Some(value)) = (key, value) else { return Ok(None) };
    *lexer = ahead;
    Ok(Some((key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(objects: &[&str]) -> Vec<String> {
        let mut shape = Shape::default();
        objects.iter().for_each(|object| shape.add(object).unwrap());
        names_of(&shape)
    }

    fn names_of(shape: &Shape) -> Vec<String> {
        shape.columns().into_iter().map(|(name, ..)| name).collect()
    }

    /// The first values of a column, separated by spaces.
    fn sample(shape: &Shape, wanted: &str) -> String {
        let columns = shape.columns();
        columns.iter().find(|(name, ..)| name == wanted).unwrap().1.join(" ")
    }

    #[test]
    fn columns_are_paths_in_the_order_of_their_first_occurrence() {
        let session = r#"{"session": 1, "events": [{"aid": 2, "ts": 3}, {"aid": 2, "type": "x"}], "n": 1}"#;
        assert_eq!(names(&[session]), ["session", "events.aid", "events.ts", "events.type", "n"]);
        let user = r#"{"b": {"d": {"c": 1}, "a": true}, "items": [1, "x"], "none": null, "empty": []}"#;
        assert_eq!(names(&[user, r#"{"z": 1.5}"#]), ["b.d.c", "b.a", "items", "none", "empty", "z"]);
    }

    #[test]
    fn keys_and_values_are_columns_named_by_their_keys() {
        let event = r#"{"p": [{"key": "id", "value": {"int_value": 1}}, {"value": {"s": null}, "key": "a.b"}], "q": [{"key": 1, "value": 2}, {"key": "x", "value": 1, "z": 1}]}"#;
        let mut shape = Shape::default();
        shape.add(event).unwrap();
        assert_eq!(names_of(&shape), ["p.id", "p.a.b", "q.key", "q.value", "q.z"]);
        assert_eq!(shape.steps("p.a.b"), ["p", "a.b"]);
        assert_eq!(shape.steps("p.rare.key"), ["p", "rare.key"]);
        assert_eq!(shape.steps("q.other"), ["q", "other"]);
        assert!(shape.is_keyed(&["p".to_owned()]) && !shape.is_keyed(&["q".to_owned()]));
    }

    #[test]
    fn a_field_that_is_null_or_empty_in_one_object_and_has_fields_in_another_is_no_column() {
        assert_eq!(
            names(&[r#"{"u": null, "e": []}"#, r#"{"u": {"id": 1}, "e": [{"x": 1}]}"#]),
            ["u.id", "e.x"]
        );
        assert_eq!(names(&[r#"{"u": 7}"#, r#"{"u": {"id": 1}}"#]), ["u", "u.id"]);
    }

    #[test]
    fn keys_with_dots_are_found_again() {
        let mut shape = Shape::default();
        shape.add(r#"{"a.b": 1, "c": {"d.e": 2}, "a": {"b": 3}}"#).unwrap();
        assert_eq!(names_of(&shape), ["a.b", "c.d.e"]);
        assert_eq!(shape.steps("a.b"), ["a.b"]);
        assert_eq!(shape.steps("c.d.e"), ["c", "d.e"]);
    }

    #[test]
    fn a_sample_has_the_values_of_whole_objects_whatever_the_lengths_of_their_lists() {
        let mut shape = Shape::default();
        shape.add(r#"{"s": 1, "items": ["a", null, "\u0062"], "times": [2.50], "e": [{"n": [1, 2]}, {"n": 3}]}"#).unwrap();
        shape
            .add(r#"{"s": true, "items": [["c"]], "p": [{"key": "k", "value": {"x": null, "y": 4}}]}"#)
            .unwrap();
        shape.add(r#"{"s": "\q", "items": null, "times": 5}"#).unwrap();
        shape.add(r#"{"s": 6, "items": "d", "late": 7, "times": 1"#).unwrap_err();
        let samples = ["s", "items", "times", "e.n", "p.k", "late"].map(|name| sample(&shape, name));
        assert_eq!(samples, ["1 true", "a b", "2.50 5", "1 2 3", "4", ""]);
    }

    #[test]
    fn a_sample_does_not_grow_with_the_list() {
        let events: Vec<String> = (0..5_000).map(|i| format!("{{\"i\": {i}}}")).collect();
        let mut shape = Shape::default();
        shape.add(&format!("{{\"data\": [{}], \"n\": 1}}", events.join(","))).unwrap();
        let last = sample(&shape, "data.i").rsplit(' ').next().map(str::to_owned);
        assert_eq!((last.as_deref(), sample(&shape, "n").as_str()), (Some("1999"), "1"));
    }

    #[test]
    fn too_many_columns_are_refused() {
        let fields: Vec<String> = (0..=MAX_COLUMNS).map(|i| format!("\"f{i}\": 1")).collect();
        let mut shape = Shape::default();
        shape.add(&format!("{{{}}}", fields[1..].join(","))).unwrap();
        assert!(!shape.is_full);
        let error = shape.add(&format!("{{{}}}", fields[0])).unwrap_err();
        assert_eq!((error.as_str(), shape.is_full), ("more than 2000 different fields", true));
    }

    #[test]
    fn tables_by_columns_are_recognised() {
        let is = |object: &str| {
            let mut shape = Shape::default();
            shape.add(object).unwrap();
            shape.is_by_columns()
        };
        assert!(is(r#"{"session_id": {"0": 1, "1": 1}, "item_id": {"0": 5, "1": 6}}"#));
        assert!(!is(r#"{"session_id": 1, "item_id": {"0": 5}}"#));
        assert!(!is(r#"{"data": [{"s": 1, "i": 2}]}"#));
    }
}

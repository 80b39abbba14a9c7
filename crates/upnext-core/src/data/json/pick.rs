//! Makes rows of chosen columns from JSON objects.

use super::lexer::{Lexer, Raw, Token, deep};
use super::shape::Shape;
use crate::data::report::RowProblem;
use std::ops::Range;

/// A value in the object's text, or in the texts of strings that have escapes.
#[derive(Clone, Copy, Debug)]
struct Cell {
    start: u32,
    end: u32,
}

impl Cell {
    const MISSING: Self = Self { start: u32::MAX, end: u32::MAX };
    /// Added to the positions of texts whose escapes were replaced. Objects are shorter.
    const UNESCAPED: u32 = 1 << 31;
}

const _: () = assert!(super::MAX_OBJECT_BYTES < Cell::UNESCAPED as usize);

/// A step on the way to chosen columns: an object, an array, or a value.
#[derive(Debug, Default)]
struct Node {
    /// The key by which it is found.
    key: String,
    /// The column that ends here.
    own: Option<usize>,
    children: Vec<usize>,
    /// The columns that end here and below.
    columns: Range<usize>,
    /// Whether it is an array of `{"key": …, "value": …}` objects.
    keyed: bool,
}

/// The rows of a value, which its columns have one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// There is no such value in the object.
    Absent,
    /// One row, which is repeated beside an array.
    One,
    /// The rows of an array.
    Many(usize),
}

/// Makes rows of chosen columns.
#[derive(Debug)]
pub(super) struct Picker {
    nodes: Vec<Node>,
    /// The names of the columns, in the order of the nodes.
    names: Vec<String>,
    /// The column of each chosen name.
    order: Vec<usize>,
    cells: Vec<Vec<Cell>>,
    states: Vec<Rows>,
    unescaped: String,
}

/// What is wrong with an object.
enum Fault {
    Json(String),
    Lists(String),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Json(reason)
    }
}

type Result<T> = std::result::Result<T, Fault>;

impl Picker {
    /// A picker of these columns of `shape`, or of fields that its objects do not have.
    pub(super) fn new(shape: &Shape, chosen: &[&str]) -> Self {
        let mut nodes = vec![Node::default()];
        let mut ends = Vec::new();
        for name in chosen {
            let steps = shape.steps(name);
            let mut node = 0;
            for (depth, step) in steps.iter().enumerate() {
                let known = nodes[node].children.iter().copied().find(|&child| nodes[child].key == *step);
                node = known.unwrap_or_else(|| {
                    let keyed = shape.is_keyed(&steps[..=depth]);
                    let child = nodes.len();
                    nodes.push(Node { key: step.clone(), keyed, ..Node::default() });
                    nodes[node].children.push(child);
                    child
                });
            }
            ends.push(node);
        }
        let mut number = 0;
        number_columns(&mut nodes, 0, &ends, &mut number);
        let order: Vec<usize> = ends.iter().filter_map(|&end| nodes[end].own).collect();
        let mut names = vec![String::new(); number];
        order.iter().zip(chosen).for_each(|(&at, &name)| name.clone_into(&mut names[at]));
        let cells = vec![Vec::new(); number];
        Self { nodes, names, order, cells, states: Vec::new(), unescaped: String::new() }
    }

    /// Calls `each` for every row of an object, with the values of the chosen columns in the order in which they were
    /// chosen: text as it is meant, numbers as they are written, `true` or `false`, or `None` for null and for a field
    /// that is not there.
    ///
    /// # Errors
    /// A [`RowProblem`] if the text is no object, or if arrays beside each other have different lengths. There is no row
    /// then.
    pub(super) fn rows(
        &mut self,
        object: &[u8],
        each: &mut dyn FnMut(&[Option<&str>]),
    ) -> std::result::Result<(), RowProblem> {
        let text = std::str::from_utf8(object)
            .map_err(|_| RowProblem::InvalidUtf8 { column: "the object".to_owned() })?;
        self.cells.iter_mut().for_each(Vec::clear);
        self.states.clear();
        self.unescaped.clear();
        let mut lexer = Lexer::new(text);
        let rows = self.whole(&mut lexer).map_err(|fault| match fault {
            Fault::Json(reason) => RowProblem::BadJson { reason },
            Fault::Lists(reason) => RowProblem::UnequalLists { reason },
        })?;
        let (Self { cells, order, unescaped, .. }, count) =
            (&*self, if let Rows::Many(n) = rows { n } else { 1 });
        let value = |cell: Cell| {
            let (text, base) =
                if cell.start < Cell::UNESCAPED { (text, 0) } else { (unescaped.as_str(), Cell::UNESCAPED) };
            text.get((cell.start - base) as usize..(cell.end - base) as usize)
        };
        let mut row = vec![None; order.len()];
        for at in 0..count {
            for (slot, &column) in row.iter_mut().zip(order) {
                *slot = value(cells[column][at]);
            }
            each(&row);
        }
        Ok(())
    }

    fn whole(&mut self, lexer: &mut Lexer<'_>) -> Result<Rows> {
        lexer.take(b'{')?;
        let rows = self.object(lexer, 0, 1)?;
        lexer.end()?;
        Ok(rows)
    }

    /// Reads the value that begins with `token` for a node. Afterwards each column of the node has as many rows more.
    fn value(&mut self, lexer: &mut Lexer<'_>, token: Token, node: usize, depth: usize) -> Result<Rows> {
        match token {
            Token::Object => self.object(lexer, node, depth),
            Token::Array if self.nodes[node].keyed => self.entries(lexer, node, depth),
            Token::Array => self.array(lexer, node, depth),
            scalar => {
                let Node { own, columns, .. } = &self.nodes[node];
                let (own, columns) = (*own, columns.clone());
                match own {
                    Some(own) if columns.len() == 1 => {
                        let cell = self.cell(lexer, &scalar)?;
                        self.cells[own].push(cell);
                    }
                    _ => {
                        self.pad(columns, 1);
                        own.map_or(Ok(()), |own| self.set_last(lexer, own, &scalar))?;
                    }
                }
                Ok(Rows::One)
            }
        }
    }

    /// Adds rows without a value.
    fn pad(&mut self, columns: Range<usize>, rows: usize) {
        for cells in &mut self.cells[columns] {
            cells.resize(cells.len() + rows, Cell::MISSING);
        }
    }

    /// Sets the last cell of a column.
    fn set_last(&mut self, lexer: &Lexer<'_>, column: usize, scalar: &Token) -> Result<()> {
        let cell = self.cell(lexer, scalar)?;
        if let Some(last) = self.cells[column].last_mut() {
            *last = cell;
        }
        Ok(())
    }

    /// The cell of a value that is neither an object nor an array.
    #[inline]
    fn cell(&mut self, lexer: &Lexer<'_>, scalar: &Token) -> Result<Cell> {
        Ok(match scalar {
            Token::String(Raw { range, has_escapes: false }) | Token::Scalar(range) => {
                Cell { start: range.start as u32, end: range.end as u32 }
            }
            Token::String(raw) => {
                let start = self.unescaped.len() as u32;
                self.unescaped.push_str(&lexer.unescaped(raw)?);
                Cell { start: Cell::UNESCAPED + start, end: Cell::UNESCAPED + self.unescaped.len() as u32 }
            }
            Token::Null | Token::Object | Token::Array => Cell::MISSING,
        })
    }

    /// The child of a node for a key, as its position among the children.
    #[inline]
    fn child(&self, lexer: &Lexer<'_>, node: usize, key: &Raw) -> Result<Option<usize>> {
        let children = &self.nodes[node].children;
        if !key.has_escapes {
            let key = &lexer.text.as_bytes()[key.range.clone()];
            return Ok(children.iter().position(|&child| self.nodes[child].key.as_bytes() == key));
        }
        let key = lexer.unescaped(key)?;
        Ok(children.iter().position(|&child| self.nodes[child].key == *key))
    }

    fn object(&mut self, lexer: &mut Lexer<'_>, node: usize, depth: usize) -> Result<Rows> {
        deep(depth)?;
        let columns = self.nodes[node].columns.clone();
        let base = columns.clone().next().map_or(0, |first| self.cells[first].len());
        let mark = self.states.len();
        self.states.resize(mark + self.nodes[node].children.len(), Rows::Absent);
        let mut first = true;
        while let Some(key) = lexer.key(first)? {
            first = false;
            let child = self.child(lexer, node, &key)?;
            let token = lexer.token()?;
            let Some(at) = child else {
                if matches!(token, Token::Object | Token::Array) {
                    lexer.skip(token, depth + 1)?;
                }
                continue;
            };
            let child = self.nodes[node].children[at];
            if self.states[mark + at] != Rows::Absent {
                // The key is there twice: the last one counts, as everywhere.
                let again = self.nodes[child].columns.clone();
                self.cells[again].iter_mut().for_each(|cells| cells.truncate(base));
            }
            self.states[mark + at] = self.value(lexer, token, child, depth + 1)?;
        }
        let rows = self.repeat(node, mark, base)?;
        self.states.truncate(mark);
        Ok(rows)
    }

    /// Gives all columns of an object as many rows as its arrays have. The states of its children begin at `mark`, and
    /// its columns had `base` rows before it.
    fn repeat(&mut self, node: usize, mark: usize, base: usize) -> Result<Rows> {
        let states = &self.states[mark..];
        let mut many: Option<(usize, usize)> = None;
        for (at, state) in states.iter().enumerate() {
            match (state, many) {
                (Rows::Many(n), None) => many = Some((*n, at)),
                (Rows::Many(n), Some((known, first))) if *n != known => {
                    let name = |at: usize| {
                        let child = &self.nodes[self.nodes[node].children[at]];
                        let names = self.names.get(child.columns.start);
                        crate::data::names::shortened(names.map_or("", String::as_str))
                    };
                    let (first, second) = (name(first), name(at));
                    return Err(Fault::Lists(format!("{first} has {known} elements, and {second} has {n}")));
                }
                _ => {}
            }
        }
        let rows = many.map_or(1, |(rows, _)| rows);
        for at in 0..states.len() {
            let child = self.nodes[node].children[at];
            let columns = self.nodes[child].columns.clone();
            match self.states[mark + at] {
                Rows::Absent => self.pad(columns, rows),
                Rows::One => {
                    for cells in &mut self.cells[columns] {
                        let value = cells.get(base).copied().unwrap_or(Cell::MISSING);
                        cells.resize(base + rows, value);
                    }
                }
                Rows::Many(_) => {}
            }
        }
        if let Some(own) = self.nodes[node].own {
            self.pad(own..own + 1, rows);
        }
        Ok(many.map_or(Rows::One, |(rows, _)| Rows::Many(rows)))
    }

    fn array(&mut self, lexer: &mut Lexer<'_>, node: usize, depth: usize) -> Result<Rows> {
        deep(depth)?;
        let (mut rows, mut first) = (0, true);
        while lexer.element(first)? {
            first = false;
            let token = lexer.token()?;
            if token == Token::Array {
                return Err(Fault::Json("an array in an array has no rows of its own".to_owned()));
            }
            rows += match self.value(lexer, token, node, depth + 1)? {
                Rows::Many(rows) => rows,
                Rows::One | Rows::Absent => 1,
            };
        }
        Ok(Rows::Many(rows))
    }

    /// Reads an array of `{"key": …, "value": …}` objects as one object.
    fn entries(&mut self, lexer: &mut Lexer<'_>, node: usize, depth: usize) -> Result<Rows> {
        deep(depth)?;
        self.pad(self.nodes[node].columns.clone(), 1);
        let mut first = true;
        while lexer.element(first)? {
            first = false;
            let token = lexer.token()?;
            if token != Token::Object {
                lexer.skip(token, depth + 1)?;
                continue;
            }
            let (mut key, mut value, mut first) = (None, Token::Null, true);
            while let Some(field) = lexer.key(first)? {
                first = false;
                let token = lexer.token()?;
                match (&*lexer.unescaped(&field)?, token) {
                    ("key", Token::String(raw)) => key = Some(raw),
                    ("value", token) => value = lexer.skip(token, depth + 2)?.unwrap_or(Token::Null),
                    (_, token) => _ = lexer.skip(token, depth + 2)?,
                }
            }
            let child = key.map(|key| self.child(lexer, node, &key)).transpose()?.flatten();
            let column = child.and_then(|at| self.nodes[self.nodes[node].children[at]].own);
            if let Some(column) = column {
                self.set_last(lexer, column, &value)?;
            }
        }
        Ok(Rows::One)
    }
}

/// Numbers the columns from `next` on, a node's own before those below it.
fn number_columns(nodes: &mut [Node], node: usize, ends: &[usize], next: &mut usize) {
    let start = *next;
    if ends.contains(&node) {
        nodes[node].own = Some(*next);
        *next += 1;
    }
    for at in 0..nodes[node].children.len() {
        number_columns(nodes, nodes[node].children[at], ends, next);
    }
    nodes[node].columns = start..*next;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(object: &str, chosen: &[&str]) -> std::result::Result<Vec<String>, RowProblem> {
        let mut shape = Shape::default();
        _ = shape.add(object);
        let mut rows = Vec::new();
        Picker::new(&shape, chosen).rows(object.as_bytes(), &mut |row| {
            let row: Vec<&str> = row.iter().map(|cell| cell.unwrap_or("-")).collect();
            rows.push(row.join(" "));
        })?;
        Ok(rows)
    }

    fn rows(object: &str, chosen: &[&str]) -> Vec<String> {
        rows_of(object, chosen).unwrap()
    }

    #[test]
    fn elements_of_an_array_are_rows_with_the_values_outside_repeated() {
        let session = r#"{"session": 1, "events": [{"aid": 7, "ts": 10, "x": [1]}, {"ts": 11, "aid": 8}], "user": "u"}"#;
        let chosen = ["events.ts", "session", "events.aid", "user", "events.no"];
        assert_eq!(rows(session, &chosen), ["10 1 7 u -", "11 1 8 u -"]);
        assert_eq!(rows(r#"{"session": 1, "events": []}"#, &chosen), [""; 0]);
        assert_eq!(rows(r#"{"session": 1, "events": null}"#, &chosen), ["- 1 - - -"]);
        assert_eq!(rows(r#"{"session": 1, "events": {"aid": 7}}"#, &chosen), ["- 1 7 - -"]);
        assert_eq!(rows(session, &["session", "session"]), ["1 1"]);
    }

    #[test]
    fn arrays_beside_each_other_go_together_or_are_a_bad_row() {
        let chosen = ["s", "items", "times"];
        assert_eq!(
            rows(r#"{"items": [1, null, 3], "s": 9, "times": [4, 5, 6]}"#, &chosen),
            ["9 1 4", "9 - 5", "9 3 6"]
        );
        assert_eq!(rows(r#"{"items": [1, 2], "s": 9}"#, &chosen), ["9 1 -", "9 2 -"]);
        let problem = rows_of(r#"{"items": [1, 2], "s": 9, "times": [4, 5, 6]}"#, &chosen).unwrap_err();
        assert_eq!(problem.to_string(), "lists of different lengths: items has 2 elements, and times has 3");
        assert!(rows_of(r#"{"items": [1, 2], "s": 9, "times": []}"#, &chosen).is_err());
        assert!(rows_of(r#"{"items": [[1, 2], [3]], "s": 9}"#, &chosen).is_err());
    }

    #[test]
    fn arrays_inside_the_elements_of_arrays_are_rows_too() {
        let orders = r#"{"user": "u", "orders": [{"id": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}, {"id": 2, "lines": []},
            {"id": 3, "lines": [{"sku": "c"}]}, {"id": 4}], "n": 4}"#;
        assert_eq!(
            rows(orders, &["user", "orders.id", "orders.lines.sku", "n"]),
            ["u 1 a 4", "u 1 b 4", "u 3 c 4", "u 4 - 4"]
        );
    }

    #[test]
    fn keys_and_values_are_one_object() {
        let event = r#"{"name": "view", "event_params": [{"key": "ga_session_id", "value": {"string_value": null, "int_value": 123}},
            {"key": "page", "value": {"string_value": "a \"b\""}}, {"key": "none", "value": {"x": null}}]}"#;
        let chosen = [
            "event_params.page",
            "name",
            "event_params.ga_session_id",
            "event_params.none",
            "event_params.rare",
        ];
        assert_eq!(rows(event, &chosen), ["a \"b\" view 123 - -"]);
        let mut shape = Shape::default();
        shape.add(event).unwrap();
        let mut picker = Picker::new(&shape, &["name", "event_params.rare.one"]);
        let mut rows = Vec::new();
        for event in [
            r#"{"name": "a", "event_params": []}"#,
            r#"{"name": "b", "event_params": [{"key": "rare.one", "value": 5}]}"#,
            r#"{"event_params": [{"value": {"int_value": "6"}, "key": "rare\u002eone"}, 7], "name": "c"}"#,
            r#"{"name": "d", "event_params": null}"#,
        ] {
            let each = &mut |row: &[Option<&str>]| rows.push(format!("{row:?}"));
            picker.rows(event.as_bytes(), each).unwrap();
        }
        let expected = [
            r#"[Some("a"), None]"#,
            r#"[Some("b"), Some("5")]"#,
            r#"[Some("c"), Some("6")]"#,
            r#"[Some("d"), None]"#,
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn values_are_as_they_are_written() {
        let object = r#"{"a": 12345678901234567890123, "b": 1.50, "c": true, "d": "x\u00e9\ty", "e": NaN, "f": "", "g": 1e3}"#;
        assert_eq!(
            rows(object, &["a", "b", "c", "d", "e", "f", "g"]),
            ["12345678901234567890123 1.50 true xé\ty NaN  1e3"]
        );
        assert_eq!(rows(r#"{"a": 1, "a": 2, "b": [1], "b": 3}"#, &["a", "b"]), ["2 3"]);
        assert_eq!(
            rows(r#"{"u": {"id": 1, "x": {"y": 2}}, "a.b": 3}"#, &["u.id", "u.x.y", "u", "a.b"]),
            ["1 2 - 3"]
        );
        assert_eq!(rows(r#"{"\u0061": 1}"#, &["a"]), ["1"]);
    }

    #[test]
    fn damaged_objects_give_no_rows_and_say_why() {
        for (object, reason) in [
            ("{\"a\": 1", "it ends where `,` should be"),
            ("{\"a\": [1, 2}", "byte 12: `}` where `,` should be"),
            ("{\"a\": 1} x", "byte 10: `x` where the end of the object should be"),
            ("{\"a\": 01}", "byte 7: `0` where a value should be"),
            ("{\"a: 1}", "the string at byte 2 does not end"),
            ("{\"a\": \"\\q\"}", "an escape `\\` without a known letter"),
            ("[1]", "byte 1: `[` where `{` should be"),
            ("", "it ends where `{` should be"),
            ("{\"b\": {\"c\": tru}}", "byte 13: `t` where a value should be"),
        ] {
            let problem = rows_of(object, &["a"]).unwrap_err();
            assert_eq!(problem.to_string(), format!("damaged JSON: {reason}"), "{object}");
        }
        let deep = format!("{{\"b\": {}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(rows_of(&deep, &["a"]).unwrap_err().to_string().contains("more than 128 levels"));
        assert!(rows_of(&deep, &["b"]).is_err());
        let mut picker = Picker::new(&Shape::default(), &["a"]);
        let problem = picker.rows(b"{\"a\": \"\xff\"}", &mut |_| panic!("there is no row")).unwrap_err();
        assert!(matches!(problem, RowProblem::InvalidUtf8 { .. }));
    }
}

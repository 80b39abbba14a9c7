//! Makes rows of chosen columns from JSON objects.

use super::lexer::{Lexer, Raw, Token, deep};
use super::shape::Shape;
use crate::data::names::shortened;
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
    UnequalLists(String),
    /// A list in a list, in this column.
    NestedLists(String),
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
    /// A [`RowProblem`] if the text is no object, if arrays beside each other have different lengths, or if a column has
    /// an array in an array. There is no row then.
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
            Fault::UnequalLists(reason) => RowProblem::UnequalLists { reason },
            Fault::NestedLists(column) => RowProblem::NestedLists { column },
        })?;
        let (Self { cells, order, unescaped, .. }, count) =
            (&*self, if let Rows::Many(n) = rows { n } else { 1 });
        let value = |cell: Cell| {
            let (text, base) =
                if cell.start < Cell::UNESCAPED { (text, 0) } else { (unescaped.as_str(), Cell::UNESCAPED) };
            text.get((cell.start - base) as usize..(cell.end - base) as usize)
        };
        let mut row = vec![None; order.len()];
        (0..count).for_each(|at| {
            row.iter_mut().zip(order).for_each(|(slot, &column)| *slot = value(cells[column][at]));
            each(&row);
        });
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
                    let children = &self.nodes[node].children;
                    let (first, second) = (self.name(children[first]), self.name(children[at]));
                    let reason = format!("{first} has {known} elements, and {second} has {n}");
                    return Err(Fault::UnequalLists(reason));
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

    /// The name of the first column of a node, for a message.
    fn name(&self, node: usize) -> String {
        let name = self.names.get(self.nodes[node].columns.start);
        shortened(name.map_or("", String::as_str))
    }

    fn array(&mut self, lexer: &mut Lexer<'_>, node: usize, depth: usize) -> Result<Rows> {
        deep(depth)?;
        let (mut rows, mut first) = (0, true);
        while lexer.element(first)? {
            first = false;
            let token = lexer.token()?;
            if token == Token::Array {
                return Err(Fault::NestedLists(self.name(node)));
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
mod tests;

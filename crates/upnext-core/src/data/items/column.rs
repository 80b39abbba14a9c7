//! The columns of an item table. Each has few allocations, whatever the number of items.

use super::options::ColumnType;
use crate::data::ids::IdTable;
use std::borrow::Cow;
use std::fmt;

/// An attribute of items: a name, and an optional value for each row of the table.
#[derive(Clone)]
pub struct Column {
    pub(super) name: String,
    pub(super) values: Values,
}

/// A value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A non-empty text.
    Text(&'a str),
    /// A finite number.
    Number(f64),
    /// Codes of one or more categories, in the order of the file: indices into [`Column::category_names`].
    Categories(&'a [u32]),
    /// A vector of finite numbers, of [`Column::width`].
    Vector(&'a [f32]),
}

impl Column {
    /// The name of the column.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of the values.
    pub fn column_type(&self) -> ColumnType {
        match self.values {
            Values::Text(_) => ColumnType::Text,
            Values::Number(_) => ColumnType::Number,
            Values::Categories(_) => ColumnType::Categories,
            Values::Vector(_) => ColumnType::Vector,
        }
    }

    /// Number of rows, including those without a value.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row; `None` if it is missing.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn value(&self, row: usize) -> Option<Value<'_>> {
        match &self.values {
            Values::Text(texts) => Some(texts.get(row)).filter(|text| !text.is_empty()).map(Value::Text),
            Values::Number(numbers) => Some(numbers[row]).filter(|n| !n.is_nan()).map(Value::Number),
            Values::Categories(lists) => {
                Some(lists.get(row)).filter(|codes| !codes.is_empty()).map(Value::Categories)
            }
            Values::Vector(vectors) => vectors.get(row).map(Value::Vector),
        }
    }

    /// Number of rows without a value.
    pub fn missing(&self) -> usize {
        (0..self.len()).filter(|&row| self.value(row).is_none()).count()
    }

    /// The text of a row; `None` if it is missing, and in columns of another type.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn text(&self, row: usize) -> Option<&str> {
        match self.value(row) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number of a row; `None` if it is missing, and in columns of another type.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn number(&self, row: usize) -> Option<f64> {
        match self.value(row) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// The names of the categories of a row; empty if they are missing, and in columns of another type.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn categories(&self, row: usize) -> impl ExactSizeIterator<Item = &str> {
        let codes = match self.value(row) {
            Some(Value::Categories(codes)) => codes,
            _ => &[],
        };
        codes.iter().map(|&code| self.category(code))
    }

    /// The vector of a row; `None` if it is missing, and in columns of another type.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn vector(&self, row: usize) -> Option<&[f32]> {
        match self.value(row) {
            Some(Value::Vector(vector)) => Some(vector),
            _ => None,
        }
    }

    /// The names of all categories of the column, by code; empty in columns of another type.
    pub fn category_names(&self) -> impl ExactSizeIterator<Item = &str> {
        let count = match &self.values {
            Values::Categories(lists) => lists.names.len(),
            _ => 0,
        };
        (0..count).map(|code| self.category(code as u32))
    }

    /// The name of a category.
    pub(crate) fn category(&self, code: u32) -> &str {
        match &self.values {
            Values::Categories(lists) => lists.names.get(code),
            _ => "",
        }
    }

    /// The width of the vectors; 0 if there are none, and in columns of another type.
    pub fn width(&self) -> usize {
        match &self.values {
            Values::Vector(vectors) => vectors.width,
            _ => 0,
        }
    }

    /// The value of a row for display, with categories separated by commas; `None` if it is missing, and for vectors.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn shown(&self, row: usize) -> Option<Cow<'_, str>> {
        match self.value(row)? {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Categories(&[code]) => Some(Cow::Borrowed(self.category(code))),
            Value::Categories(_) => Some(Cow::Owned(self.categories(row).collect::<Vec<_>>().join(", "))),
            Value::Vector(_) => None,
        }
    }

    /// Bytes of memory that the column takes.
    pub fn memory_bytes(&self) -> usize {
        let words = size_of::<usize>();
        match &self.values {
            Values::Text(texts) => texts.text.capacity() + texts.ends.capacity() * words,
            Values::Number(numbers) => numbers.capacity() * size_of::<f64>(),
            Values::Categories(lists) => {
                lists.names.memory_bytes()
                    + lists.codes.capacity() * size_of::<u32>()
                    + lists.ends.capacity() * words
            }
            Values::Vector(vectors) => vectors.values.capacity() * size_of::<f32>(),
        }
    }
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Column({}: {}, {} rows)", self.name, self.column_type(), self.len())
    }
}

/// Columns are equal if they have the same name, type and values, whatever the codes of their categories.
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        let same = |row| match (self.value(row), other.value(row)) {
            (Some(Value::Categories(_)), Some(Value::Categories(_))) => {
                self.categories(row).eq(other.categories(row))
            }
            (a, b) => a == b,
        };
        self.name == other.name
            && self.column_type() == other.column_type()
            && self.len() == other.len()
            && (0..self.len()).all(same)
    }
}

/// The values of a column, row by row.
#[derive(Clone)]
pub(super) enum Values {
    Text(Texts),
    /// NaN is a missing value.
    Number(Vec<f64>),
    Categories(Lists),
    Vector(Vectors),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(texts) => texts.ends.len(),
            Self::Number(numbers) => numbers.len(),
            Self::Categories(lists) => lists.ends.len(),
            Self::Vector(vectors) => vectors.rows,
        }
    }

    /// Whether two rows have the same value.
    pub(super) fn same(&self, a: usize, b: usize) -> bool {
        match self {
            Self::Text(texts) => texts.get(a) == texts.get(b),
            // A missing number is NaN, which equals nothing.
            Self::Number(numbers) => numbers[a] == numbers[b] || (numbers[a].is_nan() && numbers[b].is_nan()),
            Self::Categories(lists) => lists.get(a) == lists.get(b),
            Self::Vector(vectors) => vectors.get(a) == vectors.get(b),
        }
    }

    /// Keeps the first `rows` rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Text(Texts { text, ends }) => {
                ends.truncate(rows);
                text.truncate(ends.last().copied().unwrap_or(0));
            }
            Self::Number(numbers) => numbers.truncate(rows),
            Self::Categories(Lists { codes, ends, .. }) => {
                ends.truncate(rows);
                codes.truncate(ends.last().copied().unwrap_or(0));
            }
            Self::Vector(vectors) => {
                vectors.rows = vectors.rows.min(rows);
                vectors.values.truncate(vectors.rows * vectors.width);
            }
        }
    }

    /// The values of these rows, in this order.
    pub(super) fn gather(&self, rows: &[u32]) -> Self {
        let rows = rows.iter().map(|&row| row as usize);
        match self {
            Self::Text(texts) => {
                let mut gathered = Texts::default();
                rows.for_each(|row| gathered.push(texts.get(row)));
                Self::Text(gathered)
            }
            Self::Number(numbers) => Self::Number(rows.map(|row| numbers[row]).collect()),
            Self::Categories(lists) => {
                let mut gathered = Lists::default();
                for row in rows {
                    gathered.push(lists.get(row).iter().map(|&code| lists.names.get(code)));
                }
                Self::Categories(gathered)
            }
            Self::Vector(vectors) => {
                let mut gathered = Vectors::default();
                for row in rows {
                    match vectors.get(row) {
                        Some(vector) => gathered.append(vector),
                        None => gathered.push_missing(),
                    }
                }
                Self::Vector(gathered)
            }
        }
    }

    /// Releases the memory reserved for further rows.
    pub(super) fn shrink(&mut self) {
        match self {
            Self::Text(Texts { text, ends }) => {
                text.shrink_to_fit();
                ends.shrink_to_fit();
            }
            Self::Number(numbers) => numbers.shrink_to_fit(),
            Self::Categories(Lists { codes, ends, .. }) => {
                codes.shrink_to_fit();
                ends.shrink_to_fit();
            }
            Self::Vector(vectors) => vectors.values.shrink_to_fit(),
        }
    }
}

/// Texts in one allocation; an empty one is a missing value.
#[derive(Clone, Default)]
pub(super) struct Texts {
    text: String,
    /// `ends[row]` is the end of the text of a row in `text`.
    ends: Vec<usize>,
}

impl Texts {
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(super) fn get(&self, row: usize) -> &str {
        &self.text[if row == 0 { 0 } else { self.ends[row - 1] }..self.ends[row]]
    }

    /// The texts that are not missing values, with their rows.
    pub(super) fn present(&self) -> impl Iterator<Item = (usize, &str)> + Clone {
        (0..self.ends.len()).map(|row| (row, self.get(row))).filter(|(_, text)| !text.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Lists of category codes; the name of each category is stored once. An empty list is a missing value.
#[derive(Clone, Default)]
pub(super) struct Lists {
    names: IdTable,
    codes: Vec<u32>,
    /// `ends[row]` is the end of the list of a row in `codes`.
    ends: Vec<usize>,
}

impl Lists {
    /// Appends a row of names, which are trimmed; empty ones are left out.
    pub(super) fn push<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            let name = name.trim();
            if !name.is_empty() {
                self.codes.push(self.names.add(name));
            }
        }
        self.ends.push(self.codes.len());
    }

    /// The names of a row.
    pub(super) fn names_of(&self, row: usize) -> impl Iterator<Item = &str> {
        self.get(row).iter().map(|&code| self.names.get(code))
    }

    fn get(&self, row: usize) -> &[u32] {
        &self.codes[if row == 0 { 0 } else { self.ends[row - 1] }..self.ends[row]]
    }
}

/// Vectors row by row, shape rows × width; one of NaNs is a missing value.
#[derive(Clone, Default)]
pub(super) struct Vectors {
    /// 0 until the first vector is appended.
    width: usize,
    values: Vec<f32>,
    rows: usize,
}

impl Vectors {
    pub(super) fn push_missing(&mut self) {
        self.rows += 1;
        self.values.resize(self.rows * self.width, f32::NAN);
    }

    /// Appends a vector, or returns why it is invalid; an empty one is a missing value.
    pub(super) fn push(&mut self, vector: &[f32]) -> Result<(), String> {
        if vector.is_empty() {
            self.push_missing();
            return Ok(());
        }
        if let Some(wrong) = vector.iter().find(|value| !value.is_finite()) {
            return Err(format!(
                "the vector has {wrong}, which is no finite number of 32 bits: correct it, or leave the vector empty"
            ));
        }
        if self.width != 0 && vector.len() != self.width {
            return Err(format!(
                "a vector of {} numbers, where those before have {}: give all items vectors of the same width",
                vector.len(),
                self.width
            ));
        }
        self.append(vector);
        Ok(())
    }

    pub(super) fn append(&mut self, vector: &[f32]) {
        if self.width == 0 {
            self.width = vector.len();
            self.values.resize(self.rows * self.width, f32::NAN);
        }
        self.rows += 1;
        self.values.extend_from_slice(vector);
    }

    pub(super) fn get(&self, row: usize) -> Option<&[f32]> {
        assert!(row < self.rows, "row {row} of {} rows", self.rows);
        let vector = &self.values[row * self.width..(row + 1) * self.width];
        vector.first().is_some_and(|first| !first.is_nan()).then_some(vector)
    }
}

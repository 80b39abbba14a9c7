//! How a table of items is to be read.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ColumnType {
    /// A text, such as a title.
    Text,
    /// A finite number of 64 bits, such as a price.
    Number,
    /// A list of texts that many items share, such as colours or a category path.
    Categories,
    /// A vector of finite numbers of 32 bits, of the same width for all items, such as an embedding.
    Vector,
}

impl ColumnType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::Text, Self::Number, Self::Categories, Self::Vector];

    /// The name of the type in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Categories => "categories",
            Self::Vector => "vector",
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|of| of.name() == name);
        known.ok_or_else(|| {
            format!("`{name}` is no type of a column: give text, number, categories or vector")
        })
    }
}

/// What becomes of an item that stands in two rows with different values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepeatedItem {
    /// Reading fails with both rows.
    #[default]
    Refuse,
    /// The values of the last row are kept, in the place of the first.
    KeepLast,
}

/// The largest table that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemTableLimits {
    /// Number of items; the default is what 32 bits can number.
    pub items: usize,
    /// Bytes of an item's id; the default is what a click log may have.
    pub id_bytes: usize,
    /// Bytes of a field that is read as text; by default there is no limit.
    pub field_bytes: usize,
}

impl Default for ItemTableLimits {
    fn default() -> Self {
        Self { items: u32::MAX as usize, id_bytes: crate::data::ids::MAX_ID_BYTES, field_bytes: usize::MAX }
    }
}

/// Which columns of a table are read, and as what. By default all are, and their types are found by inspection.
///
/// A column is named as it is written, else in any case, or by its position counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemTableOptions {
    /// Names of the column of item ids, the first that the file has. Empty: it is found as in a click log (`item_id`,
    /// `product_id`, `sku`, …), or by the name `id`.
    pub item_columns: Vec<String>,
    /// The other columns to read. Empty: all.
    pub columns: Vec<String>,
    /// The types of columns by their names; the others are inspected.
    pub types: BTreeMap<String, ColumnType>,
    /// The type of the columns that `types` does not name; columns of Parquet that cannot have it keep their own. Absent: they
    /// are inspected.
    pub other_types: Option<ColumnType>,
    /// The character that separates the categories of a field. Absent: `|` or `;`, where a column plainly uses it.
    pub list_separator: Option<char>,
    /// The character between the fields of a text file. Absent: found among tab, comma, semicolon and bar.
    pub delimiter: Option<char>,
    /// What becomes of an item that stands in two rows with different values.
    pub repeated: RepeatedItem,
    /// The largest table that is read.
    pub limits: ItemTableLimits,
}

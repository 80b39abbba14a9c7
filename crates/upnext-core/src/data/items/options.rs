//! Options of reading an item table.

use super::ItemTable;
use crate::data::options::Quote;
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

/// How an item in two rows with different values is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepeatedItem {
    /// It is an error that names both rows.
    #[default]
    Refuse,
    /// The values of the last row replace those of the first.
    KeepLast,
}

/// Limits on the size of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemTableLimits {
    /// The maximum number of items; by default as many as 32 bits can number.
    pub items: usize,
    /// The maximum length of an id in bytes; by default that of a click log.
    pub id_bytes: usize,
    /// The maximum length in bytes of a field that is read as text; by default unlimited.
    pub field_bytes: usize,
}

impl Default for ItemTableLimits {
    fn default() -> Self {
        Self { items: u32::MAX as usize, id_bytes: crate::data::ids::MAX_ID_BYTES, field_bytes: usize::MAX }
    }
}

/// The columns of a table that are read, and their types. By default all columns are read, and their types are
/// inferred.
///
/// A column is given by its name (an exact match is preferred to one in any case) or by its position, counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemTableOptions {
    /// Names of the column of item ids, of which the first that the file has is used. Empty: it is found as in a click
    /// log (`item_id`, `product_id`, `sku`, …), or by the name `id`.
    pub item_columns: Vec<String>,
    /// The other columns to read. Empty: all.
    pub columns: Vec<String>,
    /// The types of columns by their names; the types of other columns are inferred.
    pub types: BTreeMap<String, ColumnType>,
    /// The types of columns that the file may have or lack; `types` comes first.
    pub usual_types: BTreeMap<String, ColumnType>,
    /// The type of the columns that neither of them names; columns of Parquet that cannot have it keep their own.
    /// Absent: their types are inferred.
    pub other_types: Option<ColumnType>,
    /// The character that separates the categories of a field. Absent: `|` or `;`, if a column clearly uses it.
    pub list_separator: Option<char>,
    /// The character between the fields of a text file. Absent: detected among tab, comma, semicolon and vertical bar.
    pub delimiter: Option<char>,
    /// How the fields of a text file are quoted.
    pub quote: Quote,
    /// How an item in two rows with different values is handled.
    pub repeated: RepeatedItem,
    /// Limits on the size of the table.
    pub limits: ItemTableLimits,
}

impl ItemTableOptions {
    /// Options for a file of further items of a table: columns of the same names have the same types. Lists of categories are separated by
    /// `|`, or by `;` if a category of the table has that character.
    pub fn like(table: &ItemTable) -> Self {
        let types = table.columns().iter().map(|column| (column.name().to_owned(), column.column_type()));
        let has = |separator: char| {
            table.columns().iter().any(|column| column.category_names().any(|name| name.contains(separator)))
        };
        let has_lists = table
            .columns()
            .iter()
            .any(|column| (0..column.len()).any(|row| column.categories(row).len() > 1));
        Self {
            usual_types: types.collect(),
            list_separator: if has_lists { ['|', ';'].into_iter().find(|&of| !has(of)) } else { None },
            ..Self::default()
        }
    }

    /// Options for a catalogue of titles: the ids are in the column `item`, `item_id` or `id`, and all fields are texts, separated
    /// by commas, whatever they look like.
    pub fn catalogue() -> Self {
        Self {
            item_columns: ["item", "item_id", "id"].map(str::to_owned).to_vec(),
            other_types: Some(ColumnType::Text),
            delimiter: Some(','),
            ..Self::default()
        }
    }
}

//! Item tables: attributes of items as texts, numbers, categories and vectors, read from CSV or Parquet.
//!
//! A table is independent of the [`ItemVocabulary`]: it may have items without clicks, and lack items that have clicks.
//! `docs/items.md` describes how files are read.
//!
//! ```
//! use upnext_core::data::items::{ColumnType, ItemTable, ItemTableOptions};
//!
//! # let place = tempfile::tempdir().unwrap();
//! # let path = place.path().join("items.csv");
//! std::fs::write(&path, "item_id,title,price,colours\n7,Blue cup,3.5,blue|white\n8,Tea pot,,white\n").unwrap();
//! let mut options = ItemTableOptions::default();
//! options.types.insert("colours".to_owned(), ColumnType::Categories);
//! options.list_separator = Some('|');
//! let items = ItemTable::read(&path, &options)?;
//!
//! let cup = items.row("7").unwrap();
//! let [title, price, colours] = ["title", "price", "colours"].map(|name| items.column(name).unwrap());
//! assert_eq!(title.text(cup), Some("Blue cup"));
//! assert_eq!(price.number(cup), Some(3.5));
//! assert_eq!(colours.categories(cup).collect::<Vec<_>>(), ["blue", "white"]);
//! assert_eq!(price.missing(), 1);
//! # Ok::<(), upnext_core::Error>(())
//! ```

mod builder;
mod column;
mod columnar;
mod extend;
mod file;
mod inspection;
mod json;
mod options;
#[cfg(feature = "logs")]
mod read;

pub use column::{Column, Value};
pub use json::JsonItem;
pub use options::{ColumnType, ItemTableLimits, ItemTableOptions, RepeatedItem};

use crate::checksum::Fingerprint;
use crate::data::ItemVocabulary;
use crate::data::ids::IdTable;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// Attributes of items: a row for each item, found by the user's id, and typed columns, found by name.
///
/// Values may be missing. Memory is allocated per column, not per value.
#[derive(Clone)]
pub struct ItemTable {
    /// The number of an id is the row of its item.
    ids: IdTable,
    /// The name of the column of ids.
    id_name: String,
    columns: Vec<Column>,
    repeated: u64,
}

/// How much of a vocabulary an item table describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Coverage {
    /// Number of items of the vocabulary.
    pub items: usize,
    /// Number of these items that have a row in the table.
    pub described_items: usize,
    /// Number of training events on items of the vocabulary.
    pub events: u64,
    /// Number of training events on items that have a row.
    pub described_events: u64,
    /// Number of items of the table that the vocabulary does not have.
    pub new_items: usize,
}

impl ItemTable {
    /// Possible names of the column of titles; the first that a column has, in any case, is used.
    pub const TITLE_COLUMNS: [&'static str; 2] = ["title", "name"];

    /// Number of items.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The row of an item, from 0; `None` if the table does not have it.
    pub fn row(&self, id: &str) -> Option<usize> {
        self.ids.find(id).map(|row| row as usize)
    }

    /// The id of the item in a row.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn id(&self, row: usize) -> &str {
        assert!(row < self.len(), "row {row} of {} rows", self.len());
        self.ids.get(row as u32)
    }

    /// The ids in the order of the rows.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.ids.iter()
    }

    /// The name of the column of ids in the file.
    pub fn id_name(&self) -> &str {
        &self.id_name
    }

    /// The columns besides the ids, in the order of the file. Their names are unique: a second `price` is named
    /// `price_2`, and a fourth column without a name `column_4`.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column with this name; `None` if there is none.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The names of the columns besides the ids, for a message.
    pub(crate) fn listed_columns(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(Column::name).collect();
        builder::listed(&names)
    }

    /// The position of the column of titles among the columns; `None` if none has one of the names
    /// [`TITLE_COLUMNS`](Self::TITLE_COLUMNS).
    pub fn title_column(&self) -> Option<usize> {
        let at = |name: &&str| self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        Self::TITLE_COLUMNS.iter().find_map(at)
    }

    /// The title of an item; `None` if the table has no column of titles, or no title of this item.
    pub fn title(&self, id: &str) -> Option<Cow<'_, str>> {
        self.columns[self.title_column()?].shown(self.row(id)?)
    }

    /// Number of rows of the file that had the id of an earlier row, and were left out or replaced it.
    pub fn repeated_rows(&self) -> u64 {
        self.repeated
    }

    /// How much of a vocabulary the table describes.
    pub fn coverage(&self, vocabulary: &ItemVocabulary) -> Coverage {
        let mut coverage = Coverage { items: vocabulary.len(), ..Coverage::default() };
        for (id, &events) in vocabulary.ids().zip(vocabulary.supports()) {
            coverage.events += events;
            if self.row(id).is_some() {
                coverage.described_items += 1;
                coverage.described_events += events;
            }
        }
        coverage.new_items = self.len() - coverage.described_items;
        coverage
    }

    /// A fingerprint, which differs for tables that are not equal.
    pub fn fingerprint(&self) -> String {
        self.fingerprint_of(0..self.len())
    }

    /// The fingerprint of a table of these rows.
    pub(crate) fn fingerprint_of(&self, rows: impl Iterator<Item = usize> + Clone) -> String {
        let mut hash = Fingerprint::new();
        let mut add = |bytes: &[u8]| {
            hash.add(&(bytes.len() as u64).to_le_bytes());
            hash.add(bytes);
        };
        add(self.id_name.as_bytes());
        rows.clone().for_each(|row| add(self.id(row).as_bytes()));
        for column in &self.columns {
            add(column.name.as_bytes());
            add(column.column_type().name().as_bytes());
            for row in rows.clone() {
                match column.value(row) {
                    None => add(b"-"),
                    Some(Value::Text(text)) => add(text.as_bytes()),
                    Some(Value::Number(number)) => add(&number.to_bits().to_le_bytes()),
                    Some(Value::Categories(codes)) => {
                        add(&codes.len().to_le_bytes());
                        column.categories(row).for_each(|name| add(name.as_bytes()));
                    }
                    Some(Value::Vector(vector)) => {
                        add(&vector.len().to_le_bytes());
                        vector.iter().for_each(|x| add(&x.to_bits().to_le_bytes()));
                    }
                }
            }
        }
        hash.digits()
    }

    /// Bytes of memory that the table takes.
    pub fn memory_bytes(&self) -> usize {
        self.ids.memory_bytes() + self.columns.iter().map(Column::memory_bytes).sum::<usize>()
    }
}

impl fmt::Debug for ItemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemTable({} items, {:?})", self.len(), self.columns)
    }
}

/// Tables are equal if they have the same items in the same order and equal columns.
impl PartialEq for ItemTable {
    fn eq(&self, other: &Self) -> bool {
        self.id_name == other.id_name && self.ids().eq(other.ids()) && self.columns == other.columns
    }
}

#[cfg(test)]
pub(crate) mod tests;

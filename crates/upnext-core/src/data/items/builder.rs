//! Builds an item table row by row: checks ids, handles repeated items, and converts the columns to their types.

use super::ItemTable;
use super::column::{Column, Values};
use super::inspection::{self, Reading};
use super::options::{ColumnType, ItemTableOptions, RepeatedItem};
use crate::data::id_text;
use crate::data::ids::IdTable;
use crate::data::names::{column, item_column, shortened};
use crate::error::{Error, Result};
use std::path::Path;

/// The maximum number of column names in a message.
const MAX_NAMED: usize = 30;

/// The columns of a file that are read.
pub(super) struct Chosen {
    /// The position of the column of ids, from 0.
    pub(super) id: usize,
    pub(super) id_name: String,
    /// The other columns, in the order of the file.
    pub(super) others: Vec<ChosenColumn>,
}

/// A column that is read.
pub(super) struct ChosenColumn {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) wanted: Option<ColumnType>,
    /// Whether the type was requested for this column by name, and not for all columns.
    pub(super) by_name: bool,
}

/// The file, for messages.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) path: &'a Path,
    /// What positions count: "line" or "row".
    pub(super) place: &'static str,
}

impl Origin<'_> {
    /// An error of the file, with the line or row and the column that it concerns, if any.
    pub(super) fn error(self, position: Option<u64>, column: Option<&str>, reason: String) -> Error {
        let (path, column) = (self.path.to_owned(), column.map(shortened));
        Error::ItemTable { path, place: self.place, position, column, reason }
    }
}

/// Names for a message, the first of them if they are many.
pub(super) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let mut list = String::new();
    for name in names.iter().take(MAX_NAMED) {
        list.push_str(&format!("{}`{}`", if list.is_empty() { "" } else { ", " }, shortened(name.as_ref())));
    }
    if names.len() > MAX_NAMED { format!("{list} and {} more", names.len() - MAX_NAMED) } else { list }
}

/// Selects the columns to read by their names.
pub(super) fn choose(
    origin: Origin<'_>,
    mut names: Vec<String>,
    options: &ItemTableOptions,
) -> Result<Chosen> {
    let header = (origin.place == "line").then_some(1);
    let refused = |reason: String| origin.error(header, None, reason);
    let Some(id) = item_column(&names, &options.item_columns) else {
        let found = listed(&names);
        return Err(refused(match options.item_columns.as_slice() {
            [] => format!(
                "no column of ids: none is called item_id, product_id, sku, id or the like; the file has {found}. Name it with the option `item_column`"
            ),
            wanted => format!("no column of ids: none is called {}; the file has {found}", listed(wanted)),
        }));
    };
    make_unique(&mut names);
    let find = |wanted: &str| {
        column(&names, wanted).ok_or_else(|| {
            refused(format!("there is no column `{}`; the file has {}", shortened(wanted), listed(&names)))
        })
    };
    let chosen = options.columns.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
    let mut types = vec![(options.other_types, false); names.len()];
    for (name, &wanted) in &options.usual_types {
        if let Some(at) = column(&names, name) {
            types[at] = (Some(wanted), false);
        }
    }
    for (name, &wanted) in &options.types {
        types[find(name)?] = (Some(wanted), true);
    }
    let is_chosen = |at: &usize| *at != id && (options.columns.is_empty() || chosen.contains(at));
    let of = |at: usize| {
        let (wanted, by_name) = types[at];
        ChosenColumn { at, name: names[at].clone(), wanted, by_name }
    };
    let others = (0..names.len()).filter(is_chosen).map(of).collect();
    Ok(Chosen { id, id_name: names[id].clone(), others })
}

/// Gives a new name to each column without a name, or with the name of an earlier one.
fn make_unique(names: &mut [String]) {
    for at in 0..names.len() {
        let (before, rest) = names.split_at_mut(at);
        let name = &mut rest[0];
        if name.is_empty() {
            *name = format!("column_{}", at + 1);
        }
        let plain = name.clone();
        let mut number = 1;
        while before.contains(name) {
            number += 1;
            *name = format!("{plain}_{number}");
        }
    }
}

/// Builds a table row by row: push the values of a row to the columns, then call [`end_row`](Self::end_row).
pub(super) struct Builder<'a> {
    origin: Origin<'a>,
    options: &'a ItemTableOptions,
    id_name: String,
    ids: IdTable,
    /// For each item, in the order of `ids`, the row of its values in the columns.
    rows: Vec<u32>,
    /// For each row of the columns, its line or row in the file.
    positions: Vec<u64>,
    pub(super) columns: Vec<Column>,
    /// The requested types, column by column.
    wanted: Vec<Option<ColumnType>>,
    /// Number of rows that repeated an earlier one.
    repeated: u64,
    /// Whether `rows` differs from 0, 1, 2, …
    replaced: bool,
}

impl<'a> Builder<'a> {
    /// An empty table; `values` are the empty columns, in the types in which the file is decoded.
    pub(super) fn new(
        origin: Origin<'a>,
        options: &'a ItemTableOptions,
        chosen: &Chosen,
        values: impl IntoIterator<Item = Values>,
    ) -> Self {
        let column = |(chosen, values): (&ChosenColumn, Values)| Column { name: chosen.name.clone(), values };
        Self {
            origin,
            options,
            id_name: chosen.id_name.clone(),
            ids: IdTable::new(),
            rows: Vec::new(),
            positions: Vec::new(),
            columns: chosen.others.iter().zip(values).map(column).collect(),
            wanted: chosen.others.iter().map(|chosen| chosen.wanted).collect(),
            repeated: 0,
            replaced: false,
        }
    }

    /// An error of the value in column `at` of the row at `position`.
    pub(super) fn refused(&self, position: u64, at: usize, reason: String) -> Error {
        self.origin.error(Some(position), Some(&self.columns[at].name), reason)
    }

    /// Checks that a text is not longer than the limit.
    pub(super) fn check_length(&self, position: u64, at: usize, bytes: usize) -> Result<()> {
        let limit = self.options.limits.field_bytes;
        if bytes > limit {
            return Err(self.refused(position, at, format!("{bytes} bytes: give at most {limit}")));
        }
        Ok(())
    }

    /// Ends the row of the item with this id, after its values have been pushed.
    pub(super) fn end_row(&mut self, id: &[u8], position: u64) -> Result<()> {
        let id = id_text::in_table(id);
        let row = self.positions.len();
        debug_assert!(self.columns.iter().all(|column| column.len() == row + 1), "a value for each column");
        self.positions.push(position);
        let Some(item) = self.ids.find_bytes(id) else {
            let id = self.checked(id, position)?;
            if self.ids.len() >= self.options.limits.items.min(u32::MAX as usize) {
                let reason =
                    format!("more than {} items: leave some out, or raise the limit", self.ids.len());
                return Err(self.origin.error(Some(position), None, reason));
            }
            self.ids.add(id);
            self.rows.push(row as u32);
            return Ok(());
        };
        let earlier = &mut self.rows[item as usize];
        let first = *earlier as usize;
        match self.columns.iter().find(|column| !column.values.same(first, row)) {
            None => {
                self.repeated += 1;
                self.positions.truncate(row);
                self.columns.iter_mut().for_each(|column| column.values.truncate(row));
            }
            Some(_) if self.options.repeated == RepeatedItem::KeepLast && row < u32::MAX as usize => {
                self.repeated += 1;
                self.replaced = true;
                *earlier = row as u32;
            }
            Some(different) => {
                let (place, before) = (self.origin.place, self.positions[first]);
                let reason = format!(
                    "`{}` stands in {place} {before} too, with another `{}`: leave one of the two",
                    shortened(self.ids.get(item)),
                    shortened(&different.name)
                );
                return Err(self.origin.error(Some(position), Some(&self.id_name), reason));
            }
        }
        Ok(())
    }

    /// Checks a new id and returns it as text.
    fn checked<'b>(&self, id: &'b [u8], position: u64) -> Result<&'b str> {
        let limit = self.options.limits.id_bytes;
        let reason = if id.is_empty() {
            "empty: give the item's id as it stands in the click log".to_owned()
        } else if id.len() > limit {
            format!("{} bytes: give at most {limit} (was a quote left open?)", id.len())
        } else if id.contains(&0) {
            "the id has a NUL byte: is this a text file?".to_owned()
        } else {
            match std::str::from_utf8(id) {
                Ok(id) => return Ok(id),
                Err(_) => NOT_UTF8.to_owned(),
            }
        };
        Err(self.origin.error(Some(position), Some(&self.id_name), reason))
    }

    /// Completes the table. Columns of text are converted to the requested or inferred type; numbers and vectors are
    /// inferred only with `untyped`.
    pub(super) fn finish(mut self, untyped: bool) -> Result<ItemTable> {
        if self.replaced {
            for column in &mut self.columns {
                column.values = column.values.gather(&self.rows);
            }
            self.positions = self.rows.iter().map(|&row| self.positions[row as usize]).collect();
        }
        for (column, wanted) in self.columns.iter_mut().zip(&self.wanted) {
            let values = std::mem::replace(&mut column.values, Values::Number(Vec::new()));
            column.values = match values {
                Values::Text(texts) => {
                    let separator = self.options.list_separator;
                    let reading = Reading { wanted: *wanted, separator, untyped };
                    inspection::typed(texts, &reading).map_err(|(row, reason)| {
                        self.origin.error(Some(self.positions[row]), Some(&column.name), reason)
                    })?
                }
                values => values,
            };
            column.values.shrink();
        }
        let Self { ids, id_name, columns, repeated, .. } = self;
        Ok(ItemTable { ids, id_name, columns, repeated })
    }
}

/// The message for a field in another encoding.
pub(super) const NOT_UTF8: &str = "not UTF-8 text: convert the file to UTF-8";

//! The catalogue: titles and other columns of an item table, for display and search. Models do not use them.

use crate::{Error, ServerConfig};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use upnext_core::data::items::{Column, ColumnType, ItemTable, ItemTableOptions};

/// Possible names of the id column; the first that exists is used.
const ID_COLUMNS: [&str; 3] = ["item", "item_id", "id"];

/// An item table with a column of titles.
#[derive(Debug)]
pub(crate) struct Catalogue {
    table: Arc<ItemTable>,
    /// Index of the title column.
    title: usize,
    /// Indices of the other columns.
    others: Vec<usize>,
}

/// A row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description<'a> {
    catalogue: &'a Catalogue,
    row: usize,
}

impl<'a> Description<'a> {
    fn column(self, at: usize) -> &'a Column {
        &self.catalogue.table.columns()[at]
    }

    /// The title; `None` if the field is empty.
    pub(crate) fn title(self) -> Option<Cow<'a, str>> {
        self.column(self.catalogue.title).shown(self.row)
    }

    /// Names and values of the other columns in the order of the table, empty fields left out.
    pub(crate) fn details(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        self.catalogue.others.iter().filter_map(move |&at| {
            let column = self.column(at);
            Some((column.name(), column.shown(self.row)?))
        })
    }
}

impl Catalogue {
    /// The row of the item with this id.
    pub(crate) fn get(&self, id: &str) -> Option<Description<'_>> {
        Some(Description { catalogue: self, row: self.table.row(id)? })
    }

    /// Reads a table with a column `item`, `item_id` or `id`, a column `title` or `name`, and further columns.
    ///
    /// # Errors
    /// For a file that cannot be read, lacks these columns, is not UTF-8 text, has contradictory rows for an item, or
    /// exceeds the limits, with the line and the column.
    pub(crate) fn read(path: &Path, config: &ServerConfig) -> Result<Self, Error> {
        let mut options = ItemTableOptions::default();
        options.item_columns = ID_COLUMNS.map(str::to_owned).to_vec();
        // Fields are shown as they stand in the file, which has commas whatever its titles have.
        (options.other_types, options.delimiter) = (Some(ColumnType::Text), Some(','));
        options.quote = config.catalogue_quote;
        options.limits.items = config.max_catalogue_items;
        options.limits.id_bytes = config.max_item_id_bytes;
        options.limits.field_bytes = config.max_catalogue_field_bytes;
        let table = Arc::new(ItemTable::read(path, &options)?);

        let refused = |reason: String| Error::Catalogue { path: path.to_owned(), reason };
        let title = table.title_column().ok_or_else(|| {
            let names: Vec<&str> = table.columns().iter().map(Column::name).collect();
            let (wanted, found) = (ItemTable::TITLE_COLUMNS.join("`, `"), names.join("`, `"));
            refused(format!(
                "no column of titles: none is called `{wanted}`; beside the ids the file has `{found}`"
            ))
        })?;
        let others: Vec<usize> = (0..table.columns().len()).filter(|&at| at != title).collect();
        if others.len() > config.max_catalogue_columns {
            let (limit, count) = (config.max_catalogue_columns, others.len());
            return Err(refused(format!(
                "{count} columns beside id and title: leave at most {limit} (`max_catalogue_columns`)"
            )));
        }
        Ok(Self { table, title, others })
    }

    /// The table of items that a model holds, if it has a column `title` or `name`: with that, the first `max_columns`
    /// columns that can be shown as text.
    pub(crate) fn of_model(table: &Arc<ItemTable>, max_columns: usize) -> Option<Self> {
        let title = table.title_column()?;
        let is_shown = |&at: &usize| at != title && table.columns()[at].column_type() != ColumnType::Vector;
        let others = (0..table.columns().len()).filter(is_shown).take(max_columns).collect();
        Some(Self { table: Arc::clone(table), title, others })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<Catalogue, String> {
        let config = ServerConfig {
            max_catalogue_items: 3,
            max_catalogue_columns: 2,
            max_catalogue_field_bytes: 40,
            ..ServerConfig::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalogue.csv");
        std::fs::write(&path, text).unwrap();
        let short = |error: Error| error.to_string().replace(&format!("{}/", dir.path().display()), "");
        Catalogue::read(&path, &config).map_err(short)
    }

    #[test]
    fn columns_are_found_by_their_names_and_the_others_are_kept_in_order() {
        let text = "\u{feff}price,Title,item_id,colour\n3,\"Cup, blue\",7,blue\n,\" a \"\"b\"\"\n\",8,\n";
        let catalogue = read(text).unwrap();
        let said = |id: &str| {
            let description = catalogue.get(id)?;
            let details = description.details().map(|(name, value)| (name, value.into_owned()));
            Some((description.title().map(Cow::into_owned), details.collect::<Vec<_>>()))
        };
        assert_eq!(catalogue.table.len(), 2);
        assert_eq!(
            said("7"),
            Some((
                Some("Cup, blue".to_owned()),
                vec![("price", "3".to_owned()), ("colour", "blue".to_owned())]
            ))
        );
        assert_eq!(said("8"), Some((Some("a \"b\"".to_owned()), vec![])));
        assert_eq!(said("9"), None);
        assert_eq!(read("id,name\n1,\n").unwrap().get("1").unwrap().title(), None);
        assert_eq!(read("id,name\n").unwrap().table.len(), 0);
    }

    #[test]
    fn a_parquet_file_is_read_too_and_what_cannot_be_shown_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        std::fs::write(&path, "id,name,price,tags,vector\n7,Cup,3.50,a|b,\"[1, 2]\"\n8,,,,\n").unwrap();
        let mut options = ItemTableOptions::default();
        options.types.insert("tags".to_owned(), ColumnType::Categories);
        options.list_separator = Some('|');
        let table = ItemTable::read(&path, &options).unwrap();
        let mut bytes = Vec::new();
        table.to_parquet(&mut bytes).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let table = Arc::new(table);
        for catalogue in [
            Catalogue::read(&path, &ServerConfig::default()).unwrap(),
            Catalogue::of_model(&table, 2).unwrap(),
        ] {
            let cup = catalogue.get("7").unwrap();
            assert_eq!(cup.title().as_deref(), Some("Cup"));
            let details: Vec<_> = cup.details().map(|(name, value)| (name, value.into_owned())).collect();
            assert_eq!(details, [("price", "3.5".to_owned()), ("tags", "a, b".to_owned())]);
            assert_eq!((catalogue.get("8").unwrap().title(), catalogue.get("9").is_none()), (None, true));
        }
        let one = Catalogue::of_model(&table, 1).unwrap();
        assert_eq!(one.get("7").unwrap().details().count(), 1);
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        for (text, message) in [
            ("", "catalogue.csv:1: no column of ids"),
            ("sku,title\n1,a\n", "catalogue.csv:1: no column of ids"),
            ("id;title\n1;a\n", "the file has `id;title`"),
            ("id,text\n1,a\n", "catalogue.csv: no column of titles"),
            ("id,title,a,b,c\n", "catalogue.csv: 3 columns beside"),
            ("id,title\n1,a\n2,b,c\n", "catalogue.csv:3: 3 fields, where the header has 2"),
            ("id,title\n1,\"a\nb\"\n,c\n", "catalogue.csv:4: column `id`: empty"),
            ("id,title\n1,a\n2,b\n1,c\n", "catalogue.csv:4: column `id`: `1` stands in line 2 too"),
            ("id,title\n2,b\n2,c\n", "catalogue.csv:3: column `id`: `2` stands in line 2 too"),
            ("id,title\n1,a\n2,a\n3,a\n4,a\n", "catalogue.csv:5: more than 3 items"),
            (&format!("id,title\n1,{}\n", "x".repeat(41)), "catalogue.csv:2: column `title`: 41 bytes"),
            (&format!("id,title\n{},a\n", "x".repeat(4_097)), "catalogue.csv:2: column `id`: 4097 bytes"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(message), "{text:?}: {refused}");
        }
        assert_eq!(
            read(b"id,title\n1,\xff\n").unwrap_err(),
            "catalogue.csv:2: column `title`: not UTF-8 text: convert the file to UTF-8"
        );
    }
}

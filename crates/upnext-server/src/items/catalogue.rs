//! The catalogue: titles, pictures and other columns of an item table, for display and search. Models do not use them.

use crate::{Error, ServerConfig};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use upnext_core::data::items::{Column, ColumnType, ItemTable, ItemTableOptions};

/// Possible names of the column of pictures; the first that exists is used.
const PICTURE_COLUMNS: [&str; 3] = ["image", "image_url", "picture"];

/// The largest number of different values of a column by which items can be filtered: what a list to choose from can hold.
const MOST_VALUES: usize = 50;

/// An item table with a column of titles.
#[derive(Debug)]
pub(crate) struct Catalogue {
    table: Arc<ItemTable>,
    /// Index of the title column.
    title: usize,
    /// Index of the column of pictures, if an item has one.
    picture: Option<usize>,
    /// Indices of the other columns.
    others: Vec<usize>,
    /// The values of each of them, sorted; `None` if they are too few or too many for a filter.
    values: Vec<Option<Vec<String>>>,
}

/// A condition on items: a value of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    column: usize,
    value: String,
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

    /// The URL of the picture; `None` if the field is empty or no HTTP URL.
    pub(crate) fn picture(self) -> Option<Cow<'a, str>> {
        self.column(self.catalogue.picture?).shown(self.row).filter(|url| is_http_url(url))
    }

    /// Whether the item has the value in the column; for a list of categories, whether it is one of them.
    pub(crate) fn meets(self, condition: &Condition) -> bool {
        let column = self.column(condition.column);
        match column.column_type() {
            ColumnType::Categories => column.categories(self.row).any(|own| own == condition.value),
            _ => column.shown(self.row).is_some_and(|own| own == condition.value),
        }
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
        let mut options = ItemTableOptions::catalogue();
        options.quote = config.catalogue_quote;
        options.limits.items = config.max_catalogue_items;
        options.limits.id_bytes = config.max_item_id_bytes;
        options.limits.field_bytes = config.max_catalogue_field_bytes;
        let table = Arc::new(ItemTable::read(path, &options)?);

        let refused = |reason: String| Error::Catalogue { path: path.to_owned(), reason };
        let title = table.title_column().ok_or_else(|| {
            let names: Vec<&str> = table.columns().iter().map(Column::name).collect();
            let found = names.join("`, `");
            refused(format!(
                "no column of titles: none is called `title`, `name`; beside the ids the file has `{found}`"
            ))
        })?;
        let picture = picture_of(&table);
        let others: Vec<usize> =
            (0..table.columns().len()).filter(|&at| at != title && Some(at) != picture).collect();
        if others.len() > config.max_catalogue_columns {
            let (limit, count) = (config.max_catalogue_columns, others.len());
            return Err(refused(format!(
                "{count} columns beside id and title: leave at most {limit} (`max_catalogue_columns`)"
            )));
        }
        Ok(Self::new(table, title, picture, others))
    }

    /// The table of items that a model holds, if it has a column `title` or `name`: with that, the first `max_columns`
    /// columns that can be shown as text.
    pub(crate) fn of_model(table: &Arc<ItemTable>, max_columns: usize) -> Option<Self> {
        let (title, picture) = (table.title_column()?, picture_of(table));
        let is_shown = |&at: &usize| {
            at != title && Some(at) != picture && table.columns()[at].column_type() != ColumnType::Vector
        };
        let others = (0..table.columns().len()).filter(is_shown).take(max_columns).collect();
        Some(Self::new(Arc::clone(table), title, picture, others))
    }

    fn new(table: Arc<ItemTable>, title: usize, picture: Option<usize>, others: Vec<usize>) -> Self {
        let values = others.iter().map(|&at| values(&table.columns()[at])).collect();
        Self { table, title, picture, others, values }
    }

    /// Whether items have pictures.
    pub(crate) fn has_pictures(&self) -> bool {
        self.picture.is_some()
    }

    /// Names of the other columns, with their values if they can be filtered by.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, Option<&[String]>)> {
        let name = |at: &usize| self.table.columns()[*at].name();
        self.others.iter().map(name).zip(self.values.iter().map(|values| values.as_deref()))
    }

    /// The condition that `NAME=VALUE` states; `None` if no column of the catalogue has the name.
    pub(crate) fn condition(&self, text: &str) -> Option<Condition> {
        self.others.iter().find_map(|&column| {
            let value = text.strip_prefix(self.table.columns()[column].name())?.strip_prefix('=')?;
            Some(Condition { column, value: value.to_owned() })
        })
    }
}

/// The different values of a column, sorted; `None` if they are too few or too many for a filter.
fn values(column: &Column) -> Option<Vec<String>> {
    let mut values: BTreeSet<Cow<'_, str>> = BTreeSet::new();
    for row in 0..column.len() {
        match column.column_type() {
            ColumnType::Categories => values.extend(column.categories(row).map(Cow::Borrowed)),
            _ => values.extend(column.shown(row)),
        }
        if values.len() > MOST_VALUES {
            return None;
        }
    }
    (values.len() > 1).then(|| values.into_iter().map(Cow::into_owned).collect())
}

/// The column of pictures: the first of its names that a column has, if there is a URL in it.
fn picture_of(table: &ItemTable) -> Option<usize> {
    let at = |name: &&str| table.columns().iter().position(|column| column.name().eq_ignore_ascii_case(name));
    PICTURE_COLUMNS.iter().find_map(at).filter(|&at| {
        let column = &table.columns()[at];
        (0..column.len()).any(|row| column.shown(row).is_some_and(|url| is_http_url(&url)))
    })
}

/// Whether a text is an HTTP URL, and not one of a scheme that could be more than a picture, such as `javascript:` or `data:`.
fn is_http_url(text: &str) -> bool {
    let has_scheme =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    (has_scheme("https://") || has_scheme("http://"))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
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
    fn pictures_are_http_urls_and_not_details() {
        let text =
            "id,title,Image\n1,a,https://shop/1.png\n2,b,javascript:alert(1)\n3,c,data:image/png;base64,\n";
        let catalogue = read(text.replace("base64,", "base64")).unwrap();
        assert!(catalogue.has_pictures());
        let picture = |id: &str| catalogue.get(id).unwrap().picture().map(Cow::into_owned);
        assert_eq!(picture("1").as_deref(), Some("https://shop/1.png"));
        assert_eq!((picture("2"), picture("3")), (None, None));
        assert_eq!(catalogue.get("1").unwrap().details().count(), 0);
        // Without a URL, the column is one like others.
        let without = read("id,title,picture\n1,a,/1.png\n").unwrap();
        assert!(!without.has_pictures() && without.get("1").unwrap().details().count() == 1);
        assert!(
            is_http_url("HTTP://x")
                && !is_http_url("http:/x")
                && !is_http_url("https://x y")
                && !is_http_url("é")
        );
    }

    #[test]
    fn columns_of_few_values_can_be_filtered_by() {
        let catalogue = read("id,title,shelf,same=x\n1,a,B,s\n2,b,A,s\n3,c,,s\n").unwrap();
        let columns: Vec<_> = catalogue.columns().collect();
        assert_eq!(columns, [("shelf", Some(&["A".to_owned(), "B".to_owned()][..])), ("same=x", None)]);
        let meets = |text: &str| {
            let condition = catalogue.condition(text)?;
            Some(["1", "2", "3"].map(|id| catalogue.get(id).unwrap().meets(&condition)))
        };
        assert_eq!(meets("shelf=A"), Some([false, true, false]));
        assert_eq!(meets("same=x=s"), Some([true; 3]));
        assert_eq!((meets("title=a"), meets("shelf"), meets("")), (None, None, None));
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

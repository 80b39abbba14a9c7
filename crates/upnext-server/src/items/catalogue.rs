//! Titles of items, from a CSV file: for people who look at lists, never for models.

use crate::{Error, ServerConfig};
use csv::ByteRecord;
use std::path::Path;
use upnext_core::data::ItemVocabulary;

/// Names of the column of ids, the first that is there.
const ID_COLUMNS: [&str; 3] = ["item", "item_id", "id"];
/// Names of the column of titles, the first that is there.
const TITLE_COLUMNS: [&str; 2] = ["title", "name"];

/// What a file says about items, all of it text.
///
/// All text lies in one allocation, so that a million items cost their bytes and some 10 more a field.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    ids: ItemVocabulary,
    /// Names of the columns beside the id and the title.
    columns: Vec<String>,
    /// The fields of all items, item by item: the title, then those of `columns`.
    text: String,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
}

/// What the catalogue says about an item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description<'a> {
    catalogue: &'a Catalogue,
    item: usize,
}

impl<'a> Description<'a> {
    fn field(self, column: usize) -> Option<&'a str> {
        let Catalogue { text, ends, columns, .. } = self.catalogue;
        let at = self.item * (columns.len() + 1) + column;
        let start = if at == 0 { 0 } else { ends[at - 1] };
        Some(&text[start..ends[at]]).filter(|field| !field.is_empty())
    }

    /// The title; `None` where the field is empty.
    pub(crate) fn title(self) -> Option<&'a str> {
        self.field(0)
    }

    /// The other columns that say something, in the order of the file.
    pub(crate) fn details(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        (1..)
            .zip(&self.catalogue.columns)
            .filter_map(move |(at, name)| Some((name.as_str(), self.field(at)?)))
    }
}

impl Catalogue {
    /// What is said about the item with this id.
    pub(crate) fn get(&self, id: &str) -> Option<Description<'_>> {
        Some(Description { catalogue: self, item: self.ids.index_of(id)? as usize })
    }

    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Reads a file with a header: a column `item`, `item_id` or `id`, a column `title` or `name`, and others, all shown.
    ///
    /// # Errors
    /// For a file that cannot be read, has no such columns, is not UTF-8 text, says two things about an item, or goes
    /// beyond the limits, with the line and the column.
    pub(crate) fn read(path: &Path, config: &ServerConfig) -> Result<Self, Error> {
        let file = std::fs::File::open(path).map_err(upnext_core::Error::io(path, "open"))?;
        let refused = |line: u64, column: Option<&str>, reason: String| Error::Catalogue {
            path: path.to_owned(),
            line,
            column: column.map_or_else(String::new, |name| format!("column `{name}`: ")),
            reason,
        };
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file);
        let mut record = ByteRecord::new();
        let mut next = |record: &mut ByteRecord| match reader.read_byte_record(record) {
            Ok(there) => Ok(there),
            Err(error) => Err(match error.into_kind() {
                csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                    let line = pos.map_or(0, |pos| pos.line());
                    let reason = format!(
                        "{len} fields, where the header has {expected_len}: put fields with commas in quotes"
                    );
                    refused(line, None, reason)
                }
                csv::ErrorKind::Io(error) => upnext_core::Error::io(path, "read")(error).into(),
                other => refused(0, None, format!("{other:?}")),
            }),
        };

        next(&mut record)?;
        let names: Vec<String> =
            record.iter().map(|name| String::from_utf8_lossy(name.trim_ascii()).into_owned()).collect();
        let find = |wanted: &[&str], what: &str| {
            let at = |name: &&str| names.iter().position(|own| own.eq_ignore_ascii_case(name));
            wanted.iter().find_map(at).ok_or_else(|| {
                let (wanted, found) = (wanted.join("`, `"), names.join("`, `"));
                let reason = format!(
                    "no column of {what}: the first line must name one `{wanted}`, separated by commas; it has `{found}`"
                );
                refused(1, None, reason)
            })
        };
        let id_column = find(&ID_COLUMNS, "ids")?;
        let title_column = find(&TITLE_COLUMNS, "titles")?;
        let others: Vec<usize> =
            (0..names.len()).filter(|&at| at != id_column && at != title_column).collect();
        if others.len() > config.max_catalogue_columns {
            let (limit, count) = (config.max_catalogue_columns, others.len());
            let reason = format!(
                "{count} columns beside id and title: leave at most {limit} (`max_catalogue_columns`)"
            );
            return Err(refused(1, None, reason));
        }

        let columns = others.iter().map(|&at| names[at].clone()).collect();
        let mut catalogue = Self { columns, ..Self::default() };
        while next(&mut record)? {
            let line = record.position().map_or(0, csv::Position::line);
            // Every record has as many fields as the header, or reading it was an error.
            let field = |at: usize, limit: usize| {
                let bytes = &record[at];
                if bytes.len() > limit {
                    let reason = format!("{} bytes: give at most {limit}", bytes.len());
                    return Err(refused(line, Some(&names[at]), reason));
                }
                std::str::from_utf8(bytes)
                    .map_err(|_| refused(line, Some(&names[at]), "not UTF-8 text".to_owned()))
            };
            if catalogue.len() == config.max_catalogue_items {
                let limit = config.max_catalogue_items;
                let reason =
                    format!("more than {limit} items: leave some out, or raise `max_catalogue_items`");
                return Err(refused(line, None, reason));
            }
            let id = field(id_column, config.max_item_id_bytes)?;
            if id.is_empty() {
                let reason = "empty: give the item's id as it stands in the click log".to_owned();
                return Err(refused(line, Some(&names[id_column]), reason));
            }
            if catalogue.ids.index_of(id).is_some() {
                let reason = format!("`{id}` stands in an earlier line too: leave one of the two");
                return Err(refused(line, Some(&names[id_column]), reason));
            }
            catalogue.ids.add(id, 0);
            for &at in std::iter::once(&title_column).chain(&others) {
                catalogue.text.push_str(field(at, config.max_catalogue_field_bytes)?.trim());
                catalogue.ends.push(catalogue.text.len());
            }
        }
        Ok(catalogue)
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
            Some((description.title().map(str::to_owned), description.details().collect::<Vec<_>>()))
        };
        assert_eq!(catalogue.len(), 2);
        assert_eq!(said("7"), Some((Some("Cup, blue".to_owned()), vec![("price", "3"), ("colour", "blue")])));
        assert_eq!(said("8"), Some((Some("a \"b\"".to_owned()), vec![])));
        assert_eq!(said("9"), None);
        assert_eq!(read("id,name\n1,\n").unwrap().get("1").unwrap().title(), None);
        assert_eq!(read("id,name\n").unwrap().len(), 0);
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        for (text, message) in [
            ("", "catalogue.csv:1: no column of ids"),
            ("sku,title\n1,a\n", "catalogue.csv:1: no column of ids"),
            ("id;title\n1;a\n", "it has `id;title`"),
            ("id,text\n1,a\n", "catalogue.csv:1: no column of titles"),
            ("id,title,a,b,c\n", "catalogue.csv:1: 3 columns beside"),
            ("id,title\n1,a\n2,b,c\n", "catalogue.csv:3: 3 fields, where the header has 2"),
            ("id,title\n1,\"a\nb\"\n,c\n", "catalogue.csv:4: column `id`: empty"),
            ("id,title\n1,a\n2,b\n1,c\n", "catalogue.csv:4: column `id`: `1` stands in an earlier line"),
            ("id,title\n2,b\n2,c\n", "catalogue.csv:3: column `id`: `2` stands in an earlier line"),
            ("id,title\n1,a\n2,a\n3,a\n4,a\n", "catalogue.csv:5: more than 3 items"),
            (&format!("id,title\n1,{}\n", "x".repeat(41)), "catalogue.csv:2: column `title`: 41 bytes"),
            (&format!("id,title\n{},a\n", "x".repeat(4_097)), "catalogue.csv:2: column `id`: 4097 bytes"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(message), "{text:?}: {refused}");
        }
        assert_eq!(
            read(b"id,title\n1,\xff\n").unwrap_err(),
            "catalogue.csv:2: column `title`: not UTF-8 text"
        );
    }
}

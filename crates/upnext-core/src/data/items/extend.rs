//! A table with the rows of another one at its end.

use super::ItemTable;
use super::column::Values;
use crate::data::names::shortened;
use crate::{Error, Result};

impl ItemTable {
    /// This table with the rows of `other` for items that it lacks, and how many they are. A column that `other` lacks has no values there.
    ///
    /// # Errors
    /// [`Error::Config`] if `other` has a column that this table lacks, or one of another type or width.
    pub fn with_rows_of(&self, other: &Self) -> Result<(Self, usize)> {
        let refuse = |reason: String| Err(Error::config("items", reason));
        for column in &other.columns {
            let name = shortened(&column.name);
            let Some(own) = self.column(&column.name) else {
                return refuse(format!(
                    "the model's table of items has no column `{name}`, but {}: leave it out, or rename it",
                    self.listed_columns()
                ));
            };
            let (is, found) = (own.column_type(), column.column_type());
            if is != found {
                return refuse(format!(
                    "the column `{name}` has values of type {found}, and the model's table {is}: request that type"
                ));
            }
            if own.width() != column.width() && own.width() != 0 && column.width() != 0 {
                return refuse(format!(
                    "the vectors of column `{name}` have {} numbers, and those of the model's table {}",
                    column.width(),
                    own.width()
                ));
            }
        }
        let mut table = self.clone();
        let rows: Vec<usize> = (0..other.len()).filter(|&row| self.row(other.id(row)).is_none()).collect();
        rows.iter().for_each(|&row| _ = table.ids.add(other.id(row)));
        for column in &mut table.columns {
            let from = other.column(&column.name).map(|column| &column.values);
            rows.iter().for_each(|&row| column.values.push_from(from, row));
        }
        Ok((table, rows.len()))
    }
}

impl Values {
    /// Appends the value of a row of a column of the same type, or a missing value without one.
    fn push_from(&mut self, other: Option<&Self>, row: usize) {
        match (self, other) {
            (Self::Text(texts), Some(Self::Text(from))) => texts.push(from.get(row)),
            (Self::Text(texts), _) => texts.push(""),
            (Self::Number(numbers), Some(Self::Number(from))) => numbers.push(from[row]),
            (Self::Number(numbers), _) => numbers.push(f64::NAN),
            (Self::Categories(lists), Some(Self::Categories(from))) => lists.push(from.names_of(row)),
            (Self::Categories(lists), _) => lists.push([]),
            (Self::Vector(vectors), Some(Self::Vector(from))) => match from.get(row) {
                Some(vector) => vectors.append(vector),
                None => vectors.push_missing(),
            },
            (Self::Vector(vectors), _) => vectors.push_missing(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read_file;
    use super::*;
    use crate::data::items::ColumnType;

    fn read(text: &str) -> ItemTable {
        read_file("items.csv", text, |options| {
            for (name, of) in [("tags", ColumnType::Categories), ("title", ColumnType::Text)] {
                if text.lines().next().is_some_and(|header| header.contains(name)) {
                    options.types.insert(name.to_owned(), of);
                }
            }
            options.list_separator = Some('|');
        })
        .unwrap()
    }

    #[test]
    fn rows_of_new_items_follow_and_known_ones_stay() {
        let table = read("item,title,tags,price\n1,Cup,a|b,2\n2,Pot,b,3\n");
        let (all, added) = table.with_rows_of(&read("item,tags,price\n2,z,9\n3,b|c,\n4,,5\n")).unwrap();
        assert_eq!((added, all.len()), (2, 4));
        assert_eq!(all, read("item,title,tags,price\n1,Cup,a|b,2\n2,Pot,b,3\n3,,b|c,\n4,,,5\n"));
        assert_eq!(table.with_rows_of(&table).unwrap(), (table, 0));
    }

    #[test]
    fn columns_that_do_not_fit_are_named() {
        let table = read("item,price,v\n1,2,\"[1, 2]\"\n2,3,\"[1, 3]\"\n");
        let refused = |text: &str| table.with_rows_of(&read(text)).unwrap_err().to_string();
        assert!(refused("item,colour\n3,red\n").contains("`colour`"));
        assert!(refused("item,price\n3,much\n").contains("type text"));
        assert!(refused("item,v\n3,\"[1, 2, 3]\"\n").contains("3 numbers"));
    }
}

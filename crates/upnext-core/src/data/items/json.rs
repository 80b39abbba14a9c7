//! Tables of items whose values are given as JSON, as in a request.

use super::ItemTable;
use super::column::{Column, Lists, Texts, Values, Vectors};
use super::options::ColumnType;
use crate::data::ids::{IdTable, MAX_ID_BYTES};
use crate::data::names::shortened;
use crate::{Error, Result};
use serde_json::{Map, Value as Json};

/// An item, and its attributes by the names of columns.
pub type JsonItem = (String, Map<String, Json>);

impl ItemTable {
    /// A table of further items with the columns of this table and their types.
    ///
    /// An attribute that is absent, null, or empty is missing. Texts and categories are strings; numbers and truth values stand for their
    /// text, and several categories are a list. Numbers are numbers, vectors lists of them.
    ///
    /// # Errors
    /// [`Error::Config`] with the place, such as `items[3].price`: for an attribute that this table has no column for, a value that is not of
    /// the type of its column, and an id that is empty, too long, or there twice.
    pub fn of_json(&self, items: &[JsonItem]) -> Result<Self> {
        let mut ids = IdTable::new();
        for (i, (id, values)) in items.iter().enumerate() {
            let refuse = |reason: String| Err(Error::config(format!("items[{i}].item_id"), reason));
            if id.is_empty() || id.len() > MAX_ID_BYTES || id.contains('\0') {
                return refuse(format!(
                    "is no id: give the item's id as it stands in the log, 1 to {MAX_ID_BYTES} bytes"
                ));
            }
            if ids.find(id).is_some() {
                return refuse(format!("`{}` is there twice: give each item once", shortened(id)));
            }
            ids.add(id);
            if let Some(name) = values.keys().find(|name| self.column(name).is_none()) {
                let reason =
                    format!("is no attribute of the model's table: it has {}", self.listed_columns());
                return Err(Error::config(format!("items[{i}].{}", shortened(name)), reason));
            }
        }
        let columns =
            self.columns.iter().map(|column| column_of_json(column, items)).collect::<Result<_>>()?;
        Ok(Self { ids, id_name: self.id_name.clone(), columns, repeated: 0 })
    }
}

/// The values of a column like `column`.
fn column_of_json(column: &Column, items: &[JsonItem]) -> Result<Column> {
    let name = column.name();
    let mut values = match column.column_type() {
        ColumnType::Text => Values::Text(Texts::default()),
        ColumnType::Number => Values::Number(Vec::with_capacity(items.len())),
        ColumnType::Categories => Values::Categories(Lists::default()),
        ColumnType::Vector => Values::Vector(Vectors::default()),
    };
    for (i, (_, of_item)) in items.iter().enumerate() {
        let value = of_item.get(name).unwrap_or(&Json::Null);
        push(&mut values, value, column.width())
            .map_err(|reason| Error::config(format!("items[{i}].{}", shortened(name)), reason))?;
    }
    Ok(Column { name: name.to_owned(), values })
}

/// Appends a value; `width` is that of the vectors, if it is known.
fn push(values: &mut Values, value: &Json, width: usize) -> std::result::Result<(), String> {
    let wrong = |wanted: &str| Err(format!("is {}: give {wanted}, or null if it is not known", kind(value)));
    match values {
        Values::Text(texts) => match text(value) {
            Some(text) => texts.push(text.trim()),
            None => return wrong("a text"),
        },
        Values::Number(numbers) => match value {
            Json::Null => numbers.push(f64::NAN),
            Json::Number(number) => match number.as_f64().filter(|number| number.is_finite()) {
                Some(number) => numbers.push(number),
                None => return wrong("a finite number"),
            },
            _ => return wrong("a number"),
        },
        Values::Categories(lists) => match value {
            Json::Array(names) => {
                let Some(names) = names.iter().map(text).collect::<Option<Vec<String>>>() else {
                    return wrong("a list of texts");
                };
                lists.push(names.iter().map(String::as_str));
            }
            _ => match text(value) {
                Some(name) => lists.push([name.as_str()]),
                None => return wrong("a text or a list of texts"),
            },
        },
        Values::Vector(vectors) => match value {
            Json::Null => vectors.push_missing(),
            Json::Array(numbers) => {
                let Some(numbers) = numbers.iter().map(Json::as_f64).collect::<Option<Vec<f64>>>() else {
                    return wrong("a list of numbers");
                };
                if width != 0 && !numbers.is_empty() && numbers.len() != width {
                    return Err(format!(
                        "has {} numbers, and the vectors of the model {width}",
                        numbers.len()
                    ));
                }
                vectors.push(&numbers.into_iter().map(|number| number as f32).collect::<Vec<f32>>())?;
            }
            _ => return wrong("a list of numbers"),
        },
    }
    Ok(())
}

/// The text of a value that is one, or stands for one; empty for null.
fn text(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some(String::new()),
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a truth value",
        Json::Number(_) => "a number that is too large",
        Json::String(_) => "a text",
        Json::Array(_) => "a list of other things",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read_file;
    use super::*;
    use serde_json::json;

    fn table() -> ItemTable {
        let text = "item,title,price,tags,look\n1,Cup,2,a|b,\"[1, 2]\"\n2,,,,\n";
        read_file("items.csv", text, |options| {
            options.types.insert("title".to_owned(), ColumnType::Text);
            options.list_separator = Some('|');
        })
        .unwrap()
    }

    fn items(items: Json) -> Vec<JsonItem> {
        let Json::Array(items) = items else { panic!("a list") };
        let item = |item: Json| {
            let Json::Object(mut values) = item else { panic!("an object") };
            let Some(Json::String(id)) = values.remove("item_id") else { panic!("an id") };
            (id, values)
        };
        items.into_iter().map(item).collect()
    }

    #[test]
    fn values_become_those_that_a_file_would_have() {
        let given = items(json!([
            {"item_id": "3", "title": " Pot ", "price": 2.5, "tags": ["b", " c "], "look": [0.5, -1]},
            {"item_id": "4", "title": 7, "price": null, "tags": true, "look": []},
            {"item_id": "5", "tags": 12},
            {"item_id": "6", "tags": [], "title": ""},
        ]));
        let text = "item,title,price,tags,look\n3,Pot,2.5,b|c,\"[0.5, -1]\"\n4,7,,true,\n5,,,12,\n6,,,,\n";
        let wanted = read_file("items.csv", text, |options| {
            for (name, of) in [("title", ColumnType::Text), ("tags", ColumnType::Categories)] {
                options.types.insert(name.to_owned(), of);
            }
            options.types.insert("look".to_owned(), ColumnType::Vector);
            options.list_separator = Some('|');
        });
        assert_eq!(table().of_json(&given).unwrap(), wanted.unwrap());
        assert_eq!(table().of_json(&[]).unwrap().len(), 0);
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        for (given, says) in [
            (json!([{"item_id": "3"}, {"item_id": "3"}]), "items[1].item_id: `3` is there twice"),
            (json!([{"item_id": ""}]), "items[0].item_id: is no id"),
            (json!([{"item_id": "3", "colour": "red"}]), "items[0].colour: is no attribute"),
            (json!([{"item_id": "3", "price": "2"}]), "items[0].price: is a text: give a number"),
            (json!([{"item_id": "3", "title": ["a"]}]), "items[0].title: is a list"),
            (json!([{"item_id": "3", "tags": {"a": 1}}]), "items[0].tags: is an object"),
            (json!([{"item_id": "3", "tags": ["a", ["b"]]}]), "items[0].tags: is a list of other"),
            (
                json!([{"item_id": "3", "look": [1, 2, 3]}]),
                "items[0].look: has 3 numbers, and the vectors of the model 2",
            ),
            (json!([{"item_id": "3", "look": [1, "x"]}]), "items[0].look: is a list of other"),
            (json!([{"item_id": "3", "look": [1, 1e300]}]), "no finite number of 32 bits"),
        ] {
            let refused = table().of_json(&items(given)).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }
}

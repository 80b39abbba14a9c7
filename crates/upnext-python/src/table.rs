//! Columns of results: ids as the user has them.

use arrow_array::ArrayRef;
use arrow_array::builder::{Int64Builder, StringBuilder};
use arrow_schema::DataType;
use std::sync::Arc;

/// Of which type ids are for the user; inside, they are texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ids {
    #[default]
    Texts,
    Numbers,
}

impl Ids {
    /// The ids of a column of this type.
    pub(crate) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(_, values) => Self::of(values),
            data_type if data_type.is_integer() => Self::Numbers,
            _ => Self::Texts,
        }
    }

    /// The type of a column of these ids, of which `all` are the possible ones: one that is not the text of a number makes
    /// all of them texts.
    pub(crate) fn column_type<'a>(self, mut all: impl Iterator<Item = &'a str>) -> DataType {
        match self {
            Self::Numbers if all.all(|id| number(id).is_some()) => DataType::Int64,
            _ => DataType::Utf8,
        }
    }

    /// A column of these ids.
    pub(crate) fn column(self, ids: &[&str]) -> ArrayRef {
        column(&self.column_type(ids.iter().copied()), ids.iter().copied())
    }
}

/// A column of ids of a type that [`Ids::column_type`] has found.
pub(crate) fn column<'a>(data_type: &DataType, ids: impl Iterator<Item = &'a str>) -> ArrayRef {
    if *data_type == DataType::Int64 {
        let mut numbers = Int64Builder::new();
        ids.for_each(|id| numbers.append_option(number(id)));
        return Arc::new(numbers.finish());
    }
    let mut texts = StringBuilder::new();
    ids.for_each(|id| texts.append_value(id));
    Arc::new(texts.finish())
}

/// The number of which this is the text; `None` for other texts, and for other ways to write a number.
fn number(id: &str) -> Option<i64> {
    let number: i64 = id.parse().ok()?;
    (number.to_string() == id).then_some(number)
}

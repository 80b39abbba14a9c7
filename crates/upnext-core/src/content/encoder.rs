//! How attributes become numbers: learnt from the items of a training, and saved with the model.

use super::features::{ContentShape, ItemFeatures};
use super::tokens::{PARTS, parts, words};
use crate::arrays::Arrays;
use crate::data::ItemVocabulary;
use crate::data::items::{Column, ColumnType, ItemTable, Value};
use crate::data::shortened_to;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Largest number of values of a column that have features of their own, those of the most items. (Our choice.)
const MAX_VALUES: usize = 100_000;
/// Number of bins of a column of numbers, with as many items each. (Our choice.)
const BINS: usize = 10;
/// The configured name that stands for all columns.
const ALL: &str = "*";
/// Name of the encoder's array in files (`docs/artifact.md`).
const ENCODER: &str = "content.encoder";

/// The terms in which a model describes items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encoder {
    /// Number of features of all columns.
    features: u32,
    /// Width of the vectors of all columns together.
    width: usize,
    columns: Vec<ColumnEncoder>,
    /// The factor of the weights of each feature ([`Factors`]).
    factors: Vec<f32>,
}

/// What the weights of features are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factors {
    /// 1 / ∛n if n items of the training have the feature (our choice). Without it, the features that many items share take larger
    /// steps than these, and known items are recommended worse.
    Damped,
    /// ln(N / n) / ln N if n of N items have it: 1 for a feature of a single item, 0 for one of all, and for missing and for rare values,
    /// which are no likeness.
    Telling,
}

impl Factors {
    /// Number of items that a category or a word needs for a feature of its own. What is learnt of one that a single item has tells nothing
    /// about others; a likeness to that item does. (Our choice.)
    fn least_items(self) -> usize {
        match self {
            Self::Damped => 2,
            Self::Telling => 1,
        }
    }

    /// The factor of a feature that `n` of `all` items have.
    fn of(self, n: u32, all: usize) -> f32 {
        let n = n.max(1) as f32;
        match self {
            Self::Damped => 1.0 / n.cbrt(),
            Self::Telling if all < 2 => 1.0,
            Self::Telling => (1.0 - n.ln() / (all as f32).ln()).clamp(0.0, 1.0),
        }
    }
}

/// The features and the numbers of the vectors that one column has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnSpan {
    pub(crate) features: Range<u32>,
    pub(crate) vector: Range<usize>,
}

/// The terms of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ColumnEncoder {
    name: String,
    /// The feature of items without a value.
    missing: u32,
    terms: Terms,
}

/// What the values of a column become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Terms {
    /// The feature of each category, and of all rare ones together. A list of k categories has the weight 1 / √k on each.
    Categories { known: BTreeMap<String, u32>, rare: u32 },
    /// The feature of each word, and the first of those of parts of rare words. k of them have the weight 1 / √k each.
    Text { known: BTreeMap<String, u32>, parts: u32 },
    /// The upper limits of all bins but the last, ascending, and the feature of the first bin. A limit belongs to the bin above.
    Number { limits: Vec<f64>, first: u32 },
    /// The place of the first number in the vectors, the mean, and the factor by which the mean squared length becomes 1.
    Vector { first: usize, mean: Vec<f32>, factor: f32 },
}

impl Encoder {
    /// Learns the terms for columns of a table from the items of a training; `*` stands for all columns. Returns them with the content of
    /// the items.
    ///
    /// # Errors
    /// [`Error::Config`] if a column is not in the table, or no item of the training is.
    pub(crate) fn learn(
        table: &ItemTable,
        items: &ItemVocabulary,
        columns: &[String],
        factors: Factors,
    ) -> Result<(Self, ItemFeatures)> {
        let trained = items.ids().zip(items.supports()).filter(|&(_, &support)| support > 0);
        let rows: Vec<usize> = trained.filter_map(|(id, _)| table.row(id)).collect();
        if rows.is_empty() {
            let reason = format!(
                "the item table has none of the {} items of the log: does its column {} have the same ids?",
                items.len(),
                quoted(table.id_name())
            );
            return Err(Error::config("model.attributes", reason));
        }
        let mut encoder = Self::default();
        for column in chosen(table, columns)? {
            let missing = encoder.add_features(1);
            let terms = encoder.terms_of(column, &rows, factors.least_items());
            encoder.columns.push(ColumnEncoder { name: column.name().to_owned(), missing, terms });
        }
        let mut content = encoder.unscaled(table, items.ids())?;
        let mut uses = vec![0_u32; encoder.features as usize];
        let trained = (0..).zip(items.supports()).filter(|&(_, &support)| support > 0);
        let used = trained.flat_map(|(item, _)| content.of(item));
        used.for_each(|(feature, _)| uses[feature as usize] += 1);
        let all = items.supports().iter().filter(|&&support| support > 0).count();
        encoder.factors = uses.into_iter().map(|uses| factors.of(uses, all)).collect();
        if factors == Factors::Telling {
            for column in &encoder.columns {
                let rare = if let Terms::Categories { rare, .. } = column.terms { Some(rare) } else { None };
                let silent = [Some(column.missing), rare].into_iter().flatten();
                silent.for_each(|feature| encoder.factors[feature as usize] = 0.0);
            }
        }
        content.scale(&encoder.factors);
        Ok((encoder, content))
    }

    /// Reserves `count` features; returns the first.
    fn add_features(&mut self, count: usize) -> u32 {
        let first = self.features;
        self.features += count as u32;
        first
    }

    fn terms_of(&mut self, column: &Column, rows: &[usize], least: usize) -> Terms {
        match column.column_type() {
            ColumnType::Categories => {
                let lists = rows.iter().map(|&row| column.categories(row).map(str::to_owned));
                let known = self.frequent(lists, least);
                Terms::Categories { known, rare: self.add_features(1) }
            }
            ColumnType::Text => {
                let texts = rows.iter().map(|&row| words(column.text(row).unwrap_or_default()));
                let known = self.frequent(texts, least);
                Terms::Text { known, parts: self.add_features(PARTS as usize) }
            }
            ColumnType::Number => {
                let limits = quantiles(rows.iter().filter_map(|&row| column.number(row)).collect());
                let first = self.add_features(limits.len() + 1);
                Terms::Number { limits, first }
            }
            ColumnType::Vector => {
                let first = self.width;
                self.width += column.width();
                let vectors: Vec<&[f32]> = rows.iter().filter_map(|&row| column.vector(row)).collect();
                let (mean, factor) = mean_and_factor(&vectors, column.width());
                Terms::Vector { first, mean, factor }
            }
        }
    }

    /// Gives a feature to each value that `least` items or more have.
    fn frequent<I: Iterator<Item = String>>(
        &mut self,
        items: impl Iterator<Item = I>,
        least: usize,
    ) -> BTreeMap<String, u32> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut of_item: Vec<String> = Vec::new();
        for values in items {
            of_item.clear();
            of_item.extend(values);
            of_item.sort_unstable();
            of_item.dedup();
            for value in of_item.drain(..) {
                *counts.entry(value).or_default() += 1;
            }
        }
        let mut frequent: Vec<(String, usize)> =
            counts.into_iter().filter(|&(_, count)| count >= least).collect();
        // Stable: among equals, the first by name.
        frequent.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        frequent.truncate(MAX_VALUES);
        let first = self.add_features(frequent.len());
        frequent.into_iter().map(|(value, _)| value).zip(first..).collect()
    }

    /// An encoder without columns, for content that is made by hand.
    #[cfg(test)]
    pub(crate) fn of_shape(features: u32, width: usize) -> Self {
        Self { features, width, columns: Vec::new(), factors: vec![1.0; features as usize] }
    }

    /// Number of features, and the width of the vectors.
    pub(crate) fn shape(&self) -> ContentShape {
        ContentShape { features: self.features as usize, width: self.width }
    }

    /// The columns and their types.
    pub(crate) fn types(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.terms.column_type()))
    }

    /// What each column has of the features and vectors.
    pub(crate) fn spans(&self) -> Vec<ColumnSpan> {
        // The features of a column begin with that of missing values.
        let ends = self.columns.iter().skip(1).map(|column| column.missing).chain([self.features]);
        let span = |(column, end): (&ColumnEncoder, u32)| ColumnSpan {
            features: column.missing..end,
            vector: match &column.terms {
                Terms::Vector { first, mean, .. } => *first..first + mean.len(),
                _ => 0..0,
            },
        };
        self.columns.iter().zip(ends).map(span).collect()
    }

    /// The content of items by their ids. One without a row has the features of missing values.
    ///
    /// # Errors
    /// [`Error::Config`] if the table lacks a column, or has one of another type or width.
    pub(crate) fn encode<'a>(
        &self,
        table: &ItemTable,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<ItemFeatures> {
        let mut content = self.unscaled(table, ids)?;
        content.scale(&self.factors);
        Ok(content)
    }

    /// As [`encode`](Self::encode), without the factors of the features.
    fn unscaled<'a>(&self, table: &ItemTable, ids: impl Iterator<Item = &'a str>) -> Result<ItemFeatures> {
        let columns: Vec<&Column> =
            self.columns.iter().map(|encoder| encoder.column_of(table)).collect::<Result<_>>()?;
        let mut content = ItemFeatures::new(self.features as usize, self.width);
        let (mut features, mut vector) = (Vec::new(), vec![0.0; self.width]);
        for id in ids {
            let row = table.row(id);
            features.clear();
            vector.fill(0.0);
            for (encoder, column) in self.columns.iter().zip(&columns) {
                encoder.encode(column, row, &mut features, &mut vector);
            }
            content.push(features.iter().copied(), &vector);
        }
        Ok(content)
    }

    /// Adds the array by which [`take`](Self::take) makes the same encoder: JSON, eight bytes a number, with blanks at the end.
    pub(crate) fn add_to(&self, arrays: &mut Arrays) {
        let mut json = serde_json::to_vec(self).expect("structs of numbers and texts have a JSON form");
        json.resize(json.len().next_multiple_of(8), b' ');
        let numbers =
            json.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
        arrays.counts.insert(ENCODER.into(), numbers.collect());
    }

    /// Takes the encoder out of the arrays of a model.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is missing or damaged.
    pub(crate) fn take(arrays: &mut Arrays) -> Result<Self> {
        let json: Vec<u8> = arrays.take_counts(ENCODER)?.into_iter().flat_map(u64::to_le_bytes).collect();
        let encoder: Self = serde_json::from_slice(&json)
            .map_err(|error| Error::weights(ENCODER, format!("it is damaged: {error}")))?;
        if !encoder.is_consistent() {
            return Err(Error::weights(ENCODER, "it is damaged: its features are not those of its columns"));
        }
        Ok(encoder)
    }

    /// Whether every feature and place is within the encoder's shape.
    fn is_consistent(&self) -> bool {
        let below = |feature: u32| feature < self.features;
        let has_factors = self.factors.len() == self.features as usize
            && self.factors.iter().all(|factor| (0.0..=1.0).contains(factor));
        has_factors
            && self.columns.iter().all(|column| {
                below(column.missing)
                    && match &column.terms {
                        Terms::Categories { known, rare } => known.values().chain([rare]).all(|&f| below(f)),
                        Terms::Text { known, parts } => {
                            known.values().all(|&f| below(f))
                                && u64::from(*parts) + u64::from(PARTS) <= u64::from(self.features)
                        }
                        Terms::Number { limits, first } => {
                            u64::from(*first) + (limits.len() as u64) < u64::from(self.features)
                        }
                        Terms::Vector { first, mean, .. } => {
                            first.checked_add(mean.len()).is_some_and(|end| end <= self.width)
                        }
                    }
            })
    }
}

impl Terms {
    fn column_type(&self) -> ColumnType {
        match self {
            Self::Categories { .. } => ColumnType::Categories,
            Self::Text { .. } => ColumnType::Text,
            Self::Number { .. } => ColumnType::Number,
            Self::Vector { .. } => ColumnType::Vector,
        }
    }
}

impl ColumnEncoder {
    /// The column of a table, which has to have the type and the width that the terms are of.
    fn column_of<'t>(&self, table: &'t ItemTable) -> Result<&'t Column> {
        let column = table.column(&self.name).ok_or_else(|| no_column(table, &self.name))?;
        let refuse = |reason: String| Err(Error::config("model.attributes", reason));
        let (name, found, wanted) = (quoted(&self.name), column.column_type(), self.terms.column_type());
        if found != wanted {
            return refuse(format!(
                "the column {name} has values of type {found}, and was trained on values of type {wanted}: request that type"
            ));
        }
        let width = column.width();
        if let Terms::Vector { mean, .. } = &self.terms
            && width != mean.len()
            && width != 0
        {
            let own = mean.len();
            return refuse(format!(
                "the vectors of column {name} have {width} numbers, and those of the model {own}"
            ));
        }
        Ok(column)
    }

    /// Adds what the value of a row becomes; without a row, it is missing.
    fn encode(
        &self,
        column: &Column,
        row: Option<usize>,
        features: &mut Vec<(u32, f32)>,
        vector: &mut [f32],
    ) {
        let before = features.len();
        match (&self.terms, row.and_then(|row| column.value(row))) {
            (Terms::Categories { known, rare }, Some(Value::Categories(codes))) => {
                let of = |&code: &u32| known.get(column.category(code)).copied().unwrap_or(*rare);
                features.extend(codes.iter().map(|code| (of(code), 1.0)));
            }
            (Terms::Text { known, parts: first }, Some(Value::Text(text))) => {
                for word in words(text) {
                    match known.get(&word) {
                        Some(&feature) => features.push((feature, 1.0)),
                        None => features.extend(parts(&word).into_iter().map(|part| (first + part, 1.0))),
                    }
                }
            }
            (Terms::Number { limits, first }, Some(Value::Number(number))) => {
                features.push((first + limits.partition_point(|&limit| limit <= number) as u32, 1.0));
            }
            (Terms::Vector { first, mean, factor }, Some(Value::Vector(values))) => {
                let place = &mut vector[*first..][..mean.len()];
                for ((x, value), mean) in place.iter_mut().zip(values).zip(mean) {
                    // The difference of two large numbers is beyond f32.
                    *x = ((f64::from(*value) - f64::from(*mean)) * f64::from(*factor)) as f32;
                }
                return;
            }
            _ => {}
        }
        let count = features.len() - before;
        if count == 0 {
            features.push((self.missing, 1.0));
        } else if count > 1 {
            let weight = 1.0 / (count as f32).sqrt();
            features[before..].iter_mut().for_each(|(_, w)| *w = weight);
        }
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", shortened_to(name, 40))
}

/// The configured columns of a table.
fn chosen<'t>(table: &'t ItemTable, names: &[String]) -> Result<Vec<&'t Column>> {
    if names.iter().any(|name| name == ALL) {
        return Ok(table.columns().iter().collect());
    }
    names.iter().map(|name| table.column(name).ok_or_else(|| no_column(table, name))).collect()
}

fn no_column(table: &ItemTable, name: &str) -> Error {
    let reason = format!("the item table has no column {}: it has {}", quoted(name), table.listed_columns());
    Error::config("model.attributes", reason)
}

/// The limits of bins with as many of the values each; fewer where values are equal.
fn quantiles(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let mut limits: Vec<f64> =
        (1..BINS).filter_map(|bin| values.get(values.len() * bin / BINS).copied()).collect();
    limits.dedup();
    limits.retain(|&limit| values.first().is_some_and(|&least| limit > least));
    limits
}

/// The mean of vectors, and the factor by which their mean squared distance from it becomes 1; 0 if all are equal.
fn mean_and_factor(vectors: &[&[f32]], width: usize) -> (Vec<f32>, f32) {
    let count = vectors.len().max(1) as f64;
    let mut sums = vec![0.0f64; width];
    for vector in vectors {
        sums.iter_mut().zip(*vector).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let mean: Vec<f64> = sums.into_iter().map(|sum| sum / count).collect();
    let squares: f64 = vectors
        .iter()
        .flat_map(|vector| vector.iter().zip(&mean).map(|(&x, mean)| (f64::from(x) - mean).powi(2)))
        .sum();
    // Of equal vectors, or of some that f32 hardly tells apart, nothing is left.
    let factor = Some((count / squares).sqrt() as f32).filter(|factor| factor.is_finite()).unwrap_or(0.0);
    (mean.into_iter().map(|x| x as f32).collect(), factor)
}

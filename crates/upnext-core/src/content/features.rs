//! The content of items as numbers: some weighted features of each item, and a vector.

use super::encoder::ColumnSpan;
use crate::arrays::{Arrays, Tensor};
use crate::data::ItemIndex;
use crate::{Error, Result};

/// The content of items, by index: the rows of a sparse matrix items × features, and of a dense one items × width.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ItemFeatures {
    /// Number of features.
    count: usize,
    /// `ends[i]` is where the features of item `i` end in the next two lists.
    ends: Vec<usize>,
    features: Vec<u32>,
    weights: Vec<f32>,
    /// Width of the vectors; 0 for none.
    width: usize,
    vectors: Vec<f32>,
}

/// Number of features, and width of the vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContentShape {
    pub(crate) features: usize,
    pub(crate) width: usize,
}

/// Names of the arrays in files (`docs/artifact.md`).
const ENDS: &str = "content.ends";
const FEATURES: &str = "content.of_items";
const WEIGHTS: &str = "content.weights";
const VECTORS: &str = "content.vectors";

impl ItemFeatures {
    /// The content of no item, in terms of `count` features and vectors of `width` numbers.
    pub(crate) fn new(count: usize, width: usize) -> Self {
        Self { count, width, ..Self::default() }
    }

    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Width of the vectors; 0 for none.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Appends an item: its features, each with its weight, and its vector.
    ///
    /// # Panics
    /// If there is no such feature, or the vector has another width.
    pub(crate) fn push(&mut self, features: impl IntoIterator<Item = (u32, f32)>, vector: &[f32]) {
        assert_eq!(vector.len(), self.width, "a vector of another width");
        for (feature, weight) in features {
            assert!((feature as usize) < self.count, "feature {feature} of {}", self.count);
            self.features.push(feature);
            self.weights.push(weight);
        }
        self.ends.push(self.features.len());
        self.vectors.extend_from_slice(vector);
    }

    /// Multiplies the weights of each feature by its factor.
    ///
    /// # Panics
    /// If a feature has none.
    pub(crate) fn scale(&mut self, factors: &[f32]) {
        let uses = self.weights.iter_mut().zip(&self.features);
        uses.for_each(|(weight, &feature)| *weight *= factors[feature as usize]);
    }

    /// The same content as vectors whose products are likenesses: what each column has is scaled to the length 1 / √(number of columns), so
    /// that the product of two items is the mean over the columns of the cosines of their values. What has no length stays without.
    pub(crate) fn as_unit_vectors(&self, columns: &[ColumnSpan]) -> Self {
        let mut unit = Self::new(self.count, self.width);
        let (mut features, mut vector): (Vec<(u32, f32)>, _) = (Vec::new(), vec![0.0; self.width]);
        let length = 1.0 / (columns.len().max(1) as f64).sqrt();
        let factor = |squares: f64| if squares > 0.0 { (length / squares.sqrt()) as f32 } else { 0.0 };
        for item in 0..self.len() as ItemIndex {
            features.clear();
            features.extend(self.of(item));
            features.sort_by_key(|&(feature, _)| feature);
            features.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                kept.1 += if same { next.1 } else { 0.0 };
                same
            });
            vector.copy_from_slice(self.vector(item));
            let mut rest = &mut features[..];
            for column in columns {
                let (own, others) =
                    rest.split_at_mut(rest.partition_point(|&(f, _)| f < column.features.end));
                let scale = factor(own.iter().map(|&(_, weight)| f64::from(weight).powi(2)).sum());
                own.iter_mut().for_each(|(_, weight)| *weight *= scale);
                rest = others;
                let own = &mut vector[column.vector.clone()];
                let scale = factor(own.iter().map(|&x| f64::from(x).powi(2)).sum());
                own.iter_mut().for_each(|x| *x *= scale);
            }
            unit.push(features.iter().copied().filter(|&(_, weight)| weight > 0.0), &vector);
        }
        unit
    }

    /// The content of the first `items` items.
    pub(crate) fn first(&self, items: usize) -> Self {
        let entries = if items == 0 { 0 } else { self.ends[items - 1] };
        Self {
            count: self.count,
            ends: self.ends[..items].to_vec(),
            features: self.features[..entries].to_vec(),
            weights: self.weights[..entries].to_vec(),
            width: self.width,
            vectors: self.vectors[..items * self.width].to_vec(),
        }
    }

    /// Appends the items of `other`, which must have the same features and width.
    pub(crate) fn extend(&mut self, other: &Self) {
        assert_eq!((self.count, self.width), (other.count, other.width), "content in other terms");
        let entries = self.features.len();
        self.ends.extend(other.ends.iter().map(|end| entries + end));
        self.features.extend_from_slice(&other.features);
        self.weights.extend_from_slice(&other.weights);
        self.vectors.extend_from_slice(&other.vectors);
    }

    /// The features of an item, each with its weight.
    #[inline]
    pub(crate) fn of(&self, item: ItemIndex) -> impl ExactSizeIterator<Item = (u32, f32)> {
        let item = item as usize;
        let range = if item == 0 { 0 } else { self.ends[item - 1] }..self.ends[item];
        self.features[range.clone()].iter().copied().zip(self.weights[range].iter().copied())
    }

    /// The vector of an item.
    pub(crate) fn vector(&self, item: ItemIndex) -> &[f32] {
        &self.vectors[item as usize * self.width..][..self.width]
    }

    /// Adds the arrays by which [`take`](Self::take) makes the same content.
    pub(crate) fn add_to(&self, arrays: &mut Arrays) {
        arrays.counts.insert(ENDS.into(), self.ends.iter().map(|&end| end as u64).collect());
        arrays.counts.insert(FEATURES.into(), self.features.iter().map(|&f| u64::from(f)).collect());
        let tensor = |shape: Vec<usize>, values: &[f32]| Tensor { shape, values: values.to_vec() };
        arrays.tensors.insert(WEIGHTS.into(), tensor(vec![self.weights.len()], &self.weights));
        if self.width > 0 {
            arrays.tensors.insert(VECTORS.into(), tensor(vec![self.len(), self.width], &self.vectors));
        }
    }

    /// Takes the content of `items` items out of the arrays of a model.
    ///
    /// # Errors
    /// [`Error::Weights`] if an array is missing or contradicts another.
    pub(crate) fn take(arrays: &mut Arrays, items: usize, shape: ContentShape) -> Result<Self> {
        let ContentShape { features: count, width } = shape;
        let ends: Vec<usize> = arrays.take_counts(ENDS)?.into_iter().map(|end| end as usize).collect();
        let features = arrays.take_counts(FEATURES)?;
        let entries = features.len();
        if ends.len() != items || !ends.is_sorted() || ends.last().copied().unwrap_or(0) != entries {
            return Err(Error::weights(
                ENDS,
                format!("it does not divide {entries} features among {items} items"),
            ));
        }
        if features.iter().any(|&feature| feature >= count as u64) {
            return Err(Error::weights(
                FEATURES,
                format!("it has a feature beyond the {count} of the model"),
            ));
        }
        let weights = arrays.take_tensor(WEIGHTS, &[entries])?;
        let vectors = if width > 0 { arrays.take_tensor(VECTORS, &[items, width])? } else { Vec::new() };
        if weights.iter().chain(&vectors).any(|x| !x.is_finite()) {
            return Err(Error::weights(WEIGHTS, "it has a number that is not finite"));
        }
        let features = features.into_iter().map(|feature| feature as u32).collect();
        Ok(Self { count, ends, features, weights, width, vectors })
    }

    /// Bytes of memory that the content takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.ends.len() * size_of::<usize>()
            + 4 * (self.features.len() + self.weights.len() + self.vectors.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ContentShape = ContentShape { features: 5, width: 2 };

    fn content() -> ItemFeatures {
        let mut content = ItemFeatures::new(5, 2);
        content.push([(4, 1.0), (0, 0.5)], &[1.0, 2.0]);
        content.push([], &[0.0, 0.0]);
        content.push([(3, 2.0)], &[-1.0, 0.5]);
        content
    }

    #[test]
    fn items_have_what_was_pushed_also_after_others_follow() {
        let mut all = content();
        all.extend(&content());
        for first in [0, 3] {
            assert_eq!(all.of(first).collect::<Vec<_>>(), [(4, 1.0), (0, 0.5)]);
            assert_eq!(all.of(first + 1).len(), 0);
            assert_eq!(all.of(first + 2).collect::<Vec<_>>(), [(3, 2.0)]);
            assert_eq!(all.vector(first + 2), [-1.0, 0.5]);
        }
    }

    #[test]
    fn products_of_unit_vectors_are_the_mean_cosines_of_columns() {
        let columns = [
            ColumnSpan { features: 0..3, vector: 0..0 },
            ColumnSpan { features: 3..5, vector: 0..0 },
            ColumnSpan { features: 5..5, vector: 0..2 },
        ];
        let mut content = ItemFeatures::new(5, 2);
        content.push([(2, 0.5), (0, 1.0), (2, 0.5), (4, 0.2)], &[3.0, 4.0]);
        content.push([(0, 2.0), (3, 1.0)], &[0.0, -0.1]);
        content.push([(0, 0.0), (4, 1.0)], &[0.0, 0.0]);
        let unit = content.as_unit_vectors(&columns);
        let product = |a, b| {
            let of = |item, feature| unit.of(item).filter(|f| f.0 == feature).map(|f| f.1).sum::<f32>();
            let vectors = unit.vector(a).iter().zip(unit.vector(b)).map(|(x, y)| x * y);
            (0..5).map(|feature| of(a, feature) * of(b, feature)).chain(vectors).sum::<f32>()
        };
        let close = |found: f32, wanted: f32| assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
        close(product(0, 0), 1.0);
        close(product(1, 1), 1.0);
        close(product(2, 2), 1.0 / 3.0);
        close(product(0, 1), (0.5_f32.sqrt() - 0.8) / 3.0);
        close(product(0, 2), 1.0 / 3.0);
        assert_eq!(
            unit.of(2).collect::<Vec<_>>(),
            [(4, unit.of(2).next().unwrap().1)],
            "nothing weighs nothing"
        );
    }

    #[test]
    fn arrays_make_the_same_content_and_damaged_ones_are_refused() {
        let content = content();
        let mut arrays = Arrays::default();
        content.add_to(&mut arrays);
        assert_eq!(ItemFeatures::take(&mut arrays.clone(), 3, SHAPE).unwrap(), content);
        assert!(ItemFeatures::take(&mut arrays.clone(), 2, SHAPE).unwrap_err().to_string().contains(ENDS));
        assert!(
            ItemFeatures::take(&mut arrays.clone(), 3, ContentShape { features: 4, ..SHAPE })
                .unwrap_err()
                .to_string()
                .contains(FEATURES)
        );
        assert!(
            ItemFeatures::take(&mut arrays.clone(), 3, ContentShape { width: 3, ..SHAPE })
                .unwrap_err()
                .to_string()
                .contains(VECTORS)
        );
        let mut broken = arrays.clone();
        broken.counts.get_mut(ENDS).unwrap()[0] = 9;
        assert!(ItemFeatures::take(&mut broken, 3, SHAPE).is_err());
        arrays.tensors.get_mut(WEIGHTS).unwrap().values[0] = f32::NAN;
        assert!(ItemFeatures::take(&mut arrays, 3, SHAPE).is_err());
    }
}

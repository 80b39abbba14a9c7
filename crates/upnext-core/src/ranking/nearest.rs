//! Explanations of recommendations: the item of the session whose vector is most similar to that of a recommended item.

use crate::data::ItemIndex;
use crate::recommender::Recommender;
use std::collections::HashSet;

/// A set of items, of which it finds the most similar to another item by the cosine of their vectors.
pub struct Nearest<'m> {
    model: &'m dyn Recommender,
    /// Each distinct item, in the order of its last occurrence, with its vector and the vector's length.
    among: Vec<(ItemIndex, &'m [f32], f64)>,
}

impl<'m> Nearest<'m> {
    /// Prepares the items `among`. Items without a vector ([`Recommender::vector`]) are left out.
    ///
    /// # Panics
    /// May panic if an item is not one of the model's.
    pub fn new(model: &'m dyn Recommender, among: &[ItemIndex]) -> Self {
        let mut seen = HashSet::new();
        let latest = among.iter().rev().filter(|&&item| seen.insert(item));
        let with_vector = latest.filter_map(|&item| {
            let vector = model.vector(item)?;
            Some((item, vector, length(vector)))
        });
        let mut among: Vec<_> = with_vector.collect();
        among.reverse();
        Self { model, among }
    }

    /// The approximate number of multiplications of a call of [`to`](Self::to): the sum of the vectors' widths.
    pub fn cost(&self) -> usize {
        self.among.iter().map(|(_, vector, _)| vector.len()).sum()
    }

    /// The item whose vector has the largest cosine with that of `item`, and the cosine; of equal ones, the last.
    /// `None` if the set is empty or `item` has no vector.
    ///
    /// # Panics
    /// May panic if `item` is not one of the model's.
    pub fn to(&self, item: ItemIndex) -> Option<(ItemIndex, f32)> {
        let vector = self.model.vector(item)?;
        let length = length(vector);
        let like = |&(other, other_vector, other_length): &(ItemIndex, &[f32], f64)| {
            (other, cosine((vector, length), (other_vector, other_length)))
        };
        self.among.iter().map(like).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// The cosine of the angle between two vectors, each given with its [`length`]; 0 if a vector is zero.
fn cosine((a, a_length): (&[f32], f64), (b, b_length): (&[f32], f64)) -> f32 {
    let lengths = a_length * b_length;
    if lengths > 0.0 { (product(a, b) / lengths) as f32 } else { 0.0 }
}

/// The Euclidean length of a vector.
pub(super) fn length(vector: &[f32]) -> f64 {
    product(vector, vector).sqrt()
}

/// The dot product of two vectors in f64, in which squares of f32 do not overflow.
pub(super) fn product(a: &[f32], b: &[f32]) -> f64 {
    // Eight independent sums: in a single one, each addition would wait for the one before.
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommender::SessionScorer;

    #[derive(Debug)]
    struct Vectors(Vec<[f32; 2]>);

    impl Recommender for Vectors {
        fn num_items(&self) -> usize {
            self.0.len()
        }

        fn vector(&self, item: ItemIndex) -> Option<&[f32]> {
            self.0.get(item as usize).map(|vector| &vector[..])
        }

        fn scorer(&self, _rows: usize) -> Box<dyn SessionScorer + '_> {
            unreachable!("vectors are not asked for scores")
        }
    }

    #[test]
    fn the_angle_decides_and_not_the_length() {
        let model = Vectors(vec![[1.0, 0.0], [3e30, 1e30], [0.0, 1.0], [0.0, 0.0], [-1.0, 0.0], [2.0, 0.0]]);
        let nearest = |item, among: &[ItemIndex]| Nearest::new(&model, among).to(item);
        let (item, cosine) = nearest(0, &[4, 3, 2, 1]).unwrap();
        assert_eq!(item, 1);
        assert!((cosine - 3.0 / 10.0_f32.sqrt()).abs() < 1e-6, "{cosine}");
        assert_eq!(nearest(0, &[5, 0]), Some((0, 1.0)));
        assert_eq!(nearest(0, &[0, 5, 0, 5]), Some((5, 1.0)));
        assert_eq!(nearest(3, &[4]), Some((4, 0.0)));
        assert_eq!(nearest(0, &[]), None);
        assert_eq!(Nearest::new(&model, &[0, 5, 0, 5]).cost(), 4, "each item once, of two floats");
    }
}

//! Why an item? The item of the session that is most like it.

use crate::data::ItemIndex;
use crate::recommender::Recommender;
use std::collections::HashSet;

/// Items with the directions of their vectors, to find for others which of them is most like it.
pub struct Nearest<'m> {
    model: &'m dyn Recommender,
    /// Each item once, by its latest place, with its vector and the vector's length.
    among: Vec<(ItemIndex, &'m [f32], f64)>,
}

impl<'m> Nearest<'m> {
    /// Prepares a choice among some items. Those of a model without vectors ([`Recommender::vector`]) are none.
    ///
    /// # Panics
    /// May panic if there is no such item.
    pub fn new(model: &'m dyn Recommender, among: &[ItemIndex]) -> Self {
        let mut seen = HashSet::new();
        let latest = among.iter().rev().filter(|&&item| seen.insert(item));
        let with_vector = latest.filter_map(|&item| {
            let vector = model.vector(item)?;
            Some((item, vector, product(vector, vector).sqrt()))
        });
        let mut among: Vec<_> = with_vector.collect();
        among.reverse();
        Self { model, among }
    }

    /// Multiplications that an answer of [`to`](Self::to) takes, about: the width of a vector for each item to choose from.
    pub fn cost(&self) -> usize {
        self.among.iter().map(|(_, vector, _)| vector.len()).sum()
    }

    /// That whose vector has the smallest angle to an item's, with the cosine of it; among equals the last. `None` where
    /// there is nothing to choose from.
    ///
    /// # Panics
    /// May panic if there is no such item.
    pub fn to(&self, item: ItemIndex) -> Option<(ItemIndex, f32)> {
        let vector = self.model.vector(item)?;
        let length = product(vector, vector).sqrt();
        let cosine = |&(other, other_vector, other_length): &(ItemIndex, &[f32], f64)| {
            let lengths = length * other_length;
            // A vector of zeros has no direction.
            (other, if lengths > 0.0 { (product(vector, other_vector) / lengths) as f32 } else { 0.0 })
        };
        self.among.iter().map(cosine).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// The product of two vectors, in f64, where no square of an f32 overflows.
fn product(a: &[f32], b: &[f32]) -> f64 {
    // Eight sums side by side: one after the other, each addition would wait for the one before.
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

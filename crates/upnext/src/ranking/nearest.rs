//! Why an item? The item of the session that is most like it.

use crate::data::ItemIndex;
use crate::recommender::Recommender;

/// Of some items, that whose vector has the smallest angle to an item's, with the cosine of it; among equals the last.
///
/// `None` for a model without vectors ([`Recommender::vector`]), and where there is nothing to choose from.
///
/// # Panics
/// May panic if there is no such item.
pub fn nearest(model: &dyn Recommender, item: ItemIndex, among: &[ItemIndex]) -> Option<(ItemIndex, f32)> {
    let vector = model.vector(item)?;
    let cosines = among.iter().filter_map(|&other| Some((other, cosine(vector, model.vector(other)?))));
    cosines.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The cosine of the angle between two vectors; 0 where one of them is all zeros.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    // In f64, where no square of an f32 overflows.
    let product =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    let lengths = (product(a, a) * product(b, b)).sqrt();
    if lengths > 0.0 { (product(a, b) / lengths) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommender::Follower;

    #[derive(Debug)]
    struct Vectors(Vec<[f32; 2]>);

    impl Recommender for Vectors {
        fn num_items(&self) -> usize {
            self.0.len()
        }

        fn vector(&self, item: ItemIndex) -> Option<&[f32]> {
            self.0.get(item as usize).map(|vector| &vector[..])
        }

        fn follow(&self, _rows: usize) -> Box<dyn Follower + '_> {
            unreachable!("vectors are not asked for scores")
        }
    }

    #[test]
    fn the_angle_decides_and_not_the_length() {
        let model = Vectors(vec![[1.0, 0.0], [3e30, 1e30], [0.0, 1.0], [0.0, 0.0], [-1.0, 0.0], [2.0, 0.0]]);
        let (item, cosine) = nearest(&model, 0, &[4, 3, 2, 1]).unwrap();
        assert_eq!(item, 1);
        assert!((cosine - 3.0 / 10.0_f32.sqrt()).abs() < 1e-6, "{cosine}");
        assert_eq!(nearest(&model, 0, &[5, 0]), Some((0, 1.0)));
        assert_eq!(nearest(&model, 3, &[4]), Some((4, 0.0)));
        assert_eq!(nearest(&model, 0, &[]), None);
    }
}

//! Diversity of lists: how unlike the vectors of their items are.

use super::lists::ListTask;
use crate::ranking::Entry;

/// 1 in fixed point: sums of such numbers do not depend on their order, and a mean of them is exact to 2⁻⁴¹.
const ONE: f64 = (1_u64 << 40) as f64;

/// A number in fixed point.
pub(super) fn fixed(x: f64) -> i128 {
    (x * ONE).round() as i128
}

/// The mean of `count` numbers with this sum in fixed point.
pub(super) fn mean(sum: i128, count: f64) -> f64 {
    sum as f64 / (ONE * count)
}

/// 1 / the length of a vector; 0 for one of zeros, or of numbers that are not finite, which has the cosine 0 to every other.
pub(super) fn scale(vector: &[f32]) -> f64 {
    let square: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if square > 0.0 && square.is_finite() { square.sqrt().recip() } else { 0.0 }
}

/// Sums over lists of how unlike their items are, at each cut-off.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// The sums of the lists' diversities, in fixed point.
    sums: Vec<i128>,
    /// The number of lists of two or more items with vectors.
    lists: Vec<u64>,
    /// The sum of the unit vectors of a list.
    units: Vec<f64>,
}

impl Spread {
    pub(super) fn new(cutoffs: usize) -> Self {
        Self { sums: vec![0; cutoffs], lists: vec![0; cutoffs], units: Vec::new() }
    }

    /// Adds a list, if the model has item vectors.
    ///
    /// The sum of the cosines of all ordered pairs is |Σ u|² − Σ |u|², with the unit vectors u: one pass instead of all pairs.
    pub(super) fn add(&mut self, task: &ListTask, list: &[Entry]) {
        let (mut from, mut own) = (0, 0.0);
        self.units.clear();
        for (c, &k) in task.cutoffs.iter().enumerate() {
            let to = k.min(list.len());
            for entry in &list[from..to] {
                let (Some(vector), Some(&scale)) =
                    (task.model.vector(entry.item), task.scales.get(entry.item as usize))
                else {
                    return;
                };
                self.units.resize(vector.len(), 0.0);
                self.units.iter_mut().zip(vector).for_each(|(sum, &x)| *sum += f64::from(x) * scale);
                own += if scale > 0.0 { 1.0 } else { 0.0 };
            }
            from = to;
            if to > 1 {
                let pairs = (to * (to - 1)) as f64;
                let cosines: f64 = self.units.iter().map(|x| x * x).sum::<f64>() - own;
                self.sums[c] += fixed(1.0 - cosines / pairs);
                self.lists[c] += 1;
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, x)| *sum += x);
        self.lists.iter_mut().zip(&other.lists).for_each(|(sum, x)| *sum += x);
    }

    /// The mean diversity of the lists at a cut-off, by its index; `None` without lists of two items with vectors.
    pub(super) fn diversity(&self, cutoff: usize) -> Option<f64> {
        let lists = self.lists[cutoff];
        (lists > 0).then(|| mean(self.sums[cutoff], lists as f64))
    }
}

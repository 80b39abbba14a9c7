//! Counts repeats: the chances by features, the items' tendencies, and how often a session goes back at all.

use super::walk::{SHAPE, Walk};
use super::{Calibration, Repeat, RepeatConfig};
use crate::Result;
use crate::data::{Dataset, ItemIndex, Sessions};

/// Number of cells of the table of chances.
pub(super) const CELLS: usize = SHAPE[0] * SHAPE[1] * SHAPE[2] * SHAPE[3];

/// The classes of `S` from which the calibration is fitted: eighths of octaves from 2^−20 to 2^4.
const OCTAVES: (i32, i32) = (-20, 4);
const PER_OCTAVE: usize = 8;

/// Number of points of the calibration before neighbours are pooled.
const POINTS: u64 = 64;

impl Repeat {
    /// Counts the repeats of `data`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid configuration.
    pub fn fit(config: &RepeatConfig, data: &Dataset) -> Result<Self> {
        config.validate()?;
        let n = data.items.len();
        let [shrinkage, item_shrinkage] = [config.shrinkage, config.item_shrinkage].map(f64::from);
        let chances = chances(&data.sessions, shrinkage);

        let (mut expected, mut repeats) = (vec![0.0; n], vec![0.0; n]);
        each_pair(&data.sessions, |walk, next| {
            for (item, cell) in walk.items() {
                expected[item as usize] += chances[cell];
                repeats[item as usize] += f64::from(u8::from(item == next));
            }
        });

        let mut novel = vec![0.0; n];
        let mut classes = vec![Class::default(); (OCTAVES.1 - OCTAVES.0) as usize * PER_OCTAVE];
        each_pair(&data.sessions, |walk, next| {
            let (mut sum, mut is_repeat) = (0.0, false);
            for (item, cell) in walk.items() {
                let (i, hit) = (item as usize, f64::from(u8::from(item == next)));
                is_repeat |= item == next;
                // Without this pair's own part in the tendency, which a new session has not either.
                let tendency =
                    (repeats[i] - hit + item_shrinkage) / (expected[i] - chances[cell] + item_shrinkage);
                sum += chances[cell] * tendency;
            }
            if !is_repeat {
                novel[next as usize] += 1.0;
            }
            let class = ((sum.log2() - f64::from(OCTAVES.0)) * PER_OCTAVE as f64) as usize;
            let last = classes.len() - 1;
            classes[class.min(last)].add(sum, is_repeat);
        });
        let tendencies = repeats
            .iter()
            .zip(&expected)
            .map(|(&repeats, &expected)| ((repeats + item_shrinkage) / (expected + item_shrinkage)) as f32)
            .map(|tendency| tendency.max(f32::MIN_POSITIVE));
        Ok(Self::new(
            data.items.len(),
            chances.iter().map(|&chance| share(chance)).collect(),
            tendencies.collect(),
            novel.iter().map(|&count| count as f32).collect(),
            calibration(&classes),
        ))
    }
}

/// Calls `visit` for every training pair, with the session before the next item, and that item.
fn each_pair(sessions: &Sessions, mut visit: impl FnMut(&Walk, ItemIndex)) {
    let mut walk = Walk::default();
    for session in sessions.iter() {
        walk.clear();
        for pair in session.windows(2) {
            walk.read(pair[0]);
            visit(&walk, pair[1]);
        }
    }
}

/// The chance of every cell: its share of repeats, shrunk towards the share of the same cells without the finest feature,
/// and so on, up to the share over all.
fn chances(sessions: &Sessions, shrinkage: f64) -> Vec<f64> {
    let mut cells = vec![[0.0, 0.0]; CELLS];
    each_pair(sessions, |walk, next| {
        for (item, cell) in walk.items() {
            cells[cell][0] += 1.0;
            cells[cell][1] += f64::from(u8::from(item == next));
        }
    });
    let total = cells.iter().fold([0.0, 0.0], |sum, cell| [sum[0] + cell[0], sum[1] + cell[1]]);
    let mut chances = vec![(total[1] + 0.5) / (total[0] + 1.0); CELLS];
    let mut width = CELLS;
    for size in SHAPE {
        width /= size;
        for (cells, chances) in cells.chunks(width).zip(chances.chunks_mut(width)) {
            let [seen, repeats] =
                cells.iter().fold([0.0, 0.0], |sum, cell| [sum[0] + cell[0], sum[1] + cell[1]]);
            let chance = (repeats + shrinkage * chances[0]) / (seen + shrinkage);
            chances.fill(chance);
        }
    }
    chances
}

/// The pairs with a similar sum `S`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Class {
    pairs: u64,
    sum: f64,
    repeats: u64,
}

impl Class {
    fn add(&mut self, sum: f64, is_repeat: bool) {
        self.pairs += 1;
        self.sum += sum;
        self.repeats += u64::from(is_repeat);
    }

    fn merge(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.sum += other.sum;
        self.repeats += other.repeats;
    }

    /// The mean of `S`.
    fn at(&self) -> f32 {
        ((self.sum / self.pairs as f64) as f32).max(f32::MIN_POSITIVE)
    }

    /// The share of repeats; a pair that is half a repeat keeps it above 0 and below 1.
    fn share(&self) -> f64 {
        (self.repeats as f64 + 0.5) / (self.pairs as f64 + 1.0)
    }
}

/// The share of repeats as a function of `S` that never falls: neighbouring classes are pooled until each has 1/64 of the
/// pairs, then wherever the share would fall (the pool-adjacent-violators algorithm; Zadrozny and Elkan, *Transforming
/// classifier scores into accurate multiclass probability estimates*, KDD 2002).
fn calibration(classes: &[Class]) -> Calibration {
    let pairs: u64 = classes.iter().map(|class| class.pairs).sum();
    let mut points: Vec<Class> = Vec::new();
    for class in classes.iter().filter(|class| class.pairs > 0) {
        match points.last_mut() {
            Some(last) if last.pairs * POINTS < pairs => last.merge(*class),
            _ => points.push(*class),
        }
    }
    let mut pooled: Vec<Class> = Vec::new();
    for point in points {
        pooled.push(point);
        while let [.., before, last] = &mut pooled[..] {
            if before.at() < last.at() && share(before.share()) < share(last.share()) {
                break;
            }
            before.merge(*last);
            pooled.pop();
        }
    }
    Calibration {
        at: pooled.iter().map(Class::at).collect(),
        share: pooled.iter().map(|class| share(class.share())).collect(),
    }
}

/// A share strictly between 0 and 1, also where `f32` would round it to one of them.
fn share(share: f64) -> f32 {
    (share as f32).clamp(f32::MIN_POSITIVE, 1.0 - f32::EPSILON / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_shares_shrunk_from_the_coarse_to_the_fine() {
        let mut sessions = Sessions::new();
        // 0 1 0: after the first click no repeat; after two clicks item 0 is one and item 1 is none.
        sessions.push(&[0, 1, 0], 0);
        let chances = chances(&sessions, 2.0);
        let all = (1.0 + 0.5) / (3.0 + 1.0);
        let cell = |age: usize, breadth: usize| age * SHAPE[1] * SHAPE[2] * SHAPE[3] + breadth;
        // Age 0: two pairs without a repeat, in the same classes of count and move; then one in each breadth.
        let mut expected = 2.0 * all / 4.0;
        expected = 2.0 * expected / 4.0;
        expected = 2.0 * expected / 4.0;
        assert!((chances[cell(0, 0)] - 2.0 * expected / 3.0).abs() < 1e-12);
        // Age 1: one repeat.
        let mut expected = all;
        for _ in 0..4 {
            expected = (1.0 + 2.0 * expected) / 3.0;
        }
        assert!((chances[cell(1, 1)] - expected).abs() < 1e-12);
        // A breadth that never occurred has the chance of all breadths.
        assert!((chances[cell(1, 5)] - chances[cell(1, 6)]).abs() < 1e-12);
        // An age that never occurred has the share over all.
        assert!((chances[cell(7, 3)] - all).abs() < 1e-12);
    }

    #[test]
    fn the_calibration_never_falls_and_is_the_share_where_it_rises() {
        let class = |pairs, sum: f64, repeats| Class { pairs, sum: sum * pairs as f64, repeats };
        let classes = [
            class(99, 0.1, 10),
            Class::default(),
            class(99, 0.2, 30),
            class(99, 0.3, 20),
            class(99, 0.8, 90),
        ];
        let Calibration { at, share } = calibration(&classes);
        assert_eq!(at, [0.1, 0.25, 0.8]);
        assert_eq!(share, [0.105, 50.5 / 199.0, 0.905]);
        assert_eq!(calibration(&[]), Calibration::default());
        // Shares and places that are the same as f32 are pooled, and none is 0 or 1.
        let many = 1 << 40;
        let classes = [class(many, 0.1, many - 1), class(many, 0.2, many), class(1, 0.3, 1)];
        let Calibration { at, share } = calibration(&classes);
        assert_eq!((at.len(), share.len()), (1, 1));
        assert!(0.0 < share[0] && share[0] < 1.0);
    }
}

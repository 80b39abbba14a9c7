//! Tables and queries quantised to bytes, and an upper bound of every score.
//!
//! A row is `w = a ŵ + δ` (ŵ integers from −127 to 127), a query `q = b q̂ + ε`, both without their last column,
//! which stays a float (`w'`, `q'`: a bias is often far larger than the weights beside it). Then
//!
//! `w·q + w' q' = a b ŵ·q̂ + a ŵ·ε + δ·q + w' q' ≤ a (b ŵ·q̂ + ‖ŵ‖ ‖ε‖ + (‖δ‖ / a) ‖q‖) + w' q'`
//!
//! by the Cauchy–Schwarz inequality. The score in f32 differs from the exact one by at most about
//! `width · 2⁻²⁴ ‖w‖ ‖q‖` in any order of summation (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002,
//! section 3.1), where both norms include the last column, and the bound itself is computed in f32. A separate term of
//! the bound covers both roundings. It must not be part of `‖δ‖`: beside the 1 that a bias is multiplied by, the other
//! elements of a query may be tiny. Norms are computed in f64 and rounded up.

use crate::Matrix;
use crate::huge;
use crate::simd::{Bytes, Reach};

/// Number of rows whose bytes are interleaved: two vectors of the widest instruction set.
pub(super) const BLOCK: usize = 32;

/// Largest magnitude of an element of a quantised row; `OFFSET` is added to make it an unsigned byte.
const LEVELS: f64 = 127.0;
const OFFSET: i32 = 128;

/// Bytes of four adjacent columns in one block.
const GROUP: usize = 4 * BLOCK;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Group([u8; GROUP]);

/// A copy of a table in bytes, with the terms that bound the scores of its rows: about a quarter of the table's size.
///
/// It must be made again after the table has changed.
pub struct ScanTable {
    rows: usize,
    width: usize,
    /// The bytes by block, then by group of four columns, then by row.
    groups: Vec<Group>,
    /// `a` of each row.
    scales: Vec<f32>,
    /// The last column, in f32.
    last: Vec<f32>,
    /// Of each block the largest `‖ŵ‖`, the largest `‖δ‖ / a`, and the largest rounding error, divided by `a`, for a
    /// query of norm 1.
    errors: Vec<[f32; 3]>,
    /// The largest `‖w‖`, including the last column; infinite if an element is not finite.
    norm: f64,
}

impl ScanTable {
    /// Quantises a table, n × width.
    ///
    /// # Panics
    /// If the table has no column, more than 65,536 columns, or 2³² rows or more.
    pub fn new(table: &Matrix) -> Self {
        let (rows, width) = (table.rows(), table.width());
        assert!((1..=1 << 16).contains(&width), "a table of {width} columns; 1 to 65,536 can be scanned");
        assert!(u32::try_from(rows).is_ok(), "a table of {rows} rows, more than row numbers");
        let blocks = rows.div_ceil(BLOCK);
        let depth = (width - 1).div_ceil(4);
        let mut new = Self {
            rows,
            width,
            groups: huge::filled(blocks * depth, Group([OFFSET as u8; GROUP])),
            scales: vec![f32::MIN_POSITIVE; blocks * BLOCK],
            last: vec![0.0; blocks * BLOCK],
            errors: vec![[0.0; 3]; blocks],
            norm: 0.0,
        };
        (0..rows).for_each(|r| new.set(r, table.values(r)));
        new
    }

    /// The same for a table that has more rows, of which the first are those of this one's.
    ///
    /// # Panics
    /// If the table has fewer rows, or another number of columns; as [`new`](Self::new).
    pub fn extended(&self, table: &Matrix) -> Self {
        let rows = table.rows();
        assert!(rows >= self.rows && table.width() == self.width, "a table of another shape");
        assert!(u32::try_from(rows).is_ok(), "a table of {rows} rows, more than row numbers");
        let blocks = rows.div_ceil(BLOCK);
        let extended = |values: &[f32], value: f32| huge::extended(values, blocks * BLOCK, value);
        let mut new = Self {
            rows,
            width: self.width,
            groups: huge::extended(&self.groups, blocks * self.depth(), Group([OFFSET as u8; GROUP])),
            scales: extended(&self.scales, f32::MIN_POSITIVE),
            last: extended(&self.last, 0.0),
            errors: huge::extended(&self.errors, blocks, [0.0; 3]),
            norm: self.norm,
        };
        (self.rows..rows).for_each(|r| new.set(r, table.values(r)));
        new
    }

    /// Bytes of memory that [`new`](Self::new) allocates for a table of this shape.
    pub fn bytes(rows: usize, width: usize) -> usize {
        let block = width.saturating_sub(1).div_ceil(4).saturating_mul(GROUP) + BLOCK * 8 + 12;
        rows.div_ceil(BLOCK).saturating_mul(block)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether every element of the table is finite.
    pub fn is_finite(&self) -> bool {
        self.norm.is_finite()
    }

    /// Number of groups of four columns.
    pub(super) fn depth(&self) -> usize {
        (self.width - 1).div_ceil(4)
    }

    fn set(&mut self, r: usize, row: &[f32]) {
        let Some((&last, row)) = row.split_last() else { return };
        let (block, depth) = (r / BLOCK, self.depth());
        let scale = step(row.iter().copied(), LEVELS);
        let (mut square, mut level_square, mut rest_square) = (0.0, 0.0, 0.0);
        for (j, &w) in row.iter().enumerate() {
            let (level, rest) = quantise(w, scale, LEVELS);
            self.groups[block * depth + j / 4].0[r % BLOCK * 4 + j % 4] = (level + OFFSET) as u8;
            square += f64::from(w).powi(2);
            level_square += f64::from(level).powi(2);
            rest_square += rest * rest;
        }
        let (levels, norm) = (level_square.sqrt(), f64::sqrt(square + f64::from(last).powi(2)));
        // `max` would ignore a NaN.
        self.norm = if norm.is_nan() { f64::INFINITY } else { self.norm.max(norm) };
        // Twice the relative rounding errors of a score and of its bound.
        let roundings = 2.0 * (self.width + 16) as f64 * f64::from(f32::EPSILON) / 2.0;
        let scale64 = f64::from(scale);
        let own = [levels, rest_square.sqrt() / scale64, roundings * (norm / scale64 + levels)];
        for (most, own) in self.errors[block].iter_mut().zip(own) {
            *most = most.max(up(own));
        }
        self.scales[r] = scale;
        self.last[r] = last;
    }

    /// Finds the rows of a block whose bound reaches the threshold of a query: calls `f(q, first, bits)` with bit `i`
    /// for row `first + i`, unless `bits` is 0. The last block is padded with rows of zeros.
    #[inline(always)]
    pub(super) fn reaching<S: Bytes, const Q: usize>(
        &self,
        s: S,
        block: usize,
        queries: [&Query; Q],
        mut f: impl FnMut(usize, usize, u32),
    ) {
        let depth = self.depth();
        let groups = &self.groups[block * depth..][..depth];
        assert!(queries.iter().all(|q| q.levels.len() == depth), "queries of another width");
        let [levels, rest, rounding] = self.errors[block];
        let (scales, last) = (&self.scales[block * BLOCK..][..BLOCK], &self.last[block * BLOCK..][..BLOCK]);
        for first in (0..BLOCK).step_by(2 * S::LANES) {
            let mut sums: [_; Q] = std::array::from_fn(|q| [s.splat(queries[q].start); 2]);
            for (g, group) in groups.iter().enumerate() {
                for q in 0..Q {
                    // SAFETY: a query has `depth` numbers, as asserted above.
                    let level = s.splat(unsafe { *queries[q].levels.get_unchecked(g) });
                    for v in 0..2 {
                        // SAFETY: a group holds four bytes for each of `BLOCK` rows, and the two vectors begin at row
                        // `first + v · LANES` ≤ BLOCK − LANES.
                        sums[q][v] = unsafe {
                            s.dot(sums[q][v], group.0.as_ptr().add(4 * (first + v * S::LANES)), level)
                        };
                    }
                }
            }
            for q in 0..Q {
                let query = queries[q];
                let error = levels * query.rest + rest * query.norm + rounding * query.whole_norm;
                let reach = Reach { step: query.step, error, last: query.last, threshold: query.threshold };
                for v in 0..2 {
                    let at = first + v * S::LANES;
                    // SAFETY: both slices hold `BLOCK` floats, and `at` ≤ BLOCK − LANES.
                    let bits = unsafe {
                        s.reaching(sums[q][v], reach, scales.as_ptr().add(at), last.as_ptr().add(at))
                    };
                    if bits != 0 {
                        f(q, block * BLOCK + at, bits);
                    }
                }
            }
        }
    }
}

/// How an instruction set takes queries in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueryForm {
    /// Largest magnitude of a byte.
    pub(super) levels: i32,
    /// The offset of the rows' elements in a product: [`OFFSET`], or 0 where it has been taken off.
    pub(super) offset: i32,
}

/// A quantised query, with the terms of its bound and its threshold.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    /// `q̂`: four signed bytes in each element.
    levels: Vec<i32>,
    /// −offset · Σ q̂, which undoes the offset of the rows' elements: the sums start from it.
    start: i32,
    /// `b`.
    step: f32,
    /// `‖ε‖`.
    rest: f32,
    /// `‖q‖`.
    norm: f32,
    /// `‖q‖` including the last column.
    whole_norm: f32,
    /// `q'`, the last column.
    last: f32,
    /// Whether no product of this query with a row of the table can overflow f32.
    pub(super) bounded: bool,
    /// The product, before the activation, that a row must be able to reach.
    pub(super) threshold: f32,
}

impl Query {
    /// Quantises the elements of a query, one for each column of the table. Every row reaches its threshold at first.
    pub(super) fn set(&mut self, table: &ScanTable, form: QueryForm, values: &[f32]) {
        let Some((&last, row)) = values.split_last() else { return };
        let most = f64::from(form.levels);
        let step = step(row.iter().copied(), most);
        let (mut square, mut level_square, mut rest_square) = (0.0, 0.0, 0.0);
        let mut sum = 0;
        self.levels.clear();
        for four in row.chunks(4) {
            let mut bytes = [0; 4];
            for (byte, &x) in bytes.iter_mut().zip(four) {
                let (level, rest) = quantise(x, step, most);
                *byte = level as i8 as u8;
                sum += level;
                square += f64::from(x).powi(2);
                level_square += f64::from(level).powi(2);
                rest_square += rest * rest;
            }
            self.levels.push(i32::from_le_bytes(bytes));
        }
        let in_levels = f64::from(step) * f64::sqrt(level_square);
        let norm = f64::sqrt(square + f64::from(last).powi(2)).max(in_levels);
        self.start = -form.offset * sum;
        (self.step, self.last, self.threshold) = (step, last, f32::NEG_INFINITY);
        (self.rest, self.norm, self.whole_norm) = (up(rest_square.sqrt()), up(square.sqrt()), up(norm));
        // Neither a score nor a term of its bound, at most 2 ‖ŵ‖ ‖q‖, overflows; false for NaN.
        let largest = table.norm.max(2.0 * LEVELS * (table.width as f64).sqrt());
        self.bounded = norm * largest < f64::from(f32::MAX) / 8.0;
    }
}

/// The quantisation step: the largest magnitude of the values is `levels` steps.
fn step(values: impl Iterator<Item = f32>, levels: f64) -> f32 {
    let most = values.fold(0.0, |most: f32, x| most.max(x.abs()));
    // A subnormal step would be too inexact.
    ((f64::from(most) / levels) as f32).max(f32::MIN_POSITIVE)
}

/// The nearest multiple of `step` to `x` within ±`levels` steps, in steps, and the remainder.
fn quantise(x: f32, step: f32, levels: f64) -> (i32, f64) {
    let level = (f64::from(x) / f64::from(step)).round().clamp(-levels, levels);
    (level as i32, f64::from(x) - level * f64::from(step))
}

/// A float above `x` by a margin for a few roundings.
fn up(x: f64) -> f32 {
    ((x * (1.0 + 1e-6)) as f32).next_up()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CounterRng;

    #[test]
    fn a_table_with_more_rows_has_the_bytes_and_bounds_of_a_new_one() {
        let rng = CounterRng::new(5, 0);
        for (before, after) in [(0, 3), (1, 1), (31, 70), (32, 33), (64, 200)] {
            let mut table = Matrix::zeros(after, 11);
            for r in 0..after {
                (0..11).for_each(|j| table.row_mut(r)[j] = rng.unit_f32((r * 11 + j) as u64) - 0.4);
            }
            let mut first = Matrix::zeros(before, 11);
            (0..before).for_each(|r| first.row_mut(r).copy_from_slice(table.row(r)));
            let (extended, new) = (ScanTable::new(&first).extended(&table), ScanTable::new(&table));
            assert!(extended.groups.iter().map(|group| group.0).eq(new.groups.iter().map(|group| group.0)));
            assert_eq!((extended.scales, extended.last), (new.scales, new.last));
            assert_eq!((extended.errors, extended.norm), (new.errors, new.norm));
        }
    }
}

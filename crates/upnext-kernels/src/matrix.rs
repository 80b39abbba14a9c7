//! Row-major matrices of floats whose rows are aligned to cache lines, and views of them.

use crate::LINE;
use crate::huge;
use crate::simd::prefetch;

/// Rounds a number of floats up to whole cache lines of 16 floats.
pub const fn padded(width: usize) -> usize {
    width.div_ceil(LINE) * LINE
}

/// The distance in floats between the rows of a padded matrix of this width: an odd number of cache lines.
///
/// With an even number, and above all with a power of two, the blocks of a column would map to few sets of the L1 cache.
pub const fn row_stride(width: usize) -> usize {
    let lines = width.div_ceil(LINE);
    (lines + (lines + 1) % 2) * LINE
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// A row-major matrix of `rows` × `width` floats.
///
/// Its rows start on cache lines and are [`row_stride`] floats apart, unless it is [`compact`](Self::compact). The padding
/// after each row is 0; kernels may read it and keep it 0.
#[derive(Clone)]
pub struct Matrix {
    lines: Vec<Line>,
    rows: usize,
    width: usize,
    stride: usize,
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({} × {})", self.rows, self.width)
    }
}

impl Matrix {
    /// A matrix of zeros.
    ///
    /// # Panics
    /// If its size in floats overflows `usize`.
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self::with_stride(rows, width, row_stride(width))
    }

    /// A matrix of zeros without padding between rows, for tables that are only read.
    ///
    /// A table of 17 columns takes about a third of the memory. Optimisers and [`product_by_rows`](crate::product_by_rows)
    /// require padded matrices and panic on compact ones.
    ///
    /// # Panics
    /// If its size in floats overflows `usize`.
    pub fn compact(rows: usize, width: usize) -> Self {
        Self::with_stride(rows, width, width)
    }

    /// Converts a compact matrix to a padded one; a padded matrix is returned as it is.
    pub fn padded(self) -> Self {
        if self.stride == row_stride(self.width) {
            return self;
        }
        let mut padded = Self::zeros(self.rows, self.width);
        for r in 0..self.rows {
            padded.row_mut(r)[..self.width].copy_from_slice(self.values(r));
        }
        padded
    }

    fn with_stride(rows: usize, width: usize, stride: usize) -> Self {
        let lines = huge::filled(Self::lines(rows, stride), Line([0.0; LINE]));
        Self { lines, rows, width, stride }
    }

    /// The number of cache lines; checked for overflow, since unsafe code computes pointers to rows from it.
    fn lines(rows: usize, stride: usize) -> usize {
        rows.checked_mul(stride).expect("a matrix larger than any memory").div_ceil(LINE)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns, without padding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Distance from one row to the next, in floats.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes that a padded matrix of this shape takes.
    pub fn bytes(rows: usize, width: usize) -> usize {
        rows.saturating_mul(row_stride(width)).saturating_mul(size_of::<f32>())
    }

    /// All rows with their padding, `rows × stride` floats rounded up to whole cache lines.
    pub fn data(&self) -> &[f32] {
        // SAFETY: a `Line` is `LINE` floats in a row without gaps, so the lines are that many floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE) }
    }

    /// All rows with their padding, mutably.
    pub fn data_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `data`; the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * LINE) }
    }

    /// Row `r` with its padding.
    ///
    /// # Panics
    /// If there is no row `r`.
    pub fn row(&self, r: usize) -> &[f32] {
        &self.data()[r * self.stride..][..self.stride]
    }

    /// Row `r` with its padding, mutably.
    ///
    /// # Panics
    /// If there is no row `r`.
    pub fn row_mut(&mut self, r: usize) -> &mut [f32] {
        let stride = self.stride;
        &mut self.data_mut()[r * stride..][..stride]
    }

    /// Row `r` without its padding.
    ///
    /// # Panics
    /// If there is no row `r`.
    pub fn values(&self, r: usize) -> &[f32] {
        &self.row(r)[..self.width]
    }

    /// Splits the matrix into blocks of `block` rows with their padding, to be processed by several threads. The last block
    /// may be smaller.
    pub fn blocks_mut(&mut self, block: usize) -> std::slice::ChunksMut<'_, f32> {
        let (size, used) = ((block * self.stride).max(1), self.rows * self.stride);
        self.data_mut()[..used].chunks_mut(size)
    }

    /// Sets every element to 0.
    pub fn clear(&mut self) {
        self.lines.fill(Line([0.0; LINE]));
    }

    /// Appends `count` rows of zeros.
    ///
    /// # Panics
    /// If its size in floats overflows `usize`.
    pub fn add_rows(&mut self, count: usize) {
        let rows = self.rows.checked_add(count).expect("a matrix larger than any memory");
        let lines = Self::lines(rows, self.stride);
        self.lines.reserve_exact(lines - self.lines.len());
        self.lines.resize(lines, Line([0.0; LINE]));
        self.rows = rows;
    }

    /// A copy with `count` more rows of zeros.
    ///
    /// # Panics
    /// If its size in floats overflows `usize`.
    pub fn with_rows(&self, count: usize) -> Self {
        let rows = self.rows.checked_add(count).expect("a matrix larger than any memory");
        let lines = huge::extended(&self.lines, Self::lines(rows, self.stride), Line([0.0; LINE]));
        Self { lines, rows, ..*self }
    }

    /// Copies the rows `indices` of `table` into the first rows of this matrix.
    ///
    /// # Panics
    /// If an index is out of range, there are more indices than rows in this matrix, or the widths differ.
    pub fn gather(&mut self, table: &Matrix, indices: &[u32]) {
        /// How many rows ahead to prefetch: the table is larger than the caches and is read in random order.
        const AHEAD: usize = 8;
        assert_eq!(self.width, table.width, "rows of {table:?} into {self:?}");
        let used = table.width;
        for (i, &index) in indices.iter().enumerate() {
            if let Some(&ahead) = indices.get(i + AHEAD) {
                let row = table.row(ahead as usize).as_ptr();
                (0..used).step_by(LINE).for_each(|j| prefetch(row.wrapping_add(j)));
            }
            self.row_mut(i)[..used].copy_from_slice(&table.row(index as usize)[..used]);
        }
    }

    /// Transposes the first `rows` rows into `lanes`: `lanes[j][b] = self[b][j]`, and 0 from column `rows` on.
    ///
    /// # Panics
    /// If `lanes` does not have `width` rows and at least `rows` columns, or one of the two matrices is compact.
    pub fn transpose_rows(&self, rows: usize, lanes: &mut Matrix) {
        assert!(
            rows <= self.rows
                && rows <= lanes.width
                && self.width == lanes.rows
                && self.stride.is_multiple_of(LINE)
                && lanes.stride.is_multiple_of(LINE),
            "{rows} rows of {self:?} as columns of {lanes:?}"
        );
        // Blocks of whole cache lines on both sides: each line is read once and written once.
        let (to_stride, from_stride) = (lanes.stride, self.stride);
        let from = self.data();
        for (i, block) in lanes.blocks_mut(LINE).enumerate() {
            let count = block.len() / to_stride;
            for b0 in (0..to_stride).step_by(LINE) {
                let mut tile = [[0.0; LINE]; LINE];
                for (b, line) in (b0..rows.min(b0 + LINE)).zip(&mut tile) {
                    line.copy_from_slice(&from[b * from_stride + i * LINE..][..LINE]);
                }
                for j in 0..count {
                    let to = &mut block[j * to_stride + b0..][..LINE];
                    for (x, line) in to.iter_mut().zip(&tile) {
                        *x = line[j];
                    }
                }
            }
        }
    }

    /// The first `rows` rows as an operand of a matrix product.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub fn view(&self, rows: usize) -> View<'_> {
        View::rows(&self.data()[..rows * self.stride], self.stride)
    }
}

/// An operand of a matrix product: element (i, j) is `data[i * row_step + j * column_step]`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_step: usize,
    pub(crate) column_step: usize,
}

impl<'a> View<'a> {
    /// A row-major operand whose rows are `stride` floats apart and start at the beginning of `data`.
    pub fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, row_step: stride, column_step: 1 }
    }

    /// The transposed operand.
    pub fn transposed(self) -> Self {
        Self { data: self.data, row_step: self.column_step, column_step: self.row_step }
    }

    /// The operand without its first `columns` columns.
    ///
    /// # Panics
    /// If that is beyond the end of its data.
    pub fn from_column(self, columns: usize) -> Self {
        Self { data: &self.data[columns * self.column_step..], ..self }
    }

    /// The operand without its first `rows` rows.
    ///
    /// # Panics
    /// If that is beyond the end of its data.
    pub fn from_row(self, rows: usize) -> Self {
        Self { data: &self.data[rows * self.row_step..], ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Isa, product, product_by_rows};

    #[test]
    fn rows_become_columns_on_odd_sizes() {
        for (rows, width, used) in [(1, 1, 1), (3, 17, 2), (17, 33, 17), (50, 101, 0), (50, 101, 49)] {
            let mut m = Matrix::zeros(rows, width);
            for b in 0..rows {
                (0..width).for_each(|j| m.row_mut(b)[j] = (b * width + j + 1) as f32);
            }
            let mut lanes = Matrix::zeros(width, padded(rows));
            lanes.data_mut().fill(7.0);
            m.transpose_rows(used, &mut lanes);
            for j in 0..width {
                for (b, &x) in lanes.row(j).iter().enumerate() {
                    assert_eq!(x, if b < used { m.row(b)[j] } else { 0.0 }, "{rows} {width} {used}: {j} {b}");
                }
            }
        }
    }

    /// Small enough for Miri, which the tests of the products themselves are not.
    #[test]
    fn products_of_views_agree_with_the_plain_sum() {
        let numbers = |rows: usize, width: usize, from: usize| {
            let mut matrix = Matrix::zeros(rows, width);
            for r in 0..rows {
                (0..width).for_each(|j| matrix.row_mut(r)[j] = ((r * 7 + j * 3 + from) % 11) as f32 - 5.0);
            }
            matrix
        };
        for (m, n, k) in [(1, 1, 1), (3, 7, 5), (7, 33, 3), (2, 3, 260), (1, 2, 515)] {
            let (a, b) = (numbers(m, k, 1), numbers(k, n, 2));
            let (mut a_columns, mut b_columns) = (Matrix::zeros(k, m), Matrix::zeros(n, k));
            for p in 0..k {
                (0..m).for_each(|i| a_columns.row_mut(p)[i] = a.row(i)[p]);
                (0..n).for_each(|j| b_columns.row_mut(j)[p] = b.row(p)[j]);
            }
            for isa in Isa::available() {
                let mut c = Matrix::zeros(m, n);
                let (shape, stride) = ((m, n, k), c.stride());
                product(isa, shape, a.view(m), b.view(k), c.data_mut(), stride, false);
                product(isa, shape, a_columns.view(k).transposed(), b.view(k), c.data_mut(), stride, true);
                product_by_rows(isa, shape, a.view(m), b_columns.view(n), c.data_mut(), stride, true);
                for i in 0..m {
                    for j in 0..n {
                        // Small whole numbers: their sums are exact.
                        let sum: f32 = (0..k).map(|p| a.row(i)[p] * b.row(p)[j]).sum();
                        assert_eq!(c.row(i)[j], 3.0 * sum, "{isa} {m} × {n} × {k}: {i} {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn compact_rows_are_gathered_and_padded_as_any_others() {
        for (rows, width) in [(5, 1), (7, 33), (3, 16), (2, 101)] {
            let mut compact = Matrix::compact(rows, width);
            assert_eq!((compact.stride(), compact.data().len()), (width, super::padded(rows * width)));
            for r in 0..rows {
                (0..width).for_each(|j| compact.row_mut(r)[j] = (r * width + j + 1) as f32);
            }
            let padded = compact.clone().padded();
            let mut gathered = Matrix::zeros(2, width);
            gathered.gather(&compact, &[rows as u32 - 1, 0]);
            for (row, r) in [(0, rows - 1), (1, 0)] {
                assert_eq!(gathered.values(row), compact.values(r));
                assert!(gathered.row(row)[width..].iter().all(|&x| x == 0.0), "{width}");
                assert_eq!(padded.row(r), gathered.row(row));
            }
            let more = compact.with_rows(1);
            compact.add_rows(1);
            assert_eq!((more.data(), more.rows()), (compact.data(), compact.rows()));
            assert_eq!((compact.rows(), compact.values(rows)[width - 1]), (rows + 1, 0.0));
        }
    }

    #[test]
    fn rows_start_on_an_odd_number_of_cache_lines() {
        for width in [1, 16, 17, 100, 101, 224, 512, 513, 1000] {
            let mut m = Matrix::zeros(3, width);
            assert!(m.stride() >= width && (m.stride() / LINE) % 2 == 1 && m.stride() < width + 2 * LINE);
            assert_eq!(m.data().as_ptr() as usize % 64, 0);
            m.row_mut(2)[width - 1] = 7.0;
            m.add_rows(2);
            assert_eq!((m.rows(), m.values(2)[width - 1], m.values(4)[0]), (5, 7.0, 0.0));
            assert_eq!(m.blocks_mut(2).count(), 3);
        }
    }
}

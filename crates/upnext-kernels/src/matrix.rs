//! Matrices in rows that start on cache lines, and views of them.

use crate::LINE;

/// `width` rounded up to whole cache lines (16 floats).
pub const fn padded(width: usize) -> usize {
    width.div_ceil(LINE) * LINE
}

/// The distance between rows of a matrix of this width: whole cache lines, an odd number of them.
///
/// With an even number (a power of two at worst) a column of blocks would fall into few sets of the first cache.
pub const fn row_stride(width: usize) -> usize {
    let lines = width.div_ceil(LINE);
    (lines + (lines + 1) % 2) * LINE
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// A matrix of `rows` × `width` floats whose rows start on cache lines, [`row_stride`] floats apart.
///
/// The padding behind each row is 0 when the matrix is made; every kernel keeps it so, and may read it.
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
    /// If it is larger than any memory.
    pub fn zeros(rows: usize, width: usize) -> Self {
        let stride = row_stride(width);
        Self { lines: vec![Line([0.0; LINE]); Self::lines(rows, stride)], rows, width, stride }
    }

    /// Raw pointers to rows rely on it that the product does not wrap around.
    fn lines(rows: usize, stride: usize) -> usize {
        rows.checked_mul(stride / LINE).expect("a matrix larger than any memory")
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns, padding not counted.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Floats from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of a matrix of this shape: what to ask of memory before making it.
    pub fn bytes(rows: usize, width: usize) -> usize {
        rows.saturating_mul(row_stride(width)).saturating_mul(size_of::<f32>())
    }

    /// All rows with their padding.
    pub fn data(&self) -> &[f32] {
        // SAFETY: a `Line` is `LINE` floats in a row without gaps, so the lines are that many floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE) }
    }

    /// All rows with their padding.
    pub fn data_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `data`; the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * LINE) }
    }

    /// Row `r` with its padding.
    pub fn row(&self, r: usize) -> &[f32] {
        &self.data()[r * self.stride..][..self.stride]
    }

    /// Row `r` with its padding.
    pub fn row_mut(&mut self, r: usize) -> &mut [f32] {
        let stride = self.stride;
        &mut self.data_mut()[r * stride..][..stride]
    }

    /// Row `r` without its padding.
    pub fn values(&self, r: usize) -> &[f32] {
        &self.row(r)[..self.width]
    }

    /// The rows in blocks of `block` (the last may be smaller), each with its padding: tasks for threads.
    pub fn blocks_mut(&mut self, block: usize) -> std::slice::ChunksMut<'_, f32> {
        let size = (block * self.stride).max(1);
        self.data_mut().chunks_mut(size)
    }

    /// Sets every element to 0.
    pub fn clear(&mut self) {
        self.lines.fill(Line([0.0; LINE]));
    }

    /// Appends `count` rows of zeros.
    ///
    /// # Panics
    /// If the matrix becomes larger than any memory.
    pub fn add_rows(&mut self, count: usize) {
        let rows = self.rows.checked_add(count).expect("a matrix larger than any memory");
        self.lines.resize(Self::lines(rows, self.stride), Line([0.0; LINE]));
        self.rows = rows;
    }

    /// The first `rows` rows as an operand.
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
    /// Rows `stride` floats apart, from the start of `data`.
    pub fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, row_step: stride, column_step: 1 }
    }

    /// The transposed operand.
    pub fn transposed(self) -> Self {
        Self { data: self.data, row_step: self.column_step, column_step: self.row_step }
    }

    /// The operand without its first `columns` columns.
    pub fn from_column(self, columns: usize) -> Self {
        Self { data: &self.data[columns * self.column_step..], ..self }
    }

    /// The operand without its first `rows` rows.
    pub fn from_row(self, rows: usize) -> Self {
        Self { data: &self.data[rows * self.row_step..], ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! Products of small and medium-sized f32 matrices.
//!
//! Shapes: `C` is m × n, `A` is m × k, `B` is k × n ([`product`]) or n × k ([`product_by_rows`]).
//!
//! Operands are not packed: rows of a [`Matrix`](crate::Matrix) are an odd number of cache lines apart
//! ([`row_stride`](crate::row_stride)), so that a block of columns uses all sets of the first-level cache, and the
//! operands of a training step are read a few times only. The terms of an element of `C` are added in the same order
//! wherever it lies in a tile, so that its bits do not depend on the shape of the product: threads may divide a product
//! anywhere.

use crate::LINE;
use crate::matrix::View;
use crate::simd::{Isa, Kernel, Simd};

/// Rows of `B` that are multiplied before the next block of columns: they stay in the first-level cache.
const DEPTH: usize = 256;

/// Columns of both operands of a product by rows that are multiplied at a time: those of `A` stay in the caches.
const DOT_DEPTH: usize = 512;

/// `C = A · B`, or `C += A · B`.
///
/// * `a`: m × k, with any steps between rows and columns.
/// * `b`: k × n, `column_step` 1; all columns of n rounded up to a multiple of 16 are read.
/// * `c`: m × n, rows `c_stride` floats apart; all columns of n rounded up to a multiple of 16 are written.
///
/// # Panics
/// If an operand has too few floats for its shape, or the columns of `b` are not adjacent.
#[allow(clippy::too_many_arguments)] // the shapes of a product are five numbers
pub fn product(
    isa: Isa,
    (m, n, k): (usize, usize, usize),
    a: View,
    b: View,
    c: &mut [f32],
    c_stride: usize,
    accumulate: bool,
) {
    let n = n.next_multiple_of(LINE);
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            c.chunks_mut(c_stride).take(m).for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    assert!(b.column_step == 1, "the columns of B must be adjacent, not {} apart", b.column_step);
    assert!(
        a.data.len() > last(m, a.row_step).saturating_add(last(k, a.column_step)),
        "A has {} floats, too few for {m} × {k}",
        a.data.len()
    );
    assert!(
        b.data.len() >= last(k, b.row_step).saturating_add(n),
        "B has {} floats, too few for {k} × {n}",
        b.data.len()
    );
    assert!(
        c.len() >= last(m, c_stride).saturating_add(n),
        "C has {} floats, too few for {m} × {n}",
        c.len()
    );
    isa.run(Product { m, n, k, a, b, c, c_stride, accumulate });
}

/// Offset of the last of `count` > 0 rows or columns. It saturates, so that the bounds are checked correctly in builds
/// without overflow checks.
fn last(count: usize, step: usize) -> usize {
    (count - 1).saturating_mul(step)
}

struct Product<'a> {
    m: usize,
    n: usize,
    k: usize,
    a: View<'a>,
    b: View<'a>,
    c: &'a mut [f32],
    c_stride: usize,
    accumulate: bool,
}

/// The operands of one tile, as pointers: the bounds of the whole product have been checked.
#[derive(Clone, Copy)]
struct Tile {
    k: usize,
    a: *const f32,
    a_row: usize,
    a_column: usize,
    b: *const f32,
    b_row: usize,
    c: *mut f32,
    c_row: usize,
    accumulate: bool,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { m, n, k, a, b, c, c_stride, accumulate } = self;
        // Tiles get equal numbers of rows, since a tile of two rows is far slower than one of six.
        let tiles = m.div_ceil(S::TILE_ROWS);
        let mut depth = 0;
        while depth < k {
            let kk = DEPTH.min(k - depth);
            let mut j = 0;
            while j < n {
                let columns = (2 * S::LANES).min(n - j);
                for t in 0..tiles {
                    let (from, to) = (t * m / tiles, (t + 1) * m / tiles);
                    // SAFETY: `product` has checked that the operands hold m × k, k × n and m × n elements; the
                    // offsets are those of row `from` < m, depth `depth` < k and column `j` < n.
                    let tile = unsafe {
                        Tile {
                            k: kk,
                            a: a.data.as_ptr().add(from * a.row_step + depth * a.column_step),
                            a_row: a.row_step,
                            a_column: a.column_step,
                            b: b.data.as_ptr().add(depth * b.row_step + j),
                            b_row: b.row_step,
                            c: c.as_mut_ptr().add(from * c_stride + j),
                            c_row: c_stride,
                            accumulate: accumulate || depth > 0,
                        }
                    };
                    // SAFETY: the tile covers rows from..to ≤ m, columns j..j + columns ≤ n, and kk steps of depth.
                    unsafe {
                        if columns == 2 * S::LANES {
                            tile_rows::<S, 2>(s, to - from, tile);
                        } else {
                            tile_rows::<S, 1>(s, to - from, tile);
                        }
                    }
                }
                j += columns;
            }
            depth += kk;
        }
    }
}

/// # Safety
/// The tile's operands must hold `rows` rows, `V` vectors of columns and `tile.k` steps of depth.
#[inline(always)]
unsafe fn tile_rows<S: Simd, const V: usize>(s: S, rows: usize, tile: Tile) {
    macro_rules! by_rows {
        ($($r:literal)*) => {
            match rows {
                // SAFETY: the caller's promise, for a constant number of rows.
                $($r if $r <= S::TILE_ROWS => unsafe { tile_fixed::<S, $r, V>(s, tile) },)*
                _ => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    by_rows!(1 2 3 4 5 6 7 8 9 10 11 12)
}

/// # Safety
/// The tile's operands must hold `R` rows, `V` vectors of columns and `tile.k` steps of depth.
#[inline(always)]
unsafe fn tile_fixed<S: Simd, const R: usize, const V: usize>(s: S, t: Tile) {
    // SAFETY: rows r < R, vectors v < V and steps 0..k are in bounds by the caller's promise.
    unsafe {
        let mut sum = [[s.zero(); V]; R];
        if t.accumulate {
            for r in 0..R {
                for v in 0..V {
                    sum[r][v] = s.load_ptr(t.c.add(r * t.c_row + v * S::LANES));
                }
            }
        }
        for p in 0..t.k {
            let mut b = [s.zero(); V];
            for v in 0..V {
                b[v] = s.load_ptr(t.b.add(p * t.b_row + v * S::LANES));
            }
            for r in 0..R {
                let a = s.splat(*t.a.add(r * t.a_row + p * t.a_column));
                for v in 0..V {
                    sum[r][v] = s.fma(a, b[v], sum[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                s.store_ptr(t.c.add(r * t.c_row + v * S::LANES), sum[r][v]);
            }
        }
    }
}

/// `C = A · Bᵀ`, or `C += A · Bᵀ`: elements are dot products of rows of `A` and rows of `B`.
///
/// * `a`: m × k, `b`: n × k, both `column_step` 1; all columns of k rounded up to a multiple of 16 are read. In those
///   past k, one of the two must be 0.
/// * `c`: m × n, rows `c_stride` floats apart; columns past n are not written.
///
/// # Panics
/// If an operand has too few floats for its shape, or the columns of `a` or `b` are not adjacent.
#[allow(clippy::too_many_arguments)] // the shapes of a product are five numbers
pub fn product_by_rows(
    isa: Isa,
    (m, n, k): (usize, usize, usize),
    a: View,
    b: View,
    c: &mut [f32],
    c_stride: usize,
    accumulate: bool,
) {
    let k = k.next_multiple_of(LINE);
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            c.chunks_mut(c_stride).take(m).for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    assert!(a.column_step == 1 && b.column_step == 1, "the columns of both operands must be adjacent");
    assert!(
        a.data.len() >= last(m, a.row_step).saturating_add(k),
        "A has {} floats, too few for {m} × {k}",
        a.data.len()
    );
    assert!(
        b.data.len() >= last(n, b.row_step).saturating_add(k),
        "B has {} floats, too few for {n} × {k}",
        b.data.len()
    );
    assert!(
        c.len() >= last(m, c_stride).saturating_add(n),
        "C has {} floats, too few for {m} × {n}",
        c.len()
    );
    isa.run(ProductByRows(Product { m, n, k, a, b, c, c_stride, accumulate }));
}

struct ProductByRows<'a>(Product<'a>);

impl Kernel for ProductByRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Product { m, n, k, a, b, c, c_stride, accumulate } = self.0;
        let mut depth = 0;
        while depth < k {
            let kk = DOT_DEPTH.min(k - depth);
            let mut j = 0;
            while j < n {
                let columns = if n - j >= 4 { 4 } else { 1 };
                let mut i = 0;
                while i < m {
                    let rows = if columns == 4 { S::DOT_ROWS.min(m - i) } else { 1 };
                    // SAFETY: `product_by_rows` has checked the operands; rows i.. and j.. are below m and n, and the
                    // floats from `depth` on belong to both.
                    let tile = unsafe {
                        Tile {
                            k: kk,
                            a: a.data.as_ptr().add(i * a.row_step + depth),
                            a_row: a.row_step,
                            a_column: 1,
                            b: b.data.as_ptr().add(j * b.row_step + depth),
                            b_row: b.row_step,
                            c: c.as_mut_ptr().add(i * c_stride + j),
                            c_row: c_stride,
                            accumulate: accumulate || depth > 0,
                        }
                    };
                    // SAFETY: the tile covers rows i..i + rows ≤ m of A and j..j + columns ≤ n of B.
                    unsafe {
                        match (columns, rows) {
                            (4, 4) => dot_tile::<S, 4>(s, tile),
                            (4, 3) => dot_tile::<S, 3>(s, tile),
                            (4, 2) => dot_tile::<S, 2>(s, tile),
                            (4, _) => dot_tile::<S, 1>(s, tile),
                            _ => dot_single(s, tile),
                        }
                    }
                    i += rows;
                }
                j += columns;
            }
            depth += kk;
        }
    }
}

/// `R` rows by four columns.
///
/// # Safety
/// `A` must hold `R` rows and `B` four rows of `t.k` floats, a multiple of the vector width; `C` R × 4 floats.
#[inline(always)]
unsafe fn dot_tile<S: Simd, const R: usize>(s: S, t: Tile) {
    // SAFETY: rows r < R, v < 4 and columns 0..k are in bounds by the caller's promise.
    unsafe {
        let mut sum = [[s.zero(); 4]; R];
        let mut p = 0;
        while p < t.k {
            let mut b = [s.zero(); 4];
            for v in 0..4 {
                b[v] = s.load_ptr(t.b.add(v * t.b_row + p));
            }
            for r in 0..R {
                let a = s.load_ptr(t.a.add(r * t.a_row + p));
                for v in 0..4 {
                    sum[r][v] = s.fma(a, b[v], sum[r][v]);
                }
            }
            p += S::LANES;
        }
        for r in 0..R {
            let c = t.c.add(r * t.c_row).cast::<[f32; 4]>();
            let mut x = s.sum_four(sum[r]);
            if t.accumulate {
                for (x, c) in x.iter_mut().zip(*c) {
                    *x += c;
                }
            }
            *c = x;
        }
    }
}

/// One row by one column, with the bits of [`dot_tile`].
///
/// # Safety
/// `A` and `B` must hold `t.k` floats, a multiple of the vector width; `C` one.
#[inline(always)]
unsafe fn dot_single<S: Simd>(s: S, t: Tile) {
    // SAFETY: columns 0..k are in bounds by the caller's promise.
    unsafe {
        let mut sum = s.zero();
        for p in (0..t.k).step_by(S::LANES) {
            sum = s.fma(s.load_ptr(t.a.add(p)), s.load_ptr(t.b.add(p)), sum);
        }
        let x = s.sum(sum);
        *t.c = if t.accumulate { *t.c + x } else { x };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use crate::random::CounterRng;

    fn random(rows: usize, width: usize, seed: u64) -> Matrix {
        let rng = CounterRng::new(seed, 0);
        let mut m = Matrix::zeros(rows, width);
        for r in 0..rows {
            for j in 0..width {
                m.row_mut(r)[j] = rng.unit_f32((r * width + j) as u64) - 0.5;
            }
        }
        m
    }

    fn close(a: f32, b: f64) -> bool {
        (f64::from(a) - b).abs() < 1e-5 * (1.0 + b.abs())
    }

    #[test]
    fn products_agree_with_the_plain_sum_on_odd_sizes() {
        for isa in Isa::available() {
            for (m, n, k) in [
                (1, 1, 1),
                (3, 7, 5),
                (7, 17, 3),
                (17, 33, 100),
                (12, 48, 300),
                (50, 100, 513),
                (25, 16, 1),
                (3, 7, 0),
            ] {
                let (a, b) = (random(m, k, 1), random(k, n, 2));
                let (at, bt) = (random(k, m, 3), random(n, k, 4));
                let mut c = random(m, n, 5);
                let old = c.clone();
                for accumulate in [true, false] {
                    let exact = |i: usize, j: usize, f: &dyn Fn(usize) -> f64| {
                        (0..k).map(f).sum::<f64>() + if accumulate { f64::from(old.row(i)[j]) } else { 0.0 }
                    };
                    c.data_mut().copy_from_slice(old.data());
                    let stride = c.stride();
                    product(isa, (m, n, k), a.view(m), b.view(k), c.data_mut(), stride, accumulate);
                    for i in 0..m {
                        for j in 0..n {
                            let e = exact(i, j, &|p| f64::from(a.row(i)[p]) * f64::from(b.row(p)[j]));
                            assert!(close(c.row(i)[j], e), "{isa} {m} {n} {k}: {} {e}", c.row(i)[j]);
                        }
                        assert!(c.row(i)[n..].iter().all(|&x| x == 0.0), "padding stays 0");
                    }
                    c.data_mut().copy_from_slice(old.data());
                    let a_t = at.view(k).transposed();
                    product(isa, (m, n, k), a_t, b.view(k), c.data_mut(), stride, accumulate);
                    for i in 0..m {
                        for j in 0..n {
                            let e = exact(i, j, &|p| f64::from(at.row(p)[i]) * f64::from(b.row(p)[j]));
                            assert!(close(c.row(i)[j], e), "{isa} transposed {m} {n} {k}");
                        }
                    }
                    c.data_mut().copy_from_slice(old.data());
                    product_by_rows(isa, (m, n, k), a.view(m), bt.view(n), c.data_mut(), stride, accumulate);
                    for i in 0..m {
                        for j in 0..n {
                            let e = exact(i, j, &|p| f64::from(a.row(i)[p]) * f64::from(bt.row(j)[p]));
                            assert!(close(c.row(i)[j], e), "{isa} by rows {m} {n} {k}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn operands_that_are_too_small_are_refused_whatever_their_steps() {
        let data = [0.0; 64];
        // Rows half the address space apart: twice that is 0 for a processor.
        let far = View::rows(&data, usize::MAX / 2 + 1);
        let near = View::rows(&data, 16);
        let refused = |run: &dyn Fn(&mut [f32])| {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut [0.0; 256])))
                .expect_err("operands too small");
            panic.downcast_ref::<String>().is_some_and(|message| message.contains("too few for"))
        };
        for (a, b, shape) in [(far, near, (3, 16, 1)), (near, far, (1, 16, 3)), (near, near, (5, 16, 2))] {
            assert!(refused(&|c| product(Isa::PORTABLE, shape, a, b, c, 16, false)), "{shape:?}");
        }
        for (a, b, shape) in [(far, near, (3, 1, 16)), (near, far, (1, 3, 16)), (near, near, (1, 5, 16))] {
            assert!(
                refused(&|c| product_by_rows(Isa::PORTABLE, shape, a, b, c, 16, false)),
                "by rows {shape:?}"
            );
        }
    }

    #[test]
    fn an_element_has_the_same_bits_wherever_it_is_computed() {
        for isa in Isa::available() {
            let (m, n, k) = (23, 80, 611);
            let (a, b, bt) = (random(m, k, 1), random(k, n, 2), random(n, k, 3));
            let (mut whole, mut whole_by_rows) = (Matrix::zeros(m, n), Matrix::zeros(m, n));
            let stride = whole.stride();
            product(isa, (m, n, k), a.view(m), b.view(k), whole.data_mut(), stride, false);
            product_by_rows(isa, (m, n, k), a.view(m), bt.view(n), whole_by_rows.data_mut(), stride, false);
            for i in 0..m {
                let mut row = vec![0.0; 16];
                product(
                    isa,
                    (1, 16, k),
                    a.view(m).from_row(i),
                    b.view(k).from_column(32),
                    &mut row,
                    16,
                    false,
                );
                assert_eq!(row, whole.row(i)[32..48], "{isa}");
                let mut one = [0.0];
                let (ai, bj) = (a.view(m).from_row(i), bt.view(n).from_row(70));
                product_by_rows(isa, (1, 1, k), ai, bj, &mut one, 1, false);
                assert_eq!(one[0], whole_by_rows.row(i)[70], "{isa}");
            }
        }
    }
}

//! Our matrix products beside those of the crates `matrixmultiply` and `gemm`: `cargo bench -p upnext-kernels --bench
//! products`.
//!
//! Every crate multiplies the same matrices in the same layout, on one thread, with its best instruction set for this
//! machine. The shapes are those that training steps ask for (`docs/performance.md`). Throughput is in floating-point
//! operations, shown as items. Before the measurements every product is compared with ours, so that a wrong stride
//! cannot pass for a fast product.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use gemm_common::Parallelism;
use std::fmt;
use upnext_kernels::{CounterRng, Isa, Matrix, View, product, product_by_rows};

/// m × n × k, how `A` and `B` lie, and the settings that ask for it.
#[derive(Clone, Copy, Debug)]
struct Shape {
    name: &'static str,
    layout: Layout,
    m: usize,
    n: usize,
    k: usize,
}

/// How the operands of `C = A · B` lie in memory; `C` always lies by rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// `A` and `B` by rows.
    Plain,
    /// `A` by rows, `B` by columns: `A · Bᵀ` of two matrices by rows.
    ByRows,
    /// `A` by columns, `B` by rows: `Aᵀ · B` of two matrices by rows.
    Gradient,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}×{}×{}", self.name, self.m, self.n, self.k)
    }
}

const fn shape(name: &'static str, layout: Layout, (m, n, k): (usize, usize, usize)) -> Shape {
    Shape { name, layout, m, n, k }
}

/// Gates: hidden states by recurrent weights, and back through them. Scores: a tile of 64 items by the states of a
/// mini-batch; rows: the gradients of a tile's rows; state: a tile's share of the states' gradient. Weights: a block of
/// a dense parameter's gradient.
const SHAPES: [Shape; 16] = [
    shape("gates-100", Layout::Plain, (25, 208, 100)),
    shape("gates-512", Layout::Plain, (120, 1024, 512)),
    shape("gates-1000", Layout::Plain, (25, 2016, 1000)),
    shape("scores-100", Layout::Plain, (64, 32, 101)),
    shape("scores-512", Layout::Plain, (64, 240, 513)),
    shape("rows-100", Layout::Plain, (64, 101, 32)),
    shape("rows-512", Layout::Plain, (64, 513, 240)),
    shape("large", Layout::Plain, (240, 1024, 512)),
    shape("back-100", Layout::ByRows, (25, 100, 200)),
    shape("back-512", Layout::ByRows, (120, 512, 1024)),
    shape("back-1000", Layout::ByRows, (25, 1000, 2000)),
    shape("state-100", Layout::Gradient, (32, 101, 64)),
    shape("state-512", Layout::Gradient, (240, 513, 64)),
    shape("weights-100", Layout::Gradient, (16, 200, 50)),
    shape("weights-512", Layout::Gradient, (16, 1024, 240)),
    shape("weights-1000", Layout::Gradient, (16, 2000, 50)),
];

/// The operands of a shape, stored by rows as a training stores them.
struct Operands {
    shape: Shape,
    a: Matrix,
    b: Matrix,
    c: Matrix,
}

impl Operands {
    fn new(shape: Shape) -> Self {
        let Shape { layout, m, n, k, .. } = shape;
        let (a, b) = match layout {
            Layout::Plain => (random(m, k, 1), random(k, n, 2)),
            Layout::ByRows => (random(m, k, 1), random(n, k, 2)),
            Layout::Gradient => (random(k, m, 1), random(k, n, 2)),
        };
        Self { shape, a, b, c: Matrix::zeros(m, n) }
    }

    /// (row step, column step) of `A` and `B` as m × k and k × n.
    fn steps(&self) -> [(isize, isize); 2] {
        let (a, b) = (self.a.stride() as isize, self.b.stride() as isize);
        match self.shape.layout {
            Layout::Plain => [(a, 1), (b, 1)],
            Layout::ByRows => [(a, 1), (1, b)],
            Layout::Gradient => [(1, a), (b, 1)],
        }
    }

    fn ours(&mut self, isa: Isa) {
        let Shape { layout, m, n, k, .. } = self.shape;
        let stride = self.c.stride();
        let (a, b, c) = (&self.a, &self.b, self.c.data_mut());
        let rows = |matrix| View::rows(Matrix::data(matrix), matrix.stride());
        match layout {
            Layout::Plain => product(isa, (m, n, k), rows(a), rows(b), c, stride, false),
            Layout::ByRows => product_by_rows(isa, (m, n, k), rows(a), rows(b), c, stride, false),
            Layout::Gradient => product(isa, (m, n, k), rows(a).transposed(), rows(b), c, stride, false),
        }
    }

    fn by_matrixmultiply(&mut self) {
        let Shape { m, n, k, .. } = self.shape;
        let [(a_row, a_column), (b_row, b_column)] = self.steps();
        let stride = self.c.stride() as isize;
        let (a, b, c) = (self.a.data().as_ptr(), self.b.data().as_ptr(), self.c.data_mut().as_mut_ptr());
        // SAFETY: the matrices have the shapes and steps that `new` gave them.
        unsafe {
            matrixmultiply::sgemm(m, k, n, 1.0, a, a_row, a_column, b, b_row, b_column, 0.0, c, stride, 1);
        }
    }

    fn by_gemm(&mut self) {
        let Shape { m, n, k, .. } = self.shape;
        let [(a_row, a_column), (b_row, b_column)] = self.steps();
        let stride = self.c.stride() as isize;
        let (a, b, c) = (self.a.data().as_ptr(), self.b.data().as_ptr(), self.c.data_mut().as_mut_ptr());
        // SAFETY: as above. The crate `gemm` hands a `C` by rows to the same function in the same way: Cᵀ = Bᵀ · Aᵀ,
        // with the column step before the row step.
        unsafe {
            let multiply = gemm_f32::gemm::f32::get_gemm_fn();
            let (conjugate, accumulate) = (false, false);
            multiply(
                n,
                m,
                k,
                c,
                stride,
                1,
                accumulate,
                b,
                b_row,
                b_column,
                a,
                a_row,
                a_column,
                0.0,
                1.0,
                conjugate,
                conjugate,
                conjugate,
                Parallelism::None,
            );
        }
    }
}

fn random(rows: usize, width: usize, seed: u64) -> Matrix {
    let rng = CounterRng::new(seed, 0);
    let mut matrix = Matrix::zeros(rows, width);
    for r in 0..rows {
        for (j, x) in matrix.row_mut(r)[..width].iter_mut().enumerate() {
            *x = rng.unit_f32((r * width + j) as u64) - 0.5;
        }
    }
    matrix
}

type Multiply = fn(&mut Operands);

fn main() {
    let isa = Isa::detect();
    println!("instruction set: {}", isa.name());
    for shape in SHAPES {
        let mut operands = Operands::new(shape);
        operands.ours(isa);
        let ours = operands.c.clone();
        let others: [(_, Multiply); 2] =
            [("matrixmultiply", Operands::by_matrixmultiply), ("gemm", Operands::by_gemm)];
        for (name, multiply) in others {
            operands.c.clear();
            multiply(&mut operands);
            for r in 0..shape.m {
                for (ours, theirs) in ours.values(r).iter().zip(operands.c.values(r)) {
                    assert!((ours - theirs).abs() < 1e-3, "{name}, {shape}: {theirs}, not {ours}");
                }
            }
        }
    }
    divan::main();
}

fn measure(bencher: Bencher, shape: Shape, multiply: impl Fn(&mut Operands)) {
    let mut operands = Operands::new(shape);
    bencher
        .counter(ItemsCount::new(2 * shape.m * shape.n * shape.k))
        .bench_local(|| multiply(black_box(&mut operands)));
}

#[divan::bench(args = SHAPES)]
fn upnext(bencher: Bencher, shape: Shape) {
    let isa = Isa::detect();
    measure(bencher, shape, |operands| operands.ours(isa));
}

#[divan::bench(args = SHAPES)]
fn by_matrixmultiply(bencher: Bencher, shape: Shape) {
    measure(bencher, shape, Operands::by_matrixmultiply);
}

#[divan::bench(args = SHAPES)]
fn by_gemm(bencher: Bencher, shape: Shape) {
    measure(bencher, shape, Operands::by_gemm);
}

//! Benchmarks of the kernels on the shapes of the published settings: `cargo bench -p upnext-kernels --bench kernels`.
//!
//! They run on one thread. Throughput is in items: floating-point operations for products, queries for scans, floats for
//! all others. `UPNEXT_BENCH_ISA` (portable, avx2, avx512, neon) selects an instruction set other than the best one.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use upnext_kernels::*;

fn main() {
    println!("instruction set: {}", isa());
    divan::main();
}

/// The instruction set that `UPNEXT_BENCH_ISA` names, or the best of this machine.
fn isa() -> Isa {
    std::env::var("UPNEXT_BENCH_ISA").map_or_else(
        |_| Isa::detect(),
        |name| Isa::by_name(&name).expect("an instruction set of this machine"),
    )
}

fn matrix(rows: usize, width: usize, seed: u64) -> Matrix {
    let rng = CounterRng::new(seed, 0);
    let mut matrix = Matrix::zeros(rows, width);
    for r in 0..rows {
        for (j, x) in matrix.row_mut(r)[..width].iter_mut().enumerate() {
            *x = rng.unit_f32((r * width + j) as u64) - 0.5;
        }
    }
    matrix
}

fn floats(count: usize, seed: u64) -> Vec<f32> {
    let rng = CounterRng::new(seed, 1);
    (0..count as u64).map(|i| 4.0 * rng.unit_f32(i) - 2.0).collect()
}

/// Matrix products m × n × k, named after the settings whose steps compute them.
mod products {
    use super::*;

    const SHAPES: [(&str, (usize, usize, usize)); 9] = [
        ("large", (240, 1024, 512)),
        ("gates-100", (25, 208, 100)),
        ("gates-512", (120, 1024, 512)),
        ("gates-1000", (25, 2016, 1000)),
        ("scores-100", (64, 32, 101)),
        ("scores-512", (64, 240, 513)),
        ("rows-100", (64, 101, 32)),
        ("rows-512", (64, 513, 240)),
        ("state-512", (240, 513, 64)),
    ];

    fn names() -> impl Iterator<Item = &'static str> {
        SHAPES.iter().map(|(name, _)| *name)
    }

    fn shape(name: &str) -> (usize, usize, usize) {
        SHAPES.iter().find(|(n, _)| *n == name).expect("a name from the list").1
    }

    /// `C = A · B`.
    #[divan::bench(args = names())]
    fn plain(bencher: Bencher, name: &str) {
        let (m, n, k) = shape(name);
        let (a, b, mut c) = (matrix(m, k, 1), matrix(k, n, 2), Matrix::zeros(m, n));
        let stride = c.stride();
        bencher.counter(ItemsCount::new(2 * m * n * k)).bench_local(|| {
            product(isa(), (m, n, k), a.view(m), b.view(k), black_box(c.data_mut()), stride, false)
        });
    }

    /// `C = A · Bᵀ`.
    #[divan::bench(args = names())]
    fn by_rows(bencher: Bencher, name: &str) {
        let (m, n, k) = shape(name);
        let (a, b, mut c) = (matrix(m, k, 1), matrix(n, k, 2), Matrix::zeros(m, n));
        let stride = c.stride();
        bencher.counter(ItemsCount::new(2 * m * n * k)).bench_local(|| {
            let c = black_box(c.data_mut());
            product_by_rows(isa(), (m, n, k), a.view(m), b.view(n), c, stride, false)
        });
    }

    /// `C = Aᵀ · B`: a block of 16 rows of the gradient of recurrent weights with 2 · units columns, over a mini-batch.
    #[divan::bench(args = [("100", 50), ("512", 240), ("1000", 50)])]
    fn gradient(bencher: Bencher, (units, rows): (&str, usize)) {
        let units: usize = units.parse().expect("a number");
        let (a, b, mut c) =
            (matrix(rows, units, 1), matrix(rows, 2 * units, 2), Matrix::zeros(16, 2 * units));
        let stride = c.stride();
        bencher.counter(ItemsCount::new(2 * 16 * 2 * units * rows)).bench_local(|| {
            let a = a.view(rows).transposed();
            product(isa(), (16, 2 * units, rows), a, b.view(rows), black_box(c.data_mut()), stride, false)
        });
    }
}

/// Activations, cells and element-wise operations on one row of 512 units.
mod rows {
    use super::*;

    const H: usize = 512;

    #[divan::bench(args = [Activation::Tanh, Activation::Relu, Activation::Selu { lambda: 1.0, alpha: 0.5 }])]
    fn activation(bencher: Bencher, activation: Activation) {
        let x = floats(H, 1);
        bencher.counter(ItemsCount::new(H)).with_inputs(|| x.clone()).bench_local_refs(|x| {
            activate(isa(), activation, x);
        });
    }

    #[divan::bench]
    fn gru_forward(bencher: Bencher) {
        let (gates, previous) = (floats(3 * H, 1), floats(H, 2));
        let (mut reset, mut state) = (vec![0.0; H], vec![0.0; H]);
        bencher.counter(ItemsCount::new(3 * H)).with_inputs(|| gates.clone()).bench_local_refs(|gates| {
            gru_reset(isa(), gates, &previous, &mut reset);
            gru_update(isa(), Activation::Tanh, gates, &previous, &mut state);
        });
    }

    #[divan::bench]
    fn gru_backward(bencher: Bencher) {
        let (gates, previous, d) = (floats(3 * H, 1), floats(H, 2), floats(H, 3));
        let mut d_gates = vec![0.0; 3 * H];
        bencher.counter(ItemsCount::new(3 * H)).bench_local(|| {
            gru_update_backward(isa(), Activation::Tanh, &gates, &previous, &d, &mut d_gates);
            gru_reset_backward(isa(), &gates, &previous, &d, black_box(&mut d_gates));
        });
    }

    #[divan::bench]
    fn lstm_forward(bencher: Bencher) {
        let (gates, previous) = (floats(4 * H, 1), floats(H, 2));
        let (mut cell, mut state) = (vec![0.0; H], vec![0.0; H]);
        bencher
            .counter(ItemsCount::new(4 * H))
            .with_inputs(|| gates.clone())
            .bench_local_refs(|gates| lstm(isa(), gates, &previous, &mut cell, &mut state));
    }

    #[divan::bench]
    fn lstm_backward_step(bencher: Bencher) {
        let (gates, previous, cell, d) = (floats(4 * H, 1), floats(H, 2), floats(H, 3), floats(H, 4));
        let mut d_gates = vec![0.0; 4 * H];
        bencher.counter(ItemsCount::new(4 * H)).bench_local(|| {
            lstm_backward(isa(), &gates, &previous, &cell, &d, black_box(&mut d_gates));
        });
    }

    #[divan::bench]
    fn tanh_backward(bencher: Bencher) {
        let (y, mut dy) = (floats(H, 1), floats(H, 2));
        bencher.counter(ItemsCount::new(H)).bench_local(|| {
            activate_backward(isa(), Activation::Tanh, &y, black_box(&mut dy));
        });
    }

    #[divan::bench]
    fn scaled_sum(bencher: Bencher) {
        let (x, mut y) = (floats(H, 1), floats(H, 2));
        bencher.counter(ItemsCount::new(H)).bench_local(|| add_scaled(isa(), 0.5, &x, black_box(&mut y)));
    }

    #[divan::bench]
    fn elementwise_product(bencher: Bencher) {
        let (x, mut y) = (vec![1.0; H], floats(H, 2));
        bencher.counter(ItemsCount::new(H)).bench_local(|| multiply(isa(), &x, black_box(&mut y)));
    }

    #[divan::bench]
    fn inner_product(bencher: Bencher) {
        let (x, y) = (floats(H, 1), floats(H, 2));
        bencher.counter(ItemsCount::new(H)).bench_local(|| dot(isa(), black_box(&x), &y));
    }

    /// Transposition of 64 rows of H units.
    #[divan::bench]
    fn transposition(bencher: Bencher) {
        let (rows, mut lanes) = (matrix(64, H, 1), Matrix::zeros(H, 64));
        bencher
            .counter(ItemsCount::new(64 * H))
            .bench_local(|| rows.transpose_rows(64, black_box(&mut lanes)));
    }

    #[divan::bench]
    fn dropout(bencher: Bencher) {
        let mut mask = vec![0.0; H];
        let mut step = 0;
        bencher.counter(ItemsCount::new(H)).bench_local(|| {
            step += 1;
            dropout_mask(isa(), CounterRng::new(1, step), 0.5, black_box(&mut mask));
        });
    }
}

/// Losses of a tile of 64 items and 32 rows of a mini-batch.
mod losses {
    use super::*;

    const LOSSES: [Loss; 6] =
        [Loss::Top1, Loss::Bpr, Loss::CrossEntropy, Loss::Top1Max, Loss::Mrr, Loss::BprMax];
    const LANES: usize = 32;
    const ITEMS: usize = 64;

    #[divan::bench(args = LOSSES)]
    fn forward_and_backward(bencher: Bencher, loss: Loss) {
        let isa = isa();
        let activation = match loss {
            Loss::Top1 | Loss::Bpr | Loss::Mrr => Activation::Tanh,
            _ => Activation::Linear,
        };
        let loss = LossFunction { loss, bpr_max_penalty: 1.0, activation };
        let (positive, ones) = (floats(LANES, 1), vec![1.0; LANES]);
        let rows = LossRows { positive: &positive, inverse_negatives: &ones, weight: &ones };
        let (mut sums, mut max) = (vec![0.0; SUMS * LANES], vec![0.0; LANES]);
        let (mut value, mut d_positive) = (vec![0.0; LANES], vec![0.0; LANES]);
        let scores = floats(ITEMS * LANES, 2);
        bencher.counter(ItemsCount::new(ITEMS * LANES)).with_inputs(|| scores.clone()).bench_local_refs(
            |scores| {
                LossFunction::reset(&mut sums);
                loss.collect(isa, scores, &rows, &mut sums, &mut max);
                loss.combine(isa, &rows, &mut sums, &mut value, &mut d_positive);
                loss.gradient(isa, scores, &rows, &sums, &max);
            },
        );
    }
}

/// Sampling, grouping, gathering and updates of 2,080 of 40,000 rows of a table, as in a step with 2,048 samples.
mod tables {
    use super::*;

    const ITEMS: usize = 40_000;
    const USED: usize = 2_080;

    fn used(step: u64) -> impl Iterator<Item = u32> {
        let rng = CounterRng::new(step, 3);
        (0..USED as u64).map(move |i| rng.below(i, ITEMS as u64) as u32)
    }

    const OPTIMIZERS: [(&str, Optimizer); 4] = [
        ("adagrad", Optimizer::Adagrad),
        ("rmsprop", Optimizer::Rmsprop),
        ("sgd", Optimizer::Sgd),
        ("adam", Optimizer::Adam),
    ];

    fn rule(name: &str) -> UpdateRule {
        let (_, optimizer) =
            OPTIMIZERS.into_iter().find(|(n, _)| *n == name).expect("an optimiser of the list");
        UpdateRule::new(optimizer, 0.05)
    }

    #[divan::bench(args = [("adagrad", 100), ("adagrad", 224), ("adagrad", 512), ("rmsprop", 100), ("sgd", 100), ("adam", 100)])]
    fn table_update(bencher: Bencher, (name, width): (&str, usize)) {
        let rule = rule(name);
        let (mut table, gradients) = (matrix(ITEMS, width, 1), matrix(USED, width, 2));
        let mut state = OptimizerState::new(&rule, ITEMS, width);
        let (mut groups, mut step) = (RowGroups::new(ITEMS), 0);
        bencher.counter(ItemsCount::new(USED * width)).bench_local(|| {
            step += 1;
            groups.group((0..).zip(used(step)));
            let gradients = GradientRows { gradients: &gradients, source: None };
            let part = TableParts::new(&mut table, &mut state, 1).take(0);
            update_table(isa(), &rule, 1.0, part, &groups, gradients);
        });
    }

    /// The update of a block of 16 rows of the recurrent weights of 1,000 units.
    #[divan::bench(args = OPTIMIZERS.map(|(name, _)| name))]
    fn dense_update(bencher: Bencher, name: &str) {
        let rule = rule(name);
        let (mut value, gradient) = (matrix(16, 3024, 1), matrix(16, 3024, 2));
        let mut state = OptimizerState::new(&rule, 16, 3024);
        bencher.counter(ItemsCount::new(16 * 3024usize)).bench_local(|| {
            for block in DenseBlocks::new(&mut value, &mut state, 16) {
                update_dense(isa(), &rule, 1.0, block, gradient.data());
            }
        });
    }

    /// Copies as many rows of a table as a step scores.
    #[divan::bench(args = [100, 512])]
    fn gathering(bencher: Bencher, width: usize) {
        let (table, mut rows, mut step) = (matrix(ITEMS, width, 1), Matrix::zeros(USED, width), 0);
        bencher.counter(ItemsCount::new(USED * width)).bench_local(|| {
            step += 1;
            rows.gather(&table, &used(step).collect::<Vec<_>>());
        });
    }

    #[divan::bench]
    fn grouping(bencher: Bencher) {
        let (mut groups, mut step) = (RowGroups::new(ITEMS), 0);
        bencher.counter(ItemsCount::new(USED)).bench_local(|| {
            step += 1;
            groups.group((0..).zip(used(step)));
        });
    }

    #[divan::bench]
    fn sampling(bencher: Bencher) {
        let weights: Vec<f64> = (1..=ITEMS).map(|i| 1.0 / i as f64).collect();
        let (table, rng) = (AliasTable::new(&weights).expect("weights"), CounterRng::new(1, 1));
        let mut step = 0;
        bencher.counter(ItemsCount::new(USED)).bench_local(|| {
            step += USED as u64;
            (0..USED as u64).map(|i| u64::from(table.pick(rng.bits(step + i)))).sum::<u64>()
        });
    }

    /// Counts the scores of a block of 256 candidates above 64 targets, for their ranks.
    #[divan::bench]
    fn counting(bencher: Bencher) {
        let (scores, targets) = (floats(256 * 64, 1), floats(64, 2));
        let (mut above, mut equal) = (vec![0.0; 64], vec![0.0; 64]);
        bencher.counter(ItemsCount::new(scores.len())).bench_local(|| {
            count_above(isa(), &scores, 64, &targets, black_box(&mut above), black_box(&mut equal))
        });
    }
}

/// Searches for the best 20 rows of a table for each query of a batch; throughput is in queries.
mod scans {
    use super::*;

    /// Rows of the table, width including the bias, queries.
    const SHAPES: [(usize, usize, usize); 9] = [
        (1_000_000, 33, 1),
        (1_000_000, 33, 8),
        (1_000_000, 33, 32),
        (37_483, 101, 1),
        (37_483, 101, 8),
        (37_483, 101, 32),
        (37_483, 513, 1),
        (37_483, 513, 8),
        (37_483, 513, 32),
    ];

    /// Random queries, one a column. The last row is 1, for the bias.
    fn queries(width: usize, count: usize) -> Matrix {
        let mut queries = matrix(width, padded(count), 2);
        queries.row_mut(width - 1)[..count].fill(1.0);
        queries
    }

    #[divan::bench(args = SHAPES)]
    fn by_bytes(bencher: Bencher, (n, width, count): (usize, usize, usize)) {
        let (table, queries, priorities) = (matrix(n, width, 1), queries(width, count), vec![0; n]);
        let (bytes, mut lists) = (ScanTable::new(&table), TopLists::new(width));
        let (isa, activation) = (isa(), Activation::Linear);
        let scan = Scan { isa, table: &table, bytes: &bytes, priorities: &priorities, activation };
        bencher.counter(ItemsCount::new(count)).bench_local(|| {
            scan.top_k(&queries, count, 20, 0..n as u32, &|_, _| true, black_box(&mut lists));
        });
        if std::env::var_os("UPNEXT_BENCH_SCORED").is_some() {
            let scored: u64 = (0..count).map(|q| lists.scored(q)).sum();
            println!("{n} × {width}, {count}: {} rows scored a query", scored / count as u64);
        }
    }

    /// The baseline of the search by bytes: computes all scores by matrix products, a block at a time, and only compares them
    /// with a threshold, without keeping a list.
    #[divan::bench(args = SHAPES)]
    fn by_floats(bencher: Bencher, (n, width, count): (usize, usize, usize)) {
        const BLOCK: usize = 256;
        let (table, queries, lanes) = (matrix(n, width, 1), queries(width, count), padded(count));
        let (mut scores, floor) = (vec![0.0; BLOCK * lanes], vec![width as f32; lanes]);
        bencher.counter(ItemsCount::new(count)).bench_local(|| {
            let mut above = 0;
            for first in (0..n).step_by(BLOCK) {
                let m = BLOCK.min(n - first);
                let rows = table.view(n).from_row(first);
                product(isa(), (m, lanes, width), rows, queries.view(width), &mut scores, lanes, false);
                for row in scores[..m * lanes].chunks_exact(lanes) {
                    above += usize::from(row.iter().zip(&floor).fold(false, |any, (x, f)| any | (x >= f)));
                }
            }
            black_box(above)
        });
    }

    /// Builds the bytes of a table, as when a model is loaded.
    #[divan::bench(args = [(1_000_000, 33), (37_483, 101)])]
    fn making_bytes(bencher: Bencher, (n, width): (usize, usize)) {
        let table = matrix(n, width, 1);
        bencher.counter(ItemsCount::new(n)).bench_local(|| ScanTable::new(black_box(&table)));
    }
}

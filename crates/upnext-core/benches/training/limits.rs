//! The limits of the machine, measured in the same run: arithmetic, memory bandwidth, and starting a parallel phase.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use upnext_core::gru4rec::config::{Input, NetworkConfig, TrainingConfig};
use upnext_kernels::{Isa, Matrix, ThreadPool, add_scaled, product};

/// The limits of all threads together.
pub(crate) struct Limits {
    /// Floating-point operations per second of large matrix products.
    pub(crate) flops_per_second: f64,
    /// Bytes read and written per second by `y += a x` over arrays larger than any cache.
    pub(crate) bytes_per_second: f64,
    /// Seconds of a parallel phase in which the threads only wait for each other.
    pub(crate) seconds_a_phase: f64,
}

impl Limits {
    /// Measures the limits; each is the best of several tries.
    pub(crate) fn measure(threads: usize) -> Self {
        let (pool, isa) = (ThreadPool::new(threads), Isa::detect());
        let (m, n, k) = (240, 1024, 512);
        let mut operands: Vec<_> =
            (0..threads).map(|_| (ones(m, k), ones(k, n), Matrix::zeros(m, n))).collect();
        let gemm = quickest(15, || {
            pool.for_each(operands.iter_mut(), |(a, b, c)| {
                let stride = c.stride();
                product(isa, (m, n, k), a.view(m), b.view(k), black_box(c.data_mut()), stride, false);
            });
        });
        const FLOATS: usize = 1 << 24;
        let (x, mut y) = (vec![1.0f32; FLOATS], vec![0.0f32; FLOATS]);
        let share = FLOATS / threads;
        let memory = quickest(5, || {
            pool.for_each(x.chunks_exact(share).zip(y.chunks_exact_mut(share)), |(x, y)| {
                add_scaled(isa, 0.5, x, black_box(y));
            });
        });
        let phases = quickest(15, || {
            for _ in 0..1000 {
                let arrived = AtomicUsize::new(0);
                pool.for_each(0..threads, |_| {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    while arrived.load(Ordering::Acquire) < threads {
                        std::hint::spin_loop();
                    }
                });
            }
        });
        Self {
            flops_per_second: (threads * 2 * m * n * k) as f64 / gemm,
            bytes_per_second: (3 * 4 * share * threads) as f64 / memory,
            seconds_a_phase: phases / 1000.0,
        }
    }
}

fn ones(rows: usize, width: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, width);
    (0..rows).for_each(|r| matrix.row_mut(r)[..width].fill(1.0));
    matrix
}

fn quickest(tries: usize, mut run: impl FnMut()) -> f64 {
    let times = (0..tries).map(|_| {
        let begun = Instant::now();
        run();
        begun.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Bytes of parameters and optimiser state that a step of a one-layer GRU reads and writes, once each
/// (`docs/performance.md` derives it part by part).
pub(crate) fn bytes_per_step(network: &NetworkConfig, training: &TrainingConfig) -> f64 {
    assert!(network.layers.len() == 1 && network.feed_forward.is_empty(), "one recurrent layer");
    let (b, s, h) = (training.batch_size as f64, training.samples as f64, network.layers[0] as f64);
    let one_hot = network.input == Input::OneHot;
    // Rows of the output table with their bias; rows of the input, of width 3 H in its own table or H in the shared
    // one.
    let rows = (b + s) * (h + 1.0) + if one_hot { 3.0 * b * h } else { b * h };
    let dense = if one_hot { 3.0 } else { 6.0 } * h * h;
    // The value, the accumulator and, with momentum, the velocity are each read and written.
    let times = if training.momentum > 0.0 { 6.0 } else { 4.0 };
    4.0 * times * (rows + dense)
}

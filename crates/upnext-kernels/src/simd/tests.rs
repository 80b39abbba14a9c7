//! Every operation of every instruction set, compared with the same operation on single numbers.

use super::bytes::{ByteKernel, Bytes, Reach};
use super::*;
use crate::random::CounterRng;

/// Signed zeros, infinities, NaN and numbers of other sizes; the operations see every pair of them.
const SPECIAL: [f32; 10] =
    [0.0, -0.0, 1.0, -1.5, 2.5, 3e38, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

struct Operations;

impl Kernel for Operations {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let store = |v: S::F| {
            let mut lanes = [0.0; LINE];
            s.store(&mut lanes, v);
            lanes
        };
        let rng = CounterRng::new(1, 2);
        let rounds = if cfg!(miri) { 4 } else { 100 };
        for round in 0..rounds {
            let numbers = |seed: usize| -> [f32; LINE] {
                std::array::from_fn(|i| {
                    let any = (rng.unit_f32((seed * 1600 + round * LINE + i) as u64) - 0.5) * 100.0;
                    let pair = round * LINE + i;
                    let special = SPECIAL[if seed == 0 { pair / 10 } else { pair } % 10];
                    if round % 2 == 0 { special } else { any }
                })
            };
            let (x, y, z) = (numbers(0), numbers(1), numbers(2));
            let (a, b, c) = (s.load(&x), s.load(&y), s.load(&z));
            let same = |name: &str, v: S::F, expected: &dyn Fn(usize) -> f32| {
                for (i, got) in store(v).into_iter().take(S::LANES).enumerate() {
                    let right = expected(i);
                    assert!(
                        got.to_bits() == right.to_bits() || got.is_nan() && right.is_nan(),
                        "{name} of {}, {}, {}: {got}, not {right}",
                        x[i],
                        y[i],
                        z[i]
                    );
                }
            };
            same("splat", s.splat(x[0]), &|_| x[0]);
            same("add", s.add(a, b), &|i| x[i] + y[i]);
            same("sub", s.sub(a, b), &|i| x[i] - y[i]);
            same("mul", s.mul(a, b), &|i| x[i] * y[i]);
            same("div", s.div(a, b), &|i| x[i] / y[i]);
            same("max", s.max(a, b), &|i| if x[i] > y[i] { x[i] } else { y[i] });
            same("min", s.min(a, b), &|i| if x[i] < y[i] { x[i] } else { y[i] });
            same("sqrt", s.sqrt(a), &|i| x[i].sqrt());
            same("select", s.select(s.lt(a, b), b, c), &|i| if x[i] < y[i] { y[i] } else { z[i] });
            if round % 2 == 1 {
                // Within the rounding errors of a product and a sum, fused or not.
                let fma = store(s.fma(a, b, c));
                for i in 0..S::LANES {
                    let exact = f64::from(x[i]) * f64::from(y[i]) + f64::from(z[i]);
                    assert!((f64::from(fma[i]) - exact).abs() < 4e-4, "{} {exact}", fma[i]);
                }
                let whole: [f32; LINE] = std::array::from_fn(|i| x[i].round_ties_even());
                // The sign of a zero is not defined: 0 is added.
                same("round", s.add(s.round(a), s.zero()), &|i| whole[i] + 0.0);
                same("pow2", s.pow2(s.load(&whole)), &|i| 2f32.powi(whole[i] as i32));
                let positive = x.map(|x| x.abs() * 10f32.powi(round as i32 % 70 - 36) + f32::MIN_POSITIVE);
                let (mantissa, exponent) = s.split(s.load(&positive));
                let (mantissa, exponent) = (store(mantissa), store(exponent));
                for i in 0..S::LANES {
                    let (m, e) = (f64::from(mantissa[i]), exponent[i] as i32);
                    assert!((0.5..1.0).contains(&m), "{m}");
                    assert_eq!(m * 2f64.powi(e), f64::from(positive[i]), "{m} {e}");
                }
                let sum = s.sum(a);
                let exact: f64 = x.iter().take(S::LANES).map(|&x| f64::from(x)).sum();
                assert!((f64::from(sum) - exact).abs() < 1e-3, "{sum} {exact}");
                let sums = s.sum_four([a, b, c, s.add(a, b)]);
                let single = [sum, s.sum(b), s.sum(c), s.sum(s.add(a, b))];
                assert_eq!(sums.map(f32::to_bits), single.map(f32::to_bits));
            }
        }
        check_round_and_pow2(s);
    }
}

/// `round` half-way between integers, and `pow2` at the ends of its range.
#[inline(always)]
fn check_round_and_pow2<S: Simd>(s: S) {
    let mut lanes = [0.0; LINE];
    for (x, whole) in [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-1.5, -2.0), (-2.5, -2.0), (4e6 + 0.5, 4e6)] {
        s.store(&mut lanes, s.round(s.splat(x)));
        assert_eq!(lanes[..S::LANES], [whole; LINE][..S::LANES], "{x}");
    }
    for n in [-126, -1, 0, 127] {
        s.store(&mut lanes, s.pow2(s.splat(n as f32)));
        assert_eq!(lanes[..S::LANES], [2f32.powi(n); LINE][..S::LANES], "{n}");
    }
}

#[test]
fn operations_are_those_of_single_numbers() {
    Isa::available().into_iter().for_each(|isa| isa.run(Operations));
}

struct ByteOperations;

impl ByteKernel for ByteOperations {
    type Output = ();

    #[inline(always)]
    fn run<S: Bytes>(self, s: S) {
        let rng = CounterRng::new(3, 4);
        let rounds: u64 = if cfg!(miri) { 18 } else { 200 };
        for round in 0..rounds {
            // First every combination of the ends of the range, then random bytes.
            let end = |i: u64, low: i32, high: i32| match round {
                0..16 => [low, high][(round >> (i % 4) & 1) as usize],
                _ => low + rng.below(1000 * round + i, (high - low + 1) as u64) as i32,
            };
            let row: [u8; 64] = std::array::from_fn(|i| end(i as u64, 1, 255) as u8);
            let query: [i32; 4] = std::array::from_fn(|i| end(500 + i as u64 / 2, -S::LEVELS, S::LEVELS));
            let packed = i32::from_le_bytes(query.map(|x| x as i8 as u8));
            let right: [i32; 16] = std::array::from_fn(|i| {
                let product = |j: usize| (i32::from(row[4 * i + j]) - 128 + S::OFFSET) * query[j];
                7 + (0..4).map(product).sum::<i32>()
            });
            let bias: [f32; 16] =
                std::array::from_fn(|i| if i == 3 { f32::NAN } else { i as f32 - right[i] as f32 });
            // SAFETY: there are 64 bytes and sixteen floats, enough for the widest vector.
            unsafe {
                let sum = s.dot(s.splat(7), row.as_ptr(), s.splat(packed));
                for threshold in [-0.5, 0.0, 5.0, 14.5, 20.0] {
                    let reach = Reach { step: 1.0, error: 0.0, last: 1.0, threshold };
                    let bits = s.reaching(sum, reach, [1.0; 16].as_ptr(), bias.as_ptr());
                    let expected = (0..S::LANES).filter(|&i| i == 3 || i as f32 >= threshold);
                    assert_eq!(
                        bits,
                        expected.map(|i| 1 << i).sum::<u32>(),
                        "{round} {threshold} {row:?} {query:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn byte_products_are_exact_at_the_ends_of_their_range() {
    Isa::available().into_iter().for_each(|isa| isa.run_bytes(ByteOperations));
}

/// On 64-bit Arm both use fused multiply-adds and eight lanes, and add the lanes in the same order.
#[cfg(target_arch = "aarch64")]
#[test]
fn neon_has_the_bits_of_the_portable_path() {
    use crate::{Activation, Matrix, activate, product, product_by_rows};
    let neon = Isa::by_name("neon").expect("NEON on a 64-bit Arm");
    let (m, n, k) = (23, 80, 611);
    let rng = CounterRng::new(5, 6);
    let random = |rows: usize, width: usize, seed: usize| {
        let mut matrix = Matrix::zeros(rows, width);
        for r in 0..rows {
            (0..width).for_each(|j| {
                matrix.row_mut(r)[j] = 4.0 * rng.unit_f32((seed + r * width + j) as u64) - 2.0;
            });
        }
        matrix
    };
    let (a, b, bt) = (random(m, k, 0), random(k, n, 1 << 20), random(n, k, 1 << 21));
    let [plain, fast] = [Isa::PORTABLE, neon].map(|isa| {
        let mut c = Matrix::zeros(m, n);
        let stride = c.stride();
        product(isa, (m, n, k), a.view(m), b.view(k), c.data_mut(), stride, false);
        product_by_rows(isa, (m, n, k), a.view(m), bt.view(n), c.data_mut(), stride, true);
        let mut bits: Vec<u32> = c.data().iter().map(|x| x.to_bits()).collect();
        for activation in [Activation::Tanh, Activation::Elu { alpha: 0.5 }] {
            let mut x = a.clone();
            activate(isa, activation, x.data_mut());
            bits.extend(x.data().iter().map(|x| x.to_bits()));
        }
        bits
    });
    assert_eq!(plain, fast);
}

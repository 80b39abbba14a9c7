//! Counter-based random numbers: each number is a function of seed, stream and position, so that threads draw independently
//! and a training resumes without the state of a generator.

use crate::simd::{Isa, Kernel, Simd};

/// A stream of random numbers with random access.
///
/// Number `i` is the finaliser of SplitMix64 (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*,
/// OOPSLA 2014) applied to `key + i · WEYL`, where the key is a hash of seed and stream.
#[derive(Clone, Copy, Debug)]
pub struct CounterRng {
    key: u64,
}

const WEYL: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl CounterRng {
    /// Stream number `stream` of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { key: mix(mix(seed.wrapping_add(WEYL)) ^ stream.wrapping_mul(0xd134_2543_de82_ef95)) }
    }

    /// Derives stream number `stream` from this stream.
    pub fn substream(self, stream: u64) -> Self {
        Self::new(self.key, stream)
    }

    /// Number `i` of the stream: 64 random bits.
    #[inline(always)]
    pub fn bits(self, i: u64) -> u64 {
        mix(self.key.wrapping_add(i.wrapping_mul(WEYL)))
    }

    /// A number that is uniform in [0, 1), a multiple of 2⁻²⁴, from number `i` of the stream.
    #[inline(always)]
    pub fn unit_f32(self, i: u64) -> f32 {
        (self.bits(i) >> 40) as f32 * (1.0 / (1u64 << 24) as f32)
    }

    /// A number that is uniform in [0, 1), a multiple of 2⁻⁵³, from number `i` of the stream.
    #[inline(always)]
    pub fn unit_f64(self, i: u64) -> f64 {
        (self.bits(i) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// An integer that is uniform in 0..n, from number `i` of the stream: the high half of a product, with a bias below n / 2⁶⁴.
    ///
    /// # Panics
    /// If `n` is 0.
    #[inline(always)]
    pub fn below(self, i: u64, n: u64) -> u64 {
        assert!(n > 0, "a number below 0");
        ((u128::from(self.bits(i)) * u128::from(n)) >> 64) as u64
    }

    /// Shuffles `items` by the algorithm of Fisher and Yates, with the numbers of the stream from 1 to `items.len() − 1`.
    pub fn shuffle<T>(self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64, i as u64 + 1) as usize);
        }
    }
}

/// Draws an inverted dropout mask: each element is 0 with probability `drop`, otherwise `1 / (1 − drop)`.
///
/// Element `j` depends only on the stream and `j`, and is the same for every instruction set.
///
/// # Panics
/// If `drop` is not in [0, 1).
pub fn dropout_mask(isa: Isa, rng: CounterRng, drop: f32, mask: &mut [f32]) {
    /// The stream, the threshold (times 2⁻³² the probability of dropping an element), the value of kept elements, the mask.
    struct Mask<'a>(CounterRng, u32, f32, &'a mut [f32]);
    impl Kernel for Mask<'_> {
        type Output = ();
        // Integer arithmetic, which the compiler vectorises for the instruction set.
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            let Self(rng, threshold, keep, mask) = self;
            let choose = |bits: u32| if bits < threshold { 0.0 } else { keep };
            // Each draw gives two elements, 32 bits each.
            let (pairs, last) = mask.as_chunks_mut::<2>();
            for (i, pair) in pairs.iter_mut().enumerate() {
                let bits = rng.bits(i as u64);
                *pair = [choose(bits as u32), choose((bits >> 32) as u32)];
            }
            if let [x] = last {
                *x = choose(rng.bits(pairs.len() as u64) as u32);
            }
        }
    }
    assert!((0.0..1.0).contains(&drop), "dropout probability {drop}");
    let threshold = (f64::from(drop) * 2f64.powi(32)) as u32;
    isa.run(Mask(rng, threshold, 1.0 / (1.0 - drop), mask));
}

/// Draws indices with given probabilities in constant time by the alias method (Walker 1977, Vose 1991).
#[derive(Clone, Debug)]
pub struct AliasTable {
    /// For each column the probability of its own index, times 2³², and the index that is drawn otherwise.
    columns: Vec<(u32, u32)>,
}

impl AliasTable {
    /// A table for probabilities proportional to `weights`.
    ///
    /// `None` if no weight is positive, one is negative or not finite, or there are 2³² or more.
    pub fn new(weights: &[f64]) -> Option<Self> {
        let total: f64 = weights.iter().sum();
        if !(total > 0.0 && total.is_finite())
            || weights.iter().any(|&w| w < 0.0)
            || u32::try_from(weights.len()).is_err()
        {
            return None;
        }
        let scale = weights.len() as f64 / total;
        let mut share: Vec<f64> = weights.iter().map(|w| w * scale).collect();
        let mut columns = crate::huge::filled(weights.len(), (u32::MAX, 0));
        for (i, c) in columns.iter_mut().enumerate() {
            c.1 = i as u32;
        }
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..weights.len() as u32).partition(|&i| share[i as usize] < 1.0);
        while let (Some(s), Some(&l)) = (small.pop(), large.last()) {
            columns[s as usize] = ((share[s as usize] * 2f64.powi(32)) as u32, l);
            share[l as usize] -= 1.0 - share[s as usize];
            if share[l as usize] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        Some(Self { columns })
    }

    /// The index that 64 random bits select.
    #[inline]
    pub fn pick(&self, bits: u64) -> u32 {
        // The high half selects the column, the low half one of its two indices.
        let column = ((bits >> 32) * self.columns.len() as u64) >> 32;
        let (threshold, other) = self.columns[column as usize];
        if (bits as u32) < threshold { column as u32 } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "safe code, and too many draws for an interpreter")]
    fn streams_differ_and_repeat() {
        let (a, b) = (CounterRng::new(1, 0), CounterRng::new(1, 1));
        assert_eq!(a.bits(5), CounterRng::new(1, 0).bits(5));
        assert!((0..1000).all(|i| a.bits(i) != b.bits(i) && a.bits(i) != a.bits(i + 1)));
        let mean = (0..100_000).map(|i| a.unit_f64(i)).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        let mut x: Vec<u32> = (0..100).collect();
        a.shuffle(&mut x);
        assert_ne!(x, (0..100).collect::<Vec<_>>());
        x.sort_unstable();
        assert_eq!(x, (0..100).collect::<Vec<_>>());
    }

    #[test]
    #[cfg_attr(miri, ignore = "safe code, and too many draws for an interpreter")]
    fn dropout_drops_the_share_it_is_asked_to_and_scales_the_rest() {
        for p in [0.0, 0.1, 0.5, 0.9] {
            let mut mask = vec![f32::NAN; 100_001];
            dropout_mask(Isa::detect(), CounterRng::new(3, 4), p, &mut mask);
            let dropped = mask.iter().filter(|&&x| x == 0.0).count() as f64 / 100_001.0;
            assert!((dropped - f64::from(p)).abs() < 0.01, "{dropped} of {p}");
            assert!(mask.iter().all(|&x| x == 0.0 || x == 1.0 / (1.0 - p)));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "safe code, and too many draws for an interpreter")]
    fn alias_draws_follow_the_weights() {
        let weights = [5.0, 0.0, 1.0, 3.0, 0.5, 0.5];
        let table = AliasTable::new(&weights).unwrap();
        let rng = CounterRng::new(9, 0);
        let mut count = [0.0; 6];
        for i in 0..200_000 {
            count[table.pick(rng.bits(i)) as usize] += 1.0 / 200_000.0;
        }
        for (c, w) in count.iter().zip(weights) {
            assert!((c - w / 10.0).abs() < 0.005, "{count:?}");
        }
        assert_eq!(count[1], 0.0);
        assert!(AliasTable::new(&[]).is_none() && AliasTable::new(&[0.0]).is_none());
        assert!(AliasTable::new(&[1.0, f64::NAN]).is_none() && AliasTable::new(&[2.0, -1.0]).is_none());
    }
}

//! Products of bytes: unsigned ones of a table by signed ones of a query, summed in whole numbers.
//!
//! Apart from [`Simd`](super::Simd), since the best instruction for it (VNNI) is neither in AVX2 nor in every AVX-512.

#[cfg(target_arch = "aarch64")]
mod neon;

use super::{Isa, Set};

/// A computation on bytes, compiled for every instruction set as [`Kernel`](super::Kernel) is.
pub(crate) trait ByteKernel {
    /// What it computes.
    type Output;
    /// The computation.
    fn run<S: Bytes>(self, s: S) -> Self::Output;
}

/// What a sum of bytes must reach, and what it means: `scale · (step · sum + error) + last · bias ≥ threshold`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) step: f32,
    pub(crate) error: f32,
    pub(crate) last: f32,
    pub(crate) threshold: f32,
}

/// The vector operations; as with [`Simd`](super::Simd) a value proves that the machine has them.
pub(crate) trait Bytes: Copy {
    /// A vector of [`LANES`](Self::LANES) sums.
    type I: Copy;
    /// Sums in a vector.
    const LANES: usize;
    /// Queries whose sums fit into the registers beside each other, two vectors each.
    const QUERIES: usize;
    /// Largest size of a query's number, such that nothing below saturates.
    const LEVELS: i32;
    /// What [`dot`](Self::dot) leaves in the bytes of rows beside the rows' numbers: 128 where it multiplies the bytes as
    /// they are, 0 where it takes the 128 off.
    const OFFSET: i32;

    fn splat(self, x: i32) -> Self::I;
    /// `sum + Σ (row − 128 + OFFSET) · query` over four adjacent bytes a lane. Bytes of rows are at least 1, those of
    /// queries at most `LEVELS` in size.
    ///
    /// # Safety
    /// `rows` must be good for reading 4 · `LANES` bytes.
    unsafe fn dot(self, sum: Self::I, rows: *const u8, query: Self::I) -> Self::I;
    /// The lanes, as bits, that reach what is asked, and those where the comparison has no answer (NaN).
    ///
    /// # Safety
    /// `scale` and `bias` must be good for reading `LANES` floats.
    unsafe fn reaching(self, sum: Self::I, reach: Reach, scale: *const f32, bias: *const f32) -> u32;
}

impl Isa {
    /// Runs a kernel on bytes, compiled for the best instructions that come with this set.
    pub(crate) fn run_bytes<K: ByteKernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Set::Portable => kernel.run(Portable),
            // SAFETY: these variants are made by `Isa::available` alone, after it has found AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => {
                if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
                    // SAFETY: the variant proves AVX-512 F, the lines above the rest.
                    unsafe { x86::run_vnni(kernel) }
                } else {
                    // SAFETY: as above; `Isa::available` asks for AVX2 before AVX-512.
                    unsafe { x86::run_avx2(kernel) }
                }
            }
            #[cfg(target_arch = "aarch64")]
            Set::Neon => {
                if std::arch::is_aarch64_feature_detected!("dotprod") {
                    // SAFETY: the variant proves NEON, the line above its dot products.
                    unsafe { neon::run_dot_product(kernel) }
                } else {
                    // SAFETY: the variant proves NEON.
                    unsafe { neon::run_widening(kernel) }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Portable;

impl Bytes for Portable {
    type I = [i32; 8];
    const LANES: usize = 8;
    const QUERIES: usize = 1;
    const LEVELS: i32 = 127;
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn splat(self, x: i32) -> [i32; 8] {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn dot(self, sum: [i32; 8], rows: *const u8, query: [i32; 8]) -> [i32; 8] {
        // SAFETY: the caller gives 32 bytes; an array of bytes needs no alignment.
        let rows = unsafe { rows.cast::<[[u8; 4]; 8]>().read() };
        std::array::from_fn(|i| {
            let query = query[i].to_le_bytes();
            (0..4).fold(sum[i], |sum, j| sum + i32::from(rows[i][j]) * i32::from(query[j] as i8))
        })
    }
    #[inline(always)]
    unsafe fn reaching(self, sum: [i32; 8], r: Reach, scale: *const f32, bias: *const f32) -> u32 {
        // SAFETY: the caller gives eight floats at each place.
        let (scale, bias) = unsafe { (scale.cast::<[f32; 8]>().read(), bias.cast::<[f32; 8]>().read()) };
        (0..8).fold(0, |bits, i| {
            let upper = scale[i] * (sum[i] as f32 * r.step + r.error) + bias[i] * r.last;
            bits | u32::from(upper >= r.threshold || upper.is_nan()) << i
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{ByteKernel, Bytes, Reach};
    use std::arch::x86_64::*;

    /// The proof that AVX2 and FMA are there: made by [`run_avx2`] alone.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(());

    /// # Safety
    /// The machine must have AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2<K: ByteKernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }

    /// The proof that AVX-512 with VNNI is there: made by [`run_vnni`] alone.
    #[derive(Clone, Copy)]
    pub(super) struct Vnni(());

    /// # Safety
    /// The machine must have AVX-512 F, BW and VNNI.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn run_vnni<K: ByteKernel>(kernel: K) -> K::Output {
        kernel.run(Vnni(()))
    }

    // SAFETY of every block below: a value of `Avx2` or `Vnni` exists only inside the functions above, where the
    // features are there; loads are unaligned, and their pointers are the caller's promise.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Bytes for Avx2 {
        type I = __m256i;
        const LANES: usize = 8;
        const QUERIES: usize = 2;
        // Pairs are summed in 16 bits with saturation: 2 · 255 · 64 = 32,640 fits.
        const LEVELS: i32 = 64;
        const OFFSET: i32 = 128;

        #[inline(always)]
        fn splat(self, x: i32) -> __m256i {
            unsafe { _mm256_set1_epi32(x) }
        }
        #[inline(always)]
        unsafe fn dot(self, sum: __m256i, rows: *const u8, query: __m256i) -> __m256i {
            unsafe {
                let pairs = _mm256_maddubs_epi16(_mm256_loadu_si256(rows.cast()), query);
                _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            }
        }
        #[inline(always)]
        unsafe fn reaching(self, sum: __m256i, r: Reach, scale: *const f32, bias: *const f32) -> u32 {
            unsafe {
                let sum = _mm256_cvtepi32_ps(sum);
                let inner = _mm256_fmadd_ps(sum, _mm256_set1_ps(r.step), _mm256_set1_ps(r.error));
                let bias = _mm256_mul_ps(_mm256_loadu_ps(bias), _mm256_set1_ps(r.last));
                let upper = _mm256_fmadd_ps(_mm256_loadu_ps(scale), inner, bias);
                let reach = _mm256_cmp_ps::<_CMP_NLT_UQ>(upper, _mm256_set1_ps(r.threshold));
                _mm256_movemask_ps(reach) as u32
            }
        }
    }

    #[allow(clippy::undocumented_unsafe_blocks)] // as above
    impl Bytes for Vnni {
        type I = __m512i;
        const LANES: usize = 16;
        const QUERIES: usize = 4;
        const LEVELS: i32 = 127;
        const OFFSET: i32 = 128;

        #[inline(always)]
        fn splat(self, x: i32) -> __m512i {
            unsafe { _mm512_set1_epi32(x) }
        }
        #[inline(always)]
        unsafe fn dot(self, sum: __m512i, rows: *const u8, query: __m512i) -> __m512i {
            unsafe { _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(rows.cast()), query) }
        }
        #[inline(always)]
        unsafe fn reaching(self, sum: __m512i, r: Reach, scale: *const f32, bias: *const f32) -> u32 {
            unsafe {
                let sum = _mm512_cvtepi32_ps(sum);
                let inner = _mm512_fmadd_ps(sum, _mm512_set1_ps(r.step), _mm512_set1_ps(r.error));
                let bias = _mm512_mul_ps(_mm512_loadu_ps(bias), _mm512_set1_ps(r.last));
                let upper = _mm512_fmadd_ps(_mm512_loadu_ps(scale), inner, bias);
                u32::from(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(upper, _mm512_set1_ps(r.threshold)))
            }
        }
    }
}

//! Dot products of bytes: unsigned bytes of a table by signed bytes of a query, summed as 32-bit integers.
//!
//! They are not part of [`Simd`](super::Simd), since the best instructions for them (VNNI on x86, dot products on Arm)
//! are extensions that AVX2, AVX-512 and NEON do not include.

#[cfg(target_arch = "aarch64")]
mod neon;

use super::{Isa, Set};

/// A computation on bytes that is compiled for every instruction set, as [`Kernel`](super::Kernel) is.
pub(crate) trait ByteKernel {
    /// The result.
    type Output;
    /// Runs the computation.
    fn run<S: Bytes>(self, s: S) -> Self::Output;
}

/// The test of a sum of byte products: it reaches the threshold where
/// `scale · (step · sum + error) + last · bias ≥ threshold`, with `scale` and `bias` of its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) step: f32,
    pub(crate) error: f32,
    pub(crate) last: f32,
    pub(crate) threshold: f32,
}

/// Vector operations on bytes. As with [`Simd`](super::Simd), a value proves that the machine has the instructions.
pub(crate) trait Bytes: Copy {
    /// A vector of [`LANES`](Self::LANES) sums.
    type I: Copy;
    /// Number of sums in a vector.
    const LANES: usize;
    /// Number of queries whose sums, two vectors each, fit into the registers together; at most 4.
    const QUERIES: usize;
    /// Largest magnitude of a query's byte for which [`dot`](Self::dot) does not saturate.
    const LEVELS: i32;
    /// 128 where [`dot`](Self::dot) multiplies the unsigned bytes of rows, 0 where it takes 128 off them first.
    const OFFSET: i32;

    /// `x` in every lane.
    fn splat(self, x: i32) -> Self::I;
    /// `sum + Σ (row − 128 + OFFSET) · query` over four adjacent bytes of each lane, where bytes of rows are at least 1
    /// and bytes of the query at most `LEVELS` in magnitude.
    ///
    /// # Safety
    /// `rows` must be valid for reads of 4 · `LANES` bytes.
    unsafe fn dot(self, sum: Self::I, rows: *const u8, query: Self::I) -> Self::I;
    /// The lanes that reach the threshold, or whose bound is NaN: bit `i` for lane `i`.
    ///
    /// # Safety
    /// `scale` and `bias` must be valid for reads of `LANES` floats.
    unsafe fn reaching(self, sum: Self::I, reach: Reach, scale: *const f32, bias: *const f32) -> u32;
}

impl Isa {
    /// Runs the version of a kernel that is compiled for this instruction set and the extensions of this machine.
    pub(crate) fn run_bytes<K: ByteKernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Set::Portable => kernel.run(Portable),
            // SAFETY: only `Isa::available` makes the variant, after it has detected AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => {
                if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
                    // SAFETY: the variant proves AVX-512 F, the condition VNNI and BW.
                    unsafe { x86::run_vnni(kernel) }
                } else {
                    // SAFETY: `Isa::available` detects AVX2 and FMA before AVX-512.
                    unsafe { x86::run_avx2(kernel) }
                }
            }
            #[cfg(target_arch = "aarch64")]
            Set::Neon => {
                if std::arch::is_aarch64_feature_detected!("dotprod") {
                    // SAFETY: the variant proves NEON, the condition its dot products.
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
        // SAFETY: the caller promises 32 bytes, and an array of bytes needs no alignment.
        let rows = unsafe { rows.cast::<[[u8; 4]; 8]>().read() };
        std::array::from_fn(|i| {
            let query = query[i].to_le_bytes();
            (0..4).fold(sum[i], |sum, j| sum + i32::from(rows[i][j]) * i32::from(query[j] as i8))
        })
    }
    #[inline(always)]
    unsafe fn reaching(self, sum: [i32; 8], r: Reach, scale: *const f32, bias: *const f32) -> u32 {
        // SAFETY: the caller promises eight floats at each pointer.
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

    /// Proves that the machine has AVX2 and FMA: only [`run_avx2`] makes it.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(());

    /// # Safety
    /// The machine must have AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2<K: ByteKernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }

    /// Proves that the machine has AVX-512 with VNNI: only [`run_vnni`] makes it.
    #[derive(Clone, Copy)]
    pub(super) struct Vnni(());

    /// # Safety
    /// The machine must have AVX-512 F, BW and VNNI.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn run_vnni<K: ByteKernel>(kernel: K) -> K::Output {
        kernel.run(Vnni(()))
    }

    // SAFETY of every block below: a value of `Avx2` or `Vnni` exists only inside the functions above, where the
    // features are enabled; loads need no alignment, and the caller promises that their pointers are valid.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Bytes for Avx2 {
        type I = __m256i;
        const LANES: usize = 8;
        const QUERIES: usize = 2;
        // Pairs of products are added in 16 bits with saturation: 2 · 255 · 64 = 32,640 fits.
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

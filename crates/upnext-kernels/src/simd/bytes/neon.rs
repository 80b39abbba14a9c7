//! NEON: eight sums in two registers. 128 is taken off the bytes of rows, since both factors must be signed.

use super::{ByteKernel, Bytes, Reach};
use std::arch::aarch64::*;
use std::arch::asm;

/// Proves that the machine has NEON: only [`run_widening`] makes it.
#[derive(Clone, Copy)]
pub(super) struct Widening(());

/// Runs a kernel compiled with NEON.
///
/// # Safety
/// The machine must have NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run_widening<K: ByteKernel>(kernel: K) -> K::Output {
    kernel.run(Widening(()))
}

/// Proves that the machine has NEON and its dot products: only [`run_dot_product`] makes it.
#[derive(Clone, Copy)]
pub(super) struct DotProduct(());

/// Runs a kernel compiled with NEON and its dot products.
///
/// # Safety
/// The machine must have NEON and its dot products (the feature `dotprod`).
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn run_dot_product<K: ByteKernel>(kernel: K) -> K::Output {
    kernel.run(DotProduct(()))
}

/// Reads 32 bytes and takes 128 off each.
///
/// # Safety
/// The machine must have NEON, and `rows` must be valid for reads of 32 bytes.
#[inline(always)]
unsafe fn load_signed(rows: *const u8) -> (int8x16_t, int8x16_t) {
    // SAFETY: the caller's promise; bytes need no alignment.
    unsafe {
        // Flipping the highest bit of a byte takes 128 off.
        let signed = |p| vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80)));
        (signed(rows), signed(rows.add(16)))
    }
}

/// `sum + Σ a · b` over four adjacent bytes a lane, where no `a` or `b` is −128.
///
/// # Safety
/// The machine must have NEON.
#[inline(always)]
unsafe fn widening(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the caller's promise.
    unsafe {
        // Pairs are summed in 16 bits: 2 · 127 · 127 = 32,258 fits.
        let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
        vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(a, b)))
    }
}

/// `sum + Σ a · b` over four adjacent bytes a lane, as the intrinsic `vdotq_s32`, which is not stable yet.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot_product(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the feature is enabled, and the instruction uses nothing but these three registers.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// See [`Bytes::reaching`].
///
/// # Safety
/// The machine must have NEON; `scale` and `bias` must be valid for reads of eight floats.
#[inline(always)]
unsafe fn reaching(sum: int32x4x2_t, r: Reach, scale: *const f32, bias: *const f32) -> u32 {
    const BITS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
    // SAFETY: the caller's promise; `at` is 0 or 4.
    unsafe {
        let half = |sum, at| {
            let inner = vfmaq_f32(vdupq_n_f32(r.error), vcvtq_f32_s32(sum), vdupq_n_f32(r.step));
            let bias = vmulq_f32(vld1q_f32(bias.add(at)), vdupq_n_f32(r.last));
            let upper = vfmaq_f32(bias, vld1q_f32(scale.add(at)), inner);
            // Not `vcgeq_f32`, so that NaN reaches the threshold.
            vbicq_u32(vld1q_u32(BITS.as_ptr().add(at)), vcltq_f32(upper, vdupq_n_f32(r.threshold)))
        };
        vaddvq_u32(vorrq_u32(half(sum.0, 0), half(sum.1, 4)))
    }
}

macro_rules! bytes {
    ($set:ty, $step:ident) => {
        // SAFETY of every block below: a value of the type exists only inside the function that makes it, where the
        // features are enabled; the caller promises that pointers are valid.
        #[allow(clippy::undocumented_unsafe_blocks)]
        impl Bytes for $set {
            type I = int32x4x2_t;
            const LANES: usize = 8;
            const QUERIES: usize = 4;
            const LEVELS: i32 = 127;
            const OFFSET: i32 = 0;

            #[inline(always)]
            fn splat(self, x: i32) -> int32x4x2_t {
                unsafe { int32x4x2_t(vdupq_n_s32(x), vdupq_n_s32(x)) }
            }
            #[inline(always)]
            unsafe fn dot(self, sum: int32x4x2_t, rows: *const u8, query: int32x4x2_t) -> int32x4x2_t {
                unsafe {
                    let (low, high) = load_signed(rows);
                    int32x4x2_t(
                        $step(sum.0, low, vreinterpretq_s8_s32(query.0)),
                        $step(sum.1, high, vreinterpretq_s8_s32(query.1)),
                    )
                }
            }
            #[inline(always)]
            unsafe fn reaching(self, sum: int32x4x2_t, r: Reach, scale: *const f32, bias: *const f32) -> u32 {
                unsafe { reaching(sum, r, scale, bias) }
            }
        }
    };
}

bytes!(Widening, widening);
bytes!(DotProduct, dot_product);

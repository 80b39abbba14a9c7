//! NEON: vectors of eight floats in two registers of four, thirty-two registers.
//!
//! The lanes are added in the order of the portable code, so that both give the same bits on 64-bit Arm.

use super::{Kernel, Simd};
use std::arch::aarch64::*;

/// Proves that the machine has NEON: only [`run`] makes it.
#[derive(Clone, Copy)]
pub(super) struct Neon(());

/// Runs a kernel compiled with these instructions.
///
/// # Safety
/// The machine must have NEON.
#[target_feature(enable = "neon")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon(()))
}

type V = float32x4x2_t;

// SAFETY of every block below: a value of `Neon` exists only inside `run`, where the feature is enabled;
// loads and stores need the alignment of a float, and the caller promises that their pointers are valid.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Neon {
    type F = V;
    type M = uint32x4x2_t;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const DOT_ROWS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        unsafe { float32x4x2_t(vdupq_n_f32(x), vdupq_n_f32(x)) }
    }
    #[inline(always)]
    unsafe fn load_ptr(self, p: *const f32) -> V {
        unsafe { float32x4x2_t(vld1q_f32(p), vld1q_f32(p.add(4))) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, p: *mut f32, v: V) {
        unsafe {
            vst1q_f32(p, v.0);
            vst1q_f32(p.add(4), v.1);
        }
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        unsafe { float32x4x2_t(vaddq_f32(a.0, b.0), vaddq_f32(a.1, b.1)) }
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        unsafe { float32x4x2_t(vsubq_f32(a.0, b.0), vsubq_f32(a.1, b.1)) }
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        unsafe { float32x4x2_t(vmulq_f32(a.0, b.0), vmulq_f32(a.1, b.1)) }
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        unsafe { float32x4x2_t(vdivq_f32(a.0, b.0), vdivq_f32(a.1, b.1)) }
    }
    #[inline(always)]
    fn fma(self, a: V, b: V, c: V) -> V {
        unsafe { float32x4x2_t(vfmaq_f32(c.0, a.0, b.0), vfmaq_f32(c.1, a.1, b.1)) }
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        // Not `vmaxq_f32`, which is NaN where either is.
        self.select(self.lt(b, a), a, b)
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        self.select(self.lt(a, b), a, b)
    }
    #[inline(always)]
    fn sqrt(self, a: V) -> V {
        unsafe { float32x4x2_t(vsqrtq_f32(a.0), vsqrtq_f32(a.1)) }
    }
    #[inline(always)]
    fn lt(self, a: V, b: V) -> uint32x4x2_t {
        unsafe { uint32x4x2_t(vcltq_f32(a.0, b.0), vcltq_f32(a.1, b.1)) }
    }
    #[inline(always)]
    fn select(self, m: uint32x4x2_t, a: V, b: V) -> V {
        unsafe { float32x4x2_t(vbslq_f32(m.0, a.0, b.0), vbslq_f32(m.1, a.1, b.1)) }
    }
    #[inline(always)]
    fn round(self, a: V) -> V {
        unsafe { float32x4x2_t(vrndnq_f32(a.0), vrndnq_f32(a.1)) }
    }
    #[inline(always)]
    fn pow2(self, a: V) -> V {
        let four = |a| unsafe {
            let n = vaddq_s32(vcvtq_s32_f32(a), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(n))
        };
        float32x4x2_t(four(a.0), four(a.1))
    }
    #[inline(always)]
    fn split(self, a: V) -> (V, V) {
        let four = |a| unsafe {
            let bits = vreinterpretq_u32_f32(a);
            let mantissa = vorrq_u32(vandq_u32(bits, vdupq_n_u32(0x807f_ffff)), vdupq_n_u32(0x3f00_0000));
            let exponent = vsubq_s32(vreinterpretq_s32_u32(vshrq_n_u32::<23>(bits)), vdupq_n_s32(126));
            (vreinterpretq_f32_u32(mantissa), vcvtq_f32_s32(exponent))
        };
        let (low, high) = (four(a.0), four(a.1));
        (float32x4x2_t(low.0, high.0), float32x4x2_t(low.1, high.1))
    }
    #[inline(always)]
    fn sum(self, a: V) -> f32 {
        unsafe {
            let four = vaddq_f32(a.0, a.1);
            vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
        }
    }
    #[inline(always)]
    fn sum_four(self, [a, b, c, d]: [V; 4]) -> [f32; 4] {
        // In the order of `sum`: eight lanes to four, to two, to one.
        let two = |a: V, b: V| unsafe {
            let (a, b) = (vaddq_f32(a.0, a.1), vaddq_f32(b.0, b.1));
            vaddq_f32(
                vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
                vcombine_f32(vget_high_f32(a), vget_high_f32(b)),
            )
        };
        let mut sums = [0.0; 4];
        unsafe { vst1q_f32(sums.as_mut_ptr(), vpaddq_f32(two(a, b), two(c, d))) };
        sums
    }
}

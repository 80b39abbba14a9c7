//! Vector operations common to all instruction sets, and the choice of the instruction set at run time.
//!
//! A kernel is written once, as a [`Kernel`] generic over [`Simd`]. [`Isa::run`] compiles it for every instruction set
//! and calls the version for the given one. Results differ in the last bits between instruction sets (fused
//! multiply-add, width of partial sums), never between runs on one set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

pub(crate) use bytes::{ByteKernel, Bytes, Reach};
use std::fmt;

/// Floats in a cache line, and in the widest vector: every padded width is a multiple of it.
pub const LINE: usize = 16;

/// A vector instruction set of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// Code without explicit vector instructions, which runs on every machine.
    pub const PORTABLE: Isa = Isa(Set::Portable);

    /// The fastest instruction set of this machine.
    pub fn detect() -> Isa {
        Self::available().pop().unwrap_or(Self::PORTABLE)
    }

    /// All instruction sets of this machine, slowest first.
    pub fn available() -> Vec<Isa> {
        let mut sets = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Isa(Set::Avx2));
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                    sets.push(Isa(Set::Avx512));
                }
            }
        }
        // NEON is part of every 64-bit Arm target that has a standard library. The byte kernels assume little-endian.
        #[cfg(target_arch = "aarch64")]
        if cfg!(target_endian = "little") && std::arch::is_aarch64_feature_detected!("neon") {
            sets.push(Isa(Set::Neon));
        }
        sets
    }

    /// The instruction set with this [`name`](Self::name), or `None` if this machine lacks it.
    pub fn by_name(name: &str) -> Option<Isa> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// `portable`, `avx2`, `avx512` or `neon`. Checkpoints record it, since results repeat to the bit on one set only.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
        }
    }

    /// Runs the version of a kernel that is compiled for this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Set::Portable => kernel.run(portable::Portable),
            // SAFETY: only `available` makes these variants, after it has detected the features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { neon::run(kernel) },
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Prefetches the cache line at `p` into the first-level cache, on x86-64 and 64-bit Arm. It changes no result.
#[allow(clippy::pointers_in_nomem_asm_block)] // a prefetch reads nothing that the program sees
#[inline(always)]
pub(crate) fn prefetch(p: *const f32) {
    // SAFETY: a prefetch has no effect but on caches, and takes any address.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{p}]", p = in(reg) p, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = p;
}

/// A computation that is compiled for every instruction set. Implementations are `#[inline(always)]`, so that they
/// are compiled with the target features of the function that calls them.
pub(crate) trait Kernel {
    /// The result.
    type Output;
    /// Runs the computation.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Vector operations of one instruction set. A value of an implementing type proves that the machine has the
/// instructions, so that the methods are safe to call; only this module makes such values.
pub(crate) trait Simd: Copy {
    /// A vector of [`LANES`](Self::LANES) floats.
    type F: Copy;
    /// A mask: true or false for each lane.
    type M: Copy;
    /// Number of floats in a vector; divides [`LINE`].
    const LANES: usize;
    /// Most rows of a tile of a matrix product, two vectors wide, whose sums stay in registers; at most 12.
    const TILE_ROWS: usize;
    /// Most rows of a tile of a product of rows by rows, four columns wide, whose sums stay in registers; at most 4.
    const DOT_ROWS: usize;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::F;
    /// Reads `LANES` floats.
    ///
    /// # Safety
    /// `p` must be valid for reads of `LANES` floats.
    unsafe fn load_ptr(self, p: *const f32) -> Self::F;
    /// Writes `LANES` floats.
    ///
    /// # Safety
    /// `p` must be valid for writes of `LANES` floats.
    unsafe fn store_ptr(self, p: *mut f32, v: Self::F);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a` where `a > b`, else `b` (also where either is NaN).
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a` where `a < b`, else `b` (also where either is NaN).
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn sqrt(self, a: Self::F) -> Self::F;
    /// `a < b` (false where either is NaN).
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// `a` where the mask is set, else `b`.
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;
    /// The nearest integer, the even one of two, for |a| < 2²².
    fn round(self, a: Self::F) -> Self::F;
    /// `2^a` for integers −126 ≤ a ≤ 127.
    fn pow2(self, a: Self::F) -> Self::F;
    /// `(m, e)` with `a = m · 2^e` and 0.5 ≤ m < 1, for normal a > 0.
    fn split(self, a: Self::F) -> (Self::F, Self::F);
    /// The sum of the lanes.
    fn sum(self, a: Self::F) -> f32;
    /// The sums of the lanes of four vectors, each with the bits of [`sum`](Self::sum).
    fn sum_four(self, a: [Self::F; 4]) -> [f32; 4];

    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        let x = &x[..Self::LANES];
        // SAFETY: `x` has `LANES` floats.
        unsafe { self.load_ptr(x.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, x: &mut [f32], v: Self::F) {
        let x = &mut x[..Self::LANES];
        // SAFETY: `x` has `LANES` floats.
        unsafe { self.store_ptr(x.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn zero(self) -> Self::F {
        self.splat(0.0)
    }
}

#[cfg(test)]
mod tests;

//! Element-wise functions: exp, log, σ, tanh and softplus, with errors of about 1e-7, and the activations made of them.
//!
//! The polynomials are those of Cephes (S. L. Moshier, *Methods and Programs for Mathematical Functions*, 1989).

mod text;

use crate::simd::{Isa, Kernel, Simd};

/// `exp(x)`: 0 below −87.3, `exp(88)` above 88.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let low = s.splat(-87.3);
    // The order of the arguments propagates NaN.
    let y = s.max(low, s.min(s.splat(88.0), x));
    let n = s.round(s.mul(y, s.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, so that y − n ln 2 keeps full precision.
    let r = s.fma(n, s.splat(-0.693_359_4), y);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = s.fma(p, r, s.splat(c));
    }
    let e = s.add(s.fma(p, s.mul(r, r), r), s.splat(1.0));
    s.select(s.lt(x, low), s.zero(), s.mul(e, s.pow2(n)))
}

/// `log(x)` for normal `x > 0`.
#[inline(always)]
pub(crate) fn log<S: Simd>(s: S, x: S::F) -> S::F {
    let (m, e) = s.split(x);
    let one = s.splat(1.0);
    // Shift the mantissa into [√½, √2): the series needs |f| < 0.42.
    let small = s.lt(m, s.splat(std::f32::consts::FRAC_1_SQRT_2));
    let f = s.sub(s.select(small, s.add(m, m), m), one);
    let e = s.select(small, s.sub(e, one), e);
    let mut p = s.splat(7.037_683_6e-2);
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = s.fma(p, f, s.splat(c));
    }
    let z = s.mul(f, f);
    let y = s.fma(e, s.splat(-2.121_944_4e-4), s.mul(s.mul(p, f), z));
    let y = s.fma(z, s.splat(-0.5), y);
    s.fma(e, s.splat(0.693_359_4), s.add(f, y))
}

/// `σ(x) = 1 / (1 + exp(−x))`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.zero(), x))))
}

/// `tanh(x)`.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    // Near 0 the quotient below would suffer from cancellation.
    let z = s.mul(x, x);
    let mut p = s.splat(-5.704_988e-3);
    for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = s.fma(p, z, s.splat(c));
    }
    let near = s.fma(s.mul(p, z), x, x);
    let far = s.sub(one, s.div(s.splat(2.0), s.add(exp(s, s.add(x, x)), one)));
    s.select(s.lt(z, s.splat(0.625 * 0.625)), near, far)
}

/// `(log(1 + exp(x)), σ(x))`: the softplus and its derivative, from one exponential.
#[inline(always)]
pub(crate) fn softplus_sigmoid<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let one = s.splat(1.0);
    let negative = s.lt(x, s.zero());
    let minus_abs = s.select(negative, x, s.sub(s.zero(), x));
    let e = exp(s, minus_abs);
    let d = s.add(one, e);
    // The order of the arguments of `max` propagates NaN.
    let softplus = s.add(s.max(s.zero(), x), log(s, d));
    (softplus, s.div(s.select(negative, e, one), d))
}

/// `λ x` for x > 0, else `λ α (exp(x) − 1)`. A function of its own: one that calls itself for ELU is never inlined, and
/// its vector instructions become calls.
#[inline(always)]
fn selu<S: Simd>(s: S, x: S::F, lambda: f32, alpha: f32) -> S::F {
    let low = s.mul(s.sub(exp(s, x), s.splat(1.0)), s.splat(alpha));
    s.mul(s.splat(lambda), s.select(s.lt(s.zero(), x), x, low))
}

/// The derivative of [`selu`] from its output y. For x < 0: `λ α exp(x) = y + λ α`.
#[inline(always)]
fn selu_derivative<S: Simd>(s: S, y: S::F, lambda: f32, alpha: f32) -> S::F {
    s.select(s.lt(s.zero(), y), s.splat(lambda), s.add(y, s.splat(lambda * alpha)))
}

/// An activation function, applied element by element to a layer or to the scores.
///
/// Its derivative is computed from its *output*. As text (in files, with the feature `serde`): `linear`, `tanh`, `relu`, `elu-0.5`, `leaky-0.1`, `selu-1.05-1.67`
/// (λ, α).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The identity. Cross-entropy requires it: the scores are then the logits of its softmax.
    Linear,
    /// The hyperbolic tangent, which \[1\] uses with TOP1 and BPR.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x` for x > 0, else `α (exp(x) − 1)`.
    Elu {
        /// α > 0.
        alpha: f32,
    },
    /// `x` for x > 0, else `α x`.
    Leaky {
        /// 0 ≤ α < 1.
        alpha: f32,
    },
    /// `λ x` for x > 0, else `λ α (exp(x) − 1)`.
    Selu {
        /// λ > 0.
        lambda: f32,
        /// α > 0.
        alpha: f32,
    },
}

impl Activation {
    /// `act(x)` for a vector.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Self::Linear => x,
            Self::Tanh => tanh(s, x),
            Self::Relu => s.max(s.zero(), x),
            Self::Elu { alpha } => selu(s, x, 1.0, alpha),
            Self::Selu { lambda, alpha } => selu(s, x, lambda, alpha),
            Self::Leaky { alpha } => s.select(s.lt(s.zero(), x), x, s.mul(x, s.splat(alpha))),
        }
    }

    /// `act'(x)` from `y = act(x)`.
    #[inline(always)]
    pub(crate) fn derivative<S: Simd>(self, s: S, y: S::F) -> S::F {
        let one = s.splat(1.0);
        match self {
            Self::Linear => one,
            Self::Tanh => s.sub(one, s.mul(y, y)),
            Self::Relu => s.select(s.lt(s.zero(), y), one, s.zero()),
            Self::Elu { alpha } => selu_derivative(s, y, 1.0, alpha),
            Self::Selu { lambda, alpha } => selu_derivative(s, y, lambda, alpha),
            Self::Leaky { alpha } => s.select(s.lt(s.zero(), y), one, s.splat(alpha)),
        }
    }
}

/// Applies an activation in place: `x ← act(x)` for every element.
///
/// # Panics
/// If the length is not a multiple of [`LINE`](crate::LINE).
pub fn activate(isa: Isa, activation: Activation, x: &mut [f32]) {
    struct Activate<'a>(Activation, &'a mut [f32]);
    impl Kernel for Activate<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for x in self.1.chunks_exact_mut(S::LANES) {
                s.store(x, self.0.apply(s, s.load(x)));
            }
        }
    }
    assert_eq!(x.len() % crate::LINE, 0, "activate: {} elements", x.len());
    if activation != Activation::Linear {
        isa.run(Activate(activation, x));
    }
}

/// Backward pass of [`activate`]: `dy ← dy · act'(x)` for every element, given the output `y = act(x)`.
///
/// # Panics
/// If the lengths differ or are not a multiple of [`LINE`](crate::LINE).
pub fn activate_backward(isa: Isa, activation: Activation, y: &[f32], dy: &mut [f32]) {
    struct Backward<'a>(Activation, &'a [f32], &'a mut [f32]);
    impl Kernel for Backward<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for (y, dy) in self.1.chunks_exact(S::LANES).zip(self.2.chunks_exact_mut(S::LANES)) {
                s.store(dy, s.mul(s.load(dy), self.0.derivative(s, s.load(y))));
            }
        }
    }
    assert!(
        y.len() == dy.len() && y.len().is_multiple_of(crate::LINE),
        "{} outputs, {} gradients",
        y.len(),
        dy.len()
    );
    if activation != Activation::Linear {
        isa.run(Backward(activation, y, dy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Map<'a, F>(&'a [f32], &'a mut [f32], F);
    trait Function {
        fn call<S: Simd>(&self, s: S, x: S::F) -> S::F;
    }
    impl<F: Function> Kernel for Map<'_, F> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for (x, y) in self.0.chunks_exact(S::LANES).zip(self.1.chunks_exact_mut(S::LANES)) {
                s.store(y, self.2.call(s, s.load(x)));
            }
        }
    }

    fn worst(f: impl Function + Copy, exact: fn(f64) -> f64, from: f64, to: f64, relative: bool) -> f64 {
        let n = if cfg!(miri) { 160 } else { 160_000 };
        let x: Vec<f32> = (0..n).map(|i| (from + (to - from) * i as f64 / n as f64) as f32).collect();
        let mut worst = 0.0_f64;
        for isa in Isa::available() {
            let mut y = vec![0.0; n];
            isa.run(Map(&x, &mut y, f));
            for (&x, &y) in x.iter().zip(&y) {
                let e = exact(f64::from(x));
                let error = (f64::from(y) - e).abs() / if relative { e.abs().max(1e-30) } else { 1.0 };
                worst = worst.max(error);
            }
        }
        worst
    }

    macro_rules! function {
        ($name:ident, $f:expr) => {
            #[derive(Clone, Copy)]
            struct $name;
            impl Function for $name {
                #[inline(always)]
                fn call<S: Simd>(&self, s: S, x: S::F) -> S::F {
                    $f(s, x)
                }
            }
        };
    }
    function!(Exp, exp);
    function!(Log, log);
    function!(Sigmoid, sigmoid);
    function!(Tanh, tanh);
    function!(Softplus, |s, x| softplus_sigmoid(s, x).0);
    function!(SoftplusSlope, |s, x| softplus_sigmoid(s, x).1);

    #[test]
    fn functions_are_exact_to_single_precision() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        assert!(worst(Exp, f64::exp, -87.0, 87.9, true) < 2e-7);
        assert!(worst(Log, f64::ln, 1e-30, 1e-20, true) < 2e-7);
        assert!(worst(Log, f64::ln, 1e-3, 50.0, false) < 5e-7);
        assert!(worst(Sigmoid, sigmoid, -30.0, 30.0, true) < 5e-7);
        assert!(worst(Tanh, f64::tanh, -12.0, 12.0, true) < 5e-7);
        assert!(worst(Softplus, |x| x.exp().ln_1p(), -40.0, 40.0, false) < 4e-6);
        assert!(worst(Softplus, |x| x.exp().ln_1p(), -4.0, 4.0, false) < 6e-7);
        assert!(worst(SoftplusSlope, sigmoid, -30.0, 30.0, true) < 5e-7);
    }

    #[test]
    fn extremes_stay_finite_and_minus_infinity_has_no_weight() {
        for isa in Isa::available() {
            let x = [f32::NEG_INFINITY, -1e30, -200.0, 0.0, 200.0, 1e30, f32::INFINITY, 1.0].repeat(2);
            let mut y = vec![0.0; 16];
            isa.run(Map(&x, &mut y, Exp));
            assert_eq!(&y[..4], &[0.0, 0.0, 0.0, 1.0], "{isa}");
            assert!(y.iter().all(|y| y.is_finite()), "{isa}: {y:?}");
            isa.run(Map(&x, &mut y, Sigmoid));
            assert!(y.iter().all(|y| (0.0..=1.0).contains(y)), "{isa}: {y:?}");
            isa.run(Map(&x, &mut y, Tanh));
            assert_eq!((y[0], y[6]), (-1.0, 1.0), "{isa}");
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for isa in Isa::available() {
            let x = [f32::NAN; 16];
            let mut y = [0.0; 16];
            isa.run(Map(&x, &mut y, Exp));
            assert!(y.iter().all(|y| y.is_nan()), "{isa}");
            isa.run(Map(&x, &mut y, Softplus));
            assert!(y.iter().all(|y| y.is_nan()), "{isa}");
            for kind in [Activation::Tanh, Activation::Relu, Activation::Selu { lambda: 1.0, alpha: 1.0 }] {
                let mut y = x;
                activate(isa, kind, &mut y);
                assert!(y.iter().all(|y| y.is_nan()), "{isa} {kind:?}");
            }
        }
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let kinds = [
            Activation::Linear,
            Activation::Tanh,
            Activation::Relu,
            Activation::Leaky { alpha: 0.2 },
            Activation::Selu { lambda: 1.05, alpha: 1.67 },
            Activation::Elu { alpha: 0.5 },
        ];
        let exact = |kind: Activation, x: f64| match kind {
            Activation::Linear => x,
            Activation::Tanh => x.tanh(),
            Activation::Relu => x.max(0.0),
            Activation::Elu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(alpha) * x.exp_m1()
                }
            }
            Activation::Selu { lambda, alpha } => {
                f64::from(lambda) * if x > 0.0 { x } else { f64::from(alpha) * x.exp_m1() }
            }
            Activation::Leaky { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(alpha) * x
                }
            }
        };
        for isa in Isa::available() {
            for kind in kinds {
                let x: Vec<f32> = (0..32).map(|i| (i as f32 - 15.5) * 0.2).collect();
                let mut y = x.clone();
                activate(isa, kind, &mut y);
                let mut dy = vec![1.0; 32];
                activate_backward(isa, kind, &y, &mut dy);
                for i in 0..32 {
                    let x = f64::from(x[i]);
                    assert!((f64::from(y[i]) - exact(kind, x)).abs() < 1e-6, "{isa} {kind:?} at {x}");
                    let slope = (exact(kind, x + 1e-6) - exact(kind, x - 1e-6)) / 2e-6;
                    assert!((f64::from(dy[i]) - slope).abs() < 2e-6, "{isa} {kind:?} at {x}");
                }
            }
        }
    }
}

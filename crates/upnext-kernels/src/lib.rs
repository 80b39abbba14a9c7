//! Numbers on f32 slices: everything in upnext that is arithmetic and must be fast.
//!
//! This is the only crate with `unsafe` and vector instructions. It knows neither items nor sessions: tables have rows,
//! batches have rows, and that is all. Every kernel has a plain counterpart in its tests.

mod activation;
mod gemm;
mod matrix;
mod random;
mod simd;

pub use activation::{Activation, activate, activate_backward};
pub use gemm::{product, product_by_rows};
pub use matrix::{Matrix, View, padded, row_stride};
pub use random::{AliasTable, CounterRng, dropout_mask};
pub use simd::{Isa, LINE};

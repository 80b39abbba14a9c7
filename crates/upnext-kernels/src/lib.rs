//! Numbers on f32 slices: everything in upnext that is arithmetic and must be fast.
//!
//! This is the only crate with `unsafe` and vector instructions. It knows neither items nor sessions: tables have rows,
//! batches have rows, and that is all. Every kernel has a plain counterpart in its tests.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
// Kernels and their tests index several arrays by the same number: an iterator over one of them would hide that.
#![allow(clippy::needless_range_loop)]

mod activation;
mod cell;
mod gemm;
mod huge;
mod loss;
mod matrix;
mod optimizer;
mod random;
mod rows;
mod scan;
mod simd;
mod thread_pool;

pub use activation::{Activation, activate, activate_backward};
pub use cell::{
    Unit, add_scaled, count_above, dot, gru_reset, gru_reset_backward, gru_update, gru_update_backward, lstm,
    lstm_backward, multiply,
};
pub use gemm::{product, product_by_rows};
pub use loss::{Loss, LossFunction, LossRows, SUMS};
pub use matrix::{Matrix, View, padded, row_stride};
pub use optimizer::{
    DenseBlock, DenseBlocks, GradientRows, Optimizer, OptimizerState, TablePart, TableParts, UpdateRule,
    dense_norm_squared, table_norm_squared, update_dense, update_table,
};
pub use random::{AliasTable, CounterRng, dropout_mask};
pub use rows::RowGroups;
pub use scan::{NonFinite, Ranked, Scan, ScanTable, TopLists};
pub use simd::{Isa, LINE};
pub use thread_pool::ThreadPool;

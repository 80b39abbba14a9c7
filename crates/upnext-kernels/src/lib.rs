//! Arithmetic on f32 slices: matrix products, recurrent cells, losses, sampling and row-sparse optimisers.
//!
//! This is the only crate with `unsafe` and vector instructions (AVX-512, AVX2 with FMA, NEON, and portable code; see
//! [`Isa`]). It has no notion of items or sessions: tables and mini-batches are matrices with rows. The tests compare
//! every kernel with a plain implementation.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
// Kernels and their tests index several arrays by the same number, which an iterator over one of them would hide.
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

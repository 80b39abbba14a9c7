//! Updates of the rows of a table that a step has used, in parts for several threads.

use super::{GradientRows, OptimizerState, Rows, UpdateRule, scale_row, update_row};
use crate::matrix::Matrix;
use crate::rows::RowGroups;
use crate::simd::{Isa, Kernel, Simd};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many groups ahead to prefetch: the arithmetic of one row hides about a quarter of a row's memory latency.
const AHEAD: usize = 4;

/// Updates the used rows of a part of a table.
///
/// Each row is updated once, by the sum of its gradients plus L2, multiplied by `scale`, and then scaled if the table's rows
/// have a length ([`TableParts::of_unit_rows`]).
///
/// # Panics
/// If the groups belong to another part or table, the state is that of another optimiser, or a gradient is missing.
pub fn update_table(
    isa: Isa,
    rule: &UpdateRule,
    scale: f32,
    part: TablePart,
    groups: &RowGroups,
    gradients: GradientRows,
) {
    let TablePart { rows, table_rows, width, unit, part, .. } = part;
    assert!(
        groups.table_rows() == table_rows && groups.part() == part,
        "groups of part {:?} of {} rows for part {part:?} of {table_rows}",
        groups.part(),
        groups.table_rows()
    );
    assert!(gradients.gradients.stride() >= width, "{:?} for rows of {width}", gradients.gradients);
    rows.check(rule);
    isa.run(UpdateTable { rule, scale, rows, width, unit, groups, gradients });
}

struct UpdateTable<'a> {
    rule: &'a UpdateRule,
    scale: f32,
    rows: Rows,
    width: usize,
    unit: usize,
    groups: &'a RowGroups,
    gradients: GradientRows<'a>,
}

impl Kernel for UpdateTable<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { rule, scale, rows, width, unit, groups, gradients } = self;
        for (g, &row) in groups.rows().iter().enumerate() {
            if let Some(&ahead) = groups.rows().get(g + AHEAD) {
                rows.prefetch(ahead as usize, width);
            }
            let uses = groups.uses(g);
            // SAFETY: groups contain each row once and only rows of their part, which no other thread has, since
            // `TableParts` hands out every part once. `RowGroups` has checked that the row lies in a table of the size
            // that `update_table` has asserted; `update_table` has also checked the state.
            unsafe {
                update_row(s, rule, scale, rows, row as usize, width, |j| gradients.sum(s, uses, j));
                if unit > 0 {
                    scale_row(s, rows, row as usize, unit);
                }
            }
        }
    }
}

/// A table and its state, divided into parts for several threads: part `p` of `n` has the rows `p`, `p + n`, `p + 2n`, …
#[derive(Debug)]
pub struct TableParts<'a> {
    rows: Rows,
    table_rows: usize,
    width: usize,
    /// Number of values of a row whose length is 1 after an update; 0 for any length.
    unit: usize,
    parts: usize,
    taken: AtomicU64,
    lifetime: std::marker::PhantomData<&'a mut f32>,
}

/// A part of a table, to be updated by one thread.
#[derive(Debug)]
pub struct TablePart<'a> {
    rows: Rows,
    table_rows: usize,
    width: usize,
    unit: usize,
    // Private, since updates are only safe while no two parts are the same.
    part: (usize, usize),
    lifetime: std::marker::PhantomData<&'a mut f32>,
}

impl<'a> TableParts<'a> {
    /// Divides a table and its state into `parts` parts.
    ///
    /// # Panics
    /// If the state has another shape, the table is compact, or `parts` is 0 or above 64.
    pub fn new(value: &'a mut Matrix, state: &'a mut OptimizerState, parts: usize) -> Self {
        assert!((1..=64).contains(&parts), "{parts} parts of a table");
        let (table_rows, width) = (value.rows(), value.width().next_multiple_of(crate::LINE));
        let (rows, taken) = (Rows::new(value, state), AtomicU64::new(0));
        Self { rows, table_rows, width, unit: 0, parts, taken, lifetime: std::marker::PhantomData }
    }

    /// The same parts, in which every row that is updated is then scaled so that its first `columns` values have the length 1.
    ///
    /// # Panics
    /// If the table has fewer columns.
    pub fn of_unit_rows(self, columns: usize) -> Self {
        assert!(columns <= self.width, "{columns} of {} columns", self.width);
        Self { unit: columns, ..self }
    }

    /// Hands out part `part`.
    ///
    /// # Panics
    /// If it has been handed out before, or `part` is out of range.
    pub fn take(&self, part: usize) -> TablePart<'a> {
        assert!(part < self.parts, "part {part} of {}", self.parts);
        let before = self.taken.fetch_or(1 << part, Ordering::Relaxed);
        assert!(before & (1 << part) == 0, "part {part} of a table twice");
        let Self { rows, table_rows, width, unit, lifetime, .. } = *self;
        TablePart { rows, table_rows, width, unit, part: (part, self.parts), lifetime }
    }
}

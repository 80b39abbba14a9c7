//! Exact search for the rows of a large table with the highest scores for some queries, without scoring every row.
//!
//! Shapes: a table is n × width, queries are the columns of a matrix width × lanes, as [`product`] takes them.
//!
//! A copy of the table in bytes ([`ScanTable`]) gives an upper bound of every score. Rows whose bound is below the k-th
//! best score so far are skipped; all others are scored by [`product`]. Scores and lists have the bits of scoring all
//! rows, however the instruction set computes the bounds. Rows with equal scores are ordered by priority, then by row
//! number.
//!
//! The activation is applied here and not by the caller: where it saturates, rows with different products have equal
//! scores, so that the rows that may be skipped depend on it.

mod table;

pub use table::ScanTable;

use crate::simd::{ByteKernel, Bytes, Isa};
use crate::{Activation, LINE, Matrix, activate, product};
use std::cmp::Ordering;
use std::ops::Range;
use table::{BLOCK, Query, QueryForm};

/// Number of rows that are scored at a time.
const GATHERED: usize = 64;

/// Number of rows that a query collects before they are scored, or k / 4 if that is more: few, since each score may
/// raise the threshold for the next rows; not fewer, since the list is sorted after each time.
const PENDING: usize = 16;

/// Bytes of the table that are compared with all queries before the next ones: two thirds of a first-level cache of
/// 48 KiB.
const CHUNK: usize = 32 << 10;

/// A table to search, and how its rows are scored.
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    /// The instruction set: scores have the bits of [`product`] on it.
    pub isa: Isa,
    /// The rows, n × width.
    pub table: &'a Matrix,
    /// The copy in bytes of the same rows.
    pub bytes: &'a ScanTable,
    /// The priority of each row: of rows with equal scores, the one with the larger priority comes first.
    pub priorities: &'a [u64],
    /// The activation applied to the dot products.
    pub activation: Activation,
}

/// A row of a list, with its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Index of the row in its table.
    pub row: u32,
    /// Its score.
    pub score: f32,
    priority: u64,
}

impl Ranked {
    /// `Less` where `self` comes before `other`. Scores are finite, and 0 equals −0.
    fn order(&self, other: &Self) -> Ordering {
        let by_score = other.score.partial_cmp(&self.score).unwrap_or(Ordering::Equal);
        by_score.then(other.priority.cmp(&self.priority)).then(self.row.cmp(&other.row))
    }
}

/// The error of scores that are infinite or NaN, as broken weights give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// Number of such scores.
    pub count: u64,
}

impl std::fmt::Display for NonFinite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} scores are infinite or not a number", self.count)
    }
}

impl std::error::Error for NonFinite {}

/// The lists of the best rows for some queries, with the buffers of the search. It is meant to be reused.
pub struct TopLists {
    k: usize,
    used: usize,
    lists: Vec<List>,
    gathered: Matrix,
    scores: Vec<f32>,
    values: Vec<f32>,
}

#[derive(Default)]
struct List {
    query: Query,
    /// The best rows so far: in order and at most k after each call of `settle`.
    best: Vec<Ranked>,
    /// Rows that have not been scored yet.
    pending: Vec<u32>,
    non_finite: u64,
    scored: u64,
}

impl TopLists {
    /// No lists, for queries of this width.
    pub fn new(width: usize) -> Self {
        Self {
            k: 0,
            used: 0,
            lists: Vec::new(),
            gathered: Matrix::zeros(GATHERED, width),
            scores: vec![0.0; GATHERED * LINE],
            values: vec![0.0; GATHERED.max(width)],
        }
    }

    /// The best rows for query `q`, in order.
    ///
    /// # Errors
    /// [`NonFinite`] if a score computed for this query is not finite, whether its row would be in the list or not.
    ///
    /// # Panics
    /// If the last search had no query `q`.
    pub fn list(&self, q: usize) -> Result<&[Ranked], NonFinite> {
        let list = &self.lists[..self.used][q];
        if list.non_finite > 0 { Err(NonFinite { count: list.non_finite }) } else { Ok(&list.best) }
    }

    /// Number of rows that were scored for query `q`; the bounds excluded all others.
    ///
    /// # Panics
    /// If the last search had no query `q`.
    pub fn scored(&self, q: usize) -> u64 {
        self.lists[..self.used][q].scored
    }

    /// Merges lists of the same queries for other rows into these. The result is that of one search of all rows.
    ///
    /// # Panics
    /// If the numbers of lists or their lengths k differ.
    pub fn merge(&mut self, other: &TopLists) {
        assert!(
            self.used == other.used && self.k == other.k,
            "{} lists of {} into {} of {}",
            other.used,
            other.k,
            self.used,
            self.k
        );
        for (list, other) in self.lists.iter_mut().zip(&other.lists).take(self.used) {
            list.best.extend_from_slice(&other.best);
            list.non_finite += other.non_finite;
            list.scored += other.scored;
            list.settle(self.k);
        }
    }

    /// Starts empty lists for some of the queries.
    fn start(&mut self, scan: &Scan, queries: &Matrix, which: Range<usize>, k: usize) {
        let width = scan.table.width();
        assert_eq!(self.gathered.width(), width, "lists of another width than {:?}", scan.table);
        (self.k, self.used) = (k, which.len());
        self.lists.resize_with(self.lists.len().max(which.len()), List::default);
        let form = scan.isa.run_bytes(Form);
        for (q, list) in which.zip(&mut self.lists) {
            for (j, x) in self.values[..width].iter_mut().enumerate() {
                *x = queries.row(j)[q];
            }
            list.query.set(scan.bytes, form, &self.values[..width]);
            list.best.clear();
            list.pending.clear();
            (list.non_finite, list.scored) = (0, 0);
        }
    }
}

impl List {
    /// Sorts the rows and keeps the best `k`.
    fn settle(&mut self, k: usize) {
        self.best.sort_unstable_by(Ranked::order);
        self.best.truncate(k);
    }
}

impl Scan<'_> {
    /// Finds the best `k` of `rows` for each of the first `count` queries.
    ///
    /// * `queries`: width × at least `count`, one query in each column.
    /// * `keep(q, row)`: whether the list of query `q` may contain the row; called for few rows only.
    ///
    /// Where `keep` accepts only a few percent of the rows, pass those to [`top_k_of`](Self::top_k_of) instead, which
    /// scores all of them and no others.
    ///
    /// # Panics
    /// If the shapes do not agree, or `rows` exceeds the table.
    pub fn top_k(
        &self,
        queries: &Matrix,
        count: usize,
        k: usize,
        rows: Range<u32>,
        keep: &dyn Fn(usize, u32) -> bool,
        lists: &mut TopLists,
    ) {
        self.check(queries, count);
        assert!(
            rows.start <= rows.end && rows.end as usize <= self.table.rows(),
            "rows {rows:?} of {:?}",
            self.table
        );
        lists.start(self, queries, 0..count, k);
        if k == 0 || rows.is_empty() {
            return;
        }
        let (mut from, end) = (rows.start as usize / BLOCK, (rows.end as usize).div_ceil(BLOCK));
        let most = (CHUNK / ((self.table.width() + 8) * BLOCK)).max(1);
        // Short at first: every row is scored until there are k scores.
        let mut chunk = 1;
        while from < end {
            let to = end.min(from + chunk);
            self.isa.run_bytes(Chunk {
                table: self.bytes,
                blocks: from..to,
                rows: &rows,
                lists: &mut lists.lists[..count],
            });
            for q in 0..count {
                if to == end || lists.lists[q].pending.len() >= PENDING.max(k / 4) {
                    let mut pending = std::mem::take(&mut lists.lists[q].pending);
                    pending.retain(|&row| keep(q, row));
                    self.score(queries, q, q, &pending, lists);
                    pending.clear();
                    lists.lists[q].pending = pending;
                }
            }
            from = to;
            chunk = most.min(2 * chunk);
        }
    }

    /// Finds the best `k` of the given rows for query `q` alone, as list 0. Every one of them is scored. A row that is
    /// given twice may be in the list twice.
    ///
    /// # Panics
    /// If the shapes do not agree, or a row is not in the table.
    pub fn top_k_of(&self, queries: &Matrix, q: usize, k: usize, rows: &[u32], lists: &mut TopLists) {
        self.check(queries, q + 1);
        lists.start(self, queries, q..q + 1, k);
        self.score(queries, q, 0, rows, lists);
    }

    fn check(&self, queries: &Matrix, count: usize) {
        let (n, width) = (self.table.rows(), self.table.width());
        assert!(
            self.bytes.rows() == n && self.bytes.width() == width && self.priorities.len() == n,
            "{:?} with bytes of {} × {} and {} priorities",
            self.table,
            self.bytes.rows(),
            self.bytes.width(),
            self.priorities.len()
        );
        assert!(
            queries.rows() == width && queries.width() >= count,
            "{count} queries as columns of {queries:?} for {:?}",
            self.table
        );
    }

    /// Scores rows for query `q` and adds them to list `to`.
    fn score(&self, queries: &Matrix, q: usize, to: usize, rows: &[u32], lists: &mut TopLists) {
        let width = self.table.width();
        // The product with a whole cache line of queries costs as much as that with one.
        let column = queries.view(width).from_column(q / LINE * LINE);
        let TopLists { k, lists, gathered, scores, values, .. } = lists;
        let list = &mut lists[to];
        for rows in rows.chunks(GATHERED) {
            gathered.gather(self.table, rows);
            let (count, padded) = (rows.len(), rows.len().next_multiple_of(LINE));
            product(self.isa, (count, LINE, width), gathered.view(count), column, scores, LINE, false);
            values[..padded].fill(0.0);
            for (x, scores) in values.iter_mut().zip(scores.chunks_exact(LINE)).take(count) {
                *x = scores[q % LINE];
            }
            activate(self.isa, self.activation, &mut values[..padded]);
            list.scored += count as u64;
            for (&row, &score) in rows.iter().zip(&*values) {
                if score.is_finite() {
                    list.best.push(Ranked { row, score, priority: self.priorities[row as usize] });
                } else {
                    list.non_finite += 1;
                }
            }
            list.settle(*k);
            if let (true, true, Some(worst)) = (list.query.bounded, list.best.len() == *k, list.best.last()) {
                list.query.threshold = self.product_for(worst.score);
            }
        }
    }

    /// A threshold for products: the activation of every smaller product is below `score`.
    fn product_for(&self, score: f32) -> f32 {
        let scale = match self.activation {
            // Underflow in a product and its bound is less than this.
            Activation::Linear => return score - (self.table.width() + 16) as f32 * 4.0 * f32::from_bits(1),
            Activation::Elu { alpha } => 1.0 + f64::from(alpha),
            Activation::Selu { lambda, alpha } => 1.0 + f64::from(lambda * alpha),
            Activation::Tanh | Activation::Relu | Activation::Leaky { .. } => 1.0,
        };
        // The activations are within about 1e-7 of monotone functions: the margin makes them surely lower.
        let y = f64::from(score) - 4e-6 * (scale + f64::from(score).abs());
        let x = match self.activation {
            Activation::Linear => y,
            Activation::Tanh if y > -1.0 => y.atanh(),
            Activation::Relu if y > 0.0 => y,
            Activation::Elu { .. } if y > 0.0 => y,
            Activation::Elu { alpha } if y > -f64::from(alpha) => (y / f64::from(alpha)).ln_1p(),
            Activation::Selu { lambda, .. } if y > 0.0 => y / f64::from(lambda),
            Activation::Selu { lambda, alpha } if y > -f64::from(lambda) * f64::from(alpha) => {
                (y / (f64::from(lambda) * f64::from(alpha))).ln_1p()
            }
            Activation::Leaky { .. } if y > 0.0 => y,
            Activation::Leaky { alpha } if alpha > 0.0 => y / f64::from(alpha),
            _ => f64::NEG_INFINITY,
        };
        (x as f32).next_down()
    }
}

/// Returns the form of queries in bytes for an instruction set.
struct Form;

impl ByteKernel for Form {
    type Output = QueryForm;

    #[inline(always)]
    fn run<S: Bytes>(self, _: S) -> QueryForm {
        QueryForm { levels: S::LEVELS, offset: S::OFFSET }
    }
}

/// Compares some blocks of the table with all queries: rows that reach a query's threshold become pending.
struct Chunk<'a> {
    table: &'a ScanTable,
    blocks: Range<usize>,
    rows: &'a Range<u32>,
    lists: &'a mut [List],
}

impl ByteKernel for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Bytes>(self, s: S) {
        let Self { table, blocks, rows, lists } = self;
        for lists in lists.chunks_mut(S::QUERIES) {
            for block in blocks.clone() {
                match lists {
                    [a, b, c, d] => against(s, table, block, rows, [a, b, c, d]),
                    [a, b, c] => against(s, table, block, rows, [a, b, c]),
                    [a, b] => against(s, table, block, rows, [a, b]),
                    [a] => against(s, table, block, rows, [a]),
                    lists => unreachable!("{} queries at a time", lists.len()),
                }
            }
        }
    }
}

#[inline(always)]
fn against<S: Bytes, const Q: usize>(
    s: S,
    table: &ScanTable,
    block: usize,
    rows: &Range<u32>,
    lists: [&mut List; Q],
) {
    let parts = lists.map(|list| (&list.query, &mut list.pending));
    let queries: [&Query; Q] = std::array::from_fn(|q| parts[q].0);
    let mut pending = parts.map(|(_, pending)| pending);
    table.reaching(s, block, queries, |q, first, mut bits| {
        while bits != 0 {
            let row = first as u32 + bits.trailing_zeros();
            if rows.contains(&row) {
                pending[q].push(row);
            }
            bits &= bits - 1;
        }
    });
}

#[cfg(test)]
mod tests;

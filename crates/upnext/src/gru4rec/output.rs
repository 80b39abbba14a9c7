//! The output layer in training: scores of the targets and samples of a mini-batch, loss, and both gradients.
//!
//! Shapes: `B` rows, `L` lanes (B rounded up to whole cache lines), `R` scored items: the B targets, then S samples;
//! `out` units read, with a constant 1 behind them that meets the bias, the last column of the output table.
//!
//! The scored items are cut into a fixed number of parts, and each part is worked off in tiles that fit the first
//! cache. A part's rows of the table are gathered once, and serve the scores and the gradient of the hidden state.

use super::layers::Machine;
use upnext_kernels::{
    Activation, Loss, LossKind, LossRows, Matrix, SUMS, View, activate, add_scaled, dot, padded, product,
};

/// Parts that the scored items are cut into: as many partial sums, whatever the number of threads, so that results are
/// the same bits for all of them. More threads than parts would idle here.
const PARTS: usize = 8;

/// Scored items of a tile: with 32 lanes 8 KiB of scores, and 28 KiB of rows of 100 units.
const TILE: usize = 64;

/// The buffers of the output layer.
#[derive(Debug)]
pub(crate) struct Output {
    loss: Loss,
    out: usize,
    top: Top,
    parts: Vec<Part>,
    /// (R + B) × (out + 1): the gradients of the rows of the output table, in the order of the scored items; behind them
    /// room for those of the input, where it shares the table.
    pub(crate) d_rows: Matrix,
    lanes: Lanes,
    sums: Vec<f32>,
}

/// What the output layer reads, with a constant 1 behind the units that meets the bias in the output table.
#[derive(Debug)]
pub(crate) struct Top {
    /// B × (out + 1).
    rows: Matrix,
    /// (out + 1) × L: the same, transposed.
    pub(crate) lanes: Matrix,
}

impl Top {
    /// Buffers for up to `rows` rows.
    pub(crate) fn new(out: usize, rows: usize) -> Self {
        Self { rows: Matrix::zeros(rows, out + 1), lanes: Matrix::zeros(out + 1, padded(rows)) }
    }

    /// Copies the first `rows` rows of `state` (B × out).
    pub(crate) fn read(&mut self, state: &Matrix, rows: usize) {
        let out = self.rows.width() - 1;
        for b in 0..rows {
            let row = self.rows.row_mut(b);
            row[..out].copy_from_slice(&state.row(b)[..out]);
            row[out] = 1.0;
        }
        // Lanes behind the rows are 0: with the 0 in place of the constant their scores are 0 too.
        self.rows.transpose_rows(rows, &mut self.lanes);
    }
}

/// One number a lane, L each.
#[derive(Debug)]
struct Lanes {
    positive: Vec<f32>,
    inverse_negatives: Vec<f32>,
    weight: Vec<f32>,
    loss: Vec<f32>,
    d_positive: Vec<f32>,
}

/// A run of adjacent scored items.
#[derive(Debug)]
struct Part {
    /// Items × (out + 1).
    gathered: Matrix,
    /// Items × L.
    scores: Vec<f32>,
    /// Tiles × L.
    tile_max: Vec<f32>,
    /// SUMS × L.
    sums: Vec<f32>,
    /// B × (out + 1): the part's share of the gradient of what the layer read.
    d_top: Matrix,
}

/// What a step scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored<'a> {
    /// Number of rows of the batch: the first so many items are their targets.
    pub(crate) rows: usize,
    /// The R items.
    pub(crate) items: &'a [u32],
    /// What is subtracted from each item's scores (logQ); none: nothing.
    pub(crate) offsets: Option<&'a [f32]>,
    /// (scored item, row), ordered: what is no negative of the row besides its own target.
    pub(crate) masked: &'a [(u32, u32)],
    /// The weight of a row's loss: 1 / configured batch size.
    pub(crate) weight: f32,
}

impl Output {
    /// Buffers for up to `rows` rows and `samples` samples; `extra` rows of gradients behind those of the scored items.
    pub(crate) fn new(loss: Loss, out: usize, rows: usize, samples: usize, extra: usize) -> Self {
        let (lanes, items) = (padded(rows), rows + samples);
        let part = items.div_ceil(PARTS);
        let part = || Part {
            gathered: Matrix::zeros(part, out + 1),
            scores: vec![0.0; part * lanes],
            tile_max: vec![0.0; part.div_ceil(TILE) * lanes],
            sums: vec![0.0; SUMS * lanes],
            d_top: Matrix::zeros(rows, out + 1),
        };
        let numbers = || vec![0.0; lanes];
        Self {
            loss,
            out,
            top: Top::new(out, rows),
            parts: (0..PARTS).map(|_| part()).collect(),
            d_rows: Matrix::zeros(items + extra, out + 1),
            lanes: Lanes {
                positive: numbers(),
                inverse_negatives: numbers(),
                weight: numbers(),
                loss: numbers(),
                d_positive: numbers(),
            },
            sums: vec![0.0; SUMS * lanes],
        }
    }

    /// Scores, loss and gradients of a step: returns the mini-batch's loss, leaves the gradients of the table's rows in
    /// `d_rows` and that of `state` in `d_state`.
    ///
    /// `table`: n × (out + 1); `state`, `d_state`: B × out.
    pub(crate) fn step(
        &mut self,
        machine: Machine,
        table: &Matrix,
        state: &Matrix,
        scored: Scored,
        d_state: &mut Matrix,
    ) -> f64 {
        self.read(machine, table, state, scored);
        self.score(machine, table, scored);
        let loss = self.combine(machine);
        self.differentiate(machine, scored);
        self.sum_parts(machine, scored.rows, d_state);
        loss
    }

    /// Copies what the layer reads, and scores each row's own target.
    fn read(&mut self, machine: Machine, table: &Matrix, state: &Matrix, scored: Scored) {
        let (rows, isa) = (scored.rows, machine.isa);
        self.top.read(state, rows);
        let negatives = scored.items.len() as f32 - 1.0;
        let lanes = &mut self.lanes;
        lanes.weight.fill(0.0);
        lanes.inverse_negatives.fill(0.0);
        for b in 0..rows {
            let score = dot(isa, self.top.rows.row(b), table.row(scored.items[b] as usize));
            lanes.positive[b] = score - scored.offsets.map_or(0.0, |offsets| offsets[b]);
            // The number of negatives first.
            lanes.inverse_negatives[b] = negatives;
        }
        for &(_, b) in scored.masked {
            lanes.inverse_negatives[b as usize] -= 1.0;
        }
        for b in 0..rows {
            let negatives = lanes.inverse_negatives[b];
            if negatives > 0.0 {
                lanes.weight[b] = scored.weight;
                lanes.inverse_negatives[b] = 1.0 / negatives;
            }
        }
        activate(isa, self.loss.activation, &mut lanes.positive);
    }

    fn lane_rows(lanes: &Lanes) -> LossRows<'_> {
        LossRows {
            positive: &lanes.positive,
            inverse_negatives: &lanes.inverse_negatives,
            weight: &lanes.weight,
        }
    }

    /// The scores of all items, part by part, and their sums.
    fn score(&mut self, machine: Machine, table: &Matrix, scored: Scored) {
        let (loss, out, isa) = (self.loss, self.out, machine.isa);
        let lanes = self.lanes.positive.len();
        let part_size = scored.items.len().div_ceil(PARTS);
        let rows = Self::lane_rows(&self.lanes);
        let top_lanes = self.top.lanes.view(out + 1);
        machine.team.for_each(self.parts.iter_mut().enumerate(), |(p, part)| {
            Loss::reset(&mut part.sums);
            let items = part_of(scored.items, p, part_size);
            part.gathered.gather(table, items);
            for t in 0..items.len().div_ceil(TILE) {
                let count = TILE.min(items.len() - t * TILE);
                let first = p * part_size + t * TILE;
                let scores = &mut part.scores[t * TILE * lanes..][..count * lanes];
                let gathered = part.gathered.view(items.len()).from_row(t * TILE);
                product(isa, (count, lanes, out + 1), gathered, top_lanes, scores, lanes, false);
                if let Some(offsets) = scored.offsets {
                    for (row, offset) in scores.chunks_mut(lanes).zip(&offsets[first..]) {
                        row.iter_mut().for_each(|score| *score -= offset);
                    }
                }
                activate(isa, loss.activation, scores);
                for r in first..(first + count).min(scored.rows) {
                    scores[(r - first) * lanes + r] = f32::NEG_INFINITY;
                }
                let from = scored.masked.partition_point(|&(r, _)| (r as usize) < first);
                for &(r, b) in
                    scored.masked[from..].iter().take_while(|&&(r, _)| (r as usize) < first + count)
                {
                    scores[(r as usize - first) * lanes + b as usize] = f32::NEG_INFINITY;
                }
                loss.collect(isa, scores, &rows, &mut part.sums, &mut part.tile_max[t * lanes..][..lanes]);
            }
        });
    }

    /// Adds up the parts' sums, in their order; returns the loss.
    fn combine(&mut self, machine: Machine) -> f64 {
        Loss::reset(&mut self.sums);
        for part in &self.parts {
            self.loss.merge(machine.isa, &mut self.sums, &part.sums);
        }
        let Lanes { positive, inverse_negatives, weight, loss, d_positive } = &mut self.lanes;
        let rows = LossRows { positive, inverse_negatives, weight };
        self.loss.combine(machine.isa, &rows, &mut self.sums, loss, d_positive);
        loss.iter().map(|&x| f64::from(x)).sum()
    }

    /// The gradients of the scores, and through them those of the rows and of what the layer read.
    fn differentiate(&mut self, machine: Machine, scored: Scored) {
        let (loss, out, isa) = (self.loss, self.out, machine.isa);
        let lanes = self.lanes.positive.len();
        let part_size = scored.items.len().div_ceil(PARTS);
        let rows = Self::lane_rows(&self.lanes);
        let (top, sums, d_positive) = (&self.top.rows, &self.sums, &self.lanes.d_positive);
        let stride = self.d_rows.stride();
        let parts = self.parts.iter_mut().zip(self.d_rows.blocks_mut(part_size)).enumerate();
        machine.team.for_each(parts, |(p, (part, d_rows))| {
            let items = part_of(scored.items, p, part_size);
            let d_top_stride = part.d_top.stride();
            if items.is_empty() {
                part.d_top.clear();
            }
            for t in 0..items.len().div_ceil(TILE) {
                let count = TILE.min(items.len() - t * TILE);
                let first = p * part_size + t * TILE;
                let scores = &mut part.scores[t * TILE * lanes..][..count * lanes];
                loss.gradient(isa, scores, &rows, sums, &part.tile_max[t * lanes..][..lanes]);
                for r in first..(first + count).min(scored.rows) {
                    scores[(r - first) * lanes + r] = d_positive[r];
                }
                let scores = View::rows(scores, lanes);
                let d_rows = &mut d_rows[t * TILE * stride..];
                let shape = (count, out + 1, scored.rows);
                product(isa, shape, scores, top.view(scored.rows), d_rows, stride, false);
                let gathered = part.gathered.view(items.len()).from_row(t * TILE);
                let shape = (scored.rows, out + 1, count);
                let d_top = part.d_top.data_mut();
                product(isa, shape, scores.transposed(), gathered, d_top, d_top_stride, t > 0);
            }
        });
    }

    /// The gradient of what the layer read: the sum of the parts, in their order.
    fn sum_parts(&mut self, machine: Machine, rows: usize, d_state: &mut Matrix) {
        let (out, parts) = (self.out, &self.parts);
        // The constant 1 behind the units has no gradient, and the padding must stay 0.
        let (width, stride) = (padded(out), d_state.stride());
        let block = machine.light_block(rows, PARTS * width);
        let blocks = d_state.blocks_mut(block).take(rows.div_ceil(block)).enumerate();
        machine.team.for_each(blocks, |(i, d_state)| {
            for (b, row) in d_state.chunks_exact_mut(stride).enumerate().take(rows - i * block) {
                let b = i * block + b;
                row[..width].copy_from_slice(&parts[0].d_top.row(b)[..width]);
                for part in &parts[1..] {
                    add_scaled(machine.isa, 1.0, &part.d_top.row(b)[..width], &mut row[..width]);
                }
                row[out..].fill(0.0);
            }
        });
    }

    /// The kernel's loss for a configured one.
    pub(crate) fn loss(kind: LossKind, activation: Activation) -> Loss {
        Loss { kind, activation }
    }
}

/// Part `p` of the items, `size` each.
fn part_of(items: &[u32], p: usize, size: usize) -> &[u32] {
    let from = (p * size).min(items.len());
    &items[from..(from + size).min(items.len())]
}

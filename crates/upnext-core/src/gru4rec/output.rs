//! The output layer in training: scores of a mini-batch's targets and samples, the loss, and the gradients of both
//! operands.
//!
//! Shapes: `B` rows; `L` lanes (B rounded up to whole cache lines); `R` scored items, the B targets and then S samples;
//! `out` input units, followed by a constant 1 that multiplies the bias, the last column of the output table.
//!
//! Every item belongs to one of a fixed number of parts, and every part to a thread, so that a core scores the table
//! rows that it updated in the step before. A part is processed in tiles that fit the first-level cache. Its table rows
//! are gathered once, for the scores and for the gradient of the layer's input.

use super::content::{DroppedItems, ItemRows};
use super::layers::Cpu;
use crate::data::ItemIndex;
use upnext_kernels::{
    LossFunction, LossRows, Matrix, RowGroups, SUMS, View, activate, add_scaled, dot, padded, product,
};

/// Number of parts that items are divided into. Each part has its own partial sums, so that results do not depend on
/// the number of threads; threads beyond this number are idle here.
pub(crate) const PARTS: usize = 8;

/// The part that an item belongs to.
pub(crate) fn part_of(item: ItemIndex) -> usize {
    item as usize % PARTS
}

/// Scored items of a tile: 8 KiB of scores with 32 lanes, and 28 KiB of table rows with 100 units.
pub(super) const TILE: usize = 64;

/// The buffers of the output layer.
#[derive(Debug)]
pub(crate) struct Output {
    loss: LossFunction,
    out: usize,
    top: Top,
    /// B × (out + 1): the targets' rows of the table.
    targets: Matrix,
    /// B × the width of content's vectors, if items have some.
    vectors: Matrix,
    pub(crate) parts: [Part; PARTS],
    lanes: Lanes,
    sums: Vec<f32>,
}

/// The input of the output layer, with a constant 1 after the units that multiplies the bias in the output table.
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
        // Lanes beyond the rows are 0, the constant included, so that their scores are 0.
        self.rows.transpose_rows(rows, &mut self.lanes);
    }
}

/// One number per lane: L each.
#[derive(Debug)]
struct Lanes {
    positive: Vec<f32>,
    inverse_negatives: Vec<f32>,
    weight: Vec<f32>,
    loss: Vec<f32>,
    d_positive: Vec<f32>,
}

/// The scored items of one part.
#[derive(Debug)]
pub(crate) struct Part {
    items: Vec<ItemIndex>,
    /// The index of each among the R scored items, ascending: targets come first.
    order: Vec<u32>,
    /// Items × (out + 1).
    gathered: Matrix,
    /// Items × L.
    scores: Vec<f32>,
    /// Tiles × L.
    tile_max: Vec<f32>,
    /// SUMS × L.
    sums: Vec<f32>,
    /// B × (out + 1): the part's term of the gradient of the layer's input.
    d_top: Matrix,
    /// (Items + inputs) × (out + 1): gradients of table rows, first of the scored items and then, with `shared` input,
    /// of the input items.
    pub(crate) d_rows: Matrix,
    /// The table rows that the step uses, each with the rows of `d_rows` that are its gradients.
    pub(crate) uses: RowGroups,
    /// With content, the item of each row of `d_rows`.
    used: Vec<ItemIndex>,
    /// Items × the width of content's vectors, if items have some.
    vectors: Matrix,
}

impl Part {
    fn new(part: usize, table_rows: usize, out: usize, rows: usize) -> Self {
        Self {
            items: Vec::new(),
            order: Vec::new(),
            gathered: Matrix::zeros(0, out + 1),
            scores: Vec::new(),
            tile_max: Vec::new(),
            sums: vec![0.0; SUMS * padded(rows)],
            d_top: Matrix::zeros(rows, out + 1),
            d_rows: Matrix::zeros(0, out + 1),
            uses: RowGroups::of_part(table_rows, part, PARTS),
            used: Vec::new(),
            vectors: Matrix::zeros(0, 0),
        }
    }

    /// Grows the buffers to the number of items, which varies from step to step: tile by tile, as they are the largest of a
    /// training beside its parameters.
    fn make_room(&mut self, lanes: usize) {
        let items = self.items.len();
        for matrix in [&mut self.gathered, &mut self.d_rows] {
            if matrix.rows() < items {
                matrix.add_rows(items.next_multiple_of(TILE) - matrix.rows());
            }
        }
        let scores = items.next_multiple_of(TILE) * lanes;
        if self.scores.len() < scores {
            self.scores.reserve_exact(scores - self.scores.len());
            self.scores.resize(scores, 0.0);
        }
        self.tile_max.resize(self.tile_max.len().max(items.div_ceil(TILE) * lanes), 0.0);
    }

    /// Groups the gradients of the step by table row: those of the scored items and, with `shared` input, those of the
    /// `inputs` that belong to part `p`. Runs after the gradients of the scores are known.
    ///
    /// With content, the rows of `dropped` items have no gradient, and the items are kept for [`used`](Self::used).
    pub(crate) fn group(
        &mut self,
        p: usize,
        inputs: Option<(&[ItemIndex], &Matrix)>,
        dropped: Option<DroppedItems>,
    ) {
        let Some((inputs, d_inputs)) = inputs else {
            return self.uses.group((0..).zip(self.items.iter().copied()));
        };
        let of_part = || inputs.iter().enumerate().filter(|&(_, &item)| part_of(item) == p);
        for (place, (b, _)) in (self.items.len()..).zip(of_part()) {
            if self.d_rows.rows() <= place {
                self.d_rows.add_rows(TILE);
            }
            // The last column is the bias, which has no gradient from the input.
            let row = self.d_rows.row_mut(place);
            row.fill(0.0);
            row[..d_inputs.width()].copy_from_slice(d_inputs.values(b));
        }
        let items = self.items.iter().copied().chain(of_part().map(|(_, &item)| item));
        let Some(dropped) = dropped else {
            return self.uses.group((0..).zip(items));
        };
        self.used.clear();
        self.used.extend(items);
        self.uses.group((0..).zip(self.used.iter().copied()).filter(|&(_, item)| !dropped.has(item)));
    }

    /// With content, the item of each row of `d_rows`, in their order.
    pub(crate) fn used(&self) -> &[ItemIndex] {
        &self.used
    }
}

/// The scored items of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored<'a> {
    /// Number of rows B. The first B items are the targets.
    pub(crate) rows: usize,
    /// The R items.
    pub(crate) items: &'a [u32],
    /// The logQ correction, subtracted from the scores of each item; `None` if it is off.
    pub(crate) offsets: Option<&'a [f32]>,
    /// (Index of a scored item, row), ascending: items that are not negatives of the row, besides its own target.
    pub(crate) masked: &'a [(u32, u32)],
    /// Weight of a row's loss: 1 / configured batch size.
    pub(crate) weight: f32,
}

impl Output {
    /// Buffers for up to `rows` rows and a table of `table_rows` rows.
    pub(crate) fn new(loss: LossFunction, out: usize, rows: usize, table_rows: usize) -> Self {
        let lanes = padded(rows);
        let numbers = || vec![0.0; lanes];
        Self {
            loss,
            out,
            top: Top::new(out, rows),
            targets: Matrix::zeros(rows, out + 1),
            vectors: Matrix::zeros(0, 0),
            parts: std::array::from_fn(|part| Part::new(part, table_rows, out, rows)),
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

    /// Rows of the table that the last step updated, and the tiles of scores, copies and gradients that the part with the
    /// most has needed so far.
    #[cfg(test)]
    pub(crate) fn rows_and_tiles(&self) -> (usize, usize) {
        let lanes = self.lanes.positive.len();
        let rows = |part: &Part| part.gathered.rows().max(part.d_rows.rows()).max(part.scores.len() / lanes);
        let tiles = self.parts.iter().map(|part| rows(part).div_ceil(TILE)).max().unwrap_or(0);
        (self.parts.iter().map(|part| part.uses.rows().len()).sum(), tiles)
    }

    /// The forward and backward pass of a step. Returns the mini-batch's loss, and leaves the gradients of the table
    /// rows in the parts and the gradient of `state` in `d_state`.
    ///
    /// `table`: n × (out + 1), the rows of the items; `state`, `d_state`: B × out.
    pub(crate) fn step(
        &mut self,
        cpu: Cpu,
        table: ItemRows,
        state: &Matrix,
        scored: Scored,
        d_state: &mut Matrix,
    ) -> f64 {
        self.divide(scored);
        self.read(cpu, table, state, scored);
        self.score(cpu, table, scored);
        let loss = self.combine(cpu);
        self.differentiate(cpu, scored);
        self.sum_parts(cpu, scored.rows, d_state);
        loss
    }

    /// Divides the scored items among the parts.
    fn divide(&mut self, scored: Scored) {
        for part in &mut self.parts {
            part.items.clear();
            part.order.clear();
        }
        for (r, &item) in (0..).zip(scored.items) {
            let part = &mut self.parts[part_of(item)];
            part.items.push(item);
            part.order.push(r);
        }
    }

    /// Copies the layer's input and scores each row's own target.
    fn read(&mut self, cpu: Cpu, table: ItemRows, state: &Matrix, scored: Scored) {
        let (rows, isa) = (scored.rows, cpu.isa);
        self.top.read(state, rows);
        let negatives = scored.items.len() as f32 - 1.0;
        let lanes = &mut self.lanes;
        lanes.weight.fill(0.0);
        lanes.inverse_negatives.fill(0.0);
        table.gather(isa, &scored.items[..rows], &mut self.vectors, &mut self.targets);
        for b in 0..rows {
            let score = dot(isa, self.top.rows.row(b), self.targets.row(b));
            lanes.positive[b] = score - scored.offsets.map_or(0.0, |offsets| offsets[b]);
            // The number of negatives; inverted below.
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

    /// Computes the scores of all items and the sums of the loss, part by part.
    fn score(&mut self, cpu: Cpu, table: ItemRows, scored: Scored) {
        let (loss, out, isa) = (self.loss, self.out, cpu.isa);
        let lanes = self.lanes.positive.len();
        let rows = Self::lane_rows(&self.lanes);
        let top_lanes = self.top.lanes.view(out + 1);
        cpu.pool.for_each_owned(&mut self.parts, |_, part| {
            LossFunction::reset(&mut part.sums);
            part.make_room(lanes);
            table.gather(isa, &part.items, &mut part.vectors, &mut part.gathered);
            for (t, order) in part.order.chunks(TILE).enumerate() {
                let scores = &mut part.scores[t * TILE * lanes..][..order.len() * lanes];
                let gathered = part.gathered.view(part.items.len()).from_row(t * TILE);
                product(isa, (order.len(), lanes, out + 1), gathered, top_lanes, scores, lanes, false);
                if let Some(offsets) = scored.offsets {
                    for (row, &r) in scores.chunks_mut(lanes).zip(order) {
                        let offset = offsets[r as usize];
                        row.iter_mut().for_each(|score| *score -= offset);
                    }
                }
                activate(isa, loss.activation, scores);
                let targets = order.iter().map(|&r| r as usize).take_while(|&r| r < scored.rows);
                for (row, r) in scores.chunks_mut(lanes).zip(targets) {
                    row[r] = f32::NEG_INFINITY;
                }
                for (row, &r) in scores.chunks_mut(lanes).zip(order).filter(|_| !scored.masked.is_empty()) {
                    let from = scored.masked.partition_point(|&(masked, _)| masked < r);
                    for &(_, b) in scored.masked[from..].iter().take_while(|&&(masked, _)| masked == r) {
                        row[b as usize] = f32::NEG_INFINITY;
                    }
                }
                loss.collect(isa, scores, &rows, &mut part.sums, &mut part.tile_max[t * lanes..][..lanes]);
            }
        });
    }

    /// Adds up the sums of the parts, in order, and returns the loss.
    fn combine(&mut self, cpu: Cpu) -> f64 {
        LossFunction::reset(&mut self.sums);
        for part in &self.parts {
            self.loss.merge(cpu.isa, &mut self.sums, &part.sums);
        }
        let Lanes { positive, inverse_negatives, weight, loss, d_positive } = &mut self.lanes;
        let rows = LossRows { positive, inverse_negatives, weight };
        self.loss.combine(cpu.isa, &rows, &mut self.sums, loss, d_positive);
        loss.iter().map(|&x| f64::from(x)).sum()
    }

    /// Computes the gradients of the scores, then those of the table rows and of the layer's input.
    fn differentiate(&mut self, cpu: Cpu, scored: Scored) {
        let (loss, out, isa) = (self.loss, self.out, cpu.isa);
        let lanes = self.lanes.positive.len();
        let rows = Self::lane_rows(&self.lanes);
        let (top, sums, d_positive) = (&self.top.rows, &self.sums, &self.lanes.d_positive);
        cpu.pool.for_each_owned(&mut self.parts, |_, part| {
            let (stride, d_top_stride) = (part.d_rows.stride(), part.d_top.stride());
            if part.items.is_empty() {
                part.d_top.clear();
            }
            for (t, order) in part.order.chunks(TILE).enumerate() {
                let count = order.len();
                let scores = &mut part.scores[t * TILE * lanes..][..count * lanes];
                loss.gradient(isa, scores, &rows, sums, &part.tile_max[t * lanes..][..lanes]);
                let targets = order.iter().map(|&r| r as usize).take_while(|&r| r < scored.rows);
                for (row, r) in scores.chunks_mut(lanes).zip(targets) {
                    row[r] = d_positive[r];
                }
                let scores = View::rows(scores, lanes);
                let d_rows = &mut part.d_rows.data_mut()[t * TILE * stride..];
                let shape = (count, out + 1, scored.rows);
                product(isa, shape, scores, top.view(scored.rows), d_rows, stride, false);
                let gathered = part.gathered.view(part.items.len()).from_row(t * TILE);
                let shape = (scored.rows, out + 1, count);
                let d_top = part.d_top.data_mut();
                product(isa, shape, scores.transposed(), gathered, d_top, d_top_stride, t > 0);
            }
        });
    }

    /// The gradient of the layer's input: the sum over the parts, in order.
    fn sum_parts(&mut self, cpu: Cpu, rows: usize, d_state: &mut Matrix) {
        let (out, parts) = (self.out, &self.parts);
        // The gradient of the constant 1 is dropped, and the padding must stay 0.
        let (width, stride) = (padded(out), d_state.stride());
        let block = cpu.light_block(rows, PARTS * width);
        let blocks = d_state.blocks_mut(block).take(rows.div_ceil(block)).enumerate();
        cpu.pool.for_each(blocks, |(i, d_state)| {
            for (b, row) in d_state.chunks_exact_mut(stride).enumerate().take(rows - i * block) {
                let b = i * block + b;
                row[..width].copy_from_slice(&parts[0].d_top.row(b)[..width]);
                for part in &parts[1..] {
                    add_scaled(cpu.isa, 1.0, &part.d_top.row(b)[..width], &mut row[..width]);
                }
                row[out..].fill(0.0);
            }
        });
    }
}

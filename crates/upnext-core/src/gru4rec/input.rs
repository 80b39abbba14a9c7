//! The input of a step: weighted items (`one-hot`, `discounted`) or rows of an embedding table (`embedding`, `shared`).

use super::config::{Input, NetworkConfig};
use super::content::ItemRows;
use super::layers::Cpu;
use crate::batch::Batch;
use crate::data::Dataset;
use std::collections::HashMap;
use upnext_kernels::{CounterRng, Matrix, View, add_scaled, dropout_mask, multiply, product};

/// Smallest weight of an event in the `discounted` input. The current event has weight 1, beside which f32 does not
/// resolve smaller ones.
const MIN_WEIGHT: f64 = 1e-8;

/// The input of a step for `B` rows.
#[derive(Debug)]
pub(crate) struct StepInput {
    kind: Input,
    discount: f64,
    /// The items of each row and their weights, with `one-hot` and `discounted` input.
    pub(crate) entries: Entries,
    /// B × d: the input vectors after dropout, with `embedding` and `shared` input.
    pub(crate) dense: Matrix,
    /// B × d: the gradient of `dense`; after `backward`, that of the table's rows.
    pub(crate) d_dense: Matrix,
    /// B × d: the dropout mask; valid if `dropped`.
    mask: Matrix,
    dropped: bool,
    /// B × (d + 1): the rows of the items, and B × the width of content's vectors, if items have content.
    rows: Matrix,
    vectors: Matrix,
}

/// A sparse matrix in coordinate form: weighted items, row by row.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    /// The end of each row's entries.
    ends: Vec<u32>,
    pub(crate) items: Vec<u32>,
    pub(crate) weights: Vec<f32>,
    /// The row of each entry.
    pub(crate) rows: Vec<u32>,
    /// The entry of each item of the row that is being added, once the row has many items.
    entry_of_item: HashMap<u32, usize>,
}

/// Largest number of distinct items of a row that are searched linearly; longer rows use a hash table.
const LINEAR_SEARCH_MAX: usize = 32;

impl Entries {
    fn clear(&mut self) {
        self.ends.clear();
        self.items.clear();
        self.weights.clear();
        self.rows.clear();
    }

    fn of_row(&self, b: usize) -> impl Iterator<Item = (u32, f32)> {
        let start = if b == 0 { 0 } else { self.ends[b - 1] } as usize;
        let range = start..self.ends[b] as usize;
        self.items[range.clone()].iter().copied().zip(self.weights[range].iter().copied())
    }

    /// Appends the entries of a session so far: each event has weight γ^age, events of one item are summed, and the row
    /// is scaled to unit L2 norm.
    ///
    /// The cost is linear in the number of events of weight [`MIN_WEIGHT`] or more: 83 with γ = 0.8. With γ = 1 it is
    /// the whole session so far, so that a session of L events costs L² / 2 an epoch.
    fn push_discounted(&mut self, history: &[u32], discount: f64) {
        let start = self.items.len();
        self.entry_of_item.clear();
        let mut weight = 1.0;
        for &item in history.iter().rev() {
            match self.entry_of(start, item) {
                Some(i) => self.weights[i] += weight as f32,
                None => {
                    self.items.push(item);
                    self.weights.push(weight as f32);
                }
            }
            weight *= discount;
            if weight < MIN_WEIGHT {
                break;
            }
        }
        let weights = &mut self.weights[start..];
        let norm = weights.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>().sqrt() as f32;
        weights.iter_mut().for_each(|w| *w /= norm);
    }

    /// The entry of an item among `start..`. In short rows, a linear search is faster than a hash table.
    fn entry_of(&mut self, start: usize, item: u32) -> Option<usize> {
        let distinct = self.items.len() - start;
        if distinct <= LINEAR_SEARCH_MAX {
            return self.items[start..].iter().position(|&i| i == item).map(|i| start + i);
        }
        // Adds the entries that were appended since the last lookup.
        for (i, &item) in self.items.iter().enumerate().skip(start + self.entry_of_item.len()) {
            self.entry_of_item.insert(item, i);
        }
        self.entry_of_item.get(&item).copied()
    }
}

/// The most entries that a row of the input has in any of these sessions.
pub(crate) fn max_entries(config: &NetworkConfig, data: &Dataset) -> usize {
    match config.input {
        Input::OneHot => 1,
        Input::Discounted => {
            let longest = data.counts().longest as usize;
            let ages = MIN_WEIGHT.ln() / f64::from(config.discount).ln();
            // With γ = 1 the quotient is infinite: every event has an entry.
            if ages.is_finite() { longest.min(ages.ceil() as usize + 1) } else { longest }
        }
        Input::Embedding | Input::Shared => 0,
    }
}

impl StepInput {
    /// Buffers for up to `rows` rows.
    pub(crate) fn new(config: &NetworkConfig, rows: usize) -> Self {
        let width = if config.has_embedding() { config.input_width(0) } else { 0 };
        let matrix = || Matrix::zeros(if width > 0 { rows } else { 0 }, width);
        Self {
            kind: config.input,
            discount: f64::from(config.discount),
            entries: Entries::default(),
            dense: matrix(),
            d_dense: matrix(),
            mask: matrix(),
            dropped: false,
            rows: if config.attributes.is_empty() {
                Matrix::zeros(0, 0)
            } else {
                Matrix::zeros(rows, width + 1)
            },
            vectors: Matrix::zeros(0, 0),
        }
    }

    /// Whether the input is weighted items, as opposed to vectors.
    pub(crate) fn is_sparse(&self) -> bool {
        matches!(self.kind, Input::OneHot | Input::Discounted)
    }

    /// Reads the current event of each row. Dropout applies to the elements of input vectors, which are the first values of the
    /// items' `rows`.
    pub(crate) fn read(
        &mut self,
        cpu: Cpu,
        items: ItemRows,
        batch: &Batch,
        dropout: Option<(CounterRng, f32)>,
    ) {
        let rows = batch.len();
        if self.is_sparse() {
            self.entries.clear();
            for b in 0..rows {
                if self.kind == Input::OneHot {
                    self.entries.items.push(batch.inputs[b]);
                    self.entries.weights.push(1.0);
                } else {
                    self.entries.push_discounted(batch.history(b), self.discount);
                }
                self.entries.rows.resize(self.entries.items.len(), b as u32);
                self.entries.ends.push(self.entries.items.len() as u32);
            }
            return;
        }
        if items.content.is_some() {
            items.gather(cpu.isa, &batch.inputs, &mut self.vectors, &mut self.rows);
        }
        let width = self.dense.width();
        self.dropped = dropout.is_some();
        for b in 0..rows {
            let row = match items.content {
                Some(_) => self.rows.row(b),
                None => items.own.row(batch.inputs[b] as usize),
            };
            // The output table's last column is its bias, which is not part of the item's vector.
            self.dense.row_mut(b)[..width].copy_from_slice(&row[..width]);
            if let Some((rng, drop)) = dropout {
                dropout_mask(cpu.isa, rng.substream(b as u64), drop, &mut self.mask.row_mut(b)[..width]);
                multiply(cpu.isa, self.mask.row(b), self.dense.row_mut(b));
            }
        }
    }

    /// Adds the product of input rows `first..first + count` and `weights` to a block of pre-activations.
    pub(crate) fn add_product(
        &self,
        cpu: Cpu,
        weights: &Matrix,
        first: usize,
        count: usize,
        block: &mut [f32],
        stride: usize,
    ) {
        if self.is_sparse() {
            for (b, row) in (first..first + count).zip(block.chunks_mut(stride)) {
                for (item, weight) in self.entries.of_row(b) {
                    add_scaled(cpu.isa, weight, weights.row(item as usize), row);
                }
            }
        } else {
            let shape = (count, weights.width(), self.dense.width());
            let rows = View::rows(self.dense.data(), self.dense.stride()).from_row(first);
            product(cpu.isa, shape, rows, weights.view(weights.rows()), block, stride, true);
        }
    }

    /// The backward pass: applies the dropout mask to the gradient of the input vectors.
    pub(crate) fn backward(&mut self, cpu: Cpu, rows: usize) {
        if self.dropped {
            for b in 0..rows {
                multiply(cpu.isa, self.mask.row(b), self.d_dense.row_mut(b));
            }
        }
    }

    /// The dropout mask of the last step, if it had dropout.
    #[cfg(test)]
    pub(crate) fn mask(&self) -> Option<&Matrix> {
        self.dropped.then_some(&self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gru4rec::config::TrainingConfig;
    use crate::gru4rec::reference_config::plain;
    use upnext_reference as reference;

    #[test]
    fn long_sessions_have_the_entries_of_a_plain_search() {
        let rng = CounterRng::new(5, 0);
        for (length, items) in [(10, 4), (400, 30), (400, 33), (3000, 900)] {
            let history: Vec<u32> = (0..length).map(|t| rng.below(t, items) as u32).collect();
            for discount in [1.0, 0.99] {
                let mut entries = Entries::default();
                // Rows before it do not matter.
                entries.push_discounted(&history[..length as usize / 2], discount);
                let start = entries.items.len();
                entries.push_discounted(&history, discount);
                let mut plain: Vec<(u32, f32)> = Vec::new();
                let mut weight = 1.0f64;
                for &item in history.iter().rev() {
                    match plain.iter_mut().find(|(i, _)| *i == item) {
                        Some((_, sum)) => *sum += weight as f32,
                        None => plain.push((item, weight as f32)),
                    }
                    weight *= discount;
                    if weight < MIN_WEIGHT {
                        break;
                    }
                }
                let norm = plain.iter().map(|&(_, w)| f64::from(w) * f64::from(w)).sum::<f64>().sqrt() as f32;
                let is: Vec<_> = entries.items[start..].iter().zip(&entries.weights[start..]).collect();
                assert_eq!(is.len(), plain.len());
                for ((&item, &weight), (expected, sum)) in is.into_iter().zip(plain) {
                    assert_eq!((item, weight.to_bits()), (expected, (sum / norm).to_bits()));
                }
                // Each item of the last row is hashed at most once.
                assert!(entries.entry_of_item.len() <= entries.items.len() - start);
            }
        }
    }

    #[test]
    fn discounted_input_is_that_of_the_reference() {
        for discount in [1.0f32, 0.8, 0.3] {
            let config = NetworkConfig { input: Input::Discounted, discount, ..NetworkConfig::default() };
            let (config, _) = plain(&config, &TrainingConfig::default());
            for session in [&[3][..], &[3, 1, 3, 3, 2], &[0, 0, 0]] {
                let mut entries = Entries::default();
                entries.push_discounted(session, f64::from(discount));
                let mut x = [0.0; 5];
                for (&item, &weight) in entries.items.iter().zip(&entries.weights) {
                    x[item as usize] += f64::from(weight);
                }
                let expected = reference::network::sparse_input(&config, session, 5);
                for (x, e) in x.iter().zip(expected) {
                    assert!((x - e).abs() < 1e-6, "{session:?} at {discount}");
                }
            }
        }
    }
}

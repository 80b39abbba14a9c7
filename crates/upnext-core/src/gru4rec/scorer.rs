//! A trained network as a [`Recommender`]: it follows sessions, without dropout, and scores items.

use super::activations::Activations;
use super::layers::Cpu;
use super::network::Network;
use super::output::Top;
use crate::batch::Batch;
use crate::data::{ItemIndex, Sessions};
use crate::recommender::{Factors, Recommender, SessionScorer, lanes};
use upnext_kernels::{Isa, Matrix, ThreadPool, View, activate, product};

/// Items whose rows are gathered at a time, where the items asked for do not lie side by side.
const GATHERED: usize = 64;

impl Recommender for Network {
    fn name(&self) -> &str {
        "gru4rec"
    }

    fn num_items(&self) -> usize {
        Network::num_items(self)
    }

    fn vector(&self, item: ItemIndex) -> Option<&[f32]> {
        Some(&self.values.output.values(item as usize)[..self.config().output_width()])
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        let out = self.config().output_width();
        Box::new(NetworkScorer {
            network: self,
            pool: ThreadPool::new(1),
            isa: Isa::detect(),
            activations: Activations::new(self.config(), rows),
            top: Top::new(out, rows),
            gathered: Matrix::zeros(GATHERED, out + 1),
            rows: 0,
        })
    }
}

/// Follows sessions on the caller's thread: whoever has many sessions has several scorers.
struct NetworkScorer<'n> {
    network: &'n Network,
    pool: ThreadPool,
    isa: Isa,
    activations: Activations,
    top: Top,
    gathered: Matrix,
    /// Rows of the batch observed last.
    rows: usize,
}

impl SessionScorer for NetworkScorer<'_> {
    fn observe(&mut self, batch: &Batch, sessions: &Sessions) {
        let cpu = Cpu { pool: &self.pool, isa: self.isa };
        self.activations.forward(cpu, self.network, batch, sessions, None);
        self.rows = batch.len();
        self.top.read(self.activations.top(), self.rows);
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        let Some(&first) = items.first() else { return };
        let (lanes, table) = (lanes(self.rows), &self.network.values.output);
        let scores = &mut scores[..items.len() * lanes];
        let adjacent = items.iter().zip(first..).all(|(&item, expected)| item == expected);
        if adjacent {
            let rows = table.view(table.rows()).from_row(first as usize);
            self.products(items.len(), rows, scores, lanes);
        } else {
            let mut gathered = std::mem::replace(&mut self.gathered, Matrix::zeros(0, 0));
            for (items, scores) in items.chunks(GATHERED).zip(scores.chunks_mut(GATHERED * lanes)) {
                gathered.gather(table, items);
                self.products(items.len(), gathered.view(items.len()), scores, lanes);
            }
            self.gathered = gathered;
        }
        activate(self.isa, self.network.output_activation(), scores);
    }

    fn factors(&self) -> Option<Factors<'_>> {
        Some(Factors {
            items: &self.network.values.output,
            states: &self.top.lanes,
            activation: self.network.output_activation(),
            isa: self.isa,
        })
    }
}

impl NetworkScorer<'_> {
    fn products(&self, count: usize, rows: View, scores: &mut [f32], lanes: usize) {
        let width = self.top.lanes.rows();
        let top = self.top.lanes.view(width);
        product(self.isa, (count, lanes, width), rows, top, scores, lanes, false);
    }
}

//! A network as a [`Recommender`]: forward passes without dropout, and scores of any items.

use super::activations::Activations;
use super::layers::Cpu;
use super::network::Network;
use super::output::Top;
use crate::batch::Batch;
use crate::data::ItemIndex;
use crate::recommender::{Factors, Recommender, SessionScorer, TableProducts, lanes};
use upnext_kernels::{Isa, ThreadPool, activate};

impl Recommender for Network {
    fn name(&self) -> &str {
        "gru4rec"
    }

    fn num_items(&self) -> usize {
        Network::num_items(self)
    }

    fn vector(&self, item: ItemIndex) -> Option<&[f32]> {
        Some(&self.item_table().values(item as usize)[..self.config().output_width()])
    }

    fn bias(&self, item: ItemIndex) -> Option<f32> {
        self.item_table().values(item as usize).get(self.config().output_width()).copied()
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        let (isa, out) = (Isa::detect(), self.config().output_width());
        Box::new(NetworkScorer {
            network: self,
            pool: ThreadPool::new(1),
            isa,
            activations: Activations::new(self.config(), rows),
            top: Top::new(out, rows),
            products: TableProducts::new(isa, out + 1),
            rows: 0,
        })
    }
}

/// The session scorer of a network. It computes on the caller's thread; several scorers can run in parallel.
struct NetworkScorer<'n> {
    network: &'n Network,
    pool: ThreadPool,
    isa: Isa,
    activations: Activations,
    top: Top,
    products: TableProducts,
    /// Rows of the last mini-batch.
    rows: usize,
}

impl SessionScorer for NetworkScorer<'_> {
    fn read(&mut self, batch: &Batch) {
        let cpu = Cpu { pool: &self.pool, isa: self.isa };
        self.activations.forward(cpu, self.network, batch, None);
        self.rows = batch.len();
        self.top.read(self.activations.top(), self.rows);
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        let lanes = lanes(self.rows);
        let scores = &mut scores[..items.len() * lanes];
        self.products.compute(self.network.item_table(), &self.top.lanes, items, lanes, scores);
        activate(self.isa, self.network.output_activation(), scores);
    }

    fn factors(&self) -> Option<Factors<'_>> {
        Some(Factors {
            items: self.network.item_table(),
            states: &self.top.lanes,
            activation: self.network.output_activation(),
            isa: self.isa,
        })
    }
}

//! A trained network as a [`Recommender`]: it follows sessions, without dropout, and scores items.

use super::layers::Machine;
use super::network::{Network, kernel_activation};
use super::output::Top;
use super::pass::Pass;
use crate::batch::Batch;
use crate::data::{ItemIndex, Sessions};
use crate::recommender::{Follower, Recommender, lanes};
use upnext_kernels::{Isa, Matrix, Team, View, activate, product};

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

    fn follow(&self, rows: usize) -> Box<dyn Follower + '_> {
        let out = self.config().output_width();
        Box::new(NetworkFollower {
            network: self,
            team: Team::new(1),
            isa: Isa::detect(),
            pass: Pass::new(self.config(), rows),
            top: Top::new(out, rows),
            gathered: Matrix::zeros(GATHERED, out + 1),
            rows: 0,
        })
    }
}

/// Follows sessions on the caller's thread: whoever has many sessions has several followers.
struct NetworkFollower<'n> {
    network: &'n Network,
    team: Team,
    isa: Isa,
    pass: Pass,
    top: Top,
    gathered: Matrix,
    /// Rows of the batch observed last.
    rows: usize,
}

impl Follower for NetworkFollower<'_> {
    fn observe(&mut self, batch: &Batch, sessions: &Sessions) {
        let machine = Machine { team: &self.team, isa: self.isa };
        self.pass.forward(machine, self.network, batch, sessions, None);
        self.rows = batch.len();
        self.top.read(self.pass.top(), self.rows);
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
        activate(self.isa, kernel_activation(self.network.output_activation()), scores);
    }
}

impl NetworkFollower<'_> {
    fn products(&self, count: usize, rows: View, scores: &mut [f32], lanes: usize) {
        let width = self.top.lanes.rows();
        let top = self.top.lanes.view(width);
        product(self.isa, (count, lanes, width), rows, top, scores, lanes, false);
    }
}

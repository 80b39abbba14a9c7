//! The vectors of items and sessions, whose products are the scores.

use super::Model;
use crate::batch::HistoryBatcher;
use crate::data::{ItemIndex, Sessions};
use crate::ranking::ROWS;
use std::cmp::Reverse;
use upnext_kernels::Activation;

impl Model {
    /// Number of floats in the vector of an item or a session; `None` for a kind without vectors.
    pub fn vector_width(&self) -> Option<usize> {
        if self.items().is_empty() { None } else { self.recommender().vector(0).map(<[f32]>::len) }
    }

    /// The activation that makes a score of the product of an item's and a session's vectors plus the item's bias; it
    /// never reverses the order of items. `None` for a kind without vectors.
    pub fn vector_activation(&self) -> Option<Activation> {
        self.recommender().scorer(1).factors().map(|factors| factors.activation)
    }

    /// The width d of the item vectors, and the vectors as an n × d matrix, row by row in the order of
    /// [`items`](Self::items); `None` for a kind without vectors.
    pub fn item_vectors(&self) -> Option<(usize, Vec<f32>)> {
        let (model, width) = (self.recommender(), self.vector_width()?);
        let mut vectors = Vec::with_capacity(width * self.items().len());
        for item in 0..self.items().len() as ItemIndex {
            vectors.extend_from_slice(model.vector(item)?);
        }
        Some((width, vectors))
    }

    /// The biases of the items, in the order of [`items`](Self::items); `None` for a model without biases.
    pub fn item_biases(&self) -> Option<Vec<f32>> {
        (0..self.items().len() as ItemIndex).map(|item| self.recommender().bias(item)).collect()
    }

    /// The vector of a session. Its dot products with the item vectors, plus the item biases, rank the items.
    ///
    /// `None` for a kind without vectors, and for a session without a known item.
    pub fn session_vector(&self, session: &[impl AsRef<str>]) -> Option<Vec<f32>> {
        let (history, _) = self.known(session);
        if history.is_empty() { None } else { self.session_vectors(&[&history]) }
    }

    /// The vectors of sessions that are given as item indices: one row of d floats per session, in the order of the
    /// sessions, on the caller's thread. The row of a session without events is zero. `None` for a kind without vectors.
    ///
    /// # Panics
    /// If an item is outside the vocabulary.
    pub fn session_vectors(&self, histories: &[&[ItemIndex]]) -> Option<Vec<f32>> {
        let width = self.vector_width()?;
        let mut vectors = vec![0.0; width * histories.len()];
        let history = |&i: &usize| histories[i];
        let mut order: Vec<usize> = (0..histories.len()).filter(|i| !history(i).is_empty()).collect();
        // Sessions of similar lengths are read together. The batcher keeps the order of sessions by falling length.
        order.sort_by_key(|i| Reverse(history(i).len()));
        let mut sessions = Sessions::new();
        order.iter().for_each(|i| sessions.push(history(i), 0));
        for (chunk, first) in order.chunks(ROWS).zip((0u32..).step_by(ROWS)) {
            let mut scorer = self.recommender().scorer(chunk.len());
            let mut batcher = HistoryBatcher::new(&sessions, (first..first + chunk.len() as u32).collect());
            while let Some(batch) = batcher.next_batch() {
                scorer.read(batch);
            }
            let states = scorer.factors()?.states;
            for (row, &i) in chunk.iter().enumerate() {
                // The vector is followed by the constant that multiplies the bias.
                for (j, x) in vectors[i * width..][..width].iter_mut().enumerate() {
                    *x = states.row(j)[row];
                }
            }
        }
        Some(vectors)
    }
}

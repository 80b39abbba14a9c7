//! Similar items by the user's ids.

use super::Model;
use crate::experiment::ModelKind;
use crate::ranking::{Candidates, Filter, SimilarList, SimilarQuery, VectorLengths, similar};
use crate::recommender::SimilarityMeasure;
use crate::{Error, Result};
use std::ops::ControlFlow;

/// The items that are similar to one item, by the user's ids.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SimilarItems {
    /// What the similarities are.
    pub measure: SimilarityMeasure,
    /// The items, most similar first.
    pub items: Vec<Similar>,
}

/// An item that is similar to another one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Similar {
    /// The user's id of the item.
    pub id: String,
    /// Its similarity, by the measure of the list.
    pub similarity: f32,
}

impl Model {
    /// The `k` items that are most similar to the item `id`, without the item itself; ties are in the order of
    /// [`items`](Self::items). What is compared depends on the kind ([`SimilarityMeasure`], `docs/similar.md`).
    ///
    /// The list is shorter than `k` where fewer items have a similarity: rules and session neighbours know only items
    /// that occur with this one.
    ///
    /// ```
    /// # use upnext_core::{Dataset, Experiment, FitOptions, fit};
    /// # use upnext_core::recommender::SimilarityMeasure;
    /// # let data = Dataset::from_log([("a", "tea", 1), ("a", "cup", 2)].iter().fold(
    /// #     upnext_core::data::EventLog::new(), |mut log, e| { log.push(e.0, e.1, e.2); log }))?.0;
    /// # let mut experiment = Experiment::default();
    /// # experiment.set("model.kind=s-knn")?;
    /// # let model = fit(data, &experiment, FitOptions::default())?.model;
    /// let like_tea = model.similar_items("tea", 5)?;
    /// assert_eq!(like_tea.measure, SimilarityMeasure::SessionCosine);
    /// assert_eq!((like_tea.items[0].id.as_str(), like_tea.items[0].similarity), ("cup", 1.0));
    /// # Ok::<(), upnext_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownItem`] for an id outside the vocabulary, [`Error::NoSimilarity`] for a kind that does not compare
    /// items ([`ModelKind::similarity`]), [`Error::NonFiniteScores`] for vectors that are not finite.
    pub fn similar_items(&self, id: &str, k: usize) -> Result<SimilarItems> {
        self.similar_items_filtered(id, k, &Filter::default())
    }

    /// [`similar_items`](Self::similar_items) with a filter on the listed items, which applies before the cut to `k`.
    ///
    /// # Errors
    /// As [`similar_items`](Self::similar_items).
    ///
    /// # Panics
    /// If the filter has an item index outside the vocabulary.
    pub fn similar_items_filtered(&self, id: &str, k: usize, filter: &Filter) -> Result<SimilarItems> {
        let item = self.items().index_of(id).ok_or_else(|| Error::UnknownItem { id: id.to_owned() })?;
        let query = SimilarQuery { item, k, filter };
        let list = self.similar_observed(&query, None, &mut || ControlFlow::Continue(()))?;
        let named = |entry: &crate::ranking::SimilarEntry| Similar {
            id: self.items().id(entry.item).to_owned(),
            similarity: entry.similarity,
        };
        Ok(SimilarItems { measure: list.measure, items: list.entries.iter().map(named).collect() })
    }

    /// [`similar_items`](Self::similar_items) by item indices, among `candidates` (`None`: all items), with an observer
    /// that is called from time to time and can stop the call.
    ///
    /// # Errors
    /// [`Error::NoSimilarity`], [`Error::NonFiniteScores`]; [`Error::Stopped`] if `observe` breaks.
    ///
    /// # Panics
    /// If the item, a candidate or an item of the filter is outside the vocabulary.
    pub fn similar_observed(
        &self,
        query: &SimilarQuery,
        candidates: Option<&Candidates>,
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<SimilarList> {
        let model = self.recommender();
        let lengths = self.inner.lengths.get_or_init(|| VectorLengths::new(model));
        let candidates = candidates.unwrap_or_else(|| self.all_items());
        similar(model, lengths, candidates, query, observe)?.ok_or_else(|| {
            let compare = ModelKind::ALL.into_iter().filter(|kind| kind.similarity().is_some());
            let kinds = compare.map(ModelKind::name).collect();
            Error::NoSimilarity { model: model.name().to_owned(), kinds }
        })
    }
}

//! A fitted model with its vocabulary, the main type of the library.

use crate::arrays::{Arrays, TrainingState};
use crate::artifact::{Artifact, MANIFEST_FILE};
use crate::data::{ItemIndex, ItemTable, ItemVocabulary, Sessions};
use crate::evaluation::{Evaluation, EvaluationConfig, evaluate};
use crate::experiment::{Experiment, ModelKind};
use crate::gru4rec::Network;
use crate::history::TrainingSummary;
use crate::kind::AnyModel;
use crate::ranking::{
    Candidates, Filter, Index, Query, RecommendationList, VectorLengths, recommend_each_observed,
};
use crate::recommender::Recommender;
use crate::{Error, Result, models};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

mod new_items;
mod similar;
#[cfg(feature = "logs")]
mod vector_file;
mod vectors;

pub use new_items::NewItems;
pub use similar::{Similar, SimilarItems};
#[cfg(feature = "logs")]
pub use vector_file::VectorWriter;

/// A fitted model of any kind, with its items, its configuration and the history of its training.
///
/// It is immutable, can be used by many threads at once, and a clone costs a pointer.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    model: Box<dyn AnyModel>,
    items: ItemVocabulary,
    item_table: Option<Arc<ItemTable>>,
    experiment: Experiment,
    training: TrainingSummary,
    /// The training state, if it was kept.
    state: Option<TrainingState>,
    version: Option<String>,
    all_items: OnceLock<Candidates>,
    index: OnceLock<Option<Index>>,
    lengths: OnceLock<VectorLengths>,
}

/// The items recommended after one session, by the user's ids.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Recommendations {
    /// The recommended items, best first.
    pub items: Vec<RecommendedItem>,
    /// The ids of the session that are not in the vocabulary; they were skipped.
    pub unknown: Vec<String>,
    /// Whether these are the most popular items, because no item of the session is in the vocabulary.
    pub fell_back: bool,
}

/// A recommended item.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RecommendedItem {
    /// The user's id of the item.
    pub id: String,
    /// The model's score, comparable only within its list.
    pub score: f32,
}

impl Model {
    /// A model with its training state, if that is kept, and its version, if it was loaded.
    pub(crate) fn new(
        model: Box<dyn AnyModel>,
        (items, item_table): (ItemVocabulary, Option<Arc<ItemTable>>),
        experiment: Experiment,
        training: TrainingSummary,
        state: Option<TrainingState>,
        version: Option<String>,
    ) -> Self {
        let (all_items, index, lengths) = Default::default();
        Self {
            inner: Arc::new(Inner {
                model,
                items,
                item_table,
                experiment,
                training,
                state,
                version,
                all_items,
                index,
                lengths,
            }),
        }
    }

    /// Loads a saved model, without its training state.
    ///
    /// # Errors
    /// Those of [`Artifact::load`]; [`Error::DamagedModel`] also if the weights do not fit the configuration.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let artifact = Artifact::load_without_training(&dir)?;
        let file = artifact.manifest.file("weights").map_or(MANIFEST_FILE, |entry| &entry.file);
        let path = dir.as_ref().join(file);
        Self::from_artifact(artifact).map_err(|error| match error {
            Error::Weights { .. } => Error::DamagedModel { path, reason: error.to_string() },
            other => other,
        })
    }

    /// Builds the model of an artifact.
    ///
    /// # Errors
    /// [`Error::Weights`] if the weights do not fit the configuration.
    pub fn from_artifact(artifact: Artifact) -> Result<Self> {
        let (Artifact { manifest, items, item_table, training, .. }, arrays) = artifact.take_arrays();
        let version = manifest.version();
        let experiment = manifest.experiment;
        let model = models::from_arrays(&experiment, &items, arrays)?;
        Ok(Self::new(model, (items, item_table), experiment, manifest.training, training, Some(version)))
    }

    /// The artifact that [`save`](Self::save) writes, with the training state if the model has one.
    pub fn to_artifact(&self) -> Artifact {
        let inner = &*self.inner;
        Artifact {
            item_table: inner.item_table.clone(),
            training: inner.state.clone(),
            ..Artifact::new(inner.experiment.clone(), inner.items.clone(), inner.training.clone())
                .with_arrays(inner.model.arrays())
        }
    }

    /// Saves the model in the folder `dir`, replacing a model that is there.
    ///
    /// # Errors
    /// Those of [`Artifact::save`]; `dir` is unchanged then.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.to_artifact().save(dir)
    }

    /// The kind of the model.
    pub fn kind(&self) -> ModelKind {
        self.inner.experiment.model.kind()
    }

    /// The model's vocabulary.
    pub fn items(&self) -> &ItemVocabulary {
        &self.inner.items
    }

    /// The attributes of items in the data that the model was fitted to, if there were any.
    pub fn item_table(&self) -> Option<&Arc<ItemTable>> {
        self.inner.item_table.as_ref()
    }

    /// The complete configuration of the model.
    pub fn experiment(&self) -> &Experiment {
        &self.inner.experiment
    }

    /// The record of the model's training.
    pub fn training(&self) -> &TrainingSummary {
        &self.inner.training
    }

    /// The version of a saved model ([`Manifest::version`](crate::artifact::Manifest::version)); `None` for a model
    /// that was fitted and not loaded.
    pub fn version(&self) -> Option<&str> {
        self.inner.version.as_deref()
    }

    /// The model as a [`Recommender`], which scores sessions of item indices.
    pub fn recommender(&self) -> &dyn Recommender {
        self.inner.model.recommender()
    }

    /// The network, if the model is of kind `gru4rec`.
    pub fn network(&self) -> Option<&Network> {
        self.inner.model.as_any().downcast_ref()
    }

    /// Whether all weights of a network are finite numbers; `true` for other kinds.
    pub fn is_finite(&self) -> bool {
        self.network().is_none_or(Network::is_finite)
    }

    /// The model's arrays: everything that is saved besides the configuration and the items.
    pub fn arrays(&self) -> Arrays {
        self.inner.model.arrays()
    }

    pub(crate) fn training_state(&self) -> Option<&TrainingState> {
        self.inner.state.as_ref()
    }

    /// Recommends the `k` best next items of a session, which is given as item ids in the order of its events.
    ///
    /// Ids outside the vocabulary are skipped and returned. A session without any known id gets the most popular items.
    ///
    /// ```
    /// # use upnext_core::{Dataset, Experiment, FitOptions, fit};
    /// # let data = Dataset::from_log([("a", "tea", 1), ("a", "cup", 2)].iter().fold(
    /// #     upnext_core::data::EventLog::new(), |mut log, e| { log.push(e.0, e.1, e.2); log }))?.0;
    /// # let mut experiment = Experiment::default();
    /// # experiment.set("model.kind=markov")?;
    /// # let model = fit(data, &experiment, FitOptions::default())?.model;
    /// let next = model.recommend(&["tea", "no such item"], 1)?;
    /// assert_eq!((next.items[0].id.as_str(), &next.unknown[..]), ("cup", &["no such item".to_owned()][..]));
    /// # Ok::<(), upnext_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NonFiniteScores`] if the model gives scores that are not finite.
    pub fn recommend(&self, session: &[impl AsRef<str>], k: usize) -> Result<Recommendations> {
        let mut lists = self.recommend_many(&[session], k)?;
        Ok(lists.pop().unwrap_or_default())
    }

    /// [`recommend`](Self::recommend) for many sessions, on the caller's thread; no list depends on the other sessions.
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend).
    pub fn recommend_many<S: AsRef<str>>(
        &self,
        sessions: &[impl AsRef<[S]>],
        k: usize,
    ) -> Result<Vec<Recommendations>> {
        self.recommend_filtered(sessions, k, &Filter::default())
    }

    /// [`recommend_many`](Self::recommend_many) with a filter on the recommended items.
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend).
    ///
    /// # Panics
    /// If the filter has an item index outside the vocabulary.
    pub fn recommend_filtered<S: AsRef<str>>(
        &self,
        sessions: &[impl AsRef<[S]>],
        k: usize,
        filter: &Filter,
    ) -> Result<Vec<Recommendations>> {
        self.recommend_observed(sessions, k, filter, &mut || ControlFlow::Continue(()))
    }

    /// [`recommend_filtered`](Self::recommend_filtered) with an observer, which is asked from time to time and stops the
    /// call by [`ControlFlow::Break`].
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend); [`Error::Stopped`].
    ///
    /// # Panics
    /// If the filter names an item behind the vocabulary.
    pub fn recommend_observed<S: AsRef<str>>(
        &self,
        sessions: &[impl AsRef<[S]>],
        k: usize,
        filter: &Filter,
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Recommendations>> {
        let (mut histories, mut unknown) = (Vec::new(), Vec::new());
        for session in sessions {
            let (history, skipped) = self.known(session.as_ref());
            histories.push(history);
            unknown.push(skipped);
        }
        let queries: Vec<Query> = histories.iter().map(|history| Query { history, k, filter }).collect();
        let (items, all) = (self.items(), self.all_items());
        let (model, index) = (self.recommender(), self.index());
        let lists = recommend_each_observed(model, items, index, all, &queries, observe)?;
        Ok(lists.into_iter().zip(unknown).map(|(list, unknown)| self.named(list, unknown)).collect())
    }

    /// The indices of the known ids, and the unknown ids.
    fn known(&self, ids: &[impl AsRef<str>]) -> (Vec<ItemIndex>, Vec<String>) {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for id in ids.iter().map(AsRef::as_ref) {
            match self.items().index_of(id) {
                Some(item) => known.push(item),
                None => unknown.push(id.to_owned()),
            }
        }
        (known, unknown)
    }

    fn named(&self, list: RecommendationList, unknown: Vec<String>) -> Recommendations {
        let name = |entry: &crate::ranking::Recommendation| RecommendedItem {
            id: self.items().id(entry.item).to_owned(),
            score: entry.score,
        };
        Recommendations { items: list.entries.iter().map(name).collect(), unknown, fell_back: list.fell_back }
    }

    /// All items as candidates, prepared on first use.
    fn all_items(&self) -> &Candidates {
        self.inner.all_items.get_or_init(|| Candidates::new(self.items(), &[], None))
    }

    /// The index that finds the best items of a model with vectors without scoring all of them, built on first use.
    fn index(&self) -> Option<&Index> {
        self.inner.index.get_or_init(|| Index::new(self.recommender())).as_ref()
    }

    /// Evaluates the model on test sessions of its items, with `threads` threads (`docs/evaluation.md`).
    ///
    /// # Errors
    /// Those of [`evaluate`].
    ///
    /// # Panics
    /// If `threads` is 0, or a session has an item index outside the vocabulary.
    pub fn evaluate(
        &self,
        sessions: &Sessions,
        options: &EvaluationConfig,
        threads: usize,
    ) -> Result<Evaluation> {
        self.evaluate_observed(sessions, options, threads, &|_| ControlFlow::Continue(()))
    }

    /// [`evaluate`](Self::evaluate) with an observer: it is told, by every thread, how many more cases have been ranked,
    /// and stops the call by [`ControlFlow::Break`].
    ///
    /// # Errors
    /// Those of [`evaluate`]; [`Error::Stopped`].
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn evaluate_observed(
        &self,
        sessions: &Sessions,
        options: &EvaluationConfig,
        threads: usize,
        observe: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
    ) -> Result<Evaluation> {
        evaluate(self.recommender(), self.items(), sessions, options, threads, observe)
    }
}

//! The model that is being served: loaded, checked, and asked.

use super::{Listed, Question};
use crate::Error;
use crate::items::{Catalogue, Search};
use crate::lists::Lists;
use crate::stamp::Stamp;
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use upnext_core::data::ItemIndex;
use upnext_core::experiment::ModelKind;
use upnext_core::model::Model;
use upnext_core::ranking::{Candidates, Filter, Index, Nearest, Query, recommend_each};

/// A model with the name and version that every answer carries.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) name: String,
    /// The folder.
    pub(crate) path: PathBuf,
    /// Of the folder, taken before it was read: what has changed since shows.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) loaded: Model,
    /// What finds the best items sooner, for models that have such.
    index: Option<Index>,
    /// What may be recommended at all, by the block and allow lists.
    candidates: ArcSwap<Candidates>,
    search: OnceLock<Search>,
}

impl Served {
    /// Loads a model and has it answer once, so that what is served is known to work.
    pub(crate) fn load(path: &Path, name: &str, lists: &Lists) -> Result<Self, Error> {
        let stamp = Stamp::of(path);
        let loaded = Model::load(path)?;
        let candidates = ArcSwap::from_pointee(lists.candidates(loaded.items()));
        let index = Index::new(loaded.recommender());
        let (name, path) = (name.to_owned(), path.to_owned());
        let served = Self { name, path, stamp, loaded, index, candidates, search: OnceLock::new() };
        served.check().map_err(|reason| Error::Model { path: served.path.clone(), reason })?;
        Ok(served)
    }

    /// Looks at the weights, and scores all items after a session of the first item: what is broken shows here, not to visitors.
    fn check(&self) -> Result<(), String> {
        if self.loaded.items().is_empty() {
            return Err("the model has no item: train it on a log".to_owned());
        }
        if !self.loaded.is_finite() {
            return Err(
                "a weight of the model is no finite number: train it anew, with a lower learning rate"
                    .to_owned(),
            );
        }
        let all = Candidates::new(self.loaded.items(), &[], None);
        let query = Query { history: &[0], k: 1, filter: &Filter::default() };
        let model = self.loaded.recommender();
        recommend_each(model, self.loaded.items(), None, &all, &[query])
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    pub(crate) fn kind(&self) -> ModelKind {
        self.loaded.experiment().model.kind()
    }

    pub(crate) fn version(&self) -> &str {
        self.loaded.version().unwrap_or_default()
    }

    /// Applies block and allow lists from the next batch on.
    pub(crate) fn restrict(&self, lists: &Lists) {
        self.candidates.store(Arc::new(lists.candidates(self.loaded.items())));
    }

    /// Number of items that the block and allow lists leave.
    pub(crate) fn allowed(&self) -> usize {
        self.candidates.load().len()
    }

    /// What finds its items. The first call prepares it, so that a server whose page nobody opens does not; `catalogue` must
    /// be the same in every call.
    pub(crate) fn search(&self, catalogue: Option<&Catalogue>) -> &Search {
        self.search.get_or_init(|| Search::new(self.loaded.items(), catalogue))
    }

    /// Answers some questions as one batch.
    pub(super) fn answer(&self, questions: &[&Question]) -> upnext_core::Result<Vec<Listed>> {
        let items = self.loaded.items();
        let indices =
            |ids: &[String]| -> Vec<ItemIndex> { ids.iter().filter_map(|id| items.index_of(id)).collect() };
        let mut histories = Vec::with_capacity(questions.len());
        let mut filters = Vec::with_capacity(questions.len());
        let mut unknown = Vec::with_capacity(questions.len());
        for question in questions {
            let (mut history, mut unknown_here) = (Vec::with_capacity(question.session.len()), Vec::new());
            for id in &question.session {
                match items.index_of(id) {
                    Some(item) => history.push(item),
                    None if unknown_here.contains(id) => {}
                    None => unknown_here.push(Arc::clone(id)),
                }
            }
            histories.push(history);
            unknown.push(unknown_here);
            filters.push(Filter {
                exclude_seen: question.exclude_seen,
                exclude: indices(&question.exclude),
                only: question.only.as_deref().map(indices),
            });
        }
        let queries: Vec<Query> = questions
            .iter()
            .zip(histories.iter().zip(&filters))
            .map(|(question, (history, filter))| Query { history, k: question.k, filter })
            .collect();
        let model = self.loaded.recommender();
        let lists = recommend_each(model, items, self.index.as_ref(), &self.candidates.load(), &queries)?;
        let answers = lists.into_iter().zip(questions).zip(histories.iter().zip(unknown));
        Ok(answers
            .map(|((mut list, question), (history, unknown))| {
                // Support is no score, so a list that fell back has nothing to compare with the minimum.
                if let (Some(min), false) = (question.min_score, list.fell_back) {
                    list.entries.retain(|entry| entry.score >= min);
                }
                let because = question.why.then(|| {
                    let nearest = Nearest::new(model, history);
                    list.entries.iter().map(|entry| nearest.to(entry.item)).collect()
                });
                Listed { unknown, list, because }
            })
            .collect())
    }
}

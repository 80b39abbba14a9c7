//! A served model: loading, checks and computation of lists.

use super::{Listed, Question};
use crate::Error;
use crate::items::{Catalogue, Search};
use crate::lists::Lists;
use crate::sessions::now_ms;
use crate::stamp::Stamp;
use arc_swap::ArcSwap;
use std::collections::HashSet;
use std::ops::{ControlFlow, Deref};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;
use upnext_core::data::{ItemIndex, parse_time};
use upnext_core::experiment::ModelKind;
use upnext_core::model::Model;
use upnext_core::ranking::{
    Candidates, Filter, Index, Nearest, Query, Recommendation, recommend_each, recommend_each_observed,
};

/// Multiplications between two checks whether the answer is still wanted: some tens of microseconds.
const WORK_PER_CHECK: usize = 1 << 16;

/// Where a model comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) name: String,
    /// The model's folder.
    pub(crate) path: PathBuf,
    /// The stamp of the folder before the model was read, to detect changes since then.
    pub(crate) stamp: Option<Stamp>,
    /// The times at which the model was saved, if known, and loaded, in seconds since 1970.
    pub(crate) created_s: Option<i64>,
    pub(crate) loaded_s: i64,
}

/// A loaded model with its name, its restrictions and its indices.
#[derive(Debug)]
pub(crate) struct Served {
    origin: Origin,
    pub(crate) loaded: Model,
    /// Number of its items that training has not seen.
    pub(crate) new_items: usize,
    /// The index for fast top-k retrieval, for models that support one.
    index: Option<Index>,
    /// The items that the block and allow lists leave.
    candidates: ArcSwap<Candidates>,
    search: OnceLock<Search>,
    /// The titles in the model's own table of items, where it has one.
    own_catalogue: Option<Catalogue>,
}

impl Deref for Served {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.origin
    }
}

impl Served {
    /// Loads a model and computes one list to check that it works. Of its item table, at most `max_columns` columns are
    /// shown beside titles.
    pub(crate) fn load(path: &Path, name: &str, lists: &Lists, max_columns: usize) -> Result<Self, Error> {
        let stamp = Stamp::of(path);
        let loaded = Model::load(path)?;
        let origin = Origin {
            name: name.to_owned(),
            path: path.to_owned(),
            stamp,
            created_s: created_s(path, &loaded),
            loaded_s: (now_ms() / 1_000) as i64,
        };
        let index = Index::new(loaded.recommender());
        let served = Self::of(origin, (loaded, index), lists, max_columns);
        served.check().map_err(|reason| Error::Model { path: path.to_owned(), reason })?;
        Ok(served)
    }

    /// The same with its model with more items.
    pub(crate) fn with_model(&self, model: Model, lists: &Lists, max_columns: usize) -> Self {
        let index = self.index.as_ref().and_then(|index| index.extended(model.recommender()));
        Self::of(self.origin.clone(), (model, index), lists, max_columns)
    }

    fn of(
        origin: Origin,
        (loaded, index): (Model, Option<Index>),
        lists: &Lists,
        max_columns: usize,
    ) -> Self {
        Self {
            origin,
            new_items: loaded.items().supports().iter().filter(|&&support| support == 0).count(),
            index,
            candidates: ArcSwap::from_pointee(lists.candidates(loaded.items())),
            search: OnceLock::new(),
            own_catalogue: loaded.item_table().and_then(|table| Catalogue::of_model(table, max_columns)),
            loaded,
        }
    }

    /// Checks that all weights are finite and that the model scores all items after a session of the first item.
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

    /// Applies block and allow lists, from the next batch on.
    pub(crate) fn restrict(&self, lists: &Lists) {
        self.candidates.store(Arc::new(lists.candidates(self.loaded.items())));
    }

    /// Number of floats in an item's vector; 0 for a model without item vectors.
    pub(crate) fn width(&self) -> usize {
        // Item 0 exists: `check` refuses a model without items.
        self.loaded.recommender().vector(0).map_or(0, <[f32]>::len)
    }

    /// Number of items that the block and allow lists leave.
    pub(crate) fn allowed(&self) -> usize {
        self.candidates.load().len()
    }

    /// The items that the block and allow lists leave.
    pub(super) fn candidates(&self) -> Arc<Candidates> {
        self.candidates.load_full()
    }

    /// The catalogue for people: `catalogue`, which comes from a file, or else the model's own.
    pub(crate) fn catalogue<'a>(&'a self, catalogue: Option<&'a Catalogue>) -> Option<&'a Catalogue> {
        catalogue.or(self.own_catalogue.as_ref())
    }

    /// The item search, which the first call builds, so that servers whose page is never used do not. `catalogue` must
    /// be the same in every call.
    pub(crate) fn search(&self, catalogue: Option<&Catalogue>) -> &Search {
        self.search.get_or_init(|| Search::new(self.loaded.items(), self.catalogue(catalogue)))
    }

    /// Computes the lists of some questions as one batch; `None` if `observe`, which is called repeatedly, broke off.
    pub(super) fn answer(
        &self,
        questions: &[&Question],
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> upnext_core::Result<Option<Vec<Listed>>> {
        let items = self.loaded.items();
        let indices =
            |ids: &[String]| -> Vec<ItemIndex> { ids.iter().filter_map(|id| items.index_of(id)).collect() };
        let mut histories = Vec::with_capacity(questions.len());
        let mut filters = Vec::with_capacity(questions.len());
        let mut unknown = Vec::with_capacity(questions.len());
        for question in questions {
            let mut history = Vec::with_capacity(question.session.len());
            let (mut unknown_here, mut seen) = (Vec::new(), HashSet::new());
            for id in &question.session {
                match items.index_of(id) {
                    Some(item) => history.push(item),
                    None if seen.insert(id) => unknown_here.push(Arc::clone(id)),
                    None => {}
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
        let (index, candidates) = (self.index.as_ref(), self.candidates.load());
        let lists = match recommend_each_observed(model, items, index, &candidates, &queries, observe) {
            Err(upnext_core::Error::Stopped) => return Ok(None),
            lists => lists?,
        };
        let mut answers = Vec::with_capacity(questions.len());
        for ((mut list, question), (history, unknown)) in
            lists.into_iter().zip(questions).zip(histories.iter().zip(unknown))
        {
            // The entries of a list that fell back have support in place of scores, so the minimum does not apply.
            if let (Some(min), false) = (question.min_score, list.fell_back) {
                list.entries.retain(|entry| entry.score >= min);
            }
            let mut because = None;
            if question.why {
                let nearest = Nearest::new(model, history);
                let ControlFlow::Continue(reasons) = reasons(&nearest, &list.entries, observe) else {
                    return Ok(None);
                };
                because = Some(reasons);
            }
            answers.push(Listed { unknown, list, because });
        }
        Ok(Some(answers))
    }
}

/// The time at which a model was saved: that of its manifest, or else of the file of the manifest, since the manifest has none
/// where the same training gives the same bytes.
fn created_s(path: &Path, model: &Model) -> Option<i64> {
    let stated = model.training().created.as_deref().and_then(|text| parse_time(text).ok());
    let of_file = || {
        let modified = std::fs::metadata(path.join("manifest.json")).and_then(|file| file.modified()).ok()?;
        Some(modified.duration_since(UNIX_EPOCH).ok()?.as_secs() as i64)
    };
    stated.map(|microseconds| microseconds / 1_000_000).or_else(of_file)
}

/// For each entry of a list the most similar item of the session, with the cosine similarity.
fn reasons(
    nearest: &Nearest,
    entries: &[Recommendation],
    observe: &mut dyn FnMut() -> ControlFlow<()>,
) -> ControlFlow<(), Vec<Option<(ItemIndex, f32)>>> {
    let mut reasons = Vec::with_capacity(entries.len());
    let per_check = (WORK_PER_CHECK / nearest.cost().max(1)).max(1);
    for entries in entries.chunks(per_check) {
        observe()?;
        reasons.extend(entries.iter().map(|entry| nearest.to(entry.item)));
    }
    ControlFlow::Continue(reasons)
}

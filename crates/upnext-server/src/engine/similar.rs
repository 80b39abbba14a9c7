//! Similar items: computed by the same threads as lists, one request at a time.

use super::{Engine, Job, Refusal, Reservation, Served, Waiter};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use upnext_core::Error;
use upnext_core::data::ItemIndex;
use upnext_core::ranking::{Filter, SimilarList, SimilarQuery};

/// A request for the items that are similar to one item.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimilarQuestion {
    /// The id of the item.
    pub(crate) item: String,
    pub(crate) k: usize,
    pub(crate) exclude: Vec<String>,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) min_similarity: Option<f32>,
}

/// The answer to a [`SimilarQuestion`].
#[derive(Debug)]
pub(crate) struct SimilarAnswer {
    pub(crate) served: Arc<Served>,
    /// The list, or [`Error::UnknownItem`] or [`Error::NoSimilarity`] of that model.
    pub(crate) found: Result<SimilarList, Error>,
}

impl Engine {
    /// Answers the question that `reservation` was made for.
    pub(crate) async fn similar(
        &self,
        reservation: Reservation,
        question: SimilarQuestion,
        deadline: Instant,
    ) -> Result<SimilarAnswer, Refusal> {
        self.ask(reservation, deadline, |waiter| Job::Similar(SimilarJob { question, waiter })).await
    }
}

/// A [`SimilarQuestion`] in the queue.
#[derive(Debug)]
pub(super) struct SimilarJob {
    question: SimilarQuestion,
    pub(super) waiter: Waiter<SimilarAnswer>,
}

impl SimilarJob {
    /// Computes the list with a model and sends it, unless nobody waits for it any more.
    pub(super) fn compute(self, served: &Arc<Served>) {
        let mut observe = || match self.waiter.is_wanted(Instant::now()) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        if observe().is_break() {
            return self.waiter.send(Err(Refusal::TimedOut));
        }
        let (name, version) = (&served.name, served.version());
        // A panic must not end the compute thread.
        let found = catch_unwind(AssertUnwindSafe(|| served.similar(&self.question, &mut observe)));
        let answer = match found {
            Ok(found @ (Ok(_) | Err(Error::UnknownItem { .. } | Error::NoSimilarity { .. }))) => {
                Ok(SimilarAnswer { served: Arc::clone(served), found })
            }
            Ok(Err(Error::Stopped)) => Err(Refusal::TimedOut),
            Ok(Err(error)) => {
                tracing::error!(model = name, version, %error, "no similar items");
                Err(Refusal::Failed)
            }
            Err(_) => {
                tracing::error!(model = name, version, "the computation panicked");
                Err(Refusal::Failed)
            }
        };
        self.waiter.send(answer);
    }
}

impl Served {
    /// The items that are similar to that of a question, among those that the block and allow lists leave.
    ///
    /// # Errors
    /// Those of [`Model::similar_observed`](upnext_core::Model::similar_observed), and [`Error::UnknownItem`].
    fn similar(
        &self,
        question: &SimilarQuestion,
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> upnext_core::Result<SimilarList> {
        let items = self.loaded.items();
        let unknown = || Error::UnknownItem { id: question.item.clone() };
        let item = items.index_of(&question.item).ok_or_else(unknown)?;
        let indices =
            |ids: &[String]| -> Vec<ItemIndex> { ids.iter().filter_map(|id| items.index_of(id)).collect() };
        let filter = Filter {
            exclude: indices(&question.exclude),
            only: question.only.as_deref().map(indices),
            ..Filter::default()
        };
        let query = SimilarQuery { item, k: question.k, filter: &filter };
        let mut list = self.loaded.similar_observed(&query, Some(&self.candidates()), observe)?;
        if let Some(min) = question.min_similarity {
            list.entries.retain(|entry| entry.similarity >= min);
        }
        Ok(list)
    }
}

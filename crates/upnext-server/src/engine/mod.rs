//! Who computes? Threads of their own, so that a long computation never keeps a connection waiting to be read.
//!
//! A request takes a place in a bounded queue; a thread takes as many sessions as fit into a batch and answers them
//! together. Under light load a batch is one session, under heavy load batches grow by themselves: nobody waits for a
//! batch to fill. The model is looked up once a batch, so an answer comes from one model, whatever is swapped meanwhile.

mod queue;
mod served;
mod work;

pub(crate) use queue::Place;
pub(crate) use served::Served;

use crate::locked;
use crate::metrics::Metrics;
use crate::models::Role;
use crate::problem::Problem;
use crate::{Error, ServerConfig, threads};
use arc_swap::ArcSwap;
use axum::http::StatusCode;
use queue::Queue;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;
use upnext_core::data::ItemIndex;
use upnext_core::ranking::RecommendationList;

/// What is asked about one session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    /// Its item ids, oldest first.
    pub(crate) session: Vec<Arc<str>>,
    pub(crate) k: usize,
    pub(crate) exclude_seen: bool,
    pub(crate) exclude: Vec<String>,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) min_score: Option<f32>,
    /// Whether to say which item of the session stands behind each recommended one.
    pub(crate) why: bool,
}

/// The answers to the questions of one request, all from one model.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) role: Role,
    pub(crate) served: Arc<Served>,
    pub(crate) lists: Vec<Listed>,
}

/// The answer to one question.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Ids of the session that the model does not know, each once.
    pub(crate) unknown: Vec<Arc<str>>,
    pub(crate) list: RecommendationList,
    /// Where that was asked for, per entry the item of the session that is most like it, with the cosine of the model's
    /// vectors for both; `None`: the model has no vectors, or the list fell back.
    pub(crate) because: Option<Vec<Option<(ItemIndex, f32)>>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As many sessions wait as may.
    Full,
    /// The answer was not ready in time.
    TimedOut,
    /// The computation failed; the log says how.
    Failed,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, detail) = match refusal {
            Refusal::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "as many sessions are waiting as the server takes: try again soon",
            ),
            Refusal::TimedOut => {
                (StatusCode::SERVICE_UNAVAILABLE, "the answer was not ready in time: try again soon")
            }
            Refusal::Failed => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the model did not answer: the server's log says why")
            }
        };
        Self::new(status, detail)
    }
}

#[derive(Debug)]
struct Job {
    questions: Vec<Question>,
    /// The model that must answer; `None`: the present one.
    model: Option<Arc<Served>>,
    deadline: Instant,
    answer: oneshot::Sender<Result<Answer, Refusal>>,
}

impl Job {
    /// Whether somebody waits for the answer, and it may still be in time.
    fn is_wanted(&self, now: Instant) -> bool {
        self.deadline > now && !self.answer.is_closed()
    }
}

/// The compute threads, their queue, and the model.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    role: Role,
    current: ArcSwap<Served>,
    queue: Queue<Job>,
    batch_sessions: usize,
    metrics: Arc<Metrics>,
}

impl Engine {
    /// Starts the threads.
    pub(crate) fn start(
        served: Served,
        role: Role,
        config: &ServerConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            role,
            current: ArcSwap::from_pointee(served),
            queue: Queue::new(config.queue_sessions),
            batch_sessions: config.batch_sessions,
            metrics,
        });
        let engine = Self { shared, threads: Mutex::default() };
        for i in 0..config.compute_threads() {
            let shared = Arc::clone(&engine.shared);
            let work = move || shared.work();
            let thread = threads::start(format!("compute-{i}"), "start a compute thread", work)?;
            locked(&engine.threads).push(thread);
        }
        Ok(engine)
    }

    /// The part that its model plays.
    pub(crate) fn role(&self) -> Role {
        self.shared.role
    }

    /// The model that answers from now on.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.shared.current.load_full()
    }

    /// Answers from the next batch on with another model; returns the old one.
    pub(crate) fn swap(&self, served: Served) -> Arc<Served> {
        self.shared.current.swap(Arc::new(served))
    }

    /// Number of sessions that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// A place in the queue for so many sessions.
    pub(crate) fn reserve(&self, sessions: usize) -> Result<Place, Refusal> {
        self.shared.queue.reserve(sessions).ok_or(Refusal::Full)
    }

    /// Answers the questions that `place` was reserved for, all from one model.
    ///
    /// More questions than a batch takes are asked batch by batch, so that others get their turn in between.
    pub(crate) async fn answer(
        &self,
        mut place: Place,
        mut questions: Vec<Question>,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let most = self.shared.batch_sessions;
        let model = (questions.len() > most).then(|| self.served());
        let mut whole: Option<Answer> = None;
        loop {
            let rest = questions.split_off(questions.len().min(most));
            let piece_place = place.split_off(questions.len());
            let piece = self.answer_piece(piece_place, questions, model.clone(), deadline).await?;
            match &mut whole {
                Some(whole) => whole.lists.extend(piece.lists),
                None => whole = Some(piece),
            }
            if rest.is_empty() {
                return whole.ok_or(Refusal::Failed);
            }
            questions = rest;
        }
    }

    async fn answer_piece(
        &self,
        place: Place,
        questions: Vec<Question>,
        model: Option<Arc<Served>>,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let (sender, receiver) = oneshot::channel();
        self.shared.queue.push(place, Job { questions, model, deadline, answer: sender });
        match tokio::time::timeout_at(deadline.into(), receiver).await {
            Ok(Ok(answer)) => answer,
            // The job was dropped: it was late, or the server is stopping.
            Ok(Err(_)) | Err(_) => Err(Refusal::TimedOut),
        }
    }
}

impl Drop for Engine {
    /// Answers what waits, then stops the threads.
    fn drop(&mut self) {
        self.shared.queue.close();
        for thread in locked(&self.threads).drain(..) {
            threads::join(thread, "a compute thread");
        }
    }
}

impl Shared {
    /// What a compute thread does.
    fn work(&self) {
        while let Some(mut jobs) = self.queue.take(self.batch_sessions) {
            // Who has gone away, or will have before this is computed, needs no answer.
            let now = Instant::now();
            jobs.retain(|job| job.is_wanted(now));
            if jobs.is_empty() {
                continue;
            }
            let current = self.current.load_full();
            let mut groups: Vec<(Arc<Served>, Vec<Job>)> = Vec::with_capacity(1);
            for mut job in jobs {
                let model = job.model.take().unwrap_or_else(|| Arc::clone(&current));
                match groups.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &model)) {
                    Some((_, jobs)) => jobs.push(job),
                    None => groups.push((model, vec![job])),
                }
            }
            groups.into_iter().for_each(|(model, jobs)| self.compute(&model, jobs));
        }
    }

    /// Answers some jobs together; each alone, where that fails, so that one does not take the others' answers away.
    ///
    /// The computation ends when none of their answers is wanted any more: who sends what takes long, or goes away, keeps
    /// nobody else waiting beyond that.
    fn compute(&self, served: &Arc<Served>, jobs: Vec<Job>) {
        let questions: Vec<&Question> = jobs.iter().flat_map(|job| &job.questions).collect();
        self.metrics.batch(questions.len());
        // One broken computation must not take the thread, and with it the server, away.
        let mut observe = || {
            let now = Instant::now();
            if jobs.iter().any(|job| job.is_wanted(now)) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let lists = match catch_unwind(AssertUnwindSafe(|| served.answer(&questions, &mut observe))) {
            Ok(Ok(Some(lists))) => Some(lists),
            Ok(Ok(None)) => {
                return jobs.into_iter().for_each(|job| _ = job.answer.send(Err(Refusal::TimedOut)));
            }
            Ok(Err(error)) => {
                tracing::error!(model = served.name, version = served.version(), %error, "no answer");
                None
            }
            Err(_) => {
                tracing::error!(model = served.name, version = served.version(), "the computation panicked");
                None
            }
        };
        let Some(lists) = lists else {
            if jobs.len() > 1 {
                return jobs.into_iter().for_each(|job| self.compute(served, vec![job]));
            }
            return jobs.into_iter().for_each(|job| _ = job.answer.send(Err(Refusal::Failed)));
        };
        let mut lists = lists.into_iter();
        for job in jobs {
            let lists = lists.by_ref().take(job.questions.len()).collect();
            // A client that has gone away meanwhile is no error.
            _ = job.answer.send(Ok(Answer { role: self.role, served: Arc::clone(served), lists }));
        }
    }
}

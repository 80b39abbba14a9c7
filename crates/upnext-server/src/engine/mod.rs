//! The compute threads of a model, separate from those for HTTP, so that a long computation never blocks a connection.
//!
//! A request reserves room in a bounded queue. A compute thread takes as many sessions as fit into a batch and computes
//! them together: one session under light load, full batches under heavy load, without waiting for a batch to fill. The
//! model is looked up once per batch, so each answer comes from one model even if the model is replaced meanwhile.
//! Requests for similar items wait in the same queue, each as one session, and are computed one by one.

mod beat;
mod queue;
mod served;
mod similar;
mod work;

pub(crate) use queue::{Class, Reservation};
pub(crate) use served::Served;
pub(crate) use similar::{SimilarAnswer, SimilarQuestion};

use crate::locked;
use crate::metrics::Metrics;
use crate::models::Role;
use crate::problem::Problem;
use crate::{Error, ServerConfig, threads};
use arc_swap::ArcSwap;
use axum::http::StatusCode;
use beat::Beat;
use queue::{Limits, Queue};
use similar::SimilarJob;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use upnext_core::data::ItemIndex;
use upnext_core::ranking::RecommendationList;

/// A request for one list: a session and the options of the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    /// The item ids of the session, oldest first.
    pub(crate) session: Vec<Arc<str>>,
    pub(crate) k: usize,
    pub(crate) exclude_seen: bool,
    pub(crate) exclude: Vec<String>,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) min_score: Option<f32>,
    /// Whether to find the most similar item of the session for each recommended one.
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
    /// Ids of the session that are not in the model's vocabulary, each once.
    pub(crate) unknown: Vec<Arc<str>>,
    pub(crate) list: RecommendationList,
    /// If `why` was set, per entry the most similar item of the session and the cosine similarity of their vectors; the
    /// inner `None` if the model has no item vectors or the list fell back.
    pub(crate) because: Option<Vec<Option<(ItemIndex, f32)>>>,
}

/// The reason why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The queue is full.
    Full,
    /// The answer was not ready in time.
    TimedOut,
    /// The computation failed; the error is in the log.
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

/// A request in the queue.
#[derive(Debug)]
enum Job {
    /// Lists of recommendations, which are computed in batches.
    Lists(ListJob),
    /// Similar items of one item.
    Similar(SimilarJob),
}

impl Job {
    fn is_wanted(&self, now: Instant) -> bool {
        match self {
            Self::Lists(job) => job.waiter.is_wanted(now),
            Self::Similar(job) => job.waiter.is_wanted(now),
        }
    }
}

/// The lists of a request, or some of them.
#[derive(Debug)]
struct ListJob {
    questions: Vec<Question>,
    /// The model that must answer; `None`: the current one.
    model: Option<Arc<Served>>,
    waiter: Waiter<Answer>,
}

/// A client that waits for an answer.
#[derive(Debug)]
struct Waiter<A> {
    deadline: Instant,
    answer: oneshot::Sender<Result<A, Refusal>>,
}

impl<A> Waiter<A> {
    /// Whether the client is still waiting and the deadline has not passed.
    fn is_wanted(&self, now: Instant) -> bool {
        self.deadline > now && !self.answer.is_closed()
    }

    /// Sends the answer.
    fn send(self, answer: Result<A, Refusal>) {
        // Fails if the client has gone away, which is no error.
        _ = self.answer.send(answer);
    }
}

/// A served model with its queue and compute threads.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// What each thread is doing.
    beats: Vec<Arc<Beat>>,
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
    /// Starts the compute threads.
    pub(crate) fn start(
        served: Arc<Served>,
        role: Role,
        config: &ServerConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            role,
            current: ArcSwap::new(served),
            queue: Queue::new(Limits::of(config)),
            batch_sessions: config.batch_sessions,
            metrics,
        });
        let beats = (0..config.compute_threads()).map(|_| Arc::default()).collect();
        let engine = Self { shared, threads: Mutex::default(), beats };
        for (i, beat) in engine.beats.iter().enumerate() {
            let (shared, beat) = (Arc::clone(&engine.shared), Arc::clone(beat));
            let work = move || shared.work(&beat);
            let thread = threads::start(format!("compute-{i}"), "start a compute thread", work)?;
            locked(&engine.threads).push(thread);
        }
        Ok(engine)
    }

    /// The role of its model.
    pub(crate) fn role(&self) -> Role {
        self.shared.role
    }

    /// The current model.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.shared.current.load_full()
    }

    /// Replaces the model from the next batch on, and returns the old one.
    pub(crate) fn swap(&self, served: Arc<Served>) -> Arc<Served> {
        self.shared.current.swap(served)
    }

    /// Number of sessions in the queue, reserved ones included.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Whether a compute thread has ended, or is busy with one batch for longer than `limit`, so that it does not come back.
    pub(crate) fn is_stuck(&self, limit: Duration) -> bool {
        let has_ended = locked(&self.threads).iter().any(JoinHandle::is_finished);
        has_ended || self.beats.iter().all(|beat| beat.busy_for().is_some_and(|busy| busy > limit))
    }

    /// Reserves room in the queue for `sessions` sessions. `owner` is the key that may have only a part of it.
    ///
    /// # Errors
    /// [`Refusal::Full`] if the queue has no room for them.
    pub(crate) fn reserve(
        &self,
        sessions: usize,
        class: Class,
        owner: Option<Arc<str>>,
    ) -> Result<Reservation, Refusal> {
        self.shared.queue.reserve(sessions, class, owner).ok_or(Refusal::Full)
    }

    /// Answers the questions that `reservation` was made for, all with one model.
    ///
    /// More questions than fit into a batch are queued batch by batch, so that other requests are served in between.
    pub(crate) async fn answer(
        &self,
        mut reservation: Reservation,
        mut questions: Vec<Question>,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let most = self.shared.batch_sessions;
        let model = (questions.len() > most).then(|| self.served());
        let mut whole: Option<Answer> = None;
        loop {
            let rest = questions.split_off(questions.len().min(most));
            let piece_reservation = reservation.split_off(questions.len());
            let piece = self.answer_piece(piece_reservation, questions, model.clone(), deadline).await?;
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
        reservation: Reservation,
        questions: Vec<Question>,
        model: Option<Arc<Served>>,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        self.ask(reservation, deadline, |waiter| Job::Lists(ListJob { questions, model, waiter })).await
    }

    /// Adds a job to the queue and waits for its answer.
    async fn ask<A>(
        &self,
        reservation: Reservation,
        deadline: Instant,
        job: impl FnOnce(Waiter<A>) -> Job,
    ) -> Result<A, Refusal> {
        let (answer, receiver) = oneshot::channel();
        self.shared.queue.push(reservation, job(Waiter { deadline, answer }));
        match tokio::time::timeout_at(deadline.into(), receiver).await {
            Ok(Ok(answer)) => answer,
            // The job was dropped: its deadline had passed, or the server is stopping.
            Ok(Err(_)) | Err(_) => Err(Refusal::TimedOut),
        }
    }
}

impl Drop for Engine {
    /// Computes the jobs in the queue, then stops the threads.
    fn drop(&mut self) {
        self.shared.queue.close();
        for thread in locked(&self.threads).drain(..) {
            threads::join(thread, "a compute thread");
        }
    }
}

impl Shared {
    /// The loop of a compute thread.
    fn work(&self, beat: &Beat) {
        while let Some(jobs) = self.queue.take(self.batch_sessions) {
            let now = Instant::now();
            jobs.iter().for_each(|(since, _)| self.metrics.queued(now - *since));
            // Jobs whose client has gone away or whose deadline has passed are dropped.
            let wanted = jobs.into_iter().map(|(_, job)| job).filter(|job| job.is_wanted(now));
            let jobs: Vec<Job> = wanted.collect();
            if jobs.is_empty() {
                continue;
            }
            let _busy = beat.begin();
            let current = self.current.load_full();
            let mut groups: Vec<(Arc<Served>, Vec<ListJob>)> = Vec::with_capacity(1);
            let mut similar = Vec::new();
            for job in jobs {
                let mut job = match job {
                    Job::Lists(job) => job,
                    Job::Similar(job) => {
                        similar.push(job);
                        continue;
                    }
                };
                let model = job.model.take().unwrap_or_else(|| Arc::clone(&current));
                match groups.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &model)) {
                    Some((_, jobs)) => jobs.push(job),
                    None => groups.push((model, vec![job])),
                }
            }
            groups.into_iter().for_each(|(model, jobs)| self.compute(&model, jobs));
            similar.into_iter().for_each(|job| job.compute(&current));
            self.metrics.computed(now.elapsed());
        }
    }

    /// Computes jobs together; if that fails, each alone, so that a failing job does not affect the others.
    ///
    /// The computation stops as soon as none of the answers is wanted, so that slow or abandoned requests do not delay
    /// others any longer.
    fn compute(&self, served: &Arc<Served>, jobs: Vec<ListJob>) {
        let questions: Vec<&Question> = jobs.iter().flat_map(|job| &job.questions).collect();
        self.metrics.batch(questions.len());
        // A panic must not end the compute thread.
        let mut observe = || {
            let now = Instant::now();
            if jobs.iter().any(|job| job.waiter.is_wanted(now)) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let lists = match catch_unwind(AssertUnwindSafe(|| served.answer(&questions, &mut observe))) {
            Ok(Ok(Some(lists))) => Some(lists),
            Ok(Ok(None)) => {
                return jobs.into_iter().for_each(|job| job.waiter.send(Err(Refusal::TimedOut)));
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
            return jobs.into_iter().for_each(|job| job.waiter.send(Err(Refusal::Failed)));
        };
        let mut lists = lists.into_iter();
        for job in jobs {
            let lists = lists.by_ref().take(job.questions.len()).collect();
            job.waiter.send(Ok(Answer { role: self.role, served: Arc::clone(served), lists }));
        }
    }
}

//! Who computes? Threads of their own, so that a long computation never keeps a connection waiting to be read.
//!
//! A request takes a place in a bounded queue; a thread takes as many sessions as fit into a batch and answers them
//! together. Under light load a batch is one session, under heavy load batches grow by themselves: nobody waits for a
//! batch to fill. The model is looked up once a batch, so an answer comes from one model, whatever is swapped meanwhile.

mod queue;
mod served;

pub(crate) use queue::Place;
pub(crate) use served::Served;

use crate::locked;
use crate::metrics::Metrics;
use crate::models::Role;
use crate::problem::Problem;
use crate::{Error, ServerConfig};
use arc_swap::ArcSwap;
use axum::http::StatusCode;
use queue::Queue;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use upnext::data::ItemIndex;
use upnext::ranking::RecommendationList;

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
    deadline: Instant,
    answer: oneshot::Sender<Result<Answer, Refusal>>,
}

/// The compute threads, their queue, and the model.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) role: Role,
    shared: Arc<Shared>,
    timeout: Duration,
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
        let engine = Self { role, shared, timeout: config.request_timeout(), threads: Mutex::default() };
        for i in 0..config.compute_threads() {
            let shared = Arc::clone(&engine.shared);
            let thread = std::thread::Builder::new()
                .name(format!("compute-{i}"))
                .spawn(move || shared.work())
                .map_err(|source| Error::System { action: "start a compute thread", source })?;
            locked(&engine.threads).push(thread);
        }
        Ok(engine)
    }

    /// The model that answers from now on.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.shared.current.load_full()
    }

    /// Answers from the next batch on with another model.
    pub(crate) fn swap(&self, served: Served) {
        self.shared.current.store(Arc::new(served));
    }

    /// Number of sessions that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// A place in the queue for so many sessions.
    pub(crate) fn reserve(&self, sessions: usize) -> Result<Place, Refusal> {
        self.shared.queue.reserve(sessions).ok_or(Refusal::Full)
    }

    /// Answers the questions that `place` was reserved for.
    pub(crate) async fn answer(&self, place: Place, questions: Vec<Question>) -> Result<Answer, Refusal> {
        let (sender, receiver) = oneshot::channel();
        let deadline = Instant::now() + self.timeout;
        self.shared.queue.push(place, Job { questions, deadline, answer: sender });
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
            if thread.join().is_err() {
                tracing::error!("a compute thread ended by a panic");
            }
        }
    }
}

impl Shared {
    /// What a compute thread does.
    fn work(&self) {
        while let Some(mut jobs) = self.queue.take(self.batch_sessions) {
            // Who has gone away, or will have before this is computed, needs no answer.
            let now = Instant::now();
            jobs.retain(|job| !job.answer.is_closed() && job.deadline > now);
            if jobs.is_empty() {
                continue;
            }
            let served = self.current.load_full();
            let questions: Vec<&Question> = jobs.iter().flat_map(|job| &job.questions).collect();
            self.metrics.batch(questions.len());
            // One broken computation must not take the thread, and with it the server, away.
            let answers = match catch_unwind(AssertUnwindSafe(|| served.answer(&questions))) {
                Ok(Ok(lists)) => lists,
                Ok(Err(error)) => {
                    tracing::error!(model = served.name, version = served.version(), %error, "no answer");
                    Vec::new()
                }
                Err(_) => {
                    tracing::error!(
                        model = served.name,
                        version = served.version(),
                        "the computation panicked"
                    );
                    Vec::new()
                }
            };
            let mut answers = answers.into_iter();
            for job in jobs {
                let lists: Vec<Listed> = answers.by_ref().take(job.questions.len()).collect();
                let answer = if lists.len() == job.questions.len() {
                    Ok(Answer { role: self.role, served: Arc::clone(&served), lists })
                } else {
                    Err(Refusal::Failed)
                };
                // A client that has gone away meanwhile is no error.
                _ = job.answer.send(answer);
            }
        }
    }
}

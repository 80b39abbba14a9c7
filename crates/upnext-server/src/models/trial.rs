//! The trial of a model before it replaces a served one: it computes lists that nobody sees.

use super::Role;
use crate::engine::{Engine, Refusal, Served};
use crate::metrics::Metrics;
use crate::{ServerConfig, locked};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Time that a trial waits for its requests; then it is judged by those that came.
const PATIENCE: Duration = Duration::from_secs(300);

/// A model that is tried.
#[derive(Debug)]
pub(super) struct Trial {
    role: Role,
    engine: Arc<Engine>,
    requests: usize,
    min_overlap: f64,
    counts: Mutex<Counts>,
    /// Whether an operator does not want to wait for it.
    is_given_up: AtomicBool,
    /// Notified when the requests have been answered, or one has failed.
    done: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    compared: usize,
    late: usize,
    failed: usize,
    overlap: f64,
}

impl Trial {
    /// Starts one compute thread for the model.
    pub(super) fn start(
        role: Role,
        served: Arc<Served>,
        config: &ServerConfig,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, String> {
        let one = ServerConfig { compute_threads: 1, ..config.clone() };
        let engine = Engine::start(served, role, &one, Arc::clone(metrics)).map_err(|e| e.to_string())?;
        Ok(Arc::new(Self {
            role,
            engine: Arc::new(engine),
            requests: config.reload_shadow_requests,
            min_overlap: config.reload_min_overlap,
            counts: Mutex::default(),
            is_given_up: AtomicBool::new(false),
            done: Notify::new(),
        }))
    }

    /// The role of the model that it shall replace.
    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    /// Counts a list that has this part of the items of the one that was shown.
    pub(super) fn compared(&self, overlap: f64) {
        let mut counts = locked(&self.counts);
        counts.compared += 1;
        counts.overlap += overlap;
        if counts.compared >= self.requests {
            self.done.notify_one();
        }
    }

    /// Counts a list that could not be computed, or was late: the model has one thread, and is not asked while its queue is full.
    pub(super) fn failed(&self, refusal: Refusal) {
        let mut counts = locked(&self.counts);
        match refusal {
            Refusal::Failed => counts.failed += 1,
            Refusal::TimedOut | Refusal::Full => counts.late += 1,
        }
        if refusal == Refusal::Failed || counts.late >= self.requests {
            self.done.notify_one();
        }
    }

    /// Ends the trial: the model does not replace the served one.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
        self.done.notify_one();
    }

    /// Waits for the requests.
    ///
    /// # Errors
    /// With the reason why the model shall not replace the served one.
    pub(super) async fn outcome(&self) -> Result<(), String> {
        let is_whole = tokio::time::timeout(PATIENCE, self.done.notified()).await.is_ok();
        let Counts { compared, late, failed, overlap } = *locked(&self.counts);
        let mean = overlap / compared.max(1) as f64;
        tracing::info!(
            role = self.role.name(),
            compared,
            late,
            failed,
            mean_overlap = mean,
            is_whole,
            "a model was tried"
        );
        if self.is_given_up.load(Ordering::Relaxed) {
            return Err("its trial was ended by a forced reload".to_owned());
        }
        if late > compared {
            return Err(format!(
                "in the trial it was too slow: {late} lists were late, and {compared} were not"
            ));
        }
        if failed > 0 {
            return Err(format!(
                "in the trial it failed to answer, after {compared} lists: the log says why"
            ));
        }
        if compared > 0 && mean < self.min_overlap {
            return Err(format!(
                "in the trial its lists had {mean:.3} of the items of the served model, over {compared} lists, and reload_min_overlap is {}",
                self.min_overlap
            ));
        }
        Ok(())
    }
}

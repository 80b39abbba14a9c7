//! The trial of a model before it replaces a served one: it computes lists that nobody sees.

use super::Role;
use crate::engine::{Engine, Refusal, Served};
use crate::metrics::Metrics;
use crate::{ServerConfig, locked};
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
    /// Notified when the requests have been answered, or one has failed.
    done: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    compared: usize,
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

    /// Counts a list that could not be computed. One that was late was not the model's fault: it has only one thread.
    pub(super) fn failed(&self, refusal: Refusal) {
        if refusal == Refusal::Failed {
            locked(&self.counts).failed += 1;
            self.done.notify_one();
        }
    }

    /// Waits for the requests.
    ///
    /// # Errors
    /// With the reason why the model shall not replace the served one.
    pub(super) async fn outcome(&self) -> Result<(), String> {
        let is_whole = tokio::time::timeout(PATIENCE, self.done.notified()).await.is_ok();
        let Counts { compared, failed, overlap } = *locked(&self.counts);
        let mean = overlap / compared.max(1) as f64;
        tracing::info!(
            role = self.role.name(),
            compared,
            failed,
            mean_overlap = mean,
            is_whole,
            "a model was tried"
        );
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

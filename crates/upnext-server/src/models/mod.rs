//! The one or two served models, and the choice of the model that answers a request.
//!
//! The first model answers unless the request names the second or its session belongs to the second model's share. For
//! some of the first model's sessions the second computes shadow lists, which are only logged and counted. A model that shall
//! replace one of them can be tried in the same way before it does.

mod shadow;
mod trial;

use crate::engine::{Answer, Engine, Question, Refusal, Reservation, Served};
use crate::lists::Lists;
use crate::metrics::Metrics;
use crate::new_items::NewItems;
use crate::problem::Problem;
use crate::reload::name_of;
use crate::requests::RequestId;
use crate::{Error, ServerConfig, checksum};
use arc_swap::ArcSwapOption;
use axum::http::StatusCode;
use shadow::{Shadow, Verdict};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trial::Trial;
use upnext_kernels::CounterRng;

/// Random streams for the two decisions about a session, which are independent of each other.
const SHARE: u64 = 0;
const SHADOW: u64 = 1;

/// The served model, and perhaps a second one to compare it with.
#[derive(Debug)]
pub(crate) struct Models {
    first: Arc<Engine>,
    second: Option<Arc<Engine>>,
    /// Fraction of the sessions that the second model answers.
    share: Fraction,
    /// Fraction of the other sessions for which the second model computes shadow lists.
    shadow: Fraction,
    /// The model that is tried before it replaces one.
    trial: ArcSwapOption<Trial>,
    config: ServerConfig,
    /// Time limit of a shadow list.
    timeout: Duration,
    metrics: Arc<Metrics>,
}

/// A number from 0 to 1 that can be changed while requests are answered.
#[derive(Debug)]
struct Fraction(AtomicU64);

impl Fraction {
    fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Models {
    /// Loads the models and starts their threads.
    pub(crate) fn load(
        model: &Path,
        name: Option<&str>,
        config: &ServerConfig,
        (lists, new_items): (&Lists, &NewItems),
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Error> {
        let load = |path: &Path, name: &str| Served::load(path, name, lists, config.max_catalogue_columns);
        let first = new_items.added_at_start(
            load(model, &name_of(name, model))?,
            lists,
            config.max_catalogue_columns,
        )?;
        let second = config.compare_model.as_deref();
        let second = second.map(|path| load(path, &name_of(None, path))).transpose()?;
        if let Some(second) = second.as_ref().filter(|second| second.name == first.name) {
            return Err(Error::SameName { name: second.name.clone() });
        }
        let second = second
            .map(|second| new_items.added_at_start(second, lists, config.max_catalogue_columns))
            .transpose()?;
        new_items.check_use([Some(&first), second.as_ref()].into_iter().flatten())?;
        let start = |served: Served, role, config: &ServerConfig| {
            let engine = Engine::start(Arc::new(served), role, config, Arc::clone(metrics))?;
            Ok::<_, Error>(Arc::new(engine))
        };
        // Without a share of the sessions, one thread is enough.
        let few = ServerConfig { compute_threads: 1, ..config.clone() };
        let second_config = if config.compare_share > 0.0 { config } else { &few };
        let models = Self {
            first: start(first, Role::First, config)?,
            second: second.map(|second| start(second, Role::Second, second_config)).transpose()?,
            share: Fraction::new(config.compare_share),
            shadow: Fraction::new(config.compare_shadow),
            trial: ArcSwapOption::empty(),
            config: config.clone(),
            timeout: Duration::from_millis(config.request_timeout_ms),
            metrics: Arc::clone(metrics),
        };
        metrics.models(models.all());
        metrics.shares(config.compare_share, config.compare_shadow);
        Ok(models)
    }

    /// The fractions of the sessions that the second model answers, and sees in the shadow.
    pub(crate) fn shares(&self) -> (f64, f64) {
        (self.share.get(), self.shadow.get())
    }

    /// Changes these fractions. The second model keeps its number of threads.
    pub(crate) fn share(&self, share: f64, shadow: f64) {
        self.share.set(share);
        self.shadow.set(shadow);
        self.metrics.shares(share, shadow);
    }

    /// Whether there is a second model.
    pub(crate) fn has_second(&self) -> bool {
        self.second.is_some()
    }

    /// Lets a model compute lists that nobody sees, for as many requests to the one that it shall replace as the configuration
    /// wants.
    ///
    /// # Errors
    /// With the reason why it shall not replace it.
    pub(crate) async fn try_out(&self, role: Role, served: &Arc<Served>) -> Result<(), String> {
        if self.config.reload_shadow_requests == 0 {
            return Ok(());
        }
        let trial = Trial::start(role, Arc::clone(served), &self.config, &self.metrics)?;
        self.trial.store(Some(Arc::clone(&trial)));
        let outcome = trial.outcome().await;
        self.trial.store(None);
        // Ends its thread, after what is in its queue.
        tokio::task::spawn_blocking(move || drop(trial));
        outcome
    }

    /// Ends a trial that is going on.
    pub(crate) fn give_up_trial(&self) {
        if let Some(trial) = self.trial.load_full() {
            trial.give_up();
        }
    }

    /// The engine of a role; that of the first model if there is no second.
    pub(crate) fn of(&self, role: Role) -> &Engine {
        match (role, &self.second) {
            (Role::Second, Some(second)) => second,
            _ => &self.first,
        }
    }

    /// The engine of the model that answers by default.
    pub(crate) fn first(&self) -> &Engine {
        &self.first
    }

    /// The engines of all models, beginning with the first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Engine> {
        std::iter::once(&*self.first).chain(self.second.as_deref())
    }

    /// The engine of the model with this name. The problem has no field yet.
    pub(crate) fn named(&self, name: &str) -> Result<&Engine, Problem> {
        self.all().find(|engine| engine.served().name == name).ok_or_else(|| {
            let names: Vec<String> = self.all().map(|engine| engine.served().name.clone()).collect();
            let detail = format!("no model has this name: the server has `{}`", names.join("`, `"));
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        })
    }

    /// Chooses the model that answers a request: the one that it names, or the one of its session, or the first.
    ///
    /// A session belongs to the same model on every replica as long as the share is the same, and a larger share
    /// includes the sessions of a smaller one. For some of the other sessions, the second model computes a shadow list.
    pub(crate) fn choose(&self, name: Option<&str>, session_id: Option<&str>) -> Result<Chosen<'_>, Problem> {
        let mut chosen = Chosen { engine: &self.first, shadows: Vec::new() };
        if let Some(name) = name {
            chosen.engine = self.named(name).map_err(|problem| problem.within("model"))?;
        } else if let (Some(second), Some(id)) = (&self.second, session_id) {
            if session_fraction(id, SHARE) < self.share.get() {
                chosen.engine = second;
            } else if session_fraction(id, SHADOW) < self.shadow.get() {
                chosen.shadows.push(self.shadow_of(second, Verdict::Logged));
            }
        }
        let trial = self.trial.load_full().filter(|trial| trial.role() == chosen.engine.role());
        if let Some(trial) = trial {
            let engine = trial.engine();
            chosen.shadows.push(self.shadow_of(&engine, Verdict::Of(trial)));
        }
        Ok(chosen)
    }

    fn shadow_of(&self, engine: &Arc<Engine>, verdict: Verdict) -> Shadow {
        let metrics = Arc::clone(&self.metrics);
        Shadow { engine: Arc::clone(engine), timeout: self.timeout, metrics, verdict }
    }
}

/// The engine that answers a request, and the models that compute lists that nobody sees.
#[derive(Debug)]
pub(crate) struct Chosen<'m> {
    pub(crate) engine: &'m Engine,
    shadows: Vec<Shadow>,
}

impl Chosen<'_> {
    /// Answers the question that `reservation` was made for, and starts the shadow lists after that.
    pub(crate) async fn answer(
        self,
        reservation: Reservation,
        question: Question,
        deadline: Instant,
        request: RequestId,
    ) -> Result<Answer, Refusal> {
        let copy = (!self.shadows.is_empty()).then(|| Question { why: false, ..question.clone() });
        let answer = self.engine.answer(reservation, vec![question], deadline).await?;
        if let Some(question) = copy {
            for shadow in self.shadows {
                shadow.ask(question.clone(), &answer, request.clone());
            }
        }
        Ok(answer)
    }
}

/// A number from 0 to 1, uniformly distributed over session ids and fixed for an id and a stream.
fn session_fraction(id: &str, stream: u64) -> f64 {
    CounterRng::new(checksum(id.as_bytes()).into(), stream).unit_f64(0)
}

/// The role of a model, which is a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// The model that answers by default.
    First,
    /// The model that is compared with the first.
    Second,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_dealt_evenly_and_share_and_shadow_apart() {
        let ids: Vec<String> = (0..20_000).map(|i| format!("session-{i}")).collect();
        let below =
            |stream, share: f64| ids.iter().filter(|id| session_fraction(id, stream) < share).count() as f64;
        for share in [0.1_f64, 0.5] {
            // Three standard deviations of a binomial count.
            let (mean, spread) = (20_000.0 * share, 3.0 * (20_000.0 * share * (1.0 - share)).sqrt());
            assert!((below(SHARE, share) - mean).abs() < spread, "{share}");
            let both = ids
                .iter()
                .filter(|id| session_fraction(id, SHARE) < share && session_fraction(id, SHADOW) < share)
                .count();
            let (mean, share) = (20_000.0 * share * share, share * share);
            assert!((both as f64 - mean).abs() < 3.0 * (mean * (1.0 - share)).sqrt(), "{share}");
        }
        assert_eq!((below(SHARE, 0.0), below(SHARE, 1.0)), (0.0, 20_000.0));
    }
}

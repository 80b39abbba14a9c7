//! The one or two served models, and the choice of the model that answers a request.
//!
//! The first model answers unless the request names the second or its session belongs to the second model's share. For
//! some of the first model's sessions the second computes shadow lists, which are only logged and counted.

use crate::engine::{Answer, Engine, Question, Refusal, Reservation, Served};
use crate::lists::Lists;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::reload::name_of;
use crate::requests::RequestId;
use crate::{Error, ServerConfig, checksum};
use axum::http::StatusCode;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
    share: f64,
    /// Fraction of the other sessions for which the second model computes shadow lists.
    shadow: f64,
    /// Time limit of a shadow list.
    timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Models {
    /// Loads the models and starts their threads.
    pub(crate) fn load(
        model: &Path,
        name: Option<&str>,
        config: &ServerConfig,
        lists: &Lists,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Error> {
        let load = |path: &Path, name: &str| Served::load(path, name, lists, config.max_catalogue_columns);
        let first = load(model, &name_of(name, model))?;
        let second = config.compare_model.as_deref();
        let second = second.map(|path| load(path, &name_of(None, path))).transpose()?;
        if let Some(Served { name, .. }) = second.as_ref().filter(|second| second.name == first.name) {
            return Err(Error::SameName { name: name.clone() });
        }
        let start = |served: Served, role, config: &ServerConfig| {
            let engine = Engine::start(served, role, config, Arc::clone(metrics))?;
            Ok::<_, Error>(Arc::new(engine))
        };
        // Without a share of the sessions, one thread is enough.
        let few = ServerConfig { compute_threads: 1, ..config.clone() };
        let second_config = if config.compare_share > 0.0 { config } else { &few };
        let models = Self {
            first: start(first, Role::First, config)?,
            second: second.map(|second| start(second, Role::Second, second_config)).transpose()?,
            share: config.compare_share,
            shadow: config.compare_shadow,
            timeout: Duration::from_millis(config.request_timeout_ms),
            metrics: Arc::clone(metrics),
        };
        metrics.models(models.all());
        Ok(models)
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
        let alone = |engine| Chosen { engine, shadow: None };
        if let Some(name) = name {
            return self.named(name).map(alone).map_err(|problem| problem.within("model"));
        }
        let (Some(second), Some(id)) = (&self.second, session_id) else { return Ok(alone(&self.first)) };
        if session_fraction(id, SHARE) < self.share {
            return Ok(alone(second));
        }
        let shadow = || Shadow {
            engine: Arc::clone(second),
            timeout: self.timeout,
            metrics: Arc::clone(&self.metrics),
        };
        Ok(Chosen { engine: &self.first, shadow: (session_fraction(id, SHADOW) < self.shadow).then(shadow) })
    }
}

/// The engine that answers a request, and the shadow model, if any.
#[derive(Debug)]
pub(crate) struct Chosen<'m> {
    pub(crate) engine: &'m Engine,
    shadow: Option<Shadow>,
}

impl Chosen<'_> {
    /// Answers the question that `reservation` was made for, and starts the shadow list after that.
    pub(crate) async fn answer(
        self,
        reservation: Reservation,
        question: Question,
        deadline: Instant,
        request: RequestId,
    ) -> Result<Answer, Refusal> {
        let copy = self.shadow.as_ref().map(|_| Question { why: false, ..question.clone() });
        let answer = self.engine.answer(reservation, vec![question], deadline).await?;
        if let (Some(shadow), Some(question)) = (self.shadow, copy) {
            shadow.ask(question, &answer, request);
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

/// Computes the second model's list for a question that the first model has answered. No client waits for it.
#[derive(Debug)]
pub(crate) struct Shadow {
    engine: Arc<Engine>,
    timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Shadow {
    /// Computes the list in the background and logs its differences. If the second model's queue is full, as under
    /// heavy load, the question is dropped and counted.
    pub(crate) fn ask(self, question: Question, first: &Answer, request: RequestId) {
        let Ok(reservation) = self.engine.reserve(1) else { return self.metrics.shadow_dropped() };
        let first = Summary::of(first);
        tokio::spawn(async move {
            let (k, began) = (question.k, Instant::now());
            match self.engine.answer(reservation, vec![question], began + self.timeout).await {
                Ok(second) => {
                    let ms = began.elapsed().as_secs_f64() * 1e3;
                    self.compare(k, &first, &Summary::of(&second), ms, &request);
                }
                Err(_) => self.metrics.shadow_dropped(),
            }
        });
    }

    fn compare(&self, k: usize, first: &Summary, second: &Summary, ms: f64, request: &RequestId) {
        let difference = Difference::between(&first.items, &second.items);
        self.metrics.shadow(difference.overlap());
        if !difference.same {
            tracing::info!(
                request_id = &*request.0,
                first = first.name,
                first_version = first.version,
                second = second.name,
                second_version = second.version,
                k,
                common = difference.common,
                longer = difference.longer,
                same_top = difference.same_top,
                first_fell_back = first.fell_back,
                second_fell_back = second.fell_back,
                ms,
                "shadow differs"
            );
        }
    }
}

/// The parts of an answer that are compared.
#[derive(Debug)]
struct Summary {
    name: String,
    version: String,
    fell_back: bool,
    /// Item ids, best first, since each model has its own item indices.
    items: Vec<String>,
}

impl Summary {
    /// The summary of an answer to one question.
    fn of(answer: &Answer) -> Self {
        let Answer { served, lists, .. } = answer;
        let entries = lists.iter().flat_map(|listed| &listed.list.entries);
        Self {
            name: served.name.clone(),
            version: served.version().to_owned(),
            fell_back: lists.iter().any(|listed| listed.list.fell_back),
            items: entries.map(|entry| served.loaded.items().id(entry.item).to_owned()).collect(),
        }
    }
}

/// The difference of two lists.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    /// Number of items in both lists.
    common: usize,
    /// Length of the longer list.
    longer: usize,
    /// Whether the best items are the same.
    same_top: bool,
    /// Whether the lists are equal, order included.
    same: bool,
}

impl Difference {
    fn between(first: &[String], second: &[String]) -> Self {
        let own: std::collections::HashSet<&String> = first.iter().collect();
        Self {
            common: second.iter().filter(|item| own.contains(item)).count(),
            longer: first.len().max(second.len()),
            same_top: first.first() == second.first(),
            same: first == second,
        }
    }

    /// The fraction of common items, from 0 to 1; 1 for two empty lists.
    fn overlap(&self) -> f64 {
        if self.longer == 0 { 1.0 } else { self.common as f64 / self.longer as f64 }
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

    #[test]
    fn lists_differ_by_what_stands_in_them_and_by_order() {
        let list = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let between = |first: &str, second: &str| Difference::between(&list(first), &list(second));
        let same = between("abc", "abc");
        assert_eq!(same, Difference { common: 3, longer: 3, same_top: true, same: true });
        let swapped = between("abc", "acb");
        assert_eq!(swapped, Difference { common: 3, longer: 3, same_top: true, same: false });
        let shorter = between("abcd", "xa");
        assert_eq!(shorter, Difference { common: 1, longer: 4, same_top: false, same: false });
        assert_eq!((same.overlap(), shorter.overlap(), between("", "").overlap()), (1.0, 0.25, 1.0));
    }
}

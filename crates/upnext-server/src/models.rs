//! Which model answers a request? The served one, unless the request names the other or its session is of the other's
//! share; and whom does the other answer in the shadow, for the log alone?

use crate::engine::{Answer, Engine, Place, Question, Refusal, Served};
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

/// The streams of numbers that sessions are dealt by: a session's share and its shadow have nothing to do with each other.
const SHARE: u64 = 0;
const SHADOW: u64 = 1;

/// The served model, and perhaps a second one to compare it with.
#[derive(Debug)]
pub(crate) struct Models {
    first: Arc<Engine>,
    second: Option<Arc<Engine>>,
    /// Part of the sessions that the second model answers.
    share: f64,
    /// Part of the other sessions that the second model is asked about, too.
    shadow: f64,
    /// Time that the second model has in the shadow.
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
        // Without a share of visitors, one thread is enough.
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

    /// The model in a role; the first, where the role is not filled.
    pub(crate) fn of(&self, role: Role) -> &Engine {
        match (role, &self.second) {
            (Role::Second, Some(second)) => second,
            _ => &self.first,
        }
    }

    /// The model that answers by default.
    pub(crate) fn first(&self) -> &Engine {
        &self.first
    }

    /// All models, the first first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Engine> {
        std::iter::once(&*self.first).chain(self.second.as_deref())
    }

    /// The model with this name; the problem has no field yet.
    pub(crate) fn named(&self, name: &str) -> Result<&Engine, Problem> {
        self.all().find(|engine| engine.served().name == name).ok_or_else(|| {
            let names: Vec<String> = self.all().map(|engine| engine.served().name.clone()).collect();
            let detail = format!("no model has this name: the server has `{}`", names.join("`, `"));
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        })
    }

    /// Who answers a request: the model that it names, or that of its session, or the first.
    ///
    /// A session belongs to the same model on every replica while the share stays as it is, and a larger share keeps the
    /// sessions of a smaller one. The second model is asked in the shadow of the first for some of the other sessions.
    pub(crate) fn choose(&self, name: Option<&str>, session_id: Option<&str>) -> Result<Chosen<'_>, Problem> {
        let alone = |engine| Chosen { engine, shadow: None };
        if let Some(name) = name {
            return self.named(name).map(alone).map_err(|problem| problem.within("model"));
        }
        let (Some(second), Some(id)) = (&self.second, session_id) else { return Ok(alone(&self.first)) };
        if dealt(id, SHARE) < self.share {
            return Ok(alone(second));
        }
        let shadow = || Shadow {
            engine: Arc::clone(second),
            timeout: self.timeout,
            metrics: Arc::clone(&self.metrics),
        };
        Ok(Chosen { engine: &self.first, shadow: (dealt(id, SHADOW) < self.shadow).then(shadow) })
    }
}

/// Who answers a request, and who is asked in its shadow.
#[derive(Debug)]
pub(crate) struct Chosen<'m> {
    pub(crate) engine: &'m Engine,
    shadow: Option<Shadow>,
}

impl Chosen<'_> {
    /// Answers the question that `place` was reserved for.
    pub(crate) async fn answer(
        self,
        place: Place,
        question: Question,
        deadline: Instant,
        request: RequestId,
    ) -> Result<Answer, Refusal> {
        let copy = self.shadow.as_ref().map(|_| Question { why: false, ..question.clone() });
        let answer = self.engine.answer(place, vec![question], deadline).await?;
        if let (Some(shadow), Some(question)) = (self.shadow, copy) {
            shadow.ask(question, &answer, request);
        }
        Ok(answer)
    }
}

/// A number from 0 to 1 that belongs to a session.
fn dealt(id: &str, stream: u64) -> f64 {
    CounterRng::new(checksum(id.as_bytes()).into(), stream).unit_f64(0)
}

/// The part that a model plays, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It answers by default.
    First,
    /// It is compared with the first.
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

/// A second model that is asked what the first one was, after the first one's answer and without anybody waiting.
#[derive(Debug)]
pub(crate) struct Shadow {
    engine: Arc<Engine>,
    timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Shadow {
    /// Asks, and logs how the two lists differ. Under load the second model's queue is full, and the question is dropped.
    pub(crate) fn ask(self, question: Question, first: &Answer, request: RequestId) {
        let Ok(place) = self.engine.reserve(1) else { return self.metrics.shadow_dropped() };
        let first = Summary::of(first);
        tokio::spawn(async move {
            let (k, began) = (question.k, Instant::now());
            match self.engine.answer(place, vec![question], began + self.timeout).await {
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

/// What is kept of an answer until the other one comes.
#[derive(Debug)]
struct Summary {
    name: String,
    version: String,
    fell_back: bool,
    /// Ids, best first: the two models number items each in its own way.
    items: Vec<String>,
}

impl Summary {
    /// Of an answer about one session.
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

/// How two lists differ.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    /// Number of items that stand in both.
    common: usize,
    /// Length of the longer one.
    longer: usize,
    /// Whether the best item is the same.
    same_top: bool,
    /// Whether they are the same, order included.
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

    /// From 0, nothing in common, to 1.
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
        let below = |stream, share: f64| ids.iter().filter(|id| dealt(id, stream) < share).count() as f64;
        for share in [0.1_f64, 0.5] {
            // Three standard deviations of a binomial count.
            let (mean, spread) = (20_000.0 * share, 3.0 * (20_000.0 * share * (1.0 - share)).sqrt());
            assert!((below(SHARE, share) - mean).abs() < spread, "{share}");
            let both = ids.iter().filter(|id| dealt(id, SHARE) < share && dealt(id, SHADOW) < share).count();
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

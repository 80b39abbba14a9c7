//! Tuning: a search for the parameters of a model that are best on a log.
//!
//! The procedure is that of Hidasi et al., ICLR 2016, section 4.2: random points of a [`SearchSpace`] are trained and
//! evaluated on a validation part, then the best one is refined one parameter at a time. Besides random sampling there
//! is a sampler that uses the trials so far ([`Sampler::Tpe`]), and trials that fall behind can be stopped early
//! ([`TuningOptions::halving`]).
//!
//! A search receives the sessions to fit and the sessions to validate on, and never the test part.
//!
//! Every trial is stored when it ends, in an append-only file ([`TrialStore`]). The procedure is deterministic and
//! takes stored trials instead of running them again, so that a search that was killed is continued by running it
//! again, and ends with the same result. So do several processes, on machines that share the folder, each of which runs the
//! trials that no other one does ([`TrialStore::share`]).

mod claims;
mod domain;
mod importance;
mod runner;
mod schedule;
mod search;
mod space;
mod store;
mod tpe;

pub use domain::Domain;
pub use importance::{Importance, importance};
pub use runner::RunningTrial;
pub use search::{Event, Found, TuningPlan, tune, tune_locked};
pub use space::{Parameter, SearchSpace};
pub use store::{TrialLock, TrialStore};

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Options of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TuningOptions {
    /// Number of points to sample, 1 to [`MAX_TRIALS`](Self::MAX_TRIALS); default 100, as in the paper.
    pub trials: usize,
    /// The metric on the validation part to maximise; default recall, the paper's main metric.
    pub objective: Objective,
    /// How points are sampled; default random, as in the paper.
    pub sampler: Sampler,
    /// Successive halving: trials are stopped at a ninth and at a third of their epochs unless they are in the best
    /// third by then (Jamieson and Talwalkar, AISTATS 2016); default off, as in the paper.
    pub halving: bool,
    /// Whether the best point is refined one parameter at a time; default on, as in the paper.
    pub refine: bool,
    /// Seed of the sampled points; trials use the seed of the experiment.
    pub seed: u64,
}

impl Default for TuningOptions {
    fn default() -> Self {
        Self {
            trials: 100,
            objective: Objective::Recall,
            sampler: Sampler::Random,
            halving: false,
            refine: true,
            seed: 1,
        }
    }
}

/// The metric that a search maximises, at the largest cut-off of the experiment's evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Recall.
    Recall,
    /// MRR.
    Mrr,
}

impl Objective {
    /// The other metric, which decides between trials that are level.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Recall => Self::Mrr,
            Self::Mrr => Self::Recall,
        }
    }

    /// The name in tables, without the cut-off.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Mrr => "mrr",
        }
    }
}

/// How the points of a search are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// At random, each point independently.
    Random,
    /// By the tree-structured Parzen estimator after 20 random points: where good points are dense and bad ones are not
    /// (Bergstra et al., NeurIPS 2011).
    Tpe,
}

/// The part of the procedure to which a trial belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The sampled points.
    Sample,
    /// The points that differ from the best one in one parameter.
    Refine,
}

/// The values of a point's parameters, by key.
pub type Values = BTreeMap<String, toml::Value>;

/// A point of the search space whose model was trained and evaluated, or failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number in the order of the procedure, from 1. In the file of an extended search, a refinement trial has the
    /// number from the search that ran it.
    pub trial: usize,
    /// The part of the procedure to which it belongs.
    pub phase: Phase,
    /// The values of the parameters, by key.
    pub values: Values,
    /// Number of epochs after which it was evaluated; absent for a model that is not trained by `training.epochs`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epochs: Option<usize>,
    /// Its result.
    #[serde(flatten)]
    pub verdict: TrialResult,
    /// Seconds of training and evaluation on one thread, in the process that finished it.
    pub seconds: f64,
}

/// The result of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum TrialResult {
    /// It was evaluated on the validation part.
    Judged {
        /// Recall at the largest cut-off.
        recall: f64,
        /// MRR at the largest cut-off.
        mrr: f64,
        /// Whether the network was numerically stable (`docs/evaluation.md`): its losses and scores were finite, as in
        /// every evaluated trial, and its recall is above that of POP.
        stable: bool,
    },
    /// It could not be trained or evaluated: numbers did not stay finite, or the values do not fit the data.
    Failed {
        /// The message of the error.
        reason: String,
    },
}

impl Trial {
    /// The value of the objective; `None` for a failed trial.
    pub fn figure(&self, objective: Objective) -> Option<f64> {
        match (&self.verdict, objective) {
            (TrialResult::Judged { recall, .. }, Objective::Recall) => Some(*recall),
            (TrialResult::Judged { mrr, .. }, Objective::Mrr) => Some(*mrr),
            (TrialResult::Failed { .. }, _) => None,
        }
    }

    /// Whether the network stayed numerically stable.
    pub fn is_stable(&self) -> bool {
        matches!(self.verdict, TrialResult::Judged { stable: true, .. })
    }
}

/// The evaluated trials, best first; ties are ordered by the other metric, and then by number.
pub fn ranked<'t>(trials: impl IntoIterator<Item = &'t Trial>, objective: Objective) -> Vec<&'t Trial> {
    let mut evaluated: Vec<(&Trial, f64)> =
        trials.into_iter().filter_map(|trial| Some((trial, trial.figure(objective)?))).collect();
    let other = |trial: &Trial| trial.figure(objective.other()).unwrap_or(f64::NEG_INFINITY);
    evaluated.sort_by(|a, b| {
        let by_other = || other(b.0).total_cmp(&other(a.0));
        b.1.total_cmp(&a.1).then_with(by_other).then_with(|| a.0.trial.cmp(&b.0.trial))
    });
    evaluated.into_iter().map(|(trial, _)| trial).collect()
}

/// Locks what threads of a search share: numbers, and maps whose entries are replaced as a whole, so that a panic of another
/// thread leaves them as they are.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TuningOptions {
    /// The maximum number of points that a search samples.
    pub const MAX_TRIALS: usize = 1_000_000;

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Config`] if `trials` is 0 or above [`MAX_TRIALS`](Self::MAX_TRIALS).
    pub fn validate(&self) -> Result<()> {
        if !(1..=Self::MAX_TRIALS).contains(&self.trials) {
            let reason = format!("is {}: try 1 to {} points", self.trials, Self::MAX_TRIALS);
            return Err(Error::config("trials", reason));
        }
        Ok(())
    }
}

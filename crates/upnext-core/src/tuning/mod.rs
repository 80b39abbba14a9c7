//! Tuning: which parameters of a model are best on this log?
//!
//! The procedure is that of Hidasi et al., ICLR 2016, section 4.2: a number of random points of a [`SearchSpace`] are
//! trained and judged on a validation part, then the best one is improved one parameter at a time. Beside random points
//! there is a sampler that learns from the points so far ([`Sampler::Tpe`]), and hopeless trials can be stopped early
//! ([`TuningOptions::halving`]).
//!
//! A search is given the sessions to fit and the sessions to validate on, and nothing else: the test part has no way in.
//!
//! Every trial is stored as it ends, in a file that is only appended to ([`TrialStore`]). The procedure asks for trials
//! one after the other and takes from the store what is there already, so that a search that was killed goes on by
//! being run again, and its result is that of one that was not.

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

/// How a search goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TuningOptions {
    /// Points that are sampled, 1 to [`MAX_TRIALS`](Self::MAX_TRIALS); the paper's 100.
    pub trials: usize,
    /// What is to be large on the validation part. Recall, the paper's main metric.
    pub objective: Objective,
    /// Where points come from. Random, as in the paper.
    pub sampler: Sampler,
    /// Successive halving: trials are stopped at a ninth and at a third of their epochs unless they are in the best third
    /// by then (Jamieson and Talwalkar, AISTATS 2016). Off in the paper.
    pub halving: bool,
    /// Whether the best point is improved one parameter at a time, as in the paper.
    pub refine: bool,
    /// Seed of the points; trials have the seed of the experiment.
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

/// What a search makes large, at the largest cut-off of the experiment's evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Recall.
    Recall,
    /// MRR.
    Mrr,
}

impl Objective {
    /// The name in tables, without the cut-off.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Mrr => "mrr",
        }
    }
}

/// Where the points of a search come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Every point by itself, at random.
    Random,
    /// After 20 random points, where good points are dense and bad ones are not: the tree-structured Parzen estimator
    /// (Bergstra et al., NeurIPS 2011).
    Tpe,
}

/// Why a point was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It was sampled.
    Sample,
    /// It is the best one with one parameter changed.
    Refine,
}

/// The values of a point's parameters, by key.
pub type Values = BTreeMap<String, toml::Value>;

/// A model that was trained and judged, or failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number in the order of the procedure, from 1; in the file of a search that was made longer, that of the search
    /// which made it.
    pub trial: usize,
    /// Why it was tried.
    pub phase: Phase,
    /// The values of the parameters, by key.
    pub values: Values,
    /// Epochs after which it was judged; absent for a model that is not trained in epochs of `training.epochs`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epochs: Option<usize>,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Seconds of training and judging on one thread, in the process that ended it.
    pub seconds: f64,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// It was judged on the validation part.
    Judged {
        /// Recall at the largest cut-off.
        recall: f64,
        /// MRR at the largest cut-off.
        mrr: f64,
        /// Whether the network was numerically stable (`docs/evaluation.md`): its losses and scores were finite, which they
        /// are where there is a judgement, and its recall is above that of POP.
        stable: bool,
    },
    /// It could not be trained or judged: its numbers did not stay finite, or its values do not go with the data.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Trial {
    /// The figure that a search makes large; `None` where there is none.
    pub fn figure(&self, objective: Objective) -> Option<f64> {
        match (&self.verdict, objective) {
            (Verdict::Judged { recall, .. }, Objective::Recall) => Some(*recall),
            (Verdict::Judged { mrr, .. }, Objective::Mrr) => Some(*mrr),
            (Verdict::Failed { .. }, _) => None,
        }
    }

    /// Whether the network stayed numerically stable.
    pub fn is_stable(&self) -> bool {
        matches!(self.verdict, Verdict::Judged { stable: true, .. })
    }
}

/// The trials that have a figure, the best first; of equals the one that came first.
pub fn ranked<'t>(trials: impl IntoIterator<Item = &'t Trial>, objective: Objective) -> Vec<&'t Trial> {
    let mut judged: Vec<(&Trial, f64)> =
        trials.into_iter().filter_map(|trial| Some((trial, trial.figure(objective)?))).collect();
    judged.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.trial.cmp(&b.0.trial)));
    judged.into_iter().map(|(trial, _)| trial).collect()
}

impl TuningOptions {
    /// The most points that a search samples: more than any would.
    pub const MAX_TRIALS: usize = 1_000_000;

    /// Whether the options make sense.
    ///
    /// # Errors
    /// [`Error::Config`] without a trial, or with more than [`MAX_TRIALS`](Self::MAX_TRIALS).
    pub fn validate(&self) -> Result<()> {
        if !(1..=Self::MAX_TRIALS).contains(&self.trials) {
            let reason = format!("is {}: try 1 to {} points", self.trials, Self::MAX_TRIALS);
            return Err(Error::config("trials", reason));
        }
        Ok(())
    }
}

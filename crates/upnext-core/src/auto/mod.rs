//! Auto: the best model for a log within a budget of time.
//!
//! The sessions of the last days are windows (`docs/auto.md`): every candidate is fitted on the sessions before a window and
//! lists what it expects in it. Every other session of a window is for learning weights of blends and numbers of epochs, the
//! rest for judging. Cheap models come first, so that a model is there after minutes; networks follow as
//! far as the budget allows. The winner is trained on all of the data.

mod character;
mod judge;
mod report;
mod run;
mod speed;
mod state;
#[cfg(test)]
mod tests;
mod trials;

pub use character::Character;
pub use report::{
    AutoReport, CandidateReport, Figures, LeftOutReport, MemberReport, SkippedReport, WindowReport,
};

use crate::comparison::Metric;
use crate::data::Dataset;
use crate::history::FitEvent;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The cut-off of all figures.
pub const CUTOFF: usize = 20;

/// What the best model has the most of: a metric at the cut-off 20, written as `recall@20` or `mrr@20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Objective(pub Metric);

impl Default for Objective {
    fn default() -> Self {
        Self(Metric::Mrr)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{CUTOFF}", self.0.name())
    }
}

impl FromStr for Objective {
    type Err = Error;

    /// # Errors
    /// [`Error::Config`] for anything else.
    fn from_str(text: &str) -> Result<Self> {
        let found = Metric::ALL.into_iter().map(Self).find(|objective| objective.to_string() == text);
        found.ok_or_else(|| {
            let all = Metric::ALL.map(|metric| Self(metric).to_string()).join(", ");
            Error::config("objective", format!("`{text}` is no objective: use one of {all}"))
        })
    }
}

impl TryFrom<String> for Objective {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Objective> for String {
    fn from(objective: Objective) -> Self {
        objective.to_string()
    }
}

/// The inputs of [`auto`].
#[derive(Debug)]
pub struct AutoPlan<'a> {
    /// The training data. The best model is trained on all of it.
    pub data: Arc<Dataset>,
    /// The folder in which the model is saved, as soon as there is one, and again whenever a better one is found.
    pub out: &'a Path,
    /// The time for everything. Cheap models are fitted whatever it is; a network is begun if it is expected to be trained in
    /// time.
    pub budget: Duration,
    /// What the best model has the most of.
    pub objective: Objective,
    /// Number of threads, at least 1. The result depends on it only through the time that trainings take.
    pub threads: usize,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Whether to go on with an interrupted run of the same plan; if there is none, a new one begins.
    pub resume: bool,
    /// The time between checkpoints of a network.
    pub checkpoint_every: Duration,
}

/// An event of a run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AutoEvent<'a> {
    /// What the log looks like, and the windows on which candidates are judged.
    Began(&'a Character, &'a [WindowReport]),
    /// A candidate is fitted on the sessions before a window, or on all of the data if `window` is `None`.
    Training {
        /// The name of the member.
        name: &'a str,
        /// The number of the window, from 1, and the number of windows.
        window: Option<(usize, usize)>,
    },
    /// The speed of a network is measured, on some mini-batches.
    Measuring {
        /// The name of the network.
        name: &'a str,
    },
    /// An event of a training.
    Fit(FitEvent<'a>),
    /// A member has been judged, alone.
    Judged(&'a MemberReport),
    /// A network has not been begun.
    Skipped(&'a SkippedReport),
    /// A member is left out.
    LeftOut {
        /// The name of the member.
        name: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// Blends of members are judged.
    Judging {
        /// The number of blends of this round.
        blends: usize,
    },
    /// The best model so far, which is saved.
    Best {
        /// The model.
        candidate: &'a CandidateReport,
        /// Whether it is another one than before, which has been trained on all of the data.
        is_new: bool,
    },
}

/// A callback for every [`AutoEvent`]; the run stops if it returns [`ControlFlow::Break`].
pub type AutoObserver<'a> = dyn FnMut(AutoEvent) -> ControlFlow<()> + 'a;

/// Finds, trains and saves the best model for a log within a budget of time.
///
/// A stopped run keeps its finished trainings in the folder `OUT.auto`, from which it can be resumed, and the best model so
/// far in `OUT`.
///
/// # Errors
/// [`Error::EmptyAfterFiltering`] for a log that is too short to judge models; [`Error::Config`] where an interrupted run waits
/// or another process is at work; [`Error::WillNotReplace`] where `OUT` or `OUT.auto` is something else; [`Error::Stopped`] if
/// the observer breaks; errors of training, reading and writing.
///
/// # Panics
/// If the number of threads is 0.
pub fn auto(plan: &AutoPlan, observe: &mut AutoObserver) -> Result<AutoReport> {
    run::run(plan, observe)
}

/// The folder in which a run for the model `out` keeps its trainings: its path with `.auto` at the end.
pub fn trainings_of(out: &Path) -> PathBuf {
    crate::training::beside(out, "auto")
}

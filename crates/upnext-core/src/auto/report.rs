//! The record of a run.

use super::{Character, Objective};
use crate::comparison::Interval;
use crate::data::TimeMicros;
use crate::experiment::{Experiment, ModelKind};
use serde::Serialize;

/// The record of a run: what was tried, what won, and by how much.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AutoReport {
    /// What the best model has the most of.
    pub objective: Objective,
    /// What the log looks like.
    pub character: Character,
    /// The windows on which the candidates were judged, the oldest first.
    pub windows: Vec<WindowReport>,
    /// Every model that was tried, alone.
    pub members: Vec<MemberReport>,
    /// Every model and blend that was judged, the best first.
    pub candidates: Vec<CandidateReport>,
    /// The index of the candidate that was saved.
    pub winner: usize,
    /// The networks that were not begun, since the budget would not have sufficed.
    pub skipped: Vec<SkippedReport>,
    /// Seconds of the budget.
    pub budget_seconds: f64,
    /// Seconds of the whole run, those of earlier processes included.
    pub seconds: f64,
}

/// A window: sessions on which models are judged that were fitted on the sessions before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WindowReport {
    /// The start of its first session, in microseconds since 1970.
    pub first_start_us: TimeMicros,
    /// The start of its last session.
    pub last_start_us: TimeMicros,
    /// Number of sessions before it.
    pub sessions_before: usize,
    /// Number of cases for learning weights and epochs, those of every other session.
    pub learning_cases: usize,
    /// Number of cases for judging, those of the rest.
    pub judging_cases: usize,
}

/// A metric with its 95 % interval over sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// Recall@20.
    pub recall: f64,
    /// MRR@20.
    pub mrr: f64,
}

/// A model that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemberReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: ModelKind,
    /// Its configuration; a network's epochs are those that it is trained for on all of the data.
    pub experiment: Experiment,
    /// Its figures, alone.
    pub figures: Figures,
    /// Seconds of its fits before all windows, with listing.
    pub seconds: f64,
    /// Seconds of its fit to all of the data; `None` if it is not part of the best model.
    pub final_seconds: Option<f64>,
}

/// A model, or a blend of some of the members, that was judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CandidateReport {
    /// The names of its members: one for a model alone.
    pub members: Vec<String>,
    /// Its figures over all windows.
    pub figures: Figures,
    /// Its figures in each window.
    pub windows: Vec<Figures>,
    /// Whether the weights of a blend were refined by the objective, which is tried for the winner.
    pub refined: bool,
    /// Its objective minus that of the winner: a 95 % interval over sessions; `None` for the winner.
    pub behind: Option<Interval>,
}

/// A network that was not begun.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SkippedReport {
    /// Its name.
    pub name: String,
    /// The seconds that it would have taken.
    pub seconds: f64,
    /// The seconds that were left.
    pub left_seconds: f64,
}

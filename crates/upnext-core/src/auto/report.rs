//! The record of a run.

use super::{CUTOFF, Character, Objective};
use crate::comparison::{Interval, WindowCut};
use crate::data::TimeMicros;
use crate::evaluation::metrics;
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
    /// The models that were left out, since they could not be trained or judged.
    pub left_out: Vec<LeftOutReport>,
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
    /// Number of their sessions.
    pub judging_sessions: usize,
    /// Whether it is a day, or a share of the sessions.
    pub cut: WindowCut,
}

/// The means of the metrics over cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// Recall@20.
    pub recall: f64,
    /// MRR@20.
    pub mrr: f64,
    /// NDCG@20.
    pub ndcg: f64,
}

impl Figures {
    /// The figures of cases whose targets have these ranks.
    pub(super) fn of(ranks: &[f64]) -> Self {
        use metrics::{mrr, ndcg, recall};
        Self { recall: recall(ranks, CUTOFF), mrr: mrr(ranks, CUTOFF), ndcg: ndcg(ranks, CUTOFF) }
    }
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
    /// Seconds of its fits before all windows, with listing. For what an interrupted run had finished, those of that run.
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
    /// Its objective minus that of the winner: a 95 % interval over sessions; `None` for the winner, and where there are fewer than 30
    /// sessions. The winner is the best of all candidates on the same cases, which the interval does not allow for.
    pub behind: Option<Interval>,
}

/// A network that was not begun.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SkippedReport {
    /// Its name.
    pub name: String,
    /// The seconds that it would have taken; `None` if no time was left to measure its speed.
    pub seconds: Option<f64>,
    /// The seconds that were left.
    pub left_seconds: f64,
}

/// A model that was left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LeftOutReport {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

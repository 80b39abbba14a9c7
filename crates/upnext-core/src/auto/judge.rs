//! Judging of members and blends by what they listed for held-out sessions.

use super::report::{Figures, WindowReport};
use super::{CUTOFF, Objective};
use crate::blend::{Catalogue, HeldOut, List, Pool};
use crate::comparison::{BootstrapOptions, Interval, Metric, Window, interval_of_ratio};
use crate::data::{Dataset, Sessions, TimeMicros};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// A window: the sessions before it, and its own, of which the earlier half is for learning and the later for judging.
pub(super) struct Backtest {
    pub(super) fit: Arc<Dataset>,
    /// The sessions of the earlier half, on which networks choose their epochs.
    pub(super) validation: Sessions,
    pub(super) learning: HeldOut,
    pub(super) judging: HeldOut,
    pub(super) catalogue: Catalogue,
    /// The starts of its first session and of its last.
    starts: [TimeMicros; 2],
}

impl Backtest {
    /// # Errors
    /// [`Error::Config`] if a half has no case.
    pub(super) fn new(window: Window) -> Result<Self> {
        let (mut earlier, mut later) = (Sessions::new(), Sessions::new());
        for s in 0..window.judge.len() {
            let half = if 2 * s < window.judge.len() { &mut earlier } else { &mut later };
            half.push(window.judge.session(s), window.judge.start(s));
        }
        let (learning, judging) = (HeldOut::new(&earlier), HeldOut::new(&later));
        if learning.len() == 0 || judging.len() == 0 {
            return Err(Error::config("data", "has too few sessions to judge models: a window has only one"));
        }
        let catalogue = Catalogue::new(window.fit.items.supports());
        let starts = [window.first_start_us, window.last_start_us];
        Ok(Self { fit: Arc::new(window.fit), validation: earlier, learning, judging, catalogue, starts })
    }

    pub(super) fn report(&self) -> WindowReport {
        WindowReport {
            first_start_us: self.starts[0],
            last_start_us: self.starts[1],
            sessions_before: self.fit.sessions.len(),
            learning_cases: self.learning.len(),
            judging_cases: self.judging.len(),
        }
    }
}

/// The lists of a member for the cases of a window's earlier half, and of its later half.
pub(super) type Halves = (Vec<List>, Vec<List>);

/// What a member listed in the windows from `first` on.
pub(super) struct Listed {
    pub(super) first: usize,
    pub(super) windows: Vec<Halves>,
}

impl Listed {
    fn halves(&self, window: usize) -> (&[List], &[List]) {
        let (learning, judging) = &self.windows[window - self.first];
        (learning, judging)
    }
}

/// The figures of a candidate, with the gains of each session from which intervals follow.
pub(super) struct Judged {
    pub(super) figures: Figures,
    pub(super) windows: Vec<Figures>,
    /// The objective's gains and the number of cases of each judged session, of all windows one after the other.
    sessions: Vec<(f64, f64)>,
}

impl Judged {
    /// The objective, of figures.
    pub(super) fn value(&self) -> f64 {
        let (gains, cases) =
            self.sessions.iter().fold((0.0, 0.0), |(a, b), (gain, cases)| (a + gain, b + cases));
        gains / f64::max(cases, 1.0)
    }

    /// The 95 % interval of the objective minus that of `other`.
    pub(super) fn behind(&self, other: &Self, threads: usize) -> Option<Interval> {
        let pairs = self.sessions.iter().zip(&other.sessions);
        let rows: Vec<(f64, f64)> = pairs.map(|(own, other)| (own.0 - other.0, own.1)).collect();
        interval_of_ratio(&rows, BootstrapOptions::default(), threads)
    }
}

/// The weights of members, learnt on the earlier halves of these windows, or on both halves.
pub(super) fn learn(backtests: &[Backtest], windows: Range<usize>, members: &[&Listed], both: bool) -> Pool {
    let mut cases = Vec::new();
    for window in windows {
        let backtest = &backtests[window];
        let (learning, judging): (Vec<_>, Vec<_>) =
            members.iter().map(|member| member.halves(window)).unzip();
        cases.extend(backtest.learning.cases(&learning));
        if both {
            cases.extend(backtest.judging.cases(&judging));
        }
    }
    Pool::learn(&cases, members.len())
}

/// Judges a member alone, or the blend of several, on the later halves of these windows.
pub(super) fn judge(
    backtests: &[Backtest],
    windows: Range<usize>,
    members: &[&Listed],
    Objective(objective): Objective,
) -> Judged {
    let pool = match members {
        [_] => Pool::alone(),
        _ => learn(backtests, windows.clone(), members, false),
    };
    let (mut sessions, mut of_windows, mut total) = (Vec::new(), Vec::new(), (Figures::default(), 0.0));
    for window in windows {
        let Backtest { judging, catalogue, .. } = &backtests[window];
        let lists: Vec<&[List]> = members.iter().map(|member| member.halves(window).1).collect();
        let ranks = judging.ranks(&pool, &lists, catalogue);
        let sum =
            |metric: Metric, ranks: &[f64]| ranks.iter().map(|&rank| metric.gain(rank, CUTOFF)).sum::<f64>();
        for cases in judging.cases_of_sessions() {
            sessions.push((sum(objective, &ranks[cases.clone()]), cases.len() as f64));
        }
        let (recall, mrr, cases) =
            (sum(Metric::Recall, &ranks), sum(Metric::Mrr, &ranks), ranks.len() as f64);
        total.0.recall += recall;
        total.0.mrr += mrr;
        total.1 += cases;
        of_windows.push(Figures { recall: recall / cases, mrr: mrr / cases });
    }
    let (figures, cases) = total;
    let figures = Figures { recall: figures.recall / cases, mrr: figures.mrr / cases };
    Judged { figures, windows: of_windows, sessions }
}

/// The sets of members that are judged: each alone, all, and all but one.
pub(super) fn sets(members: usize) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = (0..members).map(|member| vec![member]).collect();
    if members > 1 {
        sets.push((0..members).collect());
    }
    if members > 2 {
        sets.extend((0..members).map(|out| (0..members).filter(|&member| member != out).collect()));
    }
    sets
}

/// The share of the largest objective that a candidate with fewer members may lack to be preferred.
const AS_GOOD: f64 = 0.001;

/// The best of candidates: of those within a thousandth of the largest objective, the one with the fewest members, and of
/// these the largest.
pub(super) fn best(candidates: &[(Vec<usize>, Judged)]) -> usize {
    let values: Vec<f64> = candidates.iter().map(|(_, judged)| judged.value()).collect();
    let largest = values.iter().copied().fold(0.0, f64::max);
    let as_good = (0..candidates.len()).filter(|&c| values[c] >= largest * (1.0 - AS_GOOD));
    as_good
        .min_by(|&a, &b| {
            let members = |c: usize| candidates[c].0.len();
            members(a).cmp(&members(b)).then(values[b].total_cmp(&values[a]))
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_each_member_all_and_all_but_one() {
        assert_eq!(sets(1), [[0]]);
        assert_eq!(sets(2), [vec![0], vec![1], vec![0, 1]]);
        let of_three = [vec![0], vec![1], vec![2], vec![0, 1, 2], vec![1, 2], vec![0, 2], vec![0, 1]];
        assert_eq!(sets(3), of_three);
    }

    #[test]
    fn the_best_is_the_smallest_of_those_that_are_as_good() {
        let judged = |value: f64| Judged {
            figures: Figures::default(),
            windows: Vec::new(),
            sessions: vec![(value * 10.0, 10.0)],
        };
        let candidates = |values: &[(&[usize], f64)]| -> Vec<(Vec<usize>, Judged)> {
            values.iter().map(|&(members, value)| (members.to_vec(), judged(value))).collect()
        };
        assert_eq!(best(&candidates(&[(&[0], 0.3), (&[1], 0.2), (&[0, 1], 0.35)])), 2);
        assert_eq!(best(&candidates(&[(&[0], 0.34999), (&[1], 0.2), (&[0, 1], 0.35)])), 0);
        assert_eq!(best(&candidates(&[(&[0, 1, 2], 0.35), (&[0, 2], 0.3499), (&[0, 1], 0.34999)])), 2);
    }
}

//! Judging of members and blends by what they listed for held-out sessions.

use super::report::{Figures, WindowReport};
use super::{CUTOFF, Objective};
use crate::blend::{CASES, Case, Catalogue, HeldOut, List, Pool, refine};
use crate::comparison::{BootstrapOptions, Interval, Metric, Window, interval_of_ratio};
use crate::data::{Dataset, Sessions, TimeMicros};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A window: the sessions before it, and its own, of which every other one is for learning, the rest for judging.
///
/// They alternate, because what comes next becomes less like what was before as a day goes on: weights that are learnt in its
/// morning are not those of the day, and a saved model answers for the whole day.
pub(super) struct Backtest {
    pub(super) fit: Arc<Dataset>,
    /// The sessions for learning, on which networks choose their epochs, too.
    pub(super) validation: Sessions,
    pub(super) learning: HeldOut,
    pub(super) judging: HeldOut,
    pub(super) catalogue: Catalogue,
    /// The starts of its first session and of its last.
    starts: [TimeMicros; 2],
}

impl Backtest {
    /// One of `windows`.
    ///
    /// # Errors
    /// [`Error::Config`] if a half has no case.
    pub(super) fn new(window: Window, windows: usize) -> Result<Self> {
        let (mut even, mut odd) = (Sessions::new(), Sessions::new());
        for s in 0..window.judge.len() {
            let half = if s % 2 == 0 { &mut even } else { &mut odd };
            half.push(window.judge.session(s), window.judge.start(s));
        }
        let (learning, judging) = (HeldOut::new(&even, CASES / windows), HeldOut::new(&odd, CASES));
        if learning.len() == 0 || judging.len() == 0 {
            return Err(Error::config("data", "has too few sessions to judge models: a window has only one"));
        }
        let catalogue = Catalogue::new(window.fit.items.supports());
        let starts = [window.first_start_us, window.last_start_us];
        Ok(Self { fit: Arc::new(window.fit), validation: even, learning, judging, catalogue, starts })
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

/// The lists of a member for the cases of a window's half for learning, and of its half for judging.
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
    /// The weights with which it was judged.
    pool: Pool,
    /// Whether these were refined by the objective.
    pub(super) is_refined: bool,
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

/// The cases of the halves for learning of these windows, or of both halves.
fn cases(backtests: &[Backtest], windows: &Range<usize>, members: &[&Listed], both: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for window in windows.clone() {
        let backtest = &backtests[window];
        let (learning, judging): (Vec<_>, Vec<_>) =
            members.iter().map(|member| member.halves(window)).unzip();
        cases.extend(backtest.learning.cases(&learning));
        if both {
            cases.extend(backtest.judging.cases(&judging));
        }
    }
    cases
}

/// The weights of members, learnt on both halves of these windows, and refined by the objective if that is given.
pub(super) fn learn(
    backtests: &[Backtest],
    windows: &Range<usize>,
    members: &[&Listed],
    objective: Option<Objective>,
) -> Pool {
    let cases = cases(backtests, windows, members, true);
    let pool = Pool::learn(&cases, members.len());
    match objective {
        Some(objective) => refine(&pool, &cases, &gain_of(objective)),
        None => pool,
    }
}

fn gain_of(Objective(metric): Objective) -> impl Fn(f64) -> f64 {
    move |rank| metric.gain(rank, CUTOFF)
}

/// Judges a member alone, or the blend of several, on the halves for judging of these windows.
pub(super) fn judge(
    backtests: &[Backtest],
    windows: &Range<usize>,
    members: &[&Listed],
    objective: Objective,
) -> Judged {
    let pool = match members {
        [_] => Pool::alone(),
        _ => Pool::learn(&cases(backtests, windows, members, false), members.len()),
    };
    judge_pool(backtests, windows, members, pool, objective)
}

/// Judges a blend, which was judged as `before`, with its weights refined by the objective; `None` if that has gained nothing beyond chance on the halves for
/// judging, which the refinement has not seen.
pub(super) fn judge_refined(
    backtests: &[Backtest],
    windows: &Range<usize>,
    members: &[&Listed],
    before: &Judged,
    (objective, threads): (Objective, usize),
) -> Option<Judged> {
    let cases = cases(backtests, windows, members, false);
    let refined = refine(&before.pool, &cases, &gain_of(objective));
    let after = Judged { is_refined: true, ..judge_pool(backtests, windows, members, refined, objective) };
    after.behind(before, threads).is_some_and(|difference| difference.low > 0.0).then_some(after)
}

fn judge_pool(
    backtests: &[Backtest],
    windows: &Range<usize>,
    members: &[&Listed],
    pool: Pool,
    Objective(objective): Objective,
) -> Judged {
    let (mut sessions, mut of_windows, mut total) = (Vec::new(), Vec::new(), (Figures::default(), 0.0));
    for window in windows.clone() {
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
    Judged { figures, windows: of_windows, pool, is_refined: false, sessions }
}

/// A set of members, by their numbers, with its figures.
pub(super) type Candidate = (Vec<usize>, Judged);

/// Judges sets of members on these windows: each member alone, all, and then, as long as the best of them is as good as the
/// best so far, the last set without each one of its members. `go_on` is asked between the rounds.
///
/// # Errors
/// [`Error::Stopped`] if `go_on` says so.
pub(super) fn search(
    backtests: &[Backtest],
    windows: &Range<usize>,
    members: &[&Listed],
    (objective, threads): (Objective, usize),
    go_on: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<Candidate>> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let is_fixed = |member: usize| HeldOut::is_fixed(members[member].halves(windows.end - 1).1);
    let mut round: Vec<Vec<usize>> = (0..members.len()).map(|member| vec![member]).collect();
    if members.len() > 1 {
        round.push((0..members.len()).collect());
    }
    loop {
        // Members that say the same after every session list nothing, unless they are alone.
        round.retain(|set| set.len() == 1 || !set.iter().all(|&member| is_fixed(member)));
        go_on(round.len())?;
        let judged = in_parallel(&round, threads, |set| {
            let listed: Vec<&Listed> = set.iter().map(|&member| members[member]).collect();
            judge(backtests, windows, &listed, objective)
        });
        let first = candidates.len();
        candidates.extend(std::mem::take(&mut round).into_iter().zip(judged));
        let of_several = candidates[first..].iter().filter(|(set, _)| set.len() > 1);
        let Some((set, judged)) = of_several.max_by(|a, b| a.1.value().total_cmp(&b.1.value())) else {
            break;
        };
        // The set of all is always compared with those of all but one.
        let is_as_good = first == 0 || judged.value() >= largest(&candidates) * (1.0 - AS_GOOD);
        if set.len() < 3 || !is_as_good {
            break;
        }
        round =
            set.iter().map(|&out| set.iter().copied().filter(|&member| member != out).collect()).collect();
    }
    Ok(candidates)
}

/// What `work` makes of each input, in their order, on `threads` threads.
fn in_parallel<T: Sync, R: Send>(inputs: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut found = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(input) = inputs.get(at) else { break found };
            found.push((at, work(input)));
        }
    };
    let mut found = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let mut found = take();
        for thread in others {
            match thread.join() {
                Ok(more) => found.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    });
    found.sort_unstable_by_key(|&(at, _)| at);
    found.into_iter().map(|(_, result)| result).collect()
}

fn largest(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|(_, judged)| judged.value()).fold(0.0, f64::max)
}

/// The share of the largest objective that a candidate with fewer members may lack to be preferred.
const AS_GOOD: f64 = 0.001;

/// The best of candidates: of those within a thousandth of the largest objective, the one with the fewest members, and of
/// these the largest.
pub(super) fn best(candidates: &[Candidate]) -> usize {
    let values: Vec<f64> = candidates.iter().map(|(_, judged)| judged.value()).collect();
    let largest = largest(candidates);
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
    fn results_of_threads_are_in_the_order_of_the_inputs() {
        let inputs: Vec<usize> = (0..100).collect();
        for threads in [1, 3, 200] {
            assert_eq!(
                in_parallel(&inputs, threads, |input| input * 2),
                (0..200).step_by(2).collect::<Vec<_>>()
            );
        }
        assert!(in_parallel(&[] as &[usize], 2, |input| *input).is_empty());
    }

    #[test]
    fn the_best_is_the_smallest_of_those_that_are_as_good() {
        let judged = |value: f64| Judged {
            figures: Figures::default(),
            windows: Vec::new(),
            pool: Pool::alone(),
            is_refined: false,
            sessions: vec![(value * 10.0, 10.0)],
        };
        let candidates = |values: &[(&[usize], f64)]| -> Vec<Candidate> {
            values.iter().map(|&(members, value)| (members.to_vec(), judged(value))).collect()
        };
        assert_eq!(best(&candidates(&[(&[0], 0.3), (&[1], 0.2), (&[0, 1], 0.35)])), 2);
        assert_eq!(best(&candidates(&[(&[0], 0.34999), (&[1], 0.2), (&[0, 1], 0.35)])), 0);
        assert_eq!(best(&candidates(&[(&[0, 1, 2], 0.35), (&[0, 2], 0.3499), (&[0, 1], 0.34999)])), 2);
    }
}

//! Judging of members and blends by what they listed for held-out sessions.

use super::report::{Figures, WindowReport};
use super::{CUTOFF, Objective};
use crate::blend::{CASES, Case, Catalogue, HeldOut, List, Pool, refine};
use crate::comparison::{BootstrapOptions, Interval, Window, WindowCut, interval_of_ratio};
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
    cut: WindowCut,
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
        let fit = Arc::new(window.fit);
        Ok(Self { fit, validation: even, learning, judging, catalogue, starts, cut: window.cut })
    }

    pub(super) fn report(&self) -> WindowReport {
        WindowReport {
            first_start_us: self.starts[0],
            last_start_us: self.starts[1],
            sessions_before: self.fit.sessions.len(),
            learning_cases: self.learning.len(),
            judging_cases: self.judging.len(),
            judging_sessions: self.judging.cases_of_sessions().count(),
            cut: self.cut,
        }
    }
}

/// What a member fitted before a window listed in it.
pub(super) struct OfWindow {
    /// For the cases of the half for learning.
    pub(super) learning: Vec<List>,
    /// For the cases of the half for judging.
    pub(super) judging: Vec<List>,
    /// The ranks of the targets of these, by the member alone.
    pub(super) ranks: Vec<f64>,
}

/// What a member listed in the windows from `first` on.
pub(super) struct Listed {
    pub(super) first: usize,
    pub(super) windows: Vec<OfWindow>,
}

impl Listed {
    fn of(&self, window: usize) -> &OfWindow {
        &self.windows[window - self.first]
    }
}

/// The figures of a candidate, with the gains of each session from which intervals follow.
pub(super) struct Judged {
    pub(super) figures: Figures,
    pub(super) windows: Vec<Figures>,
    /// The weights with which a blend was judged; `None` for a member alone.
    pool: Option<Pool>,
    /// Whether these were refined by the objective.
    pub(super) is_refined: bool,
    /// The objective's gains and the number of cases of each judged session, of all windows one after the other.
    sessions: Vec<(f64, f64)>,
}

/// The fewest sessions that intervals are made from, and weights refined on: a resample of fewer says little. Our choice.
const FEWEST: usize = 30;

impl Judged {
    /// The mean of the objective over all cases.
    pub(super) fn value(&self) -> f64 {
        let (gains, cases) =
            self.sessions.iter().fold((0.0, 0.0), |(a, b), (gain, cases)| (a + gain, b + cases));
        gains / f64::max(cases, 1.0)
    }

    /// The 95 % interval of the objective minus that of `other`; `None` for fewer than [`FEWEST`] sessions.
    pub(super) fn behind(&self, other: &Self, threads: usize) -> Option<Interval> {
        if self.sessions.len() < FEWEST {
            return None;
        }
        let pairs = self.sessions.iter().zip(&other.sessions);
        let rows: Vec<(f64, f64)> = pairs.map(|(own, other)| (own.0 - other.0, own.1)).collect();
        interval_of_ratio(&rows, BootstrapOptions::default(), threads)
    }
}

/// A set of members, by their numbers, with its figures.
pub(super) type Candidate = (Vec<usize>, Judged);

/// Judges sets of members by what they listed in some windows.
pub(super) struct Judge<'a> {
    pub(super) backtests: &'a [Backtest],
    pub(super) windows: Range<usize>,
    pub(super) members: &'a [&'a Listed],
    pub(super) objective: Objective,
    pub(super) threads: usize,
}

impl Judge<'_> {
    /// Cases for learning weights, with the lists of these members: of the halves for learning, or of both halves, evenly drawn.
    fn cases(&self, members: &[usize], both: bool) -> Vec<Case> {
        let of_window = |window: usize| &self.backtests[window];
        let count = |window: usize| {
            let Backtest { learning, judging, .. } = of_window(window);
            learning.len() + if both { judging.len() } else { 0 }
        };
        let every = self.windows.clone().map(count).sum::<usize>().div_ceil(CASES);
        let mut cases = Vec::new();
        for window in self.windows.clone() {
            let Backtest { learning, judging, .. } = of_window(window);
            let listed = |member: &usize| self.members[*member].of(window);
            let lists: Vec<&[List]> = members.iter().map(|member| &*listed(member).learning).collect();
            cases.extend(learning.cases(&lists, every));
            if both {
                let lists: Vec<&[List]> = members.iter().map(|member| &*listed(member).judging).collect();
                cases.extend(judging.cases(&lists, every));
            }
        }
        cases
    }

    /// The weights of some members, learnt on both halves of the windows, and refined by the objective if that is asked for.
    pub(super) fn learn(&self, members: &[usize], refined: bool) -> Pool {
        let (cases, all) = (self.cases(members, true), members.len());
        let own: Vec<usize> = (0..all).collect();
        let pool = Pool::learn(&cases, all, &own);
        if refined { refine(&pool, &cases, &self.gain()) } else { pool }
    }

    fn gain(&self) -> impl Fn(f64) -> f64 {
        let Objective(metric) = self.objective;
        move |rank| metric.gain(rank, CUTOFF)
    }

    /// A member alone, by its own ranks.
    pub(super) fn alone(&self, member: usize) -> Judged {
        self.of_ranks(|window| self.members[member].of(window).ranks.clone())
    }

    /// A blend with these weights, on the halves for judging.
    fn blend(&self, members: &[usize], pool: Pool) -> Judged {
        let ranks = |window: usize| {
            let Backtest { judging, catalogue, .. } = &self.backtests[window];
            let lists = |&member: &usize| &*self.members[member].of(window).judging;
            judging.ranks(&pool, &members.iter().map(lists).collect::<Vec<_>>(), catalogue)
        };
        let judged = self.of_ranks(ranks);
        Judged { pool: Some(pool), ..judged }
    }

    fn of_ranks(&self, ranks: impl Fn(usize) -> Vec<f64>) -> Judged {
        let (mut sessions, mut of_windows, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for window in self.windows.clone() {
            let ranks = ranks(window);
            for cases in self.backtests[window].judging.cases_of_sessions() {
                let gain = ranks[cases.clone()].iter().map(|&rank| self.gain()(rank)).sum();
                sessions.push((gain, cases.len() as f64));
            }
            of_windows.push(Figures::of(&ranks));
            all.extend(ranks);
        }
        Judged { figures: Figures::of(&all), windows: of_windows, pool: None, is_refined: false, sessions }
    }

    /// A blend, which was judged as `before`, with its weights refined by the objective; `None` if that has gained nothing
    /// beyond chance on the halves for judging, which the refinement has not seen.
    fn refined(&self, members: &[usize], before: &Judged) -> Option<Judged> {
        let pool = before.pool.as_ref()?;
        let refined = refine(pool, &self.cases(members, false), &self.gain());
        let after = Judged { is_refined: true, ..self.blend(members, refined) };
        after.behind(before, self.threads).is_some_and(|difference| difference.low > 0.0).then_some(after)
    }

    /// Refines the weights of the best blends, where that holds.
    pub(super) fn refine_best(&self, candidates: &mut [Candidate]) {
        let mut order: Vec<usize> = (0..candidates.len()).filter(|&c| candidates[c].0.len() > 1).collect();
        order.sort_by(|&a, &b| candidates[b].1.value().total_cmp(&candidates[a].1.value()));
        order.truncate(REFINED);
        let refined = in_parallel(&order, self.threads, |&at| {
            let (members, judged) = &candidates[at];
            if judged.is_refined { None } else { self.refined(members, judged) }
        });
        for (at, refined) in order.into_iter().zip(refined) {
            if let Some(refined) = refined {
                candidates[at].1 = refined;
            }
        }
    }

    /// Judges sets of members: each member alone, all, and then, as long as the best of them is as good as the best so far, the
    /// last set without each one of its members. `go_on` is asked between the rounds.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `go_on` says so.
    pub(super) fn search(&self, go_on: &mut dyn FnMut(usize) -> Result<()>) -> Result<Vec<Candidate>> {
        let count = self.members.len();
        let is_fixed =
            |member: usize| HeldOut::is_fixed(&self.members[member].of(self.windows.end - 1).judging);
        let mut candidates: Vec<Candidate> =
            (0..count).map(|member| (vec![member], self.alone(member))).collect();
        let mut round: Vec<Vec<usize>> = Vec::new();
        if count > 1 {
            round.push((0..count).collect());
        }
        // One copy of the features, for all sets and threads.
        let cases = if count > 1 { self.cases(&(0..count).collect::<Vec<_>>(), false) } else { Vec::new() };
        loop {
            // Members that say the same after every session list nothing.
            round.retain(|set| !set.iter().all(|&member| is_fixed(member)));
            go_on(round.len())?;
            let judged =
                in_parallel(&round, self.threads, |set| self.blend(set, Pool::learn(&cases, count, set)));
            let first = candidates.len();
            candidates.extend(std::mem::take(&mut round).into_iter().zip(judged));
            let of_round = candidates[first..].iter();
            let Some((set, judged)) = of_round.max_by(|a, b| a.1.value().total_cmp(&b.1.value())) else {
                break;
            };
            // The set of all is always compared with those of all but one.
            let is_as_good = first == count || judged.value() >= largest(&candidates) * (1.0 - AS_GOOD);
            if set.len() < 3 || !is_as_good {
                break;
            }
            round = set
                .iter()
                .map(|&out| set.iter().copied().filter(|&member| member != out).collect())
                .collect();
        }
        Ok(candidates)
    }
}

/// Number of the best blends whose weights are refined. Our choice.
const REFINED: usize = 3;

/// Puts a candidate that was judged before in the place of the one with the same members, or behind the others.
pub(super) fn put(candidates: &mut Vec<Candidate>, before: Candidate) {
    match candidates.iter_mut().find(|(members, _)| *members == before.0) {
        Some(same) => *same = before,
        None => candidates.push(before),
    }
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
    fn the_half_that_judges_is_not_learnt_from() {
        use crate::baselines::{Vstan, VstanConfig};
        use crate::comparison::windows_of_shares;
        use crate::kind::Scale;
        let data = crate::contract::example();
        let window = windows_of_shares(&data, 1, 4).unwrap().remove(0);
        let model = Vstan::fit(&VstanConfig::default(), &window.fit).unwrap();
        let (items, sessions) = (window.fit.items.clone(), window.judge.clone());
        let backtest = Backtest::new(window, 1).unwrap();
        let cases = |half: &Sessions| half.num_events() - half.len();
        assert_eq!(backtest.learning.len(), cases(&backtest.validation));
        assert_eq!(backtest.learning.len() + backtest.judging.len(), cases(&sessions));
        let lists = |half: &HeldOut| {
            let mut go_on = |_: crate::history::FitEvent| std::ops::ControlFlow::Continue(());
            half.lists((&model, Scale::Weight), &backtest.catalogue, 20, 1, &mut go_on).unwrap()
        };
        let of_window = OfWindow {
            learning: lists(&backtest.learning),
            judging: lists(&backtest.judging),
            ranks: backtest.judging.ranks_alone(&model, &items, 1).unwrap(),
        };
        let listed = Listed { first: 0, windows: vec![of_window] };
        let (backtests, members) = ([backtest], [&listed]);
        let judge = Judge {
            backtests: &backtests,
            windows: 0..1,
            members: &members,
            objective: Objective::default(),
            threads: 1,
        };
        let [Backtest { learning, judging, .. }] = &backtests;
        let OfWindow { learning: of_learning, judging: of_judging, .. } = &listed.windows[0];
        let own = learning.cases(&[of_learning], 1).len();
        let both = own + judging.cases(&[of_judging], 1).len();
        assert!(0 < own && own < both);
        assert_eq!([judge.cases(&[0], false).len(), judge.cases(&[0], true).len()], [own, both]);
    }

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
            pool: None,
            is_refined: false,
            sessions: vec![(value * 10.0, 10.0)],
        };
        let candidates = |values: &[(&[usize], f64)]| -> Vec<Candidate> {
            values.iter().map(|&(members, value)| (members.to_vec(), judged(value))).collect()
        };
        assert_eq!(best(&candidates(&[(&[0], 0.3), (&[1], 0.2), (&[0, 1], 0.35)])), 2);
        assert_eq!(best(&candidates(&[(&[0], 0.34999), (&[1], 0.2), (&[0, 1], 0.35)])), 0);
        assert_eq!(best(&candidates(&[(&[0, 1, 2], 0.35), (&[0, 2], 0.3499), (&[0, 1], 0.34999)])), 2);
        // One that was refined before stays the best until another is better.
        let mut now = candidates(&[(&[0], 0.3), (&[0, 1], 0.34), (&[0, 1, 2], 0.36)]);
        for (members, value) in [(vec![0, 1], 0.37), (vec![1, 2], 0.35)] {
            put(&mut now, (members, Judged { is_refined: true, ..judged(value) }));
        }
        assert_eq!((now.len(), best(&now), now[1].1.is_refined), (4, 1, true));
    }
}

//! A run: what is tried in which order, within the budget.

use super::judge::{Backtest, Judged, Listed, best, judge, learn, sets};
use super::report::{AutoReport, CandidateReport, Figures, MemberReport, SkippedReport, WindowReport};
use super::state::State;
use super::trials::{self, Trial};
use super::{AutoEvent, AutoObserver, AutoPlan, Character, speed, trainings_of};
use crate::artifact::Artifact;
use crate::blend;
use crate::comparison::{Window, windows_in_parts};
use crate::experiment::Experiment;
use crate::history::{FitEvent, Selection, TrainingSummary};
use crate::kind::{MemberPlan, Start, TrainedMember};
use crate::model::Model;
use crate::training::MemberFolders;
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// The number of windows, if the log is long enough.
const WINDOWS: usize = 3;

/// Number of equal parts of the sessions of which the last are the windows, if the times are no real ones.
const PARTS: usize = 20;

/// The numbers of windows and of epochs that a network is tried with, the best first, of which the first is taken that fits
/// into the budget.
const EXTENTS: [(usize, usize); 7] = [(3, 10), (2, 10), (1, 10), (1, 6), (1, 4), (1, 2), (1, 1)];

/// A member that has been fitted before the windows.
struct Tried {
    name: String,
    experiment: Experiment,
    /// The validated epochs of a network before the last window.
    selection: Option<Selection>,
    listed: Listed,
    seconds: f64,
    final_seconds: Option<f64>,
}

/// The state of a run.
struct Run<'r> {
    plan: &'r AutoPlan<'r>,
    observe: &'r mut AutoObserver<'r>,
    begun: Instant,
    state: State,
    trainings: MemberFolders,
    backtests: Vec<Backtest>,
    tried: Vec<Tried>,
    skipped: Vec<SkippedReport>,
    /// The sets of members that were judged, by their indices.
    candidates: Vec<(Vec<usize>, Judged)>,
    winner: usize,
}

pub(super) fn run(plan: &AutoPlan, observe: &mut AutoObserver) -> Result<AutoReport> {
    assert!(plan.threads > 0, "a run needs a thread");
    Artifact::check_target(plan.out)?;
    let folder = trainings_of(plan.out);
    let state = State::begin(&folder, plan)?;
    let (cut, character) = cut(plan)?;
    let shown: Vec<(i64, i64)> =
        cut.iter().map(|window| (window.first_start_us, window.last_start_us)).collect();
    let backtests = cut.into_iter().map(Backtest::new).collect::<Result<Vec<_>>>()?;
    let window = |((first_start_us, last_start_us), backtest): (&(i64, i64), &Backtest)| WindowReport {
        first_start_us: *first_start_us,
        last_start_us: *last_start_us,
        sessions_before: backtest.fit.sessions.len(),
        learning_cases: backtest.learning.len(),
        judging_cases: backtest.judging.len(),
    };
    let windows: Vec<WindowReport> = shown.iter().zip(&backtests).map(window).collect();
    let mut pass_on = |event: AutoEvent| observe(event);
    let mut run = Run {
        plan,
        observe: &mut pass_on,
        begun: Instant::now(),
        state,
        trainings: MemberFolders::new(folder.clone(), plan.checkpoint_every),
        backtests,
        tried: Vec::new(),
        skipped: Vec::new(),
        candidates: Vec::new(),
        winner: 0,
    };
    run.tell(AutoEvent::Began(&character, &windows))?;
    run.try_all(&character)?;
    let report = run.report(character, windows);
    State::end(&folder)?;
    Ok(report)
}

/// The windows, as many as the log has, and the character of the log.
fn cut(plan: &AutoPlan) -> Result<(Vec<Window>, Character)> {
    let mut refused = None;
    for count in (1..=WINDOWS).rev() {
        match windows_in_parts(&plan.data, count, PARTS) {
            Ok(found) if found.iter().all(|window| window.judge.len() > 1) => {
                let character = Character::of(&plan.data, &found[found.len() - 1]);
                return Ok((found, character));
            }
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| {
        let reason = format!(
            "{} sessions are too few to judge models on the newest of them: use a longer log, or train one kind of model",
            plan.data.sessions.len()
        );
        Error::config("data", reason)
    }))
}

impl Run<'_> {
    fn tell(&mut self, event: AutoEvent) -> Result<()> {
        if (self.observe)(event).is_break() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Seconds of the run so far.
    fn seconds(&self) -> f64 {
        self.state.seconds_before() + self.begun.elapsed().as_secs_f64()
    }

    fn left(&self) -> f64 {
        self.plan.budget.as_secs_f64() - self.seconds()
    }

    fn try_all(&mut self, character: &Character) -> Result<()> {
        let all = 0..self.backtests.len();
        for trial in trials::cheap(character) {
            self.try_one(trial, all.clone())?;
        }
        if !self.tried.is_empty() {
            self.judge_all(all.clone())?;
        }
        // Networks are judged on the last windows, as many as the first one has time for.
        let mut used = None;
        for trial in trials::networks(character, self.plan.seed) {
            let Some((windows, epochs)) = self.extent(&trial, used.clone())? else { continue };
            let mut trial = trial;
            trial.experiment.training.epochs = epochs;
            if self.try_one(trial, windows.clone())? {
                used = Some(windows.clone());
                self.judge_all(windows)?;
            }
        }
        if self.tried.is_empty() {
            return Err(Error::config("data", "no model could be fitted: the warnings say why"));
        }
        Ok(())
    }

    /// The windows and the number of epochs with which a network fits into the budget; `None` if it does not.
    fn extent(&mut self, trial: &Trial, used: Option<Range<usize>>) -> Result<Option<(Range<usize>, usize)>> {
        let count = self.backtests.len();
        let found = match self.state.extent(&trial.name) {
            Some(known) => known,
            None => {
                let Self { plan, observe, .. } = self;
                let mut go_on = || observe(AutoEvent::Measuring { name: &trial.name }).is_continue();
                let epoch =
                    speed::seconds_per_epoch(&plan.data, &trial.experiment, plan.threads, &mut go_on)?;
                let pairs =
                    |data: &crate::data::Dataset| (data.sessions.num_events() - data.sessions.len()) as f64;
                let of_all = |windows: &[Backtest]| {
                    let before: f64 = windows.iter().map(|backtest| pairs(&backtest.fit)).sum();
                    1.0 + before / pairs(&plan.data)
                };
                let needed = |(windows, epochs): (usize, usize)| {
                    epoch * epochs as f64 * of_all(&self.backtests[count - windows..])
                };
                let left = self.left();
                let may = |&(windows, _): &(usize, usize)| match &used {
                    Some(used) => windows == used.len(),
                    None => windows <= count,
                };
                let found = EXTENTS.into_iter().filter(may).find(|&extent| needed(extent) <= left);
                if found.is_none() {
                    let least = EXTENTS.into_iter().filter(may).map(needed).fold(f64::INFINITY, f64::min);
                    let skipped =
                        SkippedReport { name: trial.name.clone(), seconds: least, left_seconds: left };
                    self.tell(AutoEvent::Skipped(&skipped))?;
                    self.skipped.push(skipped);
                }
                self.state.set_extent(&trial.name, found, self.begun.elapsed())?;
                found
            }
        };
        Ok(found.map(|(windows, epochs)| (count - windows.min(count)..count, epochs)))
    }

    /// Fits a model before each of these windows and lists what it expects there; `false` if it is left out.
    fn try_one(&mut self, trial: Trial, windows: Range<usize>) -> Result<bool> {
        let Trial { name, mut experiment } = trial;
        let begun = Instant::now();
        let (mut listed, mut epochs, mut selection) = (Vec::new(), Vec::new(), None);
        for window in windows.clone() {
            self.tell(AutoEvent::Training { name: &name, window: Some((window + 1, self.backtests.len())) })?;
            match self.list(&name, &experiment, window) {
                Ok((halves, summary)) => {
                    listed.push(halves);
                    if experiment.model.network().is_some() {
                        let of_window = Selection::of(&summary);
                        epochs.push(of_window.best_epoch);
                        selection = Some(of_window);
                    }
                }
                Err(
                    error @ (Error::Diverged { .. } | Error::NonFiniteScores { .. } | Error::Memory { .. }),
                ) => {
                    self.tell(AutoEvent::LeftOut { name: &name, reason: &error.to_string() })?;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        if !epochs.is_empty() {
            epochs.sort_unstable();
            experiment.training.epochs = epochs[epochs.len() / 2];
            experiment.training.patience = 0;
        }
        let listed = Listed { first: windows.start, windows: listed };
        let alone = judge(&self.backtests, windows, &[&listed], self.plan.objective);
        let seconds = begun.elapsed().as_secs_f64();
        self.tried.push(Tried { name, experiment, selection, listed, seconds, final_seconds: None });
        let report = self.member(self.tried.len() - 1, alone.figures);
        self.tell(AutoEvent::Judged(&report))?;
        self.state.keep(self.begun.elapsed())?;
        Ok(true)
    }

    /// Fits a model to the sessions before a window, and lists what it expects in both of its halves.
    #[allow(clippy::type_complexity)] // the lists of two halves
    fn list(
        &mut self,
        name: &str,
        experiment: &Experiment,
        window: usize,
    ) -> Result<((Vec<blend::List>, Vec<blend::List>), TrainingSummary)> {
        let Self { plan, observe, trainings, backtests, .. } = self;
        let backtest = &backtests[window];
        let mut observe = |event: FitEvent| observe(AutoEvent::Fit(event));
        let member = MemberPlan {
            name: &format!("{name}-window-{}", window + 1),
            experiment,
            data: Arc::clone(&backtest.fit),
            validation: experiment.model.network().map(|_| &backtest.validation),
            threads: plan.threads,
            start: Start::New,
        };
        let TrainedMember { model, summary } = trainings.train(member, &mut observe)?;
        let scale = experiment.model.kind().scale();
        let mut lists = |half: &blend::HeldOut| {
            half.lists((&*model, scale), &backtest.catalogue, blend::DEPTH, plan.threads, &mut observe)
        };
        let halves = (lists(&backtest.learning)?, lists(&backtest.judging)?);
        Ok((halves, summary))
    }

    /// Judges every set of the members on these windows, and trains and saves the best if it is another than before.
    fn judge_all(&mut self, windows: Range<usize>) -> Result<()> {
        let before = self.candidates.get(self.winner).map(|(members, _)| members.clone());
        let judged = |members: Vec<usize>| {
            let listed: Vec<&Listed> = members.iter().map(|&member| &self.tried[member].listed).collect();
            let judged = judge(&self.backtests, windows.clone(), &listed, self.plan.objective);
            (members, judged)
        };
        self.candidates = sets(self.tried.len()).into_iter().map(judged).collect();
        self.winner = best(&self.candidates);
        let members = self.candidates[self.winner].0.clone();
        if before.as_ref() != Some(&members) {
            self.save(&members, windows)?;
        }
        let reports = self.candidate_reports();
        self.tell(AutoEvent::Saved(&reports[self.winner]))
    }

    /// Trains a set of members on all of the data, and saves their blend, or the only one.
    fn save(&mut self, members: &[usize], windows: Range<usize>) -> Result<()> {
        let mut trained = Vec::new();
        for &member in members {
            let begun = Instant::now();
            let (name, experiment) = (self.tried[member].name.clone(), self.tried[member].experiment.clone());
            self.tell(AutoEvent::Training { name: &name, window: None })?;
            let Self { plan, observe, trainings, .. } = self;
            let plan = MemberPlan {
                name: &format!("{name}-all"),
                experiment: &experiment,
                data: Arc::clone(&plan.data),
                validation: None,
                threads: plan.threads,
                start: Start::New,
            };
            let mut one = trainings.train(plan, &mut |event| observe(AutoEvent::Fit(event)))?;
            one.summary.selection = self.tried[member].selection.clone();
            self.tried[member].final_seconds = Some(begun.elapsed().as_secs_f64());
            trained.push((experiment, one));
        }
        let data = &self.plan.data;
        let only = if members.len() == 1 { trained.pop() } else { None };
        let (model, experiment, summary) = match only {
            Some((experiment, one)) => (one.model, experiment, one.summary),
            None => {
                let listed: Vec<&Listed> = members.iter().map(|&member| &self.tried[member].listed).collect();
                let pool = learn(&self.backtests, windows, &listed, true);
                blend::assemble(trained, pool, data)
            }
        };
        let items = (data.items.clone(), data.item_table.clone());
        let summary = TrainingSummary { finished: true, ..summary };
        Model::new(model, items, experiment.resolved(), summary, None, None).save(self.plan.out)
    }

    fn member(&self, member: usize, figures: Figures) -> MemberReport {
        let Tried { name, experiment, seconds, final_seconds, .. } = &self.tried[member];
        MemberReport {
            name: name.clone(),
            kind: experiment.model.kind(),
            experiment: experiment.resolved(),
            figures,
            seconds: *seconds,
            final_seconds: *final_seconds,
        }
    }

    fn candidate_reports(&self) -> Vec<CandidateReport> {
        let winner = &self.candidates[self.winner].1;
        let report = |(at, (members, judged)): (usize, &(Vec<usize>, Judged))| CandidateReport {
            members: members.iter().map(|&member| self.tried[member].name.clone()).collect(),
            figures: judged.figures,
            windows: judged.windows.clone(),
            behind: if at == self.winner { None } else { judged.behind(winner, self.plan.threads) },
        };
        self.candidates.iter().enumerate().map(report).collect()
    }

    fn report(&self, character: Character, windows: Vec<WindowReport>) -> AutoReport {
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.sort_by(|&a, &b| self.candidates[b].1.value().total_cmp(&self.candidates[a].1.value()));
        let reports = self.candidate_reports();
        let alone = |member: usize| {
            let of = self.candidates.iter().find(|(members, _)| *members == [member]);
            of.map_or_else(Figures::default, |(_, judged)| judged.figures)
        };
        AutoReport {
            objective: self.plan.objective,
            character,
            windows,
            members: (0..self.tried.len()).map(|member| self.member(member, alone(member))).collect(),
            candidates: order.iter().map(|&at| reports[at].clone()).collect(),
            winner: order.iter().position(|&at| at == self.winner).unwrap_or(0),
            skipped: self.skipped.clone(),
            budget_seconds: self.plan.budget.as_secs_f64(),
            seconds: self.seconds(),
        }
    }
}

//! A run: what is tried in which order, within the budget.

use super::judge::{Backtest, Candidate, Halves, Listed, best, judge, judge_refined, learn, search};
use super::report::{AutoReport, CandidateReport, Figures, MemberReport, SkippedReport, WindowReport};
use super::state::State;
use super::trials::{self, Trial};
use super::{AutoEvent, AutoObserver, AutoPlan, Character, speed, trainings_of};
use crate::artifact::Artifact;
use crate::blend;
use crate::comparison::{Window, windows_in_parts};
use crate::data::Dataset;
use crate::experiment::Experiment;
use crate::history::{FitEvent, Selection, TrainingSummary};
use crate::kind::{MemberPlan, Start, TrainedMember};
use crate::model::Model;
use crate::training::MemberFolders;
use crate::{Error, Result};
use std::ops::{ControlFlow, Range};
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
    state: State,
    trainings: MemberFolders,
    backtests: Vec<Backtest>,
    tried: Vec<Tried>,
    skipped: Vec<SkippedReport>,
    /// The sets of members that were judged, by their indices.
    candidates: Vec<Candidate>,
    winner: usize,
}

pub(super) fn run(plan: &AutoPlan, observe: &mut AutoObserver) -> Result<AutoReport> {
    assert!(plan.threads > 0, "a run needs a thread");
    Artifact::check_target(plan.out)?;
    let folder = trainings_of(plan.out);
    let state = State::begin(&folder, plan)?;
    let (cut, character) = cut(plan)?;
    let windows = cut.len();
    let backtests =
        cut.into_iter().map(|window| Backtest::new(window, windows)).collect::<Result<Vec<_>>>()?;
    let windows: Vec<WindowReport> = backtests.iter().map(Backtest::report).collect();
    let mut pass_on = |event: AutoEvent| observe(event);
    let mut run = Run {
        plan,
        observe: &mut pass_on,
        state,
        trainings: MemberFolders::new(folder.clone(), plan.checkpoint_every),
        backtests,
        tried: Vec::new(),
        skipped: Vec::new(),
        candidates: Vec::new(),
        winner: 0,
    };
    run.tell(AutoEvent::Began(&character, &windows))?;
    run.try_all()?;
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

    fn try_all(&mut self) -> Result<()> {
        let all = 0..self.backtests.len();
        for trial in trials::cheap() {
            self.try_one(trial, all.clone())?;
        }
        if !self.tried.is_empty() {
            self.judge_all(all.clone())?;
        }
        // Networks are judged on the last windows, as many as the first one has time for.
        let mut used = None;
        for trial in trials::networks(self.plan.data.items.len(), self.plan.seed) {
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
        let at = |(windows, epochs): (usize, usize)| (count - windows.min(count)..count, epochs);
        if let Some(begun) = self.state.extent(&trial.name) {
            return Ok(Some(at(begun)));
        }
        let Self { plan, observe, .. } = self;
        let mut go_on = || observe(AutoEvent::Measuring { name: &trial.name }).is_continue();
        let epoch = speed::seconds_per_epoch(&plan.data, &trial.experiment, plan.threads, &mut go_on)?;
        let pairs = |data: &Dataset| (data.sessions.num_events() - data.sessions.len()) as f64;
        let needed = |(windows, epochs): (usize, usize)| {
            let before: f64 = self.backtests[count - windows..].iter().map(|window| pairs(&window.fit)).sum();
            epoch * epochs as f64 * (1.0 + before / pairs(&plan.data))
        };
        let left = plan.budget.as_secs_f64() - self.state.seconds();
        let may = |&(windows, _): &(usize, usize)| match &used {
            Some(used) => windows == used.len(),
            None => windows <= count,
        };
        let extents = || EXTENTS.into_iter().filter(may);
        if let Some(extent) = extents().find(|&extent| needed(extent) <= left) {
            self.state.set_extent(&trial.name, extent)?;
            return Ok(Some(at(extent)));
        }
        let seconds = extents().map(needed).fold(f64::INFINITY, f64::min);
        let skipped = SkippedReport { name: trial.name.clone(), seconds, left_seconds: left };
        self.tell(AutoEvent::Skipped(&skipped))?;
        self.skipped.push(skipped);
        self.state.keep()?;
        Ok(None)
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
        let alone = judge(&self.backtests, &windows, &[&listed], self.plan.objective);
        let seconds = begun.elapsed().as_secs_f64();
        self.tried.push(Tried { name, experiment, selection, listed, seconds, final_seconds: None });
        let report = self.member(self.tried.len() - 1, alone.figures);
        self.tell(AutoEvent::Judged(&report))?;
        self.state.keep()?;
        Ok(true)
    }

    /// Fits a model to the sessions before a window, and lists what it expects in both of its halves.
    fn list(
        &mut self,
        name: &str,
        experiment: &Experiment,
        window: usize,
    ) -> Result<(Halves, TrainingSummary)> {
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

    /// Judges sets of the members on these windows, and trains and saves the best if it is another than before.
    fn judge_all(&mut self, windows: Range<usize>) -> Result<()> {
        let winner = |run: &Self| {
            let (members, judged) = run.candidates.get(run.winner)?;
            Some((members.clone(), judged.is_refined))
        };
        let before = winner(self);
        let Self { plan, observe, backtests, tried, .. } = self;
        let listed: Vec<&Listed> = tried.iter().map(|tried| &tried.listed).collect();
        let mut go_on = |sets| match observe(AutoEvent::Judging { sets }) {
            ControlFlow::Break(()) => Err(Error::Stopped),
            ControlFlow::Continue(()) => Ok(()),
        };
        self.candidates = search(backtests, &windows, &listed, (plan.objective, plan.threads), &mut go_on)?;
        self.winner = best(&self.candidates);
        let (members, judged) = &mut self.candidates[self.winner];
        if members.len() > 1 {
            let listed: Vec<&Listed> = members.iter().map(|&member| listed[member]).collect();
            let by = (plan.objective, plan.threads);
            if let Some(refined) = judge_refined(backtests, &windows, &listed, judged, by) {
                *judged = refined;
            }
        }
        let is_new = before != winner(self);
        if is_new {
            self.save(&windows)?;
        }
        let candidate = self.candidate(self.winner);
        self.tell(AutoEvent::Best { candidate: &candidate, is_new })
    }

    /// Trains the members of the winner on all of the data, and saves their blend, or the only one.
    fn save(&mut self, windows: &Range<usize>) -> Result<()> {
        let (members, judged) = &self.candidates[self.winner];
        let (members, objective) = (members.clone(), judged.is_refined.then_some(self.plan.objective));
        let mut trained = Vec::new();
        for &member in &members {
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
                let pool = learn(&self.backtests, windows, &listed, objective);
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

    fn candidate(&self, at: usize) -> CandidateReport {
        let (members, judged) = &self.candidates[at];
        let winner = &self.candidates[self.winner].1;
        CandidateReport {
            members: members.iter().map(|&member| self.tried[member].name.clone()).collect(),
            figures: judged.figures,
            windows: judged.windows.clone(),
            refined: judged.is_refined,
            behind: if at == self.winner { None } else { judged.behind(winner, self.plan.threads) },
        }
    }

    fn report(&self, character: Character, windows: Vec<WindowReport>) -> AutoReport {
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.sort_by(|&a, &b| self.candidates[b].1.value().total_cmp(&self.candidates[a].1.value()));
        let alone = |member: usize| {
            let of = self.candidates.iter().find(|(members, _)| *members == [member]);
            of.map_or_else(Figures::default, |(_, judged)| judged.figures)
        };
        AutoReport {
            objective: self.plan.objective,
            character,
            windows,
            members: (0..self.tried.len()).map(|member| self.member(member, alone(member))).collect(),
            candidates: order.iter().map(|&at| self.candidate(at)).collect(),
            winner: order.iter().position(|&at| at == self.winner).unwrap_or(0),
            skipped: self.skipped.clone(),
            budget_seconds: self.plan.budget.as_secs_f64(),
            seconds: self.state.seconds(),
        }
    }
}

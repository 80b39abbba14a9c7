//! A run: what is tried in which order, within the budget.

use super::judge::{Backtest, Candidate, Judge, Listed, OfWindow, best, put};
use super::report::{
    AutoReport, CandidateReport, Figures, LeftOutReport, MemberReport, SkippedReport, WindowReport,
};
use super::state::{Best, State};
use super::trials::{self, Trial};
use super::{AutoEvent, AutoObserver, AutoPlan, Character, speed, trainings_of};
use crate::artifact::Artifact;
use crate::blend;
use crate::comparison::{Window, windows_of_days, windows_of_shares};
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

/// The numbers of windows and of epochs that the first network is tried with, the best first, of which the first is taken that
/// fits into the budget.
const EXTENTS: [(usize, usize); 7] = [(3, 10), (2, 10), (1, 10), (1, 6), (1, 4), (1, 2), (1, 1)];

/// The numbers of epochs of further networks, on the windows of the first.
const EPOCHS: [usize; 3] = [10, 6, 4];

/// A member that has been fitted before the windows.
struct Tried {
    name: String,
    experiment: Experiment,
    /// The validated epochs of a network before the last window.
    selection: Option<Selection>,
    listed: Listed,
    seconds: f64,
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
    left_out: Vec<LeftOutReport>,
    /// The sets of members that were judged, by their indices.
    candidates: Vec<Candidate>,
    winner: usize,
}

pub(super) fn run(plan: &AutoPlan, observe: &mut AutoObserver) -> Result<AutoReport> {
    assert!(plan.threads > 0, "a run needs a thread");
    Artifact::check_target(plan.out)?;
    let folder = trainings_of(plan.out);
    let (cut, character) = cut(plan)?;
    let windows = cut.len();
    let backtests =
        cut.into_iter().map(|window| Backtest::new(window, windows)).collect::<Result<Vec<_>>>()?;
    let state = State::begin(&folder, plan)?;
    let windows: Vec<WindowReport> = backtests.iter().map(Backtest::report).collect();
    let mut pass_on = |event: AutoEvent| observe(event);
    let mut run = Run {
        plan,
        observe: &mut pass_on,
        state,
        trainings: MemberFolders::new(folder, plan.checkpoint_every),
        backtests,
        tried: Vec::new(),
        skipped: Vec::new(),
        left_out: Vec::new(),
        candidates: Vec::new(),
        winner: 0,
    };
    let done = run.tell(AutoEvent::Began(&character, &windows)).and_then(|()| run.try_all());
    if let Err(error) = done {
        // The time is kept, so that a resumed run has what is left of its budget.
        run.state.keep()?;
        return Err(error);
    }
    let report = run.report(character, windows);
    run.state.end()?;
    Ok(report)
}

/// Number of sessions of a window below which other windows are looked for: half of them judge.
const ENOUGH: usize = 50;

/// The windows, as many as the log has, and the character of the log: days if the times are real, and else, or if not even the
/// last day has sessions enough, shares; if these have too few as well, the windows with the most sessions.
fn cut(plan: &AutoPlan) -> Result<(Vec<Window>, Character)> {
    let counts = || (1..=WINDOWS).rev();
    let days = counts().filter_map(|count| windows_of_days(&plan.data, count));
    let shares = counts().filter_map(|count| windows_of_shares(&plan.data, count, PARTS).ok());
    let least = |windows: &[Window]| windows.iter().map(|window| window.judge.len()).min().unwrap_or(0);
    let all = |windows: &[Window]| windows.iter().map(|window| window.judge.len()).sum::<usize>();
    let mut largest: Option<Vec<Window>> = None;
    for windows in days.chain(shares).filter(|windows| least(windows) > 1) {
        let is_enough = least(&windows) >= ENOUGH;
        if is_enough || largest.as_ref().is_none_or(|largest| all(&windows) > all(largest)) {
            largest = Some(windows);
        }
        if is_enough {
            break;
        }
    }
    let found = largest.ok_or_else(|| {
        Error::EmptyAfterFiltering {
            left_without: "too few sessions to judge models on",
            why: format!(
                "the newest of the {} sessions need two with two events on items of the older ones: use a longer log, or train one kind of model",
                plan.data.sessions.len()
            ),
        }
    })?;
    let character = Character::of(&plan.data, &found[found.len() - 1]);
    Ok((found, character))
}

impl Run<'_> {
    fn tell(&mut self, event: AutoEvent) -> Result<()> {
        if (self.observe)(event).is_break() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// The result of a member's training; `None`, and the member is left out, if that is its own fault.
    fn or_leave_out<T>(&mut self, name: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error @ (Error::Diverged { .. } | Error::NonFiniteScores { .. } | Error::Memory { .. })) => {
                let reason = error.to_string();
                self.left_out.push(LeftOutReport { name: name.to_owned(), reason: reason.clone() });
                self.tell(AutoEvent::LeftOut { name, reason: &reason })?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
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
        if self.candidates.is_empty() {
            return Err(Error::config("data", "no model could be fitted: the warnings say why"));
        }
        Ok(())
    }

    /// The windows and the number of epochs with which a network fits into the budget; `None` if it does not.
    fn extent(&mut self, trial: &Trial, used: Option<Range<usize>>) -> Result<Option<(Range<usize>, usize)>> {
        let (count, name) = (self.backtests.len(), &trial.name);
        let at = |(windows, epochs): (usize, usize)| (count - windows.min(count)..count, epochs);
        if let Some(begun) = self.state.extent(name) {
            return Ok(Some(at(begun)));
        }
        let left_seconds = self.plan.budget.as_secs_f64() - self.state.seconds();
        if left_seconds <= 0.0 {
            return self.skip(SkippedReport { name: name.clone(), seconds: None, left_seconds });
        }
        let Self { plan, observe, .. } = self;
        let mut go_on = || observe(AutoEvent::Measuring { name }).is_continue();
        let epoch = speed::seconds_per_epoch(&plan.data, &trial.experiment, plan.threads, &mut go_on);
        let Some(epoch) = self.or_leave_out(name, epoch)? else { return Ok(None) };
        let pairs = |data: &Dataset| (data.sessions.num_events() - data.sessions.len()) as f64;
        let needed = |&(windows, epochs): &(usize, usize)| {
            let before: f64 = self.backtests[count - windows..].iter().map(|window| pairs(&window.fit)).sum();
            epoch * epochs as f64 * (1.0 + before / pairs(&self.plan.data))
        };
        let extents: Vec<(usize, usize)> = match used {
            Some(used) => EPOCHS.map(|epochs| (used.len(), epochs)).to_vec(),
            None => EXTENTS.into_iter().filter(|&(windows, _)| windows <= count).collect(),
        };
        let left_seconds = self.plan.budget.as_secs_f64() - self.state.seconds();
        if let Some(&extent) = extents.iter().find(|extent| needed(extent) <= left_seconds) {
            self.state.set_extent(name, extent)?;
            return Ok(Some(at(extent)));
        }
        let seconds = Some(extents.iter().map(needed).fold(f64::INFINITY, f64::min));
        self.skip(SkippedReport { name: name.clone(), seconds, left_seconds })
    }

    fn skip<T>(&mut self, skipped: SkippedReport) -> Result<Option<T>> {
        self.tell(AutoEvent::Skipped(&skipped))?;
        self.skipped.push(skipped);
        self.state.keep()?;
        Ok(None)
    }

    /// Fits a model before each of these windows and lists what it expects there; `false` if it is left out.
    fn try_one(&mut self, trial: Trial, windows: Range<usize>) -> Result<bool> {
        let Trial { name, mut experiment } = trial;
        let (mut of_windows, mut selections, mut seconds) = (Vec::new(), Vec::new(), 0.0);
        for window in windows.clone() {
            self.tell(AutoEvent::Training { name: &name, window: Some((window + 1, self.backtests.len())) })?;
            let begun = Instant::now();
            let training = format!("{name}-window-{}", window + 1);
            let listed = self.list(&training, &experiment, window);
            let Some((of_window, summary)) = self.or_leave_out(&name, listed)? else { return Ok(false) };
            of_windows.push(of_window);
            if experiment.model.network().is_some() {
                selections.push(Selection::of(&summary));
            }
            seconds += self.state.took(&training, begun.elapsed().as_secs_f64());
            self.state.keep()?;
        }
        // The number of epochs in the middle.
        selections.sort_by_key(|selection| selection.best_epoch);
        let middle = selections.len() / 2;
        let selection = selections.into_iter().nth(middle);
        if let Some(selection) = &selection {
            (experiment.training.epochs, experiment.training.patience) = (selection.best_epoch, 0);
        }
        let listed = Listed { first: windows.start, windows: of_windows };
        let alone = self.judge(&windows, &[&listed]).alone(0);
        self.tried.push(Tried { name, experiment, selection, listed, seconds });
        let report = self.member(self.tried.len() - 1, alone.figures);
        self.tell(AutoEvent::Judged(&report))?;
        Ok(true)
    }

    /// Fits a model to the sessions before a window, and lists what it expects in both of its halves.
    fn list(
        &mut self,
        training: &str,
        experiment: &Experiment,
        window: usize,
    ) -> Result<(OfWindow, TrainingSummary)> {
        let Self { plan, observe, state, trainings, backtests, .. } = self;
        let Backtest { fit, validation, learning, judging, catalogue, .. } = &backtests[window];
        let mut observe = |event: FitEvent| pass_on(event, observe, state);
        let member = MemberPlan {
            name: training,
            experiment,
            data: Arc::clone(fit),
            validation: experiment.model.network().map(|_| validation),
            threads: plan.threads,
            start: Start::New,
        };
        let TrainedMember { model, summary } = trainings.train(member, &mut observe)?;
        let scale = experiment.model.kind().scale();
        let mut lists = |half: &blend::HeldOut| {
            half.lists((&*model, scale), catalogue, blend::DEPTH, plan.threads, &mut observe)
        };
        let (of_learning, of_judging) = (lists(learning)?, lists(judging)?);
        let ranks = judging.ranks_alone(&*model, &fit.items, plan.threads)?;
        Ok((OfWindow { learning: of_learning, judging: of_judging, ranks }, summary))
    }

    fn judge<'a>(&'a self, windows: &Range<usize>, members: &'a [&'a Listed]) -> Judge<'a> {
        let AutoPlan { objective, threads, .. } = *self.plan;
        Judge { backtests: &self.backtests, windows: windows.clone(), members, objective, threads }
    }

    /// Judges sets of the members on these windows, and trains and saves the best if it is another than before. A member that
    /// cannot be trained on all of the data is left out, and the others are judged again.
    fn judge_all(&mut self, windows: Range<usize>) -> Result<()> {
        while !self.tried.is_empty() {
            self.search(&windows)?;
            let best = self.best(&windows);
            let is_new = self.is_new(&best);
            if is_new && let Err(member) = self.save(&windows)? {
                self.tried.remove(member);
                // Their members have other numbers now.
                self.candidates.clear();
                continue;
            }
            if is_new {
                self.state.set_best(best)?;
            } else if self.state.best() != Some(&best) {
                return Ok(());
            }
            let candidate = self.candidate(self.winner);
            return self.tell(AutoEvent::Best { candidate: &candidate, is_new });
        }
        self.candidates.clear();
        Ok(())
    }

    /// Judges sets of the members, and finds the winner.
    fn search(&mut self, windows: &Range<usize>) -> Result<()> {
        let Self { plan, observe, backtests, tried, .. } = self;
        let listed: Vec<&Listed> = tried.iter().map(|tried| &tried.listed).collect();
        let AutoPlan { objective, threads, .. } = **plan;
        let judge = Judge { backtests, windows: windows.clone(), members: &listed, objective, threads };
        let mut go_on = |blends| match observe(AutoEvent::Judging { blends }) {
            ControlFlow::Break(()) => Err(Error::Stopped),
            ControlFlow::Continue(()) => Ok(()),
        };
        let mut candidates = judge.search(&mut go_on)?;
        // Refined weights can make a smaller blend better than all that are not: the one that is saved is kept among them.
        let before = std::mem::take(&mut self.candidates).into_iter().nth(self.winner);
        if let Some(before) =
            before.filter(|(_, judged)| judged.is_refined && judged.windows.len() == windows.len())
        {
            put(&mut candidates, before);
        }
        judge.refine_best(&mut candidates);
        self.winner = best(&candidates);
        self.candidates = candidates;
        Ok(())
    }

    /// The winner, as it is saved.
    fn best(&self, windows: &Range<usize>) -> Best {
        let (members, judged) = &self.candidates[self.winner];
        let members = members.iter().map(|&member| self.tried[member].name.clone()).collect();
        Best { members, windows: (windows.start, windows.end), refined: judged.is_refined }
    }

    /// Whether the winner is to be saved: it is another model than the one that is there, and no part of a run that is resumed
    /// and had come further.
    fn is_new(&self, best: &Best) -> bool {
        let Some(saved) = self.state.best().filter(|_| Artifact::exists(self.plan.out)) else { return true };
        let is_known = |name: &String| {
            let is_tried = self.tried.iter().any(|tried| tried.name == *name);
            is_tried || self.left_out.iter().any(|left_out| left_out.name == *name)
        };
        saved != best && saved.members.iter().all(is_known)
    }

    /// Trains the members of the winner on all of the data, and saves their blend, or the only one; or the member that cannot be
    /// trained.
    fn save(&mut self, windows: &Range<usize>) -> Result<std::result::Result<(), usize>> {
        let (members, judged) = &self.candidates[self.winner];
        let (members, is_refined) = (members.clone(), judged.is_refined);
        let mut trained = Vec::new();
        for &member in &members {
            let Tried { name, experiment, selection, .. } = &self.tried[member];
            let (name, experiment, selection) = (name.clone(), experiment.clone(), selection.clone());
            self.tell(AutoEvent::Training { name: &name, window: None })?;
            let begun = Instant::now();
            let training = format!("{name}-all");
            let Self { plan, observe, state, trainings, .. } = self;
            let plan = MemberPlan {
                name: &training,
                experiment: &experiment,
                data: Arc::clone(&plan.data),
                validation: None,
                threads: plan.threads,
                start: Start::New,
            };
            let one = trainings.train(plan, &mut |event| pass_on(event, observe, state));
            let Some(mut one) = self.or_leave_out(&name, one)? else { return Ok(Err(member)) };
            one.summary.selection = selection;
            self.state.took(&training, begun.elapsed().as_secs_f64());
            trained.push((name, experiment, one));
        }
        let data = &self.plan.data;
        let only = if members.len() == 1 { trained.pop() } else { None };
        let (model, experiment, summary) = match only {
            Some((_, experiment, one)) => (one.model, experiment, one.summary),
            None => {
                let listed: Vec<&Listed> = self.tried.iter().map(|tried| &tried.listed).collect();
                let pool = self.judge(windows, &listed).learn(&members, is_refined);
                blend::assemble(trained, pool, data)
            }
        };
        let items = (data.items.clone(), data.item_table.clone());
        let summary = TrainingSummary { finished: true, ..summary };
        Model::new(model, items, experiment.resolved(), summary, None, None).save(self.plan.out)?;
        Ok(Ok(()))
    }

    fn member(&self, member: usize, figures: Figures) -> MemberReport {
        let Tried { name, experiment, seconds, .. } = &self.tried[member];
        let winner = self.candidates.get(self.winner).filter(|(members, _)| members.contains(&member));
        MemberReport {
            name: name.clone(),
            kind: experiment.model.kind(),
            experiment: experiment.resolved(),
            figures,
            seconds: *seconds,
            final_seconds: winner.and_then(|_| self.state.seconds_of(&format!("{name}-all"))),
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
            left_out: self.left_out.clone(),
            budget_seconds: self.plan.budget.as_secs_f64(),
            seconds: self.state.seconds(),
        }
    }
}

/// Passes on an event of a training, and keeps the time so far at the end of an epoch.
fn pass_on(event: FitEvent, observe: &mut AutoObserver, state: &mut State) -> ControlFlow<()> {
    if matches!(event, FitEvent::Epoch(_)) && state.keep().is_err() {
        // The end of the run meets the same error, and returns it.
        return ControlFlow::Break(());
    }
    observe(AutoEvent::Fit(event))
}

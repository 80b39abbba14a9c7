//! The outcome of a search, for `--json`, `result.json` and the report.

use super::live::short;
use crate::commands::evaluate::metrics_tables;
use crate::output::{Table, command_line, thousands};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use upnext_core::comparison::{Comparison, Metric};
use upnext_core::data::part::DroppedSessions;
use upnext_core::evaluation::{Evaluation, MetricsAt};
use upnext_core::experiment::Experiment;
use upnext_core::tuning::{
    Found, Importance, Objective, SearchSpace, Trial, TrialResult, TuningOptions, Values, importance, ranked,
};

/// The outcome of a search.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) version: String,
    pub(super) command: String,
    pub(super) train: PathBuf,
    /// Folder of the best model, trained on the whole training part.
    pub(super) model: PathBuf,
    pub(super) options: TuningOptions,
    pub(super) space: SearchSpace,
    /// The best model's experiment; without a best model, that of the search.
    pub(super) experiment: Experiment,
    pub(super) pop_recall: f64,
    /// Number of cases of the validation part.
    pub(super) valid_cases: Option<usize>,
    /// Number of sampled points that stayed numerically stable for as long as they were trained.
    pub(super) stable: usize,
    /// The best trial; absent if no fully trained point could be evaluated.
    pub(super) best: Option<Trial>,
    pub(super) sampled: Vec<Trial>,
    /// The same trials with their first figures.
    pub(super) first: Vec<Trial>,
    pub(super) refined: Vec<Trial>,
    pub(super) importance: Vec<Importance>,
    /// Figures of the best model on the test part; absent without a test part, and before the evaluation.
    pub(super) test: Option<Test>,
    /// The reason why the best point could not be trained on the whole training part.
    pub(super) failed: Option<String>,
    /// Number of events in the whole training part, after the best point was trained on them.
    pub(super) train_events: Option<usize>,
}

/// Figures of the best model on the test part.
#[derive(Serialize, Deserialize)]
pub(super) struct Test {
    pub(super) log: PathBuf,
    /// Number of times that a best model of this search was evaluated on a test part: more than one if the search was
    /// extended or data changed.
    pub(super) judgements: u32,
    /// Number of test sessions that are also in the training part.
    #[serde(default)]
    pub(super) also_in_training: u64,
    pub(super) of: EvaluatedOn,
    pub(super) dropped: DroppedSessions,
    /// What the best model is compared with: the setting before the search, and a baseline.
    #[serde(default)]
    pub(super) beside: Vec<Beside>,
    /// Intervals of the best model and those beside it that could be evaluated, in this order, and their differences.
    #[serde(default)]
    pub(super) comparison: Option<Comparison>,
    #[serde(flatten)]
    pub(super) evaluation: Evaluation,
}

/// A model that was trained on the same data, to compare with.
#[derive(Serialize, Deserialize)]
pub(super) struct Beside {
    pub(super) name: String,
    /// The reason why it could not be trained.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) failed: Option<String>,
    /// The metrics, by cut-off; empty if it could not be trained.
    pub(super) metrics: Vec<MetricsAt>,
}

impl Test {
    /// The models beside the best one that were evaluated, with their numbers in the comparison.
    pub(super) fn evaluated_beside(&self) -> impl Iterator<Item = (usize, &Beside)> {
        (1..).zip(self.beside.iter().filter(|beside| beside.failed.is_none()))
    }
}

/// Identification of an evaluated model and its test data.
#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct EvaluatedOn {
    pub(super) train_fingerprint: String,
    pub(super) test_fingerprint: String,
    pub(super) values: Values,
}

impl Outcome {
    /// The cut-off k of the trials' figures.
    pub(super) fn cutoff(&self) -> usize {
        self.experiment.evaluation.cutoffs.last().copied().unwrap_or_default()
    }

    /// The outcome before the best point is trained on the whole training part.
    pub(super) fn of(
        train: &Path,
        model: &Path,
        options: TuningOptions,
        space: SearchSpace,
        experiment: &Experiment,
        found: &Found,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command_line(),
            train: train.to_owned(),
            model: model.to_owned(),
            importance: importance(&space, &found.first, options.objective),
            options,
            space,
            experiment: found.best.as_ref().map_or(experiment, |best| &best.1).clone(),
            pop_recall: found.pop_recall,
            valid_cases: None,
            stable: found.sampled.iter().filter(|trial| trial.is_stable()).count(),
            best: found.best.as_ref().map(|best| best.0.clone()),
            sampled: found.sampled.clone(),
            first: found.first.clone(),
            refined: found.refined.clone(),
            test: None,
            failed: None,
            train_events: None,
        }
    }

    /// The fully trained trials, in the order of the procedure. Others are not comparable with them.
    pub(super) fn complete(&self) -> impl Iterator<Item = &Trial> {
        let is_complete =
            |trial: &&Trial| !self.options.halving || trial.epochs == Some(self.experiment.training.epochs);
        self.sampled.iter().filter(is_complete).chain(&self.refined)
    }

    /// The fully trained trials that could be evaluated, best first.
    pub(super) fn by_figure(&self) -> Vec<&Trial> {
        ranked(self.complete(), self.options.objective)
    }

    /// Number of sampled points that could not be trained or evaluated.
    pub(super) fn failed(&self) -> usize {
        self.sampled.iter().filter(|trial| matches!(trial.verdict, TrialResult::Failed { .. })).count()
    }

    /// Describes how many sampled points stayed stable. `share` formats POP's recall.
    pub(super) fn stability(&self, share: impl Fn(f64) -> String) -> String {
        let (all, failed) = (self.sampled.len(), self.failed());
        let below = all - self.stable - failed;
        format!(
            "{} of {} sampled points stayed numerically stable{} ({} did not stay finite or could not be trained, {} have no higher recall@{} than POP, {})",
            thousands(self.stable as u64),
            thousands(all as u64),
            if self.options.halving { ", as long as they were trained" } else { "" },
            thousands(failed as u64),
            thousands(below as u64),
            self.cutoff(),
            share(self.pop_recall)
        )
    }
}

/// The warning about test sessions that are also in the training part.
pub(super) fn test_is_known(sessions: u64) -> String {
    format!(
        "{} sessions of the test log are in the training log too: the model was trained on them, and its figures are too good",
        thousands(sessions)
    )
}

/// Number of trials in the text output.
const SHOWN: usize = 10;

/// Formats the outcome as text.
pub(super) fn describe(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let mut text = format!("{}\n", outcome.stability(|recall| format!("{recall:.4}")));
    if outcome.sampled.len() < outcome.options.trials {
        text.push_str("the space has no more points\n");
    }
    let Some(best) = &outcome.best else { return text };
    let stopped = match outcome.sampled.len() + outcome.refined.len() - outcome.complete().count() {
        0 => String::new(),
        stopped => format!("; {stopped} that were stopped earlier are left out"),
    };
    text.push_str(&format!(
        "\nthe best on the validation part, by {}@{k}{stopped}:\n",
        outcome.options.objective.name()
    ));
    let names = [format!("recall@{k}"), format!("mrr@{k}")];
    let mut headings = vec!["trial", &names[0], &names[1]];
    headings.extend(outcome.space.parameters().iter().map(|p| short(&p.key)));
    let mut table = Table::new(&headings);
    for trial in outcome.by_figure().into_iter().take(SHOWN) {
        let figure = |objective| trial.figure(objective).map_or(String::new(), |x| format!("{x:.4}"));
        let mut row = vec![trial.trial.to_string(), figure(Objective::Recall), figure(Objective::Mrr)];
        row.extend(outcome.space.parameters().iter().map(|p| value(trial, &p.key)));
        table.row(row);
    }
    text.push_str(&format!("{table}\n"));
    let mut table = Table::new(&["parameter", "best", "variance explained"]);
    for importance in &outcome.importance {
        let share = importance.share.map_or("too few trials".to_owned(), |x| format!("{:.0} %", x * 100.0));
        table.row(vec![importance.key.clone(), value(best, &importance.key), share]);
    }
    text.push_str(&format!("{table}\n"));
    if let Some(test) = &outcome.test {
        text.push_str(&format!(
            "trained again on all {} training events and judged{} on the {} cases of {}:\n{}\n",
            thousands(outcome.train_events.unwrap_or_default() as u64),
            if test.judgements > 1 {
                format!(" (judgement {} of this search)", test.judgements)
            } else {
                String::new()
            },
            thousands(test.evaluation.cases as u64),
            test.log.display(),
            metrics_tables(&test.evaluation)
        ));
        text.push_str(&describe_beside(test, k));
        if test.also_in_training > 0 {
            text.push_str(&format!("{}\n", test_is_known(test.also_in_training)));
        }
    }
    if outcome.failed.is_none() {
        text.push_str(&format!("best model in {}\n", outcome.model.display()));
    }
    text
}

/// Formats the figures of the best model beside those that it is compared with, at the largest cut-off.
fn describe_beside(test: &Test, k: usize) -> String {
    let Some(comparison) = &test.comparison else { return String::new() };
    let (recall, mrr) = (format!("recall@{k}"), format!("mrr@{k}"));
    let mut table = Table::new(&["on the same cases", &recall, "ahead by", "95 %", &mrr, "ahead by", "95 %"]);
    let figures = |metrics: &[MetricsAt]| metrics.last().map_or([0.0; 2], |at| [at.recall, at.mrr]);
    let [recall, mrr] = figures(&test.evaluation.metrics).map(|x| format!("{x:.4}"));
    let none = String::new;
    table.row(vec!["the best point".to_owned(), recall, none(), none(), mrr, none(), none()]);
    for (number, beside) in test.evaluated_beside() {
        let mut row = vec![beside.name.clone()];
        for (figure, metric) in figures(&beside.metrics).into_iter().zip([Metric::Recall, Metric::Mrr]) {
            let difference = comparison.difference(0, number, metric, k);
            row.push(format!("{figure:.4}"));
            row.push(difference.map_or(none(), |d| format!("{:+.4}", d.value)));
            let interval = difference.and_then(|d| d.interval);
            row.push(interval.map_or(none(), |i| format!("{:+.4} to {:+.4}", i.low, i.high)));
        }
        table.row(row);
    }
    let failed = test.beside.iter().filter_map(|beside| Some((&beside.name, beside.failed.as_ref()?)));
    let failed: String = failed.map(|(name, reason)| format!("{name}: {reason}\n")).collect();
    format!("{table}\n{failed}")
}

/// Formats a trial's value of a parameter.
pub(super) fn value(trial: &Trial, key: &str) -> String {
    trial.values.get(key).map_or(String::new(), ToString::to_string)
}

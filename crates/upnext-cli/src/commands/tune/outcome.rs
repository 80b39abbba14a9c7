//! What a search has brought about: what `--json` prints, `result.json` keeps and the report shows.

use super::live::short;
use crate::commands::evaluate::metrics_table;
use crate::output::{Table, thousands};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use upnext::data::part::DroppedSessions;
use upnext::evaluation::Evaluation;
use upnext::experiment::Experiment;
use upnext::tuning::{Importance, Objective, SearchSpace, Trial, TuningOptions, Verdict};

/// All of it.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) version: String,
    pub(super) command: String,
    pub(super) train: PathBuf,
    /// The best model, trained on all of the training part.
    pub(super) model: PathBuf,
    pub(super) options: TuningOptions,
    pub(super) space: SearchSpace,
    /// The best model's.
    pub(super) experiment: Experiment,
    pub(super) pop_recall: f64,
    /// Sampled points that stayed numerically stable.
    pub(super) stable: usize,
    pub(super) best: Trial,
    pub(super) sampled: Vec<Trial>,
    pub(super) refined: Vec<Trial>,
    pub(super) importance: Vec<Importance>,
    /// The best model on the test part; absent without one.
    pub(super) test: Option<Test>,
    /// Events of all of the training part.
    pub(super) train_events: usize,
}

/// How the best model did on the test part.
#[derive(Serialize, Deserialize)]
pub(super) struct Test {
    pub(super) log: PathBuf,
    pub(super) dropped: DroppedSessions,
    #[serde(flatten)]
    pub(super) evaluation: Evaluation,
}

impl Outcome {
    /// The cut-off of the trials' figures.
    pub(super) fn cutoff(&self) -> usize {
        self.experiment.evaluation.cutoffs.last().copied().unwrap_or_default()
    }

    /// All judged trials, the best first.
    pub(super) fn by_figure(&self) -> Vec<&Trial> {
        let figure = |trial: &Trial| trial.figure(self.options.objective);
        let all = self.sampled.iter().chain(&self.refined);
        let mut order: Vec<&Trial> = all.filter(|trial| figure(trial).is_some()).collect();
        let key = |trial: &Trial| figure(trial).unwrap_or_default();
        order.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.trial.cmp(&b.trial)));
        order
    }

    /// Sampled points that could not be trained or judged.
    pub(super) fn failed(&self) -> usize {
        self.sampled.iter().filter(|trial| matches!(trial.verdict, Verdict::Failed { .. })).count()
    }

    /// Of how many sampled points stayed stable, in words.
    pub(super) fn stability(&self) -> String {
        let (all, failed) = (self.sampled.len(), self.failed());
        let below = all - self.stable - failed;
        format!(
            "{} of {} sampled points stayed numerically stable ({} did not stay finite or could not be trained, {} are not above POP's recall@{} of {:.4})",
            thousands(self.stable as u64),
            thousands(all as u64),
            thousands(failed as u64),
            thousands(below as u64),
            self.cutoff(),
            self.pop_recall
        )
    }
}

/// Trials that are printed.
const SHOWN: usize = 10;

/// The outcome as text.
pub(super) fn describe(outcome: &Outcome) -> String {
    let k = outcome.cutoff();
    let mut text = format!(
        "{}\n\nthe best on the validation part, by {}@{k}:\n",
        outcome.stability(),
        outcome.options.objective.name()
    );
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
        table.row(vec![importance.key.clone(), value(&outcome.best, &importance.key), share]);
    }
    text.push_str(&format!("{table}\n"));
    if let Some(test) = &outcome.test {
        text.push_str(&format!(
            "trained again on all {} training events and judged on the {} cases of {}:\n{}\n",
            thousands(outcome.train_events as u64),
            thousands(test.evaluation.cases as u64),
            test.log.display(),
            metrics_table(&test.evaluation)
        ));
    }
    text.push_str(&format!("best model in {}\n", outcome.model.display()));
    text
}

/// A trial's value of a parameter as it is written.
pub(super) fn value(trial: &Trial, key: &str) -> String {
    trial.values.get(key).map_or(String::new(), ToString::to_string)
}

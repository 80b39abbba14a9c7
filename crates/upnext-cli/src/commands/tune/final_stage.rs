//! The stage after a search: the best point is trained on the whole training part and evaluated on the test part, beside the
//! setting before the search and a baseline.

use super::data::{self, FinalData};
use super::outcome::{Beside, EvaluatedOn, Outcome, Test, test_is_known};
use super::{BESIDE, RESULT, TuneArgs, interrupted, unless_stopped};
use crate::output::warn;
use crate::train_and_rank::{rank, train_until_stopped};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use upnext_core::artifact::{Artifact, Manifest};
use upnext_core::comparison::{BootstrapOptions, compare};
use upnext_core::data::{ItemTable, Sessions};
use upnext_core::evaluation::{Evaluation, EvaluationConfig};
use upnext_core::experiment::{Experiment, ModelConfig, ModelKind};
use upnext_core::model::Model;
use upnext_core::training::{TrainingPlan, checkpoint_of};

/// The name of the setting before the search.
pub(super) const BEFORE: &str = "the setting before the search";

/// The stage after a search: the best point is trained on the whole training part, and evaluated on the test part.
pub(super) struct FinalStage<'a> {
    pub(super) args: &'a TuneArgs,
    pub(super) path: &'a Path,
    pub(super) test: Option<&'a Path>,
    pub(super) table: Option<&'a Arc<ItemTable>>,
    pub(super) threads: usize,
    pub(super) stop: &'a AtomicBool,
}

impl FinalStage<'_> {
    /// Trains the best point on the whole training part, unless that has been done. The inner error is the reason why
    /// its numbers did not stay finite.
    pub(super) fn train(
        &self,
        model: &Path,
        experiment: &Experiment,
    ) -> anyhow::Result<Result<(FinalData, Model), String>> {
        let parts =
            unless_stopped(data::read_final(self.args, self.path, self.test, self.table), &self.args.out)?;
        if !self.args.output.quiet {
            eprintln!("training the best point again, on all of the training part");
        }
        Ok(self.fit(&parts, model, experiment)?.map(|loaded| (parts, loaded)))
    }

    /// Trains a model on the whole training part, or loads one that has been trained so.
    fn fit(
        &self,
        parts: &FinalData,
        model: &Path,
        experiment: &Experiment,
    ) -> anyhow::Result<Result<Model, String>> {
        for folder in [model.to_owned(), checkpoint_of(model)] {
            // A model of an earlier, smaller search in this folder.
            if Manifest::load(&folder).is_ok_and(|old| old.experiment.resolved() != experiment.resolved()) {
                Artifact::remove(folder)?;
            }
        }
        let plan = TrainingPlan {
            data: Arc::clone(&parts.train),
            validation: None,
            refit: None,
            experiment,
            threads: self.threads,
            out: model,
            init: None,
            resume: true,
            checkpoint_every: Duration::from_secs(600),
            keep_training_state: true,
        };
        match train_until_stopped(plan, self.args.output.quiet, self.stop) {
            Ok(Some(trained)) => Ok(Ok(trained.loaded)),
            Ok(None) => Err(interrupted(&self.args.out)),
            Err(error) => match error.downcast_ref() {
                Some(upnext_core::Error::Diverged { .. }) => Ok(Err(error.to_string())),
                _ => Err(error),
            },
        }
    }

    /// Evaluates the model on the test part, and beside it the setting before the search and a baseline, unless an earlier
    /// process has evaluated the same model on the same data.
    pub(super) fn evaluate(
        &self,
        earlier: Option<EarlierResult>,
        outcome: &Outcome,
        before: &Experiment,
        parts: FinalData,
        loaded: &Model,
    ) -> anyhow::Result<Option<Test>> {
        let (Some(log), Some((sessions, also_in_training))) = (self.test, &parts.test) else {
            warn(&[
                "there is no test part: the figures of the best point are those that it was chosen by, and so too good",
            ]);
            return Ok(None);
        };
        let also_in_training = *also_in_training;
        if also_in_training > 0 {
            warn(&[test_is_known(also_in_training)]);
        }
        let of = EvaluatedOn {
            train_fingerprint: parts.train.sessions.fingerprint(),
            test_fingerprint: sessions.sessions.fingerprint(),
            values: outcome.best.as_ref().map(|best| best.values.clone()).unwrap_or_default(),
        };
        let mut judgements = 1;
        if let Some(earlier) = earlier {
            let is_same = earlier.test.of == of;
            if is_same && earlier.test.comparison.is_some() {
                return Ok(Some(Test { also_in_training, ..earlier.test }));
            }
            judgements = earlier.test.judgements + u32::from(!is_same);
        }
        let options = &outcome.experiment.evaluation;
        let evaluation = self.rank(loaded, &sessions.sessions, options)?;
        let (beside, others) = self.beside(outcome, before, &parts, &sessions.sessions)?;
        let bootstrap = BootstrapOptions { seed: before.training.seed, ..BootstrapOptions::default() };
        let all: Vec<&Evaluation> = std::iter::once(&evaluation).chain(&others).collect();
        let mut comparison =
            compare(&all, (&sessions.sessions, &[]), &parts.train, &options.cutoffs, bootstrap, self.threads);
        // Not shown, and most of the document.
        comparison.breakdowns.clear();
        Ok(Some(Test {
            log: log.to_owned(),
            judgements,
            also_in_training,
            of,
            dropped: sessions.dropped,
            beside,
            comparison: Some(comparison),
            evaluation,
        }))
    }

    fn rank(
        &self,
        model: &Model,
        sessions: &Sessions,
        options: &EvaluationConfig,
    ) -> upnext_core::Result<Evaluation> {
        let quiet = self.args.output.quiet;
        rank(model.recommender(), model.items(), sessions, options, self.threads, quiet)
    }

    /// Trains and evaluates the setting before the search, unless it is the best point, and a baseline. Returns the
    /// evaluations of those that could be trained.
    fn beside(
        &self,
        outcome: &Outcome,
        before: &Experiment,
        parts: &FinalData,
        sessions: &Sessions,
    ) -> anyhow::Result<(Vec<Beside>, Vec<Evaluation>)> {
        let baseline = match before.model.kind() {
            ModelKind::ItemKnn => ModelKind::Sr,
            _ => ModelKind::ItemKnn,
        };
        let mut settings = Vec::new();
        if before.resolved() != outcome.experiment.resolved() {
            settings.push((BEFORE, "default", before.clone()));
        }
        settings.push((
            baseline.name(),
            baseline.name(),
            Experiment {
                model: ModelConfig::of_kind(baseline),
                evaluation: before.evaluation.clone(),
                ..Experiment::default()
            },
        ));
        let folder = self.args.out.join(BESIDE);
        std::fs::create_dir_all(&folder).map_err(upnext_core::Error::io(&folder, "make"))?;
        let (mut beside, mut evaluations) = (Vec::new(), Vec::new());
        for (name, place, experiment) in settings {
            if !self.args.output.quiet {
                eprintln!("training to compare: {name}");
            }
            let model = folder.join(place);
            let trained = self.fit(parts, &model, &experiment)?;
            let mut row = Beside { name: name.to_owned(), failed: None, metrics: Vec::new() };
            match trained {
                Ok(trained) => {
                    let evaluation = self.rank(&trained, sessions, &outcome.experiment.evaluation)?;
                    row.metrics.clone_from(&evaluation.metrics);
                    evaluations.push(evaluation);
                }
                Err(reason) => row.failed = Some(reason),
            }
            beside.push(row);
        }
        Ok((beside, evaluations))
    }
}

/// The result that an earlier process left in the search's folder.
#[derive(serde::Deserialize)]
pub(super) struct EarlierResult {
    test: Test,
}

impl EarlierResult {
    /// Reads the result; `None` if there is none, or none with test figures.
    pub(super) fn read(out: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(out.join(RESULT)).ok()?).ok()
    }
}

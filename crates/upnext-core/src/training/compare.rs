//! Checks that a plan matches the saved training that it continues.

use super::TrainingPlan;
use crate::artifact::{Artifact, Manifest};
use crate::data::Dataset;
use crate::experiment::{Experiment, first_difference};
use crate::history::TrainingSummary;
use crate::{Error, Result};

/// Fields that may change when a training is resumed.
const MAY_CHANGE: [&str; 4] = ["data", "evaluation", "training.epochs", "training.patience"];

/// Checks that the plan matches the saved training.
pub(super) fn same_training(saved: &Manifest, plan: &TrainingPlan) -> Result<()> {
    if let Some((key, was, is)) = difference(&saved.experiment.resolved(), &plan.experiment.resolved()) {
        let reason = format!(
            "was {was} when this training was begun, and is {is} now: go on with the same, or begin another training in another folder"
        );
        return Err(Error::config(key, reason));
    }
    same_stages(&saved.training, plan.refit.is_some())?;
    let data = data_of(saved, plan);
    let (sessions, events) = data.size();
    let training = &saved.training;
    let chosen_on = training.selection.as_ref().map(|selection| (selection.sessions, selection.events));
    let same = saved.has_items(&data.items)
        && (training.sessions, training.events) == (sessions, events)
        && chosen_on.is_none_or(|chosen_on| chosen_on == plan.data.size());
    if !same {
        let reason = format!(
            "this training was begun with {} events of {} sessions on {} items, and these are {} of {} on {}: resume with the same data (and the same --init, if it had one)",
            saved.training.events,
            saved.training.sessions,
            saved.items,
            events,
            sessions,
            data.items.len()
        );
        return Err(Error::config("resume", reason));
    }
    same_validation(saved, plan)
}

/// Checks that models of the plan's kind can be trained further.
pub(super) fn can_train_further(plan: &TrainingPlan) -> Result<()> {
    let kind = plan.experiment.model.kind();
    if kind.can_train_further() {
        return Ok(());
    }
    let reason = format!(
        "a model of kind \"{kind}\" is fitted to a log as a whole: fit it to all of the log, without --init"
    );
    Err(Error::config("--init", reason))
}

/// The data of the stage that a saved training is in.
fn data_of<'p>(saved: &Manifest, plan: &'p TrainingPlan) -> &'p Dataset {
    if saved.training.selection.is_some() { plan.all_data() } else { &plan.data }
}

/// Checks that a validated training ends as it was begun to end: by training again on all of the data, or with the best
/// epoch.
fn same_stages(saved: &TrainingSummary, has_second_stage: bool) -> Result<()> {
    let is_validated = saved.validated_epochs().iter().any(|epoch| epoch.validation.is_some());
    // With a second stage, the best epoch's weights are not kept.
    match (is_validated, has_second_stage) {
        (true, false) if saved.best_epoch.is_none() => Err(Error::config(
            "validate",
            "this training was begun with a validation, to train again on all of the data afterwards: ask for the same again",
        )),
        (true, true) if saved.best_epoch.is_some() => Err(Error::config(
            "refit",
            "this training was begun to keep the best epoch, without training again: go on in the same way",
        )),
        _ => Ok(()),
    }
}

/// Checks that every item has the same support as in the saved training.
pub(super) fn same_support(saved: &Artifact, plan: &TrainingPlan) -> Result<()> {
    if saved.items.supports() == data_of(&saved.manifest, plan).items.supports() {
        return Ok(());
    }
    let reason = "the items do not occur as often as in the data that this training was begun with: resume with the same data (and the same --init, if it had one)";
    Err(Error::config("resume", reason))
}

/// Checks that further epochs are validated like the earlier ones.
fn same_validation(saved: &Manifest, plan: &TrainingPlan) -> Result<()> {
    let Some(epoch) = saved.training.validated_epochs().last() else { return Ok(()) };
    match (epoch.validation.is_some(), plan.validation.is_some()) {
        (true, false) => Err(Error::config(
            "resume",
            "the epochs of this training were judged by validation: give the same validation log again",
        )),
        (false, true) => Err(Error::config(
            "resume",
            "this training was begun without validation, so that no best epoch can be found: go on without",
        )),
        (true, true) if saved.experiment.evaluation != plan.experiment.evaluation => Err(Error::config(
            "evaluation",
            "is not that by which the earlier epochs were judged, which chooses the best one: go on with the same",
        )),
        _ => Ok(()),
    }
}

/// The first field that differs, dotted, with its two values.
fn difference(was: &Experiment, is: &Experiment) -> Option<(String, String, String)> {
    first_difference(was, is, &MAY_CHANGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_that_differs_is_named() {
        let was = Experiment::default().resolved();
        let mut is = was.clone();
        is.training.epochs = 99;
        is.evaluation.cutoffs = vec![3];
        assert_eq!(difference(&was, &is), None);
        is.set("training.learning_rate=0.5").unwrap();
        let (key, _, is_now) = difference(&was, &is).unwrap();
        assert_eq!((key.as_str(), is_now.as_str()), ("training.learning_rate", "0.5"));
        is.training.learning_rate = was.training.learning_rate;
        is.set("model.kind=pop").unwrap();
        assert_eq!(difference(&was, &is).unwrap().0, "model.kind");
    }
}

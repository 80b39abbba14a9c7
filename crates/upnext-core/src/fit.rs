//! Fits a model in memory: from a dataset and an experiment to a fitted model.
//!
//! [`training::train`](crate::training::train) runs the same loop with checkpoints in folders.

use crate::data::{Dataset, Sessions};
use crate::experiment::Experiment;
use crate::history::{Ended, FitEvent, Observer, TrainingSummary};
use crate::kind::Start;
use crate::model::Model;
use crate::stages::{InMemory, Stages, Trained, check_validation};
use crate::{Error, Result};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Options of [`fit`] besides the data and the experiment.
///
/// ```
/// use std::ops::ControlFlow;
/// use upnext_core::{FitEvent, FitOptions};
///
/// let mut show = |event: FitEvent| {
///     if let FitEvent::Epoch(epoch) = event {
///         eprintln!("epoch {}: loss {:.4}", epoch.epoch, epoch.loss);
///     }
///     ControlFlow::Continue(())
/// };
/// let options = FitOptions::default().threads(1).observer(&mut show);
/// # let _ = options;
/// ```
#[derive(Default)]
pub struct FitOptions<'a> {
    validation: Option<&'a Sessions>,
    refit: Option<Arc<Dataset>>,
    threads: Option<usize>,
    init: Option<Model>,
    keep_training_state: bool,
    observer: Option<&'a mut Observer<'a>>,
}

impl std::fmt::Debug for FitOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FitOptions")
            .field("validation", &self.validation.map(Sessions::len))
            .field("refit", &self.refit.is_some())
            .field("threads", &self.threads)
            .field("init", &self.init.is_some())
            .field("keep_training_state", &self.keep_training_state)
            .finish_non_exhaustive()
    }
}

impl<'a> FitOptions<'a> {
    /// Validates every epoch of a network on these sessions, which must not be part of the data, and keeps the weights of the
    /// best epoch, or trains again by [`refit`](Self::refit).
    pub fn validation(mut self, sessions: &'a Sessions) -> Self {
        self.validation = Some(sessions);
        self
    }

    /// After the validation, trains a new model on `data`, which includes the validation's sessions, for as many epochs as
    /// were best. Kinds without epochs are fitted to it at once. [`FitOptions::validation`] must be given, too.
    pub fn refit(mut self, data: impl Into<Arc<Dataset>>) -> Self {
        self.refit = Some(data.into());
        self
    }

    /// Sets the number of threads, at least 1; by default all cores. The result does not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Starts from an earlier model, whose items must be the first of the data's ([`Dataset::extending`]). Its item table is
    /// kept if the data have none.
    pub fn init(mut self, model: Model) -> Self {
        self.init = Some(model);
        self
    }

    /// Sets whether the model keeps its training state (the optimiser state) for further training; by default it does
    /// not.
    pub fn keep_training_state(mut self, keep: bool) -> Self {
        self.keep_training_state = keep;
        self
    }

    /// Sets the observer, which is called for every [`FitEvent`]. If it returns [`ControlFlow::Break`], training stops
    /// after the mini-batch, with the network as it is then.
    pub fn observer(mut self, observer: &'a mut Observer<'a>) -> Self {
        self.observer = Some(observer);
        self
    }
}

/// The result of [`fit`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fitted {
    /// The model of the best epoch by validation, or of the last epoch without validation and after a
    /// [refit](FitOptions::refit).
    pub model: Model,
    /// The epochs, with loss, speed and validation; empty for a kind that is not trained in epochs.
    pub history: TrainingSummary,
    /// How the training ended.
    pub ended: Ended,
    /// Whether the optimiser state of the initial model was used; `None` without one.
    pub optimizer_state_kept: Option<bool>,
}

/// Fits a model of any kind to a dataset, in memory.
///
/// The same data, experiment, build and instruction set give the same bits for any number of threads, here and by
/// `upnext train`.
///
/// # Errors
/// [`Error::Config`] for an experiment that is invalid, by itself or with the data; [`Error::Memory`] for a network
/// that does not fit into memory; [`Error::Diverged`] if a loss or a parameter is no longer a finite number, or exceeds a million.
///
/// # Panics
/// If the number of threads is 0.
pub fn fit(data: impl Into<Arc<Dataset>>, experiment: &Experiment, options: FitOptions) -> Result<Fitted> {
    experiment.validate()?;
    let data = data.into();
    let FitOptions { validation, refit, threads, init, keep_training_state, observer } = options;
    check_validation(experiment, validation.is_some(), refit.is_some())?;
    let threads =
        threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let mut go_on = |_: FitEvent| ControlFlow::Continue(());
    let mut checkpoints = InMemory::new(keep_training_state);
    let all = refit.as_ref().unwrap_or(&data);
    let item_table = all.item_table.clone().or_else(|| init.as_ref()?.item_table().cloned());
    let initial = match &init {
        Some(init) => {
            check_extends(init, all)?;
            start_from(init, experiment, &data)?
        }
        None => Start::New,
    };
    let observe = observer.unwrap_or(&mut go_on);
    let stages = Stages {
        experiment,
        data,
        validation,
        refit,
        threads,
        keeps_state: keep_training_state,
        initial,
        resumed: None,
    };
    let Trained { model, data, summary, ended, state, optimizer_state_kept } =
        stages.run(observe, &mut checkpoints)?;
    let model = Model::new(
        model,
        (data.items.clone(), item_table),
        experiment.resolved(),
        summary.clone(),
        state,
        None,
    );
    Ok(Fitted { model, history: summary, ended, optimizer_state_kept })
}

/// A start from an earlier model of the same structure.
fn start_from(init: &Model, experiment: &Experiment, data: &Dataset) -> Result<Start> {
    init.experiment().check_same_model(experiment)?;
    check_extends(init, data)?;
    let items = init.items().len();
    let (state, item_table) = (init.training_state().cloned(), init.item_table().cloned());
    Ok(Start::From { arrays: init.arrays(), state, items, item_table })
}

/// Checks that the items of a model are the first of the data's.
fn check_extends(init: &Model, data: &Dataset) -> Result<()> {
    let items = init.items().len();
    if items > data.items.len() || init.items().ids().zip(data.items.ids()).any(|(a, b)| a != b) {
        let reason = "its items are not the first of the data's: make the data by Dataset::extending";
        return Err(Error::config("init", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

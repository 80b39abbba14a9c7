//! Trainings.

use crate::data::Sessions;
use crate::errors::{OrRaise, options};
use crate::model::Model;
use crate::work::{interruptible, threads};
use pyo3::prelude::*;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use upnext_core::history::Ended;
use upnext_core::{Experiment, FitEvent, FitOptions};

/// How often the progress of an epoch is passed on.
const EVERY: Duration = Duration::from_millis(100);

/// Fits a model: the model, how the training ended, and the exception that has stopped it, if one has.
///
/// `callback(name, record)` is called with `"begin"`, `"mini-batch"`, `"epoch"`, `"refit"`, `"member"` and `"left-out"`,
/// and a record as JSON; if it returns `False`, the training stops as if Ctrl-C had been pressed.
#[pyfunction]
#[pyo3(signature = (experiment, sessions, validation=None, refit=None, init=None, num_threads=None, keep_training_state=true, callback=None))]
#[allow(clippy::too_many_arguments)] // the options of a fit, by name in Python
pub(crate) fn fit(
    py: Python<'_>,
    experiment: &str,
    sessions: &Sessions,
    validation: Option<&Sessions>,
    refit: Option<&Sessions>,
    init: Option<&Model>,
    num_threads: Option<usize>,
    keep_training_state: bool,
    callback: Option<Py<PyAny>>,
) -> PyResult<(Model, &'static str, Option<PyErr>)> {
    let experiment: Experiment = options(py, experiment)?;
    let raised: Mutex<Option<PyErr>> = Mutex::new(None);
    let (fitted, signal) = interruptible(py, |stop| {
        let dataset = |of: &Sessions| match init {
            Some(init) => of.extending(init.inner.items()),
            None => of.dataset(),
        };
        let data = dataset(sessions)?;
        let validation = validation.map(|validation| validation.cases(&data.items)).transpose()?;
        let mut last: Option<Instant> = None;
        let mut observe = |event: FitEvent| {
            if stop.check().is_break() {
                return ControlFlow::Break(());
            }
            let is_small = matches!(event, FitEvent::MiniBatch(_) | FitEvent::Listing { .. });
            if is_small && last.is_some_and(|last| last.elapsed() < EVERY) {
                return ControlFlow::Continue(());
            }
            last = Some(Instant::now());
            let (Some(callback), Some((name, record))) = (&callback, shown(&event)) else {
                return ControlFlow::Continue(());
            };
            let goes_on = Python::attach(|py| {
                let answer = callback.call1(py, (name, record))?;
                PyResult::Ok(!answer.bind(py).is(pyo3::types::PyBool::new(py, false)))
            });
            match goes_on {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(()),
                Err(error) => {
                    *raised.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let mut options = FitOptions::default()
            .threads(threads(num_threads))
            .keep_training_state(keep_training_state)
            .observer(&mut observe);
        if let Some(validation) = &validation {
            options = options.validation(&validation.sessions);
        }
        if let Some(refit) = refit {
            options = options.refit(dataset(refit)?);
        }
        if let Some(init) = init {
            options = options.init(init.inner.clone());
        }
        upnext_core::fit(data, &experiment, options)
    });
    let raised = signal.or(raised.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
    let fitted = match (fitted, raised) {
        // A training of members is worth nothing before its end.
        (Err(upnext_core::Error::Stopped), Some(error)) => return Err(error),
        (fitted, raised) => (fitted.or_raise(py)?, raised),
    };
    let (fitted, raised) = fitted;
    let ended = match fitted.ended {
        Ended::Early => "early",
        Ended::Interrupted => "interrupted",
        _ => "complete",
    };
    Ok((Model::new(fitted.model), ended, raised))
}

/// The name and the record of an event that Python is told of.
fn shown(event: &FitEvent) -> Option<(&'static str, String)> {
    let record = |value: serde_json::Value| value.to_string();
    let shown = match event {
        FitEvent::Begin { epochs, epochs_done, backend, .. } => (
            "begin",
            record(serde_json::json!({ "epochs": epochs, "epochs_done": epochs_done, "backend": backend })),
        ),
        FitEvent::MiniBatch(progress) => (
            "mini-batch",
            record(serde_json::json!({
                "epoch": progress.epoch, "pairs": progress.pairs, "of": progress.pairs_in_epoch, "loss": progress.loss,
                "seconds": progress.seconds
            })),
        ),
        FitEvent::Epoch(epoch) => ("epoch", serde_json::to_string(epoch).ok()?),
        FitEvent::Refit(selection) => {
            ("refit", record(serde_json::json!({ "best_epoch": selection.best_epoch })))
        }
        FitEvent::Member { name, number, of, .. } => {
            ("member", record(serde_json::json!({ "name": name, "number": number, "of": of })))
        }
        FitEvent::LeftOut { name, reason } => {
            ("left-out", record(serde_json::json!({ "name": name, "reason": reason })))
        }
        _ => return None,
    };
    Some(shown)
}

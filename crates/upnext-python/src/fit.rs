//! Trainings.

use crate::data::Sessions;
use crate::errors::{OrRaise, options, raise_as};
use crate::items::ItemTable;
use crate::model::Model;
use crate::work::{observed, threads};
use pyo3::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use upnext_core::history::Ended;
use upnext_core::{Experiment, FitEvent, FitOptions};

/// How often the progress of an epoch is passed on.
const EVERY: Duration = Duration::from_millis(100);

/// A model, how its training ended, doubts about it, and the exception that has stopped it, if one has.
type Fit = (Model, &'static str, Vec<String>, Option<PyErr>);

/// Fits a model.
///
/// `callback(name, record)` is called on this thread with `"begin"`, `"mini-batch"`, `"epoch"`, `"refit"`, `"member"` and
/// `"left-out"`, and a record as JSON; if it returns `False`, the training stops as if Ctrl-C had been pressed. With `refit`, a
/// validated model is trained again on everything: on those sessions, or else on both.
#[pyfunction]
#[pyo3(signature = (experiment, sessions, validation=None, refit=false, whole=None, init=None, item_table=None, num_threads=None, keep_training_state=true, callback=None))]
#[allow(clippy::too_many_arguments)] // the options of a fit, by name in Python
pub(crate) fn fit(
    py: Python<'_>,
    experiment: &str,
    sessions: &Sessions,
    validation: Option<&Sessions>,
    refit: bool,
    whole: Option<&Sessions>,
    init: Option<&Model>,
    item_table: Option<&ItemTable>,
    num_threads: Option<usize>,
    keep_training_state: bool,
    callback: Option<Py<PyAny>>,
) -> PyResult<Fit> {
    let experiment: Experiment = options(py, experiment)?;
    let work = |stop: &crate::work::Stop, tell: &dyn Fn((&'static str, String))| {
        let mut doubts = Vec::new();
        let dataset = |of: &Sessions| {
            let (data, dropped) = match init {
                Some(init) => of.extending(init.inner.items())?,
                None => of.dataset()?,
            };
            let data = match item_table {
                Some(table) => Arc::new(Arc::unwrap_or_clone(data).with_item_table(Arc::clone(&table.inner))),
                None => data,
            };
            upnext_core::Result::Ok((data, dropped))
        };
        let (data, dropped) = dataset(sessions)?;
        let validating = validation.map(|validation| validation.cases(&data.items, false)).transpose()?;
        let again = match validation.filter(|_| refit) {
            Some(validation) => match whole {
                Some(whole) => Some(dataset(whole)?),
                None => Some(dataset(&sessions.with_others(validation))?),
            },
            None => None,
        };
        let short = again.as_ref().map_or(dropped, |(_, dropped)| *dropped).short_sessions;
        if short > 0 {
            doubts.push(format!(
                "{short} sessions of a single event are left out: they have no next item to learn"
            ));
        }
        let mut last: Option<Instant> = None;
        let mut observe = |event: FitEvent| {
            if stop.check().is_break() {
                return ControlFlow::Break(());
            }
            match event {
                FitEvent::SmallerBatch { asked, rows } => doubts.push(format!(
                    "there are only {rows} sessions: a mini-batch has {rows} rows and not {asked}"
                )),
                FitEvent::LeftOut { name, reason } => doubts.push(format!("{name} is left out: {reason}")),
                _ => {}
            }
            let is_small = matches!(event, FitEvent::MiniBatch(_));
            if is_small && last.is_some_and(|last| last.elapsed() < EVERY) {
                return ControlFlow::Continue(());
            }
            if callback.is_some()
                && let Some(shown) = shown(&event)
            {
                last = Some(Instant::now());
                tell(shown);
            }
            stop.check()
        };
        let mut options = FitOptions::default()
            .threads(threads(num_threads))
            .keep_training_state(keep_training_state)
            .observer(&mut observe);
        if let Some((validation, _)) = &validating {
            options = options.validation(&validation.sessions);
        }
        if let Some((again, _)) = again {
            options = options.refit(again);
        }
        if let Some(init) = init {
            options = options.init(init.inner.clone());
        }
        let fitted = upnext_core::fit(data, &experiment, options)?;
        if fitted.optimizer_state_kept == Some(false) {
            doubts.push(
                "the model from which this training starts has no training state: the optimiser begins anew (upnext.load(path, to_train=True) loads it, and fit(keep_training_state=True) keeps it)"
                    .to_owned(),
            );
        }
        Ok((fitted, doubts))
    };
    let (fitted, raised) = observed(py, work, |(name, record)| {
        let Some(callback) = &callback else { return Ok(true) };
        let answer = callback.call1(py, (name, record))?;
        Ok(!answer.bind(py).is(pyo3::types::PyBool::new(py, false)))
    });
    let (fitted, doubts) = match (fitted, raised.is_some()) {
        // A training that has no model before its end.
        (Err(upnext_core::Error::Stopped), true) => match raised {
            Some(error) => return Err(error),
            None => return Err(raise_as(py, "StoppedError", "stopped")),
        },
        (Err(upnext_core::Error::Stopped), false) => {
            let text = "the callback has ended the training of a model that is only there at its end: it stays unfitted";
            return Err(raise_as(py, "StoppedError", text));
        }
        (fitted, _) => fitted.or_raise(py)?,
    };
    let ended = match fitted.ended {
        Ended::Early => "early",
        Ended::Interrupted => "interrupted",
        _ => "complete",
    };
    Ok((Model::new(fitted.model), ended, doubts, raised))
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

//! How long a training will take.

use crate::data::Dataset;
use crate::experiment::Experiment;
use crate::fit::{FitOptions, fit};
use crate::history::FitEvent;
use crate::{Error, Result};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time for which a network is trained to measure its speed.
const PROBE: Duration = Duration::from_secs(2);

/// Seconds that an epoch of a network on these data takes, measured on some mini-batches.
///
/// # Errors
/// Those of the training; [`Error::Stopped`] if `go_on` says so.
pub(super) fn seconds_per_epoch(
    data: &Arc<Dataset>,
    experiment: &Experiment,
    threads: usize,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<f64> {
    let (mut per_pair, mut begun, mut is_stopped) = (0.0, None, false);
    let pairs = (data.sessions.num_events() - data.sessions.len()) as f64;
    let mut observe = |event: FitEvent| {
        if !go_on() {
            is_stopped = true;
            return ControlFlow::Break(());
        }
        match event {
            FitEvent::MiniBatch(progress) => {
                let begun = *begun.get_or_insert_with(Instant::now);
                per_pair = progress.seconds / (progress.pairs + progress.pairs_left_out).max(1) as f64;
                if begun.elapsed() > PROBE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            FitEvent::Epoch(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let mut experiment = experiment.clone();
    experiment.training.patience = 0;
    fit(Arc::clone(data), &experiment, FitOptions::default().threads(threads).observer(&mut observe))?;
    if is_stopped { Err(Error::Stopped) } else { Ok(per_pair * pairs) }
}

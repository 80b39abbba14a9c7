//! What a model costs when it serves: the time of one request on one core, and the size of its files.

use crate::interrupt;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use upnext_core::artifact::Manifest;
use upnext_core::data::{ItemVocabulary, Sessions};
use upnext_core::evaluation::EvaluationConfig;
use upnext_core::model::Model;

/// Number of requests that are timed.
const REQUESTS: usize = 200;

/// The time after which no further request is timed.
const ENOUGH: Duration = Duration::from_secs(1);

/// Milliseconds of one core for the list of one session, as `serve` computes it when no other request waits, of some
/// sessions: ascending.
///
/// Unlike the time of an evaluation, which scores many sessions together on all threads, this is what a request costs.
pub(crate) fn request_times(
    model: &Model,
    (sessions, items): (&Sessions, &ItemVocabulary),
    k: usize,
) -> upnext_core::Result<Vec<f64>> {
    let step = sessions.len().div_ceil(REQUESTS).max(1);
    let histories: Vec<Vec<&str>> = (0..sessions.len())
        .step_by(step)
        .map(|s| sessions.session(s))
        .filter(|session| session.len() > 1)
        .map(|session| session[..session.len() - 1].iter().map(|&item| items.id(item)).collect())
        .collect();
    // The first list builds the index, which a server does before its first request.
    if let Some(first) = histories.first() {
        model.recommend(first, k)?;
    }
    let (begun, mut times) = (Instant::now(), Vec::with_capacity(histories.len()));
    for history in &histories {
        if begun.elapsed() > ENOUGH || interrupt::check() == ControlFlow::Break(()) {
            break;
        }
        let start = Instant::now();
        std::hint::black_box(model.recommend(history, k)?);
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The median of [`request_times`]; `None` if no session could be timed.
pub(crate) fn request_ms(
    model: &Model,
    data: (&Sessions, &ItemVocabulary),
    options: &EvaluationConfig,
) -> upnext_core::Result<Option<f64>> {
    let times = request_times(model, data, options.cutoffs.last().copied().unwrap_or(1))?;
    Ok(times.get(times.len() / 2).copied())
}

/// Size of a saved model's files in bytes, without its training state, which is not served.
pub(crate) fn model_bytes(folder: &Path) -> upnext_core::Result<u64> {
    fn bytes(manifest: &Manifest) -> u64 {
        let served = manifest.files.iter().filter(|file| file.name != "training").map(|file| file.bytes);
        served.sum::<u64>() + manifest.members.iter().map(|member| bytes(&member.manifest)).sum::<u64>()
    }
    Ok(bytes(&Manifest::load(folder)?))
}

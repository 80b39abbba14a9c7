//! Fits a blend: members on the older sessions, weights on the newest, then members on all.

use super::held_out::{CASES, HeldOut};
use super::lists::{Catalogue, List};
use super::pool::Pool;
use super::{Blend, BlendConfig, Fitted, take_weights};
use crate::arrays::Arrays;
use crate::data::{Dataset, ItemTable, Sessions};
use crate::experiment::Experiment;
use crate::history::{Ended, FitEvent, Selection};
use crate::kind::{Fit, MemberPlan, Scale, Start, TrainedMember};
use crate::{Error, Result};
use std::sync::Arc;

/// A member that is to be trained on all of the data.
struct Planned {
    name: String,
    experiment: Experiment,
    start: Start,
    /// The training on the older sessions, which chose the epochs of a network.
    selection: Option<Selection>,
}

/// Fits a blend to `fit.data`: a new one, or one that starts from the weights and the networks of another.
///
/// # Errors
/// [`Error::Config`] if the log is too short to hold out sessions; those of the members; [`Error::Stopped`] if the observer
/// breaks.
pub(super) fn fit(config: &BlendConfig, fit: &mut Fit<'_>) -> Result<Blend> {
    let all = config.experiments(fit.training, fit.evaluation);
    let count = all.len();
    // Learning the weights takes a training of each member before these.
    let (before, (pool, planned)) = match std::mem::take(&mut fit.start) {
        Start::From { arrays, items, item_table, .. } => (0, start_from(all, arrays, (items, item_table))?),
        Start::New | Start::Resume { .. } => (count, learn_weights(config, all, fit)?),
    };
    let of = before + planned.len();
    let data = Arc::clone(&fit.data);
    let (mut members, mut summaries) = (Vec::new(), Vec::new());
    for (number, Planned { name, experiment, start, selection }) in (before + 1..).zip(planned) {
        let place = Place { name: &name, folder: &name, number, of };
        let TrainedMember { model, mut summary } =
            train(place, &experiment, Arc::clone(&data), None, start, fit)?;
        summary.selection = selection;
        members.push(Fitted::new(name.clone(), &experiment, model));
        summaries.push((name, summary));
    }
    fit.summary.members = summaries;
    fit.ended = Ended::Complete;
    Ok(Blend::new(config.clone(), members, pool, &data.items))
}

/// The weights of an earlier blend, and its members, whose networks go on from their weights.
fn start_from(
    all: Vec<(String, Experiment)>,
    mut arrays: Arrays,
    (items, item_table): (usize, Option<Arc<ItemTable>>),
) -> Result<(Pool, Vec<Planned>)> {
    let mut planned = Vec::new();
    for (name, experiment) in all {
        // A member that was left out of the earlier blend has no weight.
        let Some(at) = arrays.members.iter().position(|(other, _)| *other == name) else { continue };
        let start = match experiment.model.network() {
            Some(_) => {
                let (arrays, item_table) = (arrays.members.swap_remove(at).1, item_table.clone());
                Start::From { arrays, state: None, items, item_table }
            }
            None => Start::New,
        };
        planned.push(Planned { name, experiment, start, selection: None });
    }
    let pool = take_weights(&mut arrays, planned.len())?;
    Ok((pool, planned))
}

/// Learns the weights: trains the members on the older sessions, and lists what they expect in the newest ones.
///
/// Members whose training diverges are left out.
fn learn_weights(
    config: &BlendConfig,
    all: Vec<(String, Experiment)>,
    fit: &mut Fit<'_>,
) -> Result<(Pool, Vec<Planned>)> {
    let (older, newest) = split(&fit.data, config.held_out)?;
    let older = Arc::new(older);
    let held = HeldOut::new(&newest, CASES);
    if held.len() == 0 {
        return Err(too_short(config.held_out));
    }
    let catalogue = Catalogue::new(older.items.supports());
    let (mut planned, mut lists, mut last) = (Vec::new(), Vec::new(), None);
    let of = 2 * all.len();
    for (number, (name, mut experiment)) in (1..).zip(all) {
        let validation = experiment.model.network().map(|_| &newest);
        let place = Place { name: &name, folder: &format!("{name}-older"), number, of };
        let listed = train(place, &experiment, Arc::clone(&older), validation, Start::New, fit).and_then(
            |TrainedMember { model, summary }| {
                let scale = experiment.model.kind().scale();
                let found =
                    held.lists((&*model, scale), &catalogue, config.depth, fit.threads, &mut |event| {
                        (fit.observe)(event)
                    })?;
                Ok((found, summary))
            },
        );
        match listed {
            Ok((found, summary)) => {
                let selection = validation.map(|_| Selection::of(&summary));
                if let Some(selection) = &selection {
                    (experiment.training.epochs, experiment.training.patience) = (selection.best_epoch, 0);
                }
                lists.push(found);
                planned.push(Planned { name, experiment, start: Start::New, selection });
            }
            Err(error @ (Error::Diverged { .. } | Error::NonFiniteScores { .. })) => {
                let reason = error.to_string();
                if (fit.observe)(FitEvent::LeftOut { name: &name, reason: &reason }).is_break() {
                    return Err(Error::Stopped);
                }
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    let lists_nothing = |member: &Planned| member.experiment.model.kind().scale() == Scale::Fixed;
    match last {
        Some(error) if planned.iter().all(lists_nothing) => return Err(error),
        _ => {}
    }
    let lists: Vec<&[List]> = lists.iter().map(Vec::as_slice).collect();
    let cases = held.cases(&lists, 1);
    if cases.is_empty() {
        return Err(too_short(config.held_out));
    }
    let members: Vec<usize> = (0..planned.len()).collect();
    Ok((Pool::learn(&cases, members.len(), &members), planned))
}

/// The place of a training among those of a blend.
#[derive(Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    folder: &'a str,
    number: usize,
    of: usize,
}

/// Trains a member.
fn train(
    place: Place<'_>,
    experiment: &Experiment,
    data: Arc<Dataset>,
    validation: Option<&Sessions>,
    start: Start,
    fit: &mut Fit<'_>,
) -> Result<TrainedMember> {
    let Place { name, folder, number, of } = place;
    if (fit.observe)(FitEvent::Member { name, number, of, sessions: data.sessions.len() }).is_break() {
        return Err(Error::Stopped);
    }
    let plan = MemberPlan { name: folder, experiment, data, validation, threads: fit.threads, start };
    let observe = &mut fit.observe;
    fit.checkpoints.train_member(plan, &mut |event| observe(event))
}

/// The older sessions, and the newest ones, a share of all, without what the older ones do not know.
fn split(data: &Dataset, held_out: f32) -> Result<(Dataset, Sessions)> {
    let count = data.sessions.len();
    let newest = (count as f64 * f64::from(held_out)).round() as usize;
    let (older, newest) = data.cut(count - newest.min(count));
    if older.sessions.is_empty() || newest.is_empty() {
        Err(too_short(held_out))
    } else {
        Ok((older, newest))
    }
}

fn too_short(held_out: f32) -> Error {
    let reason = format!(
        "{held_out} of the sessions are too few to learn weights from: use a larger share or a longer log, or one of the members alone"
    );
    Error::config("model.held_out", reason)
}

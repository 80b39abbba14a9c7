//! Fits a blend: members on the older sessions, weights on the newest, then members on all.

use super::learn::{Case, learn};
use super::lists::{features, union};
use super::pool::Pool;
use super::scorer::Lists;
use super::{Blend, BlendConfig, Member};
use crate::batch::{Carry, SessionBatcher};
use crate::data::{Dataset, ItemVocabulary, Sessions};
use crate::experiment::ModelKind;
use crate::gru4rec::config::TrainingConfig;
use crate::history::{Ended, FitEvent};
use crate::kind::{AnyModel, Fit, InMemory};
use crate::ranking::ROWS;
use crate::{Error, Result, models};
use std::sync::Arc;

/// Number of cases from which weights are learnt, at most. They have some ten parameters, and a case takes some kilobytes.
const CASES: usize = 20_000;

/// Fits a blend to `fit.data`.
///
/// # Errors
/// [`Error::Config`] if the log is too short to hold out sessions; those of the members; [`Error::Stopped`] if the observer
/// breaks.
pub(super) fn fit(config: &BlendConfig, fit: &mut Fit<'_>) -> Result<Blend> {
    let data = Arc::clone(&fit.data);
    let (older, newest) = split(&data, config.held_out)?;
    let older = Arc::new(older);
    let mut epochs = Vec::new();
    let mut members = Vec::new();
    for Member(member) in &config.members {
        let (model, best) = one(member, fit, &older, Some(&newest), fit.training.epochs)?;
        members.push(model);
        epochs.push(best);
    }
    let cases = cases(config, &members, &older.items, &newest);
    if cases.is_empty() {
        return Err(too_short(config.held_out));
    }
    let pool = Pool { weights: learn(&cases, 2 * members.len()) };
    drop((cases, members));
    let mut members = Vec::new();
    for (Member(member), epochs) in config.members.iter().zip(epochs) {
        members.push(one(member, fit, &data, None, epochs)?.0);
    }
    fit.ended = Ended::Complete;
    Ok(Blend::new(config.clone(), members, pool, &data.items))
}

/// Fits a member; returns its best number of epochs by validation, too.
fn one(
    member: &crate::experiment::ModelConfig,
    fit: &mut Fit<'_>,
    data: &Arc<Dataset>,
    validation: Option<&Sessions>,
    epochs: usize,
) -> Result<(Box<dyn AnyModel>, usize)> {
    let is_network = member.kind() == ModelKind::Gru4rec;
    let training = TrainingConfig {
        epochs,
        patience: if validation.is_some() { fit.training.patience } else { 0 },
        ..fit.training.clone()
    };
    let observe = &mut fit.observe;
    let mut pass_on = |event: FitEvent| observe(event);
    let mut checkpoints = InMemory::new(false);
    let tables = (&training, fit.evaluation);
    let validation = validation.filter(|_| is_network);
    let mut inner = Fit::new(data, tables, validation, fit.threads, &mut pass_on, &mut checkpoints);
    inner.checkpoints.begin_stage(data, validation.is_some());
    let model = models::fit(member, &mut inner)?;
    if inner.ended == Ended::Interrupted {
        return Err(Error::Stopped);
    }
    let best = inner.summary.best_epoch.unwrap_or(epochs);
    Ok((model, best))
}

/// The older sessions with the supports that they give, and the newest ones, a share of all.
fn split(data: &Dataset, held_out: f32) -> Result<(Dataset, Sessions)> {
    let count = data.sessions.len();
    let newest = (count as f64 * f64::from(held_out)).round() as usize;
    let first = count - newest.min(count);
    let mut items = data.items.clone();
    items.clear_support();
    let (mut older, mut held) = (Sessions::new(), Sessions::new());
    for (s, session) in data.sessions.iter().enumerate() {
        if s < first {
            session.iter().for_each(|&item| _ = items.add(data.items.id(item), 1));
            older.push(session, data.sessions.start(s));
        }
    }
    for s in first..count {
        // What no member can know cannot be learnt from.
        let known: Vec<_> =
            data.sessions.session(s).iter().copied().filter(|&item| items.support(item) > 0).collect();
        if known.len() > 1 {
            held.push(&known, data.sessions.start(s));
        }
    }
    if older.is_empty() || held.is_empty() {
        return Err(too_short(held_out));
    }
    Ok((Dataset::new(items, older), held))
}

fn too_short(held_out: f32) -> Error {
    let reason = format!(
        "{held_out} of the sessions are too few to learn weights from: use a larger share or a longer log, or one of the members alone"
    );
    Error::config("model.held_out", reason)
}

/// The cases of held-out sessions whose target is in any list.
fn cases(
    config: &BlendConfig,
    members: &[Box<dyn AnyModel>],
    items: &ItemVocabulary,
    sessions: &Sessions,
) -> Vec<Case> {
    let order: Vec<u32> = (0..sessions.len() as u32).collect();
    let total = sessions.num_events() - sessions.len();
    // Evenly over all cases.
    let every = total.div_ceil(CASES).max(1);
    let mut batcher = SessionBatcher::new(sessions, order, ROWS.min(sessions.len()));
    let mut lists = Lists::new(config, members, items.supports(), ROWS.min(sessions.len()));
    let (mut events, mut cases, mut number) = (Vec::new(), Vec::new(), 0_usize);
    while let Some(batch) = batcher.next_batch() {
        let before = std::mem::take(&mut events);
        events.extend(batch.carry.iter().map(|carry| match carry {
            Carry::Fresh => 1,
            Carry::Row(from) => 1 + before[*from],
        }));
        for ((lists, &target), &events) in lists.read(batch, sessions).iter().zip(&batch.targets).zip(&events)
        {
            number += 1;
            if !number.is_multiple_of(every) {
                continue;
            }
            let union = union(lists);
            let Ok(target) = union.binary_search(&target) else { continue };
            let mut own = Vec::with_capacity(union.len() * 2 * lists.len());
            union.iter().for_each(|&item| features(lists, item, &mut own));
            cases.push(Case { context: Pool::context(events), features: own, target });
        }
    }
    cases
}

//! What `train` prints about a training that has ended.

use super::data::Data;
use crate::output::{Table, thousands};
use crate::progress::per_second;
use serde::Serialize;
use std::path::Path;
use upnext_core::artifact::EpochSummary;
use upnext_core::experiment::Experiment;
use upnext_core::history::Ended;
use upnext_core::training::TrainingOutcome;

/// The document of `--json`.
#[derive(Serialize)]
pub(super) struct Done<'a> {
    out: &'a Path,
    ended: &'static str,
    experiment: Experiment,
    events: u64,
    sessions: u64,
    items: usize,
    new_items: Option<usize>,
    epochs: Vec<EpochReport<'a>>,
    best_epoch: Option<usize>,
    selection: Option<SelectionReport<'a>>,
    pairs_left_out: u64,
    instruction_set: &'a str,
    threads: usize,
    peak_memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct EpochReport<'a> {
    #[serde(flatten)]
    summary: &'a EpochSummary,
    mini_batches_per_second: f64,
    events_per_second: f64,
}

/// The validated training before the one on all of the data.
#[derive(Serialize)]
struct SelectionReport<'a> {
    epochs: Vec<EpochReport<'a>>,
    best_epoch: usize,
    events: u64,
    sessions: u64,
}

impl<'a> EpochReport<'a> {
    fn of(epochs: &'a [EpochSummary]) -> Vec<Self> {
        let report = |summary: &'a EpochSummary| Self {
            summary,
            mini_batches_per_second: per_second(summary.mini_batches, summary.seconds),
            events_per_second: per_second(summary.pairs, summary.seconds),
        };
        epochs.iter().map(report).collect()
    }
}

pub(super) fn report<'a>(
    outcome: &'a TrainingOutcome,
    out: &'a Path,
    experiment: &Experiment,
    data: &Data,
    threads: usize,
) -> Done<'a> {
    let summary = &outcome.summary;
    let selection = summary.selection.as_ref().map(|selection| SelectionReport {
        epochs: EpochReport::of(&selection.epochs),
        best_epoch: selection.best_epoch,
        events: selection.events,
        sessions: selection.sessions,
    });
    Done {
        out,
        ended: match outcome.ended {
            Ended::Complete => "complete",
            Ended::Early => "early",
            Ended::Interrupted => "interrupted",
            Ended::AlreadyComplete => "already",
            _ => "ended",
        },
        experiment: experiment.resolved(),
        events: summary.events,
        sessions: summary.sessions,
        items: data.all().items.len(),
        new_items: data.known_items.map(|known| data.all().items.len() - known),
        epochs: EpochReport::of(&summary.epochs),
        best_epoch: summary.best_epoch,
        selection,
        pairs_left_out: summary.pairs_left_out,
        instruction_set: &summary.instruction_set,
        threads,
        peak_memory_bytes: peak_memory_bytes(),
    }
}

pub(super) fn describe(done: &Done, outcome: &TrainingOutcome) -> String {
    let kind = done.experiment.model.kind();
    let mut text = format!(
        "{kind} of {} events in {} sessions on {} items",
        thousands(done.events),
        thousands(done.sessions),
        thousands(done.items as u64)
    );
    if let Some(new_items) = done.new_items {
        let memory = match outcome.optimizer_state_kept {
            Some(false) => "; the optimiser starts without memory",
            Some(true) | None => "",
        };
        text.push_str(&format!(" ({} of them new{memory})", thousands(new_items as u64)));
    }
    text.push('\n');
    if let Some(SelectionReport { epochs, events, sessions, best_epoch: best }) = &done.selection {
        text.push_str(&format!(
            "\nepochs judged by validation, on {} of the events in {} sessions\n{}\n{}: trained again on all of the data for as many epochs\n{}",
            thousands(*events),
            thousands(*sessions),
            table_of(epochs),
            best_epoch(*best, outcome.ended),
            last_was_best(epochs.len(), *best),
        ));
    }
    if !done.epochs.is_empty() {
        text.push_str(&format!("\n{}\n", table_of(&done.epochs)));
    }
    if done.pairs_left_out > 0 {
        let count = thousands(done.pairs_left_out);
        text.push_str(&format!(
            "{count} pairs an epoch were left out: a last session alone has no negatives\n"
        ));
    }
    match (outcome.ended, done.best_epoch) {
        (Ended::AlreadyComplete, _) => {
            text.push_str("the model is complete");
            let can_go_on = kind.reads_training("epochs") && done.selection.is_none();
            text.push_str(if can_go_on { "; for more epochs raise --epochs\n" } else { "\n" });
        }
        (ended, Some(best)) => {
            text.push_str(&format!(
                "{}\n{}",
                best_epoch(best, ended),
                last_was_best(done.epochs.len(), best)
            ));
        }
        _ => {}
    }
    if let Some(bytes) = done.peak_memory_bytes {
        text.push_str(&format!("peak memory {} MB\n", thousands(bytes.div_ceil(1_000_000))));
    }
    text.push_str(&format!("saved in {}\n", done.out.display()));
    text
}

fn best_epoch(best: usize, ended: Ended) -> String {
    let early = if ended == Ended::Early { "stopped early; " } else { "" };
    format!("{early}epoch {best} was the best")
}

/// Advice if no epoch after the best one was tried.
fn last_was_best(epochs: usize, best: usize) -> &'static str {
    if epochs == best { "it was the last one: with more --epochs, a later one may be better\n" } else { "" }
}

fn table_of(epochs: &[EpochReport]) -> Table {
    let is_validated = epochs.iter().any(|epoch| epoch.summary.validation.is_some());
    let mut headings = vec!["epoch", "loss", "seconds", "mini-batches/s", "pairs/s"];
    if is_validated {
        headings.extend(["validation recall", "validation mrr"]);
    }
    let mut table = Table::new(&headings);
    for epoch in epochs {
        let mut row = vec![
            epoch.summary.epoch.to_string(),
            format!("{:.4}", epoch.summary.loss),
            format!("{:.1}", epoch.summary.seconds),
            thousands(epoch.mini_batches_per_second as u64),
            thousands(epoch.events_per_second as u64),
        ];
        if is_validated {
            let valid = epoch.summary.validation;
            row.push(valid.map_or(String::new(), |v| format!("{:.4}", v.recall)));
            row.push(valid.map_or(String::new(), |v| format!("{:.4}", v.mrr)));
        }
        table.row(row);
    }
    table
}

/// The peak memory of this process in bytes, if the system reports it.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

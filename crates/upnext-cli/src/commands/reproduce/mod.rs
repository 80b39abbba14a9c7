//! `upnext reproduce`: computes the paper's tables on the paper's data, beside the published figures, in resumable
//! stages.

mod arguments;
mod data;
mod findings;
mod folder;
mod outcome;
mod paper;
mod report;

use crate::interrupt;
use crate::output::{command_again, command_line, in_flags, thousands, warn};
use crate::page;
use crate::train_and_rank::{Trained, rank, train_until_stopped};
pub(crate) use arguments::ReproduceArgs;
use arguments::Task;
use data::{Data, counts, notes};
use findings::findings;
use folder::{DataIdentity, Folder, Identity, RowResult};
use outcome::{Failed, Outcome, RowOutcome, describe};
use paper::Row;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use upnext_core::artifact::FileEntry;
use upnext_core::training::TrainingPlan;

/// Time between two checkpoints within an epoch; there is also one after each epoch.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(600);

/// Runs the command.
pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<()> {
    let task = Task::new(args)?;
    // A report inside the folder can be checked only after the folder has been created.
    let report = |inside: bool| task.report.as_deref().filter(|file| file.starts_with(&task.out) == inside);
    report(false).map_or(Ok(()), page::check)?;
    if task.clicks.exists() && !task.clicks.is_file() {
        anyhow::bail!("{}: is no file: the log may be read more than once", task.clicks.display());
    }
    let clicks = FileEntry::of(&task.clicks)?;
    let identity = Identity::new(
        task.protocol,
        clicks,
        task.read.clone(),
        task.prepare.clone(),
        (task.epochs, task.seed),
    );
    let mut folder = Folder::open(&task.out, identity, task.resume)?;
    report(true).map_or(Ok(()), page::check)?;
    let quiet = task.output.quiet;
    let data = Data::of(&mut folder, &task.clicks, task.protocol, &task.read, &task.prepare, quiet)?;
    let outcome = tables(&task, &folder, &data)?;
    page::write_and_print(task.report.as_deref(), &task.output, &outcome, report::page, describe)?;
    match outcome.failed.as_slice() {
        [] => Ok(()),
        failed => anyhow::bail!("{} of {} rows failed: {}", failed.len(), task.rows.len(), reasons(failed)),
    }
}

fn reasons(failed: &[Failed]) -> String {
    failed.iter().map(|f| format!("{}: {}", f.name, f.reason)).collect::<Vec<_>>().join("; ")
}

/// Computes all rows and makes the tables.
fn tables(task: &Task, folder: &Folder, data: &Data) -> anyhow::Result<Outcome> {
    let counts = counts(task.protocol, &data.statistics);
    let mut notes = notes(task.protocol, &counts, data);
    if !task.output.quiet {
        notes.iter().for_each(|note| eprintln!("{note}"));
    }
    let stop = interrupt::listen("stopping after this mini-batch or evaluation")?;
    let identity = data.identity();
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for row in &task.rows {
        match make(task, folder, data, &identity, row, &stop) {
            Ok(row) => {
                if !task.output.quiet {
                    let (at, before) = (row.measured, if row.resumed { ", as before" } else { "" });
                    let name = &row.result.name;
                    eprintln!("{name}: recall@20 {:.4}, mrr@20 {:.4}{before}", at.recall_at_20, at.mrr_at_20);
                }
                rows.push(row);
            }
            Err(error) if stop.load(Ordering::SeqCst) => return Err(error),
            // The failure is recorded, since the other rows may have taken hours.
            Err(error) => {
                let reason = in_flags(&format!("{error:#}"));
                warn(&[format!("{} failed: {reason}", row.name)]);
                use upnext_core::Error::{Diverged, NonFiniteScores};
                let is_unstable =
                    matches!(error.downcast_ref(), Some(Diverged { .. } | NonFiniteScores { .. }));
                failed.push(Failed { name: row.name, reason, is_unstable });
            }
        }
    }
    if rows.is_empty() {
        anyhow::bail!("no row could be made: {}", reasons(&failed));
    }
    if let Some(candidates) = task.rows[0].experiment.evaluation.candidates
        && data.train.items.len() <= candidates
    {
        notes.push(format!(
            "The training part has {} items, so that the target is ranked among all of them and not among the {} most popular.",
            thousands(data.train.items.len() as u64),
            thousands(candidates as u64)
        ));
    }
    Ok(Outcome {
        version: env!("CARGO_PKG_VERSION"),
        command: command_line(),
        protocol: task.protocol,
        clicks: task.clicks.clone(),
        out: task.out.clone(),
        threads: task.threads,
        scale: task.prepare.scale,
        counts,
        notes,
        statistics: data.statistics.clone(),
        prepare: task.prepare_command(&folder.data()),
        findings: findings(&rows, &failed),
        rows,
        failed,
    })
}

/// Computes one row, or reads its stored result.
fn make(
    task: &Task,
    folder: &Folder,
    data: &Data,
    identity: &DataIdentity,
    row: &Row,
    stop: &AtomicBool,
) -> anyhow::Result<RowOutcome> {
    if let Some(file) = row.file {
        folder.keep_settings(row.name, file)?;
    }
    let earlier = folder.result(row.name, &row.experiment, identity)?;
    let resumed = earlier.is_some();
    let result = match earlier {
        Some(result) => result,
        None => {
            let result = train_and_rank(task, folder, data, identity, row, stop)?;
            folder.keep(&result)?;
            result
        }
    };
    let commands = task.row_commands(row, &folder.data(), &folder.settings(row.name));
    RowOutcome::new(row.group, row.published, result, resumed, commands)
}

fn train_and_rank(
    task: &Task,
    folder: &Folder,
    data: &Data,
    identity: &DataIdentity,
    row: &Row,
    stop: &AtomicBool,
) -> anyhow::Result<RowResult> {
    let interrupted = || {
        anyhow::anyhow!(
            "interrupted at {}; all that is done is kept. Go on by\n  {}",
            row.name,
            command_again("--resume")
        )
    };
    if stop.load(Ordering::SeqCst) {
        return Err(interrupted());
    }
    let quiet = task.output.quiet;
    if !quiet {
        eprintln!("{}: training", row.name);
    }
    let out = folder.model(row.name);
    let plan = TrainingPlan {
        data: Arc::clone(&data.train),
        validation: None,
        refit: None,
        experiment: &row.experiment,
        threads: task.threads,
        out: &out,
        init: None,
        resume: true,
        checkpoint_every: CHECKPOINT_EVERY,
        keep_training_state: false,
    };
    let Some(Trained { loaded, seconds }) = train_until_stopped(plan, quiet, stop)? else {
        return Err(interrupted());
    };
    if stop.load(Ordering::SeqCst) {
        return Err(interrupted());
    }
    let (model, items, sessions) = (loaded.recommender(), &data.train.items, &data.test.sessions);
    let evaluation = rank(model, items, sessions, &row.experiment.evaluation, task.threads, quiet)?;
    Ok(RowResult {
        made_by: RowResult::MADE_BY.to_owned(),
        format_version: RowResult::FORMAT_VERSION,
        name: row.name.to_owned(),
        data: identity.clone(),
        experiment: row.experiment.resolved(),
        instruction_set: loaded.training().instruction_set.clone(),
        training_seconds: seconds,
        prediction_seconds: evaluation.seconds,
        epochs: loaded.training().epochs.clone(),
        cases: evaluation.cases,
        candidates: evaluation.candidates,
        metrics: evaluation.metrics,
    })
}

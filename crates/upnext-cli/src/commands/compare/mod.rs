//! `upnext compare`: trains and evaluates models on the same data, with confidence intervals.

mod contenders;
mod data;
mod folder;
mod outcome;
mod report;
mod windows;

use crate::cases::{CaseArgs, CaseFile};
use crate::experiment::ThreadArgs;
use crate::interrupt;
use crate::item_table::TrainedItemsArgs;
use crate::next_clicks::Unknown;
use crate::numbers::{one_or_more, seed, within};
use crate::output::{OutputArgs, command_line, in_flags, thousands, warn};
use crate::page;
use crate::ranking::RankingArgs;
use crate::reading::ReadArgs;
use crate::serving::{model_bytes, request_ms};
use crate::train_and_rank::{Trained, rank_test, train_until_stopped};
use anyhow::Context;
use contenders::{Contender, Source, contenders};
use data::{Data, catalogue, titles, warn_of_other_data};
use folder::ModelsFolder;
use outcome::{DataReport, Example, Failed, Outcome, Row, describe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use upnext_core::artifact::Artifact;
use upnext_core::comparison::{BootstrapOptions, compare, examples};
use upnext_core::data::folder::PreparedFolder;
use upnext_core::data::items::ItemTable;
use upnext_core::evaluation::{Evaluation, EvaluationConfig, Unranked, evaluate_across};
use upnext_core::experiment::Experiment;
use upnext_core::model::Model;
use upnext_core::ranking::Filter;
use upnext_core::replace::replace_file;
use upnext_core::training::TrainingPlan;

/// Number of example sessions in the report.
const EXAMPLES: usize = 6;

/// Length of the lists of the examples.
const LIST: usize = 10;

/// Compare models on the same data, with confidence intervals.
///
/// Every model is trained on TRAIN and ranks the next item of every event of TEST, by the same rules and among the same
/// candidates. With a validation part in TRAIN, it chooses the number of epochs of kinds that are trained in epochs. A saved
/// model may know other items than TRAIN: what it does not know, it misses. The intervals (95 %) come from drawing test sessions anew; for every pair of models there is the
/// interval of their difference on the same sessions. With --windows, the models are trained and judged on several days of TRAIN, one after the other, each on the
/// sessions before it, and the test part stays unseen.
#[derive(clap::Args, Debug)]
pub(crate) struct CompareArgs {
    /// Training log, or a folder that `prepare` made
    #[arg(value_name = "TRAIN")]
    train: PathBuf,

    /// Test log, or a folder that `prepare` made [default: TRAIN, where that is such a folder]
    #[arg(value_name = "TEST")]
    test: Option<PathBuf>,

    /// Models: kinds, experiment files (.toml), folders of saved models [default: all kinds; content-knn with an item table]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    models: Vec<String>,

    /// Write a report for a browser: a single file that needs no network
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,

    /// Titles of items, for the report's examples: a file as for `serve --catalogue` [default: the item table]
    #[arg(long, value_name = "FILE", requires = "report")]
    catalogue: Option<PathBuf>,

    /// Keep the trained models in this folder; an interrupted comparison then continues from their checkpoints
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    #[command(flatten)]
    item_table: TrainedItemsArgs,

    #[command(flatten)]
    ranking: RankingArgs,

    #[command(flatten)]
    cases: CaseArgs,

    /// Set a field of every model that reads it, as in training.learning_rate=0.05; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    fields: Vec<String>,

    /// Number of epochs of the models that read training.epochs
    #[arg(long, value_name = "N", value_parser = one_or_more::<usize>)]
    epochs: Option<usize>,

    /// Seed of all random numbers
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,

    /// Judge on N windows of the training part instead of the test part, which is not read: its last N days, or equal shares of
    /// its sessions where days are too few
    #[arg(long, value_name = "N", value_parser = one_or_more::<usize>)]
    windows: Option<usize>,

    /// Number of resamples of the sessions for the intervals
    #[arg(long, value_name = "N", default_value_t = BootstrapOptions::default().resamples,
        value_parser = |text: &str| within::<usize>(text, 100, 100_000))]
    resamples: usize,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

impl CompareArgs {
    fn test(&self) -> &Path {
        self.test.as_deref().unwrap_or(&self.train)
    }
}

/// Runs the command.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let threads = args.threads.threads()?;
    if args.test.is_none() && args.windows.is_none() && !PreparedFolder::is_at(&args.train) {
        let reason = "a single log is no test of what was learnt from it: name a test log, or prepare a folder with both by `upnext prepare`";
        return Err(upnext_core::Error::config("TEST", reason).into());
    }
    if args.cases.unknown == Unknown::Rank && args.item_table.file.is_none() {
        let reason =
            "`rank` needs the attributes of the items that training has not seen: add --item-table FILE";
        return Err(upnext_core::Error::config("--unknown", reason).into());
    }
    let evaluation = evaluation(args)?;
    let mut inputs = vec![args.train.as_path(), args.test()];
    inputs.extend(args.models.iter().map(Path::new));
    let case_file = args.cases.check(&inputs)?;
    let contenders = contenders(args, &evaluation)?;
    if let Some(file) = &args.report {
        page::check(file)?;
    }
    if let Some(count) = args.windows {
        windows::check(args, &contenders)?;
        return windows::run(args, &contenders, &evaluation, (threads, count));
    }
    let folder = ModelsFolder::new(args.keep.as_deref())?;
    for contender in &contenders {
        if !matches!(contender.source, Source::Saved(_)) {
            Artifact::check_target(folder.of(contender))?;
        }
    }

    let catalogue = catalogue(args)?;
    let data = Data::read(args, contenders.iter().any(|contender| contender.is_validated))?;
    warn_of_other_data(&contenders, &data.train)?;
    let evaluate_all = |cases: Option<&mut CaseFile>| {
        evaluate_all(args, &contenders, &evaluation, (data, catalogue), &folder, (threads, cases))
    };
    let outcome = match case_file {
        Some((path, format)) => replace_file(path, |file| {
            let mut cases = CaseFile::begin(&args.cases, (path, format), file, true, threads)?;
            let outcome = evaluate_all(Some(&mut cases))?;
            cases.finish()?;
            anyhow::Ok(outcome)
        })?,
        None => evaluate_all(None)?,
    };
    page::write_and_print(args.report.as_deref(), &args.output, &outcome, report::page, describe)?;
    all_succeeded(&outcome.failed, contenders.len())
}

/// An error that names the models that failed, of `count` in all, if there are some.
fn all_succeeded(failed: &[Failed], count: usize) -> anyhow::Result<()> {
    let reasons: Vec<String> = failed.iter().map(|f| format!("{}: {}", f.name, f.reason)).collect();
    if failed.is_empty() {
        return Ok(());
    }
    anyhow::bail!("{} of {count} models failed: {}", failed.len(), reasons.join("; "))
}

/// The evaluation settings of all models.
fn evaluation(args: &CompareArgs) -> upnext_core::Result<EvaluationConfig> {
    args.ranking.over(EvaluationConfig { lists: true, ..Default::default() })
}

/// Trains and evaluates the models one after the other, and compares them.
fn evaluate_all(
    args: &CompareArgs,
    contenders: &[Contender],
    options: &EvaluationConfig,
    (data, catalogue): (Data, Option<ItemTable>),
    folder: &ModelsFolder,
    (threads, mut cases): (usize, Option<&mut CaseFile>),
) -> anyhow::Result<Outcome> {
    let test = &data.test.sessions;
    let shown = examples(&test.sessions, EXAMPLES, args.seed.unwrap_or(1));
    let histories: Vec<_> = shown.iter().map(|&s| test.sessions.session(s)).collect();
    let mut shown: Vec<Example> = histories
        .iter()
        .map(|session| {
            let mut seen: Vec<String> =
                session.iter().map(|&item| data.items().id(item).to_owned()).collect();
            let next = seen.pop().unwrap_or_default();
            Example { seen, next, lists: Vec::new() }
        })
        .collect();
    let histories: Vec<Vec<String>> = shown.iter().map(|example| example.seen.clone()).collect();
    let misses = data.test.misses(args.cases.unknown);
    let num_misses = misses.iter().map(|&misses| u64::from(misses)).sum();

    let stop = interrupt::listen("stopping after this mini-batch or evaluation")?;
    let (mut rows, mut failed, mut evaluations) = (Vec::new(), Vec::new(), Vec::new());
    let mut table = catalogue.map(Arc::new);
    for contender in contenders {
        let evaluated = evaluate(args, contender, options, &data, folder, threads, &stop).and_then(|model| {
            let EvaluatedModel { loaded, evaluation, unranked, training_seconds } = model;
            let items = data.items();
            if let Some(cases) = &mut cases {
                cases.write((&contender.name, &loaded), (test, items), &evaluation)?;
            }
            let evaluation = evaluation.counting_misses(num_misses);
            let of_model = loaded.item_table().filter(|table| table.title_column().is_some());
            table = table.take().or_else(|| of_model.cloned());
            let lists =
                loaded.recommend_observed(&histories, LIST, &Filter::default(), &mut interrupt::check)?;
            for (example, list) in shown.iter_mut().zip(lists) {
                example.lists.push(list.items.into_iter().map(|item| item.id).collect());
            }
            Ok((
                Row {
                    name: contender.name.clone(),
                    kind: contender.experiment.model.kind(),
                    commands: contender.commands(args, &args.fields),
                    experiment: Experiment { evaluation: options.clone(), ..loaded.experiment().resolved() },
                    training_seconds,
                    prediction_seconds: evaluation.seconds,
                    request_ms: request_ms(&loaded, (&test.sessions, items), options)?,
                    model_bytes: model_bytes(contender.source.folder().unwrap_or(&folder.of(contender)))?,
                    epochs: loaded.training().epochs.clone(),
                    selection: loaded.training().selection.clone(),
                    items: loaded.items().len(),
                    unranked,
                    targets: (args.cases.unknown == Unknown::Rank)
                        .then(|| evaluation.by_support(&test.sessions, items)),
                    metrics: evaluation.metrics.clone(),
                },
                evaluation,
            ))
        });
        match evaluated {
            Ok((row, evaluation)) => {
                if !args.output.quiet {
                    let at = row.metrics[row.metrics.len() - 1];
                    eprintln!("{}: recall@{} {:.4}, mrr@{} {:.4}", row.name, at.k, at.recall, at.k, at.mrr);
                }
                rows.push(row);
                evaluations.push(evaluation);
            }
            Err(error) if stop.load(Ordering::SeqCst) => return Err(error),
            // The failure is recorded, since the other models may have taken hours.
            Err(error) => {
                let reason = in_flags(&format!("{error:#}"));
                warn(&[format!("{} failed: {reason}", contender.name)]);
                failed.push(Failed { name: contender.name.clone(), reason });
            }
        }
    }
    if rows.is_empty() {
        anyhow::bail!(
            "no model could be judged: {}",
            failed.iter().map(|f| format!("{}: {}", f.name, f.reason)).collect::<Vec<_>>().join("; ")
        );
    }
    let bootstrap = BootstrapOptions { resamples: args.resamples, seed: args.seed.unwrap_or(1) };
    let evaluations: Vec<&Evaluation> = evaluations.iter().collect();
    let mut train = Arc::clone(&data.train);
    if let Some(items) = &data.with_new_items {
        Arc::make_mut(&mut train).items = items.clone();
    }
    let comparison =
        compare(&evaluations, (&test.sessions, &misses), &train, &options.cutoffs, bootstrap, threads);
    let next_clicks = data.test.next_clicks;
    let (train, test) = data.reports;
    Ok(Outcome {
        version: env!("CARGO_PKG_VERSION"),
        command: command_line(),
        threads,
        data: DataReport {
            train,
            test,
            items: data.train.items.len(),
            cases: evaluations[0].cases,
            next_clicks,
            misses: num_misses,
            candidates: evaluations.iter().map(|evaluation| evaluation.candidates).max().unwrap_or(0),
        },
        evaluation: options.clone(),
        models: rows,
        failed,
        comparison,
        titles: table.map_or_else(Default::default, |table| titles(&table, &shown)),
        examples: shown,
    })
}

/// A model and its evaluation.
struct EvaluatedModel {
    loaded: Model,
    evaluation: Evaluation,
    /// For a model with other items.
    unranked: Option<Unranked>,
    training_seconds: Option<f64>,
}

/// Trains a model, or loads it, and ranks all cases.
fn evaluate(
    args: &CompareArgs,
    contender: &Contender,
    options: &EvaluationConfig,
    data: &Data,
    folder: &ModelsFolder,
    threads: usize,
    stop: &AtomicBool,
) -> anyhow::Result<EvaluatedModel> {
    let (loaded, training_seconds) = if let Source::Saved(folder) = &contender.source {
        let loaded = Model::load(folder)?;
        let seconds = loaded.training().seconds();
        (loaded, (seconds > 0.0).then_some(seconds))
    } else {
        let out = folder.of(contender);
        let kept = args.keep.is_some();
        let selection = data.selection.as_ref().filter(|_| contender.is_validated);
        let plan = TrainingPlan {
            data: Arc::clone(selection.map_or(&data.train, |(fit, _)| fit)),
            validation: selection.map(|(_, valid)| &valid.sessions),
            refit: selection.map(|_| Arc::clone(&data.train)),
            experiment: &contender.experiment,
            threads,
            out: &out,
            init: None,
            resume: kept,
            checkpoint_every: Duration::from_secs(600),
            keep_training_state: kept,
        };
        match train_until_stopped(plan, args.output.quiet, stop)? {
            Some(Trained { loaded, seconds }) => (loaded, Some(seconds)),
            None => {
                let advice = if kept { "; the same command goes on with it" } else { "" };
                anyhow::bail!("interrupted while {} was trained{advice}", contender.name);
            }
        }
    };
    if stop.load(Ordering::SeqCst) {
        anyhow::bail!("interrupted");
    }
    let loaded = match &data.train.item_table {
        Some(table) if args.cases.unknown == Unknown::Rank && !loaded.attributes().is_empty() => {
            loaded.with_items(table)?.model
        }
        _ => loaded,
    };
    let (items, sessions) = (data.items(), &data.test.sessions.sessions);
    let (model, quiet) = (loaded.recommender(), args.output.quiet);
    let (evaluation, unranked) = if loaded.items().fingerprint() == items.fingerprint() {
        let test = (&data.test.sessions, args.cases.unknown);
        (rank_test(model, items, test, options, threads, quiet)?, None)
    } else {
        let progress = |_| interrupt::check();
        let across = evaluate_across((model, loaded.items()), items, sessions, options, threads, &progress);
        let (evaluation, unranked) = across.with_context(|| {
            format!(
                "it knows {} items, and too few of the test sessions",
                thousands(loaded.items().len() as u64)
            )
        })?;
        (evaluation, Some(unranked))
    };
    Ok(EvaluatedModel { loaded, evaluation, unranked, training_seconds })
}

//! GRU4Rec as a model kind: the loop over epochs, with validation, early stopping and checkpoints.

use super::config::NetworkConfig;
use super::content::Content;
use super::footprint::{self, Extent};
use super::network::Network;
use super::trainer::{EpochEnd, Trainer};
use crate::arrays::{Arrays, TrainingState};
use crate::content::{Encoder, Factors};
use crate::data::{ItemTable, ItemVocabulary, Sessions};
use crate::evaluation::evaluate;
use crate::gru4rec::config::TrainingConfig;
use crate::history::{Ended, EpochProgress, EpochSummary, FitEvent, TrainingSummary, ValidationSummary};
use crate::kind::{Fit, Kind, OfTraining, Scale, Snapshot, Start};
use crate::recommender::SimilarityMeasure;
use crate::{Error, Result, memory};
use std::ops::ControlFlow;
use std::sync::Arc;

impl Kind for Network {
    type Config = NetworkConfig;
    const SPACE: Option<&'static str> = Some(include_str!("../../experiments/spaces/gru4rec.toml"));
    const READS: OfTraining = OfTraining::Everything;
    const SIMILARITY: Option<SimilarityMeasure> = Some(SimilarityMeasure::VectorCosine);
    const SCALE: Scale = Scale::Logit;
    const CAN_TRAIN_FURTHER: bool = true;

    fn validate(config: &NetworkConfig, training: &TrainingConfig) -> Result<()> {
        config.validate(training)
    }

    fn fit(config: &NetworkConfig, fit: &mut Fit<'_>) -> Result<Self> {
        if fit.training.patience > 0 && fit.validation.is_none() {
            return Err(Error::config("training.patience", "early stopping needs sessions to validate on"));
        }
        let content = content_of(config, fit)?;
        let extent = Extent {
            data: &fit.data,
            content: content.as_deref(),
            validation: fit.validation.map(|sessions| (sessions, fit.evaluation)),
            threads: fit.threads,
            copies: fit.checkpoints.copies(),
        };
        let memory_bytes = footprint::bytes(config, fit.training, extent);
        memory::require("the network's training", memory_bytes)?;
        let trainer = begin(config, content, fit)?;
        run(trainer, config, memory_bytes, fit)
    }

    fn encoder(&self) -> Option<&Encoder> {
        self.content().map(|content| &content.encoder)
    }

    fn with_items(&self, items: &ItemVocabulary, table: &ItemTable) -> Result<Self> {
        let Some(content) = self.content() else {
            let reason = "the network was trained without attributes: train it with an item table and model.attributes";
            return Err(Error::config("items", reason));
        };
        let new = content.encoder.encode(table, items.ids().skip(self.num_items()))?;
        let mut features = content.features.clone();
        features.extend(&new);
        Ok(self.extended(Arc::new(Content { encoder: content.encoder.clone(), features })))
    }

    fn to_arrays(&self) -> Arrays {
        let mut arrays = Arrays { tensors: self.tensors(), ..Arrays::default() };
        if let Some(content) = self.content() {
            content.add_to(&mut arrays);
        }
        arrays
    }

    fn from_arrays(
        config: &NetworkConfig,
        training: &TrainingConfig,
        items: &ItemVocabulary,
        mut arrays: Arrays,
    ) -> Result<Self> {
        let content = saved_content(config, items.len(), &mut arrays)?;
        let network = from_saved(config, training, items.len(), content, true, &mut arrays)?;
        network.item_table();
        arrays.finish()?;
        Ok(network)
    }
}

impl Snapshot for Trainer {
    fn arrays(&mut self) -> Arrays {
        self.network().to_arrays()
    }

    fn state(&mut self) -> TrainingState {
        Trainer::state(self)
    }
}

/// The content of the items of a training: in the terms of the model that it starts from, or in new ones.
fn content_of(config: &NetworkConfig, fit: &mut Fit<'_>) -> Result<Option<Arc<Content>>> {
    if config.attributes.is_empty() {
        return Ok(None);
    }
    let items = &fit.data.items;
    let (encoder, earlier_table) = match &mut fit.start {
        Start::Resume { arrays, .. } => return saved_content(config, items.len(), arrays),
        Start::From { arrays, items: known, item_table, .. } => {
            let content = saved_content(config, *known, arrays)?;
            (content.map(|content| content.encoder.clone()), item_table.take())
        }
        Start::New => (None, None),
    };
    let Some(table) = fit.data.item_table.as_deref().or(earlier_table.as_deref()) else {
        let reason = "the log has no item table: give one (--item-table FILE), or use []";
        return Err(Error::config("model.attributes", reason));
    };
    let (encoder, features) = match encoder {
        Some(encoder) => {
            let features = encoder.encode(table, items.ids())?;
            (encoder, features)
        }
        None => Encoder::learn(table, items, &config.attributes, Factors::Damped)?,
    };
    Ok(Some(Arc::new(Content { encoder, features })))
}

/// Takes the content out of a saved model, if it has some.
fn saved_content(config: &NetworkConfig, items: usize, arrays: &mut Arrays) -> Result<Option<Arc<Content>>> {
    if config.attributes.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Content::take(arrays, items)?)))
}

/// The network of a saved model, of which the content has been taken out, `to_read` or to train.
fn from_saved(
    config: &NetworkConfig,
    training: &TrainingConfig,
    items: usize,
    content: Option<Arc<Content>>,
    to_read: bool,
    arrays: &mut Arrays,
) -> Result<Network> {
    let activation = config.output_activation_for(training.loss);
    Network::restored(config.clone(), activation, (items, content), to_read, &mut arrays.tensors)
}

/// Creates the trainer for `fit.start`: with a new network, from a model, or resumed.
fn begin(config: &NetworkConfig, content: Option<Arc<Content>>, fit: &mut Fit<'_>) -> Result<Trainer> {
    let (training, threads, data) = (fit.training, fit.threads, Arc::clone(&fit.data));
    let (count, activation) = (data.items.len(), config.output_activation_for(training.loss));
    match std::mem::take(&mut fit.start) {
        Start::New => {
            let network = match content {
                Some(content) => Network::with_content(config.clone(), activation, content, training.seed),
                None => Network::new(config.clone(), activation, count, training.seed),
            };
            Trainer::new(network, training, data, threads)
        }
        Start::From { mut arrays, state, items, .. } => {
            let known = items.min(count);
            let network = match content {
                Some(content) => {
                    let of_known = Arc::new(content.first(known));
                    from_saved(config, training, known, Some(of_known), false, &mut arrays)?.extended(content)
                }
                None => {
                    let mut network = from_saved(config, training, known, None, false, &mut arrays)?;
                    network.add_items(count - known, training.seed);
                    network
                }
            };
            let mut trainer = Trainer::new(network, training, data, threads)?;
            fit.optimizer_state_kept = Some(match state {
                Some(state) => trainer.take_over_optimizer(state)?,
                None => false,
            });
            Ok(trainer)
        }
        Start::Resume { mut arrays, state } => {
            let state = state.ok_or_else(|| {
                let reason =
                    "the model was saved without its training state: start from it with --init instead";
                Error::config("resume", reason)
            })?;
            let network = from_saved(config, training, count, content, false, &mut arrays)?;
            let trainer = Trainer::resume(network, training, data, threads, state)?;
            let begun = trainer.epochs_done() + usize::from(trainer.is_within_epoch());
            if begun > training.epochs {
                let asked = training.epochs;
                let reason = format!("is {asked}, but epoch {begun} has begun already: use {begun} or more");
                return Err(Error::config("training.epochs", reason));
            }
            // A model saved at its best epoch resumes after that epoch; the later ones are repeated with the same
            // results.
            fit.summary.epochs.truncate(trainer.epochs_done());
            Ok(trainer)
        }
    }
}

/// Runs the remaining epochs and returns the best network by validation or, without validation, the last.
fn run(
    mut trainer: Trainer,
    config: &NetworkConfig,
    memory_bytes: u64,
    fit: &mut Fit<'_>,
) -> Result<Network> {
    fit.summary.finished = false;
    fit.summary.instruction_set = trainer.backend().name().to_owned();
    let (epochs_done, backend) = (trainer.epochs_done(), trainer.backend().name());
    let begin = FitEvent::Begin { epochs: fit.training.epochs, epochs_done, backend, memory_bytes };
    let mut stop = (fit.observe)(begin).is_break();
    let (asked, rows) = (fit.training.batch_size, trainer.batch_size());
    if rows < asked {
        stop |= (fit.observe)(FitEvent::SmallerBatch { asked, rows }).is_break();
    }
    fit.ended = Ended::Complete;
    while trainer.epochs_done() < fit.training.epochs {
        if fit.summary.is_patience_over(fit.training.patience) {
            fit.ended = Ended::Early;
            break;
        }
        let end = trainer.run_epoch(&mut |progress| {
            stop |= (fit.observe)(FitEvent::MiniBatch(progress)).is_break();
            if stop || fit.checkpoints.is_checkpoint_due() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        match end {
            EpochEnd::Finished(progress) => stop |= end_epoch(&mut trainer, &progress, fit)?.is_break(),
            EpochEnd::Stopped(_) => {
                if let Some(place) = fit.checkpoints.store_checkpoint(&mut trainer, &fit.summary)? {
                    stop |= (fit.observe)(FitEvent::Checkpoint(place)).is_break();
                }
                if stop {
                    fit.ended = Ended::Interrupted;
                    break;
                }
            }
        }
    }
    let last = fit.summary.epochs.last().map(|epoch| epoch.epoch);
    if fit.ended == Ended::Interrupted || fit.summary.best_epoch.is_none() || fit.summary.best_epoch == last {
        fit.state = fit.keeps_state.then(|| trainer.state());
        return Ok(trainer.into_network());
    }
    drop(trainer);
    let (mut arrays, state) = fit.checkpoints.best()?;
    fit.state = state.filter(|_| fit.keeps_state);
    let items = fit.data.items.len();
    let content = saved_content(config, items, &mut arrays)?;
    from_saved(config, fit.training, items, content, false, &mut arrays)
}

/// Validates the network after an epoch, records the epoch, and keeps the best network and a checkpoint.
fn end_epoch(trainer: &mut Trainer, progress: &EpochProgress, fit: &mut Fit<'_>) -> Result<ControlFlow<()>> {
    let validation = fit.validation.map(|sessions| validate(trainer, sessions, fit)).transpose()?;
    fit.summary.pairs_left_out = progress.pairs_left_out;
    fit.summary.epochs.push(EpochSummary {
        epoch: progress.epoch,
        loss: progress.loss,
        seconds: progress.seconds,
        mini_batches: progress.mini_batches,
        pairs: progress.pairs,
        validation,
    });
    let summary: &mut TrainingSummary = &mut fit.summary;
    let is_best = validation.is_some() && summary.best_by_validation() == Some(progress.epoch);
    if is_best && fit.checkpoints.keeps_best() {
        summary.best_epoch = Some(progress.epoch);
        fit.checkpoints.store_best(trainer, summary)?;
    }
    fit.checkpoints.store_checkpoint(trainer, summary)?;
    Ok(summary.epochs.last().map_or(ControlFlow::Continue(()), |epoch| (fit.observe)(FitEvent::Epoch(epoch))))
}

fn validate(trainer: &mut Trainer, sessions: &Sessions, fit: &Fit<'_>) -> Result<ValidationSummary> {
    let go_on = |_| ControlFlow::Continue(());
    let network = trainer.network();
    let result = evaluate(network, &fit.data.items, sessions, fit.evaluation, fit.threads, &go_on)?;
    let last = result.at_largest();
    Ok(ValidationSummary { cutoff: last.k, recall: last.recall, mrr: last.mrr })
}

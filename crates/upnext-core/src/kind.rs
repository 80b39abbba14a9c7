//! What a kind of model is to the library: how it is fitted, what is saved of it, and how it is made of that again.
//!
//! A kind is a module that implements [`Kind`], and one line in `kinds.rs`.

use crate::Result;
use crate::arrays::{Arrays, TrainingState};
use crate::data::{Dataset, ItemVocabulary, Sessions};
use crate::evaluation::EvaluationConfig;
use crate::gru4rec::config::TrainingConfig;
use crate::history::{Ended, FitEvent, TrainingSummary};
use crate::recommender::Recommender;
use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A kind of model, implemented by the type of its fitted models.
pub(crate) trait Kind: Recommender + Sized + 'static {
    /// The `[model]` table of an experiment, beside `kind`.
    type Config;

    /// The default search space, as a file of `upnext tune`; `None`: there is nothing to search.
    const SPACE: Option<&'static str> = None;

    /// Whether a fitted model can go on to learn from other sessions.
    const LEARNS_ON: bool = false;

    /// Checks a configuration, together with the `[training]` table where the kind reads that.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the first field that makes no sense.
    fn validate(config: &Self::Config, training: &TrainingConfig) -> Result<()>;

    /// Fits a model to `fit.data`, by epochs or in one go.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a configuration that makes no sense; those of the kind's training.
    fn fit(config: &Self::Config, fit: &mut Fit<'_>) -> Result<Self>;

    /// All that is saved of the model besides its configuration and its items.
    fn to_arrays(&self) -> Arrays;

    /// The model that [`to_arrays`](Self::to_arrays) came from.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) for arrays that are not those of such a model.
    fn from_arrays(
        config: &Self::Config,
        training: &TrainingConfig,
        items: &ItemVocabulary,
        arrays: Arrays,
    ) -> Result<Self>;
}

/// A fitted model of any kind.
pub(crate) trait AnyModel: Recommender {
    /// [`Kind::to_arrays`].
    fn arrays(&self) -> Arrays;

    /// The model as its own type.
    fn as_any(&self) -> &dyn Any;

    /// The model as what scores sessions.
    fn recommender(&self) -> &dyn Recommender;
}

impl<M: Kind> AnyModel for M {
    fn arrays(&self) -> Arrays {
        self.to_arrays()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn recommender(&self) -> &dyn Recommender {
        self
    }
}

/// A fit under way: what a model is fitted to, and what comes of it besides the model.
pub(crate) struct Fit<'a> {
    /// What to learn from.
    pub(crate) data: Arc<Dataset>,
    /// The `[training]` table; its seed is that of every kind.
    pub(crate) training: &'a TrainingConfig,
    /// How validation ranks.
    pub(crate) evaluation: &'a EvaluationConfig,
    /// Sessions to judge every epoch by.
    pub(crate) validation: Option<&'a Sessions>,
    /// At least 1.
    pub(crate) threads: usize,
    /// Where training begins.
    pub(crate) start: Start,
    /// Whether [`state`](Self::state) is asked for.
    pub(crate) keeps_state: bool,
    /// Told what happens; can ask to stop.
    pub(crate) observe: &'a mut dyn FnMut(FitEvent) -> ControlFlow<()>,
    /// Keeps checkpoints and the best model so far.
    pub(crate) keeper: &'a mut dyn Keeper,
    /// How the training goes.
    pub(crate) summary: TrainingSummary,
    /// How it ended.
    pub(crate) ended: Ended,
    /// What a further training needs.
    pub(crate) state: Option<TrainingState>,
    /// Whether the optimiser's state was taken over from the model that training started from; `None` if it started from
    /// none, or went on with what it had.
    pub(crate) optimizer_state_kept: Option<bool>,
}

/// Where the training of a model begins.
#[derive(Debug, Default)]
pub(crate) enum Start {
    /// With a new model.
    #[default]
    New,
    /// With an earlier model, whose items are the first `items` of the data's.
    From { arrays: Arrays, state: Option<TrainingState>, items: usize },
    /// Where a training of the same model was stopped.
    Resume { arrays: Arrays, state: Option<TrainingState> },
}

/// A model within its training, as it can be saved.
pub(crate) trait Snapshot {
    /// As [`Kind::to_arrays`].
    fn arrays(&mut self) -> Arrays;

    /// What training needs to go on from here.
    fn state(&mut self) -> TrainingState;
}

/// Keeps what a training must not lose: in memory, or in folders.
pub(crate) trait Keeper {
    /// Asked after every mini-batch: whether it is time for a checkpoint within the epoch.
    fn is_checkpoint_due(&mut self) -> bool {
        false
    }

    /// Keeps the model to go on from; returns the place, where there is one to name.
    fn keep_checkpoint(
        &mut self,
        model: &mut dyn Snapshot,
        summary: &TrainingSummary,
    ) -> Result<Option<&std::path::Path>>;

    /// Keeps the model as the best so far by validation.
    fn keep_best(&mut self, model: &mut dyn Snapshot, summary: &TrainingSummary) -> Result<()>;

    /// Gives the best model so far, with its state where that was kept.
    fn best(&mut self) -> Result<(Arrays, Option<TrainingState>)>;
}

/// Keeps the best model in memory and no checkpoints.
#[derive(Debug, Default)]
pub(crate) struct InMemory {
    /// Whether the state of the best model is kept with it.
    pub(crate) keeps_state: bool,
    best: Option<(Arrays, Option<TrainingState>)>,
}

impl InMemory {
    /// A keeper that has kept nothing yet.
    pub(crate) fn new(keeps_state: bool) -> Self {
        Self { keeps_state, best: None }
    }
}

impl Keeper for InMemory {
    fn keep_checkpoint(
        &mut self,
        _: &mut dyn Snapshot,
        _: &TrainingSummary,
    ) -> Result<Option<&std::path::Path>> {
        Ok(None)
    }

    fn keep_best(&mut self, model: &mut dyn Snapshot, _: &TrainingSummary) -> Result<()> {
        self.best = Some((model.arrays(), self.keeps_state.then(|| model.state())));
        Ok(())
    }

    fn best(&mut self) -> Result<(Arrays, Option<TrainingState>)> {
        Ok(self.best.take().unwrap_or_default())
    }
}

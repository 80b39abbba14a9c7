//! The interface of a model kind: how its models are fitted, saved and loaded.
//!
//! A kind is a module that implements [`Kind`], and one line in `kinds.rs`.

use crate::Result;
use crate::arrays::{Arrays, TrainingState};
use crate::content::Encoder;
use crate::data::{Dataset, ItemTable, ItemVocabulary, Sessions};
use crate::evaluation::EvaluationConfig;
use crate::experiment::Experiment;
use crate::gru4rec::config::TrainingConfig;
use crate::history::{Ended, Observer, TrainingSummary};
use crate::recommender::{Recommender, SimilarityMeasure};
use std::any::Any;
use std::sync::Arc;

/// A model kind, implemented by the type of its fitted models.
pub(crate) trait Kind: Recommender + Sized + 'static {
    /// The fields of the experiment's `[model]` table besides `kind`.
    type Config;

    /// The default search space of `upnext tune`, as TOML; `None` if the kind has no parameters to search.
    const SPACE: Option<&'static str> = None;

    /// The fields of the experiment's `[training]` table that a fit reads.
    const READS: OfTraining = OfTraining::Nothing;

    /// How fitted models compare items ([`Recommender::similarities`]); `None` if they cannot.
    const SIMILARITY: Option<SimilarityMeasure> = None;

    /// Whether a fit holds out some of its sessions by itself, to validate on them.
    const VALIDATES_ITSELF: bool = false;

    /// What the scores of fitted models mean, for a model that is made of others.
    const SCALE: Scale = Scale::Weight;

    /// Whether a fitted model can be trained further on other sessions.
    const CAN_TRAIN_FURTHER: bool = false;

    /// Whether a fit needs a table of items.
    const NEEDS_ITEM_TABLE: bool = false;

    /// Checks a configuration, together with the `[training]` table where the kind reads that.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the first invalid field.
    fn validate(config: &Self::Config, training: &TrainingConfig) -> Result<()>;

    /// Fits a model to `fit.data`, by epochs or in one go.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid configuration; those of the kind's training.
    fn fit(config: &Self::Config, fit: &mut Fit<'_>) -> Result<Self>;

    /// The terms in which the model describes items by their attributes; `None` if it does not.
    fn encoder(&self) -> Option<&Encoder> {
        None
    }

    /// The same model with more items, the last of `items`, which have no training events: their vectors are made of their rows of
    /// `table`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the model knows nothing of the content of items, or the table does not fit.
    fn with_items(&self, _items: &ItemVocabulary, _table: &ItemTable) -> Result<Self> {
        let reason = format!(
            "a {} model learns nothing of the attributes of items: train a network with model.attributes",
            self.name()
        );
        Err(crate::Error::config("items", reason))
    }

    /// The model's arrays: everything that is saved besides its configuration and its items.
    fn to_arrays(&self) -> Arrays;

    /// Rebuilds a model from the arrays of [`to_arrays`](Self::to_arrays).
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) if the arrays do not fit the configuration.
    fn from_arrays(
        config: &Self::Config,
        training: &TrainingConfig,
        items: &ItemVocabulary,
        arrays: Arrays,
    ) -> Result<Self>;
}

/// What the scores of a model mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Logarithms of probabilities, up to a constant.
    Logit,
    /// Weights, 0 or less for items of which the model knows nothing.
    Weight,
    /// Probabilities, plus 1 for the items that the model is about.
    AboveOne,
    /// Weights that are the same after every session, such as numbers of events.
    Fixed,
}

/// The fields of the `[training]` table that the fit of a kind reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfTraining {
    /// None of them.
    Nothing,
    /// The seed only.
    Seed,
    /// All of them.
    Everything,
}

impl OfTraining {
    /// Whether `field` is one of them.
    pub(crate) fn has(self, field: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Seed => field == "seed",
            Self::Everything => true,
        }
    }
}

/// A fitted model of any kind.
pub(crate) trait AnyModel: Recommender {
    /// [`Kind::to_arrays`].
    fn arrays(&self) -> Arrays;

    /// [`Kind::encoder`].
    fn encoder(&self) -> Option<&Encoder>;

    /// [`Kind::with_items`].
    fn with_items(&self, items: &ItemVocabulary, table: &ItemTable) -> Result<Box<dyn AnyModel>>;

    /// The model, to be downcast to its own type.
    fn as_any(&self) -> &dyn Any;

    /// The model as a [`Recommender`].
    fn recommender(&self) -> &dyn Recommender;
}

impl<M: Kind> AnyModel for M {
    fn arrays(&self) -> Arrays {
        self.to_arrays()
    }

    fn encoder(&self) -> Option<&Encoder> {
        Kind::encoder(self)
    }

    fn with_items(&self, items: &ItemVocabulary, table: &ItemTable) -> Result<Box<dyn AnyModel>> {
        Ok(Box::new(Kind::with_items(self, items, table)?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn recommender(&self) -> &dyn Recommender {
        self
    }
}

/// The inputs of a fit, and its outputs besides the model.
pub(crate) struct Fit<'a> {
    /// The training data.
    pub(crate) data: Arc<Dataset>,
    /// The `[training]` table, of which a kind reads [`Kind::READS`].
    pub(crate) training: &'a TrainingConfig,
    /// The evaluation settings of the validation.
    pub(crate) evaluation: &'a EvaluationConfig,
    /// Sessions on which every epoch is validated.
    pub(crate) validation: Option<&'a Sessions>,
    /// Number of threads, at least 1.
    pub(crate) threads: usize,
    /// The state from which training starts.
    pub(crate) start: Start,
    /// Whether [`state`](Self::state) is wanted.
    pub(crate) keeps_state: bool,
    /// Called for every event; can stop the fit.
    pub(crate) observe: &'a mut Observer<'a>,
    /// Stores checkpoints and the best model so far.
    pub(crate) checkpoints: &'a mut dyn CheckpointStore,
    /// Output: the record of the training.
    pub(crate) summary: TrainingSummary,
    /// Output: how the training ended.
    pub(crate) ended: Ended,
    /// Output: the training state, for further training.
    pub(crate) state: Option<TrainingState>,
    /// Output: whether the optimiser state of the initial model was used; `None` without an initial model, and for a
    /// resumed training.
    pub(crate) optimizer_state_kept: Option<bool>,
}

impl<'a> Fit<'a> {
    /// A fit of a new model, without keeping its training state.
    pub(crate) fn new(
        data: &Arc<Dataset>,
        (training, evaluation): (&'a TrainingConfig, &'a EvaluationConfig),
        validation: Option<&'a Sessions>,
        threads: usize,
        observe: &'a mut Observer<'a>,
        checkpoints: &'a mut dyn CheckpointStore,
    ) -> Self {
        Self {
            data: Arc::clone(data),
            training,
            evaluation,
            validation,
            threads,
            start: Start::New,
            keeps_state: false,
            observe,
            checkpoints,
            summary: TrainingSummary::of(data),
            ended: Ended::Complete,
            state: None,
            optimizer_state_kept: None,
        }
    }
}

/// The state from which a training starts.
#[derive(Clone, Debug, Default)]
pub(crate) enum Start {
    /// A new model.
    #[default]
    New,
    /// An earlier model, whose items are the first `items` of the data's, with its item table, for data that have none.
    From { arrays: Arrays, state: Option<TrainingState>, items: usize, item_table: Option<Arc<ItemTable>> },
    /// A checkpoint of the same training.
    Resume { arrays: Arrays, state: Option<TrainingState> },
}

/// A model during its training, which can be saved.
pub(crate) trait Snapshot {
    /// As [`Kind::to_arrays`].
    fn arrays(&mut self) -> Arrays;

    /// The training state at this point.
    fn state(&mut self) -> TrainingState;
}

/// Which parts of a model have a copy in memory at a time while a training stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copies {
    /// Its parameters.
    pub(crate) parameters: bool,
    /// Its training state.
    pub(crate) states: bool,
}

/// Stores the checkpoints and the best model of a training, in memory or in folders.
pub(crate) trait CheckpointStore {
    /// Begins with a training on `data`, before its model is made. `keeps_best` says whether the best model by validation
    /// will be asked for.
    fn begin_stage(&mut self, data: &Arc<Dataset>, keeps_best: bool);

    /// Whether the best model by validation is kept.
    fn keeps_best(&self) -> bool;

    /// The copies that the store makes.
    fn copies(&self) -> Copies;

    /// Whether a checkpoint within the epoch is due; called after every mini-batch.
    fn is_checkpoint_due(&mut self) -> bool {
        false
    }

    /// Stores a checkpoint; returns its folder, if it has one.
    fn store_checkpoint(
        &mut self,
        model: &mut dyn Snapshot,
        summary: &TrainingSummary,
    ) -> Result<Option<&std::path::Path>>;

    /// Stores the model as the best so far by validation.
    fn store_best(&mut self, model: &mut dyn Snapshot, summary: &TrainingSummary) -> Result<()>;

    /// Returns the best model so far, with its training state if that was stored.
    fn best(&mut self) -> Result<(Arrays, Option<TrainingState>)>;

    /// Trains a member of the model; one that a resumed training had finished is returned at once.
    ///
    /// # Errors
    /// Those of the member's kind; [`Error::Stopped`](crate::Error::Stopped) if the observer breaks.
    fn train_member(&mut self, member: MemberPlan<'_>, observe: &mut Observer<'_>) -> Result<TrainedMember>;
}

/// The inputs of the training of a member of a model.
pub(crate) struct MemberPlan<'a> {
    /// A name that no other training of the same model has, which can be that of a folder.
    pub(crate) name: &'a str,
    pub(crate) experiment: &'a Experiment,
    pub(crate) data: Arc<Dataset>,
    /// Sessions on which every epoch is validated; the best one's weights are kept.
    pub(crate) validation: Option<&'a Sessions>,
    /// Number of threads, at least 1.
    pub(crate) threads: usize,
    /// An earlier model to start from.
    pub(crate) start: Start,
}

/// A trained member of a model.
pub(crate) struct TrainedMember {
    pub(crate) model: Box<dyn AnyModel>,
    pub(crate) summary: TrainingSummary,
}

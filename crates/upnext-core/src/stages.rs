//! The stages of a training: one alone, or one that validation judges and a second one on all of the data.
//!
//! Validation finds how many epochs are best, on a network that has not learnt from the validation part. The second
//! stage trains a new network for that many epochs on everything, as Hidasi et al. do after they have chosen their
//! parameters (section 4.1).

use crate::arrays::{Arrays, TrainingState};
use crate::data::{Dataset, Sessions};
use crate::experiment::Experiment;
use crate::gru4rec::config::SessionOrder;
use crate::history::{Ended, FitEvent, Observer, Selection, TrainingSummary};
use crate::kind::{AnyModel, CheckpointStore, Copies, Fit, MemberPlan, Snapshot, Start, TrainedMember};
use crate::{Error, Result, models};
use std::sync::Arc;

/// A training in one stage or two.
pub(crate) struct Stages<'s> {
    /// The configuration of the model, the training and the validation.
    pub(crate) experiment: &'s Experiment,
    /// The data of the first stage.
    pub(crate) data: Arc<Dataset>,
    /// The sessions on which every epoch of the first stage is validated.
    pub(crate) validation: Option<&'s Sessions>,
    /// The data of the second stage; `None`: there is none.
    pub(crate) refit: Option<Arc<Dataset>>,
    /// Number of threads, at least 1.
    pub(crate) threads: usize,
    /// Whether the training state of the model is wanted.
    pub(crate) keeps_state: bool,
    /// The model that each stage starts from: none, or an earlier one.
    pub(crate) initial: Start,
    /// The checkpoint of the stage that goes on, and its record.
    pub(crate) resumed: Option<(Start, TrainingSummary)>,
}

/// A trained model.
pub(crate) struct Trained {
    pub(crate) model: Box<dyn AnyModel>,
    /// The data of the last stage, whose items are the model's.
    pub(crate) data: Arc<Dataset>,
    pub(crate) summary: TrainingSummary,
    pub(crate) ended: Ended,
    pub(crate) state: Option<TrainingState>,
    pub(crate) optimizer_state_kept: Option<bool>,
}

/// Checks that there is a validation where the experiment or a second stage needs one.
///
/// # Errors
/// [`Error::Config`].
pub(crate) fn check_validation(
    experiment: &Experiment,
    has_validation: bool,
    has_second_stage: bool,
) -> Result<()> {
    if has_validation {
        return Ok(());
    }
    if experiment.training.patience > 0 && !experiment.model.kind().validates_itself() {
        return Err(Error::config("training.patience", "early stopping needs sessions to validate on"));
    }
    if has_second_stage {
        let reason =
            "training again on all of the data needs sessions to validate on, which choose the epochs";
        return Err(Error::config("refit", reason));
    }
    Ok(())
}

impl Stages<'_> {
    /// Trains the model. `observe` can stop the training after any mini-batch, with the network as it is then.
    ///
    /// # Errors
    /// Those of the kind's training and of the store.
    pub(crate) fn run(
        mut self,
        observe: &mut Observer,
        checkpoints: &mut dyn CheckpointStore,
    ) -> Result<Trained> {
        let has_epochs = self.experiment.model.network().is_some();
        self.check_source(has_epochs)?;
        let whole = match self.refit.take() {
            Some(whole) if has_epochs => whole,
            whole => {
                if let Some(whole) = whole {
                    // Validation has nothing to choose.
                    (self.data, self.validation) = (whole, None);
                }
                let (data, validation, initial) = (Arc::clone(&self.data), self.validation, self.initial);
                let begin = self.resumed.unwrap_or_else(|| (initial, TrainingSummary::of(&data)));
                checkpoints.begin_stage(&data, validation.is_some());
                let settings = (self.experiment, self.threads, self.keeps_state);
                return stage(settings, data, validation, begin, observe, checkpoints);
            }
        };
        let (begin, selection, ended) = match self.resumed {
            Some((start, summary)) if summary.selection.is_some() => {
                let selection = summary.selection.clone().unwrap_or_default();
                let is_early = summary.is_patience_over(self.experiment.training.patience);
                ((start, summary), selection, if is_early { Ended::Early } else { Ended::Complete })
            }
            resumed => {
                let begin =
                    resumed.unwrap_or_else(|| (self.initial.clone(), TrainingSummary::of(&self.data)));
                checkpoints.begin_stage(&self.data, false);
                let settings = (self.experiment, self.threads, false);
                let first = stage(settings, self.data, self.validation, begin, observe, checkpoints)?;
                let selection = Selection::of(&first.summary);
                if first.ended == Ended::Interrupted || observe(FitEvent::Refit(&selection)).is_break() {
                    let summary = TrainingSummary { finished: false, ..first.summary };
                    return Ok(Trained { ended: Ended::Interrupted, summary, ..first });
                }
                let summary =
                    TrainingSummary { selection: Some(selection.clone()), ..TrainingSummary::of(&whole) };
                ((self.initial, summary), selection, first.ended)
            }
        };
        let mut experiment = self.experiment.clone();
        (experiment.training.epochs, experiment.training.patience) = (selection.best_epoch, 0);
        checkpoints.begin_stage(&whole, false);
        let settings = (&experiment, self.threads, self.keeps_state);
        let second = stage(settings, whole, None, begin, observe, checkpoints)?;
        let ended = if second.ended == Ended::Complete { ended } else { second.ended };
        Ok(Trained { ended, ..second })
    }
}

impl Stages<'_> {
    /// Checks that data on a disk are read as they can be: one session after the other.
    fn check_source(&self, is_network: bool) -> Result<()> {
        let is_on_disk = |data: &Arc<Dataset>| data.source.is_some();
        if !is_on_disk(&self.data) && !self.refit.as_ref().is_some_and(is_on_disk) {
            return Ok(());
        }
        if !is_network {
            let reason = "a model of this kind needs the whole log in memory: only networks learn from sessions on a disk";
            return Err(Error::config("from_disk", reason));
        }
        if self.experiment.training.session_order != SessionOrder::Time {
            let reason = "sessions on a disk are read in the order of time: leave it at \"time\", or read them into memory";
            return Err(Error::config("training.session_order", reason));
        }
        Ok(())
    }
}

/// Runs one stage with an experiment, a number of threads, and whether the training state is wanted.
fn stage(
    (experiment, threads, keeps_state): (&Experiment, usize, bool),
    data: Arc<Dataset>,
    validation: Option<&Sessions>,
    (start, summary): (Start, TrainingSummary),
    observe: &mut Observer,
    checkpoints: &mut dyn CheckpointStore,
) -> Result<Trained> {
    let tables = experiment.tables();
    let mut fit = Fit {
        start,
        summary,
        keeps_state,
        ..Fit::new(&data, tables, validation, threads, observe, checkpoints)
    };
    let model = models::fit(&experiment.model, &mut fit)?;
    let Fit { summary, ended, state, optimizer_state_kept, .. } = fit;
    Ok(Trained { model, data, summary, ended, state, optimizer_state_kept })
}

/// A [`CheckpointStore`] that stores the best model in memory, and no checkpoints.
#[derive(Debug, Default)]
pub(crate) struct InMemory {
    /// Whether the training state of the best model is stored, too.
    keeps_state: bool,
    keeps_best: bool,
    best: Option<(Arrays, Option<TrainingState>)>,
}

impl InMemory {
    /// A store without a best model yet.
    pub(crate) fn new(keeps_state: bool) -> Self {
        Self { keeps_state, ..Self::default() }
    }
}

impl CheckpointStore for InMemory {
    fn begin_stage(&mut self, _: &Arc<Dataset>, keeps_best: bool) {
        (self.keeps_best, self.best) = (keeps_best, None);
    }

    fn keeps_best(&self) -> bool {
        self.keeps_best
    }

    fn copies(&self) -> Copies {
        Copies { parameters: self.keeps_best, states: self.keeps_state }
    }

    fn store_checkpoint(
        &mut self,
        _: &mut dyn Snapshot,
        _: &TrainingSummary,
    ) -> Result<Option<&std::path::Path>> {
        Ok(None)
    }

    fn store_best(&mut self, model: &mut dyn Snapshot, _: &TrainingSummary) -> Result<()> {
        // The former best goes first, so that there is one copy at a time.
        self.best = None;
        self.best = Some((model.arrays(), self.keeps_state.then(|| model.state())));
        Ok(())
    }

    fn best(&mut self) -> Result<(Arrays, Option<TrainingState>)> {
        Ok(self.best.take().unwrap_or_default())
    }
    fn train_member(&mut self, plan: MemberPlan<'_>, observe: &mut Observer<'_>) -> Result<TrainedMember> {
        train_in_memory(plan, observe)
    }
}

/// Trains a member of a model without checkpoints.
///
/// # Errors
/// Those of the member's kind; [`Error::Stopped`] if the observer breaks.
pub(crate) fn train_in_memory(plan: MemberPlan<'_>, observe: &mut Observer<'_>) -> Result<TrainedMember> {
    let MemberPlan { experiment, data, validation, threads, start, .. } = plan;
    let mut checkpoints = InMemory::new(false);
    checkpoints.begin_stage(&data, validation.is_some());
    let begin = (start, TrainingSummary::of(&data));
    let trained = stage((experiment, threads, false), data, validation, begin, observe, &mut checkpoints)?;
    if trained.ended == Ended::Interrupted {
        return Err(Error::Stopped);
    }
    Ok(TrainedMember { model: trained.model, summary: trained.summary })
}

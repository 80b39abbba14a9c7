//! Blend: a model made of models, whose probabilities are pooled.
//!
//! Each member lists its best items after a session, with a probability each (`lists.rs`). The blend scores the items of
//! all lists by a weighted sum of the logarithms (`pool.rs`), with weights that were learnt (`learn.rs`) on sessions that no
//! member had learnt from (`held_out.rs`).

mod config;
mod fit;
mod held_out;
mod learn;
mod lists;
mod pool;
mod refine;
mod scorer;
#[cfg(test)]
mod tests;

pub(crate) use config::DEPTH;
pub use config::{BlendConfig, Member};
pub(crate) use held_out::{CASES, HeldOut};
pub(crate) use learn::Case;
pub(crate) use lists::{Catalogue, List};
pub(crate) use pool::Pool;
pub(crate) use refine::refine;

use crate::arrays::{Arrays, Tensor};
use crate::baselines::Popularity;
use crate::data::{Dataset, ItemIndex, ItemVocabulary};
use crate::evaluation::EvaluationConfig;
use crate::experiment::{Experiment, ModelConfig};
use crate::gru4rec::config::TrainingConfig;
use crate::history::TrainingSummary;
use crate::kind::{AnyModel, Fit, Kind, OfTraining, Scale, TrainedMember};
use crate::ranking::Index;
use crate::recommender::{Recommender, SessionScorer, Similarities, SimilarityMeasure};
use crate::{Error, Result, models};
use lists::FEATURES;
use pool::CONTEXTS;
use scorer::BlendScorer;
use std::sync::Arc;

/// A log-linear pool of models (Genest and Zidek, *Combining probability distributions*, Statistical Science 1986), with
/// weights by the place in the session.
///
/// After a session, member `m` lists its `depth` best items with probabilities `p_m(i)` and ranks `r_m(i)`. The score of an item
/// that any member lists is `Σ_m u_m ℓ_m(i) − v_m log r_m(i) + w_m [i is not in the list of m]`, with `ℓ_m(i) = log p_m(i)`;
/// outside the list, `ℓ_m` is one below its smallest, and `r_m` its length plus 2. The ranks calibrate members whose scores are
/// no logarithms of probabilities, such as networks trained with BPR-max. Members whose scores do not depend on the session
/// (`pop`, `decay-pop`) list nothing: they weigh what the others list, with `ℓ_m(i) = log (score + 0.1)`. The weights are
/// those of a conditional logit (McFadden 1974), fitted by maximum likelihood on sessions that no member has learnt from, for
/// each of four places in the session with a ridge towards common weights. Items in no list come behind, by popularity. A
/// linear pool of the same probabilities was worse on every log that it was tried on.
///
/// A blend that starts from another one ([`FitOptions::init`](crate::FitOptions::init)) keeps its weights and trains its
/// networks further; all other members are fitted anew, to the sessions that are given.
pub struct Blend {
    config: BlendConfig,
    members: Vec<Fitted>,
    pool: Pool,
    popularity: Popularity,
    catalogue: Catalogue,
}

/// A fitted member.
struct Fitted {
    name: String,
    scale: Scale,
    model: Box<dyn AnyModel>,
    index: Option<Index>,
    /// The logarithms of weights that are the same after every session.
    fixed: Option<Arc<[f32]>>,
}

impl Fitted {
    fn new(name: String, experiment: &Experiment, model: Box<dyn AnyModel>) -> Self {
        let (index, scale) = (Index::new(model.recommender()), experiment.model.kind().scale());
        let fixed = lists::fixed((&*model, scale));
        Self { name, scale, model, index, fixed }
    }
}

impl std::fmt::Debug for Blend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.members.iter().map(|member| &member.model)).finish()
    }
}

impl Blend {
    fn new(config: BlendConfig, members: Vec<Fitted>, pool: Pool, items: &ItemVocabulary) -> Self {
        let catalogue = Catalogue::new(items.supports());
        Self { config, members, pool, popularity: Popularity::new(items), catalogue }
    }
}

/// The blend of trained members, each with its name and experiment, and with the weights of a pool; its experiment, and its
/// record. The experiment trains a blend like it from its name on, whose weights are learnt on the newest sessions.
pub(crate) fn assemble(
    trained: Vec<(String, Experiment, TrainedMember)>,
    pool: Pool,
    data: &Dataset,
) -> (Box<dyn AnyModel>, Experiment, TrainingSummary) {
    let training = TrainingConfig::default();
    let member = |(name, experiment, _): &(String, Experiment, TrainedMember)| {
        Member::trained_as(name, experiment, &training)
    };
    let config = BlendConfig { members: trained.iter().map(member).collect(), ..BlendConfig::default() };
    let experiment =
        Experiment { model: ModelConfig::Blend(config.clone()), training, ..Experiment::default() };
    let (mut fitted, mut summaries) = (Vec::new(), Vec::new());
    for (name, of_member, TrainedMember { model, summary }) in trained {
        fitted.push(Fitted::new(name.clone(), &of_member, model));
        summaries.push((name, summary));
    }
    let summary = TrainingSummary { members: summaries, ..TrainingSummary::of(data) };
    (Box::new(Blend::new(config, fitted, pool, &data.items)), experiment, summary)
}

/// The name of the array of weights.
const WEIGHTS: &str = "weights";

/// Takes the weights of a pool of members out of arrays.
///
/// # Errors
/// [`Error::Weights`].
fn take_weights(arrays: &mut Arrays, members: usize) -> Result<Pool> {
    let weights = arrays.take_tensor(WEIGHTS, &[CONTEXTS, FEATURES * members])?;
    if weights.iter().any(|weight| !weight.is_finite()) {
        return Err(Error::weights(WEIGHTS, "has a value that is not finite"));
    }
    Ok(Pool { weights })
}

impl Kind for Blend {
    type Config = BlendConfig;
    const SPACE: Option<&'static str> = Some(include_str!("../../experiments/spaces/blend.toml"));
    const READS: OfTraining = OfTraining::Everything;
    // That of the first member which can tell; by default, of the network.
    const SIMILARITY: Option<SimilarityMeasure> = Some(SimilarityMeasure::VectorCosine);
    const VALIDATES_ITSELF: bool = true;
    const CAN_TRAIN_FURTHER: bool = true;

    fn validate(config: &BlendConfig, training: &TrainingConfig) -> Result<()> {
        config.validate(training)
    }

    fn fit(config: &BlendConfig, fit: &mut Fit<'_>) -> Result<Self> {
        fit::fit(config, fit)
    }

    fn to_arrays(&self) -> Arrays {
        let shape = vec![CONTEXTS, FEATURES * self.members.len()];
        let weights = Tensor { shape, values: self.pool.weights.clone() };
        let members = self.members.iter().map(|member| (member.name.clone(), member.model.arrays()));
        Arrays {
            tensors: [(WEIGHTS.to_owned(), weights)].into(),
            members: members.collect(),
            ..Arrays::default()
        }
    }

    fn from_arrays(
        config: &BlendConfig,
        training: &TrainingConfig,
        items: &ItemVocabulary,
        mut arrays: Arrays,
    ) -> Result<Self> {
        config.validate(training)?;
        let mut members = Vec::new();
        for (name, experiment) in config.experiments(training, &EvaluationConfig::default()) {
            // A member may have been left out.
            if let Some(at) = arrays.members.iter().position(|(other, _)| *other == name) {
                let (_, own) = arrays.members.remove(at);
                let model = models::from_arrays(&experiment, items, own)?;
                members.push(Fitted::new(name, &experiment, model));
            }
        }
        if members.is_empty() {
            return Err(Error::weights(WEIGHTS, "is of no members: they are missing"));
        }
        let pool = take_weights(&mut arrays, members.len())?;
        arrays.finish()?;
        Ok(Self::new(config.clone(), members, pool, items))
    }
}

impl Recommender for Blend {
    fn name(&self) -> &str {
        "blend"
    }

    fn num_items(&self) -> usize {
        self.catalogue.len()
    }

    fn similarities(&self, item: ItemIndex) -> Option<Similarities> {
        let (member, answer) =
            self.members.iter().find_map(|member| Some((member, member.model.similarities(item)?)))?;
        match answer {
            Similarities::Vectors => {
                let cosines = cosines(member.model.recommender(), item);
                Some(Similarities::Listed(SimilarityMeasure::VectorCosine, cosines))
            }
            listed @ Similarities::Listed(..) => Some(listed),
        }
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(BlendScorer::new(self, rows))
    }
}

/// The items whose vectors have a cosine above 0 with that of `item`.
fn cosines(model: &dyn Recommender, item: ItemIndex) -> Vec<(ItemIndex, f32)> {
    let vector = |item| model.vector(item).unwrap_or_default();
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let own = vector(item);
    let length = product(own, own).sqrt();
    let cosine = |other| {
        let theirs = vector(other);
        let cosine = (product(own, theirs) / (length * product(theirs, theirs).sqrt())) as f32;
        (cosine > 0.0).then_some((other, cosine))
    };
    (0..model.num_items() as ItemIndex).filter_map(cosine).collect()
}

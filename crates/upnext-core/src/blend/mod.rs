//! Blend: a model made of models, whose probabilities are pooled.
//!
//! Each member lists its best items after a session, with a probability each (`lists.rs`). The blend scores the items of
//! all lists by a weighted sum of the logarithms (`pool.rs`), with weights that were learnt on sessions that no member had
//! learnt from (`learn.rs`).

mod fit;
mod learn;
mod lists;
mod pool;
mod scorer;
#[cfg(test)]
mod tests;

use crate::arrays::{Arrays, Tensor};
use crate::data::ItemVocabulary;
use crate::documented::documented;
use crate::experiment::{Experiment, ModelConfig, ModelKind};
use crate::gru4rec::config::TrainingConfig;
use crate::kind::{AnyModel, Fit, Kind, OfTraining};
use crate::recommender::{Recommender, SessionScorer};
use crate::{Error, Result, models};
use pool::{CONTEXTS, Pool};
use scorer::BlendScorer;
use serde::{Deserialize, Serialize};

documented! {
    /// The configuration of [`Blend`].
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct BlendConfig {
        /// The members, 2 to 16: names of kinds, such as `["gru4rec", "vstan"]`, or tables with a `kind` and its fields. Networks
        /// are trained by the `[training]` table. The default is our choice.
        pub members: Vec<Member>,
        /// Number of items that each member lists, 20 to 10,000. The default is our choice.
        pub depth: usize,
        /// Share of the training sessions, the newest ones, on which the weights are learnt, above 0 and below 1. The default is our
        /// choice.
        pub held_out: f32,
    }
}

impl Default for BlendConfig {
    fn default() -> Self {
        let kinds = [ModelKind::Gru4rec, ModelKind::Vstan, ModelKind::Sr, ModelKind::Repeat];
        Self { members: kinds.map(Member::of_kind).to_vec(), depth: 100, held_out: 0.1 }
    }
}

/// A member of a blend: the configuration of a model of any other kind. It is written as a table, and read from a table
/// or from the name of a kind, which stands for its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Member(pub ModelConfig);

impl Member {
    fn of_kind(kind: ModelKind) -> Self {
        // A blend in a blend is refused by `validate`; its default would not end.
        Self(ModelConfig::of_kind(kind))
    }
}

/// The forms in which a member is read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Kind(ModelKind),
    Whole(ModelConfig),
}

impl From<Written> for Member {
    fn from(written: Written) -> Self {
        match written {
            Written::Kind(ModelKind::Blend) => {
                Self(ModelConfig::Blend(BlendConfig { members: Vec::new(), depth: 20, held_out: 0.1 }))
            }
            Written::Kind(kind) => Self::of_kind(kind),
            Written::Whole(config) => Self(config),
        }
    }
}

impl BlendConfig {
    /// Checks every field, and the members with the `[training]` table.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub fn validate(&self, training: &TrainingConfig) -> Result<()> {
        if !(2..=16).contains(&self.members.len()) {
            let reason = format!("a blend has 2 to 16 members, not {}", self.members.len());
            return Err(Error::config("model.members", reason));
        }
        if !(20..=10_000).contains(&self.depth) {
            return Err(Error::config("model.depth", format!("must be 20 to 10000, not {}", self.depth)));
        }
        if !(self.held_out > 0.0 && self.held_out < 1.0) {
            let reason = format!("must be above 0 and below 1, not {}", self.held_out);
            return Err(Error::config("model.held_out", reason));
        }
        for (at, Member(member)) in self.members.iter().enumerate() {
            if member.kind() == ModelKind::Blend {
                return Err(Error::config("model.members", "a blend cannot be a member: name its members"));
            }
            member.validate(training).map_err(|error| match error {
                Error::Config { field, reason } => {
                    Error::config(format!("model.members[{at}] ({}): {field}", member.kind()), reason)
                }
                other => other,
            })?;
        }
        Ok(())
    }
}

/// A log-linear pool of models (Genest and Zidek, *Combining probability distributions*, Statistical Science 1986), with
/// weights by the place in the session.
///
/// After a session, member `m` lists its `depth` best items with probabilities `p_m(i)`. The score of an item that any member
/// lists is `Σ_m w_m ℓ_m(i) + v_m [i is not in the list of m]`, with `ℓ_m(i) = log p_m(i)`, or one below the smallest of the
/// list. The weights are those of a conditional logit (McFadden 1974), fitted by maximum likelihood on sessions that no member
/// has learnt from, for each of four places in the session with a ridge towards common weights. Items in no list come behind,
/// by popularity. A linear pool of the same probabilities was worse on every log that it was tried on.
pub struct Blend {
    config: BlendConfig,
    members: Vec<Box<dyn AnyModel>>,
    pool: Pool,
    /// Rank of each item's support among the distinct supports, from 0, divided by their number.
    popularity: Vec<f32>,
    supports: Vec<u64>,
}

impl std::fmt::Debug for Blend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blend({:?})", self.members)
    }
}

impl Blend {
    /// A blend of fitted members, in the order of the configuration.
    fn new(config: BlendConfig, members: Vec<Box<dyn AnyModel>>, pool: Pool, items: &ItemVocabulary) -> Self {
        let (levels, count) = crate::baselines::support_levels(items.supports());
        let popularity = levels.iter().map(|&level| level as f32 / count.max(1) as f32).collect();
        Self { config, members, pool, popularity, supports: items.supports().to_vec() }
    }
}

/// The name of an array of a member in the arrays of the blend.
fn nested(member: usize, name: &str) -> String {
    format!("members.{member}.{name}")
}

/// The name of the array of weights.
const WEIGHTS: &str = "weights";

impl Kind for Blend {
    type Config = BlendConfig;
    const READS: OfTraining = OfTraining::Everything;

    fn validate(config: &BlendConfig, training: &TrainingConfig) -> Result<()> {
        config.validate(training)
    }

    fn fit(config: &BlendConfig, fit: &mut Fit<'_>) -> Result<Self> {
        fit::fit(config, fit)
    }

    fn to_arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        for (m, member) in self.members.iter().enumerate() {
            let Arrays { tensors, counts } = member.arrays();
            arrays.tensors.extend(tensors.into_iter().map(|(name, tensor)| (nested(m, &name), tensor)));
            arrays.counts.extend(counts.into_iter().map(|(name, counts)| (nested(m, &name), counts)));
        }
        let shape = vec![CONTEXTS, 2 * self.members.len()];
        arrays.tensors.insert(WEIGHTS.to_owned(), Tensor { shape, values: self.pool.weights.clone() });
        arrays
    }

    fn from_arrays(
        config: &BlendConfig,
        training: &TrainingConfig,
        items: &ItemVocabulary,
        mut arrays: Arrays,
    ) -> Result<Self> {
        config.validate(training)?;
        let weights = arrays.take_tensor(WEIGHTS, &[CONTEXTS, 2 * config.members.len()])?;
        if weights.iter().any(|weight| !weight.is_finite()) {
            return Err(Error::weights(WEIGHTS, "has a value that is not finite"));
        }
        let mut members = Vec::new();
        for (m, Member(member)) in config.members.iter().enumerate() {
            let prefix = nested(m, "");
            let mut own = Arrays::default();
            for (name, tensor) in std::mem::take(&mut arrays.tensors) {
                match name.strip_prefix(&prefix) {
                    Some(inner) => own.tensors.insert(inner.to_owned(), tensor),
                    None => arrays.tensors.insert(name, tensor),
                };
            }
            for (name, counts) in std::mem::take(&mut arrays.counts) {
                match name.strip_prefix(&prefix) {
                    Some(inner) => own.counts.insert(inner.to_owned(), counts),
                    None => arrays.counts.insert(name, counts),
                };
            }
            let experiment =
                Experiment { model: member.clone(), training: training.clone(), ..Experiment::default() };
            members.push(models::from_arrays(&experiment, items, own)?);
        }
        arrays.finish()?;
        Ok(Self::new(config.clone(), members, Pool { weights }, items))
    }
}

impl Recommender for Blend {
    fn name(&self) -> &str {
        "blend"
    }

    fn num_items(&self) -> usize {
        self.popularity.len()
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(BlendScorer::new(self, rows))
    }
}

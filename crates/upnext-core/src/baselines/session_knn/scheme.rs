//! The weights in which the four models differ: similarities of sessions, and scores of neighbours' items.

use super::config::{Decay, Similarity};

/// The parameters of a model, in one form for all four.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scheme {
    /// Number of neighbours.
    pub(super) k: usize,
    /// Number of most recent candidates.
    pub(super) sample_size: usize,
    pub(super) similarity: Similarity,
    /// Weight of the current session's items in the similarity.
    pub(super) weighting: PositionWeight,
    /// λ2 of STAN, in days; 0 if off.
    pub(super) lambda2: f64,
    /// λ3 of STAN, in events; 0 if off.
    pub(super) lambda3: f64,
    /// Weight of a neighbour by the position of the last common item.
    pub(super) weighting_score: Decay,
    /// Strength of the IDF weight; 0 if off.
    pub(super) idf_weighting: f64,
}

/// Weight of an item of the current session by its position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PositionWeight {
    Decay(Decay),
    /// STAN's `exp((p − L) / λ1)`, at position `p` of `L`.
    Exponential(f64),
}

/// Microseconds per day.
const DAY_US: f64 = 86_400e6;

impl Scheme {
    /// The scheme in which every weight is 1.
    pub(super) fn plain(k: usize, sample_size: usize) -> Self {
        Self {
            k,
            sample_size,
            similarity: Similarity::Cosine,
            weighting: PositionWeight::Decay(Decay::Same),
            lambda2: 0.0,
            lambda3: 0.0,
            weighting_score: Decay::Same,
            idf_weighting: 0.0,
        }
    }

    /// The similarity of two sessions of `current` and `past` distinct items, with `common` the sum of the weights of
    /// the common ones.
    pub(super) fn similarity(&self, common: f64, current: usize, past: usize) -> f64 {
        match self.similarity {
            Similarity::Cosine => common / (current as f64 * past as f64).sqrt(),
            Similarity::Vec => common,
        }
    }

    /// The weight of a neighbour that began `age_us` microseconds before the most recent candidate.
    ///
    /// STAN measures the age at the current session. The time from the most recent candidate to the current session is
    /// a common factor of all scores and is left out, so that weights do not underflow in an old model, and current
    /// sessions need no time.
    pub(super) fn recency(&self, age_us: u64) -> f64 {
        if self.lambda2 == 0.0 { 1.0 } else { (-(age_us as f64) / DAY_US / self.lambda2).exp() }
    }

    /// The weight of a neighbour's item `distance` events from the last common item.
    pub(super) fn nearness(&self, distance: u32) -> f64 {
        if self.lambda3 == 0.0 { 1.0 } else { (-f64::from(distance) / self.lambda3).exp() }
    }

    /// The IDF weight of an item that `with` of `sessions` training sessions contain.
    pub(super) fn rarity(&self, with: u32, sessions: usize) -> f64 {
        if self.idf_weighting == 0.0 {
            return 1.0;
        }
        1.0 + self.idf_weighting * (sessions as f64 / f64::from(with.max(1))).ln()
    }
}

impl PositionWeight {
    /// The exponential weight with this λ1, or no weight if it is 0.
    pub(super) fn exponential(lambda1: f64) -> Self {
        if lambda1 == 0.0 { Self::Decay(Decay::Same) } else { Self::Exponential(lambda1) }
    }

    /// The weight of the `back`-th of `length` events, counted from 1 at the end.
    pub(super) fn at(self, back: usize, length: usize) -> f64 {
        match self {
            Self::Decay(decay) => decay.at(back, length),
            Self::Exponential(lambda1) => (-((back - 1) as f64) / lambda1).exp(),
        }
    }
}

impl Decay {
    /// The weight of the `back`-th of `length` events, counted from 1 at the end.
    pub(super) fn at(self, back: usize, length: usize) -> f64 {
        let linear = (length - back + 1) as f64 / length as f64;
        match self {
            Self::Same => 1.0,
            Self::Div => 1.0 / back as f64,
            Self::Linear => linear,
            Self::Quadratic => linear * linear,
            Self::Log => 1.0 / (back as f64 + 1.0).log2(),
        }
    }
}

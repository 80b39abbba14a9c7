//! What it means to a model that two items are similar.

use crate::data::ItemIndex;
use serde::Serialize;
use std::fmt;

/// What the number of a similar item is. Numbers of different measures, or models, cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SimilarityMeasure {
    /// The cosine of the angle between the vectors by which the model scores the two items, without their biases: from
    /// −1 to 1, and 0 if a vector is zero. Items with a large cosine come next after the same sessions.
    VectorCosine,
    /// The cosine of the sets of stored sessions that contain the items: the number of sessions with both, divided by
    /// the square root of the product of the numbers of sessions with each. Above 0, up to 1.
    SessionCosine,
    /// The mean over the columns of an item table of the cosine of the items' values, above 0, up to 1.
    ContentCosine,
    /// The model's weight of the other item if this one is the last of a session: above 0. The weight in the other
    /// direction may differ.
    Weight,
}

impl SimilarityMeasure {
    /// All measures.
    pub const ALL: [Self; 4] = [Self::VectorCosine, Self::SessionCosine, Self::ContentCosine, Self::Weight];

    /// The name in JSON, such as `vector-cosine`.
    pub fn name(self) -> &'static str {
        match self {
            Self::VectorCosine => "vector-cosine",
            Self::SessionCosine => "session-cosine",
            Self::ContentCosine => "content-cosine",
            Self::Weight => "weight",
        }
    }

    /// The measure in words, such as "cosine of the items' vectors".
    pub fn description(self) -> &'static str {
        match self {
            Self::VectorCosine => "cosine of the items' vectors",
            Self::SessionCosine => "cosine of the items' sets of sessions",
            Self::ContentCosine => "mean cosine of the items' attributes",
            Self::Weight => "weight of the model from the item to the other",
        }
    }

    /// Whether the number is the same for two items in either order.
    pub fn is_symmetric(self) -> bool {
        self != Self::Weight
    }
}

impl fmt::Display for SimilarityMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The items that are similar to one item.
#[derive(Clone, Debug, PartialEq)]
pub enum Similarities {
    /// All items, by the cosine of their vectors ([`Recommender::vector`](super::Recommender::vector)).
    Vectors,
    /// Only these items. Each occurs once, with a finite number above 0; the item itself may be among them.
    Listed(SimilarityMeasure, Vec<(ItemIndex, f32)>),
}

impl Similarities {
    /// What the numbers are.
    pub fn measure(&self) -> SimilarityMeasure {
        match self {
            Self::Vectors => SimilarityMeasure::VectorCosine,
            Self::Listed(measure, _) => *measure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_has_one_name_everywhere() {
        for measure in SimilarityMeasure::ALL {
            assert_eq!(serde_json::to_value(measure).unwrap(), measure.name());
            assert_eq!(measure.to_string(), measure.name());
        }
    }
}

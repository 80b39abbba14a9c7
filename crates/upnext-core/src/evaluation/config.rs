//! The configuration of an evaluation.

use crate::documented::documented;
use crate::ranking::TieRule;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

documented! {
    /// The configuration of an evaluation: the `[evaluation]` table of an experiment.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct EvaluationConfig {
        /// The cut-offs k of the metrics: whole numbers of 1 or more, ascending. The default has the 20 of \[1\]; the
        /// others are our choice.
        pub cutoffs: Vec<usize>,
        /// The rank of a target among items of the same score: `conservative` (behind all of them, so that a constant
        /// model has recall 0), `standard` (before all of them) or `median`. The default is our choice: no model gains
        /// by equal scores.
        pub ties: TieRule,
        /// Number of candidates: the target is ranked among that many most popular training items, at least the largest
        /// cut-off (30,000 for VIDEO in \[1\]). If absent, among all items, as for RSC15 in \[1\].
        #[serde(skip_serializing_if = "Option::is_none")]
        pub candidates: Option<usize>,
        /// Whether to form the top-k list of every case, for the metrics of lists, such as coverage, popularity and
        /// diversity: `true` or `false`. It takes about a fifth more time with a network of 100 units, which is why the
        /// default is `false`.
        pub lists: bool,
    }
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { cutoffs: vec![1, 5, 10, 20], ties: TieRule::Conservative, candidates: None, lists: false }
    }
}

impl EvaluationConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] for cut-offs that are missing, 0 or not ascending, and for fewer candidates than a cut-off.
    pub fn validate(&self) -> Result<()> {
        if self.cutoffs.first().is_none_or(|&k| k == 0) || self.cutoffs.windows(2).any(|w| w[0] >= w[1]) {
            let reason = format!(
                "{:?} are no cut-offs: use ascending numbers from 1, as in [1, 5, 10, 20]",
                self.cutoffs
            );
            return Err(Error::config("evaluation.cutoffs", reason));
        }
        match (self.candidates, self.cutoffs.last()) {
            (Some(candidates), Some(&largest)) if candidates < largest => Err(Error::config(
                "evaluation.candidates",
                format!(
                    "{candidates} candidates all fit into a list of {largest}: use more, or smaller cut-offs"
                ),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_that_make_no_sense_are_refused() {
        let refused = |cutoffs: &[usize], candidates| {
            EvaluationConfig { cutoffs: cutoffs.to_vec(), candidates, ..Default::default() }
                .validate()
                .is_err()
        };
        assert!(!refused(&[20], None) && !refused(&[1, 20], Some(20)));
        assert!(refused(&[], None) && refused(&[0, 5], None));
        assert!(refused(&[5, 5], None) && refused(&[20, 5], None));
        assert!(refused(&[20], Some(19)) && refused(&[1], Some(0)));
    }
}

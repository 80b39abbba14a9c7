//! Session-based nearest neighbours: items are scored by the training sessions most similar to the current one.
//!
//! All four models store the training sessions. Candidates are the `sample_size` (m) most recent sessions that share an
//! item with the current session `s`; the neighbours `N` are the `k` most similar candidates. The score of an item is
//!
//! `score(i) = rarity(i) · Σ_{n ∈ N, i ∈ n} sim(s, n) · w_score(s, n) · w3(i, n)`.
//!
//! | model | sim(s, n) | `w_score` | `w3` | rarity |
//! |---|---|---|---|---|
//! | [`SKnn`] | cosine of the sets of items | 1 | 1 | 1 |
//! | [`VsKnn`] | product, items of `s` weighted by position (`weighting`) | `weighting_score` | 1 | `idf_weighting` |
//! | [`Stan`] | cosine, items of `s` weighted by λ1, times the weight of `n`'s age by λ2 | 1 | λ3 | 1 |
//! | [`Vstan`] | as STAN | `weighting_score` | λ3 | `idf_weighting` |
//!
//! Sources: S-KNN: Jannach and Ludewig, *When recurrent neural networks meet the neighborhood for session-based
//! recommendation*, RecSys 2017. VS-KNN: Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*,
//! UMUAI 2018. STAN: Garg et al., *Sequence and time aware neighborhood for session-based recommendations*, SIGIR 2019.
//! VSTAN, and the IDF weight: Ludewig, Mauro, Latifi and Jannach, *Empirical analysis of session-based recommendation
//! algorithms*, UMUAI 2020.
//!
//! The formulas are in `docs/algorithms.md`, section 7. Our choices where the papers leave them open: recency is that
//! of a session's start; an item that occurs more than once in a session counts once, at its last position; `|s|` and
//! `|n|` are numbers of distinct items; of equally similar candidates, the more recent are neighbours; items of the
//! current session are scored too; equal scores, and items that no neighbour contains, are ordered by popularity. In a
//! log with an order but no times, the events are numbered and a number counts as a second, so that one day of λ2 is
//! 86,400 events.
//!
//! Items are compared by the cosine of the sets of stored sessions that contain them; all training sessions count,
//! whatever `sample_size` and their age.

mod config;
mod engine;
mod past;
mod scheme;
#[cfg(test)]
mod tests;

pub use config::{Decay, SKnnConfig, Similarity, StanConfig, VsKnnConfig, VstanConfig};

use crate::Result;
use crate::arrays::Arrays;
use crate::data::{Dataset, ItemIndex, ItemVocabulary};
use crate::recommender::{Recommender, SessionScorer, Similarities};
use engine::Engine;

macro_rules! session_knn {
    ($(#[$doc:meta])* $model:ident, $config:ident, $name:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $model(Engine);

        impl std::fmt::Debug for $model {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let (sessions, items) = (self.0.num_sessions(), self.0.num_items());
                write!(f, concat!(stringify!($model), "({} sessions, {} items)"), sessions, items)
            }
        }

        impl $model {
            /// Fits the model: stores the sessions of `data` and indexes them by item.
            ///
            /// # Errors
            /// [`Error::Config`](crate::Error::Config) for an invalid configuration.
            pub fn fit(config: &$config, data: &Dataset) -> Result<Self> {
                config.validate()?;
                Ok(Self(Engine::fit(config.scheme(), data)))
            }

            /// The model as arrays: the stored sessions, from which the index is rebuilt.
            pub fn arrays(&self) -> Arrays {
                self.0.arrays()
            }

            /// Creates the model from the result of [`arrays`](Self::arrays); its scores are the same to the bit.
            ///
            /// # Errors
            /// [`Error::Config`](crate::Error::Config) for an invalid configuration;
            /// [`Error::Weights`](crate::Error::Weights) for arrays that are not sessions of these items.
            pub fn from_arrays(config: &$config, items: &ItemVocabulary, arrays: Arrays) -> Result<Self> {
                config.validate()?;
                Ok(Self(Engine::from_arrays(config.scheme(), items, arrays)?))
            }
        }

        fitted_kind!(
            $model($config),
            space: Some(include_str!(concat!("../../../experiments/spaces/", $name, ".toml"))),
            reads: Nothing,
            similarity: SessionCosine,
            |config, fit| Self::fit(config, &fit.data)
        );

        impl Recommender for $model {
            fn name(&self) -> &str {
                $name
            }

            fn num_items(&self) -> usize {
                self.0.num_items()
            }

            fn similarities(&self, item: ItemIndex) -> Option<Similarities> {
                Some(self.0.similarities(item))
            }

            fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
                self.0.scorer(rows)
            }
        }
    };
}

session_knn! {
    /// S-KNN: items of the training sessions most similar to the current one as sets of items (Jannach and Ludewig
    /// 2017).
    SKnn, SKnnConfig, "s-knn"
}

session_knn! {
    /// VS-KNN: S-KNN with more weight on the last items of the current session (Ludewig and Jannach 2018).
    VsKnn, VsKnnConfig, "vs-knn"
}

session_knn! {
    /// STAN: S-KNN with exponential weights of an item's position in the current session, of a neighbour's age and of
    /// an item's position in the neighbour (Garg et al. 2019).
    Stan, StanConfig, "stan"
}

session_knn! {
    /// VSTAN: STAN with the weights of neighbours and the IDF weights of items of VS-KNN (Ludewig et al. 2020).
    Vstan, VstanConfig, "vstan"
}

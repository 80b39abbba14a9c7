//! Session neighbours: what did visitors of sessions like this one look at?
//!
//! All four models keep the sessions of training. Of those that share an item with the current session `s`, the
//! `sample_size` (m) newest are candidates, the `k` most similar of these are the neighbours `N`, and an item's score is
//!
//! `score(i) = rarity(i) · Σ_{n ∈ N, i ∈ n} sim(s, n) · w_score(s, n) · w3(i, n)`.
//!
//! | | sim(s, n) | `w_score` | `w3` | rarity |
//! |---|---|---|---|---|
//! | [`SKnn`] | cosine of the sets of items | 1 | 1 | 1 |
//! | [`VsKnn`] | product, items of `s` weighted by position (`weighting`) | `weighting_score` | 1 | `idf_weighting` |
//! | [`Stan`] | cosine, items of `s` weighted by λ1, times a weight of `n`'s age by λ2 | 1 | λ3 | 1 |
//! | [`Vstan`] | as STAN | `weighting_score` | λ3 | `idf_weighting` |
//!
//! Sources: S-KNN: Jannach and Ludewig, *When recurrent neural networks meet the neighborhood for session-based
//! recommendation*, RecSys 2017. VS-KNN: Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*, UMUAI
//! 2018. STAN: Garg et al., *Sequence and time aware neighborhood for session-based recommendations*, SIGIR 2019. VSTAN, and
//! the IDF weight: Ludewig, Mauro, Latifi and Jannach, *Empirical analysis of session-based recommendation algorithms*, UMUAI
//! 2020.
//!
//! Where the papers leave it open: a session is as recent as its start; an item that occurs more than once in a session
//! counts once, at its last position; `|s|` and `|n|` count different items; of equally similar candidates the newer one is
//! the neighbour; items of the current session stay candidates; ties of scores, and the items that no neighbour has,
//! go by popularity. A log that has an order and no times counts its events as seconds, so that one day of λ2 is
//! 86,400 steps of the counter.

mod config;
mod engine;
mod past;
mod scheme;
#[cfg(test)]
mod tests;

pub use config::{Decay, SKnnConfig, Similarity, StanConfig, VsKnnConfig, VstanConfig};

use crate::Result;
use crate::arrays::Arrays;
use crate::data::{Dataset, ItemVocabulary};
use crate::recommender::{Recommender, SessionScorer};
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
            /// Keeps the sessions of `data` and builds their index.
            ///
            /// # Errors
            /// [`Error::Config`](crate::Error::Config) for parameters that make no sense.
            pub fn fit(config: &$config, data: &Dataset) -> Result<Self> {
                config.validate()?;
                Ok(Self(Engine::fit(config.scheme(), data)))
            }

            /// What the model consists of: the sessions; the index follows from them.
            pub fn arrays(&self) -> Arrays {
                self.0.arrays()
            }

            /// The model of these arrays, with the very scores of the one that they came from.
            ///
            /// # Errors
            /// [`Error::Config`](crate::Error::Config) for parameters that make no sense,
            /// [`Error::Weights`](crate::Error::Weights) for arrays that are not those of sessions of these items.
            pub fn from_arrays(config: &$config, items: &ItemVocabulary, arrays: Arrays) -> Result<Self> {
                config.validate()?;
                Ok(Self(Engine::from_arrays(config.scheme(), items, arrays)?))
            }
        }

        impl crate::kind::Kind for $model {
            type Config = $config;
            const SPACE: Option<&'static str> = Some(include_str!(concat!("../../../experiments/spaces/", $name, ".toml")));

            fn validate(config: &$config, _: &crate::gru4rec::config::TrainingConfig) -> crate::Result<()> {
                config.validate()
            }

            fn fit(config: &$config, fit: &mut crate::kind::Fit<'_>) -> crate::Result<Self> {
                Self::fit(config, &fit.data)
            }

            fn to_arrays(&self) -> crate::arrays::Arrays {
                self.arrays()
            }

            fn from_arrays(
                config: &$config,
                _: &crate::gru4rec::config::TrainingConfig,
                items: &crate::data::ItemVocabulary,
                arrays: crate::arrays::Arrays,
            ) -> crate::Result<Self> {
                Self::from_arrays(config, items, arrays)
            }
        }

        impl Recommender for $model {
            fn name(&self) -> &str {
                $name
            }

            fn num_items(&self) -> usize {
                self.0.num_items()
            }

            fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
                self.0.scorer(rows)
            }
        }
    };
}

session_knn! {
    /// S-KNN: the items of the sessions with the most items in common (Jannach and Ludewig 2017).
    SKnn, SKnnConfig, "s-knn"
}

session_knn! {
    /// VS-KNN: S-KNN that gives the current session's last items more weight (Ludewig and Jannach 2018).
    VsKnn, VsKnnConfig, "vs-knn"
}

session_knn! {
    /// STAN: S-KNN aware of positions and of time, by three exponential weights (Garg et al. 2019).
    Stan, StanConfig, "stan"
}

session_knn! {
    /// VSTAN: STAN with VS-KNN's weights of neighbours and items (Ludewig et al. 2020).
    Vstan, VstanConfig, "vstan"
}

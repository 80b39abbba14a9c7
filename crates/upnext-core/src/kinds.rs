//! Which kinds of models are there? The one list of them: a new kind is a module with an implementation of
//! [`Kind`](crate::kind::Kind), and a line here.

/// Calls a macro with all kinds, in the order in which reports show them: `/// what it is`, then the name in the code, the
/// type of the fitted model, the type of its configuration, and the name in files and on the command line.
macro_rules! for_each_kind {
    ($then:ident) => {
        $then! {
            /// The recurrent network.
            Gru4rec(crate::gru4rec::Network, crate::gru4rec::config::NetworkConfig) = "gru4rec",
            /// Popularity in training.
            Pop(crate::baselines::Pop, crate::baselines::NoFields) = "pop",
            /// Popularity in the session so far, then in training.
            SPop(crate::baselines::SPop, crate::baselines::NoFields) = "s-pop",
            /// Items that occur in the same sessions as the last one.
            ItemKnn(crate::baselines::ItemKnn, crate::baselines::ItemKnnConfig) = "item-knn",
            /// The items that have followed the last one.
            Markov(crate::baselines::Markov, crate::baselines::NoFields) = "markov",
            /// Association rules: items that go together with the last one.
            Ar(crate::baselines::AssociationRules, crate::baselines::AssociationRulesConfig) = "ar",
            /// Sequential rules: items that come some steps after the last one.
            Sr(crate::baselines::SequentialRules, crate::baselines::SequentialRulesConfig) = "sr",
            /// The items of similar sessions.
            SKnn(crate::baselines::SKnn, crate::baselines::SKnnConfig) = "s-knn",
            /// The items of similar sessions, with a weight on the latest events.
            VsKnn(crate::baselines::VsKnn, crate::baselines::VsKnnConfig) = "vs-knn",
            /// The items of similar sessions, with weights by position, age and distance.
            Stan(crate::baselines::Stan, crate::baselines::StanConfig) = "stan",
            /// STAN with VS-KNN's weights.
            Vstan(crate::baselines::Vstan, crate::baselines::VstanConfig) = "vstan",
            /// Factors of sessions and items, learnt from pairs.
            BprMf(crate::baselines::BprMf, crate::baselines::BprMfConfig) = "bpr-mf",
            /// Factors of items and of items in a session, learnt from pairs.
            SessionAverage(crate::baselines::SessionAverage, crate::baselines::SessionAverageConfig) = "session-average",
        }
    };
}
pub(crate) use for_each_kind;

//! The list of all model kinds. A new kind is a module with an implementation of [`Kind`](crate::kind::Kind), and a
//! line here.

/// Calls a macro with all kinds, in the order in which reports show them. Each has a doc comment, the name in the code,
/// the type of the fitted model, the type of its configuration, and the name in files and on the command line.
macro_rules! for_each_kind {
    ($then:ident) => {
        $then! {
            /// GRU4Rec: a recurrent network.
            Gru4rec(crate::gru4rec::Network, crate::gru4rec::config::NetworkConfig) = "gru4rec",
            /// The items with the largest support in training.
            Pop(crate::baselines::Pop, crate::baselines::NoFields) = "pop",
            /// The items with the largest support of late, by events that count less the older they are.
            DecayPop(crate::baselines::DecayPop, crate::baselines::DecayPopConfig) = "decay-pop",
            /// The most frequent items of the session so far, then those with the largest support in training.
            SPop(crate::baselines::SPop, crate::baselines::NoFields) = "s-pop",
            /// The items of the session so far, by the chance that the visitor clicks each again.
            Repeat(crate::baselines::Repeat, crate::baselines::RepeatConfig) = "repeat",
            /// Items that occur in the same sessions as the last item.
            ItemKnn(crate::baselines::ItemKnn, crate::baselines::ItemKnnConfig) = "item-knn",
            /// Items that directly followed the last item.
            Markov(crate::baselines::Markov, crate::baselines::NoFields) = "markov",
            /// Association rules: items that occur together with the last item.
            Ar(crate::baselines::AssociationRules, crate::baselines::AssociationRulesConfig) = "ar",
            /// Sequential rules: items that follow the last item within some steps.
            Sr(crate::baselines::SequentialRules, crate::baselines::SequentialRulesConfig) = "sr",
            /// Items whose attributes are like those of the session's latest items, with an item table.
            ContentKnn(crate::baselines::ContentKnn, crate::baselines::ContentKnnConfig) = "content-knn",
            /// Session-based nearest neighbours: the items of similar sessions.
            SKnn(crate::baselines::SKnn, crate::baselines::SKnnConfig) = "s-knn",
            /// The items of similar sessions, with larger weights for the latest events.
            VsKnn(crate::baselines::VsKnn, crate::baselines::VsKnnConfig) = "vs-knn",
            /// The items of similar sessions, with weights by position, age and distance.
            Stan(crate::baselines::Stan, crate::baselines::StanConfig) = "stan",
            /// STAN with VS-KNN's weights.
            Vstan(crate::baselines::Vstan, crate::baselines::VstanConfig) = "vstan",
            /// Matrix factorisation of sessions and items, trained with BPR.
            BprMf(crate::baselines::BprMf, crate::baselines::BprMfConfig) = "bpr-mf",
            /// Item factors, with the session as the average of its items, trained on pairs.
            SessionAverage(crate::baselines::SessionAverage, crate::baselines::SessionAverageConfig) = "session-average",
            /// A pool of other models, with weights that are learnt on the newest sessions.
            Blend(crate::blend::Blend, crate::blend::BlendConfig) = "blend",
        }
    };
}
pub(crate) use for_each_kind;

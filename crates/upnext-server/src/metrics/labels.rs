//! The labels of metrics.

use prometheus_client::encoding::EncodeLabelSet;

/// Defines sets of labels.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($label:ident: $of:ty),+ })+) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        pub(super) struct $name {
            $(pub(super) $label: $of,)+
        })+
    };
}

labels! {
    /// A request and its response.
    RequestLabels { method: String, route: String, status: u16 }
    /// A request.
    RouteLabels { method: String, route: String }
    /// What became of something that was read again: `loaded` or `refused`.
    OutcomeLabels { outcome: &'static str }
    /// Why something happened.
    ReasonLabels { reason: &'static str }
    /// `block` or `allow`.
    ListLabels { list: &'static str }
    /// `first` or `second`.
    RoleLabels { role: &'static str }
    /// A served model.
    ModelLabels { role: &'static str, name: String, version: String, kind: &'static str }
    /// The program.
    BuildLabels { version: &'static str, target: &'static str }
    /// What a store of sessions is asked for: `append`, `get` or `remove`.
    OperationLabels { operation: &'static str }
}

//! The pool: weights of the members' features by the place in the session.

/// Number of places in a session with weights of their own: after 1, 2, 3, and 4 or more events.
pub(super) const CONTEXTS: usize = 4;

/// The weights of a pool.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pool {
    /// `CONTEXTS` × features, two for each member.
    pub(super) weights: Vec<f32>,
}

impl Pool {
    /// The context after `events` events of a session, at least one.
    pub(super) fn context(events: usize) -> usize {
        events.clamp(1, CONTEXTS) - 1
    }

    /// The score of an item with these features.
    pub(super) fn score(&self, context: usize, features: &[f32]) -> f32 {
        let weights = &self.weights[context * features.len()..][..features.len()];
        weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum()
    }
}

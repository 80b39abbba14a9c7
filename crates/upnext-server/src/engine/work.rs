//! The limit on the cost of `why`, which compares every entry of a list with every item of the session.

use super::{Engine, Question};
use crate::problem::Problem;
use axum::http::StatusCode;

impl Engine {
    /// Checks that questions together cost at most `limit` multiplications. Each question comes with the number of its
    /// session's events. The problem has no field yet.
    ///
    /// If the model is replaced by a wider one before the questions are answered, the request's deadline limits the
    /// cost.
    pub(crate) fn check_work<'q>(
        &self,
        questions: impl Iterator<Item = (&'q Question, usize)>,
        limit: u64,
    ) -> Result<(), Problem> {
        let served = self.served();
        check(questions, served.loaded.items().len(), served.width(), limit)
    }
}

/// [`Engine::check_work`] for a model of `items` items with vectors of `width` floats.
fn check<'q>(
    questions: impl Iterator<Item = (&'q Question, usize)>,
    items: usize,
    width: usize,
    limit: u64,
) -> Result<(), Problem> {
    let (mut lists, mut pairs) = (0_u64, 0_u64);
    for (question, events) in questions.filter(|(question, _)| question.why) {
        lists += 1;
        pairs = pairs.saturating_add((question.k.min(items) as u64).saturating_mul(events as u64));
    }
    let work = pairs.saturating_mul(width as u64);
    if work <= limit {
        return Ok(());
    }
    let detail = format!(
        "`why` compares every entry with every item of the session: {pairs} pairs (`k` × items, {lists} {}) × {width} floats of a vector are {work} multiplications, and a request may cost {limit} (`max_request_work`): ask for shorter lists, or for fewer at a time",
        if lists == 1 { "list" } else { "lists together" }
    );
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(k: usize, why: bool) -> Question {
        Question { k, why, ..Question::default() }
    }

    #[test]
    fn the_product_of_lists_history_and_width_is_what_is_bounded() {
        let refused = |questions: &[(usize, bool, usize)], width, limit| {
            let questions: Vec<_> =
                questions.iter().map(|&(k, why, events)| (question(k, why), events)).collect();
            let pairs = questions.iter().map(|(question, events)| (question, *events));
            check(pairs, 1_000, width, limit).is_err()
        };
        let long = (1_000, true, 200);
        assert!(!refused(&[long], 1_000, 200_000_000));
        assert!(refused(&[long], 1_001, 200_000_000));
        assert!(refused(&[long, (1, true, 1)], 1_000, 200_000_000));
        assert!(!refused(&[long, (1_000, false, 200), (1_000, true, 0)], 1_000, 200_000_000));
        // No list is longer than there are items.
        assert!(!refused(&[(5_000, true, 200)], 1_000, 200_000_000));
        // Kinds without vectors compare nothing.
        assert!(!refused(&[long; 256], 0, 1));
        assert!(refused(&[(usize::MAX, true, usize::MAX); 2], usize::MAX, u64::MAX - 1));
    }
}

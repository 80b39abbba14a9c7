//! Lists that nobody sees: another model computes them for a question that has been answered.

use super::trial::Trial;
use crate::engine::{Answer, Class, Engine, Question};
use crate::metrics::Metrics;
use crate::requests::{RequestId, rounded_ms};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Computes another model's list for a question that a model has answered. No client waits for it.
#[derive(Debug)]
pub(super) struct Shadow {
    pub(super) engine: Arc<Engine>,
    pub(super) timeout: Duration,
    pub(super) metrics: Arc<Metrics>,
    pub(super) verdict: Verdict,
}

/// What a shadow list is for.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Differences are logged and counted.
    Logged,
    /// The trial of a model.
    Of(Arc<Trial>),
}

impl Shadow {
    /// Computes the list in the background and compares it. If the other model's queue is full, as under heavy load, the
    /// question is dropped and counted.
    pub(super) fn ask(self, question: Question, first: &Answer, request: RequestId) {
        let Ok(reservation) = self.engine.reserve(1, Class::Visitor, None) else {
            // A trial waits for another question.
            if matches!(self.verdict, Verdict::Logged) {
                self.metrics.shadow_dropped();
            }
            return;
        };
        let first = Summary::of(first);
        tokio::spawn(async move {
            let (k, began) = (question.k, Instant::now());
            match self.engine.answer(reservation, vec![question], began + self.timeout).await {
                Ok(second) => {
                    let ms = rounded_ms(began.elapsed());
                    self.compare(k, &first, &Summary::of(&second), ms, &request);
                }
                Err(refusal) => match &self.verdict {
                    Verdict::Logged => self.metrics.shadow_dropped(),
                    Verdict::Of(trial) => trial.failed(refusal),
                },
            }
        });
    }

    fn compare(&self, k: usize, first: &Summary, second: &Summary, ms: f64, request: &RequestId) {
        let difference = Difference::between(&first.items, &second.items);
        if let Verdict::Of(trial) = &self.verdict {
            return trial.compared(difference.overlap());
        }
        self.metrics.shadow(difference.overlap());
        if !difference.same {
            tracing::info!(
                request_id = &*request.0,
                first = first.name,
                first_version = first.version,
                second = second.name,
                second_version = second.version,
                k,
                common = difference.common,
                longer = difference.longer,
                same_top = difference.same_top,
                first_fell_back = first.fell_back,
                second_fell_back = second.fell_back,
                ms,
                "shadow differs"
            );
        }
    }
}

/// The parts of an answer that are compared.
#[derive(Debug)]
struct Summary {
    name: String,
    version: String,
    fell_back: bool,
    /// Item ids, best first, since each model has its own item indices.
    items: Vec<String>,
}

impl Summary {
    /// The summary of an answer to one question.
    fn of(answer: &Answer) -> Self {
        let Answer { served, lists, .. } = answer;
        let entries = lists.iter().flat_map(|listed| &listed.list.entries);
        Self {
            name: served.name.clone(),
            version: served.version().to_owned(),
            fell_back: lists.iter().any(|listed| listed.list.fell_back),
            items: entries.map(|entry| served.loaded.items().id(entry.item).to_owned()).collect(),
        }
    }
}

/// The difference of two lists.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    /// Number of items in both lists.
    common: usize,
    /// Length of the longer list.
    longer: usize,
    /// Whether the best items are the same.
    same_top: bool,
    /// Whether the lists are equal, order included.
    same: bool,
}

impl Difference {
    fn between(first: &[String], second: &[String]) -> Self {
        let own: std::collections::HashSet<&String> = first.iter().collect();
        Self {
            common: second.iter().filter(|item| own.contains(item)).count(),
            longer: first.len().max(second.len()),
            same_top: first.first() == second.first(),
            same: first == second,
        }
    }

    /// The fraction of common items, from 0 to 1; 1 for two empty lists.
    fn overlap(&self) -> f64 {
        if self.longer == 0 { 1.0 } else { self.common as f64 / self.longer as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_differ_by_what_stands_in_them_and_by_order() {
        let list = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let between = |first: &str, second: &str| Difference::between(&list(first), &list(second));
        let same = between("abc", "abc");
        assert_eq!(same, Difference { common: 3, longer: 3, same_top: true, same: true });
        let swapped = between("abc", "acb");
        assert_eq!(swapped, Difference { common: 3, longer: 3, same_top: true, same: false });
        let shorter = between("abcd", "xa");
        assert_eq!(shorter, Difference { common: 1, longer: 4, same_top: false, same: false });
        assert_eq!((same.overlap(), shorter.overlap(), between("", "").overlap()), (1.0, 0.25, 1.0));
    }
}

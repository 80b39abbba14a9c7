//! Metrics that follow from the ranks and the place of each case in its session: repeats among the hits, and hits of last
//! events.

use super::outcome::{MetricsAt, RankedCase};
use crate::data::Sessions;
use crate::ranking::TieRule;

/// Counts of hits at each cut-off.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HitCounts {
    /// Number of hits.
    hits: Vec<u64>,
    /// Number of hits whose target occurred earlier in the session.
    repeats: Vec<u64>,
    /// Number of hits of the last events of their sessions.
    last_hits: Vec<u64>,
    /// Number of cases of last events.
    lasts: u64,
}

impl HitCounts {
    /// Counts the hits of all cases of these sessions, which are ordered by session and position, on `items` items. The time is
    /// linear in the number of events.
    pub(super) fn of(
        ranked: &[RankedCase],
        sessions: &Sessions,
        items: usize,
        (ties, cutoffs): (TieRule, &[usize]),
    ) -> Self {
        let none = || vec![0; cutoffs.len()];
        let mut counts = Self { hits: none(), repeats: none(), last_hits: none(), lasts: 0 };
        // The number of the last session that has shown each item, from 1.
        let mut shown = vec![0_u32; items];
        let mut number = 0;
        for of_session in ranked.chunk_by(|a, b| a.session == b.session) {
            number += 1;
            let session = sessions.session(of_session[0].session as usize);
            let mut events = session.iter().enumerate();
            for case in of_session {
                let position = case.position as usize;
                for (at, &item) in events.by_ref() {
                    shown[item as usize] = number;
                    if at == position {
                        break;
                    }
                }
                let target = session[position + 1];
                let (is_repeat, is_last) = (shown[target as usize] == number, position + 2 == session.len());
                counts.lasts += u64::from(is_last);
                let rank = case.rank(ties);
                for (c, &k) in cutoffs.iter().enumerate() {
                    if rank <= k as f64 {
                        counts.hits[c] += 1;
                        counts.repeats[c] += u64::from(is_repeat);
                        counts.last_hits[c] += u64::from(is_last);
                    }
                }
            }
        }
        counts
    }

    /// Sets the metrics at a cut-off, by its index.
    pub(super) fn set(&self, cutoff: usize, at: &mut MetricsAt) {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        at.repeats = share(self.repeats[cutoff], self.hits[cutoff]);
        at.last_hit = share(self.last_hits[cutoff], self.lasts);
    }
}

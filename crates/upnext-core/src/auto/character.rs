//! What a log looks like, as far as it decides which models are tried.

use crate::comparison::Window;
use crate::data::Dataset;
use serde::Serialize;

/// The character of a log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Character {
    /// Number of sessions of two or more events.
    pub sessions: usize,
    /// Number of their events.
    pub events: usize,
    /// Number of their items.
    pub items: usize,
    /// Events of the session in the middle, of all in the order of their lengths.
    pub median_length: usize,
    /// Share of the events but the first of each session whose item has occurred in the session before.
    pub repeats: f64,
    /// Share of the events of the last window on items that did not occur before it.
    pub new_items: f64,
    /// Days from the first session to the last; `None` if the times are only an order.
    pub days: Option<f64>,
}

impl Character {
    /// The character of data with the last of its windows.
    pub(super) fn of(data: &Dataset, last: &Window) -> Self {
        let sessions = &data.sessions;
        let mut lengths: Vec<usize> = sessions.iter().map(<[u32]>::len).collect();
        lengths.sort_unstable();
        let (mut repeats, mut nexts) = (0_u64, 0_u64);
        let mut seen_in = vec![usize::MAX; data.items.len()];
        for (s, session) in sessions.iter().enumerate() {
            for (place, &item) in session.iter().enumerate() {
                let is_repeat = std::mem::replace(&mut seen_in[item as usize], s) == s;
                repeats += u64::from(is_repeat);
                nexts += u64::from(place > 0);
            }
        }
        let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
        let days = (!sessions.times_are_counter()).then(|| {
            let (first, last) =
                sessions.starts().fold((i64::MAX, i64::MIN), |(a, b), t| (a.min(t), b.max(t)));
            last.saturating_sub(first) as f64 / 86_400e6
        });
        Self {
            sessions: sessions.len(),
            events: sessions.num_events(),
            items: data.items.len(),
            median_length: lengths.get(lengths.len() / 2).copied().unwrap_or(0),
            repeats: share(repeats, nexts),
            new_items: share(last.dropped.unknown_events, last.events as u64),
            days,
        }
    }
}

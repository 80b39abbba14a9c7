//! Replay: some sessions of an older log are learnt again together with a new log.
//!
//! A network that learns only new sessions forgets older ones (Robins, *Catastrophic forgetting, rehearsal and
//! pseudorehearsal*, Connection Science 1995); a random part of the old ones keeps them in memory.

use super::events::{Event, EventLog};
use crate::error::{Error, Result};
use std::path::Path;
use upnext_kernels::CounterRng;

/// The stream of random numbers of the draw.
const STREAM: u64 = 0x7265_706c_6179;

impl EventLog {
    /// The log with sessions of an `older` one before its own, and their number: a random `share` of those with two or more
    /// events, at least one. The same logs, share and seed give the same sessions.
    ///
    /// The sessions of the older log get ids of their own, `older/ID`: a session that goes on in this log is another one
    /// here. The report is that of this log.
    ///
    /// # Errors
    /// [`Error::Config`] if `share` is not above 0 and at most 1; [`Error::TooManyEvents`].
    pub fn replaying(mut self, mut older: EventLog, share: f64, seed: u64) -> Result<(Self, u64)> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::config("replay", format!("must be above 0 and at most 1, not {share}")));
        }
        older.group();
        self.group();
        let sessions: Vec<&[Event]> = older
            .events()
            .chunk_by(|a, b| a.session == b.session)
            .filter(|session| session.len() > 1)
            .collect();
        let drawn = drawn(sessions.len(), share, seed);
        let replayed: usize = drawn.iter().map(|&at| sessions[at].len()).sum();
        if replayed + self.len() >= u32::MAX as usize {
            return Err(Error::TooManyEvents {
                path: Path::new("the log with its replayed sessions").to_owned(),
            });
        }
        let mut log = Self::new();
        (log.report, log.is_cut) = (std::mem::take(&mut self.report), self.is_cut);
        for &at in &drawn {
            let Some(first) = sessions[at].first() else { continue };
            let mut id = format!("older/{}", older.session_ids().get(first.session));
            while self.session_ids.find(&id).is_some() {
                id.insert_str(0, "older/");
            }
            for event in sessions[at] {
                log.push(&id, older.item_ids().get(event.item), event.time);
            }
        }
        // Both logs are grouped, so that events with equal times keep their order.
        for event in self.events() {
            log.push(self.session_ids().get(event.session), self.item_ids().get(event.item), event.time);
        }
        Ok((log, drawn.len() as u64))
    }
}

/// Draws a share of `0..count`, at least one of them, in ascending order.
fn drawn(count: usize, share: f64, seed: u64) -> Vec<usize> {
    let random = CounterRng::new(seed, STREAM);
    let wanted = ((count as f64 * share).round() as usize).max(1).min(count);
    let mut keyed: Vec<(u64, usize)> = (0..count).map(|at| (random.bits(at as u64), at)).collect();
    if wanted < count {
        keyed.select_nth_unstable(wanted);
        keyed.truncate(wanted);
    }
    let mut drawn: Vec<usize> = keyed.into_iter().map(|(_, at)| at).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;

    /// A log of `sessions` sessions of three events, the first of them at `start`.
    fn log(sessions: i64, start: i64, item: &str) -> EventLog {
        let events = (0..sessions).flat_map(|s| (0..3).map(move |t| (s, t)));
        EventLog::from_events(
            events.map(|(s, t)| (format!("s{s}"), format!("{item}{}", (s + t) % 5), start + s * 100 + t)),
        )
        .unwrap()
    }

    const DAY: i64 = 1_700_000_000_000_000;

    #[test]
    fn a_share_of_the_older_sessions_comes_before_the_new_ones_as_sessions_of_their_own() {
        let mut older = log(40, DAY, "old");
        older.push("single", "old0", DAY);
        let (mut both, drawn) = log(10, DAY + 1_000_000_000, "new").replaying(older, 0.25, 3).unwrap();
        assert_eq!(drawn, 10);
        let part = both.grouped();
        let sessions: Vec<_> = part.sessions().collect();
        assert_eq!((sessions.len(), part.counts().events), (20, 60));
        let ids: Vec<&str> = sessions.iter().map(|session| part.session_id(&session[0])).collect();
        assert!(ids[..10].iter().all(|id| id.starts_with("older/s")), "{ids:?}");
        assert!(ids[10..].iter().all(|id| id.starts_with('s')), "{ids:?}");
        assert!(sessions.iter().all(|session| session.is_sorted_by_key(|event| event.time)));
        assert!(Dataset::from_log(both).unwrap().0.items.len() == 10);
    }

    #[test]
    fn the_draw_depends_on_the_seed_and_on_nothing_else() {
        assert_eq!(drawn(100, 0.3, 1), drawn(100, 0.3, 1));
        assert_ne!(drawn(100, 0.3, 1), drawn(100, 0.3, 2));
        assert_eq!(drawn(7, 1.0, 1), (0..7).collect::<Vec<_>>());
        assert_eq!(drawn(7, 0.001, 1).len(), 1);
        assert!(drawn(0, 0.5, 1).is_empty());
        // Each of 100 sessions is drawn about as often as another.
        let mut counts = [0; 100];
        (0..1000).for_each(|seed| drawn(100, 0.5, seed).into_iter().for_each(|at| counts[at] += 1));
        assert!(counts.iter().all(|&count| (400..600).contains(&count)), "{counts:?}");
    }

    #[test]
    fn events_with_equal_times_keep_their_order_and_taken_ids_are_avoided() {
        fn events(ids: [&str; 2]) -> [(&str, &str, i64); 2] {
            ids.map(|item| ("s", item, DAY))
        }
        let older = EventLog::from_events(events(["b", "a"])).unwrap();
        let new =
            EventLog::from_events(events(["d", "c"]).into_iter().chain([("older/s", "x", DAY)])).unwrap();
        let (mut both, _) = new.replaying(older, 1.0, 1).unwrap();
        let part = both.grouped();
        let read: Vec<(&str, Vec<&str>)> = part
            .sessions()
            .map(|s| (part.session_id(&s[0]), s.iter().map(|event| part.item_id(event)).collect()))
            .collect();
        assert_eq!(read, [("older/older/s", vec!["b", "a"]), ("s", vec!["d", "c"]), ("older/s", vec!["x"])]);
    }

    #[test]
    fn shares_outside_0_to_1_are_refused() {
        for share in [0.0, -1.0, 1.5, f64::NAN] {
            let error = log(2, DAY, "a").replaying(log(2, DAY, "b"), share, 1).unwrap_err();
            assert!(error.to_string().contains("replay: must be above 0"), "{error}");
        }
    }
}

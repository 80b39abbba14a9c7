//! Keeps the last 1/N of the training pairs, as used for smaller experiments.

use super::super::events::Event;
use super::super::ids::IdTable;
use super::filter::retain_sessions;

/// Number of training pairs: each event but the first of its session is the target of one.
pub(super) fn pairs(events: &[Event]) -> u64 {
    (events.len() - events.chunk_by(|a, b| a.session == b.session).count()) as u64
}

/// Keeps the last `wanted` ≥ 1 pairs of grouped events, with sessions in the order of training: by start time, then by
/// id. The session at the cut keeps its latest events. Returns the numbers of events dropped, and of sessions without
/// any event left.
pub(super) fn keep_last_pairs(events: &mut Vec<Event>, session_ids: &IdTable, wanted: u64) -> (u64, u64) {
    let key = |session: &[Event]| (session[0].time, session_ids.get(session[0].session));
    let mut sessions: Vec<&[Event]> = events.chunk_by(|a, b| a.session == b.session).collect();
    sessions.sort_unstable_by(|a, b| key(b).cmp(&key(a)));
    let mut missing = wanted;
    let first_kept = sessions.into_iter().find_map(|session| {
        let pairs = session.len() as u64 - 1;
        if pairs >= missing {
            return Some((key(session), session[0].session, (pairs - missing) as usize));
        }
        missing -= pairs;
        None
    });
    // There are fewer pairs than wanted: all are kept.
    let Some((first, cut_session, mut surplus)) = first_kept else { return (0, 0) };
    let is_later = |session: &[Event]| key(session) > first;
    let before = events.len();
    let (_, sessions) = retain_sessions(events, |s| s[0].session == cut_session || is_later(s));
    events.retain(|event| {
        let is_surplus = event.session == cut_session && surplus > 0;
        surplus -= usize::from(is_surplus);
        !is_surplus
    });
    ((before - events.len()) as u64, sessions)
}

#[cfg(test)]
mod tests {
    use super::super::super::EventLog;
    use super::*;

    /// Sessions as id and times.
    type Left = Vec<(String, Vec<i64>)>;

    /// The sessions that are left, and what was dropped.
    fn cut(sessions: &[(&str, &[i64])], wanted: u64) -> (Left, (u64, u64)) {
        let mut log = EventLog::new();
        for (id, times) in sessions {
            times.iter().for_each(|&time| log.push(id, "x", time));
        }
        log.group();
        let dropped = keep_last_pairs(&mut log.events, &log.session_ids, wanted);
        let left = log.events.chunk_by(|a, b| a.session == b.session);
        let left = left.map(|s| {
            (log.session_ids.get(s[0].session).to_owned(), s.iter().map(|e| e.time).collect::<Vec<_>>())
        });
        (left.collect(), dropped)
    }

    const LOG: [(&str, &[i64]); 4] =
        [("d", &[3, 4, 9]), ("a", &[0, 8]), ("c", &[3, 5, 6, 7]), ("b", &[1, 2])];

    fn named(left: &[(&str, &[i64])]) -> Left {
        left.iter().map(|(id, times)| ((*id).to_owned(), times.to_vec())).collect()
    }

    #[test]
    fn sessions_that_start_last_are_kept_in_the_order_of_the_log() {
        // `a` ends late, but starts first; `c` and `d` start together, and `d` comes later by its id.
        assert_eq!(cut(&LOG, 5), (named(&[("d", &[3, 4, 9]), ("c", &[3, 5, 6, 7])]), (4, 2)));
        assert_eq!(cut(&LOG, 2), (named(&[("d", &[3, 4, 9])]), (8, 3)));
    }

    #[test]
    fn the_session_at_the_cut_keeps_its_latest_events() {
        assert_eq!(cut(&LOG, 3), (named(&[("d", &[3, 4, 9]), ("c", &[6, 7])]), (6, 2)));
        assert_eq!(cut(&LOG, 1), (named(&[("d", &[4, 9])]), (9, 3)));
    }

    #[test]
    fn as_many_pairs_as_there_are_or_more_change_nothing() {
        for wanted in [7, 8, 1000] {
            assert_eq!(cut(&LOG, wanted), (named(&LOG), (0, 0)));
        }
    }
}

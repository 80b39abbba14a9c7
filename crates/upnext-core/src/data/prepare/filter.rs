//! The rules that drop events, sessions and items.

use super::PrepareOptions;
use crate::data::events::Event;
use crate::data::statistics::{DropRule, Dropped};

/// Applies the rules that do not depend on the split.
pub(super) fn filter(
    events: &mut Vec<Event>,
    options: &PrepareOptions,
    num_items: usize,
    dropped: &mut Vec<Dropped>,
) {
    let mut note = |rule, (events, sessions)| {
        if events > 0 {
            dropped.push(Dropped { rule, events, sessions });
        }
        events > 0
    };
    if let Some(since) = options.since {
        note(DropRule::Since, retain_sessions(events, |s| s[0].time >= since));
    }
    if let Some(until) = options.until {
        note(DropRule::Until, retain_sessions(events, |s| s[s.len() - 1].time < until));
    }
    if let Some(max) = options.max_session_length {
        note(DropRule::LongSession, retain_sessions(events, |s| s.len() <= max));
    }
    if options.drop_repeats {
        let before = events.len();
        events.dedup_by(|b, a| a.session == b.session && a.item == b.item);
        note(DropRule::Repeat, ((before - events.len()) as u64, 0));
    }
    let long_enough = |s: &[Event]| s.len() >= options.min_session_length;
    note(DropRule::ShortSession, retain_sessions(events, long_enough));
    loop {
        let mut support = vec![0_u64; num_items];
        events.iter().for_each(|e| support[e.item as usize] += 1);
        let rare = retain_items(events, |item| support[item as usize] >= options.min_item_support);
        let any_rare = note(DropRule::RareItem, rare);
        let any_short = note(DropRule::ShortSessionAfterItems, retain_sessions(events, long_enough));
        if !options.iterate_filters || !(any_rare || any_short) {
            break;
        }
    }
}

/// Keeps the sessions for which `keep` is true; returns the numbers of events and sessions dropped.
pub(super) fn retain_sessions(events: &mut Vec<Event>, mut keep: impl FnMut(&[Event]) -> bool) -> (u64, u64) {
    let (mut read, mut write, mut sessions) = (0, 0, 0);
    while read < events.len() {
        let session = events[read].session;
        let length = events[read..].iter().take_while(|e| e.session == session).count();
        if keep(&events[read..read + length]) {
            events.copy_within(read..read + length, write);
            write += length;
        } else {
            sessions += 1;
        }
        read += length;
    }
    events.truncate(write);
    ((read - write) as u64, sessions)
}

/// Keeps the events on items for which `keep` is true; returns the numbers of events dropped, and of sessions without
/// any event left.
pub(super) fn retain_items(events: &mut Vec<Event>, keep: impl Fn(u32) -> bool) -> (u64, u64) {
    let count = |events: &[Event]| events.chunk_by(|a, b| a.session == b.session).count() as u64;
    let (events_before, sessions_before) = (events.len(), count(events));
    events.retain(|e| keep(e.item));
    ((events_before - events.len()) as u64, sessions_before - count(events))
}

pub(super) fn known_items<'a>(events: impl Iterator<Item = &'a Event>, num_items: usize) -> Vec<bool> {
    let mut known = vec![false; num_items];
    events.for_each(|e| known[e.item as usize] = true);
    known
}

/// Drops events on unknown items from a test or validation part, then short sessions.
pub(super) fn drop_unknown(
    events: &mut Vec<Event>,
    known: &[bool],
    options: &PrepareOptions,
    dropped: &mut Vec<Dropped>,
) {
    let unknown = retain_items(events, |item| known[item as usize]);
    let short = retain_sessions(events, |s| s.len() >= options.min_session_length);
    for (rule, (events, sessions)) in [(DropRule::UnknownItem, unknown), (DropRule::ShortTestSession, short)]
    {
        if events > 0 {
            dropped.push(Dropped { rule, events, sessions });
        }
    }
}

//! Warnings about logs that can be read but look wrong: wrong clocks, counters for times, a tail of stray sessions,
//! bots.

use super::events::Event;
use super::sessions::TimeMicros;
use super::time::{MICROS_PER_DAY, MICROS_PER_HOUR, TimeSpan, YEAR_1990, format_time};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// A session with more events than this is not a person's.
const BOT_EVENTS: usize = 10_000;
/// The minimum number of sessions of a log for a warning about its tail: in smaller logs a quiet day is normal.
const TAIL_MIN_SESSIONS: u64 = 100;

/// Whether the times are a counter of events or steps: all of them lie between 1970 and 1990.
pub(super) fn is_counter(events: &[Event]) -> bool {
    !events.is_empty() && events.iter().all(|e| (0..YEAR_1990).contains(&e.time))
}

/// Warnings about implausible times.
pub(super) fn about_times(events: &[Event]) -> Vec<String> {
    if is_counter(events) {
        return vec![
            "the times look like a counter, not like real times: the order of events is used, but a split by time needs real times"
                .to_owned(),
        ];
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros());
    let tomorrow = i64::try_from(now).unwrap_or(i64::MAX).saturating_add(MICROS_PER_DAY);
    let (mut negative, mut old, mut future) = (0_u64, 0_u64, 0_u64);
    for event in events {
        negative += u64::from(event.time < 0);
        old += u64::from((0..YEAR_1990).contains(&event.time));
        future += u64::from(event.time > tomorrow);
    }
    let mut warnings = Vec::new();
    for (count, what, advice) in [
        (negative, "lie before 1970 (negative times)", ""),
        (old, "lie between 1970 and 1990", ""),
        (future, "lie in the future", ", or set `until` to leave such sessions out"),
    ] {
        if count > 0 {
            warnings.push(format!(
                "{count} of {} events {what}: a wrong clock or a wrong time unit? Set `time_unit`{advice}",
                events.len()
            ));
        }
    }
    warnings
}

/// A warning about sessions that only a program can have made.
pub(super) fn about_long_sessions<'a>(sessions: impl Iterator<Item = &'a [Event]>) -> Option<String> {
    let (mut count, mut events, mut longest) = (0_u64, 0_u64, 0);
    for session in sessions.filter(|s| s.len() > BOT_EVENTS) {
        count += 1;
        events += session.len() as u64;
        longest = longest.max(session.len());
    }
    (count > 0).then(|| {
        format!(
            "sessions with more than {BOT_EVENTS} events: {count} (together {events} events, the longest {longest}): bots? `max_session_length` drops them"
        )
    })
}

/// A warning if the last `window` of the log has less than a tenth of the usual number of sessions: a few wrong clocks
/// would become the test part. `ends` are the times of the sessions' last events.
pub(super) fn about_tail(ends: impl Iterator<Item = TimeMicros> + Clone, window: TimeSpan) -> Option<String> {
    let last = ends.clone().max()?;
    let back = |end: TimeMicros| last.saturating_sub(end) / window.micros();
    let windows = counted(ends.clone().map(back));
    let total: u64 = windows.values().sum();
    let in_last = windows.get(&0).copied().unwrap_or(0);
    let usual = usual_count(&windows);
    if total < TAIL_MIN_SESSIONS || in_last * 10 >= usual {
        return None;
    }
    let hours = counted(ends.map(|end| end.div_euclid(MICROS_PER_HOUR)));
    let usual_hour = usual_count(&hours);
    let busy_hour = hours.iter().rev().find(|&(_, &count)| count * 10 > usual_hour).map_or(0, |(&h, _)| h);
    let until = (busy_hour + 1).saturating_mul(MICROS_PER_HOUR);
    let after: u64 = hours.range(busy_hour + 1..).map(|(_, count)| count).sum();
    Some(format!(
        "sessions that end within the last {window}: {in_last}, where {usual} are usual: a tail of wrong clocks? {after} end after {until}; leave them out with `until` = {until}",
        until = format_time(until)
    ))
}

fn counted(keys: impl Iterator<Item = i64>) -> BTreeMap<i64, u64> {
    let mut counts = BTreeMap::new();
    // Sessions are nearly in the order of time: most have the same key as the one before.
    let mut run = (0, 0_u64);
    for key in keys {
        if run.0 != key {
            *counts.entry(run.0).or_default() += run.1;
            run = (key, 0);
        }
        run.1 += 1;
    }
    *counts.entry(run.0).or_default() += run.1;
    counts.retain(|_, count| *count > 0);
    counts
}

/// The count of the interval in which the median session lies; unlike a mean, it does not depend on a few stray
/// intervals.
fn usual_count(counts: &BTreeMap<i64, u64>) -> u64 {
    let mut sorted: Vec<u64> = counts.values().copied().collect();
    sorted.sort_unstable();
    let half = sorted.iter().sum::<u64>() / 2;
    let mut sum = 0;
    for count in sorted {
        sum += count;
        if sum > half {
            return count;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: TimeMicros = 1_506_816_000 * 1_000_000;

    fn event(time: TimeMicros) -> Event {
        Event { session: 0, item: 0, time }
    }

    #[test]
    fn a_tail_of_wrong_clocks_is_noticed_and_the_time_before_it_suggested() {
        let day = |d: i64| START + d * MICROS_PER_DAY;
        let busy = (0..14).flat_map(|d| (0..24).flat_map(move |h| vec![day(d) + h * MICROS_PER_HOUR; 10]));
        let ends: Vec<TimeMicros> = busy.chain([day(20), day(30) - 1, day(30)]).collect();
        let warning = about_tail(ends.iter().copied(), TimeSpan::DAY).unwrap();
        assert!(warning.contains("within the last 1d: 2, where 240 are usual"), "{warning}");
        assert!(
            warning.contains("3 end after") && warning.contains("`until` = 2017-10-15T00:00:00Z"),
            "{warning}"
        );
        assert_eq!(about_tail(ends[..ends.len() - 3].iter().copied(), TimeSpan::DAY), None);
    }

    #[test]
    fn a_counter_is_named_once_and_wrong_clocks_are_counted() {
        let counter: Vec<Event> = (0..5).map(|i| event(i * 1_000_000)).collect();
        assert_eq!(about_times(&counter).len(), 1);
        let mixed = [event(START), event(-5), event(7), event(i64::MAX), event(START)];
        let warnings = about_times(&mixed);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings.iter().all(|w| w.starts_with("1 of 5 events")), "{warnings:?}");
        assert_eq!(about_times(&[event(START)]), Vec::<String>::new());
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let ends = [i64::MIN, i64::MAX, 0].into_iter().chain(vec![START; 500]);
        assert!(about_tail(ends, TimeSpan::DAY).is_some());
    }
}

//! Warnings about logs that can be read but look wrong: wrong clocks, counters for times, a tail of stray sessions,
//! bots.

use super::events::{Event, EventLog};
use super::ids::IdTable;
use super::prepare::PrepareOptions;
#[cfg(feature = "logs")]
use super::report::FileReport;
use super::sessions::TimeMicros;
use super::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND, TimeSpan, YEAR_1995, format_time};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// A session with more events than this is not a person's.
const BOT_EVENTS: usize = 10_000;
/// A session of at least this many events may be no person's, either: if it has more than [`FAST_EVENTS_A_MINUTE`] on
/// average, or one in a hundred events of the log.
const MANY_EVENTS: usize = 200;

/// Events a minute, over a whole session, that no person makes.
const FAST_EVENTS_A_MINUTE: usize = 60;

/// A pause in which a visitor has left: no usual gap between sessions is longer.
const LONG_PAUSE: TimeMicros = 3 * MICROS_PER_HOUR;

/// The minimum number of sessions of a log for a warning about its tail: in smaller logs a quiet day is normal.
const TAIL_MIN_SESSIONS: u64 = 100;

/// Whether the times are a counter of events or steps: all of them lie between 1970 and 1995.
pub(super) fn is_counter(events: &[Event]) -> bool {
    !events.is_empty() && events.iter().all(|e| (0..YEAR_1995).contains(&e.time))
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
        old += u64::from((0..YEAR_1995).contains(&event.time));
        future += u64::from(event.time > tomorrow);
    }
    let mut warnings = Vec::new();
    for (count, what, advice) in [
        (negative, "lie before 1970 (negative times)", ""),
        (old, "lie between 1970 and 1995", ""),
        (future, "lie in the future", ", or leave such sessions out by `until`"),
    ] {
        if count > 0 {
            warnings.push(format!(
                "{count} of {} events {what}: a wrong clock or a wrong time unit? Set `time_unit`{advice}",
                events.len()
            ));
        }
    }
    warnings.extend(about_clock(events));
    warnings
}

/// A warning if no event is after one o'clock in the afternoon or in the hour after midnight: a clock of twelve hours whose
/// half of the day was lost.
fn about_clock(events: &[Event]) -> Option<String> {
    const DAYS: i64 = 3;
    const HOURS: u32 = 9;
    let first = events.iter().map(|event| event.time).min()?;
    let last = events.iter().map(|event| event.time).max()?;
    let hours = events
        .iter()
        .fold(0_u32, |hours, event| hours | 1 << event.time.div_euclid(MICROS_PER_HOUR).rem_euclid(24));
    let is_half = hours & !0x1ffe == 0 && hours.count_ones() >= HOURS;
    (is_half && last.saturating_sub(first) > DAYS * MICROS_PER_DAY).then(|| {
        "all times lie between 01:00 and 12:59: a clock of twelve hours without AM and PM? The order of the events is wrong then"
            .to_owned()
    })
}

/// Texts that stand for no session and no item in exports, in lower case.
const PLACEHOLDERS: [&str; 14] = [
    "0",
    "-",
    "--",
    "?",
    "unknown",
    "anonymous",
    "none",
    "(none)",
    "nil",
    "na",
    "missing",
    "guest",
    "(other)",
    "00000000-0000-0000-0000-000000000000",
];

/// Warnings about ids that look like placeholders and have far more events than others.
pub(super) fn about_placeholders(events: &[Event], sessions: &IdTable, items: &IdTable) -> Vec<String> {
    // An item 0 may be the most popular of many.
    let of = |ids: &IdTable, what: &str, known: &[&str], id_of: fn(&Event) -> u32| -> Vec<String> {
        let mean = events.len() / ids.len().max(1);
        let least = (10 * mean).max(20);
        let is_placeholder = |id: &str| {
            // Most ids are longer numbers, which need no comparison.
            if id.len() > 1 && id.bytes().all(|byte| byte.is_ascii_digit()) {
                return false;
            }
            let id = id.split('/').next().unwrap_or_default().trim();
            known.iter().any(|known| known.eq_ignore_ascii_case(id))
        };
        (0..ids.len() as u32)
            .filter(|&id| is_placeholder(ids.get(id)))
            .filter_map(|id| {
                let count = events.iter().filter(|event| id_of(event) == id).count();
                (count >= least).then(|| {
                    format!(
                        "the {what} \"{}\" has {count} of {} events: if it stands for a missing value, set `null` to {}",
                        ids.get(id),
                        events.len(),
                        ids.get(id)
                    )
                })
            })
            .collect()
    };
    let mut warnings = of(sessions, "session", &PLACEHOLDERS, |event| event.session);
    warnings.extend(of(items, "item", &PLACEHOLDERS[1..], |event| event.item));
    warnings
}

/// The warnings of files, which each are named where there are several; one that other files have as well is given once.
#[cfg(feature = "logs")]
pub(super) fn of_files(files: &[FileReport]) -> Vec<String> {
    let mut shown: Vec<(String, String, u64)> = Vec::new();
    for file in files {
        for warning in &file.warnings {
            let kind: String = warning.chars().filter(|c| !c.is_ascii_digit()).collect();
            match shown.iter_mut().find(|(known, ..)| *known == kind) {
                Some((_, _, more)) => *more += 1,
                None if files.len() > 1 => {
                    shown.push((kind, format!("{}: {warning}", file.path.display()), 0));
                }
                None => shown.push((kind, warning.clone(), 0)),
            }
        }
    }
    let text = |(_, warning, more): (String, String, u64)| match more {
        0 => warning,
        more => format!("{warning} (and {more} more files)"),
    };
    shown.into_iter().map(text).collect()
}

/// What the sessions of a grouped log look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SessionStatistics {
    /// Number of events.
    events: u64,
    /// Sessions of one event.
    singles: u64,
    /// Sessions of two or more events.
    sessions: u64,
    /// Those with a pause of more than [`LONG_PAUSE`], and the longest pause.
    with_pause: u64,
    longest_pause: TimeMicros,
    /// Those in which all times are equal, and others in which more than half of the steps take no time.
    all_equal: u64,
    mostly_equal: u64,
    /// Events that repeat another with the same session, item and time.
    copies: u64,
    /// Sessions that only a program can have made, their events, and the longest.
    bots: u64,
    bot_events: u64,
    longest: usize,
    /// The lengths of other sessions of [`MANY_EVENTS`] or more.
    long: Vec<usize>,
}

impl SessionStatistics {
    /// The statistics of sessions with this number of copies among their events.
    pub(super) fn of<'a>(sessions: impl Iterator<Item = &'a [Event]>, copies: u64) -> Self {
        let mut statistics = Self { copies, ..Self::default() };
        for session in sessions {
            statistics.add(session);
        }
        for length in std::mem::take(&mut statistics.long) {
            if length as u64 * 100 >= statistics.events {
                statistics.add_bot(length);
            }
        }
        statistics
    }

    fn add(&mut self, session: &[Event]) {
        self.events += session.len() as u64;
        let (Some(first), Some(last)) = (session.first(), session.last()) else { return };
        if session.len() < 2 {
            self.singles += 1;
            return;
        }
        self.sessions += 1;
        let pauses = session.windows(2).map(|pair| pair[1].time.saturating_sub(pair[0].time));
        let (mut longest, mut equal) = (0, 0);
        for pause in pauses {
            longest = longest.max(pause);
            equal += usize::from(pause == 0);
        }
        self.with_pause += u64::from(longest > LONG_PAUSE);
        self.longest_pause = self.longest_pause.max(longest);
        self.all_equal += u64::from(first.time == last.time);
        self.mostly_equal += u64::from(first.time != last.time && equal * 2 > session.len() - 1);
        let minutes = last.time.saturating_sub(first.time) / (60 * MICROS_PER_SECOND);
        let is_fast = session.len() >= MANY_EVENTS
            && minutes < (session.len() / FAST_EVENTS_A_MINUTE) as i64
            && last.time != first.time;
        if session.len() > BOT_EVENTS || is_fast {
            self.add_bot(session.len());
        } else if session.len() >= MANY_EVENTS {
            self.long.push(session.len());
        }
    }

    fn add_bot(&mut self, length: usize) {
        self.bots += 1;
        self.bot_events += length as u64;
        self.longest = self.longest.max(length);
    }

    /// Warnings about a log whose times are a counter or not. What `rules` drop is not warned of.
    pub(super) fn warnings(&self, is_counter: bool, log: &EventLog, rules: &PrepareOptions) -> Vec<String> {
        let mut warnings = Vec::new();
        let sessions = self.sessions;
        if self.singles >= 20 && self.singles >= 9 * sessions {
            warnings.push(format!(
                "{} of {} sessions have one event: is the session column the right one?",
                self.singles,
                self.singles + sessions
            ));
        }
        if !is_counter && !log.is_cut && self.with_pause >= 5 && self.with_pause * 20 >= sessions {
            warnings.push(format!(
                "{} of {sessions} sessions of two or more events have a pause of more than {} hours, the longest {}: are these sessions or users? `session_gap` (such as 30m) cuts them at pauses",
                self.with_pause,
                LONG_PAUSE / MICROS_PER_HOUR,
                rounded(self.longest_pause),
            ));
        }
        let equal = self.all_equal + self.mostly_equal;
        if !log.has_order() && equal > 0 && equal * 100 >= sessions {
            let order = if log.is_by_ids { "their items' ids" } else { "the rows" };
            warnings.push(format!(
                "in {} of {sessions} sessions of two or more events all times are equal, and in {} more than half: such events are in the order of {order}; a column that orders them can be named by `order_column`",
                self.all_equal, self.mostly_equal
            ));
        }
        if !rules.drop_duplicates && self.copies > 0 && self.copies * 100 >= self.events {
            warnings.push(format!(
                "{} of {} events repeat another with the same session, item and time (a file given twice, an export joined twice?): `drop_duplicates` keeps one of each",
                self.copies, self.events
            ));
        }
        if self.bots > 0 && rules.max_session_length.is_none() {
            warnings.push(format!(
                "sessions of more than {BOT_EVENTS} events, or of {MANY_EVENTS} that are 1% of the log or come more than {FAST_EVENTS_A_MINUTE} a minute: {} (together {} of {} events, the longest {}): bots? `max_session_length` drops long ones",
                self.bots, self.bot_events, self.events, self.longest
            ));
        }
        warnings
    }
}

/// A warning if all times are whole days, so that a span of time holds out more than it says. `ends` are the times of the
/// sessions' last events.
pub(super) fn about_days(
    events: &[Event],
    ends: impl Iterator<Item = TimeMicros>,
    span: TimeSpan,
    limit: TimeMicros,
) -> Option<String> {
    if events.iter().any(|event| event.time % MICROS_PER_DAY != 0) {
        return None;
    }
    let mut days: Vec<TimeMicros> = ends.filter(|end| *end >= limit).collect();
    let sessions = days.len();
    days.sort_unstable();
    days.dedup();
    Some(format!(
        "all times are whole days: a `holdout` of {span} takes the {sessions} sessions that end on the last {} days; a share of the sessions, such as 10%, or a number of them, such as 500 sessions, does not depend on that",
        days.len()
    ))
}

/// A span in its largest unit, rounded down.
fn rounded(micros: i64) -> String {
    for (unit, size) in [("days", MICROS_PER_DAY), ("hours", MICROS_PER_HOUR)] {
        if micros >= 2 * size {
            return format!("{} {unit}", micros / size);
        }
    }
    format!("{} minutes", micros / (60 * MICROS_PER_SECOND))
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
    let first_busy = windows.iter().find(|&(_, &count)| count * 10 >= usual).map_or(0, |(&back, _)| back);
    // In a thin log every hour with a session is a busy one.
    let hours = counted(
        ends.clone().filter(|&end| back(end) >= first_busy).map(|end| end.div_euclid(MICROS_PER_HOUR)),
    );
    let usual_hour = usual_count(&hours);
    let (busy_hour, _) = hours.iter().rev().find(|&(_, &count)| count * 10 > usual_hour)?;
    let until = (busy_hour + 1).saturating_mul(MICROS_PER_HOUR);
    let after = ends.filter(|&end| end >= until).count();
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
    fn bots_are_told_by_their_share_and_their_speed() {
        let session = |number: u32, events: i64, pause: i64| -> Vec<Event> {
            (0..events)
                .map(|i| Event {
                    session: number,
                    item: i as u32,
                    time: START + i * pause * MICROS_PER_SECOND,
                })
                .collect()
        };
        let people: Vec<Vec<Event>> = (0..10_000).map(|number| session(number, 6, 30)).collect();
        let bots = |more: &[Vec<Event>]| {
            let all = people.iter().chain(more).map(Vec::as_slice);
            let statistics = SessionStatistics::of(all, 0);
            (statistics.bots, statistics.bot_events)
        };
        assert_eq!(bots(&[]), (0, 0));
        assert_eq!(bots(&[session(9, 300, 30)]), (0, 0), "a long visit");
        assert_eq!(bots(&[session(9, 300, 0), session(8, 199, 0)]), (0, 0), "without times");
        let fast: Vec<Event> = (0..300)
            .map(|i| Event { session: 9, item: 1, time: START + i * MICROS_PER_SECOND / 4 })
            .collect();
        assert_eq!(bots(&[fast]), (1, 300));
        assert_eq!(bots(&[session(9, 700, 30)]), (1, 700), "more than one in a hundred events");
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let ends = [i64::MIN, i64::MAX, 0].into_iter().chain(vec![START; 500]);
        assert!(about_tail(ends, TimeSpan::DAY).is_some());
    }
}

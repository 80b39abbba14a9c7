//! `prepare` against a naive implementation of its rules, and its invariants on random logs.

use super::*;
use crate::data::time::{MICROS_PER_DAY, MICROS_PER_HOUR};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// 2016-07-18, far from any counter.
const START: TimeMicros = 17_000 * MICROS_PER_DAY;

type Row = (String, String, TimeMicros);

fn prepare(log: EventLog, options: &PrepareOptions) -> Result<Prepared> {
    super::prepare(log, options, &mut |_| ControlFlow::Continue(()))
}

fn log(rows: &[Row]) -> EventLog {
    let mut log = EventLog::new();
    rows.iter().for_each(|(session, item, time)| log.push(session, item, *time));
    log
}

fn rows(rows: &[(&str, &str, i64)]) -> Vec<Row> {
    rows.iter().map(|&(s, i, hours)| (s.to_owned(), i.to_owned(), START + hours * MICROS_PER_HOUR)).collect()
}

/// Sessions as id → (item, time)…
type Plain = BTreeMap<String, Vec<(String, TimeMicros)>>;

fn plain(part: Part<'_>) -> Plain {
    part.sessions()
        .map(|s| {
            let items = s.iter().map(|e| (part.item_id(e).to_owned(), e.time)).collect();
            (part.session_id(&s[0]).to_owned(), items)
        })
        .collect()
}

/// All rules in the plainest way, without counts.
fn naive(rows: &[Row], o: &PrepareOptions) -> Option<[Plain; 4]> {
    let mut sessions = Plain::new();
    for (session, item, time) in rows {
        sessions.entry(session.clone()).or_default().push((item.clone(), *time));
    }
    sessions.values_mut().for_each(|s| s.sort_by_key(|e| e.1));
    if o.drop_duplicates {
        for session in sessions.values_mut() {
            let mut seen = BTreeSet::new();
            session.retain(|event| seen.insert(event.clone()));
        }
    }
    let end = |s: &Vec<(String, TimeMicros)>| s.last().unwrap().1;
    sessions.retain(|_, s| o.since.is_none_or(|since| s[0].1 >= since));
    sessions.retain(|_, s| o.until.is_none_or(|until| end(s) < until));
    sessions.retain(|_, s| o.max_session_length.is_none_or(|max| s.len() <= max));
    if o.drop_repeats {
        sessions.values_mut().for_each(|s| s.dedup_by(|b, a| a.0 == b.0));
    }
    sessions.retain(|_, s| s.len() >= o.min_session_length);
    loop {
        let before = sessions.clone();
        let mut support = BTreeMap::<String, u64>::new();
        sessions.values().flatten().for_each(|e| *support.entry(e.0.clone()).or_default() += 1);
        sessions.values_mut().for_each(|s| s.retain(|e| support[&e.0] >= o.min_item_support));
        sessions.retain(|_, s| s.len() >= o.min_session_length);
        if !o.iterate_filters || sessions == before {
            break;
        }
    }
    // Sessions that end at the same time are in the order of their first rows.
    let first = |id: &String| rows.iter().position(|(session, ..)| session == id);
    let split = |sessions: &Plain, holdout: Holdout| -> Option<(Plain, Plain)> {
        let mut order: Vec<&String> = sessions.keys().collect();
        order.sort_by_key(|id| (end(&sessions[*id]), first(id)));
        let last = end(&sessions[*order.last()?]);
        let held_out = match holdout {
            Holdout::Span(span) => {
                order.iter().filter(|id| end(&sessions[**id]) >= last - span.micros()).count()
            }
            Holdout::Share(share) => (order.len() * share as usize / 10_000).max(1),
            Holdout::Sessions(count) => (count as usize).min(order.len()),
        };
        let held_out: BTreeSet<&String> = order[order.len() - held_out..].iter().copied().collect();
        let (mut test, train): (Plain, Plain) =
            sessions.clone().into_iter().partition(|(id, _)| held_out.contains(id));
        let known: BTreeSet<&String> = train.values().flatten().map(|e| &e.0).collect();
        test.values_mut().for_each(|s| s.retain(|e| known.contains(&e.0)));
        test.retain(|_, s| s.len() >= o.min_session_length);
        (!train.is_empty()).then_some((train, test))
    };
    let (train, test) = split(&sessions, o.holdout)?;
    let train = last_pairs(train, o.scale as usize)?;
    let (fit, valid) = o
        .validation
        .and_then(|holdout| split(&train, holdout))
        .filter(|(_, valid)| !valid.is_empty())
        .unwrap_or_default();
    Some([train, test, fit, valid])
}

/// The last 1/`scale` of all pairs, listed session by session.
fn last_pairs(train: Plain, scale: usize) -> Option<Plain> {
    let mut order: Vec<_> = train.iter().collect();
    order.sort_by_key(|(id, s)| (s[0].1, *id));
    let targets: Vec<_> = order.iter().flat_map(|(id, s)| (1..s.len()).map(move |t| (*id, t))).collect();
    let mut left = Plain::new();
    for &(id, target) in &targets[targets.len() - targets.len() / scale..] {
        left.entry(id.clone()).or_insert_with(|| train[id][target - 1..].to_vec());
    }
    (!left.is_empty()).then_some(left)
}

fn options() -> impl Strategy<Value = PrepareOptions> {
    let span = (1_i64..60).prop_map(|hours| Holdout::Span(TimeSpan::from_seconds(hours * 3_600).unwrap()));
    let holdout = prop_oneof![
        4 => span,
        1 => (100_u32..6_000).prop_map(Holdout::Share),
        1 => (1_u64..12).prop_map(Holdout::Sessions),
    ];
    (
        (
            (proptest::option::of(0_i64..40), proptest::option::of(0_i64..200)),
            holdout.clone(),
            proptest::option::of(holdout),
        ),
        (1_u64..6, 2_usize..4, proptest::option::of(4_usize..9)),
        (any::<bool>(), any::<bool>(), any::<bool>(), 1_u64..5),
    )
        .prop_map(
            |(
                ((since, until), holdout, validation),
                (support, length, longest),
                (duplicates, repeats, iterate, scale),
            )| {
                PrepareOptions {
                    since: since.map(|hours| START + hours * MICROS_PER_HOUR),
                    until: until.map(|hours| START + hours * MICROS_PER_HOUR),
                    holdout,
                    validation,
                    min_item_support: support,
                    min_session_length: length,
                    max_session_length: longest,
                    drop_duplicates: duplicates,
                    drop_repeats: repeats,
                    iterate_filters: iterate,
                    scale,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_are_those_of_the_rules_applied_naively_and_nothing_is_lost_uncounted(
        events in proptest::collection::vec((0_u8..25, 0_u8..12, 0_i64..200), 1..160),
        options in options(),
    ) {
        let rows: Vec<Row> = events
            .iter()
            .map(|&(s, i, h)| (format!("s{s}"), format!("i{i}"), START + h * MICROS_PER_HOUR))
            .collect();
        match (prepare(log(&rows), &options), naive(&rows, &options)) {
            (Ok(prepared), Some([train, test, fit, valid])) => {
                prop_assert_eq!(plain(prepared.train()), train);
                prop_assert_eq!(plain(prepared.test()), test);
                prop_assert_eq!(prepared.fit().map(plain).unwrap_or_default(), fit);
                prop_assert_eq!(prepared.valid().map(plain).unwrap_or_default(), valid);
                let s = prepared.statistics();
                let sum = |dropped: &[Dropped]| {
                    dropped.iter().fold((0, 0), |sum, d| (sum.0 + d.events, sum.1 + d.sessions))
                };
                let (events, sessions) = sum(&s.dropped);
                prop_assert_eq!(s.log.events, rows.len() as u64);
                prop_assert_eq!(s.train.events + s.test.events + events, s.log.events);
                prop_assert_eq!(s.train.sessions + s.test.sessions + sessions, s.log.sessions);
                if let (Some(fit), Some(valid)) = (s.fit, s.valid) {
                    let (events, sessions) = sum(&s.dropped_from_valid);
                    prop_assert_eq!(fit.events + valid.events + events, s.train.events);
                    prop_assert_eq!(fit.sessions + valid.sessions + sessions, s.train.sessions);
                }
            }
            (Err(Error::EmptyAfterFiltering { .. }), None) => {}
            (got, expected) => prop_assert!(false, "{got:?} where the rules give {expected:?}"),
        }
    }
}

fn soft() -> PrepareOptions {
    PrepareOptions { min_item_support: 1, validation: None, ..PrepareOptions::default() }
}

#[test]
fn a_session_over_midnight_is_never_split_and_belongs_where_it_ends() {
    let rows =
        rows(&[("a", "x", 0), ("a", "y", 1), ("b", "x", 20), ("b", "y", 48), ("c", "x", 72), ("c", "y", 72)]);
    let prepared = prepare(log(&rows), &soft()).unwrap();
    // The limit is hour 48 and belongs to the test part.
    assert_eq!(plain(prepared.train()).keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(plain(prepared.test()).keys().collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn until_needs_sessions_to_end_before_it() {
    let rows =
        rows(&[("a", "x", 0), ("a", "y", 1), ("b", "x", 30), ("b", "y", 40), ("c", "x", 30), ("c", "y", 39)]);
    let until = Some(START + 40 * MICROS_PER_HOUR);
    let prepared = prepare(log(&rows), &PrepareOptions { until, ..soft() }).unwrap();
    assert_eq!(plain(prepared.test()).keys().collect::<Vec<_>>(), ["c"]);
    assert_eq!(prepared.statistics().dropped, [Dropped { rule: DropRule::Until, events: 2, sessions: 1 }]);
}

#[test]
fn since_needs_sessions_to_begin_at_or_after_it() {
    let rows = rows(&[
        ("a", "x", 9),
        ("a", "y", 40),
        ("b", "x", 10),
        ("b", "y", 20),
        ("c", "x", 60),
        ("c", "y", 61),
    ]);
    let since = Some(START + 10 * MICROS_PER_HOUR);
    let prepared = prepare(log(&rows), &PrepareOptions { since, ..soft() }).unwrap();
    assert_eq!(prepared.statistics().dropped[0], Dropped { rule: DropRule::Since, events: 2, sessions: 1 });
}

#[test]
fn a_log_within_one_holdout_has_no_training_part_and_says_so() {
    let error = prepare(log(&rows(&[("a", "x", 0), ("a", "y", 1)])), &soft()).unwrap_err();
    assert!(error.to_string().contains("shorter `holdout`"), "{error}");
}

#[test]
fn single_events_only_leave_nothing_and_the_message_counts_them() {
    let rows = rows(&[("a", "x", 0), ("b", "y", 50)]);
    let error = prepare(log(&rows), &PrepareOptions::default()).unwrap_err();
    assert!(error.to_string().contains("2 events, 2 sessions: session too short"), "{error}");
}

#[test]
fn a_scale_cuts_training_alone_and_tells_what_was_there() {
    let rows = rows(&[
        ("a", "x", 0),
        ("a", "y", 1),
        ("b", "x", 2),
        ("b", "z", 3),
        ("b", "x", 4),
        ("c", "y", 50),
        ("c", "z", 51),
    ]);
    let of_scale = |scale| prepare(log(&rows), &PrepareOptions { scale, ..soft() });
    let (whole, third) = (of_scale(1).unwrap(), of_scale(3).unwrap());
    let (s, before) = (third.statistics(), whole.statistics());
    assert_eq!((s.train.pairs(), s.train.items), (1, 2));
    assert_eq!((s.uncut_train, before.uncut_train), (Some(before.train), None));
    assert_eq!(s.dropped, [Dropped { rule: DropRule::BeforeLastPairs, events: 3, sessions: 1 }]);
    // An item that the cut took from training stays in the test part, which is the same at every scale.
    assert_eq!(plain(third.test()), plain(whole.test()));
    let message = of_scale(4).unwrap_err().to_string();
    assert!(message.contains("has 3 pairs") && message.contains("smaller `scale`"), "{message}");
}

#[test]
fn rules_without_sense_are_refused_by_name() {
    for (options, field) in [
        (PrepareOptions { min_session_length: 1, ..soft() }, "min_session_length"),
        (PrepareOptions { max_session_length: Some(1), ..soft() }, "max_session_length"),
        (PrepareOptions { scale: 0, ..soft() }, "scale"),
    ] {
        let rows = rows(&[("a", "x", 0), ("a", "y", 1)]);
        assert!(matches!(prepare(log(&rows), &options), Err(Error::Config { field: f, .. }) if f == field));
    }
}

#[test]
fn options_read_back_what_they_write() {
    let until = Some(START + 1_500_000);
    for options in [
        PrepareOptions::default(),
        PrepareOptions { until, validation: None, max_session_length: Some(9), ..PrepareOptions::default() },
        PrepareOptions { scale: 64, ..PrepareOptions::default() },
    ] {
        let text = toml::to_string(&options).unwrap();
        assert_eq!(toml::from_str::<PrepareOptions>(&text).unwrap(), options, "{text}");
    }
    assert!(toml::from_str::<PrepareOptions>("hold_out = \"1d\"").is_err());
}

#[test]
fn a_million_event_session_is_noticed_and_can_be_dropped() {
    let mut long = log(&rows(&[("a", "x", 0), ("a", "y", 1), ("b", "x", 50), ("b", "y", 51)]));
    (0..1_000_000).for_each(|i| long.push("bot", if i % 2 == 0 { "x" } else { "y" }, START + i));
    let kept = prepare(long.clone(), &soft()).unwrap();
    assert!(kept.statistics().warnings.iter().any(|w| w.contains("the longest 1000000")));
    let options = PrepareOptions { max_session_length: Some(1_000), ..soft() };
    let without = prepare(long, &options).unwrap();
    assert_eq!(without.statistics().train.events, 2);
    assert!(without.statistics().warnings.is_empty(), "{:?}", without.statistics().warnings);
}

#[test]
fn the_observer_hears_of_every_phase_and_stops_at_any() {
    let rows = rows(&[("a", "x", 0), ("a", "y", 1), ("b", "x", 90), ("b", "y", 91)]);
    let observed = |stop_at: Option<PreparePhase>| {
        let mut phases = Vec::new();
        let prepared = super::prepare(log(&rows), &soft(), &mut |progress| {
            phases.push(progress.phase);
            if Some(progress.phase) == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (prepared, phases)
    };
    let (prepared, phases) = observed(None);
    assert!(prepared.is_ok());
    use PreparePhase::{Count, Filter, Group, Split, Validation};
    assert_eq!(phases, [Group, Filter, Split, Validation, Count]);
    for (before, phase) in phases.iter().enumerate() {
        let (prepared, heard) = observed(Some(*phase));
        assert!(
            matches!(prepared, Err(Error::Stopped)) && heard == phases[..=before],
            "{phase:?}: {heard:?}"
        );
    }
}

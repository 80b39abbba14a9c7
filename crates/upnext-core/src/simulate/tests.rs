//! Properties of the simulated log: the same bytes everywhere, the order of time, its statistics, a learnable structure.

use super::*;
use std::collections::HashMap;

fn small() -> SimulateOptions {
    SimulateOptions { sessions: 20_000, items: 1_000, ..Default::default() }
}

fn written(options: &SimulateOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_log(simulate(options).unwrap(), LogFormat::Challenge, &mut bytes).unwrap();
    bytes
}

/// The sessions, each its items in order and the time of its last event, in the order of their starts.
fn sessions(options: &SimulateOptions) -> Vec<(Vec<u32>, i64)> {
    let mut sessions: Vec<(Vec<u32>, i64)> = Vec::new();
    for event in simulate(options).unwrap() {
        let index = usize::try_from(event.session).unwrap() - 1;
        if index >= sessions.len() {
            sessions.resize_with(index + 1, Default::default);
        }
        sessions[index].0.push(event.item);
        sessions[index].1 = event.time_ms;
    }
    sessions
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let options = SimulateOptions { sessions: 500, ..Default::default() };
    assert_eq!(written(&options), written(&options));
    assert_ne!(written(&options), written(&SimulateOptions { seed: 43, ..options.clone() }));
}

#[test]
fn the_first_lines_are_those_of_every_machine() {
    let bytes = written(&SimulateOptions { sessions: 1_000, ..Default::default() });
    let text = std::str::from_utf8(&bytes).unwrap();
    let first: Vec<&str> = text.lines().take(4).collect();
    assert_eq!(
        first,
        [
            "1,2024-03-04T00:24:53.635Z,3958222,3",
            "1,2024-03-04T00:25:41.144Z,5213268,3",
            "1,2024-03-04T00:26:01.507Z,5213268,3",
            "2,2024-03-04T00:49:49.068Z,40113201,21",
        ]
    );
    // The whole text, by FNV-1a.
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!((text.lines().count(), hash), (3_393, 10_927_778_200_170_772_692));
}

#[test]
fn events_come_in_the_order_of_time_and_sessions_interleave() {
    let events: Vec<_> = simulate(&small()).unwrap().collect();
    assert!(events.windows(2).all(|pair| pair[0].time_ms <= pair[1].time_ms));
    let mut last = HashMap::new();
    let mut started = 0;
    for event in &events {
        match last.insert(event.session, event.time_ms) {
            Some(before) => assert!(before < event.time_ms, "time stands still in session {}", event.session),
            None => {
                started += 1;
                assert_eq!(event.session, started, "sessions are numbered by their starts");
            }
        }
    }
    assert_eq!(started, 20_000);
    assert!(events.windows(2).filter(|pair| pair[0].session != pair[1].session).count() > events.len() / 2);
}

#[test]
fn lengths_hours_and_categories_have_the_documented_shape() {
    let options = small();
    let sessions = sessions(&options);
    let count = sessions.len() as f64;
    let events: usize = sessions.iter().map(|(items, _)| items.len()).sum();
    let mean = events as f64 / count;
    assert!((3.45..3.7).contains(&mean), "{mean} events a session");
    let single = sessions.iter().filter(|(items, _)| items.len() == 1).count() as f64 / count;
    assert!((0.13..0.15).contains(&single), "{single} sessions of one event");

    let mut hours = [0; 24];
    let mut category_of = HashMap::new();
    for event in simulate(&options).unwrap() {
        hours[usize::try_from(event.time_ms / 3_600_000 % 24).unwrap()] += 1;
        assert_eq!(*category_of.entry(event.item).or_insert(event.category), event.category);
        let day = (event.time_ms / 1000 - options.start_s) / 86_400;
        assert!((0..10).contains(&day));
    }
    assert!(hours[20] > 8 * hours[3], "{hours:?}");
    assert!(category_of.values().all(|&category| (1..=25).contains(&category)));
    assert!(category_of.len() > 950, "{} of 1000 items were clicked", category_of.len());
}

#[test]
fn new_items_appear_and_popularity_drifts() {
    let options = small();
    let mut by_day: Vec<HashMap<u32, u32>> = vec![HashMap::new(); 10];
    for event in simulate(&options).unwrap() {
        let day = usize::try_from((event.time_ms / 1000 - options.start_s) / 86_400).unwrap();
        *by_day[day].entry(event.item).or_default() += 1;
    }
    let before: std::collections::HashSet<u32> =
        by_day[..8].iter().flat_map(|day| day.keys().copied()).collect();
    let last_day: u32 = by_day[8].values().sum();
    let unseen: u32 =
        by_day[8].iter().filter(|(item, _)| !before.contains(item)).map(|(_, count)| count).sum();
    let share = f64::from(unseen) / f64::from(last_day);
    assert!((0.002..0.08).contains(&share), "{share} of the last day's events are on new items");
    let top = |day: &HashMap<u32, u32>| {
        let mut items: Vec<_> = day.iter().map(|(&item, &count)| (Reverse(count), item)).collect();
        items.sort_unstable();
        items.into_iter().take(50).map(|(_, item)| item).collect::<std::collections::HashSet<_>>()
    };
    let kept = top(&by_day[0]).intersection(&top(&by_day[8])).count();
    assert!((10..45).contains(&kept), "{kept} of the first day's 50 most popular are so on the last");
}

/// Recall@20 on the last day of three plain models that know the days before: popularity, the session's own items
/// then popularity, and counted successors of the current item.
#[test]
fn a_sequence_model_beats_popularity_and_repeats_and_is_not_perfect() {
    let options = small();
    let sessions = sessions(&options);
    let split = (options.start_s + 8 * 86_400) * 1000;
    let mut popular: HashMap<u32, u32> = HashMap::new();
    let mut after: HashMap<u32, HashMap<u32, u32>> = HashMap::new();
    for (items, _) in sessions.iter().filter(|(_, last)| *last < split) {
        items.iter().for_each(|&item| *popular.entry(item).or_default() += 1);
        for pair in items.windows(2) {
            *after.entry(pair[0]).or_default().entry(pair[1]).or_default() += 1;
        }
    }
    let top = |counts: &HashMap<u32, u32>| {
        let mut items: Vec<_> = counts.iter().map(|(&item, &count)| (Reverse(count), item)).collect();
        items.sort_unstable();
        items.truncate(20);
        items.into_iter().map(|(_, item)| item).collect::<Vec<_>>()
    };
    let popular = top(&popular);
    let after: HashMap<u32, Vec<u32>> = after.iter().map(|(&item, next)| (item, top(next))).collect();
    let (mut cases, mut by_popularity, mut by_session, mut by_current) = (0, 0, 0, 0);
    for (items, _) in sessions.iter().filter(|(_, last)| *last >= split) {
        for at in 1..items.len() {
            let (seen, target) = (&items[..at], items[at]);
            cases += 1;
            by_popularity += u32::from(popular.contains(&target));
            by_session += u32::from(seen.contains(&target) || popular[..20 - at.min(20)].contains(&target));
            by_current += u32::from(after.get(&seen[at - 1]).is_some_and(|next| next.contains(&target)));
        }
    }
    let share = |hits: u32| f64::from(hits) / f64::from(cases);
    let figures = (share(by_popularity), share(by_session), share(by_current));
    assert!(figures.0 < 0.25 && figures.1 < 0.45, "{figures:?}");
    assert!(figures.2 > figures.1 + 0.15 && (0.5..0.75).contains(&figures.2), "{figures:?}");
}

#[test]
fn memory_is_that_of_the_open_sessions() {
    let mut shop = simulate(&SimulateOptions { sessions: 50_000, days: 30, ..Default::default() }).unwrap();
    let mut most = 0;
    while shop.next().is_some() {
        most = most.max(shop.open.len());
    }
    assert!(most < 200, "{most} sessions were open at once");
}

#[test]
fn sizes_that_make_no_shop_are_refused() {
    let refused = |options| simulate(&options).map(|_| ()).unwrap_err().to_string();
    let default = SimulateOptions::default;
    assert!(refused(SimulateOptions { sessions: 0, ..default() }).starts_with("simulate.sessions: "));
    assert!(refused(SimulateOptions { items: 1, ..default() }).starts_with("simulate.items: "));
    assert!(refused(SimulateOptions { days: 0, ..default() }).starts_with("simulate.days: "));
    assert!(refused(SimulateOptions { start_s: i64::MIN, ..default() }).starts_with("simulate.start_s: "));
}

#[test]
fn the_smallest_shops_work() {
    for (sessions, items, days) in [(1, 2, 1), (50, 2, 1), (50, 3, 40), (50, 41, 2)] {
        let options = SimulateOptions { sessions, items, days, ..Default::default() };
        let started = simulate(&options).unwrap().map(|event| event.session).max();
        assert_eq!(started, Some(sessions));
    }
}

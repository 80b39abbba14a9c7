//! Simulates the click log of a shop, with a known structure and of any size, the same on every machine.
//!
//! Demonstrations, tests and benchmarks need a log that may be shipped and that a sequence model can learn from.
//! The shop works like this:
//!
//! * **Items** belong to categories of about 40. Popularity is Zipf-like (the weight of rank `r` falls as `r^-0.75`), of
//!   categories and of the items in one. It drifts: an item fades with its age, has better and worse days, and
//!   every fifth item appears only in the course of the log.
//! * **Sessions** start in a daily rhythm (few at night, most in the evening), and have 1 event (14%), or
//!   2 plus a nearly geometric number: 3.6 events on average, 4.0 without those of length 1, as in the log of the
//!   RecSys Challenge 2015.
//! * **The next item** is an earlier one of the session (12%), a likely successor of the current one (50%), a popular one
//!   of the same category (24%), or a popular one of any (14%). An item has six likely successors for each of four
//!   tastes; a session has one taste throughout, so that the events before the current one are informative, too.
//!
//! Only sums, products, quotients and square roots are used, which IEEE 754 defines to the bit, and every session has
//! its own random sequence: the same options give the same bytes everywhere.
//!
//! ```
//! use upnext_core::simulate::{SimulateOptions, simulate};
//!
//! let shop = SimulateOptions { sessions: 100, ..Default::default() };
//! let events: Vec<_> = simulate(&shop)?.collect();
//! assert!(events.windows(2).all(|pair| pair[0].time_ms <= pair[1].time_ms));
//! # Ok::<(), upnext_core::Error>(())
//! ```

mod file;
mod shop;
mod write;

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use shop::{Draw, Shop, TASTES};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub use file::write_log_file;
pub use write::{LogFormat, write_log};

/// Milliseconds in a day.
const DAY_MS: i64 = 86_400_000;

/// The maximum number of items, one less than a prime: ids are distinct up to it.
const MAX_ITEMS: u32 = 2_147_483_646;

/// The maximum number of events of a session.
const MAX_LENGTH: u32 = 200;

/// The relative traffic of each hour of a day, from midnight UTC.
const RHYTHM: [u32; 24] =
    [3, 2, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 12, 13, 13, 12, 13, 14, 16, 19, 20, 16, 10, 5];

/// The size of a simulated shop, and its random seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulateOptions {
    /// Number of sessions, including those of length 1, ≥ 1. The log has about `3.57 · sessions` events.
    pub sessions: u64,
    /// Number of items, ≥ 2; some of them may never be clicked.
    pub items: u32,
    /// Number of days, ≥ 1.
    pub days: u32,
    /// The start of the first day, in seconds since 1970; the default is Monday, 2024-03-04, midnight UTC.
    pub start_s: i64,
    /// The random seed.
    pub seed: u64,
}

impl Default for SimulateOptions {
    /// About 200,000 events.
    fn default() -> Self {
        Self { sessions: 56_000, items: 1_500, days: 9, start_s: 1_709_510_400, seed: 42 }
    }
}

/// An event of a simulated log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatedEvent {
    /// The session, from 1 in the order of the sessions' starts.
    pub session: u64,
    /// The item's id, of up to ten digits; the order of ids has no meaning.
    pub item: u32,
    /// The item's category, from 1.
    pub category: u32,
    /// The time in milliseconds since 1970.
    pub time_ms: i64,
}

/// Simulates a shop, event by event in the order of time, with sessions interleaved as in a real log.
///
/// The memory needed is that of the items and of the sessions that are open at the same time.
///
/// # Errors
/// [`Error::Config`] if a size is 0 or too large.
pub fn simulate(options: &SimulateOptions) -> Result<Simulation> {
    let check = |usable: bool, field: &str, range: &str| {
        if usable { Ok(()) } else { Err(Error::config(format!("simulate.{field}"), format!("use {range}"))) }
    };
    check((1..=1 << 40).contains(&options.sessions), "sessions", "1 to 2^40 sessions")?;
    check((2..=MAX_ITEMS).contains(&options.items), "items", "2 to 2147483646 items")?;
    check((1..=36_500).contains(&options.days), "days", "1 to 36500 days")?;
    check(options.start_s.unsigned_abs() < 1 << 38, "start_s", "seconds since 1970")?;
    Ok(Simulation {
        shop: Shop::new(options.items, options.days, options.seed),
        options: options.clone(),
        day: 0,
        next: first_of(options, 0),
        started: 0,
        open: BinaryHeap::new(),
    })
}

/// The events of a simulated shop; see [`simulate`].
#[derive(Debug)]
pub struct Simulation {
    options: SimulateOptions,
    shop: Shop,
    /// The day of the shop's current popularities.
    day: u32,
    /// The start and random sequence of the next session; `None` after the last.
    next: Option<(i64, Draw)>,
    started: u64,
    open: BinaryHeap<Reverse<Open>>,
}

/// An open session, ordered by the time of its next event.
#[derive(Debug)]
struct Open {
    time_ms: i64,
    session: u64,
    left: u32,
    taste: u64,
    seen: Vec<u32>,
    draw: Draw,
}

impl Open {
    fn key(&self) -> (i64, u64) {
        (self.time_ms, self.session)
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Open {}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Iterator for Simulation {
    type Item = SimulatedEvent;

    fn next(&mut self) -> Option<SimulatedEvent> {
        // Sessions are opened in the order of their starts, each before any later event is returned.
        while let Some((time_ms, mut draw)) =
            self.next.take_if(|(start, _)| self.open.peek().is_none_or(|open| *start <= open.0.time_ms))
        {
            self.started += 1;
            let (left, taste) = (length(&mut draw), draw.below(TASTES));
            let open = Open { time_ms, session: self.started, left, taste, seen: Vec::new(), draw };
            self.open.push(Reverse(open));
            self.next = first_of(&self.options, self.started);
        }
        let Reverse(mut open) = self.open.pop()?;
        let time_ms = open.time_ms;
        let day = u32::try_from((time_ms - self.options.start_s * 1000) / DAY_MS).unwrap_or(u32::MAX);
        if day > self.day {
            self.day = day;
            self.shop.open_on(day);
        }
        let item = self.shop.click(&open.seen, open.taste, &mut open.draw);
        let event = SimulatedEvent {
            session: open.session,
            item: id(item),
            category: self.shop.category_of(item) as u32 + 1,
            time_ms,
        };
        open.left -= 1;
        if open.left > 0 {
            open.seen.push(item);
            open.time_ms += 3_000 + (open.draw.share() * open.draw.share() * 240_000.0) as i64;
            self.open.push(Reverse(open));
        }
        Some(event)
    }
}

/// Start in milliseconds and random sequence of the session `index`, from 0; `None` after the last.
fn first_of(options: &SimulateOptions, index: u64) -> Option<(i64, Draw)> {
    if index == options.sessions {
        return None;
    }
    let mut draw = Draw::new(options.seed, index);
    // One start in each of `sessions` equal shares of the traffic, so that the starts are ascending without sorting.
    let busy: u32 = RHYTHM.iter().sum();
    let traffic = (index as f64 + draw.share()) / options.sessions as f64 * f64::from(options.days * busy);
    let day = (traffic / f64::from(busy)).floor();
    let mut rest = traffic - day * f64::from(busy);
    let mut hour = 0;
    while hour < 23 && rest >= f64::from(RHYTHM[hour]) {
        rest -= f64::from(RHYTHM[hour]);
        hour += 1;
    }
    let in_hour = (rest / f64::from(RHYTHM[hour]) * 3_600_000.0) as i64;
    Some((
        options.start_s * 1000 + day as i64 * DAY_MS + hour as i64 * 3_600_000 + in_hour.min(3_599_999),
        draw,
    ))
}

/// Draws the number of events of a session.
fn length(draw: &mut Draw) -> u32 {
    if draw.share() < 0.14 {
        return 1;
    }
    let go_on = if draw.share() < 0.75 { 0.55 } else { 0.81 };
    let mut length = 2;
    while length < MAX_LENGTH && draw.share() < go_on {
        length += 1;
    }
    length
}

/// The id of an item. Multiplication modulo a prime scatters the ids and keeps them distinct.
fn id(item: u32) -> u32 {
    ((u64::from(item) + 1) * 48_271 % u64::from(MAX_ITEMS + 1)) as u32
}

#[cfg(test)]
mod tests;

//! The visitors of a load test: sessions of a log or random ones, many of them open at a time.

use super::LoadOptions;
use super::connection::Request;
use crate::ServerConfig;
use std::borrow::Cow;
use std::collections::VecDeque;
use upnext_core::data::{Dataset, ItemIndex, ItemVocabulary, Sessions};
use upnext_kernels::{AliasTable, CounterRng};

/// Mean length of random sessions, that of `upnext simulate`.
const MEAN_LENGTH: f64 = 3.57;

/// Clicks that every open slot makes before the test begins. Sessions of up to this length have ended by then, so that
/// the open sessions have the ages of a load that has always been running.
const ROUNDS_BEFORE: usize = 16;

/// A source of sessions, from which a load test draws with replacement.
#[derive(Debug)]
pub struct Visitors {
    items: ItemVocabulary,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Sessions of a log.
    Log(Sessions),
    /// Items drawn by popularity, in sessions of geometrically distributed length.
    Popularity(AliasTable),
}

impl Visitors {
    /// Visitors that repeat the sessions of a log; `None` if there is no session or one of them is empty.
    pub fn of_log(data: Dataset) -> Option<Self> {
        let Dataset { items, sessions, .. } = data;
        let usable = !sessions.is_empty() && sessions.iter().all(|session| !session.is_empty());
        usable.then_some(Self { items, source: Source::Log(sessions) })
    }

    /// Visitors that click on items with probability proportional to support; `None` if all supports are 0.
    pub fn by_popularity(items: ItemVocabulary) -> Option<Self> {
        let supports: Vec<f64> = items.supports().iter().map(|&support| support as f64).collect();
        let source = Source::Popularity(AliasTable::new(&supports)?);
        Some(Self { items, source })
    }

    /// The items of session number `n` of a load test.
    fn session(&self, rng: CounterRng, n: u64) -> Cow<'_, [ItemIndex]> {
        let rng = rng.substream(n);
        match &self.source {
            Source::Log(sessions) => sessions.session(rng.below(0, sessions.len() as u64) as usize).into(),
            Source::Popularity(table) => {
                let goes_on = 1.0 - 1.0 / MEAN_LENGTH;
                let length = 1 + ((1.0 - rng.unit_f64(0)).ln() / goes_on.ln()) as u64;
                (1..=length).map(|i| table.pick(rng.bits(i))).collect::<Vec<_>>().into()
            }
        }
    }

    /// The sequence of clicks of a load test.
    pub(super) fn visits<'v>(&'v self, options: &'v LoadOptions) -> Visits<'v> {
        let mut visits = Visits {
            visitors: self,
            options,
            longest: ServerConfig::default().max_session_events,
            rng: CounterRng::new(options.seed, 2),
            begun: 0,
            open: VecDeque::new(),
            room: options.open_sessions(),
        };
        for _ in 0..ROUNDS_BEFORE * visits.room {
            let visit = visits.click();
            visits.keep(visit);
        }
        visits
    }
}

/// An open session and the number of its clicks so far.
struct Visit<'v> {
    number: u64,
    items: Cow<'v, [ItemIndex]>,
    clicks: usize,
}

/// The sequence of clicks of a load test.
pub(super) struct Visits<'v> {
    visitors: &'v Visitors,
    options: &'v LoadOptions,
    /// Maximum number of events in a request.
    longest: usize,
    rng: CounterRng,
    /// Number of sessions that have begun.
    begun: u64,
    /// The sessions that have not ended; the first clicks next.
    open: VecDeque<Visit<'v>>,
    room: usize,
}

impl<'v> Visits<'v> {
    /// The next click, with the number of its session.
    pub(super) fn next(&mut self) -> (u64, Request) {
        let visit = self.click();
        let (number, request) = (visit.number, self.request(&visit));
        self.keep(visit);
        (number, request)
    }

    /// Takes the session that clicks next and counts its click: a new session while there is room, otherwise the one
    /// whose latest click is oldest.
    fn click(&mut self) -> Visit<'v> {
        let waiting = if self.open.len() < self.room { None } else { self.open.pop_front() };
        let mut visit = waiting.unwrap_or_else(|| {
            let number = self.begun;
            self.begun += 1;
            Visit { number, items: self.visitors.session(self.rng, number), clicks: 0 }
        });
        visit.clicks += 1;
        visit
    }

    fn keep(&mut self, visit: Visit<'v>) {
        if visit.clicks < visit.items.len() {
            self.open.push_back(visit);
        }
    }

    fn request(&self, visit: &Visit) -> Request {
        let k = self.options.k;
        let id = |&item: &ItemIndex| self.visitors.items.id(item);
        let clicked = &visit.items[..visit.clicks];
        let (path, body) = if self.options.stateful {
            let path = format!("/v1/sessions/{}-{}/events", self.options.session_prefix, visit.number);
            (path, serde_json::json!({ "item": clicked.last().map(id), "k": k }))
        } else {
            let latest = &clicked[clicked.len().saturating_sub(self.longest)..];
            let session: Vec<&str> = latest.iter().map(id).collect();
            ("/v1/recommend".to_owned(), serde_json::json!({ "session": session, "k": k }))
        };
        let name = || format!("{}-{}-{}", self.options.session_prefix, visit.number, visit.clicks);
        let key = (self.options.stateful && self.options.event_keys).then(name);
        Request { path, body: body.to_string(), key }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;
    use std::time::Duration;

    #[test]
    fn sessions_are_of_every_age_from_the_first_click_on() {
        let mut items = ItemVocabulary::new();
        items.add("often", 3);
        items.add("seldom", 1);
        items.add("never", 0);
        let visitors = Visitors::by_popularity(items).unwrap();
        let options = LoadOptions {
            rate_per_second: 1000.0,
            think: Duration::from_secs(10),
            stateful: false,
            ..options()
        };
        let mut visits = visitors.visits(&options);
        let (mut first, mut items) = ([0.0; 2], [0.0; 3]);
        let clicks = visits.room;
        for half in [0, 1] {
            for _ in 0..clicks {
                let body: serde_json::Value = serde_json::from_str(&visits.next().1.body).unwrap();
                let session = body["session"].as_array().unwrap();
                first[half] += f64::from(session.len() == 1) / clicks as f64;
                for (share, name) in items.iter_mut().zip(["often", "seldom", "never"]) {
                    *share += f64::from(session.last().unwrap() == name) / (2 * clicks) as f64;
                }
            }
        }
        for share in first {
            assert!((share * MEAN_LENGTH - 1.0).abs() < 0.1, "{first:?}");
        }
        assert!((items[0] - 0.75).abs() < 0.03 && items[2] == 0.0, "{items:?}");
    }
}

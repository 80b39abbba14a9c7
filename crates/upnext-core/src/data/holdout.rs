//! How much of the end of a log is held out: a span of time, a share of the sessions, or a number of them.

use super::events::Event;
use super::sessions::TimeMicros;
use super::time::TimeSpan;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How much of the end of a log is held out. Written as `1d`, `10%` or `500 sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holdout {
    /// The sessions that end within this span of the last event.
    Span(TimeSpan),
    /// This share of the sessions, in hundredths of a percent, those that end last; at least one session.
    Share(u32),
    /// This number of sessions, those that end last.
    Sessions(u64),
}

/// The end of a session: the time of its last event and, among sessions that end at the same time, its place in the log.
pub(super) type End = (TimeMicros, u32);

/// The end of a session, which has at least one event.
pub(super) fn end_of(session: &[Event]) -> End {
    session.last().map_or((TimeMicros::MIN, 0), |event| (event.time, event.session))
}

impl Holdout {
    /// The first end that is held out, of sessions with these ends; `None` if there is no session.
    pub(super) fn limit(self, ends: impl Iterator<Item = End>) -> Option<End> {
        if let Self::Span(span) = self {
            return Some((ends.max()?.0.saturating_sub(span.micros()), 0));
        }
        let mut ends: Vec<End> = ends.collect();
        let held_out = match self {
            Self::Share(share) => (ends.len() as u64 * u64::from(share) / 10_000).max(1),
            Self::Sessions(sessions) => sessions,
            Self::Span(_) => 0,
        };
        let first = ends.len().saturating_sub(usize::try_from(held_out).unwrap_or(usize::MAX));
        if ends.is_empty() {
            return None;
        }
        Some(*ends.select_nth_unstable(first).1)
    }

    /// Whether it is a span of time, which a log without times does not have.
    pub fn is_span(self) -> bool {
        matches!(self, Self::Span(_))
    }
}

impl fmt::Display for Holdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(span) => span.fmt(f),
            Self::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Self::Share(share) => write!(f, "{}%", f64::from(*share) / 100.0),
            Self::Sessions(1) => f.write_str("1 session"),
            Self::Sessions(sessions) => write!(f, "{sessions} sessions"),
        }
    }
}

impl FromStr for Holdout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(percent) = text.strip_suffix('%') {
            let share = percent.trim().parse::<f64>().ok().map(|percent| (percent * 100.0).round());
            return match share {
                Some(share) if (1.0..10_000.0).contains(&share) => Ok(Self::Share(share as u32)),
                _ => Err(format!("`{text}` is no share of the sessions: use 0.01% to 99.99%")),
            };
        }
        if let Some(count) = text.strip_suffix("sessions").or_else(|| text.strip_suffix("session")) {
            return match count.trim().parse() {
                Ok(count) if count > 0 => Ok(Self::Sessions(count)),
                _ => Err(format!("`{text}` is no number of sessions: write it as 500 sessions")),
            };
        }
        let span = text.parse().map(Self::Span);
        span.map_err(|error: String| {
            format!("{error}; a share of the sessions is written as 10%, a number of them as 500 sessions")
        })
    }
}

impl From<TimeSpan> for Holdout {
    fn from(span: TimeSpan) -> Self {
        Self::Span(span)
    }
}

impl Serialize for Holdout {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Holdout {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Serde: what is held out as text, `none` for nothing.
pub(super) mod or_none {
    use super::Holdout;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(holdout: &Option<Holdout>, to: S) -> Result<S::Ok, S::Error> {
        match holdout {
            Some(holdout) => to.collect_str(holdout),
            None => to.serialize_str("none"),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Holdout>, D::Error> {
        let text = String::deserialize(from)?;
        (text != "none").then(|| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_out_is_written_as_it_is_read() {
        for (text, holdout) in [
            ("1d", Holdout::Span(TimeSpan::DAY)),
            ("10%", Holdout::Share(1_000)),
            ("2.5%", Holdout::Share(250)),
            ("500 sessions", Holdout::Sessions(500)),
            ("1 session", Holdout::Sessions(1)),
        ] {
            assert_eq!(text.parse(), Ok(holdout));
            assert_eq!(holdout.to_string(), text);
        }
        for wrong in ["0%", "100%", "0 sessions", "-1 sessions", "x", "7"] {
            assert!(wrong.parse::<Holdout>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_sessions_that_end_last_are_held_out_in_the_order_of_the_log() {
        let ends = [(5, 0), (5, 1), (7, 2), (1, 3), (5, 4)];
        let held_out = |holdout: Holdout| {
            let limit = holdout.limit(ends.into_iter()).unwrap();
            ends.iter().filter(|end| **end >= limit).count()
        };
        let counts: Vec<usize> = (1..=6).map(|n| held_out(Holdout::Sessions(n))).collect();
        assert_eq!(counts, [1, 2, 3, 4, 5, 5]);
        assert_eq!(held_out(Holdout::Share(4_000)), 2);
        assert_eq!(held_out(Holdout::Share(1)), 1);
        assert_eq!(Holdout::Sessions(2).limit(ends.into_iter()), Some((5, 4)));
        assert_eq!(Holdout::Share(10).limit(std::iter::empty()), None);
    }
}

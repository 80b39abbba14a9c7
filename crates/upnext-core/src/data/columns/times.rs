//! The source of a log's times, by the names and the values of its columns.

use super::{Columns, Finder, TimeSource};
use crate::data::TimeMicros;
use crate::data::names::{Role, fitting, normalized, shortened};
use crate::data::options::RowOrder;
use crate::data::time::TimeUnit;
use crate::data::time::detect::{Counts, Detection, ONE_IN, Resolution, detect};
use crate::data::time::reader::TimeReader;
use crate::error::{Error, Result};
use std::time::SystemTime;

/// The present time.
fn now() -> TimeMicros {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros());
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// A column that holds times.
struct Timed {
    at: usize,
    reader: TimeReader,
    resolution: Resolution,
    counts: Counts,
}

impl Timed {
    /// How sure it is that the column holds times.
    fn how_sure(&self) -> String {
        let Counts { values, unread, outside } = self.counts;
        if values == 0 {
            return "by its type".to_owned(); // a column of a typed format, which was not looked at
        }
        format!(
            "{} of its first {values} values are times between 1995 and tomorrow",
            values - unread - outside
        )
    }
}

impl Finder<'_> {
    /// The source of the times: `given` by an option (`None` within: not found), else by name, else by values.
    ///
    /// # Errors
    /// [`Error::AmbiguousLog`] if several columns may be the times, or one can be read in two ways.
    pub(super) fn time(
        &mut self,
        given: Option<Option<usize>>,
        taken: &[usize],
        earlier: Option<&Columns>,
    ) -> Result<Option<TimeSource>> {
        if self.options.order == RowOrder::Rows {
            return Ok(Some(TimeSource::Rows));
        }
        match given {
            Some(None) => return Ok(None),
            Some(Some(at)) => return self.in_column(at, earlier).map(Some),
            None => {}
        }
        let free: Vec<usize> = (0..self.sample.count).filter(|at| !taken.contains(at)).collect();
        let found: Vec<(usize, Detection)> = free.iter().map(|&at| (at, self.detect(at))).collect();
        let names = self.sample.names.as_deref().unwrap_or_default();
        let named: Vec<usize> =
            fitting(Role::Time, names).into_iter().filter(|at| free.contains(at)).collect();
        let of = |at: usize| found.iter().find(|(other, _)| *other == at).map(|(_, detection)| detection);
        let timed = |at: usize| match of(at) {
            Some(Detection::Absolute { reader, resolution, counts }) => {
                Some(Timed { at, reader: reader.clone(), resolution: *resolution, counts: *counts })
            }
            _ => None,
        };
        let of_day = found.iter().find(|(_, detection)| matches!(detection, Detection::TimeOfDay));
        let of_day = of_day.map(|(at, _)| *at);
        if let Some(best) = named.iter().copied().find_map(timed) {
            return Ok(Some(self.finer(best, named.iter().copied().filter_map(timed), of_day)));
        }
        // Ids may look like times, and any number has a time in a unit that an option gives.
        let item = self.named(Role::Item, taken)?;
        let is_time = |column: &Timed| column.counts.outside * ONE_IN <= column.counts.values;
        let others = free.iter().copied().filter(|at| Some(*at) != item);
        let by_values: Vec<Timed> = others.filter_map(timed).filter(is_time).collect();
        if !by_values.is_empty() {
            let finest = self.finest(by_values)?;
            return Ok(Some(match of_day.filter(|_| finest.resolution == Resolution::Day) {
                Some(of_day) => self.finer(finest, std::iter::empty(), Some(of_day)),
                None => TimeSource::Column(self.column(finest.at), finest.reader),
            }));
        }
        // A counter or a question, in a column whose name fits or, without names, in any.
        let is_named = |at: &usize| names.is_empty() || named.contains(at);
        let order = if names.is_empty() { &free } else { &named };
        for &at in order {
            match of(at) {
                Some(Detection::Counter { reader }) if !names.is_empty() => {
                    return Ok(Some(TimeSource::Column(self.column(at), reader.clone())));
                }
                Some(Detection::Ambiguous { .. } | Detection::Refused { .. }) if is_named(&at) => {
                    return self.in_column(at, earlier).map(Some);
                }
                _ => {}
            }
        }
        if let Some(&at) = named.first() {
            return self.in_column(at, earlier).map(Some);
        }
        if names.is_empty()
            && let Some((at, Detection::Counter { reader })) = found.last()
            && *at == self.sample.count - 1
            && free.len() + taken.len() == 3
        {
            self.guesses.push(format!("{} is a counter", self.sample.label(*at)));
            return Ok(Some(TimeSource::Column(self.column(*at), reader.clone())));
        }
        let reason = "no column holds times; if the rows are in the order of the events, set `order` to rows";
        self.missing.push((Role::Time, reason.to_owned()));
        Ok(None)
    }

    /// The times of these items: where they are in a list, a column of times beside them goes before one outside.
    ///
    /// # Errors
    /// [`Error::AmbiguousLog`] for times in a list of items that are not.
    pub(super) fn beside(&mut self, item: usize, time: TimeSource) -> Result<TimeSource> {
        let TimeSource::Column(column, _) = &time else { return Ok(time) };
        let in_list = |at: usize| self.sample.in_lists.contains(&at);
        if in_list(column.at) && !in_list(item) {
            return Err(self.asks(&format!(
                "{} is in a list, whose elements would be events of their own, and {} is not: name other columns by `time_column` and `item_column`",
                column.label,
                self.sample.label(item)
            )));
        }
        let names = self.sample.names.as_deref().unwrap_or_default();
        let list = |at: usize| names.get(at).and_then(|name| name.rsplit_once('.')).map(|(list, _)| list);
        if !in_list(item) || in_list(column.at) || list(item).is_none() || self.options.time_column.is_some()
        {
            return Ok(time);
        }
        let named = fitting(Role::Time, names).into_iter().filter(|&at| list(at) == list(item));
        let found = named.filter_map(|at| match self.detect(at) {
            Detection::Absolute { reader, .. } => Some((at, reader)),
            _ => None,
        });
        let found: Vec<(usize, TimeReader)> = found.take(1).collect();
        match found.into_iter().next() {
            None => Ok(time),
            Some((at, reader)) => {
                self.guesses.push(format!("{} is beside the items", self.sample.label(at)));
                Ok(TimeSource::Column(self.column(at), reader))
            }
        }
    }

    /// The times of a column that was chosen.
    fn in_column(&self, at: usize, earlier: Option<&Columns>) -> Result<TimeSource> {
        let column = self.column(at);
        let detection = match &column.constant {
            Some(value) => detect(&[value], &self.reader, now()),
            None => self.detect(at),
        };
        match (detection, earlier.map(|columns| &columns.time)) {
            (Detection::Absolute { reader, .. } | Detection::Counter { reader }, _) => {
                Ok(TimeSource::Column(column, reader))
            }
            (Detection::Ambiguous { .. }, Some(TimeSource::Column(other, reader)))
                if other.label == column.label =>
            {
                Ok(TimeSource::Column(column, reader.clone()))
            }
            (other, _) => Err(self.no_times(&column.label, other)),
        }
    }

    /// `best`, unless it holds days only and another column is finer or holds the times of day.
    fn finer(
        &mut self,
        best: Timed,
        mut others: impl Iterator<Item = Timed>,
        of_day: Option<usize>,
    ) -> TimeSource {
        if best.resolution == Resolution::Day {
            if let Some(other) = others.find(|other| other.resolution < Resolution::Day) {
                let (finer, coarser) = (self.sample.label(other.at), self.sample.label(best.at));
                self.guesses.push(format!("{finer} is finer than {coarser}"));
                return TimeSource::Column(self.column(other.at), other.reader);
            }
            if let Some(at) = of_day {
                let (days, times) = (self.sample.label(best.at), self.sample.label(at));
                self.guesses.push(format!("{days} holds days and {times} times of day"));
                return TimeSource::DayAndTime(self.column(best.at), best.reader, self.column(at));
            }
            self.warn_of_clock(best.at);
        }
        TimeSource::Column(self.column(best.at), best.reader)
    }

    /// Warns if a column beside days is called as one of times of day, which it is not as it is written.
    fn warn_of_clock(&mut self, days: usize) {
        const NAMES: [&str; 6] = ["time", "timeofday", "hour", "clock", "uhrzeit", "eventhour"];
        let names = self.sample.names.as_deref().unwrap_or_default();
        let clock = |at: &usize| *at != days && NAMES.contains(&normalized(&names[*at]).as_str());
        if let Some(at) = (0..names.len()).find(clock) {
            self.warnings.push(format!(
                "{} holds days, and {} is not used: if it holds times of day, write them as 07:08:23, or the events of a day have no order",
                self.sample.label(days),
                self.sample.label(at)
            ));
        }
    }

    /// The column with the finest times, if there is one.
    fn finest(&mut self, columns: Vec<Timed>) -> Result<Timed> {
        let only = columns.len() == 1;
        let finest = columns.iter().map(|column| column.resolution).min();
        let mut finest: Vec<Timed> = columns.into_iter().filter(|c| Some(c.resolution) == finest).collect();
        if finest.len() > 1 {
            let labels: Vec<String> = finest.iter().map(|column| self.sample.label(column.at)).collect();
            let question = format!("{} hold times: name one of them by `time_column`", labels.join(" and "));
            return Err(Error::AmbiguousLog { path: self.path.to_owned(), question });
        }
        let Some(column) = finest.pop() else { return Err(self.missing_columns()) };
        let what = if only { "is the only one with times" } else { "has the finest times" };
        self.guesses.push(format!("{} {what}: {}", self.sample.label(column.at), column.how_sure()));
        Ok(column)
    }

    fn detect(&self, at: usize) -> Detection {
        if let Some((_, unit)) = self.sample.typed.iter().find(|(typed, _)| *typed == at) {
            let texts: Vec<&str> = self.sample.values(at).collect();
            let reader = self.reader.with_unit(*unit);
            return match detect(&texts, &self.reader.with_unit(TimeUnit::Iso), now()) {
                Detection::Absolute { resolution, counts, .. } => {
                    Detection::Absolute { reader, resolution, counts }
                }
                _ => {
                    let (resolution, counts) = (Resolution::Finer, Counts::default());
                    Detection::Absolute { reader, resolution, counts }
                }
            };
        }
        let values: Vec<&str> = self.sample.values(at).collect();
        detect(&values, &self.reader, now())
    }

    /// The error for a column that was expected to hold times.
    fn no_times(&self, label: &str, detection: Detection) -> Error {
        let question = match detection {
            Detection::Ambiguous { question } => format!("{label}: {question}"),
            Detection::Refused { reason } => format!("{label}: {reason}"),
            Detection::TimeOfDay => format!("{label} holds times of day, and there is no column of days"),
            Detection::NotTimes { example } => {
                format!("{label}: \"{}\" is no time; {}", shortened(&example), TimeUnit::UNDERSTOOD)
            }
            Detection::Absolute { .. } | Detection::Counter { .. } => format!("{label} holds times"),
        };
        Error::AmbiguousLog { path: self.path.to_owned(), question }
    }
}

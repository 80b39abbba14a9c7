//! The columns of a log: which one holds the sessions, the items, the times, and the order of events.
//!
//! A column is found by its name ([`Role`]). Times are found by their values, too, since a name says little about what is
//! in a column: a log may have a day and a time, or times in several columns. Without names, the times are the only
//! column of times, and the first two others are sessions and items. Two columns that fit equally well are an error that
//! asks for the option.

mod found;
mod times;

use super::kinds;
use super::lists;
use super::names::{Role, find_wanted, fitting, is_per_user, normalized, shortened};
use super::options::{Condition, ReadOptions};
use super::parts::Partition;
use super::time::reader::TimeReader;
use crate::error::{Error, Result};
pub(super) use found::{Column, Columns, Sample, TimeSource};
use std::path::Path;

/// Finds the columns of a log.
///
/// `earlier` are the columns of a file that was read before: where a time column can be read in two ways, it is read as
/// in that file.
///
/// # Errors
/// [`Error::MissingColumn`] with all that are missing, [`Error::AmbiguousLog`] where two readings are equally good,
/// [`Error::Config`] for a column with two meanings.
pub(super) fn find(
    path: &Path,
    options: &ReadOptions,
    sample: &Sample,
    partitions: &[Partition],
    earlier: Option<&Columns>,
) -> Result<Columns> {
    let reader =
        TimeReader::new(options.time_unit, options.time_format.as_deref(), options.timezone.as_deref())?;
    Finder { path, options, reader, sample, partitions, guesses: Vec::new(), missing: Vec::new() }
        .find(earlier)
}

struct Finder<'a> {
    path: &'a Path,
    options: &'a ReadOptions,
    /// How times are read as far as options determine it.
    reader: TimeReader,
    sample: &'a Sample,
    partitions: &'a [Partition],
    guesses: Vec<String>,
    /// Why a column was not found, role by role.
    missing: Vec<(Role, String)>,
}

impl Finder<'_> {
    fn find(mut self, earlier: Option<&Columns>) -> Result<Columns> {
        let options = self.options;
        let session: Vec<Option<usize>> =
            options.session_column.iter().map(|wanted| self.wanted(Role::Session, wanted)).collect();
        let user = options.user_column.as_ref().map(|wanted| self.wanted(Role::User, wanted));
        let item = options.item_column.as_ref().map(|wanted| self.wanted(Role::Item, wanted));
        let time = options.time_column.as_ref().map(|wanted| self.wanted(Role::Time, wanted));
        let order = options.order_column.as_ref().map(|wanted| self.wanted(Role::Order, wanted));
        let mut conditions = Vec::new();
        for condition in &options.conditions {
            match self.position(&condition.column) {
                Some(at) => conditions.push((at, condition)),
                None => {
                    let reason = format!(
                        "there is no column `{}`; the file has {}",
                        shortened(&condition.column),
                        self.columns_of_file()
                    );
                    return Err(Error::config("where", reason));
                }
            }
        }
        let mut taken: Vec<usize> = Vec::new();
        let given = session.iter().chain(&user).map(|at| (Role::Session, *at));
        let given = given.chain(item.map(|at| (Role::Item, at))).chain(time.map(|at| (Role::Time, at)));
        for (role, at) in given.chain(order.map(|at| (Role::Order, at))) {
            let Some(at) = at else { continue };
            if taken.contains(&at) {
                let reason =
                    format!("{} already has another meaning: name another column", self.column(at).label);
                return Err(Error::config(role.option(), reason));
            }
            taken.push(at);
        }
        let (key, watched) = self.session_key(&session, user, &mut taken);
        let order = match order {
            Some(order) => order,
            None => self.named(Role::Order, &taken),
        };
        taken.extend(order);
        // Before the item: without names, the item is the first column that is no time.
        let time = self.time(time, &taken, earlier)?;
        match &time {
            Some(TimeSource::Column(column, _)) => taken.push(column.at),
            Some(TimeSource::DayAndTime(day, _, time)) => taken.extend([day.at, time.at]),
            _ => {}
        }
        let item = match item {
            Some(item) => item,
            None => self.item(&mut taken, key.as_deref())?,
        };
        taken.extend(item);
        let has_lists = item.is_some_and(|item| lists::are_lists(self.sample.values(item)));
        if let (Some(item), true) = (item, has_lists) {
            self.guesses
                .push(format!("{} holds lists of items, each of which is an event", self.sample.label(item)));
        }
        let key = key.or_else(|| self.unnamed_session(item, &taken, has_lists));
        let (Some(key), Some(item), Some(time), true) = (key, item, time, self.missing.is_empty()) else {
            return Err(self.missing_columns());
        };
        let conditions_of = |(at, condition): &(usize, &Condition)| {
            let values = condition.values.iter().map(|value| value.as_bytes().to_vec()).collect();
            (self.column(*at), values, condition.excludes)
        };
        let unused = |at: &usize| {
            !taken.contains(at) && !conditions.iter().any(|(used, _)| used == at) && !key.contains(at)
        };
        let few_values = (0..self.sample.count).filter(unused).filter_map(|at| {
            let name = self.sample.names.as_ref().map(|names| names[at].as_str());
            kinds::of(name, at + 1, self.sample.values(at), self.sample.label(at))
        });
        let few_values = few_values.collect();
        Ok(Columns {
            session: key.iter().map(|&at| self.column(at)).collect(),
            item: self.column(item),
            has_lists,
            time,
            order: order.map(|at| self.column(at)),
            user: watched.map(|at| self.column(at)),
            conditions: conditions.iter().map(conditions_of).collect(),
            guesses: self.guesses,
            few_values,
        })
    }

    /// The columns of the session's key, and a user column beside them; `None` if the session is still to be found by
    /// position.
    fn session_key(
        &mut self,
        session: &[Option<usize>],
        user: Option<Option<usize>>,
        taken: &mut Vec<usize>,
    ) -> (Option<Vec<usize>>, Option<usize>) {
        if !session.is_empty() || user.is_some() {
            let key = user.flatten().into_iter().chain(session.iter().copied().flatten()).collect();
            let watched = if user.is_none() { self.named(Role::User, taken) } else { None };
            return (Some(key), watched);
        }
        let (session, user) = (self.named(Role::Session, taken), self.named(Role::User, taken));
        let names = self.sample.names.as_deref().unwrap_or_default();
        match (session, user) {
            (Some(session), user) if is_per_user(&names[session]) => {
                let Some(user) = user else {
                    let reason = format!(
                        "{} counts the sessions of each user, and no user column was found (name it by `user_column`)",
                        self.sample.label(session)
                    );
                    self.missing.push((Role::Session, reason));
                    return (Some(vec![session]), None);
                };
                self.guesses.push(format!(
                    "{} counts the sessions of each user, so that user and session are the key together",
                    self.sample.label(session)
                ));
                taken.extend([user, session]);
                (Some(vec![user, session]), None)
            }
            (Some(session), user) => {
                taken.extend([Some(session), user].into_iter().flatten());
                (Some(vec![session]), user)
            }
            (None, Some(user)) => {
                if self.options.session_gap.is_none() {
                    let reason = format!(
                        "{} holds users, and there is no session column: set `session_gap` (such as 30m) to cut the users' events into sessions at pauses",
                        self.sample.label(user)
                    );
                    self.missing.push((Role::Session, reason));
                }
                taken.push(user);
                (Some(vec![user]), None)
            }
            (None, None) => (None, None),
        }
    }

    /// The session column of a log in which none was found by name.
    fn unnamed_session(
        &mut self,
        item: Option<usize>,
        taken: &[usize],
        has_lists: bool,
    ) -> Option<Vec<usize>> {
        if self.sample.names.is_none() {
            let session = (0..self.sample.count).find(|at| !taken.contains(at));
            return match session {
                Some(session) => Some(vec![session]),
                None => {
                    self.missing
                        .push((Role::Session, "the file has no header, and too few columns".to_owned()));
                    None
                }
            };
        }
        if has_lists && item.is_some() {
            self.guesses
                .push("there is no session column and items are lists: every row is a session".to_owned());
            return Some(Vec::new());
        }
        self.missing.push((Role::Session, none_is_called(Role::Session)));
        None
    }

    /// The column whose name fits a role best.
    fn named(&self, role: Role, taken: &[usize]) -> Option<usize> {
        let fitting = fitting(role, self.sample.names.as_deref()?);
        fitting.into_iter().find(|at| !taken.contains(at))
    }

    /// The item column: by its name or, in a log without names, the first other column after the session's.
    fn item(&mut self, taken: &mut Vec<usize>, key: Option<&[usize]>) -> Result<Option<usize>> {
        if let Some(item) = self.named(Role::Item, taken) {
            return Ok(Some(item));
        }
        if self.sample.names.is_some() {
            self.missing.push((Role::Item, none_is_called(Role::Item)));
            return Ok(None);
        }
        let mut free = (0..self.sample.count).filter(|at| !taken.contains(at));
        if key.is_none() {
            // The first free column is the session's.
            taken.extend(free.next());
        }
        let free: Vec<usize> = (0..self.sample.count).filter(|at| !taken.contains(at)).collect();
        if key.is_none() {
            taken.pop();
        }
        let Some(&first) = free.first() else {
            self.missing.push((Role::Item, "the file has no header, and too few columns".to_owned()));
            return Ok(None);
        };
        // Of items and what is said of them (artist and track, product and category), items have the most values.
        let distinct: Vec<usize> = free.iter().map(|&at| self.sample.distinct(at)).collect();
        let most = distinct.iter().copied().max().unwrap_or(0);
        if distinct[0] * 10 < most * 9 && most > 3 {
            let columns: Vec<String> = free
                .iter()
                .zip(&distinct)
                .map(|(&at, count)| {
                    let example = self.sample.values(at).next().map(shortened).unwrap_or_default();
                    format!("{} ({count} values, such as {example})", self.sample.label(at))
                })
                .collect();
            let question = format!(
                "the file has no header, and several columns may be the items: {}; name one by `item_column`",
                columns.join(", ")
            );
            return Err(Error::AmbiguousLog { path: self.path.to_owned(), question });
        }
        Ok(Some(first))
    }

    /// The position of a column that an option gives, among those of the file and its folders.
    fn position(&self, wanted: &str) -> Option<usize> {
        let in_file = find_wanted(wanted, self.sample.names.as_deref(), self.sample.count);
        in_file.or_else(|| {
            let keys: Vec<String> = self.partitions.iter().map(|partition| partition.key.clone()).collect();
            Some(self.sample.count + find_wanted(wanted, Some(&keys), 0)?)
        })
    }

    fn wanted(&mut self, role: Role, wanted: &str) -> Option<usize> {
        let found = self.position(wanted);
        if found.is_none() {
            let names = self.sample.names.as_deref().unwrap_or_default();
            let close = names
                .iter()
                .map(|n| (strsim::jaro_winkler(&normalized(n), &normalized(wanted)), n))
                .filter(|(similarity, _)| *similarity > 0.8)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            self.missing.push((
                role,
                match (close, &self.sample.names) {
                    (Some((_, name)), _) => {
                        format!("there is no column `{wanted}` (is it `{}`?)", shortened(name))
                    }
                    (None, Some(_)) => format!("there is no column `{wanted}`"),
                    (None, None) => format!("the file has no header and no column `{wanted}`"),
                },
            ));
        }
        found
    }

    fn column(&self, at: usize) -> Column {
        match at.checked_sub(self.sample.count).and_then(|at| self.partitions.get(at)) {
            Some(partition) => Column {
                at,
                label: format!("the folder's column {}", shortened(&partition.key)),
                constant: Some(partition.value.clone()),
            },
            None => Column { at, label: self.sample.label(at), constant: None },
        }
    }

    fn missing_columns(&self) -> Error {
        let looked_for: Vec<String> = self
            .missing
            .iter()
            .map(|(role, reason)| {
                format!("no {} column: {reason} (`{}` names it)", role.name(), role.option())
            })
            .collect();
        Error::MissingColumn {
            path: self.path.to_owned(),
            role: self.missing.first().map_or("session", |(role, _)| role.name()),
            looked_for: looked_for.join("; "),
            columns: self.columns_of_file(),
        }
    }

    fn columns_of_file(&self) -> String {
        let keys: Vec<String> = self.partitions.iter().map(|partition| shortened(&partition.key)).collect();
        let folders = if keys.is_empty() {
            String::new()
        } else {
            format!(", and its folders give {}", keys.join(", "))
        };
        let columns = match (&self.sample.names, self.sample.count) {
            (Some(names), _) => {
                let shown: Vec<String> = names.iter().take(30).map(|n| shortened(n)).collect();
                format!("the columns {}", shown.join(", "))
            }
            (None, 1) => "1 column".to_owned(),
            (None, count) => format!("{count} columns"),
        };
        format!("{columns}{folders}")
    }
}

fn none_is_called(role: Role) -> String {
    format!("none is called {} or the like", role.known_names()[..3].join(", "))
}

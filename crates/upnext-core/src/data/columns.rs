//! The columns of a log: which one holds the sessions, the items, the times, and the order of events.
//!
//! A column is found by its name ([`Role`]). Times are found by their values, too, since a name says little about what is
//! in a column: a log may have a day and a time, or times in several columns. Without names, the times are the only
//! column of times, and the first two others are sessions and items. Two columns that fit equally well are an error that
//! asks for the option.

mod found;
mod times;
mod unnamed;

use super::cells::order_of_text;
use super::few_values;
use super::lists;
use super::names::{Role, find_wanted, fitting, is_per_user, normalized, shortened};
use super::options::{Condition, Lists, ReadOptions};
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
    let kept = sample.meeting(&options.conditions);
    let sample = kept.as_ref().unwrap_or(sample);
    let reader =
        TimeReader::new(options.time_unit, options.time_format.as_deref(), options.timezone.as_deref())?;
    Finder {
        path,
        options,
        reader,
        sample,
        partitions,
        guesses: Vec::new(),
        warnings: Vec::new(),
        missing: Vec::new(),
    }
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
    warnings: Vec<String>,
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
        let order = match options.order_column.as_deref() {
            None => None,
            Some(none) if none == "none" && self.position(none).is_none() => Some(None),
            Some(wanted) => Some(self.wanted(Role::Order, wanted)),
        };
        let mut conditions = Vec::new();
        for condition in &options.conditions {
            match self.position(&condition.column) {
                Some(at) => conditions.push((at, condition)),
                None => {
                    let close = self.close_to(&condition.column);
                    let reason = format!(
                        "there is no column `{}`{}; the file has {}",
                        shortened(&condition.column),
                        close.map(|name| format!(" (is it `{name}`?)")).unwrap_or_default(),
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
        let (key, watched) = self.session_key(&session, user, &mut taken)?;
        let order = match order {
            Some(order) => order,
            // Two columns that fit are none that was asked for.
            None => self.named(Role::Order, &taken).unwrap_or_default(),
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
            None => self.item(&taken, key.as_deref())?,
        };
        taken.extend(item);
        let has_lists = match options.item_lists {
            Lists::Auto => item.is_some_and(|item| lists::are_lists(self.sample.values(item))),
            Lists::Yes => true,
            Lists::No => false,
        };
        if let (Some(item), true) = (item, has_lists) {
            self.guesses.push(format!(
                "{} holds lists of items, each of which is an event (set `item_lists` to no if they are ids)",
                self.sample.label(item)
            ));
        }
        let time = match (time, item) {
            (Some(time), Some(item)) => Some(self.beside(item, time)?),
            (time, _) => time,
        };
        let are_rows = has_lists || item.is_some_and(|item| self.sample.in_lists.contains(&item));
        let by_position = key.is_none() && self.sample.names.is_none();
        let key = key.or_else(|| self.unnamed_session(item, &taken, are_rows));
        if let (Some([session]), Some(item), Some(time), true) = (key.as_deref(), item, &time, by_position) {
            self.doubt(*session, item, time)?;
            self.guesses.push(format!(
                "there is no header: {} are the sessions and {} the items",
                self.sample.label(*session),
                self.sample.label(item)
            ));
        }
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
            few_values::of(name, at + 1, self.sample.values(at), self.sample.label(at))
        });
        let few_values = few_values.collect();
        Ok(Columns {
            session: key.iter().map(|&at| self.column(at)).collect(),
            item: self.column(item),
            has_lists,
            in_list: self.sample.in_lists.contains(&item)
                && !matches!(&time, TimeSource::Column(column, _) if self.sample.in_lists.contains(&column.at)),
            time,
            order: order.map(|at| self.column(at)),
            user: watched.map(|at| self.column(at)),
            conditions: conditions.iter().map(conditions_of).collect(),
            guesses: self.guesses,
            warnings: self.warnings,
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
    ) -> Result<(Option<Vec<usize>>, Option<usize>)> {
        if !session.is_empty() || user.is_some() {
            let mut key: Vec<usize> =
                user.flatten().into_iter().chain(session.iter().copied().flatten()).collect();
            if session.is_empty()
                && self.options.session_gap.is_none()
                && let Some(session) = self.named(Role::Session, taken)?
            {
                self.guesses.push(format!(
                    "{} and the user are the key together (set `session_gap` to cut the users' events instead)",
                    self.sample.label(session)
                ));
                taken.push(session);
                key.push(session);
            }
            let watched =
                if user.is_none() { self.named(Role::User, taken).unwrap_or_default() } else { None };
            return Ok((Some(key), watched));
        }
        let session = self.named(Role::Session, taken)?;
        let user = match self.named(Role::User, taken) {
            Err(error) if session.is_none() => return Err(error),
            user => user.unwrap_or_default(),
        };
        let names = self.sample.names.as_deref().unwrap_or_default();
        Ok(match (session, user) {
            (Some(session), user) if is_per_user(&names[session]) => {
                let Some(user) = user else {
                    let reason = format!(
                        "{} counts the sessions of each user, and no user column was found (name it by `user_column`)",
                        self.sample.label(session)
                    );
                    self.missing.push((Role::Session, reason));
                    return Ok((Some(vec![session]), None));
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
        })
    }

    /// The session column of a log in which none was found by name.
    fn unnamed_session(
        &mut self,
        item: Option<usize>,
        taken: &[usize],
        has_lists: bool,
    ) -> Option<Vec<usize>> {
        if self.sample.names.is_none() && !has_lists {
            let others: Vec<usize> = taken.iter().copied().filter(|at| Some(*at) != item).collect();
            let session = self.id_columns(&others).into_iter().find(|at| Some(*at) != item);
            if session.is_none() {
                let reason = "the file has no header, and too few columns".to_owned();
                self.missing.push((Role::Session, reason));
            }
            return session.map(|session| vec![session]);
        }
        if has_lists && item.is_some() {
            self.guesses
                .push("there is no session column and items are lists: every row is a session".to_owned());
            return Some(Vec::new());
        }
        self.missing.push((Role::Session, none_is_called(Role::Session)));
        None
    }

    /// The column whose name fits a role best, and whose values may have it.
    ///
    /// # Errors
    /// [`Error::AmbiguousLog`] if two of different values fit equally well.
    fn named(&self, role: Role, taken: &[usize]) -> Result<Option<usize>> {
        let Some(names) = self.sample.names.as_deref() else { return Ok(None) };
        let free: Vec<usize> = fitting(role, names).into_iter().filter(|at| !taken.contains(at)).collect();
        let is_likely = |at: &usize| self.may_be(role, *at);
        let Some(best) = free.iter().copied().find(is_likely) else {
            // Messages will say what is wrong with it.
            return Ok(free.first().copied().filter(|_| role != Role::Order));
        };
        let fit = |at: usize| role.fit(&names[at]);
        let is_as_good = |&at: &usize| {
            fit(at) == fit(best) && self.sample.columns.get(at) != self.sample.columns.get(best)
        };
        match free.iter().copied().filter(|at| *at != best && is_likely(at)).find(is_as_good) {
            None => Ok(Some(best)),
            Some(other) => Err(self.asks(&format!(
                "{} and {} may both hold the {}s: name one by `{}`",
                self.sample.label(best),
                self.sample.label(other),
                role.name(),
                role.option()
            ))),
        }
    }

    /// Whether the values of a column may be those of a role that its name fits.
    fn may_be(&self, role: Role, at: usize) -> bool {
        let mut values = self.sample.values(at).peekable();
        if values.peek().is_none() {
            // Without any value, where other columns have some.
            return (0..self.sample.count).all(|at| self.sample.values(at).next().is_none());
        }
        match role {
            Role::Order => values.all(|text| order_of_text(text.as_bytes()).is_some()),
            Role::Item => !self.is_constant(at),
            Role::Session | Role::User | Role::Time => true,
        }
    }

    /// Whether a column has one value in many rows, as what is said of a whole log has.
    fn is_constant(&self, at: usize) -> bool {
        const MANY: usize = 20;
        self.sample.values(at).take(MANY).count() == MANY && self.sample.distinct(at) == 1
    }

    /// The item column: by its name or, in a log without names, the first other column after the session's.
    fn item(&mut self, taken: &[usize], key: Option<&[usize]>) -> Result<Option<usize>> {
        if let Some(item) = self.named(Role::Item, taken)? {
            if self.is_constant(item) {
                self.warnings.push(format!(
                    "{} has one value in all of the first rows: is it the item column? `item_column` names another",
                    self.sample.label(item)
                ));
            }
            return Ok(Some(item));
        }
        if self.sample.names.is_some() {
            self.missing.push((Role::Item, none_is_called(Role::Item)));
            return Ok(None);
        }
        let item = self.unnamed_item(taken, key.is_some())?;
        if item.is_none() {
            let reason = "the file has no header, and too few columns".to_owned();
            self.missing.push((Role::Item, reason));
        }
        Ok(item)
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
            let close = self.close_to(wanted);
            self.missing.push((
                role,
                match (close, &self.sample.names) {
                    (Some(name), _) => {
                        format!("there is no column `{wanted}` (is it `{name}`?)")
                    }
                    (None, Some(_)) => format!("there is no column `{wanted}`"),
                    (None, None) => format!("the file has no header and no column `{wanted}`"),
                },
            ));
        }
        found
    }

    /// The column whose name is closest to one that there is not.
    fn close_to(&self, wanted: &str) -> Option<String> {
        let wanted = normalized(wanted);
        let names = self.sample.names.as_deref().unwrap_or_default();
        let similarity = |name: &String| {
            let last = normalized(name.rsplit_once('.').map_or(name, |(_, last)| last));
            let similarity = strsim::jaro_winkler(&normalized(name), &wanted);
            similarity.max(strsim::jaro_winkler(&last, &wanted))
        };
        let close =
            names.iter().map(|name| (similarity(name), name)).filter(|(similarity, _)| *similarity > 0.8);
        close.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| shortened(name))
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
    let examples = match role {
        Role::Session => "session_id, session, visit_id",
        Role::User => "user_id, visitor_id, client_id",
        Role::Item => "item_id, product_id, article_id",
        Role::Time => "time, timestamp, event_time",
        Role::Order => "position, step, sequence",
    };
    format!("none is called {examples} or the like")
}

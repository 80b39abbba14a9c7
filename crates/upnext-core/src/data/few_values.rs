//! Columns of few values, such as kinds of events: views, carts and purchases in one log.

use super::names::{normalized, shortened};
use super::report::ColumnValues;
use std::collections::BTreeMap;

/// Names of such columns, [`normalized`]; a column `type` is one by its values.
const NAMES: [&str; 19] = [
    "event",
    "eventtype",
    "eventname",
    "eventkind",
    "eventstype",
    "hittype",
    "isclick",
    "clicked",
    "iscart",
    "action",
    "actiontype",
    "productaction",
    "behavior",
    "behaviour",
    "behaviortype",
    "feedbacktype",
    "interactiontype",
    "activity",
    "kind",
];

/// Values of such columns, [`normalized`].
const VALUES: [&str; 25] = [
    "view",
    "viewed",
    "page",
    "click",
    "clicked",
    "clicks",
    "pv",
    "pageview",
    "impression",
    "cart",
    "carts",
    "addtocart",
    "buy",
    "bought",
    "read",
    "purchase",
    "order",
    "orders",
    "transaction",
    "fav",
    "wishlist",
    "like",
    "detail",
    "remove",
    "productviewed",
];

/// The most kinds that a log has.
const MOST: usize = 20;

/// How often the values of other columns are repeated at least, on average.
const REPEATS: usize = 5;

/// What is in a column of few values: it holds kinds of events, or something else that splits a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FewValues {
    /// The name of the column in messages.
    label: String,
    /// The name or position by which an option names the column.
    option: String,
    /// The values in the first rows and their numbers, most frequent first.
    values: Vec<(String, u64)>,
    /// Whether they are kinds of events.
    are_kinds: bool,
}

/// The values of a column of few values, of this name if it has one; `position` is counted from 1.
pub(super) fn of<'v>(
    name: Option<&str>,
    position: usize,
    values: impl Iterator<Item = &'v str>,
    label: String,
) -> Option<FewValues> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut number = 0;
    for value in values {
        number += 1;
        *counts.entry(value).or_default() += 1;
        if counts.len() > MOST {
            return None;
        }
    }
    let last = name.map(|name| normalized(name.rsplit_once('.').map_or(name, |(_, last)| last)));
    let is_named = last.is_some_and(|name| NAMES.contains(&name.as_str()));
    let is_known = || counts.keys().any(|value| VALUES.contains(&normalized(value).as_str()));
    let are_kinds = is_named || is_known();
    if counts.len() < 2 || !(are_kinds || number >= REPEATS * counts.len()) {
        return None;
    }
    let mut values: Vec<(String, u64)> =
        counts.into_iter().map(|(value, count)| (shortened(value), count)).collect();
    values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let option = name.map_or_else(|| position.to_string(), str::to_owned);
    Some(FewValues { label, option, values, are_kinds })
}

impl FewValues {
    /// The warning that all kinds are read, if they are kinds of events.
    pub(super) fn warning(&self) -> Option<String> {
        let kinds: Vec<String> =
            self.values.iter().take(8).map(|(kind, count)| format!("{kind} ({count})")).collect();
        let (first, _) = self.values.first().filter(|_| self.are_kinds)?;
        Some(format!(
            "{} holds kinds of events, in the first rows {}: all are read; `where` = {}={first} reads one",
            self.label,
            kinds.join(", "),
            self.option
        ))
    }

    /// The column's part of the report.
    pub(super) fn into_report(self) -> ColumnValues {
        ColumnValues { column: self.label, values: self.values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_the_name_of_the_column_or_by_their_names() {
        let of = |name, values: &[&str]| of(name, 3, values.iter().copied(), "column 3".to_owned());
        let column = of(Some("event"), &["view", "view", "transaction"]).unwrap();
        let warning = column.warning().unwrap();
        assert!(
            warning.contains("view (2), transaction (1)") && warning.contains("`where` = event=view"),
            "{warning}"
        );
        assert!(of(None, &["pv", "buy", "pv"]).unwrap().warning().unwrap().contains("3=pv"));
        assert!(of(Some("behavior_type"), &["1", "2"]).is_some());
        assert!(of(Some("event"), &["view", "view"]).is_none());
        assert!(of(Some("rating"), &["1", "2"]).is_none());
        let ratings = of(Some("rating"), &["1", "2", "2", "2", "1", "2", "2", "2", "2", "2"]).unwrap();
        assert_eq!(ratings.warning(), None);
        assert_eq!(ratings.into_report().values, [("2".to_owned(), 8), ("1".to_owned(), 2)]);
        let many: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        assert!(of(Some("type"), &["shoe", "hat"]).is_none());
        assert!(of(Some("is_click"), &["0", "1"]).is_some());
        assert!(of(Some("type"), &many.iter().map(String::as_str).collect::<Vec<_>>()).is_none());
    }
}

//! Columns of kinds of events: views, carts and purchases in one log.

use super::names::{normalized, shortened};
use std::collections::BTreeMap;

/// Names of such columns, [`normalized`].
const NAMES: [&str; 16] = [
    "event",
    "eventtype",
    "eventname",
    "eventkind",
    "type",
    "eventstype",
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
const VALUES: [&str; 20] = [
    "view",
    "click",
    "clicks",
    "pv",
    "pageview",
    "impression",
    "cart",
    "carts",
    "addtocart",
    "buy",
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

/// A column of kinds of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KindColumn {
    /// The name of the column in messages.
    label: String,
    /// The name or position by which an option names the column.
    option: String,
    /// The kinds in the first rows and their numbers, most frequent first.
    kinds: Vec<(String, usize)>,
}

/// Whether a column, of this name if it has one, holds kinds of events; `position` is counted from 1.
pub(super) fn of<'v>(
    name: Option<&str>,
    position: usize,
    values: impl Iterator<Item = &'v str>,
    label: String,
) -> Option<KindColumn> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
        if counts.len() > MOST {
            return None;
        }
    }
    let last = name.map(|name| normalized(name.rsplit_once('.').map_or(name, |(_, last)| last)));
    let is_named = last.is_some_and(|name| NAMES.contains(&name.as_str()));
    let is_known = || counts.keys().any(|value| VALUES.contains(&normalized(value).as_str()));
    if counts.len() < 2 || !(is_named || is_known()) {
        return None;
    }
    let mut kinds: Vec<(String, usize)> =
        counts.into_iter().map(|(value, count)| (shortened(value), count)).collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let option = name.map_or_else(|| position.to_string(), str::to_owned);
    Some(KindColumn { label, option, kinds })
}

impl KindColumn {
    /// The warning that all kinds are read.
    pub(super) fn warning(&self) -> String {
        let kinds: Vec<String> =
            self.kinds.iter().take(8).map(|(kind, count)| format!("{kind} ({count})")).collect();
        let first = self.kinds.first().map_or("", |(kind, _)| kind);
        format!(
            "{} holds kinds of events, in the first rows {}: all are read; `where` = {}={first} reads one",
            self.label,
            kinds.join(", "),
            self.option
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_the_name_of_the_column_or_by_their_names() {
        let of = |name, values: &[&str]| of(name, 3, values.iter().copied(), "column 3".to_owned());
        let column = of(Some("event"), &["view", "view", "transaction"]).unwrap();
        let warning = column.warning();
        assert!(
            warning.contains("view (2), transaction (1)") && warning.contains("`where` = event=view"),
            "{warning}"
        );
        assert!(of(None, &["pv", "buy", "pv"]).unwrap().warning().contains("3=pv"));
        assert!(of(Some("behavior_type"), &["1", "2"]).is_some());
        assert!(of(Some("event"), &["view", "view"]).is_none());
        assert!(of(Some("rating"), &["1", "2"]).is_none());
        let many: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        assert!(of(Some("type"), &many.iter().map(String::as_str).collect::<Vec<_>>()).is_none());
    }
}

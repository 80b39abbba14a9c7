//! The queries that write the folder: items, parts, and the statistics, which come last.

use super::{SqlOptions, SqlPlan};
use crate::data::prepare::PrepareOptions;
use crate::data::statistics::DropRule;

/// The version of the folder's format.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The training part before it is cut.
const UNCUT: &str = "upnext_split WHERE is_train = 1";

pub(super) fn add(options: &SqlOptions, plan: &mut SqlPlan) {
    let rules = &options.rules;
    plan.view("known", "The items that the training part has before it is cut", known(rules));
    plan.table(
        "test_events",
        "The events of the test sessions, with the number of those of the session on known items",
        with_known("SELECT session, item, time, place FROM upnext_split WHERE is_train = 0", "upnext_known"),
    );
    plan.view(
        "fit_items",
        "The items of the training part without the validation part",
        "SELECT DISTINCT item FROM upnext_numbered WHERE is_validation = 0".to_owned(),
    );
    plan.table(
        "validation_events",
        "The events of the validation sessions",
        with_known(
            "SELECT session, item, time, place FROM upnext_numbered WHERE is_validation = 1",
            "upnext_fit_items",
        ),
    );
    plan.folder(
        "items",
        "The vocabulary",
        "SELECT CAST(item AS INTEGER) AS item, item_id, CAST(support AS BIGINT) AS support\nFROM upnext_items ORDER BY item"
            .to_owned(),
    );
    plan.folder(
        "train",
        "The training part: items by their numbers, sessions one after the other",
        "SELECT numbered.id AS session, CAST(numbered.place AS INTEGER) AS position, CAST(items.item AS INTEGER) AS item, numbered.time,
  CAST(numbered.is_validation AS BOOLEAN) AS validation
FROM upnext_numbered AS numbered JOIN upnext_items AS items ON numbered.item = items.item_id
ORDER BY session, position"
            .to_owned(),
    );
    let least = rules.min_session_length;
    for (name, about, table, condition) in [
        ("test_all", "The test part with its events on unknown items", "upnext_test_events", String::new()),
        ("test", "The test part", "upnext_test_events", kept(least)),
        ("valid", "The validation part", "upnext_validation_events", kept(least)),
    ] {
        let query = format!(
            "SELECT session AS session_id, item AS item_id, time, CAST(position AS INTEGER) AS position\nFROM {table}{condition} ORDER BY session_id, position"
        );
        plan.folder(name, about, query);
    }
    plan.folder("statistics", "The counts; a folder with this part is complete", statistics(options));
}

/// The condition of an event of a part whose unknown items are dropped.
fn kept(least: usize) -> String {
    format!(" WHERE is_known = 1 AND remaining >= {least}")
}

fn known(rules: &PrepareOptions) -> String {
    if rules.scale == 1 {
        return "SELECT item_id AS item FROM upnext_items".to_owned();
    }
    format!("SELECT DISTINCT item FROM {UNCUT}")
}

/// Events with their positions in their sessions, and whether their items are known.
fn with_known(events: &str, known: &str) -> String {
    format!(
        "SELECT session, item, time, position, is_known, is_item, SUM(is_known) OVER (PARTITION BY session) AS remaining
FROM (
  SELECT events.session, events.item, events.time,
    ROW_NUMBER() OVER (PARTITION BY events.session ORDER BY events.place) - 1 AS position,
    CASE WHEN known.item IS NULL THEN 0 ELSE 1 END AS is_known,
    CASE WHEN items.item_id IS NULL THEN 0 ELSE 1 END AS is_item
  FROM (
    {events}
  ) AS events
  LEFT JOIN {known} AS known ON events.item = known.item
  LEFT JOIN upnext_items AS items ON events.item = items.item_id
) AS told"
    )
}

/// One row of the statistics.
struct Row<'a> {
    kind: &'a str,
    name: &'a str,
    events: String,
    sessions: String,
    rest: [&'a str; 4],
    from: String,
}

/// The columns that only parts have.
const OF_NONE: [&str; 4] = ["NULL", "NULL", "NULL", "NULL"];

fn statistics(options: &SqlOptions) -> String {
    let least = options.rules.min_session_length;
    let literal = |text: &str| options.dialect.literal(text);
    let text = serde_json::to_string(options).unwrap_or_default();
    let text = literal(&text);
    let mut rows = vec![Row {
        kind: "format",
        name: concat!("upnext ", env!("CARGO_PKG_VERSION")),
        events: FORMAT_VERSION.to_string(),
        sessions: "NULL".to_owned(),
        rest: ["NULL", "NULL", "NULL", &text],
        from: String::new(),
    }];
    let part = |name: &'static str, from: String| Row {
        kind: "part",
        name,
        events: "COUNT(*)".to_owned(),
        sessions: "COUNT(DISTINCT session)".to_owned(),
        rest: ["COUNT(DISTINCT item)", "MIN(time)", "MAX(time)", "NULL"],
        from,
    };
    rows.push(part("log", "upnext_events".to_owned()));
    rows.push(part("train", "upnext_train_events".to_owned()));
    if options.rules.scale > 1 {
        rows.push(part("uncut_train", UNCUT.to_owned()));
    }
    rows.push(part("test", format!("upnext_test_events{}", kept(least))));
    rows.push(part("test_all", "upnext_test_events".to_owned()));
    rows.push(part("fit", "upnext_numbered WHERE is_validation = 0".to_owned()));
    rows.push(part("valid", format!("upnext_validation_events{}", kept(least))));

    let rounds = (1..=options.rounds).map(|round| format!("upnext_round_{round}"));
    let mut dropped = |kind: &'static str, rule: DropRule, sessions: &str, from: String| {
        rows.push(Row {
            kind,
            name: rule.as_str(),
            events: "COUNT(*)".to_owned(),
            sessions: sessions.to_owned(),
            rest: OF_NONE,
            from,
        });
    };
    let all = "COUNT(DISTINCT session)";
    let emptied = "COUNT(DISTINCT CASE WHEN remaining = 0 THEN session END)";
    let with = |table: &str, rule: DropRule| format!("{table} WHERE rule = {}", literal(rule.as_str()));
    for (rule, sessions) in [
        (DropRule::Duplicate, "0"),
        (DropRule::Since, all),
        (DropRule::Until, all),
        (DropRule::LongSession, all),
        (DropRule::Repeat, "0"),
        (DropRule::ShortSession, all),
    ] {
        dropped("dropped", rule, sessions, with("upnext_events", rule));
    }
    for table in rounds {
        dropped("dropped", DropRule::RareItem, emptied, with(&table, DropRule::RareItem));
        dropped(
            "dropped",
            DropRule::ShortSessionAfterItems,
            all,
            with(&table, DropRule::ShortSessionAfterItems),
        );
    }
    for (kind, table) in
        [("dropped", "upnext_test_events"), ("dropped_from_valid", "upnext_validation_events")]
    {
        dropped(kind, DropRule::UnknownItem, emptied, format!("{table} WHERE is_known = 0"));
        let short = format!("{table} WHERE is_known = 1 AND remaining < {least}");
        dropped(kind, DropRule::ShortTestSession, all, short);
    }
    if options.rules.scale > 1 {
        let fewer = |count: &str| {
            format!("(SELECT {count} FROM {UNCUT}) - (SELECT {count} FROM upnext_train_events)")
        };
        rows.push(Row {
            kind: "dropped",
            name: DropRule::BeforeLastPairs.as_str(),
            events: fewer("COUNT(*)"),
            sessions: fewer(all),
            rest: OF_NONE,
            from: String::new(),
        });
    }
    for (name, table, flag) in
        [("test", "upnext_test_events", "is_item"), ("valid", "upnext_validation_events", "is_known")]
    {
        rows.push(Row {
            kind: "clicks",
            name,
            events: "COUNT(*)".to_owned(),
            sessions: format!("COUNT(*) - SUM({flag})"),
            rest: OF_NONE,
            from: format!("{table} WHERE position > 0"),
        });
    }
    rows.push(Row {
        kind: "bad_rows",
        name: "all",
        events: "SUM(total)".to_owned(),
        sessions: "SUM(total) - (SELECT COUNT(*) FROM upnext_events)".to_owned(),
        rest: OF_NONE,
        from: "upnext_bad_rows".to_owned(),
    });
    let selects = rows.iter().enumerate().map(|(place, row)| row.select(options, place));
    format!(
        "SELECT CAST(place AS INTEGER) AS place, kind, name, events, sessions, items, first_time, last_time, text\nFROM (\n{}\n) AS counts ORDER BY place",
        selects.collect::<Vec<_>>().join("\n  UNION ALL\n")
    )
}

impl Row<'_> {
    fn select(&self, options: &SqlOptions, place: usize) -> String {
        let dialect = options.dialect;
        let number = |expression: &str| format!("CAST({expression} AS BIGINT)");
        let [items, first, last, text] = self.rest;
        let from = if self.from.is_empty() { String::new() } else { format!(" FROM {}", self.from) };
        format!(
            "  SELECT {place} AS place, {} AS kind, {} AS name, {} AS events, {} AS sessions, {} AS items, {} AS first_time, {} AS last_time, {} AS text{from}",
            dialect.literal(self.kind),
            dialect.literal(self.name),
            number(&self.events),
            number(&self.sessions),
            number(items),
            number(first),
            number(last),
            dialect.text(text),
        )
    }
}

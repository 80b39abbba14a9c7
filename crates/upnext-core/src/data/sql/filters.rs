//! The queries that read the log and apply the filters that do not depend on the split.

use super::{SqlOptions, SqlPlan};
use crate::data::ids::MAX_ID_BYTES;

/// The order of events that have none in the order column: behind the others of their time.
const LAST: i64 = i64::MAX;

pub(super) fn add(options: &SqlOptions, plan: &mut SqlPlan) {
    plan.view(
        "rows",
        "The log: ids as text, times in microseconds since 1970, NULL for what is missing",
        rows(options),
    );
    plan.table(
        "bad_rows",
        "Rows that are no event, by reason. All but the total should be 0: such rows are left out",
        bad_rows(options),
    );
    plan.table(
        "events",
        "All events with their places in their sessions, and the rule that drops one",
        events(options),
    );
    let mut kept = "upnext_events".to_owned();
    for round in 1..=options.rounds {
        kept = plan.table(
            &format!("round_{round}"),
            "Rare items are dropped, then sessions that have become short. Where filters shall be repeated, another round follows as long as this one has a row with a rule",
            round_of(options, &kept),
        );
    }
    plan.view(
        "clean",
        "The events that are left",
        format!("SELECT session, item, time, place FROM {kept} WHERE rule IS NULL"),
    );
}

fn rows(options: &SqlOptions) -> String {
    let dialect = options.dialect;
    let session = match &options.session[..] {
        [column] => dialect.id(&column.name, column.form, options.keep_null_ids),
        several => {
            let part = |column: &super::IdColumn| {
                let id = dialect.id(&column.name, column.form, options.keep_null_ids);
                format!("replace(replace({id}, '%', '%25'), '/', '%2F')")
            };
            several.iter().map(part).collect::<Vec<_>>().join(" || '/' || ")
        }
    };
    let item = dialect.id(&options.item.name, options.item.form, options.keep_null_ids);
    let time = dialect.micros(&options.time, options.time_form);
    let order = match &options.order {
        Some(column) => format!("COALESCE(CAST({} AS BIGINT), {LAST})", dialect.name(column)),
        None => "CAST(0 AS BIGINT)".to_owned(),
    };
    let source = &options.source;
    format!(
        "SELECT\n  {session} AS session,\n  {item} AS item,\n  {time} AS time,\n  {order} AS ord\nFROM {source} AS log"
    )
}

/// The condition that a row is an event.
fn is_event(options: &SqlOptions) -> String {
    let long = |column: &str| format!("{} <= {MAX_ID_BYTES}", options.dialect.bytes(column));
    format!("time IS NOT NULL AND {} AND {}", long("session"), long("item"))
}

fn bad_rows(options: &SqlOptions) -> String {
    let count = |condition: &str, name: &str| {
        format!("  CAST(COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS BIGINT) AS {name}")
    };
    let long = |column: &str| format!("{} > {MAX_ID_BYTES}", options.dialect.bytes(column));
    let columns = [
        "  COUNT(*) AS total".to_owned(),
        count("session IS NULL", "without_session"),
        count("item IS NULL", "without_item"),
        count("time IS NULL", "without_time"),
        count(&format!("{} OR {}", long("session"), long("item")), "with_long_id"),
    ];
    format!("SELECT\n{}\nFROM upnext_rows", columns.join(",\n"))
}

fn events(options: &SqlOptions) -> String {
    let rules = &options.rules;
    let is_event = is_event(options);
    let sessions = match options.session_gap {
        None => format!("SELECT session, item, time, ord FROM upnext_rows WHERE {is_event}"),
        Some(gap) => {
            let number = options.dialect.text("SUM(is_first) OVER (PARTITION BY session ORDER BY time)");
            // Events at the same time are peers, so that their number is that after the last of them.
            format!(
                "SELECT session || '/' || {number} AS session, item, time, ord
FROM (
  SELECT session, item, time, ord,
    CASE WHEN time - LAG(time) OVER (PARTITION BY session ORDER BY time) <= {} THEN 0 ELSE 1 END AS is_first
  FROM upnext_rows WHERE {is_event}
) AS users",
                gap.micros()
            )
        }
    };
    let copy = if rules.drop_duplicates {
        "ROW_NUMBER() OVER (PARTITION BY session, time, ord, item ORDER BY session)"
    } else {
        "CAST(1 AS BIGINT)"
    };
    let mut cases = vec![];
    if rules.drop_duplicates {
        cases.push("WHEN nth > 1 THEN 'duplicate'".to_owned());
    }
    if let Some(since) = rules.since {
        cases.push(format!("WHEN first_time < {since} THEN 'since'"));
    }
    if let Some(until) = rules.until {
        cases.push(format!("WHEN last_time >= {until} THEN 'until'"));
    }
    if let Some(most) = rules.max_session_length {
        cases.push(format!("WHEN number > {most} THEN 'long-session'"));
    }
    if rules.drop_repeats {
        cases.push("WHEN item = item_before THEN 'repeat'".to_owned());
    }
    let rule =
        if cases.is_empty() { options.dialect.text("NULL") } else { format!("CASE {} END", cases.join(" ")) };
    format!(
        "SELECT session, item, time, place,
  CASE WHEN rule IS NULL AND remaining < {least} THEN 'short-session' ELSE rule END AS rule
FROM (
  SELECT session, item, time, place, rule,
    SUM(CASE WHEN rule IS NULL THEN 1 ELSE 0 END) OVER (PARTITION BY session) AS remaining
  FROM (
    SELECT session, item, time, place, {rule} AS rule
    FROM (
      SELECT session, item, time, nth,
        ROW_NUMBER() OVER (PARTITION BY session ORDER BY time, ord, item, nth) AS place,
        LAG(item) OVER (PARTITION BY session ORDER BY time, ord, item, nth) AS item_before,
        MIN(time) OVER (PARTITION BY session) AS first_time,
        MAX(time) OVER (PARTITION BY session) AS last_time,
        SUM(CASE WHEN nth = 1 THEN 1 ELSE 0 END) OVER (PARTITION BY session) AS number
      FROM (
        SELECT session, item, time, ord, {copy} AS nth
        FROM (
{sessions}
        ) AS sessions
      ) AS counted
    ) AS ordered
  ) AS judged
) AS lengths",
        least = rules.min_session_length,
    )
}

fn round_of(options: &SqlOptions, before: &str) -> String {
    let rules = &options.rules;
    format!(
        "SELECT session, item, time, place, remaining,
  CASE WHEN is_rare = 1 THEN 'rare-item' WHEN remaining < {least} THEN 'short-session-after-items' END AS rule
FROM (
  SELECT session, item, time, place, is_rare, SUM(1 - is_rare) OVER (PARTITION BY session) AS remaining
  FROM (
    SELECT kept.session, kept.item, kept.time, kept.place,
      CASE WHEN supports.support < {support} THEN 1 ELSE 0 END AS is_rare
    FROM {before} AS kept
    JOIN (SELECT item, COUNT(*) AS support FROM {before} WHERE rule IS NULL GROUP BY item) AS supports
      ON kept.item = supports.item
    WHERE kept.rule IS NULL
  ) AS supported
) AS lengths",
        least = rules.min_session_length,
        support = rules.min_item_support,
    )
}

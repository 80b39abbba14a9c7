//! The queries that split the events that are left into training, validation and test parts.

use super::{SqlOptions, SqlPlan};
use crate::data::Holdout;

/// The condition that a session ends before a bound, of sessions that end at the same time by their ids.
const ENDS_BEFORE: &str = "sessions.last_time < bound.last_time OR (sessions.last_time = bound.last_time AND sessions.session < bound.session)";

pub(super) fn add(options: &SqlOptions, plan: &mut SqlPlan) {
    plan.table(
        "sessions",
        "The sessions",
        "SELECT session, MIN(time) AS first_time, MAX(time) AS last_time, COUNT(*) AS number\nFROM upnext_clean GROUP BY session"
            .to_owned(),
    );
    plan.table(
        "limit",
        "The end of the first session of the test part: sessions that end before it are the training part",
        limit(options, options.rules.holdout, "upnext_sessions"),
    );
    plan.table(
        "parts",
        "The sessions and their parts",
        format!(
            "SELECT sessions.session, sessions.first_time, sessions.number,
  CASE WHEN {ENDS_BEFORE} THEN 1 ELSE 0 END AS is_train
FROM upnext_sessions AS sessions CROSS JOIN upnext_limit AS bound"
        ),
    );
    plan.view(
        "split",
        "The events that are left, with the parts of their sessions",
        "SELECT clean.session, clean.item, clean.time, clean.place, parts.is_train
FROM upnext_clean AS clean JOIN upnext_parts AS parts ON clean.session = parts.session"
            .to_owned(),
    );
    plan.view(
        "train",
        "The training sessions; of one that is cut, the first events are skipped",
        train(options),
    );
    plan.table(
        "train_events",
        "The events of the training sessions, with their places there from 0",
        "SELECT session, item, time, place,
  MIN(time) OVER (PARTITION BY session) AS first_time, MAX(time) OVER (PARTITION BY session) AS last_time
FROM (
  SELECT clean.session, clean.item, clean.time, train.skipped,
    ROW_NUMBER() OVER (PARTITION BY clean.session ORDER BY clean.place) - 1 - train.skipped AS place
  FROM upnext_clean AS clean JOIN upnext_train AS train ON clean.session = train.session
) AS placed
WHERE place >= 0"
            .to_owned(),
    );
    plan.table(
        "train_sessions",
        "The training sessions as they are trained on",
        "SELECT DISTINCT session, first_time, last_time FROM upnext_train_events".to_owned(),
    );
    plan.table(
        "validation_limit",
        "The end of the first session of the validation part",
        match options.rules.validation {
            Some(holdout) => limit(options, holdout, "upnext_train_sessions"),
            None => format!("SELECT CAST({} AS BIGINT) AS last_time, '' AS session", i64::MAX),
        },
    );
    // A window over all sessions would be sorted by one machine: those of a minute are counted first.
    let minute = |time: &str| options.dialect.quotient(time, 60_000_000);
    plan.table(
        "numbers",
        "The number of each training session, by start time and then by id",
        format!(
            "SELECT sessions.session,
  CASE WHEN {ENDS_BEFORE} THEN 0 ELSE 1 END AS is_validation,
  CAST(minutes.before + ROW_NUMBER() OVER (PARTITION BY minutes.minute ORDER BY sessions.first_time, sessions.session) - 1 AS BIGINT) AS id
FROM (SELECT session, first_time, last_time, {minute} AS minute FROM upnext_train_sessions) AS sessions
JOIN (
  SELECT minute, SUM(number) OVER (ORDER BY minute) - number AS before
  FROM (
    SELECT minute, COUNT(*) AS number
    FROM (SELECT {minute} AS minute FROM upnext_train_sessions) AS minutes_of_sessions
    GROUP BY minute
  ) AS counted
) AS minutes ON sessions.minute = minutes.minute
CROSS JOIN upnext_validation_limit AS bound",
            minute = minute("first_time"),
        ),
    );
    plan.view(
        "numbered",
        "The events of the training sessions, with the numbers of their sessions",
        "SELECT events.session, events.item, events.time, events.place, numbers.id, numbers.is_validation
FROM upnext_train_events AS events JOIN upnext_numbers AS numbers ON events.session = numbers.session"
            .to_owned(),
    );
    plan.table(
        "items",
        "The items of the training part, numbered by their first occurrence there",
        "SELECT item AS item_id, support, ROW_NUMBER() OVER (ORDER BY first_place) - 1 AS item
FROM (
  SELECT item, COUNT(*) AS support, MIN(id * 1073741824 + place) AS first_place FROM upnext_numbered GROUP BY item
) AS firsts"
            .to_owned(),
    );
}

/// The first end that is held out, of the sessions of a table.
fn limit(options: &SqlOptions, holdout: Holdout, sessions: &str) -> String {
    let held_out = match holdout {
        Holdout::Span(span) => {
            return format!(
                "SELECT MAX(last_time) - {} AS last_time, '' AS session FROM {sessions}",
                span.micros()
            );
        }
        Holdout::Share(share) => {
            let share = options.dialect.quotient(&format!("total * {share}"), 10_000);
            format!("CASE WHEN {share} < 1 THEN 1 ELSE {share} END")
        }
        Holdout::Sessions(number) => format!("CASE WHEN total < {number} THEN total ELSE {number} END"),
    };
    format!(
        "SELECT last_time, session
FROM (
  SELECT last_time, session, ROW_NUMBER() OVER (ORDER BY last_time DESC, session DESC) AS place, COUNT(*) OVER () AS total
  FROM {sessions}
) AS ends
WHERE place = {held_out}"
    )
}

fn train(options: &SqlOptions) -> String {
    if options.rules.scale == 1 {
        return "SELECT session, CAST(0 AS BIGINT) AS skipped FROM upnext_parts WHERE is_train = 1"
            .to_owned();
    }
    let wanted = options.dialect.quotient("pairs", options.rules.scale);
    format!(
        "SELECT session, CAST(CASE WHEN later > wanted THEN later - wanted ELSE 0 END AS BIGINT) AS skipped
FROM (
  SELECT session, number, later, {wanted} AS wanted
  FROM (
    SELECT session, number,
      SUM(number - 1) OVER (ORDER BY first_time DESC, session DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS later,
      SUM(number - 1) OVER () AS pairs
    FROM upnext_parts WHERE is_train = 1
  ) AS summed
) AS cut
WHERE later - (number - 1) < wanted"
    )
}

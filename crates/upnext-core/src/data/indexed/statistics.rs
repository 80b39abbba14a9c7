//! The statistics of a folder of item numbers, which are rows of a table there.

use super::groups::{Column, Groups};
use crate::data::part::PartCounts;
use crate::data::report::FileReport;
use crate::data::sql::{FORMAT_VERSION, SqlOptions};
use crate::data::statistics::{DropRule, Dropped, Statistics};
use crate::data::test_sessions::NextClicks;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;
use std::path::Path;

/// The columns of the table.
const COLUMNS: [Column; 9] = [
    Column::Number("place"),
    Column::Text("kind"),
    Column::Text("name"),
    Column::Number("events"),
    Column::Number("sessions"),
    Column::Number("items"),
    Column::Number("first_time"),
    Column::Number("last_time"),
    Column::Text("text"),
];

/// The rows of the table.
#[derive(Default)]
struct Table {
    format: Option<(u64, String, String)>,
    parts: Vec<(String, PartCounts)>,
    dropped: Vec<Dropped>,
    dropped_from_valid: Vec<Dropped>,
    clicks: Vec<(String, NextClicks)>,
    bad_rows: u64,
}

impl Table {
    fn part(&self, name: &str) -> Option<PartCounts> {
        self.parts.iter().find(|(part, _)| part == name).map(|(_, counts)| *counts)
    }

    fn clicks(&self, name: &str) -> Option<NextClicks> {
        self.clicks.iter().find(|(part, _)| part == name).map(|(_, clicks)| *clicks)
    }
}

/// Reads the statistics of a folder, and how it was prepared.
pub(super) fn read(path: &Path) -> Result<(Statistics, SqlOptions)> {
    let not_prepared = |reason: String| Error::NotPrepared { path: path.to_owned(), reason };
    let folder = path.join("statistics");
    let mut table = Table::default();
    let groups = Groups::open(&folder, &COLUMNS, 1)?;
    let mut reader = groups.rows_from(0).with_nulls();
    while let Some(rows) = reader.next()? {
        for row in 0..rows.rows() {
            let count = |column| u64::try_from(rows.number(column, row)).unwrap_or(0);
            let time = |column| rows.is_there(column, row).then(|| rows.number(column, row));
            let (kind, name) = (rows.text(1, row), rows.text(2, row));
            let (events, sessions) = (count(3), count(4));
            match kind {
                "format" => table.format = Some((events, name.to_owned(), rows.text(8, row).to_owned())),
                "part" => {
                    let (first_time_us, last_time_us) = (time(6), time(7));
                    let counts =
                        PartCounts { events, sessions, items: count(5), first_time_us, last_time_us };
                    table.parts.push((name.to_owned(), counts));
                }
                "dropped" | "dropped_from_valid" => {
                    let name: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
                    let rule =
                        DropRule::deserialize(name).map_err(|error| reader.wrong(error.to_string()))?;
                    let to =
                        if kind == "dropped" { &mut table.dropped } else { &mut table.dropped_from_valid };
                    if events > 0 {
                        to.push(Dropped { rule, events, sessions });
                    }
                }
                "clicks" => {
                    table.clicks.push((name.to_owned(), NextClicks { total: events, unknown: sessions }));
                }
                "bad_rows" => table.bad_rows = sessions,
                _ => {}
            }
        }
    }
    let (version, program, options) = table
        .format
        .take()
        .ok_or_else(|| not_prepared("its statistics are of another program".to_owned()))?;
    if version > u64::from(FORMAT_VERSION) {
        return Err(not_prepared(format!(
            "made by {program}, a newer upnext (format {version}, this one reads up to {FORMAT_VERSION}): update upnext, or prepare the log again"
        )));
    }
    let options: SqlOptions = serde_json::from_str(&options)
        .map_err(|error| not_prepared(format!("its options are damaged ({error}): prepare the log again")))?;
    let lacking =
        |part: &str| not_prepared(format!("its statistics lack the part {part}: prepare the log again"));
    let part = |name: &str| table.part(name).ok_or_else(|| lacking(name));
    let (log, train, test) = (part("log")?, part("train")?, part("test")?);
    let mut warnings = Vec::new();
    if table.bad_rows > 0 {
        warnings.push(format!("{} rows without a session, an item or a time were left out", table.bad_rows));
    }
    if test.events == 0 {
        warnings.push("the test part is empty: no session of the held-out time has two events on items of the training part; a longer `holdout` may help".to_owned());
    }
    let valid = part("valid")?;
    let has_valid = options.rules.validation.is_some() && valid.events > 0;
    if let (Some(span), false) = (options.rules.validation, has_valid) {
        warnings.push(format!(
            "no validation part: without {span} at the end of the training part, one side is empty"
        ));
    }
    let source = FileReport {
        path: options.source.clone().into(),
        format: format!("SQL ({})", options.dialect.as_str()),
        rows: log.events + table.bad_rows,
        session: options.session.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(" and "),
        item: options.item.name.clone(),
        time: options.time.clone(),
        order: options.order.clone(),
        ..FileReport::default()
    };
    let statistics = Statistics {
        made_by: Statistics::MADE_BY.to_owned(),
        format_version: Statistics::FORMAT_VERSION,
        sources: vec![source],
        options: options.rules.clone(),
        log,
        session_times: None,
        uncut_train: table.part("uncut_train"),
        train,
        test,
        test_next_clicks: table.clicks("test"),
        fit: part("fit").ok().filter(|_| has_valid),
        valid: Some(valid).filter(|_| has_valid),
        valid_next_clicks: table.clicks("valid").filter(|_| has_valid),
        dropped_from_valid: if has_valid {
            std::mem::take(&mut table.dropped_from_valid)
        } else {
            Vec::new()
        },
        dropped: table.dropped,
        warnings,
    };
    Ok((statistics, options))
}

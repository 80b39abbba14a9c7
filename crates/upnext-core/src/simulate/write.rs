//! Writes a simulated log as text.

use super::{DAY_MS, SimulatedEvent};
use std::io::{self, Write};

/// The columns and the time format of a written log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `SessionId,ItemId,Time` with that header, the time in unix seconds with milliseconds.
    Columns,
    /// The format of the RecSys Challenge 2015: session, ISO 8601 time, item, category, without a header.
    Challenge,
}

/// Writes events as CSV, row by row, and returns their number.
///
/// # Errors
/// Those of the writer; it is flushed at the end.
pub fn write_log(
    events: impl IntoIterator<Item = SimulatedEvent>,
    format: LogFormat,
    mut out: impl Write,
) -> io::Result<u64> {
    if format == LogFormat::Columns {
        out.write_all(b"SessionId,ItemId,Time\n")?;
    }
    let mut rows = 0;
    for event in events {
        let SimulatedEvent { session, item, category, time_ms } = event;
        match format {
            LogFormat::Columns => {
                // A time before 1970 needs its sign even where its seconds are 0.
                let sign = if time_ms < 0 { "-" } else { "" };
                let ms = time_ms.unsigned_abs();
                writeln!(out, "{session},{item},{sign}{}.{:03}", ms / 1000, ms % 1000)?;
            }
            LogFormat::Challenge => {
                let (year, month, day) = date(time_ms.div_euclid(DAY_MS));
                let ms = time_ms.rem_euclid(DAY_MS);
                let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
                writeln!(
                    out,
                    "{session},{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z,{item},{category}",
                    ms % 1000
                )?;
            }
        }
        rows += 1;
    }
    out.flush()?;
    Ok(rows)
}

/// Year, month and day of a day number since 1970-01-01, in the Gregorian calendar. It counts in years that begin in
/// March, so that a leap day is the last of its year.
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let days = days + 719_468; // since 0000-03-01
    let (cycle, in_cycle) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
    let year = (in_cycle - in_cycle / 1_460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, text) in
            [(0, "1970-01-01"), (19_786, "2024-03-04"), (11_016, "2000-02-29"), (-1, "1969-12-31")]
        {
            let (year, month, day) = date(days);
            assert_eq!(format!("{year:04}-{month:02}-{day:02}"), text);
        }
        let unit = jiff::SignedDuration::from_hours(24);
        for days in (0..80_000).step_by(17) {
            let at = jiff::Timestamp::UNIX_EPOCH + unit * i32::try_from(days).unwrap();
            let (year, month, day) = date(days);
            assert!(at.to_string().starts_with(&format!("{year:04}-{month:02}-{day:02}T00")), "{at}");
        }
    }

    #[test]
    fn each_format_has_its_columns() {
        let event =
            SimulatedEvent { session: 7, item: 48_271, category: 2, time_ms: 1_709_510_400_000 + 3_723_004 };
        let written = |format| {
            let mut bytes = Vec::new();
            assert_eq!(write_log([event], format, &mut bytes).unwrap(), 1);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(written(LogFormat::Columns), "SessionId,ItemId,Time\n7,48271,1709514123.004\n");
        assert_eq!(written(LogFormat::Challenge), "7,2024-03-04T01:02:03.004Z,48271,2\n");
    }
}

//! The body of the event reader's fuzz tests, shared by the cargo-fuzz target and a bounded test.

use super::{EventLog, Header, LogShape, PrepareOptions, ReadOptions, TimeUnit, prepare};
use std::io::Write;
use std::ops::ControlFlow;

/// Reads `bytes` as a log, with options from the first byte, and prepares it. Checks that the reader does not panic,
/// that its counts add up, and that every error message is a single line.
///
/// # Panics
/// If a check fails, or no temporary file can be written.
pub fn read_events(bytes: &[u8]) {
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let options = ReadOptions {
        skip_bad_rows: choice & 1 == 1,
        header: [Header::Auto, Header::Auto, Header::Yes, Header::No][usize::from(choice >> 1 & 3)],
        session_gap: (choice & 8 == 8).then_some(super::TimeSpan::DAY),
        time_unit: if choice & 16 == 16 { TimeUnit::S } else { TimeUnit::Auto },
        ..ReadOptions::default()
    };
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(bytes).expect("a temporary file can be written");
    match EventLog::read(file.path(), &options, &mut |_| ControlFlow::Continue(())) {
        Ok(mut log) => {
            let report = log.report();
            assert_eq!(report.rows(), log.len() as u64 + report.skipped_rows(), "every row is counted once");
            assert!(
                log.item_ids()
                    .iter()
                    .chain(log.session_ids().iter())
                    .all(|id| !id.is_empty() && !id.contains('\0'))
            );
            let shape = LogShape::of(&mut log);
            assert_eq!(shape.counts.events, log.len() as u64);
            let rules = PrepareOptions { min_item_support: 1, ..PrepareOptions::default() };
            let rows = log.len() as u64;
            if let Ok(prepared) = prepare(log, &rules, &mut |_| ControlFlow::Continue(())) {
                let counts = prepared.statistics();
                let dropped: u64 = counts.dropped.iter().map(|d| d.events).sum();
                assert_eq!(
                    counts.train.events + counts.test.events + dropped,
                    rows,
                    "nothing is lost uncounted"
                );
            }
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n') && !message.contains('\0'), "{message:?}");
        }
    }
}

/// Reads the lines of `bytes` as times in every unit, and decides how they are written. Checks that nothing panics, that
/// a log's reader agrees with [`TimeUnit::parse`], and that every sentence is a single line.
///
/// # Panics
/// If a check fails.
pub fn read_times(bytes: &[u8]) {
    use super::time::detect::{Detection, detect};
    use super::time::reader::TimeReader;
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let reader = |unit, zone| TimeReader::new(unit, None, zone).expect("the unit and the zone are known");
    let auto = reader(TimeUnit::Auto, None);
    let now = 1_735_689_600_000_000;
    for unit in TimeUnit::ALL.into_iter().filter(|unit| *unit != TimeUnit::Pattern) {
        let local = reader(unit, Some("Europe/Berlin"));
        for line in &lines {
            let time = auto.with_unit(unit).parse(line);
            assert_eq!(time.map(|time| time.micros), unit.parse(line), "{unit}");
            assert!(time.is_none_or(|time| (-500..1000).contains(&time.nanos)));
            let _ = local.parse(line);
        }
        let _ = detect(&lines, &local, now);
    }
    if let Detection::Ambiguous { question: text } | Detection::Refused { reason: text } =
        detect(&lines, &auto, now)
    {
        assert!(!text.contains('\n') && !text.contains('\0'), "{text:?}");
    }
    if let Ok(pattern) = std::str::from_utf8(lines[0])
        && let Ok(reader) = TimeReader::new(TimeUnit::Auto, Some(pattern), None)
    {
        lines.iter().for_each(|line| _ = reader.parse(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn thousands_of_damaged_times_do_not_panic() {
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let texts: Vec<&str> = super::super::time::WRITTEN.iter().map(|(_, text, _)| *text).collect();
        for _ in 0..20_000 {
            let mut bytes =
                [texts[random(texts.len())], "\n", texts[random(texts.len())]].concat().into_bytes();
            for _ in 0..random(4) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] ^= 1 << random(8),
                    1 => bytes.truncate(at.max(1)),
                    2 => bytes[at] = b"0919:-/.+Ze%TA"[random(14)],
                    _ => {
                        let copy = bytes[at..(at + random(9)).min(bytes.len())].to_vec();
                        bytes.splice(at..at, copy);
                    }
                }
            }
            read_times(&bytes);
        }
        for pattern in ["%Y-%m-%d %H:%M", "%s", "%Q %F", "%y%m%d", "%d.%m.%Y%.f"] {
            read_times(format!("{pattern}\n2024-03-20 01:18\n1710897534\n").as_bytes());
        }
    }

    /// Inputs that are read without error, of every kind.
    fn valid_inputs() -> Vec<Vec<u8>> {
        let text = b"SessionId\tItemId\tTime\n1\ta\t1500000000.5\n1\tb\t1500000100\n2\ta\t1500090000\n2\t\"b\tc\"\t1500090001\n";
        let iso = b"1,2014-04-07T10:51:09.277Z,214536502,0\r\n1,2014-04-07T10:54:09.868Z,214536500,0\r\n2,2014-04-09T00:00:00Z,214536500,0\r\n";
        let user = b"user_id;item_id;timestamp\nu;i;1433221332117\nu;j;1433221332118\nv;i;1433221332119\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let mut log = EventLog::new();
        (0..50).for_each(|i| log.push(&(i / 3).to_string(), &(i % 7).to_string(), i * 10_000_000_000));
        let folder = tempfile::tempdir().unwrap();
        let parquet = folder.path().join("log");
        super::super::write_log(&log.grouped(), &parquet, super::super::Format::Parquet).unwrap();
        let plain = [text.to_vec(), iso.to_vec(), user.to_vec()];
        let packed =
            [gzip.finish().unwrap(), zstd::encode_all(&iso[..], 1).unwrap(), std::fs::read(parquet).unwrap()];
        plain.into_iter().chain(packed).collect()
    }

    #[test]
    fn thousands_of_damaged_logs_neither_panic_nor_lose_rows() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below.max(1) as u64) as usize
        };
        let special: [&[u8]; 12] = [
            b"\0",
            b"\"",
            b"\t",
            b",",
            b"\n",
            b"\xff",
            b"-",
            b"99999999999999999999",
            b"\r\n\r\n",
            b"1e308",
            b"2014-02-30",
            b"\xef\xbb\xbf",
        ];
        for (kind, input) in valid_inputs().into_iter().enumerate() {
            let mut whole = vec![if kind == 2 { 8 } else { 0 }];
            whole.extend_from_slice(&input);
            read_events(&whole);
            for _ in 0..600 {
                let mut bytes = whole.clone();
                bytes[0] = random(256) as u8;
                for _ in 0..=random(4) {
                    let at = 1 + random(bytes.len() - 1);
                    match random(5) {
                        0 => bytes[at] ^= 1 << random(8),
                        1 => bytes.truncate(at.max(2)),
                        2 => _ = bytes.splice(at..at, special[random(special.len())].iter().copied()),
                        3 => _ = bytes.remove(at),
                        _ => {
                            let end = (at + random(20)).min(bytes.len());
                            let copy = bytes[at..end].to_vec();
                            bytes.splice(at..at, copy);
                        }
                    }
                    if bytes.len() < 3 {
                        break;
                    }
                }
                read_events(&bytes);
            }
        }
    }
}

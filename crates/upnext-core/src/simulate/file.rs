//! Writes a simulated log to a file atomically, compressed by the extension of its name.

use super::{LogFormat, SimulatedEvent, write_log};
use crate::replace::replace_file;
use crate::{Error, Result};
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The size of the buffer before the file or the encoder, in bytes.
const BUFFER: usize = 1 << 18;

/// Writes events as CSV into the file `path`, compressed with gzip or zstd if its name ends in `.gz` or `.zst`, and
/// returns their number.
///
/// The file appears when all of it is on disk. An existing file is replaced only with `overwrite`.
///
/// # Errors
/// [`Error::Io`], after which nothing has changed.
pub fn write_log_file(
    events: impl IntoIterator<Item = SimulatedEvent>,
    format: LogFormat,
    path: &Path,
    overwrite: bool,
) -> Result<u64> {
    // A symbolic link is kept: its target is replaced.
    let target =
        if path.exists() { path.canonicalize().map_err(Error::io(path, "write"))? } else { path.to_owned() };
    if target.exists() && !target.is_file() {
        // A device or a pipe would be replaced by a file.
        return Err(Error::io(path, "write")(io::Error::other("it is no file")));
    }
    if target.exists() && !overwrite {
        return Err(Error::io(path, "write")(io::ErrorKind::AlreadyExists.into()));
    }
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    replace_file(&target, |file| write_packed(events, format, file, ending).map_err(Error::io(path, "write")))
}

fn write_packed(
    events: impl IntoIterator<Item = SimulatedEvent>,
    format: LogFormat,
    file: &File,
    ending: &str,
) -> io::Result<u64> {
    match ending {
        "gz" => {
            let mut encoder = GzEncoder::new(file, flate2::Compression::default());
            let rows = write_log(events, format, BufWriter::with_capacity(BUFFER, &mut encoder))?;
            encoder.finish()?.flush()?;
            Ok(rows)
        }
        "zst" => {
            #[cfg(feature = "zstd")]
            {
                let mut encoder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                let rows = write_log(events, format, BufWriter::with_capacity(BUFFER, &mut encoder))?;
                encoder.finish()?.flush()?;
                Ok(rows)
            }
            #[cfg(not(feature = "zstd"))]
            Err(io::Error::other("this build is without zstd: choose a name that ends in .gz or .csv"))
        }
        _ => write_log(events, format, BufWriter::with_capacity(BUFFER, file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{EventLog, ReadOptions};
    use crate::simulate::{SimulateOptions, simulate};
    use std::ops::ControlFlow;

    fn write(path: &Path, seed: u64, overwrite: bool) -> Result<u64> {
        let options = SimulateOptions { sessions: 200, items: 50, seed, ..Default::default() };
        write_log_file(simulate(&options).unwrap(), LogFormat::Columns, path, overwrite)
    }

    #[test]
    fn every_packing_holds_the_same_events() {
        let place = tempfile::tempdir().unwrap();
        let read = |name: &str| {
            let path = place.path().join(name);
            let rows = write(&path, 1, false).unwrap();
            let log =
                EventLog::read(&path, &ReadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(log.events().len() as u64, rows);
            let start = std::fs::read(&path).unwrap()[..2].to_vec();
            (log.events().to_vec(), start)
        };
        let (plain, start) = read("a.csv");
        assert_eq!(start, b"Se");
        for (name, magic) in [("a.csv.gz", [0x1f, 0x8b]), ("a.csv.zst", [0x28, 0xb5])] {
            let (events, start) = read(name);
            assert_eq!((events, start), (plain.clone(), magic.to_vec()), "{name}");
        }
    }

    #[test]
    fn a_file_that_exists_is_replaced_only_on_request() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.csv");
        write(&path, 1, false).unwrap();
        let first = std::fs::read(&path).unwrap();
        assert!(matches!(write(&path, 2, false), Err(Error::Io { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), first);
        write(&path, 2, true).unwrap();
        assert_ne!(std::fs::read(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(write(place.path(), 2, true).is_err(), "a folder is no file");
    }
}

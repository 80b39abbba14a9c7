//! A file of the event log. Its name has `.part` at the end while rows are appended, and not when it is complete.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const PART: &str = "part";

/// What a file has rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Events, as CSV.
    Events,
    /// Lists that were shown, as one JSON object a line.
    Impressions,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Events, Self::Impressions];

    fn prefix(self) -> &'static str {
        match self {
            Self::Events => "events-",
            Self::Impressions => "impressions-",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Events => "csv",
            Self::Impressions => "jsonl",
        }
    }

    /// The first line.
    fn header(self) -> &'static [u8] {
        match self {
            Self::Events => b"session,item,time,model,type\n",
            Self::Impressions => b"",
        }
    }

    /// The kind of the complete file with this name, or of the incomplete one without its ending.
    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            let rest = name.strip_prefix(kind.prefix()).and_then(|rest| rest.strip_suffix(kind.extension()));
            rest.is_some_and(|rest| rest.ends_with('.'))
        })
    }
}

/// The complete files of a folder, with their sizes and the times of their latest rows, oldest first.
pub(super) fn complete(dir: &Path) -> io::Result<Vec<(PathBuf, u64, SystemTime)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_str().and_then(Kind::of).is_some() {
            let file = entry.metadata()?;
            files.push((entry.path(), file.len(), file.modified()?));
        }
    }
    files.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
    Ok(files)
}

/// An incomplete file, to which rows are appended.
#[derive(Debug)]
pub(super) struct PartFile {
    path: PathBuf,
    file: File,
    /// Size of the complete rows in bytes.
    length: u64,
    /// Whether an incomplete row follows them.
    torn: bool,
}

impl PartFile {
    /// Creates a file with a header; its name includes `began`.
    pub(super) fn create(dir: &Path, kind: Kind, began: &str) -> io::Result<Self> {
        for number in 1.. {
            let more = if number == 1 { String::new() } else { format!("-{number}") };
            let whole = dir.join(format!("{}{began}{more}.{}", kind.prefix(), kind.extension()));
            let path = whole.with_added_extension(PART);
            if whole.try_exists()? {
                continue;
            }
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => {
                    let mut part_file = Self { path, file, length: 0, torn: false };
                    if let Err(error) = part_file.append(kind.header()) {
                        // A full disk must not be littered with empty files.
                        std::fs::remove_file(&part_file.path)?;
                        return Err(error);
                    }
                    return Ok(part_file);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Size of the complete rows in bytes, header included.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the file ends in an incomplete row, so that nothing may be appended.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Appends complete rows, all or none of them.
    pub(super) fn append(&mut self, rows: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(rows) {
            // A full disk may leave an incomplete row, which the next one must not continue.
            self.torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += rows.len() as u64;
        Ok(())
    }

    /// Forces the rows to the disk and gives the file its final name.
    pub(super) fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, self.path.with_extension(""))
    }
}

/// Completes the files that a killed server left: an incomplete row at the end is removed, and an empty file deleted.
pub(super) fn recover(dir: &Path) -> upnext_core::Result<()> {
    for entry in std::fs::read_dir(dir).map_err(upnext_core::Error::io(dir, "read"))? {
        let path = entry.map_err(upnext_core::Error::io(dir, "read"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(kind) = name.strip_suffix(".part").and_then(Kind::of) else { continue };
        let whole = whole_rows(&path, kind).map_err(upnext_core::Error::io(&path, "read"))?;
        let finish = || -> io::Result<()> {
            if whole <= kind.header().len() as u64 {
                return std::fs::remove_file(&path);
            }
            OpenOptions::new().write(true).open(&path)?.set_len(whole)?;
            std::fs::rename(&path, path.with_extension(""))
        };
        finish().map_err(upnext_core::Error::io(&path, "finish"))?;
        tracing::info!(path = %path.display(), "a file of the event log that a server left was finished");
    }
    Ok(())
}

/// Size of a file in bytes up to the end of its last complete row. A line feed within quotes does not end a row.
fn whole_rows(path: &Path, kind: Kind) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let (mut position, mut whole, mut quoted) = (0, 0, false);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(whole);
        }
        for &byte in bytes {
            position += 1;
            match byte {
                b'"' if kind == Kind::Events => quoted = !quoted,
                b'\n' if !quoted => whole = position,
                _ => {}
            }
        }
        let read = bytes.len();
        reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cut_off_anywhere_keeps_its_whole_rows() {
        let dir = tempfile::tempdir().unwrap();
        let mut part_file = PartFile::create(dir.path(), Kind::Events, "1").unwrap();
        let rows = ["a@1,tea,t,m,view\n", "\"b\n\"\"@2\",\"cu,p\",t,m,view\n", "c@3,pot,t,m,cart\n"];
        rows.iter().for_each(|row| part_file.append(row.as_bytes()).unwrap());
        part_file.finish().unwrap();
        let whole_file = dir.path().join("events-1.csv");
        let bytes = std::fs::read(&whole_file).unwrap();
        std::fs::remove_file(&whole_file).unwrap();
        for end in 0..=bytes.len() {
            std::fs::write(whole_file.with_added_extension(PART), &bytes[..end]).unwrap();
            recover(dir.path()).unwrap();
            let mut expected = String::from_utf8(Kind::Events.header().to_vec()).unwrap();
            for row in rows {
                if expected.len() + row.len() > end {
                    break;
                }
                expected += row;
            }
            let left = std::fs::read_to_string(&whole_file).ok();
            assert_eq!(
                left,
                (expected.len() > Kind::Events.header().len()).then_some(expected),
                "cut off at {end}"
            );
            _ = std::fs::remove_file(&whole_file);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn files_that_begin_in_one_second_have_names_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let create = || PartFile::create(dir.path(), Kind::Events, "1").unwrap();
        create().finish().unwrap();
        create().finish().unwrap();
        let third = create();
        assert!(third.path.ends_with("events-1-3.csv.part"), "{:?}", third.path);
    }

    #[test]
    fn impressions_are_completed_up_to_the_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut part_file = PartFile::create(dir.path(), Kind::Impressions, "1").unwrap();
        part_file.append(b"{\"items\":[\"a\\\"b\"]}\n{\"items\":").unwrap();
        drop(part_file);
        recover(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("impressions-1.jsonl")).unwrap();
        assert_eq!(text, "{\"items\":[\"a\\\"b\"]}\n");
        std::fs::write(dir.path().join("notes.csv"), "").unwrap();
        assert_eq!(complete(dir.path()).unwrap().len(), 1);
    }
}

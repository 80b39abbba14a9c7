//! The public logs that some tests want: found by `UPNEXT_DATA`, or beside the repository.

use std::ops::ControlFlow;
use std::path::PathBuf;
use upnext_core::data::{Dataset, EventLog, ReadOptions, TestSessions};

/// The log `name`, or `None` with the reason printed.
pub(crate) fn log(name: &str) -> Option<EventLog> {
    let folder = std::env::var_os("UPNEXT_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if !path.is_file() {
        eprintln!("skipped: {} is missing (set UPNEXT_DATA to the folder of public logs)", path.display());
        return None;
    }
    Some(EventLog::read(&path, &ReadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap())
}

/// Training and test part of a folder with both.
pub(crate) fn parts(folder: &str) -> Option<(Dataset, TestSessions)> {
    let (train, test) = (log(&format!("{folder}/train.tsv.gz"))?, log(&format!("{folder}/test.tsv.gz"))?);
    let (train, _) = Dataset::from_log(train).unwrap();
    let test = TestSessions::from_log(test, &train.items).unwrap();
    Some((train, test))
}

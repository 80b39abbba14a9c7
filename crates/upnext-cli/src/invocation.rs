//! How the program was called: by its own executable, or by another program such as Python.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A call of the program.
#[derive(Debug)]
pub struct Invocation {
    /// The arguments; the first is the program's name.
    pub arguments: Vec<OsString>,
    /// The words that start the program again, before its arguments; `None` for the executable of this process.
    pub program: Option<Vec<OsString>>,
}

/// The call of this process.
static CALL: OnceLock<Invocation> = OnceLock::new();

impl Invocation {
    /// The call of an executable that is this program.
    pub(crate) fn of_process() -> Self {
        Self { arguments: std::env::args_os().collect(), program: None }
    }

    /// Keeps the call, for messages that repeat it. A second one in a process is not kept.
    pub(crate) fn keep(self) -> &'static Self {
        CALL.get_or_init(|| self)
    }
}

/// The arguments of this process; the first is the program's name.
pub(crate) fn arguments() -> Vec<OsString> {
    CALL.get_or_init(Invocation::of_process).arguments.clone()
}

/// The words that start this program again.
///
/// # Errors
/// If the path of the executable cannot be found.
pub(crate) fn program() -> io::Result<Vec<OsString>> {
    match &CALL.get_or_init(Invocation::of_process).program {
        Some(words) => Ok(words.clone()),
        None => Ok(vec![std::env::current_exe()?.into_os_string()]),
    }
}

/// The path of this program's executable; `None` if another program has called it, or it cannot be found.
pub(crate) fn executable() -> Option<PathBuf> {
    match CALL.get_or_init(Invocation::of_process).program {
        Some(_) => None,
        None => std::env::current_exe().ok(),
    }
}

//! The program as a part of another, such as Python: a command returns its result, and pages come from models.

use crate::output::message;
use crate::{interrupt, parse};
use clap::error::{ContextKind, ContextValue};
use std::cell::RefCell;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use crate::page::fitted::{evaluation_page, training_page};

/// What a command has printed, which was kept instead.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Printed {
    /// Its result: a JSON document with `--json`.
    pub result: String,
    /// Its warnings.
    pub warnings: Vec<String>,
}

/// Why a command has failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// An error of the library.
    Library(upnext_core::Error),
    /// Another one, in words.
    Other(String),
}

/// One command at a time: they use all cores, and share the flag that asks them to stop.
static RUNNING: Mutex<()> = Mutex::new(());

thread_local! {
    /// The call that runs on this thread in words, and what it has printed so far.
    static CALL: RefCell<Option<(String, Printed)>> = const { RefCell::new(None) };
}

/// Runs a command, whose result and warnings are returned instead of printed; progress still goes to stderr, without
/// `--quiet`. The first argument is the command; `shown` is the call in words, for pages and messages.
///
/// If another call is running, this one waits for it. Ctrl-C is not listened for: a `stop` that is set does what the first
/// Ctrl-C does.
///
/// # Errors
/// [`Failure`] with the message that the program would print.
pub fn call(arguments: Vec<OsString>, shown: &str, stop: Arc<AtomicBool>) -> (Printed, Result<(), Failure>) {
    let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if stop.load(Ordering::SeqCst) {
        return (Printed::default(), Err(Failure::Other("interrupted".to_owned())));
    }
    interrupt::replace(stop);
    CALL.set(Some((shown.to_owned(), Printed::default())));
    let done = run(arguments);
    (CALL.take().unwrap_or_default().1, done)
}

fn run(arguments: Vec<OsString>) -> Result<(), Failure> {
    let words = std::iter::once("upnext".into()).chain(arguments).collect();
    let cli = parse(words).map_err(|error| Failure::Library(wrong_usage(&error)))?;
    cli.command.run().map_err(|error| match error.downcast::<upnext_core::Error>() {
        Ok(error) => Failure::Library(error),
        Err(error) => Failure::Other(message(&error)),
    })
}

/// The error of the parser of arguments as one of the library, which names the argument.
fn wrong_usage(error: &clap::Error) -> upnext_core::Error {
    let words = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => vec![word.clone()],
        Some(ContextValue::Strings(words)) => words.clone(),
        _ => Vec::new(),
    };
    let argument = words(ContextKind::InvalidArg).join(", ");
    let field = argument.split(' ').next().filter(|field| !field.is_empty()).unwrap_or("arguments");
    let (value, known) = (words(ContextKind::InvalidValue).join(", "), words(ContextKind::ValidValue));
    let reason = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None if !known.is_empty() => format!("`{value}` is none of {}", known.join(", ")),
        None => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    upnext_core::Error::config(field, reason)
}

/// Whether the command of this thread was called by [`call`].
pub(crate) fn is_embedded() -> bool {
    shown().is_some()
}

/// The call that runs on this thread in words; `None` if the program runs by itself.
pub(crate) fn shown() -> Option<String> {
    CALL.with_borrow(|call| call.as_ref().map(|(shown, _)| shown.clone()))
}

/// Keeps what would be printed, if the command of this thread was called by [`call`]; otherwise returns false.
pub(crate) fn keep(keep: impl FnOnce(&mut Printed)) -> bool {
    CALL.with_borrow_mut(|call| call.as_mut().map(|(_, printed)| keep(printed)).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(words: &[&str]) -> (Printed, Result<(), Failure>) {
        call(words.iter().map(Into::into).collect(), "a call", Arc::default())
    }

    #[test]
    fn a_call_returns_what_it_would_print_and_its_errors() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("clicks.csv");
        std::fs::write(&log, "SessionId,ItemId,Time\n1,a,100\n1,b,101\n2,b,100\n2,a,103\n").unwrap();
        let (printed, done) = called(&["inspect", &log.display().to_string(), "--json", "--quiet"]);
        done.unwrap();
        let value: serde_json::Value = serde_json::from_str(&printed.result).unwrap();
        assert!(value.is_object(), "{value}");
        assert!(!is_embedded());

        let refused = |words: &[&str]| match called(words).1 {
            Err(Failure::Library(error)) => error.to_string(),
            other => panic!("{words:?}: {other:?}"),
        };
        let text = refused(&["compare", "x", "--ties", "foo"]);
        assert!(text.starts_with("--ties: `foo` is none of conservative"), "{text}");
        let text = refused(&["auto", "x", "--out", "y", "--budget", "15"]);
        assert!(text.starts_with("--budget: ") && !text.contains("--help"), "{text}");
        let missing = called(&["inspect", "/no/such/log.csv"]).1.unwrap_err();
        assert!(matches!(missing, Failure::Library(_)), "{missing:?}");

        let words = vec!["inspect".into(), log.into_os_string()];
        let (printed, done) = call(words, "a call", Arc::new(AtomicBool::new(true)));
        assert!(printed.result.is_empty() && done.is_err(), "asked to stop before it began");
    }
}

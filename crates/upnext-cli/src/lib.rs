//! The command line of `upnext`: parses arguments, calls the library, prints results.
//!
//! Results go to stdout; progress, warnings and errors to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage.

#![forbid(unsafe_code)]

mod cases;
mod commands;
pub mod embedded;
mod experiment;
mod help;
mod interrupt;
mod invocation;
mod item_table;
mod next_clicks;
mod numbers;
mod out_file;
mod output;
mod page;
mod progress;
mod ranking;
mod reading;
mod restrict;
mod serving;
mod train_and_rank;

pub use invocation::Invocation;

use clap::{FromArgMatches, Parser};
use help::ERROR;
use output::message;
use std::ffi::OsString;
use std::process::ExitCode;

/// Recommends what comes next in a session, learnt from a click log.
#[derive(Parser)]
#[command(
    name = "upnext",
    version,
    about = "Session-based recommendations with recurrent neural networks: prepare, train, evaluate, recommend",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

/// Parses arguments, of which the first is the program's name.
fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = help::command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Runs the program on the arguments of the process.
pub fn main() -> ExitCode {
    ExitCode::from(run(Invocation::of_process()))
}

/// Runs the program as it was called, and returns its exit code. Messages that repeat the call name the first one of the
/// process.
pub fn run(invocation: Invocation) -> u8 {
    let arguments = invocation.arguments.clone();
    invocation.keep();
    let done = match parse(arguments) {
        Ok(cli) => cli.command.run(),
        Err(error) => {
            // Help and version are such errors, too. A closed stdout needs no more.
            _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(1);
        }
    };
    match done {
        Ok(()) => 0,
        // A reader such as `head` closed stdout: it needs no more.
        Err(error) if error.is::<output::StdoutClosed>() => 0,
        Err(error) => {
            if !error.is::<output::Told>() {
                anstream::eprintln!("{ERROR}error:{ERROR:#} {}", message(&error));
            }
            use upnext_core::Error::{Config, ExperimentFile, UnknownKey};
            let wrong_usage = matches!(
                error.downcast_ref(),
                Some(Config { .. } | ExperimentFile { .. } | UnknownKey { .. })
            );
            if wrong_usage { 2 } else { 1 }
        }
    }
}

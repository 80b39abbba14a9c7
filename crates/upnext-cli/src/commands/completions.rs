//! `upnext completions`: scripts with which a shell completes commands and options.

use crate::help;
use crate::output::print;
use clap_complete::Shell;

/// Print a script with which a shell completes the commands and options of upnext.
#[derive(clap::Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::complete(), "upnext", &mut script);
    print(&String::from_utf8(script)?)
}

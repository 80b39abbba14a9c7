//! `upnext man`: manual pages.

use crate::help;
use crate::output::print;
use clap_mangen::Man;
use std::io::Write;
use std::path::{Path, PathBuf};
use upnext_core::replace::replace_file;

/// Print the manual page of upnext or of a command, or write all of them.
#[derive(clap::Args, Debug)]
pub(crate) struct ManArgs {
    /// The command whose page is printed, such as train [default: upnext itself]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,

    /// Write the pages of upnext and of all commands to this folder
    #[arg(long, short, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &ManArgs) -> anyhow::Result<()> {
    let mut program = help::plain();
    program.build();
    if let Some(folder) = &args.out {
        return write(&program, folder);
    }
    let Some(name) = &args.command else { return print(&page(&program)?) };
    match program.find_subcommand(name) {
        Some(command) => print(&page(command)?),
        None => {
            let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
            let reason = format!("there is no command `{name}`: the commands are {}", names.join(", "));
            Err(upnext_core::Error::config("COMMAND", reason).into())
        }
    }
}

/// The page of a command.
fn page(command: &clap::Command) -> anyhow::Result<String> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    Ok(String::from_utf8(text)?)
}

/// Writes the pages of a command and of those below it.
fn write(command: &clap::Command, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).map_err(upnext_core::Error::io(folder, "create"))?;
    // The full name with hyphens, as in `upnext-train`.
    let name = command.get_display_name().unwrap_or(command.get_name());
    let file = folder.join(format!("{name}.1"));
    let text = page(command)?;
    replace_file(&file, |mut out| {
        out.write_all(text.as_bytes()).map_err(upnext_core::Error::io(&file, "write"))
    })?;
    command
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
        .try_for_each(|command| write(command, folder))
}

//! The help texts as a whole: groups of options, examples, colours, and which options are told where.

mod groups;

use crate::item_table::ItemTableArgs;
use crate::reading::ReadArgs;
use anstyle::{AnsiColor, Style};
use clap::builder::Styles;
use clap::{Arg, Args, Command, CommandFactory};
use groups::{EXAMPLES, GROUPS, OUTPUT, START};

/// The style of headings.
pub(crate) const HEADING: Style = Style::new().bold();
/// The style of the word `error`.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The style of the word `warning`.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The styles of clap's help and errors.
const STYLES: Styles = Styles::styled()
    .header(HEADING)
    .usage(HEADING)
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Green.on_default())
    .error(ERROR)
    .valid(AnsiColor::Green.on_default())
    .invalid(AnsiColor::Yellow.on_default());

/// The heading of the options for reading a log.
const READING: &str = "Reading the log";
/// The heading of the options for reading a table of items.
const ITEM_TABLE: &str = "Reading a table of items";
/// The command whose help has the options for reading a log.
const TELLS_READING: &str = "prepare";
/// The command whose help has the options for reading a table of items.
const TELLS_ITEM_TABLE: &str = "inspect";

/// The value names of options that take numbers, for which `-1` is a value and no option.
const NUMBERS: [&str; 5] = ["N", "K", "K,…", "M", "PART"];

/// The program as it parses its arguments and prints its help.
pub(crate) fn command() -> Command {
    described(true, HEADING)
}

/// The program without styles in its texts, for manual pages.
pub(crate) fn plain() -> Command {
    described(true, Style::new())
}

/// The program with no option hidden, for the completions of a shell.
pub(crate) fn complete() -> Command {
    described(false, Style::new())
}

fn described(hides: bool, heading: Style) -> Command {
    let program = crate::Cli::command().styles(STYLES).after_help(examples(START, heading));
    program.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let command = describe(command, &name, hides, heading);
        // The commands of `reproduce`.
        command.mut_subcommands(|inner| {
            let name = format!("{name} {}", inner.get_name());
            describe(inner, &name, hides, heading)
        })
    })
}

/// Adds groups, examples and pointers to the help of a command.
fn describe(command: Command, name: &str, hides: bool, heading: Style) -> Command {
    let (reading, item_table) = (ids::<ReadArgs>(), ids::<ItemTableArgs>());
    let groups = GROUPS.iter().find(|(command, _)| *command == name).map_or(&[][..], |(_, groups)| *groups);
    // All of them: other commands have options of the same names.
    let has = |ids: &[String]| ids.iter().all(|id| command.get_arguments().any(|arg| arg.get_id() == id));
    let (has_reading, has_item_table) = (has(&reading), has(&item_table));
    let command = command.mut_args(|arg| {
        let id = arg.get_id().to_string();
        let arg = if takes_numbers(&arg) { arg.allow_negative_numbers(true) } else { arg };
        if has_reading && reading.contains(&id) {
            arg.help_heading(READING).hide(hides && name != TELLS_READING)
        } else if has_item_table && item_table.contains(&id) {
            arg.help_heading(ITEM_TABLE).hide(hides && name != TELLS_ITEM_TABLE)
        } else if OUTPUT.contains(&id.as_str()) {
            arg.help_heading("Output")
        } else {
            let group = groups.iter().find(|(_, ids)| ids.contains(&id.as_str()));
            arg.help_heading(group.map(|(title, _)| *title))
        }
    });
    let mut text = String::new();
    if has_reading && name != TELLS_READING {
        text.push_str(
            "Options for reading logs (columns, times, quoting, bad rows): see `upnext prepare --help`\n",
        );
    }
    if has_item_table && name != TELLS_ITEM_TABLE {
        text.push_str("Options for reading a table of items: see `upnext inspect --help`\n");
    }
    if let Some((_, lines)) = EXAMPLES.iter().find(|(command, _)| *command == name) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&examples(lines, heading));
    }
    command.after_help(text.trim_end().to_owned())
}

/// The examples of a command, one a line.
fn examples(lines: &[&str], heading: Style) -> String {
    let title = if lines.len() == 1 { "Example:" } else { "Examples:" };
    format!("{heading}{title}{heading:#}\n  {}", lines.join("\n  "))
}

/// The ids of a group of arguments.
fn ids<A: Args>() -> Vec<String> {
    let command = A::augment_args(Command::new("ids"));
    command.get_arguments().map(|arg| arg.get_id().to_string()).collect()
}

/// Whether the values of an argument are numbers.
fn takes_numbers(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| NUMBERS.contains(&name.as_str()))
}

#[cfg(test)]
mod tests;

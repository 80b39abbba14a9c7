//! The help texts fit the commands, and no message about an argument names a type of Rust.

use super::*;

/// All commands and those below them, with the words that call them.
fn commands(program: &Command) -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for command in program.get_subcommands() {
        found.push((command.get_name().to_owned(), command.clone()));
        for inner in command.get_subcommands() {
            found.push((format!("{} {}", command.get_name(), inner.get_name()), inner.clone()));
        }
    }
    found
}

fn help_of(name: &str) -> String {
    let words = std::iter::once("upnext").chain(name.split(' ')).chain(["--help"]);
    plain().try_get_matches_from(words).unwrap_err().render().to_string()
}

#[test]
fn the_definition_is_consistent() {
    command().debug_assert();
    complete().debug_assert();
}

#[test]
fn every_command_has_examples_that_it_accepts() {
    for (name, _) in commands(&command()) {
        let (_, examples) = EXAMPLES.iter().find(|(command, _)| *command == name).expect(&name);
        assert!(
            examples.iter().all(|line| line.starts_with(&format!("upnext {name}")) || name == "reproduce")
        );
        assert!(help_of(&name).contains("Example"), "{name}");
    }
    for line in EXAMPLES.iter().flat_map(|(_, lines)| *lines).chain(START) {
        let words = line.split(['#', '|', '>']).next().unwrap_or_default().split_whitespace();
        if let Err(error) = command().try_get_matches_from(words) {
            panic!("{line}\n{error}");
        }
    }
}

#[test]
fn groups_name_options_that_exist() {
    let commands = commands(&command());
    for (name, groups) in GROUPS {
        let (_, command) = commands.iter().find(|(command, _)| command == name).expect(name);
        for id in groups.iter().flat_map(|(_, ids)| *ids) {
            assert!(command.get_arguments().any(|arg| arg.get_id() == id), "{name} has no option {id}");
        }
    }
}

#[test]
fn options_for_reading_are_told_once_and_work_everywhere() {
    for (name, command) in commands(&command()) {
        if !command.get_arguments().any(|arg| arg.get_id() == "skip_bad_rows") {
            continue;
        }
        let help = help_of(&name);
        let (tells, points) =
            (help.contains("--session-column"), help.contains("see `upnext prepare --help`"));
        assert_eq!((tells, points), (name == TELLS_READING, name != TELLS_READING), "{help}");
    }
    let words = ["upnext", "evaluate", "model", "log.csv", "--session-column", "visit", "--skip-bad-rows"];
    command().try_get_matches_from(words).unwrap();
    assert!(help_of("inspect").contains("--item-type") && !help_of("train").contains("--item-type"));
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut complete(), "upnext", &mut script);
    assert!(String::from_utf8(script).unwrap().matches("--session-column").count() > 3);
}

#[test]
fn common_options_come_first_and_those_for_output_last() {
    let place = |help: &str, word: &str| help.find(word).unwrap_or_else(|| panic!("{word} is not in {help}"));
    let train = help_of("train");
    let order =
        ["Arguments:", "\nOptions:", "--out", "--validate", "Model and training:", "--epochs", "Output:"];
    let places: Vec<usize> = order.iter().map(|word| place(&train, word)).collect();
    assert!(places.is_sorted(), "{train}");
    let prepare = help_of("prepare");
    let order = ["\nOptions:", "--holdout", "Filters:", "--until", "Output:", "Reading the log:"];
    let places: Vec<usize> = order.iter().map(|word| place(&prepare, word)).collect();
    assert!(places.is_sorted(), "{prepare}");
}

#[test]
fn no_message_about_a_value_names_a_type_of_rust() {
    const LEAKS: [&str; 12] = [
        "usize",
        "u64",
        "u32",
        "i64",
        "f32",
        "f64",
        "NonZero",
        "non-zero",
        "invalid digit",
        "invalid float",
        "in string",
        "number too",
    ];
    let mut refused = 0;
    for (name, command) in commands(&command()) {
        let options = command.get_arguments().filter(|arg| arg.get_action().takes_values());
        for option in options.filter(|arg| !arg.is_positional()) {
            let flag = option.get_long().map(|long| format!("--{long}"));
            let flag = flag.or_else(|| option.get_short().map(|short| format!("-{short}"))).unwrap();
            for value in ["x", "0", "-1", "1e3", "99999999999999999999", "1.5", ""] {
                let words = std::iter::once("upnext").chain(name.split(' ')).chain([flag.as_str(), value]);
                let Err(error) = super::command().try_get_matches_from(words) else { continue };
                let message = error.render().to_string();
                for leak in LEAKS {
                    assert!(!message.contains(leak), "{name} {flag} {value}: {message}");
                }
                if takes_numbers(option) && message.contains("invalid value") {
                    assert!(message.contains("must be a "), "{name} {flag} {value}: {message}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 60, "{refused} messages");
}

#[test]
fn styles_are_in_the_help_of_the_program_and_not_in_manual_pages() {
    let colours = |command: &mut Command| command.render_help().ansi().to_string();
    let mut styled = command();
    assert!(colours(&mut styled).contains("\u{1b}[1mExamples:"));
    for (name, command) in commands(&plain()) {
        let after = command.get_after_help().map(|text| text.ansi().to_string()).unwrap_or_default();
        assert!(!after.contains('\u{1b}'), "{name}: {after}");
    }
}

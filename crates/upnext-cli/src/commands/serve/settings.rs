//! The configuration of a server from a file, the environment and arguments, each of which overrides what comes before.

use super::ServeArgs;
use anyhow::Context;
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{Display, Write};
use std::path::{Path, PathBuf};
use toml::Table;
use toml::de::DeTable;
use upnext_core::documented::{Documented, comment};
use upnext_core::experiment::{nearest, plain, readings};
use upnext_core::{Error, Result};
use upnext_server::{ServerConfig, StoreUrl};

/// What the names of environment variables begin with.
const PREFIX: &str = "UPNEXT_";

/// The options of the command line that set a field, and the field.
const FLAGS: [(&str, &str); 27] = [
    ("MODEL", "model"),
    ("--name", "name"),
    ("--listen", "listen"),
    ("--admin-listen", "admin_listen"),
    ("--keys", "keys_file"),
    ("--admin-keys", "admin_keys_file"),
    ("--allow-open", "allow_open"),
    ("--tls-cert", "tls_cert_file"),
    ("--tls-key", "tls_key_file"),
    ("--models", "models_dir"),
    ("--session-file", "session_file"),
    ("--session-sync", "session_sync"),
    ("--session-store", "session_store"),
    ("--block", "block_file"),
    ("--allow", "allow_file"),
    ("--items", "items_file"),
    ("--watch", "watch_models"),
    ("--compare", "compare_model"),
    ("--share", "compare_share"),
    ("--shadow", "compare_shadow"),
    ("--event-log", "event_log_dir"),
    ("--impressions", "impression_log"),
    ("--catalogue", "catalogue_file"),
    ("--examples", "examples_log"),
    ("--catalogue-quote", "catalogue_quote"),
    ("--log", "log"),
    ("--log-level", "log_level"),
];

/// A configuration, and where its values come from.
pub(super) struct Settings {
    pub(super) config: ServerConfig,
    /// Fields that were given, and by what.
    origins: BTreeMap<&'static str, String>,
    /// What was given without an effect.
    pub(super) warnings: Vec<String>,
}

/// What was given so far. The values are kept as they were given, since a configuration shows no password.
#[derive(Default)]
struct Given {
    values: Table,
    origins: BTreeMap<&'static str, String>,
    warnings: Vec<String>,
}

impl Settings {
    /// Reads the file that the arguments name, then the environment, then the arguments.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::ExperimentFile`] and [`Error::Config`] with what gives a value that cannot be.
    pub(super) fn read(args: &ServeArgs) -> Result<Self> {
        let mut given = Given::default();
        if let Some(path) = &args.config {
            given.file(path)?;
        }
        given.environment(std::env::vars_os())?;
        for assignment in &args.fields {
            given.assignment(assignment)?;
        }
        given.arguments(args)?;
        let config = given.config().map_err(|error| Error::config("serve", error))?;
        config.validate()?;
        Ok(Self { config, origins: given.origins, warnings: given.warnings })
    }

    /// All fields as TOML, each with its meaning, its default, what sets it, and what has set it.
    pub(super) fn annotated(&self) -> anyhow::Result<String> {
        let table =
            |config: &ServerConfig| Table::try_from(config).context("the configuration cannot be shown");
        let (values, defaults) = (table(&self.config)?, table(&ServerConfig::default())?);
        let mut text = String::new();
        comment(&mut text, "The configuration of `upnext serve`. What is left out has its default.");
        for field in ServerConfig::FIELDS {
            let name = field.name;
            let mut about = field.text();
            if let Some(default) = defaults.get(name) {
                _ = write!(about, " Default: {default}.");
            }
            let flag = FLAGS.iter().find(|(_, own)| *own == name).map(|(flag, _)| format!(" and {flag}"));
            _ = write!(about, " Set by {}{}.", variable(name), flag.unwrap_or_default());
            text.push('\n');
            comment(&mut text, &about);
            match (values.get(name), self.origins.get(name)) {
                (Some(value), Some(origin)) => _ = writeln!(text, "{name} = {value} # from {origin}"),
                (Some(value), None) => _ = writeln!(text, "{name} = {value}"),
                (None, _) => _ = writeln!(text, "# {name} is absent"),
            }
        }
        Ok(text)
    }
}

impl Given {
    /// The configuration of these values, or why there is none.
    fn config(&self) -> std::result::Result<ServerConfig, String> {
        ServerConfig::deserialize(self.values.clone()).map_err(|error| plain(error.message()))
    }

    /// Takes the fields of a TOML file.
    fn file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        let origin = path.display().to_string();
        let place = |start: usize| {
            let before = text.get(..start).unwrap_or(&text);
            let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
            (before.matches('\n').count() + 1, column)
        };
        let refused = |error: toml::de::Error| {
            let (line, column) = place(error.span().map_or(0, |span| span.start));
            Error::ExperimentFile { origin: origin.clone(), line, column, reason: plain(error.message()) }
        };
        let table = DeTable::parse(&text).map_err(refused)?;
        let mut keys: Vec<_> = table.get_ref().keys().map(|key| (key.span().start, key.get_ref())).collect();
        keys.sort_unstable();
        for (start, key) in keys {
            let (line, _) = place(start);
            let field = known(key).ok_or_else(|| unknown(&format!("{origin}:{line}"), key))?;
            self.origins.insert(field, format!("{origin}:{line}"));
        }
        // The whole text, so that an error has its line.
        toml::from_str::<ServerConfig>(&text).map_err(refused)?;
        self.values = text.parse().map_err(refused)?;
        Ok(())
    }

    /// Takes what environment variables say. One whose name is nearly that of a field is told of, since it has no effect.
    fn environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<()> {
        for (own, value) in variables {
            let Some(name) = own.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
            let field = name.to_lowercase();
            match known(&field) {
                Some(_) if value.is_empty() => {}
                Some(field) => {
                    let origin = format!("{PREFIX}{name}");
                    // The value may be a password.
                    let text = value.to_str().ok_or_else(|| Error::config(&origin, "is not UTF-8"))?;
                    self.set(field, &origin, text)?;
                }
                // These hold keys themselves.
                None if ["KEYS", "ADMIN_KEYS"].contains(&name) => {}
                None => {
                    if let Some(near) = nearest(&field, fields()) {
                        let near = variable(near);
                        self.warnings.push(format!("{PREFIX}{name} sets no option: did you mean {near}?"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes `field=value`.
    fn assignment(&mut self, assignment: &str) -> Result<()> {
        let Some((field, text)) = assignment.split_once('=') else {
            return Err(Error::config(
                "--set",
                format!("`{assignment}` has no value: use FIELD=VALUE, as in max_k=50"),
            ));
        };
        let known = known(field.trim()).ok_or_else(|| unknown("--set", field.trim()))?;
        let origin = format!("--set {known}");
        check_argument(known, &origin, text.trim())?;
        self.set(known, &origin, text.trim())
    }

    fn arguments(&mut self, args: &ServeArgs) -> Result<()> {
        let path = |path: &Option<PathBuf>| -> Option<Result<String>> {
            let path = path.as_ref()?;
            let refused =
                || Error::config(path.display().to_string(), "is a path that is not UTF-8: rename it");
            Some(path.to_str().map(str::to_owned).ok_or_else(refused))
        };
        fn text<T: Display>(value: Option<T>) -> Option<Result<String>> {
            value.map(|value| Ok(value.to_string()))
        }
        fn name<T: ValueEnum>(value: Option<T>) -> Option<Result<String>> {
            let value = value?.to_possible_value()?;
            Some(Ok(value.get_name().to_owned()))
        }
        let switch = |on: bool| text(on.then_some(true));
        // In the order of the flags; one too few or too many does not compile.
        let values: [_; FLAGS.len()] = [
            path(&args.model),
            text(args.name.as_ref()),
            text(args.listen),
            text(args.admin_listen),
            path(&args.keys),
            path(&args.admin_keys),
            switch(args.allow_open),
            path(&args.tls_cert),
            path(&args.tls_key),
            path(&args.models),
            path(&args.session_file),
            name(args.session_sync),
            text(args.session_store.as_ref()),
            path(&args.block),
            path(&args.allow),
            path(&args.items),
            switch(args.watch),
            path(&args.compare),
            text(args.share),
            text(args.shadow),
            path(&args.event_log),
            switch(args.impressions),
            path(&args.catalogue),
            path(&args.examples),
            name(args.catalogue_quote),
            name(args.log),
            name(args.log_level),
        ];
        for ((flag, field), value) in FLAGS.into_iter().zip(values) {
            if let Some(value) = value {
                let value = value?;
                check_argument(field, flag, &value)?;
                self.set(field, flag, &value)?;
            }
        }
        Ok(())
    }

    /// Sets a field by a text, which is read as what the field is.
    fn set(&mut self, field: &'static str, origin: &str, text: &str) -> Result<()> {
        let before = self.values.get(field).cloned();
        let mut reason = None;
        for value in readings(text) {
            self.values.insert(field.to_owned(), value);
            match self.config() {
                Ok(_) => {
                    self.origins.insert(field, origin.to_owned());
                    return Ok(());
                }
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        match before {
            Some(value) => _ = self.values.insert(field.to_owned(), value),
            None => _ = self.values.remove(field),
        }
        let reason = reason.unwrap_or_default();
        let reason = reason.strip_prefix(&format!("{field}: ")).unwrap_or(&reason);
        Err(Error::config(origin, reason.to_owned()))
    }
}

/// Checks that an argument has no password: other users of the machine can read arguments.
fn check_argument(field: &str, origin: &str, text: &str) -> Result<()> {
    if field == "session_store" && text.parse::<StoreUrl>().is_ok_and(|url| url.has_password()) {
        let reason = "has a password, and arguments can be read by other users of the machine: put it into the file of --config or into UPNEXT_SESSION_STORE";
        return Err(Error::config(origin, reason));
    }
    Ok(())
}

fn fields() -> impl Iterator<Item = &'static str> {
    ServerConfig::FIELDS.iter().map(|field| field.name)
}

fn known(name: &str) -> Option<&'static str> {
    fields().find(|field| *field == name)
}

/// The environment variable of a field.
fn variable(field: &str) -> String {
    format!("{PREFIX}{}", field.to_uppercase())
}

fn unknown(place: &str, key: &str) -> Error {
    let suggestion = match nearest(key, fields()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`upnext serve --show-config` lists the options".to_owned(),
    };
    Error::UnknownKey { place: place.to_owned(), key: key.to_owned(), suggestion }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(change: impl FnOnce(&mut Given) -> Result<()>) -> Result<Settings> {
        let mut given = Given::default();
        change(&mut given)?;
        let config = given.config().map_err(|error| Error::config("test", error))?;
        Ok(Settings { config, origins: given.origins, warnings: given.warnings })
    }

    fn variables(given: &mut Given, all: &[(&str, &str)]) -> Result<()> {
        given.environment(all.iter().map(|&(name, value)| (name.into(), value.into())))
    }

    fn message(settings: Result<Settings>) -> String {
        settings.err().expect("a refusal").to_string()
    }

    #[test]
    fn arguments_override_the_environment_and_that_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("serve.toml");
        std::fs::write(&file, "max_k = 30\n\ndefault_k = 10\nmax_sessions = 7\n").unwrap();
        let settings = given(|given| {
            given.file(&file)?;
            variables(given, &[("UPNEXT_MAX_K", "40"), ("UPNEXT_DEFAULT_K", "11"), ("UPNEXT_NAME", "")])?;
            variables(given, &[("UPNEXT_CORS_ORIGINS", "https://a, https://b"), ("PATH", "/")])?;
            given.assignment("max_k=50")
        });
        let Settings { config, origins, warnings } = settings.unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!((config.max_k, config.default_k, config.max_sessions), (50, 11, 7));
        assert_eq!((config.name, config.cors_origins.len()), (None, 2));
        let origins: Vec<_> = origins.into_iter().collect();
        let path = format!("{}:4", file.display());
        let expected = [
            ("cors_origins", "UPNEXT_CORS_ORIGINS"),
            ("default_k", "UPNEXT_DEFAULT_K"),
            ("max_k", "--set max_k"),
            ("max_sessions", &path),
        ];
        assert_eq!(origins, expected.map(|(field, origin)| (field, origin.to_owned())));
    }

    #[test]
    fn every_field_is_shown_with_its_meaning_and_reads_back() {
        let settings = given(|given| given.assignment("session_store=redis://store")).unwrap();
        let text = settings.annotated().unwrap();
        assert_eq!(toml::from_str::<ServerConfig>(&text).unwrap(), settings.config, "{text}");
        assert!(text.contains("session_store = \"redis://store\" # from --set session_store\n"), "{text}");
        assert!(
            text.contains("Set by UPNEXT_SESSION_FILE and --session-file.\n# session_file is absent"),
            "{text}"
        );
        for field in ServerConfig::FIELDS {
            let about = field.text();
            assert!(about.ends_with('.') && about.len() > 20, "{}: {about}", field.name);
            assert!(text.contains(&variable(field.name)), "{}", field.name);
        }
        for (flag, field) in FLAGS {
            assert!(known(field).is_some(), "{flag}: {field}");
        }
    }

    #[test]
    fn a_variable_that_is_nearly_an_option_is_told_of() {
        let all = [
            ("UPNEXT_KEYS_FIEL", "x"),
            ("UPNEXT_KEYS", "x"),
            ("UPNEXT_ADMIN_KEYS", "x"),
            ("UPNEXT_PORT_80_TCP", "x"),
        ];
        let warnings = given(|given| variables(given, &all)).unwrap().warnings;
        assert_eq!(warnings, ["UPNEXT_KEYS_FIEL sets no option: did you mean UPNEXT_KEYS_FILE?"]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_gave_it_and_the_nearest_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = |text: &str| {
            let path = dir.path().join("serve.toml");
            std::fs::write(&path, text).unwrap();
            message(given(|given| given.file(&path)))
        };
        let unknown = file("max_k = 3\nmax_sesions = 5\n");
        assert!(unknown.contains("serve.toml:2") && unknown.contains("`max_sessions`"), "{unknown}");
        let wrong = file("max_k = \"x\"\n");
        assert!(wrong.contains("serve.toml:1:9") && wrong.contains("whole number"), "{wrong}");
        assert!(message(given(|given| given.assignment("maxk=3"))).contains("did you mean `max_k`?"));
        assert!(message(given(|given| given.assignment("max_k"))).contains("FIELD=VALUE"));
        let wrong = message(given(|given| given.assignment("max_k=-1")));
        assert!(wrong.starts_with("--set max_k: "), "{wrong}");
        let wrong = message(given(|given| variables(given, &[("UPNEXT_LISTEN", "here")])));
        assert!(wrong.starts_with("UPNEXT_LISTEN: "), "{wrong}");
        let secret = message(given(|given| variables(given, &[("UPNEXT_SESSION_STORE", "secret-7")])));
        assert!(!secret.contains("secret-7"), "{secret}");
        let secret = message(given(|given| given.assignment("session_store=redis://:secret-7@store")));
        assert!(secret.contains("has a password") && !secret.contains("secret-7"), "{secret}");
    }
}

//! `upnext serve`: recommendations over HTTP.

mod settings;

use crate::numbers::share;
use crate::output;
use crate::reading::QuoteArg;
use anyhow::Context;
use settings::Settings;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use upnext_server::{ApiKeys, Error, Keys, LogFormat, LogGuard, LogLevel, Server, ServerConfig, Setup};

/// Environment variables for keys, used if no file is given.
pub(super) const KEYS: &str = "UPNEXT_KEYS";
const ADMIN_KEYS: &str = "UPNEXT_ADMIN_KEYS";

/// Serve the recommendations of a model over HTTP.
///
/// Once the server runs, / shows what the model does, and /docs is the interface. Ctrl-C and SIGTERM let requests in
/// flight finish; SIGHUP loads certificate and model anew, and goes on with the old one if a new one is broken. Log
/// lines go to stderr.
///
/// Every option is a field of the file of --config, an environment variable (UPNEXT_ and the field in capitals) and an
/// argument (--set FIELD=VALUE, or an option below), each of which overrides what comes before; --show-config lists all of them.
/// Keys are read from files, or from UPNEXT_KEYS and UPNEXT_ADMIN_KEYS, and never from arguments, which other users can see.
#[derive(clap::Args, Debug)]
pub(crate) struct ServeArgs {
    /// The model's folder
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,

    /// Address and port to listen on; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// A second address, for health checks, metrics and admin calls
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,

    /// The model's name in every answer [default: that of its folder]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// TOML file of options; `--show-config` prints them all
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Set an option, as in max_k=50; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    fields: Vec<String>,

    /// Print all options with their meanings, values and where these come from, as a file to start from, and stop
    #[arg(long)]
    show_config: bool,

    /// File of keys, one per line, of which clients must send one
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// File of keys, one per line, of which admin calls must send one; without it, admin calls are off
    #[arg(long, value_name = "FILE")]
    admin_keys: Option<PathBuf>,

    /// Allow an address that other machines can reach without keys
    #[arg(long)]
    allow_open: bool,

    /// Use TLS, with this certificate followed by those that signed it (PEM); read again at SIGHUP
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Folder of models that admin calls may load
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,

    /// Store sessions in this file, so that they survive a restart or a crash
    #[arg(long, value_name = "FILE")]
    session_file: Option<PathBuf>,

    /// When the session file is written to the disk [default: every-second]
    #[arg(long, value_enum)]
    session_sync: Option<SyncArg>,

    /// Share sessions with other servers in this Valkey or Redis server, such as redis://HOST:6379; a URL with a password
    /// goes into UPNEXT_SESSION_STORE or the file of --config
    #[arg(long, value_name = "URL")]
    session_store: Option<String>,

    /// Never recommend the items in this file, one id per line; read again when it changes
    #[arg(long, value_name = "FILE")]
    block: Option<PathBuf>,

    /// Recommend only the items in this file, one id per line; read again when it changes
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,

    /// Serve the items of this table, which training has not seen, by their attributes; read again when it changes
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,

    /// Load the model again when its folder changes
    #[arg(long)]
    watch: bool,

    /// A second model: the page shows it beside the first, and requests may name it
    #[arg(long, value_name = "MODEL2")]
    compare: Option<PathBuf>,

    /// Share of the sessions, 0 to 1, that the second model answers instead of the first
    #[arg(long, value_name = "PART", value_parser = share)]
    share: Option<f64>,

    /// Share of the first model's sessions, 0 to 1, for which the second computes lists, too, and differences are logged
    #[arg(long, value_name = "PART", value_parser = share)]
    shadow: Option<f64>,

    /// Append the events of stored sessions to CSV files in this folder, which `upnext prepare` reads
    #[arg(long, value_name = "DIR")]
    event_log: Option<PathBuf>,

    /// CSV or Parquet file of titles, with columns `item_id` (or `item`, `id`) and `title` (or `name`); others are shown
    /// too
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,

    /// A log, or a folder that `prepare` made (its test part): the page replays some of its sessions click by click, and marks
    /// what the visitor really clicked next
    #[arg(long, value_name = "LOG")]
    examples: Option<PathBuf>,

    /// How the fields of the catalogue are quoted [default: auto]
    #[arg(long, value_name = "QUOTE", value_enum, requires = "catalogue")]
    catalogue_quote: Option<QuoteArg>,

    /// With --event-log: also log the lists that are shown in sessions
    #[arg(long)]
    impressions: bool,

    /// Format of the log lines on stderr [default: text]
    #[arg(long, value_enum)]
    log: Option<FormatArg>,

    /// How much is logged [default: info]
    #[arg(long, value_enum)]
    log_level: Option<LevelArg>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SyncArg {
    /// Before an event is acknowledged: a power failure loses nothing
    EveryEvent,
    /// Once a second: a power failure loses the last second
    EverySecond,
    /// When the system writes it
    System,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatArg {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LevelArg {
    /// Failures
    Error,
    /// Also answers of 5xx
    Warn,
    /// Also every request
    Info,
    /// Also broken connections
    Debug,
}

/// Runs the command.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let settings = match Settings::read(args) {
        Err(error) if wants_json(args) => {
            let lines = upnext_server::log_to_stderr(LogFormat::Json, LogLevel::default());
            return Err(told(error.into(), lines));
        }
        settings => settings?,
    };
    if args.show_config {
        output::warn(&settings.warnings);
        return output::print(&settings.annotated()?);
    }
    let Settings { config, warnings, .. } = settings;
    let (format, level) = (config.log, config.log_level);
    let lines = upnext_server::log_to_stderr(format, level);
    match format {
        LogFormat::Json => warnings.iter().for_each(|warning| lines.warn(warning)),
        LogFormat::Text => output::warn(&warnings),
    }
    match serve(config, &lines) {
        Err(error) if format == LogFormat::Json => Err(told(error, lines)),
        served => served,
    }
}

/// Whether what reads stderr expects JSON, although the configuration cannot be read.
fn wants_json(args: &ServeArgs) -> bool {
    if let Some(format) = args.log {
        return matches!(format, FormatArg::Json);
    }
    let set = args.fields.iter().rev().find_map(|field| field.strip_prefix("log="));
    let variable = std::env::var("UPNEXT_LOG").ok();
    let of_file = || {
        let text = std::fs::read_to_string(args.config.as_ref()?).ok()?;
        Some(text.parse::<toml::Table>().ok()?.get("log")?.as_str()?.to_owned())
    };
    set.map(str::to_owned).or(variable).or_else(of_file).is_some_and(|format| format == "json")
}

/// Logs an error for a program that reads log lines, instead of printing it for people.
fn told(error: anyhow::Error, lines: LogGuard) -> anyhow::Error {
    lines.error(&output::message(&error));
    drop(lines);
    error.context(output::Told)
}

fn serve(config: ServerConfig, lines: &LogGuard) -> anyhow::Result<()> {
    let keys = ApiKeys {
        data: keys(config.keys_file.as_deref(), KEYS)?,
        admin: keys(config.admin_keys_file.as_deref(), ADMIN_KEYS)?,
    };
    let is_json = config.log == LogFormat::Json;
    let server = match Server::bind(Setup { config, keys }) {
        Err(Error::Stopped) => return Ok(()),
        bound => bound.map_err(plain)?,
    };
    if is_json {
        lines.listening(&server);
    } else {
        eprintln!("listening on {}", server.url());
        if let Some(url) = server.admin_url() {
            eprintln!("health checks, metrics and admin calls on {url}");
        }
    }
    server.run().map_err(plain)
}

/// The keys of a file or of an environment variable; an empty set without both.
pub(super) fn keys(file: Option<&Path>, variable: &str) -> anyhow::Result<Keys> {
    match (file, std::env::var(variable)) {
        (Some(file), _) => Keys::read(file).map_err(plain),
        (None, Ok(text)) => Keys::parse(&text, variable).map_err(plain),
        (None, Err(std::env::VarError::NotPresent)) => Ok(Keys::default()),
        (None, Err(error)) => Err(error).with_context(|| format!("{variable} cannot be read")),
    }
}

/// Unwraps errors of the library, so that they lead to the same exit codes as in other commands.
pub(super) fn plain(error: Error) -> anyhow::Error {
    match error {
        Error::Library(error) => error.into(),
        other => other.into(),
    }
}

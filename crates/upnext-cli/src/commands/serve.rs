//! `upnext serve`: recommendations over HTTP.

use crate::numbers::share;
use crate::reading::QuoteArg;
use anyhow::Context;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use upnext_server::{
    ApiKeys, Error, Keys, LogFormat, LogLevel, Server, ServerConfig, SessionSync, Setup, StoreUrl,
};

/// Environment variables for keys, used if no file is given.
pub(super) const KEYS: &str = "UPNEXT_KEYS";
const ADMIN_KEYS: &str = "UPNEXT_ADMIN_KEYS";
/// The environment variable for the URL of a session store, used if no argument is given.
const SESSION_STORE: &str = "UPNEXT_SESSION_STORE";

/// Serve the recommendations of a model over HTTP.
///
/// Once the server runs, / shows what the model does, and /docs is the interface. Ctrl-C and SIGTERM let requests in
/// flight finish; SIGHUP loads certificate and model anew, and goes on with the old one if a new one is broken. Log
/// lines go to stderr. Keys are read from files, or from UPNEXT_KEYS and UPNEXT_ADMIN_KEYS, and never from arguments,
/// which other users can see.
#[derive(clap::Args, Debug)]
pub(crate) struct ServeArgs {
    /// The model's folder
    #[arg(value_name = "MODEL", required_unless_present = "show_config")]
    model: Option<PathBuf>,

    /// Address and port to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The model's name in every answer [default: that of its folder]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// TOML file of limits; `--show-config` prints them all
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print all limits with their values, as a file to start from, and stop
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
    /// goes into UPNEXT_SESSION_STORE or the file of limits
    #[arg(long, value_name = "URL")]
    session_store: Option<String>,

    /// Never recommend the items in this file, one id per line; read again when it changes
    #[arg(long, value_name = "FILE")]
    block: Option<PathBuf>,

    /// Recommend only the items in this file, one id per line; read again when it changes
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,

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

    /// Format of the log lines on stderr
    #[arg(long, value_enum, default_value = "text")]
    log: FormatArg,

    /// How much is logged
    #[arg(long, value_enum, default_value = "info")]
    log_level: LevelArg,
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
    let config = config(args)?;
    if args.show_config {
        print!("{}", toml::to_string(&config).context("the limits cannot be shown")?);
        return Ok(());
    }
    let _lines = upnext_server::log_to_stderr(
        match args.log {
            FormatArg::Text => LogFormat::Text,
            FormatArg::Json => LogFormat::Json,
        },
        match args.log_level {
            LevelArg::Error => LogLevel::Error,
            LevelArg::Warn => LogLevel::Warn,
            LevelArg::Info => LogLevel::Info,
            LevelArg::Debug => LogLevel::Debug,
        },
    );
    let setup = Setup {
        model: args.model.clone().unwrap_or_default(),
        name: args.name.clone(),
        listen: args.listen,
        config,
        keys: ApiKeys {
            data: keys(args.keys.as_deref(), KEYS)?,
            admin: keys(args.admin_keys.as_deref(), ADMIN_KEYS)?,
        },
        allow_open: args.allow_open,
    };
    let server = match Server::bind(setup) {
        Err(Error::Stopped) => return Ok(()),
        bound => bound.map_err(plain)?,
    };
    eprintln!("listening on {}", server.url());
    server.run().map_err(plain)
}

/// The configuration: that of the file, overridden by the arguments.
fn config(args: &ServeArgs) -> anyhow::Result<ServerConfig> {
    let mut config = args.config.as_deref().map_or_else(|| Ok(ServerConfig::default()), read)?;
    if let Some(sync) = args.session_sync {
        config.session_sync = match sync {
            SyncArg::EveryEvent => SessionSync::EveryEvent,
            SyncArg::EverySecond => SessionSync::EverySecond,
            SyncArg::System => SessionSync::System,
        };
    }
    let given = [
        (&args.tls_cert, &mut config.tls_cert_file),
        (&args.tls_key, &mut config.tls_key_file),
        (&args.session_file, &mut config.session_file),
        (&args.models, &mut config.models_dir),
        (&args.block, &mut config.block_file),
        (&args.allow, &mut config.allow_file),
        (&args.compare, &mut config.compare_model),
        (&args.event_log, &mut config.event_log_dir),
        (&args.catalogue, &mut config.catalogue_file),
        (&args.examples, &mut config.examples_log),
    ];
    for (given, field) in given {
        if given.is_some() {
            field.clone_from(given);
        }
    }
    if let Some(url) = session_store(args.session_store.as_deref())? {
        config.session_store = Some(url);
    }
    config.catalogue_quote = args.catalogue_quote.map_or(config.catalogue_quote, QuoteArg::quote);
    config.watch_models |= args.watch;
    config.compare_share = args.share.unwrap_or(config.compare_share);
    config.compare_shadow = args.shadow.unwrap_or(config.compare_shadow);
    config.validate()?;
    Ok(config)
}

/// The session store of the argument or of the environment variable, if any.
///
/// The argument is not parsed by clap, whose errors would repeat it with a password in it.
fn session_store(argument: Option<&str>) -> anyhow::Result<Option<StoreUrl>> {
    let refused = |origin: &str, reason: &str| upnext_core::Error::config(origin, reason);
    let Some(text) = argument else {
        return match std::env::var(SESSION_STORE) {
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Ok(Some(text.parse().map_err(|reason: String| refused(SESSION_STORE, &reason))?)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            // The error itself would display the value.
            Err(std::env::VarError::NotUnicode(_)) => Err(refused(SESSION_STORE, "is not UTF-8").into()),
        };
    };
    let url: StoreUrl = text.parse().map_err(|reason: String| refused("--session-store", &reason))?;
    if url.has_password() {
        let reason = "has a password, and arguments can be read by other users of the machine: put it into the file of --config or into UPNEXT_SESSION_STORE";
        return Err(refused("--session-store", reason).into());
    }
    Ok(Some(url))
}

fn read(path: &Path) -> anyhow::Result<ServerConfig> {
    let text = std::fs::read_to_string(path).map_err(upnext_core::Error::io(path, "read"))?;
    toml::from_str(&text).map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let reason = upnext_core::experiment::plain(error.message());
        upnext_core::Error::ExperimentFile { origin: path.display().to_string(), line, column, reason }.into()
    })
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

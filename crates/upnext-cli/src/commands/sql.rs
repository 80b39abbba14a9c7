//! `upnext sql`: queries for the engine that has the log.

use super::prepare::RulesArgs;
use crate::numbers::one_or_more;
use crate::output::OutputArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use upnext_core::data::TimeSpan;
use upnext_core::data::sql::{Dialect, IdColumn, IdForm, SqlOptions, SqlPlan, TimeForm};

/// Print the queries by which an engine such as DuckDB or Spark prepares a log where it lies.
#[derive(clap::Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct SqlArgs {
    #[command(subcommand)]
    command: Queries,
}

#[derive(clap::Subcommand, Debug)]
enum Queries {
    Prepare(Box<SqlPrepareArgs>),
}

/// Print the queries that filter a click log, split it, and write a folder to train from.
///
/// The rules and the result are those of `upnext prepare --order ids`; the folder has item numbers instead of ids, so that `upnext
/// train` takes 4 bytes an event.
#[derive(clap::Args, Debug)]
struct SqlPrepareArgs {
    /// The engine's SQL; Sail speaks Spark's
    #[arg(long, value_name = "DIALECT", value_parser = PossibleValuesParser::new(Dialect::ALL.map(Dialect::as_str)).try_map(|name| name.parse::<Dialect>()))]
    dialect: Dialect,

    /// The table or view of the log, or a query in parentheses, as it stands in the engine's SQL
    #[arg(long, value_name = "TABLE")]
    source: String,

    /// Session column; several together are a key
    #[arg(long, value_name = "COLUMN", default_value = "session_id")]
    session_column: Vec<String>,

    /// Item column
    #[arg(long, value_name = "COLUMN", default_value = "item_id")]
    item_column: String,

    /// Time column
    #[arg(long, value_name = "COLUMN", default_value = "time")]
    time_column: String,

    /// How times are stored
    #[arg(long, value_enum, default_value_t = TimeFormArg::Timestamp)]
    time_form: TimeFormArg,

    /// Column of integers that orders the events of a session with the same time [default: their items' ids]
    #[arg(long, value_name = "COLUMN")]
    order_column: Option<String>,

    /// Begin a new session after a pause longer than this, such as 30m; the session column may be that of users
    #[arg(long, value_name = "SPAN")]
    session_gap: Option<TimeSpan>,

    /// Treat NULL, None, NaN and the like as ids
    #[arg(long)]
    keep_null_ids: bool,

    #[command(flatten)]
    rules: RulesArgs,

    /// Rounds in which rare items and short sessions are dropped; with --iterate-filters as many as the log needs
    #[arg(long, value_name = "N", value_parser = one_or_more::<usize>, default_value_t = 1)]
    rounds: usize,

    /// The folder to write, a path or URL that the engine knows
    #[arg(long, short, value_name = "DIR", default_value = "data")]
    out: String,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TimeFormArg {
    /// As timestamps; those without a time zone are UTC
    Timestamp,
    /// As dates
    Date,
    /// As text that the engine casts to a timestamp
    Text,
    /// As whole seconds since 1970
    S,
    /// As milliseconds since 1970
    Ms,
    /// As microseconds since 1970
    Us,
    /// As nanoseconds since 1970
    Ns,
    /// As seconds since 1970 in floating point
    FloatS,
    /// As milliseconds since 1970 in floating point
    FloatMs,
}

impl TimeFormArg {
    fn form(self) -> TimeForm {
        match self {
            Self::Timestamp => TimeForm::Timestamp,
            Self::Date => TimeForm::Date,
            Self::Text => TimeForm::Text,
            Self::S => TimeForm::S,
            Self::Ms => TimeForm::Ms,
            Self::Us => TimeForm::Us,
            Self::Ns => TimeForm::Ns,
            Self::FloatS => TimeForm::FloatS,
            Self::FloatMs => TimeForm::FloatMs,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &SqlArgs) -> anyhow::Result<()> {
    let Queries::Prepare(args) = &args.command;
    let column = |name: &String| IdColumn { name: name.clone(), form: IdForm::Text };
    let dialect = args.dialect;
    let plan = SqlPlan::new(&SqlOptions {
        dialect,
        source: args.source.clone(),
        session: args.session_column.iter().map(column).collect(),
        item: column(&args.item_column),
        time: args.time_column.clone(),
        time_form: args.time_form.form(),
        order: args.order_column.clone(),
        session_gap: args.session_gap,
        keep_null_ids: args.keep_null_ids,
        rounds: args.rounds,
        rules: args.rules.options(),
    })?;
    args.output.print(&plan, |plan| plan.script(dialect, &args.out))
}

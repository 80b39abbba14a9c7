//! The commands: one file each, with its arguments and its `run`.

mod auto;
mod compare;
mod completions;
mod demo;
mod evaluate;
mod export;
mod health;
mod inspect;
mod items;
mod load;
mod man;
mod prepare;
mod recommend;
mod reproduce;
mod serve;
mod similar;
mod simulate;
mod sql;
mod train;
mod tune;
mod vectors;

pub(crate) use evaluate::metric_columns;

/// A command with its arguments.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Demo(demo::DemoArgs),
    Auto(auto::AutoArgs),
    Prepare(prepare::PrepareArgs),
    Train(Box<train::TrainArgs>),
    Evaluate(evaluate::EvaluateArgs),
    Compare(Box<compare::CompareArgs>),
    Tune(Box<tune::TuneArgs>),
    Recommend(recommend::RecommendArgs),
    Similar(similar::SimilarArgs),
    Vectors(vectors::VectorsArgs),
    Export(export::ExportArgs),
    Reproduce(Box<reproduce::ReproduceArgs>),
    Serve(Box<serve::ServeArgs>),
    Load(Box<load::LoadArgs>),
    Health(health::HealthArgs),
    Inspect(inspect::InspectArgs),
    Items(items::ItemsArgs),
    Simulate(simulate::SimulateArgs),
    Sql(sql::SqlArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Demo(args) => demo::run(&args),
            Self::Auto(args) => auto::run(&args),
            Self::Prepare(args) => prepare::run(&args),
            Self::Train(args) => train::run(&args),
            Self::Evaluate(args) => evaluate::run(&args),
            Self::Compare(args) => compare::run(&args),
            Self::Tune(args) => tune::run(&args),
            Self::Recommend(args) => recommend::run(&args),
            Self::Similar(args) => similar::run(&args),
            Self::Vectors(args) => vectors::run(&args),
            Self::Export(args) => export::run(&args),
            Self::Reproduce(args) => reproduce::run(&args),
            Self::Serve(args) => serve::run(&args),
            Self::Load(args) => load::run(&args),
            Self::Health(args) => health::run(&args),
            Self::Inspect(args) => inspect::run(&args),
            Self::Items(args) => items::run(&args),
            Self::Simulate(args) => simulate::run(&args),
            Self::Sql(args) => sql::run(&args),
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run(&args),
        }
    }
}

//! The commands: one file each, with its arguments and its `run`.

mod inspect;
mod prepare;
mod recommend;

/// A command with its arguments.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Prepare(prepare::PrepareArgs),
    Recommend(recommend::RecommendArgs),
    Inspect(inspect::InspectArgs),
}

impl Command {
    /// Does what the command says.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Prepare(args) => prepare::run(&args),
            Self::Recommend(args) => recommend::run(&args),
            Self::Inspect(args) => inspect::run(&args),
        }
    }
}

//! The commands: one file each, with its arguments and its `run`.

mod inspect;
mod prepare;

/// A command with its arguments.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Prepare(prepare::PrepareArgs),
    Inspect(inspect::InspectArgs),
}

impl Command {
    /// Does what the command says.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Prepare(args) => prepare::run(&args),
            Self::Inspect(args) => inspect::run(&args),
        }
    }
}

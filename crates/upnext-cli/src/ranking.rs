//! The arguments for ranking, shared by the commands that evaluate models.

use crate::numbers::one_or_more;
use upnext_core::evaluation::EvaluationConfig;
use upnext_core::experiment::TieRule;

/// The arguments for ranking. What is not given is taken from the experiment.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RankingArgs {
    /// Lengths of the lists (cut-offs) for which metrics are computed, ascending [default: 1,5,10,20; of a model that is
    /// evaluated alone, those of its experiment]
    #[arg(short, value_name = "K,…", value_delimiter = ',', value_parser = one_or_more::<usize>)]
    k: Vec<usize>,

    /// Rank of the next item among items of the same score [default: conservative]
    #[arg(long, value_enum)]
    ties: Option<TiesArg>,

    /// Rank the next item among this many most popular items only (the paper's VIDEO rule: 30000)
    #[arg(long, value_name = "M", value_parser = one_or_more::<usize>)]
    candidates: Option<usize>,
}

impl RankingArgs {
    /// Overrides fields of `options` by the given arguments, and validates the result.
    pub(crate) fn over(&self, mut options: EvaluationConfig) -> upnext_core::Result<EvaluationConfig> {
        if !self.k.is_empty() {
            options.cutoffs.clone_from(&self.k);
        }
        options.ties = self.ties.map_or(options.ties, TiesArg::rule);
        options.candidates = self.candidates.or(options.candidates);
        options.validate()?;
        Ok(options)
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TiesArg {
    /// Behind all of them: a constant model scores 0
    Conservative,
    /// Before all of them
    Standard,
    /// In the middle
    Median,
}

impl TiesArg {
    /// The corresponding rule of the library.
    fn rule(self) -> TieRule {
        match self {
            Self::Conservative => TieRule::Conservative,
            Self::Standard => TieRule::Standard,
            Self::Median => TieRule::Median,
        }
    }
}

//! The arguments of ranking, shared by the commands that judge models.

use upnext_core::evaluation::EvaluationConfig;
use upnext_core::experiment::TieRule;

/// How targets are ranked; what is not given stays as the experiment has it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RankingArgs {
    /// Cut-offs of the metrics, ascending [default: 1,5,10,20; of a model that is evaluated alone, those of its experiment]
    #[arg(short, value_name = "K,…", value_delimiter = ',')]
    k: Vec<usize>,

    /// What a target's rank is among items of the same score [default: conservative]
    #[arg(long, value_enum)]
    ties: Option<TiesArg>,

    /// Rank the target among this many most popular items only (the paper's VIDEO rule: 30000)
    #[arg(long, value_name = "M")]
    candidates: Option<usize>,
}

impl RankingArgs {
    /// `options` with what was given in its place, checked.
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
    /// The library's rule.
    fn rule(self) -> TieRule {
        match self {
            Self::Conservative => TieRule::Conservative,
            Self::Standard => TieRule::Standard,
            Self::Median => TieRule::Median,
        }
    }
}

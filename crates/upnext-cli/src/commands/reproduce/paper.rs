//! Published figures: the rows of tables 1 to 3 of Hidasi et al., ICLR 2016, the sizes of their data, and later
//! settings.

use serde::{Deserialize, Serialize};
use upnext_core::experiment::{Experiment, ModelConfig, ModelKind, Published, nearest, published_text};
use upnext_core::{Error, Result};

/// The publication of tables 1 to 3.
pub(super) const PAPER: &str = "Hidasi, Karatzoglou, Baltrunas, Tikk, ICLR 2016";

/// Number of candidates of the VIDEO rule: the target is ranked among this many most popular items.
pub(super) const VIDEO_CANDIDATES: usize = 30_000;

/// The protocol of one of the paper's two data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Protocol {
    Rsc15,
    VideoLike,
}

impl Protocol {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rsc15 => "rsc15",
            Self::VideoLike => "video-like",
        }
    }

    /// The paper's name of the data set.
    pub(super) fn data_set(self) -> &'static str {
        match self {
            Self::Rsc15 => "RSC15",
            Self::VideoLike => "VIDEO",
        }
    }
}

/// The table of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Group {
    /// Table 1: baselines.
    #[serde(rename = "table-1")]
    Table1,
    /// Table 3: networks. Table 2 has the parameters of those with 100 units.
    #[serde(rename = "table-3")]
    Table3,
    /// Settings that were published later.
    Later,
}

impl Group {
    pub(super) const ALL: [Self; 3] = [Self::Table1, Self::Table3, Self::Later];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Table1 => "Table 1: baselines",
            Self::Table3 => "Table 3: networks",
            Self::Later => "Settings published later",
        }
    }
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The kind of a baseline, or the name of an experiment file.
    pub(super) name: &'static str,
    pub(super) group: Group,
    /// The published experiment.
    pub(super) experiment: Experiment,
    /// The published figures, if there are any.
    pub(super) published: Option<Published>,
    /// The text of the row's experiment file, if it has one.
    pub(super) file: Option<&'static str>,
}

const RSC15: [&str; 6] = [
    "rsc15-top1-100",
    "rsc15-bpr-100",
    "rsc15-xe-100-paper",
    "rsc15-top1-1000",
    "rsc15-bpr-1000",
    "rsc15-xe-1000-paper",
];
const RSC15_LATER: [&str; 4] =
    ["rsc15-xe-100", "rsc15-bprmax-100", "rsc15-bprmax-100-shared", "rsc15-xe-100-cikm"];
const VIDEO: [&str; 6] =
    ["video-top1-100", "video-bpr-100", "video-xe-100", "video-top1-1000", "video-bpr-1000", "video-xe-1000"];

/// Table 1: Recall@20 and MRR@20 on RSC15 and on VIDEO.
const BASELINES: [(ModelKind, [(f64, f64); 2]); 4] = [
    (ModelKind::Pop, [(0.0050, 0.0012), (0.0499, 0.0117)]),
    (ModelKind::SPop, [(0.2672, 0.1775), (0.1301, 0.0863)]),
    (ModelKind::ItemKnn, [(0.5065, 0.2048), (0.5508, 0.3381)]),
    (ModelKind::BprMf, [(0.2574, 0.0618), (0.0692, 0.0374)]),
];

/// All rows of a protocol, in the order of the tables.
pub(super) fn rows(protocol: Protocol) -> Result<Vec<Row>> {
    let is_video = protocol == Protocol::VideoLike;
    let mut rows: Vec<Row> = BASELINES
        .into_iter()
        .map(|(kind, figures)| {
            let (recall_at_20, mrr_at_20) = figures[usize::from(is_video)];
            let mut experiment = Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
            experiment.evaluation.candidates = is_video.then_some(VIDEO_CANDIDATES);
            let published = Some(Published { recall_at_20, mrr_at_20 });
            Row { name: kind.name(), group: Group::Table1, experiment, published, file: None }
        })
        .collect();
    let networks = if is_video { VIDEO } else { RSC15 };
    let later: &[_] = if is_video { &[] } else { &RSC15_LATER };
    for (group, files) in [(Group::Table3, &networks[..]), (Group::Later, later)] {
        for &name in files {
            let file = published_text(name)
                .ok_or_else(|| Error::config("--settings", format!("`{name}` is no published setting")))?;
            let experiment = Experiment::from_toml(file, name)?;
            let published = experiment.data.published;
            rows.push(Row { name, group, experiment, published, file: Some(file) });
        }
    }
    Ok(rows)
}

/// The rows named by `--settings`, in the order of the tables; without names, those of tables 1 and 3.
///
/// # Errors
/// [`Error::Config`] for a name that the protocol does not have, with the most similar one that it has.
pub(super) fn chosen(protocol: Protocol, names: &[String]) -> Result<Vec<Row>> {
    let all = rows(protocol)?;
    for name in names {
        if !all.iter().any(|row| row.name == name) {
            let known: Vec<&str> = all.iter().map(|row| row.name).collect();
            let suggestion = nearest(name, known.iter().copied())
                .map_or(String::new(), |n| format!("did you mean `{n}`? "));
            let reason = format!(
                "`{name}` is no row of {}: {suggestion}The rows are {}",
                protocol.name(),
                known.join(", ")
            );
            return Err(Error::config("--settings", reason));
        }
    }
    let wanted = |row: &Row| {
        if names.is_empty() { row.group != Group::Later } else { names.iter().any(|name| row.name == name) }
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// A published size of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) of: SizeOf,
    pub(super) published: u64,
    /// Whether the published size is rounded.
    pub(super) about: bool,
}

/// The counted quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SizeOf {
    TrainEvents,
    TrainSessions,
    TrainItems,
    TestEvents,
    TestSessions,
    /// Pairs of the training part after `--scale`.
    CutPairs,
    /// Events of the training part after `--scale` and of the test part.
    CutAndTestEvents,
}

impl SizeOf {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::TrainEvents => "training events",
            Self::TrainSessions => "training sessions",
            Self::TrainItems => "items",
            Self::TestEvents => "test events",
            Self::TestSessions => "test sessions",
            Self::CutPairs => "training pairs left by the scale",
            Self::CutAndTestEvents => "events left by the scale, with the test part",
        }
    }
}

/// The published sizes. Those of the whole data are from the paper (section 4.1); those of the last 1/64 are from Li et
/// al., CIKM 2017, and later work on the same split.
pub(super) fn sizes(protocol: Protocol, scale: u64) -> Vec<Size> {
    use SizeOf::*;
    let size = |about| move |(of, published)| Size { of, published, about };
    match protocol {
        Protocol::Rsc15 => {
            let whole = [
                (TrainEvents, 31_637_239),
                (TrainSessions, 7_966_257),
                (TrainItems, 37_483),
                (TestEvents, 71_222),
                (TestSessions, 15_324),
            ];
            let of_64th = [(CutPairs, 369_859), (CutAndTestEvents, 557_248)];
            let of_64th = of_64th.into_iter().filter(|_| scale == 64);
            whole.into_iter().chain(of_64th).map(size(false)).collect()
        }
        Protocol::VideoLike => [
            (TrainEvents, 13_000_000),
            (TrainSessions, 3_000_000),
            (TrainItems, 330_000),
            (TestEvents, 180_000),
            (TestSessions, 37_000),
        ]
        .map(size(true))
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_both_tables_is_there_with_its_figures() {
        for (protocol, rows_of_tables, later) in [(Protocol::Rsc15, 10, 4), (Protocol::VideoLike, 10, 0)] {
            let all = rows(protocol).unwrap();
            assert_eq!(chosen(protocol, &[]).unwrap().len(), rows_of_tables);
            assert_eq!(all.len(), rows_of_tables + later);
            for row in all {
                row.experiment.validate().unwrap();
                let candidates = (protocol == Protocol::VideoLike).then_some(VIDEO_CANDIDATES);
                assert_eq!(row.experiment.evaluation.candidates, candidates, "{}", row.name);
                // The paper found this network unstable on VIDEO and gives no figures.
                assert_eq!(row.published.is_none(), row.name == "video-xe-1000", "{}", row.name);
            }
        }
    }

    #[test]
    fn rows_are_chosen_by_name_and_a_misspelt_one_is_told() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let rows = chosen(Protocol::Rsc15, &names(&["rsc15-xe-100", "s-pop", "pop"])).unwrap();
        assert_eq!(rows.iter().map(|row| row.name).collect::<Vec<_>>(), ["pop", "s-pop", "rsc15-xe-100"]);
        let message = |protocol, name| chosen(protocol, &names(&[name])).unwrap_err().to_string();
        assert!(message(Protocol::Rsc15, "rsc15-top-100").contains("did you mean `rsc15-top1-100`?"));
        assert!(message(Protocol::VideoLike, "rsc15-top1-100").contains("is no row of video-like"));
    }
}

//! Groups of cases, for metrics by session length, events seen and target support.

use crate::data::{ItemVocabulary, Sessions};
use crate::evaluation::RankedCase;
use serde::{Deserialize, Serialize};

/// The quantity by which cases are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GroupBy {
    /// The number of events of the session that the model has read.
    EventsSeen,
    /// The number of events of the whole session.
    SessionLength,
    /// The support of the target. The groups are about fifths of the cases; cases of equal support are in one group.
    TargetSupport,
}

/// A group of cases: a range of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Group {
    /// The smallest value in the group.
    pub from: u64,
    /// The largest value in the group; `None` if it has no upper limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Number of cases.
    pub cases: usize,
}

/// The first values of the groups of events seen and of session lengths, chosen so that each has cases in click logs.
const FIRST_VALUES: [u64; 8] = [1, 2, 3, 4, 5, 7, 11, 21];

/// Number of groups by support.
const FIFTHS: usize = 5;

impl GroupBy {
    /// All groupings.
    pub const ALL: [Self; 3] = [Self::EventsSeen, Self::SessionLength, Self::TargetSupport];

    /// The label of the axis in plots.
    pub fn title(self) -> &'static str {
        match self {
            Self::EventsSeen => "events of the session seen so far",
            Self::SessionLength => "events of the whole session",
            Self::TargetSupport => "events of the target in training",
        }
    }

    /// The non-empty groups, ascending, and the group of each case.
    pub(super) fn groups(
        self,
        cases: &[RankedCase],
        sessions: &Sessions,
        items: &ItemVocabulary,
    ) -> (Vec<Group>, Vec<usize>) {
        let value = |case: &RankedCase| {
            let session = sessions.session(case.session as usize);
            match self {
                Self::EventsSeen => u64::from(case.position) + 1,
                Self::SessionLength => session.len() as u64,
                Self::TargetSupport => items.support(session[case.position as usize + 1]),
            }
        };
        let values: Vec<u64> = cases.iter().map(value).collect();
        let firsts = match self {
            Self::EventsSeen | Self::SessionLength => FIRST_VALUES.to_vec(),
            Self::TargetSupport => first_of_parts(&values, FIFTHS),
        };
        let mut counts = vec![0; firsts.len()];
        let mut of_case: Vec<usize> =
            values.iter().map(|&value| firsts.partition_point(|&first| first <= value).max(1) - 1).collect();
        of_case.iter().for_each(|&group| counts[group] += 1);

        let mut groups = Vec::new();
        let mut index_of_group = vec![0; firsts.len()];
        for (i, &cases) in counts.iter().enumerate().filter(|&(_, &cases)| cases > 0) {
            index_of_group[i] = groups.len();
            let open = self != Self::TargetSupport;
            let largest = values.iter().zip(&of_case).filter(|&(_, &g)| g == i).map(|(&v, _)| v).max();
            let to = match firsts.get(i + 1) {
                Some(next) => Some(next - 1),
                None if open => None,
                None => largest,
            };
            groups.push(Group { from: firsts[i], to, cases });
        }
        of_case.iter_mut().for_each(|group| *group = index_of_group[*group]);
        (groups, of_case)
    }
}

/// The first values of parts of about equal size, with equal values in one part.
fn first_of_parts(values: &[u64], parts: usize) -> Vec<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let mut firsts: Vec<u64> =
        (0..parts).filter_map(|part| sorted.get(part * sorted.len() / parts).copied()).collect();
    firsts.dedup();
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::vocabulary;

    fn cases(sessions: &Sessions) -> Vec<RankedCase> {
        let of = |s: u32| {
            let last = sessions.session(s as usize).len() as u32 - 1;
            (0..last).map(move |position| RankedCase {
                session: s,
                position,
                larger: 0,
                equal: 1,
                fell_back: false,
            })
        };
        (0..sessions.len() as u32).flat_map(of).collect()
    }

    #[test]
    fn every_case_is_in_the_group_of_its_value() {
        let mut sessions = Sessions::new();
        sessions.push(&[0, 1, 2], 0);
        sessions.push(&[3; 31], 0);
        let items = vocabulary(&[1, 2, 3, 4]);
        let cases = cases(&sessions);
        let (groups, of_case) = GroupBy::EventsSeen.groups(&cases, &sessions, &items);
        let shown: Vec<_> = groups.iter().map(|g| (g.from, g.to, g.cases)).collect();
        let expected = [
            (1, Some(1), 2),
            (2, Some(2), 2),
            (3, Some(3), 1),
            (4, Some(4), 1),
            (5, Some(6), 2),
            (7, Some(10), 4),
            (11, Some(20), 10),
            (21, None, 10),
        ];
        assert_eq!(shown, expected);
        assert_eq!(&of_case[..8], [0, 1, 0, 1, 2, 3, 4, 4]);
        let (groups, of_case) = GroupBy::SessionLength.groups(&cases, &sessions, &items);
        assert_eq!(groups.iter().map(|g| (g.from, g.cases)).collect::<Vec<_>>(), [(3, 2), (21, 30)]);
        assert_eq!(of_case[1..4], [0, 1, 1]);
    }

    #[test]
    fn supports_are_cut_into_fifths_of_the_cases_and_equal_ones_stay_together() {
        let items = vocabulary(&[10, 20, 30, 40, 50]);
        let mut sessions = Sessions::new();
        sessions.push(&[0, 0, 1, 2, 3, 4], 0);
        let (groups, of_case) = GroupBy::TargetSupport.groups(&cases(&sessions), &sessions, &items);
        assert_eq!(of_case, [0, 1, 2, 3, 4]);
        assert_eq!((groups[1].from, groups[1].to, groups[4].to), (20, Some(29), Some(50)));
        let mut sessions = Sessions::new();
        sessions.push(&[0, 2, 2, 2, 2, 2], 0);
        let (groups, of_case) = GroupBy::TargetSupport.groups(&cases(&sessions), &sessions, &items);
        assert_eq!((groups.len(), groups[0].from, of_case), (1, 30, vec![0; 5]));
    }
}

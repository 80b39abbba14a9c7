//! Groups of cases, for metrics by session length, events seen, and support and age of the target.

use super::ages::Ages;
use crate::data::{Dataset, Sessions};
use crate::evaluation::{RARE, RankedCase};
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
    /// The support of the target. The groups are about fifths of the cases; cases of equal support are in one group. Where some targets have
    /// none, since they are new, these are a group, and so are those with a support below 5.
    TargetSupport,
    /// The age of the target in days: from the first training session with it to the last training session, by the starts of
    /// the two, rounded down. 0 days are the new items of the last day. Only where the training sessions have real times.
    TargetAgeDays,
    /// The age of the target as a share of the training sessions, in percent, rounded down: of those that start after the first
    /// one with it. Only where the times of the training sessions are an order.
    TargetAgeShare,
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

/// The first values of the groups of ages in days.
const FIRST_DAYS: [u64; 7] = [0, 1, 2, 7, 14, 28, 91];

/// The first values of the groups of ages in percent of the training sessions.
const FIRST_SHARES: [u64; 6] = [0, 2, 5, 10, 25, 50];

/// Number of groups by support.
const FIFTHS: usize = 5;

impl GroupBy {
    /// The groupings of cases after a training on this data.
    pub(super) fn all(ages: &Ages) -> [Self; 4] {
        let by_age = if ages.in_days { Self::TargetAgeDays } else { Self::TargetAgeShare };
        [Self::EventsSeen, Self::SessionLength, Self::TargetSupport, by_age]
    }

    /// The label of the axis in plots.
    pub fn title(self) -> &'static str {
        match self {
            Self::EventsSeen => "events of the session seen so far",
            Self::SessionLength => "events of the whole session",
            Self::TargetSupport => "events of the target in training",
            Self::TargetAgeDays => "days from the target’s first training session to the last",
            Self::TargetAgeShare => "% of the training sessions after the target’s first",
        }
    }

    /// The non-empty groups, ascending, and the group of each case.
    pub(super) fn groups(
        self,
        cases: &[RankedCase],
        sessions: &Sessions,
        (train, ages): (&Dataset, &Ages),
    ) -> (Vec<Group>, Vec<usize>) {
        let value = |case: &RankedCase| match self {
            Self::EventsSeen => u64::from(case.position) + 1,
            Self::SessionLength => sessions.session(case.session as usize).len() as u64,
            Self::TargetSupport => train.items.support(case.target(sessions)),
            Self::TargetAgeDays | Self::TargetAgeShare => ages.of_item(case.target(sessions)),
        };
        let values: Vec<u64> = cases.iter().map(value).collect();
        let firsts = match self {
            Self::EventsSeen | Self::SessionLength => FIRST_VALUES.to_vec(),
            Self::TargetSupport => {
                let mut firsts = first_of_parts(&values, FIFTHS);
                if values.contains(&0) {
                    firsts.retain(|&first| first >= RARE);
                    firsts.splice(0..0, [0, 1, RARE]);
                    firsts.dedup();
                }
                firsts
            }
            Self::TargetAgeDays => FIRST_DAYS.to_vec(),
            Self::TargetAgeShare => FIRST_SHARES.to_vec(),
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
    use crate::data::{ItemIndex, TimeMicros};

    /// Training data of these sessions, by their starts.
    fn train(sessions: &[(&[ItemIndex], TimeMicros)]) -> Dataset {
        let mut all = Sessions::new();
        sessions.iter().for_each(|(items, start)| all.push(items, *start));
        Dataset::new(vocabulary(&[1; 5]), all)
    }

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
        let train = Dataset::new(vocabulary(&[1, 2, 3, 4]), Sessions::new());
        let data = (&train, &Ages::of(&train));
        let cases = cases(&sessions);
        let (groups, of_case) = GroupBy::EventsSeen.groups(&cases, &sessions, data);
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
        let (groups, of_case) = GroupBy::SessionLength.groups(&cases, &sessions, data);
        assert_eq!(groups.iter().map(|g| (g.from, g.cases)).collect::<Vec<_>>(), [(3, 2), (21, 30)]);
        assert_eq!(of_case[1..4], [0, 1, 1]);
    }

    #[test]
    fn supports_are_cut_into_fifths_of_the_cases_and_equal_ones_stay_together() {
        let train = Dataset::new(vocabulary(&[10, 20, 30, 40, 50]), Sessions::new());
        let data = (&train, &Ages::of(&train));
        let mut sessions = Sessions::new();
        sessions.push(&[0, 0, 1, 2, 3, 4], 0);
        let (groups, of_case) = GroupBy::TargetSupport.groups(&cases(&sessions), &sessions, data);
        assert_eq!(of_case, [0, 1, 2, 3, 4]);
        assert_eq!((groups[1].from, groups[1].to, groups[4].to), (20, Some(29), Some(50)));
        let mut sessions = Sessions::new();
        sessions.push(&[0, 2, 2, 2, 2, 2], 0);
        let (groups, of_case) = GroupBy::TargetSupport.groups(&cases(&sessions), &sessions, data);
        assert_eq!((groups.len(), groups[0].from, of_case), (1, 30, vec![0; 5]));
    }

    #[test]
    fn targets_of_real_times_are_grouped_by_days_since_they_were_new() {
        let (begin, day) = (1_700_000_000_000_000, 86_400_000_000);
        // Item 1 is as old as the log, 2 is a day old, 3 a microsecond less, 4 is in no training session.
        let train = train(&[
            (&[3, 2], begin + 9 * day + 1),
            (&[0, 1], begin),
            (&[2, 0], begin + 9 * day),
            (&[1, 0], begin + 10 * day),
        ]);
        let ages = Ages::of(&train);
        assert_eq!(GroupBy::all(&ages)[3], GroupBy::TargetAgeDays);
        let mut sessions = Sessions::new();
        sessions.push(&[0, 1, 2, 3, 4, 3], 0);
        let (groups, of_case) = GroupBy::TargetAgeDays.groups(&cases(&sessions), &sessions, (&train, &ages));
        let shown: Vec<_> = groups.iter().map(|g| (g.from, g.to, g.cases)).collect();
        assert_eq!(shown, [(0, Some(0), 2), (1, Some(1), 1), (7, Some(13), 2)]);
        assert_eq!(of_case, [2, 1, 0, 2, 0]);
    }

    #[test]
    fn targets_of_an_order_are_grouped_by_the_share_of_later_sessions() {
        // 40 sessions: 1 is in the first, 2 in the third last, 3 in the last; of equal starts, the later session is later.
        let old: &[ItemIndex] = &[0, 1];
        let mut of: Vec<(&[ItemIndex], TimeMicros)> = vec![(old, 7); 40];
        (of[37].0, of[39].0) = (&[2, 0], &[3, 2]);
        let train = train(&of);
        let ages = Ages::of(&train);
        assert_eq!(GroupBy::all(&ages)[3], GroupBy::TargetAgeShare);
        let mut sessions = Sessions::new();
        sessions.push(&[0, 1, 2, 3, 4], 0);
        let (groups, of_case) = GroupBy::TargetAgeShare.groups(&cases(&sessions), &sessions, (&train, &ages));
        // 39 of 40, 2 of 40, none of 40, and an item without a session is older than all.
        let shown: Vec<_> = groups.iter().map(|g| (g.from, g.to, g.cases)).collect();
        assert_eq!(shown, [(0, Some(1), 1), (5, Some(9), 1), (50, None, 2)]);
        assert_eq!(of_case, [2, 1, 0, 2]);
    }
}

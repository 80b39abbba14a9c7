//! Session-parallel mini-batches (`docs/algorithms.md`, section 2): all steps of an epoch as a list.

/// A row of a step: one training pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The index of the session.
    pub session: usize,
    /// The position of the input in its session, from 0.
    pub position: usize,
    /// The current item.
    pub input: u32,
    /// The item to predict.
    pub target: u32,
    /// The row of the step before whose state this row carries; `None` if the state is zero, in every layer.
    pub carried_from: Option<usize>,
}

/// All steps of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// The rows of each step, in the order of their slots.
    pub steps: Vec<Vec<Row>>,
    /// Number of pairs whose steps are not run, because a single row has no negative.
    pub left_out: usize,
}

/// The steps of an epoch over `sessions`, in this order, with `batch_size` slots.
///
/// Without additional samples (`samples` is 0), a step of one row is not run. Sessions of fewer than two events have no
/// pair and are skipped. When no session is left, the slots of ended sessions are removed and the others keep their
/// order.
pub fn epoch(sessions: &[Vec<u32>], batch_size: usize, samples: usize) -> Epoch {
    let mut waiting = (0..sessions.len()).filter(|&s| sessions[s].len() >= 2);
    // The session of each slot and the position of its current item; `None` once no session is left.
    let mut slots: Vec<Option<(usize, usize)>> =
        (0..batch_size).map(|_| waiting.next().map(|session| (session, 0))).collect();
    let mut epoch = Epoch::default();
    let mut row_of_slot: Vec<Option<usize>> = vec![None; batch_size];
    loop {
        let mut step = Vec::new();
        let mut next_row_of_slot = vec![None; batch_size];
        for slot in 0..batch_size {
            let Some((session, position)) = slots[slot] else { continue };
            next_row_of_slot[slot] = Some(step.len());
            let items = &sessions[session];
            let carried_from = if position == 0 { None } else { row_of_slot[slot] };
            let (input, target) = (items[position], items[position + 1]);
            step.push(Row { session, position, input, target, carried_from });
            let ended = position + 2 == items.len();
            slots[slot] =
                if ended { waiting.next().map(|next| (next, 0)) } else { Some((session, position + 1)) };
        }
        row_of_slot = next_row_of_slot;
        match step.len() {
            0 => return epoch,
            1 if samples == 0 => epoch.left_out += 1,
            _ => epoch.steps.push(step),
        }
    }
}

#[cfg(test)]
mod tests {
    //! An epoch written out by hand, and the invariants of every epoch.

    use super::*;

    fn sessions(lengths: &[usize]) -> Vec<Vec<u32>> {
        let session = |(s, &length): (usize, &usize)| (0..length).map(|t| (10 * s + t) as u32).collect();
        lengths.iter().enumerate().map(session).collect()
    }

    #[test]
    fn small_epoch_is_the_one_written_out_by_hand() {
        // Slot 0: session 0, then 3. Slot 1: session 1, then nothing. Slot 2: session 2, then nothing.
        let epoch = epoch(&sessions(&[2, 3, 4, 4]), 3, 5);
        let listed: Vec<Vec<(u32, u32, Option<usize>)>> = epoch
            .steps
            .iter()
            .map(|step| step.iter().map(|row| (row.input, row.target, row.carried_from)).collect())
            .collect();
        assert_eq!(
            listed,
            [
                vec![(0, 1, None), (10, 11, None), (20, 21, None)],
                vec![(30, 31, None), (11, 12, Some(1)), (21, 22, Some(2))],
                vec![(31, 32, Some(0)), (22, 23, Some(2))],
                vec![(32, 33, Some(0))],
            ]
        );
        assert_eq!(epoch.left_out, 0);
    }

    #[test]
    fn free_slots_are_filled_lowest_first() {
        let epoch = epoch(&sessions(&[2, 2, 2, 2, 2]), 3, 1);
        let listed: Vec<Vec<usize>> =
            epoch.steps.iter().map(|step| step.iter().map(|row| row.session).collect()).collect();
        assert_eq!(listed, [vec![0, 1, 2], vec![3, 4]]);
    }

    #[test]
    fn every_pair_is_used_once_whatever_the_batch_size() {
        let sessions = sessions(&[2, 5, 1, 3, 9, 2, 2, 4, 1, 6]);
        let pairs: usize = sessions.iter().map(|session| session.len() - 1).sum();
        for batch_size in 1..12 {
            let with_samples = epoch(&sessions, batch_size, 1);
            let mut seen: Vec<(usize, usize)> =
                with_samples.steps.iter().flatten().map(|row| (row.session, row.position)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), pairs);
            assert_eq!(with_samples.steps.iter().flatten().count(), pairs);

            let without = epoch(&sessions, batch_size, 0);
            assert_eq!(without.steps.iter().flatten().count() + without.left_out, pairs);
            assert!(without.steps.iter().all(|step| step.len() > 1));
        }
    }

    #[test]
    fn carried_rows_hold_the_event_before() {
        let sessions = sessions(&[2, 5, 3, 9, 2, 2, 4, 6]);
        let epoch = epoch(&sessions, 4, 1);
        for (before, step) in epoch.steps.iter().zip(&epoch.steps[1..]) {
            for row in step {
                match row.carried_from {
                    None => assert_eq!(row.position, 0),
                    Some(i) => {
                        assert_eq!((before[i].session, before[i].position + 1), (row.session, row.position));
                        assert_eq!(before[i].target, row.input);
                    }
                }
            }
        }
    }
}

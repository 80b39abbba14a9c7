//! Events that repeat another: a file given twice, an export joined twice.

use super::events::Event;

/// The positions, in ascending order, of the events of a grouped log that repeat an earlier one with the same session,
/// item, time and order. `orders` is empty if nothing but the time orders events.
pub(super) fn copies(events: &[Event], orders: &[i64]) -> Vec<usize> {
    let key = |at: usize| (events[at].item, orders.get(at).copied().unwrap_or(0));
    let (mut copies, mut places) = (Vec::new(), Vec::new());
    let mut start = 0;
    for run in events.chunk_by(|a, b| (a.session, a.time) == (b.session, b.time)) {
        if run.len() > 1 {
            places.clear();
            places.extend(start..start + run.len());
            places.sort_by_key(|&at| key(at)); // stable: the first of equal ones stays first
            let first = copies.len();
            let equal = places.windows(2).filter(|pair| key(pair[0]) == key(pair[1]));
            copies.extend(equal.map(|pair| pair[1]));
            copies[first..].sort_unstable();
        }
        start += run.len();
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_events_is_no_copy() {
        let event = |session, item, time| Event { session, item, time };
        let events = [
            event(0, 5, 1),
            event(0, 6, 1),
            event(0, 5, 1),
            event(0, 5, 2),
            event(1, 5, 2),
            event(1, 5, 2),
            event(1, 5, 2),
        ];
        assert_eq!(copies(&events, &[]), [2, 5, 6]);
        let orders = [1, 2, 3, 4, 1, 1, 2];
        assert_eq!(copies(&events, &orders), [5]);
        // In a run, equal events of two items: in the order of the log.
        let two = [event(0, 9, 1), event(0, 3, 1), event(0, 9, 1), event(0, 3, 1)];
        assert_eq!(copies(&two, &[]), [2, 3]);
    }
}
